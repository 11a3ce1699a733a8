"""The synchronisation of replicas over ranks: from their columns of W and G to the step of theta.

Both topologies give every rank the same, but for rounding; on one rank nothing is communicated.
`refhf.parallel.communication_volume.counted_replicas` has what they send, exactly.
"""

# W and G are matrices, not constants.
# pyright: reportConstantRedefinition=false

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from refhf.methods.replicas.secants import Differences, centred, secants, triangle
from refhf.model.blocks import Array
from refhf.parallel.communicator import Communicator, serial


class Rates(NamedTuple):
    """The rates of a step.

    Attributes
    ----------
    alpha : float
    estimated : bool
        Whether alpha is 1/sigma_max instead, where there is one.
    newton : float or None
        Of the part in the span; None is alpha.
    eps : float
        Of the data's dtype.
    anchored : bool
        Whether the point from which displacements are measured is one more replica.
    """

    alpha: float
    estimated: bool
    newton: float | None
    eps: float
    anchored: bool


class Meeting(NamedTuple):
    """The result of a synchronisation, equal on all ranks.

    Attributes
    ----------
    step : ndarray (P,)
        To be added to the point from which the displacements are measured.
    gradient : ndarray (P,)
        g, the replicas' mean.
    f : float
        Their mean loss.
    alpha : float
    differences : Differences
    rank : int
    smallest : float
        The smallest Ritz value of H on the span of W; NaN if there is none.
    """

    step: Array
    gradient: Array
    f: float
    alpha: float
    differences: Differences
    rank: int
    smallest: float


def tree(columns: Array, losses: Array, comm: Communicator, rates: Rates) -> Meeting:
    """Every rank gets P / N rows of all the columns, and works on those.

    An inner product of two ranks' columns needs one of them to travel, so no sum over ranks makes G'G from columns.
    From rows it can: the ranks exchange columns for rows, gather the triangles of their blocks (or reduce them along a
    tree, by the QR of two), find the same M coefficients, and gather the rows of the result. With one replica a rank
    each receives about 2 P numbers (3 P where gradients are a third kind), and then 2 P, whatever M.

    Parameters
    ----------
    columns : array (2 or 3, L, P)
        Of this rank's L replicas the displacements, the columns of G, and the gradients where those are others: at the
        point from which displacements are measured, so that the step is from there and not from the replicas' mean.
    losses : array (L,)
    """
    ranks, (kinds, own, size) = comm.size, columns.shape
    rows = -(-size // ranks)
    padded = np.zeros((kinds, own, ranks * rows))  # rows of zeros change no product
    padded[..., :size] = columns
    blocks = np.ascontiguousarray(padded.reshape(kinds, own, ranks, rows).transpose(2, 0, 1, 3))
    blocks = comm.exchange(blocks.reshape(ranks, -1)).reshape(ranks, kinds, own, rows)
    W, G, *gradients = blocks.transpose(1, 3, 0, 2).reshape(kinds, rows, ranks * own)
    z = (gradients or [G])[0].mean(axis=1)
    start = 0 if gradients else W.mean(axis=1)
    if rates.anchored:
        W, G = (np.column_stack([x, np.zeros(rows)]) for x in (W, G))
    r = triangle(W, G, z)
    everyones = comm.gather(np.append(r, losses.sum()))
    found = secants(np.vstack([one[:-1].reshape(r.shape) for one in everyones]), rates.eps)
    alpha = found.learning_rate if rates.estimated and found.rank else rates.alpha
    newton, c = alpha if rates.newton is None else rates.newton, found.coefficients
    (W, _), (G, _) = centred(W), centred(G)
    step = start - alpha * (z - G @ c) - newton * (W @ c)  # w - alpha (z_perp + sum_m z'u_m sigma_m^-1 W v_m)
    step, z = _joined(comm.gather(np.append(step, z)), rows)[:, :size]
    f = sum(float(one[-1]) for one in everyones) / (ranks * own)
    smallest = float(found.eigenvalues[0]) if found.eigenvalues.size else np.nan
    return Meeting(step, z, f, alpha, found.differences, found.rank, smallest)


def _joined(everyones: Sequence[Array], rows: int) -> Array:
    """(2, N rows) of two vectors, from the ranks' blocks of rows of both."""
    return np.reshape(everyones, (len(everyones), 2, rows)).transpose(1, 0, 2).reshape(2, -1)


def server(columns: Array, losses: Array, comm: Communicator, rates: Rates) -> Meeting:
    """Rank 0 gets all the columns, about 2 M P numbers, or 3 M P, and broadcasts 2 P; parameters as for `tree`.

    The communicator has no gather to one rank; its gather tells all, and all but rank 0 forget it.
    """
    own, size = columns.shape[1:]
    everyones = comm.gather(np.append(columns, losses))
    told = np.empty(2 * size + 5)
    if comm.rank == 0:
        all_columns = np.concatenate([one[:-own].reshape(columns.shape) for one in everyones], axis=1)
        met = tree(all_columns, np.concatenate([one[-own:] for one in everyones]), serial(), rates)
        scalars = met.f, met.alpha, list(Differences).index(met.differences), met.rank, met.smallest
        told = np.concatenate([met.step, met.gradient, scalars])
    step, z, (f, alpha, differences, rank, smallest) = np.split(comm.broadcast(told), [size, 2 * size])
    return Meeting(step, z, f, alpha, list(Differences)[int(differences)], int(rank), smallest)


TOPOLOGIES: dict[str, Callable[[Array, Array, Communicator, Rates], Meeting]] = {"tree": tree, "server": server}
