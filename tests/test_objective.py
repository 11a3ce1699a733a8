"""refhf.objective and its functions: chunks, weight decay, samples, dtypes, and what is refused."""

import re
import tracemalloc
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import relative_error, sizes
from strategies import problems

import refhf
from refhf.model import network
from refhf.objective import linearised_chunks as module


class Problem(NamedTuple):
    """A point and a direction."""

    theta: np.ndarray
    v: np.ndarray


def results(objective, problem):
    """Everything an objective says at theta, along v."""
    theta, v = problem.theta, problem.v
    f, g = objective.value_and_gradient(theta)
    products = objective.hessian(theta) @ v, objective.gauss_newton(theta) @ v
    return {
        "value": objective.value(theta),
        "its value": f,
        "gradient": g,
        "H v": products[0],
        "G v": products[1],
        "gradient_squares": objective.gradient_squares(theta),
        "error": objective.error(theta),
    }


def of_results(problem):
    """The sizes of what these are sums of."""
    size, v = sizes(problem), np.linalg.norm(problem.v)
    return {
        "value": size.value,
        "its value": size.value,
        "gradient": size.gradient,
        "H v": size.hessian * v,
        "G v": size.gauss_newton * v,
        "gradient_squares": size.squares,
        "error": 0.0,
    }


def again(problem, **options):
    """The problem's objective with other options."""
    options = {"l2": problem.objective.l2, **options}
    return refhf.supervised(problem.net, options.pop("X", problem.X), options.pop("y", problem.y), **options)


# --- Chunks


@given(problems(), st.integers(1, 40))
def test_chunk_size_changes_nothing(problem, chunk_size):
    """Value, gradient, H v, G v, squares and error are the same for every chunk size, to 1e-13."""
    want, size = results(problem.objective, problem), of_results(problem)
    for name, got in results(again(problem, chunk_size=chunk_size), problem).items():
        assert relative_error(got, want[name], size[name]) < 1e-13, name


@given(problems(), st.integers(1, 8), st.integers(0, 20_000))
def test_tapes_that_are_not_kept_change_nothing(problem, chunk_size, tape_bytes):
    """Products are the same to 1e-13 where only some tapes are kept, to the bit when repeated, theta written over."""
    want, size = results(problem.objective, problem), of_results(problem)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "TAPE_BYTES", tape_bytes)
        objective = again(problem, chunk_size=chunk_size)
        for name, linearise in (("H v", objective.hessian), ("G v", objective.gauss_newton)):
            theta = problem.theta.copy()
            A = linearise(theta)
            theta[:] = np.nan
            assert relative_error(A @ problem.v, want[name], size[name]) < 1e-13
            assert (A @ problem.v).tobytes() == (A @ problem.v).tobytes()


@pytest.mark.parametrize("linearise", ["hessian", "gauss_newton"])
@pytest.mark.parametrize(("tape_bytes", "sweeps"), [(2**30, 0), (0, 4)])
def test_linearise_once_multiply_often(linearise, tape_bytes, sweeps, monkeypatch):
    """A product over kept tapes sweeps nothing forward anew; beyond TAPE_BYTES all chunks but the first are."""
    X, net = np.random.default_rng(0).normal(size=(10, 3)), refhf.mlp([3, 4, 2])
    monkeypatch.setattr(module, "TAPE_BYTES", tape_bytes)
    objective, theta = refhf.supervised(net, X, np.arange(10) % 2, chunk_size=2), net.init(rng=0)
    swept, forward = [], network.forward
    monkeypatch.setattr(network, "forward", lambda *args, **options: swept.append(1) or forward(*args, **options))
    A = getattr(objective, linearise)(theta)
    assert len(swept) == (5 if sweeps == 0 else 1)
    for _ in range(3):
        swept.clear()
        _ = A @ theta
        assert len(swept) == sweeps


def peak_bytes(call):
    """The largest amount of memory held at once during a call, above what was held before."""
    call()  # what is allocated once and kept
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("call", ["value", "value_and_gradient", "gradient_squares", "error"])
def test_memory_is_bounded_by_a_chunk(call):
    """At a fixed chunk size sixteen times the cases take the same memory."""
    net, rng = refhf.mlp([20, 30, 10]), np.random.default_rng(0)
    theta, peaks = net.init(rng), []
    for cases in (512, 16 * 512):
        X, y = rng.normal(size=(cases, 20)), rng.integers(0, 10, cases)
        objective = refhf.supervised(net, X, y, chunk_size=128)
        peaks.append(peak_bytes(lambda objective=objective: getattr(objective, call)(theta)))
    assert peaks[1] < 2.5 * peaks[0]  # a few chunks are under way at once


def test_kept_tapes_stay_within_their_budget(monkeypatch):
    """A curvature operator and its product hold at most TAPE_BYTES and a few chunks, however many cases there are."""
    net, rng = refhf.mlp([20, 30, 10]), np.random.default_rng(0)
    monkeypatch.setattr(module, "TAPE_BYTES", 2**20)
    X, y, theta = rng.normal(size=(8192, 20)), rng.integers(0, 10, 8192), net.init(rng)
    objective = refhf.supervised(net, X, y, chunk_size=32)
    for linearise in (objective.hessian, objective.gauss_newton):
        assert peak_bytes(lambda linearise=linearise: linearise(theta) @ theta) < 1.3 * 2**20


# --- Weight decay, squared gradients


@given(problems(l2=(0.3,)))
def test_weight_decay_enters_everything_alike(problem):
    """It adds l2/2 ||theta||^2 to f, l2 theta to g, l2 v to H v and G v, l2 to the squares; nothing to the error."""
    decayed, plain = results(problem.objective, problem), results(again(problem, l2=0.0), problem)
    theta, v = problem.theta, problem.v
    added = {"value": 0.15 * theta @ theta, "gradient": 0.3 * theta, "H v": 0.3 * v, "G v": 0.3 * v}
    added |= {"its value": added["value"], "gradient_squares": np.full(theta.size, 0.3), "error": 0.0}
    size = of_results(problem)
    for name, want in plain.items():
        assert relative_error(decayed[name], want + added[name], size[name]) < 1e-12, name


@given(problems(l2=(0.0,)), st.integers(1, 40))
def test_gradient_squares_are_those_of_single_cases(problem, chunk_size):
    """The mean over cases of g_i * g_i, where g_i is the gradient of case i alone."""
    each = [again(problem, X=problem.X[[i]], y=problem.y[[i]]) for i in range(len(problem.X))]
    want = np.mean([one.value_and_gradient(problem.theta)[1] ** 2 for one in each], axis=0)
    got = again(problem, chunk_size=chunk_size).gradient_squares(problem.theta)
    assert relative_error(got, want, of_results(problem)["gradient_squares"]) < 1e-12


# --- Samples


@given(problems(), st.integers(1, 32), st.integers(0, 2**32 - 1))
def test_sample_draws_cases_without_replacement(problem, cases, seed):
    """A sample is the same objective on distinct cases, each with its own target, in the data's order."""
    numbered = problem.X.copy()
    numbered[:, 0] = np.arange(len(numbered))
    objective = again(problem, X=numbered, chunk_size=5)
    cases = min(cases, len(numbered))
    mini = objective.sample(cases, rng=seed)
    rows = mini.X[:, 0].astype(int)
    assert (np.diff(rows) > 0).all()
    assert mini.cases == len(rows) == cases
    assert type(mini) is type(objective)
    assert (mini.net, mini.l2, mini.chunk_size) == (objective.net, objective.l2, objective.chunk_size)
    want, size = again(problem, X=numbered[rows], y=problem.y[rows]), of_results(problem._replace(X=numbered))
    got = mini.value_and_gradient(problem.theta)[1]
    assert relative_error(got, want.value_and_gradient(problem.theta)[1], size["gradient"]) < 1e-13


def test_sample_is_keyed_by_its_rng():
    """A seed and its Generator draw the same cases, two seeds others; over many draws each case comes equally often."""
    X = np.arange(12.0)[:, None]
    objective = refhf.supervised(refhf.mlp([1, 1], loss="squared_error"), X, X)
    drawn = [objective.sample(4, rng=seed).X[:, 0] for seed in range(600)]
    np.testing.assert_array_equal(drawn[7], objective.sample(4, rng=7).X[:, 0])
    np.testing.assert_array_equal(drawn[7], objective.sample(4, rng=np.random.default_rng(7)).X[:, 0])
    rng = np.random.default_rng(7)
    assert (objective.sample(4, rng=rng).X != objective.sample(4, rng=rng).X).any()
    counts = np.bincount(np.concatenate(drawn).astype(int), minlength=12)
    assert (abs(counts - 200) < 5 * np.sqrt(200 * 2 / 3)).all()
    np.testing.assert_array_equal(objective.sample(12).X, X)


def test_sample_owns_its_cases():
    """Writing over the data after a sample was drawn does not change the sample."""
    rng, net = np.random.default_rng(0), refhf.mlp([3, 2])
    X, y = rng.normal(size=(9, 3)), rng.integers(0, 2, 9)
    mini, theta = refhf.supervised(net, X, y).sample(4, rng=0), net.init(rng)
    H = mini.hessian(theta)
    before, product = mini.value(theta), H @ theta
    X[:], y[:] = 0, 0
    assert mini.value(theta) == before
    np.testing.assert_array_equal(H @ theta, product)


# --- dtypes, errors, targets


@given(problems())
def test_float32_gives_float32_close_to_float64(problem):
    """Computed in X's dtype: float32 vectors, a Python float for the value, and float64's numbers to 1e-4."""
    objective = again(problem, X=problem.X.astype(np.float32))
    want, got = results(problem.objective, problem), results(objective, problem)
    assert objective.dtype == objective.hessian(problem.theta).dtype == np.float32
    for name in ("gradient", "H v", "G v", "gradient_squares"):
        assert got[name].dtype == np.float32
        assert relative_error(got[name], want[name]) < 1e-4, name
    assert type(got["value"]) is type(want["value"]) is float
    assert got["value"] == pytest.approx(want["value"], rel=1e-5)
    assert objective.predict(problem.theta, problem.X).dtype == np.float32


def test_float32_sums_are_accumulated_in_float64():
    """The value over many cases and parameters is right to the rounding of one of them, not of their sum."""
    rng, net = np.random.default_rng(0), refhf.mlp([2000, 1], loss="squared_error")
    X = np.zeros((200_000, 1), np.float32)
    objective = refhf.supervised(refhf.mlp([1, 1], loss="squared_error"), X, X, chunk_size=200_000)
    assert objective.value(np.float32([0, 0.1])) == pytest.approx(np.square(np.float32(0.1)) / 2, rel=1e-7)
    theta = rng.normal(size=net.size).astype(np.float32)
    decay = refhf.supervised(net, np.zeros((1, 2000), np.float32), theta[-1:, None], l2=2.0).value(theta)
    assert decay == pytest.approx(np.square(theta, dtype=float).sum(), rel=1e-13)


def test_error_is_the_fraction_of_wrong_classes():
    """For labels, one-hot targets, and one output, whose class is 1 where the answer is above one half."""
    X = np.array([[3.0, 0, 0], [0, 3, 0], [0, 0, 3], [2, 3, 0]])  # classes 0, 1, 2, 1 by the largest
    theta, y = np.concatenate([20 * np.eye(3).ravel(), np.zeros(3)]), np.array([0, 1, 0, 0])  # logistic(40) is 1
    for loss, given_as in (
        ("softmax_cross_entropy", y),
        ("softmax_cross_entropy", np.eye(3)[y]),
        ("logistic_cross_entropy", y),
        ("squared_error", np.eye(3)[y]),
    ):
        objective = refhf.supervised(refhf.mlp([3, 3], loss=loss), X, given_as, chunk_size=3)
        assert objective.error(theta) == 0.5
    x, theta = np.array([[-1.0], [0.3], [0.6], [2.0]]), np.array([1.0, 0.0])
    logistic = refhf.supervised(refhf.mlp([1, 1], loss="logistic_cross_entropy"), x, [0, 1, 1, 0])
    assert logistic.error(theta) == 0.25  # says 0, 1, 1, 1
    squared = refhf.supervised(refhf.mlp([1, 1], loss="squared_error"), x, [[0], [1], [1], [1]])
    assert squared.error(theta) == 0.25  # says 0, 0, 1, 1


@pytest.mark.parametrize("reduction", ["fast", "reproducible"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1.7e308])
@pytest.mark.parametrize(
    ("loss", "outputs", "y"),
    [
        ("softmax_cross_entropy", 2, [0, 0, 0, 0]),
        ("softmax_cross_entropy", 2, np.eye(2)[[0, 0, 0, 0]]),
        ("logistic_cross_entropy", 2, [0, 0, 0, 0]),
        ("logistic_cross_entropy", 1, [0, 0, 0, 0]),
        ("squared_error", 2, np.eye(2)[[0, 0, 0, 0]]),
        ("squared_error", 1, np.zeros((4, 1))),
    ],
)
def test_outputs_that_are_not_finite_have_no_class(loss, outputs, y, bad, reduction):
    """The error is NaN, and not 0 where all labels are 0: also if it is one case's output, in a chunk of its own."""
    net = refhf.mlp([3, outputs], loss=loss)
    cases = np.array([[0.0] * 3] * 3 + [[1.0] * 3])  # one feels the weights, unless they are not finite
    theta = np.append(np.full(3 * outputs, bad), np.zeros(outputs))
    with np.errstate(all="ignore"):
        objective = refhf.supervised(net, cases, y, chunk_size=1, reduction=reduction)
        assert np.isnan(objective.error(theta))
        assert np.isnan(objective.sample(4, rng=0).error(theta))
    assert objective.error(0 * np.ones(net.size)) == 0


@given(problems(losses=("softmax_cross_entropy", "logistic_cross_entropy")))
def test_labels_are_one_hot_targets(problem):
    """Labels of any integer type give what their one-hot form gives, and for a single output what their column does."""
    outputs = problem.net.outputs
    labels = np.random.default_rng(0).integers(0, max(2, outputs), len(problem.X))
    one_hot = labels[:, None].astype(float) if outputs == 1 else np.eye(outputs)[labels]
    known = problem._replace(y=one_hot, objective=again(problem, y=one_hot))
    want, size = results(known.objective, problem), of_results(known)
    for form in (labels.astype(np.uint8), labels.tolist()):
        for name, got in results(again(problem, y=form), problem).items():
            assert relative_error(got, want[name], size[name]) < 1e-13, name


def test_integers_and_lists_are_data():
    """X of integers or in lists is computed in float64, as is theta."""
    net = refhf.mlp([2, 2])
    objective = refhf.supervised(net, [[1, 2], [3, 4], [0, 1]], [0, 1, 1])
    assert objective.dtype == np.float64
    f, g = objective.value_and_gradient([0] * net.size)
    assert f == pytest.approx(np.log(2))
    np.testing.assert_allclose(g, [1 / 3, -1 / 3, 1 / 2, -1 / 2, 1 / 6, -1 / 6])


# --- Complex vectors, and NumPy's own error handling


@settings(max_examples=20)
@given(problems(), st.sampled_from([np.float32, np.float64]))
def test_a_complex_vector_is_taken_apart(problem, dtype):
    """H (x + iy) = Hx + i Hy to the bit, for vectors, columns, and the adjoint, in the precision of the objective."""
    objective, theta = again(problem, X=problem.X.astype(dtype)), problem.theta.astype(dtype)
    x, y = problem.v.astype(dtype), theta
    for A in objective.hessian(theta), objective.gauss_newton(theta):
        want = A @ x + 1j * (A @ y)
        assert want.dtype == (np.complex64 if dtype == np.float32 else np.complex128)
        for got in (A @ (x + 1j * y), (A @ (x + 1j * y)[:, None])[:, 0], A.H @ (x + 1j * y), A.T @ (x + 1j * y)):
            np.testing.assert_array_equal(got, want, strict=True)
        np.testing.assert_array_equal((-1j * A) @ x, -1j * (A @ x))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss", ["softmax_cross_entropy", "logistic_cross_entropy", "squared_error"])
@pytest.mark.parametrize("nonlinearity", ["tanh", "logistic", "softplus", "relu", "identity"])
def test_underflow_is_harmless(nonlinearity, loss, dtype):
    """With NumPy's errors raised, what underflows is zero: at sure answers, and at tiny weights, inputs and decay."""
    net, tiny = refhf.mlp([3, 4, 2], nonlinearity=nonlinearity, loss=loss), float(np.finfo(dtype).tiny) ** 0.6
    theta = net.init(rng=0, dtype=dtype)
    for factor in (500, dtype(tiny)):
        objective = refhf.supervised(net, (X * factor).astype(dtype), TARGETS, l2=tiny)
        for t in theta, dtype(20) * theta, dtype(tiny) * theta:
            problem = Problem(t, dtype(tiny) * theta)
            with np.errstate(all="ignore"):
                want = results(objective, problem)
            with np.errstate(all="raise"):
                got = results(objective, problem)
                assert np.isfinite(objective.predict(t, X)).all()
            for name, x in got.items():
                np.testing.assert_array_equal(x, want[name], err_msg=name)


# --- from_functions


def rosenbrock():
    return refhf.from_functions(
        lambda x: 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2,
        lambda x: np.array([-400 * x[0] * (x[1] - x[0] ** 2) - 2 * (1 - x[0]), 200 * (x[1] - x[0] ** 2)]),
        hessp=lambda x, v: np.array(
            [(1200 * x[0] ** 2 - 400 * x[1] + 2) * v[0] - 400 * x[0] * v[1], -400 * x[0] * v[0] + 200 * v[1]]
        ),
    )


def test_from_functions_says_what_the_functions_say():
    """Value, gradient and product pass through, at their own argument; the operator is SciPy's; it samples itself."""
    f = rosenbrock()
    value, g = f.value_and_gradient([-1.2, 1])
    assert (f.value([-1.2, 1]), type(f.value([-1.2, 1]))) == (value, float)
    assert value == pytest.approx(24.2)
    np.testing.assert_allclose(g, [-215.6, -88])
    np.testing.assert_allclose(f.hessian([-1.2, 1]) @ np.eye(2), [[1330, 480], [480, 200]])
    assert f.sample(5, rng=0) is f
    assert f.curvatures == {"hessian"}
    both = refhf.from_functions(sum, np.ones_like, lambda x, v: 2 * v, lambda x, v: 3 * v)
    assert both.curvatures == {"hessian", "gauss-newton"}
    np.testing.assert_array_equal(both.hessian(np.ones(3)) @ np.ones(3), 2)
    np.testing.assert_array_equal(both.gauss_newton(np.ones(3)) @ np.ones(3), 3)


def test_from_functions_keeps_its_arrays_apart():
    """A function may write on its argument, return it, or reuse a buffer: neither theta, v nor a result changes."""
    buffer, theta, v = np.empty(2), np.array([1.0, 2.0]), np.array([3.0, 4.0])

    def overwriting(x):
        x *= 2
        return float(x[0])

    def reusing(x):
        buffer[:] = x
        return buffer

    f = refhf.from_functions(overwriting, reusing, hessp=lambda x, v: v)
    assert f.value(theta) == 2
    first = f.value_and_gradient(theta)[1]
    kept = first.copy()
    f.value_and_gradient(-theta)
    np.testing.assert_array_equal(first, kept)
    assert not np.shares_memory(f.hessian(theta) @ v, v)
    np.testing.assert_array_equal(theta, [1, 2])

    def spoiling(x, v):
        v *= 2
        x *= 3
        return v + x

    H = refhf.from_functions(overwriting, reusing, hessp=spoiling).hessian(theta)
    for _ in range(2):
        np.testing.assert_array_equal(H @ v, [9, 14])
    np.testing.assert_array_equal(v, [3, 4])


@pytest.mark.parametrize(
    ("said", "number"),
    [(Fraction(1, 2), 0.5), (2**70, 2.0**70), (np.float32(0.5), 0.5), (np.array(2), 2.0), ([[3]], 3.0)],
)
def test_a_value_is_a_float(said, number):
    """Whatever kind of real number a function gives, the value is a float; one beyond the range is infinite."""
    got = refhf.from_functions(lambda x: said, np.ones_like).value([1.0])
    assert (got, type(got)) == (number, float)
    assert refhf.from_functions(lambda x: -(10**400), np.ones_like).value([1.0]) == -np.inf


def test_masked_arrays_without_masks_are_arrays():
    """Masked arrays without masked entries are accepted."""
    objective = refhf.supervised(SOFTMAX, np.ma.array(X, mask=False), np.ma.array(LABELS))
    assert objective.value(np.ma.array(THETA + 1)) == OBJECTIVE.value(THETA + 1)


# --- R21, R22: inputs and the global random state are left alone


@given(problems())
def test_inputs_are_not_modified(problem):
    """No call changes X, y, theta or v, nor their flags: read-only arrays do as well."""
    inputs = X, y, theta, v = problem.X, problem.y, problem.theta, problem.v
    before = [x.tobytes() for x in inputs]
    for x in inputs:
        x.flags.writeable = False
    objective = refhf.supervised(problem.net, X, y, l2=0.1, chunk_size=3)
    results(objective, problem)
    results(objective.sample(len(X), rng=0), problem)
    objective.predict(theta, X)
    problem.net.predict(theta, X)
    problem.net.unpack(theta)
    f = refhf.from_functions(lambda t: t @ t / 2, lambda t: t, lambda t, v: v)
    f.value_and_gradient(theta)
    _ = f.hessian(theta) @ v
    assert [x.tobytes() for x in inputs] == before
    for x in inputs:
        x.flags.writeable = True
    results(refhf.supervised(problem.net, X, y), problem)
    assert all(x.flags.writeable for x in inputs)
    assert [x.tobytes() for x in inputs] == before


@given(problems())
def test_global_random_state_is_left_alone(problem):
    """Neither init, sample nor any result draws from or sets NumPy's global state; the same rng gives the same bits."""
    before = np.random.get_state()  # noqa: NPY002
    mini = [problem.objective.sample(1 + len(problem.X) // 2, rng=11) for _ in range(2)]
    bits = [[np.asarray(x).tobytes() for x in results(m, problem).values()] for m in mini]
    assert bits[0] == bits[1]
    problem.objective.sample(1)
    problem.net.init()
    for a, b in zip(before, np.random.get_state(), strict=True):  # noqa: NPY002
        np.testing.assert_array_equal(a, b)


# --- Bad input: a ValueError that names the argument, what was expected and what came

X, LABELS, THETA = np.linspace(-1, 1, 12).reshape(4, 3), np.array([0, 1, 1, 0]), np.zeros(8)
SOFTMAX, SQUARED = refhf.mlp([3, 2]), refhf.mlp([3, 2], loss="squared_error")
LOGISTIC, ONE = refhf.mlp([3, 2], loss="logistic_cross_entropy"), refhf.mlp([3, 1], loss="logistic_cross_entropy")
TARGETS = np.eye(2)[LABELS]
OBJECTIVE = refhf.supervised(SOFTMAX, X, LABELS)
FUNCTION = refhf.from_functions(lambda x: x @ x, lambda x: 2 * x)


def with_one(x, value):
    x = x.astype(float)
    x[2, 1] = value
    return x


def functions(**given):
    return refhf.from_functions(**{"value": np.sum, "gradient": np.ones_like, **given})


MASKED = np.ma.masked_greater(X, 0.9)
NOT_REAL = {
    "complex numbers": np.array([1j, 1]),
    "words": np.array(["1", "2"]),
    "nothing": None,
    "nothings": [None, None],
    "a word": "ab",
    "masks": np.ma.masked_equal([1.0, 2.0], 2),
    "fractions": [Fraction(1, 2), Fraction(1)],
    "times": np.array([1, 2], "m8[s]"),
    "a dict": {0: 1.0},
}
ANSWERS = {
    "gradient": lambda bad: functions(gradient=lambda x: bad).value_and_gradient([1, 2]),
    "hessp": lambda bad: functions(hessp=lambda x, v: bad).hessian([1, 2]) @ np.ones(2),
    "gauss_newton": lambda bad: functions(gauss_newton=lambda x, v: bad).gauss_newton([1, 2]) @ np.ones(2),
}

BAD = {
    "one size": (lambda: refhf.mlp([3]), "sizes", "at least two", "[3]"),
    "a size that is no list": (lambda: refhf.mlp(3), "sizes", "at least two", "got 3"),
    "an empty layer": (lambda: refhf.mlp([3, 0, 2]), "sizes[1]", "integer >= 1", "got 0"),
    "a negative size": (lambda: refhf.mlp([3, 2, -1]), "sizes[2]", "integer >= 1", "got -1"),
    "a fractional size": (lambda: refhf.mlp([3, 2.5]), "sizes[1]", "integer >= 1", "got 2.5"),
    "a boolean size": (lambda: refhf.mlp([True, 2]), "sizes[0]", "integer >= 1", "got True"),
    "a softmax of one": (lambda: refhf.mlp([3, 1]), "sizes[-1]", "two or more outputs", "logistic", "got 1"),
    "nonlinearity typo": (lambda: refhf.mlp([3, 2], nonlinearity="tahn"), "nonlinearity", "'tahn'", "mean 'tanh'"),
    "nonlinearity": (lambda: refhf.mlp([3, 2], nonlinearity=np.tanh), "nonlinearity", "expected one of", "softplus"),
    "loss typo": (lambda: refhf.mlp([3, 2], loss="squared-error"), "loss", "'squared-error'", "mean 'squared_error'"),
    "loss": (lambda: refhf.mlp([3, 2], loss=None), "loss", "expected one of", "got None"),
    "X of one dimension": (lambda: refhf.supervised(SOFTMAX, X[0], [0]), "X", "(any, 3)", "(3,)"),
    "X transposed": (lambda: refhf.supervised(SOFTMAX, X.T, LABELS), "X", "(any, 3)", "(3, 4)"),
    "no cases": (lambda: refhf.supervised(SOFTMAX, X[:0], LABELS[:0]), "X", "at least one case", "none"),
    "NaN in X": (lambda: refhf.supervised(SOFTMAX, with_one(X, np.nan), LABELS), "X", "finite", "nan", "(2, 1)"),
    "Inf in X": (lambda: refhf.supervised(SOFTMAX, with_one(X, -np.inf), LABELS), "X", "finite", "-inf", "(2, 1)"),
    "complex X": (lambda: refhf.supervised(SOFTMAX, X + 0j, LABELS), "X", "real numbers", "complex128"),
    "masked X": (lambda: refhf.supervised(SOFTMAX, MASKED, LABELS), "X", "numbers throughout", "masked"),
    "masked rows": (lambda: refhf.supervised(SOFTMAX, list(MASKED), LABELS), "X", "numbers throughout", "masked"),
    "masked predict's X": (lambda: OBJECTIVE.predict(THETA, MASKED), "X", "numbers throughout", "masked"),
    "masked labels": (lambda: refhf.supervised(SOFTMAX, X, np.ma.masked_equal(LABELS, 1)), "y", "masked"),
    "masked targets": (lambda: refhf.supervised(SQUARED, X, np.ma.masked_equal(TARGETS, 1)), "y", "masked"),
    "rows of two lengths": (
        lambda: refhf.supervised(SOFTMAX, [[1, 2, 3], [1, 2]], [0, 1]),
        "X",
        "an array",
        "different lengths",
    ),
    "X beyond float64": (lambda: refhf.supervised(SOFTMAX, [[2**70] * 3] * 4, LABELS), "X", "real numbers", "object"),
    "X of words": (lambda: refhf.supervised(SOFTMAX, X.astype(str), LABELS), "X", "real numbers", "<U"),
    "too few labels": (lambda: refhf.supervised(SOFTMAX, X, LABELS[:3]), "y", "4 labels", "got 3"),
    "too many labels": (lambda: refhf.supervised(ONE, X, [0, 1, 1, 0, 1]), "y", "4 labels", "got 5"),
    "a high label": (lambda: refhf.supervised(SOFTMAX, X, [0, 1, 2, 0]), "y", "0 .. 1", "got 2"),
    "a high label, logistic": (lambda: refhf.supervised(ONE, X, [0, 1, 2, 0]), "y", "0 .. 1", "got 2"),
    "a negative label": (lambda: refhf.supervised(LOGISTIC, X, [0, 1, -1, 0]), "y", "0 .. 1", "got -1"),
    "fractional labels": (lambda: refhf.supervised(SOFTMAX, X, [0, 0.5, 1, 0]), "y", "integer labels", "float64"),
    "no labels": (lambda: refhf.supervised(SOFTMAX, X, None), "y", "(4, 2)", "()"),
    "labels for squares": (lambda: refhf.supervised(SQUARED, X, LABELS), "y", "(4, 2)", "(4,)"),
    "targets transposed": (lambda: refhf.supervised(SQUARED, X, TARGETS.T), "y", "(4, 2)", "(2, 4)"),
    "NaN in targets": (lambda: refhf.supervised(SQUARED, X, with_one(TARGETS, np.nan)), "y", "finite", "nan", "(2, 1)"),
    "no probability": (lambda: refhf.supervised(LOGISTIC, X, TARGETS * 2), "y", "[0, 1]", "got one of 2"),
    "a negative target": (lambda: refhf.supervised(LOGISTIC, X, -TARGETS), "y", "[0, 1]", "got one of -1"),
    "no distribution": (lambda: refhf.supervised(SOFTMAX, X, TARGETS / 2), "y", "sum to 1", "sums to 0.5"),
    "negative l2": (lambda: refhf.supervised(SOFTMAX, X, LABELS, l2=-0.1), "l2", "[0, inf]", "got -0.1"),
    "l2 not a number": (lambda: refhf.supervised(SOFTMAX, X, LABELS, l2=np.nan), "l2", "finite number", "got nan"),
    "infinite l2": (lambda: refhf.supervised(SOFTMAX, X, LABELS, l2=np.inf), "l2", "finite number", "got inf"),
    "l2 in words": (lambda: refhf.supervised(SOFTMAX, X, LABELS, l2="small"), "l2", "finite number", "got 'small'"),
    "chunks of none": (lambda: refhf.supervised(SOFTMAX, X, LABELS, chunk_size=0), "chunk_size", ">= 1", "got 0"),
    "chunks of 1.5": (lambda: refhf.supervised(SOFTMAX, X, LABELS, chunk_size=1.5), "chunk_size", ">= 1", "got 1.5"),
    "a sample of none": (lambda: OBJECTIVE.sample(0), "cases", "integer >= 1", "got 0"),
    "a fractional sample": (lambda: OBJECTIVE.sample(0.5), "cases", "integer >= 1", "got 0.5"),
    "a sample larger than the data": (lambda: OBJECTIVE.sample(5), "cases", "at most the 4", "got 5"),
    "predict's X": (lambda: OBJECTIVE.predict(THETA, X[:, :2]), "X", "(any, 3)", "(4, 2)"),
    "NaN in predict's X": (lambda: OBJECTIVE.predict(THETA, with_one(X, np.nan)), "X", "finite", "nan"),
    "value is no function": (lambda: functions(value=3.0), "value", "a function", "got 3.0"),
    "no gradient": (lambda: functions(gradient=None), "gradient", "a function", "got None"),
    "hessp is a matrix": (lambda: functions(hessp=np.eye(2)), "hessp", "a function", "array"),
    "gauss_newton is 0": (lambda: functions(gauss_newton=0), "gauss_newton", "a function", "got 0"),
    "no hessp": (lambda: FUNCTION.hessian(THETA), "objective", "one that has hessian", "none"),
    "no gauss_newton": (lambda: FUNCTION.gauss_newton(THETA), "objective", "one that has gauss-newton", "none"),
    "value gives an array": (lambda: functions(value=np.cumsum).value([1, 2]), "value", "a real number", "array"),
    "value gives None": (lambda: functions(value=lambda x: None).value([1, 2]), "value", "a real number", "None"),
    "value gives words": (lambda: functions(value=lambda x: "1").value([1, 2]), "value", "a real number", "'1'"),
    "value is complex": (lambda: functions(value=lambda x: 1 + 0j).value([1, 2]), "value", "a real number", "1+0j"),
    "value is masked": (lambda: functions(value=lambda x: np.ma.masked).value([1, 2]), "value", "masked"),
    "value is a time": (
        lambda: functions(value=lambda x: np.timedelta64(1, "s")).value([1, 2]),
        "value",
        "real number",
    ),
    **{
        f"{name} of {kind}": (lambda call=call, bad=bad: call(bad), name, "(2,)" if kind != "masks" else "masked")
        for name, call in ANSWERS.items()
        for kind, bad in NOT_REAL.items()
    },
    "gradient too short": (
        lambda: functions(gradient=lambda x: x[1:]).value_and_gradient([1, 2]),
        *("gradient", "(2,)", "(1,)"),
    ),
    "product too short": (
        lambda: functions(hessp=lambda x, v: v[1:]).hessian([1, 2]) @ np.ones(2),
        *("hessp", "(2,)", "(1,)"),
    ),
}
BAD_THETAS = {
    "too short": (THETA[:-1], "(8,)", "(7,)"),
    "a column": (THETA[:, None], "(8,)", "(8, 1)"),
    "complex": (THETA + 0j, "real vector", "complex128"),
    "masked": (np.ma.masked_equal(np.append(THETA[1:], 1.0), 1), "numbers throughout", "masked"),
    "words": (["a"] * 8, "real vector", "<U1"),
    "nothing": (None, "real vector", "object"),
}


def refused(call, argument, *rest):
    with pytest.raises(ValueError, match="^" + re.escape(argument) + ": expected ") as complaint:
        call()
    for part in rest:
        assert part in str(complaint.value)


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_refused(what):
    """A caller's mistake raises ValueError: the argument's name, what was expected, what came."""
    refused(*BAD[what])


@pytest.mark.parametrize("what", BAD_THETAS)
@pytest.mark.parametrize(
    "call", ["value", "value_and_gradient", "hessian", "gauss_newton", "gradient_squares", "error"]
)
def test_bad_theta_is_refused(call, what):
    """So does a theta that is no real vector (P,), at every call that takes one."""
    theta, *parts = BAD_THETAS[what]
    refused(lambda: getattr(OBJECTIVE, call)(theta), "theta", *parts)


@pytest.mark.parametrize("theta", [1.0, np.zeros((2, 2)), np.zeros(2) + 0j, None])
def test_bad_theta_of_functions_is_refused(theta):
    """Functions take a real vector of any length, and nothing else."""
    refused(lambda: FUNCTION.value(theta), "theta", "(P,)")
    refused(lambda: FUNCTION.value_and_gradient(theta), "theta", "(P,)")


@given(problems())
def test_a_theta_that_is_not_finite_is_an_outcome_and_not_a_mistake(problem):
    """A NaN in theta gives a NaN value and gradient for the method to reject: no error."""
    theta = np.full(problem.net.size, np.nan)
    f, g = problem.objective.value_and_gradient(theta)
    assert np.isnan(f)
    assert np.isnan(g).any()
