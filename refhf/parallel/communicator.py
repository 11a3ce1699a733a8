"""Communicators: a rank, a size, and five calls that all ranks make together.

Buffers only: contiguous arrays in and out (mpi4py's upper-case calls), nothing is pickled. Every call is counted.
`serial` is one rank; `mpi` are the processes that `mpiexec` or `srun` started; `refhf.parallel.in_process` are
threads. What a rank does between two calls depends on its number only through its cases.
"""

import os
import time
from typing import NamedTuple

import numpy as np

from refhf.parallel.launch import abort_on_exception


class Traffic(NamedTuple):
    """What a rank has communicated so far; nothing on one rank.

    Attributes
    ----------
    calls : int
    bytes : int
        Of the results that the calls made known to this rank: a sum, a broadcast vector, all that was gathered or
        exchanged.
        How many times an algorithm sends them is the network's affair (`refhf.parallel.cost_model`).
    seconds : float
        In the calls, waiting for the other ranks included.
    """

    calls: int = 0
    bytes: int = 0
    seconds: float = 0.0


class Communicator:
    """One rank, for which every call is the identity and none is counted; the base of the others.

    Attributes
    ----------
    rank, size : int
        0 .. size - 1, and how many there are.
    traffic : Traffic
    abort : callable or None
        code -> ends all ranks at once, where an exception does not.
    """

    rank, size = 0, 1
    abort = None

    def __init__(self):
        self.traffic = Traffic()

    def sum(self, x):
        """Overwrite x (any shape) with its sum over the ranks, the same bits on every rank, and return it."""
        return self._counted(x, x.nbytes, self._sum, _buffer(x))

    def broadcast(self, x, root: int = 0):
        """Overwrite x (any shape) with that of rank `root`, and return it."""
        return self._counted(x, x.nbytes, self._broadcast, _buffer(x), root)

    def gather(self, x, lengths=None) -> tuple:
        """The x (n,) of every rank, on every rank, in their order; `lengths` are the ranks' n if they differ."""
        lengths = np.full(self.size, x.size) if lengths is None else np.asarray(lengths)
        if self.size == 1:
            return (x,)
        everyones = np.empty(lengths.sum(), x.dtype)
        self._counted(everyones, everyones.nbytes, self._gather, _buffer(x), everyones, lengths)
        return tuple(np.split(everyones, np.cumsum(lengths)[:-1]))

    def exchange(self, x):
        """Row j of x (size, n) for rank j; the rows (size, n) that the ranks had for this one, in their order."""
        received = np.empty_like(_buffer(x))
        return self._counted(received, x.nbytes, self._exchange, x, received) if self.size > 1 else x

    def barrier(self):
        """Wait for all ranks."""
        self._counted(None, 0, self._barrier)

    def _counted(self, result, size, call, *args):
        if self.size > 1:
            begin = time.perf_counter()
            call(*args)
            calls, total, seconds = self.traffic
            self.traffic = Traffic(calls + 1, total + size, seconds + time.perf_counter() - begin)
        return result

    def _sum(self, x): ...

    def _broadcast(self, x, root): ...

    def _gather(self, x, everyones, lengths): ...

    def _exchange(self, x, received): ...

    def _barrier(self): ...


def _buffer(x):
    if not (isinstance(x, np.ndarray) and x.flags.c_contiguous):
        raise ValueError(f"x: expected a contiguous array, as a buffer; got {type(x).__name__}")
    return x


def serial() -> Communicator:
    """The communicator of a single process."""
    return Communicator()


class MPICommunicator(Communicator):
    """The processes of MPI_COMM_WORLD. Made by `mpi`."""

    def __init__(self, library):
        super().__init__()
        self._library, self._world = library, library.COMM_WORLD
        self.rank, self.size, self.abort = self._world.rank, self._world.size, self._world.Abort

    def _sum(self, x):
        """One all-reduce.

        Its result has the same bits on every rank in the algorithms in use (each component is either made once and
        sent to all, or made everywhere of the same pairs, and x + y = y + x); MPI only recommends it, so
        `refhf.parallel.reduction` checks.
        """
        self._world.Allreduce(self._library.IN_PLACE, x, self._library.SUM)

    def _broadcast(self, x, root):
        self._world.Bcast(x, root)

    def _gather(self, x, everyones, lengths):
        self._world.Allgatherv(x, [everyones, lengths])

    def _exchange(self, x, received):
        self._world.Alltoall(x, received)

    def _barrier(self):
        self._world.Barrier()


# Where launchers tell a process how many they started: MPICH's and Intel's, Open MPI's, MVAPICH's, Slurm's srun.
LAUNCHERS = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")
RANKS = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK", "SLURM_PROCID")


def launched() -> int:
    """How many processes the launcher says it started; 1 without a launcher."""
    return max((int(os.environ[name]) for name in LAUNCHERS if os.environ.get(name, "").isdecimal()), default=1)


def launched_rank() -> int:
    """Which of the launcher's processes this is; 0 without a launcher. For those that cannot have a communicator."""
    return max((int(os.environ[name]) for name in RANKS if os.environ.get(name, "").isdecimal()), default=0)


def mpi(required: bool = False) -> Communicator:
    """The communicator of all processes that a launcher started, through mpi4py, which is loaded now.

    From here on an exception that nobody catches on any rank ends the whole job (`refhf.parallel.launch`).

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
    comm = MPICommunicator(MPI)
    if comm.size < asked:
        raise RuntimeError(
            f"mpi: the launcher started {asked} processes, of which mpi4py's library sees {comm.size}: "
            f"they belong to different MPIs ({MPI.get_vendor()[0]} here)"
        )
    if comm.size > 1:
        abort_on_exception(comm)
    return comm
