"""Richardson-extrapolated central differences: first and second derivatives to some 13 digits, with an error estimate.

Source: Ridders 1982, Accurate computation of F'(x) and F'(x) F''(x), Advances in Engineering Software 4(2), pages 75 to
76: the entry of Neville's tableau with the smallest estimated error is taken, not the last.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from refhf.conformance.oracles import norm
from refhf.model.blocks import Array

ROWS = 12  # steps of a tableau, each half the last; our choice
FIRST_STEPS = 1.0, 2.0**-10, 2.0**-20  # of tableaux, the next if the last is no good: a kink is near; our choice
ENOUGH = 1e-11  # relative bound at which no further tableau is made; our choice
LAST_STEP = 2.0**-28  # of the plain difference that must agree: a kink closer than the others' steps; our choice
AMPLIFIED = 2.0  # the sum of a row's absolute weights is below prod (4^j + 1)/(4^j - 1) < 2


class Extrapolated(NamedTuple):
    """A derivative, and a measured bound on its truncation and rounding error."""

    derivative: Array
    bound: float


def extrapolated(difference: Callable[[float], Array], noise: Callable[[float], float]) -> Extrapolated:
    """The limit for t -> 0 of a difference whose truncation error is a series in t^2.

    Parameters
    ----------
    difference : callable
        t -> array, such as (f(x + t v) - f(x - t v)) / 2t.
    noise : callable
        t -> the norm of the difference's rounding error.

    Examples
    --------
    >>> import numpy as np
    >>> found = extrapolated(lambda t: np.array((np.exp(t) - np.exp(-t)) / (2 * t)), lambda t: 1e-16 / t)
    >>> bool(abs(found.derivative - 1) <= found.bound < 1e-13)
    True
    """
    best, last = Extrapolated(np.zeros(()), np.inf), difference(LAST_STEP)
    for first in FIRST_STEPS:
        found = _tableau(difference, noise, first)
        gap = norm(last - found.derivative)
        if gap > noise(LAST_STEP):
            found = found._replace(bound=max(found.bound, gap + noise(LAST_STEP)))
        best = min(best, found, key=_bound)
        if best.bound <= ENOUGH * norm(best.derivative):
            break
    return best


def _tableau(difference: Callable[[float], Array], noise: Callable[[float], float], first: float) -> Extrapolated:
    """The entry of Neville's tableau of differences with the smallest bound."""
    best, above = Extrapolated(difference(first), np.inf), []
    for t in map(float, first / 2.0 ** np.arange(ROWS)):
        row = [difference(t)]
        for j, old in enumerate(above, 1):
            row.append(row[-1] + (row[-1] - old) / (4**j - 1))  # T_ij = T_i,j-1 + (T_i,j-1 - T_i-1,j-1)/(4^j - 1)
            bound = max(norm(row[j] - other) for other in (row[j - 1], *above[j - 1 : j + 1]))
            best = min(best, Extrapolated(row[j], bound + AMPLIFIED * noise(t)), key=_bound)
        above = row
    return best


def _bound(found: Extrapolated) -> float:
    return found.bound if np.isfinite(found.bound) else np.inf


def slopes(
    f: Callable[[Array], Any], x: Array, V: Array, noise: float, also: Array | None = None
) -> tuple[Extrapolated, ...]:
    """The derivatives of f (...) at x (P,) along the columns of V (P, k), joined (..., k); `noise` is f's rounding.

    With `also` (P, m), those of also' f as well, whose bound is their own.
    """

    @cache
    def difference(t: float) -> Array:
        return np.stack([(f(x + t * v) - f(x - t * v)) / (2 * t) for v in V.T], axis=-1)

    def rounding(t: float) -> float:
        return noise * np.sqrt(V.shape[1]) / t

    found = extrapolated(difference, rounding)
    if also is None:
        return (found,)
    return found, extrapolated(lambda t: also.T @ difference(t), lambda t: rounding(t) * norm(also) / np.sqrt(len(x)))


def curvatures(f: Callable[[Array], float], x: Array, V: Array, noise: float) -> Extrapolated:
    """V' H V (k, k) of a function f of x (P,) by values alone: (f(+v+w) - f(+v-w) - f(-v+w) + f(-v-w)) / 4t^2."""
    k = V.shape[1]

    def mixed(t: float, v: Array, w: Array) -> float:
        plus, minus = t * (v + w), t * (v - w)
        return (f(x + plus) + f(x - plus) - f(x + minus) - f(x - minus)) / (4 * t * t)

    def difference(t: float) -> Array:
        found = np.zeros((k, k))
        for i in range(k):
            for j in range(i + 1):
                found[i, j] = found[j, i] = mixed(t, V[:, i], V[:, j])
        return found

    return extrapolated(difference, lambda t: noise * k / (t * t))
