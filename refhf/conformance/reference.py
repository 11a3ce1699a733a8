"""An objective as something to hold others against: in float64, with what rounding may make of its answers."""

import copy
from collections.abc import Callable
from typing import NamedTuple
from zlib import crc32

import numpy as np

from refhf.conformance import oracles
from refhf.conformance.mistakes.wrong_derivatives import Problem
from refhf.conformance.oracles import norm
from refhf.model import network
from refhf.model.chain import Chain
from refhf.model.elementwise import Activation
from refhf.objective.protocol import Objective
from refhf.objective.supervised import Supervised

# A correct answer is right to FLOOR of its size (promise R1; our choice for float32), or to SAFETY times what moving
# theta, v and the data by a few roundings does to the reference, whichever is more. SAFETY is our choice, by
# tests/test_conformance.py: of 2,000 correct answers the furthest off came to a twentieth of its tolerance.
FLOOR = {np.dtype(np.float64): 1e-12, np.dtype(np.float32): 1e-5}
SAFETY = 30
SMALL = 1e-3  # a product below this part of ||H|| ||v|| is judged by that part, lest cancellation be a fault


class Block(NamedTuple):
    """A part of theta: its name and its indices."""

    name: str
    indices: np.ndarray


def blocks(net: network.Network) -> list[Block]:
    """W_1, b_1, W_2, ..."""
    pairs = enumerate(net.unpack(np.arange(net.size)), 1)
    parts = [(f"{letter}_{l}", x) for l, pair in pairs for letter, x in zip("Wb", pair, strict=True)]
    return [Block(name, x.ravel()) for name, x in parts if x.size]


def out_in(net: network.Network) -> np.ndarray:
    """The indices (P,) with ours = theirs[indices], theirs having each W with its output axis first, input second."""
    theirs = []
    for W, b in net.unpack(np.arange(net.size)):
        theirs += [W.transpose(W.ndim - 1, W.ndim - 2, *range(W.ndim - 2)).ravel(), b.ravel()]
    return np.argsort(np.concatenate(theirs))


def bias_first(net: network.Network) -> np.ndarray:
    """The same, each layer's bias standing before its weights."""
    parts = net.unpack(np.arange(net.size))
    return np.argsort(np.concatenate([x.ravel() for W, b in parts for x in (b, W)]))


class Reference:
    """An objective's value, gradient and products in float64, with tolerances.

    Parameters
    ----------
    objective : Objective
        Of one process, its cases in memory.
    dtype : float32 or float64
        Of those who are held against it.
    order : ndarray of int (P,) or None
        ours = theirs[order], where theirs is another layout of theta.
    """

    def __init__(self, objective: Objective, dtype, rng, order=None):
        if isinstance(objective, Supervised) and not (isinstance(objective.X, np.ndarray) and objective.comm.size == 1):
            raise ValueError("reference: expected the objective of one process, its cases in memory; got another")
        self.dtype, self.rng, self.eps = np.dtype(dtype), np.random.default_rng(rng), float(np.finfo(dtype).eps)
        self.net, self.order = getattr(objective, "net", None), order
        self.cases, self.l2 = objective.cases, getattr(objective, "l2", 0.0)
        self.objective = _cast(objective, np.float64)
        self.near = [self._moved(objective) for _ in range(oracles.DRAWS)]
        self.single = _cast(objective, np.float32) if dtype == np.float32 else None
        self._kept = {}

    @property
    def problem(self) -> Problem | None:
        """The network and its cases, targets (B, n_L); None where there is no network."""
        if not self.net:
            return None
        y, outputs = self.objective.y, self.net.outputs
        return Problem(self.net, self.objective.X, np.eye(outputs)[y] if y.ndim == 1 else y, self.l2)

    def value(self, theta) -> tuple[float, float]:
        """f(theta), and a tolerance."""
        f, *others = (float(f) for f in self._everywhere(lambda objective, at: objective.value(at), theta))
        return f, self._tolerance(abs(f), max(abs(other - f) for other in others))

    def gradient(self, theta) -> tuple[np.ndarray, float]:
        """The gradient (P,), and a tolerance."""
        g, *others = self._everywhere(lambda objective, at: objective.value_and_gradient(at)[1], theta)
        return g, self._tolerance(norm(g), max(norm(other - g) for other in others))

    def product(self, kind: str) -> Callable:
        """(theta, v) -> the product with v (P,) of the `kind` 'hessian' or 'gauss-newton', and a tolerance."""
        scale = 0.0  # of the matrix, as far as it was seen

        def at(theta, v):
            nonlocal scale
            with np.errstate(all="ignore"):
                A, *others = self._operators(kind, theta)
                want = A @ v
                far = max(norm(B @ oracles.moved(v, self.eps, self.rng) - want) for B in others)
            scale = max(scale, norm(want) / norm(v))
            return want, self._tolerance(max(norm(want), SMALL * scale * norm(v)), far)

        return at

    def complex_step(self, theta, v) -> np.ndarray | None:
        """H v by a complex step of the gradient's two sweeps; None where there is no network."""
        if not self.net:
            return None
        X, y, rows = self.objective.X, self.objective.y, self.objective.chunk_size

        def gradient(theta):
            parts = (slice(start, start + rows) for start in range(0, len(X), rows))
            total = sum(network.loss_and_gradient(self.net, theta, X[part], y[part])[1] for part in parts)
            return total / self.cases + self.l2 * theta

        return oracles.complex_step(gradient, theta, v)

    def _tolerance(self, size, far):
        if not np.isfinite(size):
            raise ValueError("theta: expected a point where the reference is finite; got one where it is not")
        return max(FLOOR[self.dtype] * size, SAFETY * far)

    def _everywhere(self, function, theta):
        """function(objective, theta) here, at moved theta with moved data, and in float32 if that is the dtype."""
        near = [(objective, oracles.moved(theta, self.eps, self.rng)) for objective in self.near]
        single = [(self.single, theta.astype(np.float32))] if self.single else []
        with np.errstate(all="ignore"):
            return [function(objective, at) for objective, at in ((self.objective, theta), *near, *single)]

    def _operators(self, kind, theta):
        key = kind, theta.tobytes()
        if key not in self._kept:
            matrix = "hessian" if kind == "hessian" else "gauss_newton"
            self._kept[key] = self._everywhere(lambda objective, at: getattr(objective, matrix)(at), theta)
        return self._kept[key]

    def _moved(self, objective):
        """The objective with all moved that is rounded on the way: cases, targets, f', f'' and H_L Rz.

        p - y, 1 - tanh(s)^2 and p (1 - p) are differences of numbers of about 1, in the one code or in the other.
        """
        if not isinstance(objective, Supervised):
            return objective
        other, net, y = copy.copy(objective), objective.net, objective.y
        other.X = oracles.moved(objective.X.astype(np.float64), self.eps, self.rng)
        if net.loss.labels:
            y = np.eye(net.outputs)[y] if y.ndim == 1 else y.astype(np.float64)
            y = y + _noise(np.ones_like(y), self.eps, self.rng)
        other.y, other.dtype = y, other.X.dtype
        other.net = net._replace(
            loss=net.loss._replace(hessian=self._noisy_loss(net.loss)) if net.loss.labels else net.loss,
            chain=Chain(tuple(map(self._noisy, net.chain.blocks))),
        )
        return other

    def _noisy(self, block):
        """The block; of an analytic activation, with derivatives that are a few roundings off."""
        if not isinstance(block, Activation) or not block.nonlinearity.analytic:
            return block
        f = block.nonlinearity

        def noisy(function):
            return lambda s: function(s) + _noise(np.ones_like(s), self.eps, _keyed_by(s)) * (f.name != "identity")

        return Activation(f._replace(d=noisy(f.d), dd=noisy(f.dd)))

    def _noisy_loss(self, loss):
        def hessian(z, y):
            of = loss.hessian(z, y)
            return lambda Rz: of(Rz) + _noise(Rz, self.eps, _keyed_by(Rz))

        return hessian


def _noise(x, eps, rng):
    """A few roundings of numbers as large as x."""
    return oracles.ROUNDINGS * eps * np.abs(x) * rng.standard_normal(np.shape(x))


def _keyed_by(x):
    """A Generator of these numbers, whatever the order in which threads ask."""
    return np.random.default_rng(crc32(np.ascontiguousarray(x)))


def _cast(objective, dtype):
    """The objective in another precision; itself where it has no data."""
    if not isinstance(objective, Supervised):
        return objective
    other, y = copy.copy(objective), objective.y
    other.X = objective.X.astype(dtype)
    other.y, other.dtype = y if y.dtype.kind in "iu" else y.astype(dtype), other.X.dtype
    return other
