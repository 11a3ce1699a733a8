"""Files of raw runs: a JSON object on each line, appended as runs are done."""

import json
from pathlib import Path


def read_json_lines(path) -> list[dict]:
    """The objects in the file at `path`, in order; none if there is no file, or if `path` is None.

    Raises
    ------
    ValueError
        If a line is not JSON.
    """
    if path is None or not Path(path).exists():
        return []
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def append_json_line(path, value: dict) -> None:
    """Add an object to the file at `path`, which is created if missing."""
    with open(path, "a", encoding="utf-8", newline="\n") as file:
        file.write(json.dumps(value) + "\n")
