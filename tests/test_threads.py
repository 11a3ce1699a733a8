"""Threads over chunks: the same answers, in the same order, with BLAS as it was."""

import numpy as np
import pytest

import refhf
from refhf import threads

threadpoolctl = pytest.importorskip("threadpoolctl")


@pytest.fixture
def two(monkeypatch):
    """Two threads, also where BLAS has one."""
    with threadpoolctl.threadpool_limits(2, "blas"):
        yield


@pytest.mark.usefixtures("two")
def test_order_and_blas():
    """Results come in the order of the items; BLAS has one thread meanwhile, and what it had afterwards."""
    seen = []
    for result in threads.ordered_map(lambda i: i * i, range(9)):
        seen.append(result)
        assert threads.blas_threads() == 1
    assert seen == [i * i for i in range(9)]
    assert threads.blas_threads() == 2


@pytest.mark.usefixtures("two")
def test_an_exception_passes_and_blas_is_restored():
    """What a chunk raises reaches the caller, under the caller's NumPy error state; an abandoned map cleans up."""
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        list(threads.ordered_map(lambda i: np.exp(np.array([1000.0 * i])), range(9)))
    assert threads.blas_threads() == 2
    abandoned = threads.ordered_map(lambda i: i, range(9))
    next(abandoned)
    abandoned.close()
    assert threads.blas_threads() == 2


@pytest.mark.usefixtures("two")
def test_few_results_wait():
    """However slowly results are taken, no more than a few are made in advance."""
    made = []
    results = threads.ordered_map(made.append, range(100))
    next(results)
    assert len(made) <= 6
    results.close()


@pytest.mark.usefixtures("two")
def test_bits_do_not_depend_on_threads():
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
    monkeypatch.setattr(threads, "_controller", lambda: None)
    assert threads.blas_threads() == 1
    assert list(threads.ordered_map(lambda i: i, range(5))) == list(range(5))
