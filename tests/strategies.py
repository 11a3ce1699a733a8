"""Random problems: hypothesis draws structure and a seed, so that shrinking gives a small network."""

from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from refhf import conv, convnet, mlp, pool, supervised
from refhf.model.elementwise import NONLINEARITIES
from refhf.model.losses import LOSSES
from refhf.model.network import Network
from refhf.objective.supervised import Supervised

ANALYTIC = [f.name for f in NONLINEARITIES.values() if f.analytic]


class Problem(NamedTuple):
    """A network at theta (P,), its cases X (B, n_0), y, two directions v, w (P,), and its objective.

    `shape` is that of an input, `stages` what happens to it: ("conv", channels, kernel, stride, padding), ("pool",
    size), ("units", n).
    """

    net: Network
    theta: np.ndarray
    X: np.ndarray
    y: np.ndarray
    v: np.ndarray
    w: np.ndarray
    objective: Supervised
    shape: tuple
    stages: tuple


@st.composite
def problems(draw, nonlinearities=tuple(NONLINEARITIES), losses=tuple(LOSSES), depth=4, width=16, l2=(0.0, 0.01, 1.0)):
    sizes = draw(st.lists(st.integers(1, width), min_size=2, max_size=depth + 1))
    loss, labels = draw(st.sampled_from(losses)), draw(st.booleans())
    sizes[-1] = max(sizes[-1], 2 if loss == "softmax_cross_entropy" else 1)  # one class is none
    net = mlp(sizes, nonlinearity=draw(st.sampled_from(nonlinearities)), loss=loss)
    stages = [("units", n) for n in sizes[1:]]
    return draw(_of_cases(net, loss, labels, 32, l2, tuple(sizes[:1]), tuple(stages)))


@st.composite
def _of_cases(draw, net, loss, labels, most, l2, shape, stages):
    cases, decay = draw(st.integers(1, most)), draw(st.sampled_from(l2))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    inputs, outputs = net.inputs, net.outputs
    X, y = rng.normal(size=(cases, inputs)), rng.normal(size=(cases, outputs))
    if loss != "squared_error":
        y = rng.integers(0, max(2, outputs), cases) if labels else net.loss.predict(y)
    theta = net.init(rng) + 0.1 * rng.normal(size=net.size)
    v, w = rng.normal(size=(2, net.size))
    return Problem(net, theta, X, y, v, w, supervised(net, X, y, l2=decay), shape, stages)


@st.composite
def convolutions(draw, height, width):
    """("conv", ...) that fits images of height x width, and the size of what comes out."""
    kernel = draw(st.integers(1, 4))
    padding = draw(st.integers(max(0, -((min(height, width) - kernel) // 2)), kernel - 1))
    room = [n + 2 * padding - kernel for n in (height, width)]
    stride = draw(st.sampled_from([s for s in (1, 2, 3) if all(r % s <= padding for r in room)]))
    return ("conv", draw(st.integers(1, 3)), kernel, stride, padding), *(r // stride + 1 for r in room)


@st.composite
def image_problems(
    draw, nonlinearities=tuple(NONLINEARITIES), losses=tuple(LOSSES), l2=(0.0, 0.01, 1.0), depth=3, side=7
):
    """Problems of convolutional networks: up to `depth` convolutions and pools, then up to two layers of units."""
    shape = height, width, _ = draw(st.integers(1, side)), draw(st.integers(1, side)), draw(st.integers(1, 3))
    stages = []
    for _ in range(draw(st.integers(1, depth))):
        if draw(st.integers(0, 2)):
            stage, height, width = draw(convolutions(height, width))
        else:
            size = draw(st.sampled_from([p for p in range(1, side + 1) if height % p == width % p == 0]))
            stage, height, width = ("pool", size), height // size, width // size
        stages.append(stage)
    loss, labels = draw(st.sampled_from(losses)), draw(st.booleans())
    units = draw(st.lists(st.integers(2, 5), min_size=1, max_size=2))
    if stages[-1][0] == "conv" and loss == "squared_error" and labels:
        units = []  # an image goes out
    stages += [("units", n) for n in units]
    kinds = {"conv": lambda n, k, s, p: conv(n, k, stride=s, padding=p), "pool": pool, "units": int}
    given = [kinds[kind](*numbers) for kind, *numbers in stages]
    net = convnet(shape, given, nonlinearity=draw(st.sampled_from(nonlinearities)), loss=loss)
    return draw(_of_cases(net, loss, labels, 6, l2, shape, tuple(stages)))
