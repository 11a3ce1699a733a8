"""Nonlinear conjugate gradients: Algorithms 1 and 2 of Adya et al. 2018, by hand, and against linear CG and SciPy."""

import itertools
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given
from hypothesis import strategies as st
from short_runs import digits, reports

import refhf
from refhf.driver.minimize import Status
from refhf.driver.registry import METHODS
from refhf.methods.nonlinear_cg import betas, diagonal_bfgs, nlcg_step, online_search
from refhf.methods.nonlinear_cg.diagonal_bfgs import Secant
from refhf.methods.report import Outcome, Source
from refhf.methods.search.wolfe import C_1, C_2, TrialStep, between, first_trial, wolfe
from refhf.parallel import run

NLCG = ["nlcg-fr", "nlcg-pr", "nlcg-hs", "nlcg-dy"]
LINEAR = {"line_search": "exact", "preconditioner": False, "clip": False}  # what makes them linear CG


def quadratic(A, b):
    return refhf.from_functions(lambda x: x @ A @ x / 2 - b @ x, lambda x: A @ x - b, hessp=lambda x, v: A @ v)


def line(value, slope):
    """A function of one variable."""
    return refhf.from_functions(lambda x: float(value(x[0])), lambda x: np.array([slope(x[0])]))


def spd(n, seed, condition=10.0):
    rng = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(rng.normal(size=(n, n)))
    return basis * np.geomspace(1, condition, n) @ basis.T, rng.normal(size=n), rng.normal(size=n)


# Algorithm 1 by hand: three parameters, four steps with alpha = 1/2, f = x'Ax/2 - b'x from x = 0.

A = np.array([[2, -1, 0], [-1, 2, -1], [0, -1, 2]])
b = np.array([1, 0, 0])
F = Fraction
BY_HAND = {
    "nlcg-fr": [  # without preconditioner; beta = 1/4, 5/16, 389/1280
        [F(1, 2), 0, 0],
        [F(5, 8), F(1, 4), 0],
        [F(85, 128), F(25, 64), F(1, 8)],
        [F(23173, 32768), F(35821, 81920), F(2389, 10240)],
    ],
    "nlcg-pr": [  # with it, h = (2, 3/2, 1) after the first step; beta = 1/6, then 0 for -1/5 and -10396/274725
        [F(1, 2), 0, 0],
        [F(7, 12), F(1, 6), 0],
        [F(7, 12), F(7, 30), F(1, 20)],
        [F(659, 1100), F(283, 990), F(19, 185)],
    ],
}


def dot(x, y):
    return sum((a * c for a, c in zip(x, y, strict=True)), F(0))


def algorithm_1(method, alpha, steps, preconditioner):
    """The points and the unclipped betas of the paper's loop, in its order, in exact fractions, H_diag a matrix."""
    n = range(3)
    h = [[F(int(i == j)) for j in n] for i in n]
    x, points, met = [F(0)] * 3, [], []
    g = [F(-int(c)) for c in b]
    s = d = [-c for c in g]
    delta_new = dot(s, d)
    for _ in range(steps):
        x_old, g_old, delta_old = x, g, delta_new
        x = [x[i] + alpha * d[i] for i in n]
        g = [dot(map(F, map(int, row)), x) - int(c) for row, c in zip(A, b, strict=True)]
        r = [-c for c in g]
        delta_mid = dot(r, s)
        if preconditioner:
            y, w = [g[i] - g_old[i] for i in n], [x[i] - x_old[i] for i in n]
            hw = [dot(row, w) for row in h]
            h = [[h[i][j] + (i == j) * (y[i] * y[j] / dot(y, w) - hw[i] * hw[j] / dot(w, hw)) for j in n] for i in n]
        s = [r[i] / h[i][i] for i in n]
        delta_new = dot(r, s)
        met.append((delta_new - (delta_mid if method == "nlcg-pr" else 0)) / delta_old)
        beta = min(max(met[-1], 0), 1)
        d = [s[i] + beta * d[i] for i in n]
        points.append(x)
    return points, met


@pytest.mark.parametrize(("method", "preconditioner"), [("nlcg-fr", False), ("nlcg-pr", True)])
def test_two_examples_by_hand(method, preconditioner):
    """Three parameters and four steps, worked in fractions, with and without preconditioner, to 1e-13."""
    points, _ = algorithm_1(method, F(1, 2), 4, preconditioner)
    assert points == BY_HAND[method]
    told = reports(
        *(quadratic(A, b), np.zeros(3), method, 4),
        learning_rate=0.5,
        line_search="off",
        preconditioner=preconditioner,
    )
    for report, point in zip(told, points, strict=True):
        np.testing.assert_allclose(report.theta, np.array(point, float), rtol=0, atol=1e-13)


@pytest.mark.parametrize("preconditioner", [False, True])
@pytest.mark.parametrize("method", ["nlcg-fr", "nlcg-pr"])
@pytest.mark.parametrize("alpha", [F(1, 8), F(1, 4), F(1, 2), F(1)])
def test_the_papers_loop(method, alpha, preconditioner):
    """The same for other rates: beta is clipped at 0 and at 1 where the fractions say so, and the report tells it."""
    points, met = algorithm_1(method, alpha, 5, preconditioner)
    told = reports(
        *(quadratic(A, b), np.zeros(3), method, 5),
        learning_rate=float(alpha),
        line_search="off",
        preconditioner=preconditioner,
    )
    for report, point in zip(told, points, strict=True):
        np.testing.assert_allclose(report.theta, np.array(point, float), rtol=1e-12, atol=1e-12)
    for report, beta in zip(told[1:], met[:-1], strict=True):
        assert report.detail.beta == pytest.approx(float(min(max(beta, 0), 1)), abs=1e-12)
        assert report.source is (Source.CONJUGATE if beta > 0 else Source.GRADIENT)
        assert report.detail.secant is (Secant.USED if preconditioner else Secant.NONE)


def test_the_papers_loop_is_clipped_at_both_ends():
    """The examples above meet a beta below 0, one between, and one above 1."""
    met = [beta for method in BY_HAND for beta in algorithm_1(method, F(1), 5, False)[1]]
    met += algorithm_1("nlcg-pr", F(1, 2), 4, True)[1]
    assert min(met) < 0
    assert any(0 < beta < 1 for beta in met)
    assert max(met) > 1


@pytest.mark.parametrize("method", NLCG)
@given(n=st.integers(1, 6), seed=st.integers(0, 2**32 - 1))
def test_it_is_linear_cg(method, n, seed):
    """Without preconditioner and clipping, with exact steps, on a quadratic: the iterates of `refhf.cg_iterates`."""
    A, b, start = spd(n, seed)
    linear = list(itertools.islice(refhf.cg_iterates(A, b, x0=start), n + 1))[1:]
    told = reports(quadratic(A, b), start, method, len(linear), **LINEAR)
    scale = np.linalg.norm(start - np.linalg.solve(A, b))
    for k, (it, report) in enumerate(zip(linear, told, strict=True)):
        assert np.linalg.norm(report.theta - it.x) <= 1e-10 * scale, k


@pytest.mark.parametrize("method", NLCG)
def test_finite_termination(method):
    """With exact steps a quadratic with m different eigenvalues is solved in m steps, and no earlier."""
    basis, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(12, 12)))
    A, b = basis * np.repeat([1.0, 3.0, 10.0, 40.0], 3) @ basis.T, np.arange(1.0, 13)
    norms = [report.gradient_norm for report in reports(quadratic(A, b), np.zeros(12), method, 5, **LINEAR)]
    assert norms[4] < 1e-10 * norms[0]
    assert min(norms[:4]) > 1e-4 * norms[0]


def test_exact_steps_say_where_there_is_no_minimum():
    """Along negative curvature the exact step is refused with the direction that showed it."""
    saddle = np.diag([1.0, -1.0])
    report, *_ = reports(quadratic(saddle, np.zeros(2)), np.array([0.1, 1.0]), "nlcg-pr", 1, line_search="exact")
    assert (report.outcome, report.negative_curvature, report.step_length) == (Outcome.NO_MINIMUM, True, 0)
    assert report.negative_direction @ saddle @ report.negative_direction < 0
    result = refhf.minimize(quadratic(saddle, np.zeros(2)), [0.1, 1.0], "nlcg-pr", 100, line_search="exact")
    assert (result.status, list(result.x)) == (Status.NO_PROGRESS.value[0], [0.1, 1.0])


@pytest.mark.parametrize("search", ["exact", "wolfe"])
def test_the_step_length_of_a_search_is_told(search):
    """theta moves by step_length times d, which at the first step is -g; the state keeps f for the next first trial."""
    A, b, x = spd(4, 0)
    objective = quadratic(A, b)
    steps = refhf.iterate(objective, x, method="nlcg-pr", line_search=search, preconditioner=False)
    report = next(steps)
    f, g = objective.value_and_gradient(x)
    np.testing.assert_allclose(report.theta, x - report.step_length * g, rtol=1e-14)
    assert (steps.progress.state.loss, report.loss) == (f, f)
    online = refhf.iterate(objective, x, method="nlcg-pr", learning_rate=1e-3)
    assert next(online).loss == online.progress.state.loss == f


@pytest.mark.parametrize("search", ["exact", "wolfe"])
def test_a_slope_that_underflows_is_no_descent(search):
    """A gradient whose square is below all numbers: no step, and the report says why."""
    objective = refhf.from_functions(lambda x: 0.0, lambda x: np.full(2, 1e-200), lambda x, v: v)
    report, *_ = reports(objective, np.zeros(2), "nlcg-pr", 1, line_search=search)
    assert (report.outcome, report.theta.any()) == (Outcome.NOT_DESCENT, False)


# Algorithm 2 and its guards.


@pytest.mark.parametrize(("n", "seed"), [(2, 0), (3, 1), (6, 2)])
def test_the_betas_are_their_formulas(n, seed):
    """The formulas are g'g/h'h, g'y/h'h, g'y/d'y and g'g/d'y; h is the old gradient, y = g - h, d the direction."""
    g, h, d = np.random.default_rng(seed).normal(size=(3, n))
    y = g - h
    old = nlcg_step.NonlinearCGState(None, s=-h, d=d, delta=h @ h, slope=h @ d)
    want = {"fr": g @ g / (h @ h), "pr": g @ y / (h @ h), "hs": g @ y / (d @ y), "dy": g @ g / (d @ y)}
    for name, formula in betas.BETAS.items():
        assert formula(g @ g, -g, old) == pytest.approx(want[name], rel=1e-6)
        assert formula(g @ g, -g, old._replace(delta=0.0, slope=g @ d)) == 0  # a denominator of zero


@given(n=st.integers(1, 6), seed=st.integers(0, 2**32 - 1))
def test_the_diagonal_is_that_of_the_matrices(n, seed):
    """h is the diagonal of H + Diag(yy')/y's - H Diag(ss') H'/s'Hs, of the full BFGS matrix, and is not negative."""
    rng = np.random.default_rng(seed)
    h, s, y = rng.uniform(0.1, 3, n), rng.normal(size=n), rng.normal(size=n)
    y *= np.sign(y @ s)
    H = np.diag(h)
    full = H + np.outer(y, y) / (y @ s) - H @ np.outer(s, s) @ H / (s @ H @ s)
    told = diagonal_bfgs.update(h, s, y.copy())
    np.testing.assert_allclose(told.h, np.diag(full).clip(1e-8), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(full @ s, y, atol=1e-9 * np.abs(full).max())
    assert np.diag(full).min() > -1e-12 * np.abs(full).max()


@pytest.mark.parametrize(
    ("s", "y", "secant", "floored"),
    [
        ([1.0, 1.0], [2.0, 1.0], Secant.USED, 0),
        ([1.0, 1.0], [-2.0, 1.0], Secant.NO_CURVATURE, 0),
        ([1.0, 0.0], [0.0, 1.0], Secant.NO_CURVATURE, 0),
        ([0.0, 0.0], [2.0, 1.0], Secant.NO_CURVATURE, 0),
        ([1.0, 1.0], [0.0, 0.0], Secant.NO_CURVATURE, 0),
        ([1e-5, 0.0], [1.0, 1.0], Secant.NO_STEP, 0),
        ([100.0, 0.0], [1e-9, 0.0], Secant.USED, 1),
    ],
)
def test_guards(s, y, secant, floored):
    """Each guard is reached by its input and named; h is kept by a skipped update, and positive after each."""
    h = np.array([1.0, 2.0])
    told = diagonal_bfgs.update(h, np.array(s), np.array(y))
    assert (told.secant, told.floored) == (secant, floored)
    assert secant.skipped == (told.h is h)
    assert told.h.min() >= diagonal_bfgs.SMALLEST


@pytest.mark.parametrize("method", NLCG)
@pytest.mark.parametrize(
    ("name", "objective", "rate", "skipped", "beta"),
    [
        ("y's < 0", line(lambda x: -np.cosh(x), lambda x: -np.sinh(x)), 0.01, 5, None),
        ("zero step", line(lambda x: x**4, lambda x: 4 * x**3), lambda k: 0.0, 5, {"nlcg-fr": 1, "nlcg-pr": 0}),
        ("repeated gradient", line(lambda x: 3 * x, lambda x: 3.0), 0.1, 5, {"nlcg-fr": 1, "nlcg-pr": 0}),
    ],
)
def test_guarded_runs_are_finite_and_say_so(method, name, objective, rate, skipped, beta):
    """y's < 0, a step of length zero and a gradient that repeats: finite, each update skipped, counted, reported."""
    told = reports(objective, np.array([0.5]), method, 6, learning_rate=rate)
    assert all(np.isfinite(report.theta).all() and report.accepted for report in told)
    assert [report.detail.skipped for report in told] == list(range(6))
    assert told[0].detail.secant is Secant.NONE
    assert {report.detail.secant for report in told[1:]} == {Secant.NO_CURVATURE}
    assert all(0 <= report.detail.beta <= 1 for report in told)
    if beta:
        assert {report.detail.beta for report in told[1:]} == {beta.get(method, 0)}


def test_the_floor_is_counted():
    """A floored component is in the running count of the steps after it."""
    objective, theta = line(lambda x: 1e-9 * x * x / 2, lambda x: 1e-9 * x), np.array([1e3])
    told = reports(objective, theta, "nlcg-fr", 4, learning_rate=1e8)
    assert [report.detail.floored for report in told] == [0, 1, 2, 3][: len(told)]


def test_what_stays_at_the_floor_is_not_floored():
    """A component at the floor which neither s nor y moves is not raised, and not counted."""
    h = np.array([1.0, diagonal_bfgs.SMALLEST])
    told = diagonal_bfgs.update(h, np.array([1.0, 0.0]), np.array([2.0, 0.0]))
    assert (told.h.tolist(), told.floored) == ([2.0, diagonal_bfgs.SMALLEST], 0)


# The online line search.


def test_a_rise_of_exactly_one_or_two_percent():
    """Both bounds are strict: neither is more than 2 % nor less than 1 %."""
    for f in 101.0, 102.0:
        assert online_search.online(f, 100.0, 0.5) == (0.5, f, 0.0)


def test_the_papers_rule():
    """3.2.2: more than 2 % up divides the scale by 1.025, less than 1 % up multiplies it, at most to 1."""
    scale, kept, got = 1.0, float("nan"), []
    for f in (1.0, 1.03, 1.045, 1.07, 0.5, 0.5, 0.5, 0.5, -1.0, -0.9):
        scale, kept, withheld = online_search.online(f, kept, scale)
        got.append(scale)
        assert (kept, withheld) == (f, 0)
    down = 1.025
    assert got == pytest.approx([1, 1 / down, 1 / down, 1 / down**2, 1 / down, 1, 1, 1, 1, 1 / down], rel=1e-15)


@pytest.mark.parametrize(
    ("rise", "factor", "withheld"),
    [(0.16, 0.5, 0.9), (0.13, 0.7, 0.7), (0.11, 0.8, 0.5), (0.08, 0.9, 0.3), (0.06, 0.95, 0.2), (0.03, 0.975, 0.1),
     (0.02, 1.0, 0.1), (0.005, 1.02, 0.0), (-0.5, 1.02, 0.0)],
)  # fmt: skip
def test_the_published_codes_table(rise, factor, withheld):
    """Each row of the table, for f over the running average 0.7 old + 0.3 f; the scale stays in [1e-4, 1]."""
    old = 2.0
    f = old * 0.7 * (1 + rise) / (1 - 0.3 * (1 + rise))  # f = (1 + rise) (0.7 old + 0.3 f)
    told = online_search.table(f, old, 0.25)
    assert told.scale == pytest.approx(0.25 * factor)
    assert told.kept == pytest.approx(0.7 * old + 0.3 * f)
    assert told.withheld == withheld
    assert online_search.table(f, old, 1.0).scale <= 1
    assert online_search.table(f, old, 1e-4).scale >= 1e-4


def test_the_scale_multiplies_the_rate():
    """alpha_t = alpha_t^g alpha_t^s, in the report and in the step; with the table a part of both steps is withheld."""
    objective = line(lambda x: x * x / 2, lambda x: x)
    options = {"learning_rate": lambda k: 2.2 + k / 100, "preconditioner": False}
    first, second = reports(objective, np.array([1.0]), "nlcg-pr", 2, line_search="online", **options)
    x, d = -1.21, 1.21 - 1  # 1 - 2.21; beta = 1.21^2 + 1.21 is clipped to 1
    assert (first.detail.rate_scale, first.step_length) == (1.0, 2.21)
    assert (second.detail.rate_scale, second.step_length) == (1 / 1.025, pytest.approx(2.22 / 1.025))
    assert second.theta[0] == pytest.approx(x + 2.22 / 1.025 * d, rel=1e-14)
    *_, second = reports(objective, np.array([1.0]), "nlcg-pr", 2, line_search="table", **options)
    assert second.detail.rate_scale == 0.5  # f rose to 1.4641 / (0.7 + 0.3 * 1.4641) of its average
    assert second.theta[0] == pytest.approx(x + 0.1 * 2.22 * 0.5 * d - 0.9 * 2.22 * -1, rel=1e-14)


def test_the_line_search_is_off_below_2048_cases():
    """Section 4.1: a smaller mini-batch's loss is too noisy; all the cases' is not."""
    small, _ = digits(cases=60)
    large, _ = digits(cases=2100)
    chosen = {
        (60, None): "online",
        (60, 30): "off",
        (2100, None): "online",
        (2100, 2047): "off",
        (2100, 2100): "online",
    }
    for (cases, batch), search in chosen.items():
        objective = small if cases == 60 else large
        options = nlcg_step.check(nlcg_step.NonlinearCGOptions(True, "fr", batch=batch), objective)
        assert (options.line_search, options.batch) == (search, batch or min(cases, 2048))


# Restarts and descent.


def test_the_restart_test():
    """Powell's test: with gradients far from orthogonal beta is 0; it is off as published."""
    objective = line(lambda x: 3 * x, lambda x: 3.0)
    published = reports(objective, np.zeros(1), "nlcg-fr", 3)
    tested = reports(objective, np.zeros(1), "nlcg-fr", 3, restart_test=True)
    assert [report.detail.beta for report in published] == [0, 1, 1]
    assert [report.detail.beta for report in tested] == [0, 0, 0]


def test_the_descent_test():
    """An uphill direction is replaced by s; without the test, as published, it is taken."""
    objective, options = line(lambda x: x * x / 2, lambda x: x), {"preconditioner": False, "clip": False}
    options |= {"learning_rate": 3.0, "line_search": "off"}
    for descent_test, x in ((False, -2 + 3 * (2 - 4)), (True, -2 + 3 * 2)):  # x = 1, -2; beta = 4, d = 2 - 4
        *_, report = reports(objective, np.ones(1), "nlcg-fr", 2, descent_test=descent_test, **options)
        assert report.theta[0] == x
        assert report.detail.beta == (0 if descent_test else 4)


# Wolfe.


@given(seed=st.integers(0, 2**32 - 1), log_first=st.floats(-6, 6))
def test_strong_wolfe_conditions(seed, log_first):
    """A polynomial plus a wave that falls at 0 and grows in the end: both conditions hold for any first trial."""
    rng = np.random.default_rng(seed)
    a, w, c = rng.uniform(0.1, 2, 3)

    def phi(t):
        return a * t**4 - t - c * np.sin(w * t), 4 * a * t**3 - 1 - c * w * np.cos(w * t)

    f, slope = phi(0.0)
    alpha, value = wolfe(phi, f, slope, 10.0**log_first)
    assert value == phi(alpha)[0] <= f + C_1 * alpha * slope
    assert abs(phi(alpha)[1]) <= C_2 * abs(slope)


def test_what_a_step_keeps():
    """The table's running average persists between steps; Powell's test is |r's_old| >= 0.1 r's at every scale."""
    objective = line(lambda x: x * x / 2, lambda x: x)
    steps = refhf.iterate(objective, np.array([1.0]), method="nlcg-pr", line_search="table", learning_rate=0.1)
    one, two = next(steps).loss, next(steps).loss
    assert steps.progress.state.loss == pytest.approx(0.7 * one + 0.3 * two, rel=1e-15)
    for scale in 1.0, 100.0:
        r, s = np.sqrt(scale) * np.array([1.0, 0.0]), np.sqrt(scale) * np.array([0.09, 1.0])
        state = nlcg_step.NonlinearCGState(None, s=s, d=s, delta=scale, slope=-scale)
        options = nlcg_step.NonlinearCGOptions(True, "fr", restart_test=True)
        assert nlcg_step._beta(state, scale, r, options) == 1
        assert nlcg_step._beta(state._replace(s=1.2 * s), scale, r, options) == 0


def test_wolfe_stops_at_the_first_good_point():
    """On a parabola the first interpolation is the minimum, and the search ends there: two evaluations."""
    tried = []
    alpha, value = wolfe(lambda t: tried.append(t) or ((t - 1) ** 2, 2 * (t - 1)), 1.0, -2.0, 5.0)
    assert (alpha, value, len(tried)) == (pytest.approx(1), pytest.approx(0, abs=1e-20), 2)


def test_the_first_trial():
    """Equation 3.60 where f fell, 2 (f - f_old) / g'd; a step of length 1 where it did not, or there is none before."""
    d = np.array([3.0, 4.0])
    assert first_trial(1.0, 2.0, -0.5, d) == 4
    for before in 1.0, 0.5, np.nan:
        assert first_trial(1.0, before, -0.5, d) == pytest.approx(0.2)


def test_between_is_the_cubics_minimum():
    """The minimum of a cubic, from either side; the midpoint if it has none, or one within a tenth of an end."""

    def at(t, c, a=1.0):
        """The cubic with the slope a (t - c) (t + 1)."""
        return TrialStep(t, a * (t**3 / 3 + (1 - c) * t**2 / 2 - c * t), a * (t - c) * (t + 1))

    for c in (0.1 + 1e-9, 0.25, 0.6, 0.9 - 1e-9):
        assert between(at(0.0, c), at(1.0, c)) == pytest.approx(c, abs=1e-12)
        assert between(at(1.0, c), at(0.0, c)) == pytest.approx(c, abs=1e-12)
        assert between(at(2.0, 2 + 3 * c), at(5.0, 2 + 3 * c)) == pytest.approx(2 + 3 * c, abs=1e-11)
    for c in (0.1 - 1e-6, 0.02, 0.9 + 1e-6, 0.98):
        assert between(at(0.0, c), at(1.0, c)) == between(at(1.0, c), at(0.0, c)) == 0.5
    assert between(at(0.0, 0.5, -1.0), at(1.0, 0.5, -1.0)) == 0.5  # a maximum inside
    assert between(TrialStep(1.0, 0.0, -1.0), TrialStep(3.0, -2.0, -1.0)) == 2  # a line
    assert between(TrialStep(1.0, 0.0, 1.0), TrialStep(3.0, 1.0, 1.0)) == 2  # no stationary point


def test_wolfe_without_a_minimum():
    """If f falls for ever, or is not finite beyond a point, the search ends with a lower f, or with 0."""
    alpha, value = wolfe(lambda t: (-t, -1.0), 0.0, -1.0, 1.0)
    assert value == -alpha < 0
    assert wolfe(lambda t: (np.nan, np.nan), 0.0, -1.0, 1.0) == (0.0, 0.0)
    for beyond in (np.inf, np.nan), (np.nan, np.nan), (-1.0, np.nan):
        alpha, value = wolfe(lambda t, beyond=beyond: (-t, -1.0) if t < 0.3 else beyond, 0.0, -1.0, 1.0)
        assert 0 < alpha < 0.3
    assert wolfe(lambda t: (1.0 + t, -1.0), 0.0, -1.0, 1.0) == (0.0, 0.0)
    assert wolfe(lambda t: (1.0, -1e-20), 1.0, -1e-20, 1.0) == (0.0, 1.0)  # what falls by less than rounding
    alpha, value = wolfe(lambda t: (1e200 * (t - 1e-3) ** 2, 2e200 * (t - 1e-3)), 1e194, -2e197, 1.0)
    assert alpha == pytest.approx(1e-3, rel=0.2)


@pytest.mark.parametrize("start", [(-1.2, 1.0), (2.0, -3.0), (-1.2, 1.0, -1.2, 1.0)])
def test_rosenbrock_against_scipy(start):
    """Full batch with Wolfe steps: the minimum that SciPy's CG finds, in at most 1.5 times its iterations."""
    theirs = scipy.optimize.minimize(
        scipy.optimize.rosen, start, jac=scipy.optimize.rosen_der, method="CG", options={"gtol": 1e-8}
    )
    ours = scipy.optimize.minimize(
        scipy.optimize.rosen,
        start,
        jac=scipy.optimize.rosen_der,
        method=refhf.scipy_method("nlcg-pr", line_search="wolfe", preconditioner=False, clip=False),
        tol=1e-8,
    )
    assert ours.success
    np.testing.assert_allclose(ours.x, theirs.x, atol=1e-6)
    assert ours.nit <= 1.5 * theirs.nit


def test_a_network_against_scipy():
    """A small network with weight decay, all cases, Wolfe steps: the stationary point that SciPy's CG finds."""
    objective, theta = digits(l2=0.1)
    theirs = scipy.optimize.minimize(
        objective.value_and_gradient, theta, jac=True, method="CG", options={"gtol": 1e-7, "maxiter": 2000}
    )
    for method, preconditioner in (("nlcg-pr", False), ("nlcg-fr", False), ("nlcg-pr", True)):
        ours = refhf.minimize(
            *(objective, theta, method, 500),
            line_search="wolfe",
            preconditioner=preconditioner,
            clip=False,
            gradient_tolerance=1e-7,
        )
        assert ours.status == Status.CONVERGED.value[0]
        np.testing.assert_allclose(ours.x, theirs.x, atol=1e-5)
        assert ours.fun == pytest.approx(theirs.fun, rel=1e-12)
        losses = [record["loss"] for record in ours.history]
        assert losses == sorted(losses, reverse=True)


# Runs.


@pytest.mark.parametrize("method", ["nlcg-fr", "nlcg-pr", "momentum", "rmsprop", "sgd"])
def test_divergence_ends_with_its_reason_and_the_best_theta(method):
    """A run that overflows reports it; x is finite, the point of the lowest loss."""
    objective = line(lambda x: np.cosh(x), lambda x: np.sinh(x))
    met = []
    result = refhf.minimize(
        *(objective, np.array([3.0]), method, 2000),
        learning_rate=lambda k: 0.05 if k < 10 else 2.0**k,
        callback=lambda report: met.append(report.theta),
    )
    assert (result.success, result.status, result.message) == (False, *Status.NON_FINITE.value[::2])
    with np.errstate(over="ignore"):
        values = [np.cosh(x[0]) for x in [np.array([3.0]), *met]]
    assert result.fun == min(values) == min(record["loss"] for record in result.history)
    assert result.x in np.array([[3.0], *met])


@pytest.mark.parametrize(
    ("search", "where"),
    [*itertools.product(["off", "online", "table", "exact", "wolfe"], ["value", "gradient"]), ("exact", "product")],
)
def test_what_is_not_finite_ends_the_run(search, where):
    """NaN in value, gradient or product from the start: success is False and x the point it was."""
    objective = refhf.from_functions(
        lambda x: np.nan if where == "value" else float(x @ x),
        lambda x: np.full_like(x, np.nan) if where == "gradient" else 2 * x,
        lambda x, v: np.full_like(v, np.nan),
    )
    result = refhf.minimize(objective, np.ones(3), "nlcg-pr", 10, line_search=search)
    assert (result.nit, result.success, result.status) == (1, False, Status.NON_FINITE.value[0])
    np.testing.assert_array_equal(result.x, 1)


@pytest.mark.parametrize(
    ("method", "options"),
    [(m, {"learning_rate": 1e308}) for m in ("nlcg-fr", "momentum", "rmsprop", "sgd")]
    + [("nlcg-fr", {"line_search": "exact"})],
)
def test_a_step_beyond_all_numbers_is_not_taken(method, options):
    """If f and g are finite and the step overflows, theta does not change."""
    objective = refhf.from_functions(lambda x: 9 * float(x[0]), lambda x: np.full(1, 9.0), lambda x, v: 1e-310 * v)
    result = refhf.minimize(objective, np.zeros(1), method, 5, **options)
    assert (result.nit, result.status, result.x[0]) == (1, Status.NON_FINITE.value[0], 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("search", ["off", "online", "table", "exact", "wolfe"])
def test_networks_learn_and_states_are_not_touched(search, dtype):
    """In either precision the loss falls; a step from the same state is the same to the bit, and changes no array."""
    objective, theta = digits(l2=1e-3)
    objective = refhf.supervised(objective.net, objective.X.astype(dtype), objective.y, l2=1e-3)
    room, fixed = METHODS["nlcg-pr"].family, METHODS["nlcg-pr"].fixed
    options = room.check(room.options(**fixed, batch=None, line_search=search), objective)
    state, first = room.init(theta.astype(dtype), options, np.random.default_rng(0)), None
    for k in range(1, 13):
        arrays = [(x, x.copy()) for x in state if isinstance(x, np.ndarray)]
        after, report = room.step(state, objective, options, k, np.random.default_rng(k))
        again, _ = room.step(state, objective, options, k, np.random.default_rng(k))
        for x, before in arrays:
            np.testing.assert_array_equal(x, before)
        np.testing.assert_array_equal(after.theta, again.theta)
        assert after.theta.dtype == after.d.dtype == after.h.dtype == dtype
        state, first = after, first or report.loss
    assert objective.value(state.theta) < 0.8 * first


def test_eight_vectors_at_the_most():
    """A step needs at most eight vectors (P,) more than one of momentum, at its peak."""
    size = 100_000
    objective = refhf.from_functions(lambda x: float(x @ x) / 2, lambda x: x)

    def peak(method, **given):
        room, fixed = METHODS[method].family, METHODS[method].fixed
        options = room.check(room.options(**fixed, **given), objective)
        tracemalloc.start()
        state = room.init(np.linspace(1, 2, size), options, np.random.default_rng(0))
        for k in range(1, 4):
            state, report = room.step(state, objective, options, k, None)
            del report
        vectors = tracemalloc.get_traced_memory()[1] / (8 * size)
        tracemalloc.stop()
        return vectors

    for method in NLCG:
        assert peak(method) - peak("momentum") <= 8


@pytest.mark.parametrize("method", ["nlcg-pr", "momentum", "rmsprop"])
@pytest.mark.parametrize("ranks", [1, 3])
def test_virtual_batching(method, ranks):
    """A step's batch swept in parts of any size, on any ranks: one reduction a step, and the whole batch's answer."""
    cases, steps, options = 90, 4, {"batch": 50, "learning_rate": 0.05}
    whole, theta = digits(cases)
    want = refhf.minimize(whole, theta, method, steps, rng=7, **options)
    for chunk_size in (1, 7, 50):

        def train(comm, chunk_size=chunk_size):
            rows = slice(cases * comm.rank // comm.size, cases * (comm.rank + 1) // comm.size)
            part = refhf.supervised(whole.net, whole.X[rows], whole.y[rows], chunk_size=chunk_size, comm=comm)
            return refhf.minimize(part, theta, method, steps, rng=7, **options)

        for got in run(ranks, train):
            np.testing.assert_allclose(got.x, want.x, rtol=0, atol=1e-12)
            last = got.history[-1]
            assert last["communications"] == (steps if ranks > 1 else 0)
            assert (last["gradient_evaluations"], last["value_evaluations"]) == (steps, 0)
            assert last["epochs"] == pytest.approx(steps * 50 / cases)


BAD_CALLS = [
    ({"learning_rate": -0.1}, ["learning_rate", "[0, inf]", "-0.1"]),
    ({"learning_rate": 0.1, "line_search": "wolfe"}, ["learning_rate", "'wolfe'", "0.1"]),
    ({"batch": 0}, ["batch", ">= 1", "0"]),
    ({"batch": 61}, ["batch", "<= 60", "61"]),
    ({"line_search": "armijo"}, ["line_search", "online, table, exact, wolfe", "'armijo'"]),
    ({"clip": 1}, ["clip", "True or False", "1"]),
    ({"descent_test": False, "line_search": "exact"}, ["descent_test", "'exact'", "False"]),
    ({"beta": "fr"}, ["option of nlcg-pr", "'beta'"]),
    ({"method": "nlcg-xy"}, ["method", "nlcg-fr, nlcg-pr", "'nlcg-xy'"]),
]


@pytest.mark.parametrize(("call", "words"), BAD_CALLS)
def test_bad_calls(call, words):
    """A caller's mistake is a ValueError that names argument, expected and actual, before any work."""
    objective, theta = digits()
    objective.value_and_gradient = None
    with pytest.raises(ValueError) as caught:
        refhf.minimize(objective, theta, **{"method": "nlcg-pr", **call})
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_an_unknown_beta():
    """The formula's name is checked where a method is built on the step."""
    with pytest.raises(ValueError, match="beta: expected one of fr, pr, hs, dy; got 'cd'"):
        nlcg_step.check(nlcg_step.NonlinearCGOptions(True, "cd"), digits()[0])


@given(beta=st.floats(allow_nan=False))
def test_clip(beta):
    """Clipping gives the nearest number of [0, 1]."""
    clipped = betas.clip(beta)
    assert 0 <= clipped <= 1
    assert all(abs(beta - clipped) <= abs(beta - x) for x in (0.0, 1.0))
    assert clipped == beta or not 0 < beta < 1
