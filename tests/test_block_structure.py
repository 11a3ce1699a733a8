"""Blocks one by one, and what networks are made of: definitions, structures, tapes and names, each written out here."""

import os
import platform
import subprocess
import sys

import numpy as np
import pytest

import refhf
from refhf.model import network
from refhf.model.architectures import image_block
from refhf.model.attention import Attention
from refhf.model.batch_norm import BatchNorm
from refhf.model.batch_statistics import leaves
from refhf.model.blocks import arrays
from refhf.model.cases import targets
from refhf.model.chain import Chain
from refhf.model.convolution import Convolution
from refhf.model.dense import Dense
from refhf.model.elementwise import NONLINEARITIES, Activation, tanh
from refhf.model.embedding import Embedding
from refhf.model.frozen_norm import FrozenNorm
from refhf.model.layer_norm import LayerNorm
from refhf.model.losses import LOSSES
from refhf.model.max_pooling import MaxPool
from refhf.model.network import Network
from refhf.model.pooling import AveragePool, Flatten, GlobalAveragePool, Subsample
from refhf.model.residual import Residual
from refhf.model.weight_tying import Tie

RNG = np.random.default_rng(0)


# --- Definitions


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("size", [1, 1e4])
def test_attention_is_its_definition(causal, size):
    """s = softmax(Q K' / sqrt(d_h)) V, head by head and row by row, of scores of any size."""
    a, heads, d = size * RNG.standard_normal((2, 5, 18)), 2, 6
    s, _ = Attention(heads, causal).forward((), a)
    for case in range(2):
        for head in range(heads):
            own = slice(3 * head, 3 * head + 3)
            Q, K, V = (a[case, :, part * d : part * d + d][:, own] for part in range(3))
            for t in range(5):
                seen = t + 1 if causal else 5
                scores = K[:seen] @ Q[t] / np.sqrt(3)
                p = np.exp(scores - scores.max())
                np.testing.assert_allclose(s[case, t, own], p @ V[:seen] / p.sum(), rtol=1e-9, atol=1e-12 * size)


def test_frozen_normalisation_is_its_definition():
    """s = gamma (a - mean) / sqrt(variance + epsilon) + beta, and the identity of that at the start."""
    mean, variance, gamma, beta = RNG.standard_normal((4, 3)) ** 2
    block, a = FrozenNorm(mean, variance, 0.1), RNG.standard_normal((5, 2, 3))
    normal = (a - mean) / np.sqrt(variance + 0.1)
    np.testing.assert_allclose(block.forward((gamma, beta), a)[0], gamma * normal + beta, rtol=1e-13)
    for each in block, LayerNorm(3), BatchNorm(3, 2):
        w = np.zeros(3), np.zeros(3)
        each.initial(w, RNG)
        np.testing.assert_array_equal(w, [[1, 1, 1], [0, 0, 0]])


@pytest.mark.parametrize("first", [FrozenNorm(np.zeros(3), np.ones(3)), BatchNorm(3, 4), LayerNorm(3)])
def test_a_normalisation_of_the_data(first):
    """A network may begin with a normalisation: only gamma and beta change its s along v."""
    net = refhf.chain([first, refhf.dense(3, 2)], shape=(3,))
    theta, v = RNG.standard_normal((2, net.size))
    X, y = RNG.standard_normal((4, 3)), RNG.standard_normal((4, 2))
    want = network.loss_and_gradient(net, theta + 1e-30j * v, X, y)[1].imag / 1e-30
    np.testing.assert_allclose(network.hessian_product(net, theta, X, y)(v), want, rtol=1e-11)


def test_statistics_are_those_of_what_each_normalisation_sees(monkeypatch):
    """Means and m / (m - 1) sigma^2 of all the batch normalisations, those of shortcuts too, in theta's order."""
    net = refhf.resnet((8, 8, 2), 8, 2, 3, shortcut="projection", group=4)
    theta, X, seen = net.init(0), RNG.standard_normal((4, 8, 8, 2)), []
    forward = BatchNorm.forward
    monkeypatch.setattr(BatchNorm, "forward", lambda self, w, a, **k: seen.append(a) or forward(self, w, a, **k))
    network.forward(net, theta, X, order=0)
    want = [x for a in seen for x in (a.mean((0, 1, 2)), a.reshape(-1, a.shape[-1]).var(0, ddof=1))]
    got = network.batch_statistics(net, theta, X) / 4
    np.testing.assert_allclose(got, np.concatenate(want), rtol=1e-10, atol=1e-12)
    frozen = net.frozen(refhf.supervised(net, X, np.zeros(4, int)).statistics(theta))
    assert sum(isinstance(block, FrozenNorm) for block in leaves(frozen.chain)) == 9


def test_starting_weights_follow_the_rule():
    """'normal' has deviation 0.02 (GPT), 'he' variance 2 / fan_in, in the order of the draws."""
    for rule, deviation in (("normal", 0.02), ("he", np.sqrt(2 / 3))):
        w = np.empty((3, 4)), np.zeros(4)
        refhf.dense(3, 4, rule=rule).initial(w, np.random.default_rng(5))
        np.testing.assert_array_equal(w[0], np.random.default_rng(5).normal(0, deviation, (3, 4)))
    assert image_block(4, (3,), "he") == Dense(3, 4, rule="he")
    block = refhf.chain([refhf.conv(2, 3), refhf.flatten()], shape=(3, 3, 1)).chain.blocks[0]
    assert block == Convolution((3, 3, 1), 2, 3, rule="glorot")


# --- Structures


def convolution(shape, channels, kernel=3, stride=1):
    return Convolution(shape, channels, kernel, stride, kernel // 2, bias=False, rule="he")


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_residual_network_is_the_paper_s(version):
    """Blocks, strides, projections and what stands between them, depth 14: He et al. 2015, eq. 1; 2016, Fig. 4 e."""
    relu, n, blocks, at = Activation(NONLINEARITIES["relu"]), lambda c: BatchNorm(c, 4), [], (8, 8, 2)
    blocks.append(convolution(at, 2))
    if version == "v1":
        blocks += [n(2), relu]
    for channels, strides in ((2, (1, 1)), (4, (2, 1)), (8, (2, 1))):
        for stride in strides:
            first = convolution(at, channels, 3, stride)
            out = first.out_shape(at)
            second = convolution(out, channels)
            beside = () if out == at else (convolution(at, channels, 1, stride),)
            if version == "v1":
                beside += (n(channels),) if beside else ()
                main = first, n(channels), relu, second, n(channels)
            else:
                main = n(at[-1]), relu, first, n(channels), relu, second
            blocks += [Residual(Chain(main), Chain(beside)), *([relu] if version == "v1" else [])]
            at = out
    if version == "v2":
        blocks += [n(8), relu]
    blocks += [GlobalAveragePool(at), Dense(8, 3)]
    net = refhf.resnet((8, 8, 2), 14, 2, 3, version=version, shortcut="projection", group=4)
    assert net.chain == Chain(tuple(blocks))
    assert refhf.resnet().out_shape == (10,)


def test_a_bottleneck_is_the_paper_s():
    """1 x 1 to the channels, 3 x 3 with the stride, 1 x 1 to four times as many (He et al. 2015, Figure 5)."""
    net = refhf.resnet((8, 8, 2), 11, 2, 3, block="bottleneck", norm=None, version="v2")
    (second,) = [block for block in net.chain.blocks[2:3] if isinstance(block, Residual)]
    layers = [block for block in second.main.blocks if isinstance(block, Convolution)]
    assert [(c.shape, c.channels, c.kernel, c.stride, c.bias) for c in layers] == [
        ((8, 8, 8), 4, 1, 1, True),
        ((8, 8, 4), 4, 3, 2, True),
        ((4, 4, 4), 16, 1, 1, True),
    ]


def test_a_transformer_is_a_pre_norm_decoder():
    """Its blocks; by default 65 tokens, a context of 32, width 32, 4 heads, 2 layers, and nothing tied."""
    dense = [Dense(*n, rule="normal") for n in ((8, 24), (8, 8), (8, 32), (32, 8))]
    attention = LayerNorm(8), dense[0], Attention(2), dense[1]
    feed_forward = LayerNorm(8), dense[2], Activation(NONLINEARITIES["gelu"]), dense[3]
    end = LayerNorm(8), Dense(8, 7, bias=False, rule="normal")
    blocks = Embedding(7, 5, 8), Residual(Chain(attention)), Residual(Chain(feed_forward)), *end
    assert refhf.transformer(7, 5, 8, 2, 1).chain == Chain(blocks)
    usual, spelt = refhf.transformer(), refhf.transformer(65, 32, 32, 4, 2, nonlinearity="gelu", tied=False)
    assert (usual.in_shape, usual.chain, usual.ties) == (spelt.in_shape, spelt.chain, ())


def test_stages_are_blocks():
    """The functions for stages give the blocks, and print as they were called; dropout is no block."""
    residual = refhf.residual([refhf.dense(4, 4)], [refhf.layer_norm(4)])
    net = refhf.chain(
        [refhf.embedding(5, 3, 4), residual, refhf.dropout(), refhf.dense(4, 12), refhf.attention(2), refhf.flatten()]
    )
    assert net.chain.blocks[:5] == (
        Embedding(5, 3, 4),
        Residual(Chain((Dense(4, 4),)), Chain((LayerNorm(4),))),
        Chain(()),
        Dense(4, 12),
        Attention(2, causal=True),
    )
    assert net.chain.blocks[5] == Flatten((3, 4))
    assert refhf.attention(2, causal=False) == Attention(2, causal=False)
    printed = [
        refhf.dropout(),
        refhf.flatten(),
        refhf.global_average_pool(),
        refhf.residual([refhf.flatten()]),
        residual,
    ]
    assert [repr(stage) for stage in printed] == [
        "dropout()",
        "flatten()",
        "global_average_pool()",
        "residual([flatten()])",
        f"residual([{Dense(4, 4)!r}], [{LayerNorm(4)!r}])",
    ]
    assert repr(refhf.conv(2, 3)) == "conv(2, 3, stride=1, padding=0)"
    assert repr(refhf.conv(2, 3, padding=1, bias=False)) == "conv(2, 3, stride=1, padding=1, bias=False)"


def test_stages_share_their_weights():
    """`tied` names two stages, equal or transposed; the arrays between them keep their places."""
    stages = [refhf.dense(3, 4), refhf.elementwise("tanh"), refhf.dense(4, 4), refhf.dense(4, 3)]
    net = refhf.chain(stages, tied=[(0, 3)])
    assert net.ties == (Tie(4, of=0, transposed=True),)
    assert net.size == 12 + 4 + 16 + 4 + 3
    assert refhf.chain([refhf.dense(3, 3), refhf.dense(3, 3)], tied=[(0, 1)]).ties == (Tie(2, of=0),)


def test_tied_weights_stay_narrow():
    """Tied weights are of theta's precision."""
    net = refhf.transformer(7, 4, 6, 2, 1, tied=True)
    assert {x.dtype for x in arrays(net.unpack(net.init(0, np.float32)))} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    "net",
    [
        refhf.chain([refhf.dense(3, 4), refhf.dense(4, 3), refhf.dense(3, 4)], tied=[(0, 2)]),
        refhf.chain([Subsample((4, 4, 2), 2, 2), refhf.flatten(), refhf.dense(8, 2)], shape=(4, 4, 2)),
        refhf.chain([FrozenNorm(np.zeros(3), np.array([0.0, 1.0, 2.0])), refhf.dense(3, 2)], shape=(3,)),
    ],
)
def test_files_hold_the_ends_of_what_is_allowed(net, tmp_path):
    """Ties of equal shape, a subsampling that adds no channels and a variance of 0 come back from a file."""
    refhf.save(tmp_path / "net.npz", net, net.init(0))
    again, _ = refhf.load_network(tmp_path / "net.npz")
    assert (repr(again.chain), again.ties) == (repr(net.chain), net.ties)


def test_networks_print_in_one_line():
    """The sizes of a fully connected network; the shapes and the number of blocks of others."""
    assert (
        repr(refhf.mlp([3, 4, 2], nonlinearity="relu")) == "Network 3-4-2, relu, softmax_cross_entropy, 26 parameters"
    )
    net = refhf.convnet((4, 5, 1), [refhf.conv(2, 3), 3])
    assert repr(net) == "Network 4 x 5 x 1 to 3, 4 blocks, softmax_cross_entropy, 59 parameters"


def test_images_that_fit():
    """One unit is a layer; the padding counts at both edges."""
    assert refhf.convnet((4, 4, 1), [refhf.conv(2, 3), 1], loss="squared_error").outputs == 1
    net = refhf.convnet((5, 5, 1), [refhf.conv(2, 4, stride=3, padding=1), 2])
    assert net.chain.blocks[0].out_shape((5, 5, 1)) == (2, 2, 2)
    with pytest.raises(ValueError, match="got a stride that leaves 1 of 6 pixels"):
        refhf.convnet((6, 6, 1), [refhf.conv(2, 3, stride=3, padding=1), 2])


# --- Tapes


def test_tapes_have_the_numbers_that_are_reckoned():
    """`tape_numbers` of single blocks, counted by hand."""
    assert Attention(2).tape_numbers((3, 12)) == 2 * 3 * 4 + 3 * 2 * 3 * 3
    assert Flatten((2, 3)).tape_numbers((2, 3)) == 0
    residual = Residual(Chain((Dense(3, 4),)), Chain((Dense(3, 4), LayerNorm(4))))
    assert residual.tape_numbers((3,)) == 4 + (4 + 4 * 4) + 4


@pytest.mark.parametrize("block", [Activation(tanh), LayerNorm(6), BatchNorm(6, 4), Attention(1)], ids=repr)
def test_a_tape_that_nobody_needs_is_not_kept(block):
    """`backward` returns no tape unless it is to be kept."""
    w = [np.ones(shape) for shape in block.weight_shapes]
    s, tape = block.forward(w, RNG.standard_normal((4, 2, 6)))
    assert block.backward(tape, s, w)[1] is None


class Spy(Dense):
    """A dense layer that writes down what it is asked."""

    asked = []

    def forward(self, w, x, *, order=2):
        self.asked.append(("forward", order))
        return super().forward(w, x, order=order)

    def backward(self, tape, Ds, Dw, *, keep=False, below=True):
        self.asked.append(("backward", keep, below))
        return super().backward(tape, Ds, Dw, keep=keep, below=below)

    def r_backward(self, tape, r_tape, RDs, RDw, *, below=True):
        self.asked.append(("r_backward", below))
        return super().r_backward(tape, r_tape, RDs, RDw, below=below)


@pytest.mark.parametrize("wrap", [lambda block: block, lambda block: Residual(Chain((block,)), Chain((block,)))])
def test_no_sweep_does_more_than_is_needed(wrap):
    """A gradient and G v take first-order tapes, and nothing asks for Da of the data, in chains and residuals."""
    net = Network((3,), Chain((wrap(Spy(3, 3)), Activation(tanh), wrap(Spy(3, 3)))), LOSSES["squared_error"])
    X, y, theta = RNG.standard_normal((4, 3)), RNG.standard_normal((4, 3)), net.init(0)
    times = 1 if isinstance(net.chain.blocks[0], Spy) else 2

    def asked(call):
        Spy.asked.clear()
        call()
        assert all(Spy.asked[i::times] == Spy.asked[::times] for i in range(times))  # both chains are asked alike
        return Spy.asked[::times]

    down = [("backward", False, True), ("backward", False, False)]
    assert asked(lambda: network.loss_and_gradient(net, theta, X, y)) == 2 * [("forward", 1)] + down
    product = network.gauss_newton_product(net, theta, X, y)
    assert asked(lambda: network.gauss_newton_product(net, theta, X, y)) == 2 * [("forward", 1)]
    assert asked(lambda: product(theta)) == down
    kept = [("backward", True, True), ("backward", True, False)]
    assert asked(lambda: network.hessian_product(net, theta, X, y)) == 2 * [("forward", 2)] + kept
    product = network.hessian_product(net, theta, X, y)
    assert asked(lambda: product(theta)) == [("r_backward", True), ("r_backward", False)]


def test_a_first_order_tape_has_the_slope_alone():
    """A residual block hands the order down: an activation in it keeps f'(s), for two derivatives also s."""
    block = Residual(Chain((Activation(tanh),)), Chain((Activation(tanh),)))
    for order in (1, 2):
        _, (main, beside) = block.forward((((),), ((),)), np.ones((2, 3)), order=order)
        assert (len(main[0]), len(beside[0])) == (order, order)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_sweeps_find_their_pages():
    """A product asks the system for no memory again that the one before has freed."""
    program = """
import resource, numpy as np, refhf
net = refhf.mlp([64, 256, 64], loss="squared_error")
X = np.ones((2048, 64))
product = refhf.model.network.hessian_product(net, net.init(0), X, X)
v = np.ones(net.size)
faults = [product(v) is None or resource.getrusage(resource.RUSAGE_SELF).ru_minflt for _ in range(6)]
print(faults[-1] - faults[-2])
"""
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    assert int(done.stdout) < 500  # of 4 kB; 1,500 where they are given back


def test_a_theta_that_cannot_change_is_shared():
    """A read-only theta of its own is the tape's; another is copied."""
    net = refhf.mlp([3, 2])
    theta = net.init(0)
    theta.flags.writeable = False
    X = RNG.standard_normal((4, 3))
    assert np.shares_memory(network.forward(net, theta, X)[1][0][0], theta)
    assert not np.shares_memory(network.forward(net, theta.copy(), X)[1][0][0], theta)


def test_max_pooling_stays_narrow():
    """Its adjoint has the precision of Ds."""
    block = MaxPool(2)
    s, tape = block.forward((), RNG.standard_normal((2, 4, 4, 1)).astype(np.float32))
    assert block.backward(tape, s, ())[0].dtype == np.float32


# --- Bad input


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: refhf.embedding(5, 3, 0), "^width: "),
        (lambda: refhf.chain([]), "^shape: expected a case's shape"),
        (lambda: refhf.chain([refhf.dense(3, 3)], tied=[(0, 0)]), r"^tied\[0\]: expected stages"),
        (lambda: AveragePool(2).out_shape((4, 4)), r"^expected images .* got shape \(4, 4\)"),
        (lambda: refhf.transformer(width=0), "^width: "),
        (lambda: refhf.transformer(heads=0), "^heads: "),
        (lambda: refhf.transformer(depth=0), "^depth: "),
        (lambda: refhf.layer_norm(0), "^channels: "),
        (lambda: refhf.resnet(version="v3"), "^version: "),
        (lambda: refhf.resnet(classes=1), "^classes: "),
        (lambda: refhf.chain([refhf.dense(3, 1)], loss="softmax_cross_entropy"), r"^stages\[-1\]: "),
        (lambda: refhf.chain(["gelu"], shape=(3,)), r"^stages\[0\]: expected a stage"),
        (lambda: refhf.chain([refhf.dense(4, 2)], shape=(3,)), r"^stages\[0\], Dense\(n_in=4.*\): expected 4 inputs"),
        (lambda: refhf.supervised(refhf.transformer(5, 2, 4, 1, 1), [[0, 5]], [[0, 0]]), "^X: expected tokens"),
    ],
)
def test_arguments_are_named(call, words):
    """A message begins with the argument or the stage that is wrong."""
    with pytest.raises(ValueError, match=words):
        call()


def test_the_first_block_comes_after_none():
    """The message for the first block names no block before it."""
    with pytest.raises(ValueError, match=r"^blocks\[0\], Dense\(n_in=3[^)]*\): expected 3 inputs"):
        Chain((Dense(3, 4),)).out_shape((2,))


def test_a_network_too_large_is_refused():
    """A theta that no memory holds is refused by its size."""
    with pytest.raises(ValueError, match="^size: expected an integer .* <= 1152921504606846975; got 46116860"):
        refhf.mlp([2**31, 2**31, 2]).init(0)


def test_targets_of_two_classes():
    """A column of labels is taken for two outputs; one-hot rows are of the precision asked for; no cases are cases."""
    net = refhf.mlp([3, 2])
    np.testing.assert_array_equal(targets(net, [[0], [1]], 2, np.float32), [0, 1])
    two = refhf.mlp([3, 2], loss="logistic_cross_entropy")
    assert targets(two, [0, 1], 2, np.float32).dtype == np.float32
    assert targets(two, np.zeros((0, 2)), 0, np.float64).shape == (0, 2)


def test_an_image_before_a_mean_is_no_target():
    """Only the image that a network ends in may be given as one."""
    stages = [refhf.conv(2, 1), refhf.global_average_pool()]
    net = refhf.chain(stages, shape=(4, 4, 1))
    with pytest.raises(ValueError, match="^y: expected"):
        targets(net, np.zeros((3, 4, 4, 2)), 3, np.float64)
