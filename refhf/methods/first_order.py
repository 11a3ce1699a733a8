"""First-order methods: gradient descent and stochastic gradient descent, momentum, and RMSProp with momentum.

Momentum is Polyak's 1964; RMSProp is Tieleman and Hinton's 2012 (lecture 6.5). What they leave open is as in
TensorFlow 1, whose methods Adya et al. 2018 compare theirs with: there the rate multiplies the whole velocity of
`MomentumOptimizer`, but each gradient that enters that of `RMSPropOptimizer`.
"""

from typing import Any, NamedTuple, cast

import numpy as np
from numpy.random import Generator

from refhf import checks
from refhf.methods import schedules
from refhf.methods.mini_batch import batch_size, mini_batch
from refhf.methods.report import LossAt, NoDetail, Report, Source, begin, taken
from refhf.model.blocks import Array
from refhf.objective.protocol import Objective

BATCH = 128
RATE = 0.1  # our choice


class FirstOrderOptions(NamedTuple):
    """Options of the first-order methods.

    Attributes
    ----------
    stochastic : bool
        Whether a step takes the gradient of a mini-batch.
    rule : {'plain', 'momentum', 'rmsprop'}
        These two are what the method's name stands for.
    learning_rate : float, callable or None
        alpha, or a function of the step k = 1, 2, ...; see `refhf.methods.schedules`. None: 0.1 (our choice).
    batch : int or None
        Cases of a step's mini-batch, drawn without replacement; None is 128 (our choice), or all if fewer. All the
        cases are no draw.
    noise : float
        The norm of a random vector added to each gradient, uniform in direction (Ge, Huang, Jin and Yuan 2015,
        Algorithm 1, where it is 1). 0 adds none.
    momentum : float
        How much of the velocity is kept. 0.9 is Adya et al. 2018, section 4.1, for both.
    decay : float
        How much of the mean square is kept. 0.9 is Tieleman and Hinton's, and TensorFlow's.
    epsilon : float
        Added to the mean square. 1 is that of Adya et al.'s published code (apple/ml-ncg); TensorFlow 1's own is 1e-10.
    """

    stochastic: bool
    rule: str
    learning_rate: schedules.Rate | None = None
    batch: int | None = None
    noise: float = 0.0
    momentum: float = 0.9
    decay: float = 0.9
    epsilon: float = 1.0


def check(options: FirstOrderOptions, objective: Objective) -> FirstOrderOptions:
    """The options with their defaults filled in; ValueError for one out of range."""
    rate = RATE if options.learning_rate is None else options.learning_rate
    return options._replace(
        learning_rate=schedules.check(rate),
        batch=batch_size("batch", options.batch, BATCH if options.stochastic else objective.cases, objective),
        noise=checks.real("noise", options.noise, low=0.0),
        momentum=checks.real("momentum", options.momentum, low=0.0, high=1.0),
        decay=checks.real("decay", options.decay, low=0.0, high=1.0),
        epsilon=checks.real("epsilon", options.epsilon, low=0.0),
    )


class FirstOrderState(NamedTuple):
    """theta, the velocity v and the mean square r, (P,) each; None for a rule without them."""

    theta: Array
    v: Any = None  # Any: the rule that reads one has it
    r: Any = None


def init(theta: Array, options: FirstOrderOptions, rng: Generator) -> FirstOrderState:
    """The state before the first step. The mean square starts from ones, as in TensorFlow 1."""
    v = None if options.rule == "plain" else np.zeros_like(theta)
    return FirstOrderState(theta, v, np.ones_like(theta) if options.rule == "rmsprop" else None)


def plain(state: FirstOrderState, g: Array, alpha: float, options: FirstOrderOptions) -> FirstOrderState:
    """Gradient descent."""
    return state._replace(theta=state.theta - alpha * g)  # theta_k = theta_{k-1} - alpha_k g_k


def momentum(state: FirstOrderState, g: Array, alpha: float, options: FirstOrderOptions) -> FirstOrderState:
    """Polyak 1964."""
    v = options.momentum * state.v + g  # v_k = m v_{k-1} + g_k
    return state._replace(theta=state.theta - alpha * v, v=v)  # theta_k = theta_{k-1} - alpha_k v_k


def rmsprop(state: FirstOrderState, g: Array, alpha: float, options: FirstOrderOptions) -> FirstOrderState:
    """Tieleman and Hinton 2012, with momentum."""
    r = options.decay * state.r + (1 - options.decay) * g**2  # r_k = rho r_{k-1} + (1 - rho) g_k^2
    v = options.momentum * state.v + alpha * g / np.sqrt(r + options.epsilon)  # v_k = m v_{k-1} + alpha_k g_k / r_k^1/2
    return FirstOrderState(state.theta - v, v, r)  # theta_k = theta_{k-1} - v_k


RULES = {"plain": plain, "momentum": momentum, "rmsprop": rmsprop}


def step(
    state: FirstOrderState, objective: Objective, options: FirstOrderOptions, k: int, rng: Generator
) -> tuple[FirstOrderState, Report[NoDetail]]:
    """One gradient step."""
    mini = mini_batch(objective, cast(int, options.batch), rng)
    moving = state.v is not None and state.v.any()
    f, g, report, over = begin(
        mini, state.theta, k, LossAt.START, NoDetail(), ends_at_zero=not (options.noise or moving)
    )
    if over:
        return state, report
    if options.noise:
        xi = rng.standard_normal(g.size).astype(g.dtype)
        g = g + options.noise / np.linalg.norm(xi) * xi
    alpha = schedules.rate(cast(schedules.Rate, options.learning_rate), k)
    source = Source.NOISE if options.noise else Source.GRADIENT if options.rule == "plain" else Source.MOMENTUM
    moved = RULES[options.rule](state, g, alpha, options)
    return taken(state, report._replace(source=source), moved.theta, f, alpha, moved)
