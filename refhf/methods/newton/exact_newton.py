"""Newton's method as it is: s solves (H + lambda I) s = -g, and theta + s is taken wherever it leads.

Nocedal and Wright 2006, section 3.3. Nothing limits the step. With lambda = 0 the method is attracted by saddles
as by minima (Dauphin et al. 2014, section 4). On x^2 - y^2 it lands on the saddle from anywhere.
"""

from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from refhf import checks
from refhf.krylov.arithmetic import MatrixLike
from refhf.krylov.solve import bicgstab
from refhf.krylov.stopping import Stop
from refhf.krylov.symmetric_operator import shifted
from refhf.methods.newton.newton_detail import NewtonDetail
from refhf.methods.report import LossAt, Outcome, Report, Source, begin, taken
from refhf.methods.search.descent import downhill
from refhf.model.blocks import Array
from refhf.objective.protocol import Objective

DENSE = 500  # our choice: up to this P the matrix is built, P products, and its eigenvectors computed, O(P^3)
RTOL = 1e-8  # our choice: beyond it, for Bi-CG-STAB's true residual


class ExactNewtonOptions(NamedTuple):
    """Options of `newton`.

    Attributes
    ----------
    damping : float
        lambda, fixed; 0 is Newton's method.
    solver_iterations : int or None
        Most iterations of Bi-CG-STAB, where P > 500. None: 10 P, as in SciPy.
    """

    damping: float = 0.0
    solver_iterations: int | None = None


def check(options: ExactNewtonOptions, objective: Objective) -> ExactNewtonOptions:
    """The options; ValueError for one out of range."""
    damping, iterations = checks.real("damping", options.damping), options.solver_iterations
    if iterations is not None:
        iterations = checks.positive_integer("solver_iterations", iterations)
    checks.has_curvature(objective, "hessian")
    return ExactNewtonOptions(damping, iterations)


class NewtonState(NamedTuple):
    """theta (P,)."""

    theta: Array


def init(theta: Array, options: ExactNewtonOptions, rng: Generator) -> NewtonState:
    """The state before the first step."""
    return NewtonState(theta)


def spectrum(H: MatrixLike) -> tuple[Array, Array] | None:
    """Eigenvalues (P,), ascending, and eigenvectors (P, P), the columns, from P products; None if not finite.

    None, too, where LAPACK finds none: of numbers near overflow.
    """
    columns: list[Array] = []
    for e in np.eye(H.shape[0], dtype=H.dtype):
        columns.append(H @ e)
        if not np.isfinite(columns[-1]).all():
            return None
    matrix = np.array(columns) / 2
    try:
        return np.linalg.eigh(matrix + matrix.T)
    except np.linalg.LinAlgError:
        return None


def divide(g: Array, vectors: Array, divisors: Array) -> Array:
    """- sum_i v_i (v_i'g) / d_i (P,). Where d_i is zero to rounding there is no step: the least-norm solution."""
    large = abs(divisors) > divisors.size * np.finfo(divisors.dtype).eps * abs(divisors).max(initial=0)
    v = vectors[:, large]
    return -(v @ ((g @ v) / divisors[large])).astype(g.dtype)


def step(
    state: NewtonState, objective: Objective, options: ExactNewtonOptions, k: int, rng: Generator
) -> tuple[NewtonState, Report[NewtonDetail]]:
    """One Newton step."""
    theta, damping = state.theta, options.damping
    _, g, report, over = begin(objective, theta, k, LossAt.END, NewtonDetail(damping))
    if over:
        return state, report
    H = objective.hessian(theta)
    if theta.size <= DENSE:
        known = spectrum(H)
        if known is None:
            return state, report
        values, vectors = known
        s = divide(g, vectors, values + damping)
        report = report._replace(source=Source.NEWTON, smallest_eigenvalue=float(values[0]))
        if values[0] + damping < 0:
            report = report._replace(negative_curvature=True, negative_direction=downhill(vectors[:, 0], g))
    else:
        s, info = bicgstab(shifted(H, damping, theta), -g, rtol=RTOL, maxiter=options.solver_iterations)
        report = report._replace(source=Source.KRYLOV)
        report = report.detailed(solver_iterations=info.iterations, solver_stop=info.stop)
        if info.stop is Stop.NON_FINITE:
            return state, report
    return wherever_it_leads(state, report, objective, s)


def wherever_it_leads(
    state: NewtonState, report: Report[NewtonDetail], objective: Objective, s: Array
) -> tuple[NewtonState, Report[NewtonDetail]]:
    """The state and report of a full step s (P,), uphill or not, unless it is zero, or it or f there is not finite."""
    if not s.any():
        return state, report._replace(outcome=Outcome.NOT_DESCENT)
    theta = state.theta + s
    if not np.isfinite(theta).all() or not np.isfinite(f := objective.value(theta)):
        return state, report
    return taken(state, report, theta, f, 1.0)
