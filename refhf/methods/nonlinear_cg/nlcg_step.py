"""Preconditioned nonlinear conjugate gradients: Adya et al. 2018, Algorithm 1.

The first word of a method's name is this step, the second its beta. Notation: w is theta, L is f, and as in the paper
r = -g, s = M^-1 r, delta = r's; M^-1 = 1/h is `diagonal_bfgs`. The paper's loop moves w and then takes
the gradient there; a step here begins with that gradient and ends with the move, so that it is one gradient.

On a quadratic, without preconditioner and clipping and with exact steps, it is linear CG (`refhf.cg_iterates`).

The paper's virtual batching is the `chunk_size` of `refhf.supervised`: a step's batch is swept in parts, whose sums are
reduced over the ranks once.
"""

import math
from typing import NamedTuple, TypeAlias, cast

import numpy as np
from numpy.random import Generator

from refhf import checks
from refhf.krylov.arithmetic import inner
from refhf.methods import schedules
from refhf.methods.mini_batch import batch_size, mini_batch
from refhf.methods.nonlinear_cg import diagonal_bfgs, online_search
from refhf.methods.nonlinear_cg.betas import BETAS, LastStep, clip
from refhf.methods.nonlinear_cg.diagonal_bfgs import Secant
from refhf.methods.report import LossAt, Outcome, Report, Source, begin, taken
from refhf.methods.search.wolfe import first_trial, phi, wolfe
from refhf.model.blocks import Array
from refhf.objective.protocol import Objective

BATCH = 2048  # Adya et al. 2018, section 4.1: below it the loss is too noisy for their line search
EXACT = ("exact", "wolfe")
POWELL = 0.1  # Nocedal and Wright 2006, equation 5.52
RATE = 0.1  # our choice, that of momentum
FLAGS = "preconditioner", "clip", "restart_test", "descent_test"


class NonlinearCGOptions(NamedTuple):
    """Options of the nonlinear conjugate gradient methods.

    Attributes
    ----------
    stochastic : bool
        True: a step takes the gradient of a mini-batch.
    beta : {'fr', 'pr', 'hs', 'dy'}
        These two are what the method's name stands for.
    learning_rate : float, callable or None
        alpha^g, or a function of the step k = 1, 2, ...; see `refhf.methods.schedules`. None: 0.1 (our choice).
        'exact' and 'wolfe' find their own alpha.
    batch : int or None
        Cases of a step's mini-batch, drawn without replacement; None is 2048, or all if fewer. All the cases are no
        draw.
    preconditioner : bool
        Algorithm 2.
    line_search : {'online', 'table', 'off', 'exact', 'wolfe'} or None
        Section 3.2.2; the published code's; alpha = alpha^g; the minimum of the quadratic model along d, which costs
        a curvature product; the strong Wolfe conditions, which cost gradients. The last two ask f of the step's own
        mini-batch, and are meant for all the cases. None: 'online', and 'off' for a mini-batch below 2048.
    clip : bool
        Keep beta in [0, 1], as published.
    restart_test : bool
        beta = 0 where successive gradients are far from orthogonal, |r's_old| >= 0.1 r's (Powell 1977; Nocedal and
        Wright 2006, equation 5.52). Off, as published.
    descent_test : bool or None
        d = s where g'd >= 0. None: on for 'exact' and 'wolfe', which need it; else off, as published.
    """

    stochastic: bool
    beta: str
    learning_rate: schedules.Rate | None = None
    batch: int | None = None
    preconditioner: bool = True
    line_search: str | None = None
    clip: bool = True
    restart_test: bool = False
    descent_test: bool | None = None


def check(options: NonlinearCGOptions, objective: Objective) -> NonlinearCGOptions:
    """The options with their defaults filled in; ValueError for one out of range."""
    checks.choice("beta", options.beta, BETAS)
    usual, batch = (batch_size("batch", given, BATCH, objective) for given in (None, options.batch))
    search = options.line_search or ("off" if batch < usual else "online")
    searches = checks.choice("line_search", search, (*online_search.RULES, *EXACT)) in EXACT
    if search == "exact":
        checks.has_curvature(objective, "hessian")
    if searches and options.learning_rate is not None:
        raise ValueError(f"learning_rate: expected none with line_search {search!r}; got {options.learning_rate!r}")
    options = options._replace(
        learning_rate=None if searches else schedules.check(RATE if (rate := options.learning_rate) is None else rate),
        batch=batch,
        line_search=search,
        descent_test=searches if options.descent_test is None else options.descent_test,
    )
    options = options._replace(**{name: checks.boolean(name, getattr(options, name)) for name in FLAGS})
    if searches and not options.descent_test:
        raise ValueError(f"descent_test: expected True with line_search {search!r}; got False")
    return options


class NonlinearCGDetail(NamedTuple):
    """The detail of a report of the nonlinear conjugate gradient methods.

    Attributes
    ----------
    beta : float
        The part of the previous direction in this one; NaN where the step ended before it.
    rate_scale : float
        alpha^s, the factor of the learning rate from the online line search; NaN where there is none.
    secant : Secant
        What the preconditioner did with the previous step.
    skipped, floored : int
        Running counts of the preconditioner's guards: updates skipped, and components raised to the floor.
    """

    beta: float = math.nan
    rate_scale: float = math.nan
    secant: Secant = Secant.NONE
    skipped: int = 0
    floored: int = 0


class NonlinearCGState(NamedTuple):
    """The state between two steps; before the first there is only theta.

    Attributes
    ----------
    theta : ndarray (P,)
    theta_old, g_old, s, d : ndarray (P,) or None
        Where the last step started, and there the gradient, M^-1 r and the direction.
    h : ndarray (P,) or None
        The preconditioner's diagonal; None is the identity.
    delta, slope : float
        r's and g'd of the last step.
    loss : float
        Its f, or with 'table' a running average.
    scale : float
        alpha^s.
    skipped, floored : int
        Of the preconditioner, so far.
    """

    theta: Array
    theta_old: Array | None = None
    g_old: Array | None = None
    s: Array | None = None
    d: Array | None = None
    h: Array | None = None
    delta: float = math.nan
    slope: float = math.nan
    loss: float = math.nan
    scale: float = 1.0
    skipped: int = 0
    floored: int = 0


Stepped: TypeAlias = tuple[NonlinearCGState, Report[NonlinearCGDetail]]


def init(theta: Array, options: NonlinearCGOptions, rng: Generator) -> NonlinearCGState:
    """The state before the first step."""
    return NonlinearCGState(theta)


def step(state: NonlinearCGState, objective: Objective, options: NonlinearCGOptions, k: int, rng: Generator) -> Stepped:
    """Step k, which is t = k - 1; on the right the lines of Algorithm 1."""
    mini = mini_batch(objective, cast(int, options.batch), rng)
    detail = NonlinearCGDetail(skipped=state.skipped, floored=state.floored)
    f, g, report, over = begin(mini, state.theta, k, LossAt.START, detail)
    if over:
        return state, report
    r = -g  # r = -grad L(w)
    h, secant, floored = _preconditioner(state, g, options)  # M^-1 = Calculate Preconditioner(w, grad L(w), t)
    s = r if h is None else r / h  # s = M^-1 r
    delta = inner(r, s)  # delta_new = r's
    beta = _beta(state, delta, r, options)  # beta = ..., between 0 and 1
    d = _sum(s, beta, state.d)  # d = s + beta d
    slope = inner(g, d)
    if options.descent_test and not slope < 0:
        beta, d, slope = 0.0, s, -delta
    after = state._replace(theta_old=state.theta, g_old=g, s=s, d=d, h=h, delta=delta, slope=slope, loss=f)
    after = after._replace(skipped=state.skipped + secant.skipped, floored=state.floored + floored)
    report = report._replace(source=Source.CONJUGATE if beta else Source.GRADIENT)
    report = report.detailed(beta=beta, secant=secant, skipped=after.skipped, floored=after.floored)
    if options.line_search in EXACT:
        return _along(state, after, report, mini, options.line_search == "exact")
    return _onward(state, after, report, options)


def _preconditioner(state: NonlinearCGState, g: Array, options: NonlinearCGOptions) -> diagonal_bfgs.Update:
    if not options.preconditioner:
        return diagonal_bfgs.Update(None, Secant.NONE)
    if state.h is None or state.theta_old is None or state.g_old is None:
        return diagonal_bfgs.Update(np.ones_like(g), Secant.NONE)
    return diagonal_bfgs.update(state.h, state.theta - state.theta_old, g - state.g_old)


def _beta(state: NonlinearCGState, delta: float, r: Array, options: NonlinearCGOptions) -> float:
    if state.s is None or state.d is None or (options.restart_test and abs(inner(r, state.s)) >= POWELL * delta):
        return 0.0
    beta = BETAS[options.beta](delta, r, LastStep(state.delta, state.slope, state.s, state.d))
    return clip(beta) if options.clip else beta


def _sum(s: Array, beta: float, d: Array | None) -> Array:
    if d is None or beta == 0:
        return s
    d = beta * d
    d += s
    return d


def _onward(
    state: NonlinearCGState, after: NonlinearCGState, report: Report[NonlinearCGDetail], options: NonlinearCGOptions
) -> Stepped:
    """A step with the schedule's rate times the online search's scale."""
    rate = schedules.rate(cast(schedules.Rate, options.learning_rate), report.k)
    scale, kept, withheld = online_search.RULES[cast(str, options.line_search)](report.loss, state.loss, state.scale)
    alpha = rate * scale  # alpha_t = alpha_t^g alpha_t^s
    theta = alpha * cast(Array, after.d)
    if withheld and state.d is not None:
        theta *= 1 - withheld
        theta -= withheld * rate * state.scale * state.d
    theta += state.theta  # w = w + alpha_t d
    after = after._replace(loss=kept, scale=scale)
    return taken(state, report.detailed(rate_scale=scale), theta, report.loss, alpha, after)


def _along(
    state: NonlinearCGState, after: NonlinearCGState, report: Report[NonlinearCGDetail], mini: Objective, exact: bool
) -> Stepped:
    """A step to the minimum along d, of the quadratic model or near enough of f; where there is none, a new start."""
    theta, d, slope = state.theta, cast(Array, after.d), after.slope
    afresh = NonlinearCGState(theta, skipped=after.skipped, floored=after.floored)
    if not slope < 0:
        return afresh, report._replace(outcome=Outcome.NOT_DESCENT)
    if exact:
        curvature = inner(d, cast(Array, mini.hessian(theta) @ d))
        if not math.isfinite(curvature):
            return state, report
        if curvature <= 0:
            return afresh, report._replace(outcome=Outcome.NO_MINIMUM, negative_curvature=True, negative_direction=d)
        alpha = -slope / curvature
    else:
        first = first_trial(report.loss, state.loss, slope, d)
        alpha = wolfe(phi(mini, theta, d), report.loss, slope, first).step_length
        if alpha == 0:
            return afresh, report._replace(outcome=Outcome.NO_DECREASE)
    return taken(state, report, theta + alpha * d, report.loss, alpha, after)
