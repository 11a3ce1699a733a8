"""Laws that every curvature product obeys by itself: repeatable, symmetric, linear, semidefinite; Taylor's remainder.

Each function takes a `ProductTrial`, which evaluates the product and knows its tolerance, and returns a finding.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from refhf.conformance import oracles
from refhf.conformance.check_report import Finding, compared, digits
from refhf.conformance.checkers.derivative_check import Expected, derivative_floor
from refhf.conformance.checkers.loss_forms import Form
from refhf.conformance.checkers.product_trial import ProductTrial
from refhf.conformance.checkers.user_function import FunctionUnderTest
from refhf.conformance.float64_reference import FLOOR
from refhf.conformance.oracles import norm
from refhf.krylov.lanczos import lanczos_smallest

TINY = 2.0**-20  # v is scaled by this power of two to expose finite differences: our choice
LANCZOS = 10  # iterations that search for a negative eigenvalue: our choice
RATE = 1.9  # least order of the Taylor remainder (promise R3)
WINDOWS = 1e-1, 1e-2, 1e-3, 1e-4, 1e-5  # first steps, relative to ||theta||; each is then halved: our choice


def laws(check: ProductTrial) -> list[Callable[[], Finding]]:
    """The laws for the kind of product that is checked."""
    functions = [repeated, symmetric, linear, homogeneous]
    if check.kind == "gauss-newton":
        functions.append(semidefinite)
    return [partial(law, check) for law in functions]


def repeated(check: ProductTrial) -> Finding:
    """Two equal calls agree."""
    return check.product.repeated(check.theta, check.probes[0].v)


def symmetric(check: ProductTrial) -> Finding:
    """w'(A v) = v'(A w)."""
    (_, theta, v), (_, _, w) = check.probes[:2]
    Hv, product_w = check.result(check.probes[0]), check.result(check.probes[1])
    tolerance = norm(w) * check.tolerance(theta, v) + norm(v) * check.tolerance(theta, w)
    sample = "random 1, 2", oracles.asymmetry(v, w, Hv, product_w), tolerance, norm(w) * norm(Hv)
    return compared("symmetric: w'(A v) = v'(A w)", [sample])


def linear(check: ProductTrial) -> Finding:
    """A (a v + b w) = a A v + b A w."""
    (_, theta, v), (_, _, w) = check.probes[:2]
    Hv, product_w = check.result(check.probes[0]), check.result(check.probes[1])
    error = oracles.nonlinearity(lambda u: check.product(theta, u), v, w, Hv, product_w)
    tolerance = 3 * (check.tolerance(theta, v) + check.tolerance(theta, w))  # a, b = 2.5, -0.75, and the sum's own
    return compared("linear: A (a v + b w) = a A v + b A w", [("random 1, 2", error, tolerance, norm(Hv))])


def homogeneous(check: ProductTrial) -> Finding:
    """A (v / 2^20) = A v / 2^20."""
    _, theta, v = check.probes[0]
    Hv = check.result(check.probes[0])
    error = norm(check.product(theta, TINY * v) / TINY - Hv)
    return compared("linear: A (v / 2^20) = A v / 2^20", [("random 1", error, check.tolerance(theta, v), norm(Hv))])


def semidefinite(check: ProductTrial) -> Finding:
    """The smallest Ritz value of a few Lanczos iterations is not negative."""
    v = check.probes[0].v
    pair = lanczos_smallest(
        lambda v: check.product(check.theta, v), check.size, start=v, maxiter=min(check.size, LANCZOS)
    )
    scale = max(norm(check.result(check.probes[0])) / norm(v), abs(pair.value))
    tolerance = check.tolerance(check.theta, pair.vector) + FLOOR[check.dtype] * scale
    shown = f"smallest Ritz value {pair.value:.3g}"
    figures = digits(max(-pair.value, 0.0), scale), digits(tolerance, scale)
    return Finding("positive semidefinite", *figures, shown, pair.value >= -tolerance)


def taylor(check: ProductTrial, gradient: FunctionUnderTest, central: Expected) -> Finding:
    """g(theta + t v) - g(theta) - t H v falls with t^2, for the user's gradient g."""
    law = "Taylor remainder of your gradient"
    _, theta, v = check.probes[0]
    Hv, unit, scale = check.result(check.probes[0]), v / norm(v), norm(check.theta) or 1.0
    if central(theta, v)[1] == np.inf:
        return Finding(law, None, None, "undecided: your gradient is not smooth enough", True)
    noise = 100 * oracles.rounding(gradient, theta, eps=check.eps, rng=0)  # smaller remainders are noise: our choice
    rates = [oracles.taylor_rate(gradient, theta, unit, Hv / norm(v), t * scale) for t in WINDOWS]
    rate = max(np.inf if last <= noise else rate for rate, last in rates)
    shown = "within rounding" if rate == np.inf else f"falls with t^{rate:.2f}"
    return Finding(law, None, None, shown, bool(rate >= RATE))


def second_derivatives(check: ProductTrial, form: Form) -> Finding:
    """w'H v is the second derivative of the user's value along w and v."""
    samples: list[tuple[str, float, float, float]] = []
    for probe in check.probes[:2]:
        for other in check.probes[:2]:
            want, tolerance = form(other.v, probe.v)
            got, size = float(other.v @ check.result(probe)), norm(other.v) * norm(check.result(probe))
            tolerance += derivative_floor(check.dtype, want, size)
            samples.append((f"{probe.name} and {other.name}", abs(got - want), tolerance, abs(want)))
            check.forms.append((got, want, tolerance))
    return check.shown(compared("your value's second derivatives", samples))


def quadratic_form(check: ProductTrial, jacobian_product: Expected, form: Form, cases: int, l2: float) -> Finding:
    """w'G v = (J w)' H_L (J v) + l2 w'v, with J from the user's outputs and the means in H_L."""
    first, second = check.probes[:2]
    (rz_v, off_v), (rz_w, off_w) = jacobian_product(*first[1:]), jacobian_product(*second[1:])
    check.natural = norm(rz_v) ** 2 / norm(first.v) ** 2 / cases
    samples: list[tuple[str, float, float, float]] = []
    for probe, a, off_a in ((first, rz_v, off_v), (second, rz_w, off_w)):
        for w, b, off_b in ((first.v, rz_v, off_v), (second.v, rz_w, off_w)):
            value, tolerance = form(b, a)
            want, got = value + float(l2 * w @ probe.v), float(w @ check.result(probe))
            size = np.sqrt(abs(form(a, a)[0] * form(b, b)[0]))  # at least |value|
            tolerance += size * (off_a / (norm(a) or 1.0) + off_b / (norm(b) or 1.0))
            tolerance += derivative_floor(check.dtype, want, norm(b) * norm(a) / cases)
            tolerance = np.inf if np.isnan(tolerance) else tolerance  # 0 times an infinite bound
            samples.append((probe.name, abs(got - want), tolerance, abs(want)))
            check.forms.append((got, want, tolerance))
    return check.shown(compared("w'G v = (J w)'H_L(J v) of your outputs", samples))
