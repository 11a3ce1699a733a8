"""Multi-head self-attention, without weights of its own: dense layers before and after it have them.

Vaswani et al. 2017, section 3.2. Of a position's 3 d numbers the first d are its query, then come key and value; each
is cut into heads of d_h = d / heads. With c = 1 / sqrt(d_h), of each case and head

    Q, K, V (T, d_h);   S = c Q K';   P = softmax of S's rows;   s = P V

A causal head leaves out j > i: P_ij = 0 there, before the softmax's sum. The four sweeps are these lines' product and
chain rules, with RP = P (RS - rowsum(P RS)) for the softmax, whose Jacobian is symmetric: DS = P (DP - rowsum(P DP)).
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from refhf.model.blocks import Array, Shape, Tape, Weightless, Weights


@dataclass(frozen=True)
class Attention(Weightless):
    """s (B, T, d) of a (B, T, 3 d), query, key and value side by side.

    Attributes
    ----------
    heads : int
        It divides d.
    causal : bool
        Whether a position attends only to itself and those before it.
    """

    heads: int
    causal: bool = True

    def out_shape(self, in_shape: Shape) -> Shape:
        """(T, d)."""
        if len(in_shape) != 2 or in_shape[1] % (3 * self.heads):
            raise ValueError(f"expected shape (positions, 3 d), d divisible by {self.heads} heads; got {in_shape}")
        return in_shape[0], in_shape[1] // 3

    def tape_numbers(self, in_shape: Shape) -> int:
        """The numbers of s, P, Ds, DS and DP less its row's mean by P."""
        positions, d = self.out_shape(in_shape)
        return 2 * positions * d + 3 * self.heads * positions**2

    def forward(self, w: Weights, a: Array, *, order: int = 2) -> tuple[Array, Tape]:
        """Sweep 1; the tape is Q, K, V and P."""
        Q, K, V = self._split(a)
        S = (self._scale(a) * Q) @ _t(K)  # S = c Q K'
        P = self._softmax(S)  # P = softmax(S)
        return join_heads(P @ V), (Q, K, V, P)  # s = P V

    def backward(self, tape: Tape, Ds: Array, Dw: Weights, *, keep: bool = False, below: bool = True) -> Any:
        """Sweep 2; the tape has Ds, DP - rowsum(P DP) and DS too."""
        Q, K, V, P = tape
        c, Ds = self._scale(Ds, 1), self._heads(Ds)
        DV = _t(P) @ Ds  # DV = P' Ds
        DP = Ds @ _t(V)  # DP = Ds V'
        slope = DP - _rowsum(P, DP)
        DS = P * slope  # DS = P (DP - rowsum(P DP))
        DQ, DK = c * (DS @ K), c * (_t(DS) @ Q)  # DQ = c DS K, DK = c DS' Q
        return join_heads(DQ, DK, DV), (*tape, Ds, slope, DS) if keep else None

    def r_forward(self, tape: Tape, u: Weights, Ra: Any) -> tuple[Any, Tape]:
        """Sweep 3; the r_tape is RQ, RK, RV and RP."""
        Q, K, V, P, *_ = tape
        RQ, RK, RV = self._split(Ra)
        c = self._scale(Ra)
        RS = (c * RQ) @ _t(K) + (c * Q) @ _t(RK)  # RS = c (RQ K' + Q RK')
        RP = P * (RS - _rowsum(P, RS))  # RP = P (RS - rowsum(P RS))
        return join_heads(RP @ V + P @ RV), (RQ, RK, RV, RP)  # Rs = RP V + P RV

    def r_backward(self, tape: Tape, r_tape: Tape, RDs: Array, RDw: Weights, *, below: bool = True) -> Any:
        """Sweep 4."""
        (Q, K, V, P, Ds, slope, DS), (RQ, RK, RV, RP) = tape, r_tape
        c, RDs = self._scale(RDs, 1), self._heads(RDs)
        RDV = _t(RP) @ Ds + _t(P) @ RDs  # RDV = RP' Ds + P' RDs
        RDP = RDs @ _t(V) + Ds @ _t(RV)  # RDP = RDs V' + Ds RV'
        # RDS = RP (DP - rowsum(P DP)) + P (RDP - rowsum(RP DP + P RDP)), where the rows of RP sum to 0
        bent = RDP - (_rowsum(RP, slope) + _rowsum(P, RDP))
        RDS = np.add(RP * slope, np.multiply(P, bent, out=bent), out=bent)
        RDQ = c * (RDS @ K + DS @ RK)  # RDQ = c (RDS K + DS RK)
        RDK = c * (_t(RDS) @ Q + _t(DS) @ RQ)  # RDK = c (RDS' Q + DS' RQ)
        return join_heads(RDQ, RDK, RDV)

    def _scale(self, x: Array, parts: int = 3) -> float:
        return 1 / math.sqrt(x.shape[-1] / parts / self.heads)

    def _heads(self, x: Array) -> Array:
        """(B, heads, T, d_h) of (B, T, d)."""
        return x.reshape(*x.shape[:2], self.heads, x.shape[2] // self.heads).swapaxes(1, 2)

    def _split(self, a: Array) -> tuple[Array, ...]:
        return tuple(self._heads(x) for x in np.split(a, 3, axis=2))

    def _softmax(self, scores: Any) -> Array:
        if self.causal:
            scores = np.where(np.tri(scores.shape[-1], dtype=bool), scores, -np.inf)  # e^-inf = 0: nothing overflows
        e = np.exp(scores - scores.real.max(axis=-1, keepdims=True))
        return e / e.sum(axis=-1, keepdims=True)


def _t(x: Array) -> Array:
    return x.swapaxes(-1, -2)


def _rowsum(x: Array, y: Array) -> Array:
    """The sum of each row of x y."""
    return np.einsum("...ij,...ij->...i", x, y)[..., None]


def join_heads(*parts: Array) -> Array:
    """(B, T, parts d) of parts (B, heads, T, d_h)."""
    joined = np.concatenate([x.swapaxes(1, 2) for x in parts], axis=2)
    return joined.reshape(*joined.shape[:2], joined.shape[2] * joined.shape[3])
