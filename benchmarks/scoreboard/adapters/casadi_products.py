"""CasADi: the Hessian, and products by gradient of a directional derivative."""

import casadi as ca
import numpy as np
from problems import CASES, NotOfferedError

PACKAGE = "casadi"


def objective(problem, theta):
    """The loss as an expression; CasADi's matrices are in Fortran order, so W is filled by its transpose."""
    if problem.norm:
        raise NotOfferedError("no normalisation in its library")
    ends = np.cumsum([int(np.prod(shape)) for shape in problem.shapes])
    W, b, W2, b2 = (
        ca.reshape(theta[int(end - np.prod(s)) : int(end)], *(s[::-1] if len(s) > 1 else (s[0], 1)))
        for end, s in zip(ends, problem.shapes, strict=True)
    )
    z = ca.tanh(problem.X @ W + ca.repmat(b.T, CASES, 1)) @ W2 + ca.repmat(b2.T, CASES, 1)
    if problem.loss == "squared_error":
        return ca.sumsqr(z - problem.y) / 2 / CASES
    return sum(ca.logsumexp(z[i, :].T) - z[i, int(k)] for i, k in enumerate(problem.y)) / CASES


def of(symbol, route):
    def factory(problem):
        theta, v = (symbol.sym(name, problem.theta.size) for name in ("theta", "v"))
        f = objective(problem, theta)
        product = ca.Function("product", [theta, v], [route(f, theta, v)])
        return lambda theta, v: np.asarray(product(theta, v)).ravel()

    return factory


def by_hessian(f, theta, v):
    return ca.hessian(f, theta)[0] @ v


def reverse_over_forward(f, theta, v):
    return ca.gradient(ca.jtimes(f, theta, v), theta)


def forward_over_reverse(f, theta, v):
    return ca.jtimes(ca.gradient(f, theta), theta, v)


HESSIAN = {
    "MX: hessian": of(ca.MX, by_hessian),
    "MX: reverse over forward": of(ca.MX, reverse_over_forward),
    "MX: forward over reverse": of(ca.MX, forward_over_reverse),
    "SX: hessian": of(ca.SX, by_hessian),
}
