"""The numbers of fig_option_effects.py: what other options do, from its runs."""

import statistics

import fig_option_effects as effects
from fig_best_settings import FULL

from page_numbers import FIGURES, table

RESULTS = effects.results(FULL, FIGURES / "fig_option_effects")


def effects_table():
    """Each pair of settings: the two mean losses, the difference, the verdict."""
    head = ["units, start", "at equal", "one", "other", "its loss", "the other's", "difference", "claim", "verdict"]
    rows = []
    for effect, one, other, difference, judged in RESULTS:
        words = {"below": "below", "alike": f"within {effects.ALIKE:.0%}"}[effect.claim]
        means = (f"{statistics.fmean(values):.3f}" for values in (one, other))
        cells = effect.network.replace("_", ", "), effect.budget, effects.said(effect.one), effects.said(effect.other)
        rows.append([*cells, *means, str(difference), words, f"**{judged}**"])
    return table(head, rows)


def pair(i):
    """'0.100 against 0.216': the mean losses of the pair i."""
    _, one, other, *_ = RESULTS[i]
    return f"{statistics.fmean(one):.3f} against {statistics.fmean(other):.3f}"


def gap(i):
    """The paired difference of the pair i, with its interval."""
    return str(RESULTS[i][3])


def held():
    """'9 of 13' claims that hold."""
    return f"{sum(str(judged) == 'holds' for *_, judged in RESULTS)} of {len(RESULTS)}"
