"""Standardised inputs, as a block: the data's own units are kept with the network."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from refhf import checks
from refhf.model.blocks import Array, Shape, Tape, Weightless, Weights

READ = 4096  # rows of a file read at a time; our choice


@dataclass(frozen=True, eq=False)
class Standardise(Weightless):
    """s = rho (a - mean), with a mean and a rho = 1 / deviation for each number, or channel, on the last axis.

    Attributes
    ----------
    mean, deviation : ndarray (n,)
    """

    mean: Array
    deviation: Array

    def out_shape(self, in_shape: Shape) -> Shape:
        """The same; ValueError for another number of them on the last axis."""
        if in_shape[-1:] != self.mean.shape:
            raise ValueError(f"expected {self.mean.size} numbers or channels on the last axis; got shape {in_shape}")
        return in_shape

    def tape_numbers(self, in_shape: Shape) -> int:
        """The numbers of s."""
        return math.prod(in_shape)

    def forward(self, w: Weights, a: Any, *, order: int = 2) -> tuple[Array, Tape]:
        """Sweep 1; the tape is rho."""
        mean, rho = (x.astype(a.real.dtype) for x in (self.mean, 1 / self.deviation))
        return rho * (a - mean), rho  # s = rho (a - mean)

    def backward(self, tape: Tape, Ds: Array, Dw: Weights, *, keep: bool = False, below: bool = True) -> Any:
        """Sweep 2."""
        return tape * Ds, tape  # Da = rho Ds

    def r_forward(self, tape: Tape, u: Weights, Ra: Any) -> tuple[Any, Tape]:
        """Sweep 3."""
        return None if Ra is None else tape * Ra, None  # Rs = rho Ra

    def r_backward(self, tape: Tape, r_tape: Tape, RDs: Array, RDw: Weights, *, below: bool = True) -> Any:
        """Sweep 4."""
        return tape * RDs  # RDa = rho RDs


def standardise(X: Any, channels: int | None = None) -> Standardise:
    """The block that takes the cases X to mean 0 and standard deviation 1, a number at a time or a channel at a time.

    Parameters
    ----------
    X : array (B, n_0)
        A number that is the same in all cases is only shifted: its deviation counts as 1.
    channels : int, optional
        Of images: each row of X is (..., channels) in C order, and its pixels have their channel's statistics.

    Raises
    ------
    ValueError
        For an X of another shape, or channels that do not divide its rows.

    Examples
    --------
    >>> import numpy as np
    >>> block = standardise(np.array([[1.0, 5.0], [3.0, 5.0]]))
    >>> block.mean, block.deviation
    (array([2., 5.]), array([1., 1.]))
    """
    if getattr(X, "ndim", None) != 2 or not len(X) or not X.shape[1]:
        raise ValueError(f"X: expected an array (B, n_0) with cases; got shape {np.shape(X)}")
    n = X.shape[1] if channels is None else checks.positive_integer("channels", channels)
    if X.shape[1] % n:
        raise ValueError(f"channels: expected a divisor of n_0 = {X.shape[1]}; got {n}")
    count, total, squares = len(X) * (X.shape[1] // n), np.zeros(n), np.zeros(n)
    for rows in _pieces(X, n):
        total += rows.sum(axis=0)
    mean = total / count
    for rows in _pieces(X, n):
        squares += np.square(rows - mean).sum(axis=0)
    deviation = np.sqrt(squares / count)
    # a constant may have a deviation of rounding alone
    return Standardise(mean, np.where(deviation > 1e-12 * np.abs(mean), deviation, 1.0))


def _pieces(X: Any, n: int) -> Any:
    """X as rows (-1, n) of float64, some at a time; X may be on disk."""
    return (np.asarray(X[start : start + READ], dtype=np.float64).reshape(-1, n) for start in range(0, len(X), READ))
