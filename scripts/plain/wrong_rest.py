"""Nonlinear CG, replicas, the saddle and IDX with one mistake each; with the mistake None they are right."""

import gzip
import math

import numpy as np

from plain.whole import finished
from plain.wrong_solvers import system


def nlcg(request, mistake):
    """Nonlinear CG on a quadratic."""
    A, b, w, _ = system(request)
    h, scale, trace, betas, old = np.ones(b.size), 1.0, [w], [], None
    for _ in range(request["steps"]):
        g, f = A @ w - b, w @ A @ w / 2 - b @ w
        if request["preconditioner"] and old and mistake != "preconditioner-ignored":
            s, y = (old["d"] if mistake == "secant-of-direction" else w - old["w"]), g - old["g"]
            if mistake == "gradient-for-difference":
                y = g
            ys, shs = y @ s, s @ (h * s)
            if (ys >= 1e-8 and shs >= 1e-8) or mistake == "no-curvature-test":
                h = h + y * y / ys - (0 if mistake == "old-part-kept" else (h * s) ** 2 / shs)
                h = abs(h) if mistake == "no-curvature-test" else h
        r = -g
        s = r * h if mistake == "diagonal-not-inverted" else r / h
        delta, fletcher = r @ s, (request["beta"] == "fr") != (mistake == "other-beta")
        beta = 0.0
        if old:
            mid = r @ (old["r"] / h if mistake == "new-preconditioner-in-beta" else old["s"])
            beta = (delta if fletcher else delta - mid) / old["delta"]
            if mistake == "unpreconditioned-beta":
                beta = (r @ r if fletcher else r @ (r - old["r"])) / (old["r"] @ old["r"])
        if request["clip"] != (mistake == "clip"):
            beta = min(max(beta, 0.0), 1.0)
        d = s + beta * old["d"] if old and mistake != "direction-forgotten" else s
        if request["line_search"] == "exact":
            alpha = -(g @ d) / (d @ A @ d)
        else:
            if request["line_search"] == "online" and old and mistake != "online-ignored":
                up = (f - old["f"]) / abs(old["f"])
                scale = scale / 1.025 if up > 0.02 else scale * 1.025 if up < 0.01 else scale
                scale = scale if mistake == "scale-above-1" else min(scale, 1.0)
            alpha = scale * request["learning_rate"]
        old = {"w": w, "g": g, "r": r, "s": s, "d": d, "delta": delta, "f": f}
        w = w + alpha * d
        trace.append(w)
        betas.append(beta)
    return finished({"x": np.concatenate(trace), "beta": np.array(betas)}, mistake if mistake == "float32" else None)


def inverse_hessian_product(request, mistake):
    """H^-1 z from replicas."""
    W, G = (np.array(request[name], float).reshape(request["replicas"], -1).T for name in ("W", "G"))
    z = np.array(request["z"], float)
    if mistake != "not-centred":
        W, G = W - W.mean(axis=1, keepdims=True), G - G.mean(axis=1, keepdims=True)
    if mistake == "inverse-the-wrong-way":
        W, G = G, W
    u, s, vt = np.linalg.svd(G, full_matrices=False)
    rank = int((s > 1e-8 * max(s[0], 1e-300)).sum()) if np.linalg.norm(W) or mistake == "coinciding-replicas" else 0
    rank = min(rank, np.linalg.matrix_rank(W)) if mistake != "coinciding-replicas" else rank
    # The count alone is wrong: divided by singular values that are rounding, the product would be noise.
    reported = len(s) if mistake == "rank-is-replicas" else rank
    u, s, vt = u[:, :rank], s[:rank], vt[:rank]
    inside = u.T @ z
    part = W @ (vt.T @ (inside if mistake == "not-divided" else inside / s))
    outside = z - u @ inside
    product = {"perpendicular-dropped": part, "perpendicular-kept-twice": z + part}.get(mistake, outside + part)
    return finished({"product": product}, mistake if mistake in ("sign", "float32") else None) | {"rank": reported}


def saddle(request, mistake):
    """The paper's function."""
    x, y = request["theta"]
    slip = mistake == "quarter-missing"
    value = x**2 / 2 + (y**4 if slip else y**4 / 4) - y**2 / 2
    hessian = [1.0, 0.0, 0.0, 2 * y**2 if mistake == "gauss-newton-for-hessian" else 3 * y**2 - 1]
    gradient = [x, y**3 + y if mistake == "saddle-sign" else y**3 - y]
    if mistake == "axes-swapped":
        gradient, hessian = gradient[::-1], hessian[::-1]
    return finished({"value": value, "gradient": np.array(gradient), "hessian": np.array(hessian)}, mistake)


def stationary_point(request, mistake):
    """Its kind."""
    x, y = request["theta"]
    if (x, y**3 - y) != (0, 0) and mistake != "gradient-not-tested":
        return {"kind": "not stationary"}
    eigenvalues = [1.0, 3 * y**2 - 1]
    kind = "saddle" if min(eigenvalues) < 0 else "minimum"
    kind = {"saddle-called-minimum": "minimum", "minimum-called-saddle": "saddle"}.get(mistake, kind)
    return {"kind": kind, "eigenvalues": eigenvalues if mistake == "unsorted" else sorted(eigenvalues)}


def idx(request, mistake):
    """Unsigned bytes from an IDX file."""
    content = bytes.fromhex(request["hex"])
    if content[:2] == b"\x1f\x8b" and mistake != "gzip":
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError):
            return {"valid": mistake == "nothing-checked"}
    dimensions, order = content[3] if len(content) > 3 else 0, "little" if mistake == "little-endian" else "big"
    end = 4 + 4 * dimensions
    shape = [int.from_bytes(content[i : i + 4], order) for i in range(4, end, 4)]
    count, data = math.prod(shape), list(content[end:])
    wrong = [
        (content[:2] != b"\0\0", "magic-unchecked"),
        (content[2:3] != b"\x08", "type-unchecked"),
        (not 1 <= dimensions <= 4, "dimensions-unchecked"),
        (len(content) < end, ""),
        (not 1 <= count <= 2**30, "size-unchecked"),
        (len(data) < count, "truncation-unchecked"),
        (len(data) > count, "trailing-bytes-unchecked"),
    ]
    if mistake != "nothing-checked" and any(bad for bad, unchecked in wrong if unchecked != mistake):
        return {"valid": False}
    return {"valid": True, "shape": shape[::-1] if mistake == "shape-reversed" else shape, "data": data[:count]}


MISTAKES = {
    "nlcg": (
        nlcg,
        [
            "preconditioner-ignored",
            "secant-of-direction",
            "gradient-for-difference",
            "no-curvature-test",
            "old-part-kept",
            "diagonal-not-inverted",
            "other-beta",
            "new-preconditioner-in-beta",
            "unpreconditioned-beta",
            "clip",
            "direction-forgotten",
            "online-ignored",
            "scale-above-1",
            "float32",
        ],
    ),
    "inverse_hessian_product": (
        inverse_hessian_product,
        [
            "not-centred",
            "inverse-the-wrong-way",
            "coinciding-replicas",
            "rank-is-replicas",
            "not-divided",
            "perpendicular-dropped",
            "perpendicular-kept-twice",
            "sign",
            "float32",
        ],
    ),
    "saddle": (
        saddle,
        ["quarter-missing", "gauss-newton-for-hessian", "saddle-sign", "axes-swapped", "sign", "factor-2", "float32"],
    ),
    "stationary_point": (
        stationary_point,
        ["gradient-not-tested", "saddle-called-minimum", "minimum-called-saddle", "unsorted"],
    ),
    "idx": (
        idx,
        [
            "gzip",
            "little-endian",
            "magic-unchecked",
            "type-unchecked",
            "dimensions-unchecked",
            "nothing-checked",
            "size-unchecked",
            "truncation-unchecked",
            "trailing-bytes-unchecked",
            "shape-reversed",
        ],
    ),
}
