"""The options that a search varies: how a trial is drawn, and how the space grows where its best lies on an edge."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from refhf.driver.registry import METHODS

DIGITS = 2  # our choice: of a drawn number, so that tables can be read
FACTOR = 3  # our choice: from an edge to the next value beyond it, of real numbers; integers are doubled or halved
MISSES = 100  # our choice: so many draws in a row without a new trial, and the space is taken to be exhausted

Options = dict[str, Any]


class Axis(NamedTuple):
    """An option, and the values that a search tries.

    Attributes
    ----------
    values : tuple
        The values, of which a draw takes one; with `between`, the two ends of an interval.
    scale : {'log', 'complement', ''}
        The order of the values, and the scale on which a draw is uniform: log x, or log(1 - x). Values without an order
        have none, and no edges.
    between : bool
        Whether a draw may lie between the ends.
    """

    values: tuple
    scale: str = ""
    between: bool = False

    def draw(self, rng: np.random.Generator) -> Any:
        """A value, each as likely as the others."""
        if not self.between:
            return self.values[rng.integers(len(self.values))]
        low, high = sorted(np.log([self._forth(x) for x in self.values]))
        return self._back(float(np.exp(rng.uniform(low, high))))

    def beyond(self, value: Any, tried: Sequence[Any]) -> list[Any]:
        """The next values beyond an edge of those tried, one for each edge on which `value` lies; None is no number."""
        if not self.scale or value is None:
            return []
        at = [self._forth(x) for x in tried if x is not None]
        further = []
        if self._forth(value) == max(at):
            further.append(self._step(value, up=True))
        if self._forth(value) == min(at):
            further.append(self._step(value, up=False))
        return [x for x in further if x not in (value, *tried)]

    def _step(self, value, up):
        if isinstance(value, int):
            return 2 * value if up else value // 2
        x = self._forth(value)
        return self._back(FACTOR * x if up else x / FACTOR)

    def _forth(self, value):
        return 1 - value if self.scale == "complement" else value

    def _back(self, x):
        """The value of a place on the scale, rounded; no complement is above 1."""
        x = float(f"{x:.{DIGITS}g}")
        return round(max(1 - x, 0.0), 12) if self.scale == "complement" else x


AXES: Mapping[str, Axis] = {  # figures/protocol.md; our choice where the papers leave them open
    "damping": Axis((0.01, 10.0), "log", between=True),
    "solver_iterations": Axis((4, 5, 10, 20, 50, 250), "log"),
    "backtracking": Axis((False, True, "best")),
    "warm_start": Axis((0.0, 0.95)),
    "learning_rate": Axis((0.01, 3.0), "log", between=True),
    "momentum": Axis((0.0, 0.99), "complement", between=True),
    "epsilon": Axis((1e-8, 1.0), "log", between=True),
    "line_search": Axis(("online", "table", "off")),
}
COMPLEMENTS = "momentum", "decay", "warm_start"  # options whose own scale is that of 1 - x


def space_of(method: str, fixed: Mapping[str, Any], grid: Mapping[str, Sequence[Any]]) -> dict[str, Axis]:
    """The options of a method that are searched: those of AXES and of the grid, but for the fixed ones.

    The values of a grid replace those of AXES. Numbers have an order.
    """
    own = [name for name in METHODS[method].options if name not in fixed]
    return {
        name: _given(name, grid[name]) if name in grid else AXES[name] for name in own if name in grid or name in AXES
    }


def _given(name, values):
    numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in values)
    return Axis(tuple(values), ("complement" if name in COMPLEMENTS else "log") if numbers else "")


def all_trials(space: Mapping[str, Axis]) -> list[Options]:
    """Each combination of the values."""
    return [dict(zip(space, values, strict=True)) for values in itertools.product(*(a.values for a in space.values()))]


def drawn_trials(space: Mapping[str, Axis], method: str, seed: int) -> Iterator[Options]:
    """Trials drawn at random, each once, until there are no more; the same for the same space, method and seed."""
    rng, had, missed = np.random.default_rng([seed, *method.encode()]), [], 0
    while missed < MISSES:
        trial = {name: axis.draw(rng) for name, axis in space.items()}
        missed = missed + 1 if trial in had else 0
        if not missed:
            had.append(trial)
            yield trial


def edges(space: Mapping[str, Axis], trials: Sequence[Options], chosen: Options) -> dict[str, list[Any]]:
    """The options of a trial that lie on an edge of those tried, with the next values beyond it."""
    further = {name: axis.beyond(chosen[name], [trial[name] for trial in trials]) for name, axis in space.items()}
    return {name: values for name, values in further.items() if values}
