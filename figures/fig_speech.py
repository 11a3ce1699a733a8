"""Training on real speech in TIMIT's shape, which He et al. 2016 train on (section 5, abstract), by protocol.md.

    python figures/fig_speech.py [--fast | --as-is] [--budget B] [--data-dir DIR] [FOLDER]

writes fig_speech.png and .txt, by default into this folder, from the runs in its fig_speech.jsonl, one per line.
Missing runs are made first, if there is a DIR (all runs: a quarter of an hour of one core); an interrupted script
resumes.

TIMIT is licensed. The speech is the Free Spoken Digit Dataset, read by refhf.data.spoken_digits from DIR or
REFHF_DATA_DIR: 360 inputs, nine frames of 40 log mel energies, as the paper's; three hidden layers, tanh; training and
test frames are of different recordings, 70 and 30 %. gn-cg, hybrid-cg, hessian-bicgstab, momentum and sgd, each at its
own best setting, at equal passes and at equal communications; curvature batch 512, batch 128; float32. Test cases are
2,000 frames drawn from those of the test recordings.

Cut, in the order of protocol.md: 2,000 frames drawn from 87,000, and with them 40 classes for 1,980: a class is a
digit and one of 4 equal parts of the recording, so that a class has 50 cases, as the paper's 1,973 of 101,350 have; 128
hidden units a layer for 512; 32 passes, 80 communications; 8 trials for 16. Seeds 100 and 101 tune, ten others are
reported. --budget multiplies frames and classes. --fast has 120 cases of mnist-mini and keeps nothing; --as-is runs
nothing, and shows what is complete.
"""

import argparse
import itertools
import os
import statistics
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from earlier_defaults import EARLIER
from fig_best_settings import Part, at_budget, curve, judged, lines_of, setting_said

from refhf.data.data_sets import DataSet, load
from refhf.data.spoken_digits import SEGMENTS
from refhf.lab.plots import history_axes, run_figures
from refhf.lab.runs.json_lines import read_json_lines
from refhf.lab.runs.network_choice import NetworkChoice
from refhf.lab.sweep import search_report
from refhf.lab.sweep.search_space import space_of
from refhf.lab.sweep.settings_search import SearchPlan, SearchResult, search_settings
from refhf.lab.sweep.sweep_grid import SweepSetting
from refhf.lab.sweep.trial_choice import choose_trial

HESSIAN_FREE, FIRST_ORDER = ("gn-cg", "hybrid-cg", "hessian-bicgstab"), ("momentum", "sgd")
DASHES = {"gn-cg": "-", "hybrid-cg": "-", "hessian-bicgstab": "-", "momentum": "--", "sgd": "--"}
MARKERS = dict(zip(DASHES, "o^sPX", strict=True))
SPEAKERS = 6
PLACES = 60  # of a curve; our choice


class Scale(NamedTuple):
    """The scale of the figure."""

    inputs: int
    cases: int
    tests: int
    parts: int  # of a recording: classes are digit x part
    hidden: tuple[int, ...]
    methods: tuple[str, ...]
    batches: tuple[int, int]  # of the curvature, and of the first-order methods
    budgets: dict[str, int]
    trials: int
    tuning: tuple[int, ...]
    reported: tuple[int, ...]


FULL = Scale(
    360,
    2000,
    2000,
    4,
    (128, 128, 128),
    (*HESSIAN_FREE, *FIRST_ORDER),
    (512, 128),
    {"passes": 32, "communications": 80},
    8,
    (100, 101),
    tuple(range(10)),
)
FAST = Scale(784, 120, 60, 1, (5,), ("gn-cg", "sgd"), (64, 32), {"passes": 3, "communications": 9}, 2, (100,), (0, 1))


# ----- runs


def cases_of(scale: Scale, data_dir, fast: bool) -> DataSet:
    """The drawn frames, with classes digit x part of the recording."""
    whole = load("mnist-mini" if fast else "fsdd", data_dir=data_dir, dtype="float32")
    rng, arrays = np.random.default_rng(0), []
    for X, y, n in ((whole.X, whole.y, scale.cases), (whole.X_test, whole.y_test, scale.tests)):
        rows = np.sort(rng.choice(len(X), min(n, len(X)), replace=False))
        arrays += [X[rows], y[rows] if fast else coarse(y[rows], scale.parts)]
    return DataSet(whole.name, *arrays)


def coarse(y, parts: int):
    """Of labels digit x speaker x segment those of digit x part."""
    return y // (SPEAKERS * SEGMENTS) * parts + y % SEGMENTS * parts // SEGMENTS


def searched(scale: Scale, path: Path | None, data_dir, fast: bool) -> SearchResult:
    """The search of all methods."""
    setting = SweepSetting(
        cases_of(scale, data_dir, fast),
        NetworkChoice(hidden=scale.hidden, nonlinearity="tanh"),
        budgets=scale.budgets,
    )
    batches = {method: [scale.batches[method in FIRST_ORDER]] for method in scale.methods}
    seeds = {"tuning": scale.tuning, "reported": scale.reported}
    plan = SearchPlan(scale.methods, batches, trials=scale.trials, **seeds, first=EARLIER)
    return search_settings(setting, plan, path, say if path else lambda *_: None)


def there(scale: Scale, path: Path) -> SearchResult | None:
    """The result from the runs at the path; None if they are not complete."""
    lines = read_json_lines(path)
    tuning = [line for line in lines if line["seed"] in scale.tuning]
    reported, choices = [line for line in lines if line["seed"] in scale.reported], []
    for method, (budget, amount) in itertools.product(scale.methods, scale.budgets.items()):
        own = [line for line in tuning if line["method"] == method]
        choice = own and choose_trial(own, space_of(method, {}, {}), budget, amount)
        seeds = {x["seed"] for x in reported if choice and (x["method"], x["options"]) == (method, choice.options)}
        if seeds != {*scale.reported}:
            return None
        choices.append(choice._replace(edges={name: x for name, x in choice.edges.items() if within(choice, name)}))
    return SearchResult(choices, tuning, reported)


def part_of(scale: Scale, result: SearchResult) -> Part:
    """The result as fig_best_settings has it: of a setting its functions read the budgets only."""
    return Part("tanh", "glorot", scale, result)


def within(choice, name: str) -> bool:
    """Whether there is a value beyond the choice's: a single iteration and momentum 0 have none."""
    return choice.options[name] != {"solver_iterations": 1, "momentum": 0.0}.get(name)


def say(line, resumed):
    if not resumed:
        words = line["method"], line["options"], line["seed"], line["status"]
        print(*words, f"loss {line['loss']}, {line['seconds']:.1f} s", flush=True)


# ----- numbers


def values(part: Part, choice, key: str = "loss") -> list[float]:
    return search_report.reported_values(part.result, part.setting, choice, key)


def written(scale: Scale, part: Part) -> str:
    """The table of each budget, and the verdicts that a Hessian-free method is below each first-order one."""
    sizes = "-".join(map(str, (scale.inputs, *scale.hidden, 10 * scale.parts)))
    parts = [
        f"{sizes}, {scale.cases} frames, seeds {scale.reported[0]} to {scale.reported[-1]}; settings chosen on"
        f" {' and '.join(map(str, scale.tuning))} (figures/protocol.md).",
        "",
        search_report.search_table(part.result, part.setting, "sgd"),
    ]
    for budget in scale.budgets:
        choices = at_budget(part, budget)
        for method in (name for name in scale.methods if name in HESSIAN_FREE):
            for other in (name for name in scale.methods if name in FIRST_ORDER):
                apart = search_report.difference(part.result, part.setting, choices[method], choices[other])
                said = judged(part, choices[method], choices[other])
                parts += ["", f"{budget}: {method} below {other}: {said}, training loss {apart}"]
    return "\n".join([*parts, ""])


# ----- picture


def figure(scale: Scale, part: Part):
    """Training loss against passes and against communications, each method at its best setting for that budget."""
    from matplotlib.figure import Figure

    with run_figures.figure_style():
        drawn = Figure(figsize=(15, 8), layout="constrained")
        axes = drawn.subplots(1, 2)
        for ax, (budget, amount) in zip(axes, scale.budgets.items(), strict=True):
            places = np.linspace(0, amount, PLACES)
            for i, (method, choice) in enumerate(at_budget(part, budget).items()):
                found = np.array([curve(line, budget, places) for line in lines_of(part, choice)])
                error = statistics.fmean(values(part, choice, "test_error"))
                label = f"{method}: {setting_said(choice)}; test {100 * error:.0f} %"
                colour = history_axes.COLOURS[i if method in HESSIAN_FREE else i + 2]
                look = {"color": colour, "linestyle": DASHES[method], "marker": MARKERS[method]}
                ax.plot(places, np.median(found, axis=0), label=label, markevery=(2 * i, 12), **look)
                ax.fill_between(places, found.min(axis=0), found.max(axis=0), color=colour, alpha=0.15, lw=0)
            ax.set_xlabel({"passes": "effective passes over the data"}.get(budget, budget))
            first = min(at_budget(part, budget).values(), key=lambda choice: statistics.median(values(part, choice)))
            ax.set_title(f"at {amount} {budget} {first.method} is lowest")
            history_axes.log_axis(ax, None)
            ax.legend(fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.14))
        axes[0].set_ylabel("training loss")
    return drawn


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--as-is", action="store_true")
    parser.add_argument("--budget", type=int, default=1, metavar="B", help="multiplies frames and classes; default: 1")
    parser.add_argument("--data-dir", default=os.environ.get("REFHF_DATA_DIR"), metavar="DIR")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent)
    args = parser.parse_args()
    grown = {name: getattr(FULL, name) * args.budget for name in ("cases", "parts")}
    scale = FAST if args.fast else FULL._replace(**grown)
    path = args.folder / "fig_speech.jsonl"
    if args.fast or (args.data_dir and not args.as_is):
        result = searched(scale, None if args.fast else path, args.data_dir, args.fast)
    else:
        result = there(scale, path)
    if result is None:
        print("the runs are not complete")
        return
    part = part_of(scale, result)
    text = written(scale, part)
    (args.folder / "fig_speech.txt").write_text(text, encoding="utf-8", newline="\n")
    print(text)
    run_figures.save_figure(figure(scale, part), args.folder / "fig_speech.png")


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="replace")  # where it is ASCII, "?" for the sign of plus or minus
    main()
