"""User code with normalisation or attention, right and faulty, apart from refhf.

A network is its outputs and its backward pass, both by hand and for complex theta too. The Hessian product is the
complex step of the gradient, so a statistic without its imaginary part is a constant to it, as a detached tensor is.
"""

from typing import NamedTuple

import numpy as np
import scipy.special

import refhf
from refhf.conformance.patterns import Pattern

STEP = 1e-30
EPSILON = 1e-5


class ByHand:
    """Value, gradient and products of a network with a softmax cross-entropy, the mean over cases and positions."""

    shapes: tuple = ()

    def __init__(self, X, y, fault=""):
        self.X, self.y, self.fault = X, y, fault

    def parts(self, theta):
        ends = np.cumsum([np.prod(shape) for shape in self.shapes])[:-1]
        return [x.reshape(shape) for x, shape in zip(np.split(theta, ends), self.shapes, strict=True)]

    def softmax(self, z):
        e = np.exp(z - z.real.max(axis=-1, keepdims=True))
        return e / e.sum(axis=-1, keepdims=True)

    def value(self, theta):
        z = self.outputs(theta)
        chosen = np.take_along_axis(z, self.y[..., None], axis=-1)[..., 0]
        return float((scipy.special.logsumexp(z, axis=-1) - chosen).mean())

    def gradient(self, theta):
        p = self.softmax(self.outputs(theta))
        return self.vjp(theta, (p - np.eye(p.shape[-1])[self.y]) / self.y.size)

    def hessian_product(self, theta, v):
        return self.gradient(theta + 1j * STEP * v).imag / STEP

    def gauss_newton_product(self, theta, v):
        z = self.outputs(theta + 1j * STEP * v)
        p, Rz = self.softmax(z.real), z.imag / STEP
        return self.vjp(theta, p * (Rz - (p * Rz).sum(axis=-1, keepdims=True)) / self.y.size)


class Normalised(ByHand):
    """tanh(norm(X W + b)) W2 + c; the norm is over the channels, or over the cases if `over` is 0."""

    shapes = (3, 4), (4,), (4,), (4,), (4, 2), (2,)
    over = 1

    def hidden(self, theta):
        W, b, gamma, beta, *_ = self.parts(theta)
        a = self.X @ W + b
        detached = self.fault.removesuffix(" forward")
        mean = a.mean(axis=self.over, keepdims=True)
        mean = mean.real if detached in ("constant statistics", "constant mean") else mean
        unbiased = self.fault == "unbiased variance"
        count = a.shape[self.over] - unbiased
        variance = ((a - mean) ** 2).sum(axis=self.over, keepdims=True) / count
        rho = 1 / np.sqrt(variance + EPSILON)
        if self.fault == "epsilon outside":
            rho = 1 / (np.sqrt(variance) + EPSILON)
        rho = rho.real if detached == "constant statistics" else rho
        return a - mean, rho, np.sqrt(variance), count, np.tanh(gamma * rho * (a - mean) + beta)

    def outputs(self, theta):
        *_, W2, c = self.parts(theta)
        return self.hidden(theta)[-1] @ W2 + c

    def vjp(self, theta, u):
        (_, _, gamma, _, W2, _), (centred, rho, sigma, count, h) = self.parts(theta), self.hidden(theta)
        Ds = (u @ W2.T) * (1 - h**2)
        Dn = gamma * Ds
        Da = rho * Dn
        wrong = self.fault.removesuffix(" backward")
        if wrong != "constant statistics":
            of_variance = (centred * Dn).sum(axis=self.over, keepdims=True) / count
            inside = rho**2 / sigma if self.fault == "epsilon outside" else rho**3
            Da = Da - inside * of_variance * centred
            if wrong != "constant mean":
                Da = Da - (rho * Dn).mean(axis=self.over, keepdims=True)
        of_gamma = (Ds * rho * centred).sum(axis=0)
        parts = self.X.T @ Da, Da.sum(axis=0), of_gamma, Ds.sum(axis=0), h.T @ u, u.sum(axis=0)
        return np.concatenate([x.ravel() for x in parts])

    def forward_first(self, theta, v):
        """H v, the derivative of R{loss}, whose rule for the norm keeps the statistics of theta."""
        (centred, saved, *_), columns = self.hidden(theta), np.eye(theta.size)
        mean = self.X @ self.parts(theta)[0] + self.parts(theta)[1] - centred

        def along(theta):
            (W, b, gamma, _, W2, _), (V, c, d, e, out, f) = self.parts(theta), self.parts(v)
            Ra, n, h = self.X @ V + c, saved * (self.X @ W + b - mean), self.hidden(theta)[-1]
            Ra = Ra - Ra.mean(axis=self.over, keepdims=True)
            Rn = saved * (Ra - n * (n * Ra).mean(axis=self.over, keepdims=True))
            Rz = ((1 - h**2) * (gamma * Rn + d * n + e)) @ W2 + h @ out + f
            return ((self.softmax(self.outputs(theta)) - np.eye(2)[self.y]) * Rz).sum() / len(self.y)

        return np.array([along(theta + 1j * STEP * column).imag / STEP for column in columns])


class BatchNormalised(Normalised):
    """The same over the cases."""

    over = 0


class Attended(ByHand):
    """Tokens, one head of causal attention and a layer, at three positions."""

    shapes = (5, 4), (3, 4), (4, 12), (12,), (4, 5), (5,)

    def hidden(self, theta):
        E, T, W, b, *_ = self.parts(theta)
        a = E[self.X] + T
        Q, K, V = np.split(a @ W + b, 3, axis=2)
        scores, seen = Q @ K.swapaxes(1, 2) / 2, np.tri(3)
        if self.fault != "mask after softmax":
            scores = np.where(seen, scores, -np.inf)
        P = self.softmax(scores)
        if self.fault in ("no row sum", "no row sum forward") and np.iscomplexobj(P):
            P = self.softmax(scores.real) * (1 + 1j * np.where(seen, scores.imag, 0))
        return a, Q, K, V, P, seen

    def outputs(self, theta):
        (*_, W2, c), (_, _, _, V, P, seen) = self.parts(theta), self.hidden(theta)
        return P * seen @ V @ W2 + c

    def vjp(self, theta, u):
        (E, _, W, _, W2, _), (a, Q, K, V, P, seen) = self.parts(theta), self.hidden(theta)
        Ds = u @ W2.T
        DP = Ds @ V.swapaxes(1, 2) * seen
        DS = P * DP
        if self.fault not in ("no row sum", "no row sum backward"):
            DS = DS - P * (P * DP).sum(axis=2, keepdims=True)
        Da = np.concatenate([DS @ K / 2, DS.swapaxes(1, 2) @ Q / 2, (P * seen).swapaxes(1, 2) @ Ds], axis=2)
        Dx, of_tokens = Da @ W.T, np.zeros_like(E, dtype=Da.dtype)
        np.add.at(of_tokens, self.X, Dx)
        of_u = np.einsum("btd,btk->dk", P * seen @ V, u)
        parts = (
            of_tokens,
            Dx.sum(axis=0),
            np.einsum("bti,btj->ij", a, Da),
            Da.sum(axis=(0, 1)),
            of_u,
            u.sum(axis=(0, 1)),
        )
        return np.concatenate([x.ravel() for x in parts])


CASES = 6


def network(code):
    """refhf's network of the same formulas."""
    if code is Attended:
        stages = [refhf.embedding(5, 3, 4), refhf.dense(4, 12), refhf.attention(1), refhf.dense(4, 5)]
    else:
        norm = refhf.layer_norm(4) if code is Normalised else refhf.batch_norm(4, group=CASES)
        stages = [refhf.dense(3, 4), norm, refhf.elementwise("tanh"), refhf.dense(4, 2)]
    return refhf.chain(stages, loss="softmax_cross_entropy")


def problem(code, seed=0):
    """(theta, X, y, refhf's objective) for the code."""
    rng, net = np.random.default_rng(seed), network(code)
    X = rng.integers(0, 5, (CASES, 3)) if code is Attended else rng.standard_normal((CASES, 3))
    y = rng.integers(0, net.outputs, (CASES, *net.out_shape[:-1]))
    theta = net.init(rng) + 0.5 * rng.standard_normal(net.size)
    return theta, X, y, refhf.supervised(net, X, y)


def functions(code, fault=""):
    """The functions of the code as `refhf.check_network` takes them."""

    def function(name):
        return lambda *given: getattr(code(*given[-2:], fault), name)(*given[:-2])

    names = "value", "gradient", "hessian_product", "gauss_newton_product"
    return {name: function(name) for name in names} | {
        "outputs": lambda theta, X: code(X, None, fault).outputs(theta),
        "jvp": lambda theta, v, X: code(X, None, fault).outputs(theta + 1j * STEP * v).imag / STEP,
        "vjp": lambda theta, u, X: code(X, None, fault).vjp(theta, u),
    }


class BlockFault(NamedTuple):
    """A fault of the code, and the pattern that names it."""

    code: type
    fault: str
    pattern: Pattern


P = Pattern
OF_NORMS = {
    "constant statistics": P.CONSTANT_STATISTICS,
    "constant statistics forward": P.CONSTANT_STATISTICS,
    "constant statistics backward": P.CONSTANT_STATISTICS,
    "constant mean": P.NO_MEAN_TERM,
    "constant mean backward": P.NO_MEAN_TERM,
    "epsilon outside": P.EPSILON_OUTSIDE,
    "unbiased variance": P.UNBIASED_VARIANCE,
}
OF_ATTENTION = {
    "no row sum": P.NO_ROW_SUM,
    "no row sum forward": P.NO_ROW_SUM,
    "no row sum backward": P.NO_ROW_SUM,
    "mask after softmax": P.MASK_AFTER_SOFTMAX,
}
BLOCK_FAULTS = [
    *(BlockFault(code, fault, p) for code in (Normalised, BatchNormalised) for fault, p in OF_NORMS.items()),
    *(BlockFault(Attended, fault, pattern) for fault, pattern in OF_ATTENTION.items()),
]
