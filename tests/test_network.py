"""refhf.model: nonlinearities, losses, layers and sweeps, against oracles that do not share their derivation."""

import numpy as np
import oracles
import pytest
import scipy.special
import scipy.stats
from hypothesis import assume, given, settings
from oracles import relative_error
from strategies import ANALYTIC, Problem, problems

import refhf
from refhf.model import network
from refhf.model.blocks import arrays
from refhf.model.dense import Dense
from refhf.model.elementwise import NONLINEARITIES, Activation
from refhf.model.losses import LOSSES

EXACT = 1e-12
EXTREMES = np.array([40.0, -40.0, 700.0, -700.0, 1e4, -1e4])


def curvatures(problem):
    return problem.objective.hessian(problem.theta), problem.objective.gauss_newton(problem.theta)


def pre_activations(problem, theta):
    """The inputs of the activations, s_1 .. s_{L-1}."""
    net, (_, tape) = problem.net, network.forward(problem.net, theta, problem.X)
    return [kept[1] for block, kept in zip(net.chain.blocks, tape, strict=True) if isinstance(block, Activation)]


def gradient_at(problem):
    return lambda theta: oracles.refhf_gradient(problem, theta)


# --- R1, R2, R3: every derivative against one that was not derived


@given(problems())
def test_value_and_gradient_are_those_of_the_formulas(problem):
    """f is the mean of the formula's losses plus l2/2 ||theta||^2, and g its complex step."""
    (f, g), size = problem.objective.value_and_gradient(problem.theta), oracles.sizes(problem)
    assert relative_error(f, oracles.mean_loss(problem, problem.theta), size.value) < EXACT
    assert problem.objective.value(problem.theta) == f
    assert relative_error(g, oracles.gradient(problem), size.gradient) < EXACT
    assert relative_error(g, oracles.refhf_gradient(problem, problem.theta), size.gradient) < EXACT


@given(problems(ANALYTIC))
def test_hessian_product_is_the_complex_step_of_the_gradient(problem):
    """H v = Im g(theta + i t v) / t for t -> 0, exact to rounding for analytic nonlinearities."""
    H, _ = curvatures(problem)
    want = oracles.complex_step(gradient_at(problem), problem.theta, problem.v)
    assert relative_error(H @ problem.v, want, oracles.sizes(problem).hessian * np.linalg.norm(problem.v)) < EXACT


@given(problems())
def test_gauss_newton_product_is_that_of_a_dense_jacobian(problem):
    """G v = J' H_L J v / B + l2 v with J's columns complex steps of the formulas, and H_L written out."""
    (_, G), size = curvatures(problem), oracles.sizes(problem).gauss_newton * np.linalg.norm(problem.v)
    assert relative_error(G @ problem.v, oracles.gauss_newton_product(problem, problem.v), size) < EXACT


@given(problems())
def test_hessian_product_is_the_central_difference_of_the_gradient(problem):
    """H v = (g(theta + t v) - g(theta - t v)) / 2t + O(t^2), relu included where no unit changes sides in between."""
    (H, _), t = curvatures(problem), oracles.central_step(problem.theta, problem.v)
    ends = [pre_activations(problem, problem.theta + sign * t * problem.v) for sign in (1, -1)]
    smooth = not problem.net.nonlinearities or problem.net.nonlinearities[0].analytic
    assume(smooth or all(((a > 0) == (b > 0)).all() for a, b in zip(*ends, strict=True)))
    want = oracles.central_difference(gradient_at(problem), problem.theta, problem.v)
    assert relative_error(H @ problem.v, want, oracles.sizes(problem).hessian * np.linalg.norm(problem.v)) < 1e-6


@settings(max_examples=max(200, settings.default.max_examples))
@given(problems(ANALYTIC))
def test_taylor_remainder_of_the_gradient_is_of_second_order(problem):
    """||g(theta + t v) - g(theta) - t H v|| falls with t^2, or is rounding (where the gradient is linear)."""
    (H, _), v = curvatures(problem), problem.v / np.linalg.norm(problem.v)
    rate, last = oracles.taylor_rate(gradient_at(problem), problem.theta, v, H @ v, t=1e-2)
    assert rate >= 1.9 or last < 1e-13 * oracles.sizes(problem).gradient


# --- R4: what the matrices are


@given(problems())
def test_curvature_is_symmetric(problem):
    """w'(A v) = v'(A w) for A = H and A = G."""
    size = oracles.sizes(problem).hessian * np.linalg.norm(problem.v) * np.linalg.norm(problem.w)
    for A in curvatures(problem):
        assert abs(problem.w @ (A @ problem.v) - problem.v @ (A @ problem.w)) <= EXACT * size


@given(problems())
def test_curvature_is_linear(problem):
    """A (a v + b w) = a A v + b A w for A = H and A = G, relative to the terms: the sums may cancel."""
    size = oracles.sizes(problem).hessian * np.linalg.norm([2.5 * problem.v, 0.75 * problem.w])
    for A in curvatures(problem):
        want = 2.5 * (A @ problem.v) - 0.75 * (A @ problem.w)
        assert relative_error(A @ (2.5 * problem.v - 0.75 * problem.w), want, size) < EXACT


@given(problems(depth=3, width=5))
def test_gauss_newton_matrix_is_positive_semidefinite(problem):
    """No eigenvalue of G is below l2, for every loss here is convex in z."""
    _, G = curvatures(problem)
    eigenvalues = np.linalg.eigvalsh(G @ np.eye(problem.net.size))
    assert eigenvalues[0] >= problem.objective.l2 - EXACT * oracles.sizes(problem).gauss_newton


@given(problems(depth=1))
def test_curvatures_agree_where_the_network_is_linear(problem):
    """H = G where z is linear in theta: one layer."""
    (H, G), size = curvatures(problem), oracles.sizes(problem).gauss_newton * np.linalg.norm(problem.v)
    assert relative_error(H @ problem.v, G @ problem.v, size) < EXACT


@given(problems())
def test_curvatures_agree_at_zero_residual(problem):
    """H = G where each target is the network's own answer; and g is then that of the weight decay alone."""
    y = problem.net.predict(problem.theta, problem.X)
    fitted = problem._replace(objective=refhf.supervised(problem.net, problem.X, y, l2=problem.objective.l2))
    (H, G), size = curvatures(fitted), oracles.sizes(problem)
    assert relative_error(H @ problem.v, G @ problem.v, size.hessian * np.linalg.norm(problem.v)) < EXACT
    g = fitted.objective.value_and_gradient(problem.theta)[1]
    assert relative_error(g, problem.objective.l2 * problem.theta, size.gradient) < EXACT


@given(problems())
def test_gauss_newton_product_is_three_arrows(problem):
    """v -> J v -> H_L J v -> J' H_L J v: each arrow against the dense J and H_L, and <u, J v> = <J' u, v>."""
    net, theta, X, v = problem.net, problem.theta, problem.X, problem.v
    z, tape = network.forward(net, theta, X)
    Rz, _ = network.r_forward(net, tape, v)
    jacobian, size = oracles.jacobian(problem), oracles.sizes(problem)
    assert relative_error(Rz.ravel(), jacobian @ v, size.jacobian * np.linalg.norm(v)) < EXACT
    HRz = net.loss.hessian(z, problem.objective.y)(Rz)
    want = np.einsum("bij,bj->bi", oracles.output_hessians(problem), Rz)
    assert np.abs(HRz - want).max() <= EXACT * np.abs(Rz).max()
    u = np.random.default_rng(0).normal(size=Rz.shape)
    back, _ = network.backward(net, tape, u)
    assert relative_error(back, jacobian.T @ u.ravel(), size.jacobian * np.linalg.norm(u)) < EXACT
    assert abs(np.vdot(u, Rz) - back @ v) <= EXACT * np.linalg.norm(u) * size.jacobian * np.linalg.norm(v)
    product = network.gauss_newton_product(net, theta, X, problem.objective.y)(v)
    size = len(X) * size.gauss_newton * np.linalg.norm(v)
    assert relative_error(product, network.backward(net, tape, HRz)[0], size) < EXACT


@pytest.mark.parametrize(
    ("sizes", "loss", "size"),
    [
        ((1, 2), "softmax_cross_entropy", 8.0),  # sure: p - p p' leaves few digits
        ((3, 4, 1), "logistic_cross_entropy", 3.0),
        ((2, 3, 2), "softmax_cross_entropy", 4.0),
        ((1, 1, 1), "squared_error", 1.0),
    ],
)
def test_laws_hold_where_sums_cancel(sizes, loss, size):
    """Sure answers, cases that cancel, 2.5 v - 0.75 w of nothing: the laws ask for no more than rounding leaves."""
    net = refhf.mlp(sizes, nonlinearity="tanh", loss=loss)
    laws = [test_curvature_is_linear, test_curvature_is_symmetric]
    laws += [test_gauss_newton_product_is_that_of_a_dense_jacobian, test_value_and_gradient_are_those_of_the_formulas]
    laws += [test_hessian_product_is_the_complex_step_of_the_gradient, test_gauss_newton_product_is_three_arrows]
    for seed in range(10):
        rng = np.random.default_rng(seed)
        x, theta, v = rng.normal(size=(1, sizes[0])), size * rng.normal(size=net.size), rng.normal(size=net.size)
        X, w = np.vstack([x, -x * (1 + 1e-7)]), 10 / 3 * v * (1 + 1e-9 * rng.normal(size=net.size))
        y = rng.normal(size=(2, sizes[-1])) if loss == "squared_error" else rng.integers(0, max(2, sizes[-1]), 2)
        stages = tuple(("units", n) for n in sizes[1:])
        problem = Problem(net, theta, X, y, v, w, refhf.supervised(net, X, y), sizes[:1], stages)
        for law in laws:
            law.hypothesis.inner_test(problem)


# --- Closed forms


def with_ones(X):
    """[X, 1] (B, n_0 + 1): theta of a single layer is the C-order ravel of [W; b'], so the bias is one more input."""
    return np.hstack([X, np.ones((len(X), 1))])


@given(problems(losses=("squared_error",), depth=1, width=7))
def test_linear_least_squares_in_closed_form(problem):
    """H = G = kron([X, 1]'[X, 1] / B, I) + l2 I: inputs are the slow index of theta, outputs the fast one."""
    inputs, outputs = with_ones(problem.X), problem.y.shape[1]
    want = np.kron(inputs.T @ inputs / len(inputs), np.eye(outputs)) + problem.objective.l2 * np.eye(problem.net.size)
    for A in curvatures(problem):
        assert relative_error(A @ np.eye(problem.net.size), want) < EXACT


@given(problems(losses=("softmax_cross_entropy",), depth=1, width=7))
def test_softmax_regression_in_closed_form(problem):
    """H = G = (1/B) sum over cases of kron(x x', diag(p) - p p') + l2 I, with x = [x, 1]."""
    z = with_ones(problem.X) @ problem.theta.reshape(problem.X.shape[1] + 1, -1)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    cases, size = zip(with_ones(problem.X), p, strict=True), np.square(with_ones(problem.X)).sum() / len(p)
    terms = [np.kron(np.outer(x, x), np.diag(q) - np.outer(q, q)) for x, q in cases]
    want = sum(terms) / len(terms) + problem.objective.l2 * np.eye(problem.net.size)
    for A in curvatures(problem):
        assert relative_error(A @ np.eye(problem.net.size), want, size) < EXACT


# --- Nonlinearities and losses, element by element


@pytest.mark.parametrize("name", NONLINEARITIES)
def test_nonlinearity_is_the_function_of_its_name(name):
    """f(s) is what other libraries say it is, at ordinary and at extreme s."""
    s = np.concatenate([np.linspace(-6, 6, 49), EXTREMES])
    reference = {
        "tanh": np.sinh(np.clip(s, -40, 40)) / np.cosh(np.clip(s, -40, 40)),
        "logistic": scipy.special.expit(s),
        "softplus": np.logaddexp(0, s),
        "relu": np.where(s > 0, s, 0),
        "identity": s,
        "gelu": s * scipy.special.ndtr(s),
        "gelu_tanh": s * scipy.special.expit(2 * np.sqrt(2 / np.pi) * s * (1 + 0.044715 * s * s)),
        "silu": s * scipy.special.expit(s),
    }[name]
    np.testing.assert_allclose(NONLINEARITIES[name].f(s), reference, rtol=1e-13)


@pytest.mark.parametrize("name", ANALYTIC)
def test_derivatives_of_a_nonlinearity_are_its_complex_steps(name):
    """d is the complex step of f and dd that of d, to a rounding of the largest slope; nothing overflows anywhere."""
    s, f = np.concatenate([np.linspace(-6, 6, 49), EXTREMES]), NONLINEARITIES[name]
    with np.errstate(all="raise", under="ignore"):
        np.testing.assert_allclose(f.d(s), oracles.complex_step(f.f, s, 1), rtol=1e-13, atol=1e-15)
        np.testing.assert_allclose(f.dd(s), oracles.complex_step(f.d, s, 1), rtol=1e-13, atol=1e-15)


def test_relu_has_slope_one_above_zero_and_none_below():
    """f' is 0, 0, 1 below, at and above the kink (our choice at it), f'' is 0."""
    s = np.array([-2.0, -0.0, 0.0, 3.0])
    np.testing.assert_array_equal(NONLINEARITIES["relu"].d(s), [0, 0, 0, 1])
    np.testing.assert_array_equal(NONLINEARITIES["relu"].dd(s), 0)


@pytest.mark.parametrize("name", NONLINEARITIES)
def test_nonlinearity_keeps_float32(name):
    """f, d and dd of float32 are float32, of the same shape, and those of float64 to its rounding."""
    s = np.concatenate([np.linspace(-6, 6, 50), EXTREMES]).reshape(7, 8)
    for function in NONLINEARITIES[name][1:4]:
        single = function(s.astype(np.float32))
        assert single.dtype == np.float32
        assert single.shape == s.shape
        np.testing.assert_allclose(single, function(s), rtol=1e-5, atol=1e-6)


REFERENCE_LOSSES = {
    "squared_error": lambda z, y: ((z - y) ** 2 / 2).sum(),
    "softmax_cross_entropy": lambda z, y: (scipy.special.logsumexp(z, axis=1) - (y * z).sum(axis=1)).sum(),
    "logistic_cross_entropy": lambda z, y: (
        -(y * scipy.special.log_expit(z)).sum() - ((1 - y) * scipy.special.log_expit(-z)).sum()
    ),
}


def logits_and_targets(form):
    """The loss's name, z (6, 4), y in one of its forms, and y as targets (6, 4)."""
    name, _, kind = form.partition(" ")
    rng = np.random.default_rng(5)
    z, y, labels = rng.normal(size=(6, 4)), rng.normal(size=(6, 4)), rng.integers(0, 4, 6)
    if kind == "labels":
        return name, z, labels, np.eye(4)[labels]
    y = LOSSES[name].predict(y)
    y = y * (1 + 5e-6) if kind == "rounded" else y
    return name, z, y, y


@pytest.mark.parametrize(
    "form",
    [
        "squared_error",
        "softmax_cross_entropy labels",
        "softmax_cross_entropy targets",
        "softmax_cross_entropy rounded",  # rows that sum to 1 only to five digits, as typed distributions do
        "logistic_cross_entropy targets",
    ],
)
def test_loss_derivatives_are_its_complex_steps(form):
    """The value is right, the gradient its complex step, and the Hessian product that of the gradient."""
    name, z, y, targets = logits_and_targets(form)
    loss = LOSSES[name]
    assert loss.value(z, y) == pytest.approx(REFERENCE_LOSSES[name](z, targets), rel=1e-14)
    directions = np.eye(z.size).reshape(-1, *z.shape)
    Dz = [oracles.complex_step(lambda z: loss.value(z, y), z, v) for v in directions]
    np.testing.assert_allclose(loss.gradient(z, y).ravel(), Dz, rtol=1e-13, atol=1e-15)
    for v in directions:
        HRz = oracles.complex_step(lambda z: loss.gradient(z, y), z, v)
        np.testing.assert_allclose(loss.hessian(z, y)(v), HRz, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("labels", [True, False])
@pytest.mark.parametrize("name", LOSSES)
def test_loss_at_extreme_outputs(name, labels, dtype):
    """At logits up to 10^4 either way value, gradient and Hessian product are finite, and the value is right."""
    z = np.stack([EXTREMES, -EXTREMES, np.roll(EXTREMES, 1), np.zeros(6)]).astype(dtype)
    y = np.array([5, 0, 1, 2])
    targets = np.eye(6, dtype=dtype)[y]
    loss, y = LOSSES[name], y if labels and name == "softmax_cross_entropy" else targets
    with np.errstate(all="raise", under="ignore"):
        value, Dz, HRz = loss.value(z, y), loss.gradient(z, y), loss.hessian(z, y)(np.ones_like(z))
    want = REFERENCE_LOSSES[name](z.astype(float), targets)
    assert value == pytest.approx(want, rel=1e-6 if dtype == np.float32 else 1e-14)
    for result in (Dz, HRz, loss.predict(z)):
        assert np.isfinite(result).all()
        assert result.dtype == dtype
    if name != "squared_error":
        assert np.abs(Dz).max() <= 1
        np.testing.assert_allclose(loss.predict(z) - targets, Dz, atol=1e-6)


def test_float32_loss_of_a_sure_answer_is_not_rounded_away():
    """The loss log(1 + e^-10) of logits (30, 20), and of 10, is right to a float32's rounding of 1, not of 30 or 10."""
    z, want = np.array([[30, 20]], np.float32), np.log1p(np.exp(-10))
    for y in (np.array([0]), np.array([[1, 0]], np.float32)):
        assert LOSSES["softmax_cross_entropy"].value(z, y) == pytest.approx(want, rel=2e-3)
    value = LOSSES["logistic_cross_entropy"].value
    assert value(np.array([[10, -10]], np.float32), np.array([[1, 0]], np.float32)) == pytest.approx(2 * want, rel=1e-6)


# --- Layers, tapes, parameters


def test_dense_layer_is_bilinear_with_two_adjoints():
    """<u, apply(W, x)> = <adjoint_input(W, u), x> = <adjoint_weight(x, u), W>; squares are summed case by case."""
    rng, layer = np.random.default_rng(1), Dense(4, 3)
    W, x, u = rng.normal(size=(4, 3)), rng.normal(size=(7, 4)), rng.normal(size=(7, 3))
    want = np.vdot(u, layer.product(W, x))
    assert np.vdot(layer.adjoint_input(W, u), x) == pytest.approx(want, rel=EXACT)
    assert np.vdot(layer.adjoint_weight(x, u), W) == pytest.approx(want, rel=EXACT)
    each = sum(layer.adjoint_weight(x[i : i + 1], u[i : i + 1]) ** 2 for i in range(7))
    np.testing.assert_allclose(layer.adjoint_weight_squares(x, u, np.empty((4, 3))), each, rtol=EXACT)


@given(problems())
def test_tape_is_read_only(problem):
    """No array of a tape can be written to, nor does it share memory with theta; X and theta stay writeable."""
    z, tape = network.forward(problem.net, problem.theta, problem.X)
    _, after = network.backward(problem.net, tape, np.ones_like(z), keep=True)
    kept = list(arrays((z, tape, after)))
    for x in kept:
        assert not x.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            x[...] = 0
    assert not any(np.shares_memory(x, problem.theta) for x in kept)
    assert problem.theta.flags.writeable
    assert problem.X.flags.writeable


@given(problems())
def test_nothing_between_two_products_changes_the_second(problem):
    """A line search, other linearisations, and writing over theta or a product leave H v and G v bit for bit."""
    objective, v, w = problem.objective, problem.v, problem.w
    for linearise in (objective.hessian, objective.gauss_newton):
        theta = problem.theta.copy()
        A = linearise(theta)
        first = A @ v
        kept = first.tobytes()
        for step in 0.8 ** np.arange(3):
            objective.value(theta + step * w)
        objective.value_and_gradient(w)
        _ = objective.hessian(w) @ w, objective.gauss_newton(w) @ w
        first[:] = theta[:] = np.nan
        assert (A @ v).tobytes() == kept


@given(problems())
def test_same_call_same_bits(problem):
    """Value, gradient and products are deterministic: nothing is resampled inside a solver."""
    objective, theta = problem.objective, problem.theta
    f, g = objective.value_and_gradient(theta)
    again = objective.value_and_gradient(theta)
    assert (f, g.tobytes()) == (again[0], again[1].tobytes())
    for linearise in (objective.hessian, objective.gauss_newton):
        A = linearise(theta)
        assert (A @ problem.v).tobytes() == (A @ problem.v).tobytes() == (linearise(theta) @ problem.v).tobytes()


def test_layout_of_theta():
    """The vector theta holds W_1.ravel(), b_1, W_2.ravel(), b_2, ... in C order, W_l (n_{l-1}, n_l)."""
    net = refhf.mlp([2, 3, 1], loss="squared_error")
    parts = [x.tolist() for pair in net.unpack(np.arange(13)) for x in pair]
    assert parts == [[[0, 1, 2], [3, 4, 5]], [6, 7, 8], [[9], [10], [11]], [12]]
    assert net.size == 13


@given(problems())
def test_unpack_gives_views(problem):
    """The parts cover theta in order, and writing to one writes to theta."""
    theta = problem.theta.copy()
    parts = [x for pair in problem.net.unpack(theta) for x in pair]
    assert sum(x.size for x in parts) == problem.net.size == theta.size
    np.testing.assert_array_equal(np.concatenate([x.ravel() for x in parts]), theta)
    for i, x in enumerate(parts):
        x[...] = i
    np.testing.assert_array_equal(theta, np.repeat(range(len(parts)), [x.size for x in parts]))


@pytest.mark.parametrize("name", NONLINEARITIES)
def test_init_has_the_variance_of_its_rule(name):
    """Weights: N(0, 2/n_in) before a relu, uniform of variance 2/(n_in + n_out) elsewhere, the output included."""
    net = refhf.mlp([300, 200, 100], nonlinearity=name)
    for (W, b), relu in zip(net.unpack(net.init(rng=0)), (name == "relu", False), strict=True):
        assert not b.any()
        variance = 2 / len(W) if relu else 2 / sum(W.shape)
        assert W.var() == pytest.approx(variance, rel=0.03)
        assert abs(W.mean()) < 4 * np.sqrt(variance / W.size)
        # A normal has an excess kurtosis of 0, a uniform one of -1.2, and no uniform one exceeds its bound.
        assert scipy.stats.kurtosis(W.ravel()) == pytest.approx(0 if relu else -1.2, abs=0.1)
        assert relu or np.abs(W).max() <= np.sqrt(3 * variance)


def test_init_is_keyed_by_its_rng():
    """A seed and its Generator give the same bits, two seeds do not, float32 is float64's rounded; no global state."""
    net = refhf.mlp([5, 4, 3], nonlinearity="relu")
    state = np.random.get_state()  # noqa: NPY002
    theta = net.init(rng=3)
    np.testing.assert_array_equal(theta, net.init(rng=np.random.default_rng(3)))
    assert (theta != net.init(rng=4)).any()
    assert (net.init() != net.init()).any()
    single = net.init(rng=3, dtype=np.float32)
    assert single.dtype == np.float32
    np.testing.assert_array_equal(single, theta.astype(np.float32))
    for before, after in zip(state, np.random.get_state(), strict=True):  # noqa: NPY002
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("loss", LOSSES)
def test_predict_is_the_loss_s_reading_of_the_output(loss):
    """Probabilities that sum to 1 over a row, probabilities a column, or z itself."""
    rng, net = np.random.default_rng(2), refhf.mlp([3, 4, 5], loss=loss)
    theta, X = rng.normal(size=net.size), rng.normal(size=(6, 3))
    z = network.forward(net, theta, X, order=0)[0]
    want = {
        "squared_error": z,
        "softmax_cross_entropy": np.exp(z) / np.exp(z).sum(axis=1, keepdims=True),
        "logistic_cross_entropy": 1 / (1 + np.exp(-z)),
    }[loss]
    np.testing.assert_allclose(net.predict(theta, X), want, rtol=EXACT)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=lambda loss: loss.name)
def test_losses_are_summed_in_double_precision(loss):
    """The sum over float32 cases is a float64, and of complex cases complex."""
    z, y = np.ones((3, 2), np.float32), np.eye(3, 2, dtype=np.float32)
    assert loss.value(z, y).dtype == np.float64
    assert loss.value(z.astype(complex), y).dtype == np.complex128


def test_sizes_do_not_overflow():
    """Parameters and outputs are counted in whole numbers of Python, for networks that no memory holds, too."""
    net = refhf.mlp([10**10, 10**10])
    assert net.size == 10**20 + 10**10
    assert refhf.mlp([10**18] * 3).tape_numbers == 8 * 10**18
    image = refhf.convnet((2**22, 2**22, 2**22), [refhf.conv(2**22, 1), 2])
    assert image.inputs == 2**66
    assert image.size == 2**44 + 2**22 + 2**67 + 2
    with pytest.raises(ValueError, match=r"size: expected an integer >= 1 and <= .*; got 100000000010000000000"):
        net.init()
    with pytest.raises(ValueError, match=r"sizes\[0\]: expected an integer >= 1 and <= 9223372036854775807; got "):
        refhf.mlp([10**30, 2])


@pytest.mark.parametrize("dtype", [int, complex, np.float16, np.longdouble, "float33", object, bool])
def test_a_start_is_of_a_float_type(dtype):
    """Weights rounded to integers are all zero: a dtype other than float32 and float64 is refused."""
    with pytest.raises(ValueError, match=r"^dtype: expected float32 or float64"):
        refhf.mlp([2, 2]).init(rng=0, dtype=dtype)


@pytest.mark.parametrize("name", NONLINEARITIES)
def test_a_nonlinearity_underflows_in_silence(name):
    """With NumPy's errors raised, f, f' and f'' of huge and of tiny arguments are what they are without."""
    s = np.array([-1e4, -800, -745.2, 800, 1e4, 1e-200, 1e-310, -5e-324, 0])
    for f in NONLINEARITIES[name][1:4]:
        want = f(s)
        with np.errstate(all="raise"):
            np.testing.assert_array_equal(f(s), want)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_underflows_in_silence(name):
    """The same of a loss, its gradient, its Hessian and what it predicts."""
    loss, z = LOSSES[name], np.array([[-1e4, 1e4, 1e-200], [800, -800, 0], [1e-300, 5e-324, -745.2]])
    for y in (np.eye(3), np.arange(3)) if name == "softmax_cross_entropy" else (np.eye(3),):
        calls = [lambda y=y: loss.value(z, y), lambda y=y: loss.gradient(z, y), lambda y=y: loss.hessian(z, y)(z)]
        for call in [*calls, lambda: loss.predict(z)]:
            want = call()
            with np.errstate(all="raise"):
                np.testing.assert_array_equal(call(), want)
