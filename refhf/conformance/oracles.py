"""Numerical derivatives, and laws that every curvature product obeys.

Each takes plain functions of a vector and is independent of the sweeps that it verifies.

Sources: Squire and Trapp 1998 (complex step); Nocedal and Wright 2006, section 8.1 (steps of finite differences);
Claerbout 2014, Image Estimation by Example, section 2.3 (the dot-product test of an operator and its adjoint).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from refhf.model.blocks import Array

VectorFunction = Callable[..., Any]

STEP = 1e-20  # a complex step subtracts nothing, so a step this small is exact to rounding
ROUNDINGS = 4  # relative size, in eps, of the perturbations that measure rounding: our choice
EPS = float(np.finfo(float).eps)
DRAWS = 3  # number of such perturbations: our choice


class FiniteDifference(NamedTuple):
    """A finite difference (n,) or (), and a measured bound on its truncation and rounding error."""

    derivative: Array
    bound: float


def complex_step(function: VectorFunction, x: Array, v: Array) -> Array:
    """The derivative of an analytic `function` at x (P,) along v (P,), exact to rounding.

    Wrong where the function uses x.real alone, an absolute value or a conjugate.

    Examples
    --------
    >>> complex_step(np.exp, np.zeros(1), np.ones(1))
    array([1.])
    """
    return np.imag(function(x + 1j * STEP * v)) / STEP


def rounding(function: VectorFunction, *vectors: Array, eps: float, rng: Any = None) -> float:
    """Sensitivity to rounding: the largest ||function(x (1 + 4 eps N)) - function(x)||, N ~ N(0, 1).

    Cancellation inside the function shows here too, because each perturbed argument is rounded anew. The result is
    at least eps ||function(x)||.
    """
    rng, here = np.random.default_rng(rng), function(*vectors)
    draws = DRAWS if np.ndim(here) else 4 * DRAWS  # a single number may stay the same by chance
    far = [norm(function(*(moved(x, eps, rng) for x in vectors)) - here) for _ in range(draws)]
    return max(*far, eps * norm(here))


def moved(x: Array, eps: float, rng: np.random.Generator) -> Array:
    """x with each component perturbed by a few roundings."""
    return x * (1 + ROUNDINGS * eps * rng.standard_normal(x.shape))


def central_difference(function: VectorFunction, x: Array, v: Array, eps: float = EPS) -> FiniteDifference:
    """(f(x + t v) - f(x - t v)) / 2t, with the t, of three near eps^(1/3), that has the smallest bound.

    The truncation error c t^2 is a third of the change when t doubles, and a twelfth of the change when it doubles
    again. The larger estimate is used; it also grows if a kink lies within the step.
    """
    noise = rounding(function, x, eps=eps, rng=0)
    candidates = []
    for factor in (1.0, 0.1, 0.01):  # smaller steps for large curvature or a kink
        t = factor * eps ** (1 / 3) * (norm(x) or 1.0) / norm(v)
        near, far, farther = ((function(x + s * v) - function(x - s * v)) / (2 * s) for s in (t, 2 * t, 4 * t))
        truncation = max(norm(far - near) / 3, norm(farther - far) / 12)
        candidates.append(FiniteDifference(near, truncation + noise / t))
    best = min(candidates, key=lambda difference: difference.bound)
    gaps = (norm(best.derivative - other.derivative) - 3 * other.bound for other in candidates)
    return best._replace(bound=max(best.bound, *gaps))  # a kink closer than t shows only as disagreement


def forward_difference(function: VectorFunction, x: Array, v: Array, eps: float = EPS) -> FiniteDifference:
    """(f(x + t v) - f(x)) / t with t = eps^(1/2), scaled by norms: one evaluation fewer, and half the digits.

    Examples
    --------
    >>> round(float(forward_difference(np.exp, np.zeros(1), np.ones(1)).derivative[0]), 6)
    1.0
    """
    here, t = function(x), eps ** (1 / 2) * (norm(x) or 1.0) / norm(v)
    near, far = ((function(x + s * v) - here) / s for s in (t, 2 * t))
    return FiniteDifference(near, norm(far - near) + rounding(function, x, eps=eps, rng=0) / t)


def taylor_rate(
    function: VectorFunction, x: Array, v: Array, derivative: Array, t: float, halvings: int = 4
) -> tuple[float, float]:
    """The p of ||f(x + t v) - f(x) - t derivative|| = O(t^p) over halvings of t, and the last remainder.

    p is 2 if the derivative is right, else 1. f is a vector, because the remainder of a scalar can pass through zero.
    """
    here = function(x)
    first, last = (norm(function(x + s * v) - here - s * derivative) for s in (t, t / 2**halvings))
    return float(np.log2(first / last)) / halvings if last and first else np.inf, last


def dense(product: VectorFunction, size: int) -> Array:
    """The matrix (P, P) of a product, one product a column. For small P."""
    return np.stack([product(column) for column in np.eye(size)], axis=1)


def dot_test(forward: VectorFunction, adjoint: VectorFunction, v: Array, u: Array) -> tuple[float, float]:
    """u'(F v) and (F'u)'v, which are equal if `adjoint` is the transpose of `forward`."""
    return float(np.vdot(u, forward(v))), float(np.vdot(adjoint(u), v))


def asymmetry(v: Array, w: Array, Hv: Array, product_w: Array) -> float:
    """|w'(H v) - v'(H w)|: 0 for a symmetric H."""
    return abs(float(w @ Hv) - float(v @ product_w))


def nonlinearity(
    product: VectorFunction, v: Array, w: Array, Hv: Array, product_w: Array, a: float = 2.5, b: float = -0.75
) -> float:
    """||H (a v + b w) - a H v - b H w||: 0 for a linear H."""
    return norm(product(a * v + b * w) - a * Hv - b * product_w)


def norm(x: Any) -> float:
    """||x||, without warnings; it may be Inf or NaN."""
    with np.errstate(all="ignore"):
        return float(np.linalg.norm(x))
