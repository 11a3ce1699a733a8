"""The check of a curvature product: probes, comparison with expected products, and diagnosis.

The laws that need no expected product are in `product_laws`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from refhf.conformance import oracles
from refhf.conformance.check_report import CheckReport, Finding, compared
from refhf.conformance.checkers import product_laws
from refhf.conformance.checkers.check_conventions import DECAYS, FACTORS, STANDARD, CheckConvention
from refhf.conformance.checkers.derivative_check import (
    DerivativeCheck,
    Expectation,
    Expected,
)
from refhf.conformance.checkers.loss_forms import form_of_function, form_of_name
from refhf.conformance.checkers.product_causes import product_causes
from refhf.conformance.checkers.product_damping import fitted_damping, is_far, take_off
from refhf.conformance.checkers.user_function import ConductLog, Unusable
from refhf.conformance.float64_reference import FLOOR, SAFETY
from refhf.conformance.mistakes.coefficient_causes import LikelyFactors
from refhf.conformance.mistakes.diagnosis import Sample
from refhf.conformance.oracles import norm
from refhf.model.blocks import Array

COLUMNS = 50  # P up to which every column of the matrix is compared: our choice


class ProductProbe(NamedTuple):
    """A named point theta and direction v at which the product is evaluated."""

    name: str
    theta: Array
    v: Array


class ProductCheck(DerivativeCheck):
    """The check of a Hessian or Gauss-Newton product.

    Attributes
    ----------
    probes, few : list of ProductProbe
        All probes, and three of them for expensive expectations.
    truth : Expectation or None
        The expectation that sets tolerances: the reference, else the complex step of the user's gradient.
    samples : list of Sample
        The results that the diagnosis explains.
    natural : float
        Scale of J'J / B, from the user's outputs; 0 without them.
    forms : list of (float, float, float)
        w'A v of the product, that of the user's own function, and its tolerance.
    """

    def __init__(
        self,
        kind: str,
        product: Any,
        theta: Any,
        reference: Any,
        layout: str,
        rng: Any,
        own: Any = None,
        data: tuple[Any, ...] = (),
    ) -> None:
        if reference is None and own is None:
            raise ValueError("reference: expected an Objective, or your own function to differentiate; got neither")
        super().__init__(theta, reference, layout, rng, kind, data)
        self.kind, self.product = kind, self.function_under_test("product", product, (self.size,))
        self.probes = [ProductProbe(f"random {i}", self.theta, self.direction()) for i in (1, 2)]
        if self.size <= COLUMNS:
            self.probes += [ProductProbe(self.entry(i), self.theta, v) for i, v in enumerate(np.eye(self.size))]
        else:
            self.probes += [ProductProbe(f"{b.name} alone", self.theta, self.direction(b.indices)) for b in self.blocks]
        self.probes.append(ProductProbe("another theta", self.elsewhere(), self.direction()))
        self.few = [*self.probes[:2], self.probes[-1]]
        self.laws: list[Callable[[], Finding]] = []
        self.results: dict[bytes, Array] = {}
        self.truth: Expectation | None = None
        self.expected: Expected | None = None  # the one that the samples were compared with
        self.samples: list[Sample] = []
        self.natural = 0.0
        self.factors = LikelyFactors()
        self.forms: list[tuple[float, float, float]] = []
        if self.reference:
            truth = self.truth = Expectation("the reference", self.reference.product(kind))
            self.laws.append(lambda: self._compare(truth, self.probes))
            if self.net and kind == "hessian":
                self.laws.append(lambda: self._check_reference(truth))

    def add_gradient(self, gradient: Any) -> None:
        """Add the laws that compare with derivatives of the user's gradient."""
        function = self.function_under_test("gradient", gradient, (self.size,), ConductLog())
        central, first = self.central(function), self.probes[0]
        exact = self.complex_step(function, first.theta, first.v, central)
        self.laws.append(lambda: self._compare(Expectation("your gradient's central difference", central), self.few))
        if exact is None:
            self.remarks.append(
                "no complex step of your gradient: it does not accept a complex theta, or is not analytic"
            )
        else:
            own = Expectation("your gradient's complex step", lambda theta, v: self._widened(exact, theta, v))
            self.truth = self.truth or own
            self.laws.append(lambda: self._compare(own, self.few))
        self.laws.append(lambda: product_laws.taylor(self, function, central))

    def add_value(self, value: Any) -> None:
        """Add the law that w'H v is the second derivative of the user's value along v and w."""
        function = self.function_under_test("value", value, (), ConductLog())
        form = form_of_function(self, function, self.theta)
        self.laws.append(lambda: product_laws.second_derivatives(self, form))

    def add_outputs(
        self, outputs: Any, loss: Any, l2: float, reduction: str, convention: CheckConvention = STANDARD
    ) -> None:
        """Add the law w'G v = (J w)' H_L (J v) + l2 w'v of the user's outputs."""
        try:
            z = self.function_under_test("outputs", outputs, (), ConductLog()).raw(self.theta)
        except (Unusable, TypeError) as error:
            raise ValueError(f"outputs: expected z of theta, in numbers; got {error.__cause__ or error!r}") from None
        z = np.atleast_2d(z)
        if z.ndim > 3 or z.dtype.kind != "f":
            raise ValueError(f"outputs: expected z (B, n_L) or (B, positions, n_L); got {z.dtype} of shape {z.shape}")
        squared, positions = loss == "squared_error", z.shape[1] if z.ndim == 3 else 1
        self.factors = LikelyFactors(len(z), z.shape[-1], positions, reduction == "sum", squared)
        function = self.function_under_test("outputs", outputs, z.shape, ConductLog())
        central, first = self.central(function), self.probes[0]
        jacobian_product = self.complex_step(function, first.theta, first.v, central) or central
        if callable(loss):
            form = form_of_function(self, self.function_under_test("loss", loss, (), ConductLog()), z)
        else:
            reduction, factor = convention.of_reduction(reduction), FACTORS[convention.factor](z.shape)
            form = form_of_name(loss, z, reduction, self.eps, factor)
        l2 *= DECAYS[convention.decay](len(z))
        self.laws.append(lambda: product_laws.quadratic_form(self, jacobian_product, form, len(z), l2))

    def result(self, probe: ProductProbe) -> Array:
        """The product at a probe, computed once."""
        key = probe.theta.tobytes() + probe.v.tobytes()
        if key not in self.results:
            self.results[key] = self.product(probe.theta, probe.v)
        return self.results[key]

    def tolerance(self, theta: Array, v: Array) -> float:
        """The tolerance of the product at theta and v."""
        if self.truth:
            return self.truth.at(theta, v)[1]
        far = oracles.rounding(self.product, theta, v, eps=self.eps, rng=0)
        room = SAFETY * self.eps * self.natural  # H_L cancels: p (1 - p)
        return max(FLOOR[self.dtype] * norm(self.result(ProductProbe("", theta, v))), SAFETY * far, room * norm(v))

    def run(self, subject: str, damped: bool = False) -> CheckReport:
        """Test all laws and diagnose failures; if damped, take a multiple of v off the product first."""
        if self.quick and is_far(self, damped):
            return self.report(subject, [Finding("the reference, roughly", None, None, "", False)], [])
        if damped:
            take_off(self, fitted_damping(self))
        findings = self.held(*self.laws, *product_laws.laws(self))
        return self.report(subject, findings, self.diagnosed(findings, lambda: product_causes(self, findings)))

    def _widened(self, exact: Expected, theta: Array, v: Array) -> tuple[Array, float]:
        """The expected product, with a tolerance for the product's own rounding, such as in p (1 - p)."""
        want, tolerance = exact(theta, v)
        return want, max(tolerance, SAFETY * oracles.rounding(self.product, theta, v, eps=self.eps, rng=0))

    def _compare(self, expectation: Expectation, probes: list[ProductProbe]) -> Finding:
        samples: list[Sample] = []
        for probe in probes:
            want, tolerance = expectation.at(probe.theta, probe.v)
            samples.append(Sample(probe.name, probe.theta, probe.v, self.result(probe), want, tolerance))
            if self.quick and samples[-1].error > tolerance:
                break
        if self.truth in (expectation, None):
            names = [probe.name for probe in self.few]
            self.expected = expectation.at
            self.samples = [s for s in samples if s.direction in names and s.tolerance < np.inf]
        return self.against(expectation.law, samples)

    def _check_reference(self, truth: Expectation) -> Finding:
        """Compare the reference's product with its complex step."""
        assert self.reference is not None
        _, theta, v = self.probes[0]
        want, tolerance = truth.at(theta, v)
        error = norm(self.reference.complex_step(theta, v) - want)
        return compared("(the reference and its complex step)", [("random 1", error, tolerance, norm(want))])
