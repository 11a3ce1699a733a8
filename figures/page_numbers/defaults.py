"""The numbers of fig_defaults.py: the grid that chose the defaults, and what they gain on ten other seeds."""

import statistics

import fig_defaults as fig

from page_numbers import FIGURES, table

LINES = fig.there(FIGURES / "fig_defaults")
BUDGETS = fig.FULL.best.budgets
GAINS = fig.gains(fig.FULL, LINES)


def grid_table(shown=3):
    """The first settings of each method, the default and the one before among them."""
    rows = []
    for method in fig.METHODS:
        for i, (options, ratios) in enumerate(fig.ranked(fig.FULL, LINES, method)):
            role = fig.role(method, options)
            if role or i < shown:
                cells = (f"{fig.score(ratios, budget):.2f}" for budget in ("", *BUDGETS))
                rows.append([method, fig.said(options), *cells, role])
    return table(["method", "setting", "all", *BUDGETS, ""], rows, right=range(2, 7))


def common_table():
    """The iterations and rules that the methods with CG have in common."""
    rows = [[cap, fig.RULES[rule], f"{mean:.2f}"] for (cap, rule), mean in fig.in_common(fig.FULL, LINES)]
    return table(["iterations", "rule", "mean of the three methods"], rows, right=(0, 2))


def gains_table():
    """The loss of the default over that of the one before, by method and budget, and the verdicts."""
    rows = []
    for method in dict.fromkeys(gain.method for gain in GAINS):
        cells, said = [], []
        for budget in BUDGETS:
            found = [gain for gain in GAINS if (gain.method, gain.budget) == (method, budget)]
            means = [statistics.fmean(gain.chosen) / statistics.fmean(gain.earlier) for gain in found]
            cells.append(f"{statistics.geometric_mean(means):.2f}")
            said += [str(fig.verdict(gain.difference, "below")) for gain in found]
        counts = (said.count(word) for word in ("holds", "fails", "not judgeable here"))
        rows.append([method, *cells, *counts])
    return table(["method", *BUDGETS, "holds", "fails", "not judgeable"], rows, right=range(1, 8))


def worst():
    """Where the default is above the one before, beyond the interval: 'gn-cg, tanh sparse, steps; ...', or 'none'."""
    found = [gain for gain in GAINS if str(fig.verdict(gain.difference, "below")) == "fails"]
    return "; ".join(f"{gain.method}, {gain.problem.replace('_', ' ')}, {gain.budget}" for gain in found) or "none"
