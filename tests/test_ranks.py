"""Ranks as processes: real `mpiexec` on 1 to 4 of them, and what may be missing. This process loads no MPI."""

import importlib.util
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from processes import LIMIT, long_only, mpiexec, needs_mpi, python
from rank_programs import problem

import refhf
from refhf.parallel.communication_volume import counted_data_parallel
from refhf.parallel.shards import Rows

PROGRAMS = Path(__file__).parent / "rank_programs"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """X.npy (a hole in the file system, where it has such) and y.npy: 160 MB of zeros with labels."""
    folder = tmp_path_factory.mktemp("data")
    np.lib.format.open_memmap(folder / "X.npy", "w+", np.float64, (100_000, 200)).flush()
    np.save(folder / "y.npy", np.arange(100_000) % 2)
    return folder


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    rng = np.random.default_rng(0)
    np.save(folder / "X.npy", rng.normal(size=(60, 6)))
    np.save(folder / "y.npy", rng.integers(2, size=60))
    return folder


@pytest.fixture(scope="module")
def alone():
    """The result of one process without a communicator."""
    with problem.one_blas_thread():
        trained = {
            f"{method} {reduction}": problem.train(method, reduction=reduction)
            for method in problem.OPTIONS
            for reduction in ("fast", "reproducible")
        }
        for cases in (101, 2):
            for method in ("gn-cg", "sgd"):
                trained[f"{method} {cases}"] = problem.train(method, cases=cases)[:1]
        f, theta = problem.objective(cases=30)
        trained["model-parallel"] = (refhf.supervised(f.net, f.X, f.y).value_and_gradient(theta)[1],)
    return trained


@needs_mpi
@pytest.mark.parametrize("ranks", [1, 2, pytest.param(3, marks=long_only), 4])
def test_processes_get_what_one_gets(ranks, alone, folder, tmp_path):
    """R11, R12: the same decisions; theta to 1e-10, and to the bit if reproducible; counts as the formula says.

    Also: a rank's memory grows by chunks of its shard on disk, not by the shard; `equal.py` asserts that, and that all
    ranks have the same bits.
    """
    code, out, err, _ = mpiexec(ranks, PROGRAMS / "equal.py", tmp_path / "out.npz", folder)
    assert code == 0, err
    assert out.startswith(f"{ranks} ranks")
    got = dict(np.load(tmp_path / "out.npz"))
    told = json.loads(str(got.pop("told")))
    assert set(got) == set(alone)
    for name, (x, *rest) in alone.items():
        if "reproducible" in name or ranks == 1:
            np.testing.assert_array_equal(got[name], x, err_msg=name)
        assert np.linalg.norm(got[name] - x) <= 1e-10 * np.linalg.norm(x), name
        if rest:
            fun, steps, calls, size, values, gradients, products = told[name]
            assert fun == pytest.approx(rest[0], rel=1e-10)
            assert [tuple(step) for step in steps] == rest[1], name
            expected = counted_data_parallel(problem.SIZES, gradients, products, values)
            if "fast" in name:
                assert (calls, size) == ((expected.calls, 8 * expected.numbers) if ranks > 1 else (0, 0))


CRASHES = [
    ("load", 1, "nowhere.npy", 1),
    ("load", 0, "nowhere.npy", 1),
    ("data", 1, "X: expected finite numbers; got nan", 1),
    ("sweep", 1, "OSError: injected in sweep", 1),
    ("product", 0, "OSError: injected in product", 1),
    ("reduction", 1, "OSError: injected in reduction", 1),
    ("callback", 1, "OSError: injected in callback", 1),
    ("checkpoint", 0, "no such folder", 1),
    ("exit", 1, "", 7),
    ("interrupt", 1, "KeyboardInterrupt", 130),
]


@needs_mpi
@pytest.mark.parametrize(("place", "rank", "message", "code"), CRASHES, ids=lambda x: str(x))
def test_one_crash_ends_the_job(place, rank, message, code, small):
    """R13: what fails on one rank, under plain `python`, ends the job in time, non-zero, with that rank's message."""
    got, _, err, seconds = mpiexec(2, PROGRAMS / "crash.py", place, rank, small, limit=LIMIT)
    assert got == code
    assert message in err
    assert not message or f"rank {rank} of 2:" in err
    assert seconds < LIMIT


@needs_mpi
@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("arguments", "expected the same seed on all; got 0 on rank 0, 1, 1 on rank 2"),
        ("seed", "the same theta"),
        ("empty", "X: expected at least one case; got none on any rank"),
        ("split", "comm: expected at most 2 ranks, the columns of layer 2; got 3"),
    ],
)
def test_what_no_rank_can_do_ends_the_job(place, message, small):
    """Different arguments or streams, no cases anywhere, widths that ranks cannot split: all end, rank 0 says why."""
    code, _, err, _ = mpiexec(3, PROGRAMS / "crash.py", place, 2, small, limit=LIMIT)
    assert code == 1
    assert message in err
    assert "rank 0 of 3:" in err


@needs_mpi
def test_nothing_fails_by_itself(small):
    """The program of the crashes, without one, ends well."""
    code, _, err, _ = mpiexec(2, PROGRAMS / "crash.py", "nowhere", 1, small, limit=LIMIT)
    assert code == 0, err


@needs_mpi
def test_any_intracommunicator_of_mpi4py(small):
    """COMM_WORLD, duplicates, splits and Cartesian ones are taken wherever refhf's own are, and nothing else is."""
    code, out, err, _ = mpiexec(4, PROGRAMS / "given.py", small)
    assert (code, out) == (0, "all is well\n"), err


ON_COMM_WORLD = """
import sys
import numpy as np, refhf
from mpi4py import MPI
{hook}
net = refhf.mlp([2, 2])
f = refhf.supervised(net, np.ones((3, 2)), [0, 1, 0], comm=MPI.COMM_WORLD{split})
if MPI.COMM_WORLD.rank == 1:
    raise OSError("injected")
f.value(net.init(0))
"""


@needs_mpi
@pytest.mark.parametrize("split", ["", ".Split(0)"])
def test_a_crash_on_a_communicator_of_mpi4py_ends_the_job(split):
    """R13 holds there as well, under plain `python` and without a guard."""
    code, _, err, seconds = mpiexec(2, "-c", ON_COMM_WORLD.format(hook="", split=split), limit=LIMIT)
    assert code == 1
    assert "rank 1 of 2:" in err
    assert "OSError: injected" in err
    assert seconds < LIMIT


@needs_mpi
def test_a_hook_of_the_users_own_is_left_alone():
    """A user's own exception hook is respected."""
    hook = "sys.excepthook = lambda *error: (print('mine', flush=True), MPI.COMM_WORLD.Abort(3))"
    code, out, err, _ = mpiexec(2, "-c", ON_COMM_WORLD.format(hook=hook, split=""), limit=LIMIT)
    assert (code, out) == (3, "mine\n")
    assert "rank 1 of 2" not in err


BROKEN = {
    "missing": "raise ModuleNotFoundError('No module named mpi4py', name='mpi4py')",
    "ImportError": "raise ImportError('libmpi.so.12: cannot open shared object file')",
    "RuntimeError": "raise RuntimeError('cannot load MPI library')",
}
TRAIN = """
import numpy as np, refhf, sys
from refhf.parallel import mpi
if "mpi4py" in sys.modules or "matplotlib" in sys.modules:
    sys.exit("import refhf loads too much")
net = refhf.mlp([2, 3, 2])
X = np.random.default_rng(0).normal(size=(9, 2))
comm = mpi({required})
f = refhf.supervised(net, X, (X[:, 0] > 0).astype(int), comm=comm)
print(comm.rank, comm.size, refhf.minimize(f, net.init(0), "gn-cg", 3, rng=0).nit)
"""


def broken(kind, folder):
    """A path with an mpi4py that cannot be used."""
    (folder / "mpi4py").mkdir()
    (folder / "mpi4py" / "__init__.py").write_text("" if kind != "missing" else BROKEN["missing"])
    (folder / "mpi4py" / "MPI.py").write_text(BROKEN[kind])
    return str(folder)


@pytest.mark.parametrize("kind", BROKEN)
def test_without_mpi_it_is_serial(kind, tmp_path):
    """R14: without mpi4py, or with one that raises ImportError or RuntimeError, `mpi` is one rank and all works."""
    code, out, err, _ = python(TRAIN.format(required=""), PYTHONPATH=broken(kind, tmp_path))
    assert (code, out) == (0, "0 1 3\n"), err


@pytest.mark.parametrize(
    ("kind", "required", "launcher", "asked"),
    [
        ("missing", "required=True", {}, "MPI"),
        ("ImportError", "", {"PMI_SIZE": "4"}, "4 ranks"),
        ("RuntimeError", "", {"SLURM_STEP_NUM_TASKS": "3"}, "3 ranks"),
    ],
)
def test_ranks_asked_for_without_mpi_are_an_error(kind, required, launcher, asked, tmp_path):
    """With `mpi(required=True)` or under a launcher, this is an error that names what to install."""
    code, out, err, _ = python(TRAIN.format(required=required), PYTHONPATH=broken(kind, tmp_path), **launcher)
    assert (code, out) == (1, "")
    assert f"RuntimeError: mpi: {asked} asked for" in err
    assert "refhf[mpi]" in err


@needs_mpi
def test_a_launcher_of_another_mpi_is_an_error():
    """An MPI library that sees one process under a launcher of four is an error: each would train alone."""
    code, out, err, _ = python(TRAIN.format(required=""), OMPI_COMM_WORLD_SIZE="4")
    assert (code, out) == (1, "")
    assert "started 4 processes, of which mpi4py's library sees 1" in err


@pytest.mark.skipif(importlib.util.find_spec("threadpoolctl") is None, reason="needs threadpoolctl: refhf[mpi]")
def test_ranks_share_the_cores():
    """BLAS gets the cores over the ranks that share them; where the user has set a number, that stays."""
    code = "from refhf.parallel import *; print(share_cores(serial()), run(2, share_cores), run(30, share_cores)[0])"
    free = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"))
    cores = len(os.sched_getaffinity(0))
    half, few = max(1, cores // 2), max(1, cores // 30)
    assert python(code, **free)[1] == f"{cores} [{half}, {half}] {few}\n"
    assert python(code)[1] == "None [None, None] None\n"


def test_this_process_has_loaded_no_mpi():
    """The tests' own process imports refhf and its ranks, and no mpi4py."""
    assert Rows and "mpi4py" not in sys.modules
