"""Test vectors answered by JAX: gradients, H v as forward over reverse, G v as reverse over forward."""

import json
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
}


def mean_loss(name, z, y):
    if name == "squared_error":
        return ((z - y) ** 2).sum() / 2 / len(z)
    if name == "softmax_cross_entropy":
        return -(y * jax.nn.log_softmax(z)).sum() / len(z)
    return (jax.nn.softplus(z) - y * z).sum() / len(z)


def outputs(q, theta):
    """z (B, n_L); images have the channels last, kernels are (k, k, C_in, C_out)."""
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
            padding, layout = [(rest[2], rest[2])] * 2, ("NHWC", "HWIO", "NHWC")
            a = jax.lax.conv_general_dilated(a, W, (rest[1], rest[1]), padding, dimension_numbers=layout) + b
        else:
            a = a.reshape(len(a), -1) @ W + b
        a = f(a) if k < len(stages) - 1 else a
    return a


def answer(q):
    if q["operation"] not in ("gradient", "hessian_product", "gauss_newton_product"):
        return {"unsupported": True}
    theta, y = jnp.array(q["theta"]), jnp.array(q["y"]).reshape(q["cases"], -1)

    def value(theta):
        return mean_loss(q["loss"], outputs(q, theta), y) + q["l2"] / 2 * theta @ theta

    if q["operation"] == "gradient":
        f, g = jax.value_and_grad(value)(theta)
        return {"value": float(f), "gradient": g.tolist()}
    v = jnp.array(q["v"])
    if q["operation"] == "hessian_product":
        return {"product": jax.jvp(jax.grad(value), (theta,), (v,))[1].tolist()}
    z, Rz = jax.jvp(lambda theta: outputs(q, theta), (theta,), (v,))
    HRz = jax.jvp(jax.grad(lambda z: mean_loss(q["loss"], z, y)), (z,), (Rz,))[1]
    (Gv,) = jax.vjp(lambda theta: outputs(q, theta), theta)[1](HRz)
    return {"product": (Gv + q["l2"] * v).tolist()}


for line in sys.stdin:
    request = json.loads(line)
    print(json.dumps({"id": request["id"], **answer(request)}), flush=True)
