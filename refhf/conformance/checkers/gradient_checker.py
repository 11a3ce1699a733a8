"""Checker of a gradient and of the value that it belongs to."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from refhf.conformance.check_report import CheckReport, Finding, compared
from refhf.conformance.checkers.check_conventions import (
    CheckConvention,
    is_summed,
    of_reference,
    under_conventions,
)
from refhf.conformance.checkers.derivative_check import DerivativeCheck, Expected, derivative_floor, usable
from refhf.conformance.mistakes.candidate_vectors import CandidateResult, gradient_candidates, value_candidates
from refhf.conformance.mistakes.coefficient_causes import LikelyFactors, likely_factors
from refhf.conformance.mistakes.diagnosis import Sample, by_digits, diagnose
from refhf.conformance.oracles import norm
from refhf.conformance.patterns import Cause, Pattern
from refhf.model.blocks import Array
from refhf.objective.protocol import Objective

SLOPES = 6  # random directions along which the value is differentiated: our choice


def check_gradient(
    value: Callable[..., Any] | None,
    gradient: Callable[..., Any],
    theta: Any,
    reference: Objective | None = None,
    *,
    layout: str = "in-out",
    any_convention: bool = False,
    rng: Any = 0,
) -> CheckReport:
    """Check a gradient against your own value and a reference, and diagnose what is wrong.

    The gradient is compared with the derivative of your own value (a complex step if the value is analytic, else
    central differences). With a reference, value and gradient are compared with its value and gradient too.

    Parameters
    ----------
    value : callable or None
        theta -> float. None to check the gradient against the reference only.
    gradient : callable
        theta -> (P,).
    theta, reference, layout, any_convention, rng
        As for `check_hessian_product`.

    Returns
    -------
    CheckReport

    Raises
    ------
    ValueError
        For invalid arguments. Faults of the functions are in the report.

    Examples
    --------
    >>> import numpy as np, refhf
    >>> refhf.check_gradient(lambda t: t @ t / 2, lambda t: t, np.ones(3)).passed
    True
    """
    if value is None and reference is None:
        raise ValueError("reference: expected an Objective, or your value, to differentiate it; got neither")
    for argument, function in (("gradient", gradient), *((("value", value),) if value is not None else ())):
        if not callable(function):
            raise ValueError(f"{argument}: expected a function; got {function!r}")

    def checked(convention: CheckConvention, quick: bool) -> CheckReport:
        named = convention.names(is_summed(reference), layout)
        check = GradientCheck(theta, convention.of_objective(reference), convention.of_layout(layout), rng)
        return check.posed(named, quick).run(value, gradient)

    found = of_reference(reference, theta, any_convention, products=False)
    return under_conventions(checked, found, any_convention)


class GradientCheck(DerivativeCheck):
    """The check of a value, a gradient, or both."""

    def run(self, value: Any, gradient: Any) -> CheckReport:
        """Test all laws and diagnose failures."""
        self.gradient: Any = None
        self.value: Any = None
        self.thetas = [("theta", self.theta), *((f"another theta, {i}", self.elsewhere()) for i in (1, 2, 3))]
        self.vectors: list[Sample] = []
        self.numbers: list[Sample] = []
        self.slopes: list[Sample] = []
        laws: list[Callable[[], Any]] = []
        if gradient is not None:
            self.gradient = self.function_under_test("gradient", gradient, (self.size,))
            laws.append(lambda: self.gradient.repeated(self.theta))
            laws += [self._vector] if self.reference else []
        if value is not None:
            self.value = self.function_under_test("value", value, ())
            laws.append(lambda: self.value.repeated(self.theta)._replace(law="same call, same value"))
            laws += [self._slopes] if gradient is not None else []
            laws += [self._value] if self.reference else []
        findings = self.held(*laws)
        return self.report("gradient", findings, self.diagnosed(findings, lambda: self._causes(findings)))

    def _vector(self) -> Finding:
        assert self.reference is not None
        for name, theta in self.thetas[:2]:
            want, tolerance = self.reference.gradient(theta)
            self.vectors.append(Sample(name, theta, theta, self.gradient(theta), want, tolerance))
        return self.against("the reference's gradient", self.vectors)

    def _value(self) -> Finding:
        assert self.reference is not None
        for name, theta in self.thetas:
            (want, tolerance), got = self.reference.value(theta), self.value(theta)
            one = np.array([theta @ theta / 2])  # weight decay is a multiple of it
            self.numbers.append(Sample(name, theta, one, np.array([got]), np.array([want]), tolerance))
        return self.against("the reference's value", self.numbers)

    def _slopes(self) -> Finding:
        """Compare v'g with the derivative of the user's value along v."""
        directions = [self.direction() for _ in range(SLOPES)]
        central = self.central(self.value)
        exact = self.complex_step(self.value, self.theta, directions[0], central)
        if exact is None:
            self.remarks.append("no complex step of your value: it does not accept a complex theta, or is not analytic")
        samples: list[tuple[str, float, float, float]] = []
        for i, theta in enumerate((self.theta, self.thetas[1][1])):
            sample, size, tolerances = self._slopes_at(theta, directions, exact or central)
            samples += [
                (f"random {k}{', another theta' if i else ''}", abs(a - b), t, size)
                for k, (a, b, t) in enumerate(zip(sample.got, sample.want, tolerances, strict=True), 1)
            ]
            self.slopes.append(sample)
        return self.shown(compared(f"your value's {'complex step' if exact else 'central difference'}", samples))

    def _slopes_at(self, theta: Array, directions: list[Array], expected: Expected) -> tuple[Sample, float, Array]:
        """The sample of all v'g at theta, ||g||, and a tolerance for each v."""
        g = self.gradient(theta)
        slopes = np.array([g @ v for v in directions])
        wants, tolerances = (np.array(x, float) for x in zip(*(expected(theta, v) for v in directions), strict=True))
        sizes = norm(g) * np.array([norm(v) for v in directions])
        tolerances += [derivative_floor(self.dtype, *pair) for pair in zip(wants, sizes, strict=True)]
        along = np.array([theta @ v for v in directions])
        return Sample("slopes", theta, along, slopes, wants, norm(tolerances)), norm(g), tolerances

    def _causes(self, findings: list[Finding]) -> list[Cause]:
        again = [f for f in findings if f.law.startswith("same call") and not f.passed]
        if again:
            functions = [self.value if f.law.endswith("value") else self.gradient for f in again]
            details = [f"{f.law}: {f.digits:.1f} digits agree" for f in again]
            pairs = zip(functions, details, strict=True)
            return usable(*(partial(function.changing, self.theta, detail=detail) for function, detail in pairs))
        reference = self.reference
        l2, of = reference.l2 if reference else 0.0, likely_factors(reference)
        causes: list[Cause] = []
        if reference and any(s.error > s.tolerance for s in self.vectors):
            candidates = list(gradient_candidates(reference, self.theta))
            causes += diagnose(self.vectors, candidates, self.blocks, l2, of, gradient=True)
        if reference and any(s.error > s.tolerance for s in self.numbers):
            candidates = list(value_candidates(reference))
            causes += diagnose(self.numbers, candidates, [], l2, of, gradient=True)
        if not causes and not self.vectors and any(s.error > s.tolerance for s in self.slopes):
            wants = {s.theta.tobytes(): s.want for s in self.slopes}
            candidates = [CandidateResult(None, lambda theta, _: wants[theta.tobytes()])]
            candidates.append(CandidateResult(Cause(Pattern.STALE), lambda theta, _: wants[self.theta.tobytes()]))
            causes += diagnose(self.slopes, candidates, [], 0.0, LikelyFactors(), gradient=True)
        for samples, function in ((self.vectors or self.slopes, self.gradient), (self.numbers, self.value)):
            if not causes and samples:
                causes = by_digits(samples, function.single, linear=True)
        return causes
