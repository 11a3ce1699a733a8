"""The numbers of he_2016.md: figures 2 to 5 of He et al. 2016."""

import itertools
import math
import re
import statistics

import fig3_communications as fig3
import fig4_batch_sizes as fig4
import fig5_scaling as fig5
import numpy as np
import scaling
from fig4_batch_sizes import METHODS, format_statistic

from page_numbers import (  # noqa: F401  the page calls them
    FIGURES,
    all_digits,
    batch_robustness,
    best_settings,
    defaults,
    number,
    option_effects,
    percent,
    speech,
    table,
)
from page_numbers.measured import once
from refhf.lab.runs.json_lines import read_json_lines

# ----- Figure 2: from the table of fig2_saddle.txt


def _counts():
    text = (FIGURES / "fig2_saddle.txt").read_text(encoding="utf-8").split("\n\n")[1]
    cell = r"(\d+)/(\d+)(?: in (\d+), (\d+))?"
    return {line[:37].strip(): [c.groups() for c in re.finditer(cell, line)] for line in text.splitlines()[1:]}


COUNTS = _counts()  # the line, the saddle, four discs: (reached, of, median, most)


def leave(name, where=0):
    """'50 of 50' that reach a minimum from the line; from the discs '65 to 72 of 100'."""
    cells = COUNTS[name][2:] if where == "discs" else [COUNTS[name][where]]
    found = sorted({int(reached) for reached, *_ in cells})
    return " to ".join(map(str, dict.fromkeys((found[0], found[-1])))) + f" of {cells[0][1]}"


def stay(name):
    """'50 of 50' that do not leave, from the line."""
    reached, of, *_ = COUNTS[name][0]
    return f"{int(of) - int(reached)} of {of}"


def leaving_steps(name):
    """Median number of steps, from the line."""
    return COUNTS[name][0][2]


# ----- Figure 3: from fig3_communications.jsonl


class Kept(fig3.Runs):
    """The runs in the file; one that is missing is a KeyError."""

    def __call__(self, run):
        """The points of the run."""
        return self.done[run]

    def has(self, run):
        """True if the run is there."""
        return run in self.done


RUNS = fig3.found(Kept(FIGURES / "fig3_communications.jsonl", fig3.FULL, None))
CURVES, LIMITS = RUNS.figure, fig3.budgets(RUNS.figure)
SGD, SGD_1024 = "SGD, batch 64", "SGD, batch 1024"
SECOND = [name for name in CURVES if name not in (SGD, SGD_1024)]


def _three(values, form):
    there = sorted(v for v in values if v is not None)
    return [form(x) for x in (np.median(there), there[0], there[-1])]


def error(name, axis):
    """Median training error in per cent at the equal budget of an axis."""
    return percent(np.median([fig3.at(points, axis, LIMITS[axis]).error for points in CURVES[name]]))


def errors(axis, names):
    """'1.5 % and 9.7 %': the least and the largest of the medians."""
    found = sorted(float(error(name, axis)) for name in names)
    return f"{found[0]} % to {found[-1]} %"


def spent(name, axis, target):
    """Median of what the runs spend to a training error; of those that reach it."""
    return np.median([x for x in _spent(name, axis, target) if x is not None])


def _spent(name, axis, target):
    return [fig3.first(points, axis, target) for points in CURVES[name]]


def errors_table():
    """Training errors at equal budgets, and communications to two errors."""
    head = ["training error at equal ...", *(f"{LIMITS[axis]:.0f} {says}" for axis, says in SHORT.items())]
    rows = []
    for name, runs in CURVES.items():
        row = [name]
        for axis in SHORT:
            found = [fig3.at(points, axis, LIMITS[axis]).error for points in runs]
            middle, *ends = _three(found, percent)
            none = axis == "products" and not getattr(runs[0][-1], axis)
            row.append("makes none" if none else f"{middle} % [{', '.join(ends)}]")
        for target in (0.05, 0.01):
            found = _spent(name, "calls", target)
            there = sum(x is not None for x in found)
            of = "" if there == len(found) else f" ({there} of {len(found)})"
            middle, *ends = _three(found, "{:.0f}".format) if there else ("not in 80 passes", "", "")
            row.append(middle + (f" [{', '.join(ends)}]" if there == len(found) else "") + of if there else middle)
        rows.append(row)
    return table([*head, "communications to 5 %", "to 1 %"], rows)


SHORT = {"step": "iterations", "passes": "passes", "calls": "communications", "products": "products"}


def a_step(name, key):
    """The cost of a step, on average over the runs."""
    return sum(getattr(points[-1], key) for points in CURVES[name]) / sum(points[-1].step for points in CURVES[name])


def between(key, form="{:.1f}"):
    """'4.5 to 5.2' a step, over the second-order methods."""
    found = sorted(a_step(name, key) for name in SECOND)
    return f"{form.format(found[0])} to {form.format(found[-1])}"


def course(rate, passes):
    """Training error in per cent of seed 1's SGD with batch 64 at a rate, after so many passes."""
    return f"{100 * fig3.at(RUNS.rates[rate], 'passes', passes + 1).error:.3g}"


def epochs_to(rate, target):
    """Its epoch at a training error."""
    return fig3.first(RUNS.rates[rate], "step", target)


def whole(name, passes=20):
    """Training error in per cent on all of MNIST."""
    return f"{100 * fig3.at(RUNS.whole[name], 'passes', passes + 1).error:.2g}"


def reaching(name, target):
    """The number of seeds that reach a training error."""
    return sum(x is not None for x in _spent(name, "calls", target))


def volume(kind, who, what):
    """Calls or numbers of an iteration of SGD on 64 cases: the paper's formula, or counted."""
    b, ranks = 64, fig3.RANKS
    if who == "paper":
        found = (
            fig3.paper_data_parallel(b, b, fig3.SIZES, ranks)
            if kind == "data"
            else fig3.paper_model_parallel(b, b, fig3.SIZES)
        )
    elif kind == "data":
        found = fig3.counted_data_parallel(fig3.SIZES, gradients=1)
    else:
        found = fig3.counted_model_parallel(b, fig3.SIZES, gradients=1)
    return f"{getattr(found, what):,.0f}"


def as_printed():
    """The paper's number with d_0 d_i for d_{i-1} d_i, as section 3 prints it."""
    return f"{math.log2(fig3.RANKS) * sum(fig3.SIZES[0] * d for d in fig3.SIZES[1:]):,.0f}"


def apart():
    """How much more the paper's model-parallel numbers are, in per cent."""
    paper, ours = (int(volume("model", who, "numbers").replace(",", "")) for who in ("paper", "us"))
    return f"{100 * (paper / ours - 1):.1f}"


# ----- Figure 4: from fig4_batch_sizes/*.jsonl

FOUR = fig4.there(fig4.FULL, FIGURES / "fig4_batch_sizes")
BATCHES = fig4.batches_of(FOUR)


def batch_table():
    """Steps, passes and products to a training error."""
    rows = []
    for row in sorted(fig4.seed_groups(FOUR.sgd), key=lambda row: row.batch):
        if len(row.lines) == fig4.most_seeds(FOUR.sgd):
            reached = [str(fig4.reach(row.lines, i, "step")) for i in (0, 1)]
            reached += [str(fig4.reach(row.lines, 1, "epochs")), "0"]
            rows.append([f"sgd, rate {row.options['learning_rate']:g}", row.batch, len(row.lines), *reached])
    for method, batch in itertools.product(METHODS, BATCHES):
        lines = fig4.of(FOUR.hessian_free, method, batch)
        shown = ("step", 0), ("step", 1), ("epochs", 1), ("curvature_products", 1)
        rows.append([method, batch, len(lines), *(str(fig4.reach(lines, i, key)) for key, i in shown)])
    head = "method", "batch", "seeds", "steps to 4 %", "steps to 2 %", "passes to 2 %", "products to 2 %"
    return table(head, rows, right=range(1, 7))


def to_target(method, batch, key="step", target=1):
    """The cost to 2 % (target 1) or 4 %; SGD at the rate that all seeds have."""
    if method == "sgd":
        (row,) = [r for r in fig4.seed_groups(FOUR.sgd) if r.batch == batch and len(r.lines) > 1]
        return fig4.reach(row.lines, target, key)
    return fig4.reach(fig4.of(FOUR.hessian_free, method, batch), target, key)


def medians(method, key="step"):
    """The medians at the three batches: '19, 10, 9'."""
    found = (to_target(method, batch, key).median for batch in BATCHES)
    return ", ".join("never" if math.isinf(x) else f"{x:.3g}" for x in found)


def least(key="epochs"):
    """The fewest that a Hessian-free run needs to 2 %."""
    return f"{min(to_target(m, b, key).low for m in METHODS for b in BATCHES):.0f}"


def sgd_end(batch):
    """The training error of SGD after its epochs."""
    (row,) = [r for r in fig4.seed_groups(FOUR.sgd) if r.batch == batch and len(r.lines) > 1]
    return format_statistic(row.statistic("training_error"), 100, " %")


def a_run(method, *batches):
    """Products a step: the least and the most of the runs with these batches."""
    found = sorted(_products(method, *batches))
    return f"{found[0]:.1f} to {found[-1]:.1f}"


def middle_run(method, *batches):
    """The median of the same."""
    return f"{statistics.median(_products(method, *batches)):.1f}"


def _products(method, *batches):
    lines = [x for batch in batches for x in fig4.of(FOUR.hessian_free, method, batch)]
    return [x["curvature_products"] / x["steps"] for x in lines]


def depth_table():
    """The appendix."""
    rows = [
        [depth, method, len(fig4.of(lines, method))]
        + [format_statistic(fig4.loss_at(lines, method, key)) for key in fig4.SPENT]
        for depth, lines in FOUR.deep.items()
        for method in METHODS
    ]
    head = ["hidden layers", "method", "seeds", *(f"{fig4.BUDGETS[key]} {fig4.SPENT[key]}" for key in fig4.SPENT)]
    return table(head, rows, right=(0, 2, 3, 4, 5))


def counted(*sizes):
    """Matrix products of a Hessian-vector product over those of a gradient."""
    first, *later = (n * m for n, m in itertools.pairwise(sizes))
    return f"{(2 * first + 6 * sum(later)) / (2 * first + 3 * sum(later)):.2f}"


# ----- Figure 5: from fig5_scaling.jsonl, and the model that is fitted to it

LINES = read_json_lines(FIGURES / "fig5_scaling.jsonl")
TIMES = {(t.network, t.what, t.cases, t.part, t.ranks): t for t in scaling.measured(LINES)}
NEAR = scaling.machine([*TIMES.values()], fig5.NETWORK)
ETHERNET = NEAR.network(fig5.LATENCY, fig5.BANDWIDTH)


def timed(what, cases, ranks, part=None, network="timit"):
    """The times of a point."""
    return TIMES[network, what, cases, part, ranks]


def faster(what, cases, part=None):
    """How many times faster two ranks are, best against best: '1.88'."""
    return f"{timed(what, cases, 1, part).best / timed(what, cases, 2, part).best:.2f}"


def predicted(part, ranks, batch=fig5.BATCH):
    """How many times faster so many ranks are than one, by the model."""
    one, many = (fig5.cost_model.predict(NEAR, fig5.SIZES, fig5.step(batch), n)[part].total for n in (1, ranks))
    return one / many


def scaling_table():
    """Measured on 1 and 2 ranks, predicted for 64."""
    rows = []
    for says, part, batch in (
        ("full gradient (B = 4,096)", "gradient", 4096),
        ("line search, a value (B = 4,096)", "line_search", 4096),
        ("CG, 10 iterations, B = 512", "cg", 512),
        ("CG, 10 iterations, B = 4,096", "cg", 4096),
        ("iteration, B = 512", "iteration", 512),
        ("iteration, B = 4,096", "iteration", 4096),
    ):
        cells = [timed("hf", batch, ranks, part) for ranks in (1, 2)]
        shown = [f"{t.best:.3g} [{np.median(t.seconds):.3g}, {max(t.seconds):.3g}]" for t in cells]
        rows.append([says, *shown, faster("hf", batch, part), number(predicted(part, 64, batch), 2)])
    return table(["seconds, 101,350 cases", "1 rank", "2 ranks", "times faster", "predicted for 64"], rows)


def kinds_table():
    """Two ranks on mini-batches."""
    names = {"gradient": "gradient", "value": "value (line search)", "gauss-newton": "Gauss-Newton product"}
    rows = [[says, *(faster(kind, b) for b in scaling.BATCHES)] for kind, says in names.items()]
    return table(["", *(f"{b:,}" for b in scaling.BATCHES)], rows)


def cg_time(batch, ranks=1, each=False, machine=NEAR):
    """Seconds of one iteration of CG, by the model."""
    return fig5.seconds(machine, fig5.iteration_of_cg(batch, ranks, each), ranks)


def sent_share(part, ranks, machine=NEAR):
    """The share of communication, by the model."""
    share = fig5.share(fig5.cost_model.predict(machine, fig5.SIZES, fig5.step(fig5.BATCH), ranks)[part])
    return share.replace("%", " %")


def cheaper(batch, part, ranks=1):
    """How many times cheaper an iteration of CG is than the gradient or a value: measured, or else by the model."""
    if ranks == 1 and batch in scaling.STEPS:
        return timed("hf", batch, 1, part).best / (timed("hf", batch, 1, "cg").best / scaling.PRODUCTS)
    return fig5.seconds(NEAR, fig5.step(fig5.BATCH)[part], ranks) / cg_time(batch, ranks)


def off(network, fitted=None, what=None, ranks=None):
    """The largest error of the model in per cent, over the points that are asked for."""
    machine = scaling.machine([*TIMES.values()], network)
    found = [
        abs(scaling.predicted(machine, t, scaling.TIMIT_CASES if network == "timit" else 60_000) / t.best - 1)
        for t in TIMES.values()
        if t.network == network
        and fitted in (None, scaling.is_fitted(t))
        and ranks in (None, t.ranks)
        and what in (None, t.part)
    ]
    return 100 * max(found)


def points(network="timit"):
    """The number of points of a network."""
    return sum(t.network == network for t in TIMES.values())


def traffic(key):
    """Calls or bytes of a step on two ranks: all lines agree."""
    (found,) = {
        line[key] for line in LINES if line["what"] == "hf" and line["ranks"] == 2 and line["network"] == "timit"
    }
    return found


def larger_share(cases):
    """The cases of the rank of two that has more of a mini-batch, on average."""
    return f"{fig5.cost_model.largest_share(cases, 2):,.0f}"


def had(ranks):
    """The share of their cores that the ranks had, in per cent: the median of the points."""
    return f"{100 * statistics.median(x['share'] for x in LINES if x['ranks'] == ranks):.0f}"


def most_gain(part):
    """The largest gain over any number of ranks that fig5_scaling.txt has."""
    return max(predicted(part, n) for n in fig5.TOLD)


def sgd_epoch(ranks=16):
    """How many steps of gn-cg take as long as an epoch of SGD."""
    epoch = fig5.seconds(NEAR, fig5.cost_model.sgd_epoch(fig5.CASES, fig5.SMALL), ranks)
    return epoch / fig5.seconds(NEAR, fig5.several(1), ranks)


def crossing(worth, ranks=16, machine=NEAR):
    """How many times slower the network has to be for HF to overtake SGD."""
    return f"{fig5.crossing(machine, worth, ranks):.2g}"


def milli(seconds):
    """Milliseconds, without decimals."""
    return f"{1e3 * seconds:.0f}"


def solver_time():
    """Seconds of the vector operations of an iteration of CG, by the model."""
    return fig5.seconds(NEAR, [fig5.cost_model.Evaluations("solver", 0, 1)], 1)


def quiet():
    """How many times as fast two undisturbed ranks were as the best of one here."""
    return f"{timed('gradient', 8192, 1).best / float(once('quiet machine', 'gradient, 2 ranks')):.2f}"
