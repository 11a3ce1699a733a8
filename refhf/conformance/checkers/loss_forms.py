"""b' H_L a, the second derivative of a loss in z along two directions, with its tolerance."""

from collections.abc import Callable

import numpy as np

from refhf.conformance import oracles
from refhf.conformance.checkers.derivative_check import DerivativeCheck
from refhf.conformance.checkers.user_function import FunctionUnderTest
from refhf.conformance.float64_reference import SAFETY
from refhf.conformance.oracles import norm
from refhf.model.blocks import Array
from refhf.model.losses import LOSSES

Form = Callable[[Array, Array], tuple[float, float]]  # (b, a) -> b' H_L a, and its tolerance


def form_of_name(loss: str, z: Array, reduction: str, eps: float, factor: float = 1.0) -> Form:
    """The form of a named loss times a factor, the mean or the sum over cases, and positions if z has some."""
    rows = z.reshape(-1, z.shape[-1])
    product = LOSSES[loss].hessian(rows, np.zeros_like(rows))
    divisor = (len(rows) if reduction == "mean" else 1) / factor

    def form(b: Array, a: Array) -> tuple[float, float]:
        value = float(np.vdot(b.reshape(rows.shape), product(a.reshape(rows.shape))))
        return value / divisor, SAFETY * eps * norm(b) * norm(a) / divisor  # H_L cancels: p (1 - p)

    return form


def form_of_function(check: DerivativeCheck, loss: FunctionUnderTest, z: Array) -> Form:
    """The form of a loss z -> float: central differences of its complex step, or of its central difference."""
    central = check.central(loss)
    exact = check.complex_step(loss, z, check.rng.standard_normal(z.shape), central) or central

    def form(b: Array, a: Array) -> tuple[float, float]:
        difference = oracles.central_difference(lambda z: exact(z, a)[0], z, b, check.eps)
        return float(difference.derivative), SAFETY * difference.bound

    return form
