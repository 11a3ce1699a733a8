"""Chunks of cases swept side by side: a thread a chunk, and one BLAS thread in each.

A multithreaded BLAS shares out the matrix products of a sweep but not the elementwise passes between them, and waits
for its slowest thread at every product. Threads over chunks share out both (`python benchmarks/threads.py`).
Results come in the order of the chunks, so sums do not depend on the number of threads.

The number of threads is what BLAS was told to use (OPENBLAS_NUM_THREADS and the like). Without the package
threadpoolctl (`pip install 'refhf[cli]'`), and for fewer chunks than threads, the chunks are swept one after another.
"""

import contextlib
import contextvars
import functools
import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor


def ordered_map(function: Callable, items: Sequence) -> Iterator:
    """function(item) for each of the items, in their order, by as many threads as BLAS may use.

    At most two results a thread wait to be taken, so that memory does not grow with the number of items.
    """
    workers = blas_threads()
    if workers < 2 or len(items) < workers:
        yield from map(function, items)
        return
    left, waiting = iter(items), deque()

    def submit(n):
        for item in itertools.islice(left, n):
            # A thread has NumPy's error state from its context: give it the caller's.
            waiting.append(_pool(workers).submit(contextvars.copy_context().run, function, item))

    with _one_blas_thread:
        submit(2 * workers)
        while waiting:
            yield waiting.popleft().result()
            submit(1)


@functools.cache
def _controller():
    try:
        import threadpoolctl
    except ImportError:
        return None
    return threadpoolctl.ThreadpoolController().select(user_api="blas")


def blas_threads() -> int:
    """How many threads BLAS may use; 1 where threadpoolctl is not there to say so, or to change it."""
    if _one_blas_thread.users or _controller() is None:
        return 1
    return max((library.num_threads for library in _controller().lib_controllers), default=1)


@functools.cache
def _pool(workers):
    return ThreadPoolExecutor(workers, thread_name_prefix="refhf")


class _OneBlasThread(contextlib.AbstractContextManager):
    """BLAS on one thread while anybody is inside; what it was, once the last one is out."""

    def __init__(self):
        self.lock, self.users, self.limit = threading.Lock(), 0, None

    def __enter__(self):
        with self.lock:
            self.users += 1
            if self.users == 1:
                self.limit = _controller().limit(limits=1)

    def __exit__(self, *error):
        with self.lock:
            self.users -= 1
            if self.users == 0:
                self.limit.restore_original_limits()


_one_blas_thread = _OneBlasThread()
