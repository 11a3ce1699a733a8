"""Layers s = x W + b: the four sweeps of every product x W that is linear in x and in W.

Pearlmutter 1994, section 4. The product rule gives R{x W} = x V + Rx W, for V the part of the direction that belongs
to W, and both adjoints are bilinear again. So a dense layer and a convolution are these lines, each with products of
its own.
"""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from refhf.model.blocks import Array, Shape, Shapes, Tape, Weights, squares_of_cases

DEVIATION = 0.02  # Radford et al. 2018 (GPT), section 4.1
RULES = "glorot", "he", "normal"


class Bilinear(ABC):
    """The sweeps of a layer that has `product`, `adjoint_input` and `adjoint_weight`.

    Attributes
    ----------
    bias : bool
        Whether b is there.
    rule : {'glorot', 'he', 'normal'}
        The starting weights: Glorot and Bengio 2010, eq. 16, uniform on +-sqrt(6 / (fan_in + fan_out)); He et al.
        2015, eq. 10, N(0, 2 / fan_in); Radford et al. 2018 (GPT), section 4.1, N(0, 0.02^2). b starts at 0.
    """

    bias: bool
    rule: str

    @property
    @abstractmethod
    def weight_shape(self) -> Shape:
        """W's shape."""

    @property
    @abstractmethod
    def fan_in(self) -> int:
        """The number of inputs that one unit sums."""

    @property
    @abstractmethod
    def fan_out(self) -> int:
        """The number of units that sum one input."""

    @abstractmethod
    def product(self, W: Array, x: Array) -> Array:
        """x W."""

    @abstractmethod
    def adjoint_input(self, W: Array, Ds: Array) -> Array:
        """Dx, from <Ds, product(W, x)> = <adjoint_input(W, Ds), x>."""

    @abstractmethod
    def adjoint_weight(self, x: Array, Ds: Array, out: Array | None = None) -> Array:
        """DW, from <Ds, product(W, x)> = <adjoint_weight(x, Ds), W>."""

    @abstractmethod
    def adjoint_weight_squares(self, x: Array, Ds: Array, out: Array) -> Array:
        """The sum over cases of each case's DW squared."""

    @property
    def weight_shapes(self) -> Shapes:
        """(W's,) or (W's, b's)."""
        return (self.weight_shape, (self.weight_shape[-1],)) if self.bias else (self.weight_shape,)

    def initial(self, w: Weights, rng: np.random.Generator) -> None:
        """W by the layer's rule."""
        W = w[0]
        if self.rule == "normal":
            W[...] = rng.normal(0, DEVIATION, W.shape)
        elif self.rule == "he":
            W[...] = rng.normal(0, np.sqrt(2 / self.fan_in), W.shape)
        else:
            r = np.sqrt(6 / (self.fan_in + self.fan_out))
            W[...] = rng.uniform(-r, r, W.shape)

    def forward(self, w: Weights, x: Array, *, order: int = 2) -> tuple[Array, Tape]:
        """Sweep 1; the tape is W and x."""
        W, *b = w
        s = self.product(W, x)
        if b:
            s += b[0]  # s = x W + b
        return s, (W, x)

    def backward(self, tape: Tape, Ds: Array, Dw: Weights, *, keep: bool = False, below: bool = True) -> Any:
        """Sweep 2; the tape is W, x and Ds."""
        (W, x), (DW, *Db) = tape, Dw
        self.adjoint_weight(x, Ds, out=DW)  # DW = x' Ds
        if Db:
            Db[0][...] = _sum_to_channels(Ds)  # Db = sum of Ds
        return self.adjoint_input(W, Ds) if below else None, (W, x, Ds)  # Dx = Ds W'

    def r_forward(self, tape: Tape, u: Weights, Rx: Any) -> tuple[Any, Tape]:
        """Sweep 3; the r_tape is V and Rx."""
        (W, x, *_), (V, *c) = tape, u
        Rs = self.product(V, x)
        if Rx is not None:
            Rs += self.product(W, Rx)
        if c:
            Rs += c[0]  # Rs = x V + Rx W + c
        return Rs, (V, Rx)

    def r_backward(self, tape: Tape, r_tape: Tape, RDs: Array, RDw: Weights, *, below: bool = True) -> Any:
        """Sweep 4, the product rule applied to each line of sweep 2."""
        (W, x, Ds), (V, Rx), (RDW, *RDb) = tape, r_tape, RDw
        self.adjoint_weight(x, RDs, out=RDW)
        if Rx is not None:
            np.add(RDW, self.adjoint_weight(Rx, Ds), out=RDW)  # RDW = x' RDs + Rx' Ds
        if RDb:
            RDb[0][...] = _sum_to_channels(RDs)  # RDb = sum of RDs
        if not below:
            return None
        RDx = self.adjoint_input(W, RDs)
        RDx += self.adjoint_input(V, Ds)  # RDx = RDs W' + Ds V'
        return RDx

    def squares(self, tape: Tape, Dw: Weights) -> None:
        """Write the sums over cases of each case's squared DW and Db."""
        (_, x, Ds), (W2, *b2) = tape, Dw
        self.adjoint_weight_squares(x, Ds, out=W2)
        if b2:
            b2[0][...] = squares_of_cases(Ds)


def _sum_to_channels(Ds: Array) -> Array:
    """The sum over cases, then over all positions but the last axis."""
    of_units = Ds.sum(axis=0)
    return of_units if of_units.ndim == 1 else of_units.reshape(-1, of_units.shape[-1]).sum(axis=0)
