"""Requests about linear solvers: (name, request)."""

import numpy as np

from oracle.named_draws import draws, integers


def system(operation, A, b, iterations, **more):
    """A request about A x = b."""
    A = np.array(A, float)
    request = {"operation": operation, "A": A.ravel().tolist(), "b": [float(t) for t in b]}
    request["x0"] = [float(t) for t in more.pop("x0", [0] * len(b))]
    matrices = {name: np.array(x, float).ravel().tolist() for name, x in more.items()}
    return {**request, **matrices, "iterations": iterations}


def definite(rng, n):
    """A positive definite matrix of integers."""
    B = rng.integers(-2, 3, (n, n))
    return B.T @ B + n * np.eye(n, dtype=int)


def _laplacian(n):
    return 2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)


def cg():
    """Definite, preconditioned, warm-started, scaled; zero right-hand sides; negative and zero curvature."""
    for n, iterations in ((2, 2), (3, 3), (4, 4), (5, 4), (6, 3)):
        rng = draws(f"cg/definite {n}")
        yield f"definite-{n}", system("cg", definite(rng, n), integers(rng, n, 9), iterations)
        yield (
            f"start-{n}",
            system("cg", definite(rng, n), integers(rng, n, 9), min(iterations, 3), x0=integers(rng, n, 3)),
        )
    for n in (3, 4, 5):
        rng = draws(f"cg/preconditioned {n}")
        A, scale = definite(rng, n), np.diag([2.0**-k for k in range(1, n + 1)])
        yield f"diagonal-preconditioner-{n}", system("cg", A, integers(rng, n, 9), 3, M=scale)
        yield f"full-preconditioner-{n}", system("cg", A, integers(rng, n, 9), 3, M=definite(rng, n))
        if n == 4:
            yield "preconditioner-and-start", system("cg", A, integers(rng, n, 9), 2, M=scale, x0=integers(rng, n, 3))
    A = _laplacian(5)
    yield "laplacian", system("cg", A, [1, 0, 2, 0, -1], 3)
    yield "two-eigenvalues", system("cg", np.diag([1, 1, 3, 3]), [1, 2, 3, 4], 2)
    yield "one-by-one", system("cg", [[4]], [3], 2)
    yield "identity", system("cg", np.eye(3), [1, -2, 3], 5)
    yield "zero-right-hand-side", system("cg", A, [0] * 5, 3)
    yield "zero-right-hand-side-and-start", system("cg", [[2, 0], [0, 4]], [0, 0], 1, x0=[1, 0])
    yield "start-at-solution", system("cg", A, A @ [1, 2, 3, 2, 1], 3, x0=[1, 2, 3, 2, 1])
    yield "small-right-hand-side", system("cg", A, 2.0**-40 * np.array([1, 0, 2, 0, -1]), 3)
    yield "small-matrix", system("cg", 2.0**-60 * A, [1, 0, 2, 0, -1], 3)
    yield "large-matrix", system("cg", 2.0**60 * A, [1, 0, 2, 0, -1], 3)
    yield "negative-at-once", system("cg", [[-2, 0], [0, -1]], [1, 1], 3)
    yield "negative-one-by-one", system("cg", [[-4]], [1], 1)
    yield "negative-second", system("cg", np.diag([3, -1, 2]), [2, 1, 1], 3)
    yield "negative-third", system("cg", np.diag([4, 3, 2, -1]), [3, 4, 5, 1], 4)
    yield "indefinite-but-not-met", system("cg", np.diag([5, 4, -1]), [3, 3, 1], 1)
    yield "negative-after-start", system("cg", np.diag([3, -2]), [3, 1], 2, x0=[1, 1])
    yield "negative-preconditioned", system("cg", np.diag([3, -1, 2]), [2, 1, 1], 3, M=np.diag([0.5, 1, 0.25]))
    yield "zero-at-once", system("cg", [[0, 1], [1, 0]], [1, 0], 2)
    yield "zero-matrix", system("cg", np.zeros((2, 2)), [1, 2], 2)
    yield "zero-second", system("cg", [[1, 0], [0, 0]], [1, 1], 2)
    yield "indefinite-preconditioner", system("cg", np.eye(2), [1, 2], 2, M=[[1, 0], [0, -1]])


def bicgstab():
    """General matrices; shadow residuals, preconditioners, starts, scales; each breakdown."""
    for n, iterations in ((2, 1), (3, 2), (4, 2), (5, 2)):
        rng = draws(f"bicgstab/general {n}")
        for kind, more in (
            ("general", {}),
            ("start", {"x0": integers(rng, n, 3)}),
            ("shadow", {"shadow": integers(rng, n, 3)}),
        ):
            A = rng.integers(-2, 3, (n, n)) + 4 * np.eye(n, dtype=int)
            yield f"{kind}-{n}", system("bicgstab", A, integers(rng, n, 9), iterations, **more)
    rng = draws("bicgstab/rest")
    for n in (3, 4):
        A, M = rng.integers(-2, 3, (n, n)) + 4 * np.eye(n, dtype=int), np.diag([0.5] * n) + np.eye(n, k=1) / 8
        yield f"preconditioner-{n}", system("bicgstab", A, integers(rng, n, 9), 2, M=M)
    yield "symmetric-definite", system("bicgstab", _laplacian(4), [1, 2, 3, 4], 2)
    yield "symmetric-indefinite", system("bicgstab", np.diag([3, -2, 1]), [1, 1, 1], 2)
    yield (
        "convection",
        system("bicgstab", _laplacian(5) + 0.5 * np.eye(5, k=1) - 0.5 * np.eye(5, k=-1), [1, 0, 0, 2, 0], 2),
    )
    yield "small-right-hand-side", system("bicgstab", _laplacian(4), 2.0**-60 * np.array([1, 2, 3, 4]), 2)
    yield "large-matrix", system("bicgstab", 2.0**60 * _laplacian(4), [1, 2, 3, 4], 2)
    yield "zero-right-hand-side", system("bicgstab", _laplacian(3), [0, 0, 0], 2)
    yield "start-at-solution", system("bicgstab", [[2, 1], [0, 1]], [3, 1], 2, x0=[1, 1])
    for name, A, b, iterations in (
        ("exact-after-one", [[2, 1], [0, 1]], [1, 1], 3),
        ("half-step", [[2]], [1], 2),
        ("half-step-later", [[2, 2], [2, -2]], [1, 0], 3),
        ("rho-later", [[1, 1, 1], [1, 1, 0], [-1, 0, 0]], [1, 0, 0], 3),
        ("alpha-at-once", [[0, 1], [1, 0]], [1, 0], 2),
        ("alpha-later", [[1, 1, 1], [1, -1, 1], [1, -1, 0]], [1, 1, 0], 3),
        ("gamma-at-once", [[2, 1], [1, 0]], [1, 0], 2),
        ("gamma-later", [[1, 0, -1], [-1, 1, 0], [-1, 0, 0]], [1, 1, 0], 3),
        ("singular", [[1, 1], [0, 0]], [1, 1], 2),
        ("skew", [[0, 1], [-1, 0]], [1, 2], 2),
        ("zero-matrix", [[0, 0], [0, 0]], [1, 2], 2),
    ):
        yield f"breakdown/{name}", system("bicgstab", A, b, iterations)
    yield "breakdown/rho-at-once", system("bicgstab", [[2, 1], [1, 3]], [1, 0], 2, shadow=[0, 1])


def solve():
    """Convergence on the residual, the limit, starts, preconditioners; false convergence."""
    four, nonsymmetric = _laplacian(4) + np.eye(4), _laplacian(4) + np.diag([1, 2, 3, 4]) + np.eye(4, k=1)
    b, small, scaled = np.array([1.0, 4, 9, -16]), 2.0**-40 * np.eye(4), np.diag([0.5, 0.25, 0.125, 0.0625])
    for solver, A in (("cg", four), ("bicgstab", nonsymmetric)):
        for name, rhs, rtol, most, more in (
            ("loose", b, 0.25, 10, {}),
            ("middling", b, 0.03, 10, {}),
            ("limit-1", b, 1e-6, 1, {}),
            ("limit-2", b, 1e-6, 2, {}),
            ("start", b, 0.03, 10, {"x0": [2, -1, 1, 3]}),
            ("start-good-enough", b, 0.5, 10, {"x0": [2, 5, 4, -4]}),
            ("small-right-hand-side", 2.0**-30 * b, 0.03, 10, {}),
            ("large-right-hand-side", 2.0**30 * b, 0.03, 10, {}),
            ("small-preconditioner", b, 0.03, 10, {"M": small}),
            ("preconditioner", b, 0.03, 10, {"M": scaled}),
            ("preconditioner-limit", b, 1e-6, 2, {"M": scaled, "x0": [1, 0, 0, 1]}),
            ("zero-right-hand-side", 0 * b, 0.03, 10, {}),
        ):
            yield f"{solver}/{name}", _solve(solver, A, rhs, rtol, most, **more)
        yield f"{solver}/not-a-number", {**_solve(solver, A, b, 0.03, 10), "b": ["nan", 1.0, 2.0, 3.0]}
        yield f"{solver}/zero-matrix", _solve(solver, np.zeros((2, 2)), [1, 2], 0.03, 10)
    yield "cg/negative-curvature", _solve("cg", np.diag([3, -1, 2]), [2, 1, 1], 0.001, 10)
    yield "bicgstab/alpha-breakdown", _solve("bicgstab", [[0, 1], [1, 0]], [1, 0], 0.03, 10)
    yield "bicgstab/gamma-breakdown", _solve("bicgstab", [[2, 1], [1, 0]], [1, 0], 0.03, 10)


def _solve(solver, A, b, rtol, most, **more):
    request = {"solver": solver, **system("solve", A, b, most, **more), "rtol": rtol}
    return {"operation": "solve", **request, "maxiter": request.pop("iterations")}
