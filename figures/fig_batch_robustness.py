"""He et al. 2016's claim H12, "robust performance with upto an order of magnitude larger batch sizes", by protocol.md.

    python figures/fig_batch_robustness.py [--fast | --as-is] [--budget B] [--processes N] [--data-dir DIR] [FOLDER]

writes fig_batch_robustness.png and .txt, by default into this folder, from the runs in its fig_batch_robustness/, one
per line. Missing runs are made first (all runs: some fifteen minutes of one core); an interrupted script resumes.

gn-cg and hessian-bicgstab with curvature batches, sgd and momentum with batches of 64, 512, 2,048 and 8,192 cases, each
at its own best setting for each batch, at equal passes and at equal communications: 784-30-10, tanh, float32, the
10,000 digits of mnist-mini. Cut, in the protocol's order: 10,000 of 60,000 cases, no fewer, as the largest batch has to
fit; 30 hidden units for 400; 15 passes, 50 communications; 8 trials for 16. Seeds 100 and 101 tune, ten others are
reported. No Hessian-free trial has a method's defaults: each option that is searched is named below, and drawn; its
warm starts have an order here, so the search goes beyond 0.95.

The criterion, stated before the runs. The best batch b of a method at a budget has the least mean training loss over
the tuning seeds. The loss grows by L(f b) / L(b), f = 10 and 16, seed by seed; at a batch between two of the four log L
is linear in log b. Means and intervals are of its logarithm. At each budget and f:

    robust          the loss of a Hessian-free method grows by 10 % at most (our margin)
    more robust     it grows by less than the loss of sgd, and than that of momentum
    lower           the loss is below that of sgd, and of momentum, with the same batch, at 2,048 and at 8,192

What is at a batch with an edge, or needs a batch above 8,192, is not judgeable. Runs of sgd and momentum have a point
an epoch; with batch 64, whose epoch is 157 communications, they have none within 50 and are left out there.

--budget B multiplies cases and trials; more than 10,000 cases are MNIST's own, from DIR or REFHF_DATA_DIR. --fast has
150 cases and few runs, and keeps none; --as-is runs nothing.
"""

import argparse
import math
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from fig_best_settings import cases_of, from_copy

from refhf.lab.plots import history_axes, run_figures
from refhf.lab.runs.network_choice import NetworkChoice
from refhf.lab.sweep import sweep_budgets
from refhf.lab.sweep.paired_differences import ClaimVerdict, PairedDifference, paired_difference, verdict
from refhf.lab.sweep.search_report import reported_values, search_table
from refhf.lab.sweep.settings_search import SearchPlan, SearchResult, search_settings
from refhf.lab.sweep.sweep_grid import SweepSetting
from refhf.text import columns

HESSIAN_FREE, FIRST_ORDER = ("gn-cg", "hessian-bicgstab"), ("sgd", "momentum")
METHODS = (*HESSIAN_FREE, *FIRST_ORDER)
GRID = {  # of the Hessian-free methods, beside the first lambda; the caps that fig_best_settings.py chose are 2 to 50
    "solver_iterations": (1, 2, 4, 8, 16),
    "backtracking": (False, True, "best"),
    "warm_start": (0.0, 0.95),
}
FACTORS = 10, 16
MARGIN = 1.1  # our choice
LARGE = 2  # the batches at which losses are compared are the largest two
DASHES = dict(zip(METHODS, ("-", (0, (6, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2))), strict=True))
LOOKS = dict(zip(METHODS, ((0, "o"), (1, "s"), (6, "X"), (2, "^")), strict=True))


class Scale(NamedTuple):
    """The scale of the figure."""

    cases: int
    hidden: int
    batches: tuple
    budgets: dict
    trials: int
    tuning: tuple
    reported: tuple


FULL = Scale(10_000, 30, (64, 512, 2048, 8192), {"passes": 15, "communications": 50}, 8, (100, 101), tuple(range(10)))
FAST = Scale(100, 4, (8, 32), {"passes": 4, "communications": 6}, 2, (100,), (0, 1))


# ----- runs


class Found(NamedTuple):
    """The setting of all runs, and the result of the search."""

    setting: SweepSetting
    result: SearchResult


def searched(scale: Scale, path: Path | None, data_dir=None, processes: int = 1, as_is: bool = False) -> Found | None:
    """The search of all methods and batches; as it is, None if it lacks a run, and a copy of the file is read."""
    network = NetworkChoice(hidden=(scale.hidden,), nonlinearity="tanh")
    setting = SweepSetting(cases_of(scale, data_dir), network, budgets=scale.budgets)
    grid, trials = {"grid": GRID, "trials": scale.trials}, {"tuning": scale.tuning, "reported": scale.reported}
    plan = SearchPlan(METHODS, scale.batches, **grid, **trials)

    def search(path, listen):
        return search_settings(setting, plan, path, listen, lambda: as_is, processes)

    if as_is:
        result = from_copy(path, lambda copy: search(copy, lambda *_: None))
    else:
        result = search(path, say if path else lambda *_: None)
    return result and Found(setting, result)


def say(line, resumed):
    if not resumed:
        words = line["method"], line["batch"], line["options"], line["seed"]
        print(*words, line["status"], f"loss {line['loss']}, {line['seconds']:.1f} s", flush=True)


# ----- numbers


def choices(found: Found, budget: str, method: str) -> dict:
    """The choices of a method at a budget, by batch, but for batches whose first point after the start is beyond it."""
    within = {
        (line["method"], line["batch"])
        for line in found.result.tuning
        if line["curve"][sweep_budgets.BUDGETS[budget]][1] <= found.setting.budgets[budget]
    }
    return {c.batch: c for c in found.result.choices if (c.budget, c.method) == (budget, method) and c.place in within}


def best_batch(found: Found, budget: str, method: str) -> int:
    """The batch of least mean loss over the tuning seeds."""
    of = choices(found, budget, method)
    return min(of, key=lambda batch: of[batch].score)


def logarithms(found: Found, budget: str, method: str) -> dict[int, np.ndarray]:
    """log L of each reported seed, by batch; infinite for a run that diverged."""
    of = choices(found, budget, method)
    return {batch: np.log(reported_values(found.result, found.setting, choice)) for batch, choice in of.items()}


def growth(found: Found, budget: str, method: str, factor: float) -> np.ndarray | None:
    """log L(f b) - log L(b) of each reported seed from the best batch b; None if f b is above the largest batch."""
    of, best = logarithms(found, budget, method), best_batch(found, budget, method)
    below, above = around(of, factor * best)
    if above is None:
        return None
    share = 0 if below == above else math.log(factor * best / below) / math.log(above / below)
    return of[below] + (share * (of[above] - of[below]) if share else 0) - of[best]


def around(batches, place):
    """The batches next to a place, below and above; None if there is none."""
    ends = [b for b in batches if b <= place], [b for b in batches if b >= place]
    return max(ends[0], default=None), min(ends[1], default=None)


def on_edge(found: Found, budget: str, method: str, factor: float) -> bool:
    """True if a choice that a growth needs lies on an edge."""
    of, best = choices(found, budget, method), best_batch(found, budget, method)
    return any(of[batch].edges for batch in (best, *around(of, factor * best)) if batch)


class Judged(NamedTuple):
    """A paired difference and the verdict on a claim about it; no difference where there is no batch to judge at."""

    difference: PairedDifference | None
    verdict: ClaimVerdict


def robust(found: Found, budget: str, method: str, factor: float) -> Judged:
    """The claim that the loss grows by no more than the margin; the difference is the growth's logarithm."""
    grown = growth(found, budget, method, factor)
    return judged(grown, 0.0, math.log(MARGIN), on_edge(found, budget, method, factor))


def more_robust(found: Found, budget: str, method: str, other: str, factor: float) -> Judged:
    """The claim that the loss grows by less than another method's."""
    edge = on_edge(found, budget, method, factor) or on_edge(found, budget, other, factor)
    return judged(growth(found, budget, method, factor), growth(found, budget, other, factor), 0.0, edge)


def lower(found: Found, budget: str, method: str, other: str, batch: int) -> Judged:
    """The claim that the loss is below another method's with the same batch; the difference is of logarithms."""
    edge = any(of[batch].edges for name in (method, other) if batch in (of := choices(found, budget, name)))
    return judged(*(logarithms(found, budget, name).get(batch) for name in (method, other)), 0.0, edge)


def judged(one, other, bound: float, edge: bool) -> Judged:
    if one is None or other is None:
        return Judged(None, ClaimVerdict.NOT_JUDGEABLE)
    one, other = np.broadcast_arrays(one, other)
    below = verdict(paired_difference([*one], [*(other + bound)]), "below")
    return Judged(paired_difference([*one], [*other]), ClaimVerdict.NOT_JUDGEABLE if edge else below)


def times(difference: PairedDifference | None) -> str:
    """'1.3 [1.2, 1.4]': a difference of logarithms as a factor with its interval."""
    if difference is None or math.isnan(difference.low):
        return "-"
    mean, low, high = (f"{math.exp(x):.3g}" for x in (difference.mean, difference.low, difference.high))
    return f"{mean} [{low}, {high}]"


def written(scale: Scale, found: Found) -> str:
    """The growths and the verdicts, then the tables of the search."""
    said = "\n\n".join("\n".join(columns(table)) for table in (growths(found), claims(found)))
    return f"""\
784-{scale.hidden}-10, {scale.cases} cases, seeds {scale.reported[0]} to {scale.reported[-1]}; settings chosen on \
{" and ".join(map(str, scale.tuning))} (figures/protocol.md).

First: the best batch of each method, and by how many times the training loss grows from it to ten and sixteen times it.
Then: the verdicts, with the ratio of the growths, or of the losses with the same batch. All with 95 % intervals.
Then: what was chosen, and the mean ± standard deviation of the reported seeds.

{said}

{search_table(found.result, found.setting, "sgd")}
"""


def growths(found: Found):
    table = [["at equal", "method", "best batch", *(f"grows at {f} times" for f in FACTORS)]]
    for budget, amount in found.setting.budgets.items():
        for method in METHODS:
            grown = [robust(found, budget, method, factor).difference for factor in FACTORS]
            best = str(best_batch(found, budget, method))
            table.append([f"{amount} {budget}", method, best, *map(times, grown)])
    return table


def claims_of(found: Found, budget: str, method: str) -> list[tuple[str, str, Judged]]:
    """The claims about a Hessian-free method at a budget, each with where it is judged."""
    rows = [("robust", f"{f} times", robust(found, budget, method, f)) for f in FACTORS]
    for other in FIRST_ORDER:
        claim = f"more robust than {other}"
        rows += [(claim, f"{f} times", more_robust(found, budget, method, other, f)) for f in FACTORS]
    batches = sorted({choice.batch for choice in found.result.choices})[-LARGE:]
    for other in FIRST_ORDER:
        claim = f"lower than {other}"
        rows += [(claim, f"batch {b:,}", lower(found, budget, method, other, b)) for b in batches]
    return rows


def claims(found: Found):
    table = [["at equal", "method", "claim", "at", "ratio", "verdict"]]
    for budget, amount in found.setting.budgets.items():
        for method in HESSIAN_FREE:
            for claim, at, one in claims_of(found, budget, method):
                table.append([f"{amount} {budget}", method, claim, at, times(one.difference), str(one.verdict)])
    return table


# ----- picture


def figure(scale: Scale, found: Found):
    """Above, training loss against batch; below, both in multiples of those of each method's best batch."""
    from matplotlib.figure import Figure

    with run_figures.figure_style():
        drawn = Figure(figsize=(15, 12), layout="constrained")
        drawn.suptitle(
            f"Each method and batch at its own best setting: 784-{scale.hidden}-10, {scale.cases:,} digits\n"
            f"median and range of {len(scale.reported)} seeds that chose nothing; a ring marks a method's best batch"
        )
        axes = drawn.subplots(2, 2, sharey="row")
        for (above, below), (budget, amount) in zip(axes.T, scale.budgets.items(), strict=True):
            above.set_title(f"after {amount} {'effective passes' if budget == 'passes' else budget}")
            for method in METHODS:
                curves(above, below, found, budget, method)
            finish(above, [*scale.batches], "{:,}".format)
            above.set_xlabel("batch (Hessian-free: curvature batch)")
            for factor in FACTORS:
                below.axvline(factor, color=history_axes.QUIET, linestyle=":", linewidth=1.5)
            finish(below, [0.1, 1, *FACTORS, 100], "{:g}".format)
            below.set_xlabel("batch, in multiples of the method's best")
        axes[0, 0].set_ylabel("training loss")
        axes[1, 0].set_ylabel("training loss / that of the best batch")
        handles = axes[0, 0].get_legend_handles_labels()
        drawn.legend(*handles, loc="outside lower center", ncols=len(METHODS), handlelength=4)
    return drawn


def curves(above, below, found: Found, budget: str, method: str):
    """The two curves of a method."""
    of, best = logarithms(found, budget, method), best_batch(found, budget, method)
    colour, marker = LOOKS[method]
    look = {"color": history_axes.COLOURS[colour], "marker": marker, "linestyle": DASHES[method], "label": method}
    for ax, unit, less in ((above, 1, 0.0), (below, best, of[best])):
        places = np.array([*of]) / unit
        losses = np.exp([logs - less for logs in of.values()])
        ax.plot(places, np.median(losses, axis=1), **look)
        ax.fill_between(places, losses.min(axis=1), losses.max(axis=1), color=look["color"], alpha=0.15, lw=0)
    ring = {"marker": "o", "markersize": 17, "markerfacecolor": "none", "markeredgecolor": look["color"]}
    above.plot([best], [np.median(np.exp(of[best]))], **ring, markeredgewidth=2)


def finish(ax, ticks, form):
    """Log axes with plain labels."""
    ax.set_xscale("log")
    ax.set_xticks(ticks, [form(tick) for tick in ticks])
    ax.minorticks_off()
    history_axes.log_axis(ax, None)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--as-is", action="store_true")
    parser.add_argument("--budget", type=int, default=1, metavar="B", help="multiplies cases and trials; default: 1")
    parser.add_argument("--processes", type=int, default=1, metavar="N")
    parser.add_argument("--data-dir", type=Path, metavar="DIR")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent)
    args = parser.parse_args()
    scale = FULL._replace(cases=min(FULL.cases * args.budget, 60_000), trials=FULL.trials * args.budget)
    scale = FAST if args.fast else scale
    path = None if args.fast else args.folder / "fig_batch_robustness" / "runs.jsonl"
    if path:
        path.parent.mkdir(exist_ok=True)
    found = searched(scale, path, args.data_dir, args.processes, args.as_is and not args.fast)
    if found is None:
        print("the runs are not complete")
        return
    text = written(scale, found)
    (args.folder / "fig_batch_robustness.txt").write_text(text, encoding="utf-8", newline="\n")
    print(text)
    run_figures.save_figure(figure(scale, found), args.folder / "fig_batch_robustness.png")


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="replace")  # where it is ASCII, "?" for the sign of plus or minus
    main()
