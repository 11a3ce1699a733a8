"""The methods through the public interface: minimize, iterate, scipy_method."""

import itertools

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given
from hypothesis import strategies as st

import refhf
from refhf.methods.minimize import PATIENCE, Status
from refhf.methods.report import Outcome
from refhf.methods.table import METHODS

HESSIAN_FREE = ["gn-cg", "hessian-cg", "hybrid-cg", "hessian-bicgstab"]


def digits(seed=0, cases=60, sizes=(8, 6, 3), **options):
    rng = np.random.default_rng(seed)
    net = refhf.mlp(list(sizes))
    X = rng.normal(size=(cases, sizes[0]))
    y = rng.integers(sizes[-1], size=cases)
    return refhf.supervised(net, X, y, **options), net.init(rng=seed)


def functions(value, gradient, product):
    return refhf.from_functions(value, gradient, hessp=product, gauss_newton=product)


@pytest.mark.parametrize("method", HESSIAN_FREE)
@given(n=st.integers(1, 6), seed=st.integers(0, 2**32 - 1))
def test_a_quadratic_is_solved_in_one_step(method, n, seed):
    """Undamped, with as many iterations as unknowns, the first step lands on the minimum: alpha = 1, rho = 1."""
    rng = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(rng.normal(size=(n, n)))
    A, b = basis * np.linspace(1, 3, n) @ basis.T, rng.normal(size=n)
    objective = functions(lambda x: x @ A @ x / 2 - b @ x, lambda x: A @ x - b, lambda x, v: A @ v)
    iterations = 3 * n if method == "hessian-bicgstab" else n + 1
    report = next(
        refhf.iterate(objective, rng.normal(size=n), method=method, damping=0.0, solver_iterations=iterations)
    )
    np.testing.assert_allclose(report.theta, np.linalg.solve(A, b), atol=1e-6)
    assert report.step_length == 1
    assert report.rho == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("method", HESSIAN_FREE)
@given(seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([0.1, 1.0, 5.0]), batch=st.sampled_from([None, 7, 60]))
def test_loss_never_grows(method, seed, scale, batch):
    """Whatever the start and the mini-batch, an HF step is an Armijo decrease or leaves theta as it was."""
    objective, theta = digits(seed)
    loss, theta = objective.value(scale * theta), scale * theta
    for report, _ in zip(
        refhf.iterate(objective, theta, method=method, rng=seed, curvature_batch=batch, solver_iterations=8),
        range(4),
        strict=False,
    ):
        assert np.isfinite(report.theta).all()
        if report.accepted:
            assert report.loss < loss
        else:
            np.testing.assert_array_equal(report.theta, theta)
        assert report.loss == pytest.approx(objective.value(report.theta), rel=1e-12)
        loss, theta = report.loss, report.theta


def test_hybrid_uses_gauss_newton_for_one_step_after_negative_curvature():
    """The matrix of a hybrid step is Gauss-Newton exactly where the step before met negative curvature."""
    objective, theta = digits(3)
    history = refhf.minimize(objective, 3 * theta, "hybrid-cg", 25, rng=0, damping=1e-3).history
    assert history[0].curvature == "hessian"
    for before, after in itertools.pairwise(history):
        assert after.curvature == ("gauss-newton" if before.negative_curvature else "hessian")
    assert {report.curvature for report in history} == {"hessian", "gauss-newton"}


def test_bicgstab_does_its_fixed_number_and_keeps_negative_curvature():
    """hessian-bicgstab does the iterations it is told, and what it calls negative curvature is."""
    objective, theta = digits(1)
    start, met = 3 * theta, 0
    for report, _ in zip(
        refhf.iterate(objective, start, method="hessian-bicgstab", damping=1e-3, solver_iterations=6),
        range(8),
        strict=False,
    ):
        assert report.solver_iterations == 6
        if report.negative_curvature:
            d = report.negative_direction
            assert d @ (objective.hessian(start) @ d) < 0
            met += 1
        start = report.theta
    assert met > 0, "the case must meet negative curvature"


def test_counts():
    """A step's spending is what Algorithm 2 says: one gradient, the solver's products, the losses compared."""
    objective, theta = digits(0)
    counted = {"value": 0, "products": 0}
    value = objective.value
    objective.value = lambda theta: counted.__setitem__("value", counted["value"] + 1) or value(theta)
    report = next(refhf.iterate(objective, theta, method="gn-cg", curvature_batch=15, rng=0))
    assert (report.gradient_evaluations, report.curvature_products) == (1, report.solver_iterations)
    tries = 1 + round(np.log(report.step_length) / np.log(0.8))
    assert report.value_evaluations == 2 + tries
    assert counted["value"] == tries
    assert report.epochs == pytest.approx(1 + tries + (2 + report.solver_iterations) * 15 / 60)
    assert (report.communications, report.bytes_communicated) == (0, 0)


def test_gradient_descent_is_its_formula():
    """theta - alpha g, with all the data; sgd the same with the step's own mini-batch."""
    objective, theta = digits(0)
    x = theta
    for report, _ in zip(
        refhf.iterate(objective, theta, method="gradient-descent", learning_rate=0.3), range(3), strict=False
    ):
        x = x - 0.3 * objective.value_and_gradient(x)[1]
        np.testing.assert_array_equal(report.theta, x)
    report = next(refhf.iterate(objective, theta, method="sgd", learning_rate=0.3, batch=60))
    np.testing.assert_allclose(report.theta, theta - 0.3 * objective.value_and_gradient(theta)[1], rtol=1e-12)
    assert refhf.minimize(objective, theta, "sgd", 30, rng=0, batch=5).history[-1].epochs == pytest.approx(30 * 5 / 60)


def test_minimize_result():
    """x is the last accepted point and fun its value; the history has a line a step; theta0 is not touched."""
    objective, theta = digits(0)
    before, seen = theta.copy(), []
    result = refhf.minimize(objective, theta, "gn-cg", 5, rng=0, callback=lambda report: seen.append(report.theta))
    np.testing.assert_array_equal(theta, before)
    np.testing.assert_array_equal(result.x, seen[-1])
    assert result.fun == objective.value(result.x) == result.history[-1].loss
    assert (result.nit, len(result.history), result.success) == (5, 5, True)
    assert [report.k for report in result.history] == [1, 2, 3, 4, 5]
    assert all(report.theta is None for report in result.history)
    assert result.message == Status.STEPS_DONE.value[2]


def test_minimize_ends():
    """Each way a run ends has its status: converged, callback, no progress."""
    objective, theta = digits(0, l2=0.1)
    result = refhf.minimize(objective, theta, "hessian-cg", 100, gradient_tolerance=1e-6)
    assert (result.status, result.success) == (0, True)
    assert np.linalg.norm(objective.value_and_gradient(result.x)[1]) < 1e-5
    assert refhf.minimize(objective, theta, "gn-cg", 100, callback=lambda report: report.k == 2).nit == 2

    def stop(report):
        raise StopIteration

    assert refhf.minimize(objective, theta, "gn-cg", 100, callback=stop).message == Status.CALLBACK.value[2]
    liar = functions(lambda x: float(x @ x), lambda x: -2 * x, lambda x, v: 2 * v)
    result = refhf.minimize(liar, np.ones(2), "hessian-cg", 100)
    assert (result.nit, result.success, result.message) == (PATIENCE, False, Status.NO_PROGRESS.value[2])
    flat = functions(lambda x: 0.0, np.zeros_like, lambda x, v: 0 * v)
    result = refhf.minimize(flat, np.ones(2), "hessian-cg", 100)
    assert (result.nit, result.status, result.history[0].outcome) == (1, 0, Outcome.STATIONARY)


@pytest.mark.parametrize("method", [*HESSIAN_FREE, "gradient-descent", "sgd", "momentum", "rmsprop"])
@pytest.mark.parametrize("where", ["value", "gradient", "product"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_ends_the_run(method, where, bad):
    """NaN or Inf in value, gradient or product: success is False and x the finite point it was."""
    if where == "product" and method not in HESSIAN_FREE:
        pytest.skip("first-order methods take no products")
    objective = functions(
        lambda x: bad if where == "value" else float(x @ x),
        lambda x: np.full_like(x, bad) if where == "gradient" else 2 * x,
        lambda x, v: np.full_like(v, bad) if where == "product" else 2 * v,
    )
    result = refhf.minimize(objective, np.ones(3), method, 10)
    assert (result.nit, result.success, result.status) == (1, False, Status.NON_FINITE.value[0])
    np.testing.assert_array_equal(result.x, 1)


def test_divergence_is_reported():
    """sgd with an absurd rate ends with its reason and a finite theta."""
    objective = functions(lambda x: float(x @ x), lambda x: 2 * x, None)
    result = refhf.minimize(objective, np.ones(2), "gradient-descent", 10_000, learning_rate=1e3)
    assert not result.success
    assert np.isfinite(result.x).all()


def test_same_seed_same_bits_and_no_global_state():
    """The same rng gives the same run to the last bit; NumPy's global state is neither used nor moved."""
    objective, theta = digits(0)
    np.random.seed(1)  # noqa: NPY002
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    runs = [refhf.minimize(objective, theta, "hybrid-cg", 4, rng=rng, curvature_batch=9) for rng in (5, 5, 6)]
    np.testing.assert_array_equal(runs[0].x, runs[1].x)
    assert (runs[0].x != runs[2].x).any()
    np.testing.assert_array_equal(state, np.random.get_state()[1])  # noqa: NPY002


BAD_CALLS = [
    ({"method": "gn-gc"}, ["method", "gn-cg", "'gn-gc'"]),
    ({"method": "gn-cg", "dampnig": 1.0}, ["option of gn-cg", "damping", "'dampnig'"]),
    ({"method": "gn-cg", "solver": "bicgstab"}, ["option of gn-cg", "'solver'"]),
    ({"method": "gn-cg", "damping": -1.0}, ["damping", "[0, inf]", "-1.0"]),
    ({"method": "gn-cg", "curvature_batch": 61}, ["curvature_batch", "<= 60", "61"]),
    ({"method": "gn-cg", "solver_iterations": 0}, ["solver_iterations", ">= 1", "0"]),
    ({"method": "gn-cg", "warm_start": 1.5}, ["warm_start", "[0, 1]", "1.5"]),
    ({"method": "sgd", "learning_rate": float("nan")}, ["learning_rate", "nan"]),
    ({"method": "sgd", "batch": 0}, ["batch", ">= 1", "0"]),
    ({"method": "gn-cg", "backtracking": "flase"}, ["backtracking", "True or False", "'flase'"]),
    ({"steps": 0}, ["steps", ">= 1", "0"]),
    ({"gradient_tolerance": -1}, ["gradient_tolerance", "-1"]),
    ({"theta0": np.zeros(3)}, ["theta0", "(75,)", "(3,)"]),
    ({"theta0": np.full(75, np.nan)}, ["theta0", "finite", "nan"]),
]


@pytest.mark.parametrize(("call", "words"), BAD_CALLS)
def test_bad_calls(call, words):
    """A caller's mistake is a ValueError that names argument, expected and actual, before any work."""
    objective, theta = digits(0)
    objective.value_and_gradient = None
    with pytest.raises(ValueError) as caught:
        refhf.minimize(objective, **{"theta0": theta, **call})
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_missing_product():
    """A method that needs a product the objective lacks says which, before any work."""
    objective = refhf.from_functions(lambda x: float(x @ x), lambda x: 2 * x, hessp=lambda x, v: 2 * v)
    with pytest.raises(ValueError, match="gauss-newton"):
        refhf.iterate(objective, np.ones(2), method="hybrid-cg")


def test_methods_table():
    """Every method has one line."""
    assert set(refhf.methods()) == set(METHODS)
    assert all(text and "\n" not in text for text in refhf.methods().values())


@pytest.mark.parametrize("method", ["hessian-cg", "hessian-bicgstab"])
def test_scipy_method(method):
    """Through scipy.optimize.minimize the Rosenbrock function is minimised, with args, callback and options."""
    seen = []
    result = scipy.optimize.minimize(
        lambda x, c: c * scipy.optimize.rosen(x),
        [-1.2, 1.0],
        args=(2.0,),
        jac=lambda x, c: c * scipy.optimize.rosen_der(x),
        hessp=lambda x, v, c: c * scipy.optimize.rosen_hess_prod(x, v),
        method=refhf.scipy_method(method),
        tol=1e-8,
        callback=seen.append,
        options={"maxiter": 300, "damping": 0.1},
    )
    assert result.success
    np.testing.assert_allclose(result.x, 1, atol=1e-7)
    assert len(seen) == result.nit
    np.testing.assert_array_equal(seen[-1], result.x)
    short = scipy.optimize.minimize(
        scipy.optimize.rosen,
        [-1.2, 1.0],
        jac=scipy.optimize.rosen_der,
        hess=scipy.optimize.rosen_hess,
        method=refhf.scipy_method(method),
        options={"maxiter": 2},
    )
    assert (short.nit, short.success) == (2, False)
    with pytest.raises(ValueError, match="jac"):
        scipy.optimize.minimize(scipy.optimize.rosen, [0.0, 1.0], method=refhf.scipy_method(method))
    with pytest.raises(ValueError, match="damping"):
        refhf.scipy_method(method, dampin=1.0)
