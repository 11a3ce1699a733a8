"""The formulas for beta in d = s + beta d_old of nonlinear conjugate gradients.

Nocedal and Wright 2006, section 5.2, with a preconditioner: r = -g, s = M^-1 r, delta = r's. r's_old has the **old**
preconditioner in it (Adya et al. 2018, Algorithm 1: delta_mid). On a quadratic, with exact steps and M fixed, all are
the same number. A formula whose denominator is zero gives 0: the directions start afresh. Each takes
delta and r (P,) of this step, and the step before.
"""

from typing import NamedTuple

from refhf.krylov.arithmetic import inner
from refhf.model.blocks import Array


class LastStep(NamedTuple):
    """The parts of the step before that a formula takes: delta, the slope g'd, and s and d (P,)."""

    delta: float
    slope: float
    s: Array
    d: Array


def fr(delta: float, r: Array, old: LastStep) -> float:
    """Fletcher and Reeves 1964."""
    return _ratio(delta, old.delta)  # r's / r_old's_old


def pr(delta: float, r: Array, old: LastStep) -> float:
    """Polak and Ribiere 1969."""
    return _ratio(delta - inner(r, old.s), old.delta)  # (r's - r's_old) / r_old's_old


def hs(delta: float, r: Array, old: LastStep) -> float:
    """Hestenes and Stiefel 1952."""
    return _ratio(delta - inner(r, old.s), _change(r, old))  # (r's - r's_old) / d_old'y


def dy(delta: float, r: Array, old: LastStep) -> float:
    """Dai and Yuan 1999."""
    return _ratio(delta, _change(r, old))  # r's / d_old'y


BETAS = {"fr": fr, "pr": pr, "hs": hs, "dy": dy}


def clip(beta: float) -> float:
    """The nearest of [0, 1]."""
    return min(max(beta, 0.0), 1.0)


def _change(r: Array, old: LastStep) -> float:
    return -inner(r, old.d) - old.slope  # d_old'y, y = g - g_old


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else 0.0
