"""A chain of blocks, which is a block: the four sweeps as four loops."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from refhf.model.blocks import Array, Block, Shape, Shapes, Tape, Weights, size


@dataclass(frozen=True)
class Chain:
    """s = block_n(... block_2(block_1(a))).

    Attributes
    ----------
    blocks : tuple of Block
        Each takes what the one before gives.
    """

    blocks: tuple[Block, ...]

    @property
    def weight_shapes(self) -> Shapes:
        """Those of the blocks, a tuple each."""
        return tuple(block.weight_shapes for block in self.blocks)

    @cached_property
    def first(self) -> int:
        """The number of the first block with weights: no sweep but `forward` goes below it where a is data."""
        return next((l for l, block in enumerate(self.blocks) if size(block.weight_shapes)), len(self.blocks))

    def shapes(self, in_shape: Shape) -> list[Shape]:
        """The shape of a case before the first block, between the blocks and after the last."""
        shapes = [in_shape]
        for l, block in enumerate(self.blocks):
            try:
                shapes.append(block.out_shape(shapes[-1]))
            except ValueError as error:
                before = f" after {self.blocks[l - 1]!r}" if l else ""
                raise ValueError(f"blocks[{l}], {block!r}{before}: {error}") from None
        return shapes

    def out_shape(self, in_shape: Shape) -> Shape:
        """The last block's."""
        return self.shapes(in_shape)[-1]

    def tape_numbers(self, in_shape: Shape) -> int:
        """The sum of the blocks'."""
        return sum(block.tape_numbers(shape) for block, shape in zip(self.blocks, self.shapes(in_shape), strict=False))

    def initial(self, w: Weights, rng: np.random.Generator) -> None:
        """Each block's, one after the other."""
        for block, w_l in zip(self.blocks, w, strict=True):
            block.initial(w_l, rng)

    def forward(self, w: Weights, a: Array, *, order: int = 2) -> tuple[Array, Tape]:
        """Sweep 1, up."""
        tapes: list[Tape] = []
        for block, w_l in zip(self.blocks, w, strict=True):
            a, tape = block.forward(w_l, a, order=order)
            if order:
                tapes.append(tape)
        return a, tuple(tapes)

    def backward(self, tape: Tape, Ds: Array, Dw: Weights, *, keep: bool = False, below: bool = True) -> Any:
        """Sweep 2, down."""
        tapes = list(tape)
        for l in reversed(range(0 if below else self.first, len(self.blocks))):
            Ds, tapes[l] = self.blocks[l].backward(tapes[l], Ds, Dw[l], keep=keep, below=below or l > self.first)
        return Ds, tuple(tapes) if keep else None

    def r_forward(self, tape: Tape, u: Weights, Ra: Any) -> tuple[Any, Tape]:
        """Sweep 3, up."""
        r_tapes: list[Tape] = [None] * len(self.blocks)
        for l in range(self.first if Ra is None else 0, len(self.blocks)):
            Ra, r_tapes[l] = self.blocks[l].r_forward(tape[l], u[l], Ra)
        return Ra, tuple(r_tapes)

    def r_backward(self, tape: Tape, r_tape: Tape, RDs: Array, RDw: Weights, *, below: bool = True) -> Any:
        """Sweep 4, down."""
        for l in reversed(range(0 if below else self.first, len(self.blocks))):
            RDs = self.blocks[l].r_backward(tape[l], r_tape[l], RDs, RDw[l], below=below or l > self.first)
        return RDs

    def squares(self, tape: Tape, Dw: Weights) -> None:
        """Write the sums over cases of each case's squared gradient."""
        for l, block in enumerate(self.blocks):
            block.squares(tape[l], Dw[l])
