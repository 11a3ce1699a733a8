"""One answer of each kind, in the parent and in workers of every kind, printed as equal or not.

Usage: parents_bits.py, with OPENBLAS_NUM_THREADS set. It has to be a file: spawned workers import it.
"""

import multiprocessing
import threading
import warnings

import numpy as np

import refhf

WORKERS = 3


def problem():
    """An objective of four chunks, and a theta longer than the vectors that BLAS sums on one thread."""
    rng = np.random.default_rng(0)
    net = refhf.mlp([60, 150, 30, 5], nonlinearity="tanh")
    X, y = rng.normal(size=(512, 60)), rng.integers(5, size=512)
    return refhf.supervised(net, X, y, l2=1e-3, chunk_size=128), net.init(0), rng.normal(size=net.size)


def answers(objective, theta, v):
    """Bits of everything, and the solver's own record of why it stopped."""
    f, g = objective.value_and_gradient(theta)
    G = objective.gauss_newton(theta)
    x, info = refhf.cg(G, -g, maxiter=4)
    run = refhf.minimize(objective, theta, "gn-cg", 2, rng=0)
    arrays = g, objective.hessian(theta) @ v, G @ v, x, run.x
    numbers = objective.value(theta), f, run.fun, *(record["loss"] for record in run.history)
    return [array.tobytes() for array in arrays], np.array(numbers).tobytes(), info, run.history


def same(one, other):
    """True if two results are equal to the bit; iterations and reports are compared by their text."""
    return one[:2] == other[:2] and repr(one[2:]) == repr(other[2:])


def main():
    """All kinds of workers, one line each."""
    warnings.simplefilter("ignore", DeprecationWarning)  # BLAS has threads, and Python warns of forks among threads
    given = problem()
    mine = answers(*given)
    for method in "fork", "spawn", "forkserver":
        if method in multiprocessing.get_all_start_methods():
            with multiprocessing.get_context(method).Pool(1) as pool:
                print(method, same(mine, pool.apply(answers, given)), flush=True)
    got = []
    threads = [threading.Thread(target=lambda: got.append(answers(*given))) for _ in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("threads", len(got) == WORKERS and all(same(mine, one) for one in got))


if __name__ == "__main__":
    main()
