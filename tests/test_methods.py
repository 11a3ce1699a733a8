"""The methods through the public interface: minimize, iterate, scipy_method."""

import itertools
import re
import tracemalloc
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse.linalg import LinearOperator

import refhf
from refhf.driver.registry import METHODS
from refhf.driver.status import GRADIENT_TOLERANCE, PATIENCE, Status
from refhf.krylov.stopping import Stop
from refhf.methods import mini_batch
from refhf.methods.hessian_free import hf_step
from refhf.methods.hessian_free.candidates import bicgstab_candidates, cg_candidates, grid
from refhf.methods.newton.negative_curvature import curvilinear
from refhf.methods.newton.saddle_free import DAMPINGS
from refhf.methods.report import Kind, Outcome, Source
from refhf.methods.search.armijo import armijo
from refhf.methods.search.descent import downhill, reduction_ratio
from refhf.objective.protocol import Objective
from refhf.surfaces.saddles import SURFACES

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
    assert report.detail.rho == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("method", [*HESSIAN_FREE, "gn-cg-path"])
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
    assert history[0]["curvature"] == "hessian"
    for before, after in itertools.pairwise(history):
        assert after["curvature"] == ("gauss-newton" if before["negative_curvature"] else "hessian")
    assert {record["curvature"] for record in history} == {"hessian", "gauss-newton"}


def test_bicgstab_does_its_fixed_number_and_keeps_negative_curvature():
    """hessian-bicgstab does the iterations it is told, and what it calls negative curvature is."""
    objective, theta = digits(1)
    start, met = 3 * theta, 0
    for report, _ in zip(
        refhf.iterate(objective, start, method="hessian-bicgstab", damping=1e-3, solver_iterations=6),
        range(8),
        strict=False,
    ):
        assert report.detail.solver_iterations == 6
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
    given = {"curvature_batch": 15, "backtracking": False}
    report = next(refhf.iterate(objective, theta, method="gn-cg", rng=0, **given))
    assert (report.counts.gradient_evaluations, report.counts.curvature_products) == (
        1,
        report.detail.solver_iterations,
    )
    tries = 1 + round(np.log(report.step_length) / np.log(0.8))
    assert report.counts.value_evaluations == 2 + tries
    assert counted["value"] == tries
    assert report.counts.epochs == pytest.approx(1 + tries + (2 + report.detail.solver_iterations) * 15 / 60)
    assert (report.counts.communications, report.counts.bytes_communicated) == (0, 0)


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
    assert refhf.minimize(objective, theta, "sgd", 30, rng=0, batch=5).history[-1]["epochs"] == pytest.approx(
        30 * 5 / 60
    )


def test_minimize_result():
    """x is the last accepted point and fun its value; the history has a line a step; theta0 is not touched."""
    objective, theta = digits(0)
    before, seen = theta.copy(), []
    result = refhf.minimize(objective, theta, "gn-cg", 5, rng=0, callback=lambda report: seen.append(report.theta))
    np.testing.assert_array_equal(theta, before)
    np.testing.assert_array_equal(result.x, seen[-1])
    assert result.fun == objective.value(result.x) == result.history[-1]["loss"]
    assert (result.nit, len(result.history), result.success) == (5, 5, False)  # as SciPy says of its limit
    assert [record["step"] for record in result.history] == [1, 2, 3, 4, 5]
    assert all("theta" not in record for record in result.history)
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
    assert (result.nit, result.status, result.history[0]["outcome"]) == (1, 0, "stationary")


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


CURVATURES = {"gn-cg": "gauss-newton", "gn-cg-path": "gauss-newton"} | dict.fromkeys(
    [*HESSIAN_FREE[1:], *(name for name in METHODS if "newton" in name and "replica" not in name)], "hessian"
)
SOURCES = {"newton": Source.NEWTON, "saddle-free-newton": Source.SADDLE_FREE, "momentum": Source.MOMENTUM}
SOURCES |= dict.fromkeys(["gradient-descent", "sgd"], Source.GRADIENT)
DAMPED = {"newton": 0.01, "truncated-newton": 0.01} | dict.fromkeys(HESSIAN_FREE, 0.1)


@pytest.mark.parametrize("method", METHODS)
def test_a_report_is_of_its_step(method):
    """Number, matrix, gradient norm, loss, step length and negative direction are those of the step it tells of."""
    objective, theta = digits(2, 30, (5, 4, 3), l2=0.01)
    given = {"damping": DAMPED[method]} if method in DAMPED else {}
    theta, met, steps = 3 * theta, False, refhf.iterate(objective, 3 * theta, method=method, rng=0, **given)
    for k, report in enumerate(itertools.islice(steps, 3), 1):
        fields = report.record()
        H, damping = objective.hessian(theta), np.nan_to_num(fields.get("damping", 0.0))
        if method != "replica-newton":  # its gradient and its loss are the mean ones of its replicas
            assert report.gradient_norm == pytest.approx(np.linalg.norm(objective.value_and_gradient(theta)[1]))
            full = METHODS[method].fixed.keys() & {"curvature", "solver"} or "newton" in method or "path" in method
            assert report.loss == pytest.approx(objective.value(report.theta if full else theta), rel=1e-12)
            assert (report.negative_direction is not None) == report.negative_curvature
        assert isinstance(report.negative_curvature, bool | np.bool_)
        if method in (*HESSIAN_FREE, "gn-cg-path", "truncated-newton"):
            assert isinstance(report.detail.solver_stop, Stop)
        assert report.k == k
        if method != "hybrid-cg" or k == 1:
            assert fields.get("curvature", CURVATURES.get(method, "")) == CURVATURES.get(method, "")
        assert report.source is SOURCES.get(method, report.source)
        if method in DAMPED and (k == 1 or "newton" in method):
            assert report.detail.damping == DAMPED[method]
        assert (report.step_length > 0) == report.accepted == (report.theta != theta).any()
        if method in ("newton", "saddle-free-newton"):
            assert report.step_length == 1
        if (d := report.negative_direction) is not None and fields.get("curvature", "hessian") == "hessian":
            curvature, met = d @ (H @ d) / (d @ d), True
            assert curvature + (damping if "saddle" not in method else 0) <= 1e-12
            assert d @ objective.value_and_gradient(theta)[1] <= 0
            if np.isfinite(report.smallest_eigenvalue):
                assert curvature == pytest.approx(report.smallest_eigenvalue, rel=1e-9)
        theta = report.theta
    assert met or method not in ("newton", "saddle-free-newton", "hessian-cg", "negative-curvature-newton")


@pytest.mark.parametrize("method", METHODS)
def test_single_precision_stays(method):
    """From a float32 start every vector of the report and of the state is float32."""
    objective, theta = digits(0, 30, (5, 4, 3))
    objective = refhf.supervised(objective.net, objective.X.astype(np.float32), objective.y)
    steps = refhf.iterate(objective, theta.astype(np.float32), method=method, rng=0)
    for report in itertools.islice(steps, 2):
        arrays = [x for x in (*report, *steps.progress.state) if isinstance(x, np.ndarray)]
        assert {x.dtype for x in arrays} == {np.dtype(np.float32)}


@pytest.mark.parametrize("fault", ["value", "gradient"])
@pytest.mark.parametrize("method", METHODS)
def test_a_step_that_fails_leaves_its_start(method, fault):
    """If f or g is not finite, the report has theta0, no step, no direction, no products and the reason."""
    objective = refhf.from_functions(
        lambda x: np.inf if fault == "value" else float(x @ x),
        lambda x: 2 * x if fault == "value" else np.full_like(x, np.inf),
        hessp=lambda x, v: 2 * v,
        gauss_newton=lambda x, v: 2 * v,
    )
    report = next(refhf.iterate(objective, np.array([1.0, -2.0]), method=method, rng=0))
    np.testing.assert_array_equal(report.theta, [1.0, -2.0])
    assert (report.outcome, report.step_length, report.negative_curvature) == (Outcome.NON_FINITE, 0.0, False)
    assert (report.counts.curvature_products, report.negative_direction) == (0, None)
    assert report.record().get("solver_iterations", 0) == 0


def test_the_most_negative_direction_is_kept():
    """The negative direction is Bi-CG-STAB's iterate of least d'Bd/||d||^2, independent of its length."""
    A, g = np.diag([-3.0, -0.1, -0.02, 1, 2, 5]), np.ones(6)
    found = bicgstab_candidates(refhf.bicgstab_iterates(A, -g), A, g, 5)
    quotients = [c.curvature / (c.vector @ c.vector) for c in found.candidates]
    assert np.argmin(quotients) != np.argmin([c.curvature for c in found.candidates])
    np.testing.assert_array_equal(found.negative_direction, found.candidates[np.argmin(quotients)].vector)
    assert found.negative_curvature


@pytest.mark.parametrize(
    ("find", "backtracking", "iterates"),
    [(cg_candidates, [True], refhf.cg_iterates), (bicgstab_candidates, [], refhf.bicgstab_iterates)],
)
def test_candidates_are_a_solvers_iterates(find, backtracking, iterates):
    """From the given start, with the given preconditioner, on B d = -g, as many iterations as told."""
    rng = np.random.default_rng(0)
    basis, _ = np.linalg.qr(rng.normal(size=(8, 8)))
    B, g, start, M = basis * np.geomspace(1, 90, 8) @ basis.T, *rng.normal(size=(2, 8)), np.diag(rng.uniform(1, 2, 8))
    for x0, preconditioner in (None, None), (start, None), (start, M), (None, M):
        *_, last = itertools.islice(iterates(B, -g, x0=x0, M=preconditioner), 5)
        found = find(iterates(B, -g, x0=x0, M=preconditioner), B, g, 4, *backtracking)
        np.testing.assert_array_equal(found.last, last.x)
        assert (found.iterations, found.stop, found.negative_curvature) == (4, Stop.ITERATION_LIMIT, False)
        assert len(found.candidates) == 4
        d = found.candidates[-1]
        assert d.curvature == pytest.approx(d.vector @ B @ d.vector, rel=1e-9)
        np.testing.assert_array_equal(d.vector, last.x if g @ last.x <= 0 else -last.x)


def test_a_direction_across_the_gradient_is_kept():
    """Downhill is -sign(g'd) d; a d with g'd = 0 is not turned."""
    g, d = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    np.testing.assert_array_equal(downhill(d, g), d)
    np.testing.assert_array_equal(downhill(d + g, g), -(d + g))


@pytest.mark.parametrize("method", [name for name in CURVATURES if name != "hybrid-cg"])
def test_a_bowl_has_no_negative_curvature(method):
    """If H is positive definite, no step reports negative curvature, and a reported smallest eigenvalue is H's."""
    A = np.diag([0.25, 1.0, 3.0])
    bowl = functions(lambda x: x @ A @ x / 2, lambda x: A @ x, lambda x, v: A @ v)
    report = next(refhf.iterate(bowl, np.array([3.0, -2.0, 1.0]), method=method, rng=0))
    assert (report.outcome, report.negative_curvature, report.negative_direction) == (Outcome.ACCEPTED, False, None)
    assert np.isnan(report.smallest_eigenvalue) or report.smallest_eigenvalue == pytest.approx(0.25)


def test_a_search_that_fails_gives_the_start_back():
    """If none of 60 trials is accepted, the step length is 0 and the value f; NaN is never accepted."""
    for trial in 1.0, np.nan, -np.inf:
        tried = []
        assert armijo(lambda alpha, t=trial, s=tried: s.append(alpha) or t, 1.0, -1e-3) == (0.0, 1.0)
        assert curvilinear(lambda alpha, t=trial, s=tried: s.append(alpha) or t, 1.0, 0.0, -1.0) == (0.0, 1.0)
        assert tried == 2 * [pytest.approx(0.8**k) for k in range(60)]


ENDS = [("gn-cg", {"warm_start": w, "damping": 0.0, "delta_0_norm": 0.0}) for w in (0.0, 1.0)] + [
    ("gn-cg", {"warm_start": 1, "curvature_batch": 60, "solver_iterations": 1}),
    ("momentum", {"momentum": 1.0, "batch": 60}),
    ("rmsprop", {"momentum": 0.0, "decay": 0.0, "epsilon": 0.0, "learning_rate": 0.0}),
    ("rmsprop", {"decay": 1.0, "batch": 1}),
    ("sgd", {"noise": 0.0}),
    ("truncated-newton", {"rule": "steihaug", "radius": 1e-9, "damping": 0.0, "solver_iterations": 1}),
    ("saddle-free-newton", {"damping": 0.0, "subspace": 1}),
    ("negative-curvature-newton", {"mu": 0.999, "probe_iterations": 1, "gradient_tolerance": 0.0}),
    ("nlcg-pr", {"learning_rate": 0.0, "batch": 1}),
    ("replica-newton", {"replicas": 60, "spread": 0.0, "newton_rate": 0.0, "local_rate": 0.0, "period": 1}),
]


@pytest.mark.parametrize(("method", "options"), ENDS)
def test_the_ends_of_the_ranges_are_options(method, options):
    """Values just within an option's range are accepted."""
    objective, theta = digits(0)
    refhf.iterate(objective, theta, method=method, **options)


@pytest.mark.parametrize("search", [armijo, lambda along, f, slope: curvilinear(along, f, slope, 2 * slope)])
def test_what_is_good_enough(search):
    """A trial passes at f + 0.01 alpha g'd, and at f + 0.01 alpha^2 (g's + d'Hd/2), and not above."""
    bound = 1.0 - 0.01 * (0.25 if search is armijo else 0.5)
    assert search(lambda alpha: bound - 1e-12, 1.0, -0.25) == (1.0, bound - 1e-12)
    assert search(lambda alpha: bound + 1e-12, 1.0, -0.25).step_length < 1


def test_the_default_method():
    """Without a name, `iterate`, `minimize` and `refhf train` run gn-cg."""
    objective, theta = digits(0, 20, (4, 3, 2))
    want = refhf.minimize(objective, theta, "gn-cg", 1).x
    np.testing.assert_array_equal(refhf.minimize(objective, theta, steps=1).x, want)
    np.testing.assert_array_equal(next(refhf.iterate(objective, theta)).theta, want)


@pytest.mark.parametrize("method", ["newton", "saddle-free-newton"])
def test_one_negative_eigenvalue_is_enough(method):
    """It is told, with its eigenvector, turned downhill."""
    A = np.diag([1.0, -0.25, 3.0])
    saddle = functions(lambda x: x @ A @ x / 2, lambda x: A @ x, lambda x, v: A @ v)
    report = next(refhf.iterate(saddle, np.array([3.0, -2.0, 1.0]), method=method))
    assert (report.negative_curvature, report.smallest_eigenvalue) == (True, pytest.approx(-0.25))
    np.testing.assert_allclose(report.negative_direction, [0, -1, 0], atol=1e-14)
    assert report.detail.damping in (0.0, *(3 * DAMPINGS))  # ||H|| = 3


@pytest.mark.parametrize(("change", "predicted"), [(-1.0, 0.0), (-1.0, 1.0), (0.0, -1.0), (np.nan, -1.0)])
def test_the_ratio_of_nothing(change, predicted):
    """A model that promises nothing, and an f that did not fall, have the ratio -inf."""
    assert reduction_ratio(change, predicted) == -np.inf


@pytest.mark.parametrize(
    ("curvature", "solver", "filled"),
    [
        ("hessian", "cg", (5, 0.0)),
        ("hybrid", "cg", (5, 0.0)),
        ("gauss-newton", "cg", (5, 0.95)),
        ("hessian", "bicgstab", (3, 0.0)),
    ],
)
def test_defaults_of_the_hessian_free_methods(curvature, solver, filled):
    """Iterations and warm start are by the solver and the matrix where they are not given; what is given is kept."""
    options = hf_step.HessianFreeOptions(curvature, solver)
    checked = hf_step.check(options, digits(0)[0])
    assert (checked.solver_iterations, checked.warm_start) == filled
    given = options._replace(curvature_batch=40, solver_iterations=7, warm_start=0.5, backtracking=True)
    assert hf_step.check(given, digits(0)[0]) == given


@pytest.mark.parametrize(
    ("cases", "group", "given", "batch"),
    [
        *((1, 1, None, 1), (199, 1, None, 199), (200, 1, None, 200), (201, 1, None, 200), (2009, 1, None, 200)),
        *((2010, 1, None, 201), (5000, 1, None, 500), (5000, 128, None, 384), (230, 128, None, 128)),
        *((150, 300, None, 150), (5000, 1, 7, 7), (5000, 1, 5000, 5000), (5000, 128, 256, 256)),
    ],
)
def test_the_curvature_is_on_a_tenth_with_a_floor(cases, group, given, batch):
    """Without a size it is a tenth of the cases, at least 200, in whole groups, or all if there are fewer."""
    posed = SimpleNamespace(cases=cases, group=group)
    assert mini_batch.curvature_cases(given, posed) == batch


@pytest.mark.parametrize("method", ["gn-cg", "hessian-bicgstab", "gn-cg-path"])
def test_a_step_has_its_curvature_on_the_default_batch(method):
    """A first step's products and losses are on the default mini-batch: the step with that size given is the same."""
    rng = np.random.default_rng(0)
    objective = refhf.supervised(refhf.mlp([4, 3, 2]), rng.normal(size=(2100, 4)), rng.integers(2, size=2100))
    one, two, whole = (
        next(refhf.iterate(objective, np.ones(23), method=method, rng=0, **given))
        for given in ({}, {"curvature_batch": 210}, {"curvature_batch": 2100})
    )
    np.testing.assert_array_equal(one.theta, two.theta)
    assert one.counts == two.counts
    assert whole.counts.epochs > one.counts.epochs + 1


@pytest.mark.parametrize("method", METHODS)
def test_no_gradient_no_step(method):
    """At a minimum a step is stationary and stays; where there are Hessian products it says what the point is."""
    bowl = functions(lambda x: float(x @ x), lambda x: 2 * x, lambda x, v: 2 * v)
    report = next(refhf.iterate(bowl, np.zeros(3), method=method, rng=0))
    assert (report.outcome, report.loss, report.step_length) == (Outcome.STATIONARY, 0.0, 0.0)
    np.testing.assert_array_equal(report.theta, np.zeros(3))
    assert report.kind in (Kind.MINIMUM, Kind.UNKNOWN)


@pytest.mark.parametrize("method", [*HESSIAN_FREE, "gn-cg-path", "truncated-newton", "negative-curvature-newton"])
def test_a_gradient_that_lies_ends_in_no_decrease(method):
    """If f rises along a direction with negative slope, no step length is accepted, and theta stays."""
    liar = functions(lambda x: float(x @ x), lambda x: -2 * x, lambda x, v: 2 * v)
    report = next(refhf.iterate(liar, np.ones(2), method=method, rng=0))
    assert (report.outcome, report.step_length, report.loss) == (Outcome.NO_DECREASE, 0.0, 2.0)
    np.testing.assert_array_equal(report.theta, np.ones(2))


@pytest.mark.parametrize(("noise", "steps"), [(0.0, 1), (1.0, 3)])
def test_a_small_gradient_does_not_end_a_run_that_is_leaving(noise, steps):
    """Converged is said of a small gradient only where the step was made of it."""
    plain = functions(lambda x: 1e-9 * float(x.sum()), lambda x: np.full_like(x, 1e-9), None)
    result = refhf.minimize(plain, np.zeros(2), "gradient-descent", 3, rng=0, noise=noise, gradient_tolerance=1e-5)
    assert result.nit == steps


def test_backtracking_looks_at_earlier_iterates():
    """It asks f of the mini-batch at one candidate more at least; without it, at the last alone."""
    objective, theta = digits(0)
    spent = [
        next(refhf.iterate(objective, theta, method="gn-cg", curvature_batch=15, rng=0, backtracking=b))
        for b in (False, True)
    ]
    tries = [1 + round(np.log(report.step_length) / np.log(0.8)) for report in spent]
    looked = [report.counts.value_evaluations - t - 1 for report, t in zip(spent, tries, strict=True)]
    assert looked[0] == 1 < looked[1]


@pytest.mark.parametrize("method", HESSIAN_FREE)
def test_the_best_candidate_lowers_the_loss_most(method):
    """With the curvature on all cases 'best' ends a step at the least loss of the three rules.

    Bi-CG-STAB obeys all three: here each of them takes another candidate.
    """
    objective, theta = digits(0)
    last, walked, best = (
        next(
            refhf.iterate(objective, theta, method=method, backtracking=rule, damping=1e-3, solver_iterations=8, rng=0)
        ).loss
        for rule in (False, True, "best")
    )
    assert best <= min(last, walked)
    if method == "hessian-bicgstab":
        assert best < walked < last


def test_words():
    """The enumerations of reports and solvers print as plain words."""
    assert [str(word) for word in (Outcome.NO_DECREASE, Stop.ITERATION_LIMIT, Source.RANDOM_START)] == [
        "no decrease", "iteration limit", "random start"
    ]  # fmt: skip


@pytest.mark.parametrize(("method", "behind"), [("newton", 0), ("gradient-descent", 1)])
def test_the_best_point_is_where_the_smallest_loss_was(method, behind):
    """A run that ends at something not finite returns where the last loss was measured: a step's end, or its start."""
    done, seen = [], [np.array([1.0, 2.0])]
    f = refhf.from_functions(
        lambda x: np.nan if len(done) == 3 else float(np.sum(x**4)),
        lambda x: 4 * x**3,
        hessp=lambda x, v: 12 * x**2 * v,
    )
    rate = {"learning_rate": 0.01} if behind else {}
    result = refhf.minimize(f, seen[0], method, 9, callback=lambda r: (done.append(0), seen.append(r.theta))[0], **rate)
    assert (result.nit, result.status) == (4, Status.NON_FINITE.value[0])
    np.testing.assert_array_equal(result.x, seen[3 - behind])
    assert result.fun == f.value(seen[3 - behind])


@pytest.mark.parametrize("method", ["gn-cg", "hessian-bicgstab"])
def test_delta_0_starts_the_first_step_only(method):
    """Algorithm 2, line 1: the random start is the first step's, and of the norm asked for."""
    objective, theta = digits(0)
    told = itertools.islice(refhf.iterate(objective, theta, method=method, rng=0, delta_0_norm=1e-3), 3)
    assert [report.source for report in told] == [Source.RANDOM_START, Source.KRYLOV, Source.KRYLOV]
    flat = functions(lambda x: float(x.sum()), np.ones_like, lambda x, v: 0 * v)
    steps = refhf.iterate(flat, np.zeros(9), method=method, rng=0, delta_0_norm=1e-3, damping=0.0, warm_start=1.0)
    assert np.linalg.norm(steps.progress.state.delta) == pytest.approx(1e-3, rel=1e-12)
    next(steps)  # no curvature: the solver ends where it starts
    assert np.linalg.norm(steps.progress.state.delta) == pytest.approx(1e-3, rel=1e-12)


def test_the_preconditioner_is_martens():
    """(mean of the squared gradients + lambda)^-0.75 times r, elementwise (Martens 2010, section 4.7)."""
    objective, theta = digits(0)
    M, r = hf_step._preconditioner(objective, theta, 0.3), np.linspace(-1, 2, theta.size)
    np.testing.assert_allclose(M @ r, r / (objective.gradient_squares(theta) + 0.3) ** 0.75, rtol=1e-13)
    plain, scaled = (
        next(refhf.iterate(objective, theta, method="gn-cg", damping=0.3, preconditioner=p)) for p in (False, True)
    )
    assert scaled.accepted and scaled.counts.gradient_evaluations == 2
    assert np.linalg.norm(scaled.theta - plain.theta) < 0.1 * np.linalg.norm(plain.theta - theta)  # the same system
    assert (scaled.theta != plain.theta).any()


def test_what_a_stationary_point_is_said_to_be_is_keyed_by_the_seed():
    """The probe at a stationary point draws from the step's own stream: the same rng tells the same eigenvalue."""
    curvatures = np.linspace(-1, 1, 400)
    saddle = functions(lambda x: x @ (curvatures * x) / 2, lambda x: curvatures * x, lambda x, v: curvatures * v)
    told = [next(refhf.iterate(saddle, np.zeros(400), method="gn-cg", rng=rng)) for rng in (5, 5, 6)]
    assert [report.outcome for report in told] == [Outcome.STATIONARY] * 3
    one, again, other = (report.smallest_eigenvalue for report in told)
    assert one == again != other


def test_resume_goes_on_to_the_bit():
    """Three steps, and two more from their progress, are five: theta, counts and numbers; another theta is refused."""
    objective, theta = digits(0)
    options = {"method": "hybrid-cg", "curvature_batch": 9}
    want = list(itertools.islice(refhf.iterate(objective, theta, rng=5, **options), 5))
    first = refhf.iterate(objective, theta, rng=5, **options)
    for _ in range(3):
        next(first)
    got = list(itertools.islice(refhf.resume(objective, first.progress, **options), 2))
    for a, b in zip(want[3:], got, strict=True):
        np.testing.assert_array_equal(a.theta, b.theta)
        assert str(a.record()) == str(b.record())
    wrong = first.progress._replace(state=first.progress.state._replace(theta=theta[:-1]))
    with pytest.raises(ValueError, match="progress.state.theta"):
        refhf.resume(objective, wrong, **options)


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
    ({"steps": -1}, ["steps", ">= 0", "-1"]),
    ({"steps": 2.0}, ["steps", ">= 0", "2.0"]),
    ({"maxiter": 3}, ["maxiter", "steps"]),
    ({"gtol": 1e-3}, ["gtol", "gradient_tolerance"]),
    ({"tol": 1e-3}, ["tol", "gradient_tolerance"]),
    ({"options": {"maxiter": 3}}, ["options", "as arguments"]),
    ({"hessp": np.dot}, ["hessp", "refhf.from_functions"]),
    ({"bounds": [(0, 1)]}, ["bounds", "unconstrained"]),
    ({"method": "BFGS"}, ["method", "'BFGS'", "gn-cg"]),
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


SPHERE = {"fun": lambda x: float(x @ x), "jac": lambda x: 2 * x, "hessp": lambda x, v: 2 * v}


class Half:
    """Something that has a value and no more."""

    value = staticmethod(SPHERE["fun"])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (SPHERE["fun"], ["a function", "refhf.from_functions(fun, jac)", "refhf.scipy_method"]),
        (np.sum, ["a function", "refhf.from_functions(fun, jac)"]),
        (Half, ["a function", "refhf.from_functions(fun, jac)"]),
        (Half(), ["Half", "which has no size, cases, dtype, curvatures, value_and_gradient, sample"]),
        (None, ["NoneType", "refhf.supervised"]),
        (np.ones(2), ["ndarray", "refhf.supervised"]),
        (refhf.mlp([2, 2]), ["Network", "refhf.supervised"]),
        ("rosen", ["str"]),
    ],
)
def test_what_is_no_objective(given, words):
    """A plain function, with SciPy's arguments or without, and anything else, is told what to call instead."""
    for call in (
        lambda: refhf.minimize(given, np.ones(2)),
        lambda: refhf.minimize(given, np.ones(2), jac=SPHERE["jac"]),
        lambda: refhf.minimize(given, np.ones(2), "newton", options={"maxiter": 3}),
        lambda: refhf.iterate(given, np.ones(2), method="newton"),
    ):
        with pytest.raises(ValueError, match=r"^objective: expected one of refhf\.supervised") as caught:
            call()
        assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize("method", METHODS)
def test_what_a_result_has(method):
    """SciPy's fields and the history: fun and jac are f and g at x, nfev, njev and nhev the calls that were made."""
    calls = dict.fromkeys(("fun", "jac", "hessp"), 0)

    def counted(name):
        def call(*given):
            calls[name] += 1
            return np.multiply(1.5, SPHERE[name](*given))

        return call

    functions = [counted(name) for name in ("fun", "jac", "hessp")]
    objective = refhf.from_functions(*functions, gauss_newton=functions[2])
    result = refhf.minimize(objective, np.array([1, 2]), method, 3, rng=0)
    made = dict(calls)
    assert set(result) == {
        "x", "fun", "jac", "success", "status", "message", "nit", "nfev", "njev", "nhev", "history",
    }  # fmt: skip
    assert result.x.dtype == np.float64
    assert result.fun == pytest.approx(1.5 * result.x @ result.x, rel=1e-12)
    np.testing.assert_allclose(result.jac, 3 * result.x, rtol=1e-12)
    assert (result.nfev, result.njev, result.nhev) == (made["fun"], made["jac"], made["hessp"])
    assert result.nit == len(result.history)
    assert result.success == (result.status == Status.CONVERGED.value[0])


def test_no_steps_evaluate_the_start():
    """steps = 0 is f and g at theta0, with one call each, and no success."""
    result = refhf.minimize(refhf.from_functions(*SPHERE.values()), [1, 2], "newton", 0)
    assert (result.x.tolist(), result.fun, result.jac.tolist()) == ([1.0, 2.0], 5.0, [2.0, 4.0])
    assert (result.nit, result.nfev, result.njev, result.nhev, result.history) == (0, 1, 1, 0, [])
    assert (result.success, result.status, result.message) == (False, *Status.STEPS_DONE.value[::2])


@pytest.mark.parametrize("method", ["hessian-cg", "gn-cg", "gradient-descent", "nlcg-pr", "negative-curvature-newton"])
def test_a_converged_run_ends_by_itself(method):
    """Without a tolerance of the caller's it ends, converged, with ||g|| <= 1e-5, long before its steps are done."""
    H = np.diag([1.0, 2.0])
    bowl = refhf.from_functions(
        lambda x: float(x @ H @ x / 2 + np.sum(x**4) / 4),
        lambda x: H @ x + x**3,
        *[lambda x, v: H @ v + 3 * x**2 * v] * 2,
    )
    rate = {"learning_rate": 0.1} if method in ("gradient-descent", "nlcg-pr") else {}
    result = refhf.minimize(bowl, np.ones(2), method, 1000, rng=0, **rate)
    assert (result.success, result.status) == (True, 0) and result.nit < 300
    assert 0 <= np.linalg.norm(result.jac) <= GRADIENT_TOLERANCE
    assert result.history[-1]["gradient_norm"] <= GRADIENT_TOLERANCE


@pytest.mark.parametrize("method", ["hessian-cg", "hessian-bicgstab", "saddle-free-newton", "truncated-newton"])
def test_a_run_beside_a_saddle_has_not_converged(method):
    """If ||g|| is below the tolerance and a step meets negative curvature, the run continues and leaves the point."""
    saddle = refhf.from_functions(
        lambda x: float(x[0] ** 2 - x[1] ** 2 / 2 + x[1] ** 4 / 4),
        lambda x: np.array([2 * x[0], -x[1] + x[1] ** 3]),
        hessp=lambda x, v: np.array([2 * v[0], (3 * x[1] ** 2 - 1) * v[1]]),
    )
    result = refhf.minimize(saddle, [1e-9, 1e-7], method, 200)
    assert result.success
    np.testing.assert_allclose(np.abs(result.x), [0, 1], atol=1e-4)


def test_missing_product():
    """A method that needs a product the objective lacks says which, before any work."""
    objective = refhf.from_functions(lambda x: float(x @ x), lambda x: 2 * x, hessp=lambda x, v: 2 * v)
    with pytest.raises(ValueError, match="gauss-newton"):
        refhf.iterate(objective, np.ones(2), method="hybrid-cg")


class Named:
    """An objective that has what the protocol names, and nothing else."""

    names = frozenset(Objective.__annotations__) | {name for name in vars(Objective) if not name.startswith("_")}

    def __init__(self, objective):
        self._objective = objective

    def __getattr__(self, name):
        assert name in self.names, f"the protocol has no {name}"
        found = getattr(self._objective, name)
        return (lambda *args, **more: Named(found(*args, **more))) if name == "sample" else found


def settings():
    """(method, options): the defaults, and each boolean option turned."""
    for name, method in METHODS.items():
        known = method.family.options._field_defaults
        yield name, {}
        yield from ((name, {key: not known[key]}) for key in method.options if isinstance(known.get(key), bool))


@pytest.mark.parametrize(("method", "options"), list(settings()), ids=str)
def test_the_protocol_names_all_that_a_method_asks_for(method, options):
    """With an objective of the protocol's names alone a method runs; what has no such product is refused by name."""
    rng = np.random.default_rng(0)
    net = refhf.mlp([3, 4, 2])
    objective = refhf.supervised(net, rng.standard_normal((8, 3)), rng.integers(2, size=8))
    for report in itertools.islice(refhf.iterate(Named(objective), net.init(0), method=method, rng=0, **options), 2):
        assert np.isfinite(report.theta).all()
    have = {name: getattr(SURFACES["rosenbrock"], name) for name in ("value", "gradient", "hessp", "gauss_newton")}
    for lacking in ((), ("gauss_newton",), ("gauss_newton", "hessp")):
        plain = refhf.from_functions(**{**have, **dict.fromkeys(lacking)})
        try:
            next(refhf.iterate(plain, [1.0, 0.5], method=method, rng=0, **options))
        except ValueError as error:
            assert re.search("objective: expected one that has (hessian|gauss-newton|gradient-squares)", str(error))


def test_methods_table():
    """Every method has one line."""
    assert set(refhf.available_methods()) == set(METHODS)
    assert all(text and "\n" not in text for text in refhf.available_methods().values())


# Options are stored as plain numbers, from any given type.

UNITS = ("momentum", "decay", "warm_start", "mu")  # at most 1
FLOATS = {
    "damping", "delta_0_norm", "warm_start", "radius", "mu", "gradient_tolerance", "learning_rate", "noise", "momentum",
    "decay", "epsilon", "newton_rate", "local_rate", "spread",
}  # fmt: skip
WHOLE = {"curvature_batch", "batch", "solver_iterations", "subspace", "probe_iterations", "replicas", "period"}
FLAGS = {"backtracking", "preconditioner", "damped_ratio", "clip", "restart_test", "descent_test"}
OF_A_KIND = [(method, option) for method in METHODS for option in METHODS[method].options]
LEAVES = {"reading", "topology", "comm", "rule", "line_search"}  # words, and a communicator


def test_every_option_has_a_kind():
    """An option is a real number, a whole one, a flag or a word."""
    assert {option for _, option in OF_A_KIND} <= FLOATS | WHOLE | FLAGS | LEAVES


@pytest.mark.parametrize(("method", "option"), [pair for pair in OF_A_KIND if pair[1] not in LEAVES])
def test_options_are_plain(method, option):
    """NumPy's scalars, fractions and huge integers become Python's own, and float32 runs stay float32."""
    objective, theta = digits(0, 30, (5, 4, 3))
    objective, theta = refhf.supervised(objective.net, objective.X.astype(np.float32), objective.y), np.float32(theta)
    kind, forms = bool, [np.bool_(True)]
    if option in FLOATS:
        kind, forms = float, [t(0.125) for t in (np.float64, np.float32, np.float16, np.longdouble, Fraction)]
        forms += [] if option in UNITS else [10**20, np.int64(1)]
    elif option in WHOLE:
        kind, forms = int, [np.uint8(4), np.int64(4)]
    for form in forms:
        steps = refhf.iterate(objective, theta, method=method, rng=0, **{option: form})
        used = getattr(steps.options, option)
        assert (used, type(used)) == (kind(form), kind)
        report = next(steps)
        arrays = [x for x in (*report, *steps.progress.state) if isinstance(x, np.ndarray)]
        assert {x.dtype for x in arrays} == {np.dtype(np.float32)}
        assert not any(isinstance(x, np.generic) for x in steps.options)


@pytest.mark.parametrize(
    "given", [10**400, Fraction(10**400), np.longdouble("1e4000"), "0.1", 0.1j, None, np.timedelta64(1)]
)
def test_numbers_out_of_range(given):
    """A value that is no real number, or too large for a float, is refused with its name."""
    objective, theta = digits(0)
    with pytest.raises(ValueError, match=r"^damping: expected a finite number"):
        refhf.iterate(objective, theta, method="gn-cg", damping=given)
    for huge in (10**400, 2**63):
        with pytest.raises(
            ValueError, match=r"^solver_iterations: expected an integer >= 1 and <= 9223372036854775807"
        ):
            refhf.iterate(objective, theta, method="gn-cg", solver_iterations=huge)
        with pytest.raises(ValueError, match=r"^steps: expected an integer"):
            refhf.minimize(objective, theta, "gn-cg", huge)


def test_lambda_is_not_rounded_by_its_type():
    """The following lambdas are those of the same number given as a float."""
    objective, theta = digits(0)

    def lambdas(damping):
        steps = refhf.iterate(objective, theta, method="gn-cg", damping=damping)
        return [report.detail.damping for report in itertools.islice(steps, 4)]

    assert lambdas(np.float16(0.75)) == lambdas(np.float32(0.75)) == lambdas(0.75)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("start", [[1, 2], [True, False], np.array([1, 2], np.float16), np.array([1, 2], np.int8)])
def test_x_has_the_objectives_dtype(method, start):
    """Also where no step was accepted, so that x is the start."""
    objective = functions(lambda x: float(x @ x), lambda x: np.full(2, np.nan), lambda x, v: 2 * v)
    result = refhf.minimize(objective, start, method, 2, rng=0)
    assert (result.x.dtype, result.success) == (np.float64, False)
    np.testing.assert_array_equal(result.x, np.asarray(start, float))


class Reusing:
    """x'Ax/2 + sum x^4/4 as a user's objective, which returns the same arrays each time if `reused`."""

    size, cases, group, dtype, comm = 4, 1, 1, np.dtype(float), None
    curvatures = frozenset({"hessian", "gauss-newton", "gradient-squares"})

    def __init__(self, reused):
        self.reused, self.arrays, self.A = reused, {}, np.diag([4.0, 3, 2, 1]) - 0.1

    def answer(self, name, x):
        if not self.reused:
            return x
        out = self.arrays.setdefault(name, np.empty(4))
        out[:] = x
        return out

    def value(self, theta):
        return float((theta**4).sum() / 4 + theta @ self.A @ theta / 2)

    def value_and_gradient(self, theta):
        return self.value(theta), self.answer("gradient", theta**3 + self.A @ theta)

    def hessian(self, theta):
        squares = 3 * theta**2
        product = LinearOperator(
            (4, 4), lambda v: self.answer("product", squares * v.ravel() + self.A @ v.ravel()), dtype=float
        )
        return product

    gauss_newton = hessian

    def gradient_squares(self, theta):
        return self.answer("squares", theta**2)

    def sample(self, cases, *, rng=None):
        return self


@pytest.mark.parametrize("method", METHODS)
def test_an_objective_may_reuse_its_arrays(method):
    """Gradients and products that all come in one array give the bits of those that come in fresh ones."""
    more = {"line_search": "wolfe"} if method.startswith("nlcg") else {}
    more |= {"preconditioner": True} if method in HESSIAN_FREE else {}
    more |= {"reading": "pairs", "learning_rate": 0.05, "spread": 0.1} if method == "replica-newton" else {}
    kept, fresh = (
        refhf.minimize(Reusing(reused), [1.0, -2.0, 0.5, 3.0], method, 4, rng=0, **more) for reused in (True, False)
    )
    assert kept.x.tobytes() == fresh.x.tobytes()
    assert kept.nit == fresh.nit


def test_a_callback_may_write_on_its_theta():
    """It has a copy."""
    objective, theta = digits(0)
    plain = refhf.minimize(objective, theta, "gn-cg", 3, rng=0)
    written = refhf.minimize(objective, theta, "gn-cg", 3, rng=0, callback=lambda report: report.theta.fill(7.0))
    assert written.x.tobytes() == plain.x.tobytes()


@pytest.mark.parametrize("method", METHODS)
def test_numpy_errors_are_not_raised(method):
    """Under np.seterr(all="raise") a run takes the same steps: underflow is harmless, the rest is an outcome."""
    rng = np.random.default_rng(0)
    net = refhf.mlp([3, 4, 2], nonlinearity="softplus")
    objective, theta = refhf.supervised(net, 300 * rng.normal(size=(9, 3)), rng.integers(2, size=9)), net.init(rng=0)
    bowl = functions(lambda x: float(x @ x), lambda x: 2 * x, lambda x, v: 2 * v)
    for f, start, steps in (objective, theta, 3), (bowl, np.array([1.0, 1e-130]), 8):
        want = refhf.minimize(f, start, method, steps, rng=0)
        with np.errstate(all="raise"):
            got = refhf.minimize(f, start, method, steps, rng=0)
        assert got.x.tobytes() == want.x.tobytes()


# --- memory -----------------------------------------------------------------------------------------------------------


def step_peak(method, nth=1, **options):
    """The most memory of step `nth` in parameter vectors above what was there before; activations are few here."""
    rng, net = np.random.default_rng(0), refhf.mlp([500, 400, 10])
    X, y = rng.normal(size=(20, 500)).astype(np.float32), rng.integers(10, size=20)
    theta = net.init(0, np.float32)
    steps = refhf.iterate(refhf.supervised(net, X, y), theta, method=method, rng=0, damping=1.0, **options)
    for _ in itertools.islice(steps, nth - 1):
        pass
    tracemalloc.start()
    try:
        report = next(steps)
        assert report.accepted and report.detail.solver_iterations == options["solver_iterations"]
        return tracemalloc.get_traced_memory()[1] / theta.nbytes
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("nth", [1, 2])
def test_memory_of_a_step_does_not_grow_with_its_iterations(nth):
    """Without backtracking no iterate of CG is kept but the last: as much memory for 3 iterations as for 10."""
    few, many = (step_peak("gn-cg", nth, solver_iterations=k, backtracking=False) for k in (3, 10))
    assert many < min(few + 0.1, 11)


@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("k", [3, 6, 10])
def test_backtracking_keeps_a_vector_a_mark(k, nth):
    """With backtracking a step holds, besides what it holds without, one vector for each mark of the grid."""
    without = step_peak("gn-cg", nth, solver_iterations=k, backtracking=False)
    assert step_peak("gn-cg", nth, solver_iterations=k, backtracking=True) < without + len(grid(k))


def test_bicgstab_keeps_a_vector_an_iterate():
    """Every iterate of Bi-CG-STAB is a candidate: each takes one vector, and no more."""
    counts = 2, 4, 8
    peaks = [step_peak("hessian-bicgstab", solver_iterations=k) for k in counts]
    assert (np.diff(peaks) < np.diff(counts) + 0.1).all()
    assert peaks[0] < 14 + counts[0]  # 14 as without backtracking, and one for each of its candidates
