"""Calls a user's linear solver, counts its products, and stops it if it does not return."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse.linalg import LinearOperator

from refhf.conformance.checkers.user_function import ConductLog, Unusable, as_array, guarded
from refhf.conformance.mistakes.linear_systems import LinearSystem
from refhf.conformance.patterns import Pattern
from refhf.model.blocks import Array

LIMIT = 1000  # products after which a solver is stopped: our choice, ten times what any system needs


class SolverOutcome(NamedTuple):
    """The x and info that a solver returned, and the number of its products."""

    x: Array
    info: int
    products: int


class _EndlessError(Exception):
    """Raised by the matrix to stop a solver."""


class _Counted(LinearOperator):
    """A matrix that counts its products and raises after LIMIT of them."""

    def __init__(self, A: Array) -> None:
        super().__init__(np.dtype(np.float64), A.shape)
        self.matrix, self.products = A, 0
        self.adjoint_matrix: _Counted | None = None

    def _matvec(self, x: Array) -> Array:
        self.products += 1
        if self.products > LIMIT:
            raise _EndlessError
        return self.matrix @ x

    def _adjoint(self) -> Any:
        self.adjoint_matrix = self.adjoint_matrix or _Counted(self.matrix.T)
        return self.adjoint_matrix


class SolverUnderTest:
    """A solver `x, info = solver(A, b, rtol=..., maxiter=...)`.

    Attributes
    ----------
    operators : bool
        Whether the solver accepts LinearOperators. Otherwise it gets arrays, and cannot be counted or stopped.
    endless : str
        The system on which it was stopped; empty if it always returned.
    """

    def __init__(self, solver: Callable[..., Any], trial: LinearSystem) -> None:
        self.solver, self.log, self.endless = solver, ConductLog(), ""
        self.operators = self._works(trial, True) or bool(self.endless) or not self._works(trial, False)

    def solve(self, system: LinearSystem, quiet: bool = False, **options: Any) -> SolverOutcome:
        """Call the solver; `Unusable` if it returns no result. If `quiet`, an x that is not finite is accepted."""
        return self._solve(system, self.operators, self.log, quiet, options)

    def _works(self, system: LinearSystem, operators: bool) -> bool:
        try:
            self._solve(system, operators, ConductLog(), False, {"rtol": 1e-3, "maxiter": 10 * system.b.size})
        except Unusable:
            return False
        return True

    def _solve(
        self, system: LinearSystem, operators: bool, log: ConductLog, quiet: bool, options: dict[str, Any]
    ) -> SolverOutcome:
        A, call = _Counted(system.A), ConductLog()
        options |= {name: x for name, x in (("x0", system.x0), ("M", system.M)) if x is not None}
        try:
            result = guarded(self.solver, (A if operators else system.A, system.b), options, call)
        finally:
            if max(A.products, A.adjoint_matrix.products if A.adjoint_matrix else 0) > LIMIT:
                self.endless, _ = system.name, call.seen.pop(Pattern.RAISES, None)
            for pattern, detail in call.seen.items():
                log.note(pattern, f"{system.name}: {detail}")
        try:
            x, info = result
            x, info = np.array(as_array(x), np.float64), int(info)
        except (TypeError, ValueError) as error:
            log.note(Pattern.WRONG_SHAPE, f"expected (x, info); got {type(result).__name__}")
            raise Unusable from error
        if x.shape != system.b.shape:
            log.note(Pattern.WRONG_SHAPE, f"expected x of shape {system.b.shape}; got {x.shape}")
            raise Unusable
        if not np.isfinite(x).all() and not quiet:
            log.note(Pattern.NOT_FINITE, system.name)
            raise Unusable
        return SolverOutcome(x, info, A.products)


def takes(solver: Callable[..., Any], option: str) -> bool:
    """True if the signature of the solver has the option, or cannot be read."""
    try:
        parameters = inspect.signature(solver).parameters
    except (TypeError, ValueError):
        return True
    return option in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())
