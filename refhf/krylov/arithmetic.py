"""Inner products and norms for the solvers, and the checked arguments of a linear system."""

import math
from collections.abc import Callable
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import DTypeLike
from scipy.sparse.linalg import aslinearoperator  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType] # SciPy has none

from refhf import checks
from refhf.krylov.symmetric_operator import SymmetricOperator
from refhf.model.blocks import Array

# A bound, in eps, on the rounding error of an inner product of unit vectors that is exactly 0: our choice, from 30,000
# rotations of small systems whose exact recurrences break down (the largest was 19; a bound of 1 misses half of them).
ROUNDING = 32


# OpenBLAS splits longer ones among its threads, and the last bits then depend on their number (interface/ddot.c).
LONGEST = 10_000


def inner(x: Array, y: Array) -> float:
    """(x, y) as a float, accumulated in float64 also for float32 vectors, because it steers control flow.

    Its bits do not depend on the number of BLAS threads, which changes while other threads sweep
    (`refhf.objective.chunk_threads`).
    """
    with np.errstate(all="ignore"):
        if x.dtype == y.dtype == np.float64:
            return float(np.dot(x, y)) if x.size <= LONGEST else _long(x, y)
        return float(np.einsum("i,i", x, y, dtype=np.float64))


def _long(x: Array, y: Array) -> float:
    pieces = len(x) // LONGEST
    whole = pieces * LONGEST
    sums = np.vecdot(x[:whole].reshape(pieces, LONGEST), y[:whole].reshape(pieces, LONGEST))
    return float(sums.sum() + np.dot(x[whole:], y[whole:]))


@np.errstate(under="ignore")
def norm(x: Array) -> float:
    """||x|| as a float, without overflow or underflow of the squared components."""
    square = inner(x, x)
    if 1e-280 < square < np.inf:
        return math.sqrt(square)
    largest = float(np.abs(x).max(initial=0.0))
    return largest * math.sqrt(inner(x / largest, x / largest)) if 0 < largest < np.inf else largest


def is_zero(product: float, x: Array, y: Array) -> bool:
    """True if (x, y) = `product` is zero to rounding: |(x, y)| <= 32 eps ||x|| ||y||, independent of scale."""
    return abs(product) <= ROUNDING * float(np.finfo(x.dtype).eps) * norm(x) * norm(y)


def underflows(x: Array, y: Array) -> bool:
    """True if x and y are not zero, but the product of their norms is below the smallest normal number."""
    return bool(x.any() and y.any()) and norm(x) * norm(y) < np.finfo(np.float64).tiny


class Matrix:
    """A matrix as the solvers use it: A @ v (n,) is a new array of the vectors' dtype.

    The function behind it may return one buffer again and again, or wider numbers than the vectors.

    Attributes
    ----------
    shape : (n, n)
    dtype : float32 or float64
    """

    def __init__(self, argument: str, given: Any, dtype: DTypeLike):
        self.argument, self.given, self.dtype = argument, given, np.dtype(dtype)
        self.shape: tuple[int, int] = given.shape
        self.product: Callable[[Array], Array] = given.matvec
        if isinstance(given, SymmetricOperator) and given.dtype == self.dtype:
            self.product = given.product  # not through SciPy

    def __repr__(self):
        return f"<{self.shape[0]}x{self.shape[1]} matrix {self.argument} with dtype={self.dtype}>"

    def __matmul__(self, v: Array) -> Array:
        """A v (n,)."""
        product = checks.vector(f"product with {self.argument}", self.product(v), self.shape[0], self.dtype)
        return np.array(product)


MatrixLike: TypeAlias = Any  # array, sparse matrix, LinearOperator, Matrix, or function v (n,) -> A v (n,)


def system(
    A: MatrixLike, b: Any, x0: Any = None, M: MatrixLike | None = None
) -> tuple[Matrix, Array, Array | None, Matrix | None]:
    """A, b, x0 and M as matrices (n, n) and vectors (n,) of their common dtype.

    The dtype of a plain function is that of b.

    Raises
    ------
    ValueError
        For shapes that do not fit, or numbers that are not real.
    """
    if is_function(A):
        b = checks.vector("b", b, None)
    operator = linear_operator("A", A, len(b) if is_function(A) else None, b)
    n = operator.shape[0]
    inverse = None if M is None else linear_operator("M", M, n, b)
    b = checks.vector("b", b, n)
    dtype = np.result_type(operator.dtype, b, *(() if inverse is None else (inverse.dtype,)))
    dtype = np.float32 if dtype == np.float32 else np.float64
    x0 = None if x0 is None else checks.vector("x0", x0, n, dtype)
    preconditioner = None if inverse is None else matrix("M", inverse, dtype)
    return matrix("A", operator, dtype), b.astype(dtype, copy=False), x0, preconditioner


def matrix(argument: str, given: Any, dtype: DTypeLike) -> Matrix:
    """A LinearOperator as a `Matrix`."""
    if isinstance(given, Matrix):
        return given if given.dtype == dtype else Matrix(argument, given.given, dtype)
    return Matrix(argument, given, dtype)


def is_function(given: Any) -> bool:
    """True if `given` is a plain function; a LinearOperator can be called, too."""
    return callable(given) and not hasattr(given, "shape")


def linear_operator(argument: str, given: MatrixLike, n: int | None = None, like: Any = None) -> Any:
    """`given` as a LinearOperator (or the `Matrix` that it is), (n, n), or square if n is None.

    A plain function becomes an operator (n, n) of the dtype of `like`, float64 if `like` is no float32 vector.

    Raises
    ------
    ValueError
        If it is none of these, has another shape, or numbers that are not real.
    """
    if isinstance(given, Matrix):
        return given
    if is_function(given) and n is not None:
        dtype = np.float32 if getattr(like, "dtype", None) == np.float32 else np.float64
        return SymmetricOperator(given, n, dtype)
    checks.unmasked(argument, given)
    try:
        operator = cast(Any, aslinearoperator(given))
    except (TypeError, ValueError):
        raise ValueError(
            f"{argument}: expected an array, sparse matrix, LinearOperator or function; got {given!r}"
        ) from None
    rows = operator.shape[0] if n is None else n
    if operator.shape != (rows, rows) or np.dtype(operator.dtype).kind not in "fiub":
        expected = "a square matrix" if n is None else f"shape ({n}, {n})"
        raise ValueError(
            f"{argument}: expected {expected} of real numbers; got {operator.dtype} of shape {operator.shape}"
        )
    return operator


def start(A: Matrix, b: Array, x0: Array | None) -> tuple[Array, Array]:
    """x_0 and r_0 = b - A x_0; a start from zero costs no product.

    A start that is not finite is replaced by zero, with a residual of NaN.
    """
    if x0 is None:
        return np.zeros_like(b), b.copy()
    x = np.array(x0, b.dtype)
    with np.errstate(all="ignore"):
        r = b - A @ x
    return (x, r) if np.isfinite(x).all() else (np.zeros_like(b), np.full_like(b, np.nan))
