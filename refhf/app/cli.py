"""The command line: `refhf train | compare | saddle | data | info`.

Results go to stdout (`--json`: one JSON value), progress to stderr. Exit status 0: done; 1: a check failed;
2: a mistake of the caller's, in one line; 130: interrupted.

Under `mpiexec` or `srun` all ranks run `train` and `compare`; the first speaks and writes, and does the rest alone.
"""

import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path

from refhf import checks
from refhf.app import arguments, console, data, folders, plots, runs
from refhf.app.saddle import command as saddle
from refhf.methods.minimize import METHODS, Status
from refhf.model.losses import LOSSES
from refhf.model.nonlinearities import NONLINEARITIES
from refhf.parallel import agree, end_all, launched, launched_rank, mpi, serial, share_cores
from refhf.parallel.shards import REDUCTIONS


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    argv : sequence of str, optional
        What follows `refhf`; the process's arguments if None.

    Returns
    -------
    int
        The exit status.
    """
    try:
        comm = mpi() if launched() > 1 else serial()
    except RuntimeError as error:
        return _failed(serial(), f"error: {error}", 2) if launched_rank() == 0 else 2
    try:
        with open(os.devnull, "w") as nothing, redirect_stdout(nothing if comm.rank else sys.stdout):
            _run(arguments.parse(sys.argv[1:] if argv is None else argv), comm)
    except (ValueError, OSError, MemoryError) as error:
        return _failed(comm, f"error: {str(error) or repr(error)}", 2)
    except KeyboardInterrupt:
        return _failed(comm, "interrupted; what was written is kept", 130)
    return 0


def _run(args, comm):
    if args.command in ("train", "compare"):
        (_train if args.command == "train" else _compare)(args, comm)
    elif comm.rank == 0:
        {"saddle": saddle.run, "data": _data, "info": _info}[args.command](args)


def _failed(comm, said, code):
    """Say so in a line, on one rank of those that have it to say, and end all."""
    line = " ".join(["refhf:", *said.split()])
    end_all(comm, line + (f" (rank {comm.rank})\n" if comm.rank else "\n"), code)
    print(line, file=sys.stderr)
    return code


def _train(args, comm):
    (run,) = _planned(args, [args.method], comm)
    result = _execute(args, run, args.out, lines=True)
    picture = str(Path(args.out, "run.png")) if args.out else None
    if args.json:
        print(folders.to_json(_as_dict(result, args.out)))
    else:
        _report([result], picture)


def _compare(args, comm):
    planned = _planned(args, args.methods.split(","), comm)
    if args.out:
        folders.make(Path(args.out))
    places = [Path(args.out, run.method) if args.out else None for run in planned]
    results = [_execute(args, run, place, lines=False) for run, place in zip(planned, places, strict=True)]
    picture = str(Path(args.out, "comparison.png")) if args.out else None
    if picture:
        histories = {result.run.method: result.history for result in results}
        plots.save(plots.comparison_figure(histories, planned[0].problem.title), picture)
    if args.json:
        rows = [_as_dict(*pair) for pair in zip(results, places, strict=True)]
        print(folders.to_json({"runs": rows, "picture": picture}))
    else:
        _report(results, picture)


def _planned(args, names, comm):
    """The runs of these methods from one start; every argument is checked before the data is read.

    On the ranks but the first there is no folder from here on, and no progress: `args` say so.
    """
    agree(comm, **vars(args), **folders.versions())
    if comm.rank > 0:
        args.out, args.quiet = None, True
    given = _given_options(args, names)
    checks.choice("nonlinearity", args.nonlinearity, NONLINEARITIES)
    checks.choice("dtype", args.dtype, ("float32", "float64"))
    checks.choice("reduction", args.reduction, REDUCTIONS)
    if args.loss:
        checks.choice("loss", args.loss, LOSSES)
    checks.real("l2", args.l2, low=0.0)
    if args.out:
        folders.check(args.out, args.overwrite)
    if comm.size > 1 or args.reduction == "reproducible":
        share_cores(comm, 1 if args.reduction == "reproducible" else None)
    problem = runs.pose(
        _loaded(args, comm),
        args.hidden,
        nonlinearity=args.nonlinearity,
        loss=args.loss,
        l2=args.l2,
        seed=args.seed,
        comm=comm,
        reduction=args.reduction,
    )
    default = {"curvature_batch": min(arguments.CURVATURE_BATCH, problem.objective.cases)}
    planned = []
    for name in names:
        options = {key: value for key, value in {**default, **given}.items() if key in METHODS[name].options}
        planned.append(runs.plan(problem, name, args.steps, options))
    return planned


def _loaded(args, comm):
    """The data; where it has to be downloaded, the first rank does, and the others wait."""
    if comm.rank > 0:
        comm.barrier()
    bar = not args.quiet and sys.stderr.isatty()
    cases = data.load(args.data, data_dir=args.data_dir, dtype=args.dtype, progress=bar)
    if comm.rank == 0:
        comm.barrier()
    return cases


def _given_options(args, names):
    """The options that were given; each must be known to one of the methods at least."""
    for i, name in enumerate(names):
        checks.choice("method", name, METHODS)
        if name in names[:i]:
            raise ValueError(f"methods: expected each once; got {name!r} twice")
    flags = [("curvature_batch", args.curvature_batch), ("damping", args.damping)]
    given = {}
    for name, value in [*((key, value) for key, value in flags if value is not None), *args.option]:
        if name in given:
            raise ValueError(f"{name}: expected one value; got {given[name]!r} and {value!r}")
        given[name] = value
    known = {option: METHODS[name].room.Options for name in names for option in METHODS[name].options}
    checks.option_names(given, known, ", ".join(names))
    for name, value in given.items():
        if isinstance(known[name]._field_defaults.get(name), bool) and not isinstance(value, bool):
            raise ValueError(f"{name}: expected true or false; got {value!r}")
    return given


def _execute(args, run, folder, lines):
    """The run's result, with progress on stderr and, if there is a folder, its files and its figure in it."""
    with console.progress(run, args.quiet, lines) as show:
        result = runs.execute(run, folder, show, vars(args))
    if folder:
        title = f"{run.method} on {run.problem.title}"
        plots.save(plots.run_figure(result.history, title), Path(folder, "run.png"))
    return result


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


def _report(results, picture):
    print(console.table([(result.run.method, result.history[-1]) for result in results]))
    for result in results:
        if result.status is not Status.STEPS_DONE:
            print(f"{result.run.method} ended at step {len(result.history) - 1}: {result.status.value[2]}")
    print(f"picture: {picture}" if picture else "nothing was written: --out DIR keeps history, parameters and picture")


def _data(args):
    rows = data.data_sets(data_dir=args.data_dir)
    if args.json:
        print(folders.to_json([row._asdict() for row in rows]))
        return
    for row in rows:
        print(f"{row.name:<15}{row.description}\n{'':<15}{row.source}")
    print(f"{'FILE.npz':<15}X, y and, if it has them, X_test, y_test\n{'':<15}your own")
    print(f"{'FOLDER':<15}the same as X.npy, y.npy, ..., left on disk\n{'':<15}your own")


def _info(args):
    facts = console.facts()
    print(folders.to_json(facts) if args.json else "\n".join(f"{name:<15}{value}" for name, value in facts.items()))
