"""Figures of a sweep: results against the batch size, with the spread over seeds."""

import math
from collections.abc import Callable, Sequence

from refhf.lab.plots import history_axes, run_figures
from refhf.lab.sweep.sweep_summary import SeedGroup, Statistic, best_of_grid

PANELS = {"loss": "{:.3g}".format, "training_error": history_axes.percent, "test_error": history_axes.percent}
ACROSS_ALL = " (has no batch)"
ACROSS = 3  # our choice: panels in a row, to be read on a page
TITLES = {"loss": "training loss", "training_error": "training error", "test_error": "test error"}


def draw_sweep(rows: Sequence[SeedGroup], targets: Sequence[float], title: str):
    """Loss, errors, and the steps to each target against the batch size; of each grid the best.

    Returns
    -------
    matplotlib.figure.Figure
    """
    rows = best_of_grid(rows)
    names = list(dict.fromkeys(row.method for row in rows))
    keys = [key for key in PANELS if any(line[key] is not None for row in rows for line in row.lines)]
    with run_figures.figure_style():
        from matplotlib.figure import Figure

        down, across = math.ceil((len(keys) + len(targets)) / ACROSS), min(len(keys) + len(targets), ACROSS)
        figure = Figure(figsize=(1.5 + 5.5 * across, 1.5 + 4.5 * down), layout="constrained")
        figure.suptitle(f"{sweep_headline(rows)}\n{run_figures.escape_dollars(title)}")
        axes = list(figure.subplots(down, across, squeeze=False).flat)
        for key, ax in zip(keys, axes, strict=False):
            plot_against_batch(ax, rows, lambda row, key=key: row.statistic(key), PANELS[key])
            ax.set_title(TITLES[key])
        for i, (target, ax) in enumerate(zip(targets, axes[len(keys) :], strict=False)):
            plot_against_batch(ax, rows, lambda row, i=i: row.reached(i))
            some = any(0 < row.reached(i).known < len(row.lines) for row in rows)
            ax.set_title(
                f"steps to a training error of {history_axes.percent(target)}" + some * "\n(open: of some runs)"
            )
        for ax in axes[len(keys) + len(targets) :]:
            ax.remove()
        drawn = sorted(zip(*axes[0].get_legend_handles_labels(), strict=True), key=lambda pair: _place(pair[1], names))
        figure.legend(*zip(*drawn, strict=True), loc="outside lower center", ncols=min(len(drawn), 2 * across))
    return figure


def _place(label, names):
    return names.index(label.removesuffix(ACROSS_ALL))


def sweep_headline(rows: Sequence[SeedGroup]) -> str:
    """The method and batch with the lowest final loss, as a sentence."""
    first = min(rows, key=lambda row: history_axes.or_inf(row.statistic("loss").mean))
    batch = "" if first.batch is None else f" with batch {first.batch}"
    seeds = max(len(row.lines) for row in rows)
    return f"{first.method}{batch} ends at the lowest training loss; mean and standard deviation of {seeds} seeds"


def plot_against_batch(
    ax, rows: Sequence[SeedGroup], of: Callable[[SeedGroup], Statistic], number: Callable[[float], str] | None = None
) -> None:
    """Plot a line for each method over the batch sizes, with error bars of one standard deviation.

    A method without a batch is a horizontal line. A point is open if `Statistic.known` is below the number of runs, and
    missing if no value is known. The y axis is logarithmic with labels from `number`, or linear from 0 without it.
    """
    batches = sorted({row.batch for row in rows if row.batch is not None})
    methods = list(dict.fromkeys(row.method for row in rows))
    values = {(row.method, row.batch): of(row) for row in rows}
    floor = history_axes.floor_of([value.mean for value in values.values()])
    for i, method in enumerate(methods):
        look = run_figures.curve_style(i)
        places = [batch for batch in batches if (method, batch) in values]
        if not places:
            _across(ax, values[method, None], look, method, floor)
            continue
        found = [values[method, batch] for batch in places]
        heights = [history_axes.on_log(value.mean, floor) if math.isfinite(value.mean) else math.nan for value in found]
        bars = [_bar(value) for value in found]
        ax.errorbar(places, heights, list(zip(*bars, strict=True)), capsize=4, label=method, **look)
        for place, height, value in zip(places, heights, found, strict=True):
            if value.known < value.of:
                ax.plot(place, height, **look | {"linestyle": "none"}, markerfacecolor="white", zorder=3)
    ax.set_xscale("log", base=2)
    ax.set_xticks(batches, [str(batch) for batch in batches])
    ax.minorticks_off()
    if number:
        history_axes.log_axis(ax, floor, number)
    else:
        ax.set_ylim(bottom=0)
    ax.set_xlabel("batch size")


def _bar(value):
    """Lengths of the error bar down and up; it does not reach zero, which a log axis cannot show."""
    if not math.isfinite(value.spread):
        return 0.0, 0.0
    return min(value.spread, 0.9 * value.mean), value.spread


def _across(ax, value, look, method, floor):
    height = history_axes.on_log(value.mean, floor) if math.isfinite(value.mean) else math.nan
    ax.axhline(height, color=look["color"], linestyle="--", label=method + ACROSS_ALL)
    if math.isfinite(value.spread):
        down, up = _bar(value)
        ax.axhspan(height - down, height + up, color=look["color"], alpha=0.15, lw=0)
