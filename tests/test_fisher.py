"""objective.fisher: the empirical one against explicit gradients of cases, the drawn one against G; streams, ranks."""

import numpy as np
import pytest
import strategies
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import relative_error, sizes
from test_dual_solve import posed
from test_jacobian import dense

import refhf
from refhf.model import network
from refhf.model.losses import LOSSES, over_positions
from refhf.objective.fisher import UniformDraws, drawn_targets
from refhf.parallel import run, shard
from refhf.torch_modules.scaled_losses import scaled

REPEATED, SEEDS = 100, 40  # draws of each case
NAMES = ["dense", "layer norm", "residual", "attention, tied embedding"]


def each_gradient(objective, theta):
    """The gradients (B, P) of single cases, without weight decay."""
    net, rows = objective.net, [slice(i, i + 1) for i in range(objective.cases)]
    return np.stack([network.loss_and_gradient(net, theta, objective.X[r], objective.y[r])[1] for r in rows])


@settings(max_examples=30)
@given(st.one_of(strategies.problems(depth=3, width=8), strategies.image_problems(depth=2, side=5)), st.integers(1, 40))
def test_the_empirical_one_is_made_of_gradients_of_cases(problem, chunk_size):
    """F v is the mean of g_i (g_i'v) plus l2 v, whatever the chunks."""
    options = {"l2": problem.objective.l2, "chunk_size": chunk_size}
    matrix = refhf.supervised(problem.net, problem.X, problem.y, **options).fisher(problem.theta)
    g = each_gradient(problem.objective, problem.theta)
    want = g.T @ (g @ problem.v) / len(g) + problem.objective.l2 * problem.v
    assert relative_error(matrix @ problem.v, want, sizes(problem).squares * np.linalg.norm(problem.v)) < 1e-12


@pytest.mark.parametrize("kind", ["mean", "sum"])
@pytest.mark.parametrize("name", NAMES)
def test_its_diagonal_is_that_of_the_squares(name, kind):
    """diag F = `gradient_squares`, of sequences and tied weights too, and F is symmetric and has B directions."""
    objective, theta = posed(name, l2=0.01, reduction_of_cases=kind)
    matrix = dense(objective.fisher(theta))
    np.testing.assert_allclose(np.diag(matrix), objective.gradient_squares(theta), rtol=1e-11, atol=1e-15)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-13)
    above = np.linalg.eigvalsh(matrix - 0.01 * np.eye(theta.size)) > 1e-10
    assert 1 <= above.sum() <= objective.cases


def test_it_is_not_the_gauss_newton_matrix():
    """Where every residual is zero F is zero and G is not (Kunstner et al. 2019, section 3)."""
    net, rng = refhf.mlp([3, 4, 2], loss="squared_error"), np.random.default_rng(0)
    theta, X = net.init(rng), rng.standard_normal((5, 3))
    objective = refhf.supervised(net, X, net.predict(theta, X))
    v = rng.standard_normal(net.size)
    assert not (objective.fisher(theta) @ v).any()
    assert v @ (objective.gauss_newton(theta) @ v) > 0
    assert v @ (objective.fisher(theta, "monte-carlo", rng=0) @ v) > 0


def drawable(name, loss):
    """A small objective at a point where no distribution is flat."""
    if name.endswith("sequences"):
        net = refhf.transformer(4, 3, 4, 2, 1)
        X, y = np.random.default_rng(0).integers(4, size=(2, 4, 3))
    else:
        net = refhf.mlp([3, 3, 2], loss=loss)
        X, y = np.random.default_rng(0).standard_normal((4, 3)), np.eye(2)[[0, 1, 0, 0]]
    factor = 0.25 if name == "scaled" else 1.0  # as a mean over outputs gives it
    if name == "scaled sequences":
        net = net._replace(loss=over_positions(scaled(LOSSES[loss], 0.25)))
    net = net._replace(loss=scaled(net.loss, factor))
    X, y = (np.tile(x, (REPEATED,) + (1,) * (x.ndim - 1)) for x in (X, y))
    return refhf.supervised(net, X, y, l2=0.1), net.init(1) + 0.5


@pytest.mark.parametrize(
    ("name", "loss"),
    [*(("rows", loss) for loss in LOSSES), ("scaled", "squared_error"), ("scaled", "logistic_cross_entropy"),
     ("sequences", "softmax_cross_entropy"), ("scaled sequences", "softmax_cross_entropy")],
)  # fmt: skip
def test_the_mean_over_draws_is_the_gauss_newton_matrix(name, loss):
    """v'F v of 4,000 draws has the mean v'G v, to 5 of its standard errors, which are small against v'G v."""
    objective, theta = drawable(name, loss)
    v = np.random.default_rng(5).standard_normal(theta.size)
    drawn = np.array([v @ (objective.fisher(theta, "monte-carlo", rng=s) @ v) for s in range(SEEDS)])
    want, error = v @ (objective.gauss_newton(theta) @ v), drawn.std(ddof=1) / np.sqrt(SEEDS)
    assert 0 < error < 0.05 * want
    assert abs(drawn.mean() - want) < 5 * error


@pytest.mark.parametrize("name", NAMES)
def test_one_draw_is_the_empirical_one_of_the_drawn_labels(name):
    """With the labels that it draws put into the data, F is theirs, times the positions of a sequence."""
    objective, theta = posed(name, l2=0.1)
    net, z = objective.net, network.forward(objective.net, theta, objective.X, order=0)[0]
    positions = int(np.prod(z.shape[1:-1]))
    seed = int(np.random.default_rng(7).integers(2**63))
    numbers = z[0].size // (z.shape[-1] if net.loss.labels else 1)
    uniform = np.random.default_rng(np.random.PCG64(seed)).random((len(z), numbers))
    labelled = refhf.supervised(net, objective.X, drawn_targets(net.loss, z, uniform), l2=0.1)
    v = np.random.default_rng(0).standard_normal(theta.size)
    got, want = objective.fisher(theta, "monte-carlo", rng=7) @ v, labelled.fisher(theta) @ v
    assert relative_error(got - 0.1 * v, positions * (want - 0.1 * v)) < 1e-12


def test_labels_have_the_networks_distribution():
    """Class frequencies are softmax(z), ones are logistic(z), and z + noise has mean z and variance 1: 5 sigma."""
    n, rng = 20_000, np.random.default_rng(0)
    z = np.tile([0.5, -1.0, 2.0, -40.0], (n, 1))
    sequence = np.broadcast_to(z[:, None], (n, 2, 4))
    for loss, outputs, numbers in (
        (LOSSES["softmax_cross_entropy"], z, 1),
        (over_positions(LOSSES["softmax_cross_entropy"]), sequence, 2),
    ):
        labels = drawn_targets(loss, outputs, rng.random((n, numbers)))
        assert labels.shape == outputs.shape[:-1]
        p = np.exp(z[0]) / np.exp(z[0]).sum()
        counts = np.bincount(labels.ravel(), minlength=4) / labels.size
        assert (abs(counts - p) <= 5 * np.sqrt(p / labels.size)).all()
    ones = drawn_targets(LOSSES["logistic_cross_entropy"], z, rng.random((n, 4)))
    p = 1 / (1 + np.exp(-z[0]))
    assert (abs(ones.mean(0) - p) <= 5 * np.sqrt(p / n)).all()
    noise = drawn_targets(LOSSES["squared_error"], z, rng.random((n, 4))) - z
    assert (abs(noise.mean(0)) < 5 / np.sqrt(n)).all()
    assert (abs((noise**2).mean(0) - 1) < 5 * np.sqrt(2 / n)).all()
    extremes = np.array([[0.0, 1 - 2.0**-53]])
    assert np.isfinite(drawn_targets(LOSSES["squared_error"], z[:1, :2], extremes)).all()
    sure = drawn_targets(LOSSES["softmax_cross_entropy"], np.array([[-800.0, 0, -800]] * 2), extremes.T)
    np.testing.assert_array_equal(sure, 1)
    last = drawn_targets(
        LOSSES["softmax_cross_entropy"], rng.standard_normal((500, 9)), np.full((500, 1), extremes[0, 1])
    )
    assert last.max() == 8  # although the probabilities sum to less than 1 in some rows


@given(st.integers(0, 2**63 - 1), st.integers(0, 50), st.integers(1, 5), st.integers(0, 20), st.integers(0, 20))
def test_a_case_has_its_own_numbers(seed, first, numbers, start, length):
    """A case's uniform numbers depend on its number alone: rows of a later first are rows of the whole."""
    whole = UniformDraws(seed, 0, numbers)[slice(0, first + start + length)]
    part = UniformDraws(seed, first, numbers)[slice(start, start + length)]
    np.testing.assert_array_equal(part, whole[first + start :])


@pytest.mark.parametrize("name", NAMES)
def test_chunks_do_not_change_the_labels(name):
    """One seed is one matrix for every chunk size; a Generator of that seed gives it too, another seed does not."""
    v = np.random.default_rng(0).standard_normal(posed(name)[1].size)
    got = []
    for chunk_size in 1, 4, None:
        objective, theta = posed(name, chunk_size=chunk_size)
        matrix = objective.fisher(theta, "monte-carlo", rng=3)
        np.testing.assert_array_equal(matrix @ v, matrix @ v)
        got += [matrix @ v, objective.fisher(theta, "monte-carlo", rng=np.random.default_rng(3)) @ v]
    for other in got:
        np.testing.assert_allclose(other, got[0], rtol=1e-10, atol=1e-13)
    assert not np.allclose(objective.fisher(theta, "monte-carlo", rng=4) @ v, got[0], rtol=1e-3)


@pytest.mark.parametrize("kind", ["empirical", "monte-carlo"])
def test_ranks_do_not_change_it(kind):
    """1 to 4 ranks have the same F to rounding, and to the bit under 'reproducible'; a mini-batch has one too."""
    whole, theta = posed("dense")
    rng = None if kind == "empirical" else 11
    v = np.random.default_rng(0).standard_normal(theta.size)

    def on_rank(comm, reduction):
        rows = shard(10, comm.rank, comm.size, reduction)
        objective = refhf.supervised(
            whole.net, whole.X[rows], whole.y[rows], l2=0.1, comm=comm, reduction=reduction
        )  # fmt: skip
        batch = objective.sample(6, rng=2)
        return np.stack([one.fisher(theta, kind, rng=rng) @ v for one in (objective, batch)])

    for reduction in "fast", "reproducible":
        first, *others = (x for ranks in (1, 2, 3, 4) for x in run(ranks, lambda comm, r=reduction: on_rank(comm, r)))
        for other in others:
            if reduction == "reproducible":
                np.testing.assert_array_equal(other, first)
            np.testing.assert_allclose(other, first, rtol=1e-12, atol=1e-14)


def test_ranks_with_other_seeds_are_found_out():
    """Ranks that draw from different seeds get an error, not labels of two streams."""
    whole, theta = posed("dense")

    def on_rank(comm):
        rows = shard(10, comm.rank, comm.size)
        objective = refhf.supervised(whole.net, whole.X[rows], whole.y[rows], comm=comm)
        return objective.fisher(theta, "monte-carlo", rng=comm.rank) @ theta

    with pytest.raises(RuntimeError, match="ranks: expected the same theta, vector and mini-batch"):
        run(2, on_rank)


def test_coupled_cases_are_refused():
    """Batch normalisation over groups has no gradient of a case; with frozen statistics there is one."""
    objective, theta = posed("batch norm, groups of 4")
    for kind in "empirical", "monte-carlo":
        with pytest.raises(ValueError, match="net: expected no batch normalisation, which couples the cases"):
            objective.fisher(theta, kind)
    frozen, _ = posed("batch norm, groups of 4", curvature_statistics="frozen")
    held = objective.frozen(objective.statistics(theta))
    g, v = each_gradient(held, theta), np.ones(theta.size)
    np.testing.assert_allclose(frozen.fisher(theta) @ v, g.T @ (g @ v) / len(g), rtol=1e-11, atol=1e-14)
    np.testing.assert_array_equal(
        frozen.fisher(theta, "monte-carlo", rng=1) @ v, held.fisher(theta, "monte-carlo", rng=1) @ v
    )


@pytest.mark.parametrize("kind", ["empirical", "monte-carlo"])
def test_single_precision(kind):
    """float32 gives float32 numbers near float64's."""
    rng = None if kind == "empirical" else 1
    (single, theta), (double, _) = posed("dense", dtype="float32"), posed("dense")
    got = single.fisher(theta, kind, rng=rng) @ np.ones(theta.size)
    assert got.dtype == np.float32
    assert relative_error(got, double.fisher(theta.astype(float), kind, rng=rng) @ np.ones(theta.size)) < 1e-4


def test_mistakes():
    """A wrong theta or kind, and an rng that nothing draws from, are one line each."""
    objective, theta = posed("dense")
    with pytest.raises(ValueError, match="^theta: expected"):
        objective.fisher(theta[1:])
    with pytest.raises(ValueError, match="^kind: expected .*did you mean 'monte-carlo'"):
        objective.fisher(theta, "montecarlo")
    with pytest.raises(ValueError, match="^rng: expected None for kind 'empirical', which draws nothing; got 3"):
        objective.fisher(theta, rng=3)
