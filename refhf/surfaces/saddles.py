"""Functions with known saddles: the paper's, its relatives, and two networks small enough to know by heart.

Each is a record of plain functions of theta (P,); `refhf.from_functions(*surface.functions)` is its Objective.
What is said of a surface's stationary points is exact, and tested. The functions take complex theta too.

H is the Hessian. G is the Gauss-Newton matrix J'J of the surfaces that are half a sum of squares, f = ||r||^2/2 + a
constant, J = dr/dtheta.
"""

import numpy as np

from refhf.surfaces.stationary_points import Surface, numbers, point
from refhf.surfaces.wells import high_dimensional, rotated_saddle
from refhf.surfaces.xor import xor


def _saddle(t):
    return t[0] ** 2 / 2 + t[1] ** 4 / 4 - t[1] ** 2 / 2


def _saddle_gradient(t):
    return np.array([t[0], t[1] ** 3 - t[1]])


def _saddle_hessp(t, v):
    return np.array([v[0], (3 * t[1] ** 2 - 1) * v[1]])


def _saddle_gauss_newton(t, v):
    return np.array([v[0], 2 * t[1] ** 2 * v[1]])


# He et al. 2016, section 4.2 and eq. 2. As a sum of squares: x^2/2 + ((y^2 - 1)/sqrt 2)^2/2 - 1/4.
saddle = Surface(
    "saddle",
    "x^2/2 + y^4/4 - y^2/2, a saddle between two minima (He et al. 2016, Figure 2)",
    value=_saddle,
    gradient=_saddle_gradient,
    hessp=_saddle_hessp,
    gauss_newton=_saddle_gauss_newton,
    stationary=(
        point("saddle", (0, 0), (-1, 1)),
        point("minimum", (0, 1), (1, 2)),
        point("minimum", (0, -1), (1, 2)),
    ),
    start=numbers(1, 0),
    lowest=-0.25,
    window=(-1.5, 1.5, -1.5, 1.5),
)


def _quadratic(t):
    return t[0] ** 2 - t[1] ** 2


def _quadratic_gradient(t):
    return np.array([2 * t[0], -2 * t[1]])


def _quadratic_hessp(t, v):
    return np.array([2 * v[0], -2 * v[1]])


# The Newton step from any (x, y) is -(x, y): it lands on the saddle.
quadratic_saddle = Surface(
    "quadratic-saddle",
    "x^2 - y^2, without a minimum; the Newton step lands on (0, 0) from anywhere",
    value=_quadratic,
    gradient=_quadratic_gradient,
    hessp=_quadratic_hessp,
    gauss_newton=None,
    stationary=(point("saddle", (0, 0), (-2, 2)),),
    start=numbers(1, 0.5),
    window=(-2, 2, -2, 2),
)


def _monkey(t):
    return t[0] ** 3 - 3 * t[0] * t[1] ** 2


def _monkey_gradient(t):
    return np.array([3 * t[0] ** 2 - 3 * t[1] ** 2, -6 * t[0] * t[1]])


def _monkey_hessp(t, v):
    return np.array([6 * t[0] * v[0] - 6 * t[1] * v[1], -6 * t[1] * v[0] - 6 * t[0] * v[1]])


# Eigenvalues +-6 sqrt(x^2 + y^2): at the origin H = 0, and what is not a minimum shows in the third order only.
monkey_saddle = Surface(
    "monkey-saddle",
    "x^3 - 3 x y^2, without a minimum; a stationary point whose Hessian is zero",
    value=_monkey,
    gradient=_monkey_gradient,
    hessp=_monkey_hessp,
    gauss_newton=None,
    stationary=(point("degenerate saddle", (0, 0), (0, 0)),),
    start=numbers(1, 0),
    window=(-1.5, 1.5, -1.5, 1.5),
)


def _rosenbrock(t):
    return (1 - t[0]) ** 2 + 100 * (t[1] - t[0] ** 2) ** 2


def _rosenbrock_gradient(t):
    return np.array(
        [-2 * (1 - t[0]) - 400 * t[0] * (t[1] - t[0] ** 2), 200 * (t[1] - t[0] ** 2)],
    )


def _rosenbrock_hessp(t, v):
    return np.array(
        [(2 + 1200 * t[0] ** 2 - 400 * t[1]) * v[0] - 400 * t[0] * v[1], -400 * t[0] * v[0] + 200 * v[1]],
    )


def _rosenbrock_gauss_newton(t, v):
    return np.array(
        [(2 + 800 * t[0] ** 2) * v[0] - 400 * t[0] * v[1], -400 * t[0] * v[0] + 200 * v[1]],
    )


# f = (sqrt 2 (1 - x))^2/2 + (10 sqrt 2 (y - x^2))^2/2: G is H without -400 (y - x^2), the only indefinite part.
rosenbrock = Surface(
    "rosenbrock",
    "(1 - x)^2 + 100 (y - x^2)^2, a curved valley (Rosenbrock 1960)",
    value=_rosenbrock,
    gradient=_rosenbrock_gradient,
    hessp=_rosenbrock_hessp,
    gauss_newton=_rosenbrock_gauss_newton,
    stationary=(point("minimum", (1, 1), (501 - np.sqrt(250601), 501 + np.sqrt(250601))),),
    start=numbers(-1.2, 1),
    lowest=0.0,
    window=(-2, 2, -1, 3),
)


def _two_weights(t):
    return (1 - t[0] * t[1]) ** 2 / 2


def _two_weights_gradient(t):
    return (t[0] * t[1] - 1) * np.array([t[1], t[0]])


def _two_weights_hessp(t, v):
    return np.array(
        [t[1] ** 2 * v[0] + (2 * t[0] * t[1] - 1) * v[1], (2 * t[0] * t[1] - 1) * v[0] + t[0] ** 2 * v[1]],
    )


def _two_weights_gauss_newton(t, v):
    return (t[1] * v[0] + t[0] * v[1]) * np.array([t[1], t[0]])


# A linear network z = w2 w1 x on the one case x = y = 1. The residual is 1 - w1 w2, so J = -(w2, w1) and G = J'J has
# eigenvalues 0 and w1^2 + w2^2. On the diagonal (a, a), 0 < a < 1, g is along p = (1, 1), for which
# p'Hp = 6 a^2 - 2 and p'Gp = 4 a^2: where a^2 < 1/3 the first direction of conjugate gradients has negative curvature.
two_weights = Surface(
    "two-weights",
    "(1 - w1 w2)^2/2, a linear network of two weights; its minima are the curve w1 w2 = 1, two of them listed",
    value=_two_weights,
    gradient=_two_weights_gradient,
    hessp=_two_weights_hessp,
    gauss_newton=_two_weights_gauss_newton,
    stationary=(
        point("saddle", (0, 0), (-1, 1)),
        point("minimum", (1, 1), (0, 2)),
        point("minimum", (-1, -1), (0, 2)),
    ),
    start=numbers(0.5, 0.5),
    lowest=0.0,
    window=(-2, 2, -2, 2),
)


SURFACES = {
    surface.name: surface
    for surface in (
        saddle,
        quadratic_saddle,
        monkey_saddle,
        rotated_saddle,
        high_dimensional(),
        two_weights,
        rosenbrock,
        xor,
    )
}
