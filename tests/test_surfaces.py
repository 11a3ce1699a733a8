"""Surfaces: derivatives against the complex step, stationary points against exact values, laws of each."""

import numpy as np
import pytest

import refhf
from refhf.krylov.cg import cg_iterates
from refhf.krylov.stopping import Stop, advance
from refhf.model import network
from refhf.surfaces.saddles import SURFACES, high_dimensional, quadratic_saddle, saddle, two_weights, xor

STEP = 1e-30
ALL = [pytest.param(surface, id=name) for name, surface in SURFACES.items()]


def points(surface, count=5):
    return np.random.default_rng(surface.size).normal(size=(count, surface.size))


def dense(product, theta):
    return np.column_stack([product(theta, e) for e in np.eye(theta.size)])


def jacobian(f, theta):
    """The complex-step Jacobian (m, P) of f at theta: exact to rounding."""
    return np.column_stack([np.imag(f(theta + 1j * STEP * e)) / STEP for e in np.eye(theta.size)])


def close(a, b):
    return np.abs(a - b).max() <= 1e-12 * max(1, np.abs(b).max())


@pytest.mark.parametrize("surface", ALL)
def test_derivatives(surface):
    """The gradient is the complex step of the value, and the Hessian that of the gradient; it is symmetric."""
    for theta in points(surface):
        assert close(surface.gradient(theta), jacobian(lambda t: np.array([surface.value(t)]), theta)[0])
        H = dense(surface.hessp, theta)
        assert close(H, jacobian(surface.gradient, theta))
        assert close(H, H.T)


def xor_residuals(theta):
    net = refhf.mlp([2, 2, 1], nonlinearity="tanh", loss="squared_error")
    X = np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])
    return (network.forward(net, theta, X.astype(theta.dtype), order=0)[0][:, 0] + X[:, 0] * X[:, 1]) / 2


def high_dimensional_residuals(theta):
    n, k = theta.size, 10
    i = np.arange(1, n + 1)
    z = np.sqrt(2 / (n + 1)) * np.sin(np.pi * np.outer(i, i) / (n + 1)) @ theta
    c = np.linspace(1, 0.1, k)
    return np.concatenate([np.sqrt(c / 2) * (z[:k] ** 2 - 1), np.sqrt(np.geomspace(0.1, 100, n - k)) * z[k:]])


# name: residuals r with f = ||r||^2 / 2 + lowest
RESIDUALS = {
    "saddle": lambda t: np.array([t[0], (t[1] ** 2 - 1) / np.sqrt(2)]),
    "rotated-saddle": lambda t: np.array(
        [np.sqrt(1000) * (0.8 * t[0] - 0.6 * t[1]), ((0.6 * t[0] + 0.8 * t[1]) ** 2 - 1) / np.sqrt(2)]
    ),
    "high-dimensional": high_dimensional_residuals,
    "two-weights": lambda t: np.array([1 - t[0] * t[1]]),
    "rosenbrock": lambda t: np.sqrt(2) * np.array([1 - t[0], 10 * (t[1] - t[0] ** 2)]),
    "xor": xor_residuals,
}


@pytest.mark.parametrize("surface", ALL)
def test_gauss_newton(surface):
    """If f is half a sum of squares r, G = J'J with J = dr/dtheta; other surfaces have no G."""
    assert (surface.gauss_newton is not None) == (surface.name in RESIDUALS)
    for theta in points(surface) if surface.gauss_newton else ():
        residuals = RESIDUALS[surface.name]
        assert close(surface.value(theta), np.sum(residuals(theta) ** 2) / 2 + surface.lowest)
        slopes = jacobian(residuals, theta)
        assert close(dense(surface.gauss_newton, theta), slopes.T @ slopes)


@pytest.mark.parametrize("surface", ALL)
def test_stationary_points(surface):
    """At each the gradient is zero, exactly so at the saddles, and H has the eigenvalues it is said to have."""
    for point in surface.stationary:
        g, H = surface.gradient(point.theta), dense(surface.hessp, point.theta)
        size = np.abs(H).max() or 1
        assert (g == 0).all() if point.kind != "minimum" else np.abs(g).max() <= 1e-13 * size
        computed = np.linalg.eigvalsh(H)
        if point.eigenvalues is not None:
            assert np.abs(computed - point.eigenvalues).max() <= 1e-14 * size * surface.size
            assert (np.diff(point.eigenvalues) >= 0).all()
        assert computed[0] < -0.1 if point.kind == "saddle" else computed[0] >= -1e-14 * size * surface.size


@pytest.mark.parametrize("surface", ALL)
def test_lowest(surface):
    """Minima are global: f is `lowest` there and nowhere less; a surface without one falls without end."""
    for theta in surface.minima:
        assert abs(surface.value(theta) - surface.lowest) <= 1e-14 * (1 + abs(surface.lowest))
    if surface.lowest > -np.inf:
        assert surface.minima
        assert min(surface.value(theta) for theta in points(surface, 200)) >= surface.lowest
    else:
        assert min(surface.value(1e6 * theta) for theta in points(surface, 20)) < -1e6


@pytest.mark.parametrize("surface", ALL)
def test_record(surface):
    """A surface is an Objective's functions; its arrays cannot be changed, and its window contains its points."""
    objective = refhf.from_functions(*surface.functions)
    f, g = objective.value_and_gradient(surface.start)
    assert np.isfinite(f)
    assert (objective.hessian(surface.start) @ g == surface.hessp(surface.start, g)).all()
    with pytest.raises(ValueError, match="read-only"):
        surface.start[0] = 1
    assert (surface.window is not None) == (surface.size == 2)
    assert len({tuple(point.theta) for point in surface.stationary}) == len(surface.stationary)
    assert surface.minima or surface.lowest == -np.inf
    assert surface.description
    assert surface.saddle is None or surface.saddle.eigenvalues is not None
    for theta in [surface.start, *(point.theta for point in surface.stationary)] if surface.window else []:
        x_from, x_to, y_from, y_to = surface.window
        assert x_from < theta[0] < x_to
        assert y_from < theta[1] < y_to


def test_degenerate_saddle():
    """The monkey saddle has H = 0 at a point that is not a minimum: in three directions f falls, in three it rises."""
    monkey = SURFACES["monkey-saddle"]
    angles = np.arange(6) * np.pi / 3
    heights = [monkey.value(0.01 * np.array([np.cos(a), np.sin(a)])) for a in angles]
    assert np.allclose(heights, [1e-6, -1e-6] * 3)
    x, y = 3.0, 4.0
    assert np.linalg.eigvalsh(dense(monkey.hessp, np.array([x, y]))) == pytest.approx([-30, 30])


def test_newton_step_lands_on_the_quadratic_saddle():
    """On x^2 - y^2 the Newton step from any (x, y) is -(x, y); it goes uphill if |y| > |x|."""
    for theta in points(quadratic_saddle):
        g = quadratic_saddle.gradient(theta)
        assert (quadratic_saddle.hessp(theta, -theta) == -g).all()
        assert (g @ -theta > 0) == (abs(theta[1]) > abs(theta[0]))


@pytest.mark.parametrize("a", [0.1, 0.5, 0.57, 0.58, 0.7, 0.9])
def test_first_cg_direction_on_two_weights(a):
    """From (a, a) CG's first p is along (1, 1), p'Hp = (3 a^2 - 1) ||p||^2 < 0 for a^2 < 1/3, p'Gp = 2 a^2 ||p||^2."""
    theta = np.array([a, a])
    g = two_weights.gradient(theta)
    objective = refhf.from_functions(*two_weights.functions)
    H, G = objective.hessian(theta), objective.gauss_newton(theta)
    stop_at = lambda it: Stop.ITERATION_LIMIT  # noqa: E731 : after the first product
    (first, _), (blind, _) = (advance(cg_iterates(A, -g, stop_at=stop_at)) for A in (H, G))
    assert first.p[0] == first.p[1] == (1 - a * a) * a
    assert first.curvature == pytest.approx((6 * a * a - 2) * first.p[0] ** 2, rel=1e-12)
    assert (first.curvature < 0) == (a * a < 1 / 3)
    assert blind.curvature == pytest.approx(4 * a * a * first.p[0] ** 2, rel=1e-12)


def test_gauss_newton_ignores_negative_curvature():
    """At every saddle that has a G, G has no negative eigenvalue where H has one."""
    for surface in SURFACES.values():
        if surface.gauss_newton and surface.saddle:
            theta = surface.saddle.theta
            assert np.linalg.eigvalsh(dense(surface.hessp, theta))[0] < -0.1
            assert np.linalg.eigvalsh(dense(surface.gauss_newton, theta))[0] >= -1e-12


def test_the_line_is_invariant():
    """On the paper's surface g, Hv and Gv have y = 0 exactly wherever theta and v have."""
    for x in np.random.default_rng(0).normal(size=50):
        theta = np.array([x, 0.0])
        for vector in (saddle.gradient(theta), saddle.hessp(theta, theta), saddle.gauss_newton(theta, theta)):
            assert vector[1] == 0


def test_xor_is_flat_where_the_second_layer_is_zero():
    """With W2 = b1 = b2 = 0 the gradient of XOR is zero for any W1, up to the rounding of odd sums."""
    for weights in np.random.default_rng(0).normal(size=(20, 4)):
        assert np.abs(xor.gradient(np.concatenate([weights, np.zeros(5)]))).max() <= 1e-15


def test_xor_units_never_part():
    """From equal units gradient descent keeps them equal to the last bit, and f above 1/3: one unit fits three cases.

    1/3 is the best fit of (-1, 1, 1, -1) by a monotone sequence: z is monotone along the unit's direction.
    """
    theta = xor.start
    for _ in range(3000):
        g = xor.gradient(theta)
        assert (g[[0, 2, 4, 6]] == g[[1, 3, 5, 7]]).all()
        theta = theta - 0.5 * g
    assert 1 / 3 < xor.value(theta) < 1 / 3 + 1e-2


def test_high_dimensional():
    """The eigenvectors at the origin are sine waves; the numbers asked for are there, and nonsense is refused."""
    surface = high_dimensional(50, 3)
    for j, eigenvalue in enumerate([-1, -0.55, -0.1], start=1):
        wave = np.sin(np.pi * j * np.arange(1, 51) / 51)
        assert close(surface.hessp(np.zeros(50), wave), eigenvalue * wave)
    assert surface.lowest == pytest.approx(-(1 + 0.55 + 0.1) / 4)
    assert (surface.saddle.eigenvalues < 0).sum() == 3
    for size, negative in ((50, 50), (50, 0), (1, 1), (2.5, 1)):
        with pytest.raises(ValueError, match=r"size|negative"):
            high_dimensional(size, negative)
