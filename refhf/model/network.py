"""A feed-forward network as a flat record, and the four sweeps that give every product.

Notation here (rows are cases) / in the papers (columns are cases):
a_0 = X (B, n_0),  s_l = a_{l-1} W_l + b_l,  a_l = f(s_l),  z = s_L   /   s_l = W_l' a_{l-1} + b_l.
The products with W_l are its layer's: a convolution is one of a sparse matrix made of W_l, and its b_l is one number
a channel. Pooling belongs to the layer that follows it: a_{l-1} is what enters that layer's product.
Dx is dL/dx, Rx the directional derivative of x along v, RDx that of dL/dx. V_l, c_l are v's own W_l, b_l.

Sources: Pearlmutter 1994, section 4 (R-operator of backpropagation); Schraudolph 2002, section 3
(Gauss-Newton product as a pass f1 forward, H_L, and a pass r1 back).

Every function here sums over the cases it is given, without l2, and computes in the dtype of its arguments,
complex ones included; shapes are the caller's business (`refhf.supervised` checks them).
"""

import itertools
import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from refhf import checks
from refhf.model.cases import inputs, many, parameters
from refhf.model.convolution import Convolution, Pooled
from refhf.model.dense import Dense
from refhf.model.elementwise import Nonlinearity, harmless_underflow, identity
from refhf.model.losses import Loss


class Network(NamedTuple):
    """Layers with a nonlinearity between each two, and the loss at the last pre-activation.

    Attributes
    ----------
    layers : tuple of Dense, Convolution and Pooled
        L weighted layers.
    nonlinearities : tuple of Nonlinearity
        L - 1 of them; the output has none, the loss contains it.
    loss : Loss
    """

    layers: tuple[Dense | Convolution | Pooled, ...]
    nonlinearities: tuple[Nonlinearity, ...]
    loss: Loss

    @property
    def size(self) -> int:
        """P, the length of theta."""
        return sum(math.prod(layer.weight_shape) + math.prod(layer.bias_shape) for layer in self.layers)

    @property
    def images(self) -> bool:
        """Whether it starts with a layer of images."""
        return not isinstance(self.layers[0], Dense)

    @property
    def tape_width(self) -> int:
        """Numbers kept of a case, at most: a, f', delta and bend of each layer, of the last z, delta and H_L."""
        return sum(4 * layer.n_out for layer in self.layers)

    def unpack(self, theta):
        """Views ((W_1, b_1), ..., (W_L, b_L)) of theta (P,), which holds W_1.ravel(), b_1, ... in C order."""
        if np.shape(theta) != (self.size,):
            raise ValueError(f"theta: expected shape ({self.size},); got {np.shape(theta)}")
        shapes = [shape for layer in self.layers for shape in (layer.weight_shape, layer.bias_shape)]
        ends = itertools.accumulate(map(math.prod, shapes))
        views = [theta[end - math.prod(s) : end].reshape(s) for s, end in zip(shapes, ends, strict=True)]
        return tuple(zip(views[::2], views[1::2], strict=True))

    def init(self, rng=None, dtype=np.float64):
        """A starting point theta (P,): zero biases, weights by the rule of the nonlinearity that follows.

        He et al. 2015, eq. 10, N(0, 2/n_in), before a relu; Glorot and Bengio 2010, eq. 16, uniform on
        +-sqrt(6 / (n_in + n_out)), elsewhere. In a convolution by k x k, n_in and n_out are k^2 times the channels.

        Parameters
        ----------
        rng : Generator, int or None
        dtype : float32 or float64, else a ValueError
        """
        dtype, size = checks.precision("dtype", dtype), checks.positive_integer("size", self.size, checks.LARGEST // 8)
        rng, theta = np.random.default_rng(rng), np.zeros(size, dtype)
        for layer, (W, _), f in zip(self.layers, self.unpack(theta), (*self.nonlinearities, identity), strict=True):
            if f.name == "relu":
                W[...] = rng.normal(0, np.sqrt(2 / layer.fan_in), W.shape)
            else:
                r = np.sqrt(6 / (layer.fan_in + layer.fan_out))
                W[...] = rng.uniform(-r, r, W.shape)
        return theta

    @harmless_underflow
    def predict(self, theta, X):
        """Probabilities for the cross-entropies, z for the squared error: (B, n_L), of one case (n_0,) (n_L,)."""
        theta = parameters(theta, self.size)
        y = self.loss.predict(forward(self, theta, inputs(self, X, theta.real.dtype, one=True)).z)
        return y if many(self, np.shape(X)) else y[0]


class Tape(NamedTuple):
    """What a forward sweep leaves behind, all read-only: nothing that happens later can change a product.

    Attributes
    ----------
    weights : ((W_1, b_1), ..., (W_L, b_L))
        Views of a theta that nobody can write to.
    a : (a_0, ..., a_{L-1})
        What enters the layers, a_l (B, n_l).
    s : (s_1, ..., s_{L-1})
        Hidden pre-activations, s_l (B, n_l).
    z : ndarray (B, n_L)
        The output's pre-activation, s_L.
    """

    weights: tuple
    a: tuple
    s: tuple
    z: np.ndarray


class Linearisation(NamedTuple):
    """What the products need besides the tape: f'(s_l), and Ds_l and Da_l f''(s_l) of the backward sweep."""

    slopes: tuple
    deltas: tuple
    bends: tuple


def _read_only(arrays):
    for x in arrays:
        x.flags.writeable = False
    return tuple(arrays)


def _frozen(theta):
    """theta itself where it is read-only, so that the tapes of many chunks share one; else a read-only copy."""
    shared = theta.flags.owndata and not theta.flags.writeable
    return theta if shared else _read_only([theta.copy()])[0]


def _add_bias(s, b):
    units = s.reshape(-1, b.size)  # a convolution's rows are the pixels
    units += b


def _bias_gradient(Ds, b):
    of_units = Ds.sum(axis=0)
    return of_units if of_units.size == b.size else of_units.reshape(-1, b.size).sum(axis=0)


def forward(net: Network, theta, X) -> Tape:
    """Sweep 1: the network's output, and everything on the way to it."""
    weights = net.unpack(_frozen(theta))
    a, s, a_l = [], [], X.view()
    for layer, (W, b), f in zip(net.layers, weights, (*net.nonlinearities, identity), strict=True):
        a.append(layer.enter(a_l))
        s_l = layer.apply(W, a[-1])
        _add_bias(s_l, b)
        s.append(s_l)  # s_l = a_{l-1} W_l + b_l
        a_l = f.f(s_l)  # a_l = f(s_l)
    _read_only(a + s)
    return Tape(weights, tuple(a), tuple(s[:-1]), s[-1])


def slopes(net: Network, tape: Tape) -> tuple:
    """f'(s_l) for the hidden layers l = 1 .. L-1."""
    return _read_only([f.d(s) for f, s in zip(net.nonlinearities, tape.s, strict=True)])


def backward(net: Network, tape: Tape, slopes: tuple, Dz, keep: list | None = None):
    """Sweep 2: J' Dz (P,), the transposed Jacobian of z with respect to theta times Dz (B, n_L).

    With Dz = dL/dz it is the gradient. The pairs (Ds_l, Da_l) are appended to `keep`, from the last layer on.
    """
    Dtheta = np.empty(net.size, Dz.dtype)
    Ds, Da = Dz, None
    for l in reversed(range(len(net.layers))):
        layer, (W, b), (DW, Db) = net.layers[l], tape.weights[l], net.unpack(Dtheta)[l]
        layer.adjoint_weight(tape.a[l], Ds, out=DW)  # DW_l = a_{l-1}' Ds_l
        Db[...] = _bias_gradient(Ds, b)  # Db_l = sum of Ds_l
        if keep is not None:
            keep.append((Ds, Da))
        if l > 0:
            Da = layer.adjoint_input(W, Ds)  # Da_{l-1} = Ds_l W_l'
            Ds = Da * slopes[l - 1]  # Ds_{l-1} = Da_{l-1} f'(s_{l-1})
    return Dtheta


def r_forward(net: Network, tape: Tape, slopes: tuple, v):
    """Sweep 3: (Rs_1 .. Rs_L), (Ra_1 .. Ra_{L-1}); the last Rs is Rz = J v (B, n_L)."""
    Rs, Ra = [], []
    for l, (layer, (W, _), (V, c)) in enumerate(zip(net.layers, tape.weights, net.unpack(v), strict=True)):
        Rs_l = layer.apply(V, tape.a[l])
        if l > 0:  # RX = 0
            Rs_l += layer.apply(W, Ra[-1])
        _add_bias(Rs_l, c)
        Rs.append(Rs_l)  # Rs_l = a_{l-1} V_l + Ra_{l-1} W_l + c_l
        if l < len(slopes):
            Ra.append(net.layers[l + 1].enter(slopes[l] * Rs_l))  # Ra_l = f'(s_l) Rs_l
    return Rs, Ra


def r_backward(net: Network, tape: Tape, lin: Linearisation, v, Rs, Ra, RDz):
    """Sweep 4: R{gradient} (P,), the product rule applied to each line of sweep 2."""
    Hv = np.empty(net.size, RDz.dtype)
    directions, RDs = net.unpack(v), RDz
    for l in reversed(range(len(net.layers))):
        layer, (W, b), (V, _), (HV, Hc) = net.layers[l], tape.weights[l], directions[l], net.unpack(Hv)[l]
        layer.adjoint_weight(tape.a[l], RDs, out=HV)
        Hc[...] = _bias_gradient(RDs, b)  # RDb_l = sum of RDs_l
        if l > 0:
            HV += layer.adjoint_weight(Ra[l - 1], lin.deltas[l])  # RDW_l = a_{l-1}' RDs_l + Ra_{l-1}' Ds_l
            RDa = layer.adjoint_input(W, RDs)
            RDa += layer.adjoint_input(V, lin.deltas[l])  # RDa_{l-1} = RDs_l W_l' + Ds_l V_l'
            RDa *= lin.slopes[l - 1]
            RDa += lin.bends[l - 1] * Rs[l - 1]
            RDs = RDa  # RDs = RDa f'(s) + Da f''(s) Rs
    return Hv


def loss_and_gradient(net: Network, theta, X, y):
    """The loss and its gradient (P,), summed over the cases: sweeps 1 and 2."""
    tape = forward(net, theta, X)
    return net.loss.value(tape.z, y), backward(net, tape, slopes(net, tape), net.loss.gradient(tape.z, y))


def gradient_squares(net: Network, theta, X, y):
    """The sum over cases of g_i * g_i (P,), g_i the gradient of case i alone (Martens 2010, section 4.7)."""
    tape, kept, squares = forward(net, theta, X), [], np.empty_like(theta)
    backward(net, tape, slopes(net, tape), net.loss.gradient(tape.z, y), kept)
    for layer, a, (Ds, _), (W2, b2) in zip(net.layers, tape.a, reversed(kept), net.unpack(squares), strict=True):
        layer.adjoint_weight_squares(a, Ds, out=W2)
        Db = Ds.reshape(len(Ds), -1, b2.size).sum(axis=1)  # of each case
        b2[...] = _bias_gradient(Db * Db, b2)
    return squares


def hessian_product(net: Network, theta, X, y) -> Callable:
    """The map v -> H v (P,), exact (R-operator). Sweeps 1 and 2 now, sweeps 3 and 4 at each product."""
    tape = forward(net, theta, X)
    f_d, kept = slopes(net, tape), []
    backward(net, tape, f_d, net.loss.gradient(tape.z, y), kept)
    deltas = _read_only([Ds for Ds, _ in reversed(kept)])
    Das = [Da for _, Da in reversed(kept) if Da is not None]
    bends = _read_only([Da * f.dd(s) for Da, f, s in zip(Das, net.nonlinearities, tape.s, strict=True)])
    lin, loss_hessian = Linearisation(f_d, deltas, bends), net.loss.hessian(tape.z, y)
    tape = tape._replace(s=())  # no product needs it, and it is a quarter of what is kept
    return partial(_hessian_times, net, tape, lin, loss_hessian)


def _hessian_times(net, tape, lin, loss_hessian, v):
    Rs, Ra = r_forward(net, tape, lin.slopes, v)
    return r_backward(net, tape, lin, v, Rs, Ra, loss_hessian(Rs[-1]))  # RDz = H_L Rz


def gauss_newton_product(net: Network, theta, X, y) -> Callable:
    """The map v -> J' H_L J v (P,). Sweep 1 now, sweeps 3 and 2 at each product."""
    tape = forward(net, theta, X)
    f_d, loss_hessian = slopes(net, tape), net.loss.hessian(tape.z, y)
    tape = tape._replace(s=())  # no product needs it, and it is a third of what is kept
    return partial(_gauss_newton_times, net, tape, f_d, loss_hessian)


def _gauss_newton_times(net, tape, f_d, loss_hessian, v):
    Rs, _ = r_forward(net, tape, f_d, v)  # v -> J v
    HJv = loss_hessian(Rs[-1])  # J v -> H_L J v
    return backward(net, tape, f_d, HJv)  # H_L J v -> J' H_L J v
