"""Requests about decisions, steps, nonlinear CG and replicas: (name, request)."""

import numpy as np

from oracle.named_draws import decimals, draws, integers
from oracle.network_requests import dense
from oracle.solver_requests import definite, system


def damping():
    """High, low and medium ratios; increased and undefined losses; both models; the bounds."""
    for name, change, slope, curvature, square, lam, damped in (
        ("good", -0.9, -2.0, 2.0, 1.0, 0.5, False),
        ("very-good", -3.0, -2.0, 2.0, 1.0, 0.5, False),
        ("poor", -0.1, -2.0, 2.0, 1.0, 0.5, False),
        ("middling", -0.6, -2.0, 2.0, 1.0, 0.5, False),
        ("middling-high", -0.875, -2.0, 2.0, 1.0, 0.5, False),
        ("middling-low", -0.375, -2.0, 2.0, 1.0, 0.5, False),
        ("at-the-upper-bound", -0.75, -2.0, 2.0, 1.0, 0.0, False),
        ("at-the-lower-bound", -0.25, -2.0, 2.0, 1.0, 0.0, False),
        ("model-decides", -0.8, -2.0, 2.0, 1.5, 0.5, False),
        ("damped-model", -0.8, -2.0, 2.0, 1.5, 0.5, True),
        ("damped-model-poor", -0.2, -2.0, 1.75, 4.0, 0.25, True),
        ("worse", 0.25, -2.0, 2.0, 1.0, 0.5, False),
        ("unchanged", 0.0, -2.0, 2.0, 1.0, 0.5, False),
        ("not-a-number", "nan", -2.0, 2.0, 1.0, 0.5, False),
        ("infinite", "inf", -2.0, 2.0, 1.0, 0.5, False),
        ("no-promise", -0.5, -1.0, 3.0, 1.0, 0.5, False),
        ("negative-curvature", -2.5, -1.0, -2.0, 1.0, 0.5, False),
        ("floor", -0.9, -2.0, 2.0, 1.0, 1.25e-10, False),
        ("ceiling", -0.1, -2.0, -2e10, 1.0, 8e9, False),
    ):
        yield name, {
            "operation": "damping", "damping": lam, "change": change, "slope": slope, "curvature": curvature,
            "squared_norm": square, "damped_ratio": damped,
        }  # fmt: skip


def line_search():
    """Polynomials along the direction; every decision has a wide margin."""
    for name, coefficients, slope, more in (
        ("full-step", [1.0, -2.0, 1.0], -2.0, {}),
        ("one-back", [1.0, -1.0, 1.1], -1.0, {}),
        ("some-back", [1.0, -1.0, 3.0], -1.0, {}),
        ("many-back", [1.0, -1.0, 400.0], -1.0, {}),
        ("thirty-back", [1.0, -1.0, 1000.0], -1.0, {}),
        ("more-than-sixty-tries", [1.0, -1.0, 5e6], -1.0, {}),
        ("enough-at-0.01", [1.0, -1.0, 0.95], -1.0, {}),
        ("not-enough", [1.0, -1.0, 0.995], -1.0, {}),
        ("enough-only-for-0.0001", [1.0, -1.0, 0.998, 0.0], -1.0, {}),
        ("rises-everywhere", [1.0, 1.0], -1.0, {}),
        ("flat", [2.0, 0.0], -1.0, {}),
        ("undefined-at-first", [1.0, -1.0, 0.5], -1.0, {"undefined_from": 0.6}),
        ("undefined-always", [1.0, -1.0, 0.5], -1.0, {"undefined_from": 0.0}),
        ("negative-value", [-3.0, -0.5, 0.125], -0.5, {}),
        ("cubic", [0.0, -1.0, 0.0, 4.0], -1.0, {}),
        ("quartic-dip", [1.0, -1.0, 6.0, -8.0, 3.5], -1.0, {}),
        ("steeper-slope-than-the-curve", [1.0, -0.5, 0.25], -60.0, {}),
    ):
        yield name, {"operation": "line_search", "coefficients": coefficients, "slope": slope, **more}


STEPS = (
    ("gn-cg/plain", "gn-cg", 0.5, 3, {}),
    ("gn-cg/little-damping", "gn-cg", 0.015625, 3, {}),
    ("gn-cg/warm-start", "gn-cg", 0.5, 2, {"delta": 1, "warm_start": 0.95}),
    ("gn-cg/backtracking", "gn-cg", 0.125, 4, {"backtracking": True}),
    ("gn-cg/damped-ratio", "gn-cg", 0.5, 3, {"damped_ratio": True}),
    ("gn-cg/mini-batch", "gn-cg", 0.5, 3, {"curvature_cases": [0, 2]}),
    ("gn-cg/decay", "gn-cg", 0.25, 3, {"l2": 0.125}),
    ("hessian-cg/plain", "hessian-cg", 1.0, 3, {}),
    ("hessian-cg/negative", "hessian-cg", 0.015625, 4, {}),
    ("hessian-cg/negative-at-once", "hessian-cg", 0.0078125, 4, {}),
    ("hessian-cg/backtracking", "hessian-cg", 0.5, 4, {"backtracking": True}),
    ("hessian-cg/mini-batch", "hessian-cg", 1.0, 3, {"curvature_cases": [1, 3]}),
    ("hessian-cg/warm-start", "hessian-cg", 1.0, 2, {"delta": 1, "warm_start": 0.5}),
    ("hybrid-cg/hessian", "hybrid-cg", 0.5, 3, {"after_negative_curvature": False}),
    ("hybrid-cg/after-negative-curvature", "hybrid-cg", 0.5, 3, {"after_negative_curvature": True}),
    ("hessian-bicgstab/plain", "hessian-bicgstab", 1.0, 2, {}),
    ("hessian-bicgstab/uphill", "hessian-bicgstab", 0.03125, 2, {}),
    ("hessian-bicgstab/walks-back", "hessian-bicgstab", 0.0625, 3, {}),
    ("hessian-bicgstab/mini-batch", "hessian-bicgstab", 1.0, 2, {"curvature_cases": [0, 3]}),
    ("hessian-bicgstab/warm-start", "hessian-bicgstab", 1.0, 2, {"delta": 1, "warm_start": 0.5}),
)


def hf_step():
    """One step of each of the four methods."""
    for name, method, lam, iterations, more in STEPS:
        yield name, step_request(name, method, lam, iterations, dict(more), SEEDS.get(name, 0))


# The first seed at which a step shows the behaviour in its name; 0 for the others.
SEEDS = {
    "gn-cg/plain": 368,  # 0 < rho < 1/4
    "gn-cg/little-damping": 2,  # shortened by the line search, rho = -inf
    "gn-cg/mini-batch": 65,  # a line search on the mini-batch would take another step
    "hessian-cg/negative": 9,
    "hessian-cg/negative-at-once": 22,
    "hessian-cg/mini-batch": 44,
    "hybrid-cg/hessian": 2,
    "hessian-bicgstab/walks-back": 1,
    "hessian-bicgstab/uphill": 49,  # the last iterate has g'd > 0
    "hessian-bicgstab/mini-batch": 79,
}


def step_request(name, method, lam, iterations, more, seed):
    """A step on a 2-3-2 network, its numbers keyed by name and seed."""
    request = dense(
        "gradient",
        f"hf_step/{name}/{seed}",
        [2, 3, 2],
        "tanh",
        "softmax_cross_entropy",
        4,
        more.pop("l2", 0.0),
        size=2.0,
    )
    if more.get("delta"):
        more["delta"] = decimals(draws(f"hf_step/{name}/{seed}/delta"), len(request["theta"]), 0.2)
    return {**request, "operation": "hf_step", "method": method, "damping": lam, "iterations": iterations, **more}


def nlcg():
    """Quadratics of small integers: both betas, clipped or not, preconditioned or not; all step-length rules."""
    for beta in ("fr", "pr"):
        for name, n, steps, preconditioner, search, clip, rate in (
            ("constant", 3, 4, False, "off", True, 0.0625),
            ("constant-not-clipped", 3, 4, False, "off", False, 0.0625),
            ("preconditioned", 3, 4, True, "off", True, 0.0625),
            ("preconditioned-not-clipped", 3, 3, True, "off", False, 0.125),
            ("exact", 3, 3, False, "exact", False, None),
            ("exact-preconditioned", 4, 3, True, "exact", True, None),
            ("online-falling", 2, 4, False, "online", True, 0.0625),
            ("online-rising", 2, 4, False, "online", True, 0.5),
            ("zigzag", 2, 4, False, "off", True, 0.25),
        ):
            rng = draws(f"nlcg/{name}")
            request = system("nlcg", definite(rng, n), integers(rng, n, 4), steps, x0=integers(rng, n, 3))
            request["steps"] = request.pop("iterations")
            if search == "online":
                request["b"] = [0.0] * n
            request |= {"beta": beta, "clip": clip, "preconditioner": preconditioner, "line_search": search}
            yield f"{beta}/{name}", request if rate is None else {**request, "learning_rate": rate}
    A = np.diag([1.0, -1.0])
    request = system("nlcg", A, [0, 0], 4, x0=[1, 2])
    request["steps"] = request.pop("iterations")
    request |= {"beta": "fr", "clip": True, "preconditioner": True, "line_search": "off", "learning_rate": 0.25}
    yield "fr/no-curvature", request


def inverse_hessian_product():
    """Replicas on a quadratic, where G = H W, and otherwise; equal ones, dependent ones, one alone."""
    for name, p, m, kind in (
        ("two", 3, 2, "quadratic"),
        ("three", 4, 3, "quadratic"),
        ("four", 5, 4, "quadratic"),
        ("whole-space", 2, 3, "quadratic"),
        ("whole-space-three", 3, 4, "quadratic"),
        ("indefinite", 4, 3, "indefinite"),
        ("own-batches", 4, 3, "noise"),
        ("one", 3, 1, "quadratic"),
        ("coinciding", 3, 3, "coinciding"),
        ("one-repeated", 4, 3, "repeated"),
        ("on-a-line", 4, 3, "line"),
        ("z-in-the-span", 4, 3, "inside"),
        ("z-orthogonal", 4, 2, "outside"),
    ):
        rng = draws(f"replicas/{name}")
        H = definite(rng, p) if kind != "indefinite" else np.diag([3, -2, 1, 5])
        W = rng.integers(-4, 5, (m, p)).astype(float)
        if kind in ("coinciding", "repeated", "line"):
            W[-1] = W[0] if kind != "line" else 2 * W[1] - W[0]
            W[1] = W[0] if kind == "coinciding" else W[1]
        G = W @ H + (rng.integers(-2, 3, (m, p)) if kind in ("noise", "coinciding") else rng.integers(-2, 3, p))
        z = rng.integers(-5, 6, p).astype(float)
        if kind == "inside":
            z = 2 * (G[1] - G[0]) - (G[2] - G[0])
        if kind == "outside":
            d = G[1] - G[0]
            z = np.array([d[1], -d[0], d[3], -d[2]])
        yield name, {
            "operation": "inverse_hessian_product", "replicas": m, "W": W.ravel().tolist(), "G": G.ravel().tolist(),
            "z": z.tolist(),
        }  # fmt: skip
