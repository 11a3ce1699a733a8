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

    Its bits do not depend on the number of BLAS threads, which changes while other threads sweep (`refhf.threads`).
    """
    with np.errstate(over="ignore", invalid="ignore"):
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


def system(A, b, x0=None, M=None):
    """A, b, x0, M as operators (n, n) and vectors (n,) of their common dtype; ValueError for what does not fit."""
    A = _operator("A", A, None)
    n = A.shape[0]
    M = None if M is None else _operator("M", M, n)
    dtype = np.result_type(A.dtype, np.asarray(b), *(() if M is None else (M.dtype,)))
    dtype = np.float32 if dtype == np.float32 else np.float64
    return A, checks.vector("b", b, n, dtype), None if x0 is None else checks.vector("x0", x0, n, dtype), M


def _operator(argument, given, n):
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
    with np.errstate(over="ignore", invalid="ignore"):
        r = b - A @ x
    return (x, r) if np.isfinite(x).all() else (np.zeros_like(b), np.full_like(b, np.nan))
