"""From the partial sums of a rank's pieces to the sum over all cases, the same on every rank.

Sums are reduced, never means; the cases were counted when the objective was made. What follows from a sum (a
Krylov solver, a line search) every rank computes for itself, from the same bits. That holds on machines of one
kind with one number of BLAS threads, and as long as nobody gives ranks different arguments; so each reduction
carries a mark of what it was asked, by which ranks that have drifted apart find out together.

Departure: sums reach every rank, and not a root. He et al. 2016, Algorithm 2, lines 4 and 5, reduce to a root node,
whose direction has then to be broadcast; here every rank gets the sum and runs the solver. It is one call a product
instead of two, and nobody waits for the root.

Departure: the mean is over the cases, not over the nodes. The same lines average the nodes' means, which is right
for shards of equal size only; here sums over cases are divided by the number of all cases, once.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np

from refhf.model.blocks import Array
from refhf.parallel.communicator import Communicator
from refhf.parallel.shards import Layout, virtual_shards

MARKS = 2**16  # different marks; our choice: their squares' sum stays exact in float64 for 2 million ranks
EXTRA = 3  # numbers that a fast reduction carries besides its vector: the loss, and the sums of marks and their squares


class Partial(NamedTuple):
    """A sum over some cases: of their losses (or of any number), and of vectors (m,), m = 0 where there are none."""

    loss: float
    vector: Array


def mark(x: Array) -> int:
    """A number in 0 .. MARKS - 1 that depends on all bits of x (m,)."""
    bits = int(np.ascontiguousarray(x).view(f"u{x.dtype.itemsize}").sum(dtype=np.uint64))
    return bits * 0x9E3779B97F4A7C15 % 2**64 // (2**64 // MARKS)  # Fibonacci hashing, Knuth 1998, section 6.4


class Reduction(NamedTuple):
    """The cases of an objective over ranks, and how sums over them are made.

    Attributes
    ----------
    comm : Communicator
    layout : Layout
    kind : {'fast', 'reproducible', 'reproducible-V'}
        'fast': a piece a rank, and one all-reduce of m + 3 numbers for a vector (m,). The result depends on the
        number of ranks in its last bits.
        'reproducible': V = 16 pieces, or 'reproducible-V', whatever the number of ranks N, gathered by all (one call,
        V (m + 1) + N numbers) and added in their order: the same bits for every N, if each rank's BLAS has the same
        number of threads (one). For checks, not for speed: it moves V / 2 times as much as an all-reduce, holds V
        vectors on each rank, and sweeps cases in V small batches.
    key : int
        Of the draws that led to this mini-batch; 0 for all cases.
    """

    comm: Communicator
    layout: Layout
    kind: str
    key: int = 0

    def draw(self, cases: int, rng: Any) -> tuple["Reduction", Array]:
        """A mini-batch of all cases without replacement: its reduction, and which of this rank's rows are in it.

        Every rank draws the same numbers and keeps those of its rows; nothing is communicated.

        Departure: one mini-batch is drawn from all the cases. He et al. 2016, Algorithm 2, line 5, have each node
        draw one of its own; here the cases do not depend on the number of ranks, nor on which rank holds what.
        The price is that the ranks' shares are unequal by chance, by about the square root of their size.

        Cases in groups (`Layout.group`) are drawn as whole groups; the rest after the last is not drawn.
        """
        group = self.layout.group
        groups = rng.choice(self.layout.cases // group, cases // group, replace=False, shuffle=False)
        groups.sort()
        drawn = (groups[:, None] * group + np.arange(group)).ravel()
        batch, rows = self.layout.take(drawn)
        return self._replace(layout=batch, key=crc32(drawn) + self.key), rows

    def total(self, partials: Sequence[Partial], asked: Array, size: int) -> Partial:
        """The sum over all pieces of all ranks, from this rank's, for a question about the vector `asked` (P,).

        Sums over ranks are made in float64; vectors are (size,) and come back in the dtype of `asked`.

        Raises
        ------
        RuntimeError
            On all ranks, if they were not all asked the same.
        """
        if virtual_shards(self.kind) is not None:
            return self._in_order(partials, asked, size)
        (partial,) = partials
        if self.comm.size == 1:
            return partial
        own = self._mark(asked)
        buffer = self.comm.sum(np.concatenate([partial.vector, [partial.loss, own, own**2]], dtype=np.float64))
        marks, squares = int(buffer[-2]), int(buffer[-1])
        _same(marks**2 == self.comm.size * squares)  # Cauchy-Schwarz: equal if and only if all marks are
        return Partial(float(buffer[-EXTRA]), buffer[:-EXTRA].astype(asked.dtype, copy=False))

    def _in_order(self, partials: Sequence[Partial], asked: Array, size: int) -> Partial:
        width, held = size + 1, np.bincount(self.layout.owners, minlength=self.comm.size)
        buffer = np.append(np.empty(len(partials) * width), self._mark(asked))
        for row, partial in zip(buffer[:-1].reshape(-1, width), partials, strict=True):
            row[:-1], row[-1] = partial.vector, partial.loss
        everyones = self.comm.gather(buffer, held * width + 1)
        _same(len({float(x[-1]) for x in everyones}) == 1)
        total = np.zeros(width)
        for x in everyones:
            for row in x[:-1].reshape(-1, width):
                total += row
        return Partial(float(total[-1]), total[:-1].astype(asked.dtype, copy=False))

    def _mark(self, asked: Array) -> int:
        return (mark(asked) + self.key) % MARKS


def _same(true: bool) -> None:
    if not true:
        raise RuntimeError(
            "ranks: expected the same theta, vector and mini-batch on all; got different ones. Give all ranks the same "
            "start and the same rng (an integer: None is another seed on each), and machines of one kind"
        )
