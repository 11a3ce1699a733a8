"""Reference values of an objective in float64, with tolerances that account for rounding in user code."""

import copy
from collections.abc import Callable
from functools import cached_property
from typing import Any
from zlib import crc32

import numpy as np

from refhf.conformance import oracles
from refhf.conformance.oracles import norm
from refhf.model import network
from refhf.model.blocks import Array
from refhf.model.chain import Chain
from refhf.model.elementwise import Activation
from refhf.model.residual import Residual
from refhf.objective.case_data import Data
from refhf.objective.case_sums import chunks
from refhf.objective.supervised import Supervised

# A correct result agrees to FLOOR, relative (promise R1; our choice for float32), or to SAFETY times the change of the
# reference when theta, v and the data are perturbed by a few roundings, whichever is larger. SAFETY is our choice:
# in tests/test_conformance.py the largest error of 2,000 correct results was a twentieth of its tolerance.
FLOOR = {np.dtype(np.float64): 1e-12, np.dtype(np.float32): 1e-5}
SAFETY = 30
MATRICES = {"hessian": "hessian", "gauss-newton": "gauss_newton"}
SMALL = 1e-3  # a product smaller than this share of ||H|| ||v|| has that share as its scale: cancellation is no fault


class Reference:
    """Value, gradient and products of an objective in float64, with tolerances.

    Parameters
    ----------
    objective : Objective
        The objective of one process, with its cases in memory.
    dtype : float32 or float64
        The precision of the user's functions.
    order : ndarray of int (P,) or None
        ours = theirs[order], where theirs is another layout of theta.
    """

    def __init__(self, objective: Any, dtype: Any, rng: Any, order: Array | None = None) -> None:
        if isinstance(objective, Supervised) and not (isinstance(objective.X, np.ndarray) and objective.comm.size == 1):
            raise ValueError("reference: expected an objective of one process with its cases in memory; got another")
        self.dtype, self.rng, self.eps = np.dtype(dtype), np.random.default_rng(rng), float(np.finfo(dtype).eps)
        self.net: network.Network | None = getattr(objective, "net", None)
        self.order = order
        self.cases, self.l2 = objective.cases, getattr(objective, "l2", 0.0)
        self.given, self.objective = objective, _cast(objective, np.float64)
        self.single = _cast(objective, np.float32) if dtype == np.float32 else None
        self._linearised: dict[tuple[str, bytes], list[Any]] = {}

    @cached_property
    def perturbed(self) -> list[Any]:
        """The objective with a few roundings added, some times."""
        return [self._moved(self.given) for _ in range(oracles.DRAWS)]

    def value(self, theta: Array) -> tuple[float, float]:
        """f(theta) and its tolerance."""
        f, *others = (float(f) for f in self._everywhere(lambda objective, at: objective.value(at), theta))
        return f, self._tolerance(abs(f), max(abs(other - f) for other in others))

    def gradient(self, theta: Array) -> tuple[Array, float]:
        """The gradient (P,) and its tolerance."""
        g, *others = self._everywhere(lambda objective, at: objective.value_and_gradient(at)[1], theta)
        return g, self._tolerance(norm(g), max(norm(other - g) for other in others))

    def product(self, kind: str) -> Callable[[Array, Array], tuple[Array, float]]:
        """The function (theta, v) -> (product (P,), tolerance) of the `kind` 'hessian' or 'gauss-newton'."""
        scale = 0.0  # largest ||A v|| / ||v|| so far

        def at(theta: Array, v: Array) -> tuple[Array, float]:
            nonlocal scale
            with np.errstate(all="ignore"):
                A, *others = self._operators(kind, theta)
                want = A @ v
                far = max(norm(B @ oracles.moved(v, self.eps, self.rng) - want) for B in others)
            scale = max(scale, norm(want) / norm(v))
            return want, self._tolerance(max(norm(want), SMALL * scale * norm(v)), far)

        return at

    def rough_product(self, kind: str, theta: Array, v: Array) -> Array:
        """The product (P,) without its tolerance, at a fifth of the cost."""
        with np.errstate(all="ignore"):
            return getattr(self.objective, MATRICES[kind])(theta) @ v

    def complex_step(self, theta: Array, v: Array) -> Array | None:
        """H v as a complex step of the forward and backward sweeps; None without a network."""
        if self.net is None:
            return None
        objective = self.objective
        if objective.curvature_statistics == "frozen":
            objective = objective.frozen(objective.statistics(theta))
        net, X, y = objective.net, objective.X, objective.y

        def gradient(theta: Array) -> Any:
            parts = chunks(slice(0, len(X)), objective.chunk_size, net.group)
            total = sum(network.loss_and_gradient(net, theta, X[part], y[part])[1] for part in parts)
            return total / objective.divisor + self.l2 * theta

        return oracles.complex_step(gradient, theta, v)

    def _tolerance(self, size: float, far: float) -> float:
        if not np.isfinite(size):
            raise ValueError("theta: expected a point at which the reference is finite; got one at which it is not")
        return max(FLOOR[self.dtype] * size, SAFETY * far)

    def _everywhere(self, function: Callable[[Any, Array], Any], theta: Array) -> list[Any]:
        """function(objective, theta): exact, with perturbed theta and data, and in float32 if that is the dtype."""
        near = [(objective, oracles.moved(theta, self.eps, self.rng)) for objective in self.perturbed]
        single = [(self.single, theta.astype(np.float32))] if self.single else []
        with np.errstate(all="ignore"):
            return [function(objective, at) for objective, at in ((self.objective, theta), *near, *single)]

    def _operators(self, kind: str, theta: Array) -> list[Any]:
        key = kind, theta.tobytes()
        if key not in self._linearised:
            self._linearised[key] = self._everywhere(
                lambda objective, at: getattr(objective, MATRICES[kind])(at), theta
            )
        return self._linearised[key]

    def _moved(self, objective: Any) -> Any:
        """The objective with a few roundings added to the cases, targets, f', f'' and H_L Rz.

        User code may compute p - y, 1 - tanh(s)^2 and p (1 - p) as differences of numbers near 1.
        """
        if not isinstance(objective, Supervised):
            return objective
        net, y = objective.net, one_hot(objective.y, objective.net.outputs).astype(np.float64)
        if net.loss.labels:
            y = y + _noise(np.ones_like(y), self.eps, self.rng)
        other = _with_data(objective, moved_inputs(objective.X, self.eps, self.rng), y, np.float64)
        other.net = net._replace(
            loss=net.loss._replace(hessian=self._noisy_loss(net.loss)) if net.loss.labels else net.loss,
            chain=mapped(self._noisy, net.chain),
        )
        return other

    def _noisy(self, block: Any) -> Any:
        """The block; an analytic activation gets derivatives with a few roundings of noise."""
        if not isinstance(block, Activation) or not block.nonlinearity.analytic:
            return block
        f = block.nonlinearity

        def noisy(function: Callable[[Array], Array]) -> Callable[[Array], Array]:
            return lambda s: function(s) + _noise(np.ones_like(s), self.eps, _keyed_by(s)) * (f.name != "identity")

        return Activation(f._replace(d=noisy(f.d), dd=noisy(f.dd)))

    def _noisy_loss(self, loss: Any) -> Callable[[Array, Array], Callable[[Array], Array]]:
        def hessian(z: Array, y: Array) -> Callable[[Array], Array]:
            product = loss.hessian(z, y)
            return lambda Rz: product(Rz) + _noise(Rz, self.eps, _keyed_by(Rz))

        return hessian


def _noise(x: Array, eps: float, rng: np.random.Generator) -> Array:
    """Random noise of a few roundings of x."""
    return oracles.ROUNDINGS * eps * np.abs(x) * rng.standard_normal(np.shape(x))


def _keyed_by(x: Array) -> np.random.Generator:
    """A generator keyed by the numbers of x, so that the order of threads does not matter."""
    return np.random.default_rng(crc32(np.ascontiguousarray(x).data))


def _cast(objective: Any, dtype: Any) -> Any:
    """The objective in another precision; the same object if it has no data."""
    if not isinstance(objective, Supervised):
        return objective
    X, y = (x if x.dtype.kind in "iu" else x.astype(dtype) for x in (objective.X, objective.y))
    return _with_data(objective, X, y, dtype)


def _with_data(objective: Supervised, X: Array, y: Array, dtype: Any) -> Supervised:
    other = copy.copy(objective)
    other.data = other.X, other.y, other.dtype = Data(X, y, np.dtype(dtype))
    return other


def moved_inputs(X: Array, eps: float, rng: np.random.Generator) -> Array:
    """X in float64 with a few roundings added; tokens stay as they are."""
    return X if X.dtype.kind in "iu" else oracles.moved(X.astype(np.float64), eps, rng)


def one_hot(y: Array, outputs: int) -> Array:
    """Targets (..., n_L) of labels (...); targets stay as they are."""
    return np.eye(outputs)[y] if y.dtype.kind in "iu" else y


def mapped(change: Callable[[Any], Any], block: Any) -> Any:
    """The block, with each block that it is made of changed."""
    if isinstance(block, Chain):
        return Chain(tuple(mapped(change, inner) for inner in block.blocks))
    if isinstance(block, Residual):
        return Residual(mapped(change, block.main), mapped(change, block.shortcut))
    return change(block)
