"""Layer and batch normalisation: s = gamma n + beta, n the activation made of mean 0 and variance 1 over a set.

Ba, Kiros and Hinton 2016, eq. 4: a set is one position of one case. Ioffe and Szegedy 2015, Algorithm 1: a set is one
channel at all positions of a group of cases. In both, with mean(.) over the set, mu = mean(a) and
rho = (mean((a - mu)^2) + epsilon)^-1/2,

    n = rho (a - mu)
    Rn = rho (Ra - mean(Ra) - n mean(n Ra)) =: J Ra      for Rmu = mean(Ra) and Rrho = -rho^2 mean(n Ra)
    Da = J Dn                                            for J is symmetric
    RDa = J RDn + (RJ) Dn = J RDn - rho (mean(n Ra) Da + Rn mean(n Dn) + n mean(Rn Dn))

The variance is the biased one, and epsilon stands inside the root, as in both papers.
"""

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from refhf.model.blocks import Array, Shape, Shapes, Tape, Weights

STRIP = 1024  # numbers that are added side by side; our choice, by timing
EPSILON = 1e-5  # our choice; PyTorch's default. Neither paper gives a number


class Normalisation(ABC):
    """The sweeps of a normalisation over axis 1 of `sets(a)`; its channels are the last axis.

    Attributes
    ----------
    channels : int
        The length of gamma and beta.
    epsilon : float
    """

    channels: int
    epsilon: float

    @abstractmethod
    def sets(self, a: Array) -> Array:
        """A view of a whose axis 1 runs over a set."""

    def strips(self, a: Array) -> Array:
        """The sets, with some of axis 1 side by side in the last axis: NumPy is slow where that one is short."""
        return self.sets(a)

    @abstractmethod
    def mean(self, x: Array, y: Array | None = None) -> Array:
        """The mean of x, or of x y, over each set: axis 1, which stays with length 1."""

    @property
    def weight_shapes(self) -> Shapes:
        """The shapes of gamma and beta."""
        return ((self.channels,), (self.channels,))

    def out_shape(self, in_shape: Shape) -> Shape:
        """The same."""
        if in_shape[-1:] != (self.channels,):
            raise ValueError(f"expected {self.channels} channels last; got shape {in_shape}")
        return in_shape

    def tape_numbers(self, in_shape: Shape) -> int:
        """The numbers of s, n, Da and Ds; the statistics are few."""
        return 4 * math.prod(in_shape)

    def initial(self, w: Weights, rng: np.random.Generator) -> None:
        """The identity: gamma = 1, beta = 0."""
        w[0][...] = 1

    def forward(self, w: Weights, a: Array, *, order: int = 2) -> tuple[Array, Tape]:
        """Sweep 1; the tape is gamma, n, rho and the shape of a."""
        x = self.strips(a)
        gamma, beta = self._wide(w, x)
        centred = x - self.mean(x)  # a - mu
        rho = (self.mean(centred, centred) + self.epsilon) ** -0.5
        n = rho * centred
        s = gamma * n + beta
        return s.reshape(a.shape), (gamma, n, rho, a.shape)

    def backward(self, tape: Tape, Ds: Array, Dw: Weights, *, keep: bool = False, below: bool = True) -> Any:
        """Sweep 2; the tape has Ds, Da and mean(n Dn) too."""
        (gamma, n, rho, shape), (Dgamma, Dbeta) = tape, Dw
        Ds = Ds.reshape(n.shape)
        Dgamma[...] = self._totals(Ds, n)  # Dgamma = sum of Ds n
        Dbeta[...] = self._totals(Ds)  # Dbeta = sum of Ds
        Dn = gamma * Ds
        mean_adjoint = self.mean(n, Dn)  # mean(n Dn)
        Da = rho * (Dn - self.mean(Dn) - n * mean_adjoint)  # Da = J Dn
        return Da.reshape(shape), (*tape, Ds, Da, mean_adjoint) if keep else None

    def r_forward(self, tape: Tape, u: Weights, Ra: Any) -> tuple[Any, Tape]:
        """Sweep 3; the r_tape is gamma's direction c, Ra - mean(Ra) and mean(n Ra)."""
        gamma, n, rho, shape, *_ = tape
        c, d = self._wide(u, n)
        Ra = np.zeros_like(n) if Ra is None else Ra.reshape(n.shape)
        centred, mean_tangent = Ra - self.mean(Ra), self.mean(n, Ra)  # Ra - mean(Ra), mean(n Ra)
        slope = gamma * rho
        Rs = slope * centred + (c - slope * mean_tangent) * n + d  # Rs = gamma Rn + c n + d for Rn = J Ra
        return Rs.reshape(shape), (c, centred, mean_tangent)

    def r_backward(self, tape: Tape, r_tape: Tape, RDs: Array, RDw: Weights, *, below: bool = True) -> Any:
        """Sweep 4."""
        (gamma, n, rho, shape, Ds, Da, mean_adjoint), (c, centred, mean_tangent), (RDgamma, RDbeta) = tape, r_tape, RDw
        RDs = RDs.reshape(n.shape)
        Rn = rho * (centred - n * mean_tangent)  # Rn = J Ra
        RDgamma[...] = self._totals(RDs, n) + self._totals(Ds, Rn)  # RDgamma = sum of RDs n + Ds Rn
        RDbeta[...] = self._totals(RDs)  # RDbeta = sum of RDs
        RDn = gamma * RDs + c * Ds
        both = self.mean(n, RDn) + self.mean(Rn, gamma * Ds)  # R{mean(n Dn)} = mean(n RDn) + mean(Rn Dn)
        RDa = rho * (RDn - self.mean(RDn) - n * both - Rn * mean_adjoint - Da * mean_tangent)  # J RDn + (RJ) Dn
        return RDa.reshape(shape)

    def _wide(self, w: Weights, x: Array) -> tuple[Array, ...]:
        """The arrays of w (channels,), as long as x's last axis."""
        return tuple(np.tile(w_i, x.shape[-1] // self.channels) for w_i in w)

    def _totals(self, x: Array, y: Array | None = None) -> Array:
        """The sum of x, or of x y, over all but the channels."""
        as_rows = (-1, self.channels)
        return channel_sums(x.reshape(as_rows), None if y is None else y.reshape(as_rows))


def channel_totals(x: Array, y: Array | None = None) -> Array:
    """The sum of x, or of x y, over all but the channels."""
    rows = x.reshape(-1, x.shape[-1])
    return channel_sums(rows, None if y is None else y.reshape(rows.shape))


def channel_sums(x: Array, y: Array | None = None) -> Array:
    """The sum over m of x (..., m, C), or of x y: of strips of rows first, which is faster and rounds less."""
    channels, strips = x.shape[-1], in_strips(x)
    of_strips = strips.sum(axis=-2) if y is None else np.einsum("...ms,...ms->...s", strips, y.reshape(strips.shape))
    return of_strips.reshape(*x.shape[:-2], -1, channels).sum(axis=-2)


def in_strips(x: Array) -> Array:
    """(..., m / k, k C) of x (..., m, C): k rows side by side."""
    m, channels = x.shape[-2:]
    k = math.gcd(m, max(1, STRIP // channels))
    return x.reshape(*x.shape[:-2], m // k, k * channels)
