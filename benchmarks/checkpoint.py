"""Measure the cost of checkpoints: saving time relative to the run time of `refhf train`.

    python benchmarks/checkpoint.py [--quick] [--steps N] [--methods A,B,C]
    python benchmarks/checkpoint.py --long [--steps N]

runs `refhf train --out` in this process, on 784-400-150-10 and mnist-mini, with the default --checkpoint-every, method
after method, and times each call that saves a checkpoint within the run. A run has the steps of one interval, unless
told otherwise: its save is that of the interval and that of the end in one.

How to read the columns
-----------------------
saves, MB
    Checkpoints written, and the size of the last.
ms
    Of one save, on average: what the processor's clock says, and what the wall's does, with the waits for the disk.
run
    Seconds from the first step to the end of the last save, by the wall's clock.
cost
    All saves over the run: by the processor's clock, and by the wall's. Less than 2 % is what is promised.

With --long it is one run of many small steps (100,000), of gradient-descent on a network of 5-4-3 and 40 cases, with a
checkpoint every 10 of them, and a row for each tenth of the run: the steps so far; the checkpoint's kB, and how many MB
the history has; and for each step of that tenth the ms of saving, by both clocks, and of the whole. A checkpoint holds
the length and the digest of the history, not the history, so that no column but MB grows with the steps.

The disk is that of the temporary folder ($TMPDIR). BLAS has the threads that it takes by itself.
"""

import argparse
import contextlib
import io
import tempfile
import time
from pathlib import Path

import numpy as np

from refhf.data import data_sets
from refhf.lab.cli import command_parser, entry_point, training_session
from refhf.lab.plots import run_figures
from refhf.lab.runs import checkpoint, run_position, training_run
from refhf.lab.runs.run_writer import RunWriter
from refhf.lab.runs.training_problem import pose_problem

METHODS = "gn-cg,hessian-bicgstab,sgd,rmsprop,gradient-descent,nlcg-fr,replica-newton"
LONG_HEAD = "steps", "kB", "history/MB", "save cpu", "save wall", "all cpu", "all wall"
HEAD = "method", "steps", "saves", "MB", "ms cpu", "ms wall", "run/s", "cost cpu", "cost wall"


class Clock:
    """A wrapper that records the CPU time and the wall time of each call."""

    def __init__(self, function):
        self.function, self.cpu, self.wall = function, [], []

    def __call__(self, *args, **kwargs):
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            return self.function(*args, **kwargs)
        finally:
            self.cpu.append(time.process_time() - cpu)
            self.wall.append(time.perf_counter() - wall)


def measured(method, steps, quick, folder):
    """A row of the table."""
    execute, save = Clock(training_session.training_run.execute_run), Clock(RunWriter.save)
    training_session.training_run.execute_run, RunWriter.save = execute, lambda *args: save(*args)
    words = ["train", "--method", method, "--out", str(folder), "--quiet"]
    steps = steps or command_parser.parse_command(words).checkpoint_every
    words += ["--steps", str(steps)] + ["--hidden", "5"] * quick
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            if status := entry_point.main(words):
                raise SystemExit(status)
    finally:
        training_session.training_run.execute_run, RunWriter.save = execute.function, save.function
    return (
        method,
        str(steps),
        str(len(save.wall)),
        f"{(folder / checkpoint.CHECKPOINT_NAME).stat().st_size / 1e6:.1f}",
        *(f"{1e3 * sum(times) / len(times):.1f}" for times in (save.cpu, save.wall)),
        f"{sum(execute.wall):.1f}",
        *(f"{100 * sum(x) / sum(y):.2f} %" for x, y in ((save.cpu, execute.cpu), (save.wall, execute.wall))),
    )


def long(steps, folder):
    """The rows of one long run, as they come."""
    rng, every = np.random.default_rng(0), command_parser.parse_command(["train"]).checkpoint_every
    problem = pose_problem(data_sets.DataSet("small", rng.normal(size=(40, 5)), rng.integers(3, size=40)), [4])
    run, part, save = training_run.plan_run(problem, "gradient-descent", steps), -(-steps // 10), Clock(RunWriter.save)
    since = [time.process_time(), time.perf_counter()]

    def look(record):
        if record["step"] % part == 0 and record["step"]:
            now = [time.process_time(), time.perf_counter()]
            spent = sum(save.cpu), sum(save.wall), *(b - a for a, b in zip(since, now, strict=True))
            saved, told = (
                (folder / name).stat().st_size for name in (checkpoint.CHECKPOINT_NAME, run_position.HISTORY)
            )
            cells = (
                f"{record['step']}",
                f"{saved / 1e3:.1f}",
                f"{told / 1e6:.2f}",
                *(f"{1e3 * x / part:.3f}" for x in spent),
            )
            print(("{:>12}" * len(LONG_HEAD)).format(*cells), flush=True)
            save.cpu.clear()
            save.wall.clear()
            since[:] = now

    RunWriter.save = lambda *args: save(*args)
    try:
        with RunWriter(folder, run, every) as keeper:
            training_run.execute_run(run, look, keeper)
    finally:
        RunWriter.save = save.function


def main():
    """Print the table, a row as it comes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small network, 2 steps: does it run?")
    parser.add_argument("--steps", type=int, help="default: one interval; 100,000 with --long")
    parser.add_argument("--long", action="store_true", help="one long run: does a checkpoint cost the same at its end?")
    parser.add_argument("--methods", default=METHODS, metavar="A,B,C", help="default: %(default)s")
    args = parser.parse_args()
    if args.long:
        print(("{:>12}" * len(LONG_HEAD)).format(*LONG_HEAD))
        with tempfile.TemporaryDirectory() as folder:
            long(args.steps or (20 if args.quick else 100_000), Path(folder))
        return
    run_figures.run_figure = run_figures.save_figure = lambda *_: None
    form = "{:18}" + "{:>10}" * (len(HEAD) - 1)
    print(form.format(*HEAD))
    for method in args.methods.split(","):
        with tempfile.TemporaryDirectory() as folder:
            row = measured(method, 2 if args.quick else args.steps, args.quick, Path(folder, "run"))
        print(form.format(*row), flush=True)


if __name__ == "__main__":
    main()
