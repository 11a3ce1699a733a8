"""Small linear systems that tell a solver's mistakes apart."""

from typing import NamedTuple

import numpy as np


class System(NamedTuple):
    """A x = b, with a start and an approximate inverse where there is one."""

    name: str
    A: np.ndarray
    b: np.ndarray
    x0: np.ndarray | None = None
    M: np.ndarray | None = None


def with_eigenvalues(eigenvalues, rng) -> np.ndarray:
    """Q diag(eigenvalues) Q', Q orthogonal and random."""
    q, _ = np.linalg.qr(rng.standard_normal((len(eigenvalues),) * 2))
    A = q * np.asarray(eigenvalues, float) @ q.T
    return (A + A.T) / 2


def _of_norm_three(b):
    """b with a norm above 1, so that rtol taken for an absolute tolerance shows on scaled systems, and there alone."""
    return 3 * b / np.linalg.norm(b)


def ordinary(kind: str, rng, n: int = 6) -> System:
    """A well-conditioned system: positive definite for cg, not symmetric for bicgstab."""
    A = with_eigenvalues(np.linspace(1, 9, n) + rng.uniform(0, 1, n), rng)
    if kind == "bicgstab":
        A = A + rng.standard_normal((n, n)) / 2
    return System("ordinary", A, _of_norm_three(rng.standard_normal(n)))


def preconditioned(kind: str, rng, n: int = 6) -> System:
    """Badly scaled rows and columns, D A D, and M = D^-2, under which a residual is much smaller than it is."""
    scales = 2.0 ** rng.permutation(np.arange(4, 4 + 2 * n, 2))
    A, _ = ordinary(kind, rng, n)[1:3]
    return System(
        "badly scaled, M", A * np.outer(scales, scales), scales * rng.standard_normal(n), M=np.diag(scales**-2)
    )


def clustered(rng) -> System:
    """Nine rows, three distinct eigenvalues: three iterations."""
    return System("three eigenvalues", with_eigenvalues([1.0, 2.0, 5.0] * 3, rng), rng.standard_normal(9))


def stiff(rng) -> System:
    """Condition 1e4: not solved in two iterations."""
    A = with_eigenvalues(np.logspace(0, -4, 12), rng)
    return System("condition 1e4", A, _of_norm_three(rng.standard_normal(12)))


def scaled(system: System, i: int, j: int) -> System:
    """(2^i A) x = 2^j b."""
    return System(f"A 2^{i}, b 2^{j}", np.ldexp(system.A, i), np.ldexp(system.b, j))


def unsolved(kind: str) -> list[System]:
    """Where the recurrence cannot go on, or nothing solves, or nothing is a number: what is whole is exact."""
    nan = np.diag([1.0, np.nan, 2.0])
    systems = [
        System("no solution", np.diag([1.0, 0.0]), np.array([1.0, 2.0])),
        System("the zero matrix", np.zeros((3, 3)), np.ones(3)),
        System("NaN in A", nan, np.ones(3)),
        System("negative curvature", np.array([[1.0, 2.0], [2.0, 1.0]]), np.array([1.0, 0.0])),
        System("p'Ap = 0, (Ap, r0*) = 0", np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([1.0, 0.0])),
    ]
    if kind == "bicgstab":
        systems.append(System("(s, As) = 0", np.array([[2.0, 1.0], [1.0, 0.0]]), np.array([1.0, 0.0])))
        systems.append(System("As = 0", np.array([[1.0, 1.0], [0.0, 0.0]]), np.ones(2)))
    return systems
