"""SciPy-shaped drivers over the iterates: cg(A, b, ...) -> (x, info)."""

import dataclasses

import numpy as np
from scipy.sparse.linalg import aslinearoperator

from refhf import checks
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
        """The integer of `CODES`, or the iterations done."""
        info = super().__new__(cls, CODES.get(stop, iterations))
        info.stop, info.iterations, info.direction = stop, iterations, direction
        return info

    def __repr__(self):
        return f"{int(self)} ({self.stop}, {self.iterations} iterations)"


def cg(A, b, x0=None, *, rtol=1e-5, atol=0.0, maxiter=None, M=None, callback=None):
    """Solve A x = b by conjugate gradients, A symmetric positive definite (Saad 2003, Algorithm 9.1).

    Convergence, ||b - A x|| <= max(rtol ||b||, atol), is claimed on the true residual. Unlike SciPy's, it stops
    at negative curvature, before the update, with the direction in `info.direction`.

    Parameters
    ----------
    A, M : array, sparse matrix or LinearOperator (n, n)
        The matrix, and optionally an approximate inverse of it.
    b, x0 : array (n,)
        Right-hand side, and start (zero if None; never overwritten).
    rtol, atol : float
    maxiter : int, optional
        10 n if None, as in SciPy.
    callback : callable, optional
        Called with x after each iteration.

    Returns
    -------
    x : ndarray (n,)
        Always finite: the last iterate, or after a breakdown the one of smallest residual.
    info : Info
        An int as SciPy's, with `stop`, `iterations` and `direction`.

    Raises
    ------
    ValueError
        For shapes that do not fit, a negative tolerance, or maxiter below 1.

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
    A, b, x0, M, maxiter = _checked(A, b, x0, rtol, atol, maxiter, M)
    converged = small_residual(b, rtol, atol)
    done, restarted_at = 0, np.inf
    while True:
        best = _Smallest(callback)
        it, stop = advance(iterates(A, b, x0=x0, M=M), best, converged, iteration_limit(maxiter - done), *exits)
        done += it.k
        if stop not in (Stop.CONVERGED, Stop.EXACT, Stop.HALF_STEP):
            x = it.x if stop in (Stop.ITERATION_LIMIT, Stop.NEGATIVE_CURVATURE) else best.x
            return x, Info(stop, done, it.p if stop is Stop.NEGATIVE_CURVATURE else None)
        true = dataclasses.replace(it, r=b - A @ it.x)
        if converged(true):
            return it.x, Info(Stop.CONVERGED, done)
        if not np.linalg.norm(true.r) < restarted_at:
            return it.x, Info(Stop.STAGNATED, done)
        restarted_at, x0 = np.linalg.norm(true.r), it.x


class _Smallest:
    """A rule that never speaks: it remembers the x of smallest residual, and tells the callback."""

    def __init__(self, callback):
        self.callback, self.size, self.x = callback, np.inf, None

    def __call__(self, it):
        size = float(np.linalg.norm(it.r))
        if self.x is None or size < self.size:
            self.size, self.x = size, it.x
        if self.callback and it.k > 0:
            self.callback(it.x.copy())


def _checked(A, b, x0, rtol, atol, maxiter, M):
    try:
        A = aslinearoperator(A)
        M = None if M is None else aslinearoperator(M)
    except (TypeError, ValueError) as error:
        raise ValueError(f"A, M: expected an array, sparse matrix or LinearOperator; got {error}") from None
    n = A.shape[0]
    for name, operator in (("A", A), ("M", M)):
        if operator is not None and operator.shape != (n, n):
            raise ValueError(f"{name}: expected shape ({n}, {n}); got {operator.shape}")
    b = np.asarray(b)
    b = checks.vector("b", b, n, b.dtype if b.dtype in (np.float32, np.float64) else np.float64)
    x0 = None if x0 is None else checks.vector("x0", x0, n, b.dtype)
    checks.real("rtol", rtol, low=0.0)
    checks.real("atol", atol, low=0.0)
    return A, b, x0, M, 10 * n if maxiter is None else checks.positive_integer("maxiter", maxiter)
