"""Gradients and curvature products of a network with a term left out: what known mistakes give.

The four sweeps of `refhf.model.network` a second time, as sums of their terms, each of which can be missing. They are
for recognising a mistake, on its way to a sentence; whether a product is right is never held against them.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from refhf.conformance.check_report import Pattern
from refhf.model.losses import LOSSES, softmax_cross_entropy
from refhf.model.network import Network, forward

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


def _slopes(net, tape, without):
    at_a = Pattern.SLOPE_OF_ACTIVATION in without
    return [f.d(f.f(s) if at_a else s) for f, s in zip(net.nonlinearities, tape.s, strict=True)]


def _part(DW, Ds, b):
    """A layer's part of a result: W's, and b's, of which a convolution has one number a channel."""
    return np.concatenate([DW.ravel(), Ds.sum(axis=0).reshape(-1, b.size).sum(axis=0)])


def gradient(problem: Problem, theta, without=frozenset(), residual: Callable | None = None):
    """The mean gradient (P,), of the loss whose Dz (B, n_L) is residual(z, y); the network's own if None."""
    net, tape = problem.net, forward(problem.net, theta, problem.X)
    Ds = (residual or net.loss.gradient)(tape.z, problem.y) / problem.cases
    deltas = _deltas(net, tape, _slopes(net, tape, without), Ds, without)
    layers = zip(net.layers, tape.a, tape.weights, deltas, strict=True)
    return np.concatenate([_part(layer.adjoint_weight(a, Ds), Ds, b) for layer, a, (_, b), Ds in layers])


def _deltas(net, tape, slopes, Ds, without):
    """Sweep 2: Ds_1 .. Ds_L."""
    deltas = [Ds]
    for layer, (W, _), slope in zip(net.layers[:0:-1], tape.weights[:0:-1], slopes[::-1], strict=True):
        Da = layer.adjoint_input(W, deltas[-1])
        deltas.append(Da if Pattern.NO_BACKWARD_SLOPE in without else Da * slope)
    return deltas[::-1]


def curvature(problem: Problem, theta, v, without=frozenset(), loss_hessian: Callable | None = None):
    """H v (P,) of the mean loss, without some terms; with RESIDUAL left out it is G v.

    loss_hessian(z, y) -> the map Rz -> H_L Rz; the network's own if None.
    """
    net, tape = problem.net, forward(problem.net, theta, problem.X)
    slopes = _slopes(net, tape, without)
    deltas = _deltas(net, tape, slopes, net.loss.gradient(tape.z, problem.y) / problem.cases, without)
    Rs, Ra = _r_forward(net, tape, slopes, v, without)
    RDs = (loss_hessian or net.loss.hessian)(tape.z, problem.y)(Rs[-1]) / problem.cases
    Hv = []
    for l in reversed(range(len(net.layers))):
        layer, (W, b), (V, _), Ds = net.layers[l], tape.weights[l], net.unpack(v)[l], deltas[l]
        HV = (Pattern.NO_DELTA_TERM not in without) * layer.adjoint_weight(tape.a[l], RDs)
        if l > 0 and Pattern.NO_INPUT_TERM not in without:
            HV = HV + layer.adjoint_weight(Ra[l - 1], Ds)
        Hv.append(_part(HV, RDs, b))
        if l > 0:
            RDa = (Pattern.NO_BACK_TERM not in without) * layer.adjoint_input(W, RDs)
            if Pattern.NO_WEIGHT_TERM not in without:
                RDa = RDa + layer.adjoint_input(V, Ds)
            RDs = RDa if Pattern.NO_BACKWARD_SLOPE in without else RDa * slopes[l - 1]
            if Pattern.NO_BEND not in without:
                RDs = RDs + layer.adjoint_input(W, Ds) * net.nonlinearities[l - 1].dd(tape.s[l - 1]) * Rs[l - 1]
    return np.concatenate(Hv[::-1])


def _r_forward(net, tape, slopes, v, without):
    Rs, Ra = [], []
    for l, (layer, (W, _), (V, c)) in enumerate(zip(net.layers, tape.weights, net.unpack(v), strict=True)):
        Rs_l = (Pattern.NO_DIRECTION not in without) * layer.apply(V, tape.a[l])
        if l > 0 and Pattern.NO_FORWARD_TERM not in without:
            Rs_l = Rs_l + layer.apply(W, Ra[-1])
        if Pattern.NO_BIAS_DIRECTION not in without:
            Rs_l = (Rs_l.reshape(-1, c.size) + c).reshape(Rs_l.shape)
        Rs.append(Rs_l)
        if l < len(slopes):
            slope = 1.0 if Pattern.NO_FORWARD_SLOPE in without else slopes[l]
            Ra.append(net.layers[l + 1].enter(slope * Rs_l))
    return Rs, Ra


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
