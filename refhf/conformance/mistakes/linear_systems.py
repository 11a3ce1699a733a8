"""Small linear systems on which different mistakes of a solver give different iterates."""

from typing import Any, NamedTuple

import numpy as np

from refhf.model.blocks import Array


class LinearSystem(NamedTuple):
    """A x = b, with an optional start x0 and approximate inverse M."""

    name: str
    A: Array
    b: Array
    x0: Array | None = None
    M: Array | None = None


def with_eigenvalues(eigenvalues: Any, rng: np.random.Generator) -> Array:
    """Q diag(eigenvalues) Q' with a random orthogonal Q."""
    q, _ = np.linalg.qr(rng.standard_normal((len(eigenvalues),) * 2))
    A = q * np.asarray(eigenvalues, float) @ q.T
    return (A + A.T) / 2


def _of_norm_three(b: Array) -> Array:
    """b scaled to norm 3, so that an absolute rtol shows on scaled systems only."""
    return 3 * b / np.linalg.norm(b)


def ordinary(kind: str, rng: np.random.Generator, n: int = 6) -> LinearSystem:
    """A well-conditioned system: positive definite for cg, nonsymmetric for bicgstab."""
    A = with_eigenvalues(np.linspace(1, 9, n) + rng.uniform(0, 1, n), rng)
    if kind == "bicgstab":
        A = A + rng.standard_normal((n, n)) / 2
    return LinearSystem("ordinary", A, _of_norm_three(rng.standard_normal(n)))


def preconditioned(kind: str, rng: np.random.Generator, n: int = 6) -> LinearSystem:
    """Badly scaled, D A D, with M = D^-2; the preconditioned residual is much smaller than the true one."""
    scales = 2.0 ** rng.permutation(np.arange(4, 4 + 2 * n, 2))
    A = ordinary(kind, rng, n).A * np.outer(scales, scales)
    return LinearSystem("badly scaled, M", A, scales * rng.standard_normal(n), M=np.diag(scales**-2))


def clustered(rng: np.random.Generator) -> LinearSystem:
    """Nine rows and three distinct eigenvalues: solved in three iterations."""
    return LinearSystem("three eigenvalues", with_eigenvalues([1.0, 2.0, 5.0] * 3, rng), rng.standard_normal(9))


def stiff(rng: np.random.Generator) -> LinearSystem:
    """Condition 1e4: not solved in two iterations."""
    A = with_eigenvalues(np.logspace(0, -4, 12), rng)
    return LinearSystem("condition 1e4", A, _of_norm_three(rng.standard_normal(12)))


def scaled(system: LinearSystem, i: int, j: int) -> LinearSystem:
    """(2^i A) x = 2^j b."""
    return LinearSystem(f"A 2^{i}, b 2^{j}", np.ldexp(system.A, i), np.ldexp(system.b, j))


def unsolved(kind: str) -> list[LinearSystem]:
    """Systems with a breakdown, without a solution, or with NaN; integer entries make breakdowns exact."""
    nan = np.diag([1.0, np.nan, 2.0])
    systems = [
        LinearSystem("no solution", np.diag([1.0, 0.0]), np.array([1.0, 2.0])),
        LinearSystem("the zero matrix", np.zeros((3, 3)), np.ones(3)),
        LinearSystem("NaN in A", nan, np.ones(3)),
        LinearSystem("negative curvature", np.array([[1.0, 2.0], [2.0, 1.0]]), np.array([1.0, 0.0])),
        LinearSystem("p'Ap = 0, (Ap, r0*) = 0", np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([1.0, 0.0])),
    ]
    if kind == "bicgstab":
        systems.append(LinearSystem("(s, As) = 0", np.array([[2.0, 1.0], [1.0, 0.0]]), np.array([1.0, 0.0])))
        systems.append(LinearSystem("As = 0", np.array([[1.0, 1.0], [0.0, 0.0]]), np.ones(2)))
    return systems
