"""First-order methods and their schedules: closed forms, the paper's figures, and what is refused."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from short_runs import digits, reports

import refhf
from refhf.data.data_sets import DataSet
from refhf.lab.runs import training_run
from refhf.lab.runs.training_problem import pose_problem
from refhf.methods.mini_batch import mini_batch
from refhf.methods.report import Source
from refhf.methods.schedules import adya_2018, ml_ncg, warm_up_then_decay

FIRST_ORDER = ["gradient-descent", "sgd", "momentum", "rmsprop"]


def slope(c):
    """f = c'x, whose gradient is c everywhere."""
    return refhf.from_functions(lambda x: float(c @ x), lambda x: c)


@given(rate=st.floats(1e-3, 1), m=st.floats(0, 0.99), c=st.floats(-3, 3))
def test_momentum_on_a_slope(rate, m, c):
    """A constant gradient g: v_k = g (1 - m^k)/(1 - m), and theta_k = theta_0 - alpha (v_1 + ... + v_k)."""
    told = reports(slope(np.array([c, -2.0])), np.ones(2), "momentum", 8, learning_rate=rate, momentum=m)
    v = np.array([(1 - m**k) / (1 - m) for k in range(1, 9)])
    for report, way in zip(told, rate * v.cumsum(), strict=True):
        np.testing.assert_allclose(report.theta, 1 - way * np.array([c, -2.0]), rtol=0, atol=1e-12)


@given(rate=st.floats(1e-3, 1), m=st.floats(0, 0.99), rho=st.floats(0, 0.99), c=st.floats(0.1, 3))
def test_rmsprop_on_a_slope(rate, m, rho, c):
    """A constant gradient g: r_k = g^2 + (1 - g^2) rho^k from r_0 = 1, and v_k = sum_j m^(k-j) alpha g / sqrt r_j."""
    given = {"learning_rate": rate, "momentum": m, "decay": rho, "epsilon": 0.0}
    told = reports(slope(np.array([c, -2.0])), np.ones(2), "rmsprop", 8, **given)
    g, k = np.array([c, -2.0]), np.arange(1, 9)[:, None]
    pushes = rate * g / np.sqrt(g**2 + (1 - g**2) * rho**k)
    v = [sum(m ** (i - j) * pushes[j] for j in range(i + 1)) for i in range(8)]
    for report, way in zip(told, np.cumsum(v, axis=0), strict=True):
        np.testing.assert_allclose(report.theta, 1 - way, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("method", FIRST_ORDER)
def test_without_its_memory_a_method_is_gradient_descent(method):
    """Momentum 0 is sgd; RMSProp with momentum 0 and decay 1, which keeps r at 1, too. Whatever the mini-batches."""
    objective, theta = digits(40)
    plain = {"momentum": {"momentum": 0.0}, "rmsprop": {"momentum": 0.0, "decay": 1.0, "epsilon": 0.0}}
    batch = {} if method == "gradient-descent" else {"batch": 7}
    got = refhf.minimize(objective, theta, method, 6, rng=3, learning_rate=0.1, **plain.get(method, {}), **batch)
    want = refhf.minimize(objective, theta, "sgd", 6, rng=3, learning_rate=0.1, batch=batch.get("batch", 40))
    np.testing.assert_allclose(got.x, want.x, rtol=1e-14)


def test_all_the_cases_are_no_draw():
    """A mini-batch of all cases is the objective itself; of fewer, as many as asked for."""
    objective, _ = digits(40)
    assert mini_batch(objective, 40, None) is objective
    assert mini_batch(objective, 39, np.random.default_rng(0)).cases == 39
    for cases, want in (40, (40, 40)), (200, (128, 200)):  # where no number is given
        steps = [refhf.iterate(*digits(cases), method=method) for method in ("sgd", "gradient-descent")]
        assert tuple(step.options.batch for step in steps) == want
        assert tuple(step.draws for step in steps) == (cases == 200, False)


@pytest.mark.parametrize("method", ["gradient-descent", "sgd"])
def test_noise_is_a_norm(method):
    """The gradient has a vector of norm `noise` added to it, another at each step."""
    g = np.array([3.0, -1.0, 2.0])
    told = reports(slope(g), np.zeros(3), method, 2, learning_rate=0.5, noise=0.25, rng=0)
    steps = np.diff([np.zeros(3), *(report.theta for report in told)], axis=0)
    xi = -steps / 0.5 - g
    np.testing.assert_allclose(np.linalg.norm(xi, axis=1), 0.25, rtol=1e-12)
    assert np.linalg.norm(xi[0] - xi[1]) > 1e-3
    assert {report.source for report in told} == {Source.NOISE}


def test_the_defaults_are_the_papers():
    """Momentum 0.9 for both; TensorFlow 1's decay 0.9, from a mean square of one; Adya et al.'s epsilon 1."""
    g = np.array([3.0, -1e-3])
    *_, momentum = reports(slope(g), np.zeros(2), "momentum", 2, learning_rate=1.0)
    np.testing.assert_allclose(momentum.theta, -g - 1.9 * g, rtol=1e-14)
    first, *_ = reports(slope(g), np.zeros(2), "rmsprop", 1, learning_rate=1.0)
    np.testing.assert_allclose(first.theta, -g / np.sqrt(0.9 + 0.1 * g**2 + 1), rtol=1e-14)


def test_a_zero_gradient_ends_a_run_only_where_nothing_moves():
    """On a plateau momentum goes on by its velocity; a run that starts there is stationary."""
    cliff = refhf.from_functions(lambda x: float(max(x[0], 0.0)), lambda x: np.array([1.0 if x[0] > 0 else 0.0]))
    for method in "momentum", "rmsprop":
        told = reports(cliff, np.array([0.5]), method, 3, learning_rate=1.0)
        assert [report.accepted for report in told] == [True] * 3
        assert told[2].theta[0] < told[1].theta[0] < 0
        assert refhf.minimize(cliff, np.array([-1.0]), method, 3).nit == 1
    assert refhf.minimize(cliff, np.array([0.5]), "sgd", 9, learning_rate=1.0).nit == 2


@pytest.mark.parametrize("method", [*FIRST_ORDER, "nlcg-fr"])
def test_a_learning_rate_may_be_a_function_of_the_step(method):
    """It is asked once a step for k = 1, 2, ...; a constant function is that number; the report tells the rate."""
    objective, theta = digits(40)
    asked = []
    told = reports(objective, theta, method, 4, learning_rate=lambda k: asked.append(k) or 0.05 / k)
    assert asked == [1, 2, 3, 4]
    assert [report.step_length for report in told] == [0.05 / k for k in asked]
    execution = [refhf.minimize(objective, theta, method, 3, rng=0, learning_rate=a).x for a in (0.05, lambda k: 0.05)]
    np.testing.assert_array_equal(*execution)


# Schedules.


@pytest.mark.parametrize(
    ("batch", "epochs", "warm_up", "peak", "end"),
    [(128, 9, 5, 0.05, 0.001), (8192, 9, 5, 3.2, 0.01), (8193, 40, 15, 8193 / 2560, 0.01),
     (32768, 40, 15, 12.8, 0.01), (65536, 90, 30, 25.6, 0.01)],
)  # fmt: skip
def test_the_papers_schedules(batch, epochs, warm_up, peak, end):
    """Section 4.1: from 0.001 up to 0.1 B/256, over 5, 15 or 30 epochs, then down to 0.001 or 0.01 every 2 epochs."""
    cases = 20 * batch - 1  # an epoch is 20 steps, the last with fewer new cases
    rate = adya_2018(batch=batch, cases=cases, epochs=epochs)
    rates = [rate(k) for k in range(1, rate.steps + 1)]
    assert len(rates) == 20 * epochs
    top = 20 * warm_up
    assert rates[0] == 0.001
    np.testing.assert_allclose(np.diff(rates[: top + 1]), (peak - 0.001) / top, rtol=1e-9)
    assert rates[top] == pytest.approx(peak)
    assert rates[-1] == pytest.approx(end)
    factors = np.array(rates[top + 1 :]) / rates[top:-1]
    falls = np.flatnonzero(abs(factors - 1) > 1e-12) + 1
    assert list(falls) == list(range(40, len(rates) - top, 40))
    np.testing.assert_allclose(factors[falls - 1], factors[falls[0] - 1])


@pytest.mark.parametrize(("epochs", "falls"), [(200, (102, 153)), (300, (153, 229)), (450, (204, 306, 408))])
def test_the_codes_schedule(epochs, falls):
    """The rate is TensorFlow 1's: polynomial_decay of power 1/2, then piecewise_constant, its right ends included."""
    rate, peak = ml_ncg(batch=64, cases=250, epochs=epochs), 0.05
    for step in range(4 * epochs):  # TensorFlow's global step, from 0
        rising = (0.001 - peak) * (1 - step / 100) ** 0.5 + peak if step < 100 else None
        constant = peak * 10.0 ** -sum(step > 4 * fall for fall in falls)
        assert rate(step + 1) == pytest.approx(constant if rising is None else rising, rel=1e-12)


@given(
    start=st.floats(1e-4, 1),
    peak=st.floats(1e-2, 30),
    end=st.floats(1e-4, 1),
    warm_up=st.integers(1, 20),
    every=st.integers(1, 9),
    rest=st.integers(1, 40),
)
def test_schedules_stay_between_their_ends(start, peak, end, warm_up, every, rest):
    """Monotone to the peak, which step warm_up + 1 has, and monotone from it; a single period stays at the peak."""
    rate = warm_up_then_decay(start, peak, end, warm_up=warm_up, every=every, steps=warm_up + rest)
    rates = np.array([rate(k) for k in range(1, rate.steps + 1)])
    up, down = rates[: warm_up + 1], rates[warm_up:]
    assert (rates[0], up[-1]) == (pytest.approx(start), pytest.approx(peak))
    assert rates[-1] == pytest.approx(end if rest > every else peak)
    for part in up, down:
        assert (np.diff(part) * np.sign(part[-1] - part[0]) >= -1e-12).all()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: adya_2018(0, 100, 9), "batch: expected an integer >= 1 and <= 100; got 0"),
        (lambda: adya_2018(101, 100, 9), "batch: expected an integer >= 1 and <= 100; got 101"),
        (lambda: adya_2018(10, 0, 9), "cases: expected an integer >= 1; got 0"),
        (lambda: adya_2018(10, 100, 5), "epochs: expected more than the 5 of the warm-up at batch 10; got 5"),
        (lambda: warm_up_then_decay(0.1, -1.0, 0.1, warm_up=1, every=1, steps=9), r"peak: .* \[0, inf\]; got -1"),
        (lambda: warm_up_then_decay(0.1, 1.0, 0, warm_up=1, every=1, steps=9), "end: expected a positive number"),
        (lambda: warm_up_then_decay(0.1, 1.0, 0.1, warm_up=9, every=1, steps=9), "steps: .* the 9 of the warm-up"),
        (lambda: ml_ncg(10, 100, 25), "epochs: expected more than the 25 of the warm-up; got 25"),
        (lambda: ml_ncg(101, 100, 30), "batch: expected an integer >= 1 and <= 100; got 101"),
        (lambda: ml_ncg(10, 100, 30)(301), "k: expected an integer >= 1 and <= 300; got 301"),
        (lambda: adya_2018(10, 100, 9)(91), "k: expected an integer >= 1 and <= 90; got 91"),
        (lambda: adya_2018(10, 100, 9)(0), "k: expected an integer >= 1 and <= 90; got 0"),
    ],
)
def test_bad_schedules(make, words):
    """An invalid schedule, or a step beyond its run, is a ValueError that names both."""
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize("method", [*FIRST_ORDER, "nlcg-pr"])
def test_a_schedule_fits_its_run(method):
    """A schedule for more or fewer steps than the run's is refused, naming both, before any work."""
    objective, theta = digits(40)
    rate, sweep = adya_2018(batch=10, cases=40, epochs=6), objective.value_and_gradient
    objective.value_and_gradient = None
    for steps in 23, 25:
        with pytest.raises(ValueError, match=f"learning_rate: .* the run's {steps} steps; got one for 24"):
            refhf.minimize(objective, theta, method, steps, learning_rate=rate)
    objective.value_and_gradient = sweep
    batch = {} if method == "gradient-descent" else {"batch": 10}
    result = refhf.minimize(objective, theta, method, 24, learning_rate=rate, rng=0, **batch)
    assert [record["step_length"] for record in result.history[:3]] == [rate(1), rate(2), rate(3)]
    assert result.fun < objective.value(theta)


@pytest.mark.parametrize(("rate", "told"), [(-0.5, "-0.5"), (math.nan, "nan"), (math.inf, "inf"), ("fast", "'fast'")])
def test_a_negative_rate(rate, told):
    """A rate below 0, NaN, infinite or not a number is refused, and of a function at the step that gave it."""
    objective, theta = digits(40)
    for method in [*FIRST_ORDER, "nlcg-fr"]:
        with pytest.raises(ValueError, match=rf"learning_rate: expected .* \[0, inf\]; got {told}"):
            refhf.minimize(objective, theta, method, 3, learning_rate=rate)
        with pytest.raises(ValueError, match=rf"learning_rate at step 2: expected .* got {told}"):
            refhf.minimize(objective, theta, method, 3, learning_rate=lambda k: 0.1 if k == 1 else rate)


@pytest.mark.parametrize(
    ("method", "option", "words"),
    [
        ("momentum", {"momentum": 1.5}, r"momentum: .* \[0, 1\]; got 1.5"),
        ("rmsprop", {"decay": -0.1}, r"decay: .* \[0, 1\]; got -0.1"),
        ("rmsprop", {"epsilon": -1e-9}, r"epsilon: .* \[0, inf\]; got -1e-09"),
        ("momentum", {"batch": 41}, "batch: expected an integer >= 1 and <= 40; got 41"),
        ("sgd", {"noise": -1.0}, r"noise: .* \[0, inf\]; got -1.0"),
        ("sgd", {"momentum": 0.9}, "option of sgd: expected one of learning_rate, batch, noise; got 'momentum'"),
        ("momentum", {"noise": 1.0}, "option of momentum: .*got 'noise'"),
    ],
)
def test_bad_options(method, option, words):
    """A caller's mistake is a ValueError that names argument, expected and actual."""
    objective, theta = digits(40)
    with pytest.raises(ValueError, match=words):
        refhf.minimize(objective, theta, method, 3, **option)


@pytest.mark.parametrize("method", [*FIRST_ORDER, "nlcg-fr"])
def test_a_schedule_by_its_name(method):
    """In a run that counts in epochs, `adya-2018` uses the run's batch, cases and epochs."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 5))
    problem = pose_problem(DataSet("forty", X, (X @ rng.normal(size=(5, 3))).argmax(axis=1), None, None), [4])
    batch = {} if method == "gradient-descent" else {"batch": 15}
    run = training_run.plan_run(problem, method, 8, {"learning_rate": "adya-2018", **batch})
    rate = adya_2018(batch=15 if batch else 40, cases=40, epochs=8)
    assert run.options["learning_rate"] == "adya-2018"
    rows = [row.record["step_length"] for row in training_run.run_steps(run)][1:]
    assert rows == [rate(k) for k in range(1, rate.steps + 1)][rate.steps // 8 - 1 :: rate.steps // 8]
