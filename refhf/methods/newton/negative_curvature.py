"""Newton with negative curvature: theta + alpha^2 s + alpha d, until the point is stationary to second order.

More and Sorensen 1979: s is a Newton-type direction with g's <= 0, d a direction of negative curvature, d'Hd < 0 and
g'd <= 0; the path starts along d and bends towards s, and f falls along it as alpha^2 (g's + d'Hd/2). The backtracking
is McCormick's 1977. (Gould et al. 2000, whom He et al. cite beside them, do not join s and d: they choose one.)

s is the truncated Newton direction. d is what conjugate gradients cannot find: Lanczos starts from a **random**
vector, not from g, so a direction along which g and every H^j g vanish is found too; the report says so,
`Source.PROBE`. d is accepted as sufficient by He et al. 2016, section 4.2: d'Hd <= min(0, mu lambda_min(H)).

Departure: the sufficient-curvature test is for a unit vector d. The paper does not normalise it, but d'Hd grows with
||d||^2, so any d of negative curvature could be made to pass by its length.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.random import Generator

from refhf import checks
from refhf.krylov.arithmetic import MatrixLike, inner
from refhf.krylov.lanczos import LanczosIterate, lanczos_iterates
from refhf.krylov.stopping import Stop, advance, iteration_limit
from refhf.methods.newton.exact_newton import NewtonState
from refhf.methods.newton.truncated_newton import cut_at_negative_curvature
from refhf.methods.report import Kind, LossAt, Outcome, Report, Source, begin, taken
from refhf.methods.search.armijo import SUFFICIENT, Search, armijo, backtrack
from refhf.methods.search.descent import downhill
from refhf.model.blocks import Array
from refhf.objective.protocol import Objective

CHANCE = 1e-3  # our choice: of a probe whose `at_least` is wrong; the bound it is computed from is generous
CURVATURE_TOLERANCE = 1e-8  # our choice: an eigenvalue this small against ||H|| is zero, about sqrt(eps)
FINAL_ITERATIONS = 300  # our choice: most products spent on saying what a stationary point is


class Probe(NamedTuple):
    """The result of Lanczos from a random vector at the lower end of H's spectrum.

    Attributes
    ----------
    value : float
        d'Hd: not below H's smallest eigenvalue, and equal to it once converged. NaN if no product was finite.
    vector : ndarray (P,)
        d, of norm 1.
    at_least : float
        The smallest eigenvalue is not below this, but for a chance of 1e-3.
    zero : float
        An eigenvalue of at most this size counts as zero.
    stop, iterations : Stop, int
    """

    value: float
    vector: Array | None
    at_least: float
    zero: float
    stop: Stop
    iterations: int

    @property
    def negative(self) -> bool:
        """True if d is a direction of negative curvature, converged or not."""
        return self.value < -self.zero

    @property
    def kind(self) -> Kind:
        """The kind of a stationary point with this probe."""
        if self.negative:
            return Kind.NOT_A_MINIMUM
        if self.at_least > self.zero:
            return Kind.MINIMUM
        return Kind.DEGENERATE if self.at_least >= -2 * self.zero else Kind.UNKNOWN


def probe(
    H: MatrixLike, n: int, rng: Generator, mu: float, iterations: int, tolerance: float = CURVATURE_TOLERANCE
) -> Probe:
    """A unit vector d with d'Hd <= min(0, mu lambda_min), or the smallest eigenvalue where there is none.

    lambda_min is not known: the test is on what it is at least, theta <= mu at_least for the Ritz value theta = d'Hd.
    At the iteration limit d is taken as it is.
    """

    def decided(it: LanczosIterate) -> Stop | None:
        if it.k == 0 or it.stop:
            return it.stop
        zero, (theta, error, _) = _zero(it, tolerance), it.pair(0)
        if error <= zero:
            return Stop.RITZ_CONVERGED
        return Stop.SUFFICIENT_CURVATURE if theta < -zero and theta <= mu * _at_least(it, n, zero) else None

    start = rng.standard_normal(n).astype(H.dtype)
    it, stop = advance(lanczos_iterates(H, n, start), decided, iteration_limit(iterations))
    if it.k == 0:
        return Probe(np.nan, None, -np.inf, 0.0, stop, 0)
    zero, (theta, _, coefficients) = _zero(it, tolerance), it.pair(0)
    return Probe(theta, it.vector(coefficients), _at_least(it, n, zero), zero, stop, it.k)


def _zero(it: LanczosIterate, tolerance: float) -> float:
    return max(tolerance * it.norm, 2 * it.rounding)


def _at_least(it: LanczosIterate, n: int, zero: float) -> float:
    """A lower bound of lambda_min from the Ritz value theta after k products with a random start.

    Kuczynski and Wozniakowski 1992, Theorem 4.2, for lambda_max I - H: theta - lambda_min > epsilon (lambda_max -
    lambda_min) has a probability of at most 1.648 sqrt(n) exp(-(2k - 1) sqrt epsilon). The same holds of the largest
    Ritz value, so that lambda_max - lambda_min is at most the Ritz values' spread / (1 - 2 epsilon). The Ritz value's
    error bound would not do, as it is about the nearest eigenvalue; once it is zero, that one is taken for lambda_min.
    """
    theta, error, _ = it.pair(0)
    if it.stop is Stop.INVARIANT_SUBSPACE or error <= zero:
        return theta - error
    epsilon = (math.log(1.648 * math.sqrt(n) / CHANCE) / (2 * it.k - 1)) ** 2
    return theta - epsilon * (it.pair(-1).value - theta) / (1 - 2 * epsilon) if epsilon < 0.5 else -np.inf


def second_order(objective: Objective, theta: Any, rng: Generator) -> Probe:
    """The probe of a stationary point theta; its `value` is the smallest eigenvalue, as mu is 1."""
    return probe(objective.hessian(theta), theta.size, rng, 1.0, FINAL_ITERATIONS)


class NegativeCurvatureDetail(NamedTuple):
    """The detail of a report of `negative-curvature-newton`.

    Attributes
    ----------
    probe_iterations, probe_stop : int, Stop or None
        Products of the random probe, and why it stopped.
    solver_iterations, solver_stop : int, Stop or None
        Iterations of the conjugate gradients for s, and why they stopped; none where ||g|| counts as zero.
    """

    probe_iterations: int = 0
    probe_stop: Stop | None = None
    solver_iterations: int = 0
    solver_stop: Stop | None = None


class NegativeCurvatureOptions(NamedTuple):
    """Options of `negative-curvature-newton`.

    Attributes
    ----------
    mu : float
        Of the sufficient-curvature test, 0 < mu < 1. 0.5 is our choice; the paper gives none.
    gradient_tolerance : float
        ||g|| up to this is zero. 1e-8 is our choice.
    probe_iterations : int
        Most products of a step's probe; a stationary point's may take 300. 100 is our choice.
    solver_iterations : int
        Most conjugate gradient iterations. 250 is Martens 2010, section 4.4.
    """

    mu: float = 0.5
    gradient_tolerance: float = 1e-8
    probe_iterations: int = 100
    solver_iterations: int = 250


def check(options: NegativeCurvatureOptions, objective: Objective) -> NegativeCurvatureOptions:
    """The options; ValueError for one out of range."""
    mu = checks.real("mu", options.mu)
    if not 0 < mu < 1:
        raise ValueError(f"mu: expected a number between 0 and 1; got {options.mu!r}")
    checks.has_curvature(objective, "hessian")
    return NegativeCurvatureOptions(
        mu,
        checks.real("gradient_tolerance", options.gradient_tolerance, low=0.0),
        checks.positive_integer("probe_iterations", options.probe_iterations),
        checks.positive_integer("solver_iterations", options.solver_iterations),
    )


def step(
    state: NewtonState, objective: Objective, options: NegativeCurvatureOptions, k: int, rng: Generator
) -> tuple[NewtonState, Report[NegativeCurvatureDetail]]:
    """One step along the curve, or the statement that the point is stationary to second order."""
    theta = state.theta
    f, g, report, over = begin(objective, theta, k, LossAt.END, NegativeCurvatureDetail(), ends_at_zero=False)
    if over:
        return state, report
    H, flat = objective.hessian(theta), report.gradient_norm <= options.gradient_tolerance
    found = probe(H, theta.size, rng, options.mu, FINAL_ITERATIONS if flat else options.probe_iterations)
    report = report._replace(smallest_eigenvalue=found.value, negative_curvature=found.negative)
    report = report.detailed(probe_iterations=found.iterations, probe_stop=found.stop)
    if found.stop is Stop.NON_FINITE:
        return state, report
    if flat and not found.negative:
        return state, report._replace(outcome=Outcome.STATIONARY, kind=found.kind)
    newton = None if flat else cut_at_negative_curvature(H, g, options.solver_iterations)
    if newton:
        report = report.detailed(solver_iterations=newton.iterations, solver_stop=newton.stop)
        if newton.stop is Stop.NON_FINITE:
            return state, report
    s = newton.vector if newton else np.zeros_like(g)
    slope = inner(g, s)
    if found.negative:
        d = downhill(cast(Array, found.vector), g)
        report = report._replace(source=Source.PROBE, negative_direction=d)

        def path(alpha: float) -> Array:
            return theta + alpha**2 * s + alpha * d

        alpha, f = curvilinear(lambda alpha: objective.value(path(alpha)), f, slope, found.value)
    else:
        report = report._replace(source=newton.source if newton else report.source)
        if not slope < 0:
            return state, report._replace(outcome=Outcome.NOT_DESCENT)

        def path(alpha: float) -> Array:
            return theta + alpha * s

        alpha, f = armijo(lambda alpha: objective.value(path(alpha)), f, slope)
    if alpha == 0:
        return state, report._replace(outcome=Outcome.NO_DECREASE)
    return taken(state, report, path(alpha), f, alpha)


def curvilinear(along: Callable[[float], float], f: float, slope: float, curvature: float) -> Search:
    """The first alpha in 1, 0.8, 0.64, ... with f(theta + alpha^2 s + alpha d) <= f + c alpha^2 (g's + d'Hd/2).

    McCormick 1977; More and Sorensen 1979. c, the factor and the limit are the Armijo search's. The papers leave the
    length of d open, and with it how far the first trial goes; ||d|| = 1 is our choice.

    Parameters
    ----------
    along : callable
        alpha -> f(theta + alpha^2 s + alpha d).
    f, slope, curvature : float
        f(theta), g's <= 0 and d'Hd < 0.
    """
    return backtrack(along, f, lambda alpha: SUFFICIENT * alpha**2 * (slope + 0.5 * curvature))
