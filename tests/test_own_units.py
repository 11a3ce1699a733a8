"""Data in units of one's own: standardised inputs, names of classes, image shapes and R^2, kept with the network."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import refhf
from refhf.lab.cli import entry_point


@given(st.integers(0, 2**32 - 1), st.integers(2, 9), st.integers(1, 4), st.booleans())
def test_a_standardised_network_sees_mean_0_and_deviation_1(seed, cases, channels, images):
    """The first block takes X to mean 0 and deviation 1, NumPy's; a constant is only shifted, to 0."""
    rng = np.random.default_rng(seed)
    shape = (3, 2, channels) if images else (channels,)
    X = rng.normal(size=(cases, *shape)) * 10.0 ** rng.integers(-3, 4, channels) + rng.normal(size=channels)
    X[..., 0] = 0.1
    net = refhf.chain([refhf.elementwise("identity"), *([refhf.flatten()] if images else [])], shape=shape)
    s = net.standardised(X.reshape(cases, -1)).chain.blocks[0].forward((), X)[0]
    axes = tuple(range(s.ndim - 1))
    assert np.abs(s[..., 0]).max() < 1e-12
    want = (X - X.mean(axis=axes)) / np.where(np.arange(channels) == 0, 1, X.std(axis=axes))
    np.testing.assert_allclose(s, want, atol=1e-9)


def test_a_network_keeps_its_units_in_a_file(tmp_path):
    """What `save` writes predicts the same from data in their own units, and has the names of its classes."""
    X = np.random.default_rng(0).normal(size=(9, 3)) * [1, 100, 1e-3] + [0, 50, 7]
    net = refhf.mlp([3, 4, 2]).standardised(X)._replace(classes=("ash", "elm"))
    theta = net.init(rng=0)
    refhf.save(tmp_path / "net.npz", net, theta)
    again, found = refhf.load_network(tmp_path / "net.npz")
    np.testing.assert_array_equal(again.predict(found, X), net.predict(theta, X))
    assert again.classes == ("ash", "elm")


def test_only_numbers_are_standardised():
    """Tokens, and cases of another width, are refused before any work."""
    with pytest.raises(ValueError, match="a network of tokens"):
        refhf.transformer(5, context=4, width=4, heads=2, depth=1).standardised(np.ones((2, 4)))
    with pytest.raises(ValueError, match=r"X: expected shape \(B, 3\); got \(2, 4\)"):
        refhf.mlp([3, 2]).standardised(np.ones((2, 4)))


def run(capsys, *words):
    """The JSON that a command prints."""
    assert entry_point.main([*map(str, words), "--quiet", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def trees(path, names, seed):
    """A table of 90 trees of the species `names`, whose measures have very different sizes."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, len(names), 90)
    X = (rng.normal(size=(90, 3)) * 0.1 + np.eye(3)[kinds]) * [1, 100, 1e4]
    lines = [f"{a},{b},{c},{names[k]}\n" for (a, b, c), k in zip(X, kinds, strict=True)]
    path.write_text("".join(["height,girth,leaves,label\n", *lines]), encoding="utf-8")
    return path


def test_names_of_classes_go_with_the_network(tmp_path, capsys):
    """A table of fewer classes, which numbers them otherwise, has the same small error; an unknown one is refused."""
    known, out = trees(tmp_path / "known.csv", ("elm", "oak", "ash"), 0), tmp_path / "run"
    run(capsys, "train", "--data", known, "--hidden", "4", "--standardise", "--steps", "8", "--out", out)
    fewer = trees(tmp_path / "fewer.csv", ("elm", "oak"), 1)
    found = run(capsys, "predict", out / "network.npz", fewer)
    assert found["error"] < 0.05
    assert {row["class"] for row in found["first"]} <= {"elm", "oak"}
    other = trees(tmp_path / "other.csv", ("elm", "fir"), 2)
    assert entry_point.main(["predict", str(out / "network.npz"), str(other), "--quiet"]) == 2
    assert "expected the network's classes, ash, elm, oak; got fir" in capsys.readouterr().err


def test_a_standardised_run_resumes(tmp_path, capsys):
    """A run that stopped and went on ends where the whole run ends, to the bit."""
    data = trees(tmp_path / "trees.csv", ("elm", "oak", "ash"), 0)
    arguments = "train", "--data", data, "--hidden", "4", "--standardise", "--curvature-batch", "30"
    run(capsys, *arguments, "--steps", "4", "--out", tmp_path / "parted")
    parted = run(capsys, "train", "--resume", tmp_path / "parted", "--steps", "6")
    whole = run(capsys, *arguments, "--steps", "6", "--out", tmp_path / "whole")
    assert parted["final"]["loss"] == whole["final"]["loss"]


def test_a_regression_reports_r_squared(tmp_path, capsys):
    """R^2 of `train` and `predict` is 1 - residual / spread, computed here from the predictions."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2))
    y = X @ [1.0, 2.0] + 0.3 * rng.normal(size=60)
    np.savez(tmp_path / "line.npz", X=X, y=y)
    words = "--data", tmp_path / "line.npz", "--hidden", "none", "--dtype", "float64"
    final = run(capsys, "train", *words, "--steps", "5", "--out", tmp_path / "run")["final"]
    net, theta = refhf.load_network(tmp_path / "run" / "network.npz")
    want = 1 - np.square(net.predict(theta, X)[:, 0] - y).sum() / np.square(y - y.mean()).sum()
    assert final["training_r2"] == pytest.approx(want, rel=1e-9)
    predicted = run(capsys, "predict", tmp_path / "run" / "network.npz", tmp_path / "line.npz")
    assert predicted["R^2"] == pytest.approx(want, rel=1e-9)
    assert np.isnan(refhf.supervised(net, X, np.ones((60, 1))).r_squared(theta))
    with pytest.raises(ValueError, match="whose score is `error`"):
        refhf.supervised(refhf.mlp([2, 3]), X, np.zeros(60, int)).r_squared(np.zeros(9))


def test_what_follows_a_text(tmp_path, capsys):
    """A transformer predicts the next character of each window, and numbers another text's characters as its own."""
    (tmp_path / "one.txt").write_text("abcd" * 40, encoding="utf-8")
    (tmp_path / "two.txt").write_text("bd" * 40, encoding="utf-8")
    sizes = "--context", "4", "--width", "4", "--heads", "1", "--depth", "1"
    words = (
        "--network",
        "transformer",
        "--data",
        tmp_path / "one.txt",
        *sizes,
        "--steps",
        "20",
        "--out",
        tmp_path / "run",
    )
    run(capsys, "train", *words)
    found = run(capsys, "predict", tmp_path / "run" / "network.npz", tmp_path / "one.txt")
    assert found["error"] < 0.3
    windows = refhf.load(tmp_path / "one.txt", context=4)
    following = [windows.vocabulary[y[-1]] for y in windows.y_test[:5]]
    assert [row["class"] for row in found["first"]] == following
    other = run(capsys, "predict", tmp_path / "run" / "network.npz", tmp_path / "two.txt")
    assert set(other["first"][0]) == {"class", "p(a)", "p(b)", "p(c)", "p(d)"}
    assert entry_point.main(["predict", str(tmp_path / "run" / "network.npz"), "mnist-mini", "--quiet"]) == 2
    assert "expected a text" in capsys.readouterr().err


def test_images_need_not_be_square(tmp_path, capsys):
    """An array (B, height, width) is images of that shape; flat rows of no square are refused."""
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "wide.npz", X=rng.random((12, 8, 12)), y=rng.integers(0, 2, 12))
    np.savez(tmp_path / "flat.npz", X=rng.random((12, 96)), y=rng.integers(0, 2, 12))
    words = "train", "--network", "convnet", "--width", "1", "--steps", "1", "--out", tmp_path / "run", "--data"
    run(capsys, *words, tmp_path / "wide.npz")
    assert refhf.load_network(tmp_path / "run" / "network.npz")[0].in_shape == (8, 12, 1)
    assert entry_point.main([*map(str, words), str(tmp_path / "flat.npz"), "--overwrite", "--quiet"]) == 2
    assert "expected square images" in capsys.readouterr().err
