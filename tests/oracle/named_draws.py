"""Random numbers keyed by the name of a vector, so that a new vector changes no other."""

import zlib

import numpy as np


def draws(name):
    """A generator keyed by a name."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def decimals(rng, n, size=1.0):
    """n numbers in (-size, size), rounded to three decimals."""
    return [round(int(k) * size / 1000, 3) for k in rng.integers(-999, 1000, n)]


def integers(rng, n, most):
    """n integers in [-most, most], as floats."""
    return [float(k) for k in rng.integers(-most, most + 1, n)]
