"""The interface between objectives and methods: all that a method may call."""

from typing import Any, Protocol

import numpy as np
from scipy.sparse.linalg import LinearOperator  # pyright: ignore[reportMissingTypeStubs] # SciPy has none

from refhf.model.blocks import Array
from refhf.parallel.communicator import Communicator


class Objective(Protocol):
    """A function f of theta (P,) with its gradient, its curvature and its mini-batches."""

    @property
    def size(self) -> int | None:
        """P; None if theta may have any length."""
        ...

    @property
    def cases(self) -> int:
        """The number of cases; 1 for a function without data."""
        ...

    @property
    def group(self) -> int:
        """The number of cases that belong together, in mini-batches too; 1 but for batch normalisation."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of theta, gradients and products."""
        ...

    @property
    def curvatures(self) -> frozenset[str]:
        """Those of 'hessian', 'gauss-newton' and 'gradient-squares' that there are; methods call no others."""
        ...

    @property
    def comm(self) -> Communicator | None:
        """The ranks that share the cases; None if there are none."""
        ...

    def value(self, theta: Any) -> float:
        """f(theta)."""
        ...

    def value_and_gradient(self, theta: Any) -> tuple[float, Array]:
        """f(theta) and its gradient (P,)."""
        ...

    def hessian(self, theta: Any) -> LinearOperator:
        """The Hessian H (P, P) at theta."""
        ...

    def gauss_newton(self, theta: Any) -> LinearOperator:
        """The Gauss-Newton matrix G (P, P) at theta."""
        ...

    def gradient_squares(self, theta: Any) -> Array:
        """The mean over cases of the squared gradient (P,) of each case."""
        ...

    def sample(self, cases: int, *, rng: Any = None) -> "Objective":
        """The same objective on a mini-batch; a function without data returns itself."""
        ...
