"""Several processes for the runs of a sweep."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection
from typing import Any

from refhf.lab.runs.stop_signals import SIGNALS

POLL = 0.1  # seconds between two looks at `asked`; our choice
_mine: dict[str, Any] = {}  # of a worker: its work, and whether it is asked to stop


def in_processes(
    work: Callable[[Any, Callable[[], object]], Any],
    items: Sequence[Any],
    processes: int,
    asked: Callable[[], object] = lambda: 0,
) -> Iterator[tuple[int, Any]]:
    """Yield (place of the item, work(item, asked there)) as they are done, by new processes.

    Once `asked` is true here, it is true there; no further item is begun. A script that calls this needs the usual
    `if __name__ == "__main__":`.

    Raises
    ------
    OSError
        If a process was killed.
    """
    context = multiprocessing.get_context("spawn")  # a copy of a process with BLAS threads may hang
    stop = context.Event()
    with futures.ProcessPoolExecutor(min(processes, len(items)), context, _begin, (work, stop)) as pool:
        waiting = {pool.submit(_do, item): i for i, item in enumerate(items)}
        try:
            while waiting:
                if not stop.is_set() and asked():
                    stop.set()
                    waiting = {one: i for one, i in waiting.items() if not one.cancel()}
                for done in futures.wait(waiting, POLL, futures.FIRST_COMPLETED).done:
                    yield waiting.pop(done), done.result()
        except BrokenProcessPool as error:
            raise OSError("a process of the sweep was killed; the same command resumes the sweep") from error
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)


def _begin(work, stop):
    """Prepare a worker: it leaves signals to its parent, and ends with it."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    _mine.update(work=work, stop=stop)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent():
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _do(item):
    return _mine["work"](item, _mine["stop"].is_set)
