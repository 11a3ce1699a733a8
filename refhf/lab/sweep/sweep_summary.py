"""Summary of a sweep: mean and spread over seeds, the best options of each grid, and a table."""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from refhf.text import columns

SHOWN = ("loss", "training_error", "test_error", "steps", "epochs", "curvature_products", "seconds")


class Statistic(NamedTuple):
    """Mean and standard deviation (NaN for one value) of the `known` values among `of`."""

    mean: float
    spread: float
    known: int
    of: int


class SeedGroup(NamedTuple):
    """The runs that differ only in their seed.

    Attributes
    ----------
    method, batch : str, int or None
    options : dict
        Options that differ between the groups of this method and batch.
    lines : list of dict
    """

    method: str
    batch: int | None
    options: dict
    lines: list[dict]

    def statistic(self, key: str) -> Statistic:
        """Statistic of an entry of the lines; a non-finite loss counts as infinite."""
        values = [line[key] for line in self.lines]
        return statistic([math.inf if value is None and key == "loss" else value for value in values])

    def reached(self, target: int, key: str = "step") -> Statistic:
        """Statistic of what the runs spent until target number `target`, over those that reached it."""
        return statistic([line["reached"][target] and line["reached"][target][key] for line in self.lines])

    @property
    def diverged(self) -> int:
        """The number of runs that ended with non-finite numbers."""
        return sum(line["status"] == "non finite" for line in self.lines)


def statistic(values: Sequence[float | None]) -> Statistic:
    """Mean and spread of the values that are not None.

    Examples
    --------
    >>> statistic([1.0, 3.0, None])
    Statistic(mean=2.0, spread=1.4142135623730951, known=2, of=3)
    """
    known = [value for value in values if value is not None]
    if not known or math.inf in known:
        return Statistic(math.inf if known else math.nan, math.nan, len(known), len(values))
    spread = statistics.stdev(known) if len(known) > 1 else math.nan
    return Statistic(statistics.fmean(known), spread, len(known), len(values))


def seed_groups(lines: Sequence[dict]) -> list[SeedGroup]:
    """Group the lines by method, batch and options, in order of appearance."""
    places, found = [], []
    for line in lines:
        place = line["method"], line["batch"], line["options"]
        if place not in places:
            places.append(place)
            found.append(SeedGroup(*place, []))
        found[places.index(place)].lines.append(line)
    return [row._replace(options=_differing(row, found)) for row in found]


def _differing(row, rows):
    others = [other.options for other in rows if (other.method, other.batch) == (row.method, row.batch)]
    return {name: value for name, value in row.options.items() if any(other[name] != value for other in others)}


def best_of_grid(rows: Sequence[SeedGroup]) -> list[SeedGroup]:
    """For each method and batch, the group with the smallest mean final training loss."""
    chosen = {}
    for row in rows:
        place = row.method, row.batch
        if place not in chosen or row.statistic("loss").mean < chosen[place].statistic("loss").mean:
            chosen[place] = row
    return list(chosen.values())


def group_dicts(rows: Sequence[SeedGroup]) -> list[dict]:
    """The groups as plain numbers, each with whether it is the best of its grid."""
    winners = best_of_grid(rows)
    return [
        {
            "method": row.method,
            "batch": row.batch,
            "options": row.options,
            "best": any(row is winner for winner in winners),
            "seeds": [line["seed"] for line in row.lines],
            "diverged": row.diverged,
            **{key: row.statistic(key)._asdict() for key in SHOWN},
            "reached": [row.reached(i)._asdict() for i, _ in enumerate(row.lines[0]["reached"])],
        }
        for row in rows
    ]


def sweep_table(rows: Sequence[SeedGroup], targets: Sequence[float]) -> str:
    """A table with a row for each group: mean and spread over its seeds."""
    heads = ["method", "batch", "options", "runs", "training loss", "training error", "test error", "passes"]
    heads += ["products", *(f"steps to {100 * target:g} %" for target in targets), "diverged"]
    body = [
        [
            row.method,
            "-" if row.batch is None else str(row.batch),
            ", ".join(f"{name} {value}" for name, value in row.options.items()) or "-",
            str(len(row.lines)),
            format_statistic(row.statistic("loss")),
            format_statistic(row.statistic("training_error"), 100, " %"),
            format_statistic(row.statistic("test_error"), 100, " %"),
            format_statistic(row.statistic("epochs")),
            format_statistic(row.statistic("curvature_products")),
            *(format_statistic(row.reached(i), counts=True) for i, _ in enumerate(targets)),
            str(row.diverged),
        ]
        for row in rows
    ]
    shown = [i for i, column in enumerate(zip(*body, strict=True)) if heads[i] != "options" or set(column) != {"-"}]
    return "\n".join(columns([[line[i] for i in shown] for line in (heads, *body)]))


def format_statistic(value: Statistic, scale: float = 1.0, unit: str = "", counts: bool = False) -> str:
    """'mean ± spread', with the number of known values where some are missing."""
    if not value.known:
        return "never" if counts else "-"
    spread = "" if math.isnan(value.spread) else f" ± {scale * value.spread:.2g}"
    known = f" ({value.known} of {value.of})" if value.known < value.of else ""
    return f"{scale * value.mean:.3g}{spread}{unit}{known}"
