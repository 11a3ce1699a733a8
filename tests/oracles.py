"""What the tests compare refhf with: formulas written a second time, naively, and derivatives that need no derivation.

A problem is a `strategies.Problem`. Thetas are (..., P): any leading axes, real or complex.
"""

from itertools import pairwise

import numpy as np

from refhf.model import network

STEP = 1e-20  # Squire and Trapp 1998: nothing is subtracted, so that a step this small is exact to rounding

FORMULAS = {
    "tanh": np.tanh,
    "logistic": lambda s: 1 / (1 + np.exp(-s)),
    "softplus": lambda s: np.log(1 + np.exp(s)),
    "identity": lambda s: s,
    "relu": lambda s: np.where(s.real > 0, s, 0),
}


def relative_error(got, want):
    """||got - want|| / ||want||; 0 for two zeros."""
    return np.linalg.norm(got - want) / (np.linalg.norm(want) or 1.0)


def complex_step(function, x, v):
    """The derivative of a function at x along v; blind to what it takes from x.real alone (a shift, a branch)."""
    return np.imag(function(x + 1j * STEP * v)) / STEP


def central_difference(function, x, v):
    """The same for any smooth function, to about 1e-9: step eps^(1/3), scaled by norms."""
    t = central_step(x, v)
    return (function(x + t * v) - function(x - t * v)) / (2 * t)


def central_step(x, v):
    return np.finfo(float).eps ** (1 / 3) * max(1.0, np.linalg.norm(x)) / np.linalg.norm(v)


def taylor_rate(function, x, v, derivative, t, halvings=4):
    """The p of ||function(x + t v) - function(x) - t derivative|| = O(t^p), over halvings of t; the last remainder."""
    first, last = (
        np.linalg.norm(function(x + step * v) - function(x) - step * derivative) for step in (t, t / 2**halvings)
    )
    return np.log2(first / last) / halvings if last else np.inf, last


def outputs(problem, theta):
    """z (..., B, n_L) by the formulas of the network, without refhf's unpack, layers, nonlinearities or sweeps."""
    sizes = [problem.X.shape[1], *(layer.n_out for layer in problem.net.layers)]
    a, start = problem.X, 0
    for l, (m, n) in enumerate(pairwise(sizes)):
        W = theta[..., start : start + m * n].reshape(*theta.shape[:-1], m, n)
        b = theta[..., start + m * n : start + m * n + n]
        z, start = a @ W + b[..., None, :], start + m * n + n
        a = FORMULAS[problem.net.nonlinearities[l].name](z) if l < len(sizes) - 2 else None
    return z


def targets(problem):
    """Y (B, n_L): labels as their one-hot form, a single output's labels as a column."""
    y, n = problem.y, problem.net.layers[-1].n_out
    return y if y.ndim == 2 else (y[:, None] if n == 1 else np.eye(n)[y])


def mean_loss(problem, theta):
    """f(theta) (...,), l2 included."""
    z, y = outputs(problem, theta), targets(problem)
    losses = {
        "squared_error": lambda: ((z - y) ** 2 / 2).sum(-1),
        "softmax_cross_entropy": lambda: np.log(np.exp(z).sum(-1)) - (y * z).sum(-1),
        "logistic_cross_entropy": lambda: (np.log(1 + np.exp(z)) - y * z).sum(-1),
    }[problem.net.loss.name]()
    return losses.mean(-1) + problem.objective.l2 / 2 * (theta**2).sum(-1)


def gradient(problem):
    """The gradient (P,), a component a complex step of `mean_loss`."""
    return complex_step(lambda theta: mean_loss(problem, theta), problem.theta, np.eye(problem.net.size))


def jacobian(problem):
    """J (B n_L, P) = dz/dtheta, a column a complex step of `outputs`."""
    columns = complex_step(lambda theta: outputs(problem, theta), problem.theta, np.eye(problem.net.size))
    return columns.reshape(problem.net.size, -1).T


def output_hessians(problem):
    """H_L (B, n_L, n_L), the Hessian of each case's loss at its z."""
    z = outputs(problem, problem.theta)
    p, eye = 1 / (1 + np.exp(-z)), np.eye(z.shape[1])
    if problem.net.loss.name == "squared_error":
        return np.broadcast_to(eye, (len(z), *eye.shape))
    if problem.net.loss.name == "logistic_cross_entropy":
        return eye * (p * (1 - p))[:, None, :]
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    return eye * p[:, None, :] - p[:, :, None] * p[:, None, :]


def gauss_newton_product(problem, v):
    """G v = J' H_L J v / B + l2 v with J dense."""
    dense, cases = jacobian(problem), len(problem.X)
    HJv = np.einsum("bij,bj->bi", output_hessians(problem), (dense @ v).reshape(cases, -1))
    return dense.T @ HJv.ravel() / cases + problem.objective.l2 * v


def refhf_gradient(problem, theta):
    """refhf's own gradient at a theta that may be complex; its complex step is H v."""
    cases, l2 = len(problem.X), problem.objective.l2
    return network.loss_and_gradient(problem.net, theta, problem.X, problem.objective.y)[1] / cases + l2 * theta
