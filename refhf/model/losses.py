"""Losses at the pre-activation output z (B, n_L): value, gradient and Hessian product.

Each loss takes z before any output nonlinearity, so that loss and nonlinearity match (Schraudolph 2002,
section 3.1): the gradient is the residual of the prediction and the Hessian H_L is positive semidefinite.
All are summed over the cases; the objective divides by their number once.

Targets are y (B, n_L), or labels y (B,) of integers where that is said.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, cast

import numpy as np

from refhf.model.blocks import Array
from refhf.model.elementwise import Elementwise, harmless_underflow, logistic, softplus


class Loss(NamedTuple):
    """A loss over (z, y), summed over cases.

    Attributes
    ----------
    name : str
    value : callable
        (z, y) -> scalar, accumulated in float64.
    gradient : callable
        (z, y) -> Dz (B, n_L), the gradient of each case's loss.
    hessian : callable
        (z, y) -> the map Rz (B, n_L) -> H_L Rz (B, n_L), linearised once and applied often.
    predict : callable
        z -> what the network says: class probabilities, or z itself.
    labels : bool
        Whether y may be integer labels (B,).
    scale : float
        The loss of a case, or the sum over its positions, over -log p(y | z).
    """

    name: str
    value: Callable[[Array, Array], Any]
    gradient: Callable[[Array, Array], Array]
    hessian: Callable[[Array, Array], Elementwise]
    predict: Elementwise
    labels: bool
    scale: float = 1.0


def _total(x: Array) -> Any:
    return x.sum(dtype=np.result_type(x.dtype, np.float64))


def _itself(z: Array) -> Array:
    return z


@harmless_underflow
def _squared_error_value(z: Array, y: Array) -> Any:
    return 0.5 * _total((z - y) ** 2)


def _squared_error_gradient(z: Array, y: Array) -> Array:
    return z - y


def _squared_error_hessian(z: Array, y: Array) -> Elementwise:
    return _itself


@harmless_underflow
def _softmax(z: Any) -> Array:
    e = np.exp(z - z.real.max(axis=1, keepdims=True))
    e /= e.sum(axis=1, keepdims=True)
    return e


@harmless_underflow
def _softmax_value(z: Any, y: Array) -> Any:
    """The log of sum_j exp z_j, less y'z; both of z less its largest, lest a sure answer's loss be rounded away."""
    largest = z.real.max(axis=1)
    z = z - largest[:, None]
    log_partition = np.log(np.exp(z).sum(axis=1))
    if y.ndim == 1:
        return _total(log_partition - z[np.arange(len(z)), y])
    return _total(log_partition - (y * z).sum(axis=1) + largest * (1 - y.sum(axis=1)))  # rows of y sum to 1 roughly


def _softmax_gradient(z: Array, y: Array) -> Array:
    p = _softmax(z)
    if y.ndim == 1:
        p[np.arange(len(z)), y] -= 1
        return p
    return p - y


def _softmax_hessian(z: Array, y: Array) -> Elementwise:
    """(diag(p) - p p') Rz, case by case."""
    return partial(_softmax_times, _softmax(z))


@harmless_underflow
def _softmax_times(p: Array, Rz: Array) -> Array:
    HRz = Rz - np.einsum("bj,bj->b", p, Rz)[:, None]
    HRz *= p
    return HRz


@harmless_underflow
def _logistic_value(z: Any, y: Array) -> Any:
    """log(1 + e^z) - y z, summed; max(z, 0) is taken out of both, as in `_softmax_value`."""
    positive = z.real > 0
    return _total(softplus.f(np.where(positive, cast(Array, -z), z)) + (positive - y) * z)


def _logistic_gradient(z: Array, y: Array) -> Array:
    return logistic.f(z) - y


def _logistic_hessian(z: Array, y: Array) -> Elementwise:
    return partial(_times, logistic.d(z))  # p (1 - p)


@harmless_underflow
def _times(x: Array, y: Array) -> Array:
    return x * y


# sum_j (z_j - y_j)^2 / 2. The half makes H_L the identity.
squared_error = Loss(
    "squared_error",
    value=_squared_error_value,
    gradient=_squared_error_gradient,
    hessian=_squared_error_hessian,
    predict=_itself,
    labels=False,
)

# -sum_j y_j log softmax(z)_j; targets are distributions (rows sum to 1), labels their one-hot form.
softmax_cross_entropy = Loss(
    "softmax_cross_entropy", _softmax_value, _softmax_gradient, _softmax_hessian, _softmax, labels=True
)

# -sum_j [y_j log p_j + (1 - y_j) log(1 - p_j)] with p = logistic(z), n_L independent binary outputs.
logistic_cross_entropy = Loss(
    "logistic_cross_entropy",
    value=_logistic_value,
    gradient=_logistic_gradient,
    hessian=_logistic_hessian,
    predict=logistic.f,
    labels=True,
)

LOSSES = {loss.name: loss for loss in (squared_error, softmax_cross_entropy, logistic_cross_entropy)}


def over_positions(loss: Loss) -> Loss:
    """The mean of a loss over the positions of z (B, T, n_L), for labels y (B, T) or targets (B, T, n_L)."""
    return Loss(
        loss.name,
        value=partial(_mean_value, loss),
        gradient=partial(_mean_gradient, loss),
        hessian=partial(_mean_hessian, loss),
        predict=partial(_each_prediction, loss),
        labels=loss.labels,
        scale=loss.scale,
    )


def _rows(x: Array) -> Array:
    return x.reshape(-1, x.shape[-1])


def _targets(y: Array) -> Array:
    return y.ravel() if y.ndim == 2 else _rows(y)


def _mean_value(loss: Loss, z: Array, y: Array) -> Any:
    return loss.value(_rows(z), _targets(y)) / z.shape[1]


def _mean_gradient(loss: Loss, z: Array, y: Array) -> Array:
    return loss.gradient(_rows(z), _targets(y)).reshape(z.shape) / z.shape[1]


def _mean_hessian(loss: Loss, z: Array, y: Array) -> Elementwise:
    return partial(_mean_times, loss.hessian(_rows(z), _targets(y)))


def _mean_times(product: Elementwise, Rz: Array) -> Array:
    return product(_rows(Rz)).reshape(Rz.shape) / Rz.shape[1]


def _each_prediction(loss: Loss, z: Array) -> Array:
    return loss.predict(_rows(z)).reshape(z.shape)


def wrong_class(loss: Loss, z: Array, y: Array) -> Any:
    """The cases (or the shares of their positions, summed) in the wrong class; NaN if z is not finite."""
    if not np.isfinite(z).all():
        return np.nan
    predicted = classes(loss.predict(z) if z.shape[1:] == (1,) else z)  # softmax keeps the largest
    truth = y if y.ndim < z.ndim else classes(y)
    return (predicted != truth).sum() / predicted[0].size


def classes(x: Array) -> Array:
    """The class of each row of predictions or targets: its largest column; of a single one, whether it is above 1/2."""
    return x[:, 0] > 0.5 if x.shape[1:] == (1,) else x.argmax(axis=-1)
