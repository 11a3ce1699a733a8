"""The record of a function whose stationary points are known; `refhf.surfaces.saddles` has the functions."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class StationaryPoint(NamedTuple):
    """A point with zero gradient.

    Attributes
    ----------
    theta : ndarray (P,)
    kind : {'minimum', 'saddle', 'degenerate saddle', 'maximum'}
        A degenerate saddle is one that its Hessian does not show: no eigenvalue is negative. Minima are global, but for
        those of a typed function.
    eigenvalues : ndarray (P,) or None
        Of the Hessian there, ascending; None where they have no closed form.
    """

    theta: np.ndarray
    kind: str
    eigenvalues: np.ndarray | None


class Surface(NamedTuple):
    """A function to descend.

    Attributes
    ----------
    name, description : str
        The description is one line.
    value, gradient : callable
        theta (P,) -> float; theta (P,) -> (P,).
    hessp, gauss_newton : callable
        (theta, v) -> H v and G v (P,); gauss_newton is None where f is not a sum of squares.
    stationary : tuple of StationaryPoint
        All of them, or representatives where the description says so.
    start : ndarray (P,)
        A start worth watching.
    lowest : float
        The global minimum of f; -inf where there is none, or none is known.
    window : (float, float, float, float) or None
        x from, x to, y from, y to of a picture; None unless P = 2.
    """

    name: str
    description: str
    value: Callable
    gradient: Callable
    hessp: Callable
    gauss_newton: Callable | None
    stationary: tuple[StationaryPoint, ...]
    start: np.ndarray
    lowest: float = -np.inf
    window: tuple[float, float, float, float] | None = None

    @property
    def size(self) -> int:
        """P."""
        return self.start.size

    @property
    def functions(self) -> tuple:
        """(value, gradient, hessp, gauss_newton), as `refhf.from_functions` takes them."""
        return self.value, self.gradient, self.hessp, self.gauss_newton

    @property
    def saddle(self) -> StationaryPoint | None:
        """The first stationary point that is a saddle, degenerate or not."""
        return next((point for point in self.stationary if "saddle" in point.kind), None)

    @property
    def minima(self) -> tuple:
        """The points theta (P,) among `stationary` that are minima."""
        return tuple(point.theta for point in self.stationary if point.kind == "minimum")


def numbers(*given):
    """A read-only vector."""
    x = np.array(given, float)
    x.flags.writeable = False
    return x


def point(kind, theta, eigenvalues):
    """A StationaryPoint; the eigenvalues in any order."""
    return StationaryPoint(numbers(*theta), kind, None if eigenvalues is None else numbers(*sorted(eigenvalues)))


def dense_hessian(f: Any, theta: np.ndarray) -> np.ndarray:
    """H (P, P) at theta, symmetric to the bit, of a function with `hessp(theta, v)`."""
    H = np.array([f.hessp(theta, e) for e in np.eye(theta.size)])
    return (H.T + H) / 2
