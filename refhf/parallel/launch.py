"""Start and end of a job: ranks find each other, agree on their arguments, share the cores, and end together."""

import hashlib
import os
import socket
import sys
import time
import traceback
import zlib
from contextlib import contextmanager
from typing import Any

import numpy as np

from refhf.parallel.communicator import Communicator, MPICommunicator, serial

GRACE = 1.0  # seconds that the other ranks leave rank 0 to speak first, if it has the same to say; our choice
FORWARDING = 0.3  # seconds that a launcher gets to pass on what was said: an abort can overtake it; our choice
SHOWN = 80  # characters of a fact in a message; our choice
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")  # what a user sets to decide alone


# Where launchers tell a process how many they started: MPICH's and Intel's, Open MPI's, MVAPICH's, Slurm's srun.
LAUNCHERS = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")
RANKS = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK", "SLURM_PROCID")


def launched() -> int:
    """The number of processes that the launcher says it started; 1 without a launcher."""
    return max((int(os.environ[name]) for name in LAUNCHERS if os.environ.get(name, "").isdecimal()), default=1)


def launched_rank() -> int:
    """The number of this process among the launcher's; 0 without a launcher. For code that has no communicator."""
    return max((int(os.environ[name]) for name in RANKS if os.environ.get(name, "").isdecimal()), default=0)


def mpi(required: bool = False) -> Communicator:
    """The communicator of all processes that a launcher started, through mpi4py, which is loaded now.

    From here on an exception that nobody catches on any rank ends the whole job (`abort_on_exception`).

    Parameters
    ----------
    required : bool
        Whether there must be MPI. If not, and no launcher started several processes, one process without mpi4py,
        or with one that finds no MPI library, is `serial`.

    Raises
    ------
    RuntimeError
        If ranks were asked for and there is no mpi4py, no library for it, or another MPI's than the launcher.
    """
    asked = launched()
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        if required or asked > 1:
            many = f"{asked} ranks" if asked > 1 else "MPI"
            raise RuntimeError(
                f"mpi: {many} asked for, which needs mpi4py and an MPI library "
                f"(pip install 'refhf[mpi]'); got {type(error).__name__}: {error}"
            ) from error
        return serial()
    comm = MPICommunicator(MPI.COMM_WORLD)
    if comm.size < asked:
        raise RuntimeError(
            f"mpi: the launcher started {asked} processes, of which mpi4py's library sees {comm.size}: "
            f"they belong to different MPIs ({MPI.get_vendor()[0]} here)"
        )
    if comm.size > 1:
        abort_on_exception(comm)
    return comm


def as_communicator(comm: Any) -> Communicator:
    """`comm` as it is used here: None is one rank, and any mpi4py intracommunicator will do.

    Over several ranks of mpi4py's, an exception that nobody catches on any of them ends them all, as with `mpi`; not
    where the caller has a hook for such exceptions.

    Raises
    ------
    ValueError
        For anything else: an intercommunicator, or a null one, as a rank has that is in no part of a split.

    Examples
    --------
    >>> as_communicator(None).size
    1
    """
    if comm is None:
        return serial()
    if isinstance(comm, Communicator):
        return comm
    library = sys.modules.get("mpi4py.MPI")  # it is loaded if comm is one of its communicators
    if library is None or not isinstance(comm, library.Intracomm) or comm == library.COMM_NULL:
        raise ValueError(
            "comm: expected None, a communicator of refhf.parallel or an mpi4py intracommunicator that is not null; "
            f"got {comm!r}"
        )
    if comm.size == 1:
        return serial()
    ranks = MPICommunicator(comm)
    if sys.excepthook is sys.__excepthook__:
        abort_on_exception(ranks)
    return ranks


def agree(comm: Any, **facts: Any) -> None:
    """Make sure that all ranks were given the same, at the cost of one gathered number a rank.

    Parameters
    ----------
    comm : Communicator, or mpi4py's
    **facts
        Arrays, compared by shape, dtype and bytes, and anything else, compared by its repr.

    Raises
    ------
    ValueError
        On every rank, saying which facts differ, what they are and on which ranks.

    Examples
    --------
    >>> from refhf.parallel import run
    >>> run(3, lambda comm: agree(comm, seed=7 if comm.rank == 1 else 0, steps=10))
    Traceback (most recent call last):
    ValueError: ranks: expected the same seed on all; got 0 on rank 0, 2, 7 on rank 1
    """
    comm = as_communicator(comm)
    if comm.size == 1:
        return
    said = {name: _said(fact) for name, fact in facts.items()}
    digest = hashlib.blake2b(repr(sorted(said.items())).encode(), digest_size=8).digest()
    if len({int(d[0]) for d in comm.gather(np.frombuffer(digest, np.int64))}) == 1:
        return
    everyones = [dict(line.split("=", 1) for line in text.splitlines()) for text in _texts(comm, said)]
    complaints: list[str] = []
    for name in sorted({name for one in everyones for name in one}):
        ranks: dict[str, list[str]] = {}
        for rank, one in enumerate(everyones):
            ranks.setdefault(one.get(name, "nothing"), []).append(str(rank))
        if len(ranks) > 1:
            got = ", ".join(f"{value[:SHOWN]} on rank {', '.join(ranks[value])}" for value in ranks)
            complaints.append(f"expected the same {name} on all; got {got}")
    raise ValueError("ranks: " + "; ".join(complaints))


def _said(fact: Any) -> str:
    if isinstance(fact, np.ndarray):
        digest = hashlib.blake2b(np.ascontiguousarray(fact).tobytes(), digest_size=8).hexdigest()
        return f"{fact.dtype} of shape {fact.shape}, digest {digest}"
    return " ".join(repr(fact).splitlines())


def _texts(comm: Communicator, said: dict[str, str]) -> list[str]:
    text = np.frombuffer("\n".join(f"{name}={value}" for name, value in said.items()).encode(), np.uint8)
    lengths = [int(n[0]) for n in comm.gather(np.array([text.size]))]
    return [bytes(x).decode() for x in comm.gather(text, lengths)]


@contextmanager
def guard(comm: Any):
    """Within it, an exception on any rank is printed with the rank's number and ends all ranks, with its exit code.

    Without it, and without `refhf.parallel.mpi`'s hook, the other processes would wait for ever in their next call.
    It does what the hook does, for SystemExit too, and where exceptions do not reach the interpreter. Where
    exceptions are enough (one rank, threads) it does nothing.
    """
    comm = as_communicator(comm)
    try:
        yield
    except BaseException as error:
        end_job(comm, error)
        raise


def end_job(comm: Any, error: BaseException) -> None:
    """Say what happened on this rank and end all of them; nothing where the exception itself will do."""
    code = error.code if isinstance(error, SystemExit) else 130 if isinstance(error, KeyboardInterrupt) else 1
    if isinstance(error, SystemExit):
        said = "" if isinstance(code, int) else f"{code}\n"
    else:
        said = f"rank {comm.rank} of {comm.size}:\n" + "".join(traceback.format_exception(error))
    if code not in (0, None):
        end_all(comm, said, code if isinstance(code, int) else 1)


def end_all(comm: Any, said: str, code: int) -> None:
    """Say so on stderr and end all ranks with this exit code; nothing where there are no other processes.

    An error that all ranks have (a bad argument) is said once: rank 0 ends the job before the others speak.
    """
    comm = as_communicator(comm)
    if comm.abort is None or comm.size == 1:
        return
    if comm.rank > 0:
        time.sleep(GRACE)
    print(said, end="", file=sys.stderr, flush=True)
    time.sleep(FORWARDING)
    comm.abort(code)
    os._exit(code)  # MPICH's Abort can return


def abort_on_exception(comm: Any) -> None:
    """From now on, an exception that reaches the interpreter on this rank ends all ranks (plain `python` will do)."""

    def hook(kind, error, trace):
        end_job(comm, error)

    sys.excepthook = hook


def share_cores(comm: Any, most: int | None = None) -> int | None:
    """Limit BLAS, and with it the threads of a sweep, to cores / ranks of this node, and return that number.

    Ranks that a launcher has bound to cores of their own share them with nobody; none gets more than `most`.
    Nothing is done, and None returned, where an environment variable has decided or threadpoolctl is not installed.
    """
    comm = as_communicator(comm)
    mine = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    place = np.array([zlib.crc32(repr((socket.gethostname(), mine)).encode())])
    sharing = sum(int(other[0]) == int(place[0]) for other in comm.gather(place))
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return None
    if any(name in os.environ for name in THREADS):
        return None
    threads = min(max(1, len(mine) // sharing), most or len(mine))
    threadpool_limits(threads, user_api="blas")
    return threads
