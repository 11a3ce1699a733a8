"""The checker of a network's functions, on cases that it draws."""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from refhf import checks
from refhf.conformance import oracles
from refhf.conformance.check_report import Finding, Report, compared
from refhf.conformance.checkers.derivative_bench import Bench, usable
from refhf.conformance.checkers.gradient_checker import GradientBench
from refhf.conformance.checkers.product_checker import ProductBench
from refhf.conformance.checkers.user_function import CONDUCT
from refhf.conformance.mistakes.diagnosis import Sample
from refhf.conformance.oracles import norm
from refhf.conformance.reference import FLOOR, SAFETY
from refhf.model import network
from refhf.objective.supervised import supervised

NAMES = "outputs", "value", "gradient", "hessian_product", "gauss_newton_product", "jvp", "vjp"
CASES = 7  # a prime, so that a factor of B is told from others: our choice
SURE = 60.0  # the size of z at which exp(z) has long overflowed float32, and log(1 - p) is -inf: our choice


def check_network(
    functions: Mapping[str, Callable] | Callable,
    net: network.Network,
    *,
    l2=0.0,
    dtype="float64",
    layout="in-out",
    rng=0,
) -> Report:
    """Whether your functions of a network are right: on ordinary cases, on one case alone, and at sure outputs.

    Parameters
    ----------
    functions : mapping
        Any of these, X and y last as in SciPy's `args`; the others are not checked:
        'outputs' (theta, X) -> z (B, n_L); 'value' (theta, X, y) -> float; 'gradient' (theta, X, y) -> (P,);
        'hessian_product', 'gauss_newton_product' (theta, v, X, y) -> (P,);
        'jvp' (theta, v, X) -> J v (B, n_L); 'vjp' (theta, u, X) -> J'u (P,).
        X is (B, n_0); y is labels (B,) for the softmax cross-entropy, else (B, n_L). The objective is the mean over
        the cases plus l2/2 ||theta||^2.
    net : Network
    l2 : float
    dtype : {'float64', 'float32'}
        Of what the functions are given, and of the digits that are asked for.
    layout, rng
        As for `check_hessian_product`.

    Returns
    -------
    Report
        Each law once, as it fared where it fared worst.

    Raises
    ------
    ValueError
        For a name that is not known, or no function.
    """
    checks.option_names(functions, NAMES, "functions")
    if not functions:
        raise ValueError(f"functions: expected some of {', '.join(NAMES)}; got none")
    dtype = np.dtype(checks.choice("dtype", dtype, ("float64", "float32")))
    rng, merged, causes, remarks = np.random.default_rng(rng), {}, {}, {}
    for where, theta, X, y in _settings(net, dtype, rng):
        reference = supervised(net, X, y, l2=l2)
        for name in sorted(functions, key=NAMES.index):
            report = _report(name, functions, theta, reference, layout, rng, where)
            for finding in report.findings:
                law = finding.law if len(functions) == 1 else f"{name}: {finding.law}"
                _keep_worse(merged, finding._replace(law=law), where)
            named = [pattern for function, pattern in causes if function == name and pattern not in CONDUCT]
            for cause in report.causes:  # one fault looks like several in special cases: the first diagnosis counts
                if cause.pattern in CONDUCT or not named:
                    causes.setdefault((name, cause.pattern), cause)
            remarks |= dict.fromkeys(report.remarks)
        if "jvp" in functions and "vjp" in functions:
            for finding in usable(partial(_adjoint, functions, theta, reference, layout, rng)):
                _keep_worse(merged, finding, where)
    subject = f"network of {net.size:,} parameters, {net.loss.name}"
    return Report(subject, tuple(merged.values()), tuple(dict.fromkeys(causes.values())), tuple(remarks))


def _settings(net, dtype, rng):
    """(name, theta, X, y): ordinary cases, one case, and weights so large that the outputs are sure."""
    theta = net.init(rng) + 0.1 * rng.standard_normal(net.size)
    for where, cases in (("", CASES), ("one case", 1), ("sure outputs", CASES)):
        X, outputs = rng.standard_normal((cases, net.inputs)), net.outputs
        y = rng.standard_normal((cases, outputs))
        if net.loss.name == "softmax_cross_entropy":
            y = rng.integers(0, outputs, cases)
        elif net.loss.labels:
            y = (y > 0).astype(float)
        if where == "sure outputs":
            W, b = net.unpack(theta := theta.copy())[-1]
            size = np.abs(network.forward(net, theta, X, order=0)[0]).max() or 1.0
            W *= SURE / size
            b *= SURE / size
        yield where, theta.astype(dtype), X.astype(dtype), y if y.dtype.kind == "i" else y.astype(dtype)


def _report(name, functions, theta, reference, layout, rng, where):
    data = (reference.X, reference.y)
    if name in ("hessian_product", "gauss_newton_product"):
        kind = "hessian" if name == "hessian_product" else "gauss-newton"
        return ProductBench(kind, functions[name], theta, reference, layout, rng, data=data).run(name)
    if name == "gradient":
        bench = GradientBench(theta, reference, layout, rng, data=data)
        return bench.run(functions.get("value") if not where else None, functions[name])
    if name == "value":
        return GradientBench(theta, reference, layout, rng, data=data).run(functions[name], None)
    return OutputBench(theta, reference, layout, rng, data=data[:1]).run(name, functions[name])


class OutputBench(Bench):
    """z, J v or J'u under test."""

    def run(self, name: str, function: Callable) -> Report:
        """Against the forward sweep, its complex step, and the backward sweep."""
        shape = (self.size,) if name == "vjp" else (self.reference.cases, self.net.outputs)
        subject = self.subject(name, function, shape)
        v, u = self.direction(), self.rng.standard_normal((self.reference.cases, self.net.outputs))
        given = {"outputs": (), "jvp": (v,), "vjp": (u,)}[name]
        X = self.reference.objective.X

        def outputs(theta, X):
            return network.forward(self.net, theta, X, order=0)[0]

        def truth(theta, X, *vectors):
            if name == "outputs":
                return outputs(theta, X)
            if name == "jvp":
                return oracles.complex_step(lambda theta: outputs(theta, X), theta, *vectors)
            _, tape = network.forward(self.net, theta, X, order=1)
            return network.backward(self.net, tape, *vectors)[0]

        def law():
            want = truth(self.theta, X, *given)
            far = oracles.rounding(truth, self.theta, X, *given, eps=self.eps, rng=self.rng)
            tolerance = max(FLOOR[self.dtype] * norm(want), SAFETY * far)
            return self.against(
                "the reference", [Sample("", self.theta, self.theta, subject(self.theta, *given), want, tolerance)]
            )

        return self.report(name, usable(law, lambda: subject.repeated(self.theta, *given)), [])


def _adjoint(functions, theta, reference, layout, rng) -> Finding:
    """u'(J v) = (J'u)'v of the caller's own two."""
    bench = OutputBench(theta, reference, layout, rng, data=(reference.X,))
    shape = reference.cases, reference.net.outputs
    jvp, vjp = bench.subject("jvp", functions["jvp"], shape), bench.subject("vjp", functions["vjp"], (bench.size,))
    v, u = bench.direction(), rng.standard_normal(shape)
    left, right = oracles.dot_test(lambda v: jvp(bench.theta, v), lambda u: vjp(bench.theta, u), v, u)
    scale = norm(u) * norm(jvp(bench.theta, v))
    tolerance = FLOOR[bench.dtype] * scale
    return compared("jvp and vjp: u'(J v) = (J'u)'v", [("random", abs(left - right), tolerance, scale)])


def _keep_worse(merged, finding, where):
    finding = finding._replace(worst=", ".join(word for word in (finding.worst, where) if word and finding.worst))
    other = merged.get(finding.law)
    if other is None or _margin(finding) < _margin(other):
        merged[finding.law] = finding


def _margin(finding):
    figures = (finding.digits or 0.0) - (finding.needed or 0.0)
    return finding.passed, figures
