"""Training runs: method, options, data, network and seed in; a sequence of records out.

A record is a dict for one step; the first is for step 0. Its `loss`, `training_error` and `test_error` are computed on
all cases at the point after the step; `seconds` is the method's own time. Evaluating errors, and the loss where the
method does not know it, is not counted and not included in `seconds`. A step of a stochastic first-order method is one
epoch of updates (He et al. 2016, section 5). The other keys are fields of
`refhf.methods.report.Report`, of its counts and of its detail.
"""

import json
import math
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np

from refhf import checks
from refhf.driver.minimize import Steps, iterate, resume
from refhf.driver.registry import METHODS
from refhf.driver.status import PATIENCE, Status
from refhf.lab.runs.output_folder import to_json
from refhf.lab.runs.run_position import RunPosition
from refhf.lab.runs.training_problem import TrainingProblem
from refhf.methods.report import LossAt, Outcome, Report
from refhf.methods.schedules import SCHEDULES


class TrainingRun(NamedTuple):
    """A run whose arguments are checked; `run_steps` executes it once."""

    problem: TrainingProblem
    method: str
    options: dict
    steps: int
    reports: Steps
    since: RunPosition | None = None


def plan_run(
    problem: TrainingProblem, method: str, steps: int, options: dict | None = None, since: RunPosition | None = None
) -> TrainingRun:
    """Check the arguments and return a run of `method`, from its start or resumed from `since`.

    The option `learning_rate` may be the name of a schedule; the schedule is made for the method's batch and `steps`
    epochs.

    Raises
    ------
    ValueError
        As `refhf.iterate`, or for steps below 1.
    """
    named = dict(options or {})
    checks.positive_integer("steps", steps)
    chosen = METHODS[checks.choice("method", method, METHODS)]
    checks.option_names(named, chosen.options, method)
    given = _scheduled(named, chosen, problem.objective, steps)
    if since is None:
        reports = iterate(problem.objective, problem.theta0, method=method, rng=problem.seed, **given)
    else:
        reports = resume(problem.objective, since.progress, method=method, **given)
    complete = chosen.checked(problem.objective, **given)._asdict()
    if given is not named:
        complete["learning_rate"] = named["learning_rate"]
    return TrainingRun(problem, method, complete, steps, reports, since)


def run_facts(run: TrainingRun) -> dict:
    """Everything except the data that determines the run's result, as plain JSON values."""
    problem, objective = run.problem, run.problem.objective
    scheduled = {"steps": run.steps} if run.options.get("learning_rate") in [*SCHEDULES] else {}
    known = {
        **{"method": run.method, **problem.network_facts},
        **{"loss": problem.net.loss.name, "sizes": problem.sizes},  # the loss decides the last of the sizes
        **{"parameters": objective.size, "dtype": str(objective.dtype), "l2": objective.l2},
        **{"seed": problem.seed, "reduction": objective.reduction.kind},
    }
    return json.loads(to_json({**known, **run.options, **scheduled}))


def _scheduled(given, method, objective, epochs):
    """The options, with the name of a schedule replaced by the schedule."""
    name = given.get("learning_rate")
    if not isinstance(name, str) or name == "estimated":  # the latter is replica-newton's
        return given
    checks.choice("learning_rate", name, SCHEDULES)
    options = method.checked(objective, **given | {"learning_rate": None})
    return given | {"learning_rate": SCHEDULES[name](options.batch, objective.cases, epochs)}


class RunStep(NamedTuple):
    """One step of a run: its record, its point, the status if the run ended, and the rejected steps in a row."""

    record: dict
    theta: np.ndarray
    status: Status | None
    rejected: int = 0


def run_steps(run: TrainingRun) -> Iterator[RunStep]:
    """Execute the run; yield each step, from step 0, until the steps are done or the run ends early."""
    stochastic = run.options.get("stochastic", False)
    updates = math.ceil(run.problem.objective.cases / run.options["batch"]) if stochastic else 1
    done, rejected, seconds = run.since[:3] if run.since else (0, 0, 0.0)
    if not run.since:
        detail = METHODS[run.method].family.detail()
        theta0 = run.problem.theta0
        start = Report(0, theta0, math.nan, LossAt.START, math.nan, Outcome.ACCEPTED, detail, math.nan)
        start = _measured(run.problem.objective, start)
        yield RunStep(_record(run, 0, start, seconds), run.problem.theta0, None)
    for step in range(done + 1, run.steps + 1):
        begin = time.perf_counter()
        batch = islice(run.reports, updates)
        report = next(batch)
        while report.outcome is not Outcome.NON_FINITE and (following := next(batch, None)) is not None:
            report = following
        seconds += time.perf_counter() - begin
        rejected = 0 if report.accepted else rejected + 1
        report = _measured(run.problem.objective, report)
        status = _status(report, rejected, run.reports.draws, step == run.steps)
        yield RunStep(_record(run, step, report, seconds), report.theta, status, rejected)
        if status:
            return


def _measured(objective, report):
    """The report with the loss on all cases; a non-finite loss makes the outcome NON_FINITE."""
    with np.errstate(over="ignore", invalid="ignore"):
        loss = report.loss if report.loss_at is LossAt.END else objective.value(report.theta)
    return report._replace(
        loss=loss, loss_at=LossAt.END, outcome=report.outcome if math.isfinite(loss) else Outcome.NON_FINITE
    )


def _status(report, rejected, draws, last):
    if report.outcome is Outcome.NON_FINITE:
        return Status.NON_FINITE
    if report.outcome is Outcome.STATIONARY and not draws:
        return Status.CONVERGED
    return Status.NO_PROGRESS if rejected >= PATIENCE else Status.STEPS_DONE if last else None


def _record(run, step, report, seconds):
    classifies = run.problem.net.loss.labels
    with np.errstate(over="ignore", invalid="ignore"):
        record = {
            "step": step,
            "loss": report.loss,
            "training_error": run.problem.objective.error(report.theta) if classifies else None,
            "test_error": run.problem.test_error(report.theta) if classifies else None,
            "outcome": str(report.outcome) if step else "start",
        }
    rest = {name: value for name, value in report.record().items() if name not in ("loss_at", *record)}
    return {**record, **rest, "seconds": seconds}


class RunResult(NamedTuple):
    """The result of a run.

    Attributes
    ----------
    run : TrainingRun
    history : list of dict
        The records.
    theta : ndarray (P,)
        The last point, finite.
    status : Status
        Why the run ended.
    scores : dict or None
        Of a regression R^2 at theta (`TrainingProblem.scores`), once that was asked.
    """

    run: TrainingRun
    history: list[dict]
    theta: np.ndarray
    status: Status
    scores: dict[str, float] | None = None


def execute_run(
    run: TrainingRun, listen: Callable[[dict], object] = lambda record: None, keeper=None, asked=lambda: 0
) -> RunResult:
    """Execute a run; call `listen` with each record and write each position with `keeper`.

    Parameters
    ----------
    run : TrainingRun
    listen : callable
    keeper : refhf.lab.runs.run_writer.RunWriter, optional
        Receives a `RunPosition` after each step.
    asked : callable
        Called after each step; a true value ends the run there.
    """
    since = run.since
    if since is not None and is_over(run):
        return RunResult(
            run, since.history, since.theta, Status.STEPS_DONE if since.status in RESUMABLE else since.status
        )
    for position in run_positions(run):
        if not position.status and asked():
            position = position._replace(status=Status.INTERRUPTED)
        if keeper:
            keeper.keep(position)
        listen(position.history[-1])
        if position.status:
            return RunResult(run, position.history, position.theta, position.status)
    raise AssertionError("the last position of a run has a status")


def run_positions(run: TrainingRun) -> Iterator[RunPosition]:
    """Execute the run; yield its position after each step, from step 0. All positions share one growing history."""
    history, best = (list(run.since.history), run.since.best) if run.since else ([], run.problem.theta0)
    lowest = min((record["loss"] for record in history if math.isfinite(record["loss"])), default=math.inf)
    for row in run_steps(run):
        history.append(row.record)
        step, loss, seconds = (row.record[key] for key in ("step", "loss", "seconds"))
        if loss < lowest:
            best, lowest = row.theta, loss
        yield RunPosition(step, row.rejected, seconds, run.reports.progress, history, best, row.status)


RESUMABLE = None, Status.STEPS_DONE, Status.INTERRUPTED


def is_over(run: TrainingRun) -> bool:
    """True if a resumed run has no steps left: it stopped for good, or has done all its steps."""
    return run.since is not None and (run.since.status not in RESUMABLE or run.since.step >= run.steps)
