"""Second derivatives of PyTorch's normalisations, checked: which ways of automatic differentiation are right.

    python examples/pytorch_normalisation.py

H v through each normalisation by four routes, against H v through the same normalisation from its formula, in a table;
below it, what `refhf.check_hessian_product` says is wrong, where refhf has the block.
"""

import numpy as np
import torch
from torch.func import grad, jacfwd, jvp
from torch.nn import functional as F  # noqa: N812

import refhf

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
CASES, CHANNELS, LENGTH = 4, 6, 3
ISSUES = {"layer_norm": "issue 196700", "batch_norm": "issue 196699"}

ROUTES = {  # f, theta, v -> H v
    "reverse over reverse": lambda f, theta, v: grad(lambda t: grad(f)(t) @ v)(theta),
    "forward over reverse": lambda f, theta, v: jvp(grad(f), (theta,), (v,))[1],
    "reverse over forward": lambda f, theta, v: grad(lambda t: jvp(f, (t,), (v,))[1])(theta),
    "forward over forward": lambda f, theta, v: jacfwd(lambda t: jvp(f, (t,), (v,))[1])(theta),
}
NORMS = {  # x (cases, channels, length) -> PyTorch's, and the axes of its mean
    "layer_norm": (lambda x: F.layer_norm(x, x.shape[1:]), (1, 2)),
    "batch_norm": (lambda x: F.batch_norm(x, None, None, training=True), (0, 2)),
    "instance_norm": (F.instance_norm, (2,)),
    "group_norm": (lambda x: F.group_norm(x, 2), (2, 3)),
    "rms_norm": (lambda x: F.rms_norm(x, x.shape[1:], eps=1e-5), (1, 2)),
}


def formula(name, x):
    """The normalisation from its formula."""
    axes = NORMS[name][1]
    a = x.reshape(CASES, 2, CHANNELS // 2, LENGTH) if name == "group_norm" else x
    centred = a if name == "rms_norm" else a - a.mean(axes, keepdim=True)
    return (centred / torch.sqrt((centred**2).mean(axes, keepdim=True) + 1e-5)).reshape(x.shape)


def error(name, route):
    """The relative error of H v of sum(w tanh(norm(x))) by a route."""
    draw = np.random.default_rng(0)
    x, v, w = (torch.tensor(draw.standard_normal(CASES * CHANNELS * LENGTH)) for _ in range(3))

    def loss(norm):
        return lambda x: w @ torch.tanh(norm(x.reshape(CASES, CHANNELS, LENGTH))).flatten()

    got = ROUTES[route](loss(NORMS[name][0]), x, v)
    want = ROUTES["reverse over reverse"](loss(lambda x: formula(name, x)), x, v)
    return float((got - want).norm() / want.norm())


def diagnosis(name, route):
    """The report on H v of a network with PyTorch's normalisation, against refhf's."""
    norm = refhf.layer_norm(4) if name == "layer_norm" else refhf.batch_norm(4, group=8)
    net = refhf.chain([refhf.dense(3, 4), norm, refhf.elementwise("tanh"), refhf.dense(4, 2)])
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((8, 3)), rng.standard_normal((8, 2))

    def loss(theta):
        W, b, gamma, beta, W2, c = theta.split((12, 4, 4, 4, 8, 2))
        a = torch.tensor(X) @ W.reshape(3, 4) + b
        if name == "layer_norm":
            a = F.layer_norm(a, (4,), gamma, beta)
        else:
            a = F.batch_norm(a, None, None, gamma, beta, training=True)
        z = torch.tanh(a) @ W2.reshape(4, 2) + c
        return ((z - torch.tensor(y)) ** 2).sum() / 2 / len(X)

    theta = torch.tensor(net.init(rng) + 0.3 * rng.standard_normal(net.size))
    product = ROUTES[route]
    return refhf.check_hessian_product(lambda t, v: product(loss, t, v), theta, refhf.supervised(net, X, y))


def main():
    """Print the errors of all routes, and refhf's reports."""
    print(f"PyTorch {torch.__version__}, float64: relative error of H v\n")
    print(f"{'':<16}" + "".join(f"{route:>22}" for route in ROUTES))
    for name in NORMS:
        print(f"{name:<16}" + "".join(f"{error(name, route):>22.1e}" for route in ROUTES) + f"  {ISSUES.get(name, '')}")
    for name in ISSUES:
        for route in ROUTES:
            report = diagnosis(name, route)
            print(f"\n{name}, {route}: {report.verdict}")
            for cause in report.causes:
                print(f"  {cause}")


if __name__ == "__main__":
    main()
