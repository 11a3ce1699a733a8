"""Training runs of `refhf train` and `refhf compare`, on any number of ranks."""

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from refhf import checks
from refhf.data import data_sets
from refhf.data.held_out import held_out
from refhf.driver.minimize import Status
from refhf.driver.registry import METHODS
from refhf.formats import write_npz
from refhf.lab.cli import network_arguments, resumed_arguments, run_progress, shared_arguments
from refhf.lab.cli.argument_types import unique_options
from refhf.lab.cli.training_report import report_results, run_place
from refhf.lab.plots import run_figures
from refhf.lab.runs import atomic_files, checkpoint, output_folder, run_position, stop_signals, training_run
from refhf.lab.runs.run_writer import RunWriter
from refhf.lab.runs.training_problem import pose_problem
from refhf.model.network_file import network_arrays
from refhf.parallel import agree, share_cores
from refhf.parallel.communicator import Communicator
from refhf.parallel.shards import virtual_shards


def run_training(args: argparse.Namespace, names: Sequence[str], comm: Communicator) -> int:
    """Train by each of the methods `names` and report; the exit status. Only rank 0 writes files and shows progress.

    Raises
    ------
    ValueError, OSError
        For an invalid argument, file or folder, before the first step. OSError also later, if the disk is full.
    """
    agree(comm, **vars(args), **output_folder.versions())
    given = _checked(args, names)
    with contextlib.ExitStack() as stack:
        asked = stack.enter_context(stop_signals.finish_step_on_signal(comm)) if args.out else lambda: 0
        if comm.rank > 0:
            args.out, args.quiet = None, True
        if args.out and args.resume:
            stack.enter_context(checkpoint.locked(args.out))
        elif args.out:
            output_folder.check_folder(args.out, args.overwrite)
        chosen = _planned(args, names, given, comm)
        if args.out and not args.resume:
            stack.enter_context(_new_folder(args))
        results = []
        for planned in chosen:
            results.append(_execute(args, planned, asked))
            if results[-1].status is Status.INTERRUPTED:
                break
        report_results(args, results)
        return 128 + asked() if results[-1].status is Status.INTERRUPTED else 0


def _checked(args: argparse.Namespace, names: Sequence[str]) -> dict[str, Any]:
    """The given options; ValueError for an unknown name or a setting out of range."""
    given = _given_options(args, names)
    shared_arguments.check_problem(args)
    virtual_shards(args.reduction)
    return given


def _given_options(args: argparse.Namespace, names: Sequence[str]) -> dict[str, Any]:
    """The given options; at least one of the methods must have each of them."""
    for name in names:
        checks.choice("method", name, METHODS)
    checks.distinct("methods", names)
    flags = [("curvature_batch", args.curvature_batch), ("damping", args.damping)]
    given = unique_options([*((key, value) for key, value in flags if value is not None), *args.option])
    known = {option: METHODS[name].family.options for name in names for option in METHODS[name].options}
    checks.option_names(given, known, ", ".join(names))
    for name, value in given.items():
        if isinstance(known[name]._field_defaults.get(name), bool) and not isinstance(value, bool):
            raise ValueError(f"{name}: expected true or false; got {value!r}")
    return given


@contextlib.contextmanager
def _new_folder(args: argparse.Namespace) -> Iterator[None]:
    """Make and lock the output folder; remove the files of an earlier comparison."""
    folder = Path(args.out)
    output_folder.make_folder(folder)
    with checkpoint.locked(folder):
        output_folder.check_folder(folder, args.overwrite)
        if args.command == "compare":
            for place in (folder, *(folder / name for name in METHODS)):  # the earlier one may have had other methods
                output_folder.empty_folder(place)
        yield


class PlannedRun(NamedTuple):
    """A checked run, its folder if it has one, and the facts about the data that its checkpoint must match."""

    run: training_run.TrainingRun
    folder: Path | None
    facts: dict[str, str]


def _planned(
    args: argparse.Namespace, names: Sequence[str], given: Mapping[str, Any], comm: Communicator
) -> list[PlannedRun]:
    """The runs of the methods from one start, all checked before the first one starts."""
    in_order = virtual_shards(args.reduction) is not None
    if comm.size > 1 or in_order:
        share_cores(comm, 1 if in_order else None)
    cases = _loaded(args, comm)
    facts = {"data": data_sets.data_digest(cases)} if args.out or args.resume else {}
    problem = pose_problem(
        cases,
        network_arguments.network_choice(args),
        loss=args.loss,
        l2=args.l2,
        seed=args.seed,
        comm=comm,
        reduction=args.reduction,
    )
    run_progress.print_notes(problem.notes, args.quiet)
    planned = []
    for name in names:
        options = {key: value for key, value in given.items() if key in METHODS[name].options}
        run = training_run.plan_run(problem, name, args.steps, options)
        if args.resume:
            place = run_place(args, args.resume, name)
            assert place is not None
            since = run_position.load_position(
                place / checkpoint.CHECKPOINT_NAME, **training_run.run_facts(run), **facts
            )
            resumed_from = {f"step of {name}": since and since.step, f"theta of {name}": since and since.theta}
            agree(comm, **resumed_from)  # each rank reads its own file; the disks may differ
            run = training_run.plan_run(problem, name, args.steps, options, since)
        planned.append(PlannedRun(run, run_place(args, args.out, name), facts))
    return planned


def _loaded(args: argparse.Namespace, comm: Communicator) -> data_sets.DataSet:
    """The data; rank 0 downloads it if necessary while the others wait."""
    if comm.rank > 0:
        comm.barrier()
    bar = not args.quiet and sys.stderr.isatty()
    cases = data_sets.load(args.data, data_dir=args.data_dir, dtype=args.dtype, context=args.context, progress=bar)
    if comm.rank == 0:
        comm.barrier()
    return cases if args.validation is None else held_out(cases, args.validation, args.seed)


def _execute(args: argparse.Namespace, planned: PlannedRun, asked: Callable[[], int]) -> training_run.RunResult:
    """Execute the run with progress on stderr; write its files, network and figure if it has a folder."""
    run, folder, facts = planned
    writing: contextlib.AbstractContextManager[RunWriter | None] = contextlib.nullcontext()
    if folder:
        writing = RunWriter(folder, run, args.checkpoint_every, resumed_arguments.with_absolute_paths(args), **facts)
    with writing as writer, run_progress.show_progress(run, args.quiet, args.command == "train") as show:
        result = training_run.execute_run(run, show, writer, asked)
    result = result._replace(scores=run.problem.scores(result.theta))
    net = run.problem.trained(result.theta)
    if folder:
        with atomic_files.atomic_write(folder / "network.npz") as file:
            write_npz(file, network_arrays(net, result.theta))
        title = f"{run.method} on {run.problem.title}"
        run_figures.try_save_figure(lambda: run_figures.run_figure(result.history, title), folder / "run.png")
    return result
