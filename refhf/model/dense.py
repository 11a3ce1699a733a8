"""Weighted layers: maps bilinear in (weights W, input x), with their two adjoints.

Bilinearity is all that the sweeps of `refhf.model.network` use: the R-operator of a layer is the product
rule, R{apply(W, x)} = apply(V, x) + apply(W, Rx), and both adjoints are bilinear again. Convolutions are in
`refhf.model.convolution`. Cases are rows of flat arrays, images too.

What a layer does to an activation a before its weights, linear and without weights of its own, is `enter`: x =
enter(a) is made once and kept in the tape, and `adjoint_input` leads back to a.
"""

from typing import NamedTuple

import numpy as np


class Dense(NamedTuple):
    """s = x @ W, for x (B, n_in) and W (n_in, n_out); in the papers' column form s = W' x."""

    n_in: int
    n_out: int

    @property
    def weight_shape(self):
        """(n_in, n_out)."""
        return (self.n_in, self.n_out)

    @property
    def bias_shape(self):
        """(n_out,)."""
        return (self.n_out,)

    @property
    def fan_in(self):
        """Inputs that one unit sums."""
        return self.n_in

    @property
    def fan_out(self):
        """Units that sum one input."""
        return self.n_out

    @staticmethod
    def enter(a):
        """The activation as it is, (B, n_in)."""
        return a

    @staticmethod
    def apply(W, x):
        """The pre-activation without its bias, (B, n_out)."""
        return x @ W

    @staticmethod
    def adjoint_input(W, Ds):
        """Dx (B, n_in), from <Ds, apply(W, x)> = <adjoint_input(W, Ds), x>."""
        return Ds @ W.T

    @staticmethod
    def adjoint_weight(x, Ds, out=None):
        """DW (n_in, n_out), from <Ds, apply(W, x)> = <adjoint_weight(x, Ds), W>."""
        return np.matmul(x.T, Ds, out=out)

    @staticmethod
    def adjoint_weight_squares(x, Ds, out=None):
        """The sum over cases of each case's DW squared: a case's DW is x_i Ds_i', its square x_i^2 (Ds_i^2)'."""
        return np.matmul((x * x).T, Ds * Ds, out=out)
