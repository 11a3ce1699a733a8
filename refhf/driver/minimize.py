"""The driver: a method run step by step, from a start or from where another run stopped."""

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from refhf import checks
from refhf.driver.counting import Counted
from refhf.driver.registry import DEFAULT_METHOD, METHODS
from refhf.driver.status import GRADIENT_TOLERANCE, Status, ended
from refhf.driver.step_progress import step_progress
from refhf.krylov.stopping import Stop
from refhf.methods import schedules
from refhf.methods.newton import negative_curvature
from refhf.methods.report import Counts, Kind, LossAt, Outcome, Report
from refhf.objective.protocol import Objective

if TYPE_CHECKING:
    from refhf.driver.minimize_result import MinimizeResult


def iterate(objective: Objective, theta0, *, method: str = DEFAULT_METHOD, rng=None, **options) -> "Steps":
    """Run a method step by step, without end: a report a step.

    Step k draws from a stream of its own, keyed by one seed and k; the initial state from the first of them.

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
        The method's options: see the options class of its family, such as
        `refhf.methods.hessian_free.hf_step.HessianFreeOptions`.

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
    state = chosen.family.init(theta, options, np.random.default_rng([seed, 1]))
    progress = Progress(0, seed, state, Counts())
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
    checks.objective(objective)
    method = METHODS[checks.choice("method", name, METHODS)]
    checks.option_names(given, method.options, name)
    return method, method.checked(objective, **given)


class Progress(NamedTuple):
    """The state of a run between two steps.

    Attributes
    ----------
    k : int
        Steps done.
    seed : int
        Of the steps' streams.
    state : NamedTuple
        The state of the method's family; its arrays are not written to.
    counts : Counts
        What has been spent.
    """

    k: int
    seed: int
    state: Any
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

    def __repr__(self) -> str:
        return f"Steps of {self.method}: {self.progress.k} done"

    def __iter__(self):
        return self

    def __next__(self) -> Report:
        """Do a step."""
        k, seed = self.progress.k + 1, self.progress.seed
        # Counts are made anew: a copy of the run counts for itself.
        self.objective = objective = Counted(self.objective.objective, counts=self.progress.counts)
        with np.errstate(all="ignore"):
            rng = np.random.default_rng([seed, k])
            state, report = METHODS[self.method].family.step(self.progress.state, objective, self.options, k, rng)
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
    method: str = DEFAULT_METHOD,
    steps: int = 50,
    *,
    rng=None,
    callback: Callable[[Report], object] | None = None,
    gradient_tolerance: float | None = None,
    progress: bool = False,
    **options,
) -> "MinimizeResult":
    """Run a method for a number of steps, or until it has converged.

    Parameters
    ----------
    objective, theta0, method, rng, **options
        As for `iterate`.
    steps : int
        How many steps to do at most; 0 evaluates the start.
    callback : callable, optional
        Called with each report; a true value, or StopIteration raised, ends the run.
    gradient_tolerance : float, optional
        The run has converged where ||g||, of all the cases, is at most this, and the step from there drew on nothing
        random and met no negative curvature: it may be leaving a saddle. None is the method's own, else 1e-5.
    progress : bool
        Show a bar, in a terminal or a notebook; it needs the extra refhf[cli].

    Returns
    -------
    MinimizeResult
        SciPy's OptimizeResult. x (P,), always finite; fun = f(x) and jac, its gradient; success, that it has converged;
        status, message; nit, the steps; nfev, njev and nhev, the values, gradients and curvature products computed;
        history, a flat dict of each step's report (`Report.record`), which `pandas.DataFrame` takes. x is the last
        accepted point; of a run that ended at something not finite it is the best, the one where the smallest loss of
        the history was measured, of stochastic methods on a mini-batch.

    Raises
    ------
    ValueError
        As `iterate`; for negative steps, or others than a schedule's; for a negative gradient_tolerance; for
        `progress` without tqdm.

    Examples
    --------
    >>> import refhf
    >>> sphere = refhf.from_functions(lambda x: x @ x, lambda x: 2 * x, lambda x, v: 2 * v)
    >>> result = refhf.minimize(sphere, [3.0, 4.0], "hessian-cg")
    >>> result.success, result.history[0]["loss"] < 25
    (True, True)
    """
    checks.objective(objective)
    steps = checks.whole("steps", steps)
    shown = step_progress(progress, method, steps)
    own = METHODS[checks.choice("method", method, METHODS)].family.options._field_defaults.get("gradient_tolerance")
    tolerance = (own or GRADIENT_TOLERANCE) if gradient_tolerance is None else gradient_tolerance
    tolerance = checks.real("gradient_tolerance", tolerance, low=0.0)
    checks.not_scipys(set(options) - set(METHODS[method].options))
    schedules.check_length(options.get("learning_rate"), steps)
    if own:  # a probe of the method's then says what is there
        options["gradient_tolerance"] = tolerance
    reports = iterate(objective, theta0, method=method, rng=rng, **options)
    x = best = reports.progress.state.theta
    history, lowest, rejected, status, message = [], np.inf, 0, None, None
    for report in shown(itertools.islice(reports, steps)):
        before, x = x, report.theta
        if -np.inf < report.loss < lowest:
            best, lowest = x if report.loss_at is LossAt.END else before, report.loss
        history.append(report.record())
        rejected = 0 if report.accepted else rejected + 1
        asked = callback is not None and _stops(callback, report)
        status = ended(report, rejected, tolerance, reports.draws) or (Status.CALLBACK if asked else None)
        message = None if report.kind is Kind.UNKNOWN else report.sentence
        if status:
            break
    return _result(reports.objective, x, best, status or Status.STEPS_DONE, message, history)


def _result(objective: Counted, x, best, status, message, history):
    """The result of a run that ended at x; `best` replaces x if f or g is not finite there."""
    from refhf.driver.minimize_result import MinimizeResult  # here: scipy.optimize takes longer to import than NumPy

    with np.errstate(all="ignore"):
        if status is not Status.NON_FINITE:
            fun, jac = objective.value_and_gradient(x)
            status = status if np.isfinite(fun) and np.isfinite(jac).all() else Status.NON_FINITE
        if status is Status.NON_FINITE:
            x, (fun, jac) = best, objective.value_and_gradient(best)
    (code, success, said), counts = status.value, objective.counts
    return MinimizeResult(
        x=x,
        fun=fun,
        jac=jac,
        success=success,
        status=code,
        message=message or said,
        nit=len(history),
        nfev=counts.value_evaluations + counts.gradient_evaluations,
        njev=counts.gradient_evaluations,
        nhev=counts.curvature_products,
        history=history,
    )


def _stops(callback, report):
    try:
        return bool(callback(report._replace(theta=report.theta.copy())))  # the callback may write on its own
    except StopIteration:
        return True
