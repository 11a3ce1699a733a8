"""Chunks of cases swept side by side: a thread a chunk, and one BLAS thread in each.

A multithreaded BLAS shares out the matrix products of a sweep but not the elementwise passes between them, and waits
for its slowest thread at every product. Threads over chunks share out both (`python benchmarks/convolution.py`).
Results come in the order of the chunks, so sums do not depend on the number of threads.

The number of threads is what BLAS was told to use (OPENBLAS_NUM_THREADS and the like). Without the package
threadpoolctl (`pip install 'refhf[cli]'`), and for fewer chunks than threads, the chunks are swept one after another.

A call starts its threads and ends them. No thread is kept, so that a forked child and an exiting interpreter find none
missing. BLAS has one number of threads for the whole process, and the bits of a matrix product depend on it: calls from
several threads take turns where that number is above one, and each has all the cores in its turn.
"""

import contextlib
import contextvars
import functools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue


def ordered_map(function: Callable, items: Sequence, consume: Callable[[Iterator], object]):
    """consume(an iterator of function(item) for each of the items, in their order), by as many threads as BLAS may use.

    At most two results a thread wait to be taken, so that memory does not grow with the number of items. Whatever
    ends it, Ctrl-C included, the threads are ended and BLAS is as it was.
    """
    workers = blas_threads()
    if workers < 2:
        return consume(map(function, items))
    with _shared.turn:
        if len(items) < workers:
            return consume(map(function, items))
        sweep = _Sweep(function, items, workers)
        try:
            if sweep.start():
                return consume(sweep.results())
        finally:
            sweep.end()
        with _shared.one_blas_thread:
            return consume(map(function, items))


def blas_threads() -> int:
    """How many threads BLAS may use; 1 where threadpoolctl is not there to say so, or to change it."""
    if isinstance(threading.current_thread(), _Helper) or _controller() is None:
        return 1
    return _shared.one_blas_thread.otherwise()


@functools.cache
def _controller():
    try:
        import threadpoolctl
    except ImportError:
        return None
    return threadpoolctl.ThreadpoolController().select(user_api="blas")


class _Helper(threading.Thread):
    """A thread of a sweep."""


class _Sweep:
    """Threads that take the items' numbers from a queue, and put what came of each in a queue of its own.

    A number beyond the items ends the thread that takes it. The caller asks for an item more with each result that it
    takes, so that all threads have been told to end before the last result is taken.
    """

    def __init__(self, function, items, workers):
        self.function, self.items, self.workers = function, items, workers
        self.asked, self.answers = SimpleQueue(), [SimpleQueue() for _ in items]
        self.over, self.threads = False, []

    def start(self) -> bool:
        """Whether there are threads: an interpreter that exits, and a process at its limit, may refuse them."""
        for _ in range(self.workers):
            # NumPy's error state is in the context: give the thread the caller's.
            thread = _Helper(target=contextvars.copy_context().run, args=[self._work], name="refhf", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                break
            self.threads.append(thread)
        return bool(self.threads)

    def results(self) -> Iterator:
        """The results in the order of the items; an exception where its item would have been."""
        ahead = 2 * self.workers
        for i in range(ahead):
            self.asked.put(i)
        for i, answer in enumerate(self.answers):
            result, error = answer.get()
            self.asked.put(i + ahead)
            if error is not None:
                raise error
            yield result

    def end(self):
        """End the threads, at once."""
        self.over = True
        for _ in range(self.workers):
            self.asked.put(len(self.items))
        for thread in self.threads:
            thread.join()

    def _work(self):
        with _shared.one_blas_thread:  # here, because Ctrl-C interrupts the main thread alone
            while (i := self.asked.get()) < len(self.items) and not self.over:
                try:
                    answer = self.function(self.items[i]), None
                except BaseException as error:  # raised again in the caller
                    answer = None, error
                self.answers[i].put(answer)


class _OneBlasThread(contextlib.AbstractContextManager):
    """BLAS on one thread while anybody is inside; what it was, once the last one is out."""

    def __init__(self):
        self.lock, self.users, self.before = threading.Lock(), 0, []

    def __enter__(self):
        with self.lock:
            self.users += 1
            if self.users == 1:
                self.before = _threads_now()
            _set_threads([1] * len(self.before))  # by each: of OpenMP's, a thread has a number of its own

    def __exit__(self, *error):
        with self.lock:
            self.users -= 1
            if self.users == 0:
                _set_threads(self.before)

    def otherwise(self) -> int:
        """BLAS's number of threads while nobody is inside."""
        with self.lock:
            return max(self.before if self.users else _threads_now(), default=1)


def _threads_now():
    return [library.num_threads for library in _controller().lib_controllers]


def _set_threads(numbers):
    for library, number in zip(_controller().lib_controllers, numbers, strict=True):
        if hasattr(library, "clear_controlling_thread"):  # from threadpoolctl 3.8 on one thread may, others are ignored
            library.clear_controlling_thread(force=True)
        library.set_num_threads(number)


class _Shared:
    """What the threads of this process share."""

    def __init__(self):
        self.turn, self.one_blas_thread = threading.RLock(), _OneBlasThread()

    def after_fork(self):
        """Make all anew in a child: the thread that had its turn is not there to give it back."""
        if self.one_blas_thread.users:
            _set_threads(self.one_blas_thread.before)
        self.__init__()


_shared = _Shared()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_shared.after_fork)
