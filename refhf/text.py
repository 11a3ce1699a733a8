"""Text that is read and printed: columns, names and paths in arguments, enumerations as words."""

import html
from collections.abc import Iterable, Sequence
from enum import Enum
from pathlib import Path

SHOWN = 8  # files of a folder that a message names; our choice


class Word(Enum):
    """An enumeration whose members print as plain words."""

    def __str__(self) -> str:
        return self.name.lower().replace("_", " ")


def columns(rows: Iterable[Sequence], left: int = 1, indent: int = 0) -> list[str]:
    r"""A line for each row, its cells one below the other and at least two blanks apart, whatever their lengths.

    Parameters
    ----------
    rows : iterable of sequences of one length
    left : int
        So many cells are aligned to the left, those after them to the right.
    indent : int
        Blanks before each line.

    Examples
    --------
    >>> print(*columns([("method", "steps"), ("gn-cg", 25)]), sep="\n")
    method  steps
    gn-cg      25
    """
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    signs = ["<" if i < left else ">" for i, _ in enumerate(widths)]
    return [
        (" " * indent + "  ".join(f"{x:{sign}{n}}" for x, sign, n in zip(row, signs, widths, strict=True))).rstrip()
        for row in rows
    ]


def html_table(head: Sequence[str], rows: Iterable[Sequence], caption: str) -> str:
    """A table for a notebook; numbers have six digits."""
    lines = [f"<caption>{html.escape(caption)}</caption>", _html_row("th", head)]
    return f"<table>{''.join([*lines, *(_html_row('td', row) for row in rows)])}</table>"


def _html_row(tag: str, cells: Iterable) -> str:
    words = (f"{cell:.6g}" if isinstance(cell, float) else html.escape(str(cell)) for cell in cells)
    return f"<tr>{''.join(f'<{tag}>{word}</{tag}>' for word in words)}</tr>"


def name_list(text: str) -> list[str]:
    """'gn-cg, sgd' -> ['gn-cg', 'sgd']."""
    return [name.strip() for name in text.split(",")]


def path_of(argument: str, given) -> Path:
    """The path that a word stands for, '~' or '~user' at its beginning being a home folder.

    Raises
    ------
    ValueError
        Naming the argument, if there is no such home.
    """
    try:
        return Path(given).expanduser()
    except RuntimeError as error:
        home = Path(given).parts[0]
        raise ValueError(f"{argument}: expected a path; got {str(given)!r}, and no home is known of {home}") from error


def printable(text: str) -> str:
    """The text in one line of letters: a '?' for what is none, as a control character or a byte that is not UTF-8."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def contents(folder: Path) -> str:
    """'has a, b and 3 more', 'is empty', 'is a file', 'does not exist', or why nobody knows."""
    if not folder.is_dir():
        return "is a file" if folder.exists() else "does not exist"
    try:
        found = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return f"has {', '.join(map(printable, found[:SHOWN]))}{more}" if found else "is empty"
