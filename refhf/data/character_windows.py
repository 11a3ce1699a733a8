"""A text as cases: windows of characters, whose targets are the same windows one character ahead."""

import numpy as np

from refhf import checks
from refhf.formats import FormatError

CONTEXT = 32  # characters of a case; our choice, that of refhf.transformer
TEST_SHARE = 10  # one window in so many is to test on; our choice


def read_windows(path, context: int) -> dict:
    """The arrays of a text and its vocabulary, as `refhf.data.data_sets.DataSet` takes them.

    Windows follow each other: X[i] holds the characters i T to (i + 1) T - 1, y[i] those from i T + 1 to (i + 1) T, for
    T = `context`. The characters after the last whole window are left out.

    Raises
    ------
    ValueError
        For a context below 1, or a path of no file.
    FormatError
        For a file that is not UTF-8, or a text of `context` characters or fewer.
    """
    context = checks.positive_integer("context", context)
    if not path.is_file():
        raise ValueError(f"name_or_path: expected a .txt file; got {str(path)!r}, which is no file")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(path, f"expected a text in UTF-8; found ({error})") from error
    windows = (len(text) - 1) // context
    if windows < 1:
        raise FormatError(path, f"expected a text of more than context = {context} characters; found {len(text)}")
    vocabulary = "".join(sorted(set(text)))
    place = {character: i for i, character in enumerate(vocabulary)}
    tokens = np.array([place[character] for character in text], np.int64)
    X, y = (tokens[i : i + windows * context].reshape(windows, context) for i in (0, 1))
    test = windows // TEST_SHARE
    arrays = {"X": X[: windows - test], "y": y[: windows - test], "vocabulary": vocabulary}
    return arrays | ({"X_test": X[windows - test :], "y_test": y[windows - test :]} if test else {})
