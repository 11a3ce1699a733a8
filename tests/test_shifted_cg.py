"""refhf.shifted_cg: many shifts from one Krylov space are conjugate gradients on each, for the products of one."""

import itertools

import numpy as np
import pytest
from gallery import CASES, CONVERGED, Counting, conditioned, integers, poisson1d, with_spectrum
from hypothesis import given
from hypothesis import strategies as st
from test_krylov import definite, ill_conditioned, indefinite, systems, well_conditioned, whole_symmetric

from refhf import cg_iterates, shifted_cg, shifted_cg_iterates
from refhf.krylov.stopping import Stop, advance, iteration_limit, negative_curvature, no_progress, small_residual

EPS = np.finfo(np.float64).eps
grids = st.lists(st.sampled_from([0.0, 1e-3, 0.1, 0.5, 1.0, 3.0, 20.0, 1e4]), min_size=1, max_size=6)


def plain(A, b, shift, k):
    """Iterate k of conjugate gradients on A + shift I, or the last before it."""
    return list(itertools.islice(cg_iterates(A + shift * np.eye(len(b)), b), k + 1))[-1]


@given(systems(well_conditioned, definite), grids)
def test_each_row_is_cg_on_its_shift(system, shifts):
    """Iterate by iterate, x and the residual of each shift are those of cg on A + s I; the smallest's, bit for bit."""
    A, b = system.A, system.b
    smallest = int(np.argmin(shifts))
    for it in itertools.islice(shifted_cg_iterates(A, b, shifts), min(len(b), 6)):
        for i, shift in enumerate(shifts):
            one = plain(A, b, shift, it.k)
            np.testing.assert_allclose(it.xs[i], one.x, rtol=0, atol=1e-8 * np.linalg.norm(one.x))
            np.testing.assert_allclose(it.zeta[i] * it.r, one.r, rtol=0, atol=1e-8 * np.linalg.norm(b))
        one = next(itertools.islice(cg_iterates(lambda v: A @ v + min(shifts) * v, b), it.k, None))
        assert it.zeta[smallest] == 1
        assert it.x is not it.xs or len(shifts) == 1
        for ours, theirs in ((it.xs[smallest], one.x), (it.x, one.x), (it.r, one.r), (it.p, one.p)):
            assert ours.tobytes() == theirs.tobytes()


@given(systems(definite, ill_conditioned, size=20), grids)
def test_the_smallest_shift_has_the_largest_residual(system, shifts):
    """0 < zeta <= 1, and the larger the shift, the smaller its zeta, until they are rounding errors."""
    order = np.argsort(shifts)
    for it in itertools.islice(shifted_cg_iterates(system.A, system.b, shifts), len(system.b)):
        assert (it.zeta >= 0).all() and (it.zeta <= 1).all()
        assert (np.diff(it.zeta[order]) <= 0).all()


@given(systems(definite, ill_conditioned, size=20), grids, st.integers(1, 12))
def test_what_has_converged_is_solved(system, shifts, digits):
    """info = 0 says that the true residual of each shift meets the tolerance; X is finite in any case."""
    A, b = system.A, system.b
    X, info = shifted_cg(A, b, shifts, rtol=10.0**-digits)
    assert X.shape == (len(shifts), len(b)) and np.isfinite(X).all()
    residuals = [np.linalg.norm(b - A @ x - s * x) for x, s in zip(X, shifts, strict=True)]
    assert (info == 0) == (info.stop is CONVERGED)
    if info == 0:
        assert max(residuals) <= 10.0**-digits * np.linalg.norm(b) * (1 + 1e-3)
    else:
        assert info.stop in (Stop.STAGNATED, Stop.ITERATION_LIMIT)


@given(systems(definite, ill_conditioned, indefinite, whole_symmetric), grids, *[st.integers(-100, 100)] * 2)
def test_scale_invariance(system, shifts, i, j):
    """(2^i A + 2^i s I) x = 2^j b: the same iterations and reason, and X times 2^(j - i) bit for bit."""
    limits = {"rtol": 1e-9, "maxiter": 3 * len(system.b)}
    X, info = shifted_cg(system.A, system.b, shifts, **limits)
    scaled_x, scaled = shifted_cg(np.ldexp(system.A, i), np.ldexp(system.b, j), np.ldexp(shifts, i), **limits)
    assert (scaled.stop, scaled.iterations) == (info.stop, info.iterations)
    assert np.ldexp(X, j - i).tobytes() == scaled_x.tobytes()


@given(systems(definite, indefinite), st.permutations(range(4)))
def test_the_order_of_the_shifts_does_not_matter(system, order):
    """Rows are in the order of the shifts, and their bits do not depend on it; a shift given twice is solved twice."""
    shifts = np.array([0.5, 2.0, 0.5, 40.0])
    X, info = shifted_cg(system.A, system.b, shifts)
    ordered, told = shifted_cg(system.A, system.b, shifts[order])
    assert X[order].tobytes() == ordered.tobytes() and info == told
    assert X[0].tobytes() == X[2].tobytes()


SYMMETRIC = [case for case in CASES if (case.A == case.A.T).all() and case.x0 is None and case.cg.stop is CONVERGED]


@pytest.mark.parametrize("case", SYMMETRIC, ids=[case.name for case in SYMMETRIC])
def test_gallery(case):
    """The gallery's definite systems are solved at shifts from 0 to 100 times their norm, also in float32."""
    shifts = np.linalg.norm(case.A, 2) * np.array([0, 1e-3, 0.1, 1, 100])
    X, info = shifted_cg(case.A, case.b, shifts, rtol=case.rtol)
    assert (info, X.dtype) == (0, case.A.dtype)
    for x, shift in zip(X.astype(np.longdouble), shifts, strict=True):
        residual = case.b - case.A.astype(np.longdouble) @ x - shift * x
        assert np.linalg.norm(residual.astype(float)) <= 1.01 * case.rtol * np.linalg.norm(case.b)


def test_the_gallery_has_many():
    assert len(SYMMETRIC) >= 15
    assert {case.A.dtype.name for case in SYMMETRIC} >= {"float64"}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_precision(dtype):
    """Vectors keep the system's precision; each row is cg's on its shift to that precision."""
    A, b, shifts = poisson1d(20).astype(dtype), integers(20).astype(dtype), [0.0, 0.25, 4.0]
    for it in itertools.islice(shifted_cg_iterates(A, b, shifts), 5):
        assert {x.dtype for x in (it.xs, it.x, it.r, it.p)} == {np.dtype(dtype)}
        for i, shift in enumerate(shifts):
            x = plain(A, b, dtype(shift), it.k).x
            np.testing.assert_allclose(it.xs[i], x, rtol=0, atol=100 * np.finfo(dtype).eps * np.abs(x).max(initial=0))


def test_products():
    """An iterate costs a product whatever the number of shifts; the driver adds one a shift, for the true residual."""
    shifts = np.geomspace(1e-3, 1e3, 11)
    A = Counting(poisson1d(9))
    it, _ = advance(shifted_cg_iterates(A.operator, integers(9), shifts), iteration_limit(3))
    assert (it.k, A.calls) == (3, 3)
    A = Counting(poisson1d(9))
    _, info = shifted_cg(A.operator, integers(9), shifts)
    assert (info, A.calls) == (0, info.iterations + 11)


@pytest.mark.parametrize("b", [np.zeros(3), -np.zeros(3)])
def test_b_zero_is_solved_by_zero(b):
    for A in (poisson1d(3), np.zeros((3, 3)), -poisson1d(3)):
        X, info = shifted_cg(A, b, [0.0, 1.0])
        assert (X.tolist(), info, info.iterations) == ([[0.0] * 3] * 2, 0, 0)


@pytest.mark.parametrize(
    ("A", "b", "shifts", "stop", "k"),
    [
        (np.diag([1.0, -1.0]), np.ones(2), [0.0, 5.0], Stop.NEGATIVE_CURVATURE, 0),
        (np.diag([1.0, -1.0]), np.ones(2), [5.0, 1.0], Stop.ZERO_CURVATURE, 1),  # A + I is singular, A + 5 I is not
        (np.diag([4.0, 1.0, -2.0]), np.array([3.0, 1.0, 1e-3]), [7.0, -1.0], Stop.NEGATIVE_CURVATURE, None),
        (np.zeros((2, 2)), np.ones(2), [0.0, 1.0], Stop.ZERO_CURVATURE, 0),
        (np.eye(2), np.array([1.0, np.nan]), [0.0], Stop.NON_FINITE, 0),
        (np.full((2, 2), 1e300), np.full(2, 1e300), [0.0], Stop.NON_FINITE, 0),
        (np.eye(2) * 1e-300, np.full(2, 1e-300), [0.0], Stop.UNDERFLOW, 0),
    ],
)
def test_breakdowns(A, b, shifts, stop, k):
    """The smallest shift's breakdown ends all, by name, with finite rows; the direction is its direction."""
    X, info = shifted_cg(A, b, shifts)
    assert info.stop is stop and (k is None or info.iterations == k)
    assert np.isfinite(X).all()
    if info.stop.met_negative_curvature:
        d = info.direction
        assert d @ A @ d + min(shifts) * (d @ d) <= 1e-12 * (d @ d)


@given(systems(indefinite, whole_symmetric), grids)
def test_negative_curvature_is_that_of_the_smallest_shift(system, shifts):
    """The run ends where cg on the smallest shift ends, at its x, with its direction."""
    A, b = system.A, system.b
    it, stop = advance(shifted_cg_iterates(A, b, shifts, stop_at=negative_curvature), iteration_limit(30))
    other = cg_iterates(lambda v: A @ v + min(shifts) * v, b, stop_at=negative_curvature)
    one, why = advance(other, iteration_limit(30))
    assert (it.k, stop, it.x.tobytes(), it.p.tobytes()) == (one.k, why, one.x.tobytes(), one.p.tobytes())


def test_without_a_rule_it_goes_through_negative_curvature():
    """Without stop_at the recurrence goes on, and rows are solved where it ends, of whatever sign A is."""
    A = with_spectrum(np.array([-3.0, -1.0, 2.0, 5.0, 9.0]), np.random.default_rng(0))
    b = np.ones(5)
    *_, it = itertools.islice(shifted_cg_iterates(A, b, [0.0, 0.3]), 6)
    for x, shift in zip(it.xs, [0.0, 0.3], strict=True):
        np.testing.assert_allclose(A @ x + shift * x, b, atol=1e-9)


def test_stopping_rules_see_the_smallest_shift():
    """phi is that of the smallest shift, so Martens' rule stops where it stops cg on it."""
    A, b = conditioned(4, 200), np.ones(200)
    it, stop = advance(shifted_cg_iterates(A, b, [3.0, 0.0]), iteration_limit(2000), no_progress())
    one, _ = advance(cg_iterates(A, b), iteration_limit(2000), no_progress())
    assert (it.k, stop, it.phi) == (one.k, Stop.NO_PROGRESS, one.phi)


def test_a_shift_that_rounding_leaves_behind_is_continued():
    """With products rounded to float32, true residuals of 1e-7 are beyond the recurrence; cg goes on from the rows."""
    A, b = conditioned(3, 60), np.ones(60)

    def product(v):
        return (A @ v).astype(np.float32).astype(float)

    shifts = [0.0, 1e-3, 0.1]
    X, info = shifted_cg(product, b, shifts, rtol=1e-7)
    common = advance(shifted_cg_iterates(product, b, shifts), small_residual(b, 1e-7, 0.0))[0].k
    assert info == 0 and info.iterations > common
    for x, shift in zip(X, shifts, strict=True):
        assert np.linalg.norm(b - product(x) - shift * x) <= 1e-7 * np.linalg.norm(b) * (1 + 1e-6)
    assert shifted_cg(product, b, shifts, rtol=1e-12)[1].stop is Stop.STAGNATED


def test_iteration_limit():
    """maxiter is the number of iterations, and the integer returned with the last rows."""
    X, info = shifted_cg(poisson1d(12), integers(12), [0.0, 2.0], rtol=1e-12, maxiter=3)
    it = next(itertools.islice(shifted_cg_iterates(poisson1d(12), integers(12), [0.0, 2.0]), 3, None))
    assert (info, info.iterations, info.stop) == (3, 3, Stop.ITERATION_LIMIT)
    assert X.tobytes() == it.xs.tobytes()


def test_iterates_are_complete():
    """Nothing of an iterate changes when the next one is computed."""
    its = shifted_cg_iterates(poisson1d(4), np.ones(4), [0.0, 1.0])
    next(its)
    it = next(its)
    before = it.xs.tobytes(), it.zeta.tobytes(), it.p.tobytes()
    next(its)
    assert (it.xs.tobytes(), it.zeta.tobytes(), it.p.tobytes()) == before


@pytest.mark.parametrize(
    ("argument", "given"),
    [
        ("shifts", {"shifts": []}),
        ("shifts", {"shifts": 1.0}),
        ("shifts", {"shifts": [1.0, np.nan]}),
        ("shifts", {"shifts": ["1"]}),
        ("b", {"b": np.ones(4)}),
        ("A", {"A": np.ones((3, 4))}),
        ("rtol", {"rtol": -1.0}),
        ("atol", {"atol": np.inf}),
        ("maxiter", {"maxiter": 0}),
    ],
)
def test_mistakes(argument, given):
    """A mistake is refused by the name of the argument."""
    with pytest.raises(ValueError, match=f"^{argument}: expected .*(got|found)"):
        shifted_cg(**{"A": poisson1d(3), "b": np.ones(3), "shifts": [1.0], **given})


def test_numpy_errors_are_not_raised():
    """Under np.seterr(all="raise") what under- or overflows is still a number, or a reason."""
    for A, b in (poisson1d(3) * 1e-150, np.full(3, 1e-200)), (np.eye(3, dtype=np.float32), np.full(3, 1e-30, "f4")):
        want = shifted_cg(A, b, [0.0, 1e300])
        with np.errstate(all="raise"):
            got = shifted_cg(A, b, [0.0, 1e300])
        assert (got[0].tobytes(), got[1].stop) == (want[0].tobytes(), want[1].stop)
