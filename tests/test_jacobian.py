"""objective.jacobian: J v and J'u against the complex step, the adjoint's law and G; chunks, ranks, mistakes."""

import numpy as np
import pytest
import strategies
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from oracles import complex_step, jacobian, relative_error, sizes
from test_blocks import chains
from test_dual_solve import posed

import refhf
from refhf.model import network
from refhf.model.batch_norm import BatchNorm
from refhf.model.batch_statistics import leaves
from refhf.objective import linearised_chunks
from refhf.parallel import run

EXACT = 1e-12
NAMES = ["dense", "residual", "batch norm, groups of 4", "attention, tied embedding"]


def dense(operator):
    """A matrix of an operator, a column a product."""
    return np.stack([operator @ e for e in np.eye(operator.shape[1], dtype=operator.dtype)], axis=1)


@settings(max_examples=30)
@given(st.one_of(strategies.problems(depth=3, width=8), strategies.image_problems(depth=2, side=5)), st.integers(1, 40))
def test_it_is_the_matrix_of_the_formulas(problem, chunk_size):
    """J is dz/dtheta by complex steps of an independent network, cases first, whatever the chunks; J' its transpose."""
    objective = refhf.supervised(problem.net, problem.X, problem.y, chunk_size=chunk_size)
    J, want = objective.jacobian(problem.theta), jacobian(problem)
    assert J.shape == want.shape
    u = np.random.default_rng(0).standard_normal(J.shape[0])
    for got, right in (J @ problem.v, want @ problem.v), (J.T @ u, want.T @ u):
        assert relative_error(got, right, sizes(problem).jacobian) < EXACT * max(np.linalg.norm(problem.v), len(u))


@settings(max_examples=30)
@given(chains(), st.integers(1, 7), st.booleans())
def test_chains(drawn, chunk_size, kept):
    """Over random blocks: J v is the complex step of z along v, <J v, u> = <v, J'u>, with tapes kept or not."""
    net, theta, X, y, v, _ = drawn
    assume(len({block.group for block in leaves(net.chain) if isinstance(block, BatchNorm)}) < 2)
    if net.loss.name == "softmax_cross_entropy":
        y = y.argmax(axis=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linearised_chunks, "TAPE_BYTES", 2**30 if kept else 0)
        J = refhf.supervised(net, X, y, chunk_size=chunk_size).jacobian(theta)
        groups = range(0, len(X), net.group)
        want = [
            complex_step(lambda t, s=s: network.forward(net, t, X[s : s + net.group], order=0)[0], theta, v)
            for s in groups
        ]
        u = np.random.default_rng(1).standard_normal(J.shape[0])
        Jv, back = J @ v, J.H @ u
    assert relative_error(Jv, np.concatenate(want).ravel(), 1e-3) < EXACT
    assert abs(Jv @ u - v @ back) <= EXACT * max(np.linalg.norm(back) * np.linalg.norm(v), 1e-3)


@pytest.mark.parametrize("statistics", ["groups", "frozen"])
@pytest.mark.parametrize("name", NAMES)
def test_gauss_newton_is_made_of_it(name, statistics):
    """G = J' H_L J / B + l2 I, under batch normalisation with the statistics that G has, and in a mini-batch."""
    whole, theta = posed(name, l2=0.1, curvature_statistics=statistics)
    for objective in whole, whole.sample(min(4, whole.cases), rng=0):
        J, net = objective.jacobian(theta), objective.net
        if statistics == "frozen":
            net = net.frozen(objective.statistics(theta))
        groups = [objective.X[s : s + net.group] for s in range(0, objective.cases, net.group)]
        z = np.concatenate([network.forward(net, theta, X, order=0)[0] for X in groups])
        v = np.random.default_rng(2).standard_normal(theta.size)
        HJv = objective.net.loss.hessian(z, objective.y)((J @ v).reshape(z.shape))
        want = J.T @ HJv.ravel() / objective.cases + 0.1 * v
        assert relative_error(objective.gauss_newton(theta) @ v, want) < EXACT


def test_the_rows_are_in_the_order_of_cases():
    """Row (i, t, j), in C order, is the gradient of output j at position t of case i."""
    objective, theta = posed("attention, tied embedding")
    J = objective.jacobian(theta)
    z, tape = network.forward(objective.net, theta, objective.X)
    rows = np.arange(J.shape[0]).reshape(z.shape)
    for place in (0, 0, 0), (1, 2, 3), (2, 3, 4):
        unit = np.zeros_like(z)
        unit[place] = 1
        one = np.eye(J.shape[0])[rows[place]]
        np.testing.assert_allclose(J.T @ one, network.backward(objective.net, tape, unit)[0], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("reduction", ["fast", "reproducible"])
def test_ranks_have_the_rows_of_their_own_cases(reduction):
    """A rank's J has the rows of its cases, none for none, and the sum over ranks of J'u is J'u of all."""
    objective, theta = posed("dense")
    whole = dense(objective.jacobian(theta))
    u = np.random.default_rng(0).standard_normal(len(whole))
    rows = {"fast": [slice(0, 7), slice(7, 7), slice(7, 10)], "reproducible": [slice(0, 10), slice(10, 10)]}

    def on_rank(comm):
        own = rows[reduction][comm.rank]
        mine = refhf.supervised(objective.net, objective.X[own], objective.y[own], comm=comm, reduction=reduction)
        J = mine.jacobian(theta)
        assert J.shape == (3 * (own.stop - own.start), theta.size)
        part = slice(3 * own.start, 3 * own.stop)
        np.testing.assert_allclose(dense(J), whole[part], rtol=1e-12, atol=1e-15)
        return comm.sum(J.T @ u[part])

    for total in run(len(rows[reduction]), on_rank):
        np.testing.assert_allclose(total, whole.T @ u, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", NAMES)
def test_a_complex_vector_is_taken_apart(name, dtype):
    """J (x + iy) = J x + i J y and J^H alike, to the bit, in the objective's precision; columns too."""
    objective, theta = posed(name, dtype=dtype, chunk_size=4)
    J, rng = objective.jacobian(theta), np.random.default_rng(0)
    for A in J, J.H, J.T:
        x, y = rng.standard_normal((2, A.shape[1])).astype(dtype)
        want = A @ x + 1j * (A @ y)
        assert want.dtype == (np.complex64 if dtype == np.float32 else np.complex128)
        np.testing.assert_array_equal(A @ (x + 1j * y), want, strict=True)
        np.testing.assert_array_equal((A @ (x + 1j * y)[:, None])[:, 0], want, strict=True)


@pytest.mark.parametrize("name", NAMES)
def test_single_precision(name):
    """float32 gives float32 numbers near float64's, and theta written over changes nothing."""
    (single, theta), (double, _) = posed(name, dtype="float32"), posed(name)
    given = theta.copy()
    J = single.jacobian(given)
    given[:] = np.nan
    v, want = np.ones(theta.size), double.jacobian(theta.astype(float))
    assert (J @ v).dtype == (J.T @ np.ones(J.shape[0])).dtype == np.float32
    assert relative_error(J @ v, want @ v) < 1e-4
    assert relative_error(J.T @ np.ones(J.shape[0]), want.T @ np.ones(J.shape[0])) < 1e-4


def test_mistakes():
    """A wrong theta or vector is one line that names it."""
    objective, theta = posed("dense")
    with pytest.raises(ValueError, match="^theta: expected"):
        objective.jacobian(theta[1:])
    J = objective.jacobian(theta)
    with pytest.raises(ValueError, match="^v: expected a real vector"):
        J @ np.full(theta.size, "a")
    for A in J, J.T:
        with pytest.raises(ValueError, match="mismatch"):
            A @ np.ones(A.shape[1] + 1)
