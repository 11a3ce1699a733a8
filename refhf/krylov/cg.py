"""Conjugate gradients, preconditioned.

Saad, Iterative Methods for Sparse Linear Systems, 2nd edition, SIAM 2003: Algorithm 9.1 (Algorithm 6.18 where
M = I). Notation: A x = b, r = b - A x, z = M r. M is the preconditioner's inverse, as in SciPy; Saad's is M^-1.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from refhf.krylov.arithmetic import Array, Matrix, MatrixLike, inner, start, system, underflows
from refhf.krylov.stopping import Rule, Stop, SystemIterate


@dataclass(frozen=True, eq=False)
class CGIterate(SystemIterate):
    """Iterate k, before the update along p_k.

    Attributes
    ----------
    Ap, curvature : ndarray (n,), float, or None
        A p_k and p_k' A p_k, once the product is made: for the rule `stop_at`, and on the last iterate.
    """

    Ap: Array | None = None
    curvature: float | None = None


def cg_iterates(
    A: MatrixLike,
    b: Array,
    x0: Array | None = None,
    M: MatrixLike | None = None,
    *,
    stop_at: Rule | None = None,
) -> Iterator[CGIterate]:
    """Iterates k = 0, 1, ... of conjugate gradients on A x = b, for as long as the recurrence is defined.

    Iterate k is yielded before A p_k is computed, so a caller that stops on x_k or r_k does not pay for the product.
    If the step along p_k turns out to be undefined, or `stop_at` refuses it, iterate k is yielded again as the last
    one, with `Ap`, `curvature` and `stop`. Without `stop_at` the recurrence goes on through negative curvature.

    Parameters
    ----------
    A : array, sparse matrix, LinearOperator (n, n) or function v (n,) -> A v (n,)
        Symmetric.
    b : ndarray (n,)
    x0 : ndarray (n,), optional
        Start; zero if None.
    M : like A, optional
        Approximate inverse of A, symmetric positive definite.
    stop_at : Rule, optional
        A rule that needs A p_k, such as `refhf.krylov.stopping.negative_curvature`. It is called after the product and
        before the update.

    Raises
    ------
    ValueError
        For shapes that do not fit, or numbers that are not real.
    """
    matrix, b, x0, inverse = system(A, b, x0, M)
    return _recurrence(matrix, b, inverse, stop_at, *start(matrix, b, x0))


def _recurrence(A: Matrix, b: Array, M: Matrix | None, stop_at: Rule | None, x: Array, r: Array) -> Iterator[CGIterate]:
    with np.errstate(all="ignore"):
        z = r if M is None else M @ r
    p, rho = z, inner(r, z)
    for k in itertools.count():
        it = CGIterate(k, x, r, p, b, no_direction(r, rho, M))
        yield it
        if it.stop:
            return
        with np.errstate(all="ignore"):
            Ap = A @ p
            curvature = inner(p, Ap)  # (A p_j, p_j)
            it = replace(it, Ap=Ap, curvature=curvature)
            stop = (stop_at(it) if stop_at else None) or no_step(p, Ap, curvature)
            if not stop:
                alpha = rho / curvature  # alpha_j = (r_j, z_j) / (A p_j, p_j)
                x = x + alpha * p  # x_{j+1} = x_j + alpha_j p_j
                r = r - alpha * Ap  # r_{j+1} = r_j - alpha_j A p_j
                z = r if M is None else M @ r  # z_{j+1} = M r_{j+1}
                rho_old, rho = rho, inner(r, z)
                beta = rho / rho_old  # beta_j = (r_{j+1}, z_{j+1}) / (r_j, z_j)
                p = z + beta * p  # p_{j+1} = z_{j+1} + beta_j p_j
                stop = None if np.isfinite(rho) and np.isfinite(x).all() else Stop.NON_FINITE
        if stop:
            yield replace(it, stop=stop)
            return


def no_direction(r: Array, rho: float, M: Matrix | None) -> Stop | None:
    """The reason for which (r_k, z_k) = rho gives no direction; None if it gives one."""
    if not np.isfinite(rho):
        return Stop.NON_FINITE
    if rho > 0:
        return None
    if not r.any():
        return Stop.EXACT
    return Stop.UNDERFLOW if M is None else Stop.INDEFINITE_PRECONDITIONER


def no_step(p: Array, Ap: Array, curvature: float) -> Stop | None:
    """The reason for which alpha_k is undefined; None if it is defined."""
    if not np.isfinite(curvature):
        return Stop.NON_FINITE
    if curvature == 0:
        return Stop.UNDERFLOW if underflows(p, Ap) else Stop.ZERO_CURVATURE
    return None
