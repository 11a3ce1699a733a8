"""A run: method, options, data, network and seed in; a sequence of records out.

A record is a dict, one a step, the first of step 0. Its `loss`, `training_error` and `test_error` are of all the
cases, at the point after the step; `seconds` is the method's own time. Evaluating errors, and the loss where
the method does not know it, is in no count and not in `seconds`. A step of a stochastic first-order method is an
epoch of its updates (He et al. 2016, section 5). The other keys are fields of `refhf.methods.report.Report`.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from itertools import islice
from typing import NamedTuple

import numpy as np

from refhf import checks
from refhf.app.data import DataSet, own
from refhf.app.progress import Position
from refhf.methods.minimize import PATIENCE, Status, Steps, iterate, resume
from refhf.methods.report import Outcome, Report
from refhf.methods.schedules import SCHEDULES
from refhf.methods.table import METHODS
from refhf.model.architectures import mlp
from refhf.model.network import Network
from refhf.objective import Supervised, supervised
from refhf.parallel import serial

MAX_CLASSES = 2**16  # our choice: beyond it a label is a mistake, and the last layer would fill the memory


class Problem(NamedTuple):
    """What the runs of a comparison share.

    Attributes
    ----------
    net : Network
    objective : Supervised
        Over the training cases.
    test : Supervised or None
        Over the test cases.
    theta0 : ndarray (P,)
    seed : int
        Of theta0, and of the methods' draws.
    title : str
        The data's name and the network's shape.
    """

    net: Network
    objective: Supervised
    test: Supervised | None
    theta0: np.ndarray
    seed: int
    title: str

    @property
    def sizes(self) -> list[int]:
        """n_0, hidden widths, n_L."""
        return [self.net.layers[0].n_in, *(layer.n_out for layer in self.net.layers)]


def pose(
    data: DataSet, hidden: Sequence[int], *, nonlinearity="tanh", loss=None, l2=0.0, seed=0, comm=None, reduction="fast"
) -> Problem:
    """The problem of training a network with these hidden widths on `data`, in the data's dtype.

    `loss` is the softmax cross-entropy for labels and the squared error for targets unless it is given. The ranks of
    `comm` are given the same data; each keeps its own rows.

    Raises
    ------
    ValueError
        Naming the argument, what was expected and what came.
    """
    comm = serial() if comm is None else comm
    data = own(data, comm, reduction)
    if data.y.ndim == 1:
        largest = [-1 if y is None else int(np.max(y, initial=-1)) for y in (data.y, data.y_test)]
        outputs = max(int(np.concatenate(comm.gather(np.array(largest))).max()) + 1, 2)
        if outputs > MAX_CLASSES:
            raise ValueError(f"y: expected labels below {MAX_CLASSES}; got {outputs - 1}")
    else:
        outputs = data.y.shape[1]
    loss = loss or ("softmax_cross_entropy" if data.y.ndim == 1 else "squared_error")
    net = mlp([data.X.shape[1], *hidden, outputs], nonlinearity=nonlinearity, loss=loss)
    ranks = {"comm": comm, "reduction": reduction}
    objective = supervised(net, data.X, data.y, l2=l2, **ranks)
    test = None if data.X_test is None else supervised(net, data.X_test, data.y_test, **ranks)
    shape = "-".join(str(n) for n in (data.X.shape[1], *hidden, outputs))
    title = f"{data.name}, {shape}" + (f", {nonlinearity}" if hidden else "")
    return Problem(net, objective, test, net.init(seed, data.X.dtype), seed, title)


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
        yield Row(_record(run, 0, start, seconds), start.theta, None)
    for step in range(done + 1, run.steps + 1):
        begin = time.perf_counter()
        for report in islice(run.reports, updates):
            if report.outcome is Outcome.NON_FINITE:
                break
        seconds += time.perf_counter() - begin
        rejected = 0 if report.accepted else rejected + 1
        status = _status(report, rejected, run.reports.draws, step == run.steps)
        yield Row(_record(run, step, report, seconds), report.theta, status, rejected)
        if status:
            return


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
            "loss": report.loss if report.curvature else objective.value(report.theta),
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
    keeper : refhf.app.keeping.Keeper, optional
        Gets a `Position` after each step.
    asked : callable
        Called after each step; anything but 0 or False ends the run there.
    """
    since = run.since
    history, best = (list(since.history), since.best) if since else ([], run.problem.theta0)
    theta, status = (since.theta, since.status) if since else (best, None)
    if over(run):
        return Result(run, history, theta, Status.STEPS_DONE if status in GOING_ON else status)
    lowest = min((record["loss"] for record in history if math.isfinite(record["loss"])), default=math.inf)
    for row in rows(run):
        history.append(row.record)
        step, loss, seconds = (row.record[key] for key in ("step", "loss", "seconds"))
        if loss < lowest:
            best, lowest = row.theta, loss
        status = row.status or (Status.INTERRUPTED if asked() else None)
        position = Position(step, row.rejected, seconds, run.reports.progress, history, best, status)
        theta = position.theta
        if keeper:
            keeper.keep(position)
        listen(row.record)
        if status:
            break
    return Result(run, history, theta, status)


GOING_ON = None, Status.STEPS_DONE, Status.INTERRUPTED


def over(run: Run) -> bool:
    """Whether nothing is left to do: it had ended before for a reason of its own, or has its steps."""
    return run.since is not None and (run.since.status not in GOING_ON or run.since.step >= run.steps)
