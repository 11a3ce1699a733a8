"""The mini-batch of a stochastic step."""

from typing import Any

from numpy.random import Generator

from refhf import checks
from refhf.objective.protocol import Objective

SHARE, LEAST = 10, 200  # our choice, figures/he_2016.md, "The defaults"


def curvature_cases(given: Any, objective: Objective) -> int:
    """The cases of the curvature's mini-batch: `given`, or if it is None, a tenth of the cases and at least 200.

    It is all if there are fewer.

    Raises
    ------
    ValueError
        As `batch_size`.
    """
    return batch_size("curvature_batch", given, max(objective.cases // SHARE, LEAST), objective)


def mini_batch(objective: Objective, cases: int, rng: Generator) -> Objective:
    """The objective on `cases` of its cases, drawn without replacement; the objective itself where these are all."""
    return objective if cases == objective.cases else objective.sample(cases, rng=rng)


def batch_size(argument: str, given: Any, usual: int, objective: Objective) -> int:
    """The cases of a mini-batch: `given`, or if it is None, `usual` or all if there are fewer.

    Where batch normalisation takes cases together in groups, `usual` is rounded down to whole groups.

    Raises
    ------
    ValueError
        For a size below 1, above the number of cases, or of parts of groups.
    """
    group, cases = objective.group, objective.cases
    if given is None:
        usual = max(usual, group)
        return cases if cases <= usual else usual - usual % group
    size = checks.positive_integer(argument, given, cases)
    if size < cases and size % group:
        raise ValueError(f"{argument}: expected a multiple of {group}, the group of batch normalisation; got {size}")
    return size
