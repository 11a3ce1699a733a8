"""Derivatives that need no derivation, and laws that every curvature product obeys.

Each takes plain functions of a vector and knows nothing of networks or of the sweeps that it is held against.

Sources: Squire and Trapp 1998 (complex step); Nocedal and Wright 2006, section 8.1 (steps of finite differences);
Claerbout 2014, Image Estimation by Example, section 2.3 (the dot-product test of an operator and its adjoint).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

STEP = 1e-20  # nothing is subtracted in a complex step, so that one this small is exact to rounding
ROUNDINGS = 4  # eps that an argument is moved by to see what rounding does to a function: our choice
DRAWS = 3  # of that: our choice


class Difference(NamedTuple):
    """A finite difference (n,) or (), and a bound of its error: truncation and rounding, both measured."""

    derivative: np.ndarray
    bound: float


def complex_step(function: Callable, x, v):
    """The derivative of `function` at x (P,) along v (P,), exact to rounding where the function is analytic.

    Blind to what the function takes from x.real alone, from an absolute value or from a conjugate.

    Examples
    --------
    >>> complex_step(np.exp, np.zeros(1), np.ones(1))
    array([1.])
    """
    return np.imag(function(x + 1j * STEP * v)) / STEP


def rounding(function: Callable, *vectors, eps: float, rng=None):
    """How far rounding moves a function: the largest ||function(x (1 + 4 eps N)) - function(x)||, N ~ N(0, 1).

    What a function subtracts within itself shows here too, because a moved argument is rounded anew. At least
    eps ||function(x)||.
    """
    rng, here = np.random.default_rng(rng), function(*vectors)
    draws = DRAWS if np.ndim(here) else 4 * DRAWS  # a number may happen not to move
    far = [norm(function(*(moved(x, eps, rng) for x in vectors)) - here) for _ in range(draws)]
    return max(*far, eps * norm(here))


def moved(x, eps: float, rng):
    """x with each component moved by a few roundings."""
    return x * (1 + ROUNDINGS * eps * rng.standard_normal(x.shape))


def central_difference(function: Callable, x, v, eps: float = np.finfo(float).eps) -> Difference:
    """(f(x + t v) - f(x - t v)) / 2t, for the t among a few near eps^(1/3), scaled by norms, of the least bound.

    The truncation error, c t^2, is a third of what doubling t changes, and a twelfth of what doubling it again does;
    the larger counts, and a kink within reach shows there as well.
    """
    noise = rounding(function, x, eps=eps, rng=0)
    candidates = []
    for factor in (1.0, 0.1, 0.01):  # a smaller step where the function bends or has a kink
        t = factor * eps ** (1 / 3) * (norm(x) or 1.0) / norm(v)
        near, far, farther = ((function(x + s * v) - function(x - s * v)) / (2 * s) for s in (t, 2 * t, 4 * t))
        truncation = max(norm(far - near) / 3, norm(farther - far) / 12)
        candidates.append(Difference(near, truncation + noise / t))
    best = min(candidates, key=lambda difference: difference.bound)
    gaps = (norm(best.derivative - other.derivative) - 3 * other.bound for other in candidates)
    return best._replace(bound=max(best.bound, *gaps))  # a kink nearer than t leaves no trace but that they disagree


def forward_difference(function: Callable, x, v, eps: float = np.finfo(float).eps) -> Difference:
    """(f(x + t v) - f(x)) / t with t = eps^(1/2), scaled by norms: one evaluation fewer, and half of the digits.

    Examples
    --------
    >>> round(float(forward_difference(np.exp, np.zeros(1), np.ones(1)).derivative[0]), 6)
    1.0
    """
    here, t = function(x), eps ** (1 / 2) * (norm(x) or 1.0) / norm(v)
    near, far = ((function(x + s * v) - here) / s for s in (t, 2 * t))
    return Difference(near, norm(far - near) + rounding(function, x, eps=eps, rng=0) / t)


def taylor_rate(function: Callable, x, v, derivative, t: float, halvings: int = 4):
    """The p of ||f(x + t v) - f(x) - t derivative|| = O(t^p) over halvings of t, and the last of these remainders.

    2 where the derivative is right, 1 where it is not. f is a vector: the remainder of a scalar can pass through zero.
    """
    here = function(x)
    first, last = (norm(function(x + s * v) - here - s * derivative) for s in (t, t / 2**halvings))
    return float(np.log2(first / last)) / halvings if last and first else np.inf, last


def dense(product: Callable, size: int):
    """The matrix (P, P) of a product, a column a product. For small P."""
    return np.stack([product(column) for column in np.eye(size)], axis=1)


def dot_test(forward: Callable, adjoint: Callable, v, u):
    """u'(F v) and (F' u)'v, which are equal if `adjoint` is the transpose of `forward`."""
    return float(np.vdot(u, forward(v))), float(np.vdot(adjoint(u), v))


def asymmetry(v, w, Hv, product_w) -> float:
    """|w'(H v) - v'(H w)|: 0 for a symmetric H."""
    return abs(float(w @ Hv) - float(v @ product_w))


def nonlinearity(product: Callable, v, w, Hv, product_w, a: float = 2.5, b: float = -0.75) -> float:
    """||H (a v + b w) - a H v - b H w||: 0 for a linear H."""
    return norm(product(a * v + b * w) - a * Hv - b * product_w)


def norm(x) -> float:
    """||x||; Inf or NaN where it is that."""
    with np.errstate(all="ignore"):
        return float(np.linalg.norm(x))
