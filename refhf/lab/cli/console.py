"""What the command line shows: a line a step, a bar, a table, and facts about the machine."""

import math
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np

from refhf.lab.runs.execution import Run
from refhf.lab.runs.output_folder import versions
from refhf.text import columns

NAMES = "step", "loss", "train%", "test%", "lambda", "rho", "alpha", "its+-", "prods", "passes"
WIDTHS = 4, 8, 6, 6, 7, 5, 6, 5, 5, 6  # of a line's cells; a wider one moves the rest
HEADER = " ".join([*map(str.rjust, NAMES, WIDTHS), " stop"])


def line(record: Mapping) -> str:
    """A record in a line under HEADER; what the method has not is left out.

    The sign after the solver's iterations is that of the curvature it met.
    """
    solver = record.get("solver_stop") is not None
    cells = [
        f"{record['step']}",
        f"{record['loss']:.3g}",
        _percent(record["training_error"]),
        _percent(record["test_error"]),
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
    """The text, or as many of its words as fit."""
    return text if len(text) <= columns else text[: columns + 1].rpartition(" ")[0].rstrip(" ,:")


def _number(value):
    return "" if value is None or np.isnan(value) else f"{value:.2g}"


def _percent(error):
    return "-" if error is None else f"{100 * error:.2f}"


def say(notes: Sequence[str], quiet: bool) -> None:
    """How the data were read, a line each on stderr, unless `quiet`."""
    for note in () if quiet else notes:
        print(f"data: {note}", file=sys.stderr)


@contextmanager
def progress(run: Run, quiet: bool, lines: bool) -> Iterator[Callable[[Mapping], None]]:
    """A function that shows a record on stderr: nothing if `quiet`, a bar where stderr is a terminal.

    A line a step is written where there is no bar, and above the bar if `lines`.
    """
    bar = None if quiet else make_bar(run.method, run.steps)
    written = not quiet and (lines or bar is None)

    def write(text):
        if bar is None:
            print(text, file=sys.stderr, flush=True)
        else:
            bar.write(_cut(text, shutil.get_terminal_size().columns), file=sys.stderr)

    def show(record):
        if written:
            write(line(record))
        if bar is not None:
            if not lines:
                bar.set_postfix_str(
                    f"loss {record['loss']:.3g}, train {_percent(record['training_error'])} %", refresh=False
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


def make_bar(title: str, steps: int):
    """A tqdm bar on stderr, or None where it is no terminal or tqdm is not installed."""
    if not sys.stderr.isatty():
        return None
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    layout = "{desc} {n_fmt}/{total_fmt}|{bar}| {elapsed}<{remaining}{postfix}"
    return tqdm(desc=f"{title:<16}", total=steps, file=sys.stderr, dynamic_ncols=True, bar_format=layout)


def table(finals: Sequence[tuple[str, Mapping]]) -> str:
    """The last records of runs by name, a row each."""
    head = "method", "final loss", "training error", "test error", "steps", "passes", "products", "seconds"
    rows = [
        (
            name,
            f"{record['loss']:.4g}",
            f"{_percent(record['training_error'])} %",
            f"{_percent(record['test_error'])} %",
            f"{record['step']}",
            f"{record['epochs']:.1f}",
            f"{record['curvature_products']}",
            f"{record['seconds']:.1f}",
        )
        for name, record in finals
    ]
    return "\n".join(columns([head, *rows]))


def facts() -> dict[str, str]:
    """Versions, processor, BLAS and its threads, MPI: what a report of a problem needs."""
    found = {name: version or "not installed" for name, version in versions().items()}
    mpi = found.pop("mpi4py")
    blas, threads = _blas()
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}"
    return {**found, "machine": machine, "BLAS": blas, "BLAS threads": threads, "MPI": _mpi(mpi)}


def _mpi(version):
    return f"mpi4py {version}" if version != "not installed" else "mpi4py is not installed: one process"


def _blas():
    """The BLAS that NumPy uses and its threads: from threadpoolctl, else from how NumPy was built."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        built = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
        return f"{built['name']} {built['version']}", os.environ.get("OMP_NUM_THREADS", "not known (no threadpoolctl)")
    np.ones((2, 2)) @ np.ones((2, 2))
    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    names = sorted({f"{pool['internal_api']} {pool['version']}" for pool in pools})
    return ", ".join(names) or "not known", ", ".join(sorted({str(pool["num_threads"]) for pool in pools}))
