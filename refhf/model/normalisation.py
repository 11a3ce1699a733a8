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

    @property
    def weight_shapes(self) -> Shapes:
        """Of gamma and beta."""
        return ((self.channels,), (self.channels,))

    def out_shape(self, in_shape: Shape) -> Shape:
        """The same."""
        if in_shape[-1:] != (self.channels,):
            raise ValueError(f"expected {self.channels} channels last; got shape {in_shape}")
        return in_shape

    def tape_numbers(self, in_shape: Shape) -> int:
        """Of s, n, Dn, Da and Ds; the statistics are few."""
        return 5 * math.prod(in_shape)

    def initial(self, w: Weights, rng: np.random.Generator) -> None:
        """The identity: gamma = 1, beta = 0."""
        w[0][...] = 1

    def forward(self, w: Weights, a: Array, *, order: int = 2) -> tuple[Array, Tape]:
        """Sweep 1; the tape is gamma, n, rho and the shape of a."""
        (gamma, beta), x = w, self.sets(a)
        centred = x - _mean(x)
        rho = (_mean(centred * centred) + self.epsilon) ** -0.5
        n = rho * centred
        s = gamma * n + beta
        return s.reshape(a.shape), (gamma, n, rho, a.shape)

    def backward(self, tape: Tape, Ds: Array, Dw: Weights, *, keep: bool = False, below: bool = True) -> Any:
        """Sweep 2; the tape has Ds, Dn and Da too."""
        (gamma, n, rho, shape), (Dgamma, Dbeta) = tape, Dw
        Ds = Ds.reshape(n.shape)
        Dgamma[...] = _sum(Ds * n)  # Dgamma = sum of Ds n
        Dbeta[...] = _sum(Ds)  # Dbeta = sum of Ds
        Dn = Ds * gamma
        Da = _jacobian(n, rho, Dn)  # Da = J Dn
        return Da.reshape(shape), (*tape, Ds, Dn, Da) if keep else None

    def r_forward(self, tape: Tape, u: Weights, Ra: Any) -> tuple[Any, Tape]:
        """Sweep 3; the r_tape is gamma's direction c, Ra and Rn."""
        (gamma, n, rho, shape, *_), (c, d) = tape, u
        Ra = np.zeros_like(n) if Ra is None else self.sets(Ra)
        Rn = _jacobian(n, rho, Ra)  # Rn = J Ra
        return (gamma * Rn + c * n + d).reshape(shape), (c, Ra, Rn)  # Rs = gamma Rn + c n + d

    def r_backward(self, tape: Tape, r_tape: Tape, RDs: Array, RDw: Weights, *, below: bool = True) -> Any:
        """Sweep 4."""
        (gamma, n, rho, shape, Ds, Dn, Da), (c, Ra, Rn), (RDgamma, RDbeta) = tape, r_tape, RDw
        RDs = RDs.reshape(n.shape)
        RDgamma[...] = _sum(RDs * n + Ds * Rn)  # RDgamma = sum of RDs n + Ds Rn
        RDbeta[...] = _sum(RDs)  # RDbeta = sum of RDs
        RDn = RDs * gamma + Ds * c  # RDn = gamma RDs + c Ds
        bend = _mean(n * Ra) * Da + Rn * _mean(n * Dn) + n * _mean(Rn * Dn)
        return (_jacobian(n, rho, RDn) - rho * bend).reshape(shape)  # RDa = J RDn + (RJ) Dn


def _jacobian(n: Array, rho: Array, x: Array) -> Array:
    """J x = rho (x - mean(x) - n mean(n x))."""
    return rho * (x - _mean(x) - n * _mean(n * x))


def _mean(x: Array) -> Array:
    return x.mean(axis=1, keepdims=True)


def _sum(x: Array) -> Array:
    return x.reshape(-1, x.shape[-1]).sum(axis=0)
