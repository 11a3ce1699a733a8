"""The numbers of he_2016.md on all 60,000 digits: the runs of fig_all_digits.py."""

import math

import fig_all_digits as fig

from page_numbers import FIGURES, percent, table

RUNS = fig.there(FIGURES / "fig_all_digits")
BATCHES = fig.batches_of(RUNS)


def to(method, budget, target, *batches):
    """What the run spends to a training error with each curvature batch: '19, 10, never'."""
    found = (fig.reach(lines, budget, target).median for lines in _lines(method, batches or BATCHES))
    return ", ".join("never" if math.isinf(x) else f"{x:,.0f}" for x in found)


def _lines(method, batches):
    return [fig.of(RUNS, method)] if method == "sgd" else [fig.of(RUNS, method, batch) for batch in batches]


def error(method, *batches):
    """The training error at the end in per cent with each curvature batch."""
    return ", ".join(percent(lines[0]["training_error"], 2) for lines in _lines(method, batches or BATCHES))


def rate():
    """The rate of SGD."""
    return f"{fig.chosen_rate(RUNS.rates):g}"


def times_sgd(method, target, batch):
    """How many times as many communications SGD spends to a training error."""
    one, other = (fig.reach(lines, "communications", target).median for lines in _both(method, batch))
    return f"{other / one:.1f}"


def _both(method, batch):
    return fig.of(RUNS, method, batch), fig.of(RUNS, "sgd")


def spent_table():
    """For each method and curvature batch what the run spends to 4, 2 and 1 %, and its errors at the end."""
    rows = []
    for method, batch, lines in fig.cells_of(RUNS):
        cells = [str(fig.reach(lines, budget, target)) for budget, target in SHOWN]
        ends = ", ".join(f"{percent(lines[0][key], 2)} %" for key in ("training_error", "test_error"))
        rows.append([method, f"{batch:,}", *cells, ends])
    heads = (f"{budget} to {100 * target:g} %" for budget, target in SHOWN)
    return table(["method", "batch", *heads, "training, test error at the end"], rows, right=range(1, 8))


SHOWN = (
    *(("steps", target) for target in fig.TARGETS),
    *((budget, target) for budget in ("passes", "communications") for target in fig.TARGETS[1:]),
)
