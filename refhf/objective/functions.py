"""User-supplied functions as an Objective."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from refhf import checks
from refhf.krylov.symmetric_operator import SymmetricOperator
from refhf.model.blocks import Array
from refhf.parallel.communicator import Communicator

Function = Callable[..., Any]


class FromFunctions:
    """An objective made of user-supplied functions. Made by `from_functions`."""

    size: int | None = None
    cases: int = 1
    group: int = 1
    dtype: np.dtype[Any] = np.dtype(np.float64)
    comm: Communicator | None = None

    def __init__(self, value: Function, gradient: Function, hessp: Function | None, gauss_newton: Function | None):
        self._value, self._gradient, self._hessp, self._gauss_newton = value, gradient, hessp, gauss_newton
        have = {"hessian": hessp, "gauss-newton": gauss_newton}
        self.curvatures = frozenset(name for name, product in have.items() if product)

    def __repr__(self) -> str:
        return f"FromFunctions: {', '.join(['value', 'gradient', *sorted(self.curvatures)])}"

    def value(self, theta: Any) -> float:
        """f(theta), a float."""
        return self._number(self._value(self._theta(theta)))

    def value_and_gradient(self, theta: Any) -> tuple[float, Array]:
        """f(theta) and its gradient (P,)."""
        theta = self._theta(theta)
        return self._number(self._value(theta)), self._vector("gradient", self._gradient(theta), theta)

    def hessian(self, theta: Any) -> SymmetricOperator:
        """H (P, P) at theta, from `hessp`."""
        return self._curvature("hessp", self._hessp, theta)

    def gauss_newton(self, theta: Any) -> SymmetricOperator:
        """G (P, P) at theta, from `gauss_newton`."""
        return self._curvature("gauss_newton", self._gauss_newton, theta)

    def gradient_squares(self, theta: Any) -> Array:
        """A ValueError, as there are no gradients of cases."""
        checks.has_curvature(self, "gradient-squares")
        raise AssertionError("unreachable")

    def sample(self, cases: int, *, rng: Any = None) -> "FromFunctions":
        """The objective itself, as there are no cases to draw from."""
        return self

    def _theta(self, theta: Any) -> Array:
        return checks.vector("theta", theta, None, self.dtype).copy()  # user code may overwrite it

    def _number(self, given: Any) -> float:
        return checks.number("value", given)

    def _vector(self, name: str, given: Any, theta: Array) -> Array:
        # A copy: the function may return the same buffer every time, or v itself.
        return np.array(checks.vector(name, given, theta.size, self.dtype))

    def _curvature(self, name: str, function: Function | None, theta: Any) -> SymmetricOperator:
        checks.has_curvature(self, "hessian" if name == "hessp" else "gauss-newton")
        theta = self._theta(theta)
        return SymmetricOperator(partial(self._product, name, function, theta), theta.size, self.dtype)

    def _product(self, name: str, function: Any, theta: Array, v: Array) -> Array:
        return self._vector(name, function(theta.copy(), v.copy()), theta)


def from_functions(
    value: Function, gradient: Function, hessp: Function | None = None, gauss_newton: Function | None = None
) -> FromFunctions:
    """User-supplied functions as an Objective.

    Parameters
    ----------
    value : callable
        theta (P,) -> float.
    gradient : callable
        theta (P,) -> (P,).
    hessp, gauss_newton : callable, optional
        (theta, v) -> (P,): the products H v and G v, with SciPy's `hessp` order of arguments.

    Raises
    ------
    ValueError
        If one of them is not callable.
    """
    functions: dict[str, Any] = {"value": value, "gradient": gradient, "hessp": hessp, "gauss_newton": gauss_newton}
    for name, function in functions.items():
        if not callable(function) and not (function is None and name in ("hessp", "gauss_newton")):
            raise ValueError(f"{name}: expected a function; got {function!r}")
    return FromFunctions(**functions)
