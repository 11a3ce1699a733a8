"""Chains of random blocks: their four sweeps against the complex step, central differences and a dense Jacobian."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from refhf.model import network
from refhf.model.architectures import conv, mlp, pool
from refhf.model.attention import Attention
from refhf.model.batch_norm import BatchNorm
from refhf.model.batch_statistics import leaves
from refhf.model.blocks import arrays, size
from refhf.model.chain import Chain
from refhf.model.convolution import Convolution
from refhf.model.dense import Dense
from refhf.model.elementwise import NONLINEARITIES, Activation
from refhf.model.embedding import Embedding
from refhf.model.frozen_norm import FrozenNorm
from refhf.model.layer_norm import LayerNorm
from refhf.model.losses import LOSSES
from refhf.model.max_pooling import MaxPool
from refhf.model.network import Network
from refhf.model.pooling import AveragePool, Flatten, GlobalAveragePool, Subsample
from refhf.model.residual import Residual
from refhf.model.residual_networks import resnet
from refhf.model.stages import attention, batch_norm, chain, dense, dropout, elementwise, global_average_pool, residual
from refhf.model.standardise import Standardise
from refhf.model.transformers import transformer

EXACT = 1e-12
ANALYTIC = sorted(name for name, f in NONLINEARITIES.items() if f.analytic)
CASES = 6


def norms(draw, channels):
    """A block that keeps the shape and normalises."""
    kind = draw(st.sampled_from(("layer", "batch", "frozen", "standardise")))
    if kind == "layer":
        return LayerNorm(channels)
    if kind == "batch":
        return BatchNorm(channels, draw(st.sampled_from((2, 3, 6, 9))))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    kind = FrozenNorm if kind == "frozen" else Standardise
    return kind(rng.normal(size=channels), 0.5 + rng.random(channels))


def keeping(draw, shape, depth):
    """A block that keeps the shape."""
    kinds = ["activation", "norm", "dense", "residual"] + (["attention"] if len(shape) == 2 else [])
    kind = draw(st.sampled_from(kinds if depth else kinds[:3]))
    if kind == "activation":
        return [Activation(NONLINEARITIES[draw(st.sampled_from(ANALYTIC))])]
    if kind == "norm":
        return [norms(draw, shape[-1])]
    if kind == "dense":
        return [Dense(shape[-1], shape[-1], bias=draw(st.booleans()))]
    if kind == "residual":
        inside = [b for _ in range(draw(st.integers(1, 2))) for b in keeping(draw, shape, depth - 1)]
        shortcut = [Dense(shape[-1], shape[-1], bias=False)] if draw(st.booleans()) else []
        return [Residual(Chain(tuple(inside)), Chain(tuple(shortcut)))]
    heads, causal = draw(st.sampled_from((1, shape[-1]))), draw(st.booleans())
    return [Dense(shape[-1], 3 * shape[-1]), Attention(heads, causal)]


@st.composite
def chains(draw, depth=2):
    """A network of random blocks on rows, images or sequences, with theta, cases and directions of ordinary size."""
    kind = draw(st.sampled_from(("rows", "images", "sequences", "tokens")))
    shape, blocks = {"rows": (3,), "images": (4, 4, 2), "sequences": (3, 4), "tokens": (3,)}[kind], []
    in_shape = shape
    if kind == "tokens":
        blocks.append(Embedding(5, 3, 4))
    elif kind == "images" and draw(st.booleans()):
        blocks.append(Convolution(shape, 3, 3, draw(st.sampled_from((1, 2))), 1, bias=draw(st.booleans())))
    shape = Chain(tuple(blocks)).out_shape(in_shape)
    for _ in range(draw(st.integers(1, 4))):
        blocks += keeping(draw, shape, depth)
    if len(shape) == 3 and draw(st.booleans()):
        blocks.append(AveragePool(2))
        shape = blocks[-1].out_shape(shape)
    if len(shape) > 1:
        blocks.append(draw(st.sampled_from((Flatten, GlobalAveragePool)))(shape))
        shape = blocks[-1].out_shape(shape)
    blocks.append(Dense(shape[0], 3))
    net = Network(in_shape, Chain(tuple(blocks)), LOSSES[draw(st.sampled_from(sorted(LOSSES)))])
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    theta = net.init(rng) + 0.3 * rng.standard_normal(net.size)
    X = rng.integers(0, 5, (CASES, 3)) if kind == "tokens" else rng.standard_normal((CASES, *in_shape))
    y = rng.dirichlet(np.ones(3), CASES)
    v, w = rng.standard_normal((2, net.size))
    return net, theta, X, y, v, w


def complex_step(function, theta, v):
    return function(theta + 1e-30j * v).imag / 1e-30


def close(got, want, size=0.0):
    """Whether two vectors agree to EXACT, relative to the larger of their size and the one that is given."""
    return np.linalg.norm(got - want) <= EXACT * max(np.linalg.norm(want), size, 1e-3)


@given(chains())
def test_products_are_the_complex_steps(drawn):
    """g v, J v and H v are derivatives along v of f, z and g, exact to rounding."""
    net, theta, X, y, v, _ = drawn
    loss, g = network.loss_and_gradient(net, theta, X, y)
    want = complex_step(lambda t: network.loss_and_gradient(net, t, X, y)[0], theta, v)
    assert abs(g @ v - want) <= EXACT * max(np.linalg.norm(g) * np.linalg.norm(v), abs(loss))
    _, tape = network.forward(net, theta, X)
    Rz, _ = network.r_forward(net, tape, v)
    assert close(Rz.ravel(), complex_step(lambda t: network.forward(net, t, X, order=0)[0], theta, v).ravel())
    Hv = network.hessian_product(net, theta, X, y)(v)
    want = complex_step(lambda t: network.loss_and_gradient(net, t, X, y)[1], theta, v)
    assert close(Hv, want, np.linalg.norm(g))


@given(chains())
def test_adjoint_and_gauss_newton(drawn):
    """<u, J v> = <J'u, v>, H and G are symmetric, and G v = J' H_L J v with J by columns."""
    net, theta, X, y, v, w = drawn
    z, tape = network.forward(net, theta, X, order=1)
    Rz, _ = network.r_forward(net, tape, v)
    u = np.random.default_rng(0).standard_normal(z.shape)
    back, _ = network.backward(net, tape, u)
    bound = EXACT * max(np.linalg.norm(u) * np.linalg.norm(Rz), np.linalg.norm(back) * np.linalg.norm(v))
    assert abs(np.vdot(u, Rz) - back @ v) <= bound
    for product in network.hessian_product(net, theta, X, y), network.gauss_newton_product(net, theta, X, y):
        of_v, of_w = product(v), product(w)
        assert abs(w @ of_v - v @ of_w) <= EXACT * (
            np.linalg.norm(w) * np.linalg.norm(of_v) + np.linalg.norm(v) * np.linalg.norm(of_w)
        )
    assume(net.size <= 150)
    jacobian = np.stack([network.r_forward(net, tape, e)[0].ravel() for e in np.eye(net.size)], axis=1)
    want = jacobian.T @ net.loss.hessian(z, y)((jacobian @ v).reshape(z.shape)).ravel()
    assert close(network.gauss_newton_product(net, theta, X, y)(v), want)


@given(chains())
def test_gradient_squares_are_those_of_single_cases(drawn):
    """The sum of each case's squared gradient; batch normalisation, which couples the cases, refuses."""
    net, theta, X, y, _, _ = drawn
    try:
        got = network.gradient_squares(net, theta, X, y)
    except ValueError as error:
        assert "batch normalisation" in str(error)
        return
    each = [network.loss_and_gradient(net, theta, X[i : i + 1], y[i : i + 1])[1] ** 2 for i in range(CASES)]
    np.testing.assert_allclose(got, sum(each), rtol=1e-10, atol=1e-13)


@given(chains())
def test_tapes_are_read_only_and_as_large_as_reckoned(drawn):
    """No array of a tape can be written to; a chain's weights stand one after the other in theta."""
    net, theta, X, *_ = drawn
    z, tape = network.forward(net, theta, X)
    _, after = network.backward(net, tape, np.ones_like(z), keep=True)
    assert not any(x.flags.writeable for x in arrays((tape, after)))
    weights = [x for layer in net.unpack(np.arange(net.size)) for x in arrays(layer)]
    np.testing.assert_array_equal(np.concatenate([x.ravel() for x in weights]), np.arange(net.size))
    assert net.size == size(net.chain.weight_shapes)


@given(chains())
def test_float32_is_float64_to_its_rounding(drawn):
    """In float32 the products are float32, and near the float64 ones."""
    net, theta, X, y, v, _ = drawn
    narrow = [x if x.dtype.kind == "i" else x.astype(np.float32) for x in (theta, X, y, v)]
    for wide, of in ((network.hessian_product, 3e-2), (network.gauss_newton_product, 3e-2)):
        want = wide(net, theta, X, y)(v)
        got = wide(net, *narrow[:3])(narrow[3])
        assert got.dtype == np.float32
        assert np.linalg.norm(got - want) <= of * max(np.linalg.norm(want), np.linalg.norm(v))


@pytest.mark.parametrize("side", [1, 2, 3])
def test_max_pooling_takes_the_largest(side):
    """s is the maximum of each square, its derivative picks it, and the adjoint puts it back."""
    rng = np.random.default_rng(side)
    a, block = rng.standard_normal((4, 2 * side, 3 * side, 2)), MaxPool(side)
    s, tape = block.forward((), a)
    want = a.reshape(4, 2, side, 3, side, 2).max(axis=(2, 4))
    np.testing.assert_array_equal(s, want)
    t, Ra, Ds = 1e-7, rng.standard_normal(a.shape), rng.standard_normal(s.shape)
    Rs = block.r_forward(tape, (), Ra)[0]
    np.testing.assert_allclose(Rs, (block.forward((), a + t * Ra)[0] - s) / t, atol=1e-6)
    assert np.sum(Ds * Rs) == pytest.approx(np.sum(block.backward(tape, Ds, ())[0] * Ra))


def test_batch_norm_is_of_its_groups():
    """Each group is normalised alone, the last one may be smaller than a group only if it is the only one."""
    rng = np.random.default_rng(0)
    a, block, w = rng.standard_normal((6, 5, 4)), BatchNorm(4, 3), (np.ones(4), np.zeros(4))
    s, _ = block.forward(w, a)
    for group in (slice(0, 3), slice(3, 6)):
        want = (a[group] - a[group].mean((0, 1))) / np.sqrt(a[group].var((0, 1)) + block.epsilon)
        np.testing.assert_allclose(s[group], want, rtol=1e-12, atol=1e-14)
    assert block.forward(w, a[:2])[0].shape == (2, 5, 4)
    with pytest.raises(ValueError, match="groups of 3; got 4"):
        block.forward(w, a[:4])


def test_shapes_that_do_not_meet_name_both_blocks():
    """A chain whose blocks do not fit names the block, the one before and the shapes."""
    with pytest.raises(
        ValueError,
        match=r"blocks\[1\], Dense\(n_in=4.* after Dense\(n_in=3, n_out=5.*expected 4 inputs; got shape \(5,\)",
    ):
        Chain((Dense(3, 5), Dense(4, 2))).out_shape((3,))
    with pytest.raises(ValueError, match=r"expected a shortcut of shape \(5,\), as the main chain gives; got \(3,\)"):
        Residual(Chain((Dense(3, 5),))).out_shape((3,))


def test_causal_attention_does_not_look_ahead():
    """Position t of the output does not depend on positions after t."""
    rng = np.random.default_rng(0)
    a, block = rng.standard_normal((1, 5, 12)), Attention(2, causal=True)
    s, _ = block.forward((), a)
    b = a.copy()
    b[:, 3:] = 1e3
    np.testing.assert_array_equal(block.forward((), b)[0][:, :3], s[:, :3])
    assert math.isclose(block.forward((), a)[0][0, 0] @ np.ones(4), a[0, 0, 8:].sum())


# --- Networks made of blocks


def exact(net, X, y, seed=0):
    """Whether H v is the complex step of the gradient."""
    rng = np.random.default_rng(seed)
    theta, v = net.init(rng) + 0.1 * rng.standard_normal(net.size), rng.standard_normal(net.size)
    want = complex_step(lambda t: network.loss_and_gradient(net, t, X, y)[1], theta, v)
    return close(network.hessian_product(net, theta, X, y)(v), want)


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("norm", ["batch", "layer", None])
def test_residual_networks(version, norm):
    """Depth 6 n + 2 counts the layers with weights; H v is exact; batch norm is of the given group."""
    net = resnet((8, 8, 2), depth=8, width=3, classes=4, norm=norm, version=version, group=3, nonlinearity="tanh")
    main = [b for b in leaves(net.chain) if isinstance(b, Dense) or (isinstance(b, Convolution) and b.kernel == 3)]
    assert len(main) == 8
    assert (net.out_shape, net.group) == ((4,), 3 if norm == "batch" else 1)
    rng = np.random.default_rng(1)
    assert exact(net, rng.standard_normal((6, 8, 8, 2)), rng.integers(0, 4, 6))


@pytest.mark.parametrize("shortcut", ["identity", "projection"])
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_bottlenecks(version, shortcut):
    """Depth 9 n + 2 counts the layers; a stage ends in four times its channels; H v is exact."""
    net = resnet(
        (8, 8, 2), 11, 2, 3, block="bottleneck", version=version, shortcut=shortcut, group=2, nonlinearity="silu"
    )
    projections = 3 if shortcut == "projection" else 0
    assert len([b for b in leaves(net.chain) if isinstance(b, Dense | Convolution)]) == 11 + projections
    assert net.layers[-1] == Dense(4 * 8, 3)
    rng = np.random.default_rng(1)
    assert exact(net, rng.standard_normal((4, 8, 8, 2)), rng.integers(0, 3, 4))


def test_subsampling_pads_with_zeros():
    """Option A takes every second pixel and adds channels of zeros; `adjoint` is its transpose."""
    rng, block = np.random.default_rng(0), Subsample((5, 4, 2), 3, 2)
    a, Ds = rng.standard_normal((2, 5, 4, 2)), rng.standard_normal((2, 3, 2, 3))
    s = block.apply(a)
    np.testing.assert_array_equal(s[..., :2], a[:, ::2, ::2])
    np.testing.assert_array_equal(s[..., 2], 0)
    assert np.sum(Ds * s) == pytest.approx(np.sum(block.adjoint(Ds) * a))


def test_a_residual_network_of_the_paper_has_its_size():
    """20 and 32 layers on CIFAR-10 have 0.27 and 0.46 million parameters (He et al. 2015, table 6)."""
    assert [round(resnet(depth=depth).size / 1e6, 2) for depth in (20, 32)] == [0.27, 0.46]


def test_transformers():
    """The loss at the start is log(vocabulary), H v is exact, and no answer depends on later tokens."""
    net, rng = transformer(vocabulary=7, context=5, width=8, heads=2, depth=2), np.random.default_rng(0)
    X, y = rng.integers(0, 7, (2, 6, 5))
    assert network.loss_and_gradient(net, net.init(0), X, y)[0] / 6 == pytest.approx(np.log(7), abs=0.05)
    assert exact(net, X, y)
    changed = X.copy()
    changed[:, 3:] = (X[:, 3:] + 1) % 7
    theta = net.init(1)
    z, other = (network.forward(net, theta, x, order=0)[0] for x in (X, changed))
    np.testing.assert_array_equal(z[:, :3], other[:, :3])
    assert np.abs(z - other)[:, 3:].max() > 0


def test_tied_weights():
    """A tied array stands once in theta, with its whole derivative; the products are exact, gradient squares too."""
    rng = np.random.default_rng(0)
    net, free = (transformer(7, 5, 8, 2, 1, tied=tied) for tied in (True, False))
    assert free.size - net.size == 7 * 8
    X, y = rng.integers(0, 7, (2, 4, 5))
    assert exact(net, X, y)
    theta = net.init(1)
    z, _ = network.forward(net, theta, X, order=0)
    long = np.append(theta, theta[: 7 * 8].reshape(7, 8).T.ravel())
    np.testing.assert_array_equal(z, network.forward(free, long, X, order=0)[0])
    rows = chain(
        [dense(3, 3), elementwise("tanh"), dense(3, 3), elementwise("tanh"), dense(3, 2)],
        tied=[(0, 2)],
        loss="softmax_cross_entropy",
    )
    X, y = rng.standard_normal((4, 3)), rng.integers(0, 2, 4)
    assert exact(rows, X, y)
    theta = rows.init(2)
    squares = [network.loss_and_gradient(rows, theta, X[[i]], y[[i]])[1] ** 2 for i in range(4)]
    np.testing.assert_allclose(network.gradient_squares(rows, theta, X, y), sum(squares), rtol=1e-12)


def test_a_chain_is_the_mlp_of_its_stages():
    """chain([dense, elementwise, dense]) has the start, the answers and the products of mlp."""
    made = chain([dense(3, 4), elementwise("tanh"), dense(4, 2)], loss="softmax_cross_entropy")
    assert made == mlp([3, 4, 2])
    images = chain(
        [residual([dense(2, 2)], [dense(2, 2, bias=False)]), global_average_pool(), dense(2, 2)], shape=(4, 4, 2)
    )
    assert chain([conv(3, 1, stride=2), global_average_pool()], shape=(4, 4, 2)).chain.blocks[0].out_shape(
        (4, 4, 2)
    ) == (2, 2, 3)
    assert exact(images, np.random.default_rng(0).standard_normal((3, 4, 4, 2)), np.ones((3, 2)))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: resnet(depth=21), r"depth: expected 6 n \+ 2 .*; got 21"),
        (lambda: resnet(norm="bach"), "norm: .*did you mean 'batch'"),
        (lambda: resnet(nonlinearity="rely"), "nonlinearity: .*did you mean 'relu'"),
        (lambda: resnet(width=0), "width: expected an integer >= 1; got 0"),
        (lambda: transformer(width=30, heads=4), "width: expected a multiple of heads = 4; got 30"),
        (lambda: transformer(vocabulary=1), "vocabulary: expected two or more"),
        (
            lambda: chain([dense(3, 4), dense(5, 2)]),
            r"stages\[1\], Dense\(n_in=5.* after Dense\(n_in=3.*expected 5 inputs",
        ),
        (lambda: chain([elementwise("gelu")]), "shape: expected a case's shape"),
        (lambda: chain([dense(3, 4), "relu"]), r"stages\[1\]: expected a stage such as .*; got 'relu'"),
        (lambda: chain([dense(2, 2)], shape=(4, 2)), r"stages\[-1\]: expected outputs \(n_L,\)"),
        (lambda: chain([dense(2, 4), attention(3)], shape=(4, 2)), "d divisible by 3 heads; got"),
        (lambda: chain([residual([dense(2, 3)])], shape=(2,)), "expected a shortcut of shape"),
        (lambda: resnet(depth=21, block="bottleneck"), r"depth: expected 9 n \+ 2 .*; got 21"),
        (lambda: resnet(shortcut="identiy"), "shortcut: .*did you mean 'identity'"),
        (lambda: chain([dense(3, 4), "gelu"]), r"did you mean refhf.elementwise\('gelu'\)"),
        (
            lambda: chain([conv(2, 3), pool(2)], shape=(5, 5, 1)),
            r"stages\[1\], pool\(2\) after conv\(2, 3.*divides 3 and 3",
        ),
        (lambda: chain([dense(3, 3), pool(2)]), "expected images"),
        (lambda: chain([dense(3, 4), dense(4, 2)], tied=[(0, 1)]), r"tied\[0\]: expected stages of one shape"),
        (lambda: chain([batch_norm(3, group=2), batch_norm(3, group=4)], shape=(3,)), r"of one size; got \[2, 4\]"),
        (lambda: dropout(0.1), "rate: expected 0.*; got 0.1"),
        (lambda: dense(2, 2, rule="hee"), "rule: .*did you mean 'he'"),
    ],
)
def test_bad_networks_are_refused(call, words):
    """One line names the argument or the stages, what is expected and what was given."""
    with pytest.raises(ValueError, match=words):
        call()
