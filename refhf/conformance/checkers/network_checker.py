"""Checker of all functions of a network, on cases that it draws."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from refhf import checks
from refhf.conformance import oracles
from refhf.conformance.check_report import CheckReport, Finding, compared
from refhf.conformance.checkers.derivative_check import DerivativeCheck, usable
from refhf.conformance.checkers.gradient_checker import GradientCheck
from refhf.conformance.checkers.product_check import ProductCheck
from refhf.conformance.checkers.user_function import CONDUCT
from refhf.conformance.float64_reference import FLOOR, SAFETY, moved_inputs
from refhf.conformance.mistakes.diagnosis import Sample
from refhf.conformance.oracles import norm
from refhf.conformance.patterns import Cause, Pattern
from refhf.model import network
from refhf.model.blocks import Array, arrays
from refhf.objective.supervised import supervised

NAMES = "outputs", "value", "gradient", "hessian_product", "gauss_newton_product", "jvp", "vjp"
CASES = 7  # a prime, so that a factor of B is distinct from other factors: our choice
SURE = 60.0  # a size of z at which naive formulas lose all digits, as log(1 - p) = -inf in float64: our choice


def check_network(
    functions: Mapping[str, Callable[..., Any]],
    net: network.Network,
    *,
    l2: float = 0.0,
    dtype: str = "float64",
    layout: str = "in-out",
    rng: Any = 0,
) -> CheckReport:
    """Check your functions of a network: on ordinary cases, on one case, and with saturated outputs.

    Parameters
    ----------
    functions : mapping
        Any of these functions; X and y come last, as SciPy's `args`:
        'outputs' (theta, X) -> z (B, n_L), or (B, positions, n_L); 'value' (theta, X, y) -> float;
        'gradient' (theta, X, y) -> (P,);
        'hessian_product', 'gauss_newton_product' (theta, v, X, y) -> (P,);
        'jvp' (theta, v, X) -> J v, of z's shape; 'vjp' (theta, u, X) -> J'u (P,).
        X is (B, n_0), tokens if the network takes some, and one group of cases if it has batch normalisation; y is
        labels (B,) or (B, positions) for the softmax cross-entropy, else (B, n_L). The objective is the mean over the
        cases plus l2/2 ||theta||^2.
    net : Network
    l2 : float
    dtype : {'float64', 'float32'}
        The dtype of the arguments; it also sets the required digits.
    layout, rng
        As for `check_hessian_product`.

    Returns
    -------
    CheckReport
        Each law once, with its worst result.

    Raises
    ------
    ValueError
        For an unknown name, or no function at all.
    """
    checks.option_names(functions, NAMES, "functions")
    if not functions:
        raise ValueError(f"functions: expected some of {', '.join(NAMES)}; got none")
    precision = np.dtype(checks.choice("dtype", dtype, ("float64", "float32")))
    rng = np.random.default_rng(rng)
    merged: dict[str, Finding] = {}
    causes: dict[tuple[str, Pattern], Cause] = {}
    remarks: dict[str, None] = {}
    limits: list[float] = []  # on ordinary cases
    for where, theta, X, y in _settings(net, precision, rng):
        reference = supervised(net, X, y, l2=l2)
        for name in sorted(functions, key=NAMES.index):
            report = _report(name, functions, theta, reference, layout, rng, where)
            for finding in report.findings:
                law = finding.law if len(functions) == 1 else f"{name}: {finding.law}"
                _keep_worse(merged, finding._replace(law=law), where)
            named = [pattern for function, pattern in causes if function == name and pattern not in CONDUCT]
            for cause in report.causes:  # special cases can mimic other faults: the first diagnosis counts
                if cause.pattern in CONDUCT or not named:
                    causes.setdefault((name, cause.pattern), cause)
            remarks |= dict.fromkeys(report.remarks)
            limits += [report.limit] if report.limit and not where else []
        if "jvp" in functions and "vjp" in functions:
            for finding in usable(partial(_adjoint, functions, theta, reference, layout, rng)):
                _keep_worse(merged, finding, where)
    subject = f"network of {net.size:,} parameters, {net.loss.name}"
    named, limit = tuple(dict.fromkeys(causes.values())), max(limits, default=None)
    return CheckReport(subject, tuple(merged.values()), named, tuple(remarks), limit)


def _settings(net: network.Network, dtype: Any, rng: np.random.Generator) -> Iterator[tuple[str, Array, Array, Array]]:
    """Yield (name, theta, X, y): ordinary cases, one case, and weights that saturate the outputs."""
    theta = net.init(rng) + 0.1 * rng.standard_normal(net.size)
    settings = [("", CASES), ("one case", 1), ("saturated outputs", CASES)]
    if net.group > 1:
        settings = [("", net.group), ("saturated outputs", net.group)]
    for where, cases in settings:
        X, y = _drawn(net, cases, rng)
        if where == "saturated outputs":
            theta, last = theta.copy(), [*arrays(net.unpack(np.arange(net.size))[-1])]
            size = np.abs(network.forward(net, theta, X, order=0)[0]).max() or 1.0
            for indices in last:
                theta[indices] *= SURE / size
        X, y = (x if x.dtype.kind == "i" else x.astype(dtype) for x in (X, y))
        yield where, theta.astype(dtype), X, y


def _drawn(net: network.Network, cases: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Random X, tokens if the network takes some, and y."""
    X = rng.standard_normal((cases, net.inputs))
    if net.tokens:
        X = rng.integers(0, net.tokens, (cases, net.inputs))
    y = rng.standard_normal((cases, *net.out_shape))
    if net.loss.name == "softmax_cross_entropy":
        y = rng.integers(0, net.outputs, (cases, *net.out_shape[:-1]))
    elif net.loss.labels:
        y = (y > 0).astype(float)
    return X, y


def _report(
    name: str,
    functions: Mapping[str, Callable[..., Any]],
    theta: Array,
    reference: Any,
    layout: str,
    rng: np.random.Generator,
    where: str,
) -> CheckReport:
    data = (reference.X, reference.y)
    if name in ("hessian_product", "gauss_newton_product"):
        kind = "hessian" if name == "hessian_product" else "gauss-newton"
        return ProductCheck(kind, functions[name], theta, reference, layout, rng, data=data).run(name)
    if name == "gradient":
        check = GradientCheck(theta, reference, layout, rng, data=data)
        return check.run(functions.get("value") if not where else None, functions[name])
    if name == "value":
        return GradientCheck(theta, reference, layout, rng, data=data).run(functions[name], None)
    return OutputCheck(theta, reference, layout, rng, data=data[:1]).run(name, functions[name])


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

        return self.report(name, usable(law, lambda: tested.repeated(self.theta, *given)), [])


def _adjoint(
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


def _keep_worse(merged: dict[str, Finding], finding: Finding, where: str) -> None:
    finding = finding._replace(worst=", ".join(word for word in (finding.worst, where) if word and finding.worst))
    other = merged.get(finding.law)
    if other is None or _margin(finding) < _margin(other):
        merged[finding.law] = finding


def _margin(finding: Finding) -> tuple[bool, float]:
    figures = (finding.digits or 0.0) - (finding.needed or 0.0)
    return finding.passed, figures
