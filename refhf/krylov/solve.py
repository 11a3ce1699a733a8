"""Solvers with SciPy's signature, cg(A, b, ...) -> (x, info), over the iterates."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from refhf import checks
from refhf.krylov.arithmetic import Array, Matrix, MatrixLike, norm, system
from refhf.krylov.bicgstab import bicgstab_iterates
from refhf.krylov.cg import cg_iterates
from refhf.krylov.stopping import Rule, Stop, advance, iteration_limit, negative_curvature, small_residual

# 0 and -10, -11 are SciPy's (converged; rho and omega breakdown), the others our choice.
# A positive code is the number of iterations done without convergence, as in SciPy.
CODES = {
    Stop.CONVERGED: 0,
    Stop.RHO_BREAKDOWN: -10,
    Stop.GAMMA_BREAKDOWN: -11,
    Stop.ALPHA_BREAKDOWN: -12,
    Stop.SINGULAR: -13,
    Stop.NEGATIVE_CURVATURE: -20,
    Stop.ZERO_CURVATURE: -20,
    Stop.INDEFINITE_PRECONDITIONER: -21,
    Stop.NON_FINITE: -30,
    Stop.UNDERFLOW: -31,
}


SOLVED = (Stop.CONVERGED, Stop.EXACT, Stop.HALF_STEP)  # the recurrence's residual is small enough


class Info(int):
    """SciPy's integer, 0 where the solver converged, with the reason to stop.

    Attributes
    ----------
    stop : Stop
        Why the solver stopped; `stop.value` is a sentence.
    iterations : int
    direction : ndarray (n,) or None
        p with p'Ap <= 0, where negative curvature was met.
    """

    stop: Stop
    iterations: int
    direction: Array | None

    def __new__(cls, stop: Stop, iterations: int, direction: Array | None = None) -> "Info":
        """The integer of `CODES`, or the iterations done; 0 only where it converged."""
        info = super().__new__(cls, CODES.get(stop, max(iterations, 1)))
        info.stop, info.iterations, info.direction = stop, iterations, direction
        return info

    def __getnewargs__(self) -> Any:
        """The arguments from which copies and pickles are made."""
        return self.stop, self.iterations, self.direction

    def __repr__(self):
        return f"{int(self)} ({self.stop}, {self.iterations} iterations)"


def cg(
    A: MatrixLike,
    b: Any,
    x0: Any = None,
    *,
    rtol: float = 1e-5,
    atol: float = 0.0,
    maxiter: int | None = None,
    M: MatrixLike | None = None,
    callback: Callable[[Array], object] | None = None,
) -> tuple[Array, Info]:
    """Solve A x = b by conjugate gradients, A symmetric positive definite (Saad 2003, Algorithm 9.1).

    Convergence, ||b - A x|| <= max(rtol ||b||, atol), is tested on the true residual. Unlike SciPy's cg, it stops
    at negative curvature, before the update, with the direction in `info.direction`. x is then the iterate of
    smallest residual; He et al. 2016, section 4.1, take the current one, which is the last of `cg_iterates`.

    Parameters
    ----------
    A, M : array, sparse matrix, LinearOperator (n, n) or function v (n,) -> A v (n,)
        The matrix, and optionally an approximate inverse of it. A function may return the same buffer every time.
    b, x0 : array (n,)
        Right-hand side, and start (zero if None, or if b = 0; never overwritten).
    rtol, atol : float
    maxiter : int, optional
        10 n if None, as in SciPy.
    callback : callable, optional
        Called with x after each iteration.

    Returns
    -------
    x : ndarray (n,)
        Always finite: the last iterate, or after a breakdown the one of smallest residual, never worse than x0.
    info : Info
        An int like SciPy's, with `stop`, `iterations` and `direction`.

    Raises
    ------
    ValueError
        For shapes that do not fit, numbers that are not real, a negative tolerance, or maxiter below 1.

    Examples
    --------
    >>> import numpy as np, refhf
    >>> refhf.cg(np.array([[4.0, 1.0], [1.0, 3.0]]), np.array([1.0, 2.0]))
    (array([0.09090909, 0.63636364]), 0 (converged, 2 iterations))
    """
    iterates = partial(cg_iterates, stop_at=negative_curvature)
    return _with_restarts(iterates, _problem(A, b, x0, M, rtol, atol, maxiter), callback)


def bicgstab(
    A: MatrixLike,
    b: Any,
    x0: Any = None,
    *,
    rtol: float = 1e-5,
    atol: float = 0.0,
    maxiter: int | None = None,
    M: MatrixLike | None = None,
    callback: Callable[[Array], object] | None = None,
) -> tuple[Array, Info]:
    """Solve A x = b by Bi-CG-STAB, A any square matrix (He et al. 2016, Algorithm 3).

    Parameters, returns and errors are those of `cg`. An iteration costs two products with A. The reason for a
    breakdown is in `info.stop`.

    Examples
    --------
    >>> import numpy as np, refhf
    >>> x, info = refhf.bicgstab(np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([1.0, 0.0]))
    >>> info.stop
    <Stop.ALPHA_BREAKDOWN: '(Ap, r0*) is zero to rounding: the step along p is undefined.'>
    """
    return _with_restarts(bicgstab_iterates, _problem(A, b, x0, M, rtol, atol, maxiter), callback)


class _Problem(NamedTuple):
    """A checked linear system, and when to stop."""

    A: Matrix
    b: Array
    x0: Array | None
    M: Matrix | None
    converged: Rule
    limit: int


def _problem(
    A: MatrixLike, b: Any, x0: Any, M: MatrixLike | None, rtol: float, atol: float, maxiter: int | None
) -> _Problem:
    matrix, b, x0, inverse = system(A, b, x0, M)
    rtol, atol = checks.real("rtol", rtol, low=0.0), checks.real("atol", atol, low=0.0)
    limit = 10 * b.size if maxiter is None else checks.positive_integer("maxiter", maxiter)
    if x0 is not None and not b.any() and np.isfinite(x0).all():
        x0 = None  # as in SciPy: x = 0 is the solution, and no other residual is small against b = 0
    return _Problem(matrix, b, x0, inverse, small_residual(b, rtol, atol), limit)


def _with_restarts(
    iterates: Callable[..., Iterator[Any]], problem: _Problem, callback: Callable[[Array], object] | None
) -> tuple[Array, Info]:
    """Solve; where the recurrence converged and the true residual did not, restart from x while the latter falls."""
    A, b, x0, M, converged, limit = problem
    done, before, starts = 0, np.inf, _SmallestResidual()
    while True:
        run = _SmallestResidual()
        watch = partial(_watch, run, starts, callback)
        it, stop = advance(iterates(A, b, x0=x0, M=M), watch, converged, iteration_limit(limit - done))
        done += it.k
        if stop is Stop.ITERATION_LIMIT and before == np.inf:
            return it.x, Info(stop, done)
        x = it.x if stop in SOLVED else run.x
        with np.errstate(all="ignore"):
            r = b - A @ x
        if stop in SOLVED and converged(replace(it, r=r)):
            return x, Info(Stop.CONVERGED, done)
        residual = norm(r)
        if failure := _failure(stop, residual, before):
            best = starts.x if np.inf > residual > starts.residual else x
            direction = it.p if failure.met_negative_curvature else None
            return best, Info(failure, done, direction)
        x0, before = x, residual


def _failure(stop: Stop, residual: float, before: float) -> Stop | None:
    """The reason for no further restart, from the true residual now and at the restart before; None if there is one."""
    if stop not in SOLVED:
        return stop
    if not np.isfinite(residual):
        return Stop.NON_FINITE
    return None if residual < before else Stop.STAGNATED


class _SmallestResidual:
    """The x of smallest residual among the iterates seen."""

    def __init__(self):
        self.residual, self.x = np.inf, np.empty(0)

    def see(self, it: Any) -> None:
        """Take x if it is the first, or its residual is the smallest so far."""
        residual = norm(it.r)
        if not self.x.size or residual < self.residual:
            self.residual, self.x = residual, it.x


def _watch(
    run: _SmallestResidual, starts: _SmallestResidual, callback: Callable[[Array], object] | None, it: Any
) -> None:
    """A rule that never stops: note each iterate of this run and the first of every run; call the callback."""
    run.see(it)
    if it.k == 0:
        starts.see(it)
    elif callback:
        callback(it.x.copy())
