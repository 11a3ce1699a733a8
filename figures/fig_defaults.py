"""The defaults of the Hessian-free methods: a grid of settings on six problems, by protocol.md, and what they gain.

    python figures/fig_defaults.py [--fast | --as-is] [FOLDER]

writes fig_defaults.png and .txt, by default into this folder, from the runs in its fig_defaults/*.jsonl, a file for
each nonlinearity and start. Missing runs are made first (all runs: some twenty minutes of one core).

He et al. leave open the number of Bi-CG-STAB iterations, CG's most iterations, the rule for the candidate, the warm
start and the first lambda. The grid has all combinations of a few values of each, at a first lambda of 0.1. The
problems are those of fig_best_settings.py: {tanh, logistic, relu} x {Glorot, sparse}, the first of mnist-mini,
float32. Cut, beyond the cuts there: 2,000 cases for 5,000, with the curvature on 200 of them, a tenth as there; 30
hidden units for 100. Seeds 100 and 101 choose, seeds 0 to 9 are reported.

The criterion, stated before the runs: at each problem and budget a setting's ratio is its mean loss over the tuning
seeds, over the least such loss of its method; a ratio above 100, or of a run that diverged, counts as 100. The setting
with the least geometric mean of its ratios over problems and budgets is chosen. One setting for the three methods with
CG is better than three, if its mean is nearly as small: the table has the margin.

--fast has 150 cases, tanh and few settings, and keeps none; --as-is runs nothing, and shows what is there.
"""

import argparse
import itertools
import math
import statistics
import sys
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent))
import fig_best_settings as best
from earlier_defaults import EARLIER
from fig_best_settings import RULES, Glorot, Sparse, cases_of

from refhf.lab.plots import run_figures
from refhf.lab.runs.json_lines import read_json_lines
from refhf.lab.runs.network_choice import NetworkChoice
from refhf.lab.sweep.paired_differences import PairedDifference, paired_difference, verdict
from refhf.lab.sweep.sweep_budgets import value_at
from refhf.lab.sweep.sweep_grid import Configuration, SweepSetting
from refhf.lab.sweep.sweep_runs import run_sweep
from refhf.text import columns

WITH_CG = "gn-cg", "hessian-cg", "hybrid-cg"
BICGSTAB, PATH = "hessian-bicgstab", "gn-cg-path"
METHODS = (*WITH_CG, BICGSTAB, PATH)
DAMPING = 0.1
MOST = 100.0  # of a ratio: our choice, before the runs
WARM = 0.0, 0.95
OPTIONS = "solver_iterations", "backtracking", "warm_start"


class Scale(NamedTuple):
    """The scale of the figure."""

    best: best.Scale
    caps: tuple[int, ...]
    bicgstab_caps: tuple[int, ...]


CHOSEN = {
    "gn-cg": (5, "best", 0.95),
    "hessian-cg": (5, "best", 0.0),
    "hybrid-cg": (5, "best", 0.0),
    BICGSTAB: (3, "best", 0.0),
    PATH: (10,),
}
FULL = Scale(best.FULL._replace(cases=2000, hidden=30, batches=(200, 128)), (5, 10, 20), (3, 5, 10))
FAST = Scale(best.FAST, (2, 3), (2,))


# ----- runs


def grid(scale: Scale, method: str) -> list[dict]:
    """The settings of a method, with the one beyond the edge where the chosen lies on it, and the earlier default."""
    if method == PATH:
        return [*map(setting, scale.caps), earlier(method)]
    caps, rules = (scale.bicgstab_caps, (True, "best")) if method == BICGSTAB else (scale.caps, (False, "best"))
    found = [setting(*values) for values in itertools.product(caps, rules, WARM)]
    return found + [x for x in (beyond(method), earlier(method)) if x not in found]


def setting(*values) -> dict:
    """The options with these values, in the order of OPTIONS."""
    return {"damping": DAMPING} | dict(zip(OPTIONS, values, strict=False))


def problems(scale: Scale) -> dict[str, SweepSetting]:
    """The problems, in the order of their names."""
    data, found = cases_of(scale.best, None), {}
    for units, (start, kind) in itertools.product(
        scale.best.nonlinearities, zip(best.STARTS, (Glorot, Sparse), strict=True)
    ):
        network = NetworkChoice(hidden=(scale.best.hidden,), nonlinearity=units)
        found[f"{units}_{start}"] = kind(data, network, budgets=scale.best.budgets)
    return dict(sorted(found.items()))


def made(scale: Scale, folder: Path | None) -> dict[str, list[dict]]:
    """The lines of each problem; missing runs are made, seed by seed."""
    posed = problems(scale)
    found = {name: [] for name in posed}
    for seed, name in itertools.product((*scale.best.tuning, *scale.best.reported), posed):
        path = folder and folder / f"{name}.jsonl"
        cells = [Configuration(m, scale.best.batches[0], seed, o) for m in METHODS for o in wanted(scale, m, seed)]
        found[name] += run_sweep(posed[name], cells, path, say if path else lambda *_: None)
    return found


def there(folder: Path) -> dict[str, list[dict]]:
    """The lines that are in the folder, by problem."""
    return {path.stem: read_json_lines(path) for path in sorted(folder.glob("*.jsonl"))}


def wanted(scale: Scale, method: str, seed: int) -> list[dict]:
    """The settings that a seed runs."""
    return grid(scale, method) if seed in scale.best.tuning else [chosen(method), earlier(method)]


def chosen(method: str) -> dict:
    """The setting that became the default."""
    return setting(*CHOSEN[method])


def beyond(method: str) -> dict:
    """Half as many iterations: the default is the least of the grid but for the path's."""
    return chosen(method) | {"solver_iterations": CHOSEN[method][0] // 2}


def earlier(method: str) -> dict:
    """The default before."""
    return setting(*list(EARLIER["gn-cg" if method == PATH else method].values())[: len(CHOSEN[method])])


def say(line, resumed):
    if not resumed:
        words = line["setting"]["nonlinearity"], line["setting"]["start"], line["method"], line["options"], line["seed"]
        print(*words, line["status"], f"loss {line['loss']}, {line['seconds']:.1f} s", flush=True)


# ----- numbers


def losses(lines, method: str, options: dict, budget: str, amount: float, seeds) -> list[float]:
    """The losses of a setting's runs at a budget, seed by seed; infinite where a run diverged."""
    mine = [x for x in lines if (x["method"], x["options"]) == (method, options) and x["seed"] in seeds]
    found = [value_at(line, budget, amount) for line in sorted(mine, key=lambda line: line["seed"])]
    return [math.inf if x is None else x for x in found]


def ratios(scale: Scale, lines: dict, method: str) -> list[dict]:
    """For each setting of the grid, by (problem, budget), the ratio of its mean loss to the method's least one."""
    settings = grid(scale, method)
    found = [{} for _ in settings]
    for name, (budget, amount) in itertools.product(lines, scale.best.budgets.items()):
        means = [
            statistics.fmean(losses(lines[name], method, options, budget, amount, scale.best.tuning))
            for options in settings
        ]
        for ratio, mean in zip(found, means, strict=True):
            ratio[name, budget] = min(mean / min(means), MOST) if math.isfinite(mean) else MOST
    return found


def score(ratios: dict, budget: str = "") -> float:
    """The geometric mean of a setting's ratios, at all budgets or at one."""
    found = [ratio for (_, its), ratio in ratios.items() if budget in ("", its)]
    return statistics.geometric_mean(found)


def ranked(scale: Scale, lines: dict, method: str) -> list[tuple[dict, dict]]:
    """The settings of a method with their ratios, the least score first."""
    return sorted(zip(grid(scale, method), ratios(scale, lines, method), strict=True), key=lambda row: score(row[1]))


def in_common(scale: Scale, lines: dict) -> list[tuple[tuple, float]]:
    """Iterations and rules with CG, the methods each with its chosen warm start: the geometric mean of their scores."""
    scores = [{of(options): score(its) for options, its in ranked(scale, lines, method)} for method in WITH_CG]
    pairs = dict.fromkeys([(CHOSEN["gn-cg"][0] // 2, "best"), *itertools.product(scale.caps, (False, "best"))])
    warm = [CHOSEN[method][2] for method in WITH_CG]
    means = [
        (pair, statistics.geometric_mean(its[*pair, eta] for its, eta in zip(scores, warm, strict=True)))
        for pair in pairs
    ]
    return sorted(means, key=lambda item: item[1])


def of(options: dict) -> tuple:
    """The values of a setting, in the order of OPTIONS."""
    return tuple(options[name] for name in OPTIONS)


class Gain(NamedTuple):
    """The chosen setting beside the earlier one on the reported seeds, at a budget of a problem."""

    method: str
    problem: str
    budget: str
    chosen: list[float]
    earlier: list[float]
    difference: PairedDifference


def gains(scale: Scale, lines: dict) -> list[Gain]:
    """The gains of the methods whose reported runs are there."""
    found = []
    methods = [method for method in METHODS if complete(scale, lines, method)]
    for method, name, (budget, amount) in itertools.product(methods, lines, scale.best.budgets.items()):
        sides = [
            losses(lines[name], method, options, budget, amount, scale.best.reported)
            for options in (chosen(method), earlier(method))
        ]
        found.append(Gain(method, name, budget, *sides, paired_difference(*sides)))
    return found


def complete(scale: Scale, lines: dict, method: str) -> bool:
    """Whether both settings of a method have all their reported runs."""
    seeds, settings = {*scale.best.reported}, (chosen(method), earlier(method))
    return all(
        seeds <= {line["seed"] for line in its if (line["method"], line["options"]) == (method, options)}
        for its in lines.values()
        for options in settings
    )


def role(method: str, options: dict) -> str:
    """'(default)', '(before)', '(half as many)', or nothing."""
    for setting_of, word in (chosen, "(default)"), (earlier, "(before)"), (beyond, "(half as many)"):
        if options == setting_of(method):
            return word
    return ""


def said(options: dict) -> str:
    """A setting in a few words: '5 iterations, best, warm 0.95'."""
    words = [f"{options['solver_iterations']} iterations"]
    if "backtracking" in options:
        words += [RULES[options["backtracking"]], f"warm {options['warm_start']:g}"]
    return ", ".join(words)


def written(scale: Scale, lines: dict) -> str:
    """The tables."""
    seeds = " and ".join(map(str, scale.best.tuning))
    tables = [
        "Each setting's loss over its method's least, as a geometric mean over problems and budgets, and at each "
        f"budget;\nseeds {seeds}, a first lambda of {DAMPING}."
    ]
    head = ["method", "setting", "all", *scale.best.budgets, ""]
    for method in METHODS:
        rows = ranked(scale, lines, method)
        cells = [
            [method, said(options), *(f"{score(its, b):.2f}" for b in ("", *scale.best.budgets)),
             role(method, options)]
            for options, its in rows
        ]  # fmt: skip
        tables.append("\n".join(columns([head, *cells])))
    shared = [[f"{cap} iterations, {RULES[rule]}", f"{mean:.2f}"] for (cap, rule), mean in in_common(scale, lines)]
    tables.append(
        "One setting for the three methods with CG, each with its chosen warm start:\n\n"
        + "\n".join(columns([["setting", "mean"], *shared]))
    )
    head = ["method", "problem", "budget", "loss", "before", "difference"]
    rows = [
        [g.method, g.problem, g.budget, *(f"{statistics.fmean(x):.3g}" for x in (g.chosen, g.earlier)),
         f"{g.difference}, {verdict(g.difference, 'below')}"]
        for g in gains(scale, lines)
    ]  # fmt: skip
    tables.append(
        f"The defaults beside those before, seeds {scale.best.reported[0]} to {scale.best.reported[-1]}: mean losses, "
        "the paired difference\nwith its 95 % interval, and whether it holds that the default is below.\n\n"
        + "\n".join(columns([head, *rows]))
    )
    return "\n\n".join(tables) + "\n"


# ----- picture


def figure(scale: Scale, lines: dict):
    """A panel a method: the score of each setting, and its ratio at each budget."""
    from matplotlib.figure import Figure

    several = {method: ranked(scale, lines, method) for method in METHODS}
    with run_figures.figure_style():
        drawn = Figure(figsize=(11, 2 + 0.34 * sum(map(len, several.values()))), layout="constrained")
        drawn.suptitle("Loss over the least of the method:\ngeometric mean over the problems, seeds that choose")
        panels = drawn.subplots(len(METHODS), sharex=True, height_ratios=[len(rows) for rows in several.values()])
        for ax, (method, rows) in zip(panels, several.items(), strict=True):
            for budget, marker in zip(("", *scale.best.budgets), "os^vD", strict=False):
                places = [score(its, budget) for _, its in rows]
                own = {"color": "black", "ms": 8} if not budget else {"color": "black", "ms": 6, "mfc": "white"}
                ax.plot(places, range(len(rows)), marker, label=budget or "all budgets", **own)
            ax.set_yticks(range(len(rows)), [f"{said(o)} {role(method, o)}" for o, _ in rows], fontsize="small")
            ax.invert_yaxis()
            ax.set_title(method, loc="left")
        drawn.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
        panels[-1].set_xscale("log")
        panels[-1].set_xlabel("ratio; the least is 1")
    return drawn


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--as-is", action="store_true")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent)
    args = parser.parse_args()
    scale = FAST if args.fast else FULL
    folder = None if args.fast else args.folder / "fig_defaults"
    lines = there(folder) if folder and args.as_is else made(scale, folder)
    text = written(scale, lines)
    (args.folder / "fig_defaults.txt").write_text(text, encoding="utf-8", newline="\n")
    print(text)
    run_figures.save_figure(figure(scale, lines), args.folder / "fig_defaults.png")


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="replace")  # where it is ASCII, "?" for the sign of plus or minus
    main()
