"""Figure 3 of He et al. 2016: SGD and four Hessian-free methods on digits, 784-400-10, on 16 ranks.

    python figures/fig3_communications.py [--fast] [--data-dir DIR] [FOLDER]

writes fig3_communications.png and .txt, by default into this folder, from the runs in its fig3_communications.jsonl,
one per line. Missing runs are made first (delete the file to make all runs again: ten minutes of one core). The cases
are the first 5,000 of mnist-mini; runs on all of MNIST need DIR or REFHF_DATA_DIR with its files.

The runs are serial. `communication_volume.counted_*` gives the communication of 16 ranks for these evaluations;
`checked` compares it with the counters of 16 ranks, in process, each time. Claims H1, H2 and H9 have their verdicts in
figures/he_2016.md. --fast has 1,100 cases, narrow networks, short runs and two seeds.
"""

import argparse
import json
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from earlier_defaults import EARLIER

import refhf
from refhf.data.data_sets import load
from refhf.data.fetch import locate_idx_set
from refhf.lab.plots import history_axes, run_figures
from refhf.lab.runs.json_lines import read_json_lines
from refhf.methods.report import Outcome
from refhf.parallel import run as run_ranks
from refhf.parallel import shard
from refhf.parallel.communication_volume import (
    counted_data_parallel,
    counted_model_parallel,
    paper_data_parallel,
    paper_model_parallel,
    parameters,
)
from refhf.parallel.model_parallel import model_parallel

SIZES = 784, 400, 10
RANKS, SPLIT = 16, 8  # the paper's; and of the model-parallel count, as a layer of 10 cannot be split over 16


class Scale(NamedTuple):
    """The scale of the figure: cases, hidden units, seeds, and passes of the choice, of the runs and of all MNIST."""

    cases: int
    hidden: int
    seeds: tuple
    choice: float
    passes: float
    whole: float


FULL = Scale(5_000, 400, (1, 2, 3, 4, 5), 30, 80, 20)
FAST = Scale(1_100, 8, (1, 2), 10, 32, 0)


class Setting(NamedTuple):
    """A curve: a method with its options, of which one is chosen from four values, by seed 0."""

    method: str
    options: dict
    chosen: str
    grid: tuple


SETTINGS = {
    "SGD, batch 64": Setting("sgd", {"batch": 64}, "learning_rate", (0.1, 0.3, 1.0, 3.0)),
    "SGD, batch 1024": Setting("sgd", {"batch": 1024}, "learning_rate", (0.1, 0.3, 1.0, 3.0)),
    **{
        method: Setting(method, {"curvature_batch": 512} | options, "damping", (0.01, 0.1, 1.0, 10.0))
        for method, options in EARLIER.items()
    },
}
RATES = 0.03, 0.1, 0.3, 1.0  # of SGD with batch 64, for claim H2
WHOLE = ("SGD, batch 64", "gn-cg")  # those that are run on all of MNIST too
LOOKS = {
    name: (history_axes.COLOURS[i], history_axes.MARKERS[i])
    for name, i in zip(SETTINGS, (6, 5, 0, 4, 2, 1), strict=True)
}


class Run(NamedTuple):
    """A run: what for ('choice', 'figure', 'rates', 'whole'), which curve, the value of what is chosen, its seed."""

    part: str
    name: str
    value: float
    seed: int


class Point(NamedTuple):
    """A run after a step (SGD: an epoch): objective, training error and cost so far."""

    step: int
    loss: float
    error: float
    values: int
    gradients: int
    products: int
    passes: float

    @property
    def calls(self) -> int:
        """Communications on RANKS ranks."""
        return counted_data_parallel(SIZES, self.gradients, self.products, self.values).calls


# ----- runs


class Runs:
    """The runs in a file, a line each; one that is missing is run and added."""

    def __init__(self, path: Path, scale: Scale, data_dir):
        self.path, self.scale, self.data_dir, self.sets = path, scale, data_dir, {}
        records = read_json_lines(path)
        self.done = {Run(*(r[key] for key in Run._fields)): [Point(*p) for p in r["points"]] for r in records}

    def __call__(self, run: Run) -> list[Point]:
        """The points of the run."""
        if run not in self.done:
            self.done[run] = made(run, self._data(run.part), self.scale)
            with open(self.path, "a", encoding="utf-8", newline="\n") as stream:
                stream.write(json.dumps({**run._asdict(), "points": self.done[run]}) + "\n")
        return self.done[run]

    def has(self, run: Run) -> bool:
        """True if the run exists, or can be made."""
        return run in self.done or (self.scale.whole > 0 and self._whole_mnist())

    def _data(self, part):
        name = "mnist" if part == "whole" else "mnist-mini"
        if name not in self.sets:
            self.sets[name] = load(name, data_dir=self.data_dir, dtype=np.float32)
        cases = slice(None if part == "whole" else self.scale.cases)
        return self.sets[name].X[cases], self.sets[name].y[cases]

    def _whole_mnist(self):
        try:
            return locate_idx_set("mnist", self.data_dir)[0] != "download"
        except ValueError:
            return False


def made(run: Run, data, scale: Scale) -> list[Point]:
    """Run it: points at the steps 0 to 10, then at every fifth epoch of SGD, or every step."""
    X, y = data
    net = refhf.mlp([784, scale.hidden, 10], nonlinearity="tanh", loss="softmax_cross_entropy")
    objective, theta = refhf.supervised(net, X, y), net.init(run.seed, np.float32)
    method, options, chosen, _ = SETTINGS[run.name]
    epoch = math.ceil(len(X) / options["batch"]) if method == "sgd" else 1
    limit = {"choice": scale.choice, "whole": scale.whole}.get(run.part, scale.passes)
    points = [Point(0, objective.value(theta), objective.error(theta), 0, 0, 0, 0.0)]
    for report in refhf.iterate(objective, theta, method=method, rng=run.seed, **options, **{chosen: run.value}):
        if report.counts.epochs > limit or report.outcome is Outcome.NON_FINITE:
            break
        step = report.k // epoch
        if report.k % epoch or (epoch > 1 and step > 10 and step % 5):
            continue
        loss = objective.value(report.theta) if epoch > 1 else report.loss
        spent = report.counts.value_evaluations, report.counts.gradient_evaluations, report.counts.curvature_products
        points.append(Point(step, loss, objective.error(report.theta), *spent, report.counts.epochs))
    return [p._replace(loss=float(f"{p.loss:.5g}"), error=round(p.error, 6), passes=round(p.passes, 3)) for p in points]


# ----- tables


class Found(NamedTuple):
    """All runs: by curve and value those of the choice and of the rates, by curve those of each seed, and on MNIST."""

    choice: dict[str, dict[float, list[Point]]]
    value: dict[str, float]
    figure: dict[str, list[list[Point]]]
    rates: dict[float, list[Point]]
    whole: dict[str, list[Point]]


def found(runs: Runs) -> Found:
    """The choice first; then with the value that had the lowest objective at its end, a run a seed."""
    choice = {
        name: {value: runs(Run("choice", name, value, 0)) for value in setting.grid}
        for name, setting in SETTINGS.items()
    }
    value = {name: min(tried, key=lambda v: history_axes.or_inf(tried[v][-1].loss)) for name, tried in choice.items()}
    seeds = runs.scale.seeds
    figure = {name: [runs(Run("figure", name, value[name], seed)) for seed in seeds] for name in SETTINGS}
    sgd = next(iter(SETTINGS))
    rates = {rate: figure[sgd][0] if rate == value[sgd] else runs(Run("rates", sgd, rate, seeds[0])) for rate in RATES}
    whole = [Run("whole", name, value[name], seeds[0]) for name in WHOLE]
    return Found(choice, value, figure, rates, {run.name: runs(run) for run in whole if runs.has(run)})


def at(points, axis: str, budget: float) -> Point:
    """The last point within a budget."""
    return [p for p in points if getattr(p, axis) <= budget][-1]


AXES = {  # attribute of a Point: what it is called
    "step": "iterations",
    "passes": "effective passes",
    "calls": "communications",
    "products": "curvature products",
}
TARGET = 0.01  # of the headline: claim H2's
ERRORS = 0.1, 0.05, 0.02, 0.01, 0.005, 0.001


def spread(values, form="{:.3g}") -> str:
    """The median, least and largest; of how many, if some are missing."""
    there = sorted(v for v in values if v is not None)
    if not there:
        return "none"
    low, middle, high = (form.format(v) for v in (there[0], np.median(there), there[-1]))
    some = "" if len(there) == len(values) else f" ({len(there)} of {len(values)})"
    return f"{middle} [{low}, {high}]{some}"


def columns(rows) -> str:
    """Rows of text, one below the other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(c.ljust(n) for c, n in zip(row, widths, strict=True)).rstrip() for row in rows)


def budgets(figure) -> dict[str, float]:
    """As much of each axis as every run of every curve has, as a whole number; products of those that make any."""
    ends = [points[-1] for runs in figure.values() for points in runs]
    return {axis: math.floor(min(getattr(end, axis) for end in ends if getattr(end, axis))) for axis in AXES}


def at_equal(figure, key, form) -> str:
    """Objective or error of each curve at equal budgets of each axis."""
    limits = budgets(figure)
    rows = [["", *(f"{limits[axis]:.0f} {says}" for axis, says in AXES.items())]]
    for name, runs in figure.items():
        cells = [
            spread([getattr(at(points, axis, limits[axis]), key) for points in runs], form)
            if getattr(runs[0][-1], axis)
            else "makes none"
            for axis in AXES
        ]
        rows.append([name, *cells])
    return columns(rows)


def first(points, axis: str, error: float):
    """The cost on one axis to reach a training error; None if the run did not reach it."""
    return next((getattr(p, axis) for p in points if p.error <= error), None)


def to_reach(figure, axis) -> str:
    """The same for each curve and several errors."""
    rows = [["", *(f"{100 * error:g} %" for error in ERRORS)]]
    for name, runs in figure.items():
        if getattr(runs[0][-1], axis):
            spent = [[first(points, axis, error) for points in runs] for error in ERRORS]
            rows.append([name, *(spread(one, "{:.0f}") for one in spent)])
    return columns(rows)


def course(runs: dict[str, list[Point]], passes) -> str:
    """Training error and objective of runs, as they go on."""
    rows = [["passes", *map(str, passes)]]
    for name, points in runs.items():
        there = [at(points, "passes", limit + 1) for limit in passes]
        rows.append([name, *(f"{history_axes.percent(p.error)}, {p.loss:.2g}" for p in there)])
    return columns(rows)


def a_step(figure) -> str:
    """The cost of a step, on average over the runs."""
    rows = [["a step (SGD: an epoch)", "gradients", "products", "values", "communications", "numbers", "passes"]]
    for name, runs in figure.items():
        steps = sum(points[-1].step for points in runs)
        names = "gradients", "products", "values", "calls", "passes"
        of = {key: sum(getattr(points[-1], key) for points in runs) / steps for key in names}
        numbers = counted_data_parallel(SIZES, of["gradients"], of["products"], of["values"]).numbers
        cells = [of["gradients"], of["products"], of["values"], of["calls"]]
        rows.append([name, *(f"{x:.1f}" for x in cells), f"{numbers:.2e}", f"{of['passes']:.2f}"])
    return columns(rows)


# ----- section 3


def checked(scale: Scale) -> list[list[str]]:
    """The counters of 16 ranks in process for each method, and the equal values of the formula.

    Raises AssertionError where it is not.
    """
    cases, sizes = 512, (784, scale.hidden, 10)
    data = load("mnist-mini", dtype=np.float32)
    X, y = data.X[:cases], data.y[:cases]
    net = refhf.mlp(sizes, nonlinearity="tanh", loss="softmax_cross_entropy")
    rows = [["", "gradients", "products", "values", "communications", "numbers", "by the formula"]]
    for name, setting in SETTINGS.items():
        small = {"batch": 64} if setting.method == "sgd" else {"curvature_batch": 64, "solver_iterations": 3}

        def counts(comm, method=setting.method, options=setting.options | small):
            mine = shard(cases, comm.rank, comm.size)
            objective = refhf.supervised(net, X[mine], y[mine], comm=comm)
            steps = cases // 64 if method == "sgd" else 2
            return refhf.minimize(objective, net.init(0, np.float32), method, steps, rng=0, **options).history[-1]

        (last, *others) = run_ranks(RANKS, counts)
        assert all(str(other) == str(last) for other in others)  # NaN is as NaN
        evaluations = [last[name] for name in ("gradient_evaluations", "curvature_products", "value_evaluations")]
        formula = counted_data_parallel(sizes, *evaluations)
        assert formula == (last["communications"], last["bytes_communicated"] / 8), name
        cells = *evaluations, last["communications"], last["bytes_communicated"] // 8
        rows.append([name, *map(str, cells), "equal"])
    return rows


def section_3() -> str:
    """One iteration of SGD on b = 64 cases: the paper's formulas, and what ranks in process have counted."""
    b, layers = 64, len(SIZES) - 1
    net = refhf.mlp(SIZES, nonlinearity="tanh", loss="softmax_cross_entropy")
    data = load("mnist-mini", dtype=np.float64)
    objective, theta = refhf.supervised(net, data.X[:b], data.y[:b]), net.init(0)

    def data_parallel(comm):
        mine = shard(b, comm.rank, comm.size)
        shared = refhf.supervised(net, data.X[mine], data.y[mine], comm=comm)
        return spent(comm, lambda: shared.value_and_gradient(theta))

    def split(comm):
        model = model_parallel(objective, comm)
        part = model.part(theta)
        return spent(comm, lambda: model.value_and_gradient(part))

    def spent(comm, work):
        before = comm.traffic
        work()
        return comm.traffic.calls - before.calls, (comm.traffic.bytes - before.bytes) // 8

    ours = run_ranks(RANKS, data_parallel)[0], run_ranks(SPLIT, split)[0]
    assert ours[0] == counted_data_parallel(SIZES, gradients=1)
    assert ours[1] == counted_model_parallel(b, SIZES, gradients=1)
    papers = paper_data_parallel(b, b, SIZES, RANKS), paper_model_parallel(b, b, SIZES)
    calls = "2 -> 1", f"2 L -> 2 L - 1, L = {layers}"
    numbers = f"log2(N) sum d_(i-1) d_i -> P + 3, P = {parameters(SIZES)}", "2 b sum d_i -> b (2 sum d_i - d_L)"
    rows = [["one iteration, b = 64", "paper", "counted", "paper -> counted", "paper", "counted", "paper -> counted"]]
    names = f"data-parallel, N = {RANKS}", f"model-parallel, N = {SPLIT}"
    for name, paper, our, *says in zip(names, papers, ours, calls, numbers, strict=True):
        rows.append([name, f"{paper.calls:.0f}", f"{our[0]}", says[0], f"{paper.numbers:.0f}", f"{our[1]}", says[1]])
    return columns([["", "calls", "", "", "numbers", "", ""], *rows])


def written(all_of: Found, scale: Scale) -> str:
    """The tables, each below what it shows."""
    figure, seeds = all_of.figure, scale.seeds
    marks = [round(limit) for limit in np.geomspace(scale.passes / 15, scale.passes, 5)]
    tried = [
        [name, SETTINGS[name].chosen, *(f"{value:g}: {points[-1].loss:.3g}" for value, points in choice.items())]
        for name, choice in all_of.choice.items()
    ]
    rates = {f"SGD, batch 64, rate {rate:g}": points for rate, points in all_of.rates.items()}
    second_order = {name: runs[0] for name, runs in figure.items() if SETTINGS[name].method != "sgd"}
    whole = {f"{name}, {SETTINGS[name].chosen} {all_of.value[name]:g}": run for name, run in all_of.whole.items()}
    equal = "at equal iterations, effective passes, communications and curvature products"
    parts = {
        f"{scale.cases:,} digits of mnist-mini, 784-{scale.hidden}-10, tanh, softmax cross-entropy, float32.\nAn "
        f"iteration of SGD is an epoch; communications are of {RANKS} ranks. Median [least, most] of {len(seeds)} "
        f"seeds.\n\nChosen by seed 0: the objective after {scale.choice} passes": columns(tried),
        f"Objective {equal}": at_equal(figure, "loss", "{:.2g}"),
        f"Training error {equal}": at_equal(figure, "error", "{:.2%}"),
        **{f"{says.capitalize()} to a training error": to_reach(figure, axis) for axis, says in AXES.items()},
        "What a step spends, on average": a_step(figure),
        f"H2: training error and objective as seed {seeds[0]} goes on": course(rates | second_order, marks),
        "The same on all 60,000 cases of MNIST": course(whole, (1, 2, 5, 10, 20)) if whole else "Not run: no files.",
        "H9: an iteration of SGD by section 3, and counted": section_3(),
        f"What {RANKS} ranks in process have counted, on 512 cases, with batches of 64": columns(checked(scale)),
    }
    return "\n\n".join(f"{title}.\n\n{table}" for title, table in parts.items()) + "\n"


# ----- the picture


def curve(runs, axis, key, xs):
    """Median, least and largest of the runs at xs, in straight lines between points."""
    ys = [np.interp(xs, [getattr(p, axis) for p in points], [getattr(p, key) for p in points]) for points in runs]
    return np.median(ys, axis=0), np.min(ys, axis=0), np.max(ys, axis=0)


def panel(ax, figure, axis, key):
    """Curves of one quantity against one axis, each to where the shortest of its runs ends."""
    limits = {name: min(getattr(points[-1], axis) for points in runs) for name, runs in figure.items()}
    if axis == "step":
        limits = dict.fromkeys(limits, min(limits.values()))
    values = [getattr(p, key) for runs in figure.values() for points in runs for p in points]
    floor = history_axes.floor_of(values)
    for name, runs in figure.items():
        if not limits[name]:
            continue
        first = min(getattr(points[1], axis) for points in runs)
        xs = np.linspace(0, limits[name], 200) if axis == "step" else np.geomspace(first, limits[name], 200)
        middle, low, high = (np.maximum(y, floor or 0) for y in curve(runs, axis, key, xs))
        colour, marker = LOOKS[name]
        ax.fill_between(xs, low, high, color=colour, alpha=0.18, linewidth=0)
        ax.plot(xs, middle, color=colour, marker=marker, markevery=(len(xs) // 10, len(xs) // 5), label=name)
    if axis != "step":
        log_x(ax)
    if key == "error":
        ax.axhline(TARGET, color="black", linestyle="--", linewidth=1.5, zorder=1)
    history_axes.log_axis(ax, floor, history_axes.percent if key == "error" else "{:g}".format)


def log_x(ax):
    """A log axis with few, plain labels."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ax.set_xscale("log")
    low, high = ax.get_xlim()
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 50 * low else (1,)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}" if x >= 1 else f"{x:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def picture(figure):
    """Objective and training error against what is spent."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(run_figures.STYLE)
        drawn = Figure(figsize=(19, 10.5), layout="constrained")
        axes = drawn.subplots(2, len(AXES), sharex="col", sharey="row")
        for row, key in zip(axes, ("loss", "error"), strict=True):
            for ax, axis in zip(row, AXES, strict=True):
                panel(ax, figure, axis, key)
        for ax, says in zip(axes[1], AXES.values(), strict=True):
            ax.set_xlabel(says)
        axes[0, 0].xaxis.get_major_locator().set_params(integer=True)
        axes[0, 0].set_ylabel("objective")
        axes[1, 0].set_ylabel("training error")
        drawn.suptitle(headline(figure), ha="left", x=0.01, size=19, weight="bold")
        drawn.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(figure))
    return drawn


def headline(figure) -> str:
    """The text of the third column: the medians of the methods with all runs at the target."""
    spent = {name: [first(points, "calls", TARGET) for points in runs] for name, runs in figure.items()}
    said = [f"{np.median(calls):,.0f} ({name})" for name, calls in spent.items() if None not in calls]
    rest = "" if len(said) == len(spent) else "; the others do not come to it"
    return f"Communications to a training error of 1 % (dashed): {', '.join(said) or 'none enough'}{rest}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", default=Path(__file__).parent, type=Path)
    parser.add_argument("--fast", action="store_true", help="a small form, for the tests")
    parser.add_argument("--data-dir", help="folder of the IDX files of MNIST; default: REFHF_DATA_DIR")
    asked = parser.parse_args()
    scale = FAST if asked.fast else FULL
    all_of = found(Runs(asked.folder / "fig3_communications.jsonl", scale, asked.data_dir))
    text = written(all_of, scale)
    (asked.folder / "fig3_communications.txt").write_text(text, encoding="utf-8", newline="\n")
    print(text)
    run_figures.save_figure(picture(all_of.figure), asked.folder / "fig3_communications.png")


if __name__ == "__main__":
    main()
