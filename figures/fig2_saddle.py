"""Figure 2 of He et al. 2016: the saddle of section 4.2, which methods leave it, which cannot, and in what time.

    python figures/fig2_saddle.py [--fast] [FOLDER]

writes fig2_saddle.png and fig2_saddle.txt, by default into this folder. The paper draws the function; here
the methods run over it. Above: from (1, 0). Below: from (1, eps), the steps until a path is 1/2 off the line y = 0
for good. The table counts for each method where it ends from

    the line      50 starts (x, 0), x from -2 to 2
    the saddle    (0, 0), with 50 seeds
    a disc        100 starts, uniform in a disc of radius 1e-6, 1e-4, 1e-2 and 1e-1 around the saddle

Claim H8 of the paper is judged from it in figures/he_2016.md. --fast has 4 starts where these are 50, and 3 in a disc.
"""

import sys
from pathlib import Path

import numpy as np

from refhf.lab.plots import run_figures
from refhf.lab.saddle import escape_reasons, saddle_figure, saddle_wording
from refhf.lab.saddle.saddle_methods import DEFAULT_METHODS, SADDLE_METHODS
from refhf.lab.saddle.trajectories import Ending, trace_path
from refhf.surfaces.saddles import SURFACES

SADDLE = SURFACES["saddle"]
RADII = 1e-6, 1e-4, 1e-2, 1e-1
DISTANCES = 10.0 ** -np.arange(1, 13)
STEPS = 200
QUIET = 1e-7  # a noise that lets gradient descent come within 1e-6 of a minimum
ROWS = (*((name, {}) for name in SADDLE_METHODS), ("noisy-gradient-descent", {"noise": QUIET}))


def starts(fast: bool) -> dict[str, list]:
    """The starts by name, each a list of points."""
    line, disc = (4, 3) if fast else (50, 100)
    rng = np.random.default_rng(0)
    found = {"line y = 0": [(x, 0.0) for x in np.linspace(-2, 2, line)], "saddle": [(0.0, 0.0)] * line}
    for radius in RADII:
        angle, part = 2 * np.pi * rng.random(disc), np.sqrt(rng.random(disc))
        found[f"disc {radius:.0e}"] = list(radius * part[:, None] * np.column_stack([np.cos(angle), np.sin(angle)]))
    return found


def measured(fast: bool) -> dict[str, dict[str, list]]:
    """The paths of each row of the table, by the name of their starts; start number i has the seed i."""
    return {
        label(name, more): {
            where: [trace_path(SADDLE, name, start, steps=STEPS, seed=i, **more) for i, start in enumerate(points)]
            for where, points in starts(fast).items()
        }
        for name, more in ROWS
    }


def label(name, more):
    return name + "".join(f", {option} {value:g}" for option, value in more.items())


def cell(paths) -> str:
    """The number of paths that reach a minimum, and their steps to 1/2 off the line (median, most)."""
    reached = [one for one in paths if saddle_wording.GROUPS.get(one.ending) == "minimum"]
    if not reached:
        return f"0/{len(paths)}"
    steps = [away(one) for one in reached]
    return f"{len(reached)}/{len(paths)} in {np.median(steps):.0f}, {max(steps)}"


def away(one) -> int:
    """The number of steps until |y| stays above 1/2."""
    return len(one.points) - [abs(point.theta[1]) > 0.5 for point in one.points][::-1].index(False)


def written(found) -> str:
    """The tables."""
    counts = [["", *starts(True)], *([name, *map(cell, by.values())] for name, by in found.items())]
    from_line = [
        ["from the line y = 0", "ends at", "within", "largest |y|", "y given by"],
        *([name, *on_the_line(by["line y = 0"])] for name, by in found.items()),
    ]
    return f"""\
How many reach a minimum, and in how many steps |y| is above 1/2 for good (median, most).
f = x^2/2 + y^4/4 - y^2/2, at most {STEPS} steps.

{columns(counts)}

{columns(from_line)}
"""


def columns(rows) -> str:
    """Rows of text, one below the other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(c.ljust(n) for c, n in zip(row, widths, strict=True)).rstrip() for row in rows)


def on_the_line(paths) -> list[str]:
    """The paths' end points, the distance to them, the largest |y|, and the source of the first y != 0."""
    kinds = sorted({one.ending.name.lower().replace("_", " ") for one in paths})
    within = max(min(np.linalg.norm(one.points[-1].theta - p.theta) for p in SADDLE.stationary) for one in paths)
    largest = max(abs(point.theta[1]) for one in paths for point in one.points)
    given = sorted({escape_reasons.find_escape(one).by for one in paths})
    return [", ".join(kinds), f"{within:.0e}" if within else "0", f"{largest:.3g}", ", ".join(given)]


def escape_times(ax, fast: bool) -> None:
    """Steps until |y| > 1/2 for good, from (1, eps), a line for each method of the picture."""
    distances = DISTANCES[::4] if fast else DISTANCES
    ends = {}
    for name in DEFAULT_METHODS:
        look = SADDLE_METHODS[name]
        paths = [trace_path(SADDLE, name, (1.0, eps), steps=STEPS) for eps in distances]
        shown = [np.nan if one.ending is Ending.SADDLE else away(one) for one in paths]
        size = 14 if look.marker == "*" else 9
        ax.plot(distances, shown, look.marker, color=look.colour, linestyle=(0, look.dash) if look.dash else "-",
                linewidth=3, markersize=size, markeredgecolor="white")  # fmt: skip
        ends[name] = shown[-1]
    never = [name for name, k in ends.items() if np.isnan(k)]
    ax.set(xscale="log", xlim=(1.6e-1, distances[-1] / 2), ylim=(-3, 72))
    ax.set_xlabel("eps: how far off the line y = 0 the start (1, eps) is")
    ax.set_title("Steps until |y| > 1/2: methods that use g and H alone need more, the nearer they start",
                 loc="left", size=19, weight="bold", pad=14)  # fmt: skip
    floor = -np.inf
    for name in sorted((name for name in ends if name not in never), key=ends.get):
        floor = max(ends[name], floor + 6)
        look, across = SADDLE_METHODS[name], ax.get_yaxis_transform()
        ax.plot(1.022, floor, look.marker, transform=across, color=look.colour, markersize=12, clip_on=False)
        ax.text(1.04, floor, name, transform=across, va="center", color=saddle_figure.INK)  # sky and amber are too pale
    ax.text(1.2e-1, 66, f"never, drawn into the saddle: {', '.join(never)}", va="center", color=saddle_figure.INK)


def figure(fast: bool):
    from matplotlib.figure import Figure

    paths = [trace_path(SADDLE, name, (1.0, 0.0), steps=STEPS) for name in DEFAULT_METHODS]
    with run_figures.figure_style():
        drawn = Figure(figsize=(16, 14.5))
        above, below = drawn.subfigures(2, 1, height_ratios=(9, 5.5))
        saddle_figure.draw_saddle_figure(above, paths)
        escape_times(below.add_axes((0.045, 0.14, 0.72, 0.72)), fast)
    return drawn


def main(arguments):
    fast = "--fast" in arguments
    folder = Path(next((word for word in arguments if not word.startswith("-")), Path(__file__).parent))
    text = written(measured(fast))
    (folder / "fig2_saddle.txt").write_text(text, encoding="utf-8", newline="\n")
    print(text)
    run_figures.save_figure(figure(fast), folder / "fig2_saddle.png")


if __name__ == "__main__":
    main(sys.argv[1:])
