"""The trial of a curvature product: evaluated at its probes, compared there with what is expected, with its tolerance.

`product_laws`, `product_damping` and `product_causes` take a trial; `product_check` puts them together.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from refhf.conformance import oracles
from refhf.conformance.check_report import Finding, compared
from refhf.conformance.checkers.derivative_check import DerivativeCheck, Expectation, Expected
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


class ProductTrial(DerivativeCheck):
    """A Hessian or Gauss-Newton product at its probes.

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
            self.laws.append(lambda: self.compare(truth, self.probes))
            if self.net and kind == "hessian":
                self.laws.append(lambda: self._check_reference(truth))

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

    def compare(self, expectation: Expectation, probes: list[ProductProbe]) -> Finding:
        """Compare the product with what is expected at the probes; the samples of the truth are kept."""
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
