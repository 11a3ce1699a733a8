"""Laws about when a solver stops and what it reports: info, tolerance, scales, breakdowns.

Each function takes a `SolverTrial` and returns a finding.
"""

import numpy as np

from refhf.conformance.check_report import Finding, compared, digits
from refhf.conformance.checkers.solver_trial import ITERATES, PRODUCTS, SolverTrial
from refhf.conformance.mistakes import linear_systems
from refhf.conformance.oracles import norm


def true_convergence(trial: SolverTrial) -> Finding:
    """Whenever info is 0, the true residual meets the tolerance."""
    samples = [("info is never 0", 0.0, 1.0, 1.0)]
    far = [trial.far] if trial.started in trial.compared else []
    for system in (*trial.compared, *far, trial.stiff, *trial.scaled):
        for rtol in (1e-2, 1e-6):
            for maxiter in (2, 10 * system.b.size):
                x, info, _ = trial.solve(system, rtol=rtol, maxiter=maxiter)
                if info == 0:
                    residual, size = norm(system.b - system.A @ x), norm(system.b)
                    trial.claimed |= {system.name} if residual > 1.001 * rtol * size else set()
                    samples.append((f"{system.name}, rtol {rtol:g}", residual, 1.001 * rtol * size, size))
    return compared("info = 0: ||b - A x|| <= rtol ||b||", samples)


def reported_convergence(trial: SolverTrial) -> Finding:
    """info is 0 on systems that the solver can solve."""
    asked = [(system, trial.solve(system, rtol=1e-6, maxiter=20 * system.b.size)) for system in trial.compared]
    failed = [f"{system.name}: info = {outcome.info}" for system, outcome in asked if outcome.info != 0]
    return Finding("info = 0 where it converges", None, None, ", ".join(failed), not failed)


def stops_in_time(trial: SolverTrial) -> Finding:
    """The solver needs at most twice as many iterations as refhf, plus two to compute true residuals."""
    if not trial.tested.operators:
        return Finding("stops at the tolerance", None, None, "products not counted", True)
    system = trial.stiff
    iterates = ITERATES[trial.kind](system.A, system.b)
    needed = next(it.k for it in iterates if norm(it.r) <= 1e-2 * norm(system.b))
    took = trial.solve(system, rtol=1e-2, maxiter=10 * system.b.size).products
    allowed = (2 * needed + 2) * PRODUCTS[trial.kind]
    return Finding("stops at the tolerance", None, None, f"{took} products, at most {allowed}", took <= allowed)


def returns(trial: SolverTrial) -> Finding:
    """The solver was never stopped by the product limit."""
    return Finding("always returns", None, None, trial.tested.endless, not trial.tested.endless)


def scale_invariance(trial: SolverTrial) -> Finding:
    """A and b scaled by powers of two give the scaled solution."""
    samples: list[tuple[str, float, float, float]] = []
    x = np.linalg.solve(trial.plain.A, trial.plain.b)
    for system, power in zip(trial.scaled, (120, -120, -120, 120, 120), strict=True):
        got, info, _ = trial.solve(system, rtol=1e-8, maxiter=60)
        error = norm(np.ldexp(got, -power) - x) if info == 0 else np.inf
        samples.append((system.name + ("" if info == 0 else f": info = {info}"), error, 1e-5 * norm(x), norm(x)))
    return compared("powers of two change nothing", samples)


def zero_right_hand_side(trial: SolverTrial) -> Finding:
    """b = 0 gives x = 0 and info 0."""
    zero = trial.plain._replace(name="b = 0", b=np.zeros_like(trial.plain.b))
    x, info, _ = trial.solve(zero, rtol=1e-8, maxiter=10)
    return Finding("b = 0: x = 0, info = 0", None, None, f"info = {info}", info == 0 and not x.any())


def honest_breakdowns(trial: SolverTrial) -> Finding:
    """On systems that cannot be solved, info is not 0."""
    claimed: list[str] = []
    unfinished: list[str] = []
    for system in linear_systems.unsolved(trial.kind):
        x, info, _ = trial.solve(system, quiet=True, rtol=1e-6, maxiter=20)
        if info == 0 and not norm(system.b - system.A @ x) <= 2e-6 * norm(system.b):
            claimed.append(system.name)
        if info == 0 and system.name == "negative curvature" and trial.kind == "cg":
            trial.remarks.append("it goes through negative curvature: an HF step has to stop before p'Ap <= 0")
        if not np.isfinite(x).all():
            unfinished.append(system.name)
    if unfinished:
        trial.remarks.append(f"its x is not finite: {', '.join(unfinished)}")
    return Finding("no breakdown is reported as success", None, None, ", ".join(claimed), not claimed)


def repeatable(trial: SolverTrial) -> Finding:
    """Two equal calls return the same x."""
    first, second = (trial.solve(trial.plain, rtol=1e-6, maxiter=60).x for _ in range(2))
    error, scale = norm(first - second), norm(first)
    return Finding("same call, same result", digits(error, scale), 14.0, "", error <= 1e-14 * scale)
