"""Bi-CG-STAB, preconditioned from the right.

He et al. 2016, Algorithm 3; Saad 2003, Algorithm 7.7, where omega stands for the paper's gamma; with a preconditioner,
van der Vorst 1992. Notation: A x = b, r = b - A x, r0* the shadow residual. M is an approximate inverse of A.
Two products an iteration.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from refhf import checks
from refhf.krylov.arithmetic import Array, Matrix, MatrixLike, inner, is_zero, start, system, underflows
from refhf.krylov.stopping import Stop, SystemIterate


@dataclass(frozen=True, eq=False)
class BiCGStabIterate(SystemIterate):
    """Iterate k.

    Attributes
    ----------
    half_step : bool
        Whether x is the half step x_j + alpha_j p_j, j = k - 1, with the residual s_j; p is then p_j.
    """

    half_step: bool = False


def bicgstab_iterates(
    A: MatrixLike, b: Array, x0: Array | None = None, shadow: Array | None = None, M: MatrixLike | None = None
) -> Iterator[BiCGStabIterate]:
    """Iterates k = 0, 1, ... of Bi-CG-STAB on A x = b, for as long as the recurrence is defined.

    The last iterate has `stop`. If the stabilising step fails, it is the half step x_j + alpha_j p_j, which has the
    residual s_j (van der Vorst 1992). Otherwise it is iterate k yielded again. Denominators are compared with the norms
    of their vectors, so a breakdown does not depend on the scale of A or b.

    Parameters
    ----------
    A : array, sparse matrix, LinearOperator (n, n) or function v (n,) -> A v (n,)
    b : ndarray (n,)
    x0 : ndarray (n,), optional
        Start; zero if None.
    shadow : ndarray (n,), optional
        r0*, with (r_0, r0*) != 0; r_0 if None.
    M : like A, optional
        Approximate inverse of A.

    Raises
    ------
    ValueError
        For shapes that do not fit, or numbers that are not real.
    """
    matrix, b, x0, inverse = system(A, b, x0, M)
    x, r = start(matrix, b, x0)
    shadow = r if shadow is None else checks.vector("shadow", shadow, b.size, b.dtype)
    return _recurrence(matrix, b, inverse, shadow, x, r)


def _recurrence(A: Matrix, b: Array, M: Matrix | None, shadow: Array, x: Array, r: Array) -> Iterator[BiCGStabIterate]:
    rho = inner(r, shadow)
    it = BiCGStabIterate(0, x, r, r, b, _no_direction(r, shadow, rho))
    yield it
    while not it.stop:
        it, rho = _step(A, M, shadow, it, rho)
        yield it


@np.errstate(all="ignore")
def _step(A: Matrix, M: Matrix | None, shadow: Array, it: BiCGStabIterate, rho: float) -> tuple[BiCGStabIterate, float]:
    """Iterate k + 1 and its rho; if it is not defined, the half step or iterate k, with the reason."""
    r, p = it.r, it.p
    Mp = p if M is None else M @ p
    Ap = A @ Mp
    denominator = inner(Ap, shadow)
    if stop := _no_step(Ap, shadow, denominator):
        return replace(it, stop=stop), rho
    alpha = rho / denominator  # alpha_j = (r_j, r0*) / (A p_j, r0*)
    s = r - alpha * Ap  # s_j = r_j - alpha_j A p_j
    x = it.x + alpha * Mp  # the half step, x_j + alpha_j p_j
    if not s.any():
        return _half_step(it, x, s, Stop.HALF_STEP), rho
    Ms = s if M is None else M @ s
    As = A @ Ms
    numerator, square = inner(s, As), inner(As, As)
    if stop := _no_stabilising_step(s, As, numerator, square):
        return _half_step(it, x, s, stop), rho
    gamma = numerator / square  # gamma_j = (s_j, A s_j) / (A s_j, A s_j)
    x = x + gamma * Ms  # x_{j+1} = x_j + alpha_j p_j + gamma_j s_j
    r = s - gamma * As  # r_{j+1} = s_j - gamma_j A s_j
    rho_old, rho = rho, inner(r, shadow)
    beta = rho / rho_old * alpha / gamma  # beta_j = (r_{j+1}, r0*) / (r_j, r0*) alpha_j / gamma_j
    p = r + beta * (p - gamma * Ap)  # p_{j+1} = r_{j+1} + beta_j (p_j - gamma_j A p_j)
    if not (np.isfinite(rho) and np.isfinite(x).all()):
        return replace(it, stop=Stop.NON_FINITE), rho
    return BiCGStabIterate(it.k + 1, x, r, p, it.b, _no_direction(r, shadow, rho)), rho


def _half_step(it: BiCGStabIterate, x: Array, s: Array, stop: Stop) -> BiCGStabIterate:
    """The last iterate: the half step x with its residual s, or iterate k if a number is not finite."""
    if stop is Stop.NON_FINITE or not np.isfinite(x).all():
        return replace(it, stop=Stop.NON_FINITE)
    return BiCGStabIterate(it.k + 1, x, s, it.p, it.b, stop, half_step=True)


def _no_direction(r: Array, shadow: Array, rho: float) -> Stop | None:
    """The reason for which (r_k, r0*) = rho ends the recurrence; None if it goes on."""
    if not r.any():
        return Stop.EXACT
    if not np.isfinite(rho):
        return Stop.NON_FINITE
    if is_zero(rho, r, shadow):
        return Stop.UNDERFLOW if underflows(r, shadow) else Stop.RHO_BREAKDOWN
    return None


def _no_step(Ap: Array, shadow: Array, denominator: float) -> Stop | None:
    """The reason for which alpha_k is undefined; None if it is defined."""
    if not np.isfinite(denominator):
        return Stop.NON_FINITE
    if is_zero(denominator, Ap, shadow):
        return Stop.UNDERFLOW if underflows(Ap, shadow) else Stop.ALPHA_BREAKDOWN
    return None


def _no_stabilising_step(s: Array, As: Array, numerator: float, square: float) -> Stop | None:
    """The reason for which gamma_k is undefined or zero; None if it is neither."""
    if not As.any():
        return Stop.SINGULAR
    if not np.isfinite(numerator + square):
        return Stop.NON_FINITE
    if is_zero(numerator, s, As):
        return Stop.GAMMA_BREAKDOWN
    if square == 0 or numerator / square == 0:
        return Stop.UNDERFLOW
    return None
