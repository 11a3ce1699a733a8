"""refhf.gauss_newton_solve: (G + lambda I) d = b by its dual, against dense matrices and conjugate gradients."""

import numpy as np
import pytest
import strategies
from hypothesis import given, settings
from hypothesis import strategies as st

import refhf
from refhf.objective import dual_solve
from refhf.objective.dual_solve import down, gauss_newton_solve, gram, linearised_outputs, up
from refhf.parallel import run, shard

DAMPINGS = [1e-6, 1e-2, 1.0, 100.0]


def dense(objective, theta):
    """G (P, P) by products with the identity."""
    G = objective.gauss_newton(theta)
    return np.stack([G @ e for e in np.eye(theta.size, dtype=objective.dtype)], axis=1).astype(float)


def residual(objective, theta, damping, d, b):
    """||(G + lambda I) d - b|| over the size of its terms."""
    G = dense(objective, theta)
    return np.linalg.norm(G @ d + damping * d - b) / (
        np.linalg.norm(b) + (np.linalg.norm(G, 2) + damping) * np.linalg.norm(d)
    )


@given(
    st.one_of(strategies.problems(depth=3, width=8), strategies.image_problems(depth=2, side=5)),
    st.sampled_from(DAMPINGS),
    st.booleans(),
)
def test_the_system_is_solved(problem, damping, steepest):
    """For networks of dense and of convolution layers, every loss, with b and with -g, whichever side is smaller."""
    objective, theta = problem.objective, problem.theta
    b = -objective.value_and_gradient(theta)[1] if steepest else problem.v
    d = gauss_newton_solve(objective, theta, damping, None if steepest else b)
    assert d.dtype == objective.dtype
    assert residual(objective, theta, damping, d, b) <= 1e-13
    matrix = dense(objective, theta) + damping * np.eye(theta.size)
    want = np.linalg.solve(matrix, b)
    np.testing.assert_allclose(d, want, rtol=0, atol=1e-13 * np.linalg.cond(matrix) * np.linalg.norm(want))


@settings(max_examples=30)
@given(strategies.problems(depth=3, width=8), st.sampled_from([1e-2, 1.0]))
def test_it_is_what_conjugate_gradients_converge_to(problem, damping):
    """cg to 1e-12 on G + lambda I has the same solution."""
    objective, theta = problem.objective, problem.theta
    b, G = -objective.value_and_gradient(theta)[1], objective.gauss_newton(theta)
    x, info = refhf.cg(lambda v: G @ v + damping * v, b, rtol=1e-12)
    if info == 0:
        d = gauss_newton_solve(objective, theta, damping)
        assert np.linalg.norm(d - x) <= 1e-11 * np.linalg.norm(b) / (damping + objective.l2)


def tokens(rng):
    return rng.integers(5, size=(3, 4)), rng.integers(5, size=(3, 4))


NETWORKS = {
    "dense": (lambda: refhf.mlp([6, 9, 7, 3]), None),
    "no biases": (
        lambda: refhf.chain([refhf.dense(6, 9, bias=False), refhf.elementwise("tanh"), refhf.dense(9, 3)]),
        None,
    ),
    "layer norm": (
        lambda: refhf.chain(
            [refhf.dense(6, 8), refhf.layer_norm(8), refhf.elementwise("gelu"), refhf.dense(8, 3)],
            loss="softmax_cross_entropy",
        ),
        None,
    ),
    "residual": (
        lambda: refhf.chain(
            [refhf.residual([refhf.dense(6, 6), refhf.elementwise("tanh")]), refhf.dense(6, 3)], shape=(6,)
        ),
        None,
    ),
    "batch norm, groups of 4": (
        lambda: refhf.chain([refhf.dense(6, 8), refhf.batch_norm(8, group=4), refhf.dense(8, 3)]),
        None,
    ),
    "attention, tied embedding": (lambda: refhf.transformer(5, 4, 4, 2, 1), tokens),
}


def posed(name, **options):
    """An objective of the named network, its theta, and fewer outputs than parameters."""
    net, rng = NETWORKS[name][0](), np.random.default_rng(0)
    if NETWORKS[name][1]:
        X, y = NETWORKS[name][1](rng)
    else:
        X, y = rng.normal(size=(10, 6)), rng.normal(size=(10, 3))
        y = rng.integers(3, size=10) if net.loss.name == "softmax_cross_entropy" else y
    objective = refhf.supervised(net, X, y, **options)
    theta = net.init(rng) + 0.1 * rng.normal(size=net.size)
    assert net.size > len(X) * int(np.prod(net.out_shape))
    return objective, theta.astype(objective.dtype)


@pytest.mark.parametrize("chunk_size", [1, 4, None])
@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name, chunk_size):
    """By its dual for every kind of network, coupled cases and tied weights too, whatever the chunks."""
    objective, theta = posed(name, l2=0.01, chunk_size=chunk_size)
    b = np.random.default_rng(1).normal(size=theta.size)
    for damping in 1e-4, 1.0:
        d = gauss_newton_solve(objective, theta, damping, b)
        assert residual(objective, theta, damping, d, b) <= 1e-14


@pytest.mark.parametrize("name", NETWORKS)
def test_the_gram_matrix(name):
    """U U' is G without l2, U'U is symmetric and, by layers or by columns, has U' and U as its factors."""
    objective, theta = posed(name, l2=0.01)
    space = linearised_outputs(objective, theta)
    n = space.S.shape[0] * space.S.shape[1]
    U = np.stack([down(space, e) for e in np.eye(n)], axis=1)  # noqa: N806
    np.testing.assert_allclose(U.T, np.stack([up(space, e) for e in np.eye(theta.size)], axis=1), atol=1e-13)
    np.testing.assert_allclose(U @ U.T + 0.01 * np.eye(theta.size), dense(objective, theta), atol=1e-12)
    np.testing.assert_allclose(gram(space), U.T @ U, atol=1e-12)
    columns = [up(space, column) for column in dual_solve._columns(space)]
    np.testing.assert_allclose(columns, U.T @ U, atol=1e-12)


def test_dense_networks_make_it_by_layers(monkeypatch):
    """A network of dense layers alone costs C gradients, and no column of U is made."""
    monkeypatch.setattr(dual_solve, "_columns", None)
    for name in "dense", "no biases":
        gram(linearised_outputs(*posed(name)))
    with pytest.raises(TypeError):
        gram(linearised_outputs(*posed("layer norm")))


@pytest.mark.parametrize("cases", [2, 16, 20, 40])
def test_the_cheaper_system_is_made(cases, monkeypatch):
    """Of B C unknowns where these are fewer than 1.5 P, else of P."""
    rng = np.random.default_rng(0)
    net, made = refhf.mlp([3, 4, 2]), []
    objective = refhf.supervised(net, rng.normal(size=(cases, 3)), rng.integers(2, size=cases))
    for name in "_primal", "_dual":
        function = getattr(dual_solve, name)
        monkeypatch.setattr(dual_solve, name, lambda *a, name=name, f=function: made.append(name) or f(*a))
    gauss_newton_solve(objective, net.init(0), 0.1)
    assert made == ["_dual" if 2 * cases < 1.5 * net.size else "_primal"]


@pytest.mark.parametrize("cases", [5, 60])
@pytest.mark.parametrize("l2", [0.0, 0.3])
def test_l2_is_a_part_of_lambda(cases, l2):
    """l2 and lambda count alike, on both sides, also where lambda is zero; -g has l2's own part."""
    rng = np.random.default_rng(0)
    net, X, y = refhf.mlp([3, 4, 2]), rng.normal(size=(cases, 3)), rng.integers(2, size=cases)
    theta, b = net.init(0), rng.normal(size=net.size)
    decayed, plain = refhf.supervised(net, X, y, l2=l2), refhf.supervised(net, X, y)
    for damping in (0.2, *([0.0] if l2 else [])):
        want = gauss_newton_solve(plain, theta, damping + l2, b)
        np.testing.assert_allclose(gauss_newton_solve(decayed, theta, damping, b), want, rtol=1e-10)
    g = decayed.value_and_gradient(theta)[1]
    np.testing.assert_array_equal(gauss_newton_solve(decayed, theta, 0.5), gauss_newton_solve(decayed, theta, 0.5, -g))


@pytest.mark.parametrize("name", ["dense", "layer norm"])
def test_small_damping_is_refined(name):
    """At lambda = 1e-9 ||G|| the formula cancels; the refined residual is rounding, as the size of its terms goes."""
    objective, theta = posed(name)
    G, g = dense(objective, theta), objective.value_and_gradient(theta)[1]
    damping = 1e-9 * np.linalg.norm(G, 2)
    d = gauss_newton_solve(objective, theta, damping)
    assert np.linalg.norm(G @ d + damping * d + g) <= 1e-11 * np.linalg.norm(g)


def test_sums_and_mini_batches():
    """The summed loss, and a mini-batch of it, have their own scale; so has a reproducible sum its own pieces."""
    for options in {"reduction_of_cases": "sum"}, {"reduction": "reproducible"}, {"curvature_statistics": "frozen"}:
        for name in "dense", "batch norm, groups of 4":
            objective, theta = posed(name, l2=0.1, **options)
            for one in objective, objective.sample(4, rng=0):
                b = np.ones(theta.size)
                d = gauss_newton_solve(one, theta, 0.1, b)
                assert residual(one, theta, 0.1, d, b) <= 1e-14


@pytest.mark.parametrize("name", NETWORKS)
def test_single_precision(name):
    """A float32 objective has a float32 solution, as good as float32 allows."""
    objective, theta = posed(name, l2=0.01, dtype="float32")
    d = gauss_newton_solve(objective, theta, 0.1)
    assert d.dtype == np.float32
    g = objective.value_and_gradient(theta)[1]
    assert residual(objective, theta, 0.1, d, -g) <= 1e-6


def test_fate_is_nan():
    """Where numbers overflow, or lambda is lost in rounding, the answer is NaN, and nothing is raised."""
    for loss in "softmax_cross_entropy", "squared_error":
        net = refhf.mlp([6, 9, 3], nonlinearity="relu", loss=loss)
        objective = refhf.supervised(net, np.ones((2, 6)), np.eye(3)[:2])
        for b in None, np.ones(net.size):
            with np.errstate(all="raise"):
                assert np.isnan(gauss_newton_solve(objective, np.full(net.size, 1e200), 1.0, b)).any()
    rng = np.random.default_rng(0)
    net = refhf.mlp([2, 1], loss="squared_error")
    repeated = refhf.supervised(net, np.ones((2, 2)), np.ones((2, 1)))
    assert np.isnan(gauss_newton_solve(repeated, rng.normal(size=3), 1e-300)).all()


def test_it_costs_what_it_says():
    """theta, X and b are left alone, and twice is the same bits."""
    objective, theta = posed("dense")
    theta.flags.writeable = False
    one, other = (gauss_newton_solve(objective, theta, 0.1) for _ in range(2))
    assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize(
    ("argument", "given"),
    [
        ("objective", {"objective": refhf.from_functions(lambda x: x @ x, lambda x: 2 * x)}),
        ("theta", {"theta": np.ones(3)}),
        ("theta", {"theta": np.full(26, np.nan)}),
        ("damping", {"damping": -1.0}),
        ("damping", {"damping": 0.0}),
        ("damping", {"damping": np.inf}),
        ("b", {"b": np.ones(3)}),
        ("b", {"b": np.full(26, np.inf)}),
    ],
)
def test_mistakes(argument, given):
    """A mistake is one line that names the argument."""
    net = refhf.mlp([3, 4, 2])
    objective = refhf.supervised(net, np.ones((2, 3)), [0, 1])
    with pytest.raises(ValueError, match=f"^{argument}: expected .*got [^\n]+$"):
        gauss_newton_solve(**{"objective": objective, "theta": net.init(0), "damping": 0.1, **given})


def test_too_many_unknowns(monkeypatch):
    """A matrix above the bound is refused before any work."""
    net = refhf.mlp([200, 100, 10])
    objective = refhf.supervised(net, np.ones((1101, 200)), np.zeros(1101, int))
    monkeypatch.setattr(type(objective), "value_and_gradient", None)
    with pytest.raises(ValueError, match=r"^objective: expected min\(B C, P\) <= 11000, a matrix of 1 GB; got 11010$"):
        gauss_newton_solve(objective, net.init(0), 0.1)


def test_ranks_are_refused():
    """The cases of several ranks are on several processes, and their inner products on none."""

    def solve(comm):
        net, rows = refhf.mlp([3, 4, 2]), shard(4, comm.rank, comm.size)
        objective = refhf.supervised(net, np.ones((4, 3))[rows], np.array([0, 1, 0, 1])[rows], comm=comm)
        with pytest.raises(ValueError, match="^objective: expected one on one process; got 2 ranks"):
            gauss_newton_solve(objective, net.init(0), 0.1)

    run(2, solve)
