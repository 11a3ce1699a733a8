"""Processes and threads: everything public copies and pickles, and workers of every kind give the parent's bits."""

import copy
import multiprocessing
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from processes import finish, python

import refhf
from refhf.krylov import stopping
from refhf.methods import schedules
from refhf.model.elementwise import NONLINEARITIES
from refhf.model.losses import LOSSES
from refhf.parallel import serial
from refhf.parallel.model_parallel import model_parallel
from refhf.surfaces.saddles import SURFACES

PROGRAM = Path(__file__).with_name("parents_bits.py")
KINDS = {*multiprocessing.get_all_start_methods(), "threads"}
COPIES = {"copy": copy.copy, "deepcopy": copy.deepcopy, "pickle": lambda x: pickle.loads(pickle.dumps(x))}
RNG = np.random.default_rng(0)
X, LABELS = RNG.normal(size=(9, 4)), RNG.integers(2, size=9)
NET = refhf.mlp([4, 3, 2])
THETA = NET.init(0)
OBJECTIVE = refhf.supervised(NET, X, LABELS, l2=0.1)
IMAGES = refhf.convnet((4, 4, 1), [refhf.conv(2, 3), refhf.pool(2), 2], nonlinearity="softplus")
INDEFINITE = np.diag([1.0, -2.0])
FUNCTIONS = refhf.from_functions(np.sum, np.ones_like, hessp=np.multiply, gauss_newton=np.multiply)
STEPS = {method: refhf.iterate(OBJECTIVE, THETA, method=method, rng=0) for method in refhf.available_methods()}


@pytest.fixture(params=COPIES)
def copied(request):
    """A way to make a copy."""
    return COPIES[request.param]


def says(x):
    """All digits of what an operator makes of a vector, or of anything else."""
    x = x @ np.arange(x.shape[1], dtype=float) if hasattr(x, "matvec") else x
    with np.printoptions(floatmode="unique", threshold=sys.maxsize):
        return repr(x)


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
@pytest.mark.parametrize("loss", LOSSES)
def test_networks_and_objectives(nonlinearity, loss, copied):
    """A copy of a network is equal to it; copies of an objective and of its products have the same bits."""
    net = refhf.mlp([4, 3, 2], nonlinearity=nonlinearity, loss=loss)
    objective = refhf.supervised(net, X, RNG.normal(size=(9, 2)) if loss == "squared_error" else LABELS, chunk_size=4)
    assert copied(net) == net
    other = copied(objective)
    assert copied(objective.sample(3, rng=0)).value(THETA) == other.sample(3, rng=0).value(THETA)
    assert other.value(THETA) == objective.value(THETA)
    assert says(other.value_and_gradient(THETA)) == says(objective.value_and_gradient(THETA))
    for linearise in "hessian", "gauss_newton":
        A = getattr(objective, linearise)(THETA)
        assert says(copied(A)) == says(getattr(other, linearise)(THETA)) == says(A)


PUBLIC = {
    "conv": refhf.conv(2, 3, padding=1),
    "pool": refhf.pool(2),
    "images": IMAGES,
    "info": refhf.cg(INDEFINITE, np.ones(2))[1],
    "converged": refhf.cg(np.eye(2), np.ones(2))[1],
    "breakdown": refhf.bicgstab(INDEFINITE[::-1], np.array([1.0, 0.0]))[1],
    "eigenpair": refhf.lanczos_smallest(INDEFINITE, 2, rng=0),
    "functions' H": FUNCTIONS.hessian(np.ones(2)),
    "functions' G": FUNCTIONS.gauss_newton(np.ones(2)),
    "a sum of operators": OBJECTIVE.hessian(THETA) + 2 * OBJECTIVE.gauss_newton(THETA),
    "result": refhf.minimize(OBJECTIVE, THETA, "hessian-cg", 2, rng=0),
    "report": next(refhf.iterate(OBJECTIVE, THETA, method="gn-cg", rng=0)),
    "schedule": schedules.adya_2018(256, 2560, 9),
    "check": refhf.check_gradient(lambda t: t @ t / 2, lambda t: t, np.ones(3)),
    **{f"stop: {stop.name}": stop for stop in stopping.Stop},
}


@pytest.mark.parametrize("what", PUBLIC)
def test_records(what, copied):
    """A copy of what refhf makes says the same, and is of the same kind."""
    other = copied(PUBLIC[what])
    assert type(other) is type(PUBLIC[what])
    assert says(other) == says(PUBLIC[what])


@pytest.mark.parametrize("solver", [refhf.cg_iterates, refhf.bicgstab_iterates])
def test_iterates(solver, copied):
    """A copy of an iterate has its numbers, those that were not yet looked at too."""
    it = next(solver(np.diag([1.0, 2.0]), np.ones(2)))
    other = copied(it)
    assert says(other) == says(it)
    assert other.phi == it.phi


def test_rules(copied):
    """A copy of a stopping rule stops where it does."""
    b = np.ones(4)
    for rule in stopping.iteration_limit(2), stopping.small_residual(b, 0.5, 0.0), stopping.no_progress(window=1):
        got = [stopping.advance(refhf.cg_iterates(np.diag([1.0, 2, 3, 4]), b), r)[0].k for r in (copied(rule), rule)]
        assert got[0] == got[1]


@pytest.mark.parametrize("method", STEPS)
def test_a_run_in_the_middle(method, copied):
    """A copy of a run, which has done some steps or none, does the same next step to the bit."""
    steps = STEPS[method]
    other = copied(copied(steps))
    assert says(next(other)) == says(next(steps))


@pytest.mark.parametrize("surface", SURFACES.values(), ids=list(SURFACES))
def test_surfaces(surface, copied):
    """A copy of a surface is the same function."""
    other = copied(surface)
    assert other.value(surface.start) == surface.value(surface.start)
    assert other.gradient(surface.start).tobytes() == surface.gradient(surface.start).tobytes()
    assert other.hessp(surface.start, surface.start).tobytes() == surface.hessp(surface.start, surface.start).tobytes()


def test_model_parallelism(copied):
    """So is a copy of an objective whose network is split."""
    split = model_parallel(refhf.supervised(NET, X, LABELS), serial())
    part = split.part(THETA)
    assert says(copied(split).value_and_gradient(part)) == says(split.value_and_gradient(part))
    assert says(copied(split.hessian(part))) == says(split.hessian(part))


@pytest.mark.parametrize("blas_threads", ["1", "2"])
def test_workers_give_the_parents_bits(blas_threads):
    """Value, gradient, products, cg and minimize under fork, spawn, forkserver and three threads at once."""
    code, out, err, _ = finish([sys.executable, str(PROGRAM)], 100, {"OPENBLAS_NUM_THREADS": blas_threads})
    assert code == 0, err
    assert dict(line.split() for line in out.splitlines()) == dict.fromkeys(KINDS, "True")


TWO_THREADS = {"OPENBLAS_NUM_THREADS": "2"}
PROBLEM = """
import atexit, os, sys, threading
import numpy as np, refhf
net = refhf.mlp([20, 30, 5])
rng = np.random.default_rng(0)
f = refhf.supervised(net, rng.normal(size=(600, 20)), rng.integers(5, size=600), chunk_size=64)
theta = net.init(0)
want = f.value(theta)
def run():
    refhf.minimize(f, theta, "gn-cg", 3, rng=0)
    print(f.value(theta) == want, flush=True)
"""


@pytest.mark.parametrize("last", ["threading.Thread(target=run).start()", "atexit.register(run); sys.exit(0)"])
def test_the_last_act_of_a_script(last):
    """A thread that outlives the script, and a function called at exit, evaluate as ever."""
    code, out, err, _ = python(PROBLEM + last, **TWO_THREADS)
    assert (code, out, err) == (0, "True\n", "")


FORKS = """
busy, stop = threading.Event(), threading.Event()
def work():
    while not stop.is_set():
        BUSY
        busy.set()
worker = threading.Thread(target=work, daemon=True)
worker.start()
busy.wait()
for _ in range(10):
    child = os.fork()
    if child == 0:
        x, info = refhf.cg(np.diag([1.0, 2.0]), np.ones(2))
        os._exit(not (f.value(theta) == want and info == 0))
    assert os.waitpid(child, 0)[1] == 0
stop.set()
worker.join()
from refhf.objective import chunk_threads as threads
print(threads.blas_threads() == before)
"""


@pytest.mark.skipif("fork" not in KINDS, reason="needs fork")
@pytest.mark.parametrize("busy", ["f.value(theta)", "refhf.cg(np.eye(300), np.ones(300))"])
def test_a_fork_while_a_thread_computes(busy):
    """The child takes no lock, and no number of BLAS threads, with it from a thread that it does not have."""
    program = (
        PROBLEM
        + "from refhf.objective import chunk_threads as threads\nbefore = threads.blas_threads()\n"
        + FORKS.replace("BUSY", busy)
    )
    program = "import warnings; warnings.simplefilter('ignore')\n" + program
    code, out, err, _ = finish([sys.executable, "-c", program], 100, TWO_THREADS)  # ten children, each with threads
    assert (code, out) == (0, "True\n"), err


def test_ctrl_c_in_a_sum():
    """Ctrl-C where the results of chunks are added leaves BLAS as it was, also while its traceback is kept."""
    program = PROBLEM + (
        "from refhf.objective import chunk_threads as threads\n"
        "from refhf.parallel import reduction\n"
        "add, before = np.add, threads._threads_now()\n"
        "def interrupt(*args, **options): raise KeyboardInterrupt\n"
        "np.add = interrupt\n"
        "try: f.value_and_gradient(theta)\n"
        "except KeyboardInterrupt as error: kept = error\n"
        "np.add = add\n"
        "print(threads._threads_now() == before, threads.blas_threads() == max(before), f.value(theta) == want)"
    )
    code, out, err, _ = python(program, **TWO_THREADS)
    assert (code, out) == (0, "True True True\n"), err
