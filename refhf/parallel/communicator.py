"""Communicators: a rank, a size, and five calls that all ranks make together.

Buffers only: contiguous arrays in and out (mpi4py's upper-case calls), nothing is pickled. Every call is counted.
`serial` is one rank; `refhf.parallel.mpi` are the processes that `mpiexec` or `srun` started, of which any mpi4py
intracommunicator is a part; `refhf.parallel.in_process` are threads. What a rank does between two calls depends on its
number only through its cases.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from refhf.model.blocks import Array


class Traffic(NamedTuple):
    """The communication of a rank so far; nothing on one rank.

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
    abort: Callable[[int], object] | None = None

    def __init__(self) -> None:
        self.traffic = Traffic()

    def __deepcopy__(self, memo: Any) -> "Communicator":
        """Itself: a copy of what ranks share is shared by them too."""
        return self

    def sum(self, x: Array) -> Array:
        """Overwrite x (any shape) with its sum over the ranks, the same bits on every rank, and return it."""
        return self._counted(x, x.nbytes, self._sum, _buffer(x))

    def broadcast(self, x: Array, root: int = 0) -> Array:
        """Overwrite x (any shape) with that of rank `root`, and return it."""
        return self._counted(x, x.nbytes, self._broadcast, _buffer(x), root)

    def gather(self, x: Array, lengths: ArrayLike | None = None) -> tuple[Array, ...]:
        """The x (n,) of every rank, on every rank, in their order; `lengths` are the ranks' n if they differ."""
        lengths = np.full(self.size, x.size) if lengths is None else np.asarray(lengths)
        if self.size == 1:
            return (x,)
        everyones = np.empty(lengths.sum(), x.dtype)
        self._counted(everyones, everyones.nbytes, self._gather, _buffer(x), everyones, lengths)
        return tuple(np.split(everyones, np.cumsum(lengths)[:-1]))

    def exchange(self, x: Array) -> Array:
        """Row j of x (size, n) for rank j; the rows (size, n) that the ranks had for this one, in their order."""
        received = np.empty_like(_buffer(x))
        return self._counted(received, x.nbytes, self._exchange, x, received) if self.size > 1 else x

    def barrier(self) -> None:
        """Wait for all ranks."""
        self._counted(None, 0, self._barrier)

    def _counted(self, result: Any, size: int, call: Callable[..., None], *args: Any) -> Any:
        if self.size > 1:
            begin = time.perf_counter()
            call(*args)
            calls, total, seconds = self.traffic
            self.traffic = Traffic(calls + 1, total + size, seconds + time.perf_counter() - begin)
        return result

    def _sum(self, x: Any) -> None: ...

    def _broadcast(self, x: Any, root: int) -> None: ...

    def _gather(self, x: Any, everyones: Any, lengths: Any) -> None: ...

    def _exchange(self, x: Any, received: Any) -> None: ...

    def _barrier(self) -> None: ...


def _buffer(x: Any) -> Array:
    if not (isinstance(x, np.ndarray) and x.flags.c_contiguous):
        raise ValueError(f"x: expected a contiguous array, as a buffer; got {type(x).__name__}")
    return x


def serial() -> Communicator:
    """The communicator of a single process."""
    return Communicator()


class MPICommunicator(Communicator):
    """The processes of an mpi4py intracommunicator. Made by `refhf.parallel.mpi` and `as_communicator`."""

    def __init__(self, comm: Any):
        super().__init__()
        self._comm, self.rank, self.size, self.abort = comm, comm.rank, comm.size, comm.Abort

    def _sum(self, x: Any) -> None:
        """One all-reduce.

        Its result has the same bits on every rank in the algorithms in use (each component is either made once and
        sent to all, or made everywhere of the same pairs, and x + y = y + x); MPI only recommends it, so
        `refhf.parallel.reduction` checks.
        """
        self._comm.Allreduce(None, x)  # None is MPI.IN_PLACE; MPI.SUM is the default

    def _broadcast(self, x: Any, root: int) -> None:
        self._comm.Bcast(x, root)

    def _gather(self, x: Any, everyones: Any, lengths: Any) -> None:
        self._comm.Allgatherv(x, [everyones, lengths])

    def _exchange(self, x: Any, received: Any) -> None:
        self._comm.Alltoall(x, received)

    def _barrier(self) -> None:
        self._comm.Barrier()
