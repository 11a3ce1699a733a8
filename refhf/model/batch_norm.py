"""Batch normalisation (Ioffe and Szegedy 2015), over groups of cases of a fixed size."""

from dataclasses import dataclass

import numpy as np

from refhf.model.blocks import Array, Tape, Weights
from refhf.model.normalisation import EPSILON, Normalisation, channel_sums, in_strips


@dataclass(frozen=True)
class BatchNorm(Normalisation):
    """Each channel of each group of cases has mean 0 and variance 1 over cases and positions, before gamma and beta.

    The cases are cut into groups of `group`, in their order. If `group` does not divide their number, the rest is a
    smaller group of its own. So f is one function of theta whatever the chunks and the ranks, and its gradient and
    products are exact. Hoffer, Hubara and Soudry 2017 call a group a ghost batch; in Adya et al. 2018, section 4.1, it
    is each worker's native batch.

    Attributes
    ----------
    channels : int
    group : int
    epsilon : float
    """

    channels: int
    group: int
    epsilon: float = EPSILON

    def sets(self, a: Array) -> Array:
        """(groups, cases and positions of a group, channels)."""
        if len(a) <= self.group:
            return a.reshape(1, -1, self.channels)
        if len(a) % self.group:
            raise ValueError(f"expected cases in groups of {self.group}; got {len(a)}")
        return a.reshape(len(a) // self.group, -1, self.channels)

    def strips(self, a: Array) -> Array:
        """(groups, strips, channels of some cases and positions)."""
        return in_strips(self.sets(a))

    def mean(self, x: Array, y: Array | None = None) -> Array:
        """(groups, 1, channels), as often side by side as in x."""
        as_sets = (len(x), -1, self.channels)
        sums = channel_sums(x.reshape(as_sets), None if y is None else y.reshape(as_sets))
        side_by_side = x.shape[2] // self.channels
        return np.tile(sums / (x.shape[1] * side_by_side), side_by_side)[:, None]

    def statistics(self, a: Array) -> tuple[Array, Array]:
        """mu and m / (m - 1) sigma^2 of each group, (groups, channels): what Algorithm 2 averages for prediction."""
        x = self.sets(a)
        mu, m = self.mean(x), x.shape[1]
        return mu[:, 0], channel_sums(x - mu, x - mu) / max(m - 1, 1)

    def squares(self, tape: Tape, Dw: Weights) -> None:
        """Refuse: a case has no gradient of its own."""
        raise ValueError("net: expected no batch normalisation, which couples the cases: none has its own gradient")
