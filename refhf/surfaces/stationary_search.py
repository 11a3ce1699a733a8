"""A search for the stationary points of a function of two parameters: Powell's hybrid method from a grid of starts."""

import numpy as np
import scipy

from refhf.surfaces.stationary_points import StationaryPoint, dense_hessian, numbers

# Our choices.
STARTS = 9  # an axis
SAME = 1e-3  # points nearer than this, relative to the window, are one
FLAT = 1e-6  # an eigenvalue this small relative to the largest, or to 1, is 0
FLAT_POINTS = 2  # more points with an eigenvalue 0 are taken for a curve of them, and left out


def stationary_points(f, window) -> tuple[StationaryPoint, ...]:
    """The stationary points found in the window: saddles, maxima, then minima, of each the nearest to 0 first.

    `f` has `gradient(theta)` and `hessp(theta, v)`.
    """
    x0, x1, y0, y1 = window
    size, found = max(x1 - x0, y1 - y0), []
    for x in np.linspace(x0, x1, STARTS + 2)[1:-1]:
        for y in np.linspace(y0, y1, STARTS + 2)[1:-1]:
            theta = _stationary(f, np.array([x, y]))
            if theta is None or not (x0 <= theta[0] <= x1 and y0 <= theta[1] <= y1):
                continue
            if all(np.linalg.norm(theta - other.theta) > SAME * size for other in found):
                found.append(_described(f, theta))
    flat = [point for point in found if not np.all(point.eigenvalues)]
    if len(flat) > FLAT_POINTS:
        found = [point for point in found if np.all(point.eigenvalues)]
    order = "saddle", "degenerate saddle", "maximum", "minimum"

    def place(point):
        return order.index(point.kind), round(float(np.linalg.norm(point.theta)), 6), *-point.theta

    return tuple(sorted(found, key=place))


@np.errstate(all="ignore")
def _stationary(f, theta):
    """The stationary point that the search from theta ends at, or None."""
    if not np.isfinite(dense_hessian(f, theta)).all() or not np.isfinite(f.gradient(theta)).all():
        return None
    theta = scipy.optimize.root(f.gradient, theta, jac=lambda t: dense_hessian(f, t), tol=1e-13).x
    for digits in 6, 9, 12:  # a round number that is as good
        rounded = np.round(theta, digits) + 0.0
        if np.linalg.norm(f.gradient(rounded)) <= np.linalg.norm(f.gradient(theta)):
            theta = rounded
            break
    theta = np.where(abs(theta) < 1e-15, 0.0, theta)
    H = dense_hessian(f, theta)
    small = 1e-9 * max(1.0, abs(H).max())
    good = np.isfinite(H).all() and np.linalg.norm(f.gradient(theta)) <= small
    return theta if good else None


def _described(f, theta):
    eigenvalues = np.linalg.eigvalsh(dense_hessian(f, theta))
    eigenvalues = np.where(abs(eigenvalues) <= FLAT * max(1.0, abs(eigenvalues).max()), 0.0, eigenvalues)
    low, high = eigenvalues
    kind = "minimum" if low > 0 else "degenerate saddle" if low == 0 else "saddle" if high >= 0 else "maximum"
    return StationaryPoint(numbers(*theta), kind, numbers(*eigenvalues))


def start_beside(f, found, window) -> np.ndarray:
    """A start worth watching: on the line of positive curvature of the first saddle, a quarter of the window away."""
    x0, x1, y0, y1 = window
    if not found or found[0].kind != "saddle":
        return np.array([x0 + 0.75 * (x1 - x0), y0 + 0.6 * (y1 - y0)])
    vector = np.linalg.eigh(dense_hessian(f, found[0].theta))[1][:, 1]
    vector = np.where(abs(vector) < 1e-12, 0.0, vector)
    away = min(x1 - x0, y1 - y0) / 4 * vector * (1 if vector.sum() > 0 else -1)
    inside = [t for t in (found[0].theta + away, found[0].theta - away) if x0 < t[0] < x1 and y0 < t[1] < y1]
    return inside[0] if inside else found[0].theta
