"""What the checkers of derivatives share: the arguments, the reference, derivatives of the caller's own functions."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from refhf import checks
from refhf.conformance import oracles
from refhf.conformance.check_report import Finding, Report, compared
from refhf.conformance.checkers.user_function import Notes, Subject, Unusable, as_array
from refhf.conformance.mistakes.diagnosis import Sample
from refhf.conformance.oracles import norm
from refhf.conformance.reference import FLOOR, SAFETY, SMALL, Reference, blocks, out_in

LAYOUTS = "in-out", "out-in"
FAR = 0.1  # of theta's size: how far off the other theta is that a stale tape is looked for at; our choice
OWN = 100  # times FLOOR, where nothing but your own function tells how it is conditioned: our choice
TELLING = 0.1  # relative bound above which a central difference says nothing: our choice


class Truth(NamedTuple):
    """A law that an answer is held to: at(theta, v) -> what is wanted, and how far off it may be."""

    law: str
    at: Callable


class Bench:
    """The arguments of a check, checked."""

    def __init__(self, theta, reference, layout, rng, curvature=None, data=()):
        self.rng, self.given, self.data = np.random.default_rng(rng), theta, data
        if reference is not None and not hasattr(reference, "value_and_gradient"):
            raise ValueError(f"reference: expected an Objective such as refhf.supervised(net, X, y); got {reference!r}")
        theta = checks.array("theta", as_array(theta), (None if reference is None else reference.size,))
        if not theta.size:
            raise ValueError("theta: expected at least one parameter; got none")
        if reference is not None and curvature:
            checks.has_curvature(reference, curvature)
        self.dtype, self.theta, self.size = theta.dtype, theta.astype(np.float64), theta.size
        self.eps = float(np.finfo(theta.dtype).eps)
        self.net = getattr(reference, "net", None)
        checks.choice("layout", layout, LAYOUTS)
        if layout != "in-out" and not self.net:
            raise ValueError(f"layout: expected a network as the reference with {layout!r}; got none")
        self.order = out_in(self.net) if layout == "out-in" else None
        self.reference = None if reference is None else Reference(reference, self.dtype, self.rng, self.order)
        self.blocks = blocks(self.net) if self.net else []
        self.notes, self.remarks = Notes(), []

    def subject(self, argument: str, function, shape: tuple, notes: Notes | None = None) -> Subject:
        """The caller's function of vectors."""
        if not callable(function):
            raise ValueError(f"{argument}: expected a function; got {function!r}")
        return Subject(function, self.notes if notes is None else notes, self.given, shape, self.order, self.data)

    def direction(self, indices=slice(None)) -> np.ndarray:
        """A random v (P,), zero but at the indices."""
        v = np.zeros(self.size)
        v[indices] = self.rng.standard_normal(self.size)[indices]
        return v

    def elsewhere(self) -> np.ndarray:
        """Another theta (P,), of numbers of the caller's dtype."""
        size = norm(self.theta) / np.sqrt(self.size) or 1.0
        return (self.theta + FAR * size * self.rng.standard_normal(self.size)).astype(self.dtype).astype(np.float64)

    def entry(self, i: int) -> str:
        """The name of component i of theta."""
        for block in self.blocks:
            if i in block.indices:
                return f"{block.name}[{i - block.indices[0]}]"
        return f"theta[{i}]"

    def central(self, function: Callable) -> Callable:
        """Its central difference along v, as a truth."""

        def at(theta, v):
            difference = oracles.central_difference(function, theta, v, self.eps)
            says = SAFETY * difference.bound <= TELLING * norm(difference.derivative)
            return difference.derivative, SAFETY * difference.bound if says else np.inf

        return at

    def complex_step(self, subject: Subject, theta, v, central: Callable) -> Callable | None:
        """Its complex step, as a truth; None where the function has none, or one that its differences deny.

        A function that takes an absolute value, a conjugate or a real part is right and yet not analytic.
        """

        def step(theta, v):
            return oracles.complex_step(subject.complex, theta, v)

        def at(theta, v):
            want = step(theta, v)
            far = oracles.rounding(step, theta, v, eps=self.eps, rng=0)
            return want, max(OWN * FLOOR[self.dtype] * norm(want), SAFETY * far)

        try:
            want, bound = central(theta, v)
            return at if norm(step(theta, v) - want) <= bound < np.inf else None
        except Unusable:
            return None

    def against(self, law: str, samples: list[Sample]) -> Finding:
        """The finding of a law from its samples."""
        worst = max(samples, key=lambda s: s.error / s.tolerance if s.tolerance else np.inf * (s.error > 0 or -1))
        finding = compared(law, [(s.direction, s.error, s.tolerance, norm(s.want)) for s in samples])
        if finding.passed or not self.blocks or worst.got.size != self.size:
            return finding
        off = [norm((worst.got - worst.want)[block.indices]) for block in self.blocks]
        share = max(off) ** 2 / norm(off) ** 2 if max(off) else 0.0
        where = f"{finding.worst}; {share:.0%} of it in {self.blocks[int(np.argmax(off))].name}"
        return finding._replace(worst=where)

    def report(self, subject: str, findings, causes) -> Report:
        """The report: conduct first."""
        conduct, unique = self.notes.findings(), dict.fromkeys([*self.notes.causes(), *causes])
        return Report(f"{subject}, P = {self.size:,}", (*conduct, *findings), tuple(unique), tuple(self.remarks))


def usable(*laws: Callable) -> list:
    """What the laws find, of those whose calls gave something to compare."""
    found = []
    for law in laws:
        try:
            found.append(law())
        except Unusable:
            continue
    return found


def derivative_floor(dtype, want, size) -> float:
    """The tolerance of a number `want` that is an inner product of vectors whose norms multiply to `size`."""
    return FLOOR[dtype] * max(abs(want), SMALL * size)
