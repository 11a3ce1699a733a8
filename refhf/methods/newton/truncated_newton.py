"""Truncated Newton: conjugate gradients on H p = -g, ended by negative curvature.

Two rules. `paper`: He et al. 2016, Algorithm 1, the iterate at which negative curvature is met, -g if it is met first;
then a line search (Nocedal and Wright 2006, Algorithm 7.1). `steihaug`: on along the negative curvature to the boundary
of a trust region (Steihaug 1983; Nocedal and Wright 2006, Algorithms 7.2 and 4.1).

Every direction is a combination of g, Hg, H^2 g, ...: a coordinate that g and H leave at zero stays **exactly** zero.
"""

import math
from typing import NamedTuple, TypeAlias, cast

import numpy as np
from numpy.random import Generator

from refhf import checks
from refhf.krylov.arithmetic import MatrixLike, inner, norm
from refhf.krylov.cg import CGIterate, cg_iterates
from refhf.krylov.stopping import Rule, Stop, advance, iteration_limit, negative_curvature, small_residual
from refhf.krylov.symmetric_operator import shifted
from refhf.methods.newton.newton_detail import NewtonDetail
from refhf.methods.report import LossAt, Outcome, Report, Source, begin, taken
from refhf.methods.search.armijo import armijo
from refhf.methods.search.descent import reduction_ratio
from refhf.model.blocks import Array
from refhf.objective.protocol import Objective

RULES = ("paper", "steihaug")
FORCING = 0.5  # Nocedal and Wright 2006, Algorithm 7.1: ||r|| <= min(0.5, sqrt ||g||) ||g||
SHRINK, GROW = 1 / 4, 2.0  # Nocedal and Wright 2006, Algorithm 4.1: the radius, where rho < 1/4 and rho > 3/4
POOR, GOOD = 1 / 4, 3 / 4  # the same
ACCEPT = 1e-4  # the same's eta, in [0, 1/4); our choice
LARGEST = 1e10  # the same's greatest radius; our choice
ROUNDINGS = 10  # Conn, Gould and Toint 2000, section 17.4.2: f's rounding, that many eps |f|, is added to both changes


class TruncatedNewtonOptions(NamedTuple):
    """Options of `truncated-newton`.

    Attributes
    ----------
    rule : {'paper', 'steihaug'}
        Algorithm 1 of He et al., which stops at negative curvature; or Steihaug 1983, within a trust radius.
    damping : float
        lambda of H + lambda I. Algorithm 1 adjusts it without saying how; here it is fixed, and 0 unless given.
    solver_iterations : int
        Most conjugate gradient iterations. 250 is Martens 2010, section 4.4.
    radius : float
        The first trust radius of `steihaug`. 1 is our choice.
    """

    rule: str = "paper"
    damping: float = 0.0
    solver_iterations: int = 250
    radius: float = 1.0


def check(options: TruncatedNewtonOptions, objective: Objective) -> TruncatedNewtonOptions:
    """The options; ValueError for one out of range."""
    checks.choice("rule", options.rule, RULES)
    checks.has_curvature(objective, "hessian")
    return options._replace(
        damping=checks.real("damping", options.damping, low=0.0),
        solver_iterations=checks.positive_integer("solver_iterations", options.solver_iterations),
        radius=checks.positive("radius", options.radius),
    )


class TruncatedNewtonState(NamedTuple):
    """theta (P,), and the trust radius."""

    theta: Array
    radius: float


def init(theta: Array, options: TruncatedNewtonOptions, rng: Generator) -> TruncatedNewtonState:
    """The state before the first step."""
    return TruncatedNewtonState(theta, options.radius)


class TruncatedDirection(NamedTuple):
    """The outcome of conjugate gradients: p (P,), p'Bp/2 + g'p, the source of p, and why they stopped."""

    vector: Array
    predicted: float
    source: Source
    stop: Stop
    iterations: int
    negative: Array | None


def cut_at_negative_curvature(B: MatrixLike, g: Array, iterations: int) -> TruncatedDirection:
    """Algorithm 1's rule: CG's iterate when negative curvature is met, and -g where that is at the first."""
    it, stop = _conjugate_gradients(B, g, iterations, negative_curvature)
    negative = _negative(it, stop)
    if it.k == 0:
        curvature = inner(g, B @ g) if it.curvature is None else it.curvature
        return TruncatedDirection(-g, 0.5 * curvature - inner(g, g), Source.GRADIENT, stop, 0, negative)
    return TruncatedDirection(it.x, it.phi, Source.KRYLOV, stop, it.k, negative)


def steihaug(B: MatrixLike, g: Array, iterations: int, radius: float) -> TruncatedDirection:
    """CG within ||p|| <= radius; where it leaves, or meets negative curvature, along its direction to the boundary."""
    path: list[CGIterate] = []  # the last iterate with its product

    def curved(it: CGIterate) -> Stop | None:
        path[:] = [it]
        return negative_curvature(it)

    def boundary(it: CGIterate) -> Stop | None:
        return Stop.TRUST_BOUNDARY if norm(it.x) >= radius else None

    it, stop = _conjugate_gradients(B, g, iterations, curved, boundary)
    negative = _negative(it, stop)
    if stop is not Stop.TRUST_BOUNDARY and negative is None:
        return TruncatedDirection(it.x, it.phi, Source.KRYLOV, stop, it.k, None)
    at = path[-1]
    x, p = at.x, at.p
    p_p, x_p = inner(p, p), inner(x, p)
    tau = (math.sqrt(x_p**2 + p_p * (radius**2 - inner(x, x))) - x_p) / p_p  # ||x + tau p|| = radius, tau > 0
    predicted = at.phi - tau * inner(at.r, p) + 0.5 * tau**2 * cast(float, at.curvature)
    source = Source.KRYLOV if negative is None else Source.NEGATIVE_CURVATURE
    return TruncatedDirection(x + tau * p, predicted, source, stop, it.k, negative)


def _conjugate_gradients(
    B: MatrixLike, g: Array, iterations: int, curvature_rule: Rule, *rules: Rule
) -> tuple[CGIterate, Stop]:
    forcing = min(FORCING, math.sqrt(norm(g)))
    iterates = cg_iterates(B, -g, stop_at=curvature_rule)
    return advance(iterates, *rules, small_residual(g, forcing, 0.0), iteration_limit(iterations))


def _negative(it: CGIterate, stop: Stop) -> Array | None:
    return it.p if stop.met_negative_curvature else None


Stepped: TypeAlias = tuple[TruncatedNewtonState, Report[NewtonDetail]]


def step(
    state: TruncatedNewtonState, objective: Objective, options: TruncatedNewtonOptions, k: int, rng: Generator
) -> Stepped:
    """One step of Algorithm 1, or of the trust region method."""
    theta, damping = state.theta, options.damping
    _, g, report, over = begin(objective, theta, k, LossAt.END, NewtonDetail(damping))
    if over:
        return state, report
    B = shifted(objective.hessian(theta), damping, theta)
    if options.rule == "paper":
        p = cut_at_negative_curvature(B, g, options.solver_iterations)
    else:
        p = steihaug(B, g, options.solver_iterations, state.radius)
    report = report.detailed(solver_iterations=p.iterations, solver_stop=p.stop)
    report = report._replace(negative_curvature=p.negative is not None, negative_direction=p.negative, source=p.source)
    if p.stop is Stop.NON_FINITE:
        return state, report
    if options.rule == "paper":
        return _line_search(state, report, objective, p.vector, inner(g, p.vector))
    return _trust_region(state, report, objective, p)


def _line_search(
    state: TruncatedNewtonState, report: Report[NewtonDetail], objective: Objective, p: Array, slope: float
) -> Stepped:
    if not slope < 0:
        return state, report._replace(outcome=Outcome.NOT_DESCENT)
    alpha, f = armijo(lambda alpha: objective.value(state.theta + alpha * p), report.loss, slope)
    if alpha == 0:
        return state, report._replace(outcome=Outcome.NO_DECREASE)
    return taken(state, report, state.theta + alpha * p, f, alpha)


def _trust_region(
    state: TruncatedNewtonState, report: Report[NewtonDetail], objective: Objective, p: TruncatedDirection
) -> Stepped:
    f, theta = report.loss, state.theta + p.vector
    f_p = objective.value(theta)
    rounding = ROUNDINGS * np.finfo(theta.dtype).eps * abs(f)
    rho, radius = reduction_ratio(f_p - f - rounding, p.predicted - rounding), state.radius
    if rho < POOR:
        radius *= SHRINK
    elif rho > GOOD and norm(p.vector) >= (1 - 1e-6) * radius:
        radius = min(GROW * radius, LARGEST)
    state, report = state._replace(radius=radius), report.detailed(rho=rho)
    if rho <= ACCEPT:
        return state, report._replace(outcome=Outcome.POOR_RATIO)
    return taken(state, report, theta, f_p, 1.0)
