"""A line search for the strong Wolfe conditions: Nocedal and Wright 2006, Algorithms 3.5 and 3.6.

phi(alpha) = f(theta + alpha d). Wanted is an alpha with
phi(alpha) <= phi(0) + c_1 alpha phi'(0) and |phi'(alpha)| <= c_2 |phi'(0)|  (equations 3.7).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

from refhf.krylov.arithmetic import inner, norm
from refhf.methods.search.armijo import Search
from refhf.model.blocks import Array
from refhf.objective.protocol import Objective

C_1, C_2 = 1e-4, 0.1  # Nocedal and Wright 2006, section 3.1, c_2 for conjugate gradients
GROW = 2.0  # our choice: alpha_{i+1} / alpha_i of Algorithm 3.5
TRIES = 40  # our choice: evaluations, of both algorithms together
MARGIN = 0.1  # our choice: how near the ends of its interval an interpolated alpha may come, as a part of it


class TrialStep(NamedTuple):
    """alpha, phi(alpha) and phi'(alpha)."""

    alpha: float
    value: float
    slope: float


def wolfe(along: Callable[[float], tuple[float, float]], f: float, slope: float, first: float) -> Search:
    """A step length that satisfies the conditions, and f there; 0 and f if 40 evaluations find none.

    Where they run out, or the interval in hand is down to rounding, its lower end is returned if f is lower there than
    at 0: it satisfies the first condition.

    Parameters
    ----------
    along : callable
        alpha -> (phi(alpha), phi'(alpha)); not finite is refused.
    f, slope : float
        phi(0), and phi'(0) < 0.
    first : float
        The first alpha tried. There is no step length where it is 0: 1 / ||d|| of a d beyond the range.
    """
    if first == 0:
        return Search(0.0, f)
    start = last = low = TrialStep(0.0, f, slope)
    high, alpha = None, first
    for _ in range(TRIES):
        point = TrialStep(alpha, *along(alpha))
        finite = math.isfinite(point.value) and math.isfinite(point.slope)
        too_high = not finite or point.value > f + C_1 * alpha * slope
        if high is None:  # Algorithm 3.5: from alpha_{i-1} on to alpha_i
            if too_high or (point.value >= last.value and last.alpha > 0):
                low, high = last, point
            elif abs(point.slope) <= -C_2 * slope:
                return Search(alpha, point.value)
            elif point.slope >= 0:
                low, high = point, last
            else:
                last = low = point
                alpha *= GROW
                continue
        elif too_high or point.value >= low.value:  # Algorithm 3.6
            high = point
        elif abs(point.slope) <= -C_2 * slope:
            return Search(alpha, point.value)
        else:
            low, high = point, (low if point.slope * (high.alpha - low.alpha) >= 0 else high)
        alpha = between(low, high)
        if alpha in (low.alpha, high.alpha):  # neighbours, to rounding
            break
    return Search(low.alpha, low.value) if low.value < start.value else Search(0.0, f)


def between(low: TrialStep, high: TrialStep) -> float:
    """The minimum of the cubic through both points and slopes (equation 3.59), kept off the ends of the interval.

    The middle where there is no such minimum.
    """
    width = high.alpha - low.alpha
    middle = low.alpha + width / 2
    d_1 = low.slope + high.slope - 3 * (low.value - high.value) / (low.alpha - high.alpha)
    square = d_1 * d_1 - low.slope * high.slope
    if not 0 <= square < math.inf:
        return middle
    d_2 = math.copysign(math.sqrt(square), width)
    denominator = high.slope - low.slope + 2 * d_2
    if denominator == 0:
        return middle
    alpha = high.alpha - width * (high.slope + d_2 - d_1) / denominator
    inside = MARGIN <= (alpha - low.alpha) / width <= 1 - MARGIN
    return alpha if inside else middle


def phi(objective: Objective, theta: Array, d: Array) -> Callable[[float], tuple[float, float]]:
    """The function alpha -> (phi(alpha), phi'(alpha)) along d (P,) from theta (P,)."""

    def along(alpha: float) -> tuple[float, float]:
        f, g = objective.value_and_gradient(theta + alpha * d)
        return f, inner(g, d)

    return along


def first_trial(f: float, f_old: float, slope: float, d: Array) -> float:
    """The minimum of the quadratic that falls to f as f_old did (Nocedal and Wright 2006, equation 3.60).

    At the first step, or where f did not fall, a step of length 1: our choice.
    """
    return 2 * (f - f_old) / slope if f < f_old else 1 / norm(d)
