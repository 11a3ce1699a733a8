"""Bi-CG-STAB, preconditioned from the right.

He et al. 2016, Algorithm 3; Saad 2003, Algorithm 7.7, whose omega is the paper's gamma; with a preconditioner,
van der Vorst 1992. Notation: A x = b, r = b - A x, r0* the shadow residual. M is an approximate inverse of A.
Two products an iteration.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from refhf import checks
from refhf.krylov.arithmetic import inner, is_zero, start, system, underflows
from refhf.krylov.stopping import Stop


@dataclass(eq=False)
class BiCGStabIterate:
    """Iterate k.

    Attributes
    ----------
    k : int
    x, r, p : ndarray (n,)
        x_k, its recurrence's residual r_k, and the next direction p_k.
    x_curvature, phi : float
        x_k' A x_k = x_k'(b - r_k), and the quadratic x'Ax/2 - b'x at x_k, neither at the price of a product.
    stop : Stop or None
        Set on the last iterate where the recurrence cannot go on.
    """

    k: int
    x: np.ndarray
    r: np.ndarray
    p: np.ndarray
    b: np.ndarray
    stop: Stop | None = None

    @property
    def x_curvature(self) -> float:
        """x_k' A x_k."""
        return inner(self.x, self.b) - inner(self.x, self.r)

    @property
    def phi(self) -> float:
        """x'Ax/2 - b'x at x_k."""
        return -0.5 * (inner(self.x, self.r) + inner(self.x, self.b))


def bicgstab_iterates(A, b, x0=None, shadow=None, M=None) -> Iterator[BiCGStabIterate]:
    """Iterates k = 0, 1, ... of Bi-CG-STAB on A x = b, for as long as the recurrence is defined.

    The last iterate's `stop` says why there is no next one; where it is the stabilising step that fails, that iterate
    is the half step x_j + alpha_j p_j, whose residual is s_j (van der Vorst 1992). Denominators are compared with the
    norms of the vectors that make them, so a breakdown does not depend on the scale of A or b.

    Parameters
    ----------
    A : array, sparse matrix or LinearOperator (n, n)
    b : ndarray (n,)
    x0 : ndarray (n,), optional
        Start; zero if None.
    shadow : ndarray (n,), optional
        r0*, with (r_0, r0*) != 0; r_0 if None.
    M : like A, optional
        Approximate inverse of A.
    """
    A, b, x0, M = system(A, b, x0, M)
    x, r = start(A, b, x0)
    shadow = r if shadow is None else checks.vector("shadow", shadow, b.size, b.dtype)
    return _recurrence(A, b, M, shadow, x, r)


def _recurrence(A, b, M, shadow, x, r):
    p, rho = r, inner(r, shadow)
    for k in itertools.count():
        it = BiCGStabIterate(k, x, r, p, b)
        yield it
        with np.errstate(all="ignore"):
            it.stop, x, r, p, rho = _step(A, M, shadow, x, r, p, rho)
        if not (np.isfinite(rho) and np.isfinite(x).all()):
            it.stop = Stop.NON_FINITE
        elif it.stop and x is not it.x:
            yield BiCGStabIterate(k + 1, x, r, p, b, it.stop)
        if it.stop:
            return


def _step(A, M, shadow, x, r, p, rho):
    """One pass of Algorithm 3, or as far as it gets: (stop, x, r, p, rho)."""
    here = x, r, p, rho
    if not r.any():
        return Stop.EXACT, *here
    if not np.isfinite(rho):
        return Stop.NON_FINITE, *here
    if is_zero(rho, r, shadow):
        return Stop.UNDERFLOW if underflows(r, shadow) else Stop.RHO_BREAKDOWN, *here
    Mp = p if M is None else M @ p
    Ap = A @ Mp
    denominator = inner(Ap, shadow)
    if not np.isfinite(denominator):
        return Stop.NON_FINITE, *here
    if is_zero(denominator, Ap, shadow):
        return Stop.UNDERFLOW if underflows(Ap, shadow) else Stop.ALPHA_BREAKDOWN, *here
    alpha = rho / denominator  # alpha_j = (r_j, r0*) / (A p_j, r0*)
    s = r - alpha * Ap  # s_j = r_j - alpha_j A p_j
    x = x + alpha * Mp  # the half step, x_j + alpha_j p_j
    if not s.any():
        return Stop.HALF_STEP, x, s, p, rho
    Ms = s if M is None else M @ s
    As = A @ Ms
    if not As.any():
        return Stop.SINGULAR, x, s, p, rho
    numerator, square = inner(s, As), inner(As, As)
    if not np.isfinite(numerator + square):
        return Stop.NON_FINITE, *here
    if is_zero(numerator, s, As):
        return Stop.GAMMA_BREAKDOWN, x, s, p, rho
    if square == 0 or numerator / square == 0:
        return Stop.UNDERFLOW, x, s, p, rho
    gamma = numerator / square  # gamma_j = (s_j, A s_j) / (A s_j, A s_j)
    x = x + gamma * Ms  # x_{j+1} = x_j + alpha_j p_j + gamma_j s_j
    r = s - gamma * As  # r_{j+1} = s_j - gamma_j A s_j
    rho_old, rho = rho, inner(r, shadow)
    beta = rho / rho_old * alpha / gamma  # beta_j = (r_{j+1}, r0*) / (r_j, r0*) alpha_j / gamma_j
    return None, x, r, r + beta * (p - gamma * Ap), rho  # p_{j+1} = r_{j+1} + beta_j (p_j - gamma_j A p_j)
