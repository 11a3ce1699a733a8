"""The Gauss-Newton step whose damping the loss chooses: all lambdas of a grid from one Krylov space.

Algorithm 2 of He et al. 2016 with lines 6 to 8 changed. Line 6: from a zero start the Krylov space of G + lambda I and
g is the same for every lambda (Jegerlehner 1996), so one run of conjugate gradients solves (G + lambda I) d = -g for a
grid of lambdas, with the products of one (`refhf.shifted_cg_iterates`). Line 7: the d of smallest loss is taken.
Line 8: its lambda is the middle of the next step's grid. So lambda follows the loss and not the reduction ratio, by a
factor of up to 27 a step, where Martens' rule (`damping`) has 3/2.

The losses are those of a second mini-batch, as large as the curvature's. The curvature's own cases choose too large a
lambda: where their G is small, so is their gradient, and they see no gain in a long step. All cases would cost more
than the products do.
"""

import math
from typing import NamedTuple, cast

import numpy as np
from numpy.random import Generator

from refhf import checks
from refhf.krylov.arithmetic import inner
from refhf.krylov.shifted_cg import ShiftedIterate, shifted_cg_iterates
from refhf.krylov.stopping import Stop, advance, iteration_limit, negative_curvature, no_progress
from refhf.methods.hessian_free.damping import CEILING, FLOOR, predicted_change
from refhf.methods.hessian_free.hf_step import HessianFreeDetail
from refhf.methods.mini_batch import curvature_cases, mini_batch
from refhf.methods.report import LossAt, Outcome, Report, Source, begin, taken
from refhf.methods.search.armijo import armijo
from refhf.methods.search.descent import downhill, reduction_ratio
from refhf.model.blocks import Array
from refhf.objective.protocol import Objective

GRID = 3.0 ** np.arange(3, -4, -1)  # our choice: lambda times 27, 9, 3, 1, 1/3, 1/9, 1/27; of equal losses the first


class DampingPathOptions(NamedTuple):
    """Options of `gn-cg-path`.

    Attributes
    ----------
    curvature_batch : int or None
        Cases of the curvature's mini-batch, and of the one whose loss chooses lambda; both are drawn anew each step.
        None is a tenth of the cases, at least 200, or all if there are fewer: our choice, figures/he_2016.md. The
        objective's `cases` is all of them, for both.
    damping : float
        The lambda in the middle of the first grid, against the mean curvature. 0.1 is our choice. No lambda of a grid
        is below 1e-10 (`refhf.methods.hessian_free.damping`).
    solver_iterations : int
        Most iterations of CG. 10 is our choice, figures/he_2016.md; Martens 2010, section 4.4, has 250.
    """

    curvature_batch: int | None = None
    damping: float = 0.1
    solver_iterations: int = 10


class DampingPathState(NamedTuple):
    """The state between two steps: theta (P,), and the lambda in the middle of the next grid."""

    theta: Array
    damping: float


def check(options: DampingPathOptions, objective: Objective) -> DampingPathOptions:
    """The options, checked; ValueError for one out of range."""
    batch = curvature_cases(options.curvature_batch, objective)
    checks.has_curvature(objective, "gauss-newton")
    iterations = checks.positive_integer("solver_iterations", options.solver_iterations)
    return DampingPathOptions(batch, checks.real("damping", options.damping, low=0.0), iterations)


def init(theta: Array, options: DampingPathOptions, rng: Generator) -> DampingPathState:
    """The state before the first step."""
    return DampingPathState(theta, options.damping)


def step(
    state: DampingPathState, objective: Objective, options: DampingPathOptions, k: int, rng: Generator
) -> tuple[DampingPathState, Report[HessianFreeDetail]]:
    """Step k; the numbers on the right are the lines of Algorithm 2."""
    theta, lambdas = state.theta, np.clip(state.damping * GRID, FLOOR, CEILING)
    f, g, report, over = begin(objective, theta, k, LossAt.END, HessianFreeDetail(state.damping))  # 3, 4: on all cases
    if over:
        return state, report
    mini, judge = (mini_batch(objective, cast(int, options.curvature_batch), rng) for _ in range(2))
    iterates = shifted_cg_iterates(mini.gauss_newton(theta), -g, lambdas, stop_at=negative_curvature)  # 5
    it, stop = advance(iterates, iteration_limit(options.solver_iterations), no_progress())  # 6
    report = _solved(report, it, stop, g)
    if stop is Stop.NON_FINITE:
        return state, report
    f_judge = f if judge is objective else judge.value(theta)
    losses = [judge.value(theta + d) for d in it.xs]  # 7
    best = min(range(len(losses)), key=lambda i: losses[i] if math.isfinite(losses[i]) else math.inf)
    d, damping = it.xs[best], float(lambdas[best])
    state = state._replace(damping=damping)  # 8
    slope = inner(g, d)  # and d'(G + lambda I) d = -g'd, as from a zero start the residual is orthogonal to d
    predicted = predicted_change(slope, -slope, inner(d, d), damping, damped=False)
    report = report.detailed(damping=damping, rho=reduction_ratio(losses[best] - f_judge, predicted))
    if not slope < 0:
        return state, report._replace(outcome=Outcome.NOT_DESCENT)
    known = {1.0: losses[best]} if judge is objective else {}
    alpha, f = armijo(
        lambda alpha: known[alpha] if alpha in known else objective.value(theta + alpha * d), f, slope
    )  # 9
    if alpha == 0:
        return state, report._replace(outcome=Outcome.NO_DECREASE)
    return taken(state, report, theta + alpha * d, f, alpha)  # 10


def _solved(report: Report[HessianFreeDetail], it: ShiftedIterate, stop: Stop, g: Array) -> Report[HessianFreeDetail]:
    """The report with what is known once the solver has stopped; curvature is that of the smallest lambda."""
    negative = stop.met_negative_curvature
    report = report.detailed(solver_iterations=it.k, solver_stop=stop, curvature="gauss-newton")
    return report._replace(
        source=Source.KRYLOV if it.k else Source.NONE,
        negative_curvature=negative,
        negative_direction=downhill(it.p, g) if negative else None,
    )
