"""Checker of conjugate gradients and Bi-CG-STAB."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from refhf import checks
from refhf.conformance.check_report import CheckReport, Finding
from refhf.conformance.checkers import iterate_laws, stopping_laws
from refhf.conformance.checkers.check_conventions import under_conventions
from refhf.conformance.checkers.derivative_check import usable
from refhf.conformance.checkers.solver_conventions import SOLVER_CONVENTIONS, SolverConvention
from refhf.conformance.checkers.solver_trial import ITERATES, SolverTrial
from refhf.conformance.checkers.solver_under_test import takes
from refhf.conformance.patterns import Cause, Pattern

LAWS = (
    iterate_laws.equal_iterates,
    iterate_laws.krylov_space,
    iterate_laws.finite_termination,
    stopping_laws.true_convergence,
    stopping_laws.reported_convergence,
    stopping_laws.stops_in_time,
    stopping_laws.scale_invariance,
    stopping_laws.zero_right_hand_side,
    stopping_laws.honest_breakdowns,
    stopping_laws.repeatable,
)
SYMPTOMS = (  # a law that fails, and its likeliest cause; the first that applies is reported
    ("info = 0 where it converges", Pattern.NEVER_CLAIMS),
    ("powers of two change nothing", Pattern.ABSOLUTE),
    ("no breakdown is reported as success", Pattern.CLAIMS),
    ("stops at the tolerance", Pattern.NEVER_STOPS),
    ("always returns", Pattern.NEVER_STOPS),
)


def check_solver(
    solver: Callable[..., Any], kind: str = "cg", *, any_convention: bool = False, rng: Any = 0
) -> CheckReport:
    """Check a linear solver, conjugate gradients or Bi-CG-STAB with r0* = r_0, and diagnose what is wrong.

    The solver is called on small systems and compared iterate by iterate, through its `maxiter`.

    Parameters
    ----------
    solver : callable
        SciPy's interface, `x, info = solver(A, b, rtol=..., maxiter=...)`, with `x0=` and `M=` if the solver has
        them. A is a LinearOperator (an array, if the solver accepts arrays only), b is (n,), and info is 0 if and
        only if ||b - A x|| <= rtol ||b||.
    kind : {'cg', 'bicgstab'}
    any_convention : bool
        Whether a solver is right too that divides by M, or stops at an absolute tolerance, or at one relative to the
        first residual. The report names the convention, and all laws have to hold under it.
    rng : Generator, int or None
        Generator of the systems.

    Returns
    -------
    CheckReport

    Raises
    ------
    ValueError
        For invalid arguments. Faults of the solver are in the report.

    Examples
    --------
    >>> import refhf
    >>> refhf.check_solver(refhf.cg).passed
    True
    """
    if not callable(solver):
        raise ValueError(f"solver: expected a function of (A, b, ...); got {solver!r}")
    checks.choice("kind", kind, ITERATES)
    if not takes(solver, "rtol"):
        wrapped = "lambda A, b, *, rtol, **rest: solver(A, b, tol=rtol, **rest)"
        raise ValueError(
            f"solver: expected a relative tolerance named rtol; got none: pass {wrapped} for your name of it"
        )
    checks.boolean("any_convention", any_convention)

    def checked(convention: SolverConvention, quick: bool) -> CheckReport:
        trial = SolverTrial(convention.of_solver(solver), kind, np.random.default_rng(rng))
        laws = [*LAWS, *([iterate_laws.falling_error] if kind == "cg" else []), stopping_laws.returns]
        held = usable(*(partial(law, trial) for law in laws), quick=quick)
        findings = [*trial.log.findings(), *held]
        right = quick or all(finding.passed for finding in findings)
        causes = [*trial.log.causes(), *([] if right else _diagnosed(trial, findings))]
        limit = next((10**-found.needed for found in held if found.needed), None)  # of the iterates, the first law
        unique, remarks = tuple(dict.fromkeys(causes)), tuple(trial.remarks)
        return CheckReport(f"solver, {kind}", tuple(findings), unique, remarks, limit, convention.names)

    return under_conventions(checked, SOLVER_CONVENTIONS, any_convention)


def _diagnosed(trial: SolverTrial, findings: list[Finding]) -> list[Cause]:
    failed = {finding.law: finding for finding in findings if not finding.passed}
    if "same call, same result" in failed:
        return [Cause(Pattern.RANDOM)]
    if any(law.startswith("x of maxiter") for law in failed):
        causes = [cause for cause in usable(partial(iterate_laws.known_mistake, trial)) if cause]
        if causes:
            return causes
    if trial.claimed and trial.claimed <= {trial.started.name, trial.far.name}:
        return [Cause(Pattern.FIRST_RESIDUAL, ", ".join(sorted(trial.claimed)))]
    if trial.claimed and trial.claimed <= {trial.preconditioned.name}:
        return [Cause(Pattern.PRECONDITIONED_NORM, ", ".join(trial.claimed))]
    if trial.claimed - {system.name for system in trial.scaled}:
        return [Cause(Pattern.CLAIMS, ", ".join(sorted(trial.claimed)))]
    return next(([Cause(pattern, failed[law].worst)] for law, pattern in SYMPTOMS if law in failed), [])
