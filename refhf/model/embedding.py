"""Embedding of tokens and of their positions: s_t = E[token_t] + T_t."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array  # pyright: ignore[reportMissingTypeStubs] # SciPy has none

from refhf.model.bilinear import DEVIATION
from refhf.model.blocks import Array, Shape, Shapes, Tape, Weights


@dataclass(frozen=True)
class Embedding:
    """Tokens a (B, T), integers from 0 on, become s (B, T, width). It stands first: nothing below it has a derivative.

    s is linear in the weights, so sweep 4 is sweep 2 with RDs.

    Attributes
    ----------
    vocabulary, context, width : int
        E is (vocabulary, width), the positions' T (context, width).
    """

    vocabulary: int
    context: int
    width: int

    @property
    def weight_shapes(self) -> Shapes:
        """The shapes of E and T."""
        return ((self.vocabulary, self.width), (self.context, self.width))

    def out_shape(self, in_shape: Shape) -> Shape:
        """(T, width)."""
        if in_shape != (self.context,):
            raise ValueError(f"expected {self.context} tokens; got shape {in_shape}")
        return (self.context, self.width)

    def tape_numbers(self, in_shape: Shape) -> int:
        """The numbers of s and Ds."""
        return 2 * math.prod(self.out_shape(in_shape))

    def initial(self, w: Weights, rng: np.random.Generator) -> None:
        """Normal numbers."""
        for x in w:
            x[...] = rng.normal(0, DEVIATION, x.shape)

    def forward(self, w: Weights, a: Array, *, order: int = 2) -> tuple[Array, Tape]:
        """Sweep 1; the tape is the tokens."""
        E, T = w
        return E[a] + T, (a,)  # s_t = E[token_t] + T_t

    def backward(self, tape: Tape, Ds: Array, Dw: Weights, *, keep: bool = False, below: bool = True) -> Any:
        """Sweep 2; the tape has Ds too."""
        (tokens, *_), (DE, DT) = tape, Dw
        n: int = tokens.size
        is_token: Any = csr_array((np.ones(n, Ds.dtype), tokens.ravel(), np.arange(n + 1)), (n, len(DE)))
        DE[...] = is_token.T @ Ds.reshape(-1, self.width)  # DE[k] = sum of Ds_t where token_t = k
        DT[...] = Ds.sum(axis=0)  # DT_t = sum of Ds_t
        return None, (tokens, Ds)

    def r_forward(self, tape: Tape, u: Weights, Ra: Any) -> tuple[Any, Tape]:
        """Sweep 3."""
        return u[0][tape[0]] + u[1], ()  # Rs_t = R{E}[token_t] + R{T}_t

    def r_backward(self, tape: Tape, r_tape: Tape, RDs: Array, RDw: Weights, *, below: bool = True) -> Any:
        """Sweep 4."""
        self.backward(tape, RDs, RDw)

    def squares(self, tape: Tape, Dw: Weights) -> None:
        """Write the sums over cases of each case's squared gradient."""
        (tokens, Ds), one = tape, tuple(np.empty_like(x) for x in Dw)
        for out in Dw:
            out[...] = 0
        for i in range(len(tokens)):
            self.backward((tokens[i : i + 1],), Ds[i : i + 1], one)
            for out, x in zip(Dw, one, strict=True):
                out += x * x
