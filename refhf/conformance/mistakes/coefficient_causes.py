"""Causes that the fitted coefficients c and lambda of c * base + lambda * u stand for: sign, mean, factor, decay."""

import math
from itertools import product as pairs
from typing import NamedTuple

from refhf.conformance.float64_reference import Reference
from refhf.conformance.patterns import Cause, Pattern

SNAP = 1e-6  # relative distance at which a coefficient is recognised: our choice


def near(x: float, y: float) -> bool:
    """True if two coefficients are equal to SNAP, relative."""
    return abs(x - y) <= SNAP * max(abs(x), abs(y))


class LikelyFactors(NamedTuple):
    """The numbers by which an objective is likely to be off, and its own reduction.

    Attributes
    ----------
    cases, outputs, positions : int
        B, n_L and T.
    summed : bool
        Whether it is the sum over the cases.
    squared : bool
        Whether its loss is the squared error, with its 1/2.
    """

    cases: int = 1
    outputs: int = 1
    positions: int = 1
    summed: bool = False
    squared: bool = False


def likely_factors(reference: Reference | None) -> LikelyFactors:
    """Those of a reference; all 1 without one."""
    if reference is None:
        return LikelyFactors()
    net, cases = reference.net, reference.cases
    if net is None:
        return LikelyFactors(cases)
    positions = math.prod(net.out_shape[:-1])
    summed = reference.objective.divisor == 1 < cases
    return LikelyFactors(cases, net.outputs, positions, summed, net.loss.name == "squared_error")


def coefficient_causes(c: float, decay: float, l2: float, of: LikelyFactors, gradient: bool) -> list[Cause]:
    """The causes of a factor c and a coefficient of u, `decay`.

    Parameters
    ----------
    c, decay : float
    l2 : float
        The right coefficient of u.
    of : LikelyFactors
    gradient : bool
        Whether u is theta (of a gradient) or v (of a product).
    """
    causes = _factor(c, of)
    if near(decay, l2) or near(decay, c * l2):
        return causes
    if l2 and abs(decay) <= SNAP * l2:
        return [*causes, Cause(Pattern.NO_DECAY)]
    named = {
        2.0: "2 l2: l2 ||theta||^2 for l2/2 ||theta||^2",
        0.5: "l2 / 2",
        -1.0: "-l2",
        float(of.cases): f"B l2, B = {of.cases}",
        1 / of.cases: f"l2 / B, B = {of.cases}",
        float(of.outputs): f"n_L l2, n_L = {of.outputs}",
    }
    if l2 and (said := next((said for k, said in named.items() if near(decay, k * l2)), "")):
        return [*causes, Cause(Pattern.DECAY_WRONG, said)]
    if gradient:
        return [*causes, Cause(Pattern.DECAY_WRONG, f"{decay:g} theta instead of {l2:g} theta")]
    return [*causes, Cause(Pattern.DAMPED, f"{decay - l2:g} v")]


def _factor(c: float, of: LikelyFactors) -> list[Cause]:
    if near(c, 1.0):
        return []
    B, n, T = of.cases, of.outputs, of.positions
    signs, twos = (1.0, -1.0), ((1.0, ""), (2.0, _two(of)), (0.5, "1/2"))
    batch = ((1.0, None), (B, Cause(Pattern.SUM_NOT_MEAN, f"B = {B}")), (1 / B, Cause(Pattern.MEAN_TWICE, f"B = {B}")))
    if of.summed:
        batch = ((1.0, None), (1 / B, Cause(Pattern.MEAN_NOT_SUM, f"B = {B}")))
    width = [(1.0, ""), (n, f"n_L = {n}"), (1 / n, f"1/n_L = 1/{n}")]
    if T > 1:
        width += [(T, f"T = {T}: the sum over the positions instead of the mean"), (1 / T, f"1/T = 1/{T}")]
    found = [
        [cause for cause in (Cause(Pattern.SIGN) if sign < 0 else None, b[1], *_factors(two[1], w[1])) if cause]
        for sign, two, b, w in pairs(signs, twos, batch, width)
        if near(c, sign * two[0] * b[0] * w[0])
    ]
    if not found:
        return [Cause(Pattern.FACTOR, f"{c:.6g}")]
    shortest, *others = sorted(found, key=lambda causes: (_simplicity(causes), causes[-1].pattern is Pattern.FACTOR))
    same = [causes[-1] for causes in others if _simplicity(causes) == _simplicity(shortest)]
    return [*shortest[:-1], shortest[-1]._replace(equals=tuple(same))]  # as 2, where B is 2


def _factors(*names: str) -> list[Cause]:
    """The cause of one or two factors, if they have names."""
    said = " and ".join(name for name in names if name)
    return [Cause(Pattern.FACTOR, said)] if said else []


def _simplicity(causes: list[Cause]) -> int:
    return sum(1 + cause.detail.count(" and ") for cause in causes)


def _two(of: LikelyFactors) -> str:
    return "2: the squared error without its 1/2" if of.squared else "2"
