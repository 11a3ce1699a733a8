"""The choice between the trials of a search: the least mean over the tuning seeds, at a budget."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from refhf.lab.sweep.search_space import Axis, edges
from refhf.lab.sweep.sweep_budgets import value_at


class TrialChoice(NamedTuple):
    """The trial chosen for a method, its batch and a budget.

    Attributes
    ----------
    method, batch : str, int or None
    budget : str
        One of `refhf.lab.sweep.sweep_budgets.BUDGETS`.
    options : dict
    score : float
        The mean of the criterion over the tuning seeds.
    trials : int
        The number of trials that it was chosen from.
    edges : dict
        The options that lie on an edge of the values tried, with the next values beyond it.
    """

    method: str
    batch: int | None
    budget: str
    options: dict[str, Any]
    score: float
    trials: int
    edges: dict[str, list[Any]]

    @property
    def place(self) -> tuple[str, int | None]:
        """The method and its batch."""
        return self.method, self.batch


def choose_trial(
    lines: Sequence[Mapping[str, Any]],
    space: Mapping[str, Axis],
    budget: str,
    amount: float,
    criterion: str = "loss",
) -> TrialChoice | None:
    """The trial of least mean criterion at the budget, of equals the first; a run that diverged counts as infinite.

    Parameters
    ----------
    lines : sequence of dict
        Of one method and batch: each trial with each tuning seed.
    space : dict
        The options that were searched.
    budget, amount, criterion
        As `refhf.lab.sweep.sweep_budgets.value_at` takes them.

    Returns
    -------
    TrialChoice or None
        None where the method spends nothing of the budget.
    """
    groups: list[tuple[dict, list]] = []
    for line in lines:
        values = next((values for options, values in groups if options == line["options"]), None)
        if values is None:
            groups.append((line["options"], values := []))
        values.append(value_at(line, budget, amount, criterion))
    known = [(options, statistics.fmean(values)) for options, values in groups if None not in values]
    if not known:
        return None
    options, score = min(known, key=lambda pair: pair[1])  # the first of equals
    tried = [options for options, _ in groups]
    found = edges(space, tried, options) if math.isfinite(score) else {}
    return TrialChoice(lines[0]["method"], lines[0]["batch"], budget, options, score, len(groups), found)
