"""Tied weights: one array of theta that is the weights of several blocks.

theta (P,) has such an array once, the weights of the chain (P',) have it in each place. They are theta' = T theta, with
a single 1 in each row of T, so J = J' T, g = T' g' and H = T' H' T, for J', g' and H' those of the chain.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from refhf.model.blocks import Array, Shapes, flat


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


Ties = tuple[Tie, ...]


@lru_cache(maxsize=64)
def places(shapes: Shapes, ties: Ties) -> Array:
    """The place in theta of each number of the chain's weights (P',)."""
    arrays: list[Array] = []
    tied, start = {tie.array: tie for tie in ties}, 0
    for i, shape in enumerate(flat(shapes)):
        if tie := tied.get(i):
            arrays.append(arrays[tie.of].T if tie.transposed else arrays[tie.of])
        else:
            n = int(np.prod(shape))
            arrays.append(np.arange(start, start + n).reshape(shape))
            start += n
    return np.concatenate([x.ravel() for x in arrays])


def tied_size(shapes: Shapes, ties: Ties) -> int:
    """P' - P, the numbers that theta does without."""
    sizes = [int(np.prod(shape)) for shape in flat(shapes)]
    return sum(sizes[tie.array] for tie in ties)


def untied(theta: Array, shapes: Shapes, ties: Ties) -> Array:
    """The chain's weights T theta (P',)."""
    return theta[places(shapes, ties)] if ties else theta


def tied_sum(Dtheta: Array, shapes: Shapes, ties: Ties) -> Array:
    """T' of a derivative by the chain's weights (P',): that of theta (P,)."""
    if not ties:
        return Dtheta
    total = np.zeros(len(Dtheta) - tied_size(shapes, ties), Dtheta.dtype)
    np.add.at(total, places(shapes, ties), Dtheta)
    return total


def first_places(theta: Array, shapes: Shapes, ties: Ties) -> Array:
    """theta (P,) of the chain's weights (P',): each tied array as it stands in its first place."""
    return theta[np.unique(places(shapes, ties), return_index=True)[1]] if ties else theta
