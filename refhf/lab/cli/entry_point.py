"""The command line: `refhf train | compare | sweep | predict | saddle | classroom | lesson | check | vectors | ...`.

Results go to stdout (`--json`: one JSON value), progress to stderr. Exit status 0: done; 1: a check failed;
2: wrong usage or a full disk, reported in one line; 130, 143: interrupted, terminated.

Under `mpiexec` or `srun` all ranks run `train` and `compare`; only rank 0 prints and writes. Rank 0 runs the other
commands alone.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout

from refhf.lab.cli import command_parser, standard_streams
from refhf.lab.cli.check_command import run_check_command
from refhf.lab.cli.classroom_command import run_classroom_command
from refhf.lab.cli.compare_command import run_compare_command
from refhf.lab.cli.data_command import run_data_command
from refhf.lab.cli.info_command import run_info_command
from refhf.lab.cli.lesson_command import run_lesson_command
from refhf.lab.cli.predict_command import run_predict_command
from refhf.lab.cli.saddle_command import run_saddle_command
from refhf.lab.cli.site_command import run_site_command
from refhf.lab.cli.sweep_command import run_sweep_command
from refhf.lab.cli.train_command import run_train_command
from refhf.lab.cli.vectors_command import run_vectors_command
from refhf.parallel import end_all, launched, launched_rank, mpi, serial
from refhf.parallel.communicator import Communicator

RANK_COMMANDS: dict[str, Callable[[argparse.Namespace, Communicator], int]] = {
    "train": run_train_command,
    "compare": run_compare_command,
}
COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "sweep": run_sweep_command,
    "predict": run_predict_command,
    "saddle": run_saddle_command,
    "classroom": run_classroom_command,
    "lesson": run_lesson_command,
    "site": run_site_command,
    "check": run_check_command,
    "vectors": run_vectors_command,
    "data": run_data_command,
    "info": run_info_command,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    argv : sequence of str, optional
        The words after `refhf`; the process's arguments if None.

    Returns
    -------
    int
        The exit status.
    """
    with standard_streams.forgiving_streams():
        return _main(sys.argv[1:] if argv is None else argv)


def _main(argv: Sequence[str]) -> int:
    try:
        comm = mpi() if launched() > 1 else serial()
    except RuntimeError as error:
        return _failed(serial(), f"error: {error}", 2) if launched_rank() == 0 else 2
    try:
        with open(os.devnull, "w") as nothing, redirect_stdout(nothing if comm.rank else sys.stdout):
            status = _run(command_parser.parse_command(argv), comm)
            sys.stdout.flush()
            return status
    except (ValueError, OSError, MemoryError) as error:
        return _failed(comm, f"error: {str(error) or repr(error)}", 2)
    except KeyboardInterrupt:
        return _failed(comm, "interrupted; files written so far remain", 130)


def _run(args: argparse.Namespace, comm: Communicator) -> int:
    """Run the command and return its exit status."""
    if args.command in RANK_COMMANDS:
        return RANK_COMMANDS[args.command](args, comm)
    return COMMANDS[args.command](args) if comm.rank == 0 else 0


def _failed(comm: Communicator, message: str, code: int) -> int:
    """Print the message in one line, on one of the ranks that failed, and end all ranks."""
    line = " ".join(["refhf:", *message.split()])
    end_all(comm, line + (f" (rank {comm.rank})\n" if comm.rank else "\n"), code)
    print(line, file=sys.stderr)
    return code
