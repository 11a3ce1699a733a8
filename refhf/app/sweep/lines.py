"""The runs of a sweep: one after the other, a line of JSON each, in a file that is resumed."""

import contextlib
import json
import math
import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

from refhf.app import checkpoint, folders, runs
from refhf.app.sweep.cells import Cell, Setting, batch_option
from refhf.formats import FormatError
from refhf.methods.minimize import Status

COUNTS = ("epochs", "value_evaluations", "gradient_evaluations", "curvature_products")
ENDS = ("loss", "training_error", "test_error", "seconds")
CURVE = ("step", "epochs", "curvature_products", "seconds", "loss", "training_error", "test_error")
REACHED = CURVE[:4]
DIGITS = 5  # our choice: of the numbers of a curve, to keep lines short
NUMBER = int | float | None
KINDS = {
    **{"method": str, "batch": int | None, "seed": int, "options": dict, "defaults": dict, "status": str, "steps": int},
    **dict.fromkeys((*COUNTS, *ENDS), NUMBER),
    **{"reached": list, "curve": dict, "setting": dict},
}  # of a line


def execute(
    setting: Setting,
    cells: Sequence[Cell],
    path=None,
    listen: Callable[[dict, bool], object] = lambda line, resumed: None,
) -> list[dict]:
    """The lines of these cells, in their order; those that `path` lacks are run and appended to it.

    A line has the cell's `method`, `batch`, `seed` and `options`, by which it is found again; `defaults`, the other
    options of the run; `status`, why it ended (a `refhf.methods.minimize.Status` in lower case, "passes done" or
    "targets reached"); `steps`, `epochs`, the counts of evaluations and products, `loss`, `training_error`,
    `test_error` and `seconds` at the end; `reached`, for each target what had been spent when the training error was
    first at most that, or null; `curve`, columns with a number a step; and the `setting`. What is not finite is null:
    a run that diverged has a line like any other.

    Parameters
    ----------
    setting : Setting
    cells : sequence of Cell
    path : str or path, optional
        A file of lines, made if there is none, and locked. A last line that was torn off is dropped; its run is done
        again.
    listen : callable
        Called with each line, in order, and whether it was there already.

    Raises
    ------
    ValueError
        Before any run: a wrong argument, or an option that JSON has no word for; a file that holds the runs of
        another setting, or is none of a sweep's, or to which another process writes.
    """
    setting.check()
    facts, pose = _plain(setting.facts()), lru_cache(maxsize=1)(setting.problem)
    limit = setting.steps or math.ceil(setting.epochs)  # no step costs less than a pass
    for cell in cells:
        cell.plan(pose(cell.seed), limit)
    names = [_name(cell) for cell in cells]
    found = []
    with _opened(path, facts) as (done, stream):
        for cell, name in zip(cells, names, strict=True):
            line = done.get(name)
            if line is None:
                text = folders.to_json(_line(setting, cell, cell.plan(pose(cell.seed), limit)) | {"setting": facts})
                stream.write(text + "\n")
                stream.flush()
                line = json.loads(text)
            found.append(line)
            listen(line, name in done)
    return found


@contextlib.contextmanager
def _opened(path, facts):
    """The lines that the file has, by their runs' names, and a stream for more; none and nowhere without a file."""
    if path is None:
        with open(os.devnull, "w") as nowhere:
            yield {}, nowhere
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8", newline="\n") as stream, checkpoint.locked(path):
        yield _read(Path(path), facts), stream


def _name(cell):
    """What tells a run from the others of its setting."""
    try:
        return folders.to_json(cell, sort_keys=True)
    except TypeError as error:
        raise ValueError(
            f"options of {cell.method}: expected numbers, words and tuples of them; got {error}"
        ) from error


def _plain(value):
    """What JSON makes of it."""
    return json.loads(folders.to_json(value))


def _some(mapping, keys):
    return {key: mapping[key] for key in keys}


def _read(path, facts):
    """The lines, without the last one if it was torn off, which is cut from the file, too."""
    content = path.read_bytes()
    whole, newline, torn = content.rpartition(b"\n")
    lines = {}
    for i, text in enumerate(whole.split(b"\n") if newline else [], 1):
        try:
            line = json.loads(text)
            if set(line) != set(KINDS) or not all(isinstance(line[key], kind) for key, kind in KINDS.items()):
                raise ValueError("it has other keys, or values")
            name = _name(Cell(**_some(line, Cell._fields)))
        except (ValueError, TypeError, RecursionError) as error:
            raise FormatError(path, f"line {i}: expected a run of a sweep as JSON ({error})") from error
        for key, value in facts.items():
            if line["setting"].get(key) != value:
                raise ValueError(
                    f"{key}: expected {line['setting'].get(key)!r}, as in the runs that are in {path}; got {value!r}"
                )
        lines[name] = line
    if torn:
        os.truncate(path, len(content) - len(torn))
    return lines


def _line(setting, cell, run):
    given = {batch_option(cell.method), *cell.options}
    curve, reached, status = [], [None] * len(setting.targets), None
    for row in runs.rows(run):
        record = row.record
        curve.append([_short(record[key]) for key in CURVE])
        for i, target in enumerate(setting.targets):
            diverged = row.status is Status.NON_FINITE
            if reached[i] is None and not diverged and record["training_error"] <= target:
                reached[i] = _some(record, REACHED)
        status = _ended(setting, record, reached, row.status)
        if status:
            break
    return {
        **cell._asdict(),
        "defaults": {name: value for name, value in run.options.items() if name not in given},
        "status": status,
        "steps": record["step"],
        **_some(record, (*COUNTS, *ENDS)),
        "reached": reached,
        "curve": dict(zip(CURVE, map(list, zip(*curve, strict=True)), strict=True)),
    }


def _ended(setting, record, reached, status):
    """Why a run ends here, or None."""
    if status not in (None, Status.STEPS_DONE):
        return status.name.lower().replace("_", " ")
    if setting.stop_at_target and None not in reached:
        return "targets reached"
    if setting.epochs is not None and record["epochs"] >= setting.epochs:
        return "passes done"
    return status and "steps done"


def _short(value):
    """A number of a curve, to DIGITS digits."""
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) and math.isfinite(value) else value
