"""The command line: `refhf train | compare | sweep | saddle | check | vectors | data | info`.

Results go to stdout (`--json`: one JSON value), progress to stderr. Exit status 0: done; 1: a check failed;
2: a mistake of the caller's, or a disk that is full, in one line; 130, 143: interrupted, terminated.

Under `mpiexec` or `srun` all ranks run `train` and `compare`; the first speaks and writes, and does the rest alone.
"""

import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout

from refhf.data import data_sets
from refhf.lab.cli import check_command, command_parser, run_progress, standard_streams, train_command, vectors_command
from refhf.lab.cli import saddle_command as saddle
from refhf.lab.cli import sweep_command as sweep
from refhf.lab.runs import output_folder
from refhf.parallel import end_all, launched, launched_rank, mpi, serial
from refhf.text import columns


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
    with standard_streams.forgiving_streams():
        return _main(sys.argv[1:] if argv is None else argv)


def _main(argv):
    try:
        comm = mpi() if launched() > 1 else serial()
    except RuntimeError as error:
        return _failed(serial(), f"error: {error}", 2) if launched_rank() == 0 else 2
    try:
        with open(os.devnull, "w") as nothing, redirect_stdout(nothing if comm.rank else sys.stdout):
            status = _run(command_parser.parse_command(argv), comm) or 0
            sys.stdout.flush()
            return status
    except (ValueError, OSError, MemoryError) as error:
        return _failed(comm, f"error: {str(error) or repr(error)}", 2)
    except KeyboardInterrupt:
        return _failed(comm, "interrupted; what was written is kept", 130)


def _run(args, comm):
    """Run the command; 1 where a check failed."""
    if args.command in ("train", "compare"):
        return train_command.run(args, comm)
    if comm.rank == 0:
        commands = {
            "sweep": sweep.run_sweep_command,
            "saddle": saddle.run_saddle_command,
            "check": check_command.run_check_command,
            "vectors": vectors_command.run_vectors_command,
            "data": _data,
            "info": _info,
        }
        return commands[args.command](args)
    return None


def _failed(comm, said, code):
    """Say so in a line, on one rank of those that have it to say, and end all."""
    line = " ".join(["refhf:", *said.split()])
    end_all(comm, line + (f" (rank {comm.rank})\n" if comm.rank else "\n"), code)
    print(line, file=sys.stderr)
    return code


def _data(args):
    rows = data_sets.list_data_sets(data_dir=args.data_dir)
    if args.json:
        print(output_folder.to_json([row._asdict() for row in rows]))
        return
    own = [
        ("FILE.npz", "X, y (or X_train, x_train ..) and, if it has them, X_test, y_test"),
        ("FOLDER", "the same as X.npy, y.npy, ..., left on disk"),
    ]
    told = [*rows, *((name, what, "your own") for name, what in own)]
    print(*columns([line for name, what, source in told for line in ((name, what), ("", source))], 2), sep="\n")


def _info(args):
    facts = run_progress.machine_facts()
    print(output_folder.to_json(facts) if args.json else "\n".join(columns(facts.items(), 2)))
