"""Saddles between wells in any number of dimensions: the paper's profile along some axes, parabolas along others."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.fft import dst

from refhf import checks
from refhf.surfaces.stationary_points import Surface, numbers, point


class Wells(NamedTuple):
    """f = sum_i c_i (z_i^4/4 - z_i^2/2) + sum_j lambda_j z_j^2/2 of z = mirror(theta), mirror its own inverse."""

    mirror: Callable
    depths: np.ndarray
    stiffnesses: np.ndarray

    def value(self, theta):
        """f(theta)."""
        z, rest = self._split(theta)
        return self.depths @ (z**4 / 4 - z**2 / 2) + self.stiffnesses @ rest**2 / 2

    def gradient(self, theta):
        """g (P,)."""
        z, rest = self._split(theta)
        return self.mirror(np.concatenate([self.depths * (z**3 - z), self.stiffnesses * rest]))

    def hessp(self, theta, v):
        """H v (P,)."""
        return self._scaled(self.depths * (3 * self._split(theta)[0] ** 2 - 1), v)

    def gauss_newton(self, theta, v):
        """G v (P,)."""
        return self._scaled(2 * self.depths * self._split(theta)[0] ** 2, v)

    def _split(self, theta):
        return np.split(self.mirror(theta), [len(self.depths)])

    def _scaled(self, curvatures, v):
        return self.mirror(np.concatenate([curvatures, self.stiffnesses]) * self.mirror(v))


def _wells(name, description, mirror, depths, stiffnesses, start, window=None):
    """The paper's profile along some axes z_i, parabolas along the others, theta = mirror(z) and z = mirror(theta).

    f = sum_i c_i (z_i^4/4 - z_i^2/2) + sum_j lambda_j z_j^2/2, c the depths and lambda the stiffnesses. At the origin
    H has the eigenvalues -c_i and lambda_j; at its lowest points z_i = +-1, z_j = 0, two of which are listed, 2 c_i
    and lambda_j. `mirror` is a symmetric orthogonal matrix, so its own inverse.
    """
    c, stiff = np.asarray(depths, float), np.asarray(stiffnesses, float)
    f, k = Wells(mirror, c, stiff), len(c)
    well = mirror(np.repeat([1.0, 0.0], [k, len(stiff)]))
    return Surface(
        name,
        description,
        f.value,
        f.gradient,
        f.hessp,
        f.gauss_newton,
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
    partial(np.matmul, _TURNED),
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
        f"{negative} of {size} eigenvalues negative; 2^{negative} minima, all equally low, two of them listed",
        partial(dst, type=1, norm="ortho"),
        depths=np.linspace(1, 0.1, negative),
        stiffnesses=np.geomspace(0.1, 100, size - negative),
        start=np.zeros(size),
    )
