"""Linear solvers with one mistake; mistake None computes the right reply."""

import math

import numpy as np

from oracle.reply_changes import finished


def system(request):
    """A, b, x0, M as arrays."""
    n = len(request["b"])
    A, b, x = (np.array(request[name], float) for name in ("A", "b", "x0"))
    M = np.array(request["M"], float).reshape(n, n) if "M" in request else np.eye(n)
    return A.reshape(n, n), b, x, M


def cg(request, mistake):
    """Conjugate gradients."""
    A, b, x, M = system(request)
    if mistake == "start-ignored":
        x = 0 * x
    if mistake == "preconditioner-ignored":
        M = np.eye(b.size)
    if mistake == "preconditioner-inverted":
        M = np.linalg.inv(M)
    r = b - (0 if mistake == "residual-without-start" else A @ x)
    z = M @ r
    p, trace, stop = z, [x], "iteration limit"
    for k in range(request["iterations"] - (mistake == "one-too-few")):
        if not r.any() and mistake != "zero-rhs":
            stop = "exact"
            break
        rz, Ap = r @ z, A @ p
        if mistake == "absolute-threshold" and r @ r < 1e-20:
            stop = "exact"
            break
        if rz <= 0 and mistake != "preconditioner-unchecked" and r.any():
            stop = "indefinite preconditioner"
            break
        negative = p @ Ap < 0 or (p @ Ap == 0 and mistake != "zero-curvature" and r.any())
        if negative and mistake not in ("curvature-ignored", "curvature-tested-late"):
            stop = "negative curvature"
            break
        first = mistake == "preconditioner-late" and k == 0
        alpha = (r @ r if mistake == "preconditioner-not-in-alpha" or first else rz) / (p @ Ap)
        x, r = x + (-alpha if mistake == "sign" else alpha) * p, r - alpha * Ap
        trace.append(x)
        if mistake == "curvature-tested-late" and p @ Ap <= 0:
            stop = "negative curvature"
            break
        z = M @ r
        beta = {"steepest-descent": 0.0, "beta-inverted": rz / (r @ z) if r.any() else 0.0}.get(mistake, (r @ z) / rz)
        p = (r if mistake == "direction-not-preconditioned" else z) + beta * p
    if mistake == "exact-before-limit" and not r.any():
        stop = "exact"
    return finished({"x": np.concatenate(trace)}, mistake if mistake == "float32" else None) | {"stop": stop}


def bicgstab(request, mistake):
    """Bi-CG-STAB."""
    A, b, x, M = system(request)
    if mistake == "transposed-matrix":
        A = A.T
    if mistake == "start-ignored":
        x = 0 * x
    if mistake == "preconditioner-ignored":
        M = np.eye(b.size)
    r = b - (0 if mistake == "residual-without-start" else A @ x)
    shadow = np.array(request["shadow"], float) if "shadow" in request else r
    if mistake == "shadow-ignored":
        shadow = r
    if mistake == "transposed-shadow":
        shadow = A.T @ shadow
    if mistake == "shadow-is-b" and "shadow" not in request:
        shadow = b
    p, trace, stop, go_on = r, [x], "iteration limit", mistake == "breakdown-ignored"
    for _ in range(request["iterations"] - (mistake == "one-too-few")):
        if not r.any() and mistake != "zero-rhs":
            stop = "exact"
            break
        rho = r @ shadow
        if rho == 0 and not go_on and r.any():
            stop = "rho breakdown"
            break
        y = p if mistake == "preconditioner-left-out-of-p" else M @ p
        v = A @ y
        if v @ shadow == 0 and not go_on and r.any():
            stop = "alpha breakdown"
            break
        alpha = rho / (v @ shadow)
        half, s = x + alpha * y, r - alpha * v
        z = M @ s
        t = A @ z
        ends = "half step" if not s.any() else "singular" if not t.any() else "gamma breakdown" if t @ s == 0 else ""
        if ends and not go_on and r.any():
            stop = ends
            trace.append(x if mistake == "half-step-lost" else half)
            break
        omega = (s @ s) / (t @ s) if mistake == "omega-not-minimal" else (t @ s) / (t @ t)
        x, r = (half if mistake == "stabiliser-not-in-x" else half + omega * z), s - omega * t
        if mistake == "shadow-changes":
            shadow = r
        beta = (r @ shadow) / rho * (1.0 if mistake == "beta-without-alpha-over-omega" else alpha / omega)
        p = r + beta * (p if mistake == "stabiliser-not-in-p" else p - omega * v)
        trace.append(x)
    if mistake == "exact-before-limit" and not r.any():
        stop = "exact"
    return finished({"x": np.concatenate(trace)}, mistake if mistake == "float32" else None) | {"stop": stop}


def solve(request, mistake):
    """A solver with its stopping rule."""
    if "nan" in request["b"]:
        return {"converged": mistake == "nan-is-success"}
    A, b, _, M = system(request)
    most = request["maxiter"] + {"one-too-few": -1, "one-too-many": 1}.get(mistake, 0)
    of_solver = mistake if mistake in ("start-ignored", "preconditioner-ignored") else None
    found = (cg if request["solver"] == "cg" else bicgstab)({**request, "iterations": most}, of_solver)
    bound = request["rtol"] * (1 if mistake == "absolute-tolerance" else np.linalg.norm(b))
    trace = found["x"].reshape(-1, b.size)
    for x in trace:
        r = b - A @ x
        if (math.sqrt(abs(r @ (M @ r))) if mistake == "preconditioned-norm" else np.linalg.norm(r)) <= bound:
            return {"converged": mistake != "never-claims", "x": x}
    limit = found["stop"] == "iteration limit"
    return {"converged": mistake == ("claims-at-limit" if limit else "breakdown-is-success"), "x": trace[-1]}


MISTAKES = {
    "cg": (
        cg,
        [
            "start-ignored",
            "residual-without-start",
            "preconditioner-ignored",
            "preconditioner-inverted",
            "one-too-few",
            "exact-before-limit",
            "zero-rhs",
            "absolute-threshold",
            "preconditioner-unchecked",
            "curvature-ignored",
            "curvature-tested-late",
            "zero-curvature",
            "preconditioner-late",
            "preconditioner-not-in-alpha",
            "steepest-descent",
            "beta-inverted",
            "direction-not-preconditioned",
            "sign",
            "float32",
        ],
    ),
    "bicgstab": (
        bicgstab,
        [
            "transposed-matrix",
            "start-ignored",
            "residual-without-start",
            "preconditioner-ignored",
            "shadow-ignored",
            "transposed-shadow",
            "shadow-is-b",
            "breakdown-ignored",
            "one-too-few",
            "exact-before-limit",
            "zero-rhs",
            "half-step-lost",
            "preconditioner-left-out-of-p",
            "omega-not-minimal",
            "stabiliser-not-in-x",
            "stabiliser-not-in-p",
            "shadow-changes",
            "beta-without-alpha-over-omega",
            "float32",
        ],
    ),
    "solve": (
        solve,
        [
            "absolute-tolerance",
            "preconditioned-norm",
            "one-too-few",
            "one-too-many",
            "claims-at-limit",
            "never-claims",
            "start-ignored",
            "preconditioner-ignored",
            "nan-is-success",
            "breakdown-is-success",
        ],
    ),
}
