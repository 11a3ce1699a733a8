"""Text of the command line: what its words are read as, and columns for what it prints."""

from collections.abc import Iterable, Sequence
from pathlib import Path


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
    aligned = [str.ljust if i < left else str.rjust for i, _ in enumerate(widths)]
    return [
        (" " * indent + "  ".join(align(*pair) for align, *pair in zip(aligned, row, widths, strict=True))).rstrip()
        for row in rows
    ]


def name_list(text: str) -> list[str]:
    """'gn-cg, sgd' -> ['gn-cg', 'sgd']."""
    return [name.strip() for name in text.split(",")]


def path_of(text: str) -> Path:
    """The path that a word stands for, '~' at its beginning being a home folder.

    Raises
    ------
    ValueError
        If there is no such user.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        user = Path(text).parts[0]
        raise ValueError(f"expected a path that exists; got {str(text)!r}, and {user} is nobody's home") from error
