"""The table of the saddle lab: the end of each trajectory, the eigenvalues there, and the reason."""

from collections.abc import Sequence
from typing import SupportsFloat

import numpy as np

from refhf.lab.saddle import escape_reasons
from refhf.lab.saddle.trajectories import Trajectory
from refhf.surfaces.stationary_points import Surface
from refhf.text import columns

NAMES = "xy"


def escape_radius(surface: Surface) -> float:
    """Half the distance from the first saddle to the nearest listed minimum; 0.5 without one (our choice)."""
    if surface.saddle is None or not surface.minima:
        return 0.5
    return min(float(np.linalg.norm(minimum - surface.saddle.theta)) for minimum in surface.minima) / 2


def trajectory_rows(paths: Sequence[Trajectory]) -> list[dict]:
    """The numbers of the table, a dict for each trajectory."""
    found = []
    for path in paths:
        last, escape = path.points[-1], escape_reasons.find_escape(path)
        found.append(
            {
                "method": path.name,
                "steps": len(path.points) - 1,
                "point": last.theta.tolist(),
                "value": last.value,
                "gradient_norm": float(np.linalg.norm(last.gradient)),
                "eigenvalues": last.eigenvalues.tolist(),
                "ending": path.ending.name.lower(),
                "steps_to_leave": escape_reasons.steps_to_leave(path, escape_radius(path.surface)),
                "left_stable_directions_at": escape and escape.step,
                "by": escape and escape.by,
                "why": explain_ending(path),
            }
        )
    return found


def trajectory_table(paths: Sequence[Trajectory]) -> str:
    """The table, two lines for each trajectory: end point, eigenvalues and steps; then the reason."""
    distance = f"out of {escape_radius(paths[0].surface):.3g}"
    head = "", "ended at", "eigenvalues", "steps", distance
    cells = [
        (
            row["method"],
            format_point(path.points[-1].theta, path.surface.saddle and path.surface.saddle.theta),
            format_eigenvalues(row["eigenvalues"]),
            str(row["steps"]),
            "never" if row["steps_to_leave"] is None else f"after {row['steps_to_leave']}",
        )
        for path, row in zip(paths, trajectory_rows(paths), strict=True)
    ]
    lines = columns([head, *cells], left=len(head))
    return "\n".join(
        [lines[0], *(f"{line}\n    {explain_ending(path)}" for line, path in zip(lines[1:], paths, strict=True))]
    )


def explain_ending(path: Trajectory) -> str:
    """The ending, and the source of the component along negative curvature."""
    escape = escape_reasons.find_escape(path)
    if escape is None:
        return path.verdict
    line = name_stable_directions(path.surface)
    if escape.step is None:
        return f"{path.verdict}; no step left {line}"
    if escape.step == 0:
        return f"{path.verdict}; the start is {escape.size:.2g} off {line}"
    return f"{path.verdict}; step {escape.step} left {line} by {escape.by}"


def name_stable_directions(surface: Surface) -> str:
    """The name of the stable directions of the first saddle."""
    directions = escape_reasons.negative_curvature_directions(surface)
    assert directions is not None and surface.saddle is not None
    if len(directions) == 1 and surface.size == 2 and np.isin(abs(directions), (0, 1)).all():
        axis = int(abs(directions[0]).argmax())
        return f"the line {NAMES[axis]} = {surface.saddle.theta[axis]:g}"
    return "the line of positive curvature" if surface.size == 2 else "the directions of positive curvature"


def format_point(theta, reference=None) -> str:
    """A point of up to three parameters, else its distance from the reference or from 0."""
    if theta.size <= 3:
        return f"({', '.join(format_number(x) for x in theta)})"
    return f"{format_number(np.linalg.norm(theta if reference is None else theta - reference))} from the saddle"


def format_eigenvalues(eigenvalues) -> str:
    """Up to three eigenvalues, else the first and the last."""
    shown = [format_number(x) for x in eigenvalues]
    return ", ".join(shown) if len(shown) <= 3 else f"{shown[0]} .. {shown[-1]}"


def format_number(x: SupportsFloat) -> str:
    """A number to four digits; '0' only for an exact zero."""
    return f"{float(x) + 0.0:.4g}"
