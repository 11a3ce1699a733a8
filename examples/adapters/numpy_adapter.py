"""Test vectors answered in NumPy: gradient, H v and G v of tanh networks with a softmax, on half a page."""

import json
import sys

import numpy as np


def answer(q):
    if q["operation"] not in ("gradient", "hessian_product", "gauss_newton_product"):
        return {"unsupported": True}
    if "sizes" not in q or (q["nonlinearity"], q["loss"]) != ("tanh", "softmax_cross_entropy"):
        return {"unsupported": True}
    theta, v, B = np.array(q["theta"]), np.array(q.get("v", q["theta"])), q["cases"]
    a, Ra, y, at, parts = [np.reshape(q["X"], (B, -1))], [np.zeros((B, 1))], np.reshape(q["y"], (B, -1)), 0, []
    for m, n in zip(q["sizes"], q["sizes"][1:]):
        parts.append([(t[at : at + m * n].reshape(m, n), t[at + m * n : at + m * n + n]) for t in (theta, v)])
        at, ((W, b), (V, c)) = at + m * n + n, parts[-1]
        z, Rz = a[-1] @ W + b, a[-1] @ V + (Ra[-1] @ W if len(a) > 1 else 0) + c
        a.append(np.tanh(z))
        Ra.append((1 - a[-1] ** 2) * Rz)
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    D, RD, g, Hv = (p - y) / B, p * (Rz - (p * Rz).sum(axis=1, keepdims=True)) / B, [], []
    for l, ((W, _), (V, _)) in reversed(list(enumerate(parts))):
        if q["operation"] == "gauss_newton_product":
            D = 0 * D  # G is H without what the residual contributes
        g = [(a[l].T @ D).ravel(), D.sum(axis=0), *g]
        Hv = [(a[l].T @ RD + (Ra[l].T @ D if l else 0)).ravel(), RD.sum(axis=0), *Hv]
        Da, RDa = D @ W.T, RD @ W.T + D @ V.T
        D, RD = Da * (1 - a[l] ** 2), RDa * (1 - a[l] ** 2) - 2 * a[l] * Ra[l] * Da
    if q["operation"] != "gradient":
        return {"product": (np.concatenate(Hv) + q["l2"] * v).tolist()}
    f = -(y * np.log(p)).sum() / B + q["l2"] / 2 * theta @ theta
    return {"value": float(f), "gradient": (np.concatenate(g) + q["l2"] * theta).tolist()}


for line in sys.stdin:
    request = json.loads(line)
    print(json.dumps({"id": request["id"], **answer(request)}), flush=True)
