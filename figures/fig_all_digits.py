"""Figures 3 and 4 of He et al. 2016 on all 60,000 digits of MNIST: four Hessian-free methods, three curvature batches.

    python figures/fig_all_digits.py [--fast | --as-is] [--seeds N] [--processes P] [--data-dir DIR] [FOLDER]

writes fig_all_digits.png and .txt, by default into this folder, from the runs in its fig_all_digits/*.jsonl, one per
line. Missing runs are made first, if DIR or REFHF_DATA_DIR has MNIST (all runs: a quarter of an hour of one core);
an interrupted script resumes. Seeds are 0 to N - 1, N = 1 by default.

    hessian_free    four methods, curvature batches 512, 2,048 and 8,192, until 1 % training error or for 30 passes
    rates           sgd, batch 64, seed 100, two passes at each rate of 0.1, 0.3 and 1: the least loss is chosen
    sgd             sgd, batch 64, at that rate, 15 passes; early: the first updates of the same runs

The network is Figure 4's, 784-400-150-10, for both figures; tanh, Glorot's start, float32. The Hessian-free methods
have the settings that fig_best_settings.py found best for tanh and this start at equal products, on 5,000 digits with
curvature batch 512. Each is named here. A run has a point a step; sgd's an epoch, of 938 communications, and in its
first 200 one every ten updates, as no Hessian-free run has more communications: `early` has them.

Cut to a quarter of an hour of one core: one seed, one network, 30 passes. One seed has no interval, so no difference
between two methods is judged from it. --fast has 300 cases and short runs, and keeps none; --as-is runs nothing.
"""

import argparse
import itertools
import math
import os
import statistics
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from fig3_communications import log_x
from fig4_batch_sizes import COLOURS, METHODS, Reach
from fig_best_settings import Glorot

import refhf
from refhf.data.data_sets import DataSet, load
from refhf.lab.plots import history_axes, run_figures
from refhf.lab.runs.json_lines import append_json_line, read_json_lines
from refhf.lab.runs.network_choice import NetworkChoice
from refhf.lab.sweep.sweep_budgets import BUDGETS
from refhf.lab.sweep.sweep_grid import Configuration
from refhf.lab.sweep.sweep_runs import run_sweep
from refhf.text import columns

OPTIONS = {  # fig_best_settings.txt, tanh, glorot start, 150 products
    "gn-cg": {"damping": 0.24, "solver_iterations": 2, "backtracking": "best", "warm_start": 0.95},
    "hessian-cg": {"damping": 1.8, "solver_iterations": 5, "backtracking": True, "warm_start": 0.95},
    "hybrid-cg": {"damping": 0.047, "solver_iterations": 5, "backtracking": False, "warm_start": 0.95},
    "hessian-bicgstab": {"damping": 0.012, "solver_iterations": 2, "backtracking": False, "warm_start": 0.0},
}
TARGETS = 0.1, 0.04, 0.02, 0.01
RATES, TUNING = (0.1, 0.3, 1.0), 100
SPENT = {"steps": "steps (sgd: epochs)", "passes": "effective passes", "communications": "communications"}
DASHES = dict(zip((*METHODS, "sgd"), ("-", (0, (6, 2, 1, 2)), (0, (3, 1.5)), (0, (8, 2)), (0, (1, 1.5))), strict=True))


class Scale(NamedTuple):
    """The scale of the figure."""

    cases: int
    hidden: tuple
    batches: tuple
    sgd_batch: int
    passes: int  # of a Hessian-free run, of sgd, and of its rates
    sgd_passes: int
    rate_passes: int


FULL = Scale(60_000, (400, 150), (512, 2048, 8192), 64, 30, 15, 2)
FAST = Scale(300, (8, 6), (64, 256), 32, 6, 3, 2)


EARLY, EVERY = 200, 10  # updates of sgd


class Runs(NamedTuple):
    """The lines of the three parts; those of sgd with their early points."""

    hessian_free: list[dict]
    rates: list[dict]
    sgd: list[dict]


# ----- runs


def there(folder: Path) -> Runs:
    """The runs that are in the folder, of a batch the seeds for which all four methods are there."""

    def read(name, methods=1):
        lines = read_json_lines(folder / f"{name}.jsonl")
        had = Counter((line["batch"], line["seed"]) for line in lines)
        return [line for line in lines if had[line["batch"], line["seed"]] >= methods]

    return Runs(read("hessian_free", len(METHODS)), read("rates"), joined(read("early"), read("sgd")))


def made(scale: Scale, seeds: int, folder: Path | None, data_dir, processes: int = 1) -> Runs:
    """The runs that are in the folder, if there is one, and those that it lacks."""
    whole = load("mnist" if scale.cases > 10_000 else "mnist-mini", data_dir=data_dir, dtype="float32")
    data = DataSet(whole.name, *(array[: scale.cases] for array in whole[1:5]))
    network = NetworkChoice(hidden=scale.hidden, nonlinearity="tanh")

    def setting(passes, stop=False):
        return Glorot(data, network, budgets={"passes": passes}, targets=TARGETS, stop_at_target=stop)

    def run(name, cells, *ends):
        return run_sweep(setting(*ends), cells, folder and folder / f"{name}.jsonl", say, processes=processes)

    def sgd(rate, seed):
        return Configuration("sgd", scale.sgd_batch, seed, {"learning_rate": rate})

    rates = run("rates", [sgd(rate, TUNING) for rate in RATES], scale.rate_passes)
    cells = [
        Configuration(method, batch, seed, OPTIONS[method])
        for seed, batch, method in itertools.product(range(seeds), scale.batches, METHODS)
    ]
    last = run("sgd", [sgd(chosen_rate(rates), seed) for seed in range(seeds)], scale.sgd_passes)
    path = folder and folder / "early.jsonl"
    early = read_json_lines(path) if path else []
    for line in last[len(early) :]:
        early.append(first_updates(setting(1).problem(line["seed"]), line))
        if path:
            append_json_line(path, early[-1])
    return Runs(run("hessian_free", cells, scale.passes, True), rates, joined(early, last))


def first_updates(posed, line) -> dict:
    """The training errors of the first updates of sgd's run with this line."""
    epoch = math.ceil(posed.objective.cases / line["batch"])
    points: dict = {"step": [], "epochs": [], "communications": [], "training_error": []}
    given = line["options"] | {"batch": line["batch"]}
    for report in refhf.iterate(posed.objective, posed.theta0, method="sgd", rng=posed.seed, **given):
        if report.k % EVERY == 0:
            error = round(posed.objective.error(report.theta), 6)
            found = report.k / epoch, report.counts.epochs, report.k, error
            for key, value in zip(points, found, strict=True):
                points[key].append(value)
        if report.k == min(EARLY, epoch - 1):
            break
    return {"seed": line["seed"], "batch": line["batch"], "curve": points}


def joined(early, lines) -> list[dict]:
    """The lines of sgd, with the early points between the start and the first epoch."""
    found = []
    for first, line in zip(early, lines, strict=True):
        assert first["seed"] == line["seed"]
        curve = {
            key: [line["curve"][key][0], *points, *line["curve"][key][1:]] for key, points in first["curve"].items()
        }
        found.append(line | {"curve": curve})
    return found


def chosen_rate(rates) -> float:
    """The rate of least loss at the end."""
    return min(rates, key=lambda line: history_axes.or_inf(line["loss"]))["options"]["learning_rate"]


def say(line, resumed):
    if not resumed:
        words = line["method"], line["batch"], line["options"], line["seed"]
        print(*words, line["status"], f"after {line['steps']} steps, {line['seconds']:.0f} s", flush=True)


# ----- numbers


def of(runs: Runs, method: str, batch: int | None = None) -> list[dict]:
    """The runs of a method; of a Hessian-free one those with the batch."""
    lines = [*runs.hessian_free, *runs.sgd]
    return [line for line in lines if line["method"] == method and batch in (None, line["batch"])]


def spent(line, budget: str, target: float) -> float:
    """The amount of a budget at the first point with this training error; infinite if there is none."""
    curve = line["curve"]
    points = zip(curve["training_error"], curve[BUDGETS[budget]], strict=True)
    return next((amount for error, amount in points if error is not None and error <= target), math.inf)


def reach(lines, budget: str, target: float) -> Reach:
    """Its median, least and most over the runs."""
    found = [spent(line, budget, target) for line in lines]
    return Reach(statistics.median_high(found), min(found), max(found))


def batches_of(runs: Runs) -> list[int]:
    return sorted({line["batch"] for line in runs.hessian_free})


def cells_of(runs: Runs):
    """(method, batch, lines) of each that has runs, sgd last."""
    found = [(method, batch, of(runs, method, batch)) for batch in batches_of(runs) for method in METHODS]
    return [cell for cell in [*found, *(("sgd", line["batch"], of(runs, "sgd")) for line in runs.sgd[:1])] if cell[2]]


def written(scale: Scale, runs: Runs) -> str:
    """The tables."""
    shown = [(budget, target) for budget in (*SPENT, "products") for target in TARGETS]
    table = [
        ["", "batch", "seeds", *(f"{b} to {100 * t:g} %" for b, t in shown), "training error, test error at the end"]
    ]
    for method, batch, lines in cells_of(runs):
        ends = (statistics.median(line[key] for line in lines) for key in ("training_error", "test_error"))
        said = ", ".join(map(history_axes.percent, ends))
        makes = {budget: BUDGETS[budget] in lines[0]["curve"] for budget, _ in shown}
        cells = [str(reach(lines, budget, target)) if makes[budget] else "-" for budget, target in shown]
        table.append([method, str(batch), str(len(lines)), *cells, said])
    options = [
        f"{method}: {', '.join(f'{key} {value}' for key, value in OPTIONS[method].items())}" for method in METHODS
    ]
    tried = [f"{line['options']['learning_rate']:g}: {line['loss']:.3g}" for line in runs.rates]
    rate = f"learning_rate {chosen_rate(runs.rates):g}, of training losses {', '.join(tried)}" if tried else "no runs"
    head = f"784-{'-'.join(map(str, scale.hidden))}-10, {scale.cases} cases. Spent to a training error: median"
    return "\n".join([f"{head} (least to most).", *options, f"sgd: {rate}", "", *columns(table), ""])


# ----- picture


def figure(scale: Scale, runs: Runs):
    """Training error against steps, passes and communications: a row each, a column a curvature batch."""
    from matplotlib.figure import Figure

    batches = batches_of(runs) or [*scale.batches]
    lines = [*runs.hessian_free, *runs.sgd]
    floor = history_axes.floor_of([error for line in lines for error in line["curve"]["training_error"]])
    with run_figures.figure_style():
        drawn = Figure(figsize=(16, 15), layout="constrained")
        shape = "-".join(map(str, (784, *scale.hidden, 10)))
        drawn.suptitle(f"{shape}, {scale.cases:,} digits: each seed's run; {100 * TARGETS[-1]:g} % is dotted")
        axes = drawn.subplots(len(SPENT), len(batches), sharey=True, sharex="row", squeeze=False)
        for row, (budget, says) in zip(axes, SPENT.items(), strict=True):
            for ax, batch in zip(row, batches, strict=True):
                panel(ax, runs, budget, batch, floor)
                ax.set_xlabel(says)
            row[0].set_ylabel("training error")
        for ax, batch in zip(axes[0], batches, strict=True):
            ax.set_title(f"curvature batch {batch:,}; sgd {scale.sgd_batch}")
        drawn.legend(
            *axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(COLOURS), handlelength=4
        )
    return drawn


def panel(ax, runs: Runs, budget: str, batch: int, floor):
    """The runs with a curvature batch, and sgd's."""
    for method in DASHES:
        for i, line in enumerate(of(runs, method, None if method == "sgd" else batch)):
            curve, colour = line["curve"], COLOURS[method]
            look = {"color": history_axes.COLOURS[colour], "marker": history_axes.MARKERS[colour]}
            errors = [history_axes.on_log(error, floor) for error in curve["training_error"]]
            xs = curve[BUDGETS[budget]][1:]
            ax.plot(xs, errors[1:], **look, linestyle=DASHES[method], markevery=max(1, len(xs) // 6),
                    label="_" * (i > 0) + method)  # fmt: skip
    ax.axhline(TARGETS[-1], color="black", linestyle=":", linewidth=1.5, zorder=1)
    if budget == "communications":
        log_x(ax)
    if budget == "steps":
        ax.xaxis.get_major_locator().set_params(integer=True)
    history_axes.log_axis(ax, floor, history_axes.percent)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--as-is", action="store_true")
    parser.add_argument("--seeds", type=int, default=1, metavar="N")
    parser.add_argument("--processes", type=int, default=1, metavar="P")
    parser.add_argument("--data-dir", default=os.environ.get("REFHF_DATA_DIR"), metavar="DIR")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent)
    args = parser.parse_args()
    scale, folder = FAST if args.fast else FULL, args.folder / "fig_all_digits"
    if args.fast:
        runs = made(scale, 2, None, None)
    elif args.data_dir and not args.as_is:
        folder.mkdir(exist_ok=True)
        runs = made(scale, args.seeds, folder, args.data_dir, args.processes)
    else:
        runs = there(folder)
    text = written(scale, runs)
    (args.folder / "fig_all_digits.txt").write_text(text, encoding="utf-8", newline="\n")
    print(text)
    run_figures.save_figure(figure(scale, runs), args.folder / "fig_all_digits.png")


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="replace")  # where it is ASCII, "?" for the sign of plus or minus
    main()
