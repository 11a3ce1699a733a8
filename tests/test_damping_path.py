"""gn-cg-path: a grid of dampings from one Krylov space, of which the loss chooses one."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import refhf
from refhf.krylov.stopping import Stop
from refhf.methods.hessian_free import path_step
from refhf.methods.hessian_free.damping import CEILING, FLOOR
from refhf.methods.hessian_free.path_step import GRID
from refhf.methods.report import Outcome, Source

METHOD = "gn-cg-path"


def digits(seed=0, cases=60, sizes=(8, 6, 3), **options):
    rng = np.random.default_rng(seed)
    net = refhf.mlp(list(sizes))
    X, y = rng.normal(size=(cases, sizes[0])), rng.integers(sizes[-1], size=cases)
    return refhf.supervised(net, X, y, **options), net.init(rng=seed)


def quadratic(A, b, value=lambda x: 0.0, scale=1.0):
    """x'Ax/2 - b'x and more, with a Gauss-Newton product that is A's times a scale."""
    return refhf.from_functions(
        lambda x: float(x @ A @ x / 2 - b @ x + value(x)),
        lambda x: A @ x - b,
        hessp=lambda x, v: A @ v,
        gauss_newton=lambda x, v: scale * (A @ v),
    )


@given(n=st.integers(1, 6), seed=st.integers(0, 2**32 - 1), damping=st.sampled_from([0.1, 1.0, 100.0]))
def test_a_quadratic_takes_the_least_damping(n, seed, damping):
    """Where G is the Hessian of a quadratic the smallest lambda is best; the minimum is reached."""
    rng = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(rng.normal(size=(n, n)))
    A, b, theta = basis * np.linspace(1, 3, n) @ basis.T, rng.normal(size=n), rng.normal(size=n)
    steps = refhf.iterate(quadratic(A, b), theta, method=METHOD, damping=damping)
    report = next(steps)
    assert report.detail.damping == pytest.approx(damping / 27)
    d = np.linalg.solve(A + damping / 27 * np.eye(n), b - A @ theta)
    np.testing.assert_allclose(report.theta, theta + d, atol=1e-9)
    assert (report.step_length, report.source) == (1, Source.KRYLOV)
    *_, report = itertools.islice(steps, 4)
    np.testing.assert_allclose(report.theta, np.linalg.solve(A, b), atol=1e-5)


@pytest.mark.parametrize("batch", [None, 20])
def test_a_step_is_the_best_of_its_grid(batch, monkeypatch):
    """d solves (G + lambda I) d = -g by a dense solve, for the lambda of least loss on the second mini-batch."""
    monkeypatch.setattr(path_step, "no_progress", lambda: lambda it: None)
    objective, theta = digits(3, l2=0.01)
    for seed in range(4):
        options = path_step.DampingPathOptions(batch or objective.cases, 0.5, 2 * theta.size)
        start = path_step.DampingPathState(theta, 0.5)
        _, report = path_step.step(start, objective, options, 1, np.random.default_rng(seed))
        rng, g = np.random.default_rng(seed), objective.value_and_gradient(theta)[1]
        mini, judge = (objective if batch is None else objective.sample(batch, rng=rng) for _ in range(2))
        G, before = mini.gauss_newton(theta) @ np.eye(theta.size), judge.value(theta)
        steps = {lam: np.linalg.solve(G + lam * np.eye(theta.size), -g) for lam in 0.5 * GRID}
        lam = min(steps, key=lambda lam: judge.value(theta + steps[lam]))
        d = steps[lam]
        assert report.detail.damping == pytest.approx(lam)
        np.testing.assert_allclose(report.theta, theta + report.step_length * d, rtol=0, atol=1e-9)
        assert report.detail.rho == pytest.approx((judge.value(theta + d) - before) / (g @ d + d @ G @ d / 2))


@pytest.mark.parametrize("seed", range(3))
def test_the_ratio_of_a_solver_cut_short(seed):
    """rho is the change of the loss over that of the undamped quadratic, also where d solves no system."""
    objective, theta = digits(seed, l2=0.01)
    theta = 2 * theta
    report = next(refhf.iterate(objective, theta, method=METHOD, rng=0, damping=0.01, solver_iterations=2))
    d, g, G = report.theta - theta, objective.value_and_gradient(theta)[1], objective.gauss_newton(theta)
    assert report.step_length == 1 and report.detail.damping > 0.05
    predicted = g @ d + d @ (G @ d) / 2
    assert report.detail.rho == pytest.approx((report.loss - objective.value(theta)) / predicted, rel=1e-9)


def test_lambda_is_the_middle_of_the_next_grid():
    """The state's lambda is the last step's, whether the step was taken or not, within the floor and the ceiling."""
    objective, theta = digits(1)
    steps = refhf.iterate(objective, theta, method=METHOD, rng=0, curvature_batch=20)
    before = 0.1
    for report in itertools.islice(steps, 8):
        assert np.isclose(report.detail.damping / before, GRID).any()
        before = report.detail.damping
        assert steps.progress.state.damping == before
    options = path_step.check(path_step.DampingPathOptions(), objective)
    for given_lambda, low, high in ((1e-12, FLOOR, FLOOR), (1e12, CEILING / 27, CEILING)):
        state = path_step.DampingPathState(theta, given_lambda)
        after, _ = path_step.step(state, objective, options, 1, np.random.default_rng(0))
        assert low <= after.damping <= high


def test_it_learns():
    """On an mlp it lowers the loss to a third in ten steps, and below that of a gn-cg that takes CG's last iterate."""
    data = refhf.load("mnist-mini")
    net = refhf.mlp([784, 12, 10])
    objective = refhf.supervised(net, data.X[:1000].astype(np.float32), data.y[:1000], l2=1e-4)
    theta = net.init(rng=0, dtype=np.float32)
    last = {"curvature_batch": 250, "solver_iterations": 250}
    path = refhf.minimize(objective, theta, METHOD, 10, rng=0, **last)
    plain = refhf.minimize(objective, theta, "gn-cg", 10, rng=0, **last, backtracking=False)
    assert path.fun < objective.value(theta) / 3
    assert path.fun < plain.fun


def test_counts():
    """A step spends a gradient, the products of one run of CG, and a loss for each lambda and one at theta."""
    objective, theta = digits(0)
    report = next(refhf.iterate(objective, theta, method=METHOD, curvature_batch=15, rng=0))
    tries = 1 + round(np.log(report.step_length) / np.log(0.8))
    counts = report.counts
    assert counts.gradient_evaluations == 1
    assert counts.curvature_products == report.detail.solver_iterations
    assert counts.value_evaluations == 1 + len(GRID) + tries
    assert counts.epochs == pytest.approx(1 + tries + (1 + len(GRID) + report.detail.solver_iterations) * 15 / 60)
    full = next(refhf.iterate(objective, theta, method=METHOD, rng=0))
    assert (full.step_length, full.counts.value_evaluations) == (1, len(GRID))  # at theta f is known, and at the step


def test_losses_that_are_not_finite_take_the_largest_damping():
    """Where no candidate's loss is a number, lambda grows by 27 and the line search shortens the step."""
    A = np.diag([1.0, 2.0])
    cliff = quadratic(A, np.ones(2), lambda x: np.inf if abs(x).max() > 1e-3 else 0.0, scale=1e-3)
    report = next(refhf.iterate(cliff, np.zeros(2), method=METHOD, damping=1e-3))
    assert report.detail.damping == pytest.approx(27e-3)
    assert (report.detail.rho, report.outcome) == (-np.inf, Outcome.ACCEPTED)
    assert report.step_length < 1e-3


def test_a_matrix_of_negative_curvature():
    """If G + lambda I has no direction of positive curvature, lambda grows until it has, and then a step is taken."""
    A = -np.diag([1.0, 2.0])
    hill = refhf.from_functions(lambda x: float(x @ x), lambda x: 2 * x, None, lambda x, v: A @ v)
    steps = refhf.iterate(hill, np.ones(2), method=METHOD, damping=0.1)
    first = next(steps)
    assert (first.outcome, first.negative_curvature) == (Outcome.NOT_DESCENT, True)
    assert first.detail.solver_stop is Stop.NEGATIVE_CURVATURE
    assert first.negative_direction @ (2 * np.ones(2)) <= 0
    assert first.detail.damping == pytest.approx(2.7)
    assert any(report.accepted for report in itertools.islice(steps, 3))


def test_a_product_that_is_not_finite_ends_the_step():
    """The report says so, theta stays, and so does lambda."""
    broken = refhf.from_functions(lambda x: float(x @ x), lambda x: 2 * x, None, lambda x, v: np.full_like(v, np.nan))
    steps = refhf.iterate(broken, np.ones(2), method=METHOD)
    report = next(steps)
    assert (report.outcome, report.detail.solver_stop) == (Outcome.NON_FINITE, Stop.NON_FINITE)
    assert steps.progress.state.damping == 0.1


@pytest.mark.parametrize(
    ("option", "given"), [("damping", np.inf), ("damping", -1.0), ("curvature_batch", 61), ("solver_iterations", 0)]
)
def test_mistakes(option, given):
    """An option out of range is refused by its name."""
    with pytest.raises(ValueError, match=f"^{option}: expected"):
        refhf.iterate(*digits(), method=METHOD, **{option: given})
