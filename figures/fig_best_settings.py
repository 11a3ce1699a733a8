"""The best setting of each of He et al.'s four methods, for three nonlinearities and two starts, by protocol.md.

    python figures/fig_best_settings.py [--fast | --as-is] [--budget B] [--data-dir DIR] [FOLDER]

writes fig_best_settings.png and .txt, by default into this folder, from the runs in its fig_best_settings/*.jsonl, a
file for each nonlinearity and start. Missing runs are made first (all runs: some ninety minutes of one core).

The paper does not print its nonlinearity, its starting weights, its first lambda or its number of Bi-CG-STAB
iterations. So each of gn-cg, hessian-cg, hybrid-cg and hessian-bicgstab, and SGD and momentum, has its own best
setting here, for {tanh, logistic, relu} x {Glorot, sparse}: 784-100-10, the first 5,000 of mnist-mini, float32,
curvature batch 512, batch 128. Cut, in the protocol's order: 5,000 of 60,000 cases; 100 hidden units for 400; 20 steps,
40 passes, 150 products, 300 communications; 8 trials for 16, tuned on seeds 100 and 101, ten other seeds reported.

The starts are the same for all methods: Glorot and Bengio 2010, eq. 16; and Martens 2010, section 5, 15 weights N(0, 1)
a unit and the others 0, biases 0; for tanh the weights are a quarter of that and the biases 0.5 (Sutskever et al. 2013,
section 3). For relu, which neither has, they are as for logistic units: our choice.

--budget B multiplies cases and trials; more than 10,000 cases are MNIST's own, from DIR or REFHF_DATA_DIR. --fast has
150 cases, tanh and few runs, and keeps none; --as-is runs nothing, and shows what is complete.
"""

import argparse
import math
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from earlier_defaults import EARLIER

from refhf.data.data_sets import DataSet, load
from refhf.lab.plots import history_axes, run_figures
from refhf.lab.runs.network_choice import NetworkChoice
from refhf.lab.sweep import search_report
from refhf.lab.sweep.paired_differences import ClaimVerdict, verdict
from refhf.lab.sweep.settings_search import SearchPlan, SearchResult, search_settings
from refhf.lab.sweep.sweep_budgets import BUDGETS
from refhf.lab.sweep.sweep_grid import SweepSetting
from refhf.text import columns

HESSIAN_FREE = ("gn-cg", "hessian-cg", "hybrid-cg", "hessian-bicgstab")
FIRST_ORDER = ("sgd", "momentum")
PROPOSED = "hessian-bicgstab"  # by the paper, whose claim H4 is that it beats the other three
COLOURS = {"gn-cg": 0, "hessian-cg": 4, "hybrid-cg": 2, "hessian-bicgstab": 1}
CONNECTIONS = 15  # Martens 2010, section 5
TANH_WEIGHTS, TANH_BIAS = 0.25, 0.5  # Sutskever et al. 2013, section 3
SHORT = {"damping": "λ", "solver_iterations": "it", "backtracking": "", "warm_start": "warm", "learning_rate": "rate"}
RULES = {False: "last", True: "walk back", "best": "best"}
PLACES = 60  # of a curve; our choice


class Scale(NamedTuple):
    """The scale of the figure."""

    cases: int
    hidden: int
    nonlinearities: tuple
    methods: tuple
    batches: tuple  # of the curvature, and of the first-order methods
    budgets: dict
    trials: int
    tuning: tuple
    reported: tuple


FULL = Scale(
    5_000,
    100,
    ("tanh", "logistic", "relu"),
    (*HESSIAN_FREE, *FIRST_ORDER),
    (512, 128),
    {"steps": 20, "passes": 40, "products": 150, "communications": 300},
    8,
    (100, 101),
    tuple(range(10)),
)
FAST = Scale(150, 4, ("tanh",), ("gn-cg", PROPOSED, "sgd"), (64, 32), {"passes": 4, "products": 6}, 2, (100,), (0, 1))
STARTS = "glorot", "sparse"


# ----- runs


def started(net, theta, start: str, seed: int):
    """The starting weights: theta with each W by the rule, and each b."""
    rng, theta = np.random.default_rng(seed), theta.copy()
    tanh = net.nonlinearities[0].name == "tanh"
    for W, b in net.unpack(theta):
        n, m = W.shape
        if start == "glorot":
            r = math.sqrt(6 / (n + m))
            W[...], b[...] = rng.uniform(-r, r, W.shape), 0
            continue
        W[...], b[...] = 0, TANH_BIAS if tanh else 0
        for unit in range(m):
            W[rng.choice(n, min(CONNECTIONS, n), replace=False), unit] = rng.normal(size=min(CONNECTIONS, n))
        W *= TANH_WEIGHTS if tanh else 1
    return theta


class Glorot(SweepSetting):
    """A setting whose runs begin at Glorot's weights, of relu too."""

    start = "glorot"

    def problem(self, seed):
        """The training problem of a run, from this start."""
        posed = super().problem(seed)
        return posed._replace(theta0=started(posed.net, posed.theta0, self.start, seed))

    def facts(self):
        """The setting as each line stores it."""
        return super().facts() | {"start": self.start}


class Sparse(Glorot):
    """A setting whose runs begin at sparse weights."""

    start = "sparse"


class Part(NamedTuple):
    """One nonlinearity and start: the setting, and the result of its search."""

    nonlinearity: str
    start: str
    setting: SweepSetting
    result: SearchResult


def cases_of(scale: Scale, data_dir) -> DataSet:
    whole = load("mnist-mini" if scale.cases <= 10_000 else "mnist", data_dir=data_dir, dtype="float32")
    return DataSet(whole.name, *(array[: scale.cases] for array in whole[1:5]))


def searched(scale: Scale, folder: Path | None, data_dir, as_is: bool) -> list[Part]:
    """The parts: made, or those that are complete."""
    data, parts = cases_of(scale, data_dir), []
    for nonlinearity in scale.nonlinearities:
        for start, kind in zip(STARTS, (Glorot, Sparse), strict=True):
            network = NetworkChoice(hidden=(scale.hidden,), nonlinearity=nonlinearity)
            setting = kind(data, network, budgets=scale.budgets)
            path = folder and folder / f"{nonlinearity}_{start}.jsonl"
            if as_is and not path.exists():
                continue
            result = complete(scale, setting, path) if as_is else found(scale, setting, path)
            parts += [Part(nonlinearity, start, setting, result)] if result else []
    return parts


def found(scale: Scale, setting: SweepSetting, path: Path | None, asked=lambda: 0) -> SearchResult | None:
    """The search of all methods."""
    batches = {method: [scale.batches[method in FIRST_ORDER]] for method in scale.methods}
    seeds = {"tuning": scale.tuning, "reported": scale.reported}
    plan = SearchPlan(scale.methods, batches, trials=scale.trials, **seeds, first=EARLIER)
    return search_settings(setting, plan, path, say if path else lambda *_: None, asked)


def complete(scale: Scale, setting: SweepSetting, path: Path) -> SearchResult | None:
    """The search from the runs that are there; None if it lacks one."""
    return from_copy(path, lambda copy: found(scale, setting, copy, asked=lambda: True))


def from_copy(path: Path, search):
    """The result of a search of a copy of the file, which itself stays as it is."""
    with tempfile.TemporaryDirectory() as folder:
        return search(Path(shutil.copy(path, folder)))


def say(line, resumed):
    if not resumed:
        words = line["setting"]["nonlinearity"], line["setting"]["start"], line["method"], line["options"], line["seed"]
        print(*words, line["status"], f"loss {line['loss']}, {line['seconds']:.1f} s", flush=True)


# ----- numbers


def at_budget(part: Part, budget: str) -> dict:
    """The choices at a budget, by method."""
    return {choice.method: choice for choice in part.result.choices if choice.budget == budget}


def mean_loss(part: Part, choice) -> float:
    return statistics.fmean(search_report.reported_values(part.result, part.setting, choice))


def written(scale: Scale, parts: list[Part]) -> str:
    """The tables: who is first, and what was chosen."""
    said = "\n".join(columns(summary(parts)))
    tables = "\n\n".join(
        f"{part.nonlinearity}, {part.start} start\n\n"
        + search_report.search_table(part.result, part.setting, PROPOSED if PROPOSED in scale.methods else "gn-cg")
        for part in parts
    )
    return f"""\
784-{scale.hidden}-10, {scale.cases} cases, seeds {scale.reported[0]} to {scale.reported[-1]}; settings chosen on \
{" and ".join(map(str, scale.tuning))} (figures/protocol.md).

First: which method has the least mean training loss at a budget, and the verdict on the claim that the loss of
{PROPOSED} is below another's.
Then: what was chosen, the mean ± standard deviation of the reported seeds, and the paired differences with their 95 %
intervals.

{said}

{tables}
"""


def summary(parts):
    others = [method for method in (*HESSIAN_FREE, *FIRST_ORDER) if method != PROPOSED]
    table = [["units", "start", "budget", "first", "its loss", *(f"below {other}" for other in others)]]
    for part in parts:
        for budget, amount in part.setting.budgets.items():
            choices = at_budget(part, budget)
            first = min(choices.values(), key=lambda choice, part=part: mean_loss(part, choice))
            row = [part.nonlinearity, part.start, f"{amount} {budget}", first.method]
            row.append(f"{mean_loss(part, first):.3g}")
            for other in others:
                row.append(judged(part, choices[PROPOSED], choices[other]) if other in choices else "-")
            table.append(row)
    return table


def judged(part: Part, one, other) -> str:
    """The verdict that the first is below the second; none of a choice on an edge."""
    if one.edges or other.edges:
        return str(ClaimVerdict.NOT_JUDGEABLE)
    return str(verdict(search_report.difference(part.result, part.setting, one, other), "below"))


# ----- picture


def figure(scale: Scale, parts: list[Part]):
    """The four methods at equal products: a row a nonlinearity, a column a start."""
    from matplotlib.figure import Figure

    found = {(part.nonlinearity, part.start): part for part in parts}
    rows = list(dict.fromkeys(part.nonlinearity for part in parts))
    with run_figures.figure_style():
        drawn = Figure(figsize=(14, 1.2 + 6.2 * len(rows)), layout="constrained")
        drawn.suptitle(
            f"The paper's four methods, each at its own best setting: 784-{scale.hidden}-10, {scale.cases} digits\n"
            f"median and range of {len(scale.reported)} seeds that chose nothing"
        )
        axes = drawn.subplots(len(rows), len(STARTS), squeeze=False, sharey=True)
        for i, j in np.ndindex(axes.shape):
            ax, name, start = axes[i, j], rows[i], STARTS[j]
            ax.set_title(f"{name}, {start} start")
            ax.set_xlabel("products")
            if part := found.get((name, start)):
                panel(ax, part, "products")
            else:
                ax.text(0.5, 0.5, "not run", transform=ax.transAxes, ha="center")
            if j == 0:
                ax.set_ylabel("training loss")
    return drawn


def panel(ax, part: Part, budget: str):
    amount = part.setting.budgets[budget]
    places = np.linspace(0, amount, PLACES)
    for method, choice in at_budget(part, budget).items():
        curves = np.array([curve(line, budget, places) for line in lines_of(part, choice)])
        colour, marker = history_axes.COLOURS[COLOURS[method]], history_axes.MARKERS[COLOURS[method]]
        ax.plot(places, np.median(curves, axis=0), color=colour, marker=marker, markevery=PLACES // 8,
                label=f"{method}: {setting_said(choice)}")  # fmt: skip
        ax.fill_between(places, curves.min(axis=0), curves.max(axis=0), color=colour, alpha=0.15, lw=0)
    ax.set_yscale("log")
    ax.legend(fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.12))


def lines_of(part: Part, choice):
    return [
        line
        for line in part.result.reported
        if (line["method"], line["batch"], line["options"]) == (*choice.place, choice.options)
    ]


def curve(line, budget: str, places) -> np.ndarray:
    """The loss of the last point within each amount; NaN where it is not finite."""
    spent = line["curve"][BUDGETS[budget]]
    losses = [math.nan if loss is None else loss for loss in line["curve"]["loss"]]
    return np.array([losses[np.searchsorted(spent, x, side="right") - 1] for x in places])


def setting_said(choice) -> str:
    """The setting in a few words."""
    words = []
    for name, value in choice.options.items():
        shown = RULES[value] if name == "backtracking" else f"{value:g}"
        words.append(f"{SHORT.get(name, name)} {shown}".strip())
    return ", ".join(words) + (" (edge)" if choice.edges else "")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--as-is", action="store_true")
    parser.add_argument("--budget", type=int, default=1, metavar="B", help="multiplies cases and trials; default: 1")
    parser.add_argument("--data-dir", type=Path, metavar="DIR")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent)
    args = parser.parse_args()
    scale = FULL._replace(cases=min(FULL.cases * args.budget, 60_000), trials=FULL.trials * args.budget)
    scale = FAST if args.fast else scale
    folder = None if args.fast else args.folder / "fig_best_settings"
    parts = searched(scale, folder, args.data_dir, args.as_is and not args.fast)
    if not parts:
        print("no part is complete")
        return
    text = written(scale, parts)
    (args.folder / "fig_best_settings.txt").write_text(text, encoding="utf-8", newline="\n")
    print(text)
    run_figures.save_figure(figure(scale, parts), args.folder / "fig_best_settings.png")


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="replace")  # where it is ASCII, "?" for the sign of plus or minus
    main()
