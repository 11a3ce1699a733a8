"""Hutch++: the trace of a symmetric matrix from few products.

Meyer, Musco, Musco and Woodruff, Hutch++: optimal stochastic trace estimation, SOSA 2021 (arXiv:2010.09649),
Algorithm 1. A third of the products finds the range Q of the large eigenvalues, a third has the trace on it exactly,
and Hutchinson's estimator is left with the rest of the matrix. For semidefinite matrices 1/epsilon products give the
relative error epsilon, where Hutchinson's estimator alone takes 1/epsilon^2.
"""

from typing import Any

import numpy as np

from refhf import checks
from refhf.krylov.arithmetic import Array, Matrix, MatrixLike
from refhf.krylov.lanczos import checked_operator
from refhf.krylov.spectral_density import Estimate


@np.errstate(all="ignore")
def stochastic_trace(A: MatrixLike, n: int, *, products: int = 30, rng: Any = None) -> Estimate:
    """The trace of a symmetric A, unbiased, with its standard error (Meyer et al. 2021, Algorithm 1).

    Parameters
    ----------
    A : array, sparse matrix, LinearOperator (n, n), or function v (n,) -> A v (n,)
    n : int
    products : int
        m, at least 3; a multiple of three is used. 30 is our choice. With 3 n or more, of which 2 n are
        made, the trace is exact.
    rng : Generator, int or None
        Draws vectors of signs.

    Raises
    ------
    ValueError
        For an A that is not (n, n), or fewer than 3 products.

    Examples
    --------
    >>> import numpy as np, refhf
    >>> A = np.diag(1.0 / np.arange(1, 101) ** 2)
    >>> estimate = refhf.stochastic_trace(A, 100, products=60, rng=0)
    >>> bool(abs(estimate.value / np.trace(A) - 1) < 1e-2)
    True
    """
    operator, n = checked_operator(A, n)
    third = checks.integer("products", products, 3) // 3
    rng = np.random.default_rng(rng)
    S, G = (
        rng.choice([-1.0, 1.0], (n, min(third, n))).astype(operator.dtype) for _ in range(2)
    )  # S, G in {-1, 1}^(n x m/3)
    Q, _ = np.linalg.qr(_times(operator, S))  # an orthonormal basis of the span of A S
    on_range = float(np.einsum("ij,ij", Q, _times(operator, Q), dtype=np.float64))  # tr(Q' A Q)
    if Q.shape[1] == n:
        return Estimate(on_range, 0.0)
    rest = G - Q @ (Q.T @ G)  # (I - Q Q') G
    values = np.einsum("ij,ij->j", rest, _times(operator, rest), dtype=np.float64)  # a probe a column
    error = float(values.std(ddof=1) / np.sqrt(values.size)) if values.size > 1 else np.nan
    return Estimate(on_range + float(values.mean()), error)  # tr(Q' A Q) + 3/m tr(G' (I - Q Q') A (I - Q Q') G)


def _times(A: Matrix, V: Array) -> Array:
    """A V, a column a product."""
    return np.stack([A @ column for column in np.ascontiguousarray(V.T)], axis=1)
