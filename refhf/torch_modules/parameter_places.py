"""The places of a module's parameters in theta, and what the conversion of its layers needs besides."""

import sys
from collections.abc import Iterable
from typing import Any

import numpy as np

from refhf.model.blocks import Array, Shape
from refhf.model.weight_tying import NOWHERE, Stored


class MisfitError(ValueError):
    """A setting that refhf does not have; the message says what is expected."""


class Places:
    """The places of parameters in theta, as `torch.nn.utils.parameters_to_vector` joins them.

    Attributes
    ----------
    starts : dict
        Where each parameter begins, by its id.
    size : int
        P.
    cases : int
        The group of batch normalisation in train mode.
    stored : list of Stored
        Of the arrays of the blocks that have been made so far.
    merged : bool
        Whether positions have become cases, by Flatten(0, 1).
    """

    def __init__(self, parameters: Iterable[Any], cases: int) -> None:
        self.starts: dict[int, int] = {}
        self.stored: list[Stored] = []
        self.size, self.cases, self.merged = 0, cases, False
        for parameter in parameters:
            self.starts[id(parameter)] = self.size
            self.size += parameter.numel()

    def take(self, parameter: Any, *axes: int, shape: Shape = ()) -> None:
        """Note the place of the next array, which has the parameter's axes in this order; None is zeros of `shape`."""
        if parameter is None:
            self.stored.append(Stored(NOWHERE, shape, ()))
            return
        if id(parameter) not in self.starts:
            raise MisfitError("only parameters of the model")
        shape = tuple(parameter.shape)
        self.stored.append(Stored(self.starts[id(parameter)], shape, axes or tuple(range(len(shape)))))

    def unused(self, parameters: Iterable[tuple[str, Any]]) -> list[str]:
        """The names of the parameters that no block has."""
        used = {stored.start for stored in self.stored}
        return [name for name, parameter in parameters if self.starts[id(parameter)] not in used]


def module_name(module: Any) -> str | None:
    """The name of a module's class, if it is torch.nn's own."""
    name = type(module).__name__
    return name if getattr(sys.modules["torch"].nn, name, None) is type(module) else None


def require(condition: Any, expected: str) -> None:
    """Refuse a layer of which this is not true."""
    if not condition:
        raise MisfitError(expected)


def one_number(given: Any) -> int:
    """The number that a setting has along both axes."""
    pair = given if isinstance(given, tuple) else (given, given)
    require(len(set(pair)) == 1 and isinstance(pair[0], int), "one number for both axes")
    return pair[0]


def numbers(given: Any) -> Array:
    """A tensor's numbers as an array; an array as it is."""
    for step in "detach", "cpu":
        given = getattr(given, step)() if hasattr(given, step) else given
    return np.asarray(given)
