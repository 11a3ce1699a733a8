"""The check of a curvature product: laws, comparison with derivatives of the user's own functions, and diagnosis."""

from typing import Any

import numpy as np

from refhf.conformance import oracles
from refhf.conformance.check_report import CheckReport, Finding
from refhf.conformance.checkers import product_laws
from refhf.conformance.checkers.check_conventions import DECAYS, FACTORS, STANDARD, CheckConvention
from refhf.conformance.checkers.derivative_check import Expectation, Expected
from refhf.conformance.checkers.loss_forms import form_of_function, form_of_name
from refhf.conformance.checkers.product_causes import product_causes
from refhf.conformance.checkers.product_damping import fitted_damping, is_far, take_off
from refhf.conformance.checkers.product_trial import ProductTrial
from refhf.conformance.checkers.user_function import ConductLog, Unusable
from refhf.conformance.float64_reference import SAFETY
from refhf.conformance.mistakes.coefficient_causes import LikelyFactors
from refhf.model.blocks import Array


class ProductCheck(ProductTrial):
    """The check of a Hessian or Gauss-Newton product."""

    def add_gradient(self, gradient: Any) -> None:
        """Add the laws that compare with derivatives of the user's gradient."""
        function = self.function_under_test("gradient", gradient, (self.size,), ConductLog())
        central, first = self.central(function), self.probes[0]
        exact = self.complex_step(function, first.theta, first.v, central)
        self.laws.append(lambda: self.compare(Expectation("your gradient's central difference", central), self.few))
        if exact is None:
            self.remarks.append(
                "no complex step of your gradient: it does not accept a complex theta, or is not analytic"
            )
        else:
            own = Expectation("your gradient's complex step", lambda theta, v: self._widened(exact, theta, v))
            self.truth = self.truth or own
            self.laws.append(lambda: self.compare(own, self.few))
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
