"""Several eigenpairs at both ends of a symmetric matrix's spectrum, by Lanczos (`refhf.krylov.lanczos`)."""

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from refhf import checks
from refhf.krylov.arithmetic import Array, MatrixLike
from refhf.krylov.lanczos import LanczosIterate, checked_operator, lanczos_iterates
from refhf.krylov.stopping import Stop, advance, iteration_limit


class Eigenpairs(NamedTuple):
    """Eigenpairs in ascending order, each with its error bound, and how the process ended.

    Attributes
    ----------
    values : ndarray (k,)
        Ritz values.
    vectors : ndarray (k, n)
        A vector a row; orthonormal to rounding.
    error_bounds : ndarray (k,)
        An eigenvalue of A lies within this of its value; it also bounds ||A v - value v||.
    stop : Stop
    iterations : int
        Products with A.
    """

    values: Array
    vectors: Array
    error_bounds: Array
    stop: Stop
    iterations: int


@np.errstate(all="ignore")
def lanczos_eigenpairs(
    A: MatrixLike,
    n: int,
    *,
    smallest: int = 0,
    largest: int = 0,
    rng: Any = None,
    rtol: float = 1e-8,
    maxiter: int | None = None,
) -> Eigenpairs:
    """The smallest and the largest eigenvalues of a symmetric A with their eigenvectors, from one Lanczos process.

    The smallest are the most negative ones, of a matrix that has negative ones. What `refhf.lanczos_smallest` says of
    one pair holds for each: a repeated eigenvalue is found once. Every pair has its bound, converged or not.

    Parameters
    ----------
    A : array, sparse matrix, LinearOperator (n, n), or function v (n,) -> A v (n,)
    n : int
    smallest, largest : int
        The numbers of pairs at each end.
    rng : Generator, int or None
        Draws the start; each component is standard normal.
    rtol : float
        The process has converged where all bounds are at most rtol ||T||, T the projection of A. 1e-8 is our choice.
    maxiter : int, optional
        The largest number of products; min(n, 300) if None (our choice). Each adds n numbers to the basis.

    Returns
    -------
    pairs : Eigenpairs
        Of `smallest` + `largest` pairs, or as many as there are distinct ones or products.

    Raises
    ------
    ValueError
        For an A that is not (n, n), numbers of pairs that are negative, both zero, or together above n, a negative
        rtol, or maxiter below 1.

    Examples
    --------
    >>> import numpy as np, refhf
    >>> pairs = refhf.lanczos_eigenpairs(np.diag([3.0, -1.0, 2.0, -5.0]), 4, smallest=2, rng=0)
    >>> pairs.values.round(12)
    array([-5., -1.])
    """
    operator, n = checked_operator(A, n)
    ends = checks.whole("smallest", smallest), checks.whole("largest", largest)
    if not 1 <= sum(ends) <= n:
        raise ValueError(f"smallest, largest: expected together from 1 to {n} pairs; got {sum(ends)}")
    rtol = checks.real("rtol", rtol, low=0.0)
    limit = min(n, 300) if maxiter is None else checks.positive_integer("maxiter", maxiter)
    start = np.random.default_rng(rng).standard_normal(n).astype(operator.dtype)
    it, stop = advance(lanczos_iterates(operator, n, start), partial(_all_small, ends, rtol), iteration_limit(limit))
    if it.k == 0:
        return Eigenpairs(np.empty(0), np.empty((0, n), operator.dtype), np.empty(0), stop, 0)
    values, vectors = it.eigenpairs()  # all at once, so that those of a cluster are orthogonal
    wanted = _indices(ends, it.k)
    bounds = it.beta[-1] * np.abs(vectors[-1, wanted]) + it.rounding
    return Eigenpairs(values[wanted], vectors[:, wanted].T.astype(operator.dtype) @ it.basis, bounds, stop, it.k)


def _indices(ends: tuple[int, int], k: int) -> list[int]:
    """The numbers of the wanted Ritz pairs among k, ascending; the innermost are missing where k is too small."""
    smallest, largest = ends
    return sorted({*range(min(smallest, k)), *range(max(k - largest, 0), k)})


def _all_small(ends: tuple[int, int], rtol: float, it: LanczosIterate) -> Stop | None:
    if it.k < sum(ends) or it.stop:
        return it.stop
    innermost_first = sorted(_indices(ends, it.k), key=lambda index: abs(2 * index - it.k))
    small = all(it.pair(index).error_bound <= rtol * it.norm for index in innermost_first)
    return Stop.RITZ_CONVERGED if small else None
