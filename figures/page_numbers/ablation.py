"""The numbers of adya_2018.md on the ablations and plain SGD: the runs of fig_adya_ablation.py."""

from typing import NamedTuple

import fig_adya_ablation as fig

from page_numbers import FIGURES, by_verdict, number, percent, table
from refhf.lab.runs.json_lines import read_json_lines
from refhf.lab.sweep.sweep_summary import statistic

PRECONDITIONER, LINE_SEARCH, SGD, FIRST_ORDER = fig.PAIRS.values()
WORKS = [(f"{name}, no preconditioner", "sgd") for name in fig.NLCG]


class Place(NamedTuple):
    """A scale with its rows, and one of its batches."""

    scale: fig.Scale
    rows: list[fig.Row]
    batch: int

    def __str__(self):
        return f"{self.batch:,}"

    def row(self, name):
        """The row of a name, or None."""
        return next((row for row in self.rows if (row.name, row.batch) == (name, self.batch)), None)

    def mean(self, name, key="loss"):
        """The mean of its loss or an error."""
        return statistic(fig.values(self.row(name), self.scale.epochs, key)).mean

    def difference(self, one, other):
        """The training loss of one less the other's; None if a row is not there."""
        return fig.difference(self.rows, self.scale, self.batch, one, other)


def _places(scale, name):
    rows = fig.rows(scale, read_json_lines(FIGURES / name))
    return [Place(scale, rows, batch) for batch in scale.batches]


FEW, ALL = _places(fig.FULL, "fig_adya_ablation.jsonl"), _places(fig.ALL, "fig_adya_ablation_all.jsonl")
PLACES = [*FEW, *ALL]


def loss(name, place=ALL[0]):
    """The training loss, mean ± standard deviation."""
    found = statistic(fig.values(place.row(name), place.scale.epochs))
    return f"{number(found.mean)} ± {number(found.spread, 2)}"


def losses(*names):
    """'nlcg-fr 0.10 ± 0.01, ...': the training losses on all digits."""
    return ", ".join(f"{name} {loss(name)}" for name in names)


def losses_table():
    """For each method, and what it lacks, the rate, the training loss and the test error at all batches."""
    names = dict.fromkeys(row.name for place in PLACES for row in place.rows)
    head = [f"{place} of {place.scale.cases:,}" for place in PLACES]
    rows = [[name, *(_cell(name, place) for place in PLACES)] for name in names]
    return table(["training loss; test error; rate", *head], rows)


def _cell(name, place):
    row = place.row(name)
    if not row:
        return "-"
    rate, edge = row.choice.options["learning_rate"], " (edge)" if row.choice.edges else ""
    return f"{loss(name, place)}; {percent(place.mean(name, 'test_error'))} %; {rate:g}{edge}"


def seeds():
    """The number of seeds reported on all digits."""
    return len(fig.ALL.reported)


AUDIT = {"nlcg-fr": 0.102, "rmsprop": 0.114, "momentum": 0.136, "nlcg-pr": 0.170}  # its losses, least first


def finding():
    """'confirmed' if the losses have the audit's order and each is within a tenth of the audit's, else 'refuted'."""
    found = {name: ALL[0].mean(name) for name in AUDIT}
    near = all(abs(found[name] / value - 1) < 0.1 for name, value in AUDIT.items())  # our choice, with most runs known
    return "confirmed" if near and sorted(found, key=found.__getitem__) == [*AUDIT] else "refuted"


def share(places):
    """The largest mean difference that the preconditioner makes, in per cent of the loss with it."""
    pairs = [(place, one, other) for place in places for one, other in PRECONDITIONER]
    return max(100 * abs(place.difference(one, other).mean) / place.mean(one) for place, one, other in pairs)


def differences(*pairs, places=FEW):
    """'nlcg-fr less nlcg-fr, no preconditioner: -0.1 [-0.2, -0.05] at 512, ...' for each pair."""
    said = []
    for one, other in pairs:
        apart = [(place, place.difference(one, other)) for place in places]
        found = [f"{x} at {place}" for place, x in apart if x]
        said += [f"{one} less {other}: {', '.join(found)}"] if found else []
    return "; ".join(said)


def verdicts(*pairs, places=FEW, against=False):
    """'**holds** for nlcg-fr at 512; **fails** for ...': whether the first of each pair has the smaller loss."""
    return by_verdict(
        (
            f"{one}{f' against {other}' * against} at {place}",
            fig.judged(place.rows, place.scale, place.batch, one, other),
        )
        for one, other in pairs
        for place in places
        if place.difference(one, other)
    )
