"""The figure of the saddle lab: trajectories over contours, and the curvature along each step."""

from collections.abc import Sequence

import numpy as np

from refhf.lab.plots import run_figures
from refhf.lab.saddle.saddle_ground import height_map
from refhf.lab.saddle.saddle_methods import SADDLE_METHODS
from refhf.lab.saddle.saddle_wording import describe_outcome, raise_powers, saddle_headline
from refhf.lab.saddle.trajectories import Trajectory, within
from refhf.surfaces.stationary_points import Surface

BARS = 24  # steps whose curvature is drawn; our choice
GROUND = "#CCDAE6", "#F7F9FA"  # from the lowest contour to the highest
INK, QUIET, POSITIVE, NEGATIVE = "#1A1A1A", "#595959", "#9DB4C8", "#D55E00"


def saddle_figure(paths: Sequence[Trajectory], upto: int | None = None):
    """Contours and paths on the left, or f by step if there are not two parameters; curvature by step on the right.

    Parameters
    ----------
    paths : sequence of Trajectory
        From one start over one surface.
    upto : int, optional
        Draw their first steps only, as a frame of an animation does.

    Returns
    -------
    matplotlib.figure.Figure
    """
    with run_figures.figure_style():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(16, 9))
        draw_saddle_figure(figure, paths, upto)
    return figure


def draw_saddle_figure(figure, paths: Sequence[Trajectory], upto: int | None = None) -> None:
    """Draw the picture on an empty figure, or a subfigure, of 16 by 9."""
    surface = paths[0].surface
    figure.text(0.03, 0.945, saddle_headline(paths), size=25, weight="bold", color=INK)
    figure.text(0.03, 0.902, f"{surface.name}:  {raise_powers(surface.description)}", size=15, color=QUIET)
    right = figure.add_axes((0.505, 0.08, 0.48, 0.72))
    if surface.window:
        left = figure.add_axes((0.045, 0.08, 0.43, 0.43 * 16 / 9))
        draw_surface(left, surface)
        for i, path in enumerate(paths):
            draw_path(left, path, upto, 3 + 2.2 * (len(paths) - 1 - i))
        draw_points(left, surface, paths[0].points[0].theta)
    else:
        _draw_values(figure.add_axes((0.065, 0.08, 0.4, 0.7)), paths, upto)
    draw_curvatures(right, paths, upto)


def draw_surface(ax, surface: Surface) -> None:
    """Draw contours at levels that split the window into equal areas."""
    from matplotlib.colors import BoundaryNorm, LinearSegmentedColormap

    assert surface.window is not None
    x, y, f, levels = height_map(surface, 241)
    ground = LinearSegmentedColormap.from_list("ground", GROUND)
    ax.contourf(x, y, f, levels, cmap=ground, norm=BoundaryNorm(levels, ground.N))
    ax.contour(x, y, f, levels, colors="white", linewidths=1.2, linestyles="solid")
    x0, x1, y0, y1 = surface.window
    ax.set(xlim=(x0, x1), ylim=(y0, y1), xticks=ticks(x0, x1), yticks=ticks(y0, y1))
    ax.set_xlabel("x", loc="right")
    ax.set_ylabel("y", loc="top", rotation=0)
    ax.grid(False)


def ticks(low: float, high: float) -> range:
    """The whole numbers between `low` and `high`."""
    return range(int(np.floor(low)) + 1, int(np.ceil(high)))


def draw_path(ax, path: Trajectory, upto: int | None, width: float) -> None:
    """Draw one trajectory; wide lines are drawn below thin ones so that overlapping ones stay visible."""
    look, points = SADDLE_METHODS[path.name], _shown(path, upto)
    xy = np.concatenate([*map(_leg, points[:-1], points[1:]), [points[-1].theta]])
    ax.plot(*xy.T, color=look.colour, linewidth=width, solid_capstyle="round", solid_joinstyle="round", zorder=3)
    size = (9 + width) * (1.4 if look.marker == "*" else 1)
    ax.plot(*xy[-1], look.marker, color=look.colour, markersize=size, markeredgecolor="white", zorder=4)


def _shown(path, upto):
    """The points of the first `upto` steps, or all."""
    return path.points[: None if upto is None else upto + 1]


def _leg(point, following):
    """Points of the step to `following`, without its end: one point, or several on a curve."""
    if point.tangent is None:
        return point.theta[None]
    t = np.linspace(0, 1, 16, endpoint=False)[:, None]
    return point.theta + t * point.tangent + t**2 * (following.theta - point.theta - point.tangent)


def draw_points(ax, surface: Surface, start) -> None:
    """Draw the start and the stationary points with labels."""
    signs = {"minimum": "o", "saddle": "X", "degenerate saddle": "X"}
    inside = [p for p in surface.stationary if within(surface, p.theta)]
    for p in inside:
        ax.plot(*p.theta, signs[p.kind], color="white", markeredgecolor=INK, markersize=13, markeredgewidth=2, zorder=6)
        _label(ax, p.theta, p.kind, surface.window)
    ax.plot(*start, "s", color="white", markeredgecolor=INK, markersize=12, markeredgewidth=2, zorder=6)
    if not any(np.array_equal(p.theta, start) for p in inside):
        _label(ax, start, "start", surface.window)


def _label(ax, theta, text, window):
    from matplotlib.patheffects import withStroke

    high = theta[1] > window[2] + 0.9 * (window[3] - window[2])
    ax.annotate(
        text, theta, (0, -26 if high else 26), textcoords="offset points", ha="center", va="center", size=17,
        weight="bold", color=INK, path_effects=[withStroke(linewidth=4, foreground="white")], zorder=7,
    )  # fmt: skip


def _draw_values(ax, paths, upto):
    for path in paths:
        look = SADDLE_METHODS[path.name]
        values = [point.value for point in _shown(path, upto)]
        ax.plot(values, color=look.colour, dashes=look.dash or (None, None), linewidth=3)
        ax.plot(
            len(values) - 1, values[-1], look.marker,
            color=look.colour, markersize=12, markeredgecolor="white", clip_on=False,
        )  # fmt: skip
    ax.set_xscale("symlog", linthresh=10)
    ax.set(xlim=(0, max(len(path.points) for path in paths)), xlabel="step", title="f")


def draw_curvatures(ax, paths: Sequence[Trajectory], upto: int | None) -> None:
    """Draw a row of bars for each trajectory: up for positive curvature of a step, down for negative."""
    largest = max((abs(c) for path in paths for c in curvatures(path)), default=1.0)
    for row, path in enumerate(paths):
        look = SADDLE_METHODS[path.name]
        shown = curvatures(path)[:upto][:BARS]
        heights = [np.sign(c) * np.log1p(abs(c)) / np.log1p(largest) * 0.26 for c in shown]
        ax.plot((0.3, BARS + 0.7), (row, row), color="#BBBBBB", linewidth=1)
        ax.bar(
            range(1, len(heights) + 1), [-h for h in heights], 0.74, row,
            color=[NEGATIVE if c < 0 else POSITIVE for c in shown],
        )  # fmt: skip
        done = upto is None or upto >= len(path.points) - 1
        says = describe_outcome(path) if done else ""
        size = 20 if look.marker == "*" else 14
        ax.plot(-1.1, row - 0.57, look.marker, color=look.colour, markersize=size, markeredgecolor="white")
        ax.text(-0.3, row - 0.57, path.name, color=INK, weight="bold", size=15, va="center")
        ax.text(BARS + 0.7, row - 0.57, says, color=INK, size=15, va="center", ha="right")
    ax.set(xlim=(-1.5, BARS + 1), ylim=(len(paths) - 0.4, -1.0), yticks=[])
    ax.set_xticks([1, *range(5, BARS, 5)])
    ax.set_xlabel("step")
    ax.text(-1.5, -1.25, "curvature of each step: up is positive, down is negative", color=QUIET, size=15)
    ax.grid(False)
    ax.spines[["left", "bottom"]].set_visible(False)


def curvatures(path: Trajectory) -> list[float]:
    """The curvature along each step of the trajectory; 0 for a rejected step."""
    return [0.0 if np.isnan(point.curvature) else point.curvature for point in path.points[:-1]]
