"""Gradients and curvature products of a network with a term left out: what known mistakes give.

The blocks of a network with some terms of their sweeps left out. They are for recognising a mistake, on its way to a
sentence; whether a product is right is never held against them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from refhf.conformance.check_report import Pattern
from refhf.model.bilinear import Bilinear
from refhf.model.chain import Chain
from refhf.model.elementwise import Activation
from refhf.model.losses import LOSSES, softmax_cross_entropy
from refhf.model.network import Network, backward, forward, r_backward, r_forward

RESIDUAL = frozenset(
    {Pattern.NO_BEND, Pattern.NO_INPUT_TERM, Pattern.NO_WEIGHT_TERM}
)  # the terms with Ds: without them H v is G v
BACKWARD = RESIDUAL | {Pattern.NO_DELTA_TERM, Pattern.NO_BACK_TERM}
FORWARD = frozenset(
    {Pattern.NO_DIRECTION, Pattern.NO_FORWARD_TERM, Pattern.NO_BIAS_DIRECTION, Pattern.NO_FORWARD_SLOPE}
)


class Problem(NamedTuple):
    """A network and its cases X (B, n_0), y (B, n_L) as targets; l2 is the objective's and in none of these sums."""

    net: Network
    X: np.ndarray
    y: np.ndarray
    l2: float

    @property
    def cases(self) -> int:
        """B."""
        return len(self.X)


@dataclass(frozen=True)
class _MistakenActivation(Activation):
    """An activation whose sweeps lack some terms."""

    without: frozenset = frozenset()

    def forward(self, w, s, *, order=2):
        a, (slope, *rest) = super().forward(w, s, order=order)
        return a, (self.nonlinearity.d(a) if Pattern.SLOPE_OF_ACTIVATION in self.without else slope, *rest)

    def backward(self, tape, Da, Dw, *, keep=False, below=True):
        Ds, tape = super().backward(tape, Da, Dw, keep=keep, below=below)
        return Da if Pattern.NO_BACKWARD_SLOPE in self.without else Ds, tape

    def r_forward(self, tape, u, Rs):
        Ra, _ = super().r_forward(tape, u, Rs)
        return Rs if Pattern.NO_FORWARD_SLOPE in self.without else Ra, Rs

    def r_backward(self, tape, Rs, RDa, RDw, *, below=True):
        slope, bend = tape
        RDs = RDa if Pattern.NO_BACKWARD_SLOPE in self.without else RDa * slope
        return RDs if Pattern.NO_BEND in self.without else RDs + bend * Rs


@dataclass(frozen=True)
class _MistakenLayer:
    """A layer whose R-sweeps lack some terms; all else is the layer's."""

    layer: Bilinear
    without: frozenset

    def __getattr__(self, name):
        if name.startswith("__") or name == "layer":
            raise AttributeError(name)
        return getattr(self.layer, name)

    def r_forward(self, tape, u, Rx):
        (W, x, *_), (V, *c), layer = tape, u, self.layer
        Rs = (Pattern.NO_DIRECTION not in self.without) * layer.product(V, x)
        if Rx is not None and Pattern.NO_FORWARD_TERM not in self.without:
            Rs = Rs + layer.product(W, Rx)
        if Pattern.NO_BIAS_DIRECTION not in self.without:
            Rs = Rs + sum(c)
        return Rs, (V, Rx)

    def r_backward(self, tape, r_tape, RDs, RDw, *, below=True):
        (W, x, Ds), (V, Rx), (RDW, *RDb), layer = tape, r_tape, RDw, self.layer
        RDW[...] = (Pattern.NO_DELTA_TERM not in self.without) * layer.adjoint_weight(x, RDs)
        if Rx is not None and Pattern.NO_INPUT_TERM not in self.without:
            RDW += layer.adjoint_weight(Rx, Ds)
        if RDb:
            RDb[0][...] = RDs.reshape(-1, RDb[0].size).sum(axis=0)
        if not below:
            return None
        RDx = (Pattern.NO_BACK_TERM not in self.without) * layer.adjoint_input(W, RDs)
        return RDx if Pattern.NO_WEIGHT_TERM in self.without else RDx + layer.adjoint_input(V, Ds)


def _mistaken(net, without):
    """The network made of blocks that lack some terms."""

    def block(right):
        if isinstance(right, Activation):
            return _MistakenActivation(right.nonlinearity, without)
        return _MistakenLayer(right, without) if isinstance(right, Bilinear) else right

    return net._replace(chain=Chain(tuple(map(block, net.chain.blocks))))


def gradient(problem: Problem, theta, without=frozenset(), residual: Callable | None = None):
    """The mean gradient (P,), of the loss whose Dz (B, n_L) is residual(z, y); the network's own if None."""
    net = _mistaken(problem.net, without)
    z, tape = forward(net, theta, problem.X, order=1)
    return backward(net, tape, (residual or net.loss.gradient)(z, problem.y) / problem.cases)[0]


def curvature(problem: Problem, theta, v, without=frozenset(), loss_hessian: Callable | None = None):
    """H v (P,) of the mean loss, without some terms; with RESIDUAL left out it is G v.

    loss_hessian(z, y) -> the map Rz -> H_L Rz; the network's own if None.
    """
    net = _mistaken(problem.net, without)
    z, tape = forward(net, theta, problem.X)
    _, tape = backward(net, tape, net.loss.gradient(z, problem.y) / problem.cases, keep=True)
    Rz, r_tape = r_forward(net, tape, v)
    RDz = (loss_hessian or net.loss.hessian)(z, problem.y)(Rz) / problem.cases
    return r_backward(net, tape, r_tape, RDz)


def _of_probabilities(middle):
    """The loss Hessian S diag(middle(p, y)) S with S = dp/dz."""

    def loss_hessian(net_loss):
        def hessian(z, y):
            p, jacobian = net_loss.predict(z), net_loss.hessian(z, y)
            return lambda Rz: jacobian(middle(p, y) * jacobian(Rz))

        return hessian

    return loss_hessian


def loss_hessians(loss) -> dict:
    """Other matrices that are taken for the loss's H_L, by the mistake."""
    found = {Pattern.FISHER: lambda z, y: lambda Rz: (Dz := loss.gradient(z, y)) * (Dz * Rz).sum(axis=1, keepdims=True)}
    if loss.name != "squared_error":
        found[Pattern.NO_LOSS_HESSIAN] = lambda z, y: lambda Rz: Rz
    if loss is softmax_cross_entropy:
        found[Pattern.SOFTMAX_DIAGONAL] = lambda z, y: lambda Rz: (p := loss.predict(z)) * (1 - p) * Rz
        found[Pattern.SOFTMAX_NO_OUTER] = lambda z, y: lambda Rz: loss.predict(z) * Rz
        found[Pattern.AT_PROBABILITIES] = _of_probabilities(lambda p, y: y / p**2)(loss)
    if loss.name == "logistic_cross_entropy":
        found[Pattern.AT_PROBABILITIES] = _of_probabilities(lambda p, y: y / p**2 + (1 - y) / (1 - p) ** 2)(loss)
    return found


def residuals(loss) -> dict:
    """Other residuals Dz (B, n_L) that are taken for the loss's, by the mistake and the loss that it belongs to."""
    found = {(Pattern.WRONG_LOSS, name): other.gradient for name, other in LOSSES.items() if other is not loss}
    if loss.name != "squared_error":
        found[Pattern.NO_SOFTMAX, ""] = found.pop((Pattern.WRONG_LOSS, "squared_error"))
    return found
