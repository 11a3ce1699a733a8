"""The numbers of he_2016.md on all 60,000 digits: the runs of fig_all_digits.py."""

import math
import statistics

import fig_all_digits as fig

from page_numbers import FIGURES, percent, table
from refhf.lab.sweep.sweep_budgets import value_at

RUNS = fig.there(FIGURES / "fig_all_digits")
BATCHES = fig.batches_of(RUNS)
STEPS = min(line["steps"] for line in RUNS.hessian_free)  # all runs have as many


def _lines(method):
    return [fig.of(RUNS, method)] if method == "sgd" else [fig.of(RUNS, method, batch) for batch in BATCHES]


def _amount(x):
    return "never" if math.isinf(x) else f"{x:,.0f}"


def batches():
    """'512, 2,048': the curvature batches whose runs are here."""
    return ", ".join(f"{batch:,}" for batch in BATCHES)


def to(method, budget, target):
    """What is spent to a training error with each curvature batch: '19, 10, never'."""
    return ", ".join(_amount(fig.reach(lines, budget, target).median) for lines in _lines(method))


def error(method, budget, amount):
    """The training error in per cent at a budget, with each curvature batch."""
    found = ([value_at(line, budget, amount, "training_error") for line in lines] for lines in _lines(method))
    return ", ".join(percent(statistics.median(values)) for values in found)


def end(method):
    """The training error at the end in per cent, with each curvature batch."""
    return ", ".join(percent(statistics.median(x["training_error"] for x in lines), 2) for lines in _lines(method))


def times_sgd(method, target):
    """How many times as many communications SGD spends to a training error, for each batch."""
    sgd = fig.reach(fig.of(RUNS, "sgd"), "communications", target).median
    found = (fig.reach(lines, "communications", target).median for lines in _lines(method))
    return ", ".join("never" if math.isinf(x) else f"{sgd / x:.1f}" for x in found)


def spent_passes(method, target):
    """Passes of SGD to a training error."""
    return f"{fig.reach(fig.of(RUNS, method), 'passes', target).median:.2f}"


def least_end():
    """The least training error at the end of a Hessian-free run, in per cent."""
    line = min(RUNS.hessian_free, key=lambda line: line["training_error"])
    return percent(line["training_error"], 2)


def rate():
    """The rate of SGD."""
    return f"{fig.chosen_rate(RUNS.rates):g}"


SHOWN = (("steps", 0.1), ("passes", 0.1), ("communications", 0.1), ("steps", 0.04), ("passes", 0.04), ("passes", 0.01))


def spent_table():
    """For each method and curvature batch what the run spends to a training error, and its errors at the end."""
    rows = []
    for method, batch, lines in fig.cells_of(RUNS):
        cells = [str(fig.reach(lines, budget, target)) for budget, target in SHOWN]
        ends = (f"{percent(statistics.median(x[key] for x in lines), 2)} %" for key in ("training_error", "test_error"))
        rows.append([method, f"{batch:,}", *cells, ", ".join(ends)])
    heads = (f"{budget} to {100 * target:g} %" for budget, target in SHOWN)
    return table(["method", "batch", *heads, "training, test error at the end"], rows, right=range(1, 8))
