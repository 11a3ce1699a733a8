"""Causes that the fitted coefficients c and lambda of c * base + lambda * u stand for: sign, mean, factor, decay."""

from itertools import product as pairs

from refhf.conformance.patterns import Cause, Pattern

SNAP = 1e-6  # relative distance at which a coefficient is recognised: our choice


def near(x: float, y: float) -> bool:
    """True if two coefficients are equal to SNAP, relative."""
    return abs(x - y) <= SNAP * max(abs(x), abs(y))


def coefficient_causes(c: float, decay: float, l2: float, cases: int, outputs: int, gradient: bool) -> list[Cause]:
    """The causes of a factor c and a coefficient of u, `decay`.

    Parameters
    ----------
    c, decay : float
    l2 : float
        The right coefficient of u.
    cases, outputs : int
        B and n_L, two likely factors.
    gradient : bool
        Whether u is theta (of a gradient) or v (of a product).
    """
    causes = _factor(c, cases, outputs)
    if near(decay, l2) or near(decay, c * l2):
        return causes
    if l2 and abs(decay) <= SNAP * l2:
        return [*causes, Cause(Pattern.NO_DECAY)]
    if l2 and any(near(decay, k * l2) for k in (2.0, 0.5, -1.0, cases, 1 / cases, outputs)):
        return [*causes, Cause(Pattern.DECAY_WRONG, f"{decay / l2:g} l2")]
    if gradient:
        return [*causes, Cause(Pattern.DECAY_WRONG, f"{decay:g} theta instead of {l2:g} theta")]
    return [*causes, Cause(Pattern.DAMPED, f"{decay - l2:g} v")]


def _factor(c: float, cases: int, outputs: int) -> list[Cause]:
    if near(c, 1.0):
        return []
    signs, twos = (1.0, -1.0), ((1.0, ""), (2.0, "2"), (0.5, "1/2"))
    batch = ((1.0, None), (cases, Pattern.SUM_NOT_MEAN), (1 / cases, Pattern.MEAN_TWICE))
    width = ((1.0, ""), (outputs, f"n_L = {outputs}"), (1 / outputs, f"1/n_L = 1/{outputs}"))
    named = [
        (sum([sign < 0, bool(two[1]), bool(b[1]), bool(w[1])]), sign, two[1], b[1], w[1])
        for sign, two, b, w in pairs(signs, twos, batch, width)
        if near(c, sign * two[0] * b[0] * w[0])
    ]
    if not named:
        return [Cause(Pattern.FACTOR, f"{c:.6g}")]
    _, sign, two, b, w = min(named, key=lambda name: name[0])
    causes = [Cause(Pattern.SIGN)] if sign < 0 else []
    causes += [Cause(b, f"B = {cases}")] if b else []
    factor = " and ".join(name for name in (two, w) if name)
    if factor and near(abs(c), cases):
        factor += f", which equals B = {cases}"
    return causes + ([Cause(Pattern.FACTOR, factor)] if factor else [])
