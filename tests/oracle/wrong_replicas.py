"""Inverse-Hessian products from replicas with one mistake; mistake None computes the right reply."""

import numpy as np

from oracle.reply_changes import finished


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


MISTAKES = {
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
}
