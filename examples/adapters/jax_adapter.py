"""Test vectors answered by JAX: gradients, H v as forward over reverse, G v as reverse over forward."""

import json
import math
import sys

import jax
import jax.numpy as jnp

jax.config.update("jax_enable_x64", True)
NONLINEARITIES = {
    "tanh": jnp.tanh,
    "logistic": jax.nn.sigmoid,
    "softplus": jax.nn.softplus,
    "relu": jax.nn.relu,
    "identity": lambda s: s,
    "gelu": lambda s: jax.nn.gelu(s, approximate=False),
    "gelu_tanh": jax.nn.gelu,
    "silu": jax.nn.silu,
}


def mean_loss(name, z, y):
    if name == "squared_error":
        return ((z - y) ** 2).sum() / 2 / len(z)
    if name == "softmax_cross_entropy":
        return -(y * jax.nn.log_softmax(z)).sum() / len(z)
    return (jax.nn.softplus(z) - y * z).sum() / len(z)


def outputs(q, theta):
    """z (B, n_L); images have the channels last, kernels are (k, k, C_in, C_out)."""
    if "blocks" in q:
        z = Blocks(q, theta).outputs()
        return z.reshape(-1, z.shape[-1])
    a, at, f = jnp.array(q["X"]).reshape(q["cases"], -1), 0, NONLINEARITIES[q["nonlinearity"]]
    if "shape" in q:
        a = a.reshape(-1, *q["shape"])
    stages = q["stages"] if "stages" in q else [f"dense {n}" for n in q["sizes"][1:]]
    for k, stage in enumerate(stages):
        kind, *words = stage.split()
        n, *rest = map(int, words)
        if kind == "pool":
            a = a.reshape(len(a), a.shape[1] // n, n, a.shape[2] // n, n, -1).mean(axis=(2, 4))
            continue
        shape = (rest[0], rest[0], a.shape[-1], n) if kind == "conv" else (a[0].size, n)
        count = shape[-1] * (shape[0] if kind == "dense" else rest[0] ** 2 * a.shape[-1])
        W, b = theta[at : at + count].reshape(shape), theta[at + count : at + count + n]
        at += count + n
        if kind == "conv":
            a = convolution(a, W, rest[1], rest[2]) + b
        else:
            a = a.reshape(len(a), -1) @ W + b
        a = f(a) if k < len(stages) - 1 else a
    return a


def convolution(a, W, stride, padding):
    layout = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(a, W, (stride, stride), [(padding, padding)] * 2, dimension_numbers=layout)


def standardised(a, axes):
    centred = a - a.mean(axis=axes, keepdims=True)
    return centred / jnp.sqrt((centred**2).mean(axis=axes, keepdims=True) + 1e-5)


class Blocks:
    """A network of blocks: a residual block is main, 'shortcut', beside, 'end'."""

    def __init__(self, q, theta):
        self.q, self.theta, self.at, self.words = q, theta, 0, iter(enumerate(q["blocks"]))
        self.starts = {}

    def outputs(self):
        return self.chain(jnp.array(self.q["X"]).reshape(self.q["cases"], *self.q["shape"]))

    def take(self, *shape):
        count = math.prod(shape)
        self.at += count
        return self.theta[self.at - count : self.at].reshape(shape)

    def chain(self, a):
        for k, word in self.words:
            self.starts[k] = self.at
            if word in ("shortcut", "end"):
                break
            a = self.chain(a) + self.chain(a) if word == "residual" else self.block(a, *word.split())
        return a

    def block(self, a, kind, *words):
        n, bias, channels = [int(word) for word in words if word.isdigit()], "no-bias" not in words, a.shape[-1]
        if kind in NONLINEARITIES:
            return NONLINEARITIES[kind](a)
        if kind == "dense":
            return a @ self.take(channels, n[0]) + (self.take(n[0]) if bias else 0)
        if kind in ("tied", "shared"):
            W = self.theta[self.starts[n[0]] :][: channels * n[1]]
            return a @ (W.reshape(n[1], channels).T if kind == "tied" else W.reshape(channels, n[1]))
        if kind == "conv":
            a = convolution(a, self.take(n[1], n[1], channels, n[0]), n[2], n[3])
            return a + (self.take(n[0]) if bias else 0)
        if kind in ("pool", "max-pool"):
            squares = a.reshape(len(a), a.shape[1] // n[0], n[0], a.shape[2] // n[0], n[0], channels)
            return squares.mean(axis=(2, 4)) if kind == "pool" else squares.max(axis=(2, 4))
        if kind == "subsample":
            return jnp.pad(a[:, :: n[1], :: n[1]], [(0, 0)] * 3 + [(0, n[0] - channels)])
        if kind == "layer-norm":
            return self.take(channels) * standardised(a, -1) + self.take(channels)
        if kind == "batch-norm":
            groups = [a[i : i + n[0]] for i in range(0, len(a), n[0])]
            normal = jnp.concatenate([standardised(x, tuple(range(x.ndim - 1))) for x in groups])
            return self.take(channels) * normal + self.take(channels)
        if kind == "attention":
            B, T, d = len(a), a.shape[1], channels // 3
            Q, K, V = (x.reshape(B, T, n[0], d // n[0]).swapaxes(1, 2) for x in jnp.split(a, 3, axis=2))
            scores = Q @ K.swapaxes(2, 3) / (d // n[0]) ** 0.5
            if "causal" in words:
                scores = jnp.where(jnp.tri(T) == 1, scores, -jnp.inf)
            return (jax.nn.softmax(scores) @ V).swapaxes(1, 2).reshape(B, T, d)
        if kind == "embedding":
            E = self.take(n[0], n[1])
            return E[a] + self.take(a.shape[1], n[1])
        return a.reshape(len(a), -1) if kind == "flatten" else a.mean(axis=tuple(range(1, a.ndim - 1)))


def answer(q):
    if q["operation"] not in ("gradient", "hessian_product", "gauss_newton_product"):
        return {"unsupported": True}
    theta = jnp.array(q["theta"])

    def value(theta):
        z = outputs(q, theta)
        return mean_loss(q["loss"], z, jnp.array(q["y"]).reshape(z.shape)) + q["l2"] / 2 * theta @ theta

    if q["operation"] == "gradient":
        f, g = jax.value_and_grad(value)(theta)
        return {"value": float(f), "gradient": g.tolist()}
    v = jnp.array(q["v"])
    if q["operation"] == "hessian_product":
        return {"product": jax.jvp(jax.grad(value), (theta,), (v,))[1].tolist()}
    z, Rz = jax.jvp(lambda theta: outputs(q, theta), (theta,), (v,))
    y = jnp.array(q["y"]).reshape(z.shape)
    HRz = jax.jvp(jax.grad(lambda z: mean_loss(q["loss"], z, y)), (z,), (Rz,))[1]
    (Gv,) = jax.vjp(lambda theta: outputs(q, theta), theta)[1](HRz)
    return {"product": (Gv + q["l2"] * v).tolist()}


for line in sys.stdin:
    request = json.loads(line)
    print(json.dumps({"id": request["id"], **answer(request)}), flush=True)
