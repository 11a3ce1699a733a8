"""A linear solver under test: how it is called, and how it is stopped."""

import inspect
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.sparse.linalg import LinearOperator

from refhf.conformance.check_report import Pattern
from refhf.conformance.checkers.user_function import Notes, Unusable, as_array, guarded
from refhf.conformance.mistakes.linear_systems import System

LIMIT = 1000  # products after which a solver is stopped: our choice, ten times what any of the systems takes


class Outcome(NamedTuple):
    """What a solver returned, and the products it took."""

    x: np.ndarray
    info: int
    products: int


class _EndlessError(Exception):
    pass


class _Counted(LinearOperator):
    """A matrix that counts its products, and has enough of them at some time."""

    def __init__(self, A):
        super().__init__(np.dtype(np.float64), A.shape)
        self.matrix, self.products, self.transpose = A, 0, None

    def _matvec(self, v):
        self.products += 1
        if self.products > LIMIT:
            raise _EndlessError
        return self.matrix @ v

    def _adjoint(self):
        self.transpose = self.transpose or _Counted(self.matrix.T)
        return self.transpose


class Solving:
    """Calls of a solver `x, info = solver(A, b, rtol=..., maxiter=...)`.

    Attributes
    ----------
    operators : bool
        Whether it takes LinearOperators; if it does not it is given arrays, and can neither be counted nor stopped.
    endless : str
        The system that it was stopped on.
    """

    def __init__(self, solver: Callable, trial: System):
        self.solver, self.notes, self.endless = solver, Notes(), ""
        self.operators = self._works(trial, True) or bool(self.endless) or not self._works(trial, False)

    def solve(self, system: System, quiet: bool = False, **options) -> Outcome:
        """Call the solver; `Unusable` if nothing comes back. Quiet: what is not finite is not noted."""
        return self._solve(system, self.operators, self.notes, quiet, options)

    def offers(self, option: str) -> bool:
        """Whether the solver has the option, as far as its signature says."""
        try:
            parameters = inspect.signature(self.solver).parameters
        except (TypeError, ValueError):
            return True
        return option in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())

    def _works(self, system, operators):
        try:
            self._solve(system, operators, Notes(), False, {"rtol": 1e-3, "maxiter": 10 * system.b.size})
        except Unusable:
            return False
        return True

    def _solve(self, system, operators, notes, quiet, options):
        A, seen = _Counted(system.A), Notes()
        options |= {name: x for name, x in (("x0", system.x0), ("M", system.M)) if x is not None}
        try:
            result = guarded(self.solver, (A if operators else system.A, system.b), options, seen)
        finally:
            if max(A.products, A.transpose.products if A.transpose else 0) > LIMIT:
                self.endless, _ = system.name, seen.seen.pop(Pattern.RAISES, None)
            for pattern, detail in seen.seen.items():
                notes.note(pattern, f"{system.name}: {detail}")
        try:
            x, info = result
            x, info = np.array(as_array(x), np.float64), int(info)
        except (TypeError, ValueError) as error:
            notes.note(Pattern.WRONG_SHAPE, f"expected (x, info); got {type(result).__name__}")
            raise Unusable from error
        if x.shape != system.b.shape:
            notes.note(Pattern.WRONG_SHAPE, f"expected x of shape {system.b.shape}; got {x.shape}")
            raise Unusable
        if not np.isfinite(x).all() and not quiet:
            notes.note(Pattern.NOT_FINITE, system.name)
            raise Unusable
        return Outcome(x, info, A.products)
