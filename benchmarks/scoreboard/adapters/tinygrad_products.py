"""tinygrad: Hessian products by gradient of gradient."""

import numpy as np
from problems import CASES, EPSILON, GROUPS, HIDDEN
from tinygrad import Tensor, dtypes

PACKAGE = "tinygrad"


def normalised(problem, s, affine):
    """The library's own functions, and its moments for instance_norm."""
    if problem.norm == "layer_norm":
        return s.layernorm(eps=EPSILON) * affine[0] + affine[1]
    if problem.norm == "batch_norm":
        scale = (s.var(axis=0, correction=0) + EPSILON).rsqrt()
        return s.batchnorm(affine[0], affine[1], s.mean(axis=0), scale)
    if problem.norm in ("group_norm", "instance_norm"):
        n = s.reshape(CASES, GROUPS, HIDDEN // GROUPS).layernorm(eps=EPSILON)
        return n * affine[0] + affine[1]
    return s * (s.square().mean(axis=1, keepdim=True) + EPSILON).rsqrt() * affine[0]


def product_of(problem):
    def f(theta):
        ends = np.cumsum([int(np.prod(shape)) for shape in problem.shapes]).tolist()
        parts = [theta[end - int(np.prod(s)) : end].reshape(s) for end, s in zip(ends, problem.shapes, strict=True)]
        W, b, *affine, W2, b2 = parts
        s = Tensor(problem.X) @ W.T + b
        s = normalised(problem, s, affine) if problem.norm else s
        z = s.reshape(CASES, HIDDEN).tanh() @ W2.T + b2
        if problem.loss == "squared_error":
            return (z - Tensor(problem.y)).square().sum() / 2 / CASES
        return z.cross_entropy(Tensor(problem.y))

    def product(theta, v):
        theta = Tensor(theta, dtype=dtypes.double)
        (g,) = f(theta).gradient(theta)
        (hv,) = (g * Tensor(v, dtype=dtypes.double)).sum().gradient(theta)
        return hv.numpy()

    return product


HESSIAN = {"gradient of gradient": product_of}
