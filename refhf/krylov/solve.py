"""SciPy-shaped drivers over the iterates: cg(A, b, ...) -> (x, info)."""

import dataclasses

import numpy as np

from refhf import checks
from refhf.krylov.arithmetic import norm, system
from refhf.krylov.bicgstab import bicgstab_iterates
from refhf.krylov.cg import cg_iterates
from refhf.krylov.stopping import Stop, advance, iteration_limit, negative_curvature, small_residual

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


class Info(int):
    """SciPy's integer, 0 where the solver converged, that knows more.

    Attributes
    ----------
    stop : Stop
        Why the solver stopped; `stop.value` is a sentence.
    iterations : int
    direction : ndarray (n,) or None
        p with p'Ap <= 0, where negative curvature was met.
    """

    def __new__(cls, stop: Stop, iterations: int, direction=None):
        """The integer of `CODES`, or the iterations done; 0 only where it converged."""
        info = super().__new__(cls, CODES.get(stop, max(iterations, 1)))
        info.stop, info.iterations, info.direction = stop, iterations, direction
        return info

    def __getnewargs__(self):
        """What copies and pickles are made of."""
        return self.stop, self.iterations, self.direction

    def __repr__(self):
        return f"{int(self)} ({self.stop}, {self.iterations} iterations)"


def cg(A, b, x0=None, *, rtol=1e-5, atol=0.0, maxiter=None, M=None, callback=None):
    """Solve A x = b by conjugate gradients, A symmetric positive definite (Saad 2003, Algorithm 9.1).

    Convergence, ||b - A x|| <= max(rtol ||b||, atol), is claimed on the true residual. Unlike SciPy's, it stops
    at negative curvature, before the update, with the direction in `info.direction`. x is then the iterate of
    smallest residual; He et al. 2016, section 4.1, take the current one, which is the last of `cg_iterates`.

    Parameters
    ----------
    A, M : array, sparse matrix or LinearOperator (n, n)
        The matrix, and optionally an approximate inverse of it. Their products may come in one array again and again.
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
        An int as SciPy's, with `stop`, `iterations` and `direction`.

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
    return _drive(cg_iterates, A, b, x0, rtol, atol, maxiter, M, callback, negative_curvature)


def bicgstab(A, b, x0=None, *, rtol=1e-5, atol=0.0, maxiter=None, M=None, callback=None):
    """Solve A x = b by Bi-CG-STAB, A any square matrix (He et al. 2016, Algorithm 3).

    Parameters, returns and errors as for `cg`; an iteration costs two products with A. The reason of a
    breakdown is in `info.stop`.

    Examples
    --------
    >>> import numpy as np, refhf
    >>> x, info = refhf.bicgstab(np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([1.0, 0.0]))
    >>> info.stop
    <Stop.ALPHA_BREAKDOWN: '(Ap, r0*) is zero to rounding: the step along p is undefined.'>
    """
    return _drive(bicgstab_iterates, A, b, x0, rtol, atol, maxiter, M, callback)


def _drive(iterates, A, b, x0, rtol, atol, maxiter, M, callback, *exits):
    A, b, x0, M = system(A, b, x0, M)
    rtol, atol = checks.real("rtol", rtol, low=0.0), checks.real("atol", atol, low=0.0)
    maxiter = 10 * b.size if maxiter is None else checks.positive_integer("maxiter", maxiter)
    if x0 is not None and not b.any() and np.isfinite(x0).all():
        x0 = None  # as in SciPy: x = 0 is the solution, and no other residual is small against b = 0
    converged = small_residual(b, rtol, atol)
    done, restarted_at, starts = 0, np.inf, _Smallest()
    while True:
        seen = _Smallest()

        def watch(it, seen=seen):
            seen.show(it)
            if it.k == 0:
                starts.show(it)
            elif callback:
                callback(it.x.copy())

        it, stop = advance(iterates(A, b, x0=x0, M=M), watch, converged, iteration_limit(maxiter - done), *exits)
        done += it.k
        if stop is Stop.ITERATION_LIMIT and restarted_at == np.inf:
            return it.x, Info(stop, done)
        finished = stop in (Stop.CONVERGED, Stop.EXACT, Stop.HALF_STEP)
        x = it.x if finished else seen.x
        with np.errstate(all="ignore"):
            true = dataclasses.replace(it, r=b - A @ x)
        if finished and converged(true):
            return x, Info(Stop.CONVERGED, done)
        size = norm(true.r)
        # A restart begins at x; who returns here has the better of x and the starts.
        x0, x = x, starts.x if np.inf > size > starts.size else x
        if not finished:
            return x, Info(stop, done, it.p if stop in (Stop.NEGATIVE_CURVATURE, Stop.ZERO_CURVATURE) else None)
        if not np.isfinite(size):
            return x, Info(Stop.NON_FINITE, done)
        if not size < restarted_at:
            return x, Info(Stop.STAGNATED, done)
        restarted_at = size


class _Smallest:
    """The x of smallest residual among the iterates shown."""

    def __init__(self):
        self.size, self.x = np.inf, None

    def show(self, it):
        """Keep x if its residual is the smallest so far."""
        size = norm(it.r)
        if self.x is None or size < self.size:
            self.size, self.x = size, it.x
