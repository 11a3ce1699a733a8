"""Sums over all cases: over the chunks of each piece, the pieces of each rank, and the ranks."""

from collections.abc import Callable
from typing import Any

import numpy as np

from refhf.model.blocks import Array
from refhf.objective.chunk_threads import results_in_order
from refhf.parallel.reduction import Partial, Reduction
from refhf.parallel.shards import Layout


def sum_over_cases(
    function: Callable[[slice], tuple[Any, Array]], reduction: Reduction, chunk_size: int, asked: Array, size: int
) -> Partial:
    """The sum over all cases, on all ranks, of function(rows) -> (number, vector (size,)) over chunks of rows.

    He et al. 2016, Algorithm 2, lines 3 to 5. The first vector of each piece is overwritten.

    Parameters
    ----------
    function : callable
        Takes a slice of this rank's rows.
    reduction : Reduction
        The pieces of this rank, and the sum over ranks.
    chunk_size : int
        The largest number of rows of one call; a group, if that is larger.
    asked : ndarray (P,)
        theta or v: the ranks compare it, and sums are returned in its dtype.
    size : int
        0 if only the number is wanted; the vectors are then empty.
    """
    partials: list[Partial] = []
    with np.errstate(under="ignore"):
        for piece in reduction.layout.mine:
            number, vector = 0.0, None
            with results_in_order(function, chunks(piece, chunk_size, reduction.layout.group)) as results:
                for chunk_number, chunk_vector in results:
                    number += chunk_number
                    vector = chunk_vector if vector is None else np.add(vector, chunk_vector, out=vector)
                    del chunk_vector  # or it would be held while the next one is computed
            partials.append(Partial(float(number), np.zeros(size, asked.dtype) if vector is None else vector))
        return reduction.total(partials, asked, size)


def own_chunks(layout: Layout, chunk_size: int) -> list[slice]:
    """The chunks of all pieces of this rank."""
    return [rows for piece in layout.mine for rows in chunks(piece, chunk_size, layout.group)]


def chunks(piece: slice, chunk_size: int, group: int) -> list[slice]:
    """The rows of a piece, `chunk_size` at a time: whole groups, and apart from them the rest after the last."""
    rest = (piece.stop - piece.start) % group
    size, stop = max(chunk_size // group, 1) * group, piece.stop - rest
    whole = [slice(start, min(start + size, stop)) for start in range(piece.start, stop, size)]
    return whole + [slice(stop, piece.stop)] * bool(rest)
