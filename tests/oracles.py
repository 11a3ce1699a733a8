"""Oracles for the tests: naive second implementations of formulas, and derivatives by complex steps and differences.

A problem is a `strategies.Problem`. Thetas are (..., P): any leading axes, real or complex.
"""

import math
from typing import NamedTuple

import numpy as np
import scipy.special

from refhf import supervised
from refhf.model import network

STEP = 1e-20  # Squire and Trapp 1998: nothing is subtracted, so that a step this small is exact to rounding

FORMULAS = {
    "tanh": np.tanh,
    "logistic": lambda s: 1 / (1 + np.exp(-s)),
    "softplus": lambda s: np.log(1 + np.exp(s)),
    "identity": lambda s: s,
    "relu": lambda s: np.where(s.real > 0, s, 0),
    "gelu": lambda s: s * scipy.special.ndtr(s) if np.isrealobj(s) else s * (1 + scipy.special.erf(s / 2**0.5)) / 2,
    "gelu_tanh": lambda s: s * (1 + np.tanh((2 / np.pi) ** 0.5 * (s + 0.044715 * s**3))) / 2,
    "silu": lambda s: s / (1 + np.exp(-s)),
}


def relative_error(got, want, size=0.0):
    """||got - want|| / ||want||, or relative to the size of its terms where want is a sum that cancels."""
    return np.linalg.norm(got - want) / (max(np.linalg.norm(want), size) or 1.0)


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
    a, dimensions, start = problem.X.reshape(-1, *problem.shape), len(problem.shape), 0
    left = sum(kind != "pool" for kind, *_ in problem.stages)

    def numbers(*shape):
        nonlocal start
        start += math.prod(shape)
        return theta[..., start - math.prod(shape) : start].reshape(*theta.shape[:-1], *shape)

    for kind, n, *rest in problem.stages:
        if kind == "pool":
            a = sum(a[..., i::n, j::n, :] for i in range(n) for j in range(n)) / n**2
            continue
        if kind == "conv":
            kernel, stride, padding = rest
            a = convolution(a, numbers(kernel, kernel, a.shape[-1], n), stride, padding)
            a = a + numbers(n)[..., None, None, None, :]
        else:
            a, dimensions = a.reshape(*a.shape[: a.ndim - dimensions], -1), 1
            a = a @ numbers(a.shape[-1], n) + numbers(n)[..., None, :]
        left -= 1
        a = FORMULAS[problem.net.nonlinearities[0].name](a) if left else a
    return a.reshape(*a.shape[: a.ndim - dimensions], -1)


def convolution(x, W, stride, padding):
    """x (..., B, height, width, C_in) by W (..., k, k, C_in, C_out): a term for each pixel of the kernel."""
    kernel = W.shape[-3]
    x = np.pad(x, [(0, 0)] * (x.ndim - 3) + [(padding, padding)] * 2 + [(0, 0)])
    rows, columns = (n - kernel + 1 for n in x.shape[-3:-1])
    terms = (
        np.einsum(
            "...hwc,...co->...hwo",
            x[..., i : i + rows : stride, j : j + columns : stride, :],
            W[..., None, i, j, :, :],
        )
        for i in range(kernel)
        for j in range(kernel)
    )
    return sum(terms)


def targets(problem):
    """Y (B, n_L): labels as their one-hot form, a single output's labels as a column."""
    y, n = problem.y, problem.net.outputs
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


class Sizes(NamedTuple):
    """The size of the terms of f, g, H v and G v (||v|| = 1): rounding is relative to the terms, not their sum."""

    value: float
    gradient: float
    squares: float
    jacobian: float
    gauss_newton: float
    hessian: float


def sizes(problem):
    """Sums over the cases of norms: ||J_i||, what z and y can make of Dz, the second derivatives of z."""
    cases, decay = len(problem.X), problem.objective.l2
    dense = np.linalg.norm(jacobian(problem).reshape(cases, -1), axis=1)
    z, y = outputs(problem, problem.theta), targets(problem)
    Dz = 1 + np.linalg.norm(z, axis=1) + np.linalg.norm(y, axis=1)  # before anything of it cancels
    bends = 0.0
    for i in range(min(cases, 2)):  # two show how large they are
        one = supervised(problem.net, problem.X[i : i + 1], problem.objective.y[i : i + 1])
        H, G = one.hessian(problem.theta), one.gauss_newton(problem.theta)
        bends = max(bends, *(np.linalg.norm(H @ v - G @ v) / np.linalg.norm(v) for v in (problem.v, problem.w)))
    theta = np.linalg.norm(problem.theta)
    gauss_newton = np.mean(dense**2) + decay  # no loss's Hessian in z is larger than 1
    return Sizes(
        value=np.mean(Dz**2) + decay / 2 * theta**2,
        gradient=np.mean(dense * Dz) + decay * theta,
        squares=np.mean((dense * Dz) ** 2) + decay * np.sqrt(problem.net.size),
        jacobian=np.linalg.norm(dense),
        gauss_newton=gauss_newton,
        hessian=gauss_newton + bends,
    )


def refhf_gradient(problem, theta):
    """refhf's own gradient at a theta that may be complex; its complex step is H v."""
    cases, l2 = len(problem.X), problem.objective.l2
    return network.loss_and_gradient(problem.net, theta, problem.X, problem.objective.y)[1] / cases + l2 * theta
