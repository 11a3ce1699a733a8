"""Lanczos: extreme eigenpairs of a symmetric matrix from its products.

Parlett, The Symmetric Eigenvalue Problem, SIAM 1998, chapter 13; Saad, Numerical Methods for Large Eigenvalue Problems,
revised edition, SIAM 2011, section 6.3. Notation: q_k the basis, T the tridiagonal projection of A on it with diagonal
alpha and off-diagonal beta, (theta, s) an eigenpair of T, theta and Q s the Ritz value and vector.

Each new vector is orthogonalised twice, by the recurrence and then against the whole basis ("twice is enough", Parlett
1998, section 6.9), so that rounding errors do not bring back what was found already. All k basis vectors are stored.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, cast

import numpy as np
from scipy.linalg import eigh_tridiagonal  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType] # SciPy has none

from refhf import checks
from refhf.krylov.arithmetic import Array, Matrix, MatrixLike, inner, linear_operator, matrix, norm
from refhf.krylov.stopping import Rule, Stop, advance, iteration_limit

ROUNDINGS = 10  # our choice: numbers below this many times eps ||T|| are rounding errors


class RitzPair(NamedTuple):
    """An approximate eigenpair of A: theta, its error bound |beta_k s_k|, and s (k,), of norm 1."""

    value: float
    error_bound: float
    coefficients: Array


@dataclass(frozen=True, eq=False)
class LanczosIterate:
    """Iterate k, after k products; k = 0 is the start, with no Ritz pair yet.

    Attributes
    ----------
    k : int
    alpha, beta : ndarray (k,)
        Diagonal and off-diagonal of T; the last beta is the norm of the residual that the basis leaves.
    basis : ndarray (k, n)
        q_1 .. q_k, the rows.
    stop : Stop or None
        On the last iterate, why there is no next one.
    """

    k: int
    alpha: Array
    beta: Array
    basis: Array
    stop: Stop | None = None

    @property
    def norm(self) -> float:
        """The largest ||A q_j||: never above ||A||, and soon near it."""
        return float(np.hypot(np.hypot(self.alpha, self.beta), np.append(0, self.beta[:-1])).max())

    @property
    def rounding(self) -> float:
        """The rounding error of k products, as a norm: an estimate, our choice."""
        return float(ROUNDINGS * np.sqrt(self.k) * np.finfo(self.basis.dtype).eps * self.norm)

    def pair(self, index: int) -> RitzPair:
        """The Ritz pair number `index` in ascending order; -1 is the largest.

        An eigenvalue of A is within the bound of theta (Parlett 1998, section 13.2; Saad 2011, section 6.3): the bound
        is the norm of the residual, A Q s - theta Q s = beta_k s_k q_{k+1}.

        Departure: the error bound of a Ritz value includes rounding. The books' bound is exact arithmetic's, and 0 on
        an invariant subspace, where the value is right to rounding only; here `rounding` is added to it.
        """
        i = index % self.k
        values, vectors = self.eigenpairs(select="i", select_range=(i, i))
        bound = float(self.beta[-1] * abs(vectors[-1, 0])) + self.rounding
        return RitzPair(float(values[0]), bound, vectors[:, 0])

    def eigenpairs(self, **selected: Any) -> tuple[Array, Array]:
        """T's eigenvalues (k,), ascending, and its eigenvectors s, the columns; or those that SciPy's words select."""
        scale = self.norm or 1.0  # so that LAPACK's squares do not underflow
        diagonals = self.alpha / scale, self.beta[:-1] / scale
        values, vectors = cast(tuple[Array, Array], eigh_tridiagonal(*diagonals, **selected))
        return values * scale, vectors

    def vector(self, coefficients: Array) -> Array:
        """Q s (n,), of norm 1."""
        v = coefficients.astype(self.basis.dtype) @ self.basis
        return v / norm(v)


def lanczos_iterates(A: MatrixLike, n: int, start: Array) -> Iterator[LanczosIterate]:
    """Iterates k = 0, 1, ... of the Lanczos process, until its Krylov subspace is invariant under A.

    If product k + 1 is not finite, iterate k is yielded again with its `stop`.

    Parameters
    ----------
    A : array, sparse matrix, LinearOperator (n, n) or function v (n,) -> A v (n,)
        Symmetric.
    n : int
    start : ndarray (n,)
        Any vector but zero. In exact arithmetic, eigenvectors orthogonal to it are not found.

    Raises
    ------
    ValueError
        At the first iterate, if start is not a real vector of n numbers, or A is not (n, n).
    """
    start = checks.vector("start", start, n)
    start = start.astype(np.float32 if start.dtype == np.float32 else np.float64, copy=False)
    operator = matrix("A", linear_operator("A", A, n, start), start.dtype)
    alpha: list[float] = []
    beta, basis = [norm(start)], np.empty((min(n, 16), n), start.dtype)
    it, r = LanczosIterate(0, np.empty(0), np.empty(0), basis[:0]), start
    yield it
    for k in range(1, n + 1):
        if k > len(basis):
            basis = np.concatenate([basis, np.empty((min(n - len(basis), len(basis)), n), basis.dtype)])
        with np.errstate(all="ignore"):
            q = basis[k - 1] = r / beta[-1]  # q_k = r_{k-1} / beta_{k-1}
            r = operator @ q if k == 1 else operator @ q - beta[-1] * basis[k - 2]
            alpha.append(inner(q, r))  # alpha_k = (q_k, A q_k)
            r = r - alpha[-1] * q  # r_k = A q_k - alpha_k q_k - beta_{k-1} q_{k-1}
            r = r - (basis[:k] @ r) @ basis[:k]  # again, against all of q_1 .. q_k
            beta.append(norm(r))  # beta_k = ||r_k||
            last, it = it, LanczosIterate(k, np.array(alpha), np.array(beta[1:]), basis[:k])
            if not np.isfinite(2 * it.norm):  # no Ritz value is above 3^1/2 times the norm
                it = replace(last, stop=Stop.NON_FINITE)
            elif k == n or beta[-1] <= it.rounding:
                it = replace(it, stop=Stop.INVARIANT_SUBSPACE)
        yield it
        if it.stop:
            return


class Eigenpair(NamedTuple):
    """An eigenpair with its error bound, and how the process ended.

    Attributes
    ----------
    value : float
        A Ritz value: the vector's Rayleigh quotient. NaN if the first product was not finite.
    vector : ndarray (n,)
        Of norm 1.
    error_bound : float
        An eigenvalue of A lies within this of `value`; it also bounds ||A v - value v||.
    stop : Stop
    iterations : int
        Products with A.
    """

    value: float
    vector: Array
    error_bound: float
    stop: Stop
    iterations: int


def small_ritz_residual(index: int, rtol: float) -> Rule:
    """Stop where the error bound of the Ritz pair `index` is at most rtol ||T||."""
    return partial(_small_ritz_residual, index, rtol)


def _small_ritz_residual(index: int, rtol: float, it: LanczosIterate) -> Stop | None:
    if it.k == 0 or it.stop:
        return it.stop
    return Stop.RITZ_CONVERGED if it.pair(index).error_bound <= rtol * it.norm else None


def lanczos_smallest(
    A: MatrixLike, n: int, *, rng: Any = None, start: Any = None, rtol: float = 1e-8, maxiter: int | None = None
) -> Eigenpair:
    """The smallest eigenvalue of a symmetric A and an eigenvector, matrix-free.

    The Ritz value is never below the smallest eigenvalue. That it is near the smallest, and not near the next one,
    depends on the start: a random start has a component along every eigenvector, and the probability that the process
    misses an eigenvalue falls exponentially with the iterations (Kuczynski and Wozniakowski 1992, Theorem 4.2). A
    repeated eigenvalue is found once, with one vector of its eigenspace. In a cluster of eigenvalues the value is as
    good as its bound, but the vector may be a mixture of the cluster's eigenvectors.

    Parameters
    ----------
    A : array, sparse matrix, LinearOperator (n, n), or function v (n,) -> A v (n,)
    n : int
    rng : Generator, int or None
        Draws the start; each component is standard normal.
    start : array (n,), optional
        Replaces the random start; not zero.
    rtol : float
        The process has converged where the error bound is at most rtol ||T||, T the projection of A. 1e-8 is our
        choice.
    maxiter : int, optional
        The largest number of products; min(n, 300) if None (our choice). Each adds n numbers to the basis.

    Raises
    ------
    ValueError
        For an A that is not (n, n), a start that is zero or not finite, a negative rtol, maxiter below 1.

    Examples
    --------
    >>> import numpy as np
    >>> pair = lanczos_smallest(np.diag([3.0, -1.0, 2.0]), 3, rng=0)
    >>> round(pair.value, 12), abs(pair.vector).round(6)
    (-1.0, array([0., 1., 0.]))
    >>> pair.stop
    <Stop.INVARIANT_SUBSPACE: 'The Krylov subspace is invariant: its Ritz values are eigenvalues.'>
    """
    return _extreme(0, A, n, rng, start, rtol, maxiter)


def lanczos_largest(
    A: MatrixLike, n: int, *, rng: Any = None, start: Any = None, rtol: float = 1e-8, maxiter: int | None = None
) -> Eigenpair:
    """The largest eigenvalue of a symmetric A and an eigenvector; see `lanczos_smallest`."""
    return _extreme(-1, A, n, rng, start, rtol, maxiter)


def checked_operator(A: MatrixLike, n: int) -> tuple[Matrix, int]:
    """A as a `Matrix` (n, n) of its own precision, and n; ValueError for an A that is not (n, n)."""
    n = checks.positive_integer("n", n)
    operator = linear_operator("A", A, n)
    return matrix("A", operator, np.float32 if operator.dtype == np.float32 else np.float64), n


@np.errstate(all="ignore")
def _extreme(index: int, A: MatrixLike, n: int, rng: Any, start: Any, rtol: float, maxiter: int | None) -> Eigenpair:
    operator, n = checked_operator(A, n)
    start = np.random.default_rng(rng).standard_normal(n) if start is None else checks.array("start", start, (n,))
    if not start.any():
        raise ValueError("start: expected a vector other than zero")
    start = start.astype(operator.dtype)
    rtol = checks.real("rtol", rtol, low=0.0)
    limit = min(n, 300) if maxiter is None else checks.positive_integer("maxiter", maxiter)
    it, stop = advance(lanczos_iterates(operator, n, start), small_ritz_residual(index, rtol), iteration_limit(limit))
    if it.k == 0:
        return Eigenpair(np.nan, start / norm(start), np.inf, stop, 0)
    pair = it.pair(index)
    return Eigenpair(pair.value, it.vector(pair.coefficients), pair.error_bound, stop, it.k)
