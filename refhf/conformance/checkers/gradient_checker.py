"""The checker of a gradient, and of the value that it belongs to."""

from collections.abc import Callable

import numpy as np

from refhf.conformance.check_report import Cause, Pattern, Report, compared
from refhf.conformance.checkers.derivative_bench import Bench, derivative_floor, usable
from refhf.conformance.mistakes.diagnosis import Base, Sample, by_digits, diagnose, gradient_bases
from refhf.conformance.oracles import norm
from refhf.objective.protocol import Objective

SLOPES = 6  # random directions in which the value is differentiated: our choice


def check_gradient(
    value: Callable | None, gradient: Callable, theta, reference: Objective | None = None, *, layout="in-out", rng=0
) -> Report:
    """Whether gradient(theta) is the gradient of value(theta), and of the reference, and if not, what it is.

    Held against the derivative of your own value (a complex step if it is analytic, central differences), and if there
    is a reference against its value and gradient.

    Parameters
    ----------
    value : callable or None
        theta -> float. None if there is a reference, and only the gradient is to be checked.
    gradient : callable
        theta -> (P,).
    theta, reference, layout, rng
        As for `check_hessian_product`.

    Returns
    -------
    Report

    Raises
    ------
    ValueError
        For arguments that do not fit. What the functions do wrong is in the report.

    Examples
    --------
    >>> import numpy as np, refhf
    >>> refhf.check_gradient(lambda t: t @ t / 2, lambda t: t, np.ones(3)).passed
    True
    """
    if value is None and reference is None:
        raise ValueError("reference: expected an Objective, or your value to differentiate; got neither")
    for argument, function in (("gradient", gradient), *((("value", value),) if value is not None else ())):
        if not callable(function):
            raise ValueError(f"{argument}: expected a function; got {function!r}")
    return GradientBench(theta, reference, layout, rng).run(value, gradient)


class GradientBench(Bench):
    """A gradient under test."""

    def run(self, value, gradient):
        """All laws of a value, a gradient or both, and what they say."""
        self.gradient = None if gradient is None else self.subject("gradient", gradient, (self.size,))
        self.thetas = [("theta", self.theta), *((f"another theta, {i}", self.elsewhere()) for i in (1, 2, 3))]
        self.vectors, self.numbers, self.slopes, self.value = [], [], [], None
        laws = []
        if gradient is not None:
            laws.append(lambda: self.gradient.repeated(self.theta))
            laws += [self._vector] if self.reference else []
        if value is not None:
            self.value = self.subject("value", value, ())
            laws.append(lambda: self.value.repeated(self.theta)._replace(law="same call, same value"))
            laws += [self._slopes] if gradient is not None else []
            laws += [self._value] if self.reference else []
        findings = usable(*laws)
        return self.report("gradient", findings, [] if all(f.passed for f in findings) else self._causes(findings))

    def _vector(self):
        for name, theta in self.thetas[:2]:
            want, tolerance = self.reference.gradient(theta)
            self.vectors.append(Sample(name, theta, theta, self.gradient(theta), want, tolerance))
        return self.against("the reference's gradient", self.vectors)

    def _value(self):
        for name, theta in self.thetas:
            (want, tolerance), got = self.reference.value(theta), self.value(theta)
            one = np.array([theta @ theta / 2])  # of which weight decay is a multiple
            self.numbers.append(Sample(name, theta, one, np.array([got]), np.array([want]), tolerance))
        return self.against("the reference's value", self.numbers)

    def _slopes(self):
        """v'g against the derivative of the caller's value along v."""
        directions = [self.direction() for _ in range(SLOPES)]
        central = self.central(self.value)
        exact = self.complex_step(self.value, self.theta, directions[0], central)
        if exact is None:
            self.remarks.append("no complex step of your value: it takes no complex theta, or is not analytic")
        samples, law = [], f"your value's {'complex step' if exact else 'central difference'}"
        for i, theta in enumerate((self.theta, self.thetas[1][1])):
            g = self.gradient(theta)
            pairs = [(exact or central)(theta, v) for v in directions]
            slopes = np.array([g @ v for v in directions])
            wants, tolerances = (np.array(x, float) for x in zip(*pairs, strict=True))
            sizes = norm(g) * np.array([norm(v) for v in directions])
            tolerances += [derivative_floor(self.dtype, *pair) for pair in zip(wants, sizes, strict=True)]
            samples += [
                (f"random {k}{', another theta' if i else ''}", abs(a - b), t, norm(g))
                for k, (a, b, t) in enumerate(zip(slopes, wants, tolerances, strict=True), 1)
            ]
            along = np.array([theta @ v for v in directions])
            self.slopes.append(Sample("slopes", theta, along, slopes, wants, norm(tolerances)))
        return compared(law, samples)

    def _causes(self, findings):
        again = [f for f in findings if f.law.startswith("same call") and not f.passed]
        if again:
            return [Cause(Pattern.RANDOM, f"{f.law}: {f.digits:.1f} digits agree") for f in again]
        reference, net = self.reference, self.net
        l2, cases = (reference.l2, reference.cases) if reference else (0.0, 1)
        outputs, causes = net.outputs if net else 1, []
        if any(s.error > s.tolerance for s in self.vectors):
            bases = list(gradient_bases(reference, self.theta))
            causes += diagnose(self.vectors, bases, self.blocks, l2, cases, outputs, gradient=True)
        if any(s.error > s.tolerance for s in self.numbers):
            base = Base(None, lambda theta, u: np.array([reference.value(theta)[0]]) - l2 * u)
            causes += diagnose(self.numbers, [base], [], l2, cases, outputs, gradient=True)
        if not causes and not self.vectors and any(s.error > s.tolerance for s in self.slopes):
            wants = {s.theta.tobytes(): s.want for s in self.slopes}
            bases = [Base(None, lambda theta, _: wants[theta.tobytes()])]
            bases.append(Base(Cause(Pattern.STALE), lambda theta, _: wants[self.theta.tobytes()]))
            causes += diagnose(self.slopes, bases, [], 0.0, 1, 1, gradient=True)
        for samples, subject in ((self.vectors or self.slopes, self.gradient), (self.numbers, self.value)):
            if not causes and samples:
                causes = by_digits(samples, subject.single, linear=True)
        return causes
