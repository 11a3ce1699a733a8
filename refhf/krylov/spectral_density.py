"""Stochastic Lanczos quadrature: the spectral density of a symmetric matrix, and traces of functions of it.

Ubaru, Chen and Saad, Fast estimation of tr(f(A)) via stochastic Lanczos quadrature, SIAM J. Matrix Anal. Appl. 38
(2017), Algorithm 1; Golub and Meurant, Matrices, Moments and Quadrature with Applications, 2010, chapters 6 and 7. k
Lanczos steps from a unit vector v give the nodes theta_j and weights tau_j^2 of the Gauss quadrature of the measure
that has the weight (v, u_i)^2 at each eigenvalue of A, u_i its eigenvector. It is exact for polynomials to degree
2 k - 1. The mean of these measures over random v is the spectral density, 1/n at each eigenvalue.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from refhf import checks
from refhf.krylov.arithmetic import Array, Matrix, MatrixLike
from refhf.krylov.lanczos import checked_operator, lanczos_iterates
from refhf.krylov.stopping import advance, iteration_limit


class Estimate(NamedTuple):
    """The mean over random probes, and its standard error; NaN for one probe."""

    value: float
    standard_error: float


class SpectralDensity(NamedTuple):
    """A measure of total weight 1 that stands for the eigenvalues of A.

    Attributes
    ----------
    n : int
    nodes, weights : ndarray (probes, k)
        theta_j and tau_j^2 of each probe; a probe whose Krylov subspace was invariant earlier is filled up with
        weights of 0.
    """

    n: int
    nodes: Array
    weights: Array

    def trace(self, function: Callable[[Array], Array]) -> Estimate:
        """The trace of f(A), n times the mean over probes of sum_j tau_j^2 f(theta_j); f maps arrays to arrays."""
        used = self.weights > 0
        values = np.where(used, self.weights * function(np.where(used, self.nodes, self.nodes[:, :1])), 0.0)
        return _estimate(self.n * values.sum(axis=1))

    def share_below(self, bound: float) -> Estimate:
        """The share of the eigenvalues that are below a bound: the index, in Dauphin et al. 2014, for the bound 0.

        A bound within a cluster that is narrower than the distance of the nodes there is not resolved, and the
        standard error does not show it. Of a network, with many eigenvalues near zero, ask for a bound below them.
        """
        return _estimate((self.weights * (self.nodes < bound)).sum(axis=1))

    def density(self, x: Any, width: float) -> Array:
        """The density at points x (m,), each node a Gaussian of this standard deviation (Ubaru et al., section 2)."""
        z = (np.asarray(x, float)[:, None, None] - self.nodes) / width
        bells = np.exp(-0.5 * z**2) / (np.sqrt(2 * np.pi) * width)
        return (self.weights * bells).sum(axis=2).mean(axis=1)


def _estimate(values: Array) -> Estimate:
    error = float(values.std(ddof=1) / np.sqrt(values.size)) if values.size > 1 else np.nan
    return Estimate(float(values.mean()), error)


def spectral_density(
    A: MatrixLike, n: int, *, probes: int = 10, iterations: int = 50, rng: Any = None
) -> SpectralDensity:
    """The spectral density of a symmetric A, by Lanczos from random vectors of signs.

    Parameters
    ----------
    A : array, sparse matrix, LinearOperator (n, n), or function v (n,) -> A v (n,)
    n : int
    probes : int
        Random vectors. The error of a trace falls with the root of their number. 10 is our choice.
    iterations : int
        Lanczos steps of each probe, at most n; each is a product and n numbers. 50 is our choice.
    rng : Generator, int or None

    Raises
    ------
    ValueError
        For an A that is not (n, n), or numbers of probes or iterations below 1.

    Examples
    --------
    >>> import numpy as np, refhf
    >>> found = refhf.spectral_density(np.diag([-1.0, 0.5, 2.0, 3.0]), 4, rng=0)
    >>> round(found.share_below(0.0).value, 12), round(found.trace(np.square).value, 12)
    (0.25, 14.25)
    """
    operator, n = checked_operator(A, n)
    probes, limit = checks.positive_integer("probes", probes), checks.positive_integer("iterations", iterations)
    rng = np.random.default_rng(rng)
    rules = [_quadrature(operator, rng.choice([-1.0, 1.0], n), limit) for _ in range(probes)]
    most = max(nodes.size for nodes, _ in rules)
    filled = [[np.pad(part, (0, most - part.size)) for part in rule] for rule in rules]
    return SpectralDensity(n, np.array([nodes for nodes, _ in filled]), np.array([weights for _, weights in filled]))


@np.errstate(all="ignore")
def _quadrature(A: Matrix, v: Array, limit: int) -> tuple[Array, Array]:
    """theta_j and tau_j^2, tau_j the first component of T's eigenvector j; NaN if the first product is not finite."""
    it, _ = advance(lanczos_iterates(A, v.size, v.astype(A.dtype)), iteration_limit(limit))
    if it.k == 0:
        return np.array([np.nan]), np.ones(1)
    values, vectors = it.eigenpairs()
    return values, vectors[0] ** 2
