"""Conventions under which a solver may be right: M as the matrix that is inverted, and other norms to stop at.

A solver of another convention is called with the M and the rtol that it takes for refhf's.
"""

import functools
from collections.abc import Callable
from itertools import product as choices
from typing import Any, NamedTuple

import numpy as np

from refhf.conformance.oracles import norm

STOPPING = {  # what the residual's norm is compared with
    "": "rtol ||b||",
    "absolute tolerance": "rtol",
    "tolerance relative to the first residual": "rtol ||b - A x0||",
}


class SolverConvention(NamedTuple):
    """A convention; the default is refhf's and SciPy's.

    Attributes
    ----------
    inverted : bool
        M approximates A, and the solver divides by it.
    stopping : str
        A key of `STOPPING`.
    """

    inverted: bool = False
    stopping: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The conventions in words."""
        return tuple(name for name in ("M approximates A" if self.inverted else "", self.stopping) if name)

    def of_solver(self, solver: Callable[..., Any]) -> Callable[..., Any]:
        """The solver with the M and rtol of SciPy's."""

        @functools.wraps(solver)
        def converted(A: Any, b: Any, **options: Any) -> Any:
            if self.inverted and "M" in options:
                options["M"] = np.linalg.inv(options["M"])
            if "rtol" in options:
                options["rtol"] *= self._of_rtol(A, b, options.get("x0"))
            return solver(A, b, **options)

        return solver if self == SolverConvention() else converted

    def _of_rtol(self, A: Any, b: Any, x0: Any) -> float:
        if self.stopping == "absolute tolerance":
            return norm(b)
        if self.stopping and x0 is not None:
            return norm(b) / norm(b - A @ x0)
        return 1.0


ALL = (SolverConvention(*chosen) for chosen in choices((False, True), STOPPING))
SOLVER_CONVENTIONS = sorted(ALL, key=lambda convention: len(convention.names))
