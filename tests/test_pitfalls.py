"""Known pitfalls of Hessian-free code: one test for each decision of refhf."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import refhf
from refhf.driver.registry import METHODS
from refhf.krylov.arithmetic import inner
from refhf.krylov.stopping import Stop, advance, iteration_limit, negative_curvature, no_progress
from refhf.krylov.symmetric_operator import SymmetricOperator
from refhf.methods.hessian_free import candidates, damping, hf_step
from refhf.methods.report import Outcome
from refhf.methods.search import armijo
from refhf.methods.search.descent import reduction_ratio
from refhf.model.losses import softmax_cross_entropy, squared_error

SIZES, CASES = [6, 5, 3], 40


def problem(seed=0, cases=CASES, **options):
    rng = np.random.default_rng(seed)
    net = refhf.mlp(SIZES)
    X, y = rng.normal(size=(cases, SIZES[0])), rng.integers(SIZES[-1], size=cases)
    return refhf.supervised(net, X, y, **options), 2 * net.init(rng=seed)


def one_step(objective, theta, method="gn-cg", state=None, rng=None, **options):
    room, fixed = METHODS[method].family, METHODS[method].fixed
    options = room.check(room.options(**{**options, **fixed}), objective)
    state = room.init(theta, options, np.random.default_rng(0)) if state is None else state
    return room.step(state, objective, options, 1, np.random.default_rng(rng))


def dense(operator):
    return operator @ np.eye(operator.shape[0])


def quadratic(A, b):
    """x'Ax/2 - b'x as an objective whose Gauss-Newton matrix is A too."""
    return refhf.from_functions(
        lambda x: x @ A @ x / 2 - b @ x, lambda x: A @ x - b, hessp=lambda x, v: A @ v, gauss_newton=lambda x, v: A @ v
    )


def test_reduction_ratio_with_and_without_damping():
    """The exact p of (G + lambda I) p = -g has damped q = g'p/2 and undamped q = g'p/2 - lambda ||p||^2/2."""
    objective, theta = problem()
    _, g = objective.value_and_gradient(theta)
    B = dense(objective.gauss_newton(theta)) + 0.3 * np.eye(g.size)
    p = np.linalg.solve(B, -g)
    given = g @ p, p @ B @ p, p @ p, 0.3
    assert damping.predicted_change(*given, damped=True) == pytest.approx(g @ p / 2, rel=1e-12)
    assert damping.predicted_change(*given, damped=False) == pytest.approx(g @ p / 2 - 0.15 * p @ p, rel=1e-12)


def test_a_worse_or_undefined_loss_raises_lambda():
    """A loss that grew or is NaN gives rho = -inf, and rho = -inf raises lambda."""
    for change in (0.1, np.nan, np.inf):
        assert reduction_ratio(change, -1.0) == -np.inf
    assert reduction_ratio(-1.0, 1.0) == -np.inf
    assert damping.levenberg_marquardt(2.0, -np.inf) == 3.0


def test_ratio_is_of_the_whole_step_on_the_curvature_batch():
    """The ratio compares the mini-batch's loss before and after the solver's step, before any line search."""
    objective, theta = problem()
    given = {"curvature_batch": 15, "damping": 1e-3, "solver_iterations": 6, "backtracking": False}
    _, report = one_step(objective, theta, rng=7, **given)
    mini = objective.sample(15, rng=np.random.default_rng(7))
    _, g = objective.value_and_gradient(theta)
    G = dense(mini.gauss_newton(theta))
    *_, last = (it for it, _ in zip(refhf.cg_iterates(G + 1e-3 * np.eye(g.size), -g), range(7), strict=False))
    p = last.x
    rho = (mini.value(theta + p) - mini.value(theta)) / (g @ p + p @ G @ p / 2)
    assert report.step_length < 1, "the case must need a line search"
    assert report.detail.rho == pytest.approx(rho if mini.value(theta + p) < mini.value(theta) else -np.inf, rel=1e-8)


def test_martens_rule():
    """Stop at the first i > k with phi_i < 0 and (phi_i - phi_{i-k})/phi_i < k eps, k = max(10, ceil(0.1 i))."""
    phis = -(1 - 0.7 ** np.arange(60.0))
    rule, stopped = no_progress(), None
    for i, phi in enumerate(phis):
        if rule(type("It", (), {"k": i, "phi": phi})):
            stopped = i
            break
    expected = [i for i in range(11, 60) if (phis[i] - phis[i - 10]) / phis[i] < 10 * 5e-4]
    assert stopped == expected[0]


def test_phi_needs_no_product():
    """CG's phi = -x'(r + b)/2 is the quadratic, at one product an iteration and none for stopping."""
    rng, products = np.random.default_rng(0), []
    A = np.diag(rng.random(8) + 1)
    counted = SymmetricOperator(lambda v: products.append(1) or A @ v, 8, float)
    b = rng.normal(size=8)
    it, _ = advance(refhf.cg_iterates(counted, b), iteration_limit(5))
    assert it.phi == pytest.approx(it.x @ A @ it.x / 2 - b @ it.x, rel=1e-12)
    assert len(products) == 5


def test_backtracking_grid():
    """Backtracking evaluates the iterates ceil(1.3^j), each once, and the last."""
    assert sorted(candidates.grid(20)) == [1, 2, 3, 4, 5, 7, 9, 11, 14, 18, 20]


def test_walk_back_stops_at_the_first_worsening():
    """Backtracking goes back from the last candidate while f improves; it never passes a worse candidate."""
    values = [0.1, 5.0, 1.0, 2.0, 3.0]
    offered = tuple(candidates.Candidate(np.array([float(i)]), 1.0) for i in range(5))
    best, f = candidates.walk_back(offered, lambda c: values[int(c.vector[0])], back=True)
    assert (best.vector[0], f) == (2, 1.0)
    best, f = candidates.walk_back(offered, lambda c: values[int(c.vector[0])], back=False)
    assert (best.vector[0], f) == (4, 3.0)


@given(st.lists(st.sampled_from([0.0, 1.0, 2.0, 3.0, np.inf, np.nan]), min_size=1, max_size=7))
def test_best_looks_at_all_candidates(values):
    """'best' is a candidate of smallest f, of equals the last; it asks f once at each, and never loses to the walk."""
    offered, asked = tuple(candidates.Candidate(np.array([float(i)]), 1.0) for i in range(len(values))), []

    def f(candidate):
        asked.append(int(candidate.vector[0]))
        return values[asked[-1]]

    chosen, found = candidates.choose(offered, f, "best")
    assert sorted(asked) == list(range(len(values)))
    finite = [value for value in values if np.isfinite(value)]
    if finite:
        assert found == min(finite)
        assert chosen.vector[0] == max(i for i, value in enumerate(values) if value == found)
        walked = candidates.choose(offered, f, True)[1]
        assert not walked < found
    assert candidates.choose(offered, f, False)[0] is offered[-1]


def test_warm_start_is_the_decayed_last_iterate(monkeypatch):
    """The next solve starts from 0.95 times CG's last iterate, neither walked back nor line-searched."""
    objective, theta = problem()
    starts, finals = [], []

    def spy(B, b, x0=None, M=None, stop_at=None):
        starts.append(x0)
        for it in refhf.cg_iterates(B, b, x0=x0, M=M, stop_at=stop_at):
            finals.append(it.x)
            yield it

    monkeypatch.setattr(hf_step, "cg_iterates", spy)
    state, _ = one_step(objective, theta, backtracking=True, damping=1e-3)
    last = finals[-1]
    one_step(objective, theta, state=state)
    assert starts[0] is None
    np.testing.assert_array_equal(starts[1], 0.95 * last)


def test_progress_is_measured_from_zero():
    """After a warm start worse than zero, the rule does not stop before phi < 0, even at slow progress."""
    rule = no_progress()
    assert not any(rule(type("It", (), {"k": i, "phi": 1.0 - 1e-9 * i})) for i in range(50))


def test_preconditioner_is_martens_diagonal():
    """M^-1 = (mean of the squared gradients of single cases + l2 + lambda)^0.75."""
    objective, theta = problem(l2=0.02)
    M = hf_step._preconditioner(objective, theta, 0.3)
    singles = [refhf.supervised(objective.net, x[None], [y]) for x, y in zip(objective.X, objective.y, strict=True)]
    squares = np.mean([single.value_and_gradient(theta)[1] ** 2 for single in singles], axis=0)
    np.testing.assert_allclose(M @ np.ones(theta.size), (squares + 0.02 + 0.3) ** -0.75, rtol=1e-12)


def test_preconditioned_from_the_first_iteration():
    """Preconditioned CG is CG on M^(1/2) A M^(1/2), from the first iterate on."""
    rng = np.random.default_rng(3)
    A = rng.normal(size=(6, 6))
    A, b, m = A @ A.T + np.eye(6), rng.normal(size=6), rng.random(6) + 0.1
    root = np.sqrt(m)
    plain = refhf.cg_iterates(root[:, None] * A * root, root * b)
    for it, other, _ in zip(refhf.cg_iterates(A, b, M=np.diag(m)), plain, range(5), strict=False):
        np.testing.assert_allclose(it.x, root * other.x, rtol=1e-9, atol=1e-12)


def test_lambda_is_relative_to_the_mean_over_cases():
    """Duplicating every case does not change the step."""
    objective, theta = problem()
    twice = refhf.supervised(objective.net, np.tile(objective.X, (2, 1)), np.tile(objective.y, 2))
    reports = [one_step(o, theta, damping=0.1)[1] for o in (objective, twice)]
    np.testing.assert_allclose(reports[0].theta, reports[1].theta, rtol=1e-9, atol=1e-12)


def test_line_search_grid_and_failure():
    """alpha = 0.8^j, at most 60 trials, c = 1e-2. If no trial is accepted, theta stays and lambda grows."""
    tried = []
    search = armijo.armijo(lambda alpha: tried.append(alpha) or np.inf, 1.0, -1.0)
    assert search == (0.0, 1.0)
    np.testing.assert_allclose(tried, 0.8 ** np.arange(60), rtol=1e-12)
    assert armijo.armijo(lambda alpha: 1 - 0.0101 * alpha, 1.0, -1.0).step_length == 1
    assert armijo.armijo(lambda alpha: 1 - 0.0099 * alpha, 1.0, -1.0).step_length == 0
    liar = refhf.from_functions(lambda x: float(x @ x), lambda x: -2 * x, hessp=lambda x, v: 2 * v)
    state, report = one_step(liar, np.ones(2), method="hessian-cg", damping=1.0)
    assert (report.outcome, state.damping) == (Outcome.NO_DECREASE, 1.5)
    np.testing.assert_array_equal(state.theta, np.ones(2))


def test_slope_is_of_the_full_gradient_and_never_positive():
    """Every candidate has g'd <= 0 with the g of the right-hand side; the step meets Armijo with that g."""
    objective, theta = problem()
    _, g = objective.value_and_gradient(theta)
    B = dense(objective.hessian(theta))
    solution = candidates.bicgstab_candidates(refhf.bicgstab_iterates(B, -g), B, g, 12)
    assert all(inner(g, c.vector) <= 0 for c in solution.candidates)
    start = 10 * g
    _, report = one_step(
        objective, theta, state=hf_step.HessianFreeState(theta, 1.0, start), curvature_batch=9, solver_iterations=2
    )
    d = (report.theta - theta) / report.step_length
    assert report.loss <= objective.value(theta) + 1e-2 * report.step_length * (g @ d)
    assert g @ d < 0


def test_negative_curvature_stops_before_the_update():
    """CG returns the iterate before negative curvature, and the direction. In the first iteration it returns -g."""
    A, g = np.diag([2.0, 1.0, -1.0]), np.array([1.0, 1.0, 0.1])
    solution = candidates.cg_candidates(
        refhf.cg_iterates(A, -g, stop_at=negative_curvature), A, g, 10, backtracking=False
    )
    assert solution.stop is Stop.NEGATIVE_CURVATURE
    np.testing.assert_array_equal(solution.candidates[-1].vector, solution.last)
    p = solution.negative_direction
    assert p @ A @ p < 0
    assert g @ p <= 0
    iterates = refhf.cg_iterates(-np.eye(3), -g, stop_at=negative_curvature)
    solution = candidates.cg_candidates(iterates, -np.eye(3), g, 10, backtracking=False)
    np.testing.assert_array_equal(solution.candidates[-1].vector, -g)
    assert solution.candidates[-1].curvature == -g @ g


def test_curvature_test_is_scale_aware():
    """Curvature that is zero to rounding is detected at every scale; small positive curvature is not."""
    for scale in (1e-100, 1.0, 1e100):
        A = scale * np.diag([1.0, 2.0**-52 - 1])  # p'Ap = 2e-16 ||p|| ||Ap|| / 2 > 0
        _, stop = advance(refhf.cg_iterates(A, np.array([1.0, 1.0]), stop_at=negative_curvature))
        assert stop is Stop.NEGATIVE_CURVATURE
        small = refhf.cg_iterates(scale * 1e-12 * np.eye(2), np.ones(2), stop_at=negative_curvature)
        assert advance(small)[1] is Stop.EXACT


def test_right_hand_side_and_residual_have_the_right_sign():
    """r = b - A x at every iterate, where b = -g."""
    rng = np.random.default_rng(1)
    A = rng.normal(size=(5, 5))
    A, b = A @ A.T + np.eye(5), rng.normal(size=5)
    for iterates in (refhf.cg_iterates, refhf.bicgstab_iterates):
        for it, _ in zip(iterates(A, b), range(4), strict=False):
            np.testing.assert_allclose(it.r, b - A @ it.x, atol=1e-10)


def test_one_batch_a_step_gradient_on_all(monkeypatch):
    """A step draws one mini-batch for all its products, and its gradient is that of all the data."""
    objective, theta = problem()
    drawn = []
    sample = objective.sample
    monkeypatch.setattr(objective, "sample", lambda n, rng: drawn.append(n) or sample(n, rng=rng))
    _, report = one_step(objective, theta, curvature_batch=10)
    assert drawn == [10]
    assert report.gradient_norm == np.linalg.norm(objective.value_and_gradient(theta)[1])


def test_loss_hessian_is_at_the_pre_activation():
    """H_L is diag(p) - pp' for softmax with cross-entropy, and I for the squared error, without a factor 2."""
    z = np.array([[0.3, -1.0, 2.0]])
    p = np.exp(z[0]) / np.exp(z[0]).sum()
    product = softmax_cross_entropy.hessian(z, np.array([1]))
    columns = np.column_stack([product(e[None])[0] for e in np.eye(3)])
    np.testing.assert_allclose(columns, np.diag(p) - np.outer(p, p), rtol=1e-13, atol=1e-15)
    np.testing.assert_array_equal(squared_error.hessian(z, z)(z), z)


def test_weight_decay_enters_every_quantity():
    """f, g, H, G and the preconditioner's diagonal all contain l2, on every parameter."""
    (with_l2, theta), (without, _) = problem(l2=0.5), problem()
    v = np.random.default_rng(0).normal(size=theta.size)
    assert with_l2.value(theta) - without.value(theta) == pytest.approx(0.25 * theta @ theta)
    for of in ("hessian", "gauss_newton"):
        np.testing.assert_allclose(
            getattr(with_l2, of)(theta) @ v - getattr(without, of)(theta) @ v, 0.5 * v, atol=1e-12
        )
    gradients = [o.value_and_gradient(theta)[1] for o in (with_l2, without)]
    np.testing.assert_allclose(gradients[0] - gradients[1], 0.5 * theta, atol=1e-12)
    np.testing.assert_allclose(with_l2.gradient_squares(theta) - without.gradient_squares(theta), 0.5, atol=1e-12)


def test_product_is_deterministic():
    """The same product twice gives the same bits."""
    objective, theta = problem()
    H, v = objective.sample(9, rng=0).hessian(theta), np.ones(theta.size)
    np.testing.assert_array_equal(H @ v, H @ v)


def test_levenberg_marquardt_thresholds_and_limits():
    """lambda is multiplied by 3/2 below 1/4 and by 2/3 above 3/4, and stays between the floor and the ceiling."""
    for rho, factor in ((-np.inf, 1.5), (0.2499, 1.5), (0.25, 1), (0.5, 1), (0.75, 1), (0.7501, 2 / 3), (2.0, 2 / 3)):
        assert damping.levenberg_marquardt(1.0, rho) == pytest.approx(factor)
    assert damping.levenberg_marquardt(damping.FLOOR, 1.0) == damping.FLOOR
    assert damping.levenberg_marquardt(damping.CEILING, 0.0) == damping.CEILING


def test_float32_scalars_accumulate_in_float64():
    """The inner product of float32 vectors is more accurate than float32 accumulation."""
    x = np.full(2**20, 1e-4, np.float32)
    x[0] = 1e4
    assert inner(x, x) == pytest.approx(float(x[0]) ** 2 + (2**20 - 1) * float(x[1]) ** 2, rel=1e-12)


def test_convergence_is_claimed_on_the_true_residual():
    """When rounding makes the recurrence drift, info is 0 only if b - A x meets the tolerance."""
    rng = np.random.default_rng(0)
    basis, _ = np.linalg.qr(rng.normal(size=(40, 40)))
    A, b = basis * np.logspace(0, 11, 40) @ basis.T, rng.normal(size=40)
    x, info = refhf.cg((A + A.T) / 2, b, rtol=1e-12, maxiter=2000)
    assert (info == 0) == (np.linalg.norm(b - (A + A.T) / 2 @ x) <= 1e-12 * np.linalg.norm(b))
    assert info != 0, "the case must be one where the recurrence drifts"


def test_bicgstab_solution_is_a_newton_step_to_the_saddle():
    """On x^2 - y^2 every Newton step ends at the saddle (0, 0); it goes uphill if |y| > |x|.

    It costs two products an iteration.
    """
    A, products = np.diag([2.0, -2.0]), []
    counted = SymmetricOperator(lambda v: products.append(1) or A @ v, 2, float)
    for point in ([3.0, 1.0], [1.0, 3.0]):
        g = A @ point
        it, _ = advance(refhf.bicgstab_iterates(counted, -g), iteration_limit(2))
        np.testing.assert_allclose(point + it.x, 0, atol=1e-12)
        assert (g @ it.x > 0) == (abs(point[1]) > abs(point[0]))
    assert len(products) == 8


def test_krylov_methods_stay_at_stationary_points_and_on_stable_lines():
    """From b = 0 every solver returns 0; on the line (x, 0) of the paper's example no iterate leaves the line."""
    for solver in (refhf.cg, refhf.bicgstab):
        np.testing.assert_array_equal(solver(np.diag([1.0, -1.0]), np.zeros(2))[0], 0)
    saddle = refhf.from_functions(
        lambda t: t[0] ** 2 / 2 + t[1] ** 4 / 4 - t[1] ** 2 / 2,
        lambda t: np.array([t[0], t[1] ** 3 - t[1]]),
        hessp=lambda t, v: np.array([v[0], (3 * t[1] ** 2 - 1) * v[1]]),
    )
    for method in ("hessian-cg", "hessian-bicgstab"):
        result = refhf.minimize(saddle, [0.7, 0.0], method=method, steps=30, rng=0)
        assert result.x[1] == 0


def test_complex_and_finite_difference_step_sizes():
    """A complex step of 1e-20 is exact to rounding; a finite difference of 1e-12 is not."""
    f, d, s = np.tanh, 1 - np.tanh(0.7) ** 2, 0.7
    central = np.finfo(float).eps ** (1 / 3)
    assert f(s + 1e-20j).imag / 1e-20 == pytest.approx(d, rel=1e-14)
    assert (f(s + central) - f(s - central)) / (2 * central) == pytest.approx(d, rel=1e-9)
    assert abs((f(s + 1e-12) - f(s)) / 1e-12 - d) > 1e-6 * d


def test_unequal_parts_are_summed_and_divided_once():
    """Parts of unequal size give the mean over cases, not the mean of the parts' means."""
    whole, theta = problem()
    parts, _ = problem(chunk_size=13)
    np.testing.assert_allclose(parts.value_and_gradient(theta)[1], whole.value_and_gradient(theta)[1], rtol=1e-12)
    assert parts.value(theta) == pytest.approx(whole.value(theta), rel=1e-13)
