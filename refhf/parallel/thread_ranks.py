"""Ranks as threads of one process: any number of them, for tests and for teaching.

They take turns in Python and share the cores in NumPy, so they show what is communicated and not how fast.
"""

import functools
import threading
from collections.abc import Callable

import numpy as np

from refhf import checks
from refhf.parallel.communicator import Communicator


class PartedError(RuntimeError):
    """A rank waits in a call that the others will not make."""


class _Table:
    """Where the ranks meet: each lays down its piece, the last to come combines them, all take the result."""

    def __init__(self, size):
        self.size, self.pieces, self.meetings, self.result, self.absent = size, {}, 0, None, {}
        self.condition = threading.Condition()

    def meet(self, rank, call, piece, combine):
        """combine([pieces in the order of the ranks]) for the ranks that all make this `call`."""
        with self.condition:
            meeting = self.meetings
            self.pieces[rank] = call, piece
            if len(self.pieces) == self.size:
                self.result = self._combined(combine)
                self.pieces, self.meetings = {}, meeting + 1
                self.condition.notify_all()
            self.condition.wait_for(lambda: self.meetings > meeting or self.absent)
            if self.meetings == meeting:
                ((gone, why), *_) = self.absent.items()
                raise PartedError(f"rank {rank} waits in {call}, but rank {gone} {why}")
            if isinstance(self.result, Exception):
                raise self.result
            return self.result

    def leave(self, rank, why):
        """Say that a rank comes no more: who waits for it, now or later, waits in vain."""
        with self.condition:
            self.absent[rank] = why
            self.condition.notify_all()

    def _combined(self, combine):
        calls = {rank: call for rank, (call, _) in sorted(self.pieces.items())}
        if len(set(calls.values())) > 1:
            met = ", ".join(f"rank {rank} in {call}" for rank, call in calls.items())
            return PartedError(f"ranks met in different calls: {met}")
        return combine([self.pieces[rank][1] for rank in range(self.size)])


class ThreadCommunicator(Communicator):
    """A thread among others. Made by `in_process`."""

    def __init__(self, rank, table):
        super().__init__()
        self.rank, self.size, self._table = rank, table.size, table

    def leave(self, why: str = "has returned"):
        """Say that this rank makes no more calls: a rank that waits for it raises `PartedError` and does not hang."""
        self._table.leave(self.rank, why)

    def _sum(self, x):
        x[...] = self._meet("sum", x, lambda pieces: functools.reduce(np.add, pieces))

    def _broadcast(self, x, root):
        x[...] = self._meet("broadcast", x, lambda pieces: pieces[root].copy())

    def _gather(self, x, everyones, lengths):
        everyones[...] = self._table.meet(self.rank, "gather", x, np.concatenate)

    def _exchange(self, x, received):
        received[...] = self._meet("exchange", x, np.array)[:, self.rank]

    def _barrier(self):
        self._table.meet(self.rank, "barrier", None, len)

    def _meet(self, call, x, combine):
        return self._table.meet(self.rank, f"{call} of {x.dtype} {x.shape}", x, combine)


def in_process(n: int) -> tuple[ThreadCommunicator, ...]:
    """Communicators of n ranks, to be given to n threads."""
    table = _Table(checks.positive_integer("n", n))
    return tuple(ThreadCommunicator(rank, table) for rank in range(n))


def run(n: int, function: Callable) -> list:
    """Call function(comm) on n ranks, each a thread, and return their results in the order of the ranks.

    The first exception is raised again, once all have ended: ranks that wait for the one that failed, or for one
    that has returned, raise `PartedError`, so nothing hangs.

    Examples
    --------
    >>> import numpy as np
    >>> run(3, lambda comm: int(comm.sum(np.array([10 ** comm.rank]))[0]))
    [111, 111, 111]
    >>> run(2, lambda comm: comm.barrier() if comm.rank else None)
    Traceback (most recent call last):
    refhf.parallel.thread_ranks.PartedError: rank 1 waits in barrier, but rank 0 has returned
    """
    results, errors = [None] * n, []

    def work(comm):
        try:
            results[comm.rank] = function(comm)
            comm.leave()
        except BaseException as error:  # raised again below
            errors.append(error)
            comm.leave(f"has raised {type(error).__name__}: {error}")

    threads = [threading.Thread(target=work, args=[comm], daemon=True) for comm in in_process(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results
