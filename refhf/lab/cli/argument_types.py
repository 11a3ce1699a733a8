"""Converters of command-line words to values, with argparse's complaints."""

import argparse
from collections.abc import Callable, Iterable
from typing import Any

Option = tuple[str, Any]


def unique_options(pairs: Iterable[Option]) -> dict[str, Any]:
    """The (name, value) pairs as a dict; ValueError for a name given twice."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name}: expected one value; got {found[name]!r} and {value!r}")
        found[name] = value
    return found


def integer_from(text: str, low: int) -> int:
    """An integer of at least `low`."""
    try:
        value = int(text)
    except ValueError:
        value = low - 1
    if value < low:
        raise argparse.ArgumentTypeError(f"expected an integer >= {low}; got {text!r}")
    return value


def integer_above_0(text: str) -> int:
    """An integer >= 1."""
    return integer_from(text, 1)


def whole_number(text: str) -> int:
    """An integer >= 0."""
    return integer_from(text, 0)


def real_number(text: str) -> float:
    """Any number that `float` reads."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number; got {text!r}") from None


def layer_widths(text: str) -> list[int]:
    """'400,150' -> [400, 150]; 'none' -> []."""
    try:
        return [] if text == "none" else [integer_above_0(width) for width in text.split(",")]
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"expected widths >= 1 as in 400,150, or none; got {text!r}") from None


def list_of(kind: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    """A converter of '1,2,3' to a list, each part converted by `kind`."""
    return lambda text: [kind(part) for part in text.split(",")]


def grid_axis(text: str) -> tuple[str, list[Any]]:
    """'name=1,2,3' -> (name, [1, 2, 3]); each value is read as `method_option` reads it."""
    name, _, values = text.partition("=")
    if not (name and values and all(values.split(","))):
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE,VALUE; got {text!r}")
    pairs = [method_option(f"{name}={value}") for value in values.split(",")]
    return pairs[0][0], [value for _, value in pairs]


def method_option(text: str) -> Option:
    """'name=value' -> (name, value); the value is None, a bool, an int, a float or the text itself."""
    name, equals, value = text.partition("=")
    name, value = name.strip().replace("-", "_"), value.strip()
    if not (name and equals and value):
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE; got {text!r}")
    words = {"none": None, "true": True, "false": False}
    if value.lower() in words:
        return name, words[value.lower()]
    for kind in int, float:
        try:
            return name, kind(value)
        except ValueError:
            continue
    return name, value
