"""Eigenpairs at both ends, spectral density and trace, against dense eigh and known spectra."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_lanczos import SPECTRA, matrix

import refhf
from refhf.krylov.lanczos import lanczos_iterates
from refhf.krylov.stopping import Stop, advance, iteration_limit

DISTINCT = [
    name for name in SPECTRA if "repeated" not in name and name not in ("one value", "one negative", "singular")
]
FUNCTIONS = lanczos, density, trace = refhf.lanczos_eigenpairs, refhf.spectral_density, refhf.stochastic_trace


# Eigenpairs.


@pytest.mark.parametrize("n", [1, 2, 7, 40, 90])
@pytest.mark.parametrize("scale", [1.0, 2.0**-600, 2.0**460])
@pytest.mark.parametrize("spectrum", SPECTRA)
def test_bounds_bound(spectrum, scale, n):
    """Each bound bounds its residual and the distance to an eigenvalue; vectors are orthonormal; values ascend."""
    rng = np.random.default_rng(n)
    A = matrix(SPECTRA[spectrum](rng, n), rng)
    eigenvalues = np.linalg.eigvalsh(A)
    for maxiter in None, max(1, n // 4):
        pairs = lanczos(scale * A, n, smallest=(n + 1) // 3, largest=(n + 2) // 3, rng=1, maxiter=maxiter)
        values, bounds = pairs.values / scale, pairs.error_bounds / scale
        assert len(values) == len(bounds) == len(pairs.vectors) == min((n + 1) // 3 + (n + 2) // 3, pairs.iterations)
        assert (np.abs(eigenvalues - values[:, None]).min(axis=1) <= bounds).all()
        residuals = np.linalg.norm(pairs.vectors @ A - values[:, None] * pairs.vectors, axis=1)
        assert (residuals <= bounds).all()
        np.testing.assert_allclose(pairs.vectors @ pairs.vectors.T, np.eye(len(values)), atol=1e-12)
        assert (np.diff(values) >= 0).all()


@pytest.mark.parametrize("ends", [(1, 0), (0, 1), (5, 0), (0, 4), (3, 6)])
@pytest.mark.parametrize("spectrum", ["normal", "sixteen orders, both signs"])
def test_the_ends_are_eighs(spectrum, ends):
    """The k smallest and largest are eigh's, in order, with its eigenvectors up to sign."""
    rng = np.random.default_rng(3)
    A = matrix(SPECTRA[spectrum](rng, 60), rng)
    eigenvalues, vectors = np.linalg.eigh(A)
    pairs = lanczos(A, 60, smallest=ends[0], largest=ends[1], rng=0)
    wanted = np.r_[0 : ends[0], 60 - ends[1] : 60]
    np.testing.assert_allclose(pairs.values, eigenvalues[wanted], rtol=0, atol=2e-8 * abs(eigenvalues).max())
    assert (pairs.error_bounds <= 1e-8 * abs(eigenvalues).max()).all()
    assert pairs.stop in (Stop.RITZ_CONVERGED, Stop.INVARIANT_SUBSPACE)
    if spectrum == "normal":
        overlaps = np.abs(np.einsum("ij,ji->i", pairs.vectors, vectors[:, wanted]))
        np.testing.assert_allclose(overlaps, 1, atol=1e-6)


def test_one_pair_is_lanczos_smallest():
    """One pair at an end is that of `lanczos_smallest` and `lanczos_largest`, in as many products."""
    A = matrix(np.linspace(-1, 1, 50) ** 3, np.random.default_rng(0))
    for find, end in (refhf.lanczos_smallest, {"smallest": 1}), (refhf.lanczos_largest, {"largest": 1}):
        one, pairs = find(A, 50, rng=3), lanczos(A, 50, rng=3, **end)
        assert (one.value, one.iterations, one.stop) == (pytest.approx(pairs.values[0]), pairs.iterations, pairs.stop)
        assert one.error_bound == pytest.approx(pairs.error_bounds[0], rel=1e-3)
        assert abs(one.vector @ pairs.vectors[0]) == pytest.approx(1)


def test_repeated_eigenvalues_are_found_once():
    """A matrix of three distinct eigenvalues has three pairs, whatever was asked for."""
    A = matrix(np.repeat([-2.0, 0.5, 3.0], 4), np.random.default_rng(0))
    pairs = lanczos(A, 12, smallest=3, largest=4, rng=0)
    assert (pairs.iterations, pairs.stop) == (3, Stop.INVARIANT_SUBSPACE)
    np.testing.assert_allclose(pairs.values, [-2, 0.5, 3], atol=1e-12)


def test_negative_pairs_of_a_network():
    """The most negative pairs of a network's Hessian are eigh's."""
    objective, theta = network()
    H = objective.hessian(theta)
    eigenvalues = np.linalg.eigvalsh(H @ np.eye(theta.size))
    pairs = lanczos(H, theta.size, smallest=4, largest=2, rng=0)
    assert eigenvalues[3] < 0
    np.testing.assert_allclose(pairs.values, eigenvalues[[0, 1, 2, 3, -2, -1]], rtol=1e-8)


def network():
    rng = np.random.default_rng(0)
    net = refhf.mlp([4, 5, 3])
    return refhf.supervised(net, rng.normal(size=(20, 4)), rng.integers(3, size=20)), net.init(rng=1)


def test_a_first_product_that_is_not_finite():
    """Nothing is known: no pair, a density of NaN, a trace of NaN, and no exception."""
    broken = lambda v: np.full_like(v, np.nan)  # noqa: E731
    with np.errstate(all="raise"):
        pairs = lanczos(broken, 5, smallest=2, rng=0)
        assert (pairs.stop, pairs.iterations, pairs.vectors.shape) == (Stop.NON_FINITE, 0, (0, 5))
        assert np.isnan(density(broken, 5, rng=0).trace(np.exp).value)
        assert np.isnan(trace(broken, 5, rng=0).value)


# Density.


@pytest.mark.parametrize("spectrum", DISTINCT)
def test_all_iterations_are_exact_in_the_mean(spectrum):
    """With n iterations each probe's rule has the moments of its measure: v'A^m v, for m up to 2 k - 1."""
    rng = np.random.default_rng(0)
    A = matrix(SPECTRA[spectrum](rng, 12), rng)
    size = np.linalg.norm(A, 2)
    found = density(A, 12, probes=4, iterations=5, rng=7)
    signs = np.random.default_rng(7)
    for nodes, weights in zip(found.nodes, found.weights, strict=True):
        v = signs.choice([-1.0, 1.0], 12)
        moments = [v @ np.linalg.matrix_power(A / size, m) @ v / 12 for m in range(2 * np.count_nonzero(weights))]
        ours = [weights @ (nodes / size) ** m for m in range(len(moments))]
        np.testing.assert_allclose(ours, moments, atol=1e-12)
        assert weights.sum() == pytest.approx(1)


@given(st.integers(0, 2**32 - 1), st.integers(3, 30))
def test_the_trace_of_a_function_is_within_its_error(seed, n):
    """tr f(A) is within six standard errors, for the exponential and for the index; the errors are no excuse."""
    rng = np.random.default_rng(seed)
    eigenvalues = rng.normal(size=n)
    found = density(matrix(eigenvalues, rng), n, probes=40, iterations=n, rng=rng)
    for estimate, exact, most in (
        (found.trace(np.exp), np.exp(eigenvalues).sum(), np.exp(eigenvalues).sum()),
        (found.share_below(0.0), np.mean(eigenvalues < 0), 0.2),
    ):
        assert abs(estimate.value - exact) <= 6 * estimate.standard_error + 1e-9 * n
        assert estimate.standard_error <= most


def test_a_diagonal_matrix_has_no_error():
    """Signs have the weight 1/n at each eigenvector of a diagonal matrix: every probe is exact, repeated values too."""
    values = np.array([-3.0, -1.0, -1.0, 0.0, 0.0, 0.0, 2.0, 5.0])
    found = density(np.diag(values), 8, probes=3, rng=0)
    assert found.nodes.shape == (3, 5)
    np.testing.assert_allclose(found.nodes, [[-3, -1, 0, 2, 5]] * 3, atol=1e-12)
    np.testing.assert_allclose(found.weights * 8, [[1, 2, 3, 1, 1]] * 3, atol=1e-12)
    for bound, share in (-3.5, 0), (-0.5, 3 / 8), (1, 6 / 8), (6, 1):
        assert found.share_below(bound)[:1] == pytest.approx([share])
    assert found.trace(np.square) == pytest.approx((40, 0), abs=1e-10)


def test_probes_that_end_at_different_steps_are_filled_up():
    """A probe without a part in an eigenspace has fewer nodes; what it is filled up with weighs nothing anywhere."""
    A = np.kron(np.diag([1.0, 2.0]), np.array([[2.0, 1.0], [1.0, 2.0]]))  # (1, -1) and (1, 1) are eigenvectors
    found = density(A, 4, probes=12, rng=0)
    assert {np.count_nonzero(weights) for weights in found.weights} == {2}
    found = density(np.array([[2.0, 1.0], [1.0, 2.0]]), 2, probes=12, rng=0)
    assert found.nodes.shape == (12, 1)
    logs = found.trace(np.log)
    assert abs(logs.value - np.log(3)) <= 6 * logs.standard_error
    mixed = density(np.block([[A, np.zeros((4, 1))], [np.zeros((1, 4)), 1.5]]), 5, probes=12, rng=0)
    assert np.isfinite(mixed.trace(np.log).value)
    mixed = mixed._replace(nodes=np.pad(mixed.nodes, ((0, 0), (0, 2))), weights=np.pad(mixed.weights, ((0, 0), (0, 2))))
    assert np.isfinite(mixed.trace(np.log).value)
    assert mixed.share_below(0.1).value == 0


def test_density_is_that_of_the_eigenvalues():
    """With enough probes the broadened density is the eigenvalues' own, and its integral is 1."""
    rng = np.random.default_rng(0)
    eigenvalues = rng.normal(size=200)
    x, width = np.linspace(-6, 6, 241), 0.3
    found = density(matrix(eigenvalues, rng), 200, probes=40, iterations=60, rng=0).density(x, width)
    exact = np.exp(-((x[:, None] - eigenvalues) ** 2) / (2 * width**2)).mean(1) / np.sqrt(2 * np.pi) / width
    assert np.trapezoid(found, x) == pytest.approx(1, abs=1e-6)
    assert abs(found - exact).max() <= 0.1 * exact.max()


def test_index_of_a_network():
    """The share of negative eigenvalues of a network's Hessian is within the error of the dense one."""
    objective, theta = network()
    H = objective.hessian(theta)
    eigenvalues = np.linalg.eigvalsh(H @ np.eye(theta.size))
    index = density(H, theta.size, probes=30, iterations=theta.size, rng=0).share_below(-1e-10)
    assert abs(index.value - np.mean(eigenvalues < -1e-10)) <= 5 * index.standard_error < 0.2


# Trace.


@given(st.integers(0, 2**32 - 1), st.integers(1, 30))
def test_enough_products_are_exact(seed, n):
    """3 n products, of which 2 n are made, give the trace to rounding."""
    rng = np.random.default_rng(seed)
    eigenvalues = rng.normal(size=n)
    estimate = trace(matrix(eigenvalues, rng), n, products=3 * n, rng=rng)
    assert estimate == pytest.approx((eigenvalues.sum(), 0.0), abs=1e-12 * n)


@given(st.integers(0, 2**32 - 1), st.integers(5, 40))
def test_it_is_algorithm_1(seed, n):
    """The estimate is the paper's formula with dense matrices, and its draws."""
    rng = np.random.default_rng(seed)
    A = matrix(rng.normal(size=n), rng)
    m = 3 * int(rng.integers(1, n // 2))
    estimate = trace(A, n, products=m, rng=seed)
    draws = np.random.default_rng(seed)
    S, G = (draws.choice([-1.0, 1.0], (n, m // 3)) for _ in range(2))
    Q = np.linalg.qr(A @ S)[0]
    rest = np.eye(n) - Q @ Q.T
    want = np.trace(Q.T @ A @ Q) + 3 / m * np.trace(G.T @ rest @ A @ rest @ G)
    assert estimate.value == pytest.approx(want, abs=1e-10 * n)


def test_it_is_unbiased_and_beats_hutchinson():
    """On 1/i^2 the mean of 200 runs is within 4 of its errors of the trace, and the error a tenth of Hutchinson's."""
    A = matrix(1.0 / np.arange(1, 101) ** 2, np.random.default_rng(0))
    runs = [trace(A, 100, products=30, rng=seed) for seed in range(200)]
    values = np.array([run.value for run in runs])
    errors = values - np.trace(A)
    assert abs(errors.mean()) <= 4 * errors.std() / np.sqrt(200)
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (200, 30, 100))
    hutchinson = np.einsum("rki,ij,rkj->r", signs, A, signs) / 30 - np.trace(A)
    assert errors.std() < 0.1 * hutchinson.std()
    assert np.median([run.standard_error for run in runs]) == pytest.approx(errors.std(), rel=0.5)


def test_products_are_counted():
    """30 products are 30 calls; a trace from few products of one probe has no error to give."""
    for products, made in (30, 30), (31, 30), (3, 3):
        calls = []
        estimate = trace(lambda v, calls=calls: calls.append(v) or np.arange(50) * v, 50, products=products, rng=0)
        assert len(calls) == made
        assert np.isnan(estimate.standard_error) == (made == 3)
    calls = []
    density(lambda v: calls.append(v) or np.arange(50) * v, 50, probes=3, iterations=7, rng=0)
    assert len(calls) == 21


# All three.


@pytest.mark.parametrize("find", FUNCTIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_precision(find, dtype):
    """A float32 operator is multiplied with float32 vectors; answers are near those of float64."""
    A = matrix(np.linspace(-1, 2, 30), np.random.default_rng(0)).astype(dtype)
    seen = []
    operator = refhf.krylov.symmetric_operator.SymmetricOperator(lambda v: seen.append(v.dtype) or A @ v, 30, dtype)
    options = {"smallest": 2} if find is lanczos else {}
    got, want = (find(B, 30, rng=0, **options) for B in (operator, A.astype(float)))
    assert set(seen) == {np.dtype(dtype)}
    number = {lanczos: lambda x: x.values[0], density: lambda x: x.trace(np.exp).value, trace: lambda x: x.value}[find]
    assert number(got) == pytest.approx(number(want), rel=1e-3)


@pytest.mark.parametrize("find", FUNCTIONS)
def test_reproducible(find):
    """The same rng gives the same bits, another one others."""
    A = matrix(np.random.default_rng(0).normal(size=40), np.random.default_rng(0))
    options = {lanczos: {"smallest": 2, "maxiter": 5}, density: {"iterations": 5}, trace: {}}[find]
    a, b, c = (str(find(A, 40, rng=seed, **options)[:3]) for seed in (3, 3, 4))
    assert a == b != c


def test_a_krylov_space_is_lanczos_own():
    """The nodes are the Ritz values of the iterates from the same start."""
    A = matrix(np.random.default_rng(0).normal(size=20), np.random.default_rng(0))
    v = np.random.default_rng(5).choice([-1.0, 1.0], 20)
    it, _ = advance(lanczos_iterates(A, 20, v), iteration_limit(6))
    found = density(A, 20, probes=1, iterations=6, rng=5)
    np.testing.assert_allclose(found.nodes[0], [it.pair(i).value for i in range(6)], atol=1e-12)
    np.testing.assert_allclose(found.weights[0], [it.pair(i).coefficients[0] ** 2 for i in range(6)], atol=1e-12)
    assert np.isnan(found.trace(np.exp).standard_error)


@pytest.mark.parametrize(
    ("find", "argument", "given"),
    [
        *((find, "A", {"A": np.ones((3, 4))}) for find in FUNCTIONS),
        *((find, "n", {"n": 0}) for find in FUNCTIONS),
        (lanczos, "smallest, largest", {"smallest": 0}),
        (lanczos, "smallest, largest", {"smallest": 2, "largest": 2}),
        (lanczos, "smallest", {"smallest": -1}),
        (lanczos, "largest", {"largest": 1.5}),
        (lanczos, "rtol", {"rtol": -1.0}),
        (lanczos, "maxiter", {"maxiter": 0}),
        (density, "probes", {"probes": 0}),
        (density, "iterations", {"iterations": 0}),
        (trace, "products", {"products": 2}),
    ],
)
def test_mistakes(find, argument, given):
    """A mistake is refused by the name of the argument."""
    default = {"smallest": 1} if find is lanczos else {}
    with pytest.raises(ValueError, match=f"^{argument}: expected .*got"):
        find(**{"A": np.eye(3), "n": 3, "rng": 0, **default, **given})
