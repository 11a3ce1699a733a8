"""Trajectories of methods over a surface: points, derivatives there, and the reason for each step."""

from enum import Enum
from typing import NamedTuple

import numpy as np

from refhf import checks
from refhf.driver.minimize import iterate
from refhf.krylov.lanczos import lanczos_smallest
from refhf.lab.saddle.saddle_methods import SADDLE_METHODS, method_options
from refhf.methods.report import Outcome, Source
from refhf.objective.functions import from_functions
from refhf.surfaces.stationary_points import Surface, dense_hessian

# Our choices.
STATIONARY = 1e-8  # ||g|| at most this: a stationary point
DENSE = 200  # the most parameters for which all eigenvalues are computed
BESIDE = 0.2  # distance from a minimum, or f this low for curvature 1; sgd's noise comes no closer
FAR = 100.0  # a point with a larger coordinate has left the scene
REFUSALS = 10  # rejected steps in a row after which the trajectory ends
NEAR = 1e-3  # distance from a listed stationary point, or an eigenvalue this small


class Ending(Enum):
    """The ending of a trajectory; the value is a sentence."""

    MINIMUM = "a minimum"
    SADDLE = "stationary, not a minimum: smallest eigenvalue {:.3g}"
    DEGENERATE = "stationary, not a minimum, though no eigenvalue is negative"
    MAXIMUM = "a maximum"
    PLATEAU = "stationary, no eigenvalue negative, but f is not at its lowest"
    NEAR_MINIMUM = "not stationary, but beside a minimum"
    UNBOUNDED = "left the scene: f has no minimum"
    REFUSED = "no step was accepted any more"
    MOVING = "not stationary: the steps were used up"
    NON_FINITE = "a number was not finite"


class TrajectoryPoint(NamedTuple):
    """A point of a path, and the step that left it.

    Attributes
    ----------
    theta, gradient : ndarray (P,)
    value : float
    eigenvalues : ndarray
        Of H, ascending: all (P,), or above DENSE parameters the smallest (1,).
    curvature : float
        d'Hd / d'd along the step's initial direction d, with H at the point; NaN without a step.
    tangent : ndarray (P,) or None
        The d of a curved step theta + t d + t^2 s (More and Sorensen 1979), t from 0 to 1; else None.
    reason : str
        The method's sentences on the step, or on why there is none.
    source : Source
        The source of the step's direction.
    hessian : ndarray (P, P) or None
        H at the point; None above DENSE parameters.
    """

    theta: np.ndarray
    gradient: np.ndarray
    value: float
    eigenvalues: np.ndarray
    curvature: float
    tangent: np.ndarray | None
    reason: str
    source: Source
    hessian: np.ndarray | None = None


class Trajectory(NamedTuple):
    """A method's trajectory over a surface.

    Attributes
    ----------
    name : str
        A key of SADDLE_METHODS.
    surface : Surface
    points : tuple of TrajectoryPoint
        The start first; a rejected step repeats its point.
    ending : Ending
    """

    name: str
    surface: Surface
    points: tuple[TrajectoryPoint, ...]
    ending: Ending

    @property
    def verdict(self) -> str:
        """The ending as a sentence."""
        return self.ending.value.format(self.points[-1].eigenvalues[0])


@np.errstate(over="ignore", invalid="ignore")  # what overflows is the ending NON_FINITE
def trace_path(surface: Surface, name: str, start, *, steps: int = 200, seed: int = 0, **more) -> Trajectory:
    """Run a method of the lab from `start` (P,) for at most `steps` steps; `more` are options of the method.

    The trajectory ends early if the method is done, at a stationary point that is not a saddle, or outside the scene.

    Raises
    ------
    ValueError
        For an unknown name, a start of the wrong dimension or not finite, or steps below 1.
    """
    entry = SADDLE_METHODS[checks.choice("method", name, SADDLE_METHODS)]
    theta = checks.array("start", start, (surface.size,), np.float64)
    checks.positive_integer("steps", steps)
    f, given = from_functions(*surface.functions), {**method_options(entry, surface), **more}
    points, refused, ending = [], 0, None
    for report in iterate(f, theta, method=entry.method, rng=seed, **given):
        points.append(_point(surface, theta, report))
        refused = 0 if report.accepted else refused + 1
        if at_rest(points[-1]) and stationary_kind(surface, points[-1]) is Ending.MINIMUM:
            points[-1] = _point(surface, theta)
            break
        theta = report.theta
        if report.outcome is Outcome.NON_FINITE:
            ending = Ending.NON_FINITE
        elif abs(theta).max() > FAR:
            ending = Ending.UNBOUNDED
        if ending or report.outcome is Outcome.STATIONARY or refused > REFUSALS or report.k == steps:
            if report.accepted:
                points.append(_point(surface, theta))
            break
    if ending is None and at_rest(points[-1]):
        ending = stationary_kind(surface, points[-1])
    return Trajectory(name, surface, tuple(points), ending or _unfinished(surface, points[-1], refused))


def at_rest(point: TrajectoryPoint) -> bool:
    """True if the gradient is zero to its tolerance."""
    return bool(np.linalg.norm(point.gradient) <= STATIONARY)


def stationary_kind(surface: Surface, point: TrajectoryPoint) -> Ending:
    """The kind of a stationary point: as the surface lists it, else from its eigenvalues."""
    listed = {
        "minimum": Ending.MINIMUM,
        "saddle": Ending.SADDLE,
        "degenerate saddle": Ending.DEGENERATE,
        "maximum": Ending.MAXIMUM,
    }
    for known in surface.stationary:
        if np.allclose(known.theta, point.theta, rtol=0, atol=NEAR):
            return listed[known.kind]
    if point.eigenvalues[-1] < -NEAR and point.eigenvalues.size == surface.size:
        return Ending.MAXIMUM
    if point.eigenvalues[0] < -NEAR:
        return Ending.SADDLE
    if surface.lowest == -np.inf:
        return Ending.MINIMUM if point.eigenvalues[0] > NEAR else Ending.PLATEAU
    return Ending.MINIMUM if point.value - surface.lowest <= STATIONARY else Ending.PLATEAU


def beside_minimum(surface: Surface, point: TrajectoryPoint) -> bool:
    """True near a listed minimum, or if f is almost at its lowest."""
    near = any(np.linalg.norm(point.theta - minimum) <= BESIDE for minimum in surface.minima)
    return bool(near or point.value - surface.lowest <= BESIDE**2 / 2)


def within(surface: Surface, theta) -> bool:
    """True if a point is in the surface's window."""
    assert surface.window is not None
    x0, x1, y0, y1 = surface.window
    return bool(x0 <= theta[0] <= x1 and y0 <= theta[1] <= y1)


def _unfinished(surface, last, refused):
    if beside_minimum(surface, last):
        return Ending.NEAR_MINIMUM
    return Ending.REFUSED if refused else Ending.MOVING


def _point(surface, theta, report=None):
    """The point theta, and the step from it that the report describes."""
    step, tangent = np.zeros_like(theta), None
    if report is not None and report.accepted:
        step = report.theta - theta
        if report.source is Source.PROBE:
            tangent = report.step_length * report.negative_direction
    H = dense_hessian(surface, theta) if theta.size <= DENSE else None
    return TrajectoryPoint(
        theta,
        np.array(surface.gradient(theta)),
        float(surface.value(theta)),
        _eigenvalues(surface, theta, H),
        _curvature(surface, theta, step if tangent is None else tangent),
        tangent,
        _reason(report) if report else "",
        report.source if report else Source.NONE,
        H,
    )


def _reason(report):
    """The report's sentences: why the step was rejected, or its source and how its solver ended."""
    if not report.accepted:
        return report.sentence
    stops = [getattr(report.detail, name, None) for name in ("probe_stop", "solver_stop")]
    return " ".join([report.source.value, *(stop.value for stop in stops if stop)])


def _eigenvalues(surface, theta, H):
    if H is None:
        product = from_functions(*surface.functions).hessian(theta)
        return np.array([lanczos_smallest(product, theta.size, rng=0).value])
    return np.linalg.eigvalsh(H) if np.isfinite(H).all() else np.full(theta.size, np.nan)


def _curvature(surface, theta, d):
    """d'Hd / d'd, scaled to avoid underflow for a small d."""
    if not d.any():
        return np.nan
    d = d / abs(d).max()
    return float(d @ surface.hessp(theta, d) / (d @ d))
