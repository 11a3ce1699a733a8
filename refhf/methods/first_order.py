"""First-order baselines: gradient descent and stochastic gradient descent, theta - alpha g."""

from typing import NamedTuple

import numpy as np

from refhf import checks
from refhf.methods.report import Outcome, Report, Source
from refhf.objective import Objective

BATCH = 128


class Options(NamedTuple):
    """Options of the gradient methods.

    Attributes
    ----------
    stochastic : bool
        Whether a step takes the gradient of a mini-batch. What the method's name stands for.
    learning_rate : float
        alpha. 0.1 is our choice.
    batch : int or None
        Cases of a step's mini-batch, drawn without replacement; None is 128 (our choice), or all if fewer.
    noise : float
        The norm of a random vector added to each gradient, uniform in direction (Ge, Huang, Jin and Yuan 2015,
        Algorithm 1, where it is 1). 0 adds none.
    """

    stochastic: bool
    learning_rate: float = 0.1
    batch: int | None = None
    noise: float = 0.0


def check(options: Options, objective: Objective) -> Options:
    """The options with their defaults filled in; ValueError for one out of range."""
    checks.real("learning_rate", options.learning_rate, low=0.0)
    checks.real("noise", options.noise, low=0.0)
    batch = min(BATCH, objective.cases) if options.batch is None else options.batch
    return options._replace(batch=checks.positive_integer("batch", batch, maximum=objective.cases))


class State(NamedTuple):
    """theta (P,)."""

    theta: np.ndarray


def init(theta, options: Options) -> State:
    """The state before the first step."""
    return State(theta)


def step(state: State, objective: Objective, options: Options, k: int, rng) -> tuple[State, Report]:
    """One gradient step. The report's loss is that of the step's cases, where the step started."""
    theta = state.theta
    mini = objective.sample(options.batch, rng=rng) if options.stochastic else objective
    f, g = mini.value_and_gradient(theta)
    report = Report(k, theta, f, float(np.linalg.norm(g)), Outcome.NON_FINITE, 0.0)
    if not (np.isfinite(f) and np.isfinite(report.gradient_norm)):
        return state, report
    if options.noise:
        xi = rng.standard_normal(theta.size).astype(theta.dtype)
        g = g + options.noise / np.linalg.norm(xi) * xi
    elif report.gradient_norm == 0:
        return state, report._replace(outcome=Outcome.STATIONARY)
    report = report._replace(source=Source.NOISE if options.noise else Source.GRADIENT)
    theta = theta - options.learning_rate * g
    if not np.isfinite(theta).all():
        return state, report
    return State(theta), report._replace(theta=theta, step_length=options.learning_rate, outcome=Outcome.ACCEPTED)
