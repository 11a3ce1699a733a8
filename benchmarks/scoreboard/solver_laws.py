"""Laws of a linear solver, on symmetric positive definite systems that any Krylov method solves.

A solver is called as x, info = solver(A, b, x0=..., rtol=..., maxiter=...); info is 0 if and only if it reports
convergence. A is an array here, and a LinearOperator in `refhf.check_solver`.
"""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from refhf.conformance.check_report import CheckReport, Finding, compared, escaped

N = 6
RTOL = 1e-8
MAXITER = 500  # far more than a system of six unknowns and condition 9 needs, also by steepest descent
POWERS = -120, -60, -40, -20, 0, 20, 40, 60, 120


def system() -> tuple[np.ndarray, np.ndarray]:
    """A of condition 9 and b of norm 3."""
    rng = np.random.default_rng(15)
    Q = np.linalg.qr(rng.normal(size=(N, N)))[0]
    A = Q * np.linspace(1, 9, N) @ Q.T
    b = rng.normal(size=N)
    return (A + A.T) / 2, 3 * b / np.linalg.norm(b)


def attempted(law: str, samples: Any) -> Finding:
    """The finding of a law, with all samples that fail; an exception of the solver is a failure."""
    try:
        tried = list(samples)
    except Exception as error:  # somebody else's code
        return Finding(law, None, None, escaped(f"{type(error).__name__}: {error}"[:200]), False)
    failed = [name for name, error, tolerance, _ in tried if not error <= tolerance]
    return compared(law, tried)._replace(worst="; ".join(failed))


def residual(solver: Callable[..., Any], name: str, A: np.ndarray, b: np.ndarray, rtol: float = RTOL, x0: Any = None):
    """A sample: the true residual, its bound and the size of b; no convergence is an infinite residual."""
    start = {} if x0 is None else {"x0": x0.copy()}
    with np.errstate(all="ignore"):
        x, info = solver(A.copy(), b.copy(), **start, rtol=rtol, maxiter=MAXITER)
        found, size = float(np.linalg.norm(b - A @ np.asarray(x))), float(np.linalg.norm(b))
    shown = f"info = {info}" if info else f"info = 0, relative residual {found / (size or 1):.1e}"
    return f"{name}: {shown}", found if info == 0 else np.inf, 1.001 * rtol * size, size


def tolerances(solver: Callable[..., Any]) -> CheckReport:
    """Converges to each tolerance, and says so."""
    A, b = system()
    samples = (residual(solver, f"rtol {rtol:g}", A, b, rtol) for rtol in (1e-2, 1e-4, 1e-6, 1e-8, 1e-10))
    return CheckReport("tolerances", (attempted("||b - A x|| <= rtol ||b||", samples),))


def scales(solver: Callable[..., Any]) -> CheckReport:
    """Powers of two that multiply A or b change nothing."""
    A, b = system()
    scaled = (residual(solver, f"A 2^{i}", np.ldexp(A, i), b) for i in POWERS)
    moved = (residual(solver, f"b 2^{j}", A, np.ldexp(b, j)) for j in POWERS)
    both = (
        residual(solver, f"A 2^{i}, b 2^{j}", np.ldexp(A, i), np.ldexp(b, j))
        for i, j in itertools.product((-120, 120), repeat=2)
    )
    return CheckReport(
        "scales",
        (
            attempted("A times a power of two", scaled),
            attempted("b times a power of two", moved),
            attempted("A and b times powers of two", both),
        ),
    )


def zero(solver: Callable[..., Any]) -> CheckReport:
    """b = 0 gives x = 0."""
    A, b = system()
    samples = (residual(solver, name, A, 0 * b) for name in ("b = 0",))
    return CheckReport("b = 0", (attempted("b = 0: x = 0", samples),))


def start(solver: Callable[..., Any]) -> CheckReport:
    """x0 = the exact solution is returned."""
    x = np.arange(1.0, N + 1)
    A = np.diag([1.0, 2.0, 2.0, 4.0, 4.0, 8.0]) + np.ones((N, N))  # of integers, so that A x0 = b is exact
    samples = (residual(solver, name, A, A @ x, RTOL, x) for name in ("x0 = solution",))
    return CheckReport("x0 = solution", (attempted("x0 = solution is kept", samples),))


TOPICS = {"tolerances": tolerances, "scales": scales, "b = 0": zero, "x0 = solution": start}
