"""Figures 2, 4, 7 and 8 of Adya et al. 2018: large batches, for a fixed number of epochs and longer.

    python figures/fig_adya_large_batches.py [--fast | --as-is] [--seeds N] [--data-dir DIR] [FOLDER]

writes fig_adya_<data>.png and fig_adya_large_batches.txt, by default into this folder, from the runs in its
fig_adya_large_batches/*.jsonl, one per line. Missing runs are made first. The paper trains ResNets on
ImageNet and CIFAR-100; here it is 784-50-10, tanh, on the 10,000 cases of mnist-mini and on the first 10,000 of
Fashion-MNIST (from DIR or REFHF_DATA_DIR; without, what runs there are), in float32; plain SGD, which the paper has for
CIFAR-100, is left out (fig_adya_ablation.py has it). Seeds are 0 to N - 1, N = 11 by default; seed 0 chooses the rates,
the others are reported.

    schedule   momentum, rmsprop, nlcg-fr, nlcg-pr; batches 128 to all the cases; 20 epochs; the paper's schedule
    constant   the same, each with the one of seven rates that gives seed 0 the least training loss
    longer     the largest batch for 20, 40 and 80 epochs, with the schedule, and with the rates of `constant`
    search     nlcg-fr and nlcg-pr with the online line search on and off at batches 128, 512 and 2048 (schedule)

Departure: the schedule is compressed into 20 epochs. Adya et al. 2018, section 4.1, train for 90 epochs on ImageNet and
200 on CIFAR-100, of which warm-up takes 5, 15 or 30; here it keeps its length and the decay has what is left, because
two cores do not do more. At batch 10,000 that is 15 epochs of warm-up and 5 of decay, so a larger part of the run has
rates near the peak, 3.9; 40 and 80 epochs (`longer`) show what that changes.

Figure 3 has wall-clock time where Figure 2 has steps: what a step costs is measured by benchmarks/nlcg_step.py. Claims
N1 to N3, N5 and N6 have their verdicts in figures/adya_2018.md. --fast has 200 cases and 6 epochs, and keeps
nothing; --as-is runs nothing.
"""

import argparse
import itertools
import os
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from refhf.data.data_sets import DataSet, load
from refhf.lab.plots import history_axes, run_figures
from refhf.lab.runs.json_lines import read_json_lines
from refhf.lab.sweep.sweep_figure import plot_against_batch
from refhf.lab.sweep.sweep_grid import Configuration, SweepSetting, configurations
from refhf.lab.sweep.sweep_runs import run_sweep
from refhf.lab.sweep.sweep_summary import SeedGroup, best_of_grid, columns, format_statistic, seed_groups

METHODS = ("momentum", "rmsprop", "nlcg-fr", "nlcg-pr")
NLCG = METHODS[2:]
SCHEDULE = {"learning_rate": "adya-2018"}
RATES = 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0  # our choice: factors of about 3, the best inside
TUNING = 0
DATA = {"mnist-mini": "MNIST", "fashion-mnist": "Fashion-MNIST"}


class Scale(NamedTuple):
    """The scale of the figure."""

    cases: int
    batches: tuple
    hidden: tuple
    epochs: int
    longer: tuple
    searched: tuple
    rates: int
    seeds: int


FULL = Scale(10_000, (128, 512, 2048, 10_000), (50,), 20, (20, 40, 80), (128, 512, 2048), 7, 11)
FAST = Scale(200, (64, 200), (4,), 6, (6, 7), (64,), 2, 2)


class Runs(NamedTuple):
    """The lines of the four parts."""

    schedule: list[dict]
    constant: list[dict]
    longer: dict[int, list[dict]]
    search: list[dict]


# ----- runs


def made(scale: Scale, name: str, seeds: int, folder: Path | None, data_dir=None) -> Runs:
    """The runs that are in the folder, if there is one, and those that it lacks."""
    whole = load(name, dtype="float32", data_dir=data_dir)
    data = DataSet(name, *(x[: scale.cases] for x in whole[1:5]))

    def run(part, chosen, epochs=scale.epochs):
        path = folder and folder / f"{name}_{part}_{epochs}.jsonl"
        return run_sweep(SweepSetting(data, scale.hidden, steps=epochs), chosen, path, say)

    largest = scale.batches[-1]

    def tuned():
        """Runs with each rate by seed 0, and with the best of them by the other seeds; and the best."""
        tried = []
        for method in METHODS:
            grid = {"learning_rate": RATES[-scale.rates :]}
            tried += configurations([method], scale.batches, [TUNING], grid=grid)
        lines = run("constant", tried)
        best = {(row.method, row.batch): row.lines[0]["options"] for row in best_of_grid(seed_groups(lines))}
        more = [
            Configuration(*place, seed, options) for seed in range(TUNING + 1, seeds) for place, options in best.items()
        ]
        return lines + run("constant", more), best

    schedule = run("schedule", configurations(METHODS, scale.batches, range(seeds), options=SCHEDULE))
    constant, rates = tuned()
    ends = [
        Configuration(method, largest, seed, options)
        for seed in range(seeds)
        for method in METHODS
        for options in (SCHEDULE, rates[method, largest])
    ]
    longer = {epochs: run("longer", ends, epochs) for epochs in scale.longer}
    ways = [SCHEDULE | {"line_search": way} for way in ("online", "off")]
    searched = itertools.product(NLCG, scale.searched, range(seeds), ways)
    search = run("search", [Configuration(*cell) for cell in searched])
    return Runs(schedule, constant, longer, search)


def there(scale: Scale, name: str, folder: Path) -> Runs:
    """The runs that are in the folder."""

    def read(part, epochs=scale.epochs):
        return read_json_lines(folder / f"{name}_{part}_{epochs}.jsonl")

    longer = {epochs: lines for epochs in scale.longer if (lines := read("longer", epochs))}
    return Runs(read("schedule"), read("constant"), longer, read("search"))


def say(line, resumed):
    if not resumed:
        words = line["setting"]["data"], line["method"], line["batch"], line["options"], line["seed"]
        print(*words, line["status"], f"loss {line['loss']}, {line['seconds']:.1f} s", flush=True)


# ----- numbers


def groups(lines) -> list[SeedGroup]:
    """The reported lines grouped, in the order of METHODS, which gives the colours.

    Of the constant rates the tuning seed alone has others than the chosen.
    """
    reported = [line for line in lines if line["seed"] != TUNING]
    return sorted(seed_groups(reported), key=lambda row: METHODS.index(row.method))


def written(scale: Scale, name: str, runs: Runs) -> str:
    """The tables of a data set."""
    tables = {
        f"the paper's schedule, {scale.epochs} epochs": groups(runs.schedule),
        f"each its own constant rate, {scale.epochs} epochs": groups(runs.constant),
        **{f"batch {scale.batches[-1]}, {epochs} epochs": groups(lines) for epochs, lines in runs.longer.items()},
        "the online line search on and off, the paper's schedule": groups(runs.search),
    }
    parts = (f"{head}\n" + "\n".join(columns(table(found))) for head, found in tables.items())
    return f"{DATA[name]}, {scale.cases} cases, 784-{scale.hidden[0]}-10\n\n" + "\n\n".join(parts) + "\n"


def table(found):
    head = ["", "batch", "rate", "line search", "runs", "diverged", "training loss", "training error", "test error"]
    return [head] + [
        [
            row.method,
            str(row.batch),
            str(row.lines[0]["options"]["learning_rate"]),
            str(row.lines[0]["options"].get("line_search") or row.lines[0]["defaults"].get("line_search", "-")),
            str(len(row.lines)),
            str(row.diverged),
            format_statistic(row.statistic("loss")),
            format_statistic(row.statistic("training_error"), 100, " %"),
            format_statistic(row.statistic("test_error"), 100, " %"),
        ]
        for row in found
    ]


# ----- picture


def figure(scale: Scale, name: str, runs: Runs):
    """Training loss of the largest batch, its test error when run longer, and test errors by batch."""
    from matplotlib.figure import Figure

    largest, scheduled, own = scale.batches[-1], groups(runs.schedule), groups(runs.constant)
    with run_figures.figure_style():
        drawn = Figure(figsize=(14, 10.5), layout="constrained")
        (loss, longer), (by_batch, by_schedule) = drawn.subplots(2, 2)
        seeds = len(own[0].lines)
        said = f"{headline(scale, name, scheduled, own)}; 784-{scale.hidden[0]}-10, mean and deviation of {seeds} seeds"
        drawn.suptitle(said, x=0.01, ha="left", size=19, weight="bold")
        curves(loss, [row for row in own if row.batch == largest])
        loss.set_title(f"own rates: training loss, batch {largest:,}")
        by_length(longer, runs.longer, True)
        longer.set_title(f"own rates: test error, batch {largest:,}, longer")
        for ax, rows, says in ((by_batch, own, "own rates"), (by_schedule, scheduled, "the paper's schedule")):
            plot_against_batch(ax, rows, lambda row: row.statistic("test_error"), history_axes.percent)
            ax.set_title(f"{says}: test error after {scale.epochs} epochs")
        drawn.legend(*by_batch.get_legend_handles_labels(), loc="outside lower center", ncols=len(METHODS))
    return drawn


def headline(scale, name, scheduled, own) -> str:
    """The method with the least test error at the largest batch, with own rates and with the schedule."""
    best = []
    for rows in (own, scheduled):
        ends = [row for row in rows if row.batch == scale.batches[-1]]
        row = min(ends, key=lambda row: history_axes.or_inf(row.statistic("test_error").mean))
        best.append(f"{row.method} ({100 * row.statistic('test_error').mean:.0f} %)")
    return (
        f"{DATA[name]}, {scale.cases:,} cases in a batch: least test error {best[0]} at own rates,\n"
        f"{best[1]} with the paper's schedule"
    )


def curves(ax, ends):
    """The training loss of the largest batch, of which a step is an epoch: mean, least and most of the seeds."""
    for i, row in enumerate(ends):
        whole = max(len(line["curve"]["loss"]) for line in row.lines)
        found = np.full((len(row.lines), whole), np.nan)
        for line, losses in zip(row.lines, found, strict=True):
            losses[: len(line["curve"]["loss"])] = [np.nan if x is None else x for x in line["curve"]["loss"]]
        look, steps = run_figures.curve_style(i), np.arange(whole)
        ax.fill_between(steps, found.min(axis=0), found.max(axis=0), color=look["color"], alpha=0.15, linewidth=0)
        ax.plot(steps, found.mean(axis=0), markevery=(i, 4), **look)
    history_axes.log_axis(ax, None)
    ax.set_xlabel("steps")


def by_length(ax, longer, own):
    """The test error against the number of epochs, of the runs with the schedule or with a rate of their own."""
    for i, method in enumerate(METHODS):
        found = {}
        for epochs, lines in longer.items():
            kept = [x for x in lines if x["method"] == method and (x["options"] != SCHEDULE) == own]
            if kept:
                (row,) = groups(kept)
                found[epochs] = row.statistic("test_error")
        spread = [value.spread if value.spread == value.spread else 0.0 for value in found.values()]
        ax.errorbar([*found], [value.mean for value in found.values()], spread, capsize=4, **run_figures.curve_style(i))
    ax.set_xlabel("epochs")
    ax.set_xticks([*longer])
    history_axes.log_axis(ax, None, history_axes.percent)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--as-is", action="store_true")
    parser.add_argument("--seeds", type=int, metavar="N")
    parser.add_argument("--data-dir", default=os.environ.get("REFHF_DATA_DIR"), metavar="DIR")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent)
    args = parser.parse_args()
    scale, texts = FAST if args.fast else FULL, []
    folder = args.folder / "fig_adya_large_batches"
    for name in ["mnist-mini"] if args.fast else DATA:
        if args.as_is or (name != "mnist-mini" and not args.data_dir):
            runs = there(scale, name, folder)
        else:
            kept = None if args.fast else folder
            runs = made(scale, name, args.seeds or scale.seeds, kept, args.data_dir)
        texts.append(written(scale, name, runs))
        run_figures.save_figure(figure(scale, name, runs), args.folder / f"fig_adya_{name}.png")
    text = "\n".join(texts)
    (args.folder / "fig_adya_large_batches.txt").write_text(text, encoding="utf-8", newline="\n")
    print(text)


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="replace")  # where it is ASCII, "?" for the sign of plus or minus
    main()
