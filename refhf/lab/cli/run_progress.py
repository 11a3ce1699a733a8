"""Progress of a run on stderr: a line a step, or a progress bar."""

import math
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np

from refhf.lab.runs.training_run import TrainingRun

NAMES = "step", "loss", "train%", "test%", "lambda", "rho", "alpha", "its+-", "prods", "passes"
WIDTHS = 4, 8, 6, 6, 7, 5, 6, 5, 5, 6  # of a line's cells; a wider one moves the rest
HEADER = " ".join([*map(str.rjust, NAMES, WIDTHS), " stop"])


def progress_line(record: Mapping) -> str:
    """A record as a line under HEADER; fields that the method lacks are blank.

    The sign after the solver's iterations is the sign of the curvature it met.
    """
    solver = record.get("solver_stop") is not None
    cells = [
        f"{record['step']}",
        f"{record['loss']:.3g}",
        percent_text(record["training_error"]),
        percent_text(record["test_error"]),
        _number(record.get("damping", math.nan)),
        _number(record.get("rho", math.nan)),
        _number(record["step_length"]),
        f"{record['solver_iterations']}{'-' if record['negative_curvature'] else '+'}" if solver else "",
        f"{record['curvature_products']}",
        f"{record['epochs']:.1f}",
    ]
    return " ".join([*map(str.rjust, cells, WIDTHS), f" {_stop(record)}"]).rstrip()


def _stop(record):
    refused = "" if record["outcome"] in ("start", "accepted") else f"refused: {record['outcome']}"
    return ", ".join(word for word in (record.get("solver_stop"), refused) if word)


def _cut(text, columns):
    """The text, cut after the last word that fits."""
    return text if len(text) <= columns else text[: columns + 1].rpartition(" ")[0].rstrip(" ,:")


def _number(value):
    return "" if value is None or np.isnan(value) else f"{value:.2g}"


def percent_text(error):
    """An error rate in per cent; '-' for None."""
    return "-" if error is None else f"{100 * error:.2f}"


def print_notes(notes: Sequence[str], quiet: bool) -> None:
    """Print the notes on how the data were read to stderr, unless `quiet`."""
    for note in () if quiet else notes:
        print(f"data: {note}", file=sys.stderr)


@contextmanager
def show_progress(run: TrainingRun, quiet: bool, lines: bool) -> Iterator[Callable[[Mapping], None]]:
    """A function that shows a record on stderr: nothing if `quiet`, a bar if stderr is a terminal.

    Without a bar, each step prints a line; with a bar, lines are printed above it if `lines`.
    """
    bar = None if quiet else progress_bar(run.method, run.steps)
    written = not quiet and (lines or bar is None)

    def write(text):
        if bar is None:
            print(text, file=sys.stderr, flush=True)
        else:
            bar.write(_cut(text, shutil.get_terminal_size().columns), file=sys.stderr)

    def show(record):
        if written:
            write(progress_line(record))
        if bar is not None:
            if not lines:
                bar.set_postfix_str(
                    f"loss {record['loss']:.3g}, train {percent_text(record['training_error'])} %", refresh=False
                )
            bar.update(int(record["step"] > 0))

    if written:
        ranks = run.problem.objective.comm.size
        write(f"{run.method} on {run.problem.title}" + (f", {ranks} ranks" if ranks > 1 else ""))
        write(HEADER)
    try:
        yield show
    finally:
        if bar is not None:
            bar.close()


def progress_bar(title: str, steps: int | None):
    """A tqdm bar on stderr, without an end if steps is None; None if stderr is no terminal or tqdm is not installed."""
    if not sys.stderr.isatty():
        return None
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    layout = "{desc} {n_fmt}/{total_fmt}|{bar}| {elapsed}<{remaining}{postfix}"
    layout = layout if steps else "{desc} {n_fmt} | {elapsed}{postfix}"
    return tqdm(desc=f"{title:<16}", total=steps, file=sys.stderr, dynamic_ncols=True, bar_format=layout)
