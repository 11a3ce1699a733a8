"""Armijo backtracking (He et al. 2016, Algorithm 2, line 9; Nocedal and Wright 2006, Algorithm 3.1)."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

SUFFICIENT, SHRINK, TRIES = 1e-2, 0.8, 60  # c, the factor and the limit of Martens' 2010 code


class Search(NamedTuple):
    """The step length found and f there; 0 and f(theta) where there is none."""

    step_length: float
    value: float


def armijo(along: Callable[[float], float], f: float, slope: float) -> Search:
    """The first alpha in 1, 0.8, 0.64, ... with f(theta + alpha d) <= f(theta) + c alpha g'd.

    Parameters
    ----------
    along : callable
        alpha -> f(theta + alpha d).
    f, slope : float
        f(theta), and g'd < 0 with the gradient that made d.
    """
    return backtrack(along, f, lambda alpha: SUFFICIENT * alpha * slope)


def backtrack(along: Callable[[float], float], f: float, change: Callable[[float], float]) -> Search:
    """The first alpha in 1, 0.8, 0.64, ... at which the value `along` a path is at most f + `change`(alpha)."""
    alpha = 1.0
    for _ in range(TRIES):
        trial = along(alpha)
        if np.isfinite(trial) and trial <= f + change(alpha):
            return Search(alpha, trial)
        alpha *= SHRINK
    return Search(0.0, f)
