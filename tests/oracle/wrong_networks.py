"""Nonlinearities, losses and the four sweeps with one mistake; mistake None computes the right reply."""

import math

import numpy as np

from oracle import wrong_blocks
from oracle.reply_changes import finished
from refhf.conformance.vectors.network_operations import network_of
from refhf.model.convolution import Convolution
from refhf.model.dense import Dense
from refhf.model.elementwise import NONLINEARITIES, Activation
from refhf.model.losses import LOSSES

STEP = 2.0**-10  # of a finite difference: truncation error 1e-7, rounding error 1e-13
STALE: dict = {}  # the first theta seen for each problem, as an implementation with a stale tape keeps it


class Stage:
    """A layer with weights, and the pooling and flattening before it."""

    def __init__(self, layer, before):
        self.layer, self.before = layer, before

    def enter(self, a):
        """The activation, pooled and flattened."""
        for block in self.before:
            a = block.apply(a)
        return a

    def back(self, Da):
        """The adjoint of `enter`."""
        for block in reversed(self.before):
            Da = block.adjoint(Da)
        return Da


def stages(net):
    """The layers of a network, each with the pooling and flattening before it."""
    found, before = [], []
    for block in net.chain.blocks:
        if isinstance(block, Dense | Convolution):
            found.append(Stage(block, before))
            before = []
        elif not isinstance(block, Activation):
            before.append(block)
    return found


def relaid(net, theta, mistake):
    """theta read in another layout."""
    parts, start = [], 0
    for layer in net.layers:
        n_w, n_b = (math.prod(shape) for shape in layer.weight_shapes)
        W, b = theta[start : start + n_w], theta[start + n_w : start + n_w + n_b]
        if mistake == "bias-first":
            b, W = theta[start : start + n_b], theta[start + n_b : start + n_w + n_b]
        if mistake == "layout":
            W = W.reshape(-1, layer.weight_shape[0] if isinstance(layer, Dense) else math.prod(layer.weight_shape[:-1]))
            W = W.T.ravel()
        if mistake == "kernel-turned" and isinstance(layer, Convolution):
            W = W.reshape(layer.weight_shape)[::-1, ::-1].ravel()
        parts += [W, b]
        start += n_w + n_b
    return np.concatenate(parts)


def network(request, mistake, wanted):
    """Value and gradient, H v or G v, by the four textbook sweeps."""
    if "blocks" in request:
        return wrong_blocks.network(request, mistake, wanted)
    net, cases, l2 = network_of(request), request["cases"], request.get("l2", 0.0)
    X, y = (np.array(request[name], float).reshape(cases, -1) for name in ("X", "y"))
    if mistake == "cases-in-columns":
        X, y = X.ravel().reshape(-1, cases).T, y.ravel().reshape(-1, cases).T
    if mistake == "channels-first" and "shape" in request:
        height, width, channels = request["shape"]
        X = X.reshape(-1, channels, height, width).transpose(0, 2, 3, 1).reshape(cases, -1)
    given, given_v = (np.array(request.get(name, request["theta"]), float) for name in ("theta", "v"))
    if mistake == "stale-tape":
        given = STALE.setdefault((wanted, *request["X"]), given)
    index = relaid(net, np.arange(net.size), mistake)
    theta, v = given[index], given_v[index]
    weights, directions, last, through = net.unpack(theta), net.unpack(v), len(net.layers) - 1, stages(net)

    a, s, Rs, Ra, slopes = [through[0].enter(X.reshape(cases, *net.in_shape))], [], [], [], []
    for l, (layer, (W, b), (V, c)) in enumerate(zip(net.layers, weights, directions, strict=True)):
        s.append(layer.product(W, a[l]) + b)
        total = 0 * s[l] if mistake == "missing-direction" and l > 0 else layer.product(V, a[l])
        total = total + (0 if mistake == "bias-direction" else c) + (layer.product(W, Ra[-1]) if l else 0)
        Rs.append(total)
        if l < last:
            f, enter = net.nonlinearities[l], through[l + 1].enter
            slopes.append(f.d(f.f(s[l])) if mistake == "d-of-activation" else f.d(s[l]))
            a.append(enter(f.f(s[l])))
            Ra.append(enter(slopes[l] * Rs[l]))
    z, Rz = s[-1].reshape(cases, -1), Rs[-1].reshape(cases, -1)
    Ds, RDs = (
        net.loss.gradient(z, y).reshape(s[-1].shape),
        loss_hessian(net.loss, z, y, Rz, mistake).reshape(s[-1].shape),
    )
    if wanted == "gauss_newton" or mistake == "gauss-newton-for-hessian":
        Ds = 0 * Ds
    curved = wanted == "hessian" or mistake == "hessian-for-gauss-newton"
    if mistake == "hessian-for-gauss-newton":
        Ds = net.loss.gradient(z, y).reshape(s[-1].shape)

    g, Hv, fisher, pieces = np.zeros(net.size), np.zeros(net.size), [], net.unpack(np.arange(net.size))
    for l in reversed(range(last + 1)):
        layer, (W, b), (V, _), (at_w, at_b) = net.layers[l], weights[l], directions[l], pieces[l]
        g[at_w], g[at_b] = layer.adjoint_weight(a[l], Ds), Ds.reshape(-1, b.size).sum(axis=0)
        Hv[at_w], Hv[at_b] = layer.adjoint_weight(a[l], RDs), RDs.reshape(-1, b.size).sum(axis=0)
        if curved and l > 0 and mistake != "missing-input-term":
            Hv[at_w] += layer.adjoint_weight(Ra[l - 1], Ds)
        if l > 0:
            back = through[l].back
            Da, RDa = back(layer.adjoint_input(W, Ds)), back(layer.adjoint_input(W, RDs))
            if curved and mistake != "missing-weight-term":
                RDa = RDa + back(layer.adjoint_input(V, Ds))
            bend = Da * net.nonlinearities[l - 1].dd(s[l - 1]) * Rs[l - 1]
            RDs = RDa * slopes[l - 1] + (bend if curved and mistake != "missing-f''" else 0)
            Ds = Da * slopes[l - 1]
    result, decayed = (g, theta) if wanted == "gradient" else (Hv, v)
    if mistake == "empirical-fisher":
        result, fisher = np.zeros(net.size), [_one_gradient(request, i, theta) for i in range(cases)]
        for g_i in fisher:
            result = result + g_i * (g_i @ v)
    result = result / (1 if mistake == "mean-vs-sum" else cases)
    if mistake == "mean-over-outputs":
        result = result / z.shape[1]
    if mistake == "loss-factor-2" and net.loss.name == "squared_error":
        result = 2 * result
    if mistake == "l2-on-biases":
        decayed = np.concatenate([np.concatenate([V.ravel(), 0 * c]) for V, c in net.unpack(decayed)])
    if mistake == "l2-divided-by-batch":
        l2 = l2 / cases
    result = result + (0 if mistake == "l2" else l2) * decayed
    if mistake == "bias":
        result = np.concatenate([np.concatenate([V.ravel(), 0 * c]) for V, c in net.unpack(result)])
    value = net.loss.value(z, y) / (1 if mistake == "mean-vs-sum" else cases) + l2 / 2 * float(theta @ theta)
    placed = np.empty(net.size)
    placed[index] = result
    reply = {"value": value, "gradient": placed} if wanted == "gradient" else {"product": placed}
    return finished(reply, mistake)


def _one_gradient(request, i, theta):
    rows = {name: np.reshape(request[name], (request["cases"], -1))[i].tolist() for name in ("X", "y")}
    one = {**request, **rows, "theta": theta.tolist(), "cases": 1, "l2": 0.0}
    return network(one, None, "gradient")["gradient"]


def loss_hessian(loss, z, y, Rz, mistake):
    """H_L Rz."""
    p = loss.predict(z)
    softmax = loss.name == "softmax_cross_entropy"
    if softmax and mistake == "softmax-diagonal":
        return p * (1 - p) * Rz
    if softmax and mistake == "softmax-outer-product":
        return p * Rz
    if mistake == "loss-hessian":
        return Rz
    return loss.hessian(z, y)(Rz)


def gradient(request, mistake):
    """The gradient."""
    return network(request, mistake, "gradient")


def hessian_product(request, mistake):
    """H v."""
    return network(request, mistake, "hessian")


def gauss_newton_product(request, mistake):
    """G v."""
    return network(request, mistake, "gauss_newton")


def nonlinearity(request, mistake):
    """f, f', f''."""
    name, s = request["nonlinearity"], np.array(request["s"], float)
    f = NONLINEARITIES[name]
    reply = {"f": f.f(s), "d": f.d(s), "dd": f.dd(s)}
    naive = {
        "logistic": lambda s: np.exp(s) / (1 + np.exp(s)),
        "softplus": lambda s: np.log(1 + np.exp(s)),
        "tanh": lambda s: (np.exp(s) - np.exp(-s)) / (np.exp(s) + np.exp(-s)),
    }
    if mistake == "naive-exponential" and name in naive:
        reply["f"] = naive[name](s)
    elif mistake == "d-of-activation":
        reply["d"] = f.d(reply["f"])
    elif mistake == "missing-f''":
        reply["dd"] = 0 * reply["dd"]
    elif mistake == "dd-factor-2":
        reply["dd"] = 2 * reply["dd"]
    elif mistake == "dd-sign":
        reply["dd"] = -reply["dd"]
    elif mistake == "relu-at-zero" and name == "relu":
        reply["d"] = (s >= 0).astype(float)
    elif mistake == "finite-difference":
        reply["d"] = (f.f(s + STEP) - f.f(s - STEP)) / (2 * STEP)
    return finished(reply, mistake)


def loss(request, mistake):
    """The mean value, its gradient, H_L Rz."""
    one, cases = LOSSES[request["loss"]], request["cases"]
    z, y, Rz = (np.array(request[name], float).reshape(cases, -1) for name in ("z", "y", "Rz"))
    value, g = one.value(z, y), one.gradient(z, y)
    if mistake == "naive-exponential" and one.name != "squared_error":
        p = np.exp(z) / (np.exp(z).sum(axis=1, keepdims=True) if one.name.startswith("softmax") else 1 + np.exp(z))
        g, value = p - y, -(y * np.log(p)).sum()
        if one.name.startswith("logistic"):
            value -= ((1 - y) * np.log(1 - p)).sum()
    if mistake == "softmax-twice" and one.name.startswith("softmax"):
        g = one.predict(one.predict(z)) - y
    if mistake == "residual-without-prediction":
        g = z - y
    if mistake == "loss-factor-2" and one.name == "squared_error":
        value, g = 2 * value, 2 * g
    if mistake == "softmax-over-cases" and one.name.startswith("softmax"):
        g = one.predict(z.T).T - y
    reply = {"value": value, "gradient": g.ravel(), "hessian_product": loss_hessian(one, z, y, Rz, mistake).ravel()}
    scale = {"mean-vs-sum": 1, "mean-over-outputs": cases * z.shape[1]}.get(mistake, cases)
    return finished({key: x / scale for key, x in reply.items()}, mistake)


NETWORK = [
    "factor-2",
    "sign",
    "float32",
    "mean-vs-sum",
    "bias",
    "layout",
    "cases-in-columns",
    "d-of-activation",
    "kernel-turned",
    "channels-first",
    "bias-first",
    "l2",
    "l2-on-biases",
    "l2-divided-by-batch",
    "stale-tape",
    "loss-factor-2",
    "mean-over-outputs",
    *wrong_blocks.MISTAKES,
]

MISTAKES = {
    "nonlinearity": (
        nonlinearity,
        [
            "naive-exponential",
            "d-of-activation",
            "missing-f''",
            "dd-factor-2",
            "dd-sign",
            "relu-at-zero",
            "finite-difference",
            "float32",
            "sign",
            "factor-2",
        ],
    ),
    "loss": (
        loss,
        [
            "softmax-diagonal",
            "softmax-outer-product",
            "loss-hessian",
            "naive-exponential",
            "softmax-twice",
            "residual-without-prediction",
            "softmax-over-cases",
            "loss-factor-2",
            "mean-vs-sum",
            "mean-over-outputs",
            "float32",
            "sign",
            "factor-2",
        ],
    ),
    "gradient": (gradient, NETWORK),
    "hessian_product": (
        hessian_product,
        [
            *NETWORK,
            "softmax-diagonal",
            "softmax-outer-product",
            "loss-hessian",
            "missing-f''",
            "missing-weight-term",
            "missing-input-term",
            "missing-direction",
            "bias-direction",
            "gauss-newton-for-hessian",
        ],
    ),
    "gauss_newton_product": (
        gauss_newton_product,
        [
            *NETWORK,
            "softmax-diagonal",
            "softmax-outer-product",
            "loss-hessian",
            "missing-direction",
            "bias-direction",
            "hessian-for-gauss-newton",
            "empirical-fisher",
        ],
    ),
}
