"""`refhf train` and `refhf compare`: from arguments to runs, on whatever ranks there are, and what is said of them."""

import contextlib
import shlex
import sys
from pathlib import Path
from typing import NamedTuple

from refhf import checks
from refhf.data import data_sets
from refhf.driver.minimize import Status
from refhf.driver.registry import METHODS
from refhf.lab.cli import command_parser, resumed_arguments, run_progress
from refhf.lab.plots import run_figures
from refhf.lab.runs import checkpoint, output_folder, run_position, stop_signals, training_run
from refhf.lab.runs.run_writer import RunWriter
from refhf.lab.runs.training_problem import pose_problem
from refhf.parallel import agree, share_cores
from refhf.parallel.shards import REDUCTIONS


def run(args, comm) -> int:
    """Run the command; the exit status. On the ranks but the first nothing is written and no progress shown.

    Raises
    ------
    ValueError, OSError
        For an argument, a file or a folder that will not do, before the first step; OSError later if the disk is full.
    """
    agree(comm, **vars(args), **output_folder.versions())
    names = [args.method] if args.command == "train" else args.methods
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
        _report(args, results)
        return 128 + asked() if results[-1].status is Status.INTERRUPTED else 0


def _checked(args, names):
    """The options that were given; ValueError for a name that is unknown, or a setting out of range."""
    given = _given_options(args, names)
    command_parser.check_problem(args)
    checks.choice("reduction", args.reduction, REDUCTIONS)
    return given


def _given_options(args, names):
    """The options that were given; each must be known to one of the methods at least."""
    for i, name in enumerate(names):
        checks.choice("method", name, METHODS)
        if name in names[:i]:
            raise ValueError(f"methods: expected each once; got {name!r} twice")
    flags = [("curvature_batch", args.curvature_batch), ("damping", args.damping)]
    given = command_parser.unique_options([*((key, value) for key, value in flags if value is not None), *args.option])
    known = {option: METHODS[name].room.Options for name in names for option in METHODS[name].options}
    checks.option_names(given, known, ", ".join(names))
    for name, value in given.items():
        if isinstance(known[name]._field_defaults.get(name), bool) and not isinstance(value, bool):
            raise ValueError(f"{name}: expected true or false; got {value!r}")
    return given


@contextlib.contextmanager
def _new_folder(args):
    """The output folder, made and locked; that of a comparison is emptied of an earlier one."""
    folder = Path(args.out)
    output_folder.make_folder(folder)
    with checkpoint.locked(folder):
        output_folder.check_folder(folder, args.overwrite)
        if args.command == "compare":
            for place in (folder, *(folder / name for name in METHODS)):  # of an earlier comparison, with other methods
                output_folder.empty_folder(place)
        yield


class Planned(NamedTuple):
    """A run, the folder it has, if it has one, and what its checkpoint is held to besides the run's facts."""

    run: training_run.TrainingRun
    folder: Path | None
    facts: dict


def _planned(args, names, given, comm) -> list[Planned]:
    """The runs of these methods from one start, all checked before the first begins."""
    if comm.size > 1 or args.reduction == "reproducible":
        share_cores(comm, 1 if args.reduction == "reproducible" else None)
    cases = _loaded(args, comm)
    facts = {"data": data_sets.data_digest(cases)} if args.out or args.resume else {}
    problem = pose_problem(
        cases,
        args.hidden,
        nonlinearity=args.nonlinearity,
        loss=args.loss,
        l2=args.l2,
        seed=args.seed,
        comm=comm,
        reduction=args.reduction,
    )
    run_progress.print_notes(problem.notes, args.quiet)
    default = {"curvature_batch": min(command_parser.CURVATURE_BATCH, problem.objective.cases)}
    planned = []
    for name in names:
        options = {key: value for key, value in {**default, **given}.items() if key in METHODS[name].options}
        run = training_run.plan_run(problem, name, args.steps, options)
        if args.resume:
            path = _place(args, args.resume, name) / checkpoint.CHECKPOINT_NAME
            since = run_position.load_position(path, **training_run.run_facts(run), **facts)
            told = {f"step of {name}": since and since.step, f"theta of {name}": since and since.theta}
            agree(comm, **told)  # each rank has read a file, which on another's disk may be another
            run = training_run.plan_run(problem, name, args.steps, options, since)
        planned.append(Planned(run, _place(args, args.out, name), facts))
    return planned


def _place(args, folder, name):
    """Where a run's files are: in the folder, or in the comparison's subfolder of the method's name."""
    return folder and (Path(folder) if args.command == "train" else Path(folder, name))


def _loaded(args, comm):
    """The data; where it has to be downloaded, the first rank does, and the others wait."""
    if comm.rank > 0:
        comm.barrier()
    bar = not args.quiet and sys.stderr.isatty()
    cases = data_sets.load(args.data, data_dir=args.data_dir, dtype=args.dtype, progress=bar)
    if comm.rank == 0:
        comm.barrier()
    return cases


def _execute(args, planned: Planned, asked) -> training_run.RunResult:
    """The run's result, with progress on stderr and, if there is a folder, its files and its figure in it."""
    run, folder, facts = planned
    keeping = contextlib.nullcontext()
    if folder:
        keeping = RunWriter(folder, run, args.checkpoint_every, resumed_arguments.with_absolute_paths(args), **facts)
    with keeping as keeper, run_progress.show_progress(run, args.quiet, args.command == "train") as show:
        result = training_run.execute_run(run, show, keeper, asked)
    if folder:
        title = f"{run.method} on {run.problem.title}"
        run_figures.try_save_figure(lambda: run_figures.run_figure(result.history, title), folder / "run.png")
    return result


def _report(args, results):
    """The results on stdout."""
    picture = args.out and _picture(args, results)
    if args.json:
        rows = [_as_dict(result, _place(args, args.out, result.run.method)) for result in results]
        print(output_folder.to_json(rows[0] if args.command == "train" else {"runs": rows, "picture": picture}))
        return
    print(run_progress.results_table([(result.run.method, result.history[-1]) for result in results]))
    for result in results:
        if result.status is not Status.STEPS_DONE:
            print(f"{result.run.method} ended at step {len(result.history) - 1}: {result.status.value[2]}")
    if results[-1].status is Status.INTERRUPTED:
        print(f"refhf {args.command} --resume {shlex.quote(args.out)} goes on with it")
    if args.out:
        print(f"picture: {picture}" if picture else f"written, without a picture: {args.out}")
    else:
        print("nothing was written: --out DIR keeps history, parameters and picture")


def _picture(args, results):
    """Where the run's picture is, or the comparison's, which is drawn now; None if it could not be drawn."""
    if args.command == "train":
        path = Path(args.out, "run.png")
        return str(path) if path.exists() else None
    histories = {result.run.method: result.history for result in results}
    title = results[0].run.problem.title
    return run_figures.try_save_figure(
        lambda: run_figures.comparison_figure(histories, title), Path(args.out, "comparison.png")
    )


def _as_dict(result, where):
    run = result.run
    return {
        "method": run.method,
        "options": run.options,
        "status": result.status.name.lower().replace("_", " "),
        "final": result.history[-1],
        "history": result.history,
        "out": None if where is None else str(where),
    }
