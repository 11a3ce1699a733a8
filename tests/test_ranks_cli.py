"""`mpiexec -n N refhf ...`: the command line on ranks, as processes."""

import json
import shutil
import sys

import numpy as np
import pytest
from processes import LIMIT, finish, long_only, mpiexec, needs_mpi
from short_runs import labelled
from test_ranks import broken

from refhf.data import data_sets
from refhf.lab.cli import entry_point

SMALL = ["--hidden", "6", "--steps", "3", "--dtype", "float64"]
LAUNCHED = ("communications", "bytes_communicated", "seconds")  # what may depend on the number of ranks


def tiny(folder, cases=50, seed=0):
    """tiny.npz in the folder: 5 inputs, 3 classes, a sixth of the cases to test on; the last class is rare."""
    X, y = labelled(cases, 5, 3, seed)
    y = np.minimum(y, 1)
    n = cases - max(1, cases // 6)
    y[n - 1] = 2
    folder.mkdir(exist_ok=True)
    np.savez(folder / "tiny.npz", X=X[:n], y=y[:n], X_test=X[n:], y_test=y[n:])
    return folder / "tiny.npz"


def history(folder):
    """The records of a run, without what may depend on the number of ranks."""
    lines = map(json.loads, (folder / "history.jsonl").read_text().splitlines())
    return [{key: value for key, value in line.items() if key not in LAUNCHED} for line in lines]


@needs_mpi
@pytest.mark.parametrize(
    ("method", "rest"),
    [
        pytest.param("gn-cg", ["--curvature-batch", "20"], marks=long_only),
        ("hessian-bicgstab", ["--curvature-batch", "20"]),
        ("sgd", []),
    ],
)
def test_ranks_train_as_one_process(method, rest, tmp_path):
    """R11: with --reduction reproducible the files of 4 ranks have the numbers of one process, to the bit.

    Only rank 0 prints: one table to stdout, one line per step to stderr.
    """
    command = ["train", "--method", method, "--data", tiny(tmp_path), *SMALL, *rest, "--reduction", "reproducible"]
    alone, ranks = tmp_path / "alone", tmp_path / "ranks"
    code, out, err, _ = mpiexec(1, "-m", "refhf", *command, "--out", alone)
    assert code == 0, err
    code, out_4, err_4, _ = mpiexec(4, "-m", "refhf", *command, "--out", ranks)
    assert code == 0, err_4
    assert history(ranks) == history(alone)
    np.testing.assert_array_equal(np.load(ranks / "theta.npz")["theta"], np.load(alone / "theta.npz")["theta"])
    assert [line.split()[:6] for line in out_4.splitlines()[:2]] == [line.split()[:6] for line in out.splitlines()[:2]]
    assert err_4.splitlines()[0] == err.splitlines()[0] + ", 4 ranks"
    assert err_4.splitlines()[1:] == err.splitlines()[1:]
    assert json.loads((ranks / "history.jsonl").read_text().splitlines()[-1])["communications"] > 0


@needs_mpi
def test_more_ranks_than_cases(tmp_path):
    """R12: three training cases, and one to test on, on four ranks."""
    code, out, err, _ = mpiexec(
        4, "-m", "refhf", "compare", "--methods", "gn-cg,sgd", "--data", tiny(tmp_path, 4), *SMALL, "--json", "--quiet"
    )
    assert (code, err) == (0, "")
    assert [run["method"] for run in json.loads(out)["runs"]] == ["gn-cg", "sgd"]


TRAIN = ["-m", "refhf", "train", "--data", "tiny.npz", *SMALL]


def there(folder, *rest):
    return ["-wdir", folder, *TRAIN, *rest]


def ends_with_a_line(done):
    """The line on stderr of what `mpiexec` has run, which must have ended with status 2, and said no more."""
    code, out, err, _ = done
    assert (code, out) == (2, "")
    (said,) = (line for line in err.splitlines() if "MPI_Abort" not in line)
    return said


@needs_mpi
@pytest.mark.parametrize(
    ("here", "elsewhere", "message"),
    [
        (["--nonsense"], ["--nonsense"], "refhf: error: argument of train: expected one of"),
        (["--seed", "0"], ["--seed", "1"], "expected the same seed on all; got 0 on rank 0, 1, 1 on rank 2"),
        ([], [], "expected the same X on all; got float64 of shape"),
        ([], ["nothing"], "is no file (rank 2)"),
    ],
    ids=["bad argument", "different arguments", "different data", "no data on one"],
)
def test_a_mistake_is_one_line_and_ends_all(here, elsewhere, message, tmp_path):
    """R13: what all ranks find is said once; what one finds, it says; the exit status is 2."""
    tiny(tmp_path / "a")
    tiny(tmp_path / "b", seed=1 if here == elsewhere == [] else 0)
    if elsewhere == ["nothing"]:
        (tmp_path / "b" / "tiny.npz").unlink()
        elsewhere = []
    done = mpiexec(2, *there(tmp_path / "a", *here), ":", *there(tmp_path / "b", *elsewhere), limit=LIMIT)
    assert message in ends_with_a_line(done)


@needs_mpi
def test_a_checkpoint_that_one_rank_lacks(tmp_path):
    """R13: where the ranks see different checkpoints (disks of their own), nothing is resumed, and all say so once."""
    tiny(tmp_path)
    run = tmp_path / "a" / "run"
    command = ["train", "--data", str(tmp_path / "tiny.npz"), *SMALL, "--method", "sgd", "--quiet"]
    assert entry_point.main([*command, "--out", str(run)]) == 0
    shutil.copytree(run, tmp_path / "b" / "run", ignore=lambda *_: ["checkpoint.npz"])
    resume = "-m", "refhf", "train", "--resume", "run", "--steps", 5, "--quiet"
    done = mpiexec(1, "-wdir", run.parent, *resume, ":", "-wdir", tmp_path / "b", *resume, limit=LIMIT)
    assert "expected the same step of sgd on all; got 3 on rank 0, None on rank 1" in ends_with_a_line(done)


FULL = """
import resource, sys
from refhf.lab.cli import entry_point as cli
from refhf.lab.runs.run_writer import RunWriter
keep = RunWriter.keep
def full(keeper, position):
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    keep(keeper, position)
RunWriter.keep = full
sys.exit(cli.main(sys.argv[1:]))
"""


@needs_mpi
def test_a_full_disk_ends_all_ranks(tmp_path):
    """R13: the rank that writes finds no room for the checkpoint: its line, status 2, and the others end with it.

    A file may have 2,000 bytes here, which is room for the history's first lines.
    """
    command = ["train", "--data", tiny(tmp_path), *SMALL, "--method", "sgd", "--quiet", "--out", tmp_path / "run"]
    done = mpiexec(2, "-c", FULL, *command, "--checkpoint-every", 1, limit=LIMIT)
    assert "File too large" in ends_with_a_line(done)
    assert not (tmp_path / "run" / "checkpoint.npz").exists()


@pytest.mark.parametrize(("rank", "lines"), [("0", 1), ("3", 0)])
def test_ranks_without_mpi4py(rank, lines, tmp_path):
    """R14: a launcher's process that finds no mpi4py ends with status 2; the first says what to install."""
    code, out, err, _ = finish(
        [sys.executable, "-m", "refhf", "train"],
        LIMIT,
        {"PYTHONPATH": broken("missing", tmp_path), "PMI_SIZE": "4", "PMI_RANK": rank},
    )
    assert (code, out, len(err.splitlines())) == (2, "", lines)
    assert lines == 0 or err.startswith("refhf: error: mpi: 4 ranks asked for, which needs mpi4py")


def test_a_folder_of_npy_trains_as_the_npz(tmp_path, capsys):
    """The same cases as X.npy, y.npy, X_test.npy and y_test.npy, which stay on disk, give the same bits."""
    path = tiny(tmp_path)
    for key, array in np.load(path).items():
        np.save(tmp_path / f"{key}.npy", array)
    for source, out in (path, "one"), (tmp_path, "other"):
        assert entry_point.main(["train", "--data", str(source), *SMALL, "--out", str(tmp_path / out), "--quiet"]) == 0
    assert history(tmp_path / "one") == history(tmp_path / "other")
    cases = data_sets.load(tmp_path)
    assert not isinstance(cases.X, np.ndarray)
    np.testing.assert_array_equal(cases.X[:], np.load(path)["X"])


@pytest.mark.parametrize(
    ("name", "array", "said"),
    [
        ("X", np.zeros((4, 2, 2)), "expected rows of numbers; found (4, 2, 2)"),
        ("y", np.zeros(3, int), "expected as many rows in X as in y"),
        ("X_test", np.zeros((2, 5)), "expected arrays X, y or X, y, X_test, y_test"),
        ("X", np.array([["a"]]), "expected real numbers"),
        ("y", np.full(4, -1), "expected labels from 0 up (or floats, as targets); found -1"),
    ],
)
def test_bad_npy_files(name, array, said, tmp_path):
    """An error in a folder of `.npy` files names the file."""
    for key, good in {"X": np.zeros((4, 5)), "y": np.zeros(4, int), name: array}.items():
        np.save(tmp_path / f"{key}.npy", good)
    with pytest.raises(ValueError, match=str(tmp_path)) as error:
        data_sets.load(tmp_path)
    assert said in str(error.value)
