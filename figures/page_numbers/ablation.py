"""The numbers of adya_2018.md on the ablations and plain SGD: the runs of fig_adya_ablation.py."""

import fig_adya_ablation as fig

from page_numbers import FIGURES, number, percent, table
from refhf.lab.sweep.sweep_summary import statistic

ROWS = fig.rows(fig.FULL, fig.there(FIGURES / "fig_adya_ablation.jsonl"))
SMALL, LARGE = fig.FULL.batches


def loss(name, batch):
    """The training loss, mean ± standard deviation."""
    (row,) = (row for row in ROWS if (row.name, row.batch) == (name, batch))
    found = statistic(fig.values(row, fig.FULL.epochs))
    return f"{number(found.mean)} ± {number(found.spread, 2)}"


def less(one, other, batch):
    """The training loss less the other's of the same seed, mean and 95 % interval."""
    return str(fig.difference(ROWS, fig.FULL, batch, one, other))


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
