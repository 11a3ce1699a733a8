"""Gradients and curvature products of a network with terms left out of the sweeps, as known mistakes compute them.

These recognise mistakes. They are never used to decide whether a product is right.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from refhf.conformance.check_report import Pattern
from refhf.conformance.float64_reference import Reference
from refhf.model.bilinear import Bilinear
from refhf.model.blocks import Array
from refhf.model.chain import Chain
from refhf.model.elementwise import Activation
from refhf.model.losses import LOSSES, Loss, softmax_cross_entropy
from refhf.model.network import Network, backward, forward, r_backward, r_forward

LossHessian = Callable[[Array, Array], Callable[[Array], Array]]  # (z, y) -> the map Rz -> H_L Rz

NONE: frozenset[Pattern] = frozenset()
RESIDUAL = frozenset(
    {Pattern.NO_BEND, Pattern.NO_INPUT_TERM, Pattern.NO_WEIGHT_TERM}
)  # the terms with Ds; without them H v is G v
BACKWARD = RESIDUAL | {Pattern.NO_DELTA_TERM, Pattern.NO_BACK_TERM}
FORWARD = frozenset(
    {Pattern.NO_DIRECTION, Pattern.NO_FORWARD_TERM, Pattern.NO_BIAS_DIRECTION, Pattern.NO_FORWARD_SLOPE}
)


class NetworkCases(NamedTuple):
    """A network with cases X (B, n_0) and targets y (B, n_L), without weight decay."""

    net: Network
    X: Array
    y: Array

    @property
    def cases(self) -> int:
        """The number of cases B."""
        return len(self.X)


def network_cases(reference: Reference) -> NetworkCases | None:
    """The network and cases of a reference, with labels one-hot; None if it has no network."""
    if (net := reference.net) is None:
        return None
    y = reference.objective.y
    return NetworkCases(net, reference.objective.X, np.eye(net.outputs)[y] if y.ndim == 1 else y)


@dataclass(frozen=True)
class _MistakenActivation(Activation):
    """An activation with some terms missing from its sweeps."""

    without: frozenset[Pattern] = frozenset()

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
    """A dense or convolutional layer with some terms missing from its R-sweeps."""

    layer: Bilinear
    without: frozenset[Pattern]

    def __getattr__(self, name: str) -> Any:
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


def _mistaken(net: Network, without: frozenset[Pattern] | set[Pattern]) -> Network:
    """The network with some terms missing from the sweeps of its blocks."""
    without = frozenset(without)

    def block(right: Any) -> Any:
        if isinstance(right, Activation):
            return _MistakenActivation(right.nonlinearity, without)
        return _MistakenLayer(right, without) if isinstance(right, Bilinear) else right

    return net._replace(chain=Chain(tuple(map(block, net.chain.blocks))))


def gradient(
    problem: NetworkCases,
    theta: Array,
    without: frozenset[Pattern] | set[Pattern] = NONE,
    residual: Callable[[Array, Array], Array] | None = None,
) -> Array:
    """The mean gradient (P,), without some terms; Dz is residual(z, y), that of the network's loss if None."""
    net = _mistaken(problem.net, without)
    z, tape = forward(net, theta, problem.X, order=1)
    return backward(net, tape, (residual or net.loss.gradient)(z, problem.y) / problem.cases)[0]


def curvature(
    problem: NetworkCases,
    theta: Array,
    v: Array,
    without: frozenset[Pattern] | set[Pattern] = NONE,
    loss_hessian: LossHessian | None = None,
) -> Array:
    """H v (P,) of the mean loss, without some terms; without RESIDUAL it is G v.

    loss_hessian(z, y) returns the map Rz -> H_L Rz; that of the network's loss if None.
    """
    net = _mistaken(problem.net, without)
    z, tape = forward(net, theta, problem.X)
    _, tape = backward(net, tape, net.loss.gradient(z, problem.y) / problem.cases, keep=True)
    Rz, r_tape = r_forward(net, tape, v)
    RDz = (loss_hessian or net.loss.hessian)(z, problem.y)(Rz) / problem.cases
    return r_backward(net, tape, r_tape, RDz)


def _at_probabilities(loss: Loss, middle: Callable[[Array, Array], Array]) -> LossHessian:
    """The loss Hessian S diag(middle(p, y)) S with S = dp/dz."""

    def hessian(z: Array, y: Array) -> Callable[[Array], Array]:
        p, jacobian = loss.predict(z), loss.hessian(z, y)
        return lambda Rz: jacobian(middle(p, y) * jacobian(Rz))

    return hessian


def loss_hessians(loss: Loss) -> dict[Pattern, LossHessian]:
    """Wrong loss Hessians H_L, by mistake."""
    found: dict[Pattern, LossHessian] = {
        Pattern.FISHER: lambda z, y: lambda Rz: (Dz := loss.gradient(z, y)) * (Dz * Rz).sum(axis=1, keepdims=True)
    }
    if loss.name != "squared_error":
        found[Pattern.NO_LOSS_HESSIAN] = lambda z, y: lambda Rz: Rz
    if loss is softmax_cross_entropy:
        found[Pattern.SOFTMAX_DIAGONAL] = lambda z, y: lambda Rz: (p := loss.predict(z)) * (1 - p) * Rz
        found[Pattern.SOFTMAX_NO_OUTER] = lambda z, y: lambda Rz: loss.predict(z) * Rz
        found[Pattern.AT_PROBABILITIES] = _at_probabilities(loss, lambda p, y: y / p**2)
    if loss.name == "logistic_cross_entropy":
        found[Pattern.AT_PROBABILITIES] = _at_probabilities(loss, lambda p, y: y / p**2 + (1 - y) / (1 - p) ** 2)
    return found


def residuals(loss: Loss) -> dict[tuple[Pattern, str], Callable[[Array, Array], Array]]:
    """Wrong residuals Dz (B, n_L), by mistake and by the name of the loss that they belong to."""
    found = {(Pattern.WRONG_LOSS, name): other.gradient for name, other in LOSSES.items() if other is not loss}
    if loss.name != "squared_error":
        found[Pattern.NO_SOFTMAX, ""] = found.pop((Pattern.WRONG_LOSS, "squared_error"))
    return found
