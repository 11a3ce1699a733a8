"""`refhf.options`: the options of a method, read from the docstring of its family's options."""

import inspect
import re
from typing import Any, NamedTuple

from refhf import checks
from refhf.driver.registry import METHODS


class MethodOption(NamedTuple):
    """An option of a method.

    Attributes
    ----------
    default : object
    allowed : str
        The type, or the values.
    meaning : str
    """

    default: Any
    allowed: str
    meaning: str


def options(method: str) -> dict[str, MethodOption]:
    """The options of a method, by name: the default, what is allowed and what it means.

    Parameters
    ----------
    method : str
        One of `refhf.available_methods()`.

    Raises
    ------
    ValueError
        For an unknown method, with the nearest one.

    Examples
    --------
    >>> import refhf
    >>> refhf.options("gn-cg")["damping"].default
    0.1
    >>> print(refhf.options("sgd")["noise"].allowed)
    float
    """
    chosen = METHODS[checks.choice("method", method, METHODS)]
    given = chosen.family.options
    documented = _documented(given.__doc__)
    return {name: MethodOption(given._field_defaults[name], *documented[name]) for name in chosen.options}


ENTRY = re.compile(r"^(\w+(?:, \w+)*) : (.+)\n((?: +.+\n|\n)*)", re.M)  # `names : allowed`, then indented lines


def _documented(docstring: str) -> dict[str, tuple[str, str]]:
    """The allowed values and the meaning of each name under Attributes."""
    text = inspect.cleandoc(docstring).partition("Attributes\n----------\n")[2] + "\n"
    found: dict[str, tuple[str, str]] = {}
    for names, allowed, meaning in ENTRY.findall(text):
        found |= dict.fromkeys(names.split(", "), (allowed, " ".join(meaning.split())))
    return found
