"""Blocks against PyTorch and JAX in float64: the same chains written with their functions, H v and G v by theirs.

PyTorch's products are reverse over reverse, which is right for its normalisations; JAX's are forward over reverse.
"""

import numpy as np
import pytest

import refhf
from refhf.model import network
from refhf.model.attention import Attention
from refhf.model.batch_norm import BatchNorm
from refhf.model.blocks import views
from refhf.model.chain import Chain
from refhf.model.convolution import Convolution
from refhf.model.dense import Dense
from refhf.model.elementwise import Activation
from refhf.model.embedding import Embedding
from refhf.model.layer_norm import LayerNorm
from refhf.model.max_pooling import MaxPool
from refhf.model.pooling import AveragePool, Flatten, GlobalAveragePool, Subsample
from refhf.model.residual import Residual
from refhf.model.weight_tying import places

EXACT = 1e-11


class Torch:
    """The blocks' forward maps in PyTorch's own functions."""

    def __init__(self):
        self.torch = pytest.importorskip("torch")
        self.F = self.torch.nn.functional

    def array(self, x):
        return self.torch.as_tensor(np.ascontiguousarray(x))

    def channels_first(self, x):
        return x.movedim(-1, 1)

    def convolution(self, block, W, x):
        s = self.F.conv2d(self.channels_first(x), W.permute(3, 2, 0, 1), None, block.stride, block.padding)
        return s.movedim(1, -1)

    def pool(self, block, x):
        pool = self.F.max_pool2d if isinstance(block, MaxPool) else self.F.avg_pool2d
        return pool(self.channels_first(x), block.size).movedim(1, -1)

    def batch_norm(self, x, gamma, beta, epsilon):
        """Of one group."""
        s = self.F.batch_norm(self.channels_first(x), None, None, gamma, beta, training=True, eps=epsilon)
        return s.movedim(1, -1)

    def layer_norm(self, x, gamma, beta, epsilon):
        return self.F.layer_norm(x, x.shape[-1:], gamma, beta, epsilon)

    def attention(self, Q, K, V, causal):
        with self.torch.nn.attention.sdpa_kernel(
            self.torch.nn.attention.SDPBackend.MATH
        ):  # others: no second derivative
            return self.F.scaled_dot_product_attention(Q, K, V, is_causal=causal)

    def activation(self, name, x):
        return {
            "gelu": self.F.gelu, "gelu_tanh": lambda s: self.F.gelu(s, approximate="tanh"), "silu": self.F.silu,
            "tanh": self.torch.tanh, "logistic": self.torch.sigmoid, "softplus": self.F.softplus, "relu": self.F.relu,
        }[name](x)  # fmt: skip

    def concatenate(self, parts):
        return self.torch.cat(parts)

    def loss(self, z, y):
        return self.F.cross_entropy(z.reshape(-1, z.shape[-1]), self.torch.as_tensor(y.ravel()))

    def products(self, f, outputs, theta, v):
        """g, H v and J v."""
        torch = self.torch
        theta = torch.tensor(theta, requires_grad=True)
        (g,) = torch.autograd.grad(f(theta), theta, create_graph=True)
        (Hv,) = torch.autograd.grad(g @ torch.as_tensor(v), theta)
        u = torch.zeros_like(outputs(theta), requires_grad=True)
        (back,) = torch.autograd.grad(outputs(theta), theta, u, create_graph=True)
        (Rz,) = torch.autograd.grad(back @ torch.as_tensor(v), u)
        return [x.detach().numpy() for x in (g, Hv, Rz)]


class Jax:
    """The same in JAX's functions, or in plain arithmetic where it has none."""

    def __init__(self, *, x64=True):
        self.jax = pytest.importorskip("jax")
        self.jax.config.update("jax_enable_x64", x64)
        self.np, self.nn = self.jax.numpy, self.jax.nn

    def array(self, x):
        return self.np.asarray(x)

    def convolution(self, block, W, x):
        pad = [(block.padding, block.padding)] * 2
        return self.jax.lax.conv_general_dilated(
            x, W, (block.stride,) * 2, pad, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    def pool(self, block, x):
        n, (B, h, w, c) = block.size, x.shape
        squares = x.reshape(B, h // n, n, w // n, n, c)
        return squares.max((2, 4)) if isinstance(block, MaxPool) else squares.mean((2, 4))

    def batch_norm(self, x, gamma, beta, epsilon):
        axes = tuple(range(x.ndim - 1))
        return gamma * self.nn.standardize(x, axis=axes, epsilon=epsilon) + beta

    def layer_norm(self, x, gamma, beta, epsilon):
        return gamma * self.nn.standardize(x, axis=-1, epsilon=epsilon) + beta

    def attention(self, Q, K, V, causal):
        """By softmax: JAX's dot_product_attention rounds its scores to float32."""
        scores = Q @ K.swapaxes(2, 3) / np.sqrt(Q.shape[-1])
        seen = np.tri(Q.shape[2], dtype=bool) if causal else True
        return self.nn.softmax(self.np.where(seen, scores, -np.inf)) @ V

    def activation(self, name, x):
        functions = {
            "gelu": lambda s: self.nn.gelu(s, approximate=False),
            "gelu_tanh": self.nn.gelu,
            "tanh": self.np.tanh,
        }
        return functions.get(name, getattr(self.nn, {"logistic": "sigmoid"}.get(name, name), None))(x)

    def concatenate(self, parts):
        return self.np.concatenate(parts)

    def loss(self, z, y):
        z = z.reshape(-1, z.shape[-1])
        return -self.np.take_along_axis(self.nn.log_softmax(z), y.reshape(-1, 1), 1).mean()

    def products(self, f, outputs, theta, v):
        g, Hv = self.jax.jvp(self.jax.grad(f), (theta,), (v,))
        return [np.asarray(x) for x in (g, Hv, self.jax.jvp(outputs, (theta,), (v,))[1])]


def forward(lib, block, w, a):
    """What `block` makes of a, in the functions of `lib`."""
    if isinstance(block, Chain):
        for inner, w_l in zip(block.blocks, w, strict=True):
            a = forward(lib, inner, w_l, a)
        return a
    if isinstance(block, Residual):
        return forward(lib, block.main, w[0], a) + forward(lib, block.shortcut, w[1], a)
    if isinstance(block, Dense | Convolution):
        s = a @ w[0] if isinstance(block, Dense) else lib.convolution(block, w[0], a)
        return s + w[1] if block.bias else s
    if isinstance(block, BatchNorm):
        groups = [a[i : i + block.group] for i in range(0, len(a), block.group)]
        return lib.concatenate([lib.batch_norm(x, *w, block.epsilon) for x in groups])
    if isinstance(block, LayerNorm):
        return lib.layer_norm(a, *w, block.epsilon)
    if isinstance(block, Embedding):
        return w[0][a] + w[1]
    if isinstance(block, Activation):
        return lib.activation(block.nonlinearity.name, a)
    if isinstance(block, Attention):
        B, T, d = a.shape
        heads = a.reshape(B, T, 3, block.heads, d // 3 // block.heads)
        Q, K, V = (heads[:, :, i].swapaxes(1, 2) for i in range(3))
        return lib.attention(Q, K, V, block.causal).swapaxes(1, 2).reshape(B, T, d // 3)
    if isinstance(block, AveragePool | MaxPool):
        return lib.pool(block, a)
    if isinstance(block, Subsample):
        kept = a[:, :: block.stride, :: block.stride].swapaxes(0, 3)
        dtype = str(a.dtype).removeprefix("torch.")
        zeros = lib.array(np.zeros((block.channels - block.shape[2], *kept.shape[1:]), dtype))
        return lib.concatenate([kept, zeros]).swapaxes(0, 3)
    if isinstance(block, Flatten):
        return a.reshape(len(a), -1)
    assert isinstance(block, GlobalAveragePool)
    return a.reshape(len(a), -1, a.shape[-1]).mean(1)


V2 = {"version": "v2", "shortcut": "projection", "nonlinearity": "gelu"}
BOTTLENECK = {"block": "bottleneck", "norm": "layer", "nonlinearity": "gelu_tanh"}
NETWORKS = {
    "resnet v1": lambda: refhf.resnet((8, 8, 3), 8, 4, 5, group=4, nonlinearity="silu"),
    "resnet v2": lambda: refhf.resnet((8, 8, 3), 8, 4, 5, group=4, **V2),
    "bottlenecks": lambda: refhf.resnet((8, 8, 3), 11, 3, 5, **BOTTLENECK),
    "relu": lambda: refhf.resnet((8, 8, 3), 8, 4, 5, group=4),
    "pools": lambda: refhf.chain(
        [refhf.conv(4, 3, padding=1), refhf.max_pool(2), refhf.elementwise("softplus"), refhf.pool(2),
         refhf.flatten(), refhf.dense(16, 5)],
        shape=(8, 8, 3), loss="softmax_cross_entropy",
    ),
    "transformer": lambda: refhf.transformer(11, 6, 8, 2, 2),
    "tied transformer": lambda: refhf.transformer(11, 6, 8, 2, 1, tied=True),
}  # fmt: skip


@pytest.mark.parametrize("library", [Torch, Jax])
@pytest.mark.parametrize("name", NETWORKS)
def test_products_are_theirs(name, library):
    """f, g, H v and J v are those of the library, to 1e-11 of their sizes."""
    lib, net, rng = library(), NETWORKS[name](), np.random.default_rng(3)
    if net.tokens:
        X, y = rng.integers(0, 11, (2, 8, 6))
    else:
        X, y = rng.standard_normal((8, *net.in_shape)), rng.integers(0, 5, 8)
    theta, v = net.init(0) + 0.1 * rng.standard_normal(net.size), rng.standard_normal(net.size)

    def outputs(t):
        return forward(lib, net.chain, chain_weights(net, t), lib.array(X))

    def f(t):
        return lib.loss(outputs(t), y)

    objective = refhf.supervised(net, X, y)
    value, g = objective.value_and_gradient(theta)
    _, tape = network.forward(net, theta, X.reshape(len(X), *net.in_shape))
    own = g, objective.hessian(theta) @ v, network.r_forward(net, tape, v)[0]
    for mine, theirs in zip(own, lib.products(f, outputs, theta, v), strict=True):
        assert np.linalg.norm(mine - theirs) <= EXACT * np.linalg.norm(theirs)
    assert value == pytest.approx(float(f(lib.array(theta))), rel=1e-12)


def chain_weights(net, t):
    """The chain's weights as the library's arrays, tied ones included."""
    shapes = net.chain.weight_shapes
    return views(shapes, t[places(shapes, net.ties)] if net.ties else t)
