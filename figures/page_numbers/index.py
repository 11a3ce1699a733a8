"""The numbers of README.md: those that its two tables of what changed take from the other pages."""

from page_numbers import adya_2018, arnold_wang, he_2016  # noqa: F401  the page calls them
from page_numbers.adya_2018 import RUNS, chosen, large


def edges(method):
    """The number of own rates of a method that are at an edge of its grid: '1 of 8'."""
    rates = [
        row.lines[0]["options"]["learning_rate"] for data in RUNS for row in chosen(RUNS[data]) if row.method == method
    ]
    return f"{sum(rate in (large.RATES[method][0], large.RATES[method][-1]) for rate in rates)} of {len(rates)}"
