"""Functions with known saddles: the paper's, its relatives, and two networks small enough to know by heart.

Each is a record of plain functions of theta (P,); `refhf.from_functions(*surface.functions)` is its Objective.
What is said of a surface's stationary points is exact, and tested. The functions take complex theta too.

H is the Hessian. G is the Gauss-Newton matrix J'J of the surfaces that are half a sum of squares, f = ||r||^2/2 + a
constant, J = dr/dtheta.
"""

import numpy as np
from scipy.fft import dst

from refhf import checks
from refhf.model import architectures, network
from refhf.model.surface import Surface, numbers, point

# He et al. 2016, section 4.2 and eq. 2. As a sum of squares: x^2/2 + ((y^2 - 1)/sqrt 2)^2/2 - 1/4.
saddle = Surface(
    "saddle",
    "x^2/2 + y^4/4 - y^2/2, a saddle between two minima (He et al. 2016, Figure 2)",
    value=lambda t: t[0] ** 2 / 2 + t[1] ** 4 / 4 - t[1] ** 2 / 2,
    gradient=lambda t: np.array([t[0], t[1] ** 3 - t[1]]),
    hessp=lambda t, v: np.array([v[0], (3 * t[1] ** 2 - 1) * v[1]]),
    gauss_newton=lambda t, v: np.array([v[0], 2 * t[1] ** 2 * v[1]]),
    stationary=(
        point("saddle", (0, 0), (-1, 1)),
        point("minimum", (0, 1), (1, 2)),
        point("minimum", (0, -1), (1, 2)),
    ),
    start=numbers(1, 0),
    lowest=-0.25,
    window=(-1.5, 1.5, -1.5, 1.5),
)

# The Newton step from any (x, y) is -(x, y): it lands on the saddle.
quadratic_saddle = Surface(
    "quadratic-saddle",
    "x^2 - y^2, without a minimum; the Newton step lands on (0, 0) from anywhere",
    value=lambda t: t[0] ** 2 - t[1] ** 2,
    gradient=lambda t: np.array([2 * t[0], -2 * t[1]]),
    hessp=lambda t, v: np.array([2 * v[0], -2 * v[1]]),
    gauss_newton=None,
    stationary=(point("saddle", (0, 0), (-2, 2)),),
    start=numbers(1, 0.5),
    window=(-2, 2, -2, 2),
)

# Eigenvalues +-6 sqrt(x^2 + y^2): at the origin H = 0, and what is not a minimum shows in the third order only.
monkey_saddle = Surface(
    "monkey-saddle",
    "x^3 - 3 x y^2, without a minimum; a stationary point whose Hessian is zero",
    value=lambda t: t[0] ** 3 - 3 * t[0] * t[1] ** 2,
    gradient=lambda t: np.array([3 * t[0] ** 2 - 3 * t[1] ** 2, -6 * t[0] * t[1]]),
    hessp=lambda t, v: np.array([6 * t[0] * v[0] - 6 * t[1] * v[1], -6 * t[1] * v[0] - 6 * t[0] * v[1]]),
    gauss_newton=None,
    stationary=(point("degenerate saddle", (0, 0), (0, 0)),),
    start=numbers(1, 0),
    window=(-1.5, 1.5, -1.5, 1.5),
)

# f = (sqrt 2 (1 - x))^2/2 + (10 sqrt 2 (y - x^2))^2/2: G is H without -400 (y - x^2), the only indefinite part.
rosenbrock = Surface(
    "rosenbrock",
    "(1 - x)^2 + 100 (y - x^2)^2, a curved valley (Rosenbrock 1960)",
    value=lambda t: (1 - t[0]) ** 2 + 100 * (t[1] - t[0] ** 2) ** 2,
    gradient=lambda t: np.array(
        [-2 * (1 - t[0]) - 400 * t[0] * (t[1] - t[0] ** 2), 200 * (t[1] - t[0] ** 2)],
    ),
    hessp=lambda t, v: np.array(
        [(2 + 1200 * t[0] ** 2 - 400 * t[1]) * v[0] - 400 * t[0] * v[1], -400 * t[0] * v[0] + 200 * v[1]],
    ),
    gauss_newton=lambda t, v: np.array(
        [(2 + 800 * t[0] ** 2) * v[0] - 400 * t[0] * v[1], -400 * t[0] * v[0] + 200 * v[1]],
    ),
    stationary=(point("minimum", (1, 1), (501 - np.sqrt(250601), 501 + np.sqrt(250601))),),
    start=numbers(-1.2, 1),
    lowest=0.0,
    window=(-2, 2, -1, 3),
)

# A linear network z = w2 w1 x on the one case x = y = 1. The residual is 1 - w1 w2, so J = -(w2, w1) and G = J'J has
# eigenvalues 0 and w1^2 + w2^2. On the diagonal (a, a), 0 < a < 1, g is along p = (1, 1), for which
# p'Hp = 6 a^2 - 2 and p'Gp = 4 a^2: where a^2 < 1/3 the first direction of conjugate gradients has negative curvature.
two_weights = Surface(
    "two-weights",
    "(1 - w1 w2)^2/2, a linear network of two weights; its minima are the curve w1 w2 = 1, two of them listed",
    value=lambda t: (1 - t[0] * t[1]) ** 2 / 2,
    gradient=lambda t: (t[0] * t[1] - 1) * np.array([t[1], t[0]]),
    hessp=lambda t, v: np.array(
        [t[1] ** 2 * v[0] + (2 * t[0] * t[1] - 1) * v[1], (2 * t[0] * t[1] - 1) * v[0] + t[0] ** 2 * v[1]],
    ),
    gauss_newton=lambda t, v: (t[1] * v[0] + t[0] * v[1]) * np.array([t[1], t[0]]),
    stationary=(
        point("saddle", (0, 0), (-1, 1)),
        point("minimum", (1, 1), (0, 2)),
        point("minimum", (-1, -1), (0, 2)),
    ),
    start=numbers(0.5, 0.5),
    lowest=0.0,
    window=(-2, 2, -2, 2),
)


def _wells(name, description, mirror, depths, stiffnesses, start, window=None):
    """The paper's profile along some axes z_i, parabolas along the others, theta = mirror(z) and z = mirror(theta).

    f = sum_i c_i (z_i^4/4 - z_i^2/2) + sum_j lambda_j z_j^2/2, c the depths and lambda the stiffnesses. At the origin
    H has the eigenvalues -c_i and lambda_j; at its lowest points z_i = +-1, z_j = 0, two of which are listed, 2 c_i
    and lambda_j. `mirror` is a symmetric orthogonal matrix, so its own inverse.
    """
    c, stiff, k = np.asarray(depths, float), np.asarray(stiffnesses, float), len(depths)

    def value(theta):
        z, rest = np.split(mirror(theta), [k])
        return c @ (z**4 / 4 - z**2 / 2) + stiff @ rest**2 / 2

    def gradient(theta):
        z, rest = np.split(mirror(theta), [k])
        return mirror(np.concatenate([c * (z**3 - z), stiff * rest]))

    def hessp(theta, v):
        return mirror(np.concatenate([c * (3 * mirror(theta)[:k] ** 2 - 1), stiff]) * mirror(v))

    def gauss_newton(theta, v):
        return mirror(np.concatenate([2 * c * mirror(theta)[:k] ** 2, stiff]) * mirror(v))

    well = mirror(np.repeat([1.0, 0.0], [k, len(stiff)]))
    return Surface(
        name,
        description,
        value,
        gradient,
        hessp,
        gauss_newton,
        stationary=(
            point("saddle", 0 * well, (*-c, *stiff)),
            point("minimum", well, (*2 * c, *stiff)),
            point("minimum", -well, (*2 * c, *stiff)),
        ),
        start=numbers(*start),
        lowest=-float(c.sum()) / 4,
        window=window,
    )


_TURNED = numbers(0.6, 0.8, 0.8, -0.6).reshape(2, 2)

rotated_saddle = _wells(
    "rotated-saddle",
    "the saddle of Figure 2 with turned axes and condition number 1000",
    lambda theta: _TURNED @ theta,
    depths=(1,),
    stiffnesses=(1000,),
    start=(0.8, -0.6),
    window=(-1.5, 1.5, -1.5, 1.5),
)


def high_dimensional(size: int = 100, negative: int = 10) -> Surface:
    """A saddle in `size` dimensions with `negative` negative eigenvalues, bounded below; a product costs O(n log n).

    The eigenvalues at the origin are -1 .. -0.1 in equal steps (-1 alone if `negative` is 1) and 0.1 .. 100 in equal
    ratios, the eigenvectors sine waves (the columns of the type-I discrete sine transform).

    Raises
    ------
    ValueError
        Unless 1 <= negative < size.
    """
    size = checks.positive_integer("size", size)
    negative = checks.positive_integer("negative", negative, maximum=size - 1)
    return _wells(
        "high-dimensional",
        f"{negative} of {size} eigenvalues negative; 2^{negative} minima, two of them listed, all equally low",
        lambda theta: dst(theta, type=1, norm="ortho"),
        depths=np.linspace(1, 0.1, negative),
        stiffnesses=np.geomspace(0.1, 100, size - negative),
        start=np.zeros(size),
    )


def _xor():
    """XOR by a 2-2-1 tanh network and the squared error: theta = (W1 (2, 2), b1, W2, b2), 9 numbers.

    Inputs and targets are +-1, y = -x1 x2. With W2 = 0, b1 = 0, b2 = 0 the output is 0, its error x1 x2, and
    a = tanh(W1'x) is odd: every sum over the four cases that makes the gradient cancels, **whatever W1 is**.
    With W1 = 1 the units are the same, a = (t, t), t = tanh 2, where x1 = x2 and 0 elsewhere. H then couples each
    unit's b1 and W2 by q = mean(x1 x2 (1 - a^2)) = -t^2/2, and the W2 with each other by mean(a a') = t^2/2; b2 has 1,
    W1 nothing. The units' difference has the matrix [[0, q], [q, 0]], their sum [[0, q], [q, t^2]]: the eigenvalues
    are +-t^2/2 and t^2 (1 +- sqrt 2)/2. The most negative belongs to the difference: to learn XOR is to tell the
    units apart.

    `start` has equal units too. Then g has equal entries for both, and so has every step made of g, Hg, ...:
    the units never part (Rumelhart, Hinton and Williams 1986, "breaking symmetry"), and one unit cannot do XOR.
    """
    net = architectures.mlp([2, 2, 1], nonlinearity="tanh", loss="squared_error")
    X = numbers(1, 1, 1, -1, -1, 1, -1, -1).reshape(4, 2)
    y = -X[:, :1] * X[:, 1:]
    t2 = np.tanh(2) ** 2
    # Units tanh(s + 1) and tanh(s - 1), s = x1 + x2, differ by u at s = +-2 and by v at s = 0.
    u, v = np.tanh(3) - np.tanh(1), 2 * np.tanh(1)
    w = 2 / (v - u)
    return Surface(
        "xor",
        "XOR by a 2-2-1 tanh network from two equal hidden units; one of its saddles and one minimum listed",
        value=lambda theta: network.loss_and_gradient(net, theta, X, y)[0] / 4,
        gradient=lambda theta: network.loss_and_gradient(net, theta, X, y)[1] / 4,
        hessp=lambda theta, v: network.hessian_product(net, theta, X, y)(v) / 4,
        gauss_newton=lambda theta, v: network.gauss_newton_product(net, theta, X, y)(v) / 4,
        stationary=(
            point(
                "saddle",
                (1, 1, 1, 1, 0, 0, 0, 0, 0),
                (-t2 / 2, t2 * (1 - np.sqrt(2)) / 2, 0, 0, 0, 0, t2 / 2, 1, t2 * (1 + np.sqrt(2)) / 2),
            ),
            point("minimum", (1, 1, 1, 1, 1, -1, w, -w, 1 - w * v), None),
        ),
        start=numbers(1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0),
        lowest=0.0,
    )


xor = _xor()

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
