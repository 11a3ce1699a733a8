"""Lanczos against dense eigh: values, bounds that bound, and what is said where there is little to find."""

import numpy as np
import pytest
from scipy.sparse.linalg import LinearOperator

import refhf
from refhf.krylov.lanczos import lanczos_iterates, lanczos_largest, lanczos_smallest
from refhf.krylov.stopping import Stop, advance, iteration_limit
from refhf.krylov.symmetric_operator import SymmetricOperator

ENDS = [(lanczos_smallest, 0), (lanczos_largest, -1)]

SPECTRA = {
    "normal": lambda rng, n: rng.normal(size=n),
    "integers, many repeated": lambda rng, n: rng.integers(-2, 3, n).astype(float),
    "a cluster at the low end": lambda rng, n: np.append(-3 + 1e-9 * np.arange(n // 3), rng.normal(size=n - n // 3)),
    "sixteen orders, both signs": lambda rng, n: np.geomspace(1e-8, 1e8, n) * rng.choice([-1, 1], n),
    "all but one": lambda rng, n: 1 + 1e-13 * rng.normal(size=n),
    "negative, graded": lambda rng, n: -np.geomspace(1, 1e-14, n),
    "one value": lambda rng, n: np.full(n, -2.5),
    "one negative": lambda rng, n: np.append(np.ones(n - 1), -1.0),
    "singular": lambda rng, n: np.append(np.zeros(n - n // 2), rng.uniform(1, 2, n // 2)),
}


def matrix(eigenvalues, rng):
    basis = np.linalg.qr(rng.normal(size=(eigenvalues.size,) * 2))[0]
    half = (basis * eigenvalues) @ basis.T / 2
    return half + half.T


@pytest.mark.parametrize("n", [1, 2, 7, 40, 90])
@pytest.mark.parametrize("scale", [1.0, 2.0**-600, 2.0**460])
@pytest.mark.parametrize("spectrum", SPECTRA)
def test_against_eigh(spectrum, scale, n):
    """A converged value equals eigh's; the error bound always bounds the error and the residual."""
    rng = np.random.default_rng(n)
    A = matrix(SPECTRA[spectrum](rng, n), rng)
    eigenvalues = np.linalg.eigvalsh(A)
    for find, end in ENDS:
        for maxiter in (None, max(1, n // 4)):
            pair = find(scale * A, n, rng=1, maxiter=maxiter)
            pair = pair._replace(value=pair.value / scale, error_bound=pair.error_bound / scale)
            assert abs(eigenvalues - pair.value).min() <= pair.error_bound
            assert np.linalg.norm(A @ pair.vector - pair.value * pair.vector) <= pair.error_bound
            assert np.linalg.norm(pair.vector) == pytest.approx(1)
            if pair.stop in (Stop.RITZ_CONVERGED, Stop.INVARIANT_SUBSPACE):
                assert pair.error_bound <= 1e-8 * abs(eigenvalues).max()
                assert abs(pair.value - eigenvalues[end]) <= 1e-8 * abs(eigenvalues).max()
            else:
                assert (pair.stop, pair.iterations) == (Stop.ITERATION_LIMIT, maxiter)


def test_the_bound_is_not_idle():
    """The error bound follows the residual: without rounding, it is the residual's norm to three digits."""
    rng = np.random.default_rng(0)
    A = matrix(rng.normal(size=60), rng)
    for maxiter in (2, 5, 10, 15):
        pair = lanczos_smallest(A, 60, rng=1, maxiter=maxiter)
        assert np.linalg.norm(A @ pair.vector - pair.value * pair.vector) == pytest.approx(pair.error_bound, rel=1e-3)


def test_recurrence():
    """The basis is orthonormal to rounding, and A Q = Q T + beta_k q_{k+1} e_k'."""
    rng = np.random.default_rng(0)
    A = matrix(np.geomspace(1e-6, 1, 50), rng)
    it, _ = advance(lanczos_iterates(A, 50, rng.normal(size=50)), iteration_limit(30))
    assert np.abs(it.basis @ it.basis.T - np.eye(30)).max() <= 1e-13
    tridiagonal = np.diag(it.alpha) + np.diag(it.beta[:-1], 1) + np.diag(it.beta[:-1], -1)
    rest = A @ it.basis.T - it.basis.T @ tridiagonal
    assert np.abs(rest[:, :-1]).max() <= 1e-14
    assert np.linalg.norm(rest[:, -1]) == pytest.approx(it.beta[-1])
    assert 0.7 < it.norm <= 1 + 1e-12


def test_the_start_is_an_iterate_without_a_basis():
    """Iterate 0 has spent no product and has no q: alpha, beta and the basis are empty."""
    it = next(lanczos_iterates(np.eye(3), 3, np.ones(3)))
    assert (it.k, it.alpha.shape, it.beta.shape, it.basis.shape) == (0, (0,), (0,), (0, 3))


def test_most_products():
    """Without convergence a run ends after 300 products, or n."""
    for n, most in (310, 300), (20, 20):
        pair = lanczos_smallest(np.diag(np.linspace(1, 2, n)), n, rng=0, rtol=0.0)
        assert pair.iterations == most


@pytest.mark.parametrize("leak", [1e-3, 1e-6, 1e-9, 1e-12])
def test_orthogonal_after_a_small_beta(leak):
    """The basis stays orthonormal where a subspace is nearly invariant: beta_3 is small, not zero, and divided by."""
    start = np.append(np.ones(3), np.full(37, leak))
    *_, it = lanczos_iterates(np.diag(np.linspace(-1, 1, 40) ** 3), 40, start)
    assert it.k > 10
    assert it.beta[2] < 1000 * leak
    assert np.abs(it.basis @ it.basis.T - np.eye(it.k)).max() <= 1e-13


@pytest.mark.parametrize("distinct", [1, 2, 3, 4])
def test_repeated_eigenvalues_are_found_once(distinct):
    """A matrix with m distinct eigenvalues has an invariant Krylov subspace of dimension m with them as Ritz values."""
    rng = np.random.default_rng(distinct)
    values = np.arange(distinct) - 2.0
    A = matrix(np.repeat(values, 5), rng)
    *_, it = lanczos_iterates(A, 5 * distinct, rng.normal(size=5 * distinct))
    assert (it.k, it.stop) == (distinct, Stop.INVARIANT_SUBSPACE)
    assert [it.pair(i).value for i in range(distinct)] == pytest.approx(values)


def test_clusters_are_reported_honestly():
    """In a cluster tighter than the tolerance the value is right and the vector a mixture, as good as its residual."""
    rng = np.random.default_rng(0)
    A = matrix(np.append(-1 + 1e-12 * np.arange(10), np.linspace(0, 1, 50)), rng)
    pair = lanczos_smallest(A, 60, rng=0)
    assert abs(pair.value + 1) <= 1e-11
    assert np.linalg.norm(A @ pair.vector - pair.value * pair.vector) <= pair.error_bound <= 1e-8


def test_out_of_reach():
    """An eigenvector orthogonal to the start is not found, exactly: components that are zero stay zero."""
    A = np.diag([-1.0, 1.0, 2.0, 3.0])
    pair = lanczos_smallest(A, 4, start=[0, 1, 1, 1])
    assert (pair.stop, pair.iterations, pair.vector[0]) == (Stop.INVARIANT_SUBSPACE, 3, 0.0)
    assert pair.value == pytest.approx(1)
    assert lanczos_smallest(A, 4, rng=0).value == pytest.approx(-1)


@pytest.mark.parametrize("n", [1, 2, 50])
def test_zero_matrix(n):
    """The zero matrix has the eigenvalue 0, found with one product and no error."""
    pair = lanczos_smallest(np.zeros((n, n)), n, rng=0)
    assert pair[0] == pair[2] == 0
    assert (pair.stop, pair.iterations) == (Stop.INVARIANT_SUBSPACE, 1)


def test_integers():
    """A matrix of integers has real eigenvectors: the start is not rounded."""
    A = np.array([[2, 1, 0], [1, 0, 1], [0, 1, -3]])
    one, other = (lanczos_smallest(B, 3, rng=0, maxiter=2) for B in (A, A.astype(float)))
    assert (one.value, one.vector.tolist()) == (other.value, other.vector.tolist())


def test_converged_before_the_limit():
    """The tolerance ends a run: its error bound is at most rtol ||A||, and it was not one iteration before."""
    A = np.diag(np.append(np.linspace(0, 1, 199), -1.0))
    pair = lanczos_smallest(A, 200, rng=0, rtol=1e-6)
    assert (pair.stop, pair.value) == (Stop.RITZ_CONVERGED, pytest.approx(-1, abs=1e-6))
    assert pair.error_bound <= 1e-6
    assert lanczos_smallest(A, 200, rng=0, maxiter=pair.iterations - 1).error_bound > 0.9e-6


def test_one_by_one():
    """A 1x1 matrix is its own eigenvalue."""
    for find, _ in ENDS:
        pair = find(np.array([[-3.0]]), 1, rng=0)
        assert (pair.value, abs(pair.vector[0]), pair.iterations) == (-3.0, 1.0, 1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e308])
@pytest.mark.parametrize("call", range(1, 6))
def test_not_finite(bad, call):
    """A product that is not finite at call 1 .. 5 ends the process there; what was known before is returned."""
    rng, calls = np.random.default_rng(0), []
    A = matrix(rng.normal(size=20), rng)

    def product(v):
        calls.append(v)
        return A @ v if len(calls) < call else np.full(20, bad)

    pair = lanczos_smallest(product, 20, rng=0)
    assert (pair.stop, pair.iterations, len(calls)) == (Stop.NON_FINITE, call - 1, call)
    assert np.linalg.norm(pair.vector) == pytest.approx(1, rel=1e-13)
    if call == 1:
        assert np.isnan(pair.value)
        assert pair.error_bound == np.inf
    else:
        before = lanczos_smallest(A, 20, rng=0, maxiter=call - 1)
        assert (pair.value, pair.error_bound) == (before.value, before.error_bound)
        assert (pair.vector == before.vector).all()


def test_scale_invariance():
    """A scaled by a power of two gives the same iterations and the bit-equal scaled value and vector."""
    rng = np.random.default_rng(0)
    A = matrix(rng.normal(size=30), rng)
    one, other = (lanczos_smallest(scale * A, 30, rng=1) for scale in (1.0, 2.0**40))
    assert (one.value * 2.0**40, one.iterations) == (other.value, other.iterations)
    assert (one.vector == other.vector).all()


def test_largest_is_smallest_of_minus():
    """The largest eigenvalue of A is minus the smallest of -A, and of few iterations too, from the same start."""
    rng = np.random.default_rng(0)
    A = matrix(rng.normal(size=30), rng)
    largest, smallest = (f(B, 30, rng=1, maxiter=3).value for f, B in ((lanczos_largest, A), (lanczos_smallest, -A)))
    assert largest == pytest.approx(-smallest, rel=1e-12)
    start = np.arange(30.0)
    pair = lanczos_largest(A, 30, start=start, maxiter=1)
    assert pair.vector == pytest.approx(start / np.linalg.norm(start), rel=1e-13)
    assert lanczos_largest(A, 30, rng=1).value == pytest.approx(-lanczos_smallest(-A, 30, rng=1).value, rel=1e-12)


def test_float32():
    """A float32 operator has a float32 vector, and a bound that says how little float32 knows."""
    rng = np.random.default_rng(0)
    A = matrix(np.linspace(-1, 1, 30), rng).astype(np.float32)
    pair = lanczos_smallest(A, 30, rng=0)
    assert pair.vector.dtype == np.float32
    assert abs(np.linalg.eigvalsh(A.astype(float))[0] - pair.value) <= pair.error_bound < 1e-4


def test_network():
    """On a network's Hessian the extreme eigenvalues are eigh's."""
    rng = np.random.default_rng(0)
    net = refhf.mlp([4, 5, 3])
    objective = refhf.supervised(net, rng.normal(size=(20, 4)), rng.integers(3, size=20))
    H = objective.hessian(net.init(rng=1))
    eigenvalues = np.linalg.eigvalsh(H @ np.eye(net.size))
    assert eigenvalues[0] < 0
    for find, end in ENDS:
        assert find(H, net.size, rng=0).value == pytest.approx(eigenvalues[end], rel=1e-10)


def test_reproducible():
    """The same rng gives the same bits, another one another vector."""
    A = SymmetricOperator(lambda v: np.arange(40) * v, 40, float)
    a, b, c = (lanczos_smallest(A, 40, rng=seed, maxiter=5) for seed in (3, 3, 4))
    assert (a.value, a.vector.tobytes()) == (b.value, b.vector.tobytes())
    assert a.value != c.value


@pytest.mark.parametrize(
    ("argument", "given"),
    [
        ("A", {"A": np.ones((3, 4))}),
        ("n", {"n": 0}),
        ("start", {"start": np.zeros(3)}),
        ("start", {"start": [1, np.nan, 0]}),
        ("start", {"start": np.ones(4)}),
        ("start", {"start": np.ma.masked_less([1.0, 2, 3], 2)}),
        ("A", {"A": np.ma.masked_less(np.eye(3), 1)}),
        ("A", {"A": np.eye(3) * 1j}),
        ("A", {"A": np.eye(3).astype(object)}),
        ("A", {"A": "eye"}),
        ("A", {"A": lambda v: 1j * v}),
        ("A", {"A": lambda v: [None] * 3}),
        ("A", {"A": lambda v: np.ma.masked_less(v, np.inf)}),
        ("rtol", {"rtol": -1.0}),
        ("maxiter", {"maxiter": 0}),
    ],
)
def test_mistakes(argument, given):
    """A mistake is refused by the name of the argument."""
    with pytest.raises(ValueError, match=argument):
        lanczos_smallest(**{"A": np.eye(3), "n": 3, **given})


def test_a_float32_operator_that_can_be_called():
    """A LinearOperator keeps its precision, though it can be called like a function."""
    A = np.diag([3.0, -1.0, 2.0]).astype(np.float32)
    assert lanczos_smallest(SymmetricOperator(lambda v: A @ v, 3, np.float32), 3, rng=0).vector.dtype == np.float32
    assert lanczos_smallest(lambda v: A @ v, 3, rng=0).vector.dtype == np.float64


@pytest.mark.parametrize("wide", [np.float64, np.longdouble])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("find", "end"), ENDS)
def test_products_in_one_array_of_another_precision(find, end, dtype, wide):
    """A may answer in one array again and again, and in more digits than it says it has."""
    A, out = np.diag([3.0, -1.0, 2.0]).astype(wide), np.empty(3, wide)

    def product(v):
        out[:] = A @ v
        return out

    given = LinearOperator((3, 3), matvec=product, dtype=dtype)
    pair = find(given, 3, rng=0)
    assert pair.vector.dtype == dtype
    assert pair.value == pytest.approx([-1.0, 3.0][end], rel=1e-5)
    its = list(lanczos_iterates(given, 3, np.ones(3, dtype)))
    assert {it.basis.dtype for it in its} == {np.dtype(dtype)}
    assert find(product, 3, rng=0).value == pytest.approx([-1.0, 3.0][end], rel=1e-12)
