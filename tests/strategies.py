"""Random problems: hypothesis draws structure and a seed, so that shrinking gives a small network."""

from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from refhf import mlp, supervised
from refhf.model.losses import LOSSES
from refhf.model.network import Network
from refhf.model.nonlinearities import NONLINEARITIES
from refhf.objective import Supervised

ANALYTIC = [f.name for f in NONLINEARITIES.values() if f.analytic]


class Problem(NamedTuple):
    """A network at theta (P,), its cases X (B, n_0), y, two directions v, w (P,), and its objective."""

    net: Network
    theta: np.ndarray
    X: np.ndarray
    y: np.ndarray
    v: np.ndarray
    w: np.ndarray
    objective: Supervised


@st.composite
def problems(draw, nonlinearities=tuple(NONLINEARITIES), losses=tuple(LOSSES), depth=4, width=16, l2=(0.0, 0.01, 1.0)):
    sizes = draw(st.lists(st.integers(1, width), min_size=2, max_size=depth + 1))
    loss, labels = draw(st.sampled_from(losses)), draw(st.booleans())
    sizes[-1] = max(sizes[-1], 2 if loss == "softmax_cross_entropy" else 1)  # one class is none
    net = mlp(sizes, nonlinearity=draw(st.sampled_from(nonlinearities)), loss=loss)
    cases, decay = draw(st.integers(1, 32)), draw(st.sampled_from(l2))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    X, y = rng.normal(size=(cases, sizes[0])), rng.normal(size=(cases, sizes[-1]))
    if loss != "squared_error":
        y = rng.integers(0, max(2, sizes[-1]), cases) if labels else net.loss.predict(y)
    theta = net.init(rng) + 0.1 * rng.normal(size=net.size)
    v, w = rng.normal(size=(2, net.size))
    return Problem(net, theta, X, y, v, w, supervised(net, X, y, l2=decay))
