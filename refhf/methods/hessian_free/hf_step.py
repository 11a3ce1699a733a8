"""Hessian-free optimisation: He et al. 2016, Algorithm 2, on one page.

Four methods are this one step: `gn-cg` (Gauss-Newton matrix, conjugate gradients), `hessian-cg` (Hessian),
`hybrid-cg` (Hessian; Gauss-Newton for the one step after negative curvature), `hessian-bicgstab` (section 4.2).
The objective sums over the ranks of the paper's lines 3 to 5. Signs: f is minimised, b = -g.

Departure: by default CG is short and its best candidate is taken. Martens 2010 lets CG make 250 iterations (section
4.4) and walks back over its candidates (4.6); He et al. take its last iterate (4.1). Here it makes at most five, and
the loss of the mini-batch chooses. The loss is then lower after as many steps, passes, products or communications, on
the problems of figures/he_2016.md; a deep autoencoder wants some twenty. `solver_iterations=250` with
`backtracking=True` is Martens', with `False` He et al.'s.
"""

import math
from typing import NamedTuple, cast

import numpy as np
from numpy.random import Generator

from refhf import checks
from refhf.krylov.arithmetic import inner
from refhf.krylov.bicgstab import bicgstab_iterates
from refhf.krylov.cg import cg_iterates
from refhf.krylov.stopping import Stop, negative_curvature
from refhf.krylov.symmetric_operator import SymmetricOperator, shifted
from refhf.methods.hessian_free.candidates import Solution, bicgstab_candidates, cg_candidates, choose
from refhf.methods.hessian_free.damping import levenberg_marquardt, predicted_change
from refhf.methods.mini_batch import curvature_cases, mini_batch
from refhf.methods.report import LossAt, Outcome, Report, Source, begin, taken
from refhf.methods.search.armijo import armijo
from refhf.methods.search.descent import reduction_ratio
from refhf.model.blocks import Array
from refhf.objective.protocol import Objective


class HessianFreeOptions(NamedTuple):
    """Options of the Hessian-free methods.

    Attributes
    ----------
    curvature : {'hessian', 'gauss-newton', 'hybrid'}
    solver : {'cg', 'bicgstab'}
        These two are what the method's name stands for.
    curvature_batch : int or None
        Cases of the curvature's mini-batch, drawn anew each step. None is a tenth of the cases, at least 200, or all if
        there are fewer: our choice, figures/he_2016.md. The objective's `cases` is all of them.
    damping : float
        The first lambda, against the mean curvature. 0.1 is our choice.
    solver_iterations : int or None
        Most iterations of CG (None: 5), or exactly how many of Bi-CG-STAB (None: 3; the paper fixes a number and does
        not print it). Our choice, figures/he_2016.md.
    backtracking : bool or 'best'
        'best': of the solver's candidates take that of the mini-batch's smallest loss (Algorithm 2, line 7); True: walk
        them back while that loss improves (Martens 2010, section 4.6); False: take the last. CG's candidates are its
        iterates ceil(1.3^j) and the last.
    warm_start : float or None
        eta: the solver starts from eta times its last iterate of the step before; 0 starts from zero.
        The paper allows both. None: 0.95 with the Gauss-Newton matrix (Martens' code); 0 with the Hessian (our choice:
        a CG that negative curvature cuts short would return little but the old iterate).
    preconditioner : bool
        Martens 2010, section 4.7. Off, as in the paper (section 4.1).
    damped_ratio : bool
        Whether the reduction ratio's model includes the damping. Not in Martens' code, nor here.
    delta_0_norm : float
        The norm of the random vector delta_0 from which the first step's solver starts (Algorithm 2, line 1);
        0 starts it from zero. The paper names delta_0 and gives no value.
    """

    curvature: str
    solver: str
    curvature_batch: int | None = None
    damping: float = 0.1
    solver_iterations: int | None = None
    backtracking: bool | str = "best"
    warm_start: float | None = None
    preconditioner: bool = False
    damped_ratio: bool = False
    delta_0_norm: float = 0.0


ITERATIONS = {"cg": 5, "bicgstab": 3}  # our choice, figures/he_2016.md
PRECONDITIONER_POWER = 0.75  # Martens 2010, section 4.7
FLAGS = "preconditioner", "damped_ratio"


def check(options: HessianFreeOptions, objective: Objective) -> HessianFreeOptions:
    """The options with their defaults filled in; ValueError for one out of range."""
    flags = {name: checks.boolean(name, getattr(options, name)) for name in FLAGS}
    hybrid = options.curvature == "hybrid"
    checks.has_curvature(objective, *(("hessian", "gauss-newton") if hybrid else (options.curvature,)))
    if options.preconditioner:
        checks.has_curvature(objective, "gradient-squares")
    iterations, warm_start = options.solver_iterations, options.warm_start
    if warm_start is None:
        warm_start = 0.95 if options.curvature == "gauss-newton" else 0.0
    if iterations is None:
        iterations = ITERATIONS[options.solver]
    return options._replace(
        curvature_batch=curvature_cases(options.curvature_batch, objective),
        damping=checks.real("damping", options.damping, low=0.0),
        solver_iterations=checks.positive_integer("solver_iterations", iterations),
        warm_start=checks.real("warm_start", warm_start, low=0.0, high=1.0),
        delta_0_norm=checks.real("delta_0_norm", options.delta_0_norm, low=0.0),
        backtracking=_backtracking(options.backtracking),
        **flags,
    )


def _backtracking(given: bool | str) -> bool | str:
    try:
        return given if isinstance(given, str) and given == "best" else checks.boolean("backtracking", given)
    except ValueError:
        raise ValueError(f"backtracking: expected True or False, or 'best'; got {given!r}") from None


class HessianFreeState(NamedTuple):
    """The state between two steps.

    Attributes
    ----------
    theta : ndarray (P,)
    damping : float
        lambda.
    delta : ndarray (P,) or None
        Where the next solver starts: delta_0, or eta times the last iterate of the step before, which is neither
        walked back nor line-searched. None is zero.
    delta_is_random : bool
        Whether it is delta_0.
    after_negative_curvature : bool
        Whether the step before met negative curvature (`hybrid-cg` then takes the Gauss-Newton matrix).
    """

    theta: Array
    damping: float
    delta: Array | None = None
    delta_is_random: bool = False
    after_negative_curvature: bool = False


class HessianFreeDetail(NamedTuple):
    """The detail of a report of the Hessian-free methods.

    Attributes
    ----------
    damping : float
        lambda of this step's matrix.
    rho : float
        The reduction ratio; NaN where the step ended before it.
    solver_iterations, solver_stop : int, Stop or None
        Iterations of the Krylov solver, and why it stopped.
    curvature : str
        'hessian' or 'gauss-newton', the matrix of this step; empty where the step ended before it.
    """

    damping: float = math.nan
    rho: float = math.nan
    solver_iterations: int = 0
    solver_stop: Stop | None = None
    curvature: str = ""


def init(theta: Array, options: HessianFreeOptions, rng: Generator) -> HessianFreeState:
    """Line 1 of Algorithm 2: theta_0, lambda_0 and delta_0."""
    if options.delta_0_norm == 0:
        return HessianFreeState(theta, options.damping)
    delta_0 = rng.standard_normal(theta.size).astype(theta.dtype)
    return HessianFreeState(theta, options.damping, options.delta_0_norm / np.linalg.norm(delta_0) * delta_0, True)


def step(
    state: HessianFreeState, objective: Objective, options: HessianFreeOptions, k: int, rng: Generator
) -> tuple[HessianFreeState, Report[HessianFreeDetail]]:
    """Step k of Algorithm 2; the numbers on the right are its lines."""
    theta, damping = state.theta, state.damping
    f, g, report, over = begin(objective, theta, k, LossAt.END, HessianFreeDetail(damping))  # 3, 4: on all cases
    if over:
        return state, report
    mini = mini_batch(objective, cast(int, options.curvature_batch), rng)
    curvature = _curvature(state, options)
    A = mini.gauss_newton(theta) if curvature == "gauss-newton" else mini.hessian(theta)  # 5
    B = shifted(A, damping, theta)
    solution = _solve(B, g, state, mini, options)  # 6
    report = _solved(report, solution, state, curvature)
    if solution.stop is Stop.NON_FINITE:
        return state, report
    f_mini = f if mini is objective else mini.value(theta)
    d, f_mini_d = choose(solution.candidates, lambda d: mini.value(theta + d.vector), options.backtracking)  # 7
    slope = inner(g, d.vector)
    predicted = predicted_change(slope, d.curvature, inner(d.vector, d.vector), damping, options.damped_ratio)
    rho = reduction_ratio(f_mini_d - f_mini, predicted)
    damping, delta = levenberg_marquardt(damping, rho), _warm_start(solution, options)  # 8
    state = HessianFreeState(theta, damping, delta, after_negative_curvature=solution.negative_curvature)
    report = report.detailed(rho=rho)
    if not slope < 0:
        return state, report._replace(outcome=Outcome.NOT_DESCENT)
    known = {1.0: f_mini_d} if mini is objective else {}
    alpha, f = armijo(
        lambda alpha: known[alpha] if alpha in known else objective.value(theta + alpha * d.vector), f, slope
    )  # 9
    if alpha == 0:
        return state, report._replace(outcome=Outcome.NO_DECREASE)
    return taken(state, report, theta + alpha * d.vector, f, alpha)  # 10


def _curvature(state: HessianFreeState, options: HessianFreeOptions) -> str:
    """The matrix of this step: that of the method; for `hybrid-cg` it depends on the step before."""
    if options.curvature != "hybrid":
        return options.curvature
    return "gauss-newton" if state.after_negative_curvature else "hessian"


def _solve(
    B: SymmetricOperator, g: Array, state: HessianFreeState, mini: Objective, options: HessianFreeOptions
) -> Solution:
    """The candidates for a solution of B d = -g."""
    M = _preconditioner(mini, state.theta, state.damping) if options.preconditioner else None
    iterations = cast(int, options.solver_iterations)
    if options.solver == "cg":
        iterates = cg_iterates(B, -g, x0=state.delta, M=M, stop_at=negative_curvature)
        return cg_candidates(iterates, B, g, iterations, bool(options.backtracking))
    return bicgstab_candidates(bicgstab_iterates(B, -g, x0=state.delta, M=M), B, g, iterations)


def _warm_start(solution: Solution, options: HessianFreeOptions) -> Array | None:
    """Where the next step's solver starts: eta delta_k; None is zero."""
    return options.warm_start * solution.last if options.warm_start else None


def _solved(
    report: Report[HessianFreeDetail], solution: Solution, state: HessianFreeState, curvature: str
) -> Report[HessianFreeDetail]:
    """The report with what is known once the solver has stopped."""
    source = Source.RANDOM_START if state.delta_is_random else Source.KRYLOV
    report = report.detailed(solver_iterations=solution.iterations, solver_stop=solution.stop, curvature=curvature)
    return report._replace(
        source=source if solution.iterations else Source.GRADIENT,
        negative_curvature=solution.negative_curvature,
        negative_direction=solution.negative_direction,
    )


def _preconditioner(mini: Objective, theta: Array, damping: float) -> SymmetricOperator:
    """(diag(mean of the cases' squared gradients) + l2 I + lambda I)^-0.75: an approximate inverse of B."""
    scale = (mini.gradient_squares(theta) + damping) ** -PRECONDITIONER_POWER
    return SymmetricOperator(lambda r: scale * r, theta.size, theta.dtype)
