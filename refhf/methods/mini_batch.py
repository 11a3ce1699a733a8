"""The mini-batch of a stochastic step."""

from numpy.random import Generator

from refhf.objective.protocol import Objective


def mini_batch(objective: Objective, cases: int, rng: Generator) -> Objective:
    """The objective on `cases` of its cases, drawn without replacement; the objective itself where these are all."""
    return objective if cases == objective.cases else objective.sample(cases, rng=rng)
