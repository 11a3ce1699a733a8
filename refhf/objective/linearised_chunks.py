"""Chunks of cases, each linearised once at theta and multiplied often, within a bound on memory."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from refhf.model.blocks import Array
from refhf.model.elementwise import harmless_underflow
from refhf.model.network import Network
from refhf.objective.case_data import Data, Settings
from refhf.objective.case_sums import own_chunks, sum_over_cases
from refhf.objective.chunk_threads import results_in_order
from refhf.parallel.reduction import Reduction
from refhf.parallel.shards import Layout

TAPE_BYTES = 2**30  # our choice: the memory for an operator's tapes; the chunks beyond it are swept again each time

Linearise = Callable[[Network, Array, Array, Any], Any]  # of net, theta, X, y


class LinearisedChunks(NamedTuple):
    """The linearisation of each chunk: kept, or made anew each time it is asked for.

    Attributes
    ----------
    linearise : callable
        Takes a slice of this rank's rows.
    pieces : list of slice
        All chunks of this rank.
    kept : dict
        The linearisations of the first chunks, by their first rows.
    """

    linearise: Callable[[slice], Any]
    pieces: Sequence[slice]
    kept: dict[int, Any]

    def of(self, rows: slice) -> Any:
        """The linearisation of one chunk."""
        return self.kept[rows.start] if rows.start in self.kept else self.linearise(rows)


@harmless_underflow
def linearised_chunks(
    net: Network, data: Data, layout: Layout, chunk_size: int, linearise: Linearise, theta: Array
) -> LinearisedChunks:
    """Linearise the chunks whose tapes fit into memory now, at least one, and the others when they are asked for."""
    theta = theta.copy()
    theta.flags.writeable = False
    pieces = own_chunks(layout, chunk_size)
    numbers = net.tape_numbers * max(chunk_size, layout.group) + net.size
    fitting = pieces[: max(1, TAPE_BYTES // (data.dtype.itemsize * numbers))]
    of_chunk = partial(_linearised, net, data, linearise, theta)
    with results_in_order(of_chunk, fitting) as results:
        kept = dict(zip((rows.start for rows in fitting), results, strict=True))
    return LinearisedChunks(of_chunk, pieces, kept)


def _linearised(net: Network, data: Data, linearise: Linearise, theta: Array, rows: slice) -> Any:
    return linearise(net, theta, data.X[rows], data.y[rows])


def mean_product(chunks: LinearisedChunks, reduction: Reduction, settings: Settings, v: Array) -> Array:
    """The sum over all cases, on all ranks, of the chunks' products with v (P,), over the divisor, plus l2 v."""

    def of_chunk(rows: slice) -> tuple[float, Array]:
        return 0.0, chunks.of(rows)(v)

    with np.errstate(under="ignore"):
        Hv = sum_over_cases(of_chunk, reduction, settings.chunk_size, v, v.size).vector
        Hv /= settings.divisor
        if settings.l2:
            Hv += settings.l2 * v
    return Hv
