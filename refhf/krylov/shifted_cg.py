"""Conjugate gradients on A + s I for many shifts s at once, with the products of one.

Jegerlehner, Krylov space solvers for shifted linear systems, hep-lat/9612014 (1996), section 2.3 (CG-M); Frommer,
BiCGStab(l) for families of shifted linear systems, Computing 70 (2003). Notation: (A + s I) x = b from a zero start, so
that the residuals of all shifts are parallel, r^s = zeta^s r with r that of the smallest shift, and A p_j is needed for
the smallest shift alone. alpha and beta are Saad's (`refhf.krylov.cg`), Jegerlehner's -beta and alpha. Here s counts
from the smallest shift, whose zeta is 1 and whose x, r and p are those of `cg_iterates`, bit for bit.

The smallest shift has the largest residual, if its matrix is positive definite: 0 < zeta <= 1. There is no start and no
preconditioner, because the residuals would not be parallel.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from refhf import checks
from refhf.krylov.arithmetic import Array, Matrix, MatrixLike, inner, system
from refhf.krylov.cg import CGIterate, cg_iterates, no_direction, no_step
from refhf.krylov.solve import SOLVED, Info, cg
from refhf.krylov.stopping import Rule, Stop, advance, iteration_limit, negative_curvature, small_residual
from refhf.krylov.symmetric_operator import shifted


@dataclass(frozen=True, eq=False, kw_only=True)
class ShiftedIterate(CGIterate):
    """Iterate k: x, r, p and the rest are those of the smallest shift, so that every stopping rule applies to it.

    Attributes
    ----------
    xs : ndarray (m, n)
        x_k of each shift, in the order they were given.
    zeta : ndarray (m,)
        The residual of shift i is zeta[i] r.
    """

    xs: Array
    zeta: Array


def shifted_cg_iterates(
    A: MatrixLike, b: Array, shifts: Any, *, stop_at: Rule | None = None
) -> Iterator[ShiftedIterate]:
    """Iterates k = 0, 1, ... of conjugate gradients on (A + s I) x = b for all shifts s, from zero.

    One product an iteration, whatever the number of shifts; 2 m vectors are stored. The smallest shift decides how long
    the recurrence is defined. The last iterate is yielded as by `refhf.cg_iterates`.

    Parameters
    ----------
    A : array, sparse matrix, LinearOperator (n, n) or function v (n,) -> A v (n,)
        Symmetric.
    b : ndarray (n,)
    shifts : array (m,)
        In any order.
    stop_at : Rule, optional
        A rule that needs A p_k, as for `refhf.cg_iterates`.

    Raises
    ------
    ValueError
        For shapes that do not fit, numbers that are not real, no shift, or one that is not finite.
    """
    matrix, b, _, _ = system(A, b)
    return _recurrence(matrix, b, _checked(shifts), stop_at)


def _checked(shifts: Any) -> Array:
    shifts = checks.array("shifts", shifts, (None,), np.float64)
    if not shifts.size:
        raise ValueError("shifts: expected at least one; got none")
    return shifts


def _recurrence(A: Matrix, b: Array, shifts: Array, stop_at: Rule | None) -> Iterator[ShiftedIterate]:
    smallest = int(shifts.argmin())
    shift, s = float(shifts[smallest]), shifts - shifts[smallest]
    x, r, p = np.zeros((s.size, b.size), b.dtype), b.copy(), np.tile(b, (s.size, 1))  # x and p of all shifts, r of one
    zeta = ratio = np.ones_like(s)
    rho, alpha, beta = inner(r, r), 1.0, 0.0
    for k in itertools.count():
        p_0 = p[smallest]
        it = ShiftedIterate(k, x[smallest], r, p_0, b, no_direction(r, rho, None), xs=x, zeta=zeta)
        yield it
        if it.stop:
            return
        with np.errstate(all="ignore"):
            Ap = A @ p_0 + shift * p_0
            curvature = inner(p_0, Ap)
            it = replace(it, Ap=Ap, curvature=curvature)
            stop = (stop_at(it) if stop_at else None) or no_step(p_0, Ap, curvature)
            if not stop:
                alpha_old, alpha = alpha, rho / curvature  # alpha_j = (r_j, r_j) / (A p_j, p_j)
                ratio = 1 / (1 + s * alpha + alpha * beta / alpha_old * (1 - ratio))  # zeta_{j+1} / zeta_j (2.44)
                alpha_s = alpha * ratio  # alpha^s_j = alpha_j zeta_{j+1} / zeta_j (2.42)
                zeta = zeta * ratio
                x = x + _column(alpha_s, b) * p  # x^s_{j+1} = x^s_j + alpha^s_j p^s_j
                r = r - alpha * Ap  # r_{j+1} = r_j - alpha_j A p_j
                rho_old, rho = rho, inner(r, r)
                beta = rho / rho_old  # beta_j = (r_{j+1}, r_{j+1}) / (r_j, r_j)
                beta_s = beta * ratio**2  # beta^s_j = beta_j (zeta_{j+1} / zeta_j)^2 (2.43)
                p = _column(zeta, b) * r + _column(beta_s, b) * p  # p^s_{j+1} = zeta_{j+1} r_{j+1} + beta^s_j p^s_j
                stop = None if np.isfinite(rho) and np.isfinite(x).all() else Stop.NON_FINITE
        if stop:
            yield replace(it, stop=stop)
            return


def _column(coefficients: Array, like: Array) -> Array:
    """A coefficient of each shift (m, 1), in the dtype of the vectors."""
    return coefficients.astype(like.dtype)[:, None]


def shifted_cg(
    A: MatrixLike, b: Any, shifts: Any, *, rtol: float = 1e-5, atol: float = 0.0, maxiter: int | None = None
) -> tuple[Array, Info]:
    """Solve (A + s I) x = b for many shifts s by conjugate gradients, with one Krylov space (Jegerlehner 1996).

    The iterations are those of the smallest shift. Afterwards the true residual of each shift is tested, a product
    each, and a shift that does not meet the tolerance is continued by `refhf.cg`.

    Parameters
    ----------
    A : array, sparse matrix, LinearOperator (n, n) or function v (n,) -> A v (n,)
        Symmetric, and positive definite with the smallest shift.
    b : array (n,)
    shifts : array (m,)
    rtol, atol : float
        Each shift has converged where ||b - (A + s I) x|| <= max(rtol ||b||, atol).
    maxiter : int, optional
        Of the common iterations, and of each continuation; 10 n if None.

    Returns
    -------
    X : ndarray (m, n)
        A solution a row, in the order of the shifts; always finite.
    info : Info
        As `refhf.cg` returns, of the last shift that did not converge; 0 if all did. Negative curvature is that of
        the smallest shift; it ends all.

    Raises
    ------
    ValueError
        As for `refhf.cg`, and for shifts that are none or not finite.

    Examples
    --------
    >>> import numpy as np, refhf
    >>> X, info = refhf.shifted_cg(np.diag([1.0, 3.0]), np.ones(2), [0.0, 1.0])
    >>> X.round(6), info
    (array([[1.      , 0.333333], [0.5     , 0.25    ]]), 0 (converged, 2 iterations))
    """
    matrix, b, _, _ = system(A, b)
    shifts, limit = _checked(shifts), 10 * len(b) if maxiter is None else checks.positive_integer("maxiter", maxiter)
    rtol, atol = checks.real("rtol", rtol, low=0.0), checks.real("atol", atol, low=0.0)
    converged = small_residual(b, rtol, atol)
    iterates = shifted_cg_iterates(matrix, b, shifts, stop_at=negative_curvature)
    it, stop = advance(iterates, converged, iteration_limit(limit))
    if stop not in SOLVED:
        return it.xs, Info(stop, it.k, it.p if stop.met_negative_curvature else None)
    X, info = it.xs.copy(), Info(Stop.CONVERGED, it.k)
    for i, shift in enumerate(shifts):
        B = shifted(cast(Any, matrix), float(shift), b)
        if not converged(next(cg_iterates(B, b, X[i]))):
            X[i], last = cg(B, b, X[i], rtol=rtol, atol=atol, maxiter=limit)
            info = Info(last.stop if last else info.stop, info.iterations + last.iterations, last.direction)
    return X, info
