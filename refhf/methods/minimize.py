"""The driver: a method run step by step, from a start or from where another run stopped."""

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

import numpy as np
from scipy.optimize import OptimizeResult

from refhf import checks
from refhf.krylov.stopping import Stop
from refhf.methods import negative_curvature, schedules
from refhf.methods.counting import Counted
from refhf.methods.report import Counts, Kind, Outcome, Report
from refhf.methods.table import METHODS
from refhf.objective import Objective


class Status(Enum):
    """Why a run ended; the value is (SciPy's integer, success, a sentence)."""

    CONVERGED = 0, True, "The gradient is as small as asked for."
    STEPS_DONE = 1, True, "The given number of steps was done."
    CALLBACK = 2, True, "The callback asked to stop."
    NON_FINITE = 3, False, "A value, gradient or product is not finite; the best point so far is returned."
    NO_PROGRESS = 4, False, "Steps were rejected one after the other; the last accepted point is returned."
    NOT_A_MINIMUM = 5, False, "The gradient is zero, but the point is not a minimum."
    INTERRUPTED = 6, False, "The run was interrupted, and can be resumed."


PATIENCE = 40  # rejected steps in a row; our choice: lambda has then grown by (3/2)^40 = 1e7


def iterate(objective: Objective, theta0, *, method: str = "hessian-bicgstab", rng=None, **options) -> "Steps":
    """Run a method step by step, without end: a report a step.

    Step k draws from a stream of its own, keyed by one seed and k.

    Parameters
    ----------
    objective : Objective
        From `supervised` or `from_functions`.
    theta0 : array (P,)
        Start; not modified.
    method : str
        One of `refhf.available_methods()`.
    rng : Generator, int or None
        Where the seed comes from.
    **options
        The method's options, see the `Options` of its module.

    Returns
    -------
    Steps
        An iterator of `Report`.

    Raises
    ------
    ValueError
        At the call, before any work: an unknown method or option, one out of range, a wrong or non-finite theta0. At
        its step, for a `learning_rate` function that gives no rate.
    """
    chosen, options = _chosen(objective, method, options)
    theta = checks.array("theta0", theta0, (objective.size,), objective.dtype).copy()
    seed = int(np.random.default_rng(rng).integers(2**63))
    progress = Progress(0, seed, chosen.room.init(theta, options), Counts())
    return Steps(method, Counted(objective), options, progress)


def resume(objective: Objective, progress: "Progress", *, method: str, **options) -> "Steps":
    """Go on where a run of the same method, options and objective stopped: the same reports to the bit.

    Parameters
    ----------
    objective, method, **options
        As for `iterate`, when the run began.
    progress : Progress
        What `iterate(...)` had as its `progress`.

    Raises
    ------
    ValueError
        As `iterate` does, of `progress.state.theta`.
    """
    _, options = _chosen(objective, method, options)
    checks.array("progress.state.theta", progress.state.theta, (objective.size,), objective.dtype)
    return Steps(method, Counted(objective, counts=progress.counts), options, progress)


def _chosen(objective, name, given):
    method = METHODS[checks.choice("method", name, METHODS)]
    checks.option_names(given, method.options, name)
    return method, method.room.check(method.room.Options(**given, **method.fixed), objective)


class Progress(NamedTuple):
    """All that the next step depends on.

    Attributes
    ----------
    k : int
        Steps done.
    seed : int
        Of the steps' streams.
    state : NamedTuple
        The method's `State`; its arrays are not written to.
    counts : Counts
        What has been spent.
    """

    k: int
    seed: int
    state: NamedTuple
    counts: Counts


class Steps:
    """The reports of a run, one a step, without end. Made by `iterate` and `resume`.

    Attributes
    ----------
    progress : Progress
        After the last report that was taken.
    draws : bool
        Whether a step's gradient is that of a mini-batch, of which zero says nothing of all the cases.
    """

    def __init__(self, method: str, objective: Counted, options, progress: Progress):
        self.method, self.objective, self.options, self.progress = method, objective, options, progress
        self.draws = getattr(options, "stochastic", False) and options.batch < objective.cases

    def __iter__(self):
        return self

    def __next__(self) -> Report:
        """Do a step."""
        k, seed = self.progress.k + 1, self.progress.seed
        # Counts are made anew: a copy of the run counts for itself.
        self.objective = objective = Counted(self.objective.objective, counts=self.progress.counts)
        with np.errstate(all="ignore"):
            rng = np.random.default_rng([seed, k])
            state, report = METHODS[self.method].room.step(self.progress.state, objective, self.options, k, rng)
            stationary = report.outcome is Outcome.STATIONARY and not self.draws
            if stationary and np.isnan(report.smallest_eigenvalue) and "hessian" in objective.curvatures:
                probe = negative_curvature.second_order(objective, report.theta, np.random.default_rng([seed, k, 1]))
                report = report._replace(kind=probe.kind, smallest_eigenvalue=probe.value)
                if probe.stop is Stop.NON_FINITE:
                    report = report._replace(outcome=Outcome.NON_FINITE, kind=Kind.UNKNOWN)
        self.progress = Progress(k, seed, state, objective.counts)
        return report.counted(objective.counts)


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
        x (P,), always finite; fun = f(x); success, status, message; nit, the steps; history, their reports without
        vectors. x is the last accepted point; of a run that ended at something not finite it is the best, the one
        where the smallest loss of the history was measured, of stochastic methods on that step's mini-batch.

    Raises
    ------
    ValueError
        As `iterate`; for steps below 1, or others than a schedule's; for a negative gradient_tolerance.
    """
    steps = checks.positive_integer("steps", steps)
    gradient_tolerance = checks.real("gradient_tolerance", gradient_tolerance, low=0.0)
    schedules.check_length(options.get("learning_rate"), steps)
    reports = iterate(objective, theta0, method=method, rng=rng, **options)
    x, history, status, rejected = reports.progress.state.theta, [], None, 0
    best, lowest = x, np.inf
    for report in reports:
        measured_at = report.theta if report.curvature else x
        if -np.inf < report.loss < lowest:
            best, lowest = measured_at, report.loss
        x = report.theta
        history.append(report.scalars())
        rejected = 0 if report.accepted else rejected + 1
        asked = callback is not None and _stops(callback, report)
        status = _ended(report, rejected, gradient_tolerance, reports.draws) or (Status.CALLBACK if asked else None)
        if status or report.k == steps:
            break
    with np.errstate(all="ignore"):
        fun = objective.value(x)
        if status is Status.NON_FINITE or not np.isfinite(fun):
            status, x, fun = Status.NON_FINITE, best, objective.value(best)
    code, success, message = (status or Status.STEPS_DONE).value
    if report.kind is not Kind.UNKNOWN:
        message = report.sentence
    return OptimizeResult(
        x=x,
        fun=fun,
        success=success,
        status=code,
        message=message,
        nit=len(history),
        history=history,
    )


def _ended(report, rejected, tolerance, draws):
    if report.outcome is Outcome.NON_FINITE:
        return Status.NON_FINITE
    if report.kind is Kind.NOT_A_MINIMUM:
        return Status.NOT_A_MINIMUM
    leaving = report.accepted and report.source.random  # a small gradient is then not all there is to it
    small = 0 < report.gradient_norm <= tolerance and not leaving
    if not draws and (report.outcome is Outcome.STATIONARY or small):
        return Status.CONVERGED
    return Status.NO_PROGRESS if rejected >= PATIENCE else None


def _stops(callback, report):
    try:
        return bool(callback(report._replace(theta=report.theta.copy())))  # the callback may write on its own
    except StopIteration:
        return True
