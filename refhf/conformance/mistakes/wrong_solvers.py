"""Conjugate gradients and Bi-CG-STAB with one line wrong, as known mistakes compute them.

These recognise mistakes. Whether a solver is right is decided by comparison with `refhf.krylov`. Notation as there.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from refhf.conformance.mistakes.linear_systems import LinearSystem
from refhf.conformance.patterns import Cause, Pattern
from refhf.model.blocks import Array


def conjugate_gradients(
    system: LinearSystem,
    steps: int,
    *,
    x0: bool = True,
    first_residual: Callable[..., Any] = lambda A, b, x: b - A @ x,
    use_m: bool = True,
    inverted: bool = False,
    first_rho: Callable[..., Any] = lambda r, z: r @ z,
    alpha: Callable[..., Any] = lambda rho, r, p, Ap, A: rho / (p @ Ap),
    residual: Callable[..., Any] = lambda r, alpha, Ap: r - alpha * Ap,
    beta: Callable[..., Any] = lambda rho, rho_old, r, r_old, z: rho / rho_old,
    direction: Callable[..., Any] = lambda z, z_old, beta, p: z + beta * p,
) -> list[Array]:
    """The iterates x_1 .. x_steps of preconditioned conjugate gradients."""
    A, b, M = system.A, system.b, _preconditioner(system, use_m, inverted)
    x = np.zeros_like(b) if system.x0 is None or not x0 else system.x0
    r = first_residual(A, b, x)
    z = M @ r
    p, rho, xs = z, first_rho(r, z), []
    for _ in range(steps):
        Ap = A @ p
        a = alpha(rho, r, p, Ap, A)
        x, r_old, z_old = x + a * p, r, z
        r = residual(r, a, Ap)
        z = M @ r
        rho_old, rho = rho, r @ z
        p = direction(z, z_old, beta(rho, rho_old, r, r_old, z), p)
        xs.append(x)
    return xs


def bicgstab(
    system: LinearSystem,
    steps: int,
    *,
    x0: bool = True,
    first_residual: Callable[..., Any] = lambda A, b, x: b - A @ x,
    use_m: bool = True,
    inverted: bool = False,
    matrix: Callable[..., Any] = lambda A: A,
    omega: Callable[..., Any] = lambda s, r, As: (s @ As) / (As @ As),
    beta: Callable[..., Any] = lambda rho, rho_old, alpha, omega: rho / rho_old * alpha / omega,
    direction: Callable[..., Any] = lambda r, beta, p, omega, Ap: r + beta * (p - omega * Ap),
    shadow: Callable[..., Any] = lambda first, r: first,
    product_s: Callable[..., Any] = lambda A, s, r: A @ s,
    step: Callable[..., Any] = lambda omega, s: omega * s,
) -> list[Array]:
    """The iterates x_1 .. x_steps of Bi-CG-STAB, preconditioned from the right."""
    b, M = system.b, _preconditioner(system, use_m, inverted)
    A = matrix(system.A)
    x = np.zeros_like(b) if system.x0 is None or not x0 else system.x0
    r = first = first_residual(system.A, b, x)
    p, rho, xs = r, first @ r, []
    for _ in range(steps):
        Ap = A @ (M @ p)
        a = rho / (Ap @ shadow(first, r))
        s = r - a * Ap
        As = product_s(A, M @ s, M @ r)
        w = omega(s, r, As)
        x = x + a * (M @ p) + step(w, M @ s)
        r = s - w * As
        rho_old, rho = rho, r @ shadow(first, r)
        p = direction(r, beta(rho, rho_old, a, w), p, w, Ap)
        xs.append(x)
    return xs


def _preconditioner(system: LinearSystem, use_m: bool, inverted: bool) -> Array:
    """The M that the recurrence multiplies by."""
    if system.M is None or not use_m:
        return np.eye(len(system.b))
    return np.linalg.inv(system.M) if inverted else system.M


def conjugate_residuals(system: LinearSystem, steps: int) -> list[Array]:
    """The iterates x_1 .. x_steps of conjugate residuals; those of MINRES are the same if A is definite."""
    A, b, M = system.A, system.b, np.eye(len(system.b)) if system.M is None else system.M
    x = np.zeros_like(b) if system.x0 is None else system.x0
    r = M @ (b - A @ x)
    p, xs = r, []
    rho = r @ (A @ r)
    for _ in range(steps):
        Ap = A @ p
        alpha = rho / (Ap @ M @ Ap)
        x, r = x + alpha * p, r - alpha * (M @ Ap)
        rho_old, rho = rho, r @ (A @ r)
        p = r + rho / rho_old * p
        xs.append(x)
    return xs


Mistakes = dict[Cause, dict[str, Any]]  # keyword arguments of a recurrence, by cause

STARTS: Mistakes = {
    Cause(Pattern.X0_IGNORED): {"x0": False},
    Cause(Pattern.X0_RESIDUAL): {"first_residual": lambda A, b, x: b},
    Cause(Pattern.PRECONDITIONER_IGNORED): {"use_m": False},
    Cause(Pattern.PRECONDITIONER_INVERTED): {"inverted": True},
}
MISTAKES: dict[str, Mistakes] = {
    "cg": STARTS
    | {
        Cause(Pattern.PRECONDITIONED_FIRST): {"first_rho": lambda r, z: r @ r},
        Cause(Pattern.STEEPEST): {"beta": lambda rho, rho_old, r, r_old, z: 0.0},
        Cause(Pattern.BETA, "upside down"): {"beta": lambda rho, rho_old, r, r_old, z: rho_old / rho},
        Cause(Pattern.BETA, "wrong sign"): {"beta": lambda rho, rho_old, r, r_old, z: -rho / rho_old},
        Cause(Pattern.BETA, "its square root: norms instead of squared norms"): {
            "beta": lambda rho, rho_old, r, r_old, z: np.sqrt(rho / rho_old)
        },
        Cause(Pattern.BETA, "always 1"): {"beta": lambda rho, rho_old, r, r_old, z: 1.0},
        Cause(Pattern.BETA, "r'r instead of r'z"): {
            "beta": lambda rho, rho_old, r, r_old, z: (r @ r) / (r_old @ r_old)
        },
        Cause(Pattern.ALPHA, "r'Ar instead of p'Ap"): {"alpha": lambda rho, r, p, Ap, A: rho / (r @ A @ r)},
        Cause(Pattern.ALPHA, "r'r instead of r'z"): {"alpha": lambda rho, r, p, Ap, A: (r @ r) / (p @ Ap)},
        Cause(Pattern.ALPHA, "p'p instead of r'z"): {"alpha": lambda rho, r, p, Ap, A: (p @ p) / (p @ Ap)},
        Cause(Pattern.ALPHA, "wrong sign"): {"alpha": lambda rho, r, p, Ap, A: -rho / (p @ Ap)},
        Cause(Pattern.RESIDUAL_NOT_UPDATED): {"residual": lambda r, alpha, Ap: r},
        Cause(Pattern.RESIDUAL_NOT_UPDATED, "wrong sign"): {"residual": lambda r, alpha, Ap: r + alpha * Ap},
        Cause(Pattern.OLD_RESIDUAL): {"direction": lambda z, z_old, beta, p: z_old + beta * p},
    },
    "bicgstab": STARTS
    | {
        Cause(Pattern.TRANSPOSED): {"matrix": lambda A: A.T},
        Cause(Pattern.OMEGA, "(s, s) / (As, s)"): {"omega": lambda s, r, As: (s @ s) / (As @ s)},
        Cause(Pattern.OMEGA, "(As, s) / (s, s)"): {"omega": lambda s, r, As: (As @ s) / (s @ s)},
        Cause(Pattern.OMEGA, "(As, r) / (As, As)"): {"omega": lambda s, r, As: (As @ r) / (As @ As)},
        Cause(Pattern.OMEGA, "wrong sign"): {"omega": lambda s, r, As: -(As @ s) / (As @ As)},
        Cause(Pattern.OMEGA, "A r instead of A s"): {"product_s": lambda A, s, r: A @ r},
        Cause(Pattern.BETA, "without alpha / omega"): {"beta": lambda rho, rho_old, alpha, omega: rho / rho_old},
        Cause(Pattern.BETA, "omega / alpha for alpha / omega"): {
            "beta": lambda rho, rho_old, alpha, omega: rho / rho_old * omega / alpha
        },
        Cause(Pattern.BETA, "upside down"): {"beta": lambda rho, rho_old, alpha, omega: rho_old / rho * alpha / omega},
        Cause(Pattern.NO_STABILISER, "p lacks - omega A p"): {"direction": lambda r, beta, p, omega, Ap: r + beta * p},
        Cause(Pattern.NO_STABILISER, "x lacks omega s"): {"step": lambda omega, s: 0 * s},
        Cause(Pattern.SHADOW): {"shadow": lambda first, r: r},
    },
}
RECURRENCES: dict[str, Callable[..., list[Array]]] = {"cg": conjugate_gradients, "bicgstab": bicgstab}


def mistaken(kind: str) -> Iterator[tuple[Cause, Callable[[LinearSystem, int], list[Array]]]]:
    """Yield (cause, function (system, steps) -> x_1 .. x_steps) for each known mistake of 'cg' or 'bicgstab'."""
    for other in RECURRENCES.keys() - {kind}:
        yield Cause(Pattern.OTHER_SOLVER, other), RECURRENCES[other]
    yield Cause(Pattern.OTHER_SOLVER, "MINRES or conjugate residuals"), conjugate_residuals
    for cause, change in MISTAKES[kind].items():
        yield cause, lambda system, steps, change=change: RECURRENCES[kind](system, steps, **change)
