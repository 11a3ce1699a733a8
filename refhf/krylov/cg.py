"""Conjugate gradients, preconditioned.

Saad, Iterative Methods for Sparse Linear Systems, 2nd edition, SIAM 2003: Algorithm 9.1 (Algorithm 6.18 where
M = I). Notation: A x = b, r = b - A x, z = M r. M is the preconditioner's inverse, as in SciPy; Saad's is M^-1.
phi(x) = x'Ax/2 - b'x = -x'(r + b)/2 needs no further product.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from refhf.krylov.arithmetic import inner, lazy, start, system, underflows
from refhf.krylov.stopping import Stop


@dataclass(eq=False)
class CGIterate:
    """Iterate k, before the update along p_k.

    Ap, and with it the curvature, is computed when first looked at: whoever stops on x_k or r_k does not pay for it.

    Attributes
    ----------
    k : int
    x, r, p : ndarray (n,)
        x_k, its recurrence's residual r_k, and the next direction p_k.
    Ap : ndarray (n,)
    curvature : float
        p_k' A p_k.
    phi : float
        The quadratic x'Ax/2 - b'x at x_k.
    stop : Stop or None
        Set on the last iterate where the recurrence cannot go on.
    """

    k: int
    x: np.ndarray
    r: np.ndarray
    p: np.ndarray
    A: object
    b: np.ndarray
    stop: Stop | None = None

    @lazy
    def Ap(self):
        """A p_k."""
        with np.errstate(all="ignore"):
            return self.A @ self.p

    @lazy
    def curvature(self) -> float:
        """p_k' A p_k."""
        return inner(self.p, self.Ap)

    @lazy
    def phi(self) -> float:
        """x'Ax/2 - b'x at x_k."""
        return -0.5 * (inner(self.x, self.r) + inner(self.x, self.b))


def cg_iterates(A, b, x0=None, M=None) -> Iterator[CGIterate]:
    """Iterates k = 0, 1, ... of conjugate gradients on A x = b.

    Goes on for as long as the recurrence is defined, through negative curvature too: when to stop is the
    caller's (`refhf.krylov.stopping`). The last iterate's `stop` says why there is no next one.

    Parameters
    ----------
    A : array, sparse matrix or LinearOperator (n, n), symmetric
    b : ndarray (n,)
    x0 : ndarray (n,), optional
        Start; zero if None.
    M : like A, optional
        Approximate inverse of A, symmetric positive definite.
    """
    A, b, x0, M = system(A, b, x0, M)
    return _recurrence(A, b, M, *start(A, b, x0))


def _recurrence(A, b, M, x, r):
    with np.errstate(all="ignore"):
        z = r if M is None else M @ r
    p, rho = z, inner(r, z)
    for k in itertools.count():
        it = CGIterate(k, x, r, p, A, b)
        yield it
        it.stop = _cannot_go_on(it, rho, M)
        if it.stop:
            return
        with np.errstate(all="ignore"):
            alpha = rho / it.curvature  # alpha_j = (r_j, z_j) / (A p_j, p_j)
            x = x + alpha * p  # x_{j+1} = x_j + alpha_j p_j
            r = r - alpha * it.Ap  # r_{j+1} = r_j - alpha_j A p_j
            z = r if M is None else M @ r  # z_{j+1} = M r_{j+1}
            rho_old, rho = rho, inner(r, z)
            beta = rho / rho_old  # beta_j = (r_{j+1}, z_{j+1}) / (r_j, z_j)
            p = z + beta * p  # p_{j+1} = z_{j+1} + beta_j p_j
        if not (np.isfinite(rho) and np.isfinite(x).all()):
            it.stop = Stop.NON_FINITE
            return


def _cannot_go_on(it, rho, M):
    if not np.isfinite(rho):
        return Stop.NON_FINITE
    if rho <= 0:
        if not it.r.any():
            return Stop.EXACT
        return Stop.UNDERFLOW if M is None else Stop.INDEFINITE_PRECONDITIONER
    if not np.isfinite(it.curvature):
        return Stop.NON_FINITE
    if it.curvature == 0:
        return Stop.UNDERFLOW if underflows(it.p, it.Ap) else Stop.ZERO_CURVATURE
    return None
