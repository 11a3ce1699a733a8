"""Checker of all functions of a network, on cases that it draws."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from refhf import checks
from refhf.conformance.check_report import CheckReport, Finding
from refhf.conformance.checkers.check_conventions import (
    STANDARD,
    CheckConvention,
    conventions,
    under_conventions,
)
from refhf.conformance.checkers.derivative_check import usable
from refhf.conformance.checkers.gradient_checker import GradientCheck
from refhf.conformance.checkers.output_check import OutputCheck, adjoint
from refhf.conformance.checkers.product_check import ProductCheck
from refhf.conformance.checkers.product_damping import fitted_damping, take_off
from refhf.conformance.checkers.user_function import CONDUCT
from refhf.conformance.patterns import Cause, Pattern
from refhf.model import network
from refhf.model.blocks import Array, arrays
from refhf.objective.supervised import supervised

NAMES = "outputs", "value", "gradient", "hessian_product", "gauss_newton_product", "jvp", "vjp"
PRODUCTS = {"hessian_product": "hessian", "gauss_newton_product": "gauss-newton"}
CASES = 7  # a prime, so that a factor of B is distinct from other factors: our choice
SURE = 60.0  # a size of z at which naive formulas lose all digits, as log(1 - p) = -inf in float64: our choice


def check_network(
    functions: Mapping[str, Callable[..., Any]],
    net: network.Network,
    *,
    l2: float = 0.0,
    dtype: str = "float64",
    layout: str = "in-out",
    any_convention: bool = False,
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
    layout, any_convention, rng
        As for `check_hessian_product`. A convention has to hold for all functions.

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
    checks.boolean("any_convention", any_convention)
    ordered = {name: functions[name] for name in sorted(functions, key=NAMES.index)}
    one_of_cases = bool(set(functions) - {"outputs", "jvp", "vjp"})
    found = conventions(
        loss=net.loss.name if one_of_cases else "",
        positions=len(net.out_shape) > 1,
        l2=l2 if one_of_cases else 0.0,
        layouts=bool(set(functions) - {"outputs"}),
        biases=(True, False),
        products=bool(set(functions) & set(PRODUCTS)),
    )

    def checked(convention: CheckConvention, quick: bool) -> CheckReport:
        return _checked(ordered, net, l2, precision, layout, np.random.default_rng(rng), convention, quick)

    return under_conventions(checked, [STANDARD, *found], any_convention)


def _checked(
    functions: Mapping[str, Callable[..., Any]],
    net: network.Network,
    l2: float,
    dtype: Any,
    layout: str,
    rng: np.random.Generator,
    convention: CheckConvention,
    quick: bool,
) -> CheckReport:
    """The report under a convention; if quick, it ends with the first function that breaks a law."""
    merged: dict[str, Finding] = {}
    causes: dict[tuple[str, Pattern], Cause] = {}
    remarks: dict[str, None] = {}
    limits: list[float] = []  # on ordinary cases
    names = dict.fromkeys(convention.names(layout=layout))
    damping: dict[str, float] = {}
    for where, theta, X, y in _settings(convention.of_network(net), dtype, rng):
        reference = supervised(convention.of_network(net), X, y, l2=l2)
        posed = convention._replace(biases=True).of_objective(reference)
        for name in functions:
            given = damping if convention.damped else None
            report = _report(name, functions, theta, posed, convention.of_layout(layout), rng, where, given, quick)
            if quick and not report.passed:
                return report
            for finding in report.findings:
                law = finding.law if len(functions) == 1 else f"{name}: {finding.law}"
                _keep_worse(merged, finding._replace(law=law), where)
            named = [pattern for function, pattern in causes if function == name and pattern not in CONDUCT]
            for cause in report.causes:  # special cases can mimic other faults: the first diagnosis counts
                if cause.pattern in CONDUCT or not named:
                    causes.setdefault((name, cause.pattern), cause)
            remarks |= dict.fromkeys(report.remarks)
            names |= dict.fromkeys(report.conventions)
            limits += [report.limit] if report.limit and not where else []
        if "jvp" in functions and "vjp" in functions:
            for finding in usable(partial(adjoint, functions, theta, posed, convention.of_layout(layout), rng)):
                _keep_worse(merged, finding, where)
    subject = f"network of {convention.of_network(net).size:,} parameters, {net.loss.name}"
    named, limit = tuple(dict.fromkeys(causes.values())), max(limits, default=None)
    return CheckReport(subject, tuple(merged.values()), named, tuple(remarks), limit, tuple(names))


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
    damping: dict[str, float] | None,
    quick: bool,
) -> CheckReport:
    """The report of one function; `damping` has what was taken off each product in the first setting, if anything."""
    data = (reference.X, reference.y)
    if name in PRODUCTS:
        check = ProductCheck(PRODUCTS[name], functions[name], theta, reference, layout, rng, data=data)
        check.posed((), quick)
        if damping is not None:
            take_off(check, damping.setdefault(name, fitted_damping(check) if not where else 0.0))
        return check.run(name)
    if name in ("gradient", "value"):
        check = GradientCheck(theta, reference, layout, rng, data=data).posed((), quick)
        both = functions.get("value") if not where else None
        return check.run(*((both, functions[name]) if name == "gradient" else (functions[name], None)))
    return OutputCheck(theta, reference, layout, rng, data=data[:1]).posed((), quick).run(name, functions[name])


def _keep_worse(merged: dict[str, Finding], finding: Finding, where: str) -> None:
    finding = finding._replace(worst=", ".join(word for word in (finding.worst, where) if word and finding.worst))
    other = merged.get(finding.law)
    if other is None or _margin(finding) < _margin(other):
        merged[finding.law] = finding


def _margin(finding: Finding) -> tuple[bool, float]:
    figures = (finding.digits or 0.0) - (finding.needed or 0.0)
    return finding.passed, figures
