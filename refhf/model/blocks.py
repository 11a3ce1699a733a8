"""Blocks: the maps that a network is a chain of, and what a block promises.

A block maps weights w and an activation a to s. The other three sweeps follow from this one by differentiation:

==============================  =======================================================================
forward     (w, a) -> s         the map itself
backward    Ds -> Da, Dw        the adjoint of its derivative: <Ds, ds> = <Da, da> + <Dw, dw>
r_forward   (u, Ra) -> Rs       its derivative along u, a direction of w, and Ra, one of a
r_backward  RDs -> RDa, RDw     the derivative of backward along (u, Ra, RDs)
==============================  =======================================================================

A sweep also returns what later sweeps need of it: `forward` a tape, `backward` a tape that takes its place,
`r_forward` an r_tape. These are tuples of arrays, of each block's own make, and are not written to. So a curvature
operator runs `forward` and `backward` once, and each product costs one `r_forward` and one `r_backward`.

Arrays have the cases first: a (B, *in_shape). All four maps compute in the dtype of their arguments, complex ones
included, and sum over the cases.
"""

import math
from collections.abc import Iterator
from typing import Any, Protocol, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Shape: TypeAlias = tuple[int, ...]
Shapes: TypeAlias = tuple[Any, ...]  # nested: of arrays, or of the blocks that a block is made of
Weights: TypeAlias = tuple[Any, ...]  # the arrays, nested alike
Tape: TypeAlias = Any  # nested tuples of arrays, each block's own affair


class Block(Protocol):
    """A differentiable map with weights, and its three derived sweeps.

    Attributes
    ----------
    weight_shapes : tuple
        The shapes of its weights, in theta's order; of a block made of blocks, a tuple of theirs.
    """

    @property
    def weight_shapes(self) -> Shapes:
        """See above."""
        ...

    def out_shape(self, in_shape: Shape) -> Shape:
        """The shape of a case's s, from that of its a; ValueError, saying what is expected, where it does not fit."""
        ...

    def tape_numbers(self, in_shape: Shape) -> int:
        """Numbers that a linearisation keeps of a case, at most: s, and what the sweeps keep besides a."""
        ...

    def initial(self, w: Weights, rng: np.random.Generator) -> None:
        """Write starting weights into w, which holds zeros."""
        ...

    def forward(self, w: Weights, a: Array, /, *, order: int = 2) -> tuple[Array, Tape]:
        """(s, tape), the tape for `order` derivatives: 0 for s alone, 1 for `backward` and `r_forward`, 2 for all."""
        ...

    def backward(self, tape: Tape, Ds: Array, Dw: Weights, /, *, keep: bool = False, below: bool = True) -> Any:
        """(Da, tape); Dw is written.

        `keep` says whether `r_backward` or `squares` follow, which take the new tape; else it is None. `below` says
        whether Da is needed: nobody needs it at the data.
        """
        ...

    def r_forward(self, tape: Tape, u: Weights, Ra: Any, /) -> tuple[Any, Tape]:
        """(Rs, r_tape), with either tape; Ra is None where a is data, which no direction changes."""
        ...

    def r_backward(self, tape: Tape, r_tape: Tape, RDs: Array, RDw: Weights, /, *, below: bool = True) -> Any:
        """RDa, of no meaning if nothing `below` needs it; RDw is written."""
        ...

    def squares(self, tape: Tape, Dw: Weights) -> None:
        """Write into Dw the sums over cases of each case's squared Dw."""
        ...


class Weightless:
    """The defaults of a block without weights."""

    weight_shapes: Shapes = ()

    def initial(self, w: Weights, rng: np.random.Generator) -> None:
        """Nothing to write."""

    def squares(self, tape: Tape, Dw: Weights) -> None:
        """Nothing to write."""


def size(shapes: Shapes) -> int:
    """The number of numbers in arrays of these nested shapes."""
    return math.prod(shapes) if _is_shape(shapes) else sum(map(size, shapes))


def flat(shapes: Shapes) -> list[Shape]:
    """The shapes of the arrays, one after the other."""
    return [shapes] if _is_shape(shapes) else [shape for inner in shapes for shape in flat(inner)]


def views(shapes: Shapes, theta: Array) -> Weights:
    """Views of theta (P,) of these nested shapes, one after the other in C order."""
    return _views(shapes, theta, 0)[0]


def _is_shape(shapes: Shapes) -> bool:
    return bool(shapes) and isinstance(shapes[0], int)


def _views(shapes: Shapes, theta: Array, start: int) -> tuple[Any, int]:
    if _is_shape(shapes):
        stop = start + math.prod(shapes)
        return theta[start:stop].reshape(shapes), stop
    made: list[Any] = []
    for inner in shapes:
        view, start = _views(inner, theta, start)
        made.append(view)
    return tuple(made), start


def squares_of_cases(x: Array) -> Array:
    """The sum over cases of the square of each case's sum over positions: (channels,) of x (B, ..., channels)."""
    of_cases = x.sum(axis=tuple(range(1, x.ndim - 1)))
    return (of_cases * of_cases).sum(axis=0)


def read_only(tree: Tape) -> Tape:
    """The same nested tuples of arrays, which can no longer be written to."""
    for x in arrays(tree):
        x.flags.writeable = False
    return tree


def arrays(tree: Tape) -> Iterator[Array]:
    """The arrays of nested tuples."""
    if isinstance(tree, np.ndarray):
        yield tree
    elif isinstance(tree, tuple):
        for branch in cast(tuple[Any, ...], tree):
            yield from arrays(branch)
