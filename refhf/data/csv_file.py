"""Cases from a table of text: a `.csv` file with a header, a case a line."""

import csv
from pathlib import Path
from typing import Any

import numpy as np

from refhf.data.array_files import MAX_CLASSES
from refhf.formats import FormatError

TARGETS = "y", "label"  # names of the column of targets; else it is the last
SEPARATORS = ",;\t"
SHOWN = 10  # classes that a note names; our choice


def read_csv_cases(path: Path, dtype: Any) -> dict[str, Any]:
    """X and y of a table, with `notes` on how they were read.

    The column named `y` or `label` is y, or the last one; the others are X. Words become labels in alphabetical order,
    -1 and 1 become 0 and 1, whole numbers from 0 on are labels, and other numbers are targets.

    Raises
    ------
    ValueError
        For a path of no file.
    FormatError
        For a file that is not UTF-8, without a header or cases, with lines of other lengths, or with cells that are
        empty or, in X, no finite numbers, by their line.
    """
    if not path.is_file():
        raise ValueError(f"name_or_path: expected a .csv file; got {str(path)!r}, which is no file")
    head, lines = _table(path)
    target = next((i for i, name in enumerate(head) if name.strip().lower() in TARGETS), len(head) - 1)
    inputs = [i for i in range(len(head)) if i != target]
    with np.errstate(over="ignore"):
        X = np.array([[_number(path, k, head[i], row[i]) for i in inputs] for k, row in lines]).astype(dtype)
    if not np.isfinite(X).all():
        case, column = np.argwhere(~np.isfinite(X))[0]
        raise FormatError(path, f"line {lines[case][0]}, {head[inputs[column]]}: expected a number finite in {X.dtype}")
    words = [row[target].strip() for _, row in lines]
    if "" in words:
        raise FormatError(path, f"line {lines[words.index('')][0]}, {head[target]}: expected a target; found none")
    y, read, classes = _targets(words, dtype)
    if not np.isfinite(y).all():
        raise FormatError(path, f"{head[target]}: expected numbers finite in {X.dtype}; found NaN or Inf")
    return {"X": X, "y": y, "notes": (f"{head[target]}: read as y, {read}",), "classes": classes}


def _table(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header, and the other lines with their numbers."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        first = text.partition("\n")[0]
        reader = csv.reader(text.splitlines(), delimiter=max(SEPARATORS, key=first.count), strict=True)
        lines = [(reader.line_num, row) for row in reader if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FormatError(path, f"expected a table in UTF-8; found ({error})") from error
    head = lines[0][1] if lines else []
    if len(lines) < 2 or len(head) < 2 or any(_is_number(name) for name in head):
        raise FormatError(path, f"expected a header of two names or more, and cases below it; found {head[:SHOWN]}")
    for k, row in lines:
        if len(row) != len(head):
            raise FormatError(path, f"line {k}: expected {len(head)} cells, as in the header; found {len(row)}")
    return head, lines[1:]


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _number(path: Path, line: int, name: str, word: str) -> float:
    if not _is_number(word):
        raise FormatError(path, f"line {line}, {name}: expected a number; found {word[:40]!r}")
    return float(word)


def _targets(words: list[str], dtype: Any) -> tuple[np.ndarray, str, tuple[str, ...]]:
    """Labels (B,) or targets (B, 1), how they were read, and the names of the classes if they have any."""
    if not all(map(_is_number, words)):
        classes = tuple(sorted(set(words)))
        place = {word: i for i, word in enumerate(classes)}
        named = ", ".join([*classes[:SHOWN], *["..."] * (len(classes) > SHOWN)])
        return np.array([place[word] for word in words]), f"labels 0 to {len(classes) - 1}: {named}", classes
    y = np.array([float(word) for word in words])
    if set(y) == {-1, 1}:
        return (y > 0).astype(np.int64), "labels: -1 as 0, 1 as 1", ("-1", "1")
    if (y == np.floor(y)).all() and y.min() >= 0 and y.max() < MAX_CLASSES:
        return y.astype(np.int64), f"labels 0 to {int(y.max())}", ()
    with np.errstate(over="ignore"):
        return y.astype(dtype)[:, None], "targets", ()
