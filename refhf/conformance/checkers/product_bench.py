"""A curvature product under test: where it is asked, the laws that it is held to, and what its answers say."""

from functools import cached_property
from typing import NamedTuple

import numpy as np

from refhf.conformance import oracles
from refhf.conformance.check_report import Cause, Finding, Pattern, Report, compared, digits
from refhf.conformance.checkers.derivative_bench import Bench, Truth, derivative_floor, usable
from refhf.conformance.checkers.user_function import Notes
from refhf.conformance.mistakes.diagnosis import Base, Sample, by_digits, diagnose, product_bases
from refhf.conformance.oracles import norm
from refhf.conformance.reference import FLOOR, SAFETY
from refhf.krylov.lanczos import lanczos_smallest

COLUMNS = 50  # P up to which every column of the matrix is compared: our choice
TINY = 2.0**-20  # v is scaled by it to find differences out, exactly: our choice
LANCZOS = 10  # iterations in which to meet a negative eigenvalue: our choice
RATE = 1.9  # of the Taylor remainder (promise R3)
WINDOWS = 1e-1, 1e-2, 1e-3, 1e-4, 1e-5  # of theta's size, from which its steps are halved: our choice


class Place(NamedTuple):
    """What is asked: v at theta."""

    name: str
    theta: np.ndarray
    v: np.ndarray


class ProductBench(Bench):
    """A product under test."""

    def __init__(self, kind, product, theta, reference, layout, rng, own=None, data=()):
        if reference is None and own is None:
            raise ValueError("reference: expected an Objective, or a function of yours to differentiate; got neither")
        super().__init__(theta, reference, layout, rng, kind, data)
        self.kind, self.product = kind, self.subject("product", product, (self.size,))
        self.places = [Place(f"random {i}", self.theta, self.direction()) for i in (1, 2)]
        if self.size <= COLUMNS:
            self.places += [Place(self.entry(i), self.theta, v) for i, v in enumerate(np.eye(self.size))]
        else:
            self.places += [Place(f"{b.name} alone", self.theta, self.direction(b.indices)) for b in self.blocks]
        self.places.append(Place("another theta", self.elsewhere(), self.direction()))
        self.few = [*self.places[:2], self.places[-1]]  # where an oracle is dear
        self.truth = Truth("the reference", self.reference.product(kind)) if self.reference else None
        self.laws, self.answers, self.judge, self.samples = [], {}, None, []
        self.natural = 0.0  # of J'J / B, as far as it was seen
        if self.truth:
            self.laws.append(lambda: self._held(self.truth, self.places))
            if self.net and kind == "hessian":
                self.laws.append(self._reference_itself)

    def add_gradient(self, gradient):
        """Laws: the derivatives of the caller's own gradient."""
        subject = self.subject("gradient", gradient, (self.size,), Notes())
        central, first = self.central(subject), self.places[0]
        exact = self.complex_step(subject, first.theta, first.v, central)
        self.laws.append(lambda: self._held(Truth("your gradient's central difference", central), self.few))
        if exact is None:
            self.remarks.append("no complex step of your gradient: it takes no complex theta, or is not analytic")
        else:
            own = Truth("your gradient's complex step", lambda theta, v: self._roomier(exact, theta, v))
            self.truth = self.truth or own
            self.laws.append(lambda: self._held(own, self.few))
        self.laws.append(lambda: self._taylor(subject, central))

    def _roomier(self, exact, theta, v):
        """With room for the product's own rounding: a complex step does not cancel where p (1 - p) does."""
        want, tolerance = exact(theta, v)
        return want, max(tolerance, SAFETY * oracles.rounding(self.product, theta, v, eps=self.eps, rng=0))

    def add_outputs(self, outputs, loss, l2):
        """The law w'G v = (J w)' H_L (J v) / B + l2 w'v."""
        z = np.atleast_2d(self.subject("outputs", outputs, (), Notes()).raw(self.theta))
        subject = self.subject("outputs", outputs, z.shape, Notes())
        central, first, second = self.central(subject), *self.places[:2]
        exact = self.complex_step(subject, first.theta, first.v, central)
        derivative, loss_hessian = exact or central, loss.hessian(z, np.zeros_like(z))

        def law():
            (rz_v, off_v), (rz_w, off_w) = derivative(*first[1:]), derivative(*second[1:])
            self.natural = norm(rz_v) ** 2 / norm(first.v) ** 2 / len(z)
            samples = []
            for (name, theta, v), a, off_a in ((first, rz_v, off_v), (second, rz_w, off_w)):
                for w, b, off_b in ((first.v, rz_v, off_v), (second.v, rz_w, off_w)):
                    HJv = loss_hessian(a)
                    want, got = np.vdot(b, HJv) / len(z) + l2 * w @ v, w @ self.answer(Place(name, theta, v))
                    tolerance = (off_a * norm(loss_hessian(b)) + off_b * norm(HJv)) / len(z)
                    tolerance += derivative_floor(self.dtype, want, norm(b) * norm(a) / len(z))
                    tolerance += SAFETY * self.eps * norm(b) * norm(a) / len(z)  # H_L cancels: p (1 - p)
                    tolerance = np.inf if np.isnan(tolerance) else tolerance  # of 0 times a bound that says nothing
                    samples.append((name, abs(got - want), tolerance, abs(want)))
            return compared("w'G v = (J w)'H_L(J v) of your outputs", samples)

        self.laws.append(law)

    def answer(self, place: Place) -> np.ndarray:
        """The product's answer, asked for once."""
        key = place.theta.tobytes() + place.v.tobytes()
        if key not in self.answers:
            self.answers[key] = self.product(place.theta, place.v)
        return self.answers[key]

    def run(self, subject: str) -> Report:
        """All laws, and what they say."""
        findings = usable(*self.laws, self._same, self._symmetric, self._linear, self._homogeneous)
        if self.kind == "gauss-newton":
            findings += usable(self._semidefinite)
        causes = [] if all(finding.passed for finding in findings) else self._causes(findings)
        return self.report(subject, findings, causes)

    def _held(self, truth, places):
        samples = []
        for place in places:
            want, tolerance = truth.at(place.theta, place.v)
            samples.append(Sample(place.name, place.theta, place.v, self.answer(place), want, tolerance))
        if self.truth in (truth, None):
            names = [place.name for place in self.few]
            self.judge, self.samples = truth, [s for s in samples if s.direction in names and s.tolerance < np.inf]
        return self.against(truth.law, samples)

    def _reference_itself(self):
        """The reference's own product against its own complex step: whoever judges is judged."""
        _, theta, v = self.places[0]
        want, tolerance = self.truth.at(theta, v)
        error = norm(self.reference.complex_step(theta, v) - want)
        return compared("(the reference and its complex step)", [("random 1", error, tolerance, norm(want))])

    def _taylor(self, subject, central):
        _, theta, v = self.places[0]
        Hv, unit, scale = self.answer(self.places[0]), v / norm(v), norm(self.theta) or 1.0
        _, bound = central(theta, v)
        if bound == np.inf:
            return Finding("Taylor remainder of your gradient", None, None, "not smooth enough to say", True)
        noise = 100 * oracles.rounding(subject, theta, eps=self.eps, rng=0)  # below it a rate is rounding: our choice
        rates = [oracles.taylor_rate(subject, theta, unit, Hv / norm(v), t * scale) for t in WINDOWS]
        rate = max(np.inf if last <= noise else rate for rate, last in rates)
        shown = "within rounding" if rate == np.inf else f"falls with t^{rate:.2f}"
        return Finding("Taylor remainder of your gradient", None, None, shown, bool(rate >= RATE))

    @cached_property
    def _tolerance(self):
        """(theta, v) -> how far off the product may be there."""
        if self.truth:
            return lambda theta, v: self.truth.at(theta, v)[1]

        room = SAFETY * self.eps * self.natural  # H_L cancels: p (1 - p)

        def own(theta, v):
            far = oracles.rounding(self.product, theta, v, eps=self.eps, rng=0)
            return max(FLOOR[self.dtype] * norm(self.answer(Place("", theta, v))), SAFETY * far, room * norm(v))

        return own

    def _same(self):
        return self.product.repeated(self.theta, self.places[0].v)

    def _symmetric(self):
        (_, theta, v), (_, _, w) = self.places[:2]
        Hv, product_w = self.answer(self.places[0]), self.answer(self.places[1])
        tolerance = norm(w) * self._tolerance(theta, v) + norm(v) * self._tolerance(theta, w)
        sample = "random 1, 2", oracles.asymmetry(v, w, Hv, product_w), tolerance, norm(w) * norm(Hv)
        return compared("symmetric: w'(A v) = v'(A w)", [sample])

    def _linear(self):
        (_, theta, v), (_, _, w) = self.places[:2]
        Hv, product_w = self.answer(self.places[0]), self.answer(self.places[1])
        error = oracles.nonlinearity(lambda u: self.product(theta, u), v, w, Hv, product_w)
        tolerance = 3 * (self._tolerance(theta, v) + self._tolerance(theta, w))  # a, b = 2.5, -0.75, and the sum's own
        return compared("linear: A (a v + b w) = a A v + b A w", [("random 1, 2", error, tolerance, norm(Hv))])

    def _homogeneous(self):
        _, theta, v = self.places[0]
        Hv = self.answer(self.places[0])
        error = norm(self.product(theta, TINY * v) / TINY - Hv)
        return compared("linear: A (v / 2^20) = A v / 2^20", [("random 1", error, self._tolerance(theta, v), norm(Hv))])

    def _semidefinite(self):
        pair = lanczos_smallest(
            lambda v: self.product(self.theta, v), self.size, start=self.places[0].v, maxiter=min(self.size, LANCZOS)
        )
        scale = max(norm(self.answer(self.places[0])) / norm(self.places[0].v), abs(pair.value))
        tolerance = self._tolerance(self.theta, pair.vector) + FLOOR[self.dtype] * scale
        shown = f"smallest Ritz value {pair.value:.3g}"
        figures = digits(max(-pair.value, 0.0), scale), digits(tolerance, scale)
        return Finding("positive semidefinite", *figures, shown, pair.value >= -tolerance)

    def _causes(self, findings):
        same = next((f for f in findings if f.law.startswith("same call")), None)
        if same and not same.passed:
            return [Cause(Pattern.RANDOM, f"{same.digits:.1f} digits agree")]
        causes = self._known_mistake() if any(s.error > s.tolerance for s in self.samples) else []
        if not causes and self.samples:
            linear = all(f.passed for f in findings if f.law.startswith("linear"))
            causes = by_digits(self.samples, self.product.single, linear)
        laws = {"symmetric": Pattern.NOT_SYMMETRIC, "positive semidefinite": Pattern.INDEFINITE}
        broken = [pattern for f in findings for law, pattern in laws.items() if f.law.startswith(law) and not f.passed]
        return causes or [Cause(pattern) for pattern in broken]

    def _known_mistake(self):
        if self.reference:
            bases = list(product_bases(self.kind, self.reference, self.theta))
            outputs = self.net.outputs if self.net else 1
            return diagnose(self.samples, bases, self.blocks, self.reference.l2, self.reference.cases, outputs, False)
        at = self.judge.at
        right = Base(None, lambda theta, v: at(theta, v)[0])
        stale = Base(Cause(Pattern.STALE), lambda theta, v: at(self.theta, v)[0])
        return diagnose(self.samples, [right, stale], [], 0.0, 1, 1, False)
