"""The numbers of arnold_wang.md: the runs of fig_replicas.py, and what why_replicas.py printed."""

import math
import re
import statistics

import fig_replicas as fig

from page_numbers import FIGURES, by_verdict, number, table
from page_numbers.measured import once  # noqa: F401  the page calls it
from refhf.lab.runs.json_lines import read_json_lines
from refhf.lab.sweep.paired_differences import paired_difference, verdict

LINES = read_json_lines(FIGURES / "fig_replicas.jsonl")
PLACES = [(data, nonlinearity) for data in ("mnist", "fashion-mnist") for nonlinearity in fig.NONLINEARITIES]
TOP = [(0.01, name) for name in ("own-batch 2", "own-batch 4", "own-batch 8", "same-batch 8")]
ROWS = [*TOP, *((0.0003, name) for _, name in TOP), *((fig.BEST, name) for name in list(fig.METHODS)[1:])]
ESTIMATED = [("estimated", "own-batch 8"), ("estimated", "same-batch 8")]
PER_GRADIENT = [(0.01, "same-batch 8"), (0.1, "same-batch 8"), (0.1, "pairs 1"), (0.1, "pairs 8"), ESTIMATED[1]]


def gains(place, rate, name, per_gradient=False):
    """The losses at the end above SGD's in per cent, a number a seed; NaN where a run ended early."""
    return fig.gains(LINES, *place, rate, name, per_gradient)


def cell(place, rate, name, per_gradient=False):
    """Their mean ± standard deviation, and how many runs were lost."""
    values = gains(place, rate, name, per_gradient)
    kept = [x for x in values if math.isfinite(x)]
    decimals = 2 if rate == 0.0003 else 0 if kept and abs(statistics.fmean(kept)) >= 20 else 1
    lost = len(values) - len(kept)
    if not kept:
        return "all lost"
    spread = f" ± {statistics.stdev(kept):.{decimals}f}" if len(kept) > 1 else ""
    return f"{statistics.fmean(kept):+.{decimals}f}{spread}" + (f" ({lost} lost)" if lost else "")


def gains_table():
    """A row for each rate and method."""
    rows, before = [], None
    for per, (rate, name) in [*((False, x) for x in (*ROWS, *ESTIMATED)), *((True, x) for x in PER_GRADIENT)]:
        says = f"rate {rate}, " if (per, rate) != before else ""
        if rate == "estimated":
            says, name_said = "1/sigma_max, ", f"{name}, beside SGD at 0.1"
        else:
            name_said = name
        if per and (before is None or not before[0]):
            says = f"**per gradient**: {says}"
        rows.append([says + name_said, *(cell(place, rate, name, per) for place in PLACES)])
        before = per, rate
    return table(["per step", "MNIST tanh", "MNIST ReLU", "Fashion tanh", "Fashion ReLU"], rows)


def mean(place, rate, name, per_gradient=False):
    """The mean of the gains, of the runs that did not end early."""
    return statistics.fmean(x for x in gains(PLACES[place], rate, name, per_gradient) if math.isfinite(x))


def steps(rate):
    """The number of steps of the runs at a rate."""
    return f"{fig.RUNS[rate][0] * fig.EPOCH:,}"


def sgd_loss(rate):
    """SGD's losses at the end, the least and the most of the places: '2.17 to 2.29'."""
    found = [statistics.fmean(x[-1] for x in fig.of(LINES, *place, rate, "SGD").values()) for place in PLACES]
    return f"{min(found):.2f} to {max(found):.2f}"


def same_batch_gains(rate):
    """How far below SGD same-batch 8 ends, in per cent: '1 to 16'."""
    found = [-mean(i, rate, "same-batch 8") for i in range(len(PLACES))]
    return f"{min(found):.0f} to {max(found):.0f}"


def same_batch_judged(rate, name="same-batch 8"):
    """The verdicts that its loss at the end is below SGD's, seed by seed, of all places."""
    cells = []
    for data, nonlinearity in PLACES:
        own, sgd = (fig.of(LINES, data, nonlinearity, rate, method) for method in (name, "SGD"))
        values = ([math.inf if math.isnan(x[seed][-1]) else x[seed][-1] for seed in sorted(sgd)] for x in (own, sgd))
        place = f"{'MNIST' if data == 'mnist' else 'Fashion-MNIST'} {nonlinearity}"
        cells.append((place, verdict(paired_difference(*values), "below")))
    return by_verdict(cells, "on")


# ----- the long runs

LONG = read_json_lines(FIGURES / "fig_replicas_long.jsonl")


def _seeds(data, rate, name):
    """The losses of a long run by seed."""
    return fig.of(LONG, data, fig.UNITS, rate, name)


def _long(data, rate, name):
    """The mean losses of a long run's seeds; None if there is none."""
    found = [*_seeds(data, rate, name).values()]
    return sum(found) / len(found) if found else None


def _runs():
    """(data, rate, name, losses) of the long runs that are there."""
    for (data, rate), names in fig.LONG.items():
        for name in names:
            if (losses := _long(data, rate, name)) is not None:
                yield data, rate, name, losses


def long_steps(data="mnist"):
    """The number of steps of the long runs."""
    return f"{fig.WHOLE[data].steps * fig.WHOLE[data].losses:,}"


def long_said():
    """'MNIST, 14 x 14, rate 0.01: SGD ends at 0.118, own-batch 8 at 0.146 (below SGD at 3 of 25 points)', ...."""
    said = {}
    for data, rate, name, own in _runs():
        sgd = _long(data, rate, "SGD")
        below = sum(a < b for a, b in zip(own[1:], sgd[1:], strict=True))
        along = f" (below SGD at {below} of {len(sgd) - 1} points along the way)" if name != "SGD" else ""
        said.setdefault((data, rate), []).append(f"{name} {number(own[-1])}{along}")
    return "; ".join(f"{fig.TITLES[data]}, rate {rate:g}: {', '.join(parts)}" for (data, rate), parts in said.items())


def long_starts():
    """The number of starts of each place: 'five on MNIST, 14 x 14, at 0.01, one on ...'."""
    counts = {}
    for data, rate, _, _ in _runs():
        counts.setdefault(len(_seeds(data, rate, "SGD")), set()).add((data, rate))
    parts = []
    for count, places in sorted(counts.items(), reverse=True):
        where = ", ".join(f"{fig.TITLES[data]} at {rate:g}" for data, rate in fig.LONG if (data, rate) in places)
        parts.append(f"{count} on {where}")
    return "; ".join(parts)


def long_missing():
    """A sentence on the places that the script knows and that have no runs; empty if there are none."""
    lacks = [f"{fig.TITLES[data]} at {rate:g}" for data, rate in fig.LONG if not _seeds(data, rate, "SGD")]
    return f" The script knows {', '.join(lacks)} too: these runs are not made yet." if lacks else ""


def long_verdicts():
    """The verdict of each place on the claim that M = 8 ends below SGD: by the protocol, if it has starts for it."""
    parts = []
    for data, rate in fig.LONG:
        own, sgd = (_seeds(data, rate, name) for name in ("own-batch 8", "SGD"))
        seeds = sorted(set(own) & set(sgd))
        where = f"on {fig.TITLES[data]} at {rate:g}"
        if len(seeds) < 2:
            parts.append(f"{where} **not judgeable here**, {'one start' if seeds else 'no runs'}")
            continue
        found = paired_difference([own[seed][-1] for seed in seeds], [sgd[seed][-1] for seed in seeds])
        parts.append(f"{where} **{verdict(found, 'below')}**, {found}, {len(seeds)} starts")
    return "; ".join(parts)


def long_table():
    """The losses along the way and at the end."""
    fifths = range(5, 26, 5)
    rows = [
        [fig.TITLES[data], f"{rate:g}", name, *(number(losses[i]) for i in fifths)]
        for data, rate, name, losses in _runs()
    ]
    return table(["data", "rate", "", *(f"{2 * i} epochs" for i in fifths)], rows)


# ----- what why_replicas.py printed

_WHY = (FIGURES / "why_replicas.txt").read_text(encoding="utf-8")


def after_40(nonlinearity, kind):
    """The losses after 40 steps: the least and the most of the seeds."""
    found = sorted(float(x) for x in re.findall(rf"^{nonlinearity} seed \d, {kind} +([\d.]+)", _WHY, flags=re.M))
    return f"{found[0]:.2f} to {found[-1]:.2f}"


def why_rate(nonlinearity, what):
    """The median of the estimated rates, or 1/lambda_max at the start."""
    return re.search(rf"^{nonlinearity}: .*?{what} ([\d.]+)", _WHY, flags=re.M)[1]
