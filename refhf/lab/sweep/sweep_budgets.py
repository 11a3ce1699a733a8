"""Budgets: amounts of steps, passes, products or communications at which runs are compared."""

import math
from collections.abc import Mapping
from typing import Any

from refhf import checks

BUDGETS = {"steps": "step", "passes": "epochs", "products": "curvature_products", "communications": "communications"}
CRITERIA = "loss", "training_error"  # of a choice between trials; the test cases have no part in it
EVALUATIONS = "value_evaluations", "gradient_evaluations", "curvature_products"  # one communication each on many ranks


def check_budgets(budgets: Mapping[str, float]) -> None:
    """ValueError for an unknown budget, or an amount that is not above 0."""
    for name, amount in budgets.items():
        checks.choice("budgets", name, BUDGETS)
        checks.positive(f"budgets: {name}", amount)


def communications(record: Mapping[str, Any]) -> int:
    """The communications of a run so far, had it been on many ranks: the values, gradients and products it asked for.

    `refhf.parallel.communication_volume.counted_data_parallel` counts them the same way.
    """
    return sum(record[key] for key in EVALUATIONS)


def all_spent(budgets: Mapping[str, float], record: Mapping[str, Any]) -> bool:
    """True once a run has spent all its budgets, but for those of which it spends nothing at all (SGD's products)."""
    spent = {name: record[key] for name, key in BUDGETS.items() if key in record}
    spent["communications"] = communications(record)
    return record["step"] > 0 and all(spent[name] >= amount or not spent[name] for name, amount in budgets.items())


def value_at(line: Mapping[str, Any], budget: str, amount: float, key: str = "loss") -> float | None:
    """The loss or an error of a run at its last point within a budget: what it has when it may spend no more.

    Parameters
    ----------
    line : dict
        Of a sweep's file.
    budget : str
        One of BUDGETS.
    amount : float
    key : {'loss', 'training_error', 'test_error'}

    Returns
    -------
    float or None
        Infinite where the numbers are no longer finite; None if the run spends nothing of the budget, or the data have
        no such error.
    """
    curve = line["curve"]
    spent = curve[BUDGETS[budget]]
    last = max(i for i, x in enumerate(spent) if x <= amount)
    if (len(spent) > 1 and not spent[-1]) or (key != "loss" and curve[key][0] is None):
        return None
    value = curve[key][last]
    return math.inf if value is None else value
