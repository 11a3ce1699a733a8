"""The numbers that the pages print, a module for each page: from the raw runs, by the scripts' own code."""

import sys
from pathlib import Path

FIGURES = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(FIGURES))  # the scripts are modules to these


def number(x: float, digits: int = 3) -> str:
    """A number to so many digits, trailing zeros kept, thousands apart: 0.0600, 2,460."""
    if float(f"{x:.{digits}g}") >= 10 ** (digits - 1):
        return f"{float(f'{x:.{digits}g}'):,.0f}"
    return f"{x:#.{digits}g}".rstrip(".")


def percent(x: float, decimals: int = 1) -> str:
    """A share in per cent, without its sign; no decimals where it is 0."""
    return f"{100 * x:.{decimals}f}" if x else "0"


def table(head, rows, right=()) -> str:
    """A table in Markdown; columns of these numbers are aligned to the right."""
    rule = "|".join("--:" if i in right else "---" for i in range(len(head)))
    lines = [f"| {' | '.join(map(str, row))} |" for row in (head, *rows)]
    return "\n".join([lines[0], f"|{rule}|", *lines[1:]])


def by_verdict(judged, link="for"):
    """'**holds** for a, b; **fails** for c', of (words, verdict)."""
    found: dict[str, list[str]] = {}
    for words, said in judged:
        found.setdefault(str(said), []).append(words)
    order = [word for word in ("holds", "fails", "not judgeable here") if word in found]
    return "; ".join(f"**{word}** {link} {', '.join(found[word])}" for word in order)
