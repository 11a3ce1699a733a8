"""The diagnosis of a curvature product that breaks a law.

Each function takes a `ProductTrial` after its laws were tested.
"""

import numpy as np

from refhf.conformance.check_report import Finding
from refhf.conformance.checkers.derivative_check import usable
from refhf.conformance.checkers.product_trial import ProductTrial
from refhf.conformance.mistakes.candidate_vectors import CandidateResult, product_candidates
from refhf.conformance.mistakes.coefficient_causes import LikelyFactors, coefficient_causes, likely_factors
from refhf.conformance.mistakes.diagnosis import Sample, by_digits, diagnose
from refhf.conformance.mistakes.drawn_factors import drawn_factors_cause
from refhf.conformance.mistakes.monte_carlo_fisher import monte_carlo_cause
from refhf.conformance.mistakes.wrong_derivatives import network_cases
from refhf.conformance.patterns import Cause, Pattern

SINGLE_DIGITS = 4  # of a law that float32 breaks, at least: our choice
LAWS = {"symmetric": Pattern.NOT_SYMMETRIC, "positive semidefinite": Pattern.INDEFINITE}


def product_causes(check: ProductTrial, findings: list[Finding]) -> list[Cause]:
    """The likeliest causes; empty if no known pattern fits."""
    same = next((f for f in findings if f.law.startswith("same call")), None)
    if same and not same.passed:
        _, theta, v = check.probes[0]
        changing = usable(lambda: check.product.changing(theta, v, detail=f"{same.digits:.1f} digits agree"))
        drawn = usable(lambda: _drawn_labels(check, [Sample("", theta, v, check.product(theta, v), v, 0.0)]))
        return [*changing, *(cause for cause in drawn if cause)]
    causes = _known_mistake(check) if any(s.error > s.tolerance for s in check.samples) else []
    if not causes and check.samples:
        linear = all(f.passed for f in findings if f.law.startswith("linear"))
        causes = by_digits(check.samples, check.product.single, linear)
    causes = causes or (_factor(check) if check.forms else [])
    if not causes and check.forms and check.kind == "gauss-newton":
        check.remarks.append("a loss with weights, or summed, is compared if it is given: loss=, reduction=")
    if not causes and _in_single(check, findings):
        return [Cause(Pattern.FLOAT32)]
    broken = [pattern for f in findings for law, pattern in LAWS.items() if f.law.startswith(law) and not f.passed]
    return causes or [Cause(pattern) for pattern in broken]


def _factor(check: ProductTrial) -> list[Cause]:
    """The factor by which all forms w'A v differ from those of the user's own function."""
    got, want, _ = max(check.forms, key=lambda form: abs(form[1]))
    c = float(f"{got / (want or 1.0):.4g}")  # a central difference need not have more digits
    same = all(abs(got - c * want) <= max(1.0, abs(c)) * tolerance for got, want, tolerance in check.forms)
    return coefficient_causes(c, 0.0, 0.0, check.factors, gradient=False) if same else []


def _in_single(check: ProductTrial, findings: list[Finding]) -> bool:
    """True if the results are float32 numbers, and all laws hold to its digits."""
    digits = [f.digits for f in findings if not f.passed]
    single = check.product.single and check.dtype == np.float64
    return single and all(x is not None and x >= SINGLE_DIGITS for x in digits)


def _drawn_labels(check: ProductTrial, samples: list[Sample]) -> Cause | None:
    """The cause if labels drawn from the model give the samples."""
    problem = network_cases(check.reference) if check.reference else None
    if not check.reference or not problem:
        return None
    l2 = check.reference.l2
    return monte_carlo_cause(problem, samples, l2) or drawn_factors_cause(problem, samples, l2)


def _known_mistake(check: ProductTrial) -> list[Cause]:
    if reference := check.reference:
        candidates = list(product_candidates(check.kind, reference, check.theta))
        of = likely_factors(reference)
        causes = diagnose(check.samples, candidates, check.blocks, reference.l2, of, False)
        return causes or [cause for cause in (_drawn_labels(check, check.samples),) if cause]
    at = check.expected
    assert at is not None
    right = CandidateResult(None, lambda theta, v: at(theta, v)[0])
    stale = CandidateResult(Cause(Pattern.STALE), lambda theta, v: at(check.theta, v)[0])
    return diagnose(check.samples, [right, stale], [], 0.0, LikelyFactors(), False)
