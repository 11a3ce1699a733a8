"""Objective: value, gradient, curvature and sampling; what every method sees, and all it sees.

f(theta) = (1/B) sum of the cases' losses + l2/2 ||theta||^2, with its gradient g, its Hessian H and its
Gauss-Newton matrix G = J' H_L J / B + l2 I. Weight decay enters all four alike.

Losses, gradients and products are summed over chunks of cases, and divided by B once.
"""

import itertools
from collections.abc import Callable
from typing import Protocol

import numpy as np
from scipy.sparse.linalg import LinearOperator

from refhf import checks
from refhf.model import network
from refhf.model.network import Network

CHUNK_SIZE = 2048  # cases; our choice, by `python benchmarks/chunk_size.py`: larger ones are no faster
TAPE_BYTES = 2**30  # our choice: the tapes a curvature operator may keep; beyond it chunks are swept anew


class Objective(Protocol):
    """What a method may ask of a function of theta (P,).

    `size` is P, None where any will do; `cases` the number of cases behind it (1 for a function without data,
    which samples itself); `dtype` that of its vectors; `curvatures` which of 'hessian', 'gauss-newton' it has.
    """

    size: int | None
    cases: int
    dtype: np.dtype
    curvatures: frozenset

    def value(self, theta) -> float:
        """f(theta)."""

    def value_and_gradient(self, theta) -> tuple[float, np.ndarray]:
        """f(theta) and its gradient (P,)."""

    def hessian(self, theta) -> LinearOperator:
        """H (P, P) at theta."""

    def gauss_newton(self, theta) -> LinearOperator:
        """G (P, P) at theta."""

    def sample(self, cases: int, *, rng=None) -> "Objective":
        """The same objective on some of its cases."""


def operator(product: Callable, size: int, dtype) -> LinearOperator:
    """A symmetric scipy LinearOperator (P, P) over a product v (P,) -> (P,)."""
    return LinearOperator((size, size), matvec=product, rmatvec=product, dtype=dtype)


class Supervised:
    """The mean loss of a network over cases, plus weight decay. Made by `supervised`."""

    curvatures = frozenset({"hessian", "gauss-newton"})

    def __init__(self, net: Network, X, y, l2: float, chunk_size: int):
        self.net, self.X, self.y, self.l2, self.chunk_size = net, X, y, l2, chunk_size
        self.size, self.cases, self.dtype = net.size, len(X), X.dtype

    def value(self, theta) -> float:
        """f(theta), a float; sums are accumulated in float64."""
        theta = self._theta(theta)
        losses = [self.net.loss.value(network.forward(self.net, theta, X).z, y) for X, y in self._chunks()]
        return float(sum(losses)) / self.cases + self._decay(theta)

    def value_and_gradient(self, theta) -> tuple[float, np.ndarray]:
        """f(theta) and its gradient (P,)."""
        theta = self._theta(theta)
        loss, gradient = 0.0, np.zeros(self.size, self.dtype)
        for X, y in self._chunks():
            chunk_loss, chunk_gradient = network.loss_and_gradient(self.net, theta, X, y)
            loss += chunk_loss
            gradient += chunk_gradient
        gradient /= self.cases
        gradient += self.l2 * theta
        return float(loss) / self.cases + self._decay(theta), gradient

    def hessian(self, theta) -> LinearOperator:
        """H (P, P) at theta, exact: each H @ v is one R-forward and one R-backward sweep over a kept tape."""
        return self._curvature(network.hessian_product, theta)

    def gauss_newton(self, theta) -> LinearOperator:
        """G (P, P) at theta, positive semidefinite: J' H_L J / B + l2 I (Schraudolph 2002, section 3)."""
        return self._curvature(network.gauss_newton_product, theta)

    def sample(self, cases: int, *, rng=None) -> "Supervised":
        """The same objective on `cases` cases, drawn without replacement."""
        cases = checks.positive_integer("cases", cases)
        if cases > self.cases:
            raise ValueError(f"cases: expected at most the {self.cases} cases there are; got {cases}")
        drawn = np.random.default_rng(rng).choice(self.cases, cases, replace=False, shuffle=False)
        drawn.sort()
        return Supervised(self.net, self.X[drawn], self.y[drawn], self.l2, self.chunk_size)

    def gradient_squares(self, theta):
        """The mean over cases of g_i * g_i, plus l2 (P,): Martens 2010, section 4.7, and his code's weight decay."""
        theta = self._theta(theta)
        parts = [network.gradient_squares(self.net, theta, X, y) for X, y in self._chunks()]
        return sum(parts) / self.cases + self.l2

    def predict(self, theta, X):
        """The network's answer (B, n_L) for other inputs X (B, n_0)."""
        return self.net.predict(self._theta(theta), checks.array("X", X, (None, self.X.shape[1]), self.dtype))

    def error(self, theta) -> float:
        """The fraction of cases whose predicted class is not the label's (labels, or one column a class)."""
        theta, wrong = self._theta(theta), 0
        for X, y in self._chunks():
            z = network.forward(self.net, theta, X).z
            said = z[:, 0] > 0 if z.shape[1] == 1 else z.argmax(axis=1)
            truth = y if y.ndim == 1 else (y[:, 0] > 0.5 if y.shape[1] == 1 else y.argmax(axis=1))
            wrong += int((said != truth).sum())
        return wrong / self.cases

    def _theta(self, theta):
        return checks.vector("theta", theta, self.size, self.dtype)

    def _decay(self, theta):
        return 0.5 * self.l2 * float(np.vdot(theta, theta)) if self.l2 else 0.0

    def _chunks(self):
        for start in range(0, self.cases, self.chunk_size):
            rows = slice(start, start + self.chunk_size)
            yield self.X[rows], self.y[rows]

    def _curvature(self, linearise, theta):
        theta, chunks = self._theta(theta).copy(), list(self._chunks())
        # Kept a case: inputs, s, a, f', delta and bend of each layer, z and what the loss keeps of it.
        widths = sum(4 * layer.n_out for layer in self.net.layers)
        kept = max(1, TAPE_BYTES // (widths * self.dtype.itemsize * self.chunk_size))
        products = [linearise(self.net, theta, X, y) for X, y in chunks[:kept]]

        def product(v):
            v = np.ascontiguousarray(v, self.dtype).reshape(-1)
            fresh = (linearise(self.net, theta, X, y) for X, y in chunks[kept:])
            parts = (chunk(v) for chunk in itertools.chain(products, fresh))
            total = next(parts)
            for part in parts:
                total += part
            total /= self.cases
            if self.l2:
                total += self.l2 * v
            return total

        return operator(product, self.size, self.dtype)


def supervised(net: Network, X, y, *, l2: float = 0.0, chunk_size: int = CHUNK_SIZE) -> Supervised:
    """The mean loss of `net` over the cases (X, y), plus l2/2 ||theta||^2.

    Parameters
    ----------
    net : Network
    X : array (B, n_0)
        Cases in rows. Computation is in X's dtype if that is float32 or float64, else in float64.
    y : array (B,) of int, or (B, n_L)
        Labels 0 .. n_L - 1 for the cross-entropies (0 or 1 where n_L = 1), or targets. Targets of the softmax
        cross-entropy are distributions, of the logistic one probabilities.
    l2 : float
        Weight decay, on every parameter, biases included.
    chunk_size : int
        Cases swept at once; memory grows with it and not with B.

    Raises
    ------
    ValueError
        Naming the argument, what was expected and what came.
    """
    X = checks.array("X", X, (None, net.layers[0].n_in))
    if len(X) == 0:
        raise ValueError("X: expected at least one case; got none")
    y = _targets(net, y, len(X), X.dtype)
    l2 = checks.real("l2", l2, low=0.0)
    return Supervised(net, X, y, l2, checks.positive_integer("chunk_size", chunk_size))


def _targets(net, y, cases, dtype):
    y, outputs = np.asarray(y), net.layers[-1].n_out
    if not (net.loss.labels and y.ndim == 1):
        y = checks.array("y", y, (cases, outputs), dtype)
        if net.loss.labels and (y.min() < 0 or y.max() > 1):
            raise ValueError(f"y: expected targets in [0, 1]; got one of {y[(y < 0) | (y > 1)][0]:g}")
        if net.loss.name == "softmax_cross_entropy" and abs(y.sum(axis=1) - 1).max() > 1e-5:  # our choice
            raise ValueError(f"y: expected rows that sum to 1; got one that sums to {_furthest(y.sum(axis=1), 1):g}")
        return y
    if y.shape != (cases,):
        raise ValueError(f"y: expected {cases} labels, one a case of X; got {len(y)}")
    if y.dtype.kind not in "iu":
        raise ValueError(f"y: expected integer labels; got dtype {y.dtype}")
    classes = max(outputs, 2)
    if y.min() < 0 or y.max() >= classes:
        raise ValueError(f"y: expected labels in 0 .. {classes - 1}; got {y[(y < 0) | (y >= classes)][0]}")
    y = y.astype(np.intp)
    if net.loss.name == "logistic_cross_entropy":
        return (y[:, None] if outputs == 1 else np.eye(outputs)[y]).astype(dtype)
    return y


def _furthest(x, target):
    return x[abs(x - target).argmax()]
