"""The trajectories of the saddle page as JSON: their visible points, and numbers without rounding errors."""

import numpy as np

from refhf.lab.saddle import escape_reasons, saddle_table, saddle_wording
from refhf.lab.saddle.trajectories import BESIDE, Ending, Trajectory, beside_minimum
from refhf.surfaces.stationary_points import Surface

# Our choices.
STILL = 1e-6  # points this near to the last are not shown one by one
HOVER = 5  # steps shown of noise about a minimum
ROUNDING = 1e-15  # coordinates this small are shown as 0; gradients, relative to the largest curvature
FLAT = 1e-8  # curvatures this small relative to the largest are shown as 0
COLUMNS = "x", "y", "f", "gx", "gy", "low", "high", "angle", "curvature", "off", "reason"
DIGITS = 4, 4, 4, 3, 3, 3, 3, 3, 3, 3


def trajectory_facts(one: Trajectory, reasons: dict[str, int]) -> dict:
    """A trajectory as the page draws it.

    Parameters
    ----------
    one : Trajectory
    reasons : dict
        The sentences met so far, with a number each; new ones are added.

    Returns
    -------
    dict
        `numbers` are rows of COLUMNS, points to four digits and the rest to three: the angle is that of the eigenvector
        of `low`, in degrees; `off` is the component along negative curvature, 0 only for an exact zero. `bends` are the
        control points of curved steps (quadratic Bezier curves), `end` the number of the listed minimum at the end, or
        -1.
    """
    points = visible_points(one)
    sizes = escape_reasons.distances_off(one) or [np.nan] * len(points)
    table = np.column_stack([shown_numbers(one.surface, points), sizes[: len(points)]]).tolist()
    numbers = []
    for row, point in zip(table, points, strict=True):
        numbers += [short(x, digits) for x, digits in zip(row, DIGITS, strict=True)]
        numbers.append(reasons.setdefault(saddle_wording.raise_powers(point.reason), len(reasons)))
    return {
        "ending": saddle_wording.ending_group(one),
        "end": minimum_reached(one),
        "right": is_right(one),
        "outcome": saddle_wording.raise_powers(saddle_wording.describe_outcome(one)),
        "why": saddle_wording.true_minus(saddle_wording.raise_powers(saddle_table.explain_ending(one))),
        "numbers": numbers,
        "bends": {
            str(k): [short(x, 4) for x in p.theta + p.tangent / 2]
            for k, p in enumerate(points)
            if p.tangent is not None
        },
    }


def is_right(one: Trajectory) -> bool:
    """True if this method is in the answer: it leaves the saddle or, on a surface without one, reaches a minimum."""
    if one.surface.saddle is None:
        return saddle_wording.GROUPS.get(one.ending) == "minimum"
    return escape_reasons.steps_to_leave(one, saddle_table.escape_radius(one.surface)) is not None


def minimum_reached(one: Trajectory) -> int:
    """The number of the listed minimum nearest to the end, if that is a minimum; else -1."""
    if saddle_wording.GROUPS.get(one.ending) != "minimum" or not one.surface.minima:
        return -1
    return int(np.argmin([np.linalg.norm(one.points[-1].theta - minimum) for minimum in one.surface.minima]))


def visible_points(one: Trajectory) -> list:
    """The points without a tail in which nothing visible happens; the last point, without a step, is that of the path.

    Of noise that hovers about a minimum it is a point there.
    """
    last = one.points[-1].theta
    away = np.linalg.norm(np.array([point.theta for point in one.points]) - last, axis=1)
    if one.ending is Ending.NEAR_MINIMUM:
        arrived = [bool(beside_minimum(one.surface, p) and d <= BESIDE) for p, d in zip(one.points, away, strict=True)]
        keep = min(arrived.index(True) + HOVER, len(arrived) - 1)
        end = one.points[keep]
    else:
        still = (away <= STILL).tolist()
        keep = len(still) - (still[::-1].index(False) if False in still else len(still))
        end = one.points[-1]
    return [*one.points[:keep], end._replace(curvature=np.nan, tangent=None, reason=one.points[-1].reason)]


def largest_curvature(surface: Surface) -> float:
    """The largest absolute eigenvalue at a listed stationary point, or 1."""
    return float(max([1.0, *(abs(p.eigenvalues).max() for p in surface.stationary if p.eigenvalues is not None)]))


def shown_numbers(surface: Surface, points) -> np.ndarray:
    """The rows of the points, `off` and `reason` left out: what rounding may have made is 0."""
    largest = largest_curvature(surface)
    finite = [np.isfinite(p.hessian).all() for p in points]
    vectors = np.linalg.eigh([p.hessian if good else np.eye(2) for p, good in zip(points, finite, strict=True)])[1]
    angles = np.degrees(np.arctan2(vectors[:, 1, 0], vectors[:, 0, 0])) % 180
    return np.column_stack(
        [
            _without(np.array([p.theta for p in points]), ROUNDING),
            [p.value for p in points],
            _without(np.array([p.gradient for p in points]), ROUNDING * largest),
            _without(np.array([p.eigenvalues[[0, -1]] for p in points]), FLAT * largest),
            angles,
            _without(np.array([p.curvature for p in points]), FLAT * largest),
        ]
    )


def _without(numbers, small):
    return np.where(abs(numbers) <= small, 0.0, numbers)


def short(x: float, digits: int) -> float | int | None:
    """A number of so many digits for JSON; what is not finite is null."""
    if not np.isfinite(x):
        return None
    x = float(f"{x:.{digits}g}")
    return int(x) if x.is_integer() and abs(x) < 1e15 else x
