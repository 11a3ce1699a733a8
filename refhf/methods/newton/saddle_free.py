"""Saddle-free Newton: Newton's step with |H| = V |Lambda| V' for H (Dauphin et al. 2014, section 5).

|H| keeps Newton's scaling and turns the step along negative curvature downhill: a distance eps from a saddle's stable
manifold doubles with each step. On the manifold itself, eps = 0, it stays: the step is made of the gradient.

For P <= 500 from all of H's eigenvectors; beyond, in the Krylov subspace of g with Lanczos vectors as its basis, in
which H is the tridiagonal T, so that it costs one product a dimension (their Algorithm 1).
"""

from typing import NamedTuple, cast

import numpy as np
from numpy.random import Generator
from scipy.linalg import eigh_tridiagonal  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType] # SciPy has none

from refhf import checks
from refhf.krylov.lanczos import lanczos_iterates
from refhf.krylov.stopping import Stop, advance, iteration_limit
from refhf.methods.newton.exact_newton import DENSE, NewtonState, divide, spectrum, wherever_it_leads
from refhf.methods.newton.newton_detail import NewtonDetail
from refhf.methods.report import LossAt, Outcome, Report, Source, begin, taken
from refhf.methods.search.descent import downhill
from refhf.model.blocks import Array
from refhf.objective.protocol import Objective

DAMPINGS = 10.0 ** np.arange(-6, 3)  # times ||H||; our choice: Dauphin et al. search a set and do not print it
SUBSPACE = 50  # our choice; Dauphin et al. 2014, section 7, take 500


class SaddleFreeOptions(NamedTuple):
    """Options of `saddle-free-newton`.

    Attributes
    ----------
    damping : float or None
        lambda of |H| + lambda I. None: each step the one of 1e-6, 1e-5, ..., 100 times ||H|| with the lowest f,
        a search as in Algorithm 1 of Dauphin et al.; a number is kept, and the step taken wherever it leads.
    subspace : int or None
        Dimension of the Krylov subspace. None: the whole space for P <= 500, else 50.
    """

    damping: float | None = None
    subspace: int | None = None


def check(options: SaddleFreeOptions, objective: Objective) -> SaddleFreeOptions:
    """The options; ValueError for one out of range."""
    damping, subspace = options
    if damping is not None:
        damping = checks.real("damping", damping, low=0.0)
    if subspace is not None:
        subspace = checks.positive_integer("subspace", subspace)
    checks.has_curvature(objective, "hessian")
    return SaddleFreeOptions(damping, subspace)


def step(
    state: NewtonState, objective: Objective, options: SaddleFreeOptions, k: int, rng: Generator
) -> tuple[NewtonState, Report[NewtonDetail]]:
    """One saddle-free Newton step."""
    theta = state.theta
    f, g, report, over = begin(objective, theta, k, LossAt.END, NewtonDetail())
    if over:
        return state, report
    H = objective.hessian(theta)
    if options.subspace is None and theta.size <= DENSE:
        known = spectrum(H)
        report = report._replace(source=Source.SADDLE_FREE)
        if known is None:
            return state, report
        values, vectors = known
        report = report._replace(smallest_eigenvalue=float(values[0]))
    else:
        it, stop = advance(lanczos_iterates(H, theta.size, g), iteration_limit(options.subspace or SUBSPACE))
        report = report._replace(source=Source.KRYLOV).detailed(solver_iterations=it.k, solver_stop=stop)
        if stop is Stop.NON_FINITE:
            return state, report
        values, inside = cast(tuple[Array, Array], eigh_tridiagonal(it.alpha, it.beta[:-1]))  # H in the subspace
        vectors = it.basis.T @ inside.astype(theta.dtype)
    if values[0] < 0:
        report = report._replace(negative_curvature=True, negative_direction=downhill(vectors[:, 0], g))
    if options.damping is not None:
        s = divide(g, vectors, abs(values) + options.damping)
        return wherever_it_leads(state, report.detailed(damping=options.damping), objective, s)
    dampings = DAMPINGS * abs(values).max()
    steps = [divide(g, vectors, abs(values) + damping) for damping in dampings]
    heights = np.array([objective.value(theta + s) for s in steps])
    i = int(np.where(np.isfinite(heights), heights, np.inf).argmin())
    report = report.detailed(damping=float(dampings[i]))
    if not steps[i].any():
        return state, report._replace(outcome=Outcome.NOT_DESCENT)
    if not heights[i] <= f:
        return state, report._replace(outcome=Outcome.NO_DECREASE)
    return taken(state, report, theta + steps[i], float(heights[i]), 1.0)
