"""Figures of runs: the details of one run, or several runs side by side.

A history is a list of records of `refhf.lab.runs.training_run`. Figures use neither pyplot nor the user's settings,
so the same histories give the same bytes.
"""

import contextlib
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from refhf.lab.plots import history_axes
from refhf.lab.runs import atomic_files

STYLE: dict[Any, Any] = {
    "font.size": 15,  # our choice: legible at half size
    "axes.titlesize": 15,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "lines.linewidth": 2,
    "lines.markersize": 7,
    "legend.frameon": False,
    "figure.dpi": 100,
    "figure.constrained_layout.h_pad": 0.1,
    "figure.constrained_layout.w_pad": 0.1,
    "svg.hashsalt": "refhf",
}
AXES = {  # key of a record: label of the axis
    "step": "steps (first-order: epochs)",
    "epochs": "effective passes over the data",
    "curvature_products": "curvature products",
    "seconds": "seconds",
}
NUMBER = {"loss": "{:.3g}".format, "training_error": history_axes.percent}
LABELS = {"loss": "training loss", "training_error": "training error"}
METADATA = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}


def save_figure(figure, path) -> None:
    """Write a figure in the format of the path's ending, without a date. Missing glyphs become boxes."""
    ending = Path(path).suffix[1:].lower()
    with figure_style(), warnings.catch_warnings(), atomic_files.atomic_write(path) as file:
        warnings.filterwarnings("ignore", "Glyph .* missing")
        figure.savefig(file, format=ending, metadata=METADATA.get(ending))


def try_save_figure(draw: Callable, path) -> str | None:
    """Save the figure that `draw` makes; return the path, or None if that failed."""
    return str(path) if try_picture(lambda: save_figure(draw(), path), path) else None


def try_picture(make: Callable[[], object], path) -> bool:
    """Make a picture at the path; on failure print a line on stderr and return False.

    A failure of matplotlib, its settings, fonts or the disk must not lose the numbers of a run.
    """
    try:
        make()
    except Exception as error:
        with contextlib.suppress(OSError):
            Path(path).unlink()  # partial picture, or one of an earlier run
        print(f"refhf: no picture {path}: {' '.join(f'{type(error).__name__}: {error}'.split())}", file=sys.stderr)
        return False
    return True


def escape_dollars(text: str) -> str:
    """Escape dollar signs so that matplotlib does not typeset formulas."""
    return text.replace("$", r"\$")


def run_figure(history: Sequence[Mapping], title: str):
    """Draw the details of one run.

    Loss and errors; for Hessian-free methods also lambda, rho, step length and solver iterations.

    Returns
    -------
    matplotlib.figure.Figure
    """
    solved = any(record.get("solver_stop") for record in history)
    drawn = [history_axes.plot_loss, history_axes.plot_errors]
    if solved:
        drawn += [
            history_axes.plot_solver_iterations,
            history_axes.plot_damping,
            history_axes.plot_reduction_ratio,
            history_axes.plot_step_length,
        ]
    with figure_style():
        figure = _figure((15, 8.5) if solved else (10, 4.5))
        last = history[-1]
        said = f"after {last['step']} steps: loss {history_axes.or_inf(last['loss']):.3g}"
        if last["training_error"] is not None:
            said += f", training error {history_axes.percent(last['training_error'])}"
        figure.suptitle(f"{escape_dollars(title)}\n{said}")
        for ax, draw in zip(figure.subplots(len(drawn) // 3 or 1, 3 if solved else 2).flat, drawn, strict=True):
            draw(ax, history)
            ax.set_xlabel("step")
            ax.xaxis.get_major_locator().set_params(integer=True)
    return figure


def comparison_figure(histories: Mapping[str, Sequence[Mapping]], title: str):
    """Several runs by name: loss and training error against steps, passes, curvature products and seconds.

    Returns
    -------
    matplotlib.figure.Figure
    """
    keys = [*NUMBER]
    if all(history[-1]["training_error"] is None for history in histories.values()):
        keys.remove("training_error")
    with figure_style():
        height = max(4.2, 0.34 * (len(histories) + 2))  # our choice; a line of the legend is 0.32 inches
        figure = _figure((19, 1.2 + height * len(keys)))
        figure.suptitle(f"{_headline(histories)}\n{escape_dollars(title)}")
        for key, row in zip(keys, figure.subplots(len(keys), len(AXES), sharey="row", squeeze=False), strict=True):
            floor = history_axes.floor_of([record[key] for history in histories.values() for record in history])
            for ax, x in zip(row, AXES, strict=True):
                for i, history in enumerate(histories.values()):
                    _curve(ax, history, x, key, floor, i)
                history_axes.log_axis(ax, floor, NUMBER[key])
                ax.set_xlabel(AXES[x])
            row[0].xaxis.get_major_locator().set_params(integer=True)
            _note_absent(row[2], histories)
            row[0].set_ylabel(LABELS[key])
            _ranking(row[-1], histories, key)
    return figure


def _headline(histories):
    """The figure's message in one sentence."""
    (loss, first), *others = sorted((history_axes.or_inf(h[-1]["loss"]), name) for name, h in histories.items())
    if not others:
        return f"{first} ends at a training loss of {loss:.3g}"
    return f"{first} ends lowest, at a training loss of {loss:.3g}; {others[0][1]} follows with {others[0][0]:.3g}"


def _curve(ax, history, x, y, floor, i):
    if x == "curvature_products" and not history[-1][x]:
        return
    every = max(1, len(history) // 8)
    ax.plot(
        [record[x] for record in history],
        [history_axes.on_log(record[y], floor) for record in history],
        markevery=list(range((len(history) - 1) % every, len(history), every)),
        **curve_style(i),
    )


def curve_style(i: int) -> dict[str, Any]:
    """Colour, marker and line style of the i-th curve."""
    n = len(history_axes.COLOURS)
    return {
        "color": history_axes.COLOURS[i % n],
        "marker": history_axes.MARKERS[i % n],
        "linestyle": ("-", "--", ":")[i // n % 3],
    }


def _note_absent(ax, histories):
    absent = [name for name, history in histories.items() if not history[-1]["curvature_products"]]
    if absent:
        who = ", ".join(absent) if len(absent) < 3 else f"{len(absent)} methods"
        ax.set_title(f"not drawn: {who} (no products)", color=history_axes.QUIET)


def _ranking(ax, histories, key):
    """A legend to the right of the row, ordered by final value."""
    from matplotlib.lines import Line2D

    handles = {name: Line2D([], [], **curve_style(i)) for i, name in enumerate(histories)}
    order = sorted(histories, key=lambda name: -history_axes.or_inf(histories[name][-1][key]))
    labels = [f"{name}  {NUMBER[key](history_axes.or_inf(histories[name][-1][key]))}" for name in order]
    ax.legend(
        [handles[name] for name in order], labels, loc="center left", bbox_to_anchor=(1.02, 0.5), title="at the end"
    )


def _figure(size):
    from matplotlib.figure import Figure

    return Figure(figsize=size, layout="constrained")


@contextlib.contextmanager
def figure_style():
    """Use matplotlib's defaults and STYLE, regardless of the user's settings."""
    matplotlib = _matplotlib()
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def _matplotlib():
    """Import matplotlib even if MPLBACKEND names an unknown backend; none is needed here."""
    backend = None if "matplotlib" in sys.modules else os.environ.pop("MPLBACKEND", None)
    import matplotlib

    if backend is not None:
        os.environ["MPLBACKEND"] = backend
        with contextlib.suppress(ValueError):
            matplotlib.rcParams["backend"] = backend  # as matplotlib would have done
    return matplotlib
