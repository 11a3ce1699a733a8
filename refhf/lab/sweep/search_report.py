"""The report of a search: what was chosen, and how each method differs from a baseline on the reported seeds."""

from collections.abc import Sequence
from typing import Any

from refhf.lab.sweep.paired_differences import ClaimVerdict, PairedDifference, paired_difference, verdict
from refhf.lab.sweep.settings_search import SearchResult
from refhf.lab.sweep.sweep_budgets import value_at
from refhf.lab.sweep.sweep_grid import SweepSetting
from refhf.lab.sweep.sweep_summary import Statistic, format_statistic, statistic
from refhf.lab.sweep.trial_choice import TrialChoice
from refhf.text import columns

MEASURES = {"loss": "training loss", "training_error": "training error", "test_error": "test error"}


def reported_values(
    result: SearchResult, setting: SweepSetting, choice: TrialChoice, key: str = "loss"
) -> list[float | None]:
    """The loss or an error of a choice at its budget, for each reported seed."""
    amount = (setting.budgets or {})[choice.budget]
    own = [x for x in result.reported if (x["method"], x["batch"], x["options"]) == (*choice.place, choice.options)]
    return [value_at(line, choice.budget, amount, key) for line in own]


def partner(choices: Sequence[TrialChoice], choice: TrialChoice, baseline: str) -> TrialChoice | None:
    """The baseline's choice at the same budget: with the same batch, else with the batch of least score."""
    others = [other for other in choices if (other.method, other.budget) == (baseline, choice.budget)]
    alike = [other for other in others if other.batch == choice.batch]
    return min(alike or others, key=lambda other: other.score, default=None)


def difference(
    result: SearchResult, setting: SweepSetting, choice: TrialChoice, other: TrialChoice, key: str = "loss"
) -> PairedDifference | None:
    """The paired difference of two choices at their budget, the first less the second; None where one has no value."""
    one, two = (reported_values(result, setting, of, key) for of in (choice, other))
    return None if None in one or None in two else paired_difference(one, two)  # type: ignore[arg-type]


def search_dicts(result: SearchResult, setting: SweepSetting, baseline: str) -> list[dict[str, Any]]:
    """The choices as plain numbers, each with its difference from the baseline and whether it is below."""
    found = []
    for choice in result.choices:
        other = partner(result.choices, choice, baseline)
        row = choice._asdict() | {"amount": (setting.budgets or {})[choice.budget], "baseline": None}
        for key in MEASURES:
            values = reported_values(result, setting, choice, key)
            row[key] = _spread(values)._asdict() | {"values": values}
        if other is not None and other.method != choice.method:
            row["baseline"] = {"method": other.method, "batch": other.batch}
            for key in MEASURES:
                apart = difference(result, setting, choice, other, key)
                row["baseline"][key] = apart and apart._asdict() | {"below": str(verdict(apart, "below"))}
        found.append(row)
    return found


def search_table(result: SearchResult, setting: SweepSetting, baseline: str) -> str:
    """A table for each budget: the chosen options, the reported seeds, and the differences from the baseline."""
    parts = []
    for budget, amount in (setting.budgets or {}).items():
        chosen = [choice for choice in result.choices if choice.budget == budget]
        heads = ["method", "batch", "options", "trials", "on an edge", *MEASURES.values()]
        table = [[*heads, f"training loss less that of {baseline}", f"training error less that of {baseline}"]]
        for choice in chosen:
            table.append(
                [*_chosen(choice), *_values(result, setting, choice), *_apart(result, setting, choice, baseline)]
            )
        parts.append(f"at {amount:g} {budget}\n" + "\n".join(columns(table)))
    return "\n\n".join(parts)


def _chosen(choice):
    options = ", ".join(f"{name} {value}" for name, value in choice.options.items())
    return [
        choice.method,
        str(choice.batch or "-"),
        options or "-",
        str(choice.trials),
        ", ".join(choice.edges) or "no",
    ]


def _values(result, setting, choice):
    found = {key: _spread(reported_values(result, setting, choice, key)) for key in MEASURES}
    return [format_statistic(value, *((1.0, "") if key == "loss" else (100, " %"))) for key, value in found.items()]


def _spread(values: Sequence[float | None]) -> Statistic:
    return statistic(values)


def _apart(result, setting, choice, baseline):
    other = partner(result.choices, choice, baseline)
    if other is None or other.method == choice.method:
        return ["-", "-"]
    cells = []
    for key in ("loss", "training_error"):
        apart = difference(result, setting, choice, other, key)
        cells.append("-" if apart is None else f"{apart}{_mark(verdict(apart, 'below'))}")
    return cells


def _mark(judged: ClaimVerdict) -> str:
    """A word for a difference: lower, not lower, or open."""
    return {ClaimVerdict.HOLDS: ", lower", ClaimVerdict.FAILS: ", not lower", ClaimVerdict.NOT_JUDGEABLE: ", open"}[
        judged
    ]
