"""A run: method, options, data, network and seed in; a sequence of records out.

A record is a dict, one a step, the first of step 0. Its `loss`, `training_error` and `test_error` are of all the
cases, at the point after the step; `seconds` is the method's own time. Evaluating errors, and the loss where
the method does not know it, is in no count and not in `seconds`. A step of a stochastic first-order method is an
epoch of its updates (He et al. 2016, section 5). The other keys are fields of `refhf.methods.report.Report`.
"""

import json
import math
import time
from collections.abc import Callable, Iterator
from enum import Enum
from itertools import islice
from typing import NamedTuple

import numpy as np

from refhf import checks
from refhf.driver.minimize import Steps, iterate, resume
from refhf.driver.registry import METHODS
from refhf.driver.status import PATIENCE, Status
from refhf.lab.runs.output_folder import to_json
from refhf.lab.runs.problem import Problem
from refhf.lab.runs.run_position import Position
from refhf.methods.report import Outcome, Report
from refhf.methods.schedules import SCHEDULES


class Run(NamedTuple):
    """A run whose arguments have been checked; `rows` runs it once."""

    problem: Problem
    method: str
    options: dict
    steps: int
    reports: Steps
    since: Position | None = None


def plan(problem: Problem, method: str, steps: int, options: dict | None = None, since: Position | None = None) -> Run:
    """A run of `method`, from its start or from where it stood before, checked before any work.

    The option `learning_rate` may also be a schedule's name: it is made for the method's batch and `steps` epochs.

    Raises
    ------
    ValueError
        As `refhf.iterate` does, or for steps below 1.
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
    complete = chosen.room.check(chosen.room.Options(**given, **chosen.fixed), problem.objective)._asdict()
    if given is not named:
        complete["learning_rate"] = named["learning_rate"]
    return Run(problem, method, complete, steps, reports, since)


def facts(run: Run) -> dict:
    """Everything but the data that decides what a run comes to, as JSON has it; of a schedule also its length."""
    problem, objective = run.problem, run.problem.objective
    scheduled = {"steps": run.steps} if run.options.get("learning_rate") in [*SCHEDULES] else {}
    known = {
        **{"method": run.method, "loss": problem.net.loss.name},  # the loss decides the last of the sizes
        **{"sizes": problem.sizes, "parameters": objective.size, "dtype": str(objective.dtype)},
        **{"nonlinearity": problem.nonlinearity, "l2": objective.l2},
        **{"seed": problem.seed, "reduction": objective.reduction.kind},
    }
    return json.loads(to_json({**known, **run.options, **scheduled}))


def _scheduled(given, method, objective, epochs):
    """The options, a learning rate that is a schedule's name made that schedule."""
    name = given.get("learning_rate")
    if not isinstance(name, str) or name == "estimated":  # the latter is replica-newton's
        return given
    checks.choice("learning_rate", name, SCHEDULES)
    options = method.room.check(method.room.Options(**{**given, **method.fixed, "learning_rate": None}), objective)
    return given | {"learning_rate": SCHEDULES[name](options.batch, objective.cases, epochs)}


class Row(NamedTuple):
    """A record, the point it is of, why the run ended there, if it did, and how many steps in a row were rejected."""

    record: dict
    theta: np.ndarray
    status: Status | None
    rejected: int = 0


def rows(run: Run) -> Iterator[Row]:
    """Run it: a row a step, step 0 included, until the steps are done or nothing more can come."""
    stochastic = run.options.get("stochastic", False)
    updates = math.ceil(run.problem.objective.cases / run.options["batch"]) if stochastic else 1
    done, rejected, seconds = run.since[:3] if run.since else (0, 0, 0.0)
    if not run.since:
        start = Report(0, run.problem.theta0, math.nan, math.nan, Outcome.ACCEPTED, math.nan)
        start = _measured(run.problem.objective, start)
        yield Row(_record(run, 0, start, seconds), start.theta, None)
    for step in range(done + 1, run.steps + 1):
        begin = time.perf_counter()
        for report in islice(run.reports, updates):
            if report.outcome is Outcome.NON_FINITE:
                break
        seconds += time.perf_counter() - begin
        rejected = 0 if report.accepted else rejected + 1
        report = _measured(run.problem.objective, report)
        status = _status(report, rejected, run.reports.draws, step == run.steps)
        yield Row(_record(run, step, report, seconds), report.theta, status, rejected)
        if status:
            return


def _measured(objective, report):
    """The report with the whole objective's loss, without which its step has led nowhere."""
    with np.errstate(over="ignore", invalid="ignore"):
        loss = report.loss if report.curvature else objective.value(report.theta)
    return report._replace(loss=loss, outcome=report.outcome if math.isfinite(loss) else Outcome.NON_FINITE)


def _status(report, rejected, draws, last):
    if report.outcome is Outcome.NON_FINITE:
        return Status.NON_FINITE
    if report.outcome is Outcome.STATIONARY and not draws:
        return Status.CONVERGED
    return Status.NO_PROGRESS if rejected >= PATIENCE else Status.STEPS_DONE if last else None


def _record(run, step, report, seconds):
    objective, test = run.problem.objective, run.problem.test
    classifies = run.problem.net.loss.labels
    with np.errstate(over="ignore", invalid="ignore"):
        record = {
            "step": step,
            "loss": report.loss,
            "training_error": objective.error(report.theta) if classifies else None,
            "test_error": test.error(report.theta) if classifies and test else None,
            "outcome": str(report.outcome) if step else "start",
        }
    left_out = {"k", "theta", "negative_direction", *record}
    rest = {
        name: str(value) if isinstance(value, Enum) else value
        for name, value in report._asdict().items()
        if name not in left_out
    }
    return {**record, **rest, "seconds": seconds}


class Result(NamedTuple):
    """What became of a run.

    Attributes
    ----------
    run : Run
    history : list of dict
        Its records.
    theta : ndarray (P,)
        The last point, finite.
    status : Status
        Why it ended.
    """

    run: Run
    history: list[dict]
    theta: np.ndarray
    status: Status


def execute(run: Run, listen: Callable[[dict], object] = lambda record: None, keeper=None, asked=lambda: 0) -> Result:
    """Run it, call `listen` with each record, and have `keeper` keep what it has come to.

    Parameters
    ----------
    run : Run
    listen : callable
    keeper : refhf.lab.runs.run_folder.Keeper, optional
        Gets a `Position` after each step.
    asked : callable
        Called after each step; anything but 0 or False ends the run there.
    """
    since = run.since
    if over(run):
        return Result(run, since.history, since.theta, Status.STEPS_DONE if since.status in GOING_ON else since.status)
    for position in positions(run):
        if not position.status and asked():
            position = position._replace(status=Status.INTERRUPTED)
        if keeper:
            keeper.keep(position)
        listen(position.history[-1])
        if position.status:
            break
    return Result(run, position.history, position.theta, position.status)


def positions(run: Run) -> Iterator[Position]:
    """Run it: where it stands after each step, step 0 included; one history, which grows."""
    history, best = (list(run.since.history), run.since.best) if run.since else ([], run.problem.theta0)
    lowest = min((record["loss"] for record in history if math.isfinite(record["loss"])), default=math.inf)
    for row in rows(run):
        history.append(row.record)
        step, loss, seconds = (row.record[key] for key in ("step", "loss", "seconds"))
        if loss < lowest:
            best, lowest = row.theta, loss
        yield Position(step, row.rejected, seconds, run.reports.progress, history, best, row.status)


GOING_ON = None, Status.STEPS_DONE, Status.INTERRUPTED


def over(run: Run) -> bool:
    """Whether nothing is left to do: it had ended before for a reason of its own, or has its steps."""
    return run.since is not None and (run.since.status not in GOING_ON or run.since.step >= run.steps)
