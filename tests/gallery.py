"""Linear systems with known answers, and what cg and bicgstab are to make of each.

Families of SciPy's solver tests rebuilt from their description, spectra of stated condition, systems scaled to the
ends of the floating-point range (powers of two, so that nothing is rounded), and small integer matrices that make
one denominator of a recurrence exactly zero.
"""

from math import comb
from typing import NamedTuple

import numpy as np

from refhf.krylov.bicgstab import bicgstab_iterates
from refhf.krylov.cg import cg_iterates
from refhf.krylov.stopping import Stop

CONVERGED, LIMIT, STAGNATED, UNDERFLOW = Stop.CONVERGED, Stop.ITERATION_LIMIT, Stop.STAGNATED, Stop.UNDERFLOW
NEGATIVE, ZERO, NON_FINITE = Stop.NEGATIVE_CURVATURE, Stop.ZERO_CURVATURE, Stop.NON_FINITE
RHO, ALPHA, GAMMA, SINGULAR = Stop.RHO_BREAKDOWN, Stop.ALPHA_BREAKDOWN, Stop.GAMMA_BREAKDOWN, Stop.SINGULAR


class Case(NamedTuple):
    """The system A x = b; x is None where there is no solution, or not one. cg, bicgstab: what they report."""

    name: str
    A: np.ndarray
    b: np.ndarray
    x: np.ndarray | None
    cg: Stop = CONVERGED
    bicgstab: Stop = CONVERGED
    M: np.ndarray | None = None
    x0: np.ndarray | None = None
    rtol: float = 1e-5


def tridiagonal(n, below, middle, above):
    """The Toeplitz matrix (n, n) of three diagonals."""
    return np.diag([below] * (n - 1), -1) + np.diag([middle] * n) + np.diag([above] * (n - 1), 1)


def poisson1d(n):
    """-u'' on n points: condition about (2 n / pi)^2."""
    return tridiagonal(n, -1.0, 2.0, -1.0)


def poisson2d(n):
    """The five-point Laplacian on n x n points."""
    return np.kron(poisson1d(n), np.eye(n)) + np.kron(np.eye(n), poisson1d(n))


def convection_diffusion(n, peclet):
    """-u'' + 2 peclet u' / h by central differences: positive real part, the less normal the larger |peclet|."""
    return tridiagonal(n, -1.0 - peclet, 2.0, -1.0 + peclet)


def periodic(n):
    """-u'' on a ring: singular, its null space the constants."""
    A = poisson1d(n)
    A[0, -1] = A[-1, 0] = -1.0
    return A


def with_spectrum(eigenvalues, seed=0):
    """Q diag(eigenvalues) Q', Q orthogonal and random."""
    q, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((len(eigenvalues),) * 2))
    A = q * np.asarray(eigenvalues, float) @ q.T
    return (A + A.T) / 2


def conditioned(exponent, n=12):
    """Symmetric positive definite, eigenvalues 1 .. 10^-exponent equally spaced in their logarithm."""
    return with_spectrum(np.logspace(0, -exponent, n), seed=exponent)


def pascal(n):
    """P_ij = C(i + j, i): positive definite, determinant 1, badly conditioned."""
    A = np.ones((n, n))
    for i in range(1, n):
        A[i, 1:] = np.cumsum(A[i - 1])[1:]
    return A


def pascal_solution(n):
    """P^-1 e_1: x_j = (-1)^j C(n, j + 1)."""
    return np.array([(-1.0) ** j * comb(n, j + 1) for j in range(n)])


def random(n, seed):
    return np.random.default_rng(seed).uniform(size=(n, n))


def grcar(n):
    """Toeplitz: -1 below the diagonal, 1 on it and on three above; very sensitive eigenvalues."""
    return np.triu(np.tril(np.ones((n, n)), 3)) - np.eye(n, k=-1)


def saddle_point(n, m):
    """[[Laplacian, C'], [C, 0]], C the constraints: n positive eigenvalues and m negative ones."""
    constraints = np.eye(m, n) + np.eye(m, n, 1)
    return np.block([[poisson1d(n) + np.eye(n), constraints.T], [constraints, np.zeros((m, m))]])


def integers(n):
    """1, -2, 3, 1, -2, 3, ..: a solution that makes b exact where A is whole."""
    return np.resize([1.0, -2.0, 3.0], n)


def case(name, A, *outcomes, b=None, x=None, **rest):
    """A case whose solution is `integers`, unless b is given."""
    A = np.asarray(A, rest.pop("dtype", float))
    if b is None:
        x = integers(len(A)).astype(A.dtype) if x is None else x
        b = A @ x
    return Case(name, A, np.asarray(b, A.dtype), x, *outcomes, **rest)


def scaled(i, j, *outcomes):
    """(2^i A) x = 2^j b: the solution is scaled by 2^(j - i), and may be out of range."""
    A, x = poisson1d(8), integers(8)
    with np.errstate(over="ignore"):
        y = np.ldexp(x, j - i)
    y = y if np.isfinite(y).all() else None
    return Case(f"poisson1d 8, A 2^{i}, b 2^{j}", np.ldexp(A, i), np.ldexp(A @ x, j), y, *outcomes)


BAD_ROWS = 2.0 ** np.array([-12, 9, 0, -7, 12, 3, -10, 6, -2, 11])  # D of D A D

CASES = [
    # Symmetric positive definite.
    case("1x1", [[4.0]]),
    case("identity", np.eye(7)),
    case("diagonal 1..20", np.diag(np.arange(1.0, 21))),
    case("poisson1d 40", poisson1d(40)),
    case("poisson1d 40, float32", poisson1d(40), rtol=1e-3, dtype=np.float32),
    case("poisson2d 9x9", poisson2d(9)),
    case("poisson2d 9x9, float32", poisson2d(9), rtol=1e-3, dtype=np.float32),
    case("mass matrix", tridiagonal(30, 1.0, 4.0, 1.0)),
    case("min(i, j)", np.minimum.outer(np.arange(1.0, 13), np.arange(1.0, 13))),
    case("lehmer", [[min(i, j) / max(i, j) for j in range(1, 13)] for i in range(1, 13)]),
    case("hilbert 5", [[1 / (i + j + 1) for j in range(5)] for i in range(5)]),
    case("pascal 6", pascal(6)),
    case("pascal 12, first unit vector", pascal(12), CONVERGED, LIMIT, b=np.eye(12)[0], x=pascal_solution(12)),
    case("random gram", random(9, 1) @ random(9, 1).T),
    case("condition 1e2", conditioned(2)),
    case("condition 1e4", conditioned(4)),
    case("condition 1e6", conditioned(6)),
    case("condition 1e8", conditioned(8)),
    case("condition 1e10", conditioned(10)),
    case("condition 1e12", conditioned(12)),
    case("condition 1e8, b of ones", conditioned(8), b=np.ones(12)),
    case("condition 1e10, b of ones", conditioned(10), CONVERGED, LIMIT, b=np.ones(12)),
    case("three clusters", with_spectrum(np.r_[np.linspace(1, 1.01, 10), np.linspace(50, 50.5, 10), [1e4] * 10])),
    case("one outlier", with_spectrum([1e6] + [1.0] * 19)),
    case("bad rows, Jacobi", poisson1d(10) * np.outer(BAD_ROWS, BAD_ROWS), M=np.diag(BAD_ROWS**-2.0)),
    case("start at the solution", poisson1d(8), x0=integers(8)),
    case("start far away", poisson1d(8), x0=1e6 * integers(8)),
    case("zero right-hand side", poisson1d(8), b=np.zeros(8), x=np.zeros(8)),
    case("below rounding", poisson1d(10), STAGNATED, STAGNATED, b=1 / np.arange(1.0, 11), rtol=1e-17),
    # Symmetric, not positive definite: cg says so.
    case("1x1 negative", [[-4.0]], NEGATIVE),
    case("poisson1d 40, negated", -poisson1d(40), NEGATIVE),
    case("diagonal, both signs", np.diag([6.0, -5, 2, 7, -1, 10, 4, -3, -8, 9]), NEGATIVE),
    case("random symmetric", random(4, 2) + random(4, 2).T, NEGATIVE),
    case("saddle point", saddle_point(8, 3), NEGATIVE),
    case("helmholtz", poisson1d(20) - 0.3 * np.eye(20), NEGATIVE),
    # Not symmetric: cg is not for them.
    case("bidiagonal", tridiagonal(10, -1.0, 2.0, 0.0), LIMIT),
    case("convection 0.5", convection_diffusion(20, 0.5), LIMIT),
    case("convection 0.9", convection_diffusion(20, 0.9), LIMIT),
    case("grcar", grcar(10), LIMIT),
    case("rotation plus identity", [[1.0, 2.0], [-2.0, 1.0]], LIMIT),
    case("triangular", np.triu(np.ones((6, 6))) + np.eye(6), LIMIT),
    case("random matrix", random(8, 3) + np.eye(8), LIMIT),
    case("skew", np.kron(np.eye(3), [[0.0, 1.0], [-1.0, 0.0]]), NEGATIVE, ALPHA),
    case("cyclic shift", np.roll(np.eye(6), 1, 0), NEGATIVE, ALPHA, b=np.eye(6)[0], x=np.eye(6)[5]),
    # Singular.
    case("zero matrix", np.zeros((3, 3)), ZERO, ALPHA, b=np.ones(3)),
    case("ring, consistent", periodic(12), b=periodic(12) @ integers(12)),
    case("ring, inconsistent", periodic(12), ZERO, ALPHA, b=np.eye(12)[0]),
    case("semidefinite, inconsistent", np.diag([1.0, 0.0]), ZERO, ALPHA, b=[1.0, 2.0]),
    # Towards the ends of the range. CG squares r and p; Bi-CG-STAB squares As as well.
    scaled(-1000, 0, CONVERGED, UNDERFLOW),
    scaled(-500, 0),
    scaled(-400, 0),
    scaled(400, 0),
    scaled(500, 0),
    scaled(1000, 0, CONVERGED, NON_FINITE),
    scaled(0, -1000, UNDERFLOW, UNDERFLOW),
    scaled(0, -500),
    scaled(0, -400),
    scaled(0, 400),
    scaled(0, 500),
    scaled(0, 1000, NON_FINITE, NON_FINITE),
    scaled(1000, 500, NON_FINITE, NON_FINITE),
    scaled(-700, -200, UNDERFLOW, UNDERFLOW),
    scaled(-1000, 500, NON_FINITE, NON_FINITE),
]


class Breakdown(NamedTuple):
    """A system on which `iterates` end with `stop` at iterate k, and the driver over them with `reported`."""

    name: str
    iterates: object
    A: np.ndarray
    b: np.ndarray
    stop: Stop
    k: int
    reported: Stop
    M: np.ndarray | None = None


CG, BICGSTAB = cg_iterates, bicgstab_iterates


def breakdown(name, iterates, A, b, stop, k, reported=None, M=None):
    M = None if M is None else np.asarray(M, float)
    return Breakdown(name, iterates, np.asarray(A, float), np.asarray(b, float), stop, k, reported or stop, M)


# Whole numbers and halves all the way: each zero is exact, on every machine.
BREAKDOWNS = [
    breakdown("r_1 = 0", CG, [[2]], [1], Stop.EXACT, 1, CONVERGED),
    breakdown("b = 0", CG, [[2, 1], [1, 2]], [0, 0], Stop.EXACT, 0, CONVERGED),
    breakdown("p'Ap = 0, Ap = 0", CG, [[0]], [1], ZERO, 0),
    breakdown("p'Ap = 0, Ap != 0", CG, [[0, 1], [1, 0]], [1, 0], ZERO, 0, NEGATIVE),
    breakdown("p_1'Ap_1 = 0", CG, [[1, 0], [0, 0]], [1, 1], ZERO, 1),
    breakdown("r'Mr < 0", CG, np.eye(2), [1, 2], Stop.INDEFINITE_PRECONDITIONER, 0, M=[[1, 0], [0, -1]]),
    breakdown("r'Mr = 0", CG, np.eye(2), [1, 1], Stop.INDEFINITE_PRECONDITIONER, 0, M=[[1, 0], [0, -1]]),
    breakdown("r'r overflows", CG, [[1]], [2.0**600], NON_FINITE, 0),
    breakdown("x overflows", CG, [[2.0**-1000]], [2.0**500], NON_FINITE, 0),
    breakdown("r'r underflows", CG, [[1]], [2.0**-600], UNDERFLOW, 0),
    breakdown("p'Ap underflows", CG, [[2.0**-700]], [2.0**-200], UNDERFLOW, 0),
    breakdown("r_1 = 0", BICGSTAB, [[2, 1], [0, 1]], [1, 1], Stop.EXACT, 1, CONVERGED),
    breakdown("s_0 = 0", BICGSTAB, [[2]], [1], Stop.HALF_STEP, 1, CONVERGED),
    breakdown("s_1 = 0", BICGSTAB, [[2, 2], [2, -2]], [1, 0], Stop.HALF_STEP, 2, CONVERGED),
    breakdown("(r_1, r_0) = 0", BICGSTAB, [[1, 1, 1], [1, 1, 0], [-1, 0, 0]], [1, 0, 0], RHO, 1),
    breakdown("(Ap_0, r_0) = 0", BICGSTAB, [[0, 1], [1, 0]], [1, 0], ALPHA, 0),
    breakdown("(Ap_1, r_0) = 0", BICGSTAB, [[1, 1, 1], [1, -1, 1], [1, -1, 0]], [1, 1, 0], ALPHA, 1),
    breakdown("(s_0, As_0) = 0", BICGSTAB, [[2, 1], [1, 0]], [1, 0], GAMMA, 1),
    breakdown("(s_1, As_1) = 0", BICGSTAB, [[1, 0, -1], [-1, 1, 0], [-1, 0, 0]], [1, 1, 0], GAMMA, 2),
    breakdown("As_0 = 0, s_0 != 0", BICGSTAB, [[1, 1], [0, 0]], [1, 1], SINGULAR, 1),
    breakdown("r'r overflows", BICGSTAB, [[1]], [2.0**600], NON_FINITE, 0),
    breakdown("r'r underflows", BICGSTAB, [[1]], [2.0**-600], UNDERFLOW, 0),
    breakdown("As'As underflows", BICGSTAB, 2.0**-600 * poisson1d(3), [1, 2, 3], UNDERFLOW, 1),
]
