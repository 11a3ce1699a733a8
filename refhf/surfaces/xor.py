"""XOR by the smallest network that can do it: the surface of a network's loss, with its saddles in closed form."""

from typing import NamedTuple

import numpy as np

from refhf.model import architectures, network
from refhf.surfaces.stationary_points import Surface, numbers, point


class MeanLoss(NamedTuple):
    """A network's mean loss over the cases (X, y), as functions of theta."""

    net: network.Network
    X: np.ndarray
    y: np.ndarray

    def value(self, theta):
        """f(theta)."""
        return network.loss_and_gradient(self.net, theta, self.X, self.y)[0] / len(self.X)

    def gradient(self, theta):
        """g (P,)."""
        return network.loss_and_gradient(self.net, theta, self.X, self.y)[1] / len(self.X)

    def hessp(self, theta, v):
        """H v (P,)."""
        return network.hessian_product(self.net, theta, self.X, self.y)(v) / len(self.X)

    def gauss_newton(self, theta, v):
        """G v (P,)."""
        return network.gauss_newton_product(self.net, theta, self.X, self.y)(v) / len(self.X)


def _xor():
    """XOR by a 2-2-1 tanh network and the squared error: theta = (W1 (2, 2), b1, W2, b2), 9 numbers.

    Inputs and targets are +-1, y = -x1 x2. With W2 = 0, b1 = 0, b2 = 0 the output is 0, its error x1 x2, and
    a = tanh(W1'x) is odd: every sum over the four cases that makes the gradient cancels, **whatever W1 is**.
    With W1 = 1 the units are the same, a = (t, t), t = tanh 2, where x1 = x2 and 0 elsewhere. H then couples each
    unit's b1 and W2 by q = mean(x1 x2 (1 - a^2)) = -t^2/2, and the W2 with each other by mean(a a') = t^2/2; b2 has 1,
    W1 nothing. The units' difference has the matrix [[0, q], [q, 0]], their sum [[0, q], [q, t^2]]: the eigenvalues
    are +-t^2/2 and t^2 (1 +- sqrt 2)/2. The most negative belongs to the difference: to learn XOR is to tell the
    units apart.

    `start` has equal units too. Then g has equal entries for both, and so has every step made of g, Hg, ...:
    the units never part (Rumelhart, Hinton and Williams 1986, "breaking symmetry"), and one unit cannot do XOR.
    """
    net = architectures.mlp([2, 2, 1], nonlinearity="tanh", loss="squared_error")
    X = numbers(1, 1, 1, -1, -1, 1, -1, -1).reshape(4, 2)
    f = MeanLoss(net, X, -X[:, :1] * X[:, 1:])
    t2 = np.tanh(2) ** 2
    # Units tanh(s + 1) and tanh(s - 1), s = x1 + x2, differ by u at s = +-2 and by v at s = 0.
    u, v = np.tanh(3) - np.tanh(1), 2 * np.tanh(1)
    w = 2 / (v - u)
    return Surface(
        "xor",
        "XOR by a 2-2-1 tanh network from two equal hidden units; one of its saddles and one minimum listed",
        f.value,
        f.gradient,
        f.hessp,
        f.gauss_newton,
        stationary=(
            point(
                "saddle",
                (1, 1, 1, 1, 0, 0, 0, 0, 0),
                (-t2 / 2, t2 * (1 - np.sqrt(2)) / 2, 0, 0, 0, 0, t2 / 2, 1, t2 * (1 + np.sqrt(2)) / 2),
            ),
            point("minimum", (1, 1, 1, 1, 1, -1, w, -w, 1 - w * v), None),
        ),
        start=numbers(1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0),
        lowest=0.0,
    )


xor = _xor()
