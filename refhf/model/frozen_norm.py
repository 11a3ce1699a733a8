"""Normalisation by given statistics, as batch normalisation predicts (Ioffe and Szegedy 2015, Algorithm 2)."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from refhf.model.blocks import Array, Shape, Shapes, Tape, Weights, squares_of_cases
from refhf.model.normalisation import EPSILON, channel_totals


@dataclass(frozen=True, eq=False)
class FrozenNorm:
    """s = gamma n + beta, for n = rho (a - mean) and rho = (variance + epsilon)^-1/2: affine, and each case alone.

    Attributes
    ----------
    mean, variance : ndarray (channels,)
    epsilon : float
    """

    mean: Array
    variance: Array
    epsilon: float = EPSILON

    @property
    def weight_shapes(self) -> Shapes:
        """The shapes of gamma and beta."""
        return (self.mean.shape, self.mean.shape)

    def out_shape(self, in_shape: Shape) -> Shape:
        """The same."""
        return in_shape

    def tape_numbers(self, in_shape: Shape) -> int:
        """The numbers of s, n and Ds."""
        return 3 * math.prod(in_shape)

    def initial(self, w: Weights, rng: np.random.Generator) -> None:
        """The statistics' own: gamma = 1, beta = 0."""
        w[0][...] = 1

    def forward(self, w: Weights, a: Array, *, order: int = 2) -> tuple[Array, Tape]:
        """Sweep 1; the tape is gamma, n and rho."""
        gamma, beta = w
        rho = ((self.variance + self.epsilon) ** -0.5).astype(gamma.real.dtype)
        n = rho * (a - self.mean.astype(rho.dtype))
        return gamma * n + beta, (gamma, n, rho)  # s = gamma n + beta

    def backward(self, tape: Tape, Ds: Array, Dw: Weights, *, keep: bool = False, below: bool = True) -> Any:
        """Sweep 2; the tape has Ds too."""
        (gamma, n, rho), (Dgamma, Dbeta) = tape, Dw
        Dgamma[...] = channel_totals(Ds, n)  # Dgamma = sum of Ds n
        Dbeta[...] = channel_totals(Ds)  # Dbeta = sum of Ds
        return Ds * (gamma * rho), (*tape, Ds)  # Da = gamma rho Ds

    def r_forward(self, tape: Tape, u: Weights, Ra: Any) -> tuple[Any, Tape]:
        """Sweep 3; the r_tape is gamma's direction c, and Rn."""
        (gamma, n, rho, *_), (c, d) = tape, u
        Rn = np.zeros_like(n) if Ra is None else rho * Ra  # Rn = rho Ra
        return gamma * Rn + c * n + d, (c, Rn)  # Rs = gamma Rn + c n + d

    def r_backward(self, tape: Tape, r_tape: Tape, RDs: Array, RDw: Weights, *, below: bool = True) -> Any:
        """Sweep 4."""
        (gamma, n, rho, Ds), (c, Rn), (RDgamma, RDbeta) = tape, r_tape, RDw
        RDgamma[...] = channel_totals(RDs, n) + channel_totals(Ds, Rn)  # RDgamma = sum of RDs n + Ds Rn
        RDbeta[...] = channel_totals(RDs)  # RDbeta = sum of RDs
        return rho * (gamma * RDs + c * Ds)  # RDa = rho (gamma RDs + c Ds)

    def squares(self, tape: Tape, Dw: Weights) -> None:
        """Write the sums over cases of each case's squared Dgamma and Dbeta."""
        _, n, _, Ds = tape
        for out, terms in zip(Dw, (Ds * n, Ds), strict=True):
            out[...] = squares_of_cases(terms)
