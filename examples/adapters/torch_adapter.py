"""Test vectors answered by PyTorch's automatic differentiation: nonlinearities, losses, gradients, H v and G v."""

import json
import sys

import torch
from torch.nn import functional as F  # noqa: N812

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
NONLINEARITIES = {
    "tanh": torch.tanh,
    "logistic": torch.sigmoid,
    "softplus": lambda s: torch.logaddexp(s, torch.zeros_like(s)),
    "relu": torch.relu,
    "identity": lambda s: s,
    "gelu": F.gelu,
    "gelu_tanh": lambda s: F.gelu(s, approximate="tanh"),
    "silu": F.silu,
}


def mean_loss(name, z, y):
    if name == "squared_error":
        return ((z - y) ** 2).sum() / 2 / len(z)
    if name == "softmax_cross_entropy":
        return -(y * F.log_softmax(z, dim=1)).sum() / len(z)
    return F.binary_cross_entropy_with_logits(z, y, reduction="sum") / len(z)


def outputs(q, theta):
    """z (B, n_L); images are in C order with the channels last, PyTorch has them first."""
    if "blocks" in q:
        return Blocks(q, theta).outputs().flatten(0, -2)
    a, at, f = torch.tensor(q["X"]).reshape(q["cases"], -1), 0, NONLINEARITIES[q["nonlinearity"]]
    if "shape" in q:
        a = a.reshape(-1, *q["shape"])
    stages = q["stages"] if "stages" in q else [f"dense {n}" for n in q["sizes"][1:]]
    for k, stage in enumerate(stages):
        kind, *words = stage.split()
        n, *rest = map(int, words)
        if kind == "pool":
            a = F.avg_pool2d(a.permute(0, 3, 1, 2), n).permute(0, 2, 3, 1)
            continue
        shape = (rest[0], rest[0], a.shape[-1], n) if kind == "conv" else (a[0].numel(), n)
        count = torch.Size(shape).numel()
        W, b = theta[at : at + count].reshape(shape), theta[at + count : at + count + n]
        at += count + n
        if kind == "conv":
            a = F.conv2d(a.permute(0, 3, 1, 2), W.permute(3, 2, 0, 1), b, stride=rest[1], padding=rest[2])
            a = a.permute(0, 2, 3, 1)
        else:
            a = a.reshape(len(a), -1) @ W + b
        a = f(a) if k < len(stages) - 1 else a
    return a


class Blocks:
    """A network of blocks: a residual block is main, 'shortcut', beside, 'end'."""

    def __init__(self, q, theta):
        self.q, self.theta, self.at, self.words = q, theta, 0, iter(enumerate(q["blocks"]))
        self.starts = {}

    def outputs(self):
        X = torch.tensor(self.q["X"])
        return self.chain(X.reshape(self.q["cases"], *self.q["shape"]))

    def take(self, *shape):
        count = torch.Size(shape).numel()
        self.at += count
        return self.theta[self.at - count : self.at].reshape(shape)

    def chain(self, a):
        for k, word in self.words:
            self.starts[k] = self.at
            if word in ("shortcut", "end"):
                break
            a = self.chain(a) + self.chain(a) if word == "residual" else self.block(a, *word.split())
        return a

    def block(self, a, kind, *words):
        n, bias, channels = [int(word) for word in words if word.isdigit()], "no-bias" not in words, a.shape[-1]
        if kind in NONLINEARITIES:
            return NONLINEARITIES[kind](a)
        if kind == "dense":
            return a @ self.take(channels, n[0]) + (self.take(n[0]) if bias else 0)
        if kind in ("tied", "shared"):
            W = self.theta[self.starts[n[0]] :][: channels * n[1]]
            return a @ (W.reshape(n[1], channels).T if kind == "tied" else W.reshape(channels, n[1]))
        if kind == "conv":
            W = self.take(n[1], n[1], channels, n[0]).permute(3, 2, 0, 1)
            b = self.take(n[0]) if bias else None
            return F.conv2d(a.permute(0, 3, 1, 2), W, b, stride=n[2], padding=n[3]).permute(0, 2, 3, 1)
        if kind in ("pool", "max-pool"):
            of_images = F.avg_pool2d if kind == "pool" else F.max_pool2d
            return of_images(a.permute(0, 3, 1, 2), n[0]).permute(0, 2, 3, 1)
        if kind == "subsample":
            return F.pad(a[:, :: n[1], :: n[1]], (0, n[0] - channels))
        if kind == "layer-norm":
            return F.layer_norm(a, (channels,), self.take(channels), self.take(channels))
        if kind == "batch-norm":
            gamma, beta = self.take(channels), self.take(channels)
            groups = (x.reshape(-1, channels) for x in a.split(n[0]))
            return torch.cat([F.batch_norm(x, None, None, gamma, beta, training=True) for x in groups]).reshape(a.shape)
        if kind == "attention":
            B, T, d = len(a), a.shape[1], channels // 3
            Q, K, V = (x.reshape(B, T, n[0], d // n[0]).transpose(1, 2) for x in a.split(d, dim=2))
            scores = Q @ K.transpose(2, 3) / (d // n[0]) ** 0.5
            if "causal" in words:
                scores = scores.masked_fill(torch.ones(T, T).tril() == 0, -torch.inf)
            return (scores.softmax(dim=3) @ V).transpose(1, 2).reshape(B, T, d)
        if kind == "embedding":
            E = self.take(n[0], n[1])
            return E[a] + self.take(a.shape[1], n[1])
        return a.flatten(1) if kind == "flatten" else a.mean(dim=tuple(range(1, a.dim() - 1)))


def network(q):
    theta = torch.tensor(q["theta"], requires_grad=True)
    z = outputs(q, theta)
    y = torch.tensor(q["y"]).reshape(z.shape)
    f = mean_loss(q["loss"], z, y) + q["l2"] / 2 * theta @ theta
    (g,) = torch.autograd.grad(f, theta, create_graph=True)
    if q["operation"] == "gradient":
        return {"value": f.item(), "gradient": g.tolist()}
    v = torch.tensor(q["v"])
    if q["operation"] == "hessian_product":
        return {"product": torch.autograd.grad(g @ v, theta)[0].tolist()}
    z, Rz = torch.func.jvp(lambda theta: outputs(q, theta), (theta.detach(),), (v,))
    z.requires_grad_()
    (Dz,) = torch.autograd.grad(mean_loss(q["loss"], z, y), z, create_graph=True)
    (HRz,) = torch.autograd.grad((Dz * Rz).sum(), z)
    (Gv,) = torch.autograd.grad((outputs(q, theta) * HRz).sum(), theta)
    return {"product": (Gv + q["l2"] * v).tolist()}


def loss(q):
    z, y, Rz = (torch.tensor(q[name]).reshape(q["cases"], -1) for name in ("z", "y", "Rz"))
    z.requires_grad_()
    f = mean_loss(q["loss"], z, y)
    (g,) = torch.autograd.grad(f, z, create_graph=True)
    (product,) = torch.autograd.grad((g * Rz).sum(), z)
    return {"value": f.item(), "gradient": g.flatten().tolist(), "hessian_product": product.flatten().tolist()}


def nonlinearity(q):
    s = torch.tensor(q["s"], requires_grad=True)
    f = NONLINEARITIES[q["nonlinearity"]](s)
    (d,) = torch.autograd.grad(f.sum(), s, create_graph=True)
    dd = torch.autograd.grad(d.sum(), s)[0] if d.requires_grad else torch.zeros_like(s)
    return {"f": f.tolist(), "d": d.tolist(), "dd": dd.tolist()}


OPERATIONS = {
    "gradient": network,
    "hessian_product": network,
    "gauss_newton_product": network,
    "loss": loss,
    "nonlinearity": nonlinearity,
}
for line in sys.stdin:
    q = json.loads(line)
    reply = OPERATIONS[q["operation"]](q) if q["operation"] in OPERATIONS else {"unsupported": True}
    print(json.dumps({"id": q["id"], **reply}), flush=True)
