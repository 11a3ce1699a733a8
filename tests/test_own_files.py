"""refhf.data.array_files and what `pose` makes of them: the names and shapes that people's own data have."""

import numpy as np
import pytest

from refhf.data.data_sets import load
from refhf.formats import FormatError
from refhf.lab.cli import entry_point
from refhf.lab.runs.training_problem import pose_problem

X, LABELS = np.arange(12.0).reshape(4, 3), np.array([0, 1, 2, 1])
IMAGES = np.arange(24, dtype=np.uint8).reshape(4, 2, 3)
NAMED = {  # the arrays of a file, what X and y are, and a part of what is said
    "scikit-learn's names": ({"X_train": X, "y_train": LABELS}, X, LABELS, "X_train (4, 3): read as X, rows (4, 3)"),
    "Keras's names": ({"x_train": X, "y_train": LABELS}, X, LABELS, "y_train (4,): read as y, labels (4,)"),
    "Keras's images": ({"x_train": IMAGES, "y_train": LABELS}, IMAGES.reshape(4, 6), LABELS, "rows (4, 6)"),
    "Keras's labels": ({"X": X, "y": LABELS[:, None].astype(np.uint8)}, X, LABELS, "y (4, 1): read as y, labels (4,)"),
    "small names": ({"x": X, "y": LABELS}, X, LABELS, "x (4, 3): read as X"),
    "large names": ({"X": X, "Y": LABELS}, X, LABELS, "Y (4,): read as y"),
    "floats": ({"X": X, "y": X[:, 1]}, X, X[:, 1:2], "y (4,): read as y, targets (4, 1)"),
    "one input": ({"X": X[:, 0], "y": X[:, 1]}, X[:, :1], X[:, 1:2], "X (4,): read as X, rows (4, 1)"),
    "truth values": ({"X": X, "y": LABELS == 1}, X, LABELS % 2, ""),
    "truth values in a column": ({"X": X, "y": LABELS[:, None] == 1}, X, LABELS % 2, "labels (4,)"),
    "other arrays": ({"X": X, "y": LABELS, "X_val": X, "names": np.array(["a"])}, X, LABELS, ""),
    "Fortran order": ({"X": np.asfortranarray(X), "y": LABELS}, X, LABELS, ""),
}


@pytest.mark.parametrize("what", NAMED)
@pytest.mark.parametrize("tested", [False, True])
def test_names_and_shapes_that_people_use(tmp_path, what, tested):
    """`X_train`, `x_train` and the like are X; a column of integers is labels, floats (B,) targets; `notes` say so."""
    arrays, want, y, said = NAMED[what]
    if tested:
        pairs = [(f"{name.partition('_')[0]}_test", x[:2]) for name, x in arrays.items() if name[0] in "xXyY"]
        arrays = arrays | dict(pairs[:2])
    np.savez(tmp_path / "mine.npz", **arrays)
    data = load(tmp_path / "mine.npz")
    np.testing.assert_array_equal(data.X, want)
    np.testing.assert_array_equal(data.y, y)
    assert data.y.dtype == (np.int64 if y.ndim == 1 else np.float64)
    assert said in " ".join(data.notes) and bool(data.notes) == bool(said)
    if tested:
        np.testing.assert_array_equal(data.X_test, want[:2])
        np.testing.assert_array_equal(data.y_test, y[:2])


@pytest.mark.parametrize("what", [name for name in NAMED if "images" not in name and name != "Fortran order"])
def test_a_folder_is_read_as_the_file(tmp_path, what):
    """The same arrays as `.npy` files of a folder are the same data with the same notes."""
    arrays, want, y, _ = NAMED[what]
    np.savez(tmp_path / "mine.npz", **arrays)
    for name, x in arrays.items():
        np.save(tmp_path / f"{name}.npy", x)
    data = load(tmp_path)
    np.testing.assert_array_equal(data.X[:], want)
    np.testing.assert_array_equal(data.y[:], y)
    assert sorted(data.notes) == sorted(load(tmp_path / "mine.npz").notes)


def test_a_folder_of_other_files_says_which(tmp_path):
    """A folder without the required arrays is refused with the names that it has and those that it needs."""
    np.save(tmp_path / "inputs.npy", X)
    with pytest.raises(FormatError, match=r"expected arrays X, y .*; found \['inputs'\]"):
        load(tmp_path)


ONE_HOT = np.eye(3)[LABELS]
POSED = {  # y, --loss, the loss and the outputs of the network, a part of what is said
    "labels": (LABELS, None, "softmax_cross_entropy", 3, ""),
    "a column of labels": (LABELS[:, None], None, "softmax_cross_entropy", 3, "labels"),
    "integer one-hot": (ONE_HOT.astype(int), None, "softmax_cross_entropy", 3, "read as 3 classes"),
    "one-hot": (ONE_HOT, None, "softmax_cross_entropy", 3, "read as 3 classes"),
    "one-hot as numbers": (ONE_HOT, "squared_error", "squared_error", 3, ""),
    "one-hot as probabilities": (ONE_HOT, "logistic_cross_entropy", "logistic_cross_entropy", 3, ""),
    "several classes of a case": (np.ones((4, 3), int), None, "squared_error", 3, ""),
    "distributions": (np.full((4, 2), 0.5), None, "squared_error", 2, ""),
    "distributions, softmax": (np.full((4, 2), 0.5), "softmax_cross_entropy", "softmax_cross_entropy", 2, ""),
    "integers to fit": (LABELS, "squared_error", "squared_error", 1, "targets of one output"),
    "a column of integers to fit": (LABELS[:, None], "squared_error", "squared_error", 1, "targets of one output"),
    "floats": (LABELS * 0.5, None, "squared_error", 1, "targets (4, 1)"),
    "floats to fit": (LABELS * 0.5, "squared_error", "squared_error", 1, "targets (4, 1)"),
    "whole floats": (LABELS * 1.0, None, "squared_error", 1, "targets (4, 1)"),
    "whole floats, softmax": (LABELS * 1.0, "softmax_cross_entropy", "softmax_cross_entropy", 3, "read as labels"),
    "probabilities": (LABELS * 0.5, "logistic_cross_entropy", "logistic_cross_entropy", 1, "targets (4, 1)"),
    "truth values": (LABELS == 1, None, "softmax_cross_entropy", 2, ""),
}


@pytest.mark.parametrize("what", POSED)
@pytest.mark.parametrize("as_folder", [False, True])
def test_what_the_targets_make_of_the_network(tmp_path, what, as_folder):
    """Labels and one-hot rows are classes, unless a loss says otherwise; other numbers are fitted."""
    y, loss, want, outputs, said = POSED[what]
    np.savez(tmp_path / "mine.npz", X=X, y=y)
    if as_folder:
        np.save(tmp_path / "X.npy", X)
        np.save(tmp_path / "y.npy", y)
    problem = pose_problem(load(tmp_path if as_folder else tmp_path / "mine.npz"), [2], loss=loss)
    assert (problem.net.loss.name, problem.sizes) == (want, [3, 2, outputs])
    assert said in " ".join(problem.notes) and bool(problem.notes) == bool(said)
    assert np.isfinite(problem.objective.value(problem.theta0))


@pytest.mark.parametrize("y", [LABELS * 0.5, LABELS - 1.0])
def test_a_softmax_of_other_numbers_is_refused(tmp_path, y):
    """A column of numbers that are no labels gives a softmax nothing to do."""
    np.savez(tmp_path / "mine.npz", X=X, y=y)
    with pytest.raises(ValueError, match="y: expected labels 0, 1, ... for softmax_cross_entropy; got other numbers"):
        pose_problem(load(tmp_path / "mine.npz"), [2], loss="softmax_cross_entropy")


@pytest.mark.parametrize("quiet", [False, True])
@pytest.mark.parametrize("command", ["train", "sweep"])
def test_how_the_data_were_read_is_said(tmp_path, command, quiet, capsys):
    """On stderr, a line each; --targets of a sweep are for one-hot rows too."""
    np.savez(tmp_path / "mine.npz", X_train=X, y_train=ONE_HOT)
    own = {"train": ["--steps", "1"], "sweep": ["--methods", "sgd", "--batches", "2", "--seeds", "1", "--epochs", "1"]}
    own["sweep"] += ["--targets", "0.5", "--out", str(tmp_path / "out")]
    arguments = [command, "--data", str(tmp_path / "mine.npz"), "--hidden", "2", *own[command]]
    assert entry_point.main(arguments + ["--quiet"] * quiet) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("data: ")]
    assert said == [] if quiet else ["X_train" in said[0], "classes" in said[-1], len(said)] == [True, True, 3]
