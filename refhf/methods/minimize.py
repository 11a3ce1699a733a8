"""The driver: methods by name, run step by step, for users and for SciPy."""

from collections.abc import Callable, Iterator
from enum import Enum
from typing import NamedTuple

import numpy as np
from scipy.optimize import OptimizeResult

from refhf import checks
from refhf.functions import from_functions
from refhf.methods import first_order, hessian_free, negative_curvature, newton, saddle_free, truncated_newton
from refhf.methods.counting import Counted
from refhf.methods.report import Kind, Outcome, Report
from refhf.objective import Objective


class Method(NamedTuple):
    """An optimiser as data.

    Attributes
    ----------
    description : str
        One line.
    room : module
        With `Options`, `check`, `init` and `step`.
    fixed : dict
        The options that the method's name stands for.
    """

    description: str
    room: object
    fixed: dict

    @property
    def options(self) -> tuple[str, ...]:
        """The names of the options a caller may set."""
        return tuple(name for name in self.room.Options._fields if name not in self.fixed)


def _hf(curvature, solver):
    return hessian_free, {"curvature": curvature, "solver": solver}


METHODS = {
    "gn-cg": Method("Gauss-Newton matrix, conjugate gradients (Martens 2010)", *_hf("gauss-newton", "cg")),
    "hessian-cg": Method("Hessian, conjugate gradients cut at negative curvature (He et al.)", *_hf("hessian", "cg")),
    "hybrid-cg": Method("Hessian, and Gauss-Newton for a step after negative curvature", *_hf("hybrid", "cg")),
    "hessian-bicgstab": Method(
        "Hessian, Bi-CG-STAB, every iterate a candidate (He et al.)", *_hf("hessian", "bicgstab")
    ),
    "newton": Method("Newton's step, H s = -g, wherever it leads", newton, {}),
    "truncated-newton": Method("Newton's step by conjugate gradients cut at negative curvature", truncated_newton, {}),
    "saddle-free-newton": Method("Newton's step with |H| in place of H (Dauphin et al. 2014)", saddle_free, {}),
    "negative-curvature-newton": Method(
        "A Newton step joined with a random probe's negative curvature (More and Sorensen 1979)", negative_curvature, {}
    ),
    "gradient-descent": Method(
        "The full gradient with a fixed rate", first_order, {"stochastic": False, "batch": None}
    ),
    "sgd": Method("Stochastic gradient descent with a fixed rate", first_order, {"stochastic": True}),
}


def methods() -> dict[str, str]:
    """Names of the methods, each with a one-line description."""
    return {name: method.description for name, method in METHODS.items()}


class Status(Enum):
    """Why a run ended; the value is (SciPy's integer, success, a sentence)."""

    CONVERGED = 0, True, "The gradient is as small as asked for."
    STEPS_DONE = 1, True, "The given number of steps was done."
    CALLBACK = 2, True, "The callback asked to stop."
    NON_FINITE = 3, False, "A value, gradient or product is not finite; the best point so far is returned."
    NO_PROGRESS = 4, False, "Steps were rejected one after the other; the best point so far is returned."
    NOT_A_MINIMUM = 5, False, "The gradient is zero, but the point is not a minimum."


PATIENCE = 40  # rejected steps in a row; our choice: lambda has then grown by (3/2)^40 = 1e7


def iterate(objective: Objective, theta0, *, method: str = "hessian-bicgstab", rng=None, **options) -> Iterator[Report]:
    """Run a method step by step, without end: a report a step.

    Step k draws from a stream of its own, keyed by one seed and k.

    Parameters
    ----------
    objective : Objective
        From `supervised` or `from_functions`.
    theta0 : array (P,)
        Start; not modified.
    method : str
        One of `methods()`.
    rng : Generator, int or None
        Where the seed comes from.
    **options
        The method's options, see the `Options` of its module.

    Yields
    ------
    Report

    Raises
    ------
    ValueError
        At the call, before any work: an unknown method or option, a wrong or non-finite theta0.
    """
    chosen, options = _chosen(objective, method, options)
    theta = checks.array("theta0", theta0, (objective.size,), objective.dtype).copy()
    seed = int(np.random.default_rng(rng).integers(2**63))
    return _steps(chosen.room, Counted(objective), chosen.room.init(theta, options), options, seed)


def _chosen(objective, name, given):
    method = METHODS[checks.choice("method", name, METHODS)]
    checks.option_names(given, method.options, name)
    return method, method.room.check(method.room.Options(**given, **method.fixed), objective)


def _steps(room, objective, state, options, seed, k=0):
    while True:
        k += 1
        with np.errstate(over="ignore", invalid="ignore"):
            state, report = room.step(state, objective, options, k, np.random.default_rng([seed, k]))
            unknown = report.outcome is Outcome.STATIONARY and np.isnan(report.smallest_eigenvalue)
            if unknown and "hessian" in objective.curvatures:
                probe = negative_curvature.second_order(objective, report.theta, np.random.default_rng([seed, k, 1]))
                report = report._replace(kind=probe.kind, smallest_eigenvalue=probe.value)
        yield report._replace(**objective.counts._asdict())


def minimize(
    objective: Objective,
    theta0,
    method: str = "hessian-bicgstab",
    steps: int = 50,
    *,
    rng=None,
    callback: Callable[[Report], object] | None = None,
    gradient_tolerance: float = 0.0,
    **options,
) -> OptimizeResult:
    """Run a method for a number of steps.

    Parameters
    ----------
    objective, theta0, method, rng, **options
        As for `iterate`.
    steps : int
        How many steps to do.
    callback : callable, optional
        Called with each report; a true value, or StopIteration raised, ends the run.
    gradient_tolerance : float
        The run has converged where ||g|| is at most this.

    Returns
    -------
    OptimizeResult
        x (P,), always finite and the last accepted point; fun = f(x); success, status, message; nit, the steps;
        history, their reports without vectors.

    Raises
    ------
    ValueError
        As `iterate`, or for steps below 1.
    """
    checks.positive_integer("steps", steps)
    checks.real("gradient_tolerance", gradient_tolerance, low=0.0)
    x, history, status, rejected = np.array(theta0), [], None, 0
    for report in iterate(objective, theta0, method=method, rng=rng, **options):
        x = report.theta
        history.append(report.scalars())
        rejected = 0 if report.accepted else rejected + 1
        asked = callback is not None and _stops(callback, report)
        status = _ended(report, rejected, gradient_tolerance) or (Status.CALLBACK if asked else None)
        if status or report.k == steps:
            break
    code, success, message = (status or Status.STEPS_DONE).value
    if report.kind is not Kind.UNKNOWN:
        message = report.sentence
    with np.errstate(over="ignore", invalid="ignore"):
        fun = objective.value(x)
    return OptimizeResult(
        x=x,
        fun=fun,
        success=success,
        status=code,
        message=message,
        nit=len(history),
        history=history,
    )


def _ended(report, rejected, tolerance):
    if report.outcome is Outcome.NON_FINITE:
        return Status.NON_FINITE
    if report.kind is Kind.NOT_A_MINIMUM:
        return Status.NOT_A_MINIMUM
    leaving = report.accepted and report.source.random  # a small gradient is then not all there is to it
    if report.outcome is Outcome.STATIONARY or (report.gradient_norm <= tolerance and not leaving):
        return Status.CONVERGED
    return Status.NO_PROGRESS if rejected >= PATIENCE else None


def _stops(callback, report):
    try:
        return bool(callback(report))
    except StopIteration:
        return True


def scipy_method(name: str, **options):
    """A method as `scipy.optimize.minimize` takes it.

    `scipy.optimize.minimize(fun, x0, jac=..., hessp=..., method=refhf.scipy_method("hessian-cg"))`. SciPy's
    `options={"maxiter": ...}` and `tol` (on ||g||) are understood; `callback` gets x, as SciPy's does.

    Raises
    ------
    ValueError
        For an unknown method or option; when called, for a missing jac, or bounds or constraints.
    """
    checks.choice("method", name, METHODS)
    checks.option_names(options, METHODS[name].options, name)

    def run(fun, x0, args=(), jac=None, hess=None, hessp=None, bounds=None, constraints=(), callback=None, **given):
        if not callable(jac):
            raise ValueError(f"jac: expected the gradient as a function; got {jac!r}")
        if bounds is not None or constraints:
            raise ValueError("bounds, constraints: expected none, the methods are unconstrained")
        product = (lambda x, v: hessp(x, v, *args)) if hessp else (lambda x, v: hess(x, *args) @ v) if hess else None
        objective = from_functions(lambda x: fun(x, *args), lambda x: jac(x, *args), hessp=product)
        tolerance = given.pop("tol", None) or GRADIENT_TOLERANCE
        result = minimize(
            objective,
            np.atleast_1d(np.asarray(x0, float)),
            name,
            given.pop("maxiter", None) or MAXITER,
            callback=callback and (lambda report: callback(report.theta.copy())),
            gradient_tolerance=tolerance,
            **{**options, **given},
        )
        if result.status == Status.STEPS_DONE.value[0]:
            result.success = False  # SciPy's convention: the limit is a failure to converge
        return result

    return run


GRADIENT_TOLERANCE, MAXITER = 1e-5, 1000  # SciPy's gtol of CG and BFGS; our choice
