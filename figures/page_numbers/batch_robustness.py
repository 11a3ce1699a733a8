"""The numbers of he_2016.md on larger batches, claim H12: the runs of fig_batch_robustness.py."""

import fig_batch_robustness as fig
from fig_best_settings import setting_said

from page_numbers import FIGURES, number, table
from refhf.lab.sweep.search_report import reported_values
from refhf.lab.sweep.sweep_summary import statistic

FOUND = fig.searched(fig.FULL, FIGURES / "fig_batch_robustness" / "runs.jsonl", as_is=True)


def verdict():
    """The verdict on each claim: by which budget, for which method, and where."""
    return "The loss with larger batches. " + ". ".join(f"{claim.capitalize()}: {_said(claim)}" for claim in _claims())


def _claims():
    (budget, *_), (method, *_) = fig.FULL.budgets, fig.HESSIAN_FREE
    return dict.fromkeys(claim for claim, *_ in fig.claims_of(FOUND, budget, method))


def _said(claim):
    """'by passes **fails**; by communications **holds** for gn-cg, ...': the verdicts on a claim."""
    parts = []
    for budget in fig.FULL.budgets:
        found = {}
        for method in fig.HESSIAN_FREE:
            for _, at, one in (row for row in fig.claims_of(FOUND, budget, method) if row[0] == claim):
                found.setdefault(str(one.verdict), {}).setdefault(method, []).append(at)
        words = [f"**{word}**" + f" for {' and '.join(_places(by))}" * (len(found) > 1) for word, by in found.items()]
        parts.append(f"by {budget} {', '.join(words)}")
    return "; ".join(parts)


def _places(by):
    """The methods, each with where; without it if that is everywhere."""
    return [method if len(at) == 2 else f"{method} ({', '.join(at)})" for method, at in by.items()]


def best(method, budget="passes"):
    """The best batch of a method."""
    return f"{fig.best_batch(FOUND, budget, method):,}"


def grows(method, factor, budget="passes"):
    """By how many times the loss grows from the best batch to so many times it, with the 95 % interval."""
    return fig.times(fig.robust(FOUND, budget, method, factor).difference)


def ratio(method, other, batch, budget="passes"):
    """The loss over another method's with the same batch, with the 95 % interval."""
    return fig.times(fig.lower(FOUND, budget, method, other, batch).difference)


def growth_table():
    """For each budget and method the loss and the setting at the best batch, and how much the loss grows from it."""
    rows = []
    for budget, amount in fig.FULL.budgets.items():
        for method in fig.METHODS:
            batch = fig.best_batch(FOUND, budget, method)
            setting = setting_said(fig.choices(FOUND, budget, method)[batch])
            cells = [grows(method, factor, budget) for factor in fig.FACTORS]
            rows.append([f"{amount} {budget}: {method}", f"{batch:,}", setting, *cells])
    head = "", "best batch", "its setting there", *(f"loss at {factor} times it / loss" for factor in fig.FACTORS)
    return table(head, rows)


def loss_table():
    """The training losses of the reported seeds, by method and batch: mean ± standard deviation."""
    rows = []
    for budget, amount in fig.FULL.budgets.items():
        for method in fig.METHODS:
            of = fig.choices(FOUND, budget, method)
            cells = [_loss(of[batch]) if batch in of else "-" for batch in fig.FULL.batches]
            rows.append([f"{amount} {budget}: {method}", *cells])
    return table(["training loss with batch", *(f"{batch:,}" for batch in fig.FULL.batches)], rows)


def _loss(choice):
    found = statistic(reported_values(FOUND.result, FOUND.setting, choice))
    return f"{number(found.mean)} ± {number(found.spread, 2)}" + (" (edge)" if choice.edges else "")


def verdict_table():
    """For each budget and claim, and where it is judged, the ratio and the verdict for each Hessian-free method."""
    rows = []
    for budget, amount in fig.FULL.budgets.items():
        for row in zip(*(fig.claims_of(FOUND, budget, method) for method in fig.HESSIAN_FREE), strict=True):
            claim, at, _ = row[0]
            cells = [f"{fig.times(one.difference)}: {one.verdict}" for *_, one in row]
            rows.append([f"{amount} {budget}: {claim}", at, *cells])
    return table(["claim", "at", *fig.HESSIAN_FREE], rows)
