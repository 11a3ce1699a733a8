"""Anybody's functions as an Objective."""

from functools import partial

import numpy as np
from scipy.sparse.linalg import LinearOperator

from refhf import checks
from refhf.objective.supervised import operator


class FromFunctions:
    """An objective made of a caller's functions. Made by `from_functions`."""

    size = None
    cases = 1
    dtype = np.dtype(np.float64)
    comm = None

    def __init__(self, value, gradient, hessp, gauss_newton):
        self._value, self._gradient, self._hessp, self._gauss_newton = value, gradient, hessp, gauss_newton
        have = {"hessian": hessp, "gauss-newton": gauss_newton}
        self.curvatures = frozenset(name for name, product in have.items() if product)

    def value(self, theta) -> float:
        """f(theta), a float."""
        return self._number(self._value(self._theta(theta)))

    def value_and_gradient(self, theta) -> tuple[float, np.ndarray]:
        """f(theta) and its gradient (P,)."""
        theta = self._theta(theta)
        return self._number(self._value(theta)), self._vector("gradient", self._gradient(theta), theta)

    def hessian(self, theta) -> LinearOperator:
        """H (P, P) at theta, from `hessp`."""
        return self._curvature("hessp", self._hessp, theta)

    def gauss_newton(self, theta) -> LinearOperator:
        """G (P, P) at theta, from `gauss_newton`."""
        return self._curvature("gauss_newton", self._gauss_newton, theta)

    def sample(self, cases: int, *, rng=None) -> "FromFunctions":
        """Itself: there are no cases to draw from."""
        return self

    def _theta(self, theta):
        return checks.vector("theta", theta, None, self.dtype).copy()  # the caller's functions get their own

    def _number(self, given):
        return checks.number("value", given)

    def _vector(self, name, given, theta):
        # A copy: the caller may return one buffer again and again, or v itself.
        return np.array(checks.vector(name, given, theta.size, self.dtype))

    def _curvature(self, name, function, theta):
        checks.has_curvature(self, "hessian" if name == "hessp" else "gauss-newton")
        theta = self._theta(theta)
        return operator(partial(self._product, name, function, theta), theta.size, self.dtype)

    def _product(self, name, function, theta, v):
        return self._vector(name, function(theta.copy(), v.copy()), theta)


def from_functions(value, gradient, hessp=None, gauss_newton=None) -> FromFunctions:
    """Anybody's function as an Objective.

    Parameters
    ----------
    value : callable
        theta (P,) -> float.
    gradient : callable
        theta (P,) -> (P,).
    hessp, gauss_newton : callable, optional
        (theta, v) -> (P,), the Hessian's and the Gauss-Newton matrix's product with v (SciPy's `hessp` order).

    Raises
    ------
    ValueError
        If one of them is not callable.
    """
    functions = {"value": value, "gradient": gradient, "hessp": hessp, "gauss_newton": gauss_newton}
    for name, function in functions.items():
        if not callable(function) and not (function is None and name in ("hessp", "gauss_newton")):
            raise ValueError(f"{name}: expected a function; got {function!r}")
    return FromFunctions(**functions)
