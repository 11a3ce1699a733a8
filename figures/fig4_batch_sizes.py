"""Figure 4 and the appendix of He et al. 2016: batch sizes, 784-400-150-10, and one to four hidden layers.

    python figures/fig4_batch_sizes.py [--fast | --as-is] [--seeds N] [FOLDER]
    python figures/fig4_batch_sizes.py --cost

The first writes fig4_batch_sizes.png and .txt, by default into this folder, from the runs in its
fig4_batch_sizes/*.jsonl, one per line. Missing runs are made first (delete them to make all runs again: forty
minutes of one core). The cases are the 10,000 of mnist-mini, in float32. Seeds are 0 to N - 1, N = 5 by default.

    hessian_free    four methods, curvature batches 512, 2048 and 8192, until 2 % training error or for 20 steps
    sgd             batches 64 and 128, 15 epochs, at the one of the rates 0.1, 0.3 and 1 that gives seed 0 least loss
    hidden_1 ... 4  four methods, one to four hidden layers of 50 units, curvature batch 1024, 20 steps

The Hessian-free methods have their defaults, which are the paper's as far as it states them: no preconditioner, no
backtracking in CG. The paper does not say how large its appendix's networks are.

The second prints what a Hessian-vector product costs beside a gradient, for claim H6. Claims H3 to H6 and H10 are
judged in figures/he_2016.md. --fast has 300 cases, narrow networks and short runs, and keeps none of them; --as-is runs
nothing.
"""

import argparse
import itertools
import math
import statistics
import sys
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from earlier_defaults import EarlierConfiguration

import refhf
from refhf.data.data_sets import DataSet, load
from refhf.lab.plots import history_axes, run_figures
from refhf.lab.runs.json_lines import read_json_lines
from refhf.lab.sweep.sweep_grid import Configuration, SweepSetting, configurations
from refhf.lab.sweep.sweep_runs import run_sweep
from refhf.lab.sweep.sweep_summary import best_of_grid, columns, format_statistic, seed_groups, statistic

METHODS = ("gn-cg", "hessian-cg", "hybrid-cg", "hessian-bicgstab")
COLOURS = {"gn-cg": 0, "hessian-cg": 4, "hybrid-cg": 2, "hessian-bicgstab": 1, "sgd": 6}  # as in fig3
TARGETS = (0.04, 0.02)  # the paper's text and its caption
RATES = (0.1, 0.3, 1.0)
NEVER = {"markerfacecolor": "white", "markeredgewidth": 2, "linestyle": "none", "markersize": 11}
SPENT = {"step": "steps", "epochs": "passes", "curvature_products": "products"}
BUDGETS = {"step": 20, "epochs": 60, "curvature_products": 150}  # our choice: what each run of the appendix can spend


class Scale(NamedTuple):
    """The scale of the figure."""

    cases: int
    hidden: tuple
    batches: tuple
    sgd_batches: tuple
    steps: int
    epochs: int
    depths: tuple
    width: int
    deep_batch: int
    deep_steps: int
    seeds: int


FULL = Scale(10_000, (400, 150), (512, 2048, 8192), (64, 128), 20, 15, (1, 2, 3, 4), 50, 1024, 20, 5)
FAST = Scale(300, (8, 6), (64, 256), (16, 32), 3, 2, (1, 2), 6, 128, 2, 2)


class Runs(NamedTuple):
    """The lines of the three parts; of the appendix by the number of hidden layers."""

    hessian_free: list[dict]
    sgd: list[dict]
    deep: dict[int, list[dict]]


# ----- runs


def there(scale: Scale, folder: Path) -> Runs:
    """The runs that are in the folder, of a batch and network the seeds for which all four methods are there."""

    def read(name, methods=METHODS):
        lines = read_json_lines(folder / f"{name}.jsonl")
        had = Counter((line["batch"], line["seed"]) for line in lines)
        return [line for line in lines if had[line["batch"], line["seed"]] >= len(methods)]

    deep = {depth: lines for depth in scale.depths if (lines := read(f"hidden_{depth}"))}
    return Runs(read("hessian_free"), read("sgd", ["sgd"]), deep)


def made(scale: Scale, seeds: int, folder: Path | None) -> Runs:
    """The runs that are in the folder, if there is one, and those that it lacks."""
    whole = load("mnist-mini", dtype="float32")
    data = DataSet(whole.name, *(array[: scale.cases] for array in whole[1:5]))

    def run(name, chosen, hidden, **ends):
        setting = SweepSetting(data, hidden, targets=TARGETS, **ends)
        earlier = [EarlierConfiguration(*cell) for cell in chosen]
        return run_sweep(setting, earlier, folder and folder / f"{name}.jsonl", say)

    tried = configurations(["sgd"], scale.sgd_batches, [0], grid={"learning_rate": RATES})
    sgd = run("sgd", tried, scale.hidden, steps=scale.epochs)
    more = [
        Configuration("sgd", row.batch, seed, row.options)
        for seed in range(1, seeds)
        for row in best_of_grid(seed_groups(sgd))
    ]
    sgd += run("sgd", more, scale.hidden, steps=scale.epochs)
    alike = configurations(METHODS, [scale.deep_batch], range(seeds))
    deep = {
        depth: run(f"hidden_{depth}", alike, depth * (scale.width,), steps=scale.deep_steps) for depth in scale.depths
    }
    chosen = [cell for batch in scale.batches for cell in configurations(METHODS, [batch], range(seeds))]
    return Runs(run("hessian_free", chosen, scale.hidden, steps=scale.steps, stop_at_target=True), sgd, deep)


def say(line, resumed):
    if not resumed:
        words = line["setting"]["hidden"], line["method"], line["batch"], line["options"], line["seed"]
        print(*words, line["status"], f"after {line['steps']} steps, {line['seconds']:.0f} s", flush=True)


# ----- numbers


class Reach(NamedTuple):
    """The cost at a target: median, least and most of the seeds; infinite if not reached."""

    median: float
    low: float
    high: float

    def __str__(self):
        low, high, median = ("never" if math.isinf(x) else f"{x:.3g}" for x in (self.low, self.high, self.median))
        return median if low == high else f"{median} ({low} to {high})"


def reach(lines, target: int, key: str) -> Reach:
    spent = [math.inf if line["reached"][target] is None else line["reached"][target][key] for line in lines]
    return Reach(statistics.median_high(spent), min(spent), max(spent))


def at(line, key: str) -> float:
    """The training loss of a run's last point within the budget."""
    curve = line["curve"]
    return [loss for loss, spent in zip(curve["loss"], curve[key], strict=True) if spent <= BUDGETS[key]][-1]


def of(lines, method, batch=None):
    return [line for line in lines if line["method"] == method and batch in (None, line["batch"])]


def loss_at(lines, method, key):
    return statistic([at(line, key) for line in of(lines, method)])


def written(scale: Scale, runs: Runs) -> str:
    """The tables."""
    parts = "\n\n".join("\n".join(columns(table)) for table in (main_table(runs), sgd_table(runs), deep(runs)))
    return f"""\
784-{"-".join(map(str, scale.hidden))}-10, {scale.cases} cases.
First: what the Hessian-free methods have spent at 4 % and 2 % training error: median (least to most) of the seeds.
Second: sgd for {scale.epochs} epochs, mean ± standard deviation.
Third: {deep_said(scale)}, curvature batch {scale.deep_batch}: training loss, mean ± standard deviation.

{parts}
"""


def deep_said(scale):
    return f"1 to {max(scale.depths)} hidden layers of {scale.width} units"


def most_seeds(lines):
    return len({line["seed"] for line in lines})


def batches_of(runs):
    return sorted({line["batch"] for line in runs.hessian_free})


def main_table(runs):
    shown = [(key, i) for key in SPENT for i in (0, 1)]
    table = [["", "batch", "seeds", *(f"{SPENT[key]} to {100 * TARGETS[i]:g} %" for key, i in shown)]]
    for method, batch in itertools.product(METHODS, batches_of(runs)):
        lines = of(runs.hessian_free, method, batch)
        table.append([method, str(batch), str(len(lines)), *(str(reach(lines, i, key)) for key, i in shown)])
    return table


def sgd_table(runs):
    every = seed_groups(runs.sgd)
    table = [["", "rate", "seeds", "epochs to 4 %", "epochs to 2 %", "training loss", "training error", "test error"]]
    for row in sorted(every, key=lambda row: (row.batch, row.options["learning_rate"])):
        ends = [format_statistic(row.statistic("loss"))]
        ends += [format_statistic(row.statistic(key), 100, " %") for key in ("training_error", "test_error")]
        reached = [str(reach(row.lines, i, "step")) for i in (0, 1)]
        rate = f"{row.options['learning_rate']:g}"
        table.append([f"sgd, batch {row.batch}", rate, str(len(row.lines)), *reached, *ends])
    return table


def deep(runs):
    table = [["hidden layers", "", "seeds", *(f"{BUDGETS[key]} {SPENT[key]}" for key in SPENT), "ranks"]]
    for depth, lines in runs.deep.items():
        found = {key: {method: loss_at(lines, method, key) for method in METHODS} for key in SPENT}
        for method in METHODS:
            seeds = str(len(of(lines, method)))
            ranks = [1 + sorted(by.values()).index(by[method]) for by in found.values()]
            losses = [format_statistic(by[method]) for by in found.values()]
            table.append([str(depth), method, seeds, *losses, " ".join(map(str, ranks))])
    return table


# ----- picture


def figure(scale: Scale, runs: Runs):
    from matplotlib.figure import Figure

    with run_figures.figure_style():
        drawn = Figure(figsize=(16, 10.5), layout="constrained")
        shape = "-".join(map(str, (784, *scale.hidden, 10)))
        drawn.suptitle(
            f"{shape}, {scale.cases} cases: what is spent to a training error, by batch size (median, least and most of"
            f" the seeds)\nlower right: {deep_said(scale)} (mean and standard deviation)"
        )
        axes = drawn.subplots(2, 3)
        for ax, key, i in zip(axes.flat, (*SPENT, "step"), (1, 1, 1, 0), strict=False):
            spent_to(ax, runs, key, i)
        for ax, key in zip(axes.flat[4:], ("step", "curvature_products"), strict=True):
            by_depth(ax, runs, key)
        handles, labels = axes[0, 0].get_legend_handles_labels()
        (never,) = axes[0, 0].plot([], [], **NEVER, marker="o", color="black")
        drawn.legend(
            [*handles, never],
            [*labels, "white, on top: not reached"],
            loc="outside lower center",
            ncols=len(COLOURS) + 1,
        )
    return drawn


def look(name):
    return {"color": history_axes.COLOURS[COLOURS[name]], "marker": history_axes.MARKERS[COLOURS[name]]}


def spent_to(ax, runs, key, target):
    """Against the batch size; a median that is not reached is a white marker on top."""
    curves = {
        method: {batch: reach(of(runs.hessian_free, method, batch), target, key) for batch in batches_of(runs)}
        for method in METHODS
    }
    chosen = [row for row in seed_groups(runs.sgd) if len(row.lines) == most_seeds(runs.sgd)]
    curves["sgd"] = {row.batch: reach(row.lines, target, key) for row in chosen}
    if key == "curvature_products":
        del curves["sgd"]
    top = 1.1 * max((x for by in curves.values() for v in by.values() for x in v if x < math.inf), default=1)
    for i, (name, by) in enumerate(curves.items()):
        places = [batch * (1.06 ** (i - 1.5) if name in METHODS else 1) for batch in by]  # no bar hides another
        bars = [
            (0, 0) if math.isinf(v.median) else (v.median - v.low, min(v.high, top) - v.median) for v in by.values()
        ]
        heights = [math.nan if math.isinf(v.median) else v.median for v in by.values()]
        ax.errorbar(places, heights, list(zip(*bars, strict=True)), capsize=4, label=name, **look(name))
        never = [batch * 1.18 ** (i - 1.5) for batch, v in by.items() if math.isinf(v.median)]
        ax.plot(never, [top] * len(never), **look(name) | NEVER)
    batches = sorted({batch for by in curves.values() for batch in by})
    ax.set_xscale("log", base=2)
    ax.set_xticks(batches, [str(batch) for batch in batches])
    ax.minorticks_off()
    ax.set_ylim(0, 1.06 * top)
    ax.set_xlabel("batch, curvature batch")
    ax.set_title(f"{SPENT[key]} to {100 * TARGETS[target]:g} %" + (" (sgd: epochs)" if key == "step" else ""))


def by_depth(ax, runs, key):
    """The training loss within the budget against the number of hidden layers: mean and standard deviation."""
    for i, method in enumerate(METHODS):
        found = [loss_at(lines, method, key) for lines in runs.deep.values()]
        bars = [0.0 if math.isnan(value.spread) else min(value.spread, 0.9 * value.mean) for value in found]
        places = [depth + 0.06 * (i - 1.5) for depth in runs.deep]
        ax.errorbar(places, [value.mean for value in found], bars, capsize=4, **look(method))
    ax.set_xticks([*runs.deep])
    history_axes.log_axis(ax, None)
    ax.set_xlabel("hidden layers")
    ax.set_title(f"training loss after {BUDGETS[key]} {SPENT[key]}")


# ----- cost


def cost(rounds: int = 15) -> None:
    """Print the time of a product over that of a gradient: medians of ratios, the two taking turns."""
    print(f"CPU time of a Hessian-vector product over a gradient's, 2048 cases, median of {rounds} rounds")
    for sizes in ((784, 400, 150, 10), (360, 512, 512, 512, 1973)):
        kept, anew = np.median([ratios(call_times) for call_times in timed(sizes, rounds)], axis=0)
        first, *later = (n * m for n, m in itertools.pairwise(sizes))
        counted = (2 * first + 6 * sum(later)) / (2 * first + 3 * sum(later))  # matrix products
        print(f"{'-'.join(map(str, sizes))}: {kept:.2f}; linearised anew {anew:.2f}; by counting {counted:.2f}")


def ratios(times):
    gradient, product, both = times
    return product / gradient, both / gradient


def timed(sizes, rounds):
    """Seconds of a gradient, of a product over the kept tape, and of one with its own, a round after the other."""
    rng = np.random.default_rng(0)
    net = refhf.mlp(sizes, nonlinearity="tanh", loss="softmax_cross_entropy")
    X, y = rng.random((2048, sizes[0]), dtype=np.float32), rng.integers(sizes[-1], size=2048)
    theta, v = net.init(0, np.float32), rng.standard_normal(net.size).astype(np.float32)
    objective = refhf.supervised(net, X, y)
    H = objective.hessian(theta)
    calls = (lambda: objective.value_and_gradient(theta)), (lambda: H @ v), (lambda: objective.hessian(theta) @ v)
    for call in calls:
        call()
    for _ in range(rounds):
        yield [seconds(call) for call in calls]


def seconds(call):
    begin = time.process_time()
    call()
    return time.process_time() - begin


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--as-is", action="store_true")
    parser.add_argument("--cost", action="store_true")
    parser.add_argument("--seeds", type=int, metavar="N")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent)
    args = parser.parse_args()
    if args.cost:
        cost()
        return
    scale = FAST if args.fast else FULL
    folder = args.folder / "fig4_batch_sizes"
    runs = there(scale, folder) if args.as_is else made(scale, args.seeds or scale.seeds, None if args.fast else folder)
    text = written(scale, runs)
    (args.folder / "fig4_batch_sizes.txt").write_text(text, encoding="utf-8", newline="\n")
    print(text)
    run_figures.save_figure(figure(scale, runs), args.folder / "fig4_batch_sizes.png")


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="replace")  # where it is ASCII, "?" for the sign of plus or minus
    main()
