"""The empirical Fisher matrix, and the Fisher matrix by labels drawn from the network's own distribution.

A loss of refhf is L_i = -c log p(y_i | z_i) + const, with y ~ softmax(z), y_j ~ Bernoulli(logistic(z_j)), or
y ~ N(z, I). c is 1; for the mean over T positions it is 1/T. g_i = J_i' dL_i/dz_i is the gradient of case i alone.

    empirical     (1/B) sum_i g_i g_i', y_i the labels of the data     (Kunstner et al. 2019, eq. 3)
    monte-carlo   (1/B) sum_i g_i g_i' / c, y_i drawn from p(y | z_i)  (Martens 2020, section 5; Kunstner et al., eq. 2)

The second has G as its mean. The drawn residual e_i = -d log p/dz_i has E[e_i] = 0 and E[e_i e_i'] = H_i, the Hessian
of -log p, which does not depend on y for these three (Martens 2020, section 9.2). With g_i = c J_i' e_i,
E[g_i g_i'] / c = J_i' (c H_i) J_i, case i's part of G. The first has no such property: where all residuals are zero so
is the matrix, and G is not (Kunstner et al. 2019, section 3).

Sources: Martens, New insights and perspectives on the natural gradient method, JMLR 21 (2020); Kunstner, Balles and
Hennig, Limitations of the empirical Fisher approximation for natural gradient descent, NeurIPS 2019.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import scipy  # pyright: ignore[reportMissingTypeStubs] # SciPy has none

from refhf.model import network
from refhf.model.blocks import Array, Tape
from refhf.model.elementwise import Elementwise
from refhf.model.losses import Loss
from refhf.model.network import Network

SMALLEST = 2.0**-54  # of a draw; our choice: half a step of the generator's, lest the normal quantile be infinite


@dataclass(frozen=True)
class UniformDraws:
    """Rows of uniform numbers in [0, 1): row i is of case `first` + i, whatever the chunks and the ranks.

    Attributes
    ----------
    seed : int
    first : int
        The number, among all cases, of this rank's first.
    numbers : int
        The numbers of a case.
    """

    seed: int
    first: int
    numbers: int

    def __getitem__(self, rows: slice) -> Array:
        stream = np.random.PCG64(self.seed).advance((self.first + rows.start) * self.numbers)
        return np.random.Generator(stream).random((rows.stop - rows.start, self.numbers))


def draws_of_case(net: Network) -> int:
    """The uniform numbers that the labels of one case take: one a position for the softmax, else one an output."""
    return math.prod(net.out_shape[:-1] if net.loss.name == "softmax_cross_entropy" else net.out_shape)


def drawn_targets(loss: Loss, z: Array, uniform: Array) -> Array:
    """Labels or targets drawn from p(y | z) by the inverse of its distribution function."""
    p = loss.predict(z)
    if loss.name == "softmax_cross_entropy":
        steps = p.astype(np.float64).cumsum(axis=-1)
        steps /= steps[..., -1:]
        return (uniform.reshape(z.shape[:-1])[..., None] >= steps).sum(axis=-1)
    u = uniform.reshape(z.shape)
    drawn: Any = u < p if loss.name == "logistic_cross_entropy" else z + scipy.special.ndtri(np.maximum(u, SMALLEST))
    return drawn.astype(z.dtype)


def empirical_fisher_product(net: Network, theta: Array, X: Array, y: Array) -> Elementwise:
    """The map v -> sum_i g_i g_i' v (P,). Sweep 1 now, sweeps 3 and 2 at each product."""
    z, tape = network.forward(net, theta, X, order=1)
    return partial(_fisher_times, net, tape, net.loss.gradient(z, y), 1.0)


def drawn_fisher_product(net: Network, theta: Array, X: Array, uniform: Array) -> Elementwise:
    """The same of labels drawn by `uniform` (B, numbers), over c."""
    z, tape = network.forward(net, theta, X, order=1)
    c = net.loss.scale / math.prod(z.shape[1:-1])
    Dz = net.loss.gradient(z, drawn_targets(net.loss, z, uniform))
    return partial(_fisher_times, net, tape, Dz, 1 / c)


def _fisher_times(net: Network, tape: Tape, Dz: Array, scale: float, v: Array) -> Array:
    Rz, _ = network.r_forward(net, tape, v)  # v -> J v
    slopes = scale * (Dz * Rz).sum(axis=tuple(range(1, Dz.ndim)), keepdims=True)  # g_i'v = Dz_i' J_i v
    return network.backward(net, tape, slopes * Dz)[0]  # sum_i J_i' Dz_i (g_i'v)
