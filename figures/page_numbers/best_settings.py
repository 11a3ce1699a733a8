"""The numbers of fig_best_settings.py: each method at its own best setting, for the parts whose runs are complete."""

import statistics

import fig_best_settings as best

from page_numbers import FIGURES, table

PARTS = best.searched(best.FULL, FIGURES / "fig_best_settings", None, as_is=True)
ALL = len(best.FULL.nonlinearities) * len(best.STARTS)
HESSIAN_FREE = [name for name in best.HESSIAN_FREE if name != best.PROPOSED]


def who_is_first():
    """For each part and budget, the methods in the order of their mean losses."""
    rows = []
    for part in PARTS:
        for budget, amount in part.setting.budgets.items():
            choices = best.at_budget(part, budget)
            order = sorted(choices.values(), key=lambda choice, part=part: best.mean_loss(part, choice))
            said = (f"{c.method} {best.mean_loss(part, c):.3g}{' (edge)' if c.edges else ''}" for c in order)
            rows.append([part.nonlinearity, part.start, f"{amount} {budget}", ", ".join(said)])
    return table(["units", "start", "at equal", "mean training loss of ten seeds, least first"], rows)


def chosen():
    """The best settings of the Hessian-free methods at equal products."""
    rows = []
    for part in PARTS:
        choices = best.at_budget(part, "products")
        rows.append([part.nonlinearity, part.start, *(best.setting_said(choices[name]) for name in best.HESSIAN_FREE)])
    return table(["units", "start", *best.HESSIAN_FREE], rows)


def verdicts(budget=None, others=HESSIAN_FREE):
    """'1 holds, 3 fail, 2 not judgeable': of the claims that Bi-CG-STAB's loss is below another's."""
    found = []
    for part in PARTS:
        for name in part.setting.budgets if budget is None else [budget]:
            choices = best.at_budget(part, name)
            found += [best.judged(part, choices[best.PROPOSED], choices[other]) for other in others]
    counts = [found.count(word) for word in ("holds", "fails", "not judgeable here")]
    return "{} of {} hold, {} fail, {} are not judgeable".format(counts[0], len(found), *counts[1:])


def parts():
    """'tanh with glorot start, ...': the parts that are complete."""
    return ", ".join(f"{part.nonlinearity} with a {part.start} start" for part in PARTS)


def complete():
    """'6 of 6'."""
    return f"{len(PARTS)} of {ALL}"


def iterations(method):
    """The caps of the solver that were chosen, at all budgets: least, median, most."""
    caps = [
        choice.options["solver_iterations"]
        for part in PARTS
        for budget in part.setting.budgets
        for choice in [best.at_budget(part, budget)[method]]
    ]
    return f"{min(caps)} to {max(caps)}, median {statistics.median(caps):g}"
