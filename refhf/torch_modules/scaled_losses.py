"""PyTorch's losses as refhf's: the same formula times a constant."""

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from refhf.model.blocks import Array
from refhf.model.elementwise import Elementwise
from refhf.model.losses import Loss, logistic_cross_entropy, softmax_cross_entropy, squared_error


class Convention(NamedTuple):
    """A loss of PyTorch.

    Attributes
    ----------
    loss : Loss
        refhf's.
    factor : float
        PyTorch's sum over a case's numbers over refhf's: 2 for the squares, which refhf halves.
    of_elements : bool
        Whether PyTorch's mean is over all numbers of z, not over the cases.
    defaults : dict
        The settings that refhf has too.
    """

    loss: Loss
    factor: float
    of_elements: bool
    defaults: dict[str, Any]


CONVENTIONS = {
    "CrossEntropyLoss": Convention(softmax_cross_entropy, 1.0, False, {"weight": None, "label_smoothing": 0.0}),
    "MSELoss": Convention(squared_error, 2.0, True, {}),
    "BCEWithLogitsLoss": Convention(logistic_cross_entropy, 1.0, True, {"weight": None, "pos_weight": None}),
}


def convention_of(loss: Any, known: Any) -> Convention:
    """The convention of a loss of torch.nn, where `known(loss)` is its class's name.

    Raises
    ------
    ValueError
        For another loss, or settings that refhf does not have.
    """
    name = known(loss)
    if name not in CONVENTIONS:
        got = type(loss).__name__ if name is None else name
        raise ValueError(f"loss: expected one of torch.nn.{', '.join(CONVENTIONS)}; got {got}")
    for setting, default in CONVENTIONS[name].defaults.items():
        if (given := getattr(loss, setting)) is not default and given != default:
            raise ValueError(f"loss: expected a {name} with {setting}={default}; got {given}")
    if loss.reduction not in ("mean", "sum"):
        raise ValueError(f"loss: expected reduction='mean' or 'sum'; got {loss.reduction!r}")
    return CONVENTIONS[name]


def scaled(loss: Loss, factor: float) -> Loss:
    """The loss times a constant."""
    if factor == 1:
        return loss
    return loss._replace(
        value=partial(_value, loss, factor),
        gradient=partial(_gradient, loss, factor),
        hessian=partial(_hessian, loss, factor),
        scale=factor * loss.scale,
    )


def _value(loss: Loss, factor: float, z: Array, y: Array) -> Any:
    return factor * loss.value(z, y)


def _gradient(loss: Loss, factor: float, z: Array, y: Array) -> Array:
    return factor * loss.gradient(z, y)


def _hessian(loss: Loss, factor: float, z: Array, y: Array) -> Elementwise:
    return partial(_times, loss.hessian(z, y), factor)


def _times(product: Elementwise, factor: float, Rz: Array) -> Array:
    return np.multiply(factor, product(Rz))
