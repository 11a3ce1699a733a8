"""A multiple of v in a product, fitted and taken off: the convention of damping inside.

Each function takes a `ProductTrial` before its laws are tested.
"""

from refhf.conformance.checkers.derivative_check import usable
from refhf.conformance.checkers.product_trial import ProductTrial
from refhf.conformance.checkers.user_function import Unusable
from refhf.conformance.oracles import norm

ROUGH = 0.01  # relative error of a product that no rounding explains: our choice


def fitted_damping(check: ProductTrial) -> float:
    """The lambda >= 0 with product = expected + lambda v at the first probe; 0 if it is within rounding."""
    _, theta, v = first = check.probes[0]
    if not check.truth:
        usable(*check.laws)
    expected = check.truth.at if check.truth else check.expected
    try:
        if expected:
            want, tolerance = expected(theta, v)
            excess, tolerance = float(v @ (check.result(first) - want)), tolerance * norm(v)
        else:
            got, form, tolerance = check.forms[0]
            excess = got - form
    except (Unusable, IndexError):
        return 0.0
    return excess / float(v @ v) if excess > tolerance else 0.0


def is_far(check: ProductTrial, damped: bool) -> bool:
    """True if the product is far from the reference's at the first probe, but for a multiple of v if damped."""
    if not check.reference:
        return False
    _, theta, v = check.probes[0]
    try:
        got = check.result(check.probes[0])
    except Unusable:
        return True
    error = got - check.reference.rough_product(check.kind, theta, v)
    if damped:
        error = error - float(v @ error) / float(v @ v) * v
    return norm(error) > ROUGH * norm(got)


def take_off(check: ProductTrial, damping: float) -> None:
    """Compare the product without `damping` v from here on."""
    check.product.damping = damping
    check.conventions += (f"damping {damping:.6g} in the product",) if damping else ()
    check.results.clear()
    check.forms.clear()
    check.samples = []
