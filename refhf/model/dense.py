"""The fully connected layer."""

import math
from dataclasses import dataclass

import numpy as np

from refhf.model.bilinear import Bilinear
from refhf.model.blocks import Array, Shape


@dataclass(frozen=True)
class Dense(Bilinear):
    """s = x W + b, for x (..., n_in) and W (n_in, n_out); in the papers' column form s = W' x + b.

    Between the cases and n_in there may be other axes, positions that all have the same W.
    """

    n_in: int
    n_out: int
    bias: bool = True
    rule: str = "glorot"

    @property
    def weight_shape(self) -> Shape:
        """(n_in, n_out)."""
        return (self.n_in, self.n_out)

    @property
    def fan_in(self) -> int:
        """n_in."""
        return self.n_in

    @property
    def fan_out(self) -> int:
        """n_out."""
        return self.n_out

    def out_shape(self, in_shape: Shape) -> Shape:
        """(..., n_out)."""
        if in_shape[-1:] != (self.n_in,):
            raise ValueError(f"expected {self.n_in} inputs; got shape {in_shape}")
        return (*in_shape[:-1], self.n_out)

    def tape_numbers(self, in_shape: Shape) -> int:
        """The numbers of Ds."""
        return math.prod(self.out_shape(in_shape))

    def product(self, W: Array, x: Array) -> Array:
        """x W, (B, ..., n_out)."""
        return x @ W

    def adjoint_input(self, W: Array, Ds: Array) -> Array:
        """Ds W', (B, ..., n_in)."""
        return (Ds.reshape(-1, self.n_out) @ W.T).reshape(*Ds.shape[:-1], self.n_in)

    def adjoint_weight(self, x: Array, Ds: Array, out: Array | None = None) -> Array:
        """x' Ds, (n_in, n_out)."""
        return np.matmul(x.reshape(-1, self.n_in).T, Ds.reshape(-1, self.n_out), out=out)

    def adjoint_weight_squares(self, x: Array, Ds: Array, out: Array) -> Array:
        """The squares of DW: at one position (x_i Ds_i')^2 = x_i^2 (Ds_i^2)', by a product; of more, case by case."""
        if x.ndim == 2:
            return np.matmul((x * x).T, Ds * Ds, out=out)
        out[...] = 0
        for i in range(len(x)):
            out += self.adjoint_weight(x[i], Ds[i]) ** 2
        return out
