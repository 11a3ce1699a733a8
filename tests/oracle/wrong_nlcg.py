"""Nonlinear conjugate gradients with one mistake; mistake None computes the right reply."""

import numpy as np

from oracle.reply_changes import finished
from oracle.wrong_solvers import system


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
}
