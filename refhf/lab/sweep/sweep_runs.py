"""Execution of a sweep: runs one configuration after the other and appends a JSON line for each."""

import contextlib
import math
from collections.abc import Callable, Generator, Sequence

from refhf import checks
from refhf.driver.minimize import Status
from refhf.lab.runs import training_run
from refhf.lab.runs.training_problem import TrainingProblem
from refhf.lab.runs.training_run import TrainingRun
from refhf.lab.sweep import sweep_budgets, sweep_file
from refhf.lab.sweep.sweep_file import COUNTS, ENDS
from refhf.lab.sweep.sweep_grid import Configuration, SweepSetting, batch_option
from refhf.lab.sweep.sweep_processes import in_processes
from refhf.methods.report import Outcome

CURVE = ("step", "epochs", "curvature_products", "seconds", "loss", "training_error", "test_error")
REACHED = CURVE[:4]
DIGITS = 5  # our choice: of the numbers of a curve, to keep lines short


def run_sweep(
    setting: SweepSetting,
    cells: Sequence[Configuration],
    path=None,
    listen: Callable[[dict, bool], object] = lambda line, resumed: None,
    asked: Callable[[], object] = lambda: 0,
    processes: int = 1,
) -> list[dict]:
    """Run the configurations that the file `path` lacks, append their lines, and return all lines in order.

    A line has the configuration's `method`, `batch`, `seed` and `options`, which identify it; `defaults`, the other
    options of the run; `status`, why it ended (a `refhf.driver.minimize.Status` in lower case, "passes done",
    "targets reached" or "budgets spent"); `steps`, `epochs`, the counts of evaluations and products, `loss`,
    `training_error`, `test_error` and `seconds` at the end; `reached`, for each target what was spent when the training
    error first reached it, or null; `curve`, columns with a number a step; and the `setting`. What is not finite is
    null: a run that diverged has a line like any other.

    Parameters
    ----------
    setting : SweepSetting
    cells : sequence of Configuration
    path : str or path, optional
        A file of lines, created if missing, and locked. An incomplete last line is dropped; its run is repeated.
    listen : callable
        Called with each line, and whether the file already had it: those first that it had, if there are several
        processes, and the others as they are done.
    asked : callable
        Called after each step; a true value saves the current run for the next call and ends the sweep, which returns
        the lines so far.
    processes : int
        Number of processes that make the runs; 1 is this one alone. Each takes as many threads as BLAS is allowed. The
        lines of the file stand in the order in which they were done, and say the same.

    Raises
    ------
    ValueError
        Before any run: a wrong argument or an option that JSON cannot store; or a file that belongs to another setting,
        is not a file of a sweep, or is locked by another process.
    FormatError
        A ValueError: for a line that is damaged.
    """
    setting.check()
    checks.positive_integer("processes", processes)
    facts = sweep_file.as_json(setting.facts())
    make = _Maker(setting, path, facts)
    for cell in cells:
        cell.plan(make.problem(cell.seed), setting.limit)
    checks.distinct("cells", cells)
    names = [sweep_file.run_key(cell) for cell in cells]
    found = {}
    with sweep_file.open_sweep_file(path, facts) as (done, stream):
        known = {i: done[name] for i, name in enumerate(names) if name in done}
        with contextlib.closing(_lines(make, cells, known, processes, asked)) as lines:
            for i, line in lines:
                found[i] = line if i in known else sweep_file.append_line(line | {"setting": facts}, stream)
                make.interrupted(cells[i]).clear()
                listen(found[i], i in known)
    return [found[i] for i in sorted(found)]


class _Maker:
    """Makes runs of a setting, in any process; keeps the latest problem."""

    def __init__(self, setting: SweepSetting, path, facts: dict) -> None:
        self.setting, self.path, self.facts = setting, path, facts
        self.latest: tuple[int, TrainingProblem] | None = None

    def __reduce__(self) -> tuple:
        return _Maker, (self.setting, self.path, self.facts)

    def problem(self, seed: int) -> TrainingProblem:
        """The problem of a seed."""
        if self.latest is None or self.latest[0] != seed:
            self.latest = seed, self.setting.problem(seed)
        return self.latest[1]

    def interrupted(self, cell: Configuration) -> sweep_file.InterruptedRun:
        """The place of the run, should it be interrupted."""
        return sweep_file.InterruptedRun.of(self.path, cell, self.facts)

    def __call__(self, cell: Configuration, asked: Callable[[], object]) -> dict | None:
        """The line of a run; None if it was interrupted and saved."""
        kept = self.interrupted(cell)
        return _line(self.setting, cell, kept, kept.resume(self.problem(cell.seed), self.setting.limit), asked)


def _lines(make, cells, known, processes, asked) -> Generator[tuple[int, dict], None, None]:
    """(place, line) of the cells, the known among them, until a run is interrupted."""
    missing = [i for i in range(len(cells)) if i not in known]
    if processes > 1 and len(missing) > 1:
        yield from known.items()
        for place, line in in_processes(make, [cells[i] for i in missing], processes, asked):
            if line is not None:
                yield missing[place], line
        return
    for i, cell in enumerate(cells):
        line = known.get(i) or make(cell, asked)
        if line is None:
            return
        yield i, line


def _line(setting, cell, interrupted, run, asked):
    """The line of a run; None if the run was interrupted and saved."""
    reached: list[dict | None] = [None] * len(setting.targets)

    def note(record):
        diverged = record["outcome"] == str(Outcome.NON_FINITE)
        for i, target in enumerate(setting.targets):
            if reached[i] is None and not diverged and record["training_error"] <= target:
                reached[i] = _some(record, REACHED)

    for record in run.since.history if run.since else ():
        note(record)
    for position in training_run.run_positions(run):
        record = position.history[-1]
        note(record)
        status = _ended(setting, record, reached, position.status)
        if status:
            return _finished_line(cell, run, position.history, reached, status)
        if asked():
            interrupted.save(run, position)
            return None
    raise AssertionError("the last position of a run has a status")


def _finished_line(cell: Configuration, run: TrainingRun, history: list[dict], reached: list, status: str) -> dict:
    """The line of a run that has ended."""
    record = history[-1]
    given = {batch_option(cell.method), *cell.options}
    curve = ([*(_short(record[key]) for key in CURVE), sweep_budgets.communications(record)] for record in history)
    return {
        **cell._asdict(),
        "defaults": {name: value for name, value in run.options.items() if name not in given},
        "status": status,
        "steps": record["step"],
        **_some(record, (*COUNTS, *ENDS)),
        "reached": reached,
        "curve": dict(zip((*CURVE, "communications"), map(list, zip(*curve, strict=True)), strict=True)),
    }


def _some(mapping, keys):
    return {key: mapping[key] for key in keys}


def _ended(setting, record, reached, status):
    """The reason for which the run ends at this step, or None."""
    if status not in (None, Status.STEPS_DONE):
        return str(status)
    if setting.stop_at_target and None not in reached:
        return "targets reached"
    if setting.epochs is not None and record["epochs"] >= setting.epochs:
        return "passes done"
    if setting.budgets and sweep_budgets.all_spent(setting.budgets, record):
        return "budgets spent"
    return status and str(status)


def _short(value):
    """Round a number of a curve to DIGITS digits."""
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) and math.isfinite(value) else value
