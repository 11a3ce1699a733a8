"""Inner products as the solvers need them."""

import numpy as np


def inner(x, y) -> float:
    """(x, y) as a float, accumulated in float64 also for float32 vectors: it steers control flow."""
    if x.dtype == y.dtype == np.float64:
        return float(np.dot(x, y))
    return float(np.einsum("i,i", x, y, dtype=np.float64))


def is_zero(product: float, x, y) -> bool:
    """Whether (x, y) = `product` is zero to rounding: |(x, y)| <= eps ||x|| ||y||, whatever the scale."""
    return abs(product) <= np.finfo(x.dtype).eps * float(np.linalg.norm(x)) * float(np.linalg.norm(y))


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
