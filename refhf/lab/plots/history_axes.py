"""Plots of a run's history on matplotlib axes, and helpers for log axes."""

import math

from refhf.methods.hessian_free.damping import HIGH, LOW

# Okabe and Ito 2008, "Color universal design", without the yellow, which is too pale for a line; black last.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
TRAIN, TEST, ALARM, QUIET = "#0072B2", "#E69F00", "#D55E00", "#666666"


def plot_loss(ax, history):
    """Plot the training loss on a log axis."""
    floor = floor_of([record["loss"] for record in history])
    ax.plot(_x(history), [on_log(record["loss"], floor) for record in history], color=TRAIN, marker="o")
    log_axis(ax, floor)
    ax.set_title("training loss")


def plot_errors(ax, history):
    """Plot training and test error, if there are any."""
    ax.set_title("error")
    series = {"training": ("training_error", TRAIN, "o"), "test": ("test_error", TEST, "s")}
    values = [record[key] for record in history for key, _, _ in series.values()]
    if all(value is None for value in values):
        ax.text(0.5, 0.5, "not a classification", ha="center", transform=ax.transAxes, color=QUIET)
        return
    floor = floor_of(values)
    for name, (key, colour, marker) in series.items():
        if history[-1][key] is not None:
            ys = [on_log(record[key], floor) for record in history]
            label = f"{name}, {percent(history[-1][key])} at the end"
            ax.plot(_x(history), ys, color=colour, marker=marker, label=label)
    log_axis(ax, floor, percent)
    ax.legend()


def plot_solver_iterations(ax, history):
    """Plot the solver's iterations, coloured by whether it met negative curvature."""
    for negative, colour, label in ((False, TRAIN, "positive curvature only"), (True, ALARM, "negative curvature met")):
        chosen = [r for r in history[1:] if r["negative_curvature"] is negative]
        if chosen:
            heights, hatch = [r["solver_iterations"] for r in chosen], "//" if negative else ""
            ax.bar(_x(chosen), heights, color=colour, label=label, hatch=hatch, edgecolor="white")
    ax.set_title("solver iterations")
    ax.legend()
    ax.set_ylim(0, 1.45 * max(r["solver_iterations"] for r in history) or 1)


def plot_damping(ax, history):
    """Plot the lambda of each step."""
    ax.plot(_x(history[1:]), [r.get("damping", math.nan) for r in history[1:]], color=TRAIN, marker="o")
    log_axis(ax, None)
    ax.set_title("damping lambda")


def plot_reduction_ratio(ax, history):
    """Plot the reduction ratio rho, with bands where it changes lambda."""
    low, high = -0.5, 2.0  # our choice: the model is wrong beyond them, and by how much does not matter
    ratios = [-math.inf if (rho := r.get("rho")) is None or math.isnan(rho) else rho for r in history[1:]]
    shown = [min(max(ratio, low), high) for ratio in ratios]
    beyond = [(r["step"], y) for r, ratio, y in zip(history[1:], ratios, shown, strict=True) if ratio != y]
    bands = (low - 0.15, LOW, ALARM, "lambda up"), (HIGH, high + 0.15, COLOURS[2], "lambda down")
    for bottom, top, colour, says in bands:
        ax.axhspan(bottom, top, color=colour, alpha=0.12, lw=0)
        middle = (bottom + top) / 2
        ax.text(1.01, middle, says, rotation=90, va="center", color=QUIET, transform=ax.get_yaxis_transform())
    ax.plot(_x(history[1:]), shown, color=TRAIN, marker="o")
    if beyond:
        ax.plot(*zip(*beyond, strict=True), "X", color=ALARM, markersize=9, label="beyond the axis, or -inf")
        ax.legend(loc="upper right")
    ax.set_yticks([0, LOW, HIGH, 1, 1.5, 2], ["0", "1/4", "3/4", "1", "1.5", "2"])
    ax.set_ylim(low - 0.15, high + 0.15)
    ax.set_title("reduction ratio rho")


def plot_step_length(ax, history):
    """Plot step lengths and mark rejected steps."""
    taken = [r for r in history[1:] if r["outcome"] == "accepted"]
    refused = [r for r in history[1:] if r["outcome"] != "accepted"]
    ax.plot(_x(taken), [r["step_length"] for r in taken], color=TRAIN, marker="o")
    ax.set_ylim(-0.05, 1.25)
    ax.set_title("step length alpha")
    if refused:
        ax.plot(_x(refused), [0.0] * len(refused), "X", color=ALARM, label=f"refused: {len(refused)}")
        ax.legend(loc="upper right")


def _x(history):
    return [record["step"] for record in history]


def or_inf(value):
    """The value, or infinity for None and NaN."""
    return math.inf if value is None or math.isnan(value) else value


def percent(fraction):
    """0.0123 -> '1.23 %'."""
    return f"{100 * fraction:.3g} %"


def floor_of(values):
    """The height at which a log axis shows zero: half the smallest positive value; None without a zero."""
    finite = [value for value in values if value is not None and math.isfinite(value)]
    positive = [value for value in finite if value > 0]
    return min(positive, default=1.0) / 2 if 0 in finite else None


LARGEST = 1e100  # our choice


def on_log(value, floor):
    """The height of a value on a log axis; NaN for one too large for matplotlib."""
    if value is None or value > LARGEST:
        return math.nan
    return floor if value == 0 and floor else value


def log_axis(ax, floor, number="{:g}".format):
    """Make the y axis logarithmic with few, plain labels; a dotted line at `floor` marks zero."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ax.set_yscale("log")
    low, high = ax.get_ylim()
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: number(y)))
    ax.yaxis.set_minor_formatter(NullFormatter())
    if floor:
        ax.axhline(floor, color=QUIET, linewidth=1, linestyle=":")
        ax.text(0.01, floor, "0", color=QUIET, va="bottom", transform=ax.get_yaxis_transform())
