"""Adya et al. 2018: nonlinear CG without its preconditioner and without its line search, and plain SGD, by protocol.md.

    python figures/fig_adya_ablation.py [--fast | --as-is] [--budget B] [--data-dir DIR] [FOLDER]

writes fig_adya_ablation.png and .txt, by default into this folder, from the runs in its fig_adya_ablation.jsonl and
fig_adya_ablation_all.jsonl, one per line. Missing runs are made first (some three minutes of one core, and some fifteen
for those on all digits, from DIR or REFHF_DATA_DIR; without, what runs there are); an interrupted script resumes.

The paper's central claim is that the diagonal preconditioner makes nonlinear CG work in training (section 3); its
Figure 7 has plain SGD behind momentum and RMSProp. 784-50-10, tanh, the first 2,500 cases of mnist-mini, float32, 20
epochs, batches 512 and all cases; each method, and each of nlcg-fr and nlcg-pr without a part of itself, has its own
constant rate, of factors of about 3, extended until the best is inside. Seeds 100 and 101 choose it, ten others are
reported. ALL is the same without the ablation of the line search on all 60,000 digits, batch 16,384, 30 epochs; seed
100 chooses, ten are reported.

Cut: a fourth of the cases and two of the four batches of fig_adya_large_batches.py, one data set, 1,000 test cases, and
the rate is the only option searched. --budget multiplies the epochs. --fast has 150 cases and keeps nothing; --as-is
runs nothing.
"""

import argparse
import itertools
import os
import statistics
import sys
from pathlib import Path
from typing import NamedTuple

from fig_adya_large_batches import say

from refhf.data.data_sets import DataSet, load
from refhf.lab.plots import history_axes, run_figures
from refhf.lab.runs.json_lines import read_json_lines
from refhf.lab.sweep.paired_differences import PairedDifference, paired_difference, verdict
from refhf.lab.sweep.search_space import space_of
from refhf.lab.sweep.settings_search import SearchPlan, search_settings
from refhf.lab.sweep.sweep_budgets import value_at
from refhf.lab.sweep.sweep_grid import SweepSetting
from refhf.lab.sweep.sweep_summary import format_statistic, statistic
from refhf.lab.sweep.trial_choice import TrialChoice, choose_trial
from refhf.text import columns

TESTS = 1000  # cases to test on; our choice
NLCG, FIRST_ORDER = ("nlcg-fr", "nlcg-pr"), ("momentum", "rmsprop", "sgd")
LACKS = {  # what is left out: the option that leaves it out
    "": {},
    "preconditioner": {"preconditioner": False},
    "line search": {"line_search": "off"},
}
PAIRS = {  # claims, each of a one and an other: the first is to have the smaller loss
    "preconditioner": [(name, f"{name}, no preconditioner") for name in NLCG],
    "line search": [(name, f"{name}, no line search") for name in NLCG],
    "sgd": [(name, "sgd") for name in FIRST_ORDER[:2]],
    "first order": list(itertools.product(NLCG, FIRST_ORDER[:2])),
}


class Scale(NamedTuple):
    """The scale of the figure."""

    cases: int
    hidden: int
    batches: tuple[int, ...]  # the last is all cases
    epochs: int
    rates: tuple[float, ...]
    tuning: tuple[int, ...]
    reported: tuple[int, ...]
    data: str = "mnist-mini"
    lacks: tuple[str, ...] = tuple(LACKS)


FULL = Scale(2_500, 50, (512, 2_500), 20, (0.01, 0.03, 0.1, 0.3, 1.0, 3.0), (100, 101), tuple(range(10)))
FAST = Scale(150, 4, (150,), 3, (0.1, 0.3), (100,), (0, 1))
# Factors of 3 came first; 0.55 and 1.7 were added for all methods, since momentum's best lay between
ALL = Scale(
    60_000,
    50,
    (16_384,),
    30,
    (0.1, 0.3, 0.55, 1.0, 1.7, 3.0),
    (100,),
    tuple(range(10)),
    "mnist",
    ("", "preconditioner"),
)


class Row(NamedTuple):
    """A method, or one that lacks a part, at a batch: its choice, and the lines of the reported seeds."""

    name: str
    batch: int
    choice: TrialChoice
    lines: list[dict]


# ----- runs


def searches(scale: Scale):
    """(methods, batches, fixed options): the line search is off below the largest batch anyway."""
    for lack in scale.lacks:
        fixed = LACKS[lack]
        methods = NLCG if lack else (*NLCG, *FIRST_ORDER)
        yield methods, scale.batches[-1:] if lack == "line search" else scale.batches, fixed


def made(scale: Scale, path: Path | None, data_dir=None) -> list[dict]:
    """The lines at the path, if there is one, and those that it lacks."""
    data = load(scale.data, dtype="float32", data_dir=data_dir)
    data = DataSet(data.name, *(x[: scale.cases] for x in data[1:3]), *(x[:TESTS] for x in data[3:5]))
    setting, lines = SweepSetting(data, (scale.hidden,), budgets={"steps": scale.epochs}), []
    for methods, batches, fixed in searches(scale):
        plan = SearchPlan(
            methods,
            batches,
            fixed=fixed,
            grid={"learning_rate": scale.rates},
            random=False,
            tuning=scale.tuning,
            reported=scale.reported,
        )
        result = search_settings(setting, plan, path, say if path else lambda *_: None)
        lines += [*result.tuning, *result.reported]
    return lines


def name_of(line) -> str:
    """The method, and what it lacks."""
    lacks = [lack for lack, fixed in LACKS.items() if lack and fixed.items() <= line["options"].items()]
    return ", no ".join([line["method"], *lacks])


def rows(scale: Scale, lines) -> list[Row]:
    """The rows that have all their runs, batch by batch."""
    found = []
    names = [", no ".join([m, lack]) if lack else m for lack in LACKS for m in (*NLCG, *FIRST_ORDER)]
    for batch, name in itertools.product(scale.batches, names):
        own = [line for line in lines if (line["batch"], name_of(line)) == (batch, name)]
        tuning = [line for line in own if line["seed"] in scale.tuning]
        if tuning:
            grid = {"learning_rate": scale.rates}
            space = {"learning_rate": space_of(tuning[0]["method"], {}, grid)["learning_rate"]}
            choice = choose_trial(tuning, space, "steps", scale.epochs)
            kept = [x for x in own if x["seed"] in scale.reported and x["options"] == choice.options]
            if {x["seed"] for x in kept} == {*scale.reported}:
                found.append(Row(name, batch, choice, sorted(kept, key=lambda line: line["seed"])))
    return found


# ----- numbers


def values(row: Row, epochs: int, key="loss") -> list[float]:
    """The loss or an error of each seed after the epochs."""
    return [value_at(line, "steps", epochs, key) for line in row.lines]


def difference(found: list[Row], scale: Scale, batch: int, one: str, other: str) -> PairedDifference | None:
    """The training loss of one less the other's; None if a row is not there."""
    at = {row.name: values(row, scale.epochs) for row in found if row.batch == batch}
    return paired_difference(at[one], at[other]) if {one, other} <= {*at} else None


def on_edge(found: list[Row], batch: int, *names: str) -> bool:
    return any(row.choice.edges for row in found if row.batch == batch and row.name in names)


def judged(found: list[Row], scale: Scale, batch: int, one: str, other: str) -> str:
    """The verdict that the first has the smaller loss; none of a rate on an edge."""
    apart = difference(found, scale, batch, one, other)
    return "not judgeable here" if on_edge(found, batch, one, other) else str(verdict(apart, "below"))


def written(scale: Scale, found: list[Row]) -> str:
    """The table, and the paired differences."""
    table = [["", "batch", "rate", "on an edge", "training loss", "training error", "test error"]]
    for row in found:
        kinds = {key: statistic(values(row, scale.epochs, key)) for key in ("loss", "training_error", "test_error")}
        cells = [format_statistic(kinds["loss"]), *(format_statistic(kinds[k], 100, " %") for k in [*kinds][1:])]
        rate = f"{row.choice.options['learning_rate']:g}"
        table.append([row.name, str(row.batch), rate, "yes" if row.choice.edges else "no", *cells])
    parts = [f"784-{scale.hidden}-10, {scale.cases} cases of {scale.data}, {scale.epochs} epochs", *columns(table), ""]
    for batch, (one, other) in itertools.product(scale.batches, itertools.chain(*PAIRS.values())):
        apart = difference(found, scale, batch, one, other)
        if apart:
            said = judged(found, scale, batch, one, other)
            parts.append(f"batch {batch}: training loss of {one} less that of {other}: {apart}; below: {said}")
    return "\n".join([*parts, ""])


# ----- picture


def figure(parts: list[tuple[Scale, list[Row]]]):
    """The training loss of each seed, a column a method, a panel a scale and batch."""
    from matplotlib.figure import Figure

    panels = [(scale, batch, found) for scale, found in parts for batch in scale.batches]
    with run_figures.figure_style():
        drawn = Figure(figsize=(7 * len(panels), 7), layout="constrained")
        axes = drawn.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for ax, (scale, batch, found) in zip(axes, panels, strict=True):
            own = [row for row in found if row.batch == batch]
            own.sort(key=lambda row: statistics.median(values(row, scale.epochs)))
            for at, row in enumerate(own):
                full, losses = "no " not in row.name, values(row, scale.epochs)
                colour = history_axes.COLOURS[(0 if row.name.startswith("nlcg") else 6) if full else 1]
                marker = "o" if full and colour == history_axes.COLOURS[0] else "s" if full else "x"
                ax.plot([at] * len(losses), losses, marker, color=colour, alpha=0.7)
                ax.plot([at - 0.3, at + 0.3], [statistics.median(losses)] * 2, "-", color=colour)
            names = [row.name.replace(", ", ",\n") for row in own]
            ax.set_xticks(range(len(own)), names, rotation=60, ha="right")
            ax.set_title(f"{scale.cases:,} digits, batch {batch:,}, {scale.epochs} epochs")
            ax.set_yscale("log")
        axes[0].set_ylabel("training loss at the end")
    return drawn


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--as-is", action="store_true")
    parser.add_argument("--budget", type=int, default=1, metavar="B", help="multiplies the epochs; default: 1")
    parser.add_argument("--data-dir", default=os.environ.get("REFHF_DATA_DIR"), metavar="DIR")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent)
    args = parser.parse_args()
    parts = []
    for scale, name in [(FAST, None)] if args.fast else [(FULL, "fig_adya_ablation"), (ALL, "fig_adya_ablation_all")]:
        grown, path = scale._replace(epochs=scale.epochs * args.budget), name and args.folder / f"{name}.jsonl"
        as_is = args.as_is or (scale.data == "mnist" and not args.data_dir)
        found = rows(grown, read_json_lines(path) if as_is else made(grown, path, args.data_dir))
        parts += [(grown, found)] if found else []
    text = "\n".join(written(*part) for part in parts)
    (args.folder / "fig_adya_ablation.txt").write_text(text, encoding="utf-8", newline="\n")
    print(text)
    run_figures.save_figure(figure(parts), args.folder / "fig_adya_ablation.png")


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="replace")  # where it is ASCII, "?" for the sign of plus or minus
    main()
