"""User code in float64, right and faulty; apart from `tests/oracle`, which is exact, slow and makes the vectors.

The two stay separate on purpose: these faults test the checkers and, through `faulty_adapters`, the vectors. If both
were made of the same lines, one mistake in them would pass unseen. `Mine` shares only the layout of theta with refhf.
A fault is a name that one line of `Mine` tests, or a wrapper around the right function; it lists the patterns that
count as the right diagnosis.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import scipy.special

from refhf import mlp, supervised
from refhf.conformance.patterns import Pattern

FUNCTIONS = {
    "tanh": (np.tanh, lambda s: np.cosh(s) ** -2, lambda s: -2 * np.tanh(s) * np.cosh(s) ** -2),
    "logistic": (
        scipy.special.expit,
        lambda s: scipy.special.expit(s) * scipy.special.expit(-s),
        lambda s: scipy.special.expit(s) * scipy.special.expit(-s) * (scipy.special.expit(-s) - scipy.special.expit(s)),
    ),
    "softplus": (
        lambda s: np.logaddexp(0, s).astype(s.dtype),
        scipy.special.expit,
        lambda s: scipy.special.expit(s) * scipy.special.expit(-s),
    ),
    "relu": (lambda s: np.where(s > 0, s, 0), lambda s: np.where(s > 0, s.dtype.type(1), 0), lambda s: 0 * s),
    "identity": (lambda s: s, lambda s: 0 * s + 1, lambda s: 0 * s),
}
PREDICT = {
    "squared_error": lambda z: z,
    "softmax_cross_entropy": lambda z: scipy.special.softmax(z, axis=1),
    "logistic_cross_entropy": scipy.special.expit,
}


class Mine:
    """Value, gradient and products of a fully connected network, written from the formulas.

    X (B, n_0), y (B, n_L); the mean over the cases plus l2/2 ||theta||^2.
    """

    def __init__(self, sizes, f, loss, X, y, l2, fault=""):
        self.sizes, (self.f, self.d, self.dd), self.loss = sizes, FUNCTIONS[f], loss
        self.X, self.y, self.l2, self.fault = X, y, X.dtype.type(l2), fault

    def has(self, term):
        return self.fault != "no " + term

    def layers(self, theta):
        """[(W, b), ...]."""
        found, start = [], 0
        for m, n in pairwise(self.sizes):
            W = theta[start : start + m * n]
            W = W.reshape(n, m).T if self.fault == "out-in" else W.reshape(m, n)
            found.append((W, theta[start + m * n : start + m * n + n]))
            start += m * n + n
        return found

    def flat(self, pairs):
        """The vector of [(W, b), ...]."""
        turned = self.fault in ("out-in", "result out-in")
        return np.concatenate([part for W, b in pairs for part in ((W.T if turned else W).ravel(), b)])

    def forward(self, theta):
        """The inputs of the layers, and the pre-activations s_1 .. s_L."""
        a, inputs, outputs = self.X, [], []
        for i, (W, b) in enumerate(self.layers(theta)):
            inputs.append(a)
            outputs.append(a @ W + b)
            a = self.f(outputs[-1]) if i < len(self.sizes) - 2 else None
        return inputs, outputs

    def outputs(self, theta):
        return self.forward(theta)[1][-1]

    def value(self, theta):
        z = self.outputs(theta).astype(np.float64)
        if self.loss == "squared_error":
            total = ((z - self.y) ** 2).sum() / 2
        elif self.loss == "softmax_cross_entropy":
            total = (scipy.special.logsumexp(z, axis=1) - (self.y * z).sum(axis=1)).sum()
        else:
            total = -(self.y * scipy.special.log_expit(z) + (1 - self.y) * scipy.special.log_expit(-z)).sum()
        return total / len(z) + self.l2 / 2 * float(theta @ theta)

    def slopes(self, s):
        return [self.d(self.f(x) if self.fault == "slope at a" else x) for x in s[:-1]]

    def residual(self, z):
        return z - self.y if self.fault == "no softmax" else PREDICT[self.loss](z) - self.y

    def deltas(self, theta, s, Ds):
        """Ds_1 .. Ds_L, and Da_1 .. Da_{L-1}."""
        deltas, of_a = [Ds], []
        for (W, _), slope in zip(self.layers(theta)[:0:-1], self.slopes(s)[::-1], strict=True):
            of_a.append(deltas[-1] @ W.T)
            deltas.append(of_a[-1] * slope if self.has("f' backward") else of_a[-1])
        return deltas[::-1], of_a[::-1]

    def gradient(self, theta):
        a, s = self.forward(theta)
        deltas, _ = self.deltas(theta, s, self.residual(s[-1]) / len(self.X))
        return self.flat([(x.T @ D, D.sum(axis=0)) for x, D in zip(a, deltas, strict=True)]) + self.l2 * theta

    def loss_hessian(self, z, Rz):
        p = PREDICT[self.loss](z)
        if self.fault == "no loss Hessian":
            return Rz
        if self.fault == "fisher":
            return (p - self.y) * ((p - self.y) * Rz).sum(axis=1, keepdims=True)
        if self.fault == "at the probabilities":
            of_z = np.einsum("bi,ij->bij", p, np.eye(p.shape[1])) - np.einsum("bi,bj->bij", p, p)  # dp/dz
            return np.einsum("bij,bj,bj,bjk,bk->bi", of_z, self.y, p**-2, of_z, Rz)
        if self.loss == "squared_error":
            return Rz
        if self.loss == "logistic_cross_entropy" or self.fault == "softmax diagonal":
            return p * (1 - p) * Rz
        return p * Rz if self.fault == "diag(p)" else p * Rz - p * (p * Rz).sum(axis=1, keepdims=True)

    def r_forward(self, theta, v):
        """Rs_1 .. Rs_L."""
        (a, s), Rs, Ra = self.forward(theta), [], None
        for i, ((W, _), (V, c)) in enumerate(zip(self.layers(theta), self.layers(v), strict=True)):
            total = np.zeros_like(s[i])
            total = total + a[i] @ V if self.has("a V") else total
            total = total + c if self.has("c") else total
            total = total + Ra @ W if i and self.has("R{a} W") else total
            Rs.append(total)
            if i < len(self.sizes) - 2:
                Ra = self.slopes(s)[i] * total if self.has("f' forward") else total
        return Rs

    def gauss_newton_product(self, theta, v):
        a, s = self.forward(theta)
        u = self.loss_hessian(s[-1], self.r_forward(theta, v)[-1]) / len(self.X)
        deltas, _ = self.deltas(theta, s, u)
        return self.flat([(x.T @ D, D.sum(axis=0)) for x, D in zip(a, deltas, strict=True)]) + self.l2 * v

    def hessian_product(self, theta, v):
        (a, s), Rs = self.forward(theta), self.r_forward(theta, v)
        slopes = self.slopes(s)
        deltas, of_a = self.deltas(theta, s, self.residual(s[-1]) / len(self.X))
        RDs, pairs = self.loss_hessian(s[-1], Rs[-1]) / len(self.X), []
        for i in reversed(range(len(self.sizes) - 1)):
            (W, _), (V, _) = self.layers(theta)[i], self.layers(v)[i]
            RDW = a[i].T @ RDs if self.has("a' R{Ds}") else np.zeros_like(W)
            if i and self.has("R{a}' Ds"):
                RDW = RDW + (slopes[i - 1] * Rs[i - 1]).T @ deltas[i]
            pairs.append((RDW, RDs.sum(axis=0)))
            if i:
                RDa = RDs @ W.T if self.has("R{Ds} W'") else 0 * a[i]
                RDa = RDa + deltas[i] @ V.T if self.has("Ds V'") else RDa
                RDs = RDa * slopes[i - 1]
                if self.has("f''"):
                    RDs = RDs + of_a[i - 1] * self.dd(s[i - 1]) * Rs[i - 1]
        return self.flat(pairs[::-1]) + self.l2 * v


class Case(NamedTuple):
    """Arguments of `Mine`, theta, and refhf's objective of the same network and cases."""

    arguments: tuple
    theta: np.ndarray
    objective: object

    def mine(self, fault="", **change):
        """`Mine` on this case, with a fault."""
        sizes, f, loss, X, y, l2 = self.arguments
        given = {"loss": loss, "X": X, "y": y, "l2": l2} | change
        return Mine(sizes, f, given["loss"], given["X"], given["y"], given["l2"], fault)


def case(
    seed=0,
    sizes=(5, 4, 4, 3),
    f="tanh",
    loss="softmax_cross_entropy",
    cases=7,
    l2=0.01,
    scale=1.0,
    data_scale=1.0,
    soft=False,
    dtype=float,
):
    rng = np.random.default_rng(seed)
    net = mlp(list(sizes), nonlinearity=f, loss=loss)
    X, y = rng.standard_normal((cases, sizes[0])), rng.standard_normal((cases, sizes[-1]))
    if loss != "squared_error":
        y = PREDICT[loss](y) if soft else np.where(y < y.max(axis=1, keepdims=True), 0.0, 1.0)
    X *= data_scale
    theta = scale * (net.init(rng) + 0.1 * rng.standard_normal(net.size))
    X, y, theta = (x.astype(dtype) for x in (X, y, theta))
    return Case((sizes, f, loss, X, y, l2), theta, supervised(net, X, y, l2=l2))


def functions(case, fault=""):
    """The functions of `Mine` as `refhf.check_network` takes them, and the network."""
    sizes, f, loss, _, _, l2 = case.arguments
    names = "value", "gradient", "hessian_product", "gauss_newton_product", "outputs"

    def mine(X, y):
        y = np.eye(sizes[-1], dtype=X.dtype)[y] if y.ndim == 1 else y
        return Mine(sizes, f, loss, X, y, l2, fault)

    def function(name):
        return lambda *given: getattr(mine(*given[-2:]), name)(*given[:-2])

    given = {name: function(name) for name in names}
    given["outputs"] = lambda theta, X: mine(X, X[:, :1]).outputs(theta)
    given["jvp"] = lambda theta, v, X: mine(X, X[:, :1]).r_forward(theta, v)[-1]

    def vjp(theta, u, X):
        code = mine(X, X[:, :1])
        a, s = code.forward(theta)
        deltas, _ = code.deltas(theta, s, u)
        return code.flat([(x.T @ D, D.sum(axis=0)) for x, D in zip(a, deltas, strict=True)])

    given["vjp"] = vjp
    return given, mlp(list(sizes), nonlinearity=f, loss=loss)


def drawn(seed):
    """A random case (many are saturated, badly scaled or have extreme decay), and a kind of check."""
    rng = np.random.default_rng(seed)
    sizes = tuple(int(n) for n in rng.integers(1, 17, rng.integers(2, 6)))
    loss = str(rng.choice(list(PREDICT)))
    return case(
        seed,
        (*sizes[:-1], max(2, sizes[-1])) if loss.startswith("softmax") else sizes,
        str(rng.choice(list(FUNCTIONS))),
        loss,
        cases=int(rng.integers(1, 33)),
        l2=float(rng.choice([0.0, 0.01, 100.0])),
        scale=float(rng.choice([1.0, 1.0, 1e-3, 10.0, 30.0])),
        data_scale=float(rng.choice([1.0, 1.0, 1e-4, 1e3])),
        soft=bool(rng.integers(2)),
        dtype=np.dtype(str(rng.choice(["float64", "float32"]))),
    ), KINDS[seed % len(KINDS)]


KINDS = "hessian", "gauss-newton", "gradient", "hessian", "gauss-newton", "gradient", "network", "cg", "bicgstab"


class Fault(NamedTuple):
    """A faulty 'hessian', 'gauss-newton' or 'gradient': make(case) -> function, and the patterns of its diagnosis."""

    name: str
    kind: str
    make: object
    patterns: tuple
    options: dict = {}


def _line(kind, fault, pattern, **options):
    """A fault in one line of `Mine`."""
    method = {"hessian": "hessian_product", "gauss-newton": "gauss_newton_product", "gradient": "gradient"}[kind]
    return Fault(f"{kind}: {fault}", kind, lambda case: getattr(case.mine(fault), method), (pattern,), options)


def _around(kind, name, change, *patterns, **options):
    """A fault that wraps the right function: change(function, case) -> function."""
    method = {"hessian": "hessian_product", "gauss-newton": "gauss_newton_product", "gradient": "gradient"}[kind]
    return Fault(f"{kind}: {name}", kind, lambda case: change(getattr(case.mine(), method), case), patterns, options)


def _times(factor):
    return lambda f, case: lambda *given: factor(case) * f(*given)


def _masked(keep):
    """Zero out the blocks of theta for which keep(layer, 'W' or 'b') is false."""

    def change(f, case):
        parts = zip(pairwise(case.arguments[0]), range(9), strict=False)
        mask = np.concatenate([np.repeat([keep(i, "W"), keep(i, "b")], [m * n, n]) for (m, n), i in parts])
        return lambda *given: f(*given) * mask

    return change


def _noise(size):
    """Relative noise of a given size, the same in every call."""

    def change(f, case):
        wave = np.random.default_rng(8).standard_normal(case.theta.size)
        return lambda *given: f(*given) * (1 + size * wave)

    return change


def _stale(f, case):
    first = []

    def product(theta, v):
        first.append(theta)
        return f(first[0], v)

    return product


def _resampled(f, case):
    rng = np.random.default_rng(3)

    def product(theta, v):
        rows = rng.integers(0, 7, 7)
        sizes, name, loss, X, y, l2 = case.arguments
        return Mine(sizes, name, loss, X[rows], y[rows], l2).hessian_product(theta, v)

    return product


def _difference(f, case):
    g = case.mine().gradient
    return lambda theta, v: (g(theta + 1e-6 * v) - g(theta)) / 1e-6


def _single(f, case):
    return lambda *given: f(*(x.astype(np.float32) for x in given)).astype(np.float32).astype(float)


def drawn_labels(draws, seed=0, redrawn=False):
    """The Monte-Carlo Fisher product of labels drawn from the model, once or at each product."""

    def change(f, case):
        mine, rng = case.mine(), np.random.default_rng(seed)
        z = mine.outputs(case.theta)
        p = PREDICT[mine.loss](z)

        def draw():
            if mine.loss == "squared_error":
                return z + rng.standard_normal(z.shape)
            if mine.loss == "softmax_cross_entropy":
                return np.stack([rng.multinomial(1, q) for q in p])
            return (rng.random(p.shape) < p).astype(float)

        labels = [draw() for _ in range(draws)]

        def product(theta, v):
            labels[:] = [draw() for _ in range(draws)] if redrawn else labels
            a, s = mine.forward(theta)
            residuals = [(z if mine.loss == "squared_error" else PREDICT[mine.loss](s[-1])) - y for y in labels]
            Rz = mine.r_forward(theta, v)[-1]
            u = sum(r * (r * Rz).sum(axis=1, keepdims=True) for r in residuals) / draws / len(z)
            deltas, _ = mine.deltas(theta, s, u)
            return mine.flat([(x.T @ D, D.sum(axis=0)) for x, D in zip(a, deltas, strict=True)]) + mine.l2 * v

        return product

    return change


def kfac(labels="expected", joined=True):
    """KFAC's product for the softmax cross-entropy, of labels that are expected, true, or drawn once from the model."""

    def change(f, case):
        mine = case.mine()

        def product(theta, v):
            a, s = mine.forward(theta)
            p, pairs = PREDICT[mine.loss](s[-1]), []
            roots = [np.sqrt(p[:, [k]]) * (p - e) for k, e in enumerate(np.eye(p.shape[1]))]
            if labels != "expected":
                roots = [p - (mine.y if labels == "true" else drawn(p))]
            swept = [mine.deltas(theta, s, root)[0] for root in roots]
            for x, (V, c), *deltas in zip(a, mine.layers(v), *swept, strict=True):
                S = sum(D.T @ D for D in deltas) / len(x)
                inputs, both = np.column_stack([x, np.ones(len(x))]), np.vstack([V, c])
                whole = inputs.T @ inputs @ both @ S / len(x)
                pairs.append((whole[:-1], whole[-1]) if joined else (x.T @ x @ V @ S / len(x), c @ S))
            return mine.flat(pairs) + mine.l2 * v

        return product

    def drawn(p):
        rng = np.random.default_rng(0)
        return np.stack([rng.multinomial(1, q) for q in p])

    return change


def _layers_alone(f, case):
    sizes, ends = case.arguments[0], [0]
    ends += list(np.cumsum([(m + 1) * n for m, n in pairwise(sizes)]))
    masks = [(np.arange(ends[-1]) >= start) & (np.arange(ends[-1]) < end) for start, end in pairwise(ends)]
    return lambda theta, v: sum(mask * f(theta, mask * v) for mask in masks)


def _half_layout(f, case):
    mine = case.mine("out-in")
    return lambda theta, v: mine.flat(mine.layers(f(theta, v)))


P = Pattern
PRODUCT_FAULTS = [
    _line("hessian", "no f''", P.NO_BEND),
    _line("hessian", "no Ds V'", P.NO_WEIGHT_TERM),
    _line("hessian", "no R{a}' Ds", P.NO_INPUT_TERM),
    _line("hessian", "no a' R{Ds}", P.NO_DELTA_TERM),
    _line("hessian", "no R{Ds} W'", P.NO_BACK_TERM),
    _line("hessian", "no a V", P.NO_DIRECTION),
    _line("hessian", "no c", P.NO_BIAS_DIRECTION),
    _line("hessian", "no R{a} W", P.NO_FORWARD_TERM),
    _line("hessian", "softmax diagonal", P.SOFTMAX_DIAGONAL),
    _line("hessian", "diag(p)", P.SOFTMAX_NO_OUTER),
    _line("hessian", "no loss Hessian", P.NO_LOSS_HESSIAN),
    _line("hessian", "out-in", P.LAYOUT_OUT_IN),
    _line("hessian", "result out-in", P.RESULT_OUT_IN),
    _around("hessian", "G for H", lambda f, case: case.mine().gauss_newton_product, P.GAUSS_NEWTON),
    _around("hessian", "Monte-Carlo Fisher for H", drawn_labels(1), P.MONTE_CARLO_FISHER),
    _around("hessian", "KFAC for H", kfac(), P.KRONECKER),
    _around("hessian", "layers alone", _layers_alone, P.LAYERS_ALONE),
    _around("hessian", "sign", _times(lambda case: -1), P.SIGN),
    _around("hessian", "2 for 1", _times(lambda case: 2), P.FACTOR),
    _around("hessian", "1/N missing", _times(lambda case: 7), P.SUM_NOT_MEAN),
    _around("hessian", "1/N twice", _times(lambda case: 1 / 7), P.MEAN_TWICE),
    _around("hessian", "bias zero", _masked(lambda layer, part: part == "W"), P.ZERO_PART),
    _around("hessian", "first layer zero", _masked(lambda layer, part: layer > 0), P.ZERO_PART),
    _around("hessian", "l2 missing", lambda f, case: case.mine(l2=0.0).hessian_product, P.NO_DECAY),
    _around("hessian", "l2 twice", lambda f, case: case.mine(l2=0.02).hessian_product, P.DECAY_WRONG),
    _around("hessian", "damped", lambda f, case: lambda theta, v: f(theta, v) + 0.3 * v, P.DAMPED),
    _around(
        "hessian", "another loss", lambda f, c: c.mine(loss="logistic_cross_entropy").hessian_product, P.WRONG_LOSS
    ),
    _around("hessian", "float32 within", _single, P.FLOAT32),
    _around("hessian", "noise 1e-6", _noise(1e-6), P.NOISE),
    _around("hessian", "noise 1e-9", _noise(1e-9), P.NOISE),
    _around("hessian", "forward difference", _difference, P.DIFFERENCES),
    _around("hessian", "stale tape", _stale, P.STALE),
    _around("hessian", "a new batch each product", _resampled, P.RANDOM),
    _around("gauss-newton", "H for G", lambda f, case: case.mine().hessian_product, P.HESSIAN),
    _line("gauss-newton", "fisher", P.FISHER),
    _around("gauss-newton", "Monte-Carlo Fisher", drawn_labels(2), P.MONTE_CARLO_FISHER),
    _around("gauss-newton", "KFAC", kfac(), P.KRONECKER),
    _around("gauss-newton", "KFAC of the true labels", kfac(labels="true"), P.KRONECKER),
    _around("gauss-newton", "KFAC, biases apart", kfac(joined=False), P.KRONECKER),
    _around("gauss-newton", "layers alone", _layers_alone, P.LAYERS_ALONE),
    _line("gauss-newton", "no loss Hessian", P.NO_LOSS_HESSIAN),
    _line("gauss-newton", "softmax diagonal", P.SOFTMAX_DIAGONAL),
    _line("gauss-newton", "at the probabilities", P.AT_PROBABILITIES, soft=True),
    _line("gauss-newton", "no f' forward", P.NO_FORWARD_SLOPE),
    _line("gauss-newton", "no f' backward", P.NO_BACKWARD_SLOPE),
    _line("gauss-newton", "slope at a", P.SLOPE_OF_ACTIVATION),
    _around("gauss-newton", "l2 missing", lambda f, case: case.mine(l2=0.0).gauss_newton_product, P.NO_DECAY),
    _around("gauss-newton", "2 for 1", _times(lambda case: 2), P.FACTOR, loss="squared_error"),
]
GRADIENT_FAULTS = [
    _around("gradient", "sign", _times(lambda case: -1), P.SIGN),
    _around("gradient", "sum", _times(lambda case: 7), P.SUM_NOT_MEAN),
    _around("gradient", "1/n_L", _times(lambda case: 1 / 3), P.FACTOR),
    _around("gradient", "bias zero", _masked(lambda layer, part: part == "W"), P.ZERO_PART),
    _around("gradient", "l2 missing", lambda f, case: case.mine(l2=0.0).gradient, P.NO_DECAY),
    _around("gradient", "noise 1e-9", _noise(1e-9), P.NOISE),
    _line("gradient", "out-in", P.LAYOUT_OUT_IN),
    _line("gradient", "slope at a", P.SLOPE_OF_ACTIVATION),
    _line("gradient", "no f' backward", P.NO_BACKWARD_SLOPE),
    _line("gradient", "no softmax", P.NO_SOFTMAX),
]


def solver(
    *,
    beta=lambda rho, rho_old, r, r_old: rho / rho_old,
    alpha=lambda rho, r, p, Ap, A: rho / (p @ Ap),
    residual=lambda r, alpha, Ap: r - alpha * Ap,
    use_x0=True,
    true_start=True,
    use_m=True,
    first=lambda r, z: r @ z,
    measure=lambda r, z: np.linalg.norm(r),
    old=False,
    limit=lambda maxiter: maxiter,
    tolerance=lambda rtol, b: rtol * np.linalg.norm(b),
    done=0,
    undone=None,
    goes_on=lambda size, small: not size <= small,
):
    """User-written conjugate gradients with one line changed."""

    def cg(A, b, x0=None, *, rtol=1e-5, maxiter=None, M=None):
        maxiter = limit(10 * b.size if maxiter is None else maxiter)
        x = np.zeros(b.size) if x0 is None or not use_x0 else x0.copy()
        r = b - A @ x if true_start else b.copy()
        z = M @ r if M is not None and use_m else r
        p, rho, k = z, first(r, z), 0
        while goes_on(measure(r, z), tolerance(rtol, b)):
            if k >= maxiter:
                return x, (maxiter or 1) if undone is None else undone
            k += 1
            Ap = A @ p
            if not np.isfinite(p @ Ap) or p @ Ap <= 0:
                return x, -1
            a = alpha(rho, r, p, Ap, A)
            x = x + a * p
            r_old, z_old = r, z
            r = residual(r, a, Ap)
            z = M @ r if M is not None and use_m else r
            rho_old, rho = rho, r @ z
            p = (z_old if old else z) + beta(rho, rho_old, r, r_old) * p
        return x, done

    return cg


def stabilised(
    *,
    omega=lambda s, As: (s @ As) / (As @ As),
    beta=lambda rho, rho_old, alpha, omega: rho / rho_old * alpha / omega,
    direction=lambda r, beta, p, omega, Ap: r + beta * (p - omega * Ap),
    stabiliser=1.0,
    moving=False,
    turned=False,
    guarded=True,
):
    """User-written Bi-CG-STAB with one line changed."""

    def bicgstab(A, b, x0=None, *, rtol=1e-5, maxiter=None, M=None):
        apply = (lambda x: A.T @ x) if turned else (lambda x: A @ x)
        inverse = (lambda x: x) if M is None else (lambda x: M @ x)
        x = np.zeros(b.size) if x0 is None else x0.copy()
        r = shadow = b - A @ x
        p, rho = r, r @ r
        for k in range((maxiter or 10 * b.size) + 1):
            if np.linalg.norm(r) <= rtol * np.linalg.norm(b):
                return x, 0
            if k == (maxiter or 10 * b.size):
                break
            Ap = apply(inverse(p))
            if guarded and not abs(Ap @ shadow) > 1e-14 * np.linalg.norm(Ap) * np.linalg.norm(shadow):
                return x, -1
            alpha = rho / (Ap @ shadow)
            s = r - alpha * Ap
            x = x + alpha * inverse(p)
            As = apply(inverse(s))
            if guarded and not abs(As @ s) > 1e-14 * np.linalg.norm(As) * np.linalg.norm(s):
                return x, 0 if not s.any() else -2
            w = omega(s, As)
            x = x + stabiliser * w * inverse(s)
            r = s - w * As
            shadow = r if moving else shadow
            rho_old, rho = rho, r @ shadow
            p = direction(r, beta(rho, rho_old, alpha, w), p, w, Ap)
        return (x, 1) if guarded else (x, 0)

    return bicgstab


class SolverFault(NamedTuple):
    """A faulty solver of a kind, and the patterns of its diagnosis."""

    name: str
    kind: str
    solver: object
    patterns: tuple


def _cg(name, *patterns, **change):
    return SolverFault(f"cg: {name}", "cg", solver(**change), patterns)


def _bi(name, *patterns, **change):
    return SolverFault(f"bicgstab: {name}", "bicgstab", stabilised(**change), patterns)


SOLVER_FAULTS = [
    _cg("beta upside down", P.BETA, beta=lambda rho, old, r, r_old: old / rho),
    _cg("beta of norms", P.BETA, beta=lambda rho, old, r, r_old: np.sqrt(rho / old)),
    _cg("beta of r'r under M", P.BETA, beta=lambda rho, old, r, r_old: (r @ r) / (r_old @ r_old)),
    _cg("steepest descent", P.STEEPEST, beta=lambda rho, old, r, r_old: 0.0),
    _cg("alpha of r'Ar", P.ALPHA, alpha=lambda rho, r, p, Ap, A: rho / (r @ (A @ r))),
    _cg("residual not updated", P.RESIDUAL_NOT_UPDATED, residual=lambda r, alpha, Ap: r),
    _cg("old residual", P.OLD_RESIDUAL, old=True),
    _cg("x0 ignored", P.X0_IGNORED, use_x0=False),
    _cg("r_0 = b", P.X0_RESIDUAL, true_start=False),
    _cg("M ignored", P.PRECONDITIONER_IGNORED, use_m=False),
    _cg("r'r at the first iteration", P.PRECONDITIONED_FIRST, first=lambda r, z: r @ r),
    _cg("preconditioned norm", P.PRECONDITIONED_NORM, measure=lambda r, z: np.sqrt(r @ z)),
    _cg("one too few", P.ONE_TOO_FEW, limit=lambda maxiter: maxiter - 1),
    _cg("one too many", P.ONE_TOO_MANY, limit=lambda maxiter: maxiter + 1),
    _cg("absolute tolerance", P.ABSOLUTE, tolerance=lambda rtol, b: rtol),
    _cg("0 at the limit", P.CLAIMS, undone=0),
    _cg("NaN is a success", P.CLAIMS, goes_on=lambda size, small: size > small),
    _cg("the count for 0", P.NEVER_CLAIMS, done=3),
    _bi("omega upside down", P.OMEGA, omega=lambda s, As: (s @ As) / (s @ s)),
    _bi("omega of steepest descent", P.OMEGA, omega=lambda s, As: (s @ s) / (s @ As)),
    _bi("beta without alpha / omega", P.BETA, beta=lambda rho, old, alpha, omega: rho / old),
    _bi("p without omega A p", P.NO_STABILISER, direction=lambda r, beta, p, omega, Ap: r + beta * p),
    _bi("x without omega s", P.NO_STABILISER, stabiliser=0.0),
    _bi("shadow moves", P.SHADOW, moving=True),
    _bi("transposed", P.TRANSPOSED, turned=True),
    _bi("breakdowns are successes", P.CLAIMS, P.NOT_FINITE, guarded=False),
]
