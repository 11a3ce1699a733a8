"""Damping, line search and a Hessian-free step with one mistake; mistake None computes the right reply."""

import math

import numpy as np

from oracle.wrong_solvers import bicgstab, cg
from refhf.conformance.vectors.vector_operations import reply_to


def damping(request, mistake):
    """The predicted change, the reduction ratio, and the next lambda."""
    change, slope, curvature, square, lam = (
        float(request[name]) for name in ("change", "slope", "curvature", "squared_norm", "damping")
    )
    damped = request["damped_ratio"] != (mistake == "damped-ratio")
    half = 1.0 if mistake == "missing-half" else 0.5
    predicted = slope + half * (curvature if damped else curvature - lam * square)
    rho = change / predicted if predicted else math.nan
    if not (change < 0 and predicted < 0) and mistake != "worse-not-minus-infinity":
        rho = -math.inf
    low, high = (0.5, 0.5) if mistake == "no-dead-band" else (0.25, 0.75)
    up, down = (2 / 3, 1.5) if mistake == "inverted" else (1.5, 1.5) if mistake == "only-up" else (1.5, 2 / 3)
    if mistake == "nan-keeps-damping" and math.isnan(change):
        up = 1.0
    lam = lam * (up if rho < low else down if rho > high else 1.0)
    if mistake != "no-bounds":
        lam = min(max(lam, 1e-10), 1e10)
    return {"predicted": predicted, "rho": 1 / rho if mistake == "ratio-inverted" and rho else rho, "damping": lam}


def line_search(request, mistake):
    """Armijo's rule."""
    c, slope, end = request["coefficients"], float(request["slope"]), request.get("undefined_from", math.inf)
    sufficient = {"no-sufficient-decrease": 0.0, "sufficient-0.1": 0.1, "sufficient-0.0001": 1e-4}.get(mistake, 0.01)
    alpha, tries = 1.0, {"20-tries": 20, "no-limit": 200}.get(mistake, 60)
    for _ in range(tries):
        f = math.nan if alpha >= end else float(np.polynomial.polynomial.polyval(alpha, c))
        bound = c[0] + sufficient * alpha * (0 if mistake == "slope-ignored" else slope)
        if f <= bound or (mistake == "nan-accepted" and math.isnan(f)):
            return {"step_length": alpha, "value": f}
        alpha *= 0.5 if mistake == "halves" else 0.8
    if mistake == "last-try-kept":
        return {"step_length": alpha, "value": f}
    return {"step_length": 0.0, "value": float(c[0])}


def hf_step(request, mistake):
    """One step with dense matrices."""
    changed = {
        "warm-start-ignored": {"delta": [0.0] * len(request["theta"])},
        "warm-start-not-decayed": {"warm_start": 1.0},
        "backtracking-ignored": {"backtracking": False},
        "gradient-on-mini-batch": {"rows": request.get("curvature_cases")},
        "curvature-on-all-cases": {"curvature_cases": list(range(request["cases"]))},
        "damped-ratio": {"damped_ratio": not request.get("damped_ratio", False)},
        "hybrid-never-switches": {"after_negative_curvature": False},
        "other-matrix": {"method": {"gn-cg": "hessian-cg"}.get(request["method"], "gn-cg")},
        "other-solver": {"method": {"hessian-bicgstab": "hessian-cg"}.get(request["method"], "hessian-bicgstab")},
    }.get(mistake, {})
    return _step({**request, **changed}, mistake)


def _step(request, mistake):
    theta, lam, n = np.array(request["theta"], float), request["damping"], len(request["theta"])
    rows = request.get("curvature_cases")
    whole = _some(request, request.get("rows"))
    mini = _some(request, rows)

    def f_of(one, theta):
        return reply_to({**one, "operation": "gradient", "theta": theta.tolist()})["value"]

    def matrix(operation):
        columns = [reply_to({**mini, "operation": operation, "v": e.tolist()})["product"] for e in np.eye(n)]
        return np.array(columns)

    reply = reply_to({**whole, "operation": "gradient"})
    f, g = f_of(request, theta), np.array(reply["gradient"])
    hybrid = request["method"] == "hybrid-cg" and request.get("after_negative_curvature", False)
    A = matrix("gauss_newton_product" if request["method"] == "gn-cg" or hybrid else "hessian_product")
    B = A + (0 if mistake == "damping-not-in-matrix" else lam) * np.eye(n)
    x0 = request.get("warm_start", 0.0) * np.array(request.get("delta", [0.0] * n))
    system = {"A": B.ravel().tolist(), "b": (-g).tolist(), "x0": x0.tolist(), "iterations": request["iterations"]}
    stabilised = request["method"] == "hessian-bicgstab"
    found = (bicgstab if stabilised else cg)(system, "curvature-ignored" if mistake == "curvature-ignored" else None)
    trace = found["x"].reshape(-1, n)
    last = len(trace) - 1
    marks = (
        range(1, last + 1) if stabilised else sorted({math.ceil(1.3**j) for j in range(20)} & set(range(last)) | {last})
    )
    candidates = [trace[k] for k in marks] if last else [-g]
    if mistake != "no-sign-flip":
        candidates = [-d if g @ d > 0 else d for d in candidates]
    if mistake == "candidates-from-start" and last:
        candidates = [-g, *candidates]
    values = [f_of(mini, theta + d) for d in candidates]
    at = len(values) - 1
    if mistake == "backtracking-to-minimum" and (stabilised or request.get("backtracking", False)):
        at = int(np.argmin(values))
    elif (stabilised and mistake != "last-iterate-taken") or request.get("backtracking", False):
        while at > 0 and values[at - 1] < values[at]:
            at -= 1
    d, f_0 = candidates[at], f if mistake == "ratio-mixes-batches" else f_of(mini, theta)
    curvature, slope = d @ B @ d, g @ d
    predicted = slope + 0.5 * (curvature - (0 if request.get("damped_ratio", False) else lam * (d @ d)))
    change = values[at] - f_0
    alpha = 1.0
    searched = mini if mistake == "line-search-on-mini-batch" else request
    while alpha > 1e-6 and not f_of(searched, theta + alpha * d) <= f + 0.01 * alpha * slope:
        alpha *= 0.8
    if mistake == "no-line-search":
        alpha = 1.0
    alpha = alpha if alpha > 1e-6 else 0.0
    if mistake == "ratio-after-line-search":
        change = f_of(mini, theta + alpha * d) - f_0
    rho = change / predicted if change < 0 and predicted < 0 else -math.inf
    next_lam = lam * (1.5 if rho < 0.25 else 2 / 3 if rho > 0.75 else 1.0)
    negative = any(x @ B @ x < 0 for x in trace[1:]) if stabilised else found["stop"] == "negative curvature"
    return {
        "theta": theta + alpha * d,
        "damping": lam if mistake == "damping-not-updated" else next_lam,
        "rho": rho,
        "step_length": alpha,
        "solver_iterations": last,
        "negative_curvature": bool(negative),
    }


def _some(request, rows):
    if rows is None:
        return request
    parts = {name: np.reshape(request[name], (request["cases"], -1))[rows].ravel().tolist() for name in ("X", "y")}
    return {**request, **parts, "cases": len(rows)}


MISTAKES = {
    "damping": (
        damping,
        [
            "damped-ratio",
            "missing-half",
            "worse-not-minus-infinity",
            "no-dead-band",
            "inverted",
            "only-up",
            "nan-keeps-damping",
            "no-bounds",
            "ratio-inverted",
        ],
    ),
    "line_search": (
        line_search,
        [
            "no-sufficient-decrease",
            "sufficient-0.1",
            "sufficient-0.0001",
            "20-tries",
            "no-limit",
            "slope-ignored",
            "nan-accepted",
            "halves",
            "last-try-kept",
        ],
    ),
    "hf_step": (
        hf_step,
        [
            "warm-start-ignored",
            "warm-start-not-decayed",
            "backtracking-ignored",
            "gradient-on-mini-batch",
            "curvature-on-all-cases",
            "damped-ratio",
            "hybrid-never-switches",
            "other-matrix",
            "other-solver",
            "damping-not-in-matrix",
            "curvature-ignored",
            "no-sign-flip",
            "backtracking-to-minimum",
            "last-iterate-taken",
            "ratio-mixes-batches",
            "line-search-on-mini-batch",
            "no-line-search",
            "ratio-after-line-search",
            "damping-not-updated",
        ],
    ),
}
