"""The numbers of he_2016.md on speech: the runs of fig_speech.py."""

import fig_speech as fig
from fig_best_settings import at_budget, judged, setting_said

from page_numbers import FIGURES, number, percent, table
from refhf.lab.sweep.search_report import difference
from refhf.lab.sweep.sweep_summary import statistic

PART = fig.part_of(fig.FULL, fig.there(fig.FULL, FIGURES / "fig_speech.jsonl"))


def _choice(method, budget):
    return at_budget(PART, budget)[method]


def loss(method, budget="passes"):
    """The training loss at a budget, mean ± standard deviation."""
    found = statistic(fig.values(PART, _choice(method, budget)))
    return f"{number(found.mean)} ± {number(found.spread, 2)}"


def test_error(method, budget="passes"):
    """The error on the test frames in per cent, mean ± standard deviation."""
    found = statistic(fig.values(PART, _choice(method, budget), "test_error"))
    return f"{percent(found.mean)} ± {percent(found.spread)} %"


def less(method, other, budget="passes"):
    """The training loss less the other's of the same seed, mean and 95 % interval."""
    return str(difference(PART.result, PART.setting, _choice(method, budget), _choice(other, budget)))


def below(method, other, budget="passes"):
    """The verdict on the claim that it is below the other's."""
    return judged(PART, _choice(method, budget), _choice(other, budget))


def results_table():
    """For each method and budget the setting, the training loss and the test error."""
    rows = []
    for budget, amount in fig.FULL.budgets.items():
        for i, method in enumerate(fig.FULL.methods):
            says = f"{amount} {budget}: {method}" if i == 0 else method
            setting = setting_said(_choice(method, budget))
            rows.append([says, setting, loss(method, budget), test_error(method, budget)])
    return table(["", "setting", "training loss", "test error"], rows)


def differences_table():
    """For each budget and Hessian-free method its training loss less momentum's and sgd's, and whether it is below."""
    rows = [
        [f"{amount} {budget}: {method}"]
        + [f"{less(method, other, budget)}: {below(method, other, budget)}" for other in fig.FIRST_ORDER]
        for budget, amount in fig.FULL.budgets.items()
        for method in fig.HESSIAN_FREE
    ]
    return table(["training loss less", *(f"{other}'s; is it below?" for other in fig.FIRST_ORDER)], rows)
