"""The saddle lab as one HTML page: trajectories from a grid of starts, computed here and drawn in the browser."""

import json
from collections.abc import Callable, Sequence
from importlib import resources

import numpy as np

from refhf.lab.saddle import escape_reasons, page_paths, saddle_figure, saddle_table, saddle_wording
from refhf.lab.saddle.saddle_methods import SADDLE_METHODS
from refhf.lab.saddle.trajectories import Trajectory, trace_path, within
from refhf.surfaces.stationary_points import Surface

# Our choices.
STEPS = 200  # of a path at most; as in the command's table
STARTS = 11  # grid points an axis at most
OFF = 1e-6  # distance from the stable directions of the start beside them
SPACINGS = 0.05, 0.1, 0.2, 0.25, 0.5, 1.0
SIGNS = {
    "o": "circle", "s": "square", "^": "triangle", "D": "diamond", "v": "down", "P": "plus", "X": "cross", "*": "star",
    "<": "left", ">": "right", "p": "pentagon", "h": "hexagon",
}  # fmt: skip


def saddle_page(
    surface: Surface,
    names: Sequence[str],
    *,
    start=None,
    seed: int = 0,
    steps: int = STEPS,
    starts: int | None = None,
    listen: Callable[[int, int], object] = lambda done, of: None,
) -> str:
    """The page (HTML) for these methods over a surface of two parameters.

    Parameters
    ----------
    surface : Surface
    names : sequence of str
        Keys of SADDLE_METHODS.
    start : array (2,), optional
        The start shown first; the surface's own if None.
    seed, steps : int
        The seed and the most steps of each path.
    starts : int, optional
        Grid points an axis, at most; STARTS if None.
    listen : callable
        Called with the number of starts done, and of all starts.

    Raises
    ------
    ValueError
        For a surface of another dimension.
    """
    if surface.window is None:
        raise ValueError(f"surface: expected one of two parameters for a page; got {surface.name!r} of {surface.size}")
    template = resources.files("refhf.lab.saddle").joinpath("page.html").read_text(encoding="utf-8")
    grid, spacing = grid_of_starts(surface, starts or STARTS)
    special = special_starts(surface, surface.start if start is None else np.asarray(start, float))
    paths = []
    for theta in (every := [*grid, *special.values()]):
        paths.append([trace_path(surface, name, theta, steps=steps, seed=seed) for name in names])
        listen(len(paths), len(every))
    data = page_facts(surface, names) | {
        "starts": [[float(f"{x:.7g}") for x in theta] for theta in every],
        "special": list(special),
        "grid": len(grid),
        "spacing": spacing,
    }
    return template.replace("{DATA}", page_json(data, paths))


def page_json(data, paths: Sequence[Sequence[Trajectory]]) -> str:
    """The page's data as JSON: facts, and the trajectories for each start."""
    reasons_given = sorted({point.reason for group in paths for one in group for point in one.points})
    runs = ",".join(f"[{','.join(page_paths.trajectory_json(one, reasons_given) for one in group)}]" for group in paths)
    data = data | {"reasons": [saddle_wording.raise_powers(reason) for reason in reasons_given]}
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return (text[:-1] + f',"runs":[{runs}]}}').replace("<", "\\u003c")


def page_facts(surface: Surface, names: Sequence[str]) -> dict:
    """The facts that the page draws in addition to the trajectories."""
    assert surface.window is not None
    bent = escape_reasons.negative_curvature_directions(surface) is not None
    seen = [p for p in surface.stationary if within(surface, p.theta)]
    return {
        "surface": f"{surface.name}:  {saddle_wording.raise_powers(surface.description)}",
        "window": surface.window,
        "columns": page_paths.COLUMNS,
        "methods": [method_facts(name) for name in names],
        "says": saddle_wording.GROUP_WORDS,
        "question": saddle_wording.QUESTIONS[surface.saddle is None],
        "off": f"distance from {saddle_table.name_stable_directions(surface)}" if bent else None,
        "stationary": [{"kind": p.kind, "point": p.theta.tolist()} for p in seen],
        "largest": page_paths.largest_curvature(surface),
        **contours(surface),
        "ticks": [list(saddle_figure.ticks(*axis)) for axis in (surface.window[:2], surface.window[2:])],
    }


def method_facts(name: str) -> dict:
    """A method's name, look and plain words."""
    look, words = SADDLE_METHODS[name], saddle_wording.IN_PLAIN_WORDS[name]
    return {"name": name, "words": words, "colour": look.colour, "dash": look.dash, "sign": SIGNS[look.marker]}


def grid_of_starts(surface: Surface, most: int):
    """Starts at multiples of a round number inside the window, row by row, and the spacing in x and y."""
    assert surface.window is not None
    axes, spacing = [], []
    for low, high in (surface.window[:2], surface.window[2:]):
        by = next(s for s in SPACINGS if np.ceil((high - low) / s) - 1 <= most or s == SPACINGS[-1])
        first, last = int(np.floor(low / by)) + 1, int(np.ceil(high / by)) - 1
        axes.append([round(k * by, 10) + 0.0 for k in range(first, last + 1)])
        spacing.append(by)
    return [np.array([x, y]) for y in axes[1] for x in axes[0]], spacing


def special_starts(surface: Surface, start) -> dict:
    """Named starts: the given one, one slightly off it, and the saddle, if they exist."""
    found = {saddle_wording.true_minus(saddle_table.format_point(start)): start}
    directions = escape_reasons.negative_curvature_directions(surface)
    if directions is not None:
        found["10\u207b\u2076 beside"] = start + OFF * directions[0]
    if surface.saddle is not None:
        found["the saddle"] = surface.saddle.theta
    return found


def contours(surface: Surface) -> dict:
    """The contours' levels, and the regions between them from low to high as SVG paths in a square of side 1000."""
    from matplotlib.figure import Figure

    x, y, f, levels = saddle_figure.height_map(surface, 161)
    across, down = (x - x[0]) / np.ptp(x) * 1000, (y[-1] - y) / np.ptp(y) * 1000
    paths = Figure().subplots().contourf(across, down, f, levels).get_paths()
    return {"levels": [float(f"{level:.5g}") for level in levels], "contours": [_svg(path) for path in paths]}


def _svg(path):
    letters = {path.MOVETO: "M", path.LINETO: "L"}
    corners = zip(path.codes, path.vertices.round().astype(int), strict=True)
    return "".join(f"{letters[code]}{x} {y}" if code in letters else "Z" for code, (x, y) in corners)
