"""Layer normalisation (Ba, Kiros and Hinton 2016)."""

from dataclasses import dataclass

import numpy as np

from refhf.model.blocks import Array, Tape, Weights, squares_of_cases
from refhf.model.normalisation import EPSILON, Normalisation


@dataclass(frozen=True)
class LayerNorm(Normalisation):
    """Each position of each case has mean 0 and variance 1 over its channels, before gamma and beta.

    Attributes
    ----------
    channels : int
    epsilon : float
    """

    channels: int
    epsilon: float = EPSILON

    def sets(self, a: Array) -> Array:
        """(B positions, channels)."""
        return a.reshape(-1, self.channels)

    def mean(self, x: Array, y: Array | None = None) -> Array:
        """(B positions, 1)."""
        total = x.sum(axis=1) if y is None else np.einsum("mc,mc->m", x, y)
        return total[:, None] / self.channels

    def squares(self, tape: Tape, Dw: Weights) -> None:
        """Write the sums over cases of each case's squared Dgamma and Dbeta."""
        _, n, _, shape, Ds, *_ = tape
        for out, terms in zip(Dw, (Ds * n, Ds), strict=True):
            out[...] = squares_of_cases(terms.reshape(shape))
