"""Problems of the scoreboard: small networks with their reference, and the check of a product on each.

A network is Linear(3, 8), a normalisation, tanh, Linear(8, 3). theta holds its parameters in PyTorch's order and
layout: W (8, 3), b, the normalisation's weight and bias, W2 (3, 8), b2. The loss is a mean over the cases.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import refhf
from refhf.conformance.check_report import CheckReport

CASES, INPUTS, HIDDEN, OUTPUTS, GROUPS = 7, 3, 8, 3, 2
EPSILON = 1e-5
NORMS = {  # name: shape of a case's channels, axis of the mean, shape of weight and bias
    "layer_norm": ((HIDDEN,), 1, (HIDDEN,)),
    "batch_norm": ((HIDDEN,), 0, (HIDDEN,)),
    "instance_norm": ((GROUPS, HIDDEN // GROUPS), 2, (GROUPS, 1)),
    "group_norm": ((GROUPS, HIDDEN // GROUPS), 2, (GROUPS, HIDDEN // GROUPS)),
    "rms_norm": ((HIDDEN,), 1, (HIDDEN,)),  # no mean is subtracted, and there is no bias
}


class NotOfferedError(Exception):
    """The library has no route for this problem; the text is the reason."""


class Problem(NamedTuple):
    """A network, its cases, and the curvature that is asked for: hessian or gauss-newton."""

    topic: str
    curvature: str
    loss: str
    norm: str | None
    X: np.ndarray
    y: np.ndarray
    theta: np.ndarray

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """The shapes of the parameters in theta."""
        affine = [NORMS[self.norm][2]] * (1 if self.norm == "rms_norm" else 2) if self.norm else []
        return [(HIDDEN, INPUTS), (HIDDEN,), *affine, (OUTPUTS, HIDDEN), (OUTPUTS,)]

    def parts(self, theta: Any) -> list[Any]:
        """Parameters from a vector of any library."""
        ends = np.cumsum([int(np.prod(shape)) for shape in self.shapes]).tolist()
        return [
            theta[end - int(np.prod(shape)) : end].reshape(shape) for end, shape in zip(ends, self.shapes, strict=True)
        ]


def make(topic: str, curvature: str, loss: str, norm: str | None = None) -> Problem:
    """A problem with random cases and a random theta, the same on every call."""
    rng = np.random.default_rng(15)
    X = rng.normal(size=(CASES, INPUTS))
    y = rng.integers(OUTPUTS, size=CASES) if loss == "softmax_cross_entropy" else rng.normal(size=(CASES, OUTPUTS))
    problem = Problem(topic, curvature, loss, norm, X, y, np.zeros(0))
    size = sum(int(np.prod(shape)) for shape in problem.shapes)
    return problem._replace(theta=rng.normal(size=size) / 2)


PROBLEMS = [
    make("H cross-entropy", "hessian", "softmax_cross_entropy"),
    make("H squared error", "hessian", "squared_error"),
    *(make(f"H {norm}", "hessian", "softmax_cross_entropy", norm) for norm in NORMS),
    make("G cross-entropy", "gauss-newton", "softmax_cross_entropy"),
    make("G squared error", "gauss-newton", "squared_error"),
]


def forward(xp: Any, problem: Problem, theta: Any, X: Any) -> Any:
    """The outputs z (B, 3) in the arrays of a library with NumPy's names, the normalisation written out."""
    W, b, *affine, W2, b2 = problem.parts(theta)
    s = X @ W.T + b
    if problem.norm:
        shape, axis, _ = NORMS[problem.norm]
        s = s.reshape((CASES, *shape))
        if problem.norm != "rms_norm":
            s = s - xp.mean(s, axis=axis, keepdims=True)
        n = s / xp.sqrt(xp.mean(s * s, axis=axis, keepdims=True) + EPSILON)
        s = (n * affine[0] + (affine[1] if len(affine) > 1 else 0.0)).reshape((CASES, HIDDEN))
    return xp.tanh(s) @ W2.T + b2


def mean_loss(xp: Any, problem: Problem, z: Any, y: Any) -> Any:
    """The mean loss of outputs z in the arrays of a library with NumPy's names."""
    if problem.loss == "squared_error":
        return xp.sum((z - y) ** 2) / 2 / CASES
    shifted = z - xp.max(z, axis=1, keepdims=True)
    return (xp.sum(xp.log(xp.sum(xp.exp(shifted), axis=1))) - xp.sum(shifted * np.eye(OUTPUTS)[problem.y])) / CASES


def gradient(problem: Problem, theta: np.ndarray) -> np.ndarray:
    """The gradient by the chain rule, in NumPy; analytic, so that it takes a complex theta."""
    W, b, *affine, W2, b2 = problem.parts(theta)
    s = problem.X @ W.T + b
    shape, axis, _ = NORMS[problem.norm]
    c = s.reshape(CASES, *shape)
    c = c if problem.norm == "rms_norm" else c - c.mean(axis, keepdims=True)
    r = 1 / np.sqrt((c * c).mean(axis, keepdims=True) + EPSILON)
    n = c * r
    a = np.tanh(n * affine[0] + (affine[1] if len(affine) > 1 else 0.0))
    z = a.reshape(CASES, HIDDEN) @ W2.T + b2
    e = np.exp(z - z.real.max(1, keepdims=True))
    Dz = (e / e.sum(1, keepdims=True) - np.eye(OUTPUTS)[problem.y]) / CASES
    Da = (Dz @ W2).reshape(a.shape) * (1 - a * a)
    slopes = [Da * n, Da][: len(affine)]
    Dn = Da * affine[0]
    centred = Dn - n * (Dn * n).mean(axis, keepdims=True)
    centred = centred if problem.norm == "rms_norm" else centred - Dn.mean(axis, keepdims=True)
    Ds = (centred * r).reshape(CASES, HIDDEN)
    slopes = [D.sum(0).sum(-1) if problem.norm == "instance_norm" else D.sum(0) for D in slopes]
    parts = [Ds.T @ problem.X, Ds.sum(0), *slopes, Dz.T @ a.reshape(CASES, HIDDEN), Dz.sum(0)]
    return np.concatenate([part.ravel() for part in parts])


def reference(problem: Problem) -> Any:
    """refhf's objective; there is none for a normalisation."""
    net = refhf.mlp([INPUTS, HIDDEN, OUTPUTS], nonlinearity="tanh", loss=problem.loss)
    return refhf.supervised(net, problem.X, problem.y)


def check(problem: Problem, product: Callable[..., Any]) -> CheckReport:
    """The kit's report on product(theta, v), of NumPy vectors in PyTorch's layout."""
    if problem.norm:
        return refhf.check_hessian_product(product, problem.theta, gradient=lambda theta: gradient(problem, theta))
    checker = refhf.check_hessian_product if problem.curvature == "hessian" else refhf.check_gauss_newton_product
    return checker(product, problem.theta, reference(problem), layout="out-in")
