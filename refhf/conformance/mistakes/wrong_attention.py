"""Attention with a mistake in its softmax: no row sum in the derivative, or the causal mask after it.

s = M P V with M the mask, all ones but where the mask comes after the softmax; notation of `refhf.model.attention`.
"""

from dataclasses import dataclass

import numpy as np

from refhf.conformance.patterns import Pattern
from refhf.model.attention import Attention, join_heads
from refhf.model.blocks import Array

MISTAKES = Pattern.NO_ROW_SUM, Pattern.MASK_AFTER_SOFTMAX


@dataclass(frozen=True)
class MistakenAttention(Attention):
    """Attention with some of the mistakes, in the R-forward sweep those of `tangent`."""

    without: frozenset[Pattern] = frozenset()
    tangent: frozenset[Pattern] = frozenset()

    def _masked(self, P: Array) -> Array:
        late = self.causal and Pattern.MASK_AFTER_SOFTMAX in self.without
        return P * np.tri(P.shape[-1]) if late else P

    def forward(self, w, a, *, order=2):
        """Sweep 1."""
        Q, K, V = self._split(a)
        S = self._scale(a) * (Q @ _t(K))
        late = self.causal and Pattern.MASK_AFTER_SOFTMAX in self.without
        P = Attention(self.heads, causal=False)._softmax(S) if late else self._softmax(S)
        return join_heads(self._masked(P) @ V), (Q, K, V, P)

    def backward(self, tape, Ds, Dw, *, keep=False, below=True):
        """Sweep 2."""
        Q, K, V, P = tape
        c, Ds = self._scale(Ds, 1), self._heads(Ds)
        DP = self._masked(Ds @ _t(V))
        DS = P * (DP - _rows(P * DP, self.without))
        return join_heads(c * DS @ K, c * _t(DS) @ Q, _t(self._masked(P)) @ Ds), (*tape, Ds, DP, DS)

    def r_forward(self, tape, u, Ra):
        """Sweep 3."""
        Q, K, V, P, *_ = tape
        RQ, RK, RV = self._split(Ra)
        RS = self._scale(Ra) * (RQ @ _t(K) + Q @ _t(RK))
        RP = P * (RS - _rows(P * RS, self.tangent))
        return join_heads(self._masked(RP) @ V + self._masked(P) @ RV), (RQ, RK, RV, RP)

    def r_backward(self, tape, r_tape, RDs, RDw, *, below=True):
        """Sweep 4."""
        (Q, K, V, P, Ds, DP, DS), (RQ, RK, RV, RP) = tape, r_tape
        c, RDs = self._scale(RDs, 1), self._heads(RDs)
        RDP = self._masked(RDs @ _t(V) + Ds @ _t(RV))
        RDS = RP * (DP - _rows(P * DP, self.without)) + P * (RDP - _rows(RP * DP + P * RDP, self.without))
        RDV = _t(self._masked(RP)) @ Ds + _t(self._masked(P)) @ RDs
        return join_heads(c * (RDS @ K + DS @ RK), c * (_t(RDS) @ Q + _t(DS) @ RQ), RDV)


def _t(x: Array) -> Array:
    return x.swapaxes(-1, -2)


def _rows(x: Array, without: frozenset[Pattern]) -> Array:
    return (Pattern.NO_ROW_SUM not in without) * x.sum(axis=-1, keepdims=True)
