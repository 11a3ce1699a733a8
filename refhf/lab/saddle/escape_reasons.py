"""Detects when a trajectory leaves a saddle's stable directions, and what made it leave."""

from typing import NamedTuple

import numpy as np

from refhf.methods.report import Source
from refhf.surfaces.stationary_points import dense_hessian

ROUNDING = 1e-12  # our choice: a first component below this, of a step from g and H alone, is rounding
SOURCE_WORDS = {
    Source.NONE: "nothing",
    Source.GRADIENT: "g",
    Source.KRYLOV: "g and H",
    Source.NEWTON: "g and H",
    Source.SADDLE_FREE: "g and |H|",
    Source.NEGATIVE_CURVATURE: "negative curvature that CG met",
    Source.PROBE: "a Lanczos probe",
    Source.RANDOM_START: "a random start",
    Source.NOISE: "noise",
}


class Escape(NamedTuple):
    """The step at which a trajectory gained a component along negative curvature.

    Attributes
    ----------
    step : int or None
        The first such step; 0 if the start has the component, None if no point has.
    size : float
        The largest component at that step.
    by : str
        The source of the component.
    """

    step: int | None
    size: float
    by: str


def find_escape(path) -> Escape | None:
    """The Escape of a trajectory; None if the surface lists no saddle with a negative eigenvalue."""
    sizes = distances_off(path)
    if sizes is None:
        return None
    k = next((k for k, size in enumerate(sizes) if size), None)
    return Escape(None, 0.0, "nothing") if k is None else Escape(k, sizes[k], _source_of(path, k, sizes[k]))


def distances_off(path) -> list[float] | None:
    """The largest component along negative curvature of each point of a trajectory; None as in `find_escape`.

    0 if it is zero, or no more than the rounding of directions that are not coordinate axes.
    """
    directions = negative_curvature_directions(path.surface)
    if directions is None:
        return None
    exact = np.isin(abs(directions), (0, 1)).all()
    offsets = np.array([point.theta for point in path.points]) - path.surface.saddle.theta
    sizes = abs(offsets @ directions.T).max(axis=1)
    rounding = 0 if exact else 8 * np.finfo(float).eps * np.linalg.norm(offsets, axis=1)
    return np.where(sizes > rounding, sizes, 0.0).tolist()


def _source_of(path, k, size):
    if k == 0:
        return "the start"
    source = path.points[k - 1].source
    return f"rounding, {size:.0e}" if size < ROUNDING and not source.random else SOURCE_WORDS[source]


def negative_curvature_directions(surface) -> np.ndarray | None:
    """The eigenvectors (m, P) of negative curvature at the surface's first saddle, or None.

    If they are coordinate axes they are exact, and components along them are tested exactly.
    """
    at = surface.saddle
    if at is None or at.eigenvalues is None or not at.eigenvalues[0] < 0:
        return None
    values, vectors = np.linalg.eigh(dense_hessian(surface, at.theta))
    return vectors[:, values < 0].T


def steps_to_leave(path, radius: float) -> int | None:
    """Steps until the trajectory stays more than `radius` away from the surface's first saddle.

    None if it ends within the radius, or if there is no saddle.
    """
    if path.surface.saddle is None:
        return None
    inside = [bool(np.linalg.norm(point.theta - path.surface.saddle.theta) <= radius) for point in path.points]
    if inside[-1]:
        return None
    return len(inside) - inside[::-1].index(True) if True in inside else 0
