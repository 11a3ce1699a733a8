"""refhf.lab.runs.json_lines: files of raw runs."""

from hypothesis import given
from hypothesis import strategies as st

from refhf.lab.runs.json_lines import append_json_line, read_json_lines

VALUES = st.none() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)


@given(st.lists(st.dictionaries(st.text(max_size=5), VALUES, max_size=3), max_size=4))
def test_what_was_appended_is_read(tmp_path_factory, objects):
    """The objects are read in their order and with all characters, and before there is a file there are none."""
    path = tmp_path_factory.mktemp("lines") / "runs.jsonl"
    assert read_json_lines(path) == read_json_lines(None) == []
    for value in objects:
        append_json_line(path, value)
    assert read_json_lines(path) == objects
