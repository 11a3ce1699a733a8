"""Gradients and curvature products of a network with terms left out of the sweeps, as known mistakes compute them.

These recognise mistakes. They are never used to decide whether a product is right.
"""

from collections.abc import Callable, Set
from typing import NamedTuple

import numpy as np

from refhf.conformance.float64_reference import Reference, one_hot
from refhf.conformance.mistakes import wrong_blocks
from refhf.conformance.patterns import Cause, Pattern
from refhf.model.blocks import Array
from refhf.model.losses import LOSSES, Loss, over_positions, softmax_cross_entropy
from refhf.model.network import Network, backward, forward, r_backward, r_forward
from refhf.objective.case_sums import chunks

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
    """A network with cases X (B, n_0) and targets y, labels one-hot, without weight decay.

    `divisor` is that of the sum over cases: their number, or 1 for the summed loss.
    """

    net: Network
    X: Array
    y: Array
    divisor: float

    @property
    def parts(self) -> list[slice]:
        """The rows that one sweep takes: whole groups of batch normalisation, and apart from them the rest."""
        return chunks(slice(0, len(self.X)), len(self.X), self.net.group)


def network_cases(reference: Reference) -> NetworkCases | None:
    """The network and cases of a reference; None if it has no network."""
    if (net := reference.net) is None:
        return None
    objective = reference.objective
    return NetworkCases(net, objective.X, one_hot(objective.y, net.outputs), objective.divisor)


@np.errstate(all="ignore")
def value(problem: NetworkCases, theta: Array, without: Set[Pattern] = NONE) -> float:
    """The mean loss, with some mistakes."""
    net, X, y, divisor = problem
    wrong = wrong_blocks.mistaken(net, without)
    losses = (net.loss.value(forward(wrong, theta, X[part], order=1)[0], y[part]) for part in problem.parts)
    return sum(losses) / divisor


@np.errstate(all="ignore")
def gradient(
    problem: NetworkCases,
    theta: Array,
    without: Set[Pattern] = NONE,
    residual: Callable[[Array, Array], Array] | None = None,
) -> Array:
    """The mean gradient (P,), with some mistakes; Dz is residual(z, y), that of the network's loss if None."""
    net, total = wrong_blocks.mistaken(problem.net, without), np.zeros_like(theta)
    for part in problem.parts:
        z, tape = forward(net, theta, problem.X[part], order=1)
        total += backward(net, tape, (residual or net.loss.gradient)(z, problem.y[part]))[0]
    return total / problem.divisor


@np.errstate(all="ignore")
def curvature(
    problem: NetworkCases,
    theta: Array,
    v: Array,
    without: Set[Pattern] = NONE,
    loss_hessian: LossHessian | None = None,
    tangent: Set[Pattern] | None = None,
) -> Array:
    """H v (P,) of the mean loss, with some mistakes; without RESIDUAL it is G v.

    loss_hessian(z, y) returns the map Rz -> H_L Rz; that of the network's loss if None. `tangent` are the mistakes of
    normalisation and attention in the R-forward sweep; `without` if None.
    """
    net, total = wrong_blocks.mistaken(problem.net, without, tangent), np.zeros_like(theta)
    for part in problem.parts:
        z, tape = forward(net, theta, problem.X[part])
        Dz = net.loss.gradient(z, problem.y[part]) * (not without >= RESIDUAL)
        _, tape = backward(net, tape, Dz, keep=True)
        Rz, r_tape = r_forward(net, tape, v)
        total += r_backward(net, tape, r_tape, (loss_hessian or net.loss.hessian)(z, problem.y[part])(Rz))
    return total / problem.divisor


def _at_probabilities(loss: Loss, middle: Callable[[Array, Array], Array]) -> LossHessian:
    """The loss Hessian S diag(middle(p, y)) S with S = dp/dz."""

    def hessian(z: Array, y: Array) -> Callable[[Array], Array]:
        p, jacobian = loss.predict(z), loss.hessian(z, y)
        return lambda Rz: jacobian(middle(p, y) * jacobian(Rz))

    return hessian


def _fisher(loss: Loss) -> LossHessian:
    """The outer product of each case's Dz: of all its positions together."""

    def hessian(z: Array, y: Array) -> Callable[[Array], Array]:
        Dz, axes = loss.gradient(z, y), tuple(range(1, z.ndim))
        return lambda Rz: Dz * (Dz * Rz).sum(axis=axes, keepdims=True)

    return hessian


def _of_positions(hessian: LossHessian) -> LossHessian:
    """The mean over positions of a loss Hessian."""

    def of_rows(z: Array, y: Array) -> Callable[[Array], Array]:
        product = hessian(*(x.reshape(-1, x.shape[-1]) for x in (z, y)))
        return lambda Rz: product(Rz.reshape(-1, Rz.shape[-1])).reshape(Rz.shape) / Rz.shape[1]

    return of_rows


def loss_hessians(net: Network) -> list[tuple[Cause, LossHessian]]:
    """Wrong loss Hessians H_L, with their causes."""
    loss = LOSSES[net.loss.name]
    found: list[tuple[Cause, LossHessian]] = [(Cause(Pattern.FISHER), _fisher(loss))]
    if loss.name != "squared_error":
        found.append((Cause(Pattern.NO_LOSS_HESSIAN), lambda z, y: lambda Rz: Rz))
    if loss is softmax_cross_entropy:
        found += [
            (Cause(Pattern.SOFTMAX_DIAGONAL), lambda z, y: lambda Rz: (p := loss.predict(z)) * (1 - p) * Rz),
            (Cause(Pattern.SOFTMAX_NO_OUTER), lambda z, y: lambda Rz: loss.predict(z) * Rz),
            (Cause(Pattern.AT_PROBABILITIES), _at_probabilities(loss, lambda p, y: y / p**2)),
        ]
    if loss.name == "logistic_cross_entropy":
        at = _at_probabilities(loss, lambda p, y: y / p**2 + (1 - y) / (1 - p) ** 2)
        found.append((Cause(Pattern.AT_PROBABILITIES), at))
    if len(net.out_shape) == 1:
        return found
    of_cases = Cause(Pattern.FISHER, "of whole sequences"), _fisher(net.loss)
    return [of_cases, *((cause, _of_positions(hessian)) for cause, hessian in found)]


def other_losses(net: Network) -> list[Loss]:
    """The losses that the network does not have, over its positions if it has some."""
    others = [loss for name, loss in LOSSES.items() if name != net.loss.name]
    return others if len(net.out_shape) == 1 else [over_positions(loss) for loss in others]


def residuals(net: Network) -> list[tuple[Cause, Callable[[Array, Array], Array]]]:
    """Wrong residuals Dz, with their causes."""
    named: dict[str, Cause] = {} if net.loss.name == "squared_error" else {"squared_error": Cause(Pattern.NO_SOFTMAX)}
    others = other_losses(net)
    return [(named.get(loss.name, Cause(Pattern.WRONG_LOSS, loss.name)), loss.gradient) for loss in others]
