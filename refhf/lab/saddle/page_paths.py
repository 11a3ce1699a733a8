"""The trajectories of the saddle page as JSON: their visible points, and numbers without rounding errors."""

import json
from collections.abc import Sequence

import numpy as np

from refhf.lab.saddle import escape_reasons, saddle_table, saddle_wording
from refhf.lab.saddle.trajectories import BESIDE, Ending, Trajectory, beside_minimum, dense_hessian
from refhf.surfaces.stationary_points import Surface

# Our choices.
STILL = 1e-6  # points this near to the last are not shown one by one
HOVER = 5  # steps shown of noise about a minimum
ROUNDING = 1e-15  # coordinates this small are shown as 0; gradients, relative to the largest curvature
FLAT = 1e-8  # curvatures this small relative to the largest are shown as 0
COLUMNS = "x", "y", "f", "gx", "gy", "low", "high", "angle", "curvature", "off", "reason"


def trajectory_json(one: Trajectory, reasons_given: Sequence[str]) -> str:
    """A trajectory as JSON: points to four digits, other numbers to three.

    A row has COLUMNS: the angle is that of the eigenvector of `low`, in degrees; `off` is the component along negative
    curvature, 0 only for an exact zero.
    """
    points = visible_points(one)
    sizes = escape_reasons.distances_off(one) or [np.nan] * len(points)
    numbers = [
        f"{number_list([*point_shown, point.value], 4)},{number_list([*rest, off], 3)},"
        f"{reasons_given.index(point.reason)}"
        for point, off in zip(points, sizes, strict=False)
        for point_shown, rest in [shown_numbers(one.surface, point)]
    ]
    controls = {k: p.theta + p.tangent / 2 for k, p in enumerate(points) if p.tangent is not None}
    bends = ",".join(f'"{k}":[{number_list(control, 4)}]' for k, control in controls.items())  # quadratic Bezier curves
    says = {
        "ending": saddle_wording.ending_group(one),
        "right": is_right(one),
        "outcome": saddle_wording.raise_powers(saddle_wording.describe_outcome(one)),
        "why": saddle_wording.true_minus(saddle_wording.raise_powers(saddle_table.explain_ending(one))),
    }
    return f'{json.dumps(says, separators=(",", ":"))[:-1]},"numbers":[{",".join(numbers)}],"bends":{{{bends}}}}}'


def is_right(one: Trajectory) -> bool:
    """True if this method is in the answer: it leaves the saddle or, on a surface without one, reaches a minimum."""
    if one.surface.saddle is None:
        return saddle_wording.GROUPS.get(one.ending) == "minimum"
    return escape_reasons.steps_to_leave(one, saddle_table.escape_radius(one.surface)) is not None


def visible_points(one: Trajectory) -> list:
    """The points without a tail in which nothing visible happens; the last point, without a step, is that of the path.

    Of noise that hovers about a minimum it is a point there.
    """
    last = one.points[-1].theta
    if one.ending is Ending.NEAR_MINIMUM:
        arrived = [beside_minimum(one.surface, p) and np.linalg.norm(p.theta - last) <= BESIDE for p in one.points]
        keep = min(arrived.index(True) + HOVER, len(arrived) - 1)
        end = one.points[keep]
    else:
        still = [bool(np.linalg.norm(point.theta - last) <= STILL) for point in one.points]
        keep = len(still) - (still[::-1].index(False) if False in still else len(still))
        end = one.points[-1]
    return [*one.points[:keep], end._replace(curvature=np.nan, tangent=None, reason=one.points[-1].reason)]


def largest_curvature(surface: Surface) -> float:
    """The largest absolute eigenvalue at a listed stationary point, or 1."""
    return float(max([1.0, *(abs(p.eigenvalues).max() for p in surface.stationary if p.eigenvalues is not None)]))


def shown_numbers(surface: Surface, point):
    """The point (2,) and the rest as the page shows them: what rounding may have made is 0."""
    largest = largest_curvature(surface)
    vector = np.linalg.eigh(dense_hessian(surface, point.theta))[1][:, 0]
    angle = np.degrees(np.arctan2(vector[1], vector[0])) % 180
    gradient = _without(point.gradient, ROUNDING * largest)
    curvatures = _without(np.array([*point.eigenvalues[[0, -1]], point.curvature]), FLAT * largest)
    return _without(point.theta, ROUNDING), [*gradient, *curvatures[:2], angle, curvatures[2]]


def _without(numbers, small):
    return np.where(abs(numbers) <= small, 0.0, numbers)


def number_list(numbers, digits: int) -> str:
    """Numbers as JSON, separated by commas; NaN is null."""
    return ",".join("null" if np.isnan(x) else f"{x + 0.0:.{digits}g}" for x in numbers)
