"""Common part of the derivative checkers: arguments, reference, numerical derivatives of the user's functions."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Self

import numpy as np

from refhf import checks
from refhf.conformance import oracles
from refhf.conformance.check_report import CheckReport, Finding, compared
from refhf.conformance.checkers.user_function import ConductLog, FunctionUnderTest, Unusable, as_array
from refhf.conformance.float64_reference import FLOOR, SAFETY, SMALL, Reference
from refhf.conformance.mistakes.diagnosis import Sample
from refhf.conformance.oracles import norm
from refhf.conformance.parameter_layout import out_in, parameter_blocks
from refhf.conformance.patterns import Cause
from refhf.model.blocks import Array

LAYOUTS = "in-out", "out-in"
FAR = 0.1  # relative distance of the other theta, at which a stale tape shows; our choice
OWN = 100  # times FLOOR, if there is no reference to measure conditioning with: our choice
TELLING = 0.1  # relative bound above which a central difference is not used: our choice


Expected = Callable[[Array, Array], tuple[Array, float]]  # (theta, v) -> the expected vector and its tolerance


class Expectation(NamedTuple):
    """A law that compares a result with at(theta, v) -> (expected vector, tolerance)."""

    law: str
    at: Expected


class DerivativeCheck:
    """The validated arguments of a derivative check."""

    def __init__(
        self,
        theta: Any,
        reference: Any,
        layout: str,
        rng: Any,
        curvature: Any = None,
        data: tuple[Any, ...] = (),
    ) -> None:
        self.rng, self.given, self.data = np.random.default_rng(rng), theta, data
        if reference is not None and not hasattr(reference, "value_and_gradient"):
            raise ValueError(f"reference: expected an Objective such as refhf.supervised(net, X, y); got {reference!r}")
        theta = checks.array("theta", one_vector(theta), (None if reference is None else reference.size,))
        if not theta.size:
            raise ValueError("theta: expected at least one parameter; got none")
        if reference is not None and curvature:
            checks.has_curvature(reference, curvature)
        self.dtype, self.theta, self.size = theta.dtype, theta.astype(np.float64), theta.size
        self.eps = float(np.finfo(theta.dtype).eps)
        self.net = getattr(reference, "net", None)
        checks.choice("layout", layout, LAYOUTS)
        if layout != "in-out" and not self.net:
            raise ValueError(f"layout: expected a reference with a network, for layout {layout!r}; got none")
        self.order = out_in(self.net) if self.net and layout == "out-in" else None
        self.reference = None if reference is None else Reference(reference, self.dtype, self.rng, self.order)
        self.blocks = parameter_blocks(self.net) if self.net else []
        self.log = ConductLog()
        self.remarks: list[str] = []
        self.limit: float | None = None
        self.conventions: tuple[str, ...] = ()
        self.quick = False

    def function_under_test(
        self, argument: str, function: Any, shape: tuple[int, ...], log: ConductLog | None = None
    ) -> FunctionUnderTest:
        """The user's function of vectors; without a `log` its misconduct counts in this check."""
        if not callable(function):
            raise ValueError(f"{argument}: expected a function; got {function!r}")
        return FunctionUnderTest(function, self.log if log is None else log, self.given, shape, self.order, self.data)

    def direction(self, indices: Any = slice(None)) -> Array:
        """A random v (P,), zero except at the indices."""
        v = np.zeros(self.size)
        v[indices] = self.rng.standard_normal(self.size)[indices]
        return v

    def elsewhere(self) -> Array:
        """Another theta (P,), rounded to the user's dtype."""
        size = norm(self.theta) / np.sqrt(self.size) or 1.0
        return (self.theta + FAR * size * self.rng.standard_normal(self.size)).astype(self.dtype).astype(np.float64)

    def entry(self, i: int) -> str:
        """The name of component i of theta."""
        for block in self.blocks:
            if i in block.indices:
                return f"{block.name}[{i - block.indices[0]}]"
        return f"theta[{i}]"

    def central(self, function: Callable[..., Any]) -> Expected:
        """The central difference of a function along v."""

        def at(theta: Array, v: Array) -> tuple[Array, float]:
            difference = oracles.central_difference(function, theta, v, self.eps)
            usable = SAFETY * difference.bound <= TELLING * norm(difference.derivative)
            return difference.derivative, SAFETY * difference.bound if usable else np.inf

        return at

    def complex_step(self, function: FunctionUnderTest, theta: Array, v: Array, central: Expected) -> Expected | None:
        """The complex step of a function along v; None if it fails or contradicts the central difference.

        A right function need not be analytic: it may use an absolute value, a conjugate or a real part.
        """

        def step(theta: Array, v: Array) -> Array:
            return oracles.complex_step(function.complex, theta, v)

        def at(theta: Array, v: Array) -> tuple[Array, float]:
            want = step(theta, v)
            far = oracles.rounding(step, theta, v, eps=self.eps, rng=0)
            return want, max(OWN * FLOOR[self.dtype] * norm(want), SAFETY * far)

        try:
            want, bound = central(theta, v)
            return at if norm(step(theta, v) - want) <= bound < np.inf else None
        except Unusable:
            return None

    def against(self, law: str, samples: list[Sample]) -> Finding:
        """The finding of a law from samples; a failure names the block of theta with the largest error."""
        worst = max(samples, key=lambda s: s.error / s.tolerance if s.tolerance else np.inf * (s.error > 0 or -1))
        finding = self.shown(compared(law, [(s.direction, s.error, s.tolerance, norm(s.want)) for s in samples]))
        if finding.passed or not self.blocks or worst.got.shape != (self.size,):
            return finding
        off = [norm((worst.got - worst.want)[block.indices]) for block in self.blocks]
        share = max(off) ** 2 / norm(off) ** 2 if max(off) else 0.0
        where = f"{finding.worst}; {share:.0%} of the error in {self.blocks[int(np.argmax(off))].name}"
        return finding._replace(worst=where)

    def shown(self, finding: Finding) -> Finding:
        """The finding of a comparison, whose needed digits are a detection limit: the lowest of all counts."""
        if finding.needed:
            self.limit = min(10**-finding.needed, self.limit or np.inf)
        return finding

    def report(self, subject: str, findings: list[Finding], causes: list[Cause]) -> CheckReport:
        """The report, laws of conduct first."""
        conduct, unique = self.log.findings(), dict.fromkeys([*self.log.causes(), *causes])
        subject = f"{subject}, P = {self.size:,}"
        return CheckReport(
            subject, (*conduct, *findings), tuple(unique), tuple(self.remarks), self.limit, self.conventions
        )

    def posed(self, conventions: tuple[str, ...], quick: bool) -> Self:
        """The check, under conventions; if quick, it stops at the first law that fails, without a diagnosis."""
        self.conventions, self.quick = conventions, quick
        return self

    def held(self, *laws: Callable[[], Any]) -> list[Any]:
        """The findings of the laws that had something to compare; if quick, up to the first that fails."""
        return usable(*laws, quick=self.quick)

    def diagnosed(self, findings: list[Finding], causes: Callable[[], list[Cause]]) -> list[Cause]:
        """The causes, if a law fails and the check is not quick."""
        return [] if self.quick or all(finding.passed for finding in findings) else causes()


def one_vector(theta: Any) -> Array:
    """theta as an array; a list of parameters, and a tensor of another precision, are refused."""
    if hasattr(theta, "new_tensor") and str(theta.dtype).split(".")[-1] not in ("float32", "float64"):
        raise ValueError(f"theta: expected a tensor of float32 or float64; got {theta.dtype}")
    parts = [] if hasattr(theta, "dtype") or not isinstance(theta, Iterable) else list(theta)
    if not all(np.ndim(part) == 0 for part in map(as_array, parts)) or isinstance(theta, Mapping):
        joined = "torch.nn.utils.parameters_to_vector(model.parameters())"
        raise ValueError(
            f"theta: expected one vector (P,), such as {joined}; got {type(theta).__name__} of {len(parts)}"
        )
    return as_array(parts or theta)


def usable(*laws: Callable[[], Any], quick: bool = False) -> list[Any]:
    """The results of the laws, without those that had nothing to compare; if quick, up to the first that fails."""
    found: list[Any] = []
    for law in laws:
        try:
            found.append(law())
        except Unusable:
            continue
        if quick and not found[-1].passed:
            break
    return found


def derivative_floor(dtype: Any, want: float, size: float) -> float:
    """The tolerance of an inner product `want` of vectors whose norms have the product `size`."""
    return FLOOR[dtype] * max(abs(want), SMALL * size)
