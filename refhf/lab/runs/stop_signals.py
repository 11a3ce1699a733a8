"""SIGINT and SIGTERM: finish the current step on all ranks, then stop.

MPICH's `mpiexec` passes both signals to every rank. A batch system may signal one rank, or the launcher and the ranks,
so that ranks receive a signal twice. A second Ctrl-C (after which `mpiexec` kills the ranks) or SIGKILL leaves the last
checkpoint, which may be some steps old.
"""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

import numpy as np

SIGNALS = signal.SIGINT, signal.SIGTERM


@contextlib.contextmanager
def finish_step_on_signal(comm) -> Iterator[Callable[[], int]]:
    """Record the first SIGINT or SIGTERM instead of stopping; a second SIGINT raises KeyboardInterrupt.

    Yields a function that all ranks call between two steps. It returns the largest signal number that any rank
    received, or 0. Outside the main thread, which alone receives signals, nothing is changed.
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
