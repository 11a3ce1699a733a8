"""Hessian-free with other options, by paired differences over ten seeds: what an audit found, confirmed or refuted.

    python figures/fig_option_effects.py [--fast] [FOLDER]

writes fig_option_effects.png and .txt, by default into this folder, from the runs in its fig_option_effects/*.jsonl, a
file for each network. Missing runs are made first (all runs: some ten minutes of one core).

An audit said of this library's Hessian-free methods that their defaults, then those of earlier_defaults.py, handicap
them at equal products: the iteration cap, the rule for the candidate, the warm start. Each of its findings is a pair of
settings here, and a claim: that the loss of the first is below that of the second, or within a tenth of the second's
mean. The network is that of fig_best_settings.py: 784-100-10, the first 5,000 of mnist-mini, curvature batch 512, 150
products or 20 steps, seeds 0 to 9. No setting was chosen on these seeds. --fast has 150 cases, few units and two seeds,
and keeps none.
"""

import argparse
import statistics
import sys
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent))
from earlier_defaults import EarlierConfiguration
from fig_best_settings import FAST, FULL, Glorot, Sparse, cases_of

from refhf.lab.plots import run_figures
from refhf.lab.runs.network_choice import NetworkChoice
from refhf.lab.sweep.paired_differences import paired_difference, verdict
from refhf.lab.sweep.sweep_budgets import value_at
from refhf.lab.sweep.sweep_runs import run_sweep
from refhf.text import columns

ALIKE = 0.1  # share of the second's mean loss within which two are alike: our choice, before the runs
SEEDS = {"full": range(10), "fast": range(2)}
BICGSTAB, ITERATIONS = "hessian-bicgstab", "solver_iterations"
WALK, BEST = {"backtracking": True}, {"backtracking": "best"}


class Effect(NamedTuple):
    """A claim about two settings: (method, options) each, on a network, at a budget."""

    network: str  # units_start
    budget: str
    claim: str  # of the first's loss: below, alike
    one: tuple
    other: tuple


EFFECTS = [
    Effect("tanh_glorot", "products", "below", ("gn-cg", {ITERATIONS: 10}), ("gn-cg", {})),
    Effect("tanh_glorot", "products", "below", ("gn-cg", WALK), ("gn-cg", {})),
    Effect("tanh_glorot", "products", "below", ("hybrid-cg", WALK), ("hybrid-cg", {})),
    Effect("tanh_glorot", "products", "below", (BICGSTAB, {ITERATIONS: 4}), (BICGSTAB, {})),
    Effect("tanh_glorot", "steps", "below", (BICGSTAB, BEST), (BICGSTAB, {})),
    Effect("tanh_glorot", "products", "alike", ("gn-cg", {"warm_start": 0.0}), ("gn-cg", {})),
    Effect("tanh_glorot", "steps", "alike", ("gn-cg", {"warm_start": 0.0}), ("gn-cg", {})),
    Effect("logistic_sparse", "products", "below", (BICGSTAB, {ITERATIONS: 5}), ("gn-cg", {ITERATIONS: 10})),
    Effect("logistic_sparse", "products", "below", (BICGSTAB, {ITERATIONS: 5}), ("hessian-cg", {ITERATIONS: 10})),
    Effect("logistic_sparse", "products", "below", (BICGSTAB, {ITERATIONS: 5}), ("hybrid-cg", {ITERATIONS: 10})),
    Effect("relu_glorot", "products", "below", ("gn-cg", {ITERATIONS: 10}), (BICGSTAB, {ITERATIONS: 5})),
    Effect("relu_glorot", "products", "below", ("gn-cg", {ITERATIONS: 10}), ("hybrid-cg", {ITERATIONS: 10})),
    Effect("relu_glorot", "products", "below", ("gn-cg", {ITERATIONS: 10}), ("hessian-cg", {ITERATIONS: 10})),
]


def settings(scale):
    """The settings by the name of the network."""
    data, kinds = cases_of(scale, None), {"glorot": Glorot, "sparse": Sparse}
    budgets = {name: FULL.budgets[name] for name in ("steps", "products")} if scale is FULL else FAST.budgets
    found = {}
    for name in dict.fromkeys(effect.network for effect in EFFECTS):
        units, start = name.split("_")
        network = NetworkChoice(hidden=(scale.hidden,), nonlinearity=units)
        found[name] = kinds[start](data, network, budgets=budgets)
    return found


def cells(network: str, batch: int, seeds) -> list[EarlierConfiguration]:
    """The runs on a network."""
    sides = [side for effect in EFFECTS if effect.network == network for side in (effect.one, effect.other)]
    unique = [side for i, side in enumerate(sides) if side not in sides[:i]]
    return [EarlierConfiguration(method, batch, seed, options) for seed in seeds for method, options in unique]


def losses(lines, setting, side, budget) -> list[float]:
    """The loss at the budget of each seed's run."""
    method, options = side
    mine = [line for line in lines if (line["method"], line["options"]) == (method, options)]
    amount = setting.budgets[budget]
    found = [value_at(line, budget, amount) for line in sorted(mine, key=lambda line: line["seed"])]
    return [float("inf") if loss is None else loss for loss in found]


def said(side) -> str:
    """A setting in a few words."""
    words = {"solver_iterations": "{} iterations", "warm_start": "warm start {}", "backtracking": "{}"}
    rules = {True: "walk back", "best": "best of all"}
    parts = [words[name].format(rules.get(value, value)) for name, value in side[1].items()]
    return f"{side[0]}, {', '.join(parts) or 'earlier defaults'}"


def made(scale, folder) -> dict:
    """The lines of each network; missing runs are made."""
    seeds, found = SEEDS["full" if scale is FULL else "fast"], {}
    for name, setting in settings(scale).items():
        path = folder and folder / f"{name}.jsonl"
        found[name] = run_sweep(setting, cells(name, scale.batches[0], seeds), path, say if path else lambda *_: None)
    return found


def results(scale, lines: dict) -> list[tuple]:
    """(effect, losses of the first, losses of the second, difference, verdict) of each effect."""
    posed, found = settings(scale), []
    for effect in EFFECTS:
        setting = posed[effect.network]
        budget = effect.budget if effect.budget in setting.budgets else next(iter(setting.budgets))
        one, other = (losses(lines[effect.network], setting, side, budget) for side in (effect.one, effect.other))
        difference = paired_difference(one, other)
        margin = ALIKE * statistics.fmean(other) if effect.claim == "alike" else 0.0
        found.append((effect, one, other, difference, verdict(difference, effect.claim, margin)))
    return found


def say(line, resumed):
    if not resumed:
        print(
            line["method"], line["options"], line["seed"], f"loss {line['loss']}, {line['seconds']:.1f} s", flush=True
        )


HEAD = ["units, start", "at equal", "one", "other", "its loss", "the other's", "difference", "claim", "verdict"]


def row(result) -> list[str]:
    """The cells of a result, under HEAD."""
    effect, one, other, difference, judged = result
    means = (f"{statistics.fmean(values):.3f}" for values in (one, other))
    words = {"below": "below", "alike": f"within {ALIKE:.0%}"}[effect.claim]
    sides = effect.network.replace("_", ", "), effect.budget, said(effect.one), said(effect.other)
    return [*sides, *means, str(difference), words, str(judged)]


def table(found) -> str:
    return "\n".join(columns([HEAD, *map(row, found)])) + "\n"


def figure(found):
    from matplotlib.figure import Figure

    with run_figures.figure_style():
        drawn = Figure(figsize=(15, 0.8 + 0.62 * len(found)), layout="constrained")
        ax = drawn.subplots()
        for i, (_, _, other, d, judged) in enumerate(found):
            mean = statistics.fmean(other)
            ax.errorbar(
                d.mean / mean,
                -i,
                xerr=[[(d.mean - d.low) / mean], [(d.high - d.mean) / mean]],
                fmt="o" if judged == "holds" else "s" if judged == "fails" else "D",
                mfc="white" if judged == "not judgeable here" else None,
                color="black",
                capsize=4,
            )
        ax.axvline(0, color="grey", lw=1)
        places = [f"{e.network.replace('_', ', ')}, {e.budget}" for e, *_ in found]
        texts = [
            f"{said(e.one)}\nagainst {said(e.other)}: {place}" for (e, *_), place in zip(found, places, strict=True)
        ]
        ax.set_yticks([-i for i in range(len(found))], texts, fontsize="small")
        ax.set_xlabel("difference of the losses, as a share of the second's; 95 % interval of ten seeds")
        says = "Left of the line the first is better. Circle: the claim holds; square: fails; diamond: not judgeable"
        drawn.suptitle(says, x=0.01, ha="left")
    return drawn


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent)
    args = parser.parse_args()
    folder = None if args.fast else args.folder / "fig_option_effects"
    scale = FAST if args.fast else FULL
    found = results(scale, made(scale, folder))
    text = table(found)
    (args.folder / "fig_option_effects.txt").write_text(text, encoding="utf-8", newline="\n")
    print(text)
    run_figures.save_figure(figure(found), args.folder / "fig_option_effects.png")


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="replace")  # where it is ASCII, "?" for the sign of plus or minus
    main()
