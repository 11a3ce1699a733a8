"""Arnold and Wang: the inverse Hessian from the differences between replicas, the method, and how replicas meet."""

import tracemalloc
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import relative_error
from processes import mpiexec, needs_mpi

import refhf
from refhf.methods.replicas import replica_step
from refhf.methods.replicas.replica_step import READINGS
from refhf.methods.replicas.secants import Differences, inverse_hessian_product
from refhf.methods.report import Source
from refhf.parallel import run
from refhf.parallel.communication_volume import counted_replicas

METHOD = "replica-newton"


def with_spectrum(eigenvalues, rng):
    basis, _ = np.linalg.qr(rng.normal(size=(len(eigenvalues),) * 2))
    H = basis * eigenvalues @ basis.T
    return (H + H.T) / 2, basis


@st.composite
def quadratics(draw):
    """H (P, P) of either sign, W (P, M) whose differences have rank r, G = H W - b, and r."""
    size, replicas = draw(st.integers(1, 12)), draw(st.integers(2, 8))
    rank = draw(st.integers(1, min(size, replicas - 1)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    H, _ = with_spectrum(rng.choice([-1, 1], size) * rng.uniform(0.5, 5, size), rng)
    q, _ = np.linalg.qr(rng.normal(size=(size, rank)))
    v, _ = np.linalg.qr(rng.normal(size=(replicas, rank)))
    v -= v.mean(axis=0)
    W = rng.normal(size=(size, 1)) + q * rng.uniform(0.5, 2, rank) @ v.T
    rank = np.linalg.matrix_rank(W - W.mean(axis=1, keepdims=True), tol=1e-6)
    return H, W, H @ W - rng.normal(size=(size, 1)), rank, rng


def centred(x):
    return x - x.mean(axis=1, keepdims=True)


# The algebra.


@given(quadratics())
def test_exact_on_the_span_and_the_identity_on_its_complement(quadratic):
    """H^-1 (G c + z_perp) = H^-1 G c + z_perp on a quadratic, for every c and every z_perp orthogonal to G."""
    H, W, G, rank, rng = quadratic
    differences = centred(G)
    inside, other = differences @ rng.normal(size=G.shape[1]), rng.normal(size=len(W))
    outside = other - differences @ np.linalg.lstsq(differences, other, rcond=1e-9)[0]
    found = inverse_hessian_product(W, G, inside + outside)
    want = np.linalg.solve(H, inside) + outside
    assert np.linalg.norm(found.product - want) < 1e-10 * (np.linalg.norm(inside) + np.linalg.norm(outside))
    assert (found.rank, found.differences) == (rank, Differences.USED)
    assert found.asymmetry < 1e-10


@given(quadratics())
def test_eigenvalue_estimates(quadratic):
    """Ritz pairs: values within H's, each within its error of one, orthonormal vectors; 1/rate between them and ||H||.

    With as many differences as unknowns they are H's eigenvalues.
    """
    H, W, G, rank, rng = quadratic
    found, exact = inverse_hessian_product(W, G, rng.normal(size=len(W))), np.linalg.eigvalsh(H)
    values, vectors = found.eigenvalues, found.eigenvectors
    assert values.shape == (rank,)
    assert exact[0] - 1e-10 <= values[0] <= values[-1] <= exact[-1] + 1e-10
    for value, error in zip(values, found.errors, strict=True):
        assert abs(exact - value).min() <= error + 1e-10
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(rank), atol=1e-10)
    np.testing.assert_allclose(vectors.T @ H @ vectors, np.diag(values), atol=1e-9)
    assert abs(values).max() - 1e-10 <= 1 / found.learning_rate <= abs(exact).max() + 1e-10
    if rank == len(H):
        np.testing.assert_allclose(values, exact, atol=1e-9)
        assert found.errors.max() < 1e-9


def test_eigenvalues_of_an_invariant_span():
    """Replicas that differ along three eigenvectors show those three eigenpairs, and the largest as 1/rate."""
    rng = np.random.default_rng(0)
    H, basis = with_spectrum([-3.0, 0.5, 1, 2, 4, 9, 11], rng)
    W = rng.normal(size=(7, 1)) + basis[:, [0, 3, 5]] @ rng.normal(size=(3, 6))
    found = inverse_hessian_product(W, H @ W, rng.normal(size=7))
    np.testing.assert_allclose(found.eigenvalues, [-3, 2, 9], rtol=1e-12)
    np.testing.assert_allclose(abs(basis[:, [0, 3, 5]].T @ found.eigenvectors), np.eye(3), atol=1e-12)
    assert found.errors.max() < 1e-12
    assert found.learning_rate == pytest.approx(1 / 9, rel=1e-12)


@given(quadratics(), st.floats(0, 1))
def test_order_of_replicas(quadratic, noise):
    """Renumbering the replicas changes nothing, with noise in the gradients or without."""
    _, W, G, _, rng = quadratic
    G, z, order = G + noise * rng.normal(size=G.shape), rng.normal(size=len(W)), rng.permutation(W.shape[1])
    one, other = inverse_hessian_product(W, G, z), inverse_hessian_product(W[:, order], G[:, order], z)
    assert relative_error(other.product, one.product) < 1e-8
    assert other[1:3] == one[1:3]
    np.testing.assert_allclose(other.eigenvalues, one.eigenvalues, atol=1e-9)


def nothing_to_learn():
    rng = np.random.default_rng(0)
    w, noise = rng.normal(size=(9, 1)), rng.normal(size=(9, 5))
    scattered = w + rng.normal(size=(9, 5))
    yield "one", w, noise[:, :1], Differences.ONE_REPLICA
    yield "coinciding, own batches", np.repeat(w, 5, axis=1), noise, Differences.NO_SPREAD
    yield "coinciding at 0", np.zeros((9, 5)), noise, Differences.NO_SPREAD
    yield "coinciding to rounding", w * (1 + 2e-16 * np.arange(5)), noise, Differences.NO_SPREAD
    yield "one gradient", scattered, np.repeat(noise[:, :1], 5, axis=1), Differences.NO_CURVATURE
    yield "no gradient", scattered, np.zeros((9, 5)), Differences.NO_CURVATURE
    yield "one to rounding", scattered, 1e6 * noise[:, :1] + 1e-10 * rng.normal(size=(9, 5)), Differences.NO_CURVATURE


@pytest.mark.parametrize(
    ("name", "W", "G", "reason"), list(nothing_to_learn()), ids=lambda x: x if isinstance(x, str) else ""
)
def test_reasons_for_the_identity(name, W, G, reason):
    """One replica, coinciding ones (W = 0), or equal gradients: H^-1 z is z, bit for bit, and the reason is said."""
    z = np.random.default_rng(1).normal(size=9)
    found = inverse_hessian_product(W, G, z)
    np.testing.assert_array_equal(found.product, z)
    assert (found.differences, found.rank) == (reason, 0)
    assert np.isnan(found.learning_rate)


@pytest.mark.parametrize(("ratio", "rank"), [(1e-7, 2), (1e-9, 1)])
def test_what_is_below_half_the_digits_does_not_count(ratio, rank):
    """A difference, or a curvature, of less than eps^0.5 times the largest is no direction of the span."""
    W = np.array([[0, 1.0, 0, -1.0], [0, 0, 1, -1], [0, 0, 0, 0]])
    short, flat = np.diag([1, ratio, 1]), np.diag([1, ratio, 1])
    for w, H in (short @ W, np.diag([2.0, 3, 4])), (W, flat):
        assert inverse_hessian_product(w, H @ w, np.ones(3)).rank == rank


def test_gradients_that_differ_where_parameters_do_not():
    """W's differences of rank 2, G's of 4: the span is of 2, the identity elsewhere; noise is not erased."""
    rng = np.random.default_rng(0)
    W = rng.normal(size=(9, 1)) + rng.normal(size=(9, 2)) @ centred(rng.normal(size=(2, 5)))
    H, _ = with_spectrum(np.linspace(1, 3, 9), rng)
    G = H @ W + 0.1 * rng.normal(size=(9, 5))
    _, _, vt = np.linalg.svd(centred(W))
    z = rng.normal(size=9)
    found = inverse_hessian_product(W, G, z)
    pairs = centred(W) @ vt[:2].T, centred(G) @ vt[:2].T
    c = np.linalg.lstsq(pairs[1], z, rcond=None)[0]
    np.testing.assert_allclose(found.product, z - pairs[1] @ c + pairs[0] @ c, atol=1e-12)
    assert found.rank == 2
    q, r = np.linalg.qr(pairs[0])
    a = q.T @ pairs[1] @ np.linalg.inv(r)
    np.testing.assert_allclose(found.eigenvalues, np.linalg.eigvalsh((a + a.T) / 2), rtol=1e-12)
    assert found.asymmetry == pytest.approx(np.linalg.norm((a - a.T) / 2) / np.linalg.norm(a), rel=1e-9)
    assert found.asymmetry > 1e-3


def test_condition_is_not_squared():
    """Curvatures 1 and 1e-7: both are inverted, to 1e-7 in relative error, where G'G has lost the small one."""
    rng = np.random.default_rng(0)
    basis, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    W = basis[:, :2] @ np.array([[1.0, -1, 0], [1, 1, -2]])
    G = basis[:, :2] @ np.diag([1.0, 1e-7]) @ np.array([[1.0, -1, 0], [1, 1, -2]])
    found = inverse_hessian_product(W, G, basis[:, 1])
    assert found.rank == 2
    assert relative_error(found.product, 1e7 * basis[:, 1]) < 1e-7
    assert np.linalg.eigvalsh(G.T @ G)[1] < 1e-13  # of 2: three digits are left
    G = basis[:, :2] @ np.diag([1.0, 1e-9]) @ np.array([[1.0, -1, 0], [1, 1, -2]])
    assert inverse_hessian_product(W, G, basis[:, 1]).rank == 1  # beyond the rule's eps^0.5


def test_nothing_of_size_p_by_p():
    """P = 100,000 and M = 8 take a few matrices (P, 2 M + 3) of memory, and have an exact answer."""
    size, replicas = 100_000, 8
    rng = np.random.default_rng(0)
    curvature, W = rng.uniform(1, 2, (size, 1)), rng.normal(size=(size, replicas))
    G = curvature * W
    z = centred(G) @ rng.normal(size=replicas)
    tracemalloc.start()
    found = inverse_hessian_product(W, G, z)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6 * size * (2 * replicas + 3) * 8
    np.testing.assert_allclose(found.product, z / curvature[:, 0], rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((np.zeros((3, 0)), np.zeros((3, 0)), np.zeros(3)), ["W", "M >= 1", "(3, 0)"]),
        ((np.zeros((3, 2)), np.zeros((3, 4)), np.zeros(3)), ["G", "(3, 2)", "(3, 4)"]),
        ((np.zeros((3, 2)), np.zeros((3, 2)), np.zeros(2)), ["z", "(3,)", "(2,)"]),
        ((np.zeros(3), np.zeros(3), np.zeros(3)), ["W", "(any, any)", "(3,)"]),
        ((np.full((3, 2), np.nan), np.zeros((3, 2)), np.zeros(3)), ["W", "finite", "nan"]),
    ],
)
def test_bad_matrices(given, words):
    """Wrong shapes, no replicas, and NaN are each a ValueError that names the fault."""
    with pytest.raises(ValueError) as caught:
        inverse_hessian_product(*given)
    assert all(word in str(caught.value) for word in words), str(caught.value)


# The method.


def digits(cases=60, sizes=(6, 5, 3), **options):
    rng = np.random.default_rng(0)
    net = refhf.mlp(list(sizes))
    X, y = rng.normal(size=(cases, sizes[0])), rng.integers(sizes[-1], size=cases)
    return refhf.supervised(net, X, y, **options), net.init(rng=0)


def bowl(size=5, seed=0):
    rng = np.random.default_rng(seed)
    H, _ = with_spectrum(np.linspace(1, 4, size), rng)
    b = rng.normal(size=size)
    minimum = np.linalg.solve(H, b)
    return refhf.from_functions(lambda x: x @ H @ x / 2 - b @ x, lambda x: H @ x - b), H, minimum, rng.normal(size=size)


@pytest.mark.parametrize("reading", READINGS)
def test_a_quadratic_is_solved_in_one_step(reading):
    """P + 1 scattered replicas know all of H: at a rate of 1 one step ends at the minimum, from where they are."""
    f, _, minimum, start = bowl()
    options = {"replicas": 6, "reading": reading, "spread": 0.1, "learning_rate": 1.0}
    report = next(refhf.iterate(f, start, method=METHOD, rng=0, **options))
    np.testing.assert_allclose(report.theta, minimum, atol=1e-10)
    assert (report.detail.rank, report.detail.differences, report.source) == (
        5,
        Differences.USED,
        Source.REPLICAS,
    )
    assert report.smallest_eigenvalue == pytest.approx(1, rel=1e-8)


def test_one_replica_is_sgd():
    """M = 1 takes SGD's steps, bit for bit, and says why."""
    f, theta = digits()
    for batch, reading in (20, "own-batch"), (60, "own-batch"), (20, "same-batch"):
        options = {"rng": 3, "batch": batch, "learning_rate": 0.3}
        sgd = refhf.minimize(f, theta, "sgd", 5, **options)
        one = refhf.minimize(f, theta, METHOD, 5, replicas=1, reading=reading, **options)
        np.testing.assert_array_equal(one.x, sgd.x)
        assert [record["loss"] for record in one.history] == [record["loss"] for record in sgd.history]
        assert {record["differences"] for record in one.history} == {"one replica"}
        assert {record["source"] for record in one.history} == {"gradient"}


def test_replicas_that_coincide_are_sgd():
    """With nothing to part them all steps are the mean gradient's, and say why; with own steps only the first is."""
    f, theta = digits()
    first, second = islice(refhf.iterate(f, theta, method=METHOD, rng=3, batch=60, learning_rate=0.3), 2)
    assert (first.detail.differences, second.detail.differences) == (Differences.NO_SPREAD, Differences.USED)
    reports = list(islice(refhf.iterate(f, theta, method=METHOD, rng=3, batch=60, local_rate=0.0), 3))
    assert {report.detail.differences for report in reports} == {Differences.NO_SPREAD}
    for report in (first, reports[0]):
        g = (theta - report.theta) / report.step_length
        assert np.linalg.norm(g) == pytest.approx(report.gradient_norm, rel=1e-12)


def test_a_spread_is_a_norm():
    """Each replica is moved by a vector of norm `spread`, not the same one, before it takes its gradient."""
    f, H, minimum, start = bowl()
    options = replica_step.ReplicaOptions(True, spread=0.5, batch=1)
    told = [replica_step.replica(f, start, np.zeros(5), options, 0.1, np.random.default_rng(i)) for i in range(3)]
    np.testing.assert_allclose([np.linalg.norm(one.displacement) for one in told], 0.5, rtol=1e-14)
    assert abs(told[0].displacement @ told[1].displacement) < 0.24
    for one in told:
        np.testing.assert_allclose(one.gradient, H @ (start + one.displacement - minimum), atol=1e-12)


@pytest.mark.parametrize("topology", ["tree", "server"])
@pytest.mark.parametrize("reading", READINGS)
def test_the_loss_is_the_replicas_mean(topology, reading):
    """Replicas that stand at theta, each with all of f, have f's loss and its gradient there."""
    f, _, _, start = bowl()
    report = next(refhf.iterate(f, start, method=METHOD, topology=topology, reading=reading, rng=0))
    value, g = f.value_and_gradient(start)
    assert (report.loss, report.gradient_norm) == (pytest.approx(value), pytest.approx(np.linalg.norm(g)))
    assert report.detail.rank == (1 if reading == "pairs" else 0)
    rates = refhf.iterate(f, start, method=METHOD, topology=topology, reading=reading, learning_rate=lambda k: 0.1 / k)
    assert [next(rates).step_length for _ in range(2)] == [0.1, 0.05]


def test_a_longer_period_is_keyed_by_the_seed():
    """The same rng gives the same bits where replicas take mini-batches of their own between two meetings."""
    f, theta = digits()
    one, again, other = (refhf.minimize(f, theta, METHOD, 2, rng=rng, period=2, batch=20).x for rng in (5, 5, 6))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def test_a_period_is_of_a_replicas_own_steps():
    """With three gradients the first two move the replica, d <- d - beta g(theta + d), and the third is its column."""
    f, H, minimum, start = bowl()
    options = replica_step.ReplicaOptions(True, period=3, batch=1)
    told, d = replica_step.replica(f, start, np.zeros(5), options, 0.1, None), np.zeros(5)
    for _ in range(2):
        d = d - 0.1 * H @ (start + d - minimum)
    np.testing.assert_allclose(told.displacement, d, atol=1e-14)
    np.testing.assert_allclose(told.column, H @ (start + d - minimum), atol=1e-12)


def by_the_paper(f, theta, seed, steps, replicas, batch, alpha, reading):
    """The method a second time: the paper's last formula, from eigenpairs of G'G, with its own steps and readings."""
    d = np.zeros((theta.size, replicas))
    for k in range(1, steps + 1):
        rng = np.random.default_rng([int(np.random.default_rng(seed).integers(2**63)), k])
        minis = [f.sample(batch // replicas, rng=stream) for stream in (rng, *rng.spawn(replicas - 1))]
        at_theta = np.column_stack([mini.value_and_gradient(theta)[1] for mini in minis])
        d = d if reading == "own-batch" else -alpha * at_theta
        g = np.column_stack([mini.value_and_gradient(theta + d[:, m])[1] for m, mini in enumerate(minis)])
        W, G, z, start = centred(d), centred(g), g.mean(axis=1), theta + d.mean(axis=1)
        if reading != "own-batch":
            G, z, start = centred(g - at_theta), at_theta.mean(axis=1), theta
        if reading == "pairs":
            W, G = d, g - at_theta
        squares, V = np.linalg.eigh(G.T @ G)
        product, inside = np.zeros_like(z), np.zeros_like(z)
        for square, v in zip(squares, V.T, strict=True):
            if square > 1e-12 * squares[-1] and W.any():
                u = G @ v / np.linalg.norm(G @ v)
                product, inside = product + z @ u / np.sqrt(square) * W @ v, inside + z @ u * u
        theta = start - alpha * (z - inside + product)
        d = -alpha * centred(g)
    return theta


@pytest.mark.parametrize("reading", READINGS)
def test_the_method_is_the_papers_formula(reading):
    """Three steps on a network are those of the paper's formula, evaluated as it is printed."""
    f, theta = digits()
    want = by_the_paper(f, theta, 7, 3, replicas=3, batch=30, alpha=0.2, reading=reading)
    options = {"replicas": 3, "batch": 30, "learning_rate": 0.2, "reading": reading}
    got = refhf.minimize(f, theta, METHOD, 3, rng=7, **options).x
    assert relative_error(got, want) < 1e-9
    assert relative_error(refhf.minimize(f, theta, "sgd", 3, rng=7, batch=30, learning_rate=0.2).x, want) > 1e-3


def test_rates():
    """alpha is of z_perp, newton_rate of the span; 'estimated' is 1/sigma_max; local_rate is how far own steps go."""
    f, H, minimum, start = bowl()
    few = {"replicas": 3, "spread": 0.1, "rng": 0}
    steps = {
        (a, b): next(refhf.iterate(f, start, method=METHOD, learning_rate=a, newton_rate=b, **few)).theta
        for a, b in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (0.5, 0.2))
    }
    zero = steps[0.0, 0.0]
    perp, newton = zero - steps[1.0, 0.0], zero - steps[0.0, 1.0]
    np.testing.assert_allclose(perp + H @ newton, H @ (zero - minimum), atol=1e-10)
    assert abs(perp @ (H @ newton)) < 1e-10
    np.testing.assert_allclose(zero - steps[0.5, 0.2], 0.5 * perp + 0.2 * newton, atol=1e-10)
    all_of_h = next(refhf.iterate(f, start, method=METHOD, learning_rate="estimated", spread=0.1, replicas=6))
    assert all_of_h.step_length == pytest.approx(1 / 4, rel=1e-8)


@pytest.mark.parametrize(
    ("reading", "period", "gradients"), [("own-batch", 1, 4), ("same-batch", 3, 16), ("pairs", 1, 8)]
)
def test_counts(reading, period, gradients):
    """A replica takes `period` gradients a step on its share of the batch, one more where both are on its batch."""
    f, theta = digits()
    report = next(refhf.iterate(f, theta, method=METHOD, batch=20, reading=reading, period=period))
    assert (report.counts.gradient_evaluations, report.counts.value_evaluations, report.counts.curvature_products) == (
        gradients,
        0,
        0,
    )
    assert report.counts.epochs == pytest.approx(gradients * 5 / 60)


BAD_OPTIONS = [
    ({"replicas": 0}, ["replicas", ">= 1", "0"]),
    ({"replicas": 6, "batch": 5}, ["replicas", "the 5 cases of a batch", "6"]),
    ({"batch": 61}, ["batch", "<= 60", "61"]),
    ({"reading": "own"}, ["reading", "own-batch", "same-batch", "'own'"]),
    ({"topology": "ring"}, ["topology", "tree", "server", "'ring'"]),
    ({"period": 0}, ["period", ">= 1", "0"]),
    ({"spread": -1.0}, ["spread", "[0, inf]", "-1.0"]),
    ({"learning_rate": "fast"}, ["learning_rate", "'fast'"]),
    ({"local_rate": -1.0}, ["local_rate", "-1.0"]),
    ({"comm": 3}, ["comm", "communicator", "3"]),
]


@pytest.mark.parametrize(("options", "words"), BAD_OPTIONS)
def test_bad_options(options, words):
    """A caller's mistake is a ValueError that names argument, expected and actual, before any work."""
    f, theta = digits()
    f.value_and_gradient = None
    with pytest.raises(ValueError) as caught:
        refhf.iterate(f, theta, method=METHOD, **options)
    assert all(word in str(caught.value) for word in words), str(caught.value)


# How replicas meet.

MEETINGS = {
    "own-batch": {"reading": "own-batch"},
    "same-batch": {"reading": "same-batch", "period": 2},
    "pairs": {"reading": "pairs"},
    "scattered": {"spread": 0.1, "learning_rate": "estimated", "newton_rate": 1.0},
}


def trained(comm=None, topology="tree", **options):
    f, theta = digits()
    given = {"batch": 40, "replicas": 4, "learning_rate": 0.1, **options}
    return refhf.minimize(f, theta, METHOD, 4, rng=0, comm=comm, topology=topology, **given)


@pytest.mark.parametrize("meeting", MEETINGS)
def test_topologies_are_equal(meeting):
    """Server and tree, alone, on 2 ranks and with a replica a rank: one theta, and the same bits on all ranks."""
    alone = trained(**MEETINGS[meeting])
    assert alone.history[-1]["communications"] == 0
    reading = MEETINGS[meeting].get("reading", "own-batch")
    for topology in "tree", "server":
        assert relative_error(trained(topology=topology, **MEETINGS[meeting]).x, alone.x) < 1e-12
        for ranks in 2, 4:
            results = run(ranks, lambda comm, t=topology: trained(comm, t, **MEETINGS[meeting]))
            for result in results:
                np.testing.assert_array_equal(result.x, results[0].x)
                assert [r["differences"] for r in result.history] == [r["differences"] for r in alone.history]
                assert result.history[-1]["loss"] == pytest.approx(alone.history[-1]["loss"], rel=1e-12)
            assert relative_error(results[0].x, alone.x) < 1e-12
            calls, numbers = counted_replicas(53, 4, ranks, topology, reading)
            for k, record in enumerate(results[0].history, start=1):
                assert (record["communications"], record["bytes_communicated"]) == (k * calls, k * 8 * numbers)


def test_a_tree_moves_the_same_whatever_m():
    """With a replica a rank, what a rank receives does not grow with M in the tree, but for M^3; the server's does."""
    tree, server = (
        [counted_replicas(10**6, m, m, topology).numbers / 10**6 for m in (2, 4, 8)] for topology in ("tree", "server")
    )
    np.testing.assert_allclose(tree, [4, 4, 4], rtol=1e-3)
    np.testing.assert_allclose(server, [6, 10, 18], rtol=1e-3)


def test_ranks_end_together():
    """A NaN on one rank's batch ends the run on all of them; starts that differ are refused on all."""
    f, theta = digits()

    def on_ranks(comm):
        if comm.rank == 1:
            f_bad, _ = digits()
            f_bad.X[:] = np.inf
        mine = f if comm.rank != 1 else f_bad
        return refhf.minimize(mine, theta, METHOD, 3, rng=0, replicas=3, comm=comm)

    for result in run(3, on_ranks):
        assert (result.nit, result.success, result.history[0]["outcome"]) == (1, False, "non finite")
        np.testing.assert_array_equal(result.x, theta)
    with pytest.raises(ValueError, match="the same theta0"):
        run(2, lambda comm: refhf.iterate(f, theta + comm.rank, method=METHOD, comm=comm))


def test_ranks_share_cases_or_replicas():
    """Both at once, or replicas that do not divide into ranks, are refused."""

    def both(comm):
        f, theta = digits(comm=comm)
        refhf.iterate(f, theta, method=METHOD, comm=comm)

    with pytest.raises(ValueError, match="of one process"):
        run(2, both)
    with pytest.raises(ValueError, match="a multiple of the 3 ranks"):
        run(3, trained)


def test_ranks_may_share_the_cases():
    """Over an objective whose cases are shared, all replicas are on every rank: the same theta as alone."""

    def shared(comm):
        f, theta = digits()
        rows = slice(20 * comm.rank, 20 * comm.rank + 20)
        f = refhf.supervised(f.net, f.X[rows], f.y[rows], comm=comm)
        return refhf.minimize(f, theta, METHOD, 4, rng=0, batch=40, learning_rate=0.1).x

    for x in run(3, shared):
        assert relative_error(x, trained().x) < 1e-10


@needs_mpi
def test_processes():
    """Under mpiexec, a replica a process, server and tree give what one process gives."""
    code = (
        "import numpy as np, test_replica_newton as t; from refhf.parallel import mpi; comm = mpi()\n"
        "errors = [np.linalg.norm(t.trained(comm, how).x - t.trained().x) for how in ('tree', 'server')]\n"
        "worst = comm.gather(np.array([max(errors)]))\n"
        "if comm.rank == 0: print(len(worst), np.max(worst) < 1e-12)"
    )
    status, out, err, _ = mpiexec(4, "-c", code, PYTHONPATH=str(Path(__file__).parent))
    assert (status, out.split()) == (0, ["4", "True"]), err
