"""The checker of conjugate gradients and Bi-CG-STAB."""

from collections.abc import Callable
from itertools import islice, pairwise

import numpy as np

from refhf import checks
from refhf.conformance import oracles
from refhf.conformance.check_report import Cause, Finding, Pattern, Report, compared, digits
from refhf.conformance.checkers.derivative_bench import usable
from refhf.conformance.checkers.solver_under_test import Solving
from refhf.conformance.mistakes import linear_systems
from refhf.conformance.mistakes.wrong_solvers import mistaken
from refhf.conformance.oracles import norm
from refhf.krylov.bicgstab import bicgstab_iterates
from refhf.krylov.cg import cg_iterates

ITERATES = {"cg": cg_iterates, "bicgstab": bicgstab_iterates}
PRODUCTS = {"cg": 1, "bicgstab": 2}  # an iteration
STEPS = 4  # iterates that are compared: our choice
AGREE = 1e-9  # relative, to which they do: our choice, for condition numbers up to 10
SAFETY = 100  # times what moving A and b by a few roundings does to them: our choice
MATCH = 1e-7  # relative, to which a known mistake is recognised: our choice
NEVER = 1e-15  # an rtol that is not met


def check_solver(solver: Callable, kind: str = "cg", *, rng=0) -> Report:
    """Whether a linear solver is conjugate gradients, or Bi-CG-STAB with r0* = r_0, and if not, what is wrong.

    It is given small systems and compared iterate by iterate, by its `maxiter`.

    Parameters
    ----------
    solver : callable
        SciPy's shape, `x, info = solver(A, b, rtol=..., maxiter=...)`, and `x0=`, `M=` where it has them: A is a
        LinearOperator (an array, if only that works), b (n,), info 0 where ||b - A x|| <= rtol ||b||, else not 0.
    kind : {'cg', 'bicgstab'}
    rng : Generator, int or None
        Of the systems.

    Returns
    -------
    Report

    Examples
    --------
    >>> import refhf
    >>> refhf.check_solver(refhf.cg).passed
    True
    """
    if not callable(solver):
        raise ValueError(f"solver: expected a function of (A, b, ...); got {solver!r}")
    checks.choice("kind", kind, ITERATES)
    return _Bench(solver, kind, np.random.default_rng(rng)).run()


class _Bench:
    """A solver under test."""

    def __init__(self, solver, kind, rng):
        self.kind, self.remarks, self.claimed = kind, [], set()
        self.plain, self.clustered, self.stiff = (
            linear_systems.ordinary(kind, rng),
            linear_systems.clustered(rng),
            linear_systems.stiff(rng),
        )
        self.started = self.plain._replace(name="x0 given", x0=rng.standard_normal(self.plain.b.size))
        self.scaled = [
            linear_systems.scaled(self.plain, *ij) for ij in ((-120, 0), (0, -120), (120, 0), (0, 120), (60, 180))
        ]
        self.preconditioned = linear_systems.preconditioned(kind, rng)
        self.solving = Solving(solver, self.plain)
        self.solve, self.notes, self.compared = self.solving.solve, self.solving.notes, [self.plain]
        for option, system in (("x0", self.started), ("M", self.preconditioned)):
            if self.solving.offers(option):
                self.compared.append(system)
            else:
                self.remarks.append(f"it has no {option}: not checked")
        if not self.solving.operators:
            self.remarks.append("it takes arrays only: Hessian-free optimisation needs LinearOperators")

    def run(self):
        """All laws, and what they say."""
        laws = [self._iterates, self._space, self._termination, self._claims, self._converges, self._stops]
        laws += [self._scales, self._zero, self._unsolved, self._same, *([self._falls] if self.kind == "cg" else [])]
        laws.append(self._ends)
        held = usable(*laws)
        findings = [*self.notes.findings(), *held]
        causes = [*self.notes.causes(), *([] if all(f.passed for f in findings) else self._causes(findings))]
        return Report(f"solver, {self.kind}", tuple(findings), tuple(dict.fromkeys(causes)), tuple(self.remarks))

    def _theirs(self, system):
        return [self.solve(system, rtol=NEVER, maxiter=k).x for k in range(1, STEPS + 1)]

    def _ours(self, system):
        return [it.x for it in islice(ITERATES[self.kind](system.A, system.b, x0=system.x0, M=system.M), STEPS + 1)]

    def _tolerances(self, system):
        """How far off each iterate may be."""

        def iterates(A, b):
            return np.array(self._ours(system._replace(A=A, b=b))[1:])

        here, far = iterates(system.A, system.b), np.zeros(STEPS)
        rng = np.random.default_rng(0)
        for _ in range(oracles.DRAWS):
            there = iterates(*(oracles.moved(x, np.finfo(float).eps, rng) for x in (system.A, system.b)))
            far = np.maximum(far, np.linalg.norm(there - here, axis=1))
        return np.maximum(AGREE * np.linalg.norm(here, axis=1), SAFETY * far)

    def _iterates(self):
        samples = []
        for system in self.compared:
            ours, tolerances = self._ours(system)[1:], self._tolerances(system)
            triples = zip(self._theirs(system), ours, tolerances, strict=True)
            samples += [
                (f"{system.name}, x_{k}", norm(x - want), t, norm(want)) for k, (x, want, t) in enumerate(triples, 1)
            ]
        return compared("x of maxiter = k is x_k", samples)

    def _space(self):
        samples = []
        for k, x in enumerate(self._theirs(self.plain), 1):
            vectors = [self.plain.b]
            for _ in range(k * PRODUCTS[self.kind] - 1):
                vectors.append(self.plain.A @ vectors[-1])
            basis, _ = np.linalg.qr(np.stack(vectors, axis=1)[:, : self.plain.b.size])
            samples.append((f"x_{k}", norm(x - basis @ (basis.T @ x)), AGREE * norm(x), norm(x)))
        return compared("x_k is in the Krylov space of b", samples)

    def _falls(self):
        A, b = self.plain.A, self.plain.b
        x = np.linalg.solve(A, b)
        errors = [np.sqrt((x - y) @ A @ (x - y)) for y in (0 * b, *self._theirs(self.plain))]
        rises = [max(after - before, 0.0) for before, after in pairwise(errors)]
        samples = [(f"x_{k}", rise, AGREE * errors[0], errors[0]) for k, rise in enumerate(rises, 1)]
        return compared("the A-norm of the error falls", samples)

    def _termination(self):
        x, info, _ = self.solve(self.clustered, rtol=1e-8, maxiter=4)
        residual = norm(self.clustered.b - self.clustered.A @ x)
        found = compared(
            "three eigenvalues, three iterations",
            [("", residual, 1e-7 * norm(self.clustered.b), norm(self.clustered.b))],
        )
        return found._replace(passed=found.passed and info == 0, worst=f"info = {info}")

    def _claims(self):
        """Whenever info is 0, the true residual meets the tolerance."""
        samples = [("none claimed", 0.0, 1.0, 1.0)]
        for system in (*self.compared, self.stiff, *self.scaled):
            for rtol in (1e-2, 1e-6):
                for maxiter in (2, 10 * system.b.size):
                    x, info, _ = self.solve(system, rtol=rtol, maxiter=maxiter)
                    if info == 0:
                        residual, size = norm(system.b - system.A @ x), norm(system.b)
                        self.claimed |= {system.name} if residual > 1.001 * rtol * size else set()
                        samples.append((f"{system.name}, rtol {rtol:g}", residual, 1.001 * rtol * size, size))
        return compared("info = 0: ||b - A x|| <= rtol ||b||", samples)

    def _converges(self):
        asked = [(system, self.solve(system, rtol=1e-6, maxiter=20 * system.b.size)) for system in self.compared]
        failed = [f"{system.name}: info = {outcome.info}" for system, outcome in asked if outcome.info != 0]
        return Finding("info = 0 where it converges", None, None, ", ".join(failed), not failed)

    def _stops(self):
        """No more products than iterations need, and a true residual at both ends."""
        if not self.solving.operators:
            return Finding("stops at the tolerance", None, None, "not counted", True)
        system = self.stiff
        iterates = ITERATES[self.kind](system.A, system.b)
        needed = next(it.k for it in iterates if norm(it.r) <= 1e-2 * norm(system.b))
        took = self.solve(system, rtol=1e-2, maxiter=10 * system.b.size).products
        allowed = (2 * needed + 2) * PRODUCTS[self.kind]
        return Finding("stops at the tolerance", None, None, f"{took} products, at most {allowed}", took <= allowed)

    def _ends(self):
        return Finding("comes to an end", None, None, self.solving.endless, not self.solving.endless)

    def _scales(self):
        samples, x = [], np.linalg.solve(self.plain.A, self.plain.b)
        for system, power in zip(self.scaled, (120, -120, -120, 120, 120), strict=True):
            got, info, _ = self.solve(system, rtol=1e-8, maxiter=60)
            error = norm(np.ldexp(got, -power) - x) if info == 0 else np.inf
            samples.append((system.name + ("" if info == 0 else f": info = {info}"), error, 1e-5 * norm(x), norm(x)))
        return compared("powers of two change nothing", samples)

    def _zero(self):
        zero = self.plain._replace(name="b = 0", b=np.zeros_like(self.plain.b))
        x, info, _ = self.solve(zero, rtol=1e-8, maxiter=10)
        return Finding("b = 0: x = 0, info = 0", None, None, f"info = {info}", info == 0 and not x.any())

    def _unsolved(self):
        claimed, unfinished = [], []
        for system in linear_systems.unsolved(self.kind):
            x, info, _ = self.solve(system, quiet=True, rtol=1e-6, maxiter=20)
            if info == 0 and not norm(system.b - system.A @ x) <= 2e-6 * norm(system.b):
                claimed.append(system.name)
            if info == 0 and system.name == "negative curvature" and self.kind == "cg":
                self.remarks.append("it goes through negative curvature: an HF step has to stop before p'Ap <= 0")
            if not np.isfinite(x).all():
                unfinished.append(system.name)
        if unfinished:
            self.remarks.append(f"its x is not finite: {', '.join(unfinished)}")
        return Finding("no breakdown is called a success", None, None, ", ".join(claimed), not claimed)

    def _same(self):
        first, second = (self.solve(self.plain, rtol=1e-6, maxiter=60).x for _ in range(2))
        error, scale = norm(first - second), norm(first)
        return Finding("same call, same result", digits(error, scale), 14.0, "", error <= 1e-14 * scale)

    def _causes(self, findings):
        failed = {finding.law: finding for finding in findings if not finding.passed}
        if "same call, same result" in failed:
            return [Cause(Pattern.RANDOM)]
        causes = usable(self._known_mistake) if any(law.startswith("x of maxiter") for law in failed) else []
        causes = [cause for cause in causes if cause]
        if causes:
            return causes
        if self.claimed and self.claimed <= {self.preconditioned.name}:
            return [Cause(Pattern.PRECONDITIONED_NORM, ", ".join(self.claimed))]
        if self.claimed - {system.name for system in self.scaled}:
            return [Cause(Pattern.CLAIMS, ", ".join(sorted(self.claimed)))]
        for law, pattern in (  # from the likeliest reason on
            ("info = 0 where it converges", Pattern.NEVER_CLAIMS),
            ("powers of two change nothing", Pattern.ABSOLUTE),
            ("no breakdown is called a success", Pattern.CLAIMS),
            ("stops at the tolerance", Pattern.NEVER_STOPS),
            ("comes to an end", Pattern.NEVER_STOPS),
        ):
            if law in failed:
                return [Cause(pattern, failed[law].worst)]
        return []

    def _known_mistake(self):
        """The known mistake whose iterates these are."""
        theirs = {system.name: self._theirs(system) for system in self.compared}
        for shift, pattern in ((-1, Pattern.ONE_TOO_FEW), (1, Pattern.ONE_TOO_MANY)):
            ours = {s.name: list(islice(self._iterates_of(s), STEPS + 2))[1 + shift :][:STEPS] for s in self.compared}
            if all(_same_iterates(theirs[name], ours[name]) for name in theirs):
                return Cause(pattern)
        for cause, iterates in mistaken(self.kind):
            with np.errstate(all="ignore"):
                if all(_same_iterates(theirs[s.name], iterates(s, STEPS)) for s in self.compared):
                    return cause
        single = all((x == x.astype(np.float32)).all() for xs in theirs.values() for x in xs)
        return Cause(Pattern.FLOAT32) if single else None

    def _iterates_of(self, system):
        return (it.x for it in ITERATES[self.kind](system.A, system.b, x0=system.x0, M=system.M))


def _same_iterates(theirs, ours):
    pairs = zip(theirs, ours, strict=False)
    return len(ours) >= STEPS and all(norm(x - y) <= MATCH * max(norm(x), norm(y)) for x, y in pairs)
