"""The numbers of fig_option_effects.py: what other options do, from its runs."""

import statistics

import fig_option_effects as effects
from fig_best_settings import FULL

from page_numbers import FIGURES, table
from refhf.lab.runs.json_lines import read_json_lines

LINES = {path.stem: read_json_lines(path) for path in (FIGURES / "fig_option_effects").glob("*.jsonl")}
RESULTS = effects.results(FULL, LINES)


def effects_table():
    """Each pair of settings: the two mean losses, the difference, the verdict."""
    return table(effects.HEAD, [[*cells, f"**{judged}**"] for *cells, judged in map(effects.row, RESULTS)])


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
