"""Vectors as the solvers need them: inner products, norms, and a linear system checked."""

import math

import numpy as np
from scipy.sparse.linalg import aslinearoperator

from refhf import checks

# An inner product of unit vectors that should be 0 comes out at up to this many eps: our choice, from 30,000
# rotations of small systems whose exact recurrences break down (the largest was 19; 1 misses half of them).
ROUNDING = 32


# OpenBLAS shares out longer ones among its threads, whose number then decides the last bits (interface/ddot.c).
LONGEST = 10_000


def inner(x, y) -> float:
    """(x, y) as a float, accumulated in float64 also for float32 vectors: it steers control flow.

    Its bits do not depend on the number of BLAS threads, which changes while other threads sweep
    (`refhf.objective.chunks`).
    """
    with np.errstate(all="ignore"):
        if x.dtype == y.dtype == np.float64:
            return float(np.dot(x, y)) if x.size <= LONGEST else _long(x, y)
        return float(np.einsum("i,i", x, y, dtype=np.float64))


def _long(x, y):
    pieces = len(x) // LONGEST
    whole = pieces * LONGEST
    of_pieces = np.vecdot(x[:whole].reshape(pieces, LONGEST), y[:whole].reshape(pieces, LONGEST))
    return float(of_pieces.sum() + np.dot(x[whole:], y[whole:]))


class lazy:  # noqa: N801 : used as property is
    """An attribute made when it is first looked at: functools.cached_property without the lock it had in Python 3.11.

    All instances of a class shared that lock. Threads that made an A p waited for each other, ranks among them for
    ever, and a child forked meanwhile found it locked.
    """

    def __init__(self, make):
        self.make, self.__doc__ = make, make.__doc__

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, instance, owner=None):
        if instance is None:
            return self
        made = instance.__dict__[self.name] = self.make(instance)
        return made


@np.errstate(under="ignore")
def norm(x) -> float:
    """||x|| as a float, also where the squares of its components would over- or underflow."""
    square = inner(x, x)
    if 1e-280 < square < np.inf:
        return math.sqrt(square)
    largest = float(np.abs(x).max(initial=0.0))
    return largest * math.sqrt(inner(x / largest, x / largest)) if 0 < largest < np.inf else largest


def is_zero(product: float, x, y) -> bool:
    """Whether (x, y) = `product` is zero to rounding: |(x, y)| <= 32 eps ||x|| ||y||, whatever the scale."""
    return abs(product) <= ROUNDING * float(np.finfo(x.dtype).eps) * norm(x) * norm(y)


def underflows(x, y) -> bool:
    """Whether the norms of x and y, neither of them zero, put (x, y) below the smallest normal number."""
    return bool(x.any() and y.any()) and norm(x) * norm(y) < np.finfo(np.float64).tiny


class Matrix:
    """A product as the solvers use it, v (n,) -> A v (n,): each answer is an array of its own, in one dtype.

    The caller's function may give one array again and again, and its numbers may be wider than the vectors.

    Attributes
    ----------
    shape : (n, n)
    dtype : float32 or float64
    """

    def __init__(self, argument: str, given, dtype):
        self.argument, self.given, self.shape, self.dtype = argument, given, given.shape, np.dtype(dtype)

    def __repr__(self):
        return f"<{self.shape[0]}x{self.shape[1]} matrix {self.argument} with dtype={self.dtype}>"

    def __matmul__(self, v):
        """A v (n,)."""
        answer = self.given.matvec(v)
        return np.array(checks.vector(f"product with {self.argument}", answer, self.shape[0], self.dtype))


def system(A, b, x0=None, M=None):
    """A, b, x0, M as matrices (n, n) and vectors (n,) of their common dtype; ValueError for what does not fit."""
    A = linear_operator("A", A)
    n = A.shape[0]
    M = None if M is None else linear_operator("M", M, n)
    b = checks.vector("b", b, n)
    dtype = np.result_type(A.dtype, b, *(() if M is None else (M.dtype,)))
    dtype = np.float32 if dtype == np.float32 else np.float64
    x0 = None if x0 is None else checks.vector("x0", x0, n, dtype)
    return matrix("A", A, dtype), b.astype(dtype, copy=False), x0, None if M is None else matrix("M", M, dtype)


def matrix(argument: str, given, dtype) -> Matrix:
    """A LinearOperator as a `Matrix`."""
    return given if isinstance(given, Matrix) and given.dtype == dtype else Matrix(argument, given, dtype)


def linear_operator(argument: str, given, n: int | None = None):
    """`given` as a LinearOperator, (n, n) if n is not None, or square; ValueError if it is none of real numbers."""
    if isinstance(given, Matrix):
        return given
    checks.unmasked(argument, given)
    try:
        operator = aslinearoperator(given)
    except (TypeError, ValueError):
        raise ValueError(f"{argument}: expected an array, sparse matrix or LinearOperator; got {given!r}") from None
    rows = operator.shape[0] if n is None else n
    if operator.shape != (rows, rows) or np.dtype(operator.dtype).kind not in "fiub":
        expected = "a square matrix" if n is None else f"shape ({n}, {n})"
        raise ValueError(
            f"{argument}: expected {expected} of real numbers; got {operator.dtype} of shape {operator.shape}"
        )
    return operator


def start(A, b, x0):
    """x_0 and r_0 = b - A x_0; no product is spent on a start from zero.

    A start that is not finite, or whose residual is not, becomes zero with a residual of NaN: the caller sees it.
    """
    if x0 is None:
        return np.zeros_like(b), b.copy()
    x = np.array(x0, b.dtype)
    with np.errstate(all="ignore"):
        r = b - A @ x
    return (x, r) if np.isfinite(x).all() else (np.zeros_like(b), np.full_like(b, np.nan))
