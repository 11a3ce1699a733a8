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
}


def mean_loss(name, z, y):
    if name == "squared_error":
        return ((z - y) ** 2).sum() / 2 / len(z)
    if name == "softmax_cross_entropy":
        return -(y * F.log_softmax(z, dim=1)).sum() / len(z)
    return F.binary_cross_entropy_with_logits(z, y, reduction="sum") / len(z)


def outputs(q, theta):
    """z (B, n_L); images are in C order with the channels last, PyTorch has them first."""
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


def network(q):
    y = torch.tensor(q["y"]).reshape(q["cases"], -1)
    theta = torch.tensor(q["theta"], requires_grad=True)
    f = mean_loss(q["loss"], outputs(q, theta), y) + q["l2"] / 2 * theta @ theta
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
