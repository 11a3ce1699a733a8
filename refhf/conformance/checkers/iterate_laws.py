"""Laws about the iterates of a solver: equality with refhf's, Krylov space, decrease, finite termination.

Each function takes a `SolverTrial` and returns a finding.
"""

from itertools import islice, pairwise

import numpy as np

from refhf.conformance.check_report import Finding, compared
from refhf.conformance.checkers.solver_trial import AGREE, PRODUCTS, STEPS, SolverTrial
from refhf.conformance.mistakes.wrong_solvers import mistaken
from refhf.conformance.oracles import norm
from refhf.conformance.patterns import Cause, Pattern
from refhf.model.blocks import Array

MATCH = 1e-7  # relative tolerance at which a known mistake is recognised: our choice


def equal_iterates(trial: SolverTrial) -> Finding:
    """With maxiter = k the solver returns x_k."""
    samples: list[tuple[str, float, float, float]] = []
    for system in trial.compared:
        ours, tolerances = list(islice(trial.ours(system), STEPS + 1))[1:], trial.tolerances(system)
        triples = zip(trial.theirs(system), ours, tolerances, strict=True)
        samples += [
            (f"{system.name}, x_{k}", norm(x - want), t, norm(want)) for k, (x, want, t) in enumerate(triples, 1)
        ]
    return compared("x of maxiter = k is x_k", samples)


def krylov_space(trial: SolverTrial) -> Finding:
    """x_k is a combination of b, A b, A^2 b, ..."""
    samples: list[tuple[str, float, float, float]] = []
    for k, x in enumerate(trial.theirs(trial.plain), 1):
        vectors = [trial.plain.b]
        for _ in range(k * PRODUCTS[trial.kind] - 1):
            vectors.append(trial.plain.A @ vectors[-1])
        basis, _ = np.linalg.qr(np.stack(vectors, axis=1)[:, : trial.plain.b.size])
        samples.append((f"x_{k}", norm(x - basis @ (basis.T @ x)), AGREE * norm(x), norm(x)))
    return compared("x_k is in the Krylov space of b", samples)


def falling_error(trial: SolverTrial) -> Finding:
    """The A-norm of the error decreases; a law of cg."""
    A, b = trial.plain.A, trial.plain.b
    x = np.linalg.solve(A, b)
    errors = [float(np.sqrt((x - y) @ A @ (x - y))) for y in (0 * b, *trial.theirs(trial.plain))]
    rises = [max(after - before, 0.0) for before, after in pairwise(errors)]
    samples = [(f"x_{k}", rise, AGREE * errors[0], errors[0]) for k, rise in enumerate(rises, 1)]
    return compared("the A-norm of the error falls", samples)


def finite_termination(trial: SolverTrial) -> Finding:
    """Three distinct eigenvalues need three iterations."""
    A, b = trial.clustered.A, trial.clustered.b
    x, info, _ = trial.solve(trial.clustered, rtol=1e-8, maxiter=4)
    found = compared("three eigenvalues, three iterations", [("", norm(b - A @ x), 1e-7 * norm(b), norm(b))])
    return found._replace(passed=found.passed and info == 0, worst=f"info = {info}")


def known_mistake(trial: SolverTrial) -> Cause | None:
    """The known mistake that produces the solver's iterates."""
    theirs = {system.name: trial.theirs(system) for system in trial.compared}
    for shift, pattern in ((-1, Pattern.ONE_TOO_FEW), (1, Pattern.ONE_TOO_MANY)):
        ours = {s.name: list(islice(trial.ours(s), STEPS + 2))[1 + shift :][:STEPS] for s in trial.compared}
        if all(_same_iterates(theirs[name], ours[name]) for name in theirs):
            return Cause(pattern)
    for cause, iterates in mistaken(trial.kind):
        with np.errstate(all="ignore"):
            if all(_same_iterates(theirs[s.name], iterates(s, STEPS)) for s in trial.compared):
                return cause
    single = all((x == x.astype(np.float32)).all() for xs in theirs.values() for x in xs)
    return Cause(Pattern.FLOAT32) if single else None


def _same_iterates(theirs: list[Array], ours: list[Array]) -> bool:
    pairs = zip(theirs, ours, strict=False)
    return len(ours) >= STEPS and all(norm(x - y) <= MATCH * max(norm(x), norm(y)) for x, y in pairs)
