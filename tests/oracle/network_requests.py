"""Requests about nonlinearities, losses and networks: (name, request)."""

import math
from itertools import pairwise

import numpy as np

from oracle.named_draws import decimals, draws

LOSSES = "squared_error", "softmax_cross_entropy", "logistic_cross_entropy"
NONLINEARITIES = "tanh", "logistic", "softplus", "relu", "identity"
SMOOTH = "gelu", "gelu_tanh", "silu"


def targets(rng, loss, cases, outputs, soft=False):
    """y: one-hot classes, distributions if `soft`, independent binary targets, or real numbers."""
    if loss == "squared_error":
        return decimals(rng, cases * outputs)
    if loss == "logistic_cross_entropy":
        return [float(k) / (4 if soft else 1) for k in rng.integers(0, 5 if soft else 2, cases * outputs)]
    if soft:
        parts = rng.multinomial(8, [1 / outputs] * outputs, cases)  # eighths: rows sum to 1 exactly
        return [float(k) / 8 for k in parts.ravel()]
    return np.eye(outputs)[rng.integers(outputs, size=cases)].ravel().tolist()


def nonlinearity():
    """Ordinary arguments, both tails, zero."""
    asked = {
        "ordinary": [-2.0, -1.25, -0.5, -0.1, 0.3, 0.9, 1.6],
        "near zero": [-0.001, 1e-05, 0.0004],
        "large": [-800.0, 750.0],
        "one": [1.0],
    }
    extra = {
        "tanh": {"zero": [0.0]},
        "logistic": {"zero": [0.0], "left tail": [-30.0, -31.5], "far left": [-300.0], "right": [20.0, 36.0]},
        "softplus": {"zero": [0.0], "left tail": [-40.0, -41.0], "far left": [-300.0], "right": [35.0, 50.0]},
        "relu": {"kink": [0.0], "around the kink": [-1e-300, 1e-300]},
        "identity": {"huge": [1e300, -1e300]},
    }
    for f in NONLINEARITIES:
        for name, s in (asked | extra[f]).items():
            yield f"{f}/{name}".replace(" ", "-"), {"operation": "nonlinearity", "nonlinearity": f, "s": s}
    for f in SMOOTH:
        for name, s in (asked | {"near zero": [-0.05, 0.01], "large": [-6.0, 5.5], "zero": [0.0]}).items():
            yield f"{f}/{name}".replace(" ", "-"), {"operation": "nonlinearity", "nonlinearity": f, "s": s}


def loss():
    """Several cases; saturated outputs, right and wrong; equal outputs; soft targets; a shift that cancels."""
    for name in LOSSES:
        for kind, cases, outputs, size, soft in (
            ("ordinary", 4, 3, 2.0, False),
            ("one-case", 1, 4, 2.0, False),
            ("soft-targets", 3, 3, 2.0, True),
            ("two-outputs", 5, 2, 3.0, False),
            ("far-apart", 3, 3, 12.0, False),
        ):
            rng = draws(f"loss/{name}/{kind}")
            yield (
                f"{name}/{kind}",
                _loss(name, cases, decimals(rng, cases * outputs, size), targets(rng, name, cases, outputs, soft), rng),
            )
    for kind, z, y in (
        ("sure-and-wrong", [0.0, 800.0, -5.0], [1.0, 0.0, 0.0]),
        ("equal", [2.5, 2.5, 2.5], [0.0, 1.0, 0.0]),
        ("shifted", [1000.5, 1001.25, 999.75], [0.0, 0.0, 1.0]),
        ("ten-outputs", [0.1 * k for k in range(10)], [float(k == 7) for k in range(10)]),
    ):
        z = [round(x, 3) for x in z]
        yield f"softmax_cross_entropy/{kind}", _loss("softmax_cross_entropy", 1, z, y, draws(f"loss/softmax/{kind}"))
    for kind, z, y in (
        ("sure-and-wrong", [800.0], [0.0]),
        ("one-output", [0.7], [1.0]),
        ("sure-and-right", [-30.0], [0.0]),
    ):
        yield f"logistic_cross_entropy/{kind}", _loss("logistic_cross_entropy", 1, z, y, draws(f"loss/logistic/{kind}"))


def _loss(name, cases, z, y, rng):
    return {"operation": "loss", "loss": name, "cases": cases, "z": z, "y": y, "Rz": decimals(rng, len(z))}


def dense(operation, name, sizes, nonlinearity, loss, cases=4, l2=0.0, soft=False, size=1.0):
    """A request about a fully connected network, its numbers keyed by the name."""
    rng = draws(f"{operation}/{name}")
    count = sum((m + 1) * n for m, n in pairwise(sizes))
    request = {
        "operation": operation,
        "sizes": sizes,
        "nonlinearity": nonlinearity,
        "loss": loss,
        "l2": l2,
        "cases": cases,
    }
    request["theta"], request["X"] = decimals(rng, count, size), decimals(rng, cases * sizes[0])
    request["y"] = targets(rng, loss, cases, sizes[-1], soft)
    return request if operation == "gradient" else {**request, "v": decimals(rng, count)}


def _networks(operation):
    short = {name: name.split("_")[0] for name in LOSSES}
    for f in NONLINEARITIES:
        for loss in LOSSES:
            name = f"{f}-{short[loss]}"
            yield name, dense(operation, name, [3, 4, 3], f, loss)
    for f, loss in zip(NONLINEARITIES, LOSSES + LOSSES, strict=False):
        name = f"{f}-{short[loss]}-decay"
        yield name, dense(operation, name, [2, 3, 2], f, loss, 3, 0.25)
    for name, sizes, f, loss, cases, l2, soft in (
        ("linear-regression", [3, 2], "identity", "squared_error", 5, 0.0, False),
        ("softmax-regression", [3, 4], "identity", "softmax_cross_entropy", 5, 0.0, False),
        ("logistic-regression", [4, 1], "identity", "logistic_cross_entropy", 6, 0.125, False),
        ("one-case", [3, 4, 2], "tanh", "softmax_cross_entropy", 1, 0.0, False),
        ("one-unit-a-layer", [1, 1, 1], "tanh", "squared_error", 2, 0.0, False),
        ("three-layers", [2, 3, 3, 2], "tanh", "softmax_cross_entropy", 3, 0.0, False),
        ("three-layers-softplus", [2, 3, 3, 2], "softplus", "squared_error", 3, 0.03125, False),
        ("four-layers", [2, 2, 3, 2, 2], "logistic", "logistic_cross_entropy", 2, 0.0, False),
        ("square-layers", [3, 3, 3], "tanh", "squared_error", 4, 0.0, False),
        ("soft-targets", [2, 3, 3], "tanh", "softmax_cross_entropy", 4, 0.0, True),
        ("binary", [2, 4, 1], "softplus", "logistic_cross_entropy", 5, 0.0, False),
        ("wide", [2, 8, 2], "tanh", "softmax_cross_entropy", 3, 0.0, False),
        ("many-cases", [2, 3, 2], "tanh", "logistic_cross_entropy", 16, 0.0, False),
    ):
        yield name, dense(operation, name, sizes, f, loss, cases, l2, soft)
    first, second = (dense(operation, f"same-cases-{k}", [2, 3, 2], "tanh", "softmax_cross_entropy", 3) for k in (1, 2))
    yield "same-cases-1", first
    yield "same-cases-2", {**second, "X": first["X"], "y": first["y"]}
    yield (
        "large-weights",
        dense(operation, "large-weights", [2, 3, 2], "tanh", "softmax_cross_entropy", 3, 0.0, size=4.0),
    )


def gradient():
    """Dense networks."""
    return _networks("gradient")


def hessian_product():
    """Dense networks, with a direction v."""
    return _networks("hessian_product")


def gauss_newton_product():
    """Dense networks, with a direction v."""
    return _networks("gauss_newton_product")


CONVOLUTIONS = (
    ("plain", [3, 3, 1], ["conv 2 2 1 0", "dense 2"], "tanh", "softmax_cross_entropy", 0.0),
    ("padded", [3, 3, 1], ["conv 2 3 1 1", "dense 2"], "tanh", "squared_error", 0.0),
    ("strided", [5, 5, 1], ["conv 2 3 2 0", "dense 2"], "logistic", "softmax_cross_entropy", 0.125),
    ("two-channels", [3, 3, 2], ["conv 2 2 1 0", "dense 2"], "softplus", "logistic_cross_entropy", 0.0),
    ("pooled", [4, 4, 1], ["conv 2 3 1 1", "pool 2", "dense 2"], "tanh", "softmax_cross_entropy", 0.0),
    ("two-convolutions", [4, 4, 1], ["conv 2 2 1 0", "conv 2 2 1 0", "dense 2"], "tanh", "squared_error", 0.0),
    ("not-square", [2, 4, 1], ["conv 2 2 1 0", "dense 2"], "relu", "softmax_cross_entropy", 0.0),
)


def _parameters(shape, stages):
    """P of a convolutional network."""
    height, width, channels = shape
    total = 0
    for kind, *words in map(str.split, stages):
        given = [int(word) for word in words]
        if kind == "pool":
            height, width = height // given[0], width // given[0]
        elif kind == "dense":
            total += (height * width * channels + 1) * given[0]
            height, width, channels = 1, 1, given[0]
        else:
            out, kernel, stride, padding = given
            total += (kernel**2 * channels + 1) * out
            height, width = ((n + 2 * padding - kernel) // stride + 1 for n in (height, width))
            channels = out
    return total


def convolution():
    """The three operations on convolutional networks."""
    for name, shape, stages, f, loss, l2 in CONVOLUTIONS:
        count = _parameters(shape, stages)
        rng = draws(f"convolution/{name}")
        request = {"shape": shape, "stages": stages, "nonlinearity": f, "loss": loss, "l2": l2, "cases": 2}
        request["theta"], request["X"] = decimals(rng, count), decimals(rng, 2 * math.prod(shape))
        request["y"], v = targets(rng, loss, 2, 2), decimals(rng, count)
        yield f"{name}/gradient", {"operation": "gradient", **request}
        for operation in ("hessian_product", "gauss_newton_product"):
            yield f"{name}/{operation}".replace("_", "-"), {"operation": operation, **request, "v": v}
