"""Batch normalisation in objectives: groups of cases over chunks, ranks and mini-batches, and prediction; sequences."""

import numpy as np
import pytest

import refhf
from refhf.model import network
from refhf.parallel import run, shard

GROUP, CASES = 4, 27  # six groups and a rest of three
ROWS = {
    1: [slice(0, 27)],
    2: [slice(0, 4), slice(4, 27)],
    3: [slice(0, 12), slice(12, 12), slice(12, 27)],
    4: [slice(0, 8), slice(8, 12), slice(12, 24), slice(24, 27)],
}


@pytest.fixture(scope="module")
def problem():
    """A small residual network with batch normalisation over groups of 4, its cases, a point and a direction."""
    rng = np.random.default_rng(0)
    net = refhf.resnet((4, 4, 2), depth=8, width=2, classes=3, group=GROUP, nonlinearity="silu")
    X, y = rng.standard_normal((CASES, 4, 4, 2)), rng.integers(0, 3, CASES)
    theta = net.init(rng) + 0.1 * rng.standard_normal(net.size)
    return net, X, y, theta, rng.standard_normal(net.size)


def quantities(objective, theta, v):
    """f, g, H v, G v and the statistics, joined."""
    f, g = objective.value_and_gradient(theta)
    statistics = [x.ravel() for x in objective.statistics(theta)]
    return np.concatenate(
        [[f, objective.value(theta)], g, objective.hessian(theta) @ v, objective.gauss_newton(theta) @ v, *statistics]
    )


def by_groups(problem):
    """The same from each group alone: a network of one group knows nothing of others."""
    net, X, y, theta, v = problem
    total = 0
    for start in range(0, CASES, GROUP):
        rows = slice(start, start + GROUP)
        f, g = network.loss_and_gradient(net, theta, X[rows], y[rows])
        products = [
            make(net, theta, X[rows], y[rows])(v) for make in (network.hessian_product, network.gauss_newton_product)
        ]
        total = total + np.concatenate([[f, f], g, *products, network.batch_statistics(net, theta, X[rows])])
    return total / CASES


@pytest.mark.parametrize("chunk_size", [1, 4, 7, 12, 64])
def test_chunks_do_not_change_the_groups(problem, chunk_size):
    """f, g, H v, G v and the statistics are the sums over the groups whatever the chunks; the rest is a group."""
    net, X, y, theta, v = problem
    got = quantities(refhf.supervised(net, X, y, chunk_size=chunk_size), theta, v)
    np.testing.assert_allclose(got, by_groups(problem), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_ranks_do_not_change_the_groups(problem, ranks):
    """The same for shards of unequal size, one of which is empty."""
    net, X, y, theta, v = problem

    def on_rank(comm):
        rows = ROWS[ranks][comm.rank]
        return quantities(refhf.supervised(net, X[rows], y[rows], comm=comm), theta, v)

    for got in run(ranks, on_rank):
        np.testing.assert_allclose(got, by_groups(problem), rtol=1e-11, atol=1e-12)


def test_ranks_have_the_same_bits(problem):
    """Under 'reproducible' 1 to 4 ranks have the same bits, for all cases and for a mini-batch."""
    net, X, y, theta, v = problem

    def on_rank(comm):
        rows = shard(CASES, comm.rank, comm.size, "reproducible", GROUP)
        objective = refhf.supervised(net, X[rows], y[rows], comm=comm, reduction="reproducible")
        batch = objective.sample(12, rng=3)
        return np.concatenate([quantities(objective, theta, v), quantities(batch, theta, v)])

    first, *others = (x for ranks in (1, 2, 3, 4) for x in run(ranks, on_rank))
    for other in others:
        np.testing.assert_array_equal(other, first)


def test_a_mini_batch_is_made_of_whole_groups(problem):
    """A sample's value is the mean of its groups' values, each group as it is among all cases."""
    net, X, y, theta, _ = problem
    objective = refhf.supervised(net, X, y)
    batch = objective.sample(8, rng=1)
    starts = [int(np.flatnonzero((row == X).all(axis=(1, 2, 3)))[0]) for row in batch.X.reshape(8, 4, 4, 2)[::GROUP]]
    assert all(start % GROUP == 0 for start in starts)
    values = [refhf.supervised(net, X[s : s + GROUP], y[s : s + GROUP]).value(theta) for s in starts]
    assert batch.value(theta) == pytest.approx(np.mean(values), rel=1e-12)
    assert objective.sample(CASES) is objective
    with pytest.raises(ValueError, match="cases: expected a multiple of 4, the group of batch normalisation; got 6"):
        objective.sample(6)


def test_shards_that_part_a_group_are_refused(problem):
    """A shard that begins within a group names the rows where one may begin."""
    net, X, y, *_ = problem

    def on_rank(comm):
        rows = slice(0, 6) if comm.rank == 0 else slice(6, CASES)
        refhf.supervised(net, X[rows], y[rows], comm=comm)

    with pytest.raises(ValueError, match=r"begin at one of the rows 0, 4, 8, .* groups of 4 cases .*begins at 6"):
        run(2, on_rank)


def test_prediction_uses_the_training_statistics(problem):
    """Means and m / (m - 1) sigma^2 averaged over the groups (Algorithm 2) normalise; a case's answer is its own."""
    net, X, y, theta, v = problem
    objective = refhf.supervised(net, X[:24], y[:24])
    statistics = objective.statistics(theta)
    first = net.chain.blocks[0].forward(net.unpack(theta)[0], X[:24])[0].reshape(6, -1, 2)
    np.testing.assert_allclose(statistics[0], [first.mean((0, 1)), first.var(1, ddof=1).mean(0)], rtol=1e-12)
    frozen = net.frozen(statistics)
    together = objective.predict(theta, X)
    np.testing.assert_array_equal(together, frozen.predict(theta, X))
    np.testing.assert_allclose([frozen.predict(theta, x) for x in X], together, rtol=1e-9)
    exact = refhf.supervised(frozen, X, y)
    curvature = v @ (exact.hessian(theta) @ v)
    along = [exact.value_and_gradient(theta + t * v)[1] @ v for t in (1e-5, -1e-5)]
    assert curvature == pytest.approx((along[0] - along[1]) / 2e-5, rel=1e-6)
    with pytest.raises(ValueError, match="net: expected no batch normalisation over groups; predict by net.frozen"):
        net.predict(theta, X)
    with pytest.raises(ValueError, match="statistics: expected shapes"):
        net.frozen(statistics[1:])


def test_curvature_with_frozen_statistics(problem):
    """curvature_statistics='frozen' gives H and G of the network frozen at theta's own statistics; f and g stay."""
    net, X, y, theta, v = problem
    objective, plain = (refhf.supervised(net, X, y, curvature_statistics=kind) for kind in ("frozen", "groups"))
    frozen = plain.frozen(plain.statistics(theta))
    np.testing.assert_array_equal(objective.value_and_gradient(theta)[1], plain.value_and_gradient(theta)[1])
    alone = refhf.supervised(frozen.net, X, y)  # in which no cases belong together; here the last three are a rest
    for name in ("hessian", "gauss_newton"):
        np.testing.assert_array_equal(getattr(objective, name)(theta) @ v, getattr(frozen, name)(theta) @ v)
        np.testing.assert_allclose(getattr(objective, name)(theta) @ v, getattr(alone, name)(theta) @ v, rtol=1e-10)
        assert not np.allclose(getattr(objective, name)(theta) @ v, getattr(plain, name)(theta) @ v, rtol=1e-3)


def test_no_case_has_a_gradient_of_its_own(problem):
    """Squared gradients of cases are refused, and so are the methods that need them, by one line."""
    net, X, y, theta, _ = problem
    objective = refhf.supervised(net, X, y)
    assert "gradient-squares" not in objective.curvatures
    with pytest.raises(ValueError, match="net: expected no batch normalisation, which couples the cases"):
        objective.gradient_squares(theta)
    with pytest.raises(ValueError, match="gradient-squares"):
        refhf.minimize(objective, theta, method="gn-cg", steps=1, preconditioner=True)


@pytest.mark.parametrize("ranks", [1, 3])
def test_the_summed_loss(ranks):
    """reduction_of_cases='sum' multiplies f, g, H and G by the number of cases, in mini-batches too."""
    rng = np.random.default_rng(0)
    net, X, y = refhf.mlp([3, 4, 2]), rng.standard_normal((10, 3)), rng.integers(0, 2, 10)
    theta, v = net.init(0), rng.standard_normal(net.size)

    def on_rank(comm):
        rows = shard(10, comm.rank, comm.size)
        return [
            (quantities(whole, theta, v), quantities(whole.sample(4, rng=0), theta, v), whole.gradient_squares(theta))
            for kind in ("sum", "mean")
            for whole in [refhf.supervised(net, X[rows], y[rows], comm=comm, reduction_of_cases=kind)]
        ]

    for summed, mean in run(ranks, on_rank):
        for total, average in zip(summed, mean, strict=True):
            np.testing.assert_allclose(total, 10 * average, rtol=1e-12)


# --- Sequences


@pytest.fixture(scope="module")
def sequences():
    rng = np.random.default_rng(1)
    net = refhf.transformer(vocabulary=7, context=5, width=8, heads=2, depth=1)
    return net, *rng.integers(0, 7, (2, 9, 5)), net.init(0), rng.standard_normal(net.size)


def test_sequences_have_an_objective(sequences):
    """f is the mean over cases and positions; `error` counts positions; float32 stays float32; ranks agree."""
    net, X, y, theta, v = sequences
    objective = refhf.supervised(net, X, y)
    p = objective.predict(theta, X)
    truth = np.take_along_axis(p, y[..., None], axis=2)
    assert objective.value(theta) == pytest.approx(-np.log(truth).mean())
    assert objective.error(theta) == pytest.approx((p.argmax(axis=2) != y).mean())
    narrow = refhf.supervised(net, X, y, dtype="float32")
    assert narrow.value_and_gradient(theta)[1].dtype == (narrow.hessian(theta) @ v).dtype == np.float32
    want = quantities(objective, theta, v)

    def on_rank(comm):
        rows = shard(9, comm.rank, comm.size)
        return quantities(refhf.supervised(net, X[rows], y[rows], comm=comm), theta, v)

    for got in run(3, on_rank):
        np.testing.assert_allclose(got, want, rtol=1e-11, atol=1e-13)


def test_a_transformer_trains(sequences):
    """gn-cg lowers the loss of every step it accepts, far below that of the start."""
    net, X, y, theta, _ = sequences
    result = refhf.minimize(refhf.supervised(net, X, y), theta, method="gn-cg", steps=12, rng=0)
    assert result.fun < 0.5 * np.log(7)


@pytest.mark.parametrize(
    ("X", "y", "words"),
    [
        ([[0, 1, 2, 3, 7]], [[0] * 5], r"X: expected tokens in 0 \.\. 6; got 7"),
        ([[0, 1, 2, 3, -1]], [[0] * 5], r"X: expected tokens in 0 \.\. 6; got -1"),
        ([[0.5, 1, 2, 3, 4]], [[0] * 5], "X: expected integer tokens; got fractions of float64"),
        ([[0] * 6], [[0] * 5], r"X \(rows of tokens\): expected an array of shape \(any, 5\); got shape \(1, 6\)"),
        ([[0] * 5], [[0] * 6], r"y: expected labels of shape \(1, 5\); got shape \(1, 6\)"),
        ([[0] * 5], [[9] * 5], r"y: expected labels in 0 \.\. 6; got 9"),
    ],
)
def test_bad_tokens_are_refused(sequences, X, y, words):
    """One line before any work."""
    with pytest.raises(ValueError, match=words):
        refhf.supervised(sequences[0], np.array(X), np.array(y))
