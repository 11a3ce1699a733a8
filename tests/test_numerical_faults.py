"""Numbers that are not finite, injected: promise R10; and a run's other numerical faults, in the same vocabulary.

A fault is a place, a call and a value. What A, M, the value, the gradient and the product give is spoiled at that call.
b and x0 are given once: there the "call" says which components are spoiled.

* A solver stops in the iteration in hand: `Stop.NON_FINITE`, with a finite x that is no worse than the start. At most
  one product more is done, to see what x is worth.
* A run stops in the step in hand: `Outcome.NON_FINITE`, without success, at the finite point of the smallest loss that
  was measured. What was under way is finished, and the value at that point is asked for.
* At a **trial** point a value that is not finite is merely too high, and the search refuses it (pitfalls 2 and 13). If
  the function stays bad, the step is rejected, and the next finds its own start spoiled: the run stops there.
"""

import itertools
import math
from typing import NamedTuple

import numpy as np
import pytest
from gallery import Counting, integers, poisson1d, size, tridiagonal, true_residual
from hypothesis import given
from hypothesis import strategies as st

import refhf
from refhf import bicgstab, cg, lanczos_smallest
from refhf.driver.minimize import Status
from refhf.krylov.lanczos import lanczos_largest
from refhf.krylov.stopping import Stop
from refhf.methods.newton import exact_newton, saddle_free
from refhf.methods.replicas.secants import Differences, inverse_hessian_product
from refhf.methods.report import Outcome
from refhf.methods.search.wolfe import TRIES as WOLFE_TRIES
from refhf.methods.search.wolfe import first_trial, wolfe

CALLS, VALUES = range(1, 6), (np.nan, np.inf)


class Fault(NamedTuple):
    """What `place` gives at its call number `call` is spoiled with `value`; from then on, if it is `lasting`."""

    place: str
    call: int
    value: float
    lasting: bool = False

    def __str__(self):
        return f"{self.place}, call {self.call}, {self.value}"


PLACES = {"solver": ("A", "M"), "given": ("b", "x0"), "run": ("value", "gradient", "product")}
FAULTS = [Fault(*fault) for fault in itertools.product(sum(PLACES.values(), ()), CALLS, VALUES)]


def faults(kind, *more):
    of = [fault for fault in [*FAULTS, *more] if fault.place in PLACES[kind]]
    return pytest.mark.parametrize("fault", of, ids=str)


def test_there_are_as_many_faults_as_promised():
    """R10: 70, in seven places."""
    assert len(set(FAULTS)) == 70
    assert {fault.place for fault in FAULTS} == {"A", "b", "M", "x0", "value", "gradient", "product"}


# Solvers.

SOLVERS = [cg, bicgstab]
PRODUCTS = {cg: 1, bicgstab: 2}  # of an iteration
both = pytest.mark.parametrize("solve", SOLVERS, ids=lambda solve: solve.__name__)
SPOILED = {1: [0], 2: [5], 3: [11], 4: [2, 7, 8], 5: slice(None)}  # which components of b and x0


def assert_stopped(x, info, iterations):
    assert info.stop is Stop.NON_FINITE
    assert info < 0
    assert info.iterations == iterations
    assert np.isfinite(x).all()


@both
@faults("solver", *(Fault(place, call, -np.inf) for place in ("A", "M") for call in CALLS))
def test_product_of_a_solver(solve, fault):
    """A product that goes wrong ends that iteration, and x is that of the last whole one, or better."""
    A, M = poisson1d(12), np.diag(1 / np.arange(1.0, 13))
    bad = Counting(A if fault.place == "A" else M, fault.call, fault.value)
    operators = {"A": A, "M": M, fault.place: bad.operator}
    x, info = solve(operators["A"], integers(12), M=operators["M"])
    done = (fault.call - 1) // PRODUCTS[solve]
    if solve is cg and fault.place == "M":
        done = max(fault.call - 2, 0)  # z_0 = M r_0 comes first
    assert_stopped(x, info, done)
    assert bad.calls <= fault.call + 1
    assert true_residual(A, integers(12), x) <= size(integers(12))


@both
@faults("given", *(Fault(place, call, -np.inf) for place in ("b", "x0") for call in CALLS))
def test_vector_given_to_a_solver(solve, fault):
    """NaN or an infinity in b or x0 ends the solve before the first iteration, with x = 0."""
    A, given = Counting(poisson1d(12)), {"b": integers(12), "x0": np.ones(12)}
    given[fault.place][SPOILED[fault.call]] = fault.value
    x, info = solve(A.operator, given["b"], given["x0"])
    assert_stopped(x, info, 0)
    assert A.calls == 2  # b - A x_0 and b - A x
    assert fault.place == "b" or not x.any()


@both
@pytest.mark.parametrize("place", ["A", "M"])
@pytest.mark.parametrize("value", [*VALUES, -np.inf], ids=str)
def test_entry_of_a_matrix(solve, place, value):
    """The same of an entry of A or M, and with b = 0, too: x = 0 is not the solution of a matrix with NaN in it."""
    given = {"A": poisson1d(6), "M": np.eye(6)}
    given[place][3, 3] = value
    assert_stopped(*solve(given["A"], integers(6), np.ones(6), M=given["M"]), 0)
    if place == "A":
        assert_stopped(*solve(given["A"], np.zeros(6)), 0)


@both
@pytest.mark.parametrize("value", [*VALUES, -np.inf], ids=str)
def test_residual_of_a_start(solve, value):
    """r_0 = b - A x_0 that is not finite ends the solve at x_0."""
    x, info = solve(Counting(poisson1d(5), 1, value).operator, integers(5), np.ones(5))
    assert_stopped(x, info, 0)


@both
@pytest.mark.parametrize("value", [*VALUES, -np.inf], ids=str)
def test_true_residual_of_a_solver(solve, value):
    """Convergence is not claimed, nor stagnation, where the product that would confirm it is not finite."""
    x, info = solve(poisson1d(5), integers(5))
    bad = Counting(poisson1d(5), PRODUCTS[solve] * info.iterations + 1, value)
    y, spoiled = solve(bad.operator, integers(5))
    assert_stopped(y, spoiled, info.iterations)
    assert y.tobytes() == x.tobytes()


@pytest.mark.parametrize("extreme", [lanczos_smallest, lanczos_largest])
@pytest.mark.parametrize("fault", FAULTS[:10], ids=str)
def test_product_of_lanczos(extreme, fault):
    """A product that goes wrong is the last; the pair is that of the products before, NaN if there was none."""
    bad = Counting(poisson1d(12), fault.call, fault.value)
    pair = extreme(bad.operator, 12, rng=0)
    before = extreme(poisson1d(12), 12, rng=0, maxiter=max(fault.call - 1, 1))
    assert (pair.stop, pair.iterations, bad.calls) == (Stop.NON_FINITE, fault.call - 1, fault.call)
    assert np.isfinite(pair.vector).all()
    assert pair.value == before.value if pair.iterations else math.isnan(pair.value)


@pytest.mark.parametrize(("scale", "stop"), [(0.5, Stop.INVARIANT_SUBSPACE), (0.9, Stop.NON_FINITE)])
def test_lanczos_near_overflow(scale, stop):
    """Finite products with a non-finite norm of T or its eigenvalues (1 + 2^1/2) are reported too."""
    pair = lanczos_largest(scale * 2.0**1023 * tridiagonal(3, 1.0, 1.0, 1.0), 3, start=np.eye(3)[0])
    assert pair.stop is stop
    assert np.isfinite(pair.vector).all()
    assert pair.value / 2.0**1023 == pytest.approx(scale * (1 + np.sqrt(2))) or pair.iterations == 0


# Runs.

CURVATURE = np.array([1.0, 2.0, 3.0, 0.5])
START = np.array([0.2, 1.5, -0.3, 0.9])


def wells(x):
    """Sum of c (x^2 - 1)^2 / 4, and a coupling; indefinite at the start."""
    return float((CURVATURE * (x * x - 1) ** 2).sum() / 4 + 0.3 * x[0] * x[1])


def wells_gradient(x):
    return CURVATURE * x * (x * x - 1) + 0.3 * np.array([x[1], x[0], 0, 0])


def wells_product(x, v):
    return CURVATURE * (3 * x * x - 1) * v + 0.3 * np.array([v[1], v[0], 0, 0])


class Asked:
    """An objective whose calls are written down, and one of them spoiled, or all from that one on.

    Attributes
    ----------
    calls : list of (str, int)
        The place, and the step in which it was asked.
    spoiled : list of int
        Which of them were.
    refused : list of ndarray (P,)
        Where a value was spoiled.
    """

    def __init__(self, fault, value=wells, gradient=wells_gradient, product=wells_product):
        self.fault, self.step, self.calls, self.spoiled, self.refused = fault, 1, [], [], []
        give = self.give
        self.objective = refhf.from_functions(
            lambda x: give("value", value(x), x),
            lambda x: give("gradient", gradient(x)),
            lambda x, v: give("product", product(x, v)),
            lambda x, v: give("product", product(x, v)),
        )

    def give(self, place, y, x=None):
        self.calls.append((place, self.step))
        call = sum(place == one for one, _ in self.calls)
        if place != self.fault.place or call < self.fault.call or (call > self.fault.call and not self.fault.lasting):
            return y
        self.spoiled.append(len(self.calls) - 1)
        if place == "value":
            self.refused.append(x.copy())
            return self.fault.value
        y[1] = self.fault.value
        return y

    def run(self, run, start=START, steps=6):
        def seen(report):
            self.step = report.k + 1

        return refhf.minimize(self.objective, start, run.method, steps, rng=0, callback=seen, **run.options)


class Run(NamedTuple):
    """A method with options, what it asks for, and what of it also at points where it may, or may not, go."""

    method: str
    options: dict = {}
    asks: tuple = PLACES["run"]
    trials: tuple = ("value",)


def first_order(method, options={}, trials=()):  # noqa: B006
    return Run(method, options, ("value", "gradient"), trials)


SEARCHING = (
    "gn-cg",
    "gn-cg-path",
    "hessian-cg",
    "hybrid-cg",
    "hessian-bicgstab",
    "truncated-newton",
    "saddle-free-newton",
)
ONWARD = ("nlcg-fr", "nlcg-pr", "nlcg-hs", "nlcg-dy", "gradient-descent", "sgd", "momentum", "rmsprop")
RUNS = [
    *(Run(method) for method in SEARCHING),
    *(first_order(method) for method in ONWARD),
    Run("negative-curvature-newton"),
    Run("newton", trials=()),
    first_order("replica-newton"),
    Run("gn-cg", {"backtracking": True}),
    Run("hessian-cg", {"delta_0_norm": 0.1}),
    Run("hessian-bicgstab", {"warm_start": 0.9}),
    Run("truncated-newton", {"rule": "steihaug"}),
    Run("saddle-free-newton", {"subspace": 2}),
    Run("saddle-free-newton", {"damping": 0.5}, trials=()),
    Run("nlcg-pr", {"line_search": "exact"}, trials=()),
    first_order("nlcg-pr", {"line_search": "wolfe"}, trials=("value", "gradient")),
    first_order("replica-newton", {"reading": "pairs"}, trials=("value",)),  # of a replica's step: nobody's business
]


def test_every_method_is_run():
    """No method is left out."""
    assert {run.method for run in RUNS} == set(refhf.available_methods())


@faults("run", *(Fault(place, call, -np.inf) for place in PLACES["run"] for call in CALLS))
def test_run_stops(fault):
    """Every method stops in that step, or if it may be a trial's value and the function stays bad, in the next."""
    for run in RUNS:
        trial = fault.place in run.trials
        asked = Asked(fault._replace(lasting=trial))
        result = asked.run(run)
        assert bool(asked.spoiled) == (fault.place in run.asks), run
        if not asked.spoiled:
            continue
        first = asked.spoiled[0]
        step, more = asked.calls[first][1], len(asked.calls) - 1 - first
        assert (result.success, result.status) == (False, Status.NON_FINITE.value[0]), run
        assert result.message == Status.NON_FINITE.value[2], run
        assert np.isfinite(result.x).all(), run
        assert wells(result.x) <= wells(START), run
        *before, last = (record["outcome"] for record in result.history)
        assert last == "non finite", run
        assert "non finite" not in before, run
        assert step <= result.nit <= step + trial, run
        assert more <= MORE[trial], run
        stops = {x for name, x in result.history[-1].items() if x and name.endswith("_stop")}
        if fault.place == "product" and stops:
            assert "non finite" in stops, run


MORE = {  # calls after the spoiled one
    False: 17,  # of four replicas; else the gradient of a spoiled value, and f and g of the result
    True: 2 * WOLFE_TRIES + 5,  # values and gradients of a search, the next step's start, and those two
}


@pytest.mark.parametrize("value", [*VALUES, -np.inf], ids=str)
def test_trial_is_refused(value):
    """One bad value at a trial point is survived: the run goes on, never to that point, and its losses are finite."""
    refused = 0
    for run, call in itertools.product(RUNS, CALLS):
        if "value" not in run.trials:
            continue
        asked = Asked(Fault("value", call, value))
        result = asked.run(run, steps=4)
        if result.status == Status.NON_FINITE.value[0]:  # a step started there, and wanted the gradient
            assert asked.calls[asked.spoiled[0] + 1][0] == "gradient"
            continue
        refused += 1
        assert (result.status, result.nit) == (Status.STEPS_DONE.value[0], 4), run
        assert all(math.isfinite(record["loss"]) for record in result.history), run
        assert result.fun == wells(result.x) < wells(START), run
        assert not any(np.array_equal(result.x, point) for point in asked.refused), run
    assert refused >= 30


ODD = [np.nan, np.inf, -np.inf, 1.7e308, -1.7e308, 1e200, 1e-320, 0.0]


@given(st.sampled_from(RUNS), st.sampled_from([0.03, 0.3]), st.integers(0, 2**32 - 1))
def test_whatever_the_functions_give(run, chance, seed):
    """However often, and wherever, numbers are odd: x is finite, and so is f there if there is success."""
    rng = np.random.default_rng(seed)

    def odd(y):
        if rng.uniform() < chance:
            y = np.array(y)
            y[... if rng.uniform() < 0.5 or y.ndim == 0 else rng.integers(y.size)] = rng.choice(ODD)
        return y if np.ndim(y) else float(y)

    product = lambda x, v: odd(wells_product(x, v))  # noqa: E731
    objective = refhf.from_functions(lambda x: odd(wells(x)), lambda x: odd(wells_gradient(x)), product, product)
    result = refhf.minimize(objective, START, run.method, 6, rng=0, **run.options)
    assert np.isfinite(result.x).all()
    assert math.isfinite(result.fun) or not result.success


# Where it was not looked for once.


@pytest.mark.parametrize("run", [first_order(method) for method in (*ONWARD, "replica-newton")], ids=str)
@pytest.mark.parametrize("value", [*VALUES, -np.inf], ids=str)
def test_last_point(run, value):
    """A last step to where f is not finite is no success, and the point before it is returned."""
    objective = refhf.from_functions(lambda x: float(x @ x) if x @ x < 10 else value, lambda x: 2 * x)
    result = refhf.minimize(objective, np.ones(3), run.method, 1, rng=0, learning_rate=100.0)
    assert (result.success, result.status, result.fun) == (False, Status.NON_FINITE.value[0], 3.0)
    np.testing.assert_array_equal(result.x, 1)


@pytest.mark.parametrize("method", [method for method in SEARCHING if method not in ("hessian-bicgstab", "gn-cg-path")])
def test_point_beyond_the_range(method):
    """A step to theta = inf, where f happens to be finite, is not taken."""
    value = lambda x: max(-float(x[0]), -1.75e308)  # noqa: E731
    product = lambda x, v: 1e-308 * v  # noqa: E731
    objective = refhf.from_functions(value, lambda x: -np.ones(1), product, product)
    start = np.array([1.7e308])
    assert value(np.array([np.inf])) < value(start)
    result = refhf.minimize(objective, start, method, 3, damping=0.0)
    assert (result.success, result.x) == (False, start)
    assert result.history[-1]["outcome"] == "non finite"


def assert_named(asked, result):
    """The run ended in its first step, unharmed, and says why."""
    assert asked.spoiled
    assert (result.success, result.status, result.nit) == (False, Status.NON_FINITE.value[0], 1)
    assert result.message == Status.NON_FINITE.value[2]
    assert result.history[-1]["outcome"] == "non finite"
    assert np.isfinite(result.x).all()


@pytest.mark.parametrize("call", [1, 2])
@pytest.mark.parametrize("run", [run for run in RUNS if run.method not in ("momentum", "rmsprop")], ids=str)
def test_product_at_a_stationary_point(run, call):
    """At a zero gradient a failed product leaves the kind of point unknown: this is no success."""
    asked = Asked(Fault("product", call, np.nan), lambda x: float(x @ x), lambda x: 2 * x, lambda x, v: CURVATURE * v)
    assert_named(asked, asked.run(run, start=np.zeros(4)))


@pytest.mark.parametrize(("method", "call"), [("hessian-bicgstab", 2), ("hessian-cg", 3)])
def test_product_of_the_gradient_step(method, call):
    """The curvature of -g, the candidate where the solver has none, is looked at, too."""
    options = {"damping": 0.0} | ({"delta_0_norm": 0.1} if method == "hessian-cg" else {})
    functions = {  # x y, on which Bi-CG-STAB breaks down at once, and -(x^2 + y^2) / 2, where CG ends at once
        "hessian-bicgstab": (lambda x: float(x[0] * x[1]), lambda x: x[::-1].copy(), lambda x, v: v[::-1].copy()),
        "hessian-cg": (lambda x: -float(x @ x) / 2, lambda x: -x, lambda x, v: -v),
    }[method]
    asked = Asked(Fault("product", call, np.nan), *functions)
    result = asked.run(Run(method, options), start=np.array([1.0, 0.0]))
    assert_named(asked, result)
    assert result.history[0]["solver_stop"] == "non finite"
    assert result.history[0]["solver_iterations"] == 0


def test_first_trial_of_a_search():
    """A direction whose norm overflows makes the first trial of the Wolfe search 0: there is no step length."""
    assert first_trial(1.0, np.nan, -1.0, np.full(2, 1.7e308)) == 0
    assert wolfe(lambda alpha: (2.0, -1.0), 1.0, -1.0, 0.0) == (0.0, 1.0)


@pytest.mark.parametrize("spoiled", [(np.nan, 0.0), (-np.inf, 0.0), (0.0, np.nan), (0.0, -np.inf)], ids=str)
def test_trial_of_a_search(spoiled):
    """A value or a slope that is not finite is refused by the Wolfe search, though it be the lowest, or flat."""
    alpha, value = wolfe(lambda a: spoiled if a == 1 else ((a - 1) ** 2, 2 * (a - 1)), 1.0, -2.0, 1.0)
    assert 0 < alpha != 1
    assert value == (alpha - 1) ** 2


def test_differences_that_overflow():
    """Curvatures G W^-1 beyond the range are named, and the inverse is the identity."""
    found = inverse_hessian_product([[0.0, 1e-10]], [[0.0, 1e300]], [2.0])
    assert (found.differences, found.rank, found.product) == (Differences.NON_FINITE, 0, 2.0)


# The other numerical faults.


@pytest.mark.parametrize("run", [*RUNS[: len(SEARCHING)], Run("negative-curvature-newton"), Run("newton")], ids=str)
def test_overflow_in_a_trial_step(run):
    """If f = inf after a Newton step, line searches recover; a method without search reports it and stops."""
    values, damped = [], run.method not in ("saddle-free-newton", "negative-curvature-newton")

    def value(x):
        with np.errstate(over="ignore"):
            values.append(float((np.exp(x) - 10 * x).sum()))
        return values[-1]

    product = lambda x, v: np.exp(x) * v  # noqa: E731
    objective = refhf.from_functions(value, lambda x: np.exp(x) - 10, product, product)
    start = np.array([-5.0, -4.0, 0.0])
    result = refhf.minimize(objective, start, run.method, 10, rng=0, **({"damping": 0.0} if damped else {}))
    assert np.inf in values
    if run.method == "newton":
        assert result.status == Status.NON_FINITE.value[0]
        np.testing.assert_array_equal(result.x, start)
    else:
        assert result.success
        assert result.fun == pytest.approx(3 * (10 - 10 * np.log(10)), rel=1e-12)


FLAT = [  # what a method's first step says of a matrix that is zero, lambda being 0
    ("gn-cg", Stop.ZERO_CURVATURE, Outcome.ACCEPTED),
    ("hessian-cg", Stop.ZERO_CURVATURE, Outcome.ACCEPTED),
    ("hybrid-cg", Stop.ZERO_CURVATURE, Outcome.ACCEPTED),
    ("hessian-bicgstab", Stop.ALPHA_BREAKDOWN, Outcome.ACCEPTED),
    ("truncated-newton", Stop.ZERO_CURVATURE, Outcome.ACCEPTED),
    ("negative-curvature-newton", Stop.ZERO_CURVATURE, Outcome.ACCEPTED),
    ("newton", None, Outcome.NOT_DESCENT),
    ("newton, by Bi-CG-STAB", Stop.ALPHA_BREAKDOWN, Outcome.NOT_DESCENT),
    ("saddle-free-newton", None, Outcome.NOT_DESCENT),
    ("saddle-free-newton, by Lanczos", Stop.INVARIANT_SUBSPACE, Outcome.NOT_DESCENT),
]


@pytest.mark.parametrize(("name", "stop", "outcome"), FLAT, ids=[name for name, *_ in FLAT])
def test_singular_system(name, stop, outcome, monkeypatch):
    """f = x + y: the report says that the system has no solution; what is accepted is a step along -g, or none."""
    method, _, by = name.partition(",")
    for room in (exact_newton, saddle_free) if by else ():
        monkeypatch.setattr(room, "DENSE", 0)
    product = lambda x, v: 0 * v  # noqa: E731
    objective = refhf.from_functions(lambda x: float(x.sum()), np.ones_like, product, product)
    options = {} if method in ("saddle-free-newton", "negative-curvature-newton") else {"damping": 0.0}
    result = refhf.minimize(objective, np.ones(2), method, 1, rng=0, **options)
    record = result.history[0]
    assert (record["solver_stop"], record["outcome"]) == (stop and str(stop), str(outcome))
    assert record["source"] == "gradient" or record["outcome"] != "accepted"
    np.testing.assert_array_equal(result.x, 1 - record["step_length"])


@pytest.mark.parametrize("name", [name for name, *_ in FLAT])
def test_singular_but_consistent_system(name, monkeypatch):
    """f = x^2 / 2 of (x, y): the minimum is found, and y is left exactly as it was."""
    method, _, by = name.partition(",")
    for room in (exact_newton, saddle_free) if by else ():
        monkeypatch.setattr(room, "DENSE", 0)
    product = lambda x, v: np.array([v[0], 0.0])  # noqa: E731
    objective = refhf.from_functions(lambda x: float(x[0] ** 2 / 2), lambda x: np.array([x[0], 0.0]), product, product)
    options = {} if method in ("saddle-free-newton", "negative-curvature-newton") else {"damping": 0.0}
    result = refhf.minimize(objective, np.ones(2), method, 4, rng=0, **options)
    assert result.success
    np.testing.assert_allclose(result.x, [0, 1], atol=1e-8)
    assert result.x[1] == 1
