"""The check of the outputs of a network, of J v, and of J'u."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from refhf.conformance import oracles
from refhf.conformance.check_report import CheckReport, Finding, compared
from refhf.conformance.checkers.derivative_check import DerivativeCheck
from refhf.conformance.float64_reference import FLOOR, SAFETY, moved_inputs
from refhf.conformance.mistakes.diagnosis import Sample
from refhf.conformance.oracles import norm
from refhf.model import network
from refhf.model.blocks import Array


class OutputCheck(DerivativeCheck):
    """The check of z, J v or J'u."""

    def run(self, name: str, function: Callable[..., Any]) -> CheckReport:
        """Compare with the forward sweep, its complex step, or the backward sweep."""
        assert self.reference is not None and self.net is not None
        net, of_outputs = self.net, (self.reference.cases, *self.net.out_shape)
        tested = self.function_under_test(name, function, (self.size,) if name == "vjp" else of_outputs)
        v, u = self.direction(), self.rng.standard_normal(of_outputs)
        given: tuple[Array, ...] = {"outputs": (), "jvp": (v,), "vjp": (u,)}[name]
        X = self.reference.objective.X

        def outputs(theta: Array, X: Array) -> Array:
            return network.forward(net, theta, X, order=0)[0]

        def expected(theta: Array, X: Array, *vectors: Array) -> Array:
            if name == "outputs":
                return outputs(theta, X)
            if name == "jvp":
                return oracles.complex_step(lambda theta: outputs(theta, X), theta, *vectors)
            _, tape = network.forward(net, theta, X, order=1)
            return network.backward(net, tape, *vectors)[0]

        def rounded(theta: Array, *vectors: Array) -> Array:
            return expected(theta, moved_inputs(X, self.eps, self.rng), *vectors)

        def law() -> Finding:
            want = expected(self.theta, X, *given)
            far = oracles.rounding(rounded, self.theta, *given, eps=self.eps, rng=self.rng)
            tolerance = max(FLOOR[self.dtype] * norm(want), SAFETY * far)
            return self.against(
                "the reference", [Sample("", self.theta, self.theta, tested(self.theta, *given), want, tolerance)]
            )

        return self.report(name, self.held(law, lambda: tested.repeated(self.theta, *given)), [])


def adjoint(
    functions: Mapping[str, Callable[..., Any]], theta: Array, reference: Any, layout: str, rng: np.random.Generator
) -> Finding:
    """The dot-product test u'(J v) = (J'u)'v of the user's jvp and vjp."""
    check = OutputCheck(theta, reference, layout, rng, data=(reference.X,))
    shape = reference.cases, *reference.net.out_shape
    jvp = check.function_under_test("jvp", functions["jvp"], shape)
    vjp = check.function_under_test("vjp", functions["vjp"], (check.size,))
    v, u = check.direction(), rng.standard_normal(shape)
    left, right = oracles.dot_test(lambda v: jvp(check.theta, v), lambda u: vjp(check.theta, u), v, u)
    scale = norm(u) * norm(jvp(check.theta, v))
    tolerance = FLOOR[check.dtype] * scale
    return compared("jvp and vjp: u'(J v) = (J'u)'v", [("random", abs(left - right), tolerance, scale)])
