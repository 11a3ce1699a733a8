"""Cases as users have them: each unambiguous form of X and y is read to the bit; the rest is one line, by name."""

import numpy as np
import pytest

import refhf
from refhf.parallel import serial
from refhf.parallel.shards import load_shard

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 4))
LABELS = np.array([0, 2, 1, 1, 0, 2])
BINARY = LABELS % 2
COLUMN = RNG.normal(size=(6, 1))
SOFTMAX = refhf.mlp([4, 5, 3])
LOGISTIC = refhf.mlp([4, 5, 3], loss="logistic_cross_entropy")
ONE = refhf.mlp([4, 5, 1], loss="logistic_cross_entropy")
SQUARED = refhf.mlp([4, 5, 1], loss="squared_error")
THREE = refhf.mlp([4, 5, 3], loss="squared_error")
IMAGES = refhf.convnet((4, 5, 1), [refhf.conv(2, 3), 3])
COLOURED = refhf.convnet((4, 5, 2), [refhf.conv(2, 3), 3])
TO_IMAGE = refhf.convnet((4, 5, 2), [refhf.conv(3, 3, padding=1)], loss="squared_error")
FLAT = refhf.mlp([20, 3])


class TableLike:
    """A column of a table: it is no array, and becomes one."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype)


FORMS = {  # what is given: the network, y, the form that has always been read
    "labels in a column": (SOFTMAX, LABELS[:, None], LABELS),
    "labels in a column, independent outputs": (LOGISTIC, LABELS[:, None], np.eye(3)[LABELS]),
    "labels in a list of lists": (SOFTMAX, LABELS[:, None].tolist(), LABELS),
    "labels that are floats": (SOFTMAX, LABELS * 1.0, LABELS),
    "labels that are floats, in a column": (SOFTMAX, LABELS[:, None].astype(np.float32), LABELS),
    "labels that are floats, independent outputs": (LOGISTIC, LABELS * 1.0, np.eye(3)[LABELS]),
    "labels of a table": (SOFTMAX, TableLike(LABELS), LABELS),
    "truth values, two classes": (refhf.mlp([4, 2]), BINARY == 1, BINARY),
    "truth values, one output": (ONE, BINARY == 1, BINARY),
    "truth values, in a column": (ONE, (BINARY == 1)[:, None], BINARY),
    "floats, one output": (ONE, BINARY * 1.0, BINARY),
    "probabilities, one output": (ONE, np.full(6, 0.25), np.full((6, 1), 0.25)),
    "unsigned labels in a column": (SOFTMAX, LABELS.astype(np.uint8)[:, None], LABELS),
    "integer one-hot": (SOFTMAX, np.eye(3, dtype=int)[LABELS], LABELS),
    "truth values, one-hot": (SOFTMAX, np.eye(3)[LABELS] == 1, LABELS),
    "targets without their axis": (SQUARED, COLUMN[:, 0], COLUMN),
    "targets in a list": (SQUARED, COLUMN[:, 0].tolist(), COLUMN),
    "integer targets without their axis": (SQUARED, LABELS, LABELS[:, None] * 1.0),
}


@pytest.mark.parametrize("form", FORMS)
def test_targets_in_the_forms_that_people_have(form):
    """Labels in a column, as whole floats or truth values, and targets (B,) of a single output, give the same bits."""
    net, given, want = FORMS[form]
    theta = net.init(0)
    got, known = (refhf.supervised(net, X, y).value_and_gradient(theta) for y in (given, want))
    assert got[0] == pytest.approx(known[0], rel=1e-14)
    np.testing.assert_allclose(got[1], known[1], rtol=1e-12, atol=1e-15)
    assert refhf.supervised(net, X, given).error(theta) == refhf.supervised(net, X, want).error(theta)


@pytest.mark.parametrize("form", ["labels in a column", "labels that are floats", "targets without their axis"])
def test_targets_in_files_too(form, tmp_path):
    """Data on disk and data in memory give the same results."""
    net, given, want = FORMS[form]
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", given)
    stored = load_shard(tmp_path / "X.npy", tmp_path / "y.npy", serial())
    theta = net.init(0)
    assert refhf.supervised(net, *stored).value(theta) == refhf.supervised(net, X, want).value(theta)


INPUTS = {
    "images of one channel": (IMAGES, (6, 4, 5)),
    "images with their channel": (IMAGES, (6, 4, 5, 1)),
    "images with their channel first": (IMAGES, (6, 1, 4, 5)),
    "images of two channels": (COLOURED, (6, 4, 5, 2)),
    "images for a dense layer": (FLAT, (6, 4, 5)),
    "images with a channel for a dense layer": (FLAT, (6, 4, 5, 1)),
}


@pytest.mark.parametrize("form", INPUTS)
def test_images_may_keep_their_shape(form):
    """X of images is its rows in C order, for an objective and for predict; so are targets that are images."""
    net, shape = INPUTS[form]
    images = np.random.default_rng(1).normal(size=shape)
    rows, theta = images.reshape(6, -1), net.init(0)
    assert refhf.supervised(net, images, LABELS).value(theta) == refhf.supervised(net, rows, LABELS).value(theta)
    np.testing.assert_array_equal(net.predict(theta, images), net.predict(theta, rows))
    if net.images and shape[1] != 1:  # (1, rows, columns) is a batch of one
        np.testing.assert_array_equal(net.predict(theta, images[0]), net.predict(theta, rows[0]))


def test_targets_may_be_images():
    """A network that ends in an image takes its targets as images, or in rows."""
    images, theta = RNG.normal(size=(6, 4, 5, 2)), TO_IMAGE.init(0)
    y = RNG.normal(size=(6, 4, 5, 3))
    values = [refhf.supervised(TO_IMAGE, images, form).value(theta) for form in (y, y.reshape(6, -1))]
    assert values[0] == values[1]


@pytest.mark.parametrize("net", [SOFTMAX, LOGISTIC, ONE, THREE], ids=lambda net: net.loss.name)
def test_predict_takes_one_case_or_many(net):
    """(n_0,) gives (n_L,), (B, n_0) gives (B, n_L), in lists too; none is (0, n_L); the type is theta's."""
    theta, outputs = net.init(0), net.layers[-1].n_out
    want = net.predict(theta, X)
    assert want.shape == (6, outputs)
    for given in (X.tolist(), tuple(map(tuple, X)), TableLike(X), np.asfortranarray(X)):
        np.testing.assert_array_equal(net.predict(theta, given), want)
    for given in (X[0], X[0].tolist(), TableLike(X[0])):
        assert net.predict(theta, given).shape == (outputs,)
        np.testing.assert_allclose(net.predict(theta, given), want[0], rtol=1e-13)
    assert net.predict(theta, X[:0]).shape == (0, outputs)
    assert net.predict(theta, X[:1]).shape == (1, outputs)
    assert net.predict(theta.astype(np.float32), X).dtype == np.float32
    assert net.predict(theta, X > 0).dtype == np.float64
    np.testing.assert_array_equal(net.predict(theta.tolist(), X), want)
    np.testing.assert_array_equal(refhf.supervised(SOFTMAX, X, LABELS).predict(SOFTMAX.init(0), X[0]).shape, (3,))


def test_predict_lets_a_complex_step_through():
    """A complex theta gives complex answers, whose imaginary part is the derivative."""
    theta, v = SOFTMAX.init(0), RNG.normal(size=SOFTMAX.size)
    got = SOFTMAX.predict(theta + 1e-20j * v, X).imag / 1e-20
    h = 1e-6
    want = (SOFTMAX.predict(theta + h * v, X) - SOFTMAX.predict(theta - h * v, X)) / (2 * h)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-8)


def predicted(given, net=SOFTMAX, theta=None):
    return lambda: net.predict(net.init(0) if theta is None else theta, given)


def targeted(net, y, X=X):
    return lambda: refhf.supervised(net, X, y)


REFUSED = {
    "a wrong width": (predicted(X[:, :3]), "X", "(any, 4) or (4,)", "(6, 3)"),
    "a case of a wrong width": (predicted(X[0, :3]), "X", "(any, 4) or (4,)", "(3,)"),
    "a number": (predicted(3.0), "X", "(any, 4) or (4,)", "()"),
    "a case in a column": (predicted(X[0][:, None]), "X", "(any, 4) or (4,)", "(4, 1)"),
    "three axes": (predicted(X[None]), "X", "(any, 4)", "(1, 6, 4)"),
    "rows of different lengths": (predicted([[1.0, 2, 3, 4], [1.0]]), "X", "rows of different lengths"),
    "words": (predicted(X.astype(str)), "X", "real numbers", "<U"),
    "nothing": (predicted(None), "X", "(any, 4) or (4,)", "()"),
    "complex inputs": (predicted(X + 0j), "X", "real numbers", "complex128"),
    "NaN": (predicted(X * np.nan), "X", "finite", "nan"),
    "channels first": (predicted(np.zeros((6, 2, 4, 5)), COLOURED), "X (rows of images (4, 5, 2))", "(any, 4, 5, 2)"),
    "a short theta": (predicted(X, theta=np.zeros(3)), "theta", f"({SOFTMAX.size},)", "(3,)"),
    "a theta of words": (predicted(X, theta=["a"] * SOFTMAX.size), "theta", "real vector", "<U1"),
    "no theta": (lambda: SOFTMAX.predict(None, X), "theta", "real vector", "object"),
    "fractional labels": (targeted(SOFTMAX, LABELS + 0.5), "y", "integer labels", "float64"),
    "a label that is NaN": (targeted(SOFTMAX, np.where(LABELS == 1, np.nan, 0)), "y", "finite", "nan"),
    "labels of words": (targeted(SOFTMAX, ["cat"] * 6), "y", "integer labels", "<U3"),
    "labels that are objects": (targeted(SOFTMAX, np.array([None] * 6)), "y", "integer labels", "object"),
    "complex labels": (targeted(SOFTMAX, LABELS + 0j), "y", "integer labels", "complex128"),
    "a high label in a column": (targeted(SOFTMAX, LABELS[:, None] + 1), "y", "0 .. 2", "got 3"),
    "a high label that is a float": (targeted(SOFTMAX, LABELS + 1.0), "y", "0 .. 2", "got 3"),
    "an infinite label": (targeted(SOFTMAX, np.full(6, np.inf)), "y", "finite", "inf"),
    "a column too short": (targeted(SOFTMAX, LABELS[:5, None]), "y", "6 labels", "got 5"),
    "labels in a row": (targeted(SOFTMAX, LABELS[None]), "y", "(6, 3)", "(1, 6)"),
    "targets for three outputs": (targeted(THREE, COLUMN[:, 0]), "y", "(6, 3)", "(6,)"),
    "a column for three outputs": (targeted(THREE, COLUMN), "y", "(6, 3)", "(6, 1)"),
    "too few targets": (targeted(SQUARED, COLUMN[:5, 0]), "y", "6 targets", "got 5"),
    "no probabilities": (targeted(ONE, np.linspace(0, 2, 6)), "y", "[0, 1]", "got one of"),
    "targets of different lengths": (targeted(SQUARED, [[1.0], [1.0, 2.0]]), "y", "rows of different lengths"),
    "targets of words": (targeted(SQUARED, ["1"] * 6), "y", "real numbers", "<U1"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_ambiguous_is_refused(what):
    """One ValueError of one line: the argument, what is taken, what came."""
    call, argument, *parts = REFUSED[what]
    with pytest.raises(ValueError) as caught:
        call()
    said = str(caught.value)
    assert said.startswith(f"{argument}: expected ") and "\n" not in said
    assert all(part in said for part in parts), said
