"""Two rules that several families share: a direction turned downhill, and the reduction ratio of a step."""

import math

from refhf.krylov.arithmetic import inner
from refhf.model.blocks import Array


def downhill(d: Array, g: Array) -> Array:
    """d~ = -sign(g'd) d (He et al. 2016, section 4.2); d itself where g'd = 0."""
    return -d if inner(g, d) > 0 else d


def reduction_ratio(change: float, predicted: float) -> float:
    """The ratio rho = (f(theta + p) - f(theta)) / (q(p) - q(0)) (Martens 2010, section 4.1).

    It is -inf if f did not decrease or is not finite, or if the model q predicts no decrease.
    """
    if not (-math.inf < change < 0 and predicted < 0):
        return -math.inf
    return change / predicted
