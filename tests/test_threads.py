"""Threads over chunks: the same answers, in the same order, with BLAS as it was."""

import inspect
import itertools
import sys
import threading

import numpy as np
import pytest

import refhf
from refhf.objective import chunk_threads

threadpoolctl = pytest.importorskip("threadpoolctl")


@pytest.fixture
def two():
    """Two threads, also where BLAS has one."""
    with threadpoolctl.threadpool_limits(2, "blas"):
        yield


def blas_now():
    """The current number of BLAS threads."""
    return max(library["num_threads"] for library in threadpoolctl.threadpool_info() if library["user_api"] == "blas")


def ordered(function, items, consume):
    """consume(the results in order)."""
    with chunk_threads.results_in_order(function, items) as results:
        return consume(results)


def test_order_and_blas(two):
    """Results come in the order of the items; BLAS has one thread meanwhile, and what it had afterwards."""
    seen = ordered(lambda i: (i * i, blas_now()), range(9), list)
    assert seen == [(i * i, 1) for i in range(9)]
    assert blas_now() == chunk_threads.blas_threads() == 2


def test_an_exception_passes_and_blas_is_restored(two):
    """Exceptions of a chunk or the caller propagate, under the caller's NumPy error state; no thread remains."""

    def give_up(results):
        next(results)
        raise KeyboardInterrupt

    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        ordered(lambda i: np.exp(np.array([1000.0 * i])), range(9), list)
    with pytest.raises(KeyboardInterrupt) as held:  # the traceback keeps the frames, as an interactive session's does
        ordered(lambda i: i, range(9), give_up)
    assert held.tb
    assert blas_now() == chunk_threads.blas_threads() == 2
    assert not helpers()


def helpers():
    """Threads of sweeps that are there."""
    return [thread for thread in threading.enumerate() if isinstance(thread, chunk_threads._Helper)]


def interrupted_at(place, call):
    """True if the call was interrupted, with Ctrl-C at the given place in `objective.chunk_threads`.

    They are where CPython looks for signals: at the beginning of a function, and after each call of one of C's.
    """
    left = place

    def profiler(frame, event, arg):
        nonlocal left
        here = frame.f_code.co_filename == chunk_threads.__file__
        begins = event == "call" and not frame.f_code.co_flags & inspect.CO_GENERATOR
        if here and (begins or event == "c_return"):
            left -= 1
            if left < 0:
                sys.setprofile(None)
                raise KeyboardInterrupt

    before = sys.getprofile()
    sys.setprofile(profiler)
    try:
        call()
    except KeyboardInterrupt as error:
        interrupted_at.last = error  # with all its frames, as an interactive session keeps it: nothing may hang on them
        return True
    finally:
        sys.setprofile(before)
    return False


def test_ctrl_c_leaves_blas_as_it_was(two):
    """Wherever it comes, BLAS gets its threads back, those of the sweep end, and the next sweep is as ever."""
    want, place = list(range(5)), 0
    while interrupted_at(place, lambda: ordered(int, want, list)):
        for thread in helpers():
            thread.join(10)
        assert not helpers()
        assert blas_now() == 2, place
        place += 1
    assert place > 20
    assert ordered(int, want, list) == want


def test_few_results_wait(two):
    """However slowly results are taken, no more than a few are made in advance."""
    made = []

    def first(results):
        next(results)
        return len(made)

    assert ordered(made.append, range(100), first) <= 6


@pytest.mark.parametrize("started", [0, 1])
def test_threads_that_cannot_be_had(two, monkeypatch, started):
    """If no more threads can start, the started ones, or the caller alone, do all chunks with one BLAS thread."""
    start, count = chunk_threads._Helper.start, itertools.count()

    def refuse(self):
        if next(count) >= started:
            raise RuntimeError("can't start new thread")
        start(self)

    monkeypatch.setattr(chunk_threads._Helper, "start", refuse)
    seen = ordered(lambda i: (i, blas_now()), range(9), list)
    assert seen == [(i, 1) for i in range(9)]
    assert blas_now() == 2


def test_a_sweep_within_a_sweep(two):
    """A nested sweep runs on its own thread, without deadlock."""
    inner = ordered(lambda i: ordered(lambda j: i * j, range(4), sum), range(5), list)
    assert inner == [6 * i for i in range(5)]


def test_sweeps_take_turns(two):
    """A sweep of fewer items than threads has two BLAS threads throughout, beside other sweeps with one."""
    seen, stop = [], threading.Event()

    def others():
        while not stop.is_set():
            ordered(int, range(8), list)

    other = threading.Thread(target=others)
    other.start()
    try:
        for _ in range(50):
            seen += ordered(lambda i: blas_now(), range(1), list)
    finally:
        stop.set()
        other.join()
    assert set(seen) == {2}


def test_bits_do_not_depend_on_threads(two):
    """Gradient and products over chunks have the same bits with one thread and with two."""
    rng = np.random.default_rng(0)
    net = refhf.mlp([20, 16, 5])
    objective = refhf.supervised(net, rng.normal(size=(300, 20)), rng.integers(5, size=300), chunk_size=64)
    theta, v = net.init(rng=0), rng.normal(size=net.size)

    def answers():
        return objective.value_and_gradient(theta)[1], objective.hessian(theta) @ v, objective.gauss_newton(theta) @ v

    with_two = answers()
    with threadpoolctl.threadpool_limits(1, "blas"):
        with_one = answers()
    np.testing.assert_array_equal(with_two, with_one)


def test_without_threadpoolctl(monkeypatch):
    """Without threadpoolctl the chunks are swept one after another."""
    monkeypatch.setattr(chunk_threads, "_controller", lambda: None)
    assert chunk_threads.blas_threads() == 1
    assert ordered(lambda i: i, range(5), list) == list(range(5))
