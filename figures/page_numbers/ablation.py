"""The numbers of adya_2018.md on the ablations and plain SGD: the runs of fig_adya_ablation.py."""

import itertools

import fig_adya_ablation as fig

from page_numbers import FIGURES, number, percent, table
from refhf.lab.sweep.sweep_summary import statistic

ROWS = fig.rows(fig.FULL, fig.there(FIGURES / "fig_adya_ablation.jsonl"))
PRECONDITIONER, LINE_SEARCH, SGD = fig.PAIRS[:2], fig.PAIRS[2:4], fig.PAIRS[4:]
WORKS = [(f"{name}, no preconditioner", "sgd") for name in fig.NLCG]


def loss(name, batch):
    """The training loss, mean ± standard deviation."""
    (row,) = (row for row in ROWS if (row.name, row.batch) == (name, batch))
    found = statistic(fig.values(row, fig.FULL.epochs))
    return f"{number(found.mean)} ± {number(found.spread, 2)}"


def losses_table():
    """For each method, and what it lacks, the rate, the training loss and the test error at both batches."""
    rows = []
    for name in dict.fromkeys(row.name for row in ROWS):
        cells = [name]
        for batch in fig.FULL.batches:
            found = [row for row in ROWS if (row.name, row.batch) == (name, batch)]
            if not found:
                cells.append("-")
                continue
            rate, edge = found[0].choice.options["learning_rate"], " (edge)" if found[0].choice.edges else ""
            error = percent(statistic(fig.values(found[0], fig.FULL.epochs, "test_error")).mean)
            cells.append(f"{loss(name, batch)}; {error} %; {rate:g}{edge}")
        rows.append(cells)
    return table(["training loss; test error; rate", *(f"{batch:,}" for batch in fig.FULL.batches)], rows)


def share():
    """The largest mean difference that the preconditioner makes, in per cent of the loss with it."""
    found = []
    for (one, other), batch in itertools.product(PRECONDITIONER, fig.FULL.batches):
        (row,) = (row for row in ROWS if (row.name, row.batch) == (one, batch))
        apart = fig.difference(ROWS, fig.FULL, batch, one, other).mean
        found.append(100 * abs(apart) / statistic(fig.values(row, fig.FULL.epochs)).mean)
    return max(found)


def differences(*pairs):
    """'nlcg-fr less nlcg-fr, no preconditioner: -0.1 [-0.2, -0.05] at 512, ...' for each pair."""
    said = []
    for one, other in pairs:
        apart = [(batch, fig.difference(ROWS, fig.FULL, batch, one, other)) for batch in fig.FULL.batches]
        found = [f"{x} at {batch:,}" for batch, x in apart if x]
        said += [f"{one} less {other}: {', '.join(found)}"] if found else []
    return "; ".join(said)


def verdicts(*pairs):
    """'**holds** for nlcg-fr at 512; **fails** for ...': whether the first of each pair has the smaller loss."""
    found: dict[str, list[str]] = {}
    for one, other in pairs:
        for batch in fig.FULL.batches:
            if fig.difference(ROWS, fig.FULL, batch, one, other):
                said = fig.judged(ROWS, fig.FULL, batch, one, other)
                found.setdefault(said, []).append(f"{one} at {batch:,}")
    return "; ".join(f"**{word}** for {', '.join(places)}" for word, places in sorted(found.items(), key=_order))


def _order(item):
    return ["holds", "fails", "not judgeable here"].index(item[0])
