"""Threads over chunks of cases: a chunk a thread, each with one BLAS thread.

A multithreaded BLAS shares out the matrix products of a sweep but not the elementwise passes between them, and it waits
for its slowest thread at every product. Threads over chunks share out both (`python benchmarks/convolution.py`).
Results are returned in the order of the chunks, so sums do not depend on the number of threads.

There are as many threads as BLAS may use (OPENBLAS_NUM_THREADS and the like). The chunks are swept one after another if
there are fewer chunks than threads, or if the package threadpoolctl is not installed (`pip install 'refhf[cli]'`).

Each call starts its threads and ends them. No thread outlives the call, so a forked child and an exiting interpreter
miss none. BLAS has one number of threads for the whole process, and the bits of a matrix product depend on it.
Therefore calls from several threads take turns where that number is above one, and each uses all the cores in its turn.
"""

import contextlib
import contextvars
import functools
import os
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from queue import SimpleQueue
from typing import Any, TypeVar, cast

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextlib.contextmanager
def results_in_order(
    function: Callable[[Item], Result], items: Sequence[Item]
) -> Generator[Iterator[Result], None, None]:
    """A context with an iterator over function(item) for the items in their order, by as many threads as BLAS may use.

    At most two results a thread wait to be taken, so memory does not grow with the number of items. On leaving the
    context, also by Ctrl-C, the threads have ended and BLAS has its number of threads again.
    """
    workers = blas_threads()
    if workers < 2:
        yield map(function, items)
        return
    with _shared.turn:
        if len(items) < workers:
            yield map(function, items)
            return
        sweep = _Sweep(function, items, workers)
        try:
            if sweep.start():
                yield sweep.results()
                return
        finally:
            sweep.end()
        with _shared.one_blas_thread:
            yield map(function, items)


def blas_threads() -> int:
    """The number of threads that BLAS may use; 1 without threadpoolctl."""
    if isinstance(threading.current_thread(), _Helper) or _controller() is None:
        return 1
    return _shared.one_blas_thread.otherwise()


@functools.cache
def _controller() -> Any:
    """threadpoolctl's view of the BLAS libraries; None if it is not installed."""
    try:
        import threadpoolctl  # type: ignore[import-not-found] # an optional dependency
    except ImportError:
        return None
    return cast(Any, threadpoolctl.ThreadpoolController()).select(user_api="blas")


class _Helper(threading.Thread):
    """A thread of `_Sweep`."""


class _Sweep:
    """Threads that take item numbers from one queue and put each result into a queue of its own.

    A number beyond the items ends the thread that takes it. With each result that the caller takes it puts one more
    number into the queue, so all threads have been told to end before the last result is taken.
    """

    def __init__(self, function: Callable[[Any], Any], items: Sequence[Any], workers: int):
        self.function, self.items, self.workers = function, items, workers
        self.asked: SimpleQueue[int] = SimpleQueue()
        self.answers: list[SimpleQueue[Any]] = [SimpleQueue() for _ in items]
        self.over = False
        self.threads: list[_Helper] = []

    def start(self) -> bool:
        """Start the threads; False if none could be started (an exiting interpreter, a process at its limit)."""
        for _ in range(self.workers):
            # The context carries NumPy's error state.
            thread = _Helper(target=contextvars.copy_context().run, args=[self._work], name="refhf", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                break
            self.threads.append(thread)
        return bool(self.threads)

    def results(self) -> Iterator[Any]:
        """The results in the order of the items. An exception is raised in the place of its item's result."""
        ahead = 2 * self.workers
        for i in range(ahead):
            self.asked.put(i)
        for i, answer in enumerate(self.answers):
            result, error = answer.get()
            self.asked.put(i + ahead)
            if error is not None:
                raise error
            yield result

    def end(self) -> None:
        """End the threads after their current items."""
        self.over = True
        for _ in range(self.workers):
            self.asked.put(len(self.items))
        for thread in self.threads:
            thread.join()

    def _work(self) -> None:
        with _shared.one_blas_thread:  # here, because Ctrl-C interrupts the main thread alone
            while (i := self.asked.get()) < len(self.items) and not self.over:
                try:
                    answer = self.function(self.items[i]), None
                except BaseException as error:  # raised again in the caller
                    answer = None, error
                self.answers[i].put(answer)


class _OneBlasThread:
    """A context in which BLAS has one thread. The number is restored when the last user has left."""

    def __init__(self):
        self.lock, self.users = threading.Lock(), 0
        self.before: list[int] = []

    def __enter__(self) -> None:
        with self.lock:
            self.users += 1
            if self.users == 1:
                self.before = _threads_now()
            _set_threads([1] * len(self.before))  # in each thread: OpenMP has a number a thread

    def __exit__(self, *error: object) -> None:
        with self.lock:
            self.users -= 1
            if self.users == 0:
                _set_threads(self.before)

    def otherwise(self) -> int:
        """BLAS's number of threads outside the context."""
        with self.lock:
            return max(self.before if self.users else _threads_now(), default=1)


def _threads_now() -> list[int]:
    return [library.num_threads for library in _controller().lib_controllers]


def _set_threads(numbers: list[int]) -> None:
    for library, number in zip(_controller().lib_controllers, numbers, strict=True):
        if hasattr(library, "clear_controlling_thread"):  # from threadpoolctl 3.8 on, only one thread may set it
            library.clear_controlling_thread(force=True)
        library.set_num_threads(number)


class _Shared:
    """The locks that the threads of this process share."""

    def __init__(self):
        self.turn, self.one_blas_thread = threading.RLock(), _OneBlasThread()

    def after_fork(self) -> None:
        """Make new locks in a child process: the thread that held the old ones does not exist there."""
        if self.one_blas_thread.users:
            _set_threads(self.one_blas_thread.before)
        self.turn, self.one_blas_thread = threading.RLock(), _OneBlasThread()


_shared = _Shared()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_shared.after_fork)
