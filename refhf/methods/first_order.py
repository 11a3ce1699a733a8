"""First-order baselines: gradient descent and stochastic gradient descent, theta - alpha g."""

from typing import NamedTuple

import numpy as np

from refhf import checks
from refhf.methods.report import Outcome, Report
from refhf.objective import Objective


class Options(NamedTuple):
    """Options of the gradient methods.

    Attributes
    ----------
    learning_rate : float
        alpha. 0.1 is our choice.
    batch : int or None
        Cases of a step's gradient, drawn without replacement; None is all cases.
    """

    learning_rate: float = 0.1
    batch: int | None = None


def check(options: Options, objective: Objective) -> Options:
    """The options; ValueError for one out of range. A batch is cut to the cases there are."""
    checks.real("learning_rate", options.learning_rate, low=0.0)
    if options.batch is not None:
        checks.positive_integer("batch", options.batch, maximum=objective.cases)
    return options


class State(NamedTuple):
    """theta (P,)."""

    theta: np.ndarray


def init(theta, options: Options) -> State:
    """The state before the first step."""
    return State(theta)


def step(state: State, objective: Objective, options: Options, k: int, rng) -> tuple[State, Report]:
    """One gradient step. The report's loss is that of the step's cases, where the step started."""
    theta = state.theta
    mini = objective if options.batch is None else objective.sample(options.batch, rng=rng)
    f, g = mini.value_and_gradient(theta)
    report = Report(k, theta, f, float(np.linalg.norm(g)), Outcome.NON_FINITE, 0.0)
    if not (np.isfinite(f) and np.isfinite(report.gradient_norm)):
        return state, report
    if report.gradient_norm == 0:
        return state, report._replace(outcome=Outcome.STATIONARY)
    theta = theta - options.learning_rate * g
    if not np.isfinite(theta).all():
        return state, report
    return State(theta), report._replace(theta=theta, step_length=options.learning_rate, outcome=Outcome.ACCEPTED)
