"""The residual block s = F(a) + shortcut(a) (He et al. 2015, eqs. 1 and 2; 2016, eq. 1)."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from refhf.model.blocks import Array, Block, Shape, Shapes, Tape, Weights
from refhf.model.chain import Chain

IDENTITY = Chain(())


@dataclass(frozen=True)
class Residual:
    """Two blocks side by side: both take a, and s is their sum.

    Attributes
    ----------
    main : Block
        F, a chain of blocks as a rule.
    shortcut : Block
        A chain without blocks is the identity.
    """

    main: Block
    shortcut: Block = IDENTITY

    @property
    def weight_shapes(self) -> Shapes:
        """F's, and the shortcut's."""
        return (self.main.weight_shapes, self.shortcut.weight_shapes)

    def out_shape(self, in_shape: Shape) -> Shape:
        """Both chains' one."""
        main, shortcut = self.main.out_shape(in_shape), self.shortcut.out_shape(in_shape)
        if main != shortcut:
            raise ValueError(f"expected a shortcut of shape {main}, as the main chain gives; got {shortcut}")
        return main

    def tape_numbers(self, in_shape: Shape) -> int:
        """The chains', and s."""
        shape = self.main.out_shape(in_shape)
        return self.main.tape_numbers(in_shape) + self.shortcut.tape_numbers(in_shape) + math.prod(shape)

    def initial(self, w: Weights, rng: np.random.Generator) -> None:
        """The chains', one after the other."""
        self.main.initial(w[0], rng)
        self.shortcut.initial(w[1], rng)

    def forward(self, w: Weights, a: Array, *, order: int = 2) -> tuple[Array, Tape]:
        """Sweep 1."""
        s, main = self.main.forward(w[0], a, order=order)
        beside, shortcut = self.shortcut.forward(w[1], a, order=order)
        return s + beside, (main, shortcut)  # s = F(a) + shortcut(a)

    def backward(self, tape: Tape, Ds: Array, Dw: Weights, *, keep: bool = False, below: bool = True) -> Any:
        """Sweep 2: Da is the sum of both chains' Da."""
        Da, main = self.main.backward(tape[0], Ds, Dw[0], keep=keep, below=below)
        beside, shortcut = self.shortcut.backward(tape[1], Ds, Dw[1], keep=keep, below=below)
        return Da + beside if below else None, (main, shortcut)

    def r_forward(self, tape: Tape, u: Weights, Ra: Any) -> tuple[Any, Tape]:
        """Sweep 3."""
        Rs, main = self.main.r_forward(tape[0], u[0], Ra)
        beside, shortcut = self.shortcut.r_forward(tape[1], u[1], Ra)
        return _sum(Rs, beside), (main, shortcut)  # Rs = R{F(a)} + R{shortcut(a)}

    def r_backward(self, tape: Tape, r_tape: Tape, RDs: Array, RDw: Weights, *, below: bool = True) -> Any:
        """Sweep 4."""
        RDa = self.main.r_backward(tape[0], r_tape[0], RDs, RDw[0], below=below)
        beside = self.shortcut.r_backward(tape[1], r_tape[1], RDs, RDw[1], below=below)
        return RDa + beside if below else None

    def squares(self, tape: Tape, Dw: Weights) -> None:
        """Both chains'."""
        self.main.squares(tape[0], Dw[0])
        self.shortcut.squares(tape[1], Dw[1])


def _sum(x: Any, y: Any) -> Any:
    """x + y, where None is zero: a chain without weights changes nothing of data."""
    return x if y is None else y if x is None else x + y
