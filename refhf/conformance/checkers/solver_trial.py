"""A solver and the systems that it is tested on; its iterates beside refhf's."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np

from refhf.conformance import oracles
from refhf.conformance.checkers.solver_under_test import SolverUnderTest, takes
from refhf.conformance.mistakes import linear_systems
from refhf.conformance.mistakes.linear_systems import LinearSystem
from refhf.krylov.bicgstab import bicgstab_iterates
from refhf.krylov.cg import cg_iterates
from refhf.model.blocks import Array

ITERATES: dict[str, Callable[..., Any]] = {"cg": cg_iterates, "bicgstab": bicgstab_iterates}
PRODUCTS = {"cg": 1, "bicgstab": 2}  # products an iteration
STEPS = 4  # iterates that are compared: our choice
AGREE = 1e-9  # relative tolerance of iterates: our choice, for condition numbers up to 10
SAFETY = 100  # times the change of an iterate when A and b are perturbed by a few roundings: our choice
FAR = 1000.0  # multiple of x0, so that ||b - A x0|| is far from ||b||: our choice
NEVER = 1e-15  # an rtol that no solver meets


class SolverTrial:
    """A solver of a kind, its test systems, and what the laws record for the diagnosis.

    Attributes
    ----------
    plain, started, far, preconditioned, clustered, stiff : LinearSystem
    scaled : list of LinearSystem
        `plain` with A and b scaled by powers of two.
    compared : list of LinearSystem
        The systems on which iterates are compared: those whose options (x0, M) the solver has.
    claimed : set of str
        Names of the systems on which the solver reported convergence that it had not reached.
    remarks : list of str
    """

    def __init__(self, solver: Callable[..., Any], kind: str, rng: np.random.Generator) -> None:
        self.kind = kind
        self.remarks: list[str] = []
        self.claimed: set[str] = set()
        self.plain, self.clustered, self.stiff = (
            linear_systems.ordinary(kind, rng),
            linear_systems.clustered(rng),
            linear_systems.stiff(rng),
        )
        x0 = rng.standard_normal(self.plain.b.size)
        self.started = self.plain._replace(name="x0 given", x0=x0)
        self.far = self.started._replace(name="x0 far away", x0=FAR * x0)
        self.scaled = [
            linear_systems.scaled(self.plain, *ij) for ij in ((-120, 0), (0, -120), (120, 0), (0, 120), (60, 180))
        ]
        self.preconditioned = linear_systems.preconditioned(kind, rng)
        self.tested = SolverUnderTest(solver, self.plain)
        self.solve, self.log, self.compared = self.tested.solve, self.tested.log, [self.plain]
        for option, system in (("x0", self.started), ("M", self.preconditioned)):
            if takes(solver, option):
                self.compared.append(system)
            else:
                self.remarks.append(f"it has no {option}: not checked")
        if not self.tested.operators:
            self.remarks.append("it accepts arrays only: Hessian-free optimisation needs LinearOperators")

    def theirs(self, system: LinearSystem) -> list[Array]:
        """The user's iterates x_1, x_2, ..."""
        return [self.solve(system, rtol=NEVER, maxiter=k).x for k in range(1, STEPS + 1)]

    def ours(self, system: LinearSystem) -> Iterator[Array]:
        """refhf's iterates x_0, x_1, ..."""
        return (it.x for it in ITERATES[self.kind](system.A, system.b, x0=system.x0, M=system.M))

    def tolerances(self, system: LinearSystem) -> Array:
        """The tolerance of each iterate x_1, x_2, ..."""

        def iterates(A: Array, b: Array) -> Array:
            return np.array(list(islice(self.ours(system._replace(A=A, b=b)), STEPS + 1))[1:])

        here, far = iterates(system.A, system.b), np.zeros(STEPS)
        rng = np.random.default_rng(0)
        for _ in range(oracles.DRAWS):
            there = iterates(*(oracles.moved(x, oracles.EPS, rng) for x in (system.A, system.b)))
            far = np.maximum(far, np.linalg.norm(there - here, axis=1))
        return np.maximum(AGREE * np.linalg.norm(here, axis=1), SAFETY * far)
