"""Ctrl-C and a polite kill: the step in hand is finished first, on all ranks the same.

MPICH's `mpiexec` passes both signals on to every rank; a batch system may signal one rank alone, or the launcher and
the ranks at once, which the ranks then get twice. Not promised: what a second Ctrl-C (upon which `mpiexec` kills the
ranks) or a SIGKILL leaves is the last checkpoint, which may be some steps old.
"""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

import numpy as np

SIGNALS = signal.SIGINT, signal.SIGTERM


@contextlib.contextmanager
def finish_step_on_signal(comm) -> Iterator[Callable[[], int]]:
    """Within it the first SIGINT or SIGTERM is kept; after it SIGINT raises KeyboardInterrupt, SIGTERM does nothing.

    What it gives is a function to call between two steps, on all ranks: the largest signal that any has got, or 0.
    Outside the main thread, which alone gets signals, nothing is changed.
    """
    got = []

    def keep(number, frame):
        if got and number == signal.SIGINT:
            raise KeyboardInterrupt
        got.append(number)

    def asked():
        return int(max(x[0] for x in comm.gather(np.array([max(got, default=0)]))))

    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.signal(number, keep) for number in SIGNALS}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
