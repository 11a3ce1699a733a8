"""Tied and stored weights: theta (P,) that is not the weights of the chain (P',), one array after the other.

A tied array stands once in theta, and in each of its places among the weights. Stored arrays stand in theta in an order
and a layout of their own. Both are theta' = T theta, with at most a single 1 in each row of T, so J = J' T, g = T' g'
and H = T' H' T, for J', g' and H' those of the chain.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from refhf.model.blocks import Array, Shape, Shapes, flat, size

NOWHERE = -1  # the place of a zero that theta does not hold


class Tie(NamedTuple):
    """An array of the chain's weights that is another one.

    Attributes
    ----------
    array, of : int
        Their numbers among the chain's arrays, in order; `of` < `array`.
    transposed : bool
        Whether it is the other's transpose.
    """

    array: int
    of: int
    transposed: bool = False


class Stored(NamedTuple):
    """An array of the chain's weights as theta has it.

    Attributes
    ----------
    start : int
        Where it begins in theta; NOWHERE for zeros that theta does not hold.
    shape : tuple of int
        Its shape there, in C order.
    axes : tuple of int
        The axes of that shape in the order of the weights.
    """

    start: int
    shape: Shape
    axes: tuple[int, ...]

    @property
    def places(self) -> Array:
        """The places in theta of the weights."""
        n = int(np.prod(self.shape))
        if self.start == NOWHERE:
            return np.full(n, NOWHERE)
        return np.arange(self.start, self.start + n).reshape(self.shape).transpose(self.axes).ravel()


Ties = tuple[Tie, ...] | tuple[Stored, ...]  # ties of some arrays, or a Stored for each


@lru_cache(maxsize=64)
def places(shapes: Shapes, ties: Ties) -> Array:
    """The place in theta of each number of the chain's weights (P',)."""
    if stored := [tie.places for tie in ties if isinstance(tie, Stored)]:
        return np.concatenate(stored)
    arrays: list[Array] = []
    tied, start = {tie.array: tie for tie in ties if isinstance(tie, Tie)}, 0
    for i, shape in enumerate(flat(shapes)):
        if tie := tied.get(i):
            arrays.append(arrays[tie.of].T if tie.transposed else arrays[tie.of])
        else:
            n = int(np.prod(shape))
            arrays.append(np.arange(start, start + n).reshape(shape))
            start += n
    return np.concatenate([x.ravel() for x in arrays])


@lru_cache(maxsize=64)
def tied_size(shapes: Shapes, ties: Ties) -> int:
    """P' - P, the numbers that theta does without."""
    return size(shapes) - int(places(shapes, ties).max(initial=-1)) - 1 if ties else 0


def untied(theta: Array, shapes: Shapes, ties: Ties) -> Array:
    """The chain's weights T theta (P',)."""
    return np.append(theta, np.zeros(1, theta.dtype))[places(shapes, ties)] if ties else theta


def tied_sum(Dtheta: Array, shapes: Shapes, ties: Ties) -> Array:
    """T' of a derivative by the chain's weights (P',): that of theta (P,)."""
    if not ties:
        return Dtheta
    total = np.zeros(len(Dtheta) - tied_size(shapes, ties) + 1, Dtheta.dtype)  # the last is what lies NOWHERE
    np.add.at(total, places(shapes, ties), Dtheta)
    return total[:-1]


def first_places(theta: Array, shapes: Shapes, ties: Ties) -> Array:
    """theta (P,) of the chain's weights (P',): each tied array as it stands in its first place."""
    if not ties:
        return theta
    of_theta, first = np.unique(places(shapes, ties), return_index=True)
    return theta[first[of_theta != NOWHERE]]
