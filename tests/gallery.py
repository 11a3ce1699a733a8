"""Linear systems, what cg and bicgstab are to make of each, and how SciPy's `info` compares: promise R6.

The real families of SciPy's solver tests rebuilt from their description, spectra of stated condition and those of
LAPACK's tests, systems scaled to the ends of the floating-point range (powers of two, so that nothing is rounded), and
small integer matrices that make one denominator of a recurrence exactly zero.

`python tests/gallery.py` prints the table of R6, a row a system and solver, as it comes out.
"""

from math import comb
from typing import NamedTuple

import numpy as np
import scipy.sparse.linalg
from scipy.sparse.linalg import LinearOperator

from refhf.krylov.bicgstab import bicgstab_iterates
from refhf.krylov.cg import cg_iterates
from refhf.krylov.solve import Info, bicgstab, cg
from refhf.krylov.stopping import Stop

CONVERGED, LIMIT, STAGNATED, UNDERFLOW = Stop.CONVERGED, Stop.ITERATION_LIMIT, Stop.STAGNATED, Stop.UNDERFLOW
NEGATIVE, ZERO, NON_FINITE = Stop.NEGATIVE_CURVATURE, Stop.ZERO_CURVATURE, Stop.NON_FINITE
RHO, ALPHA, GAMMA, SINGULAR = Stop.RHO_BREAKDOWN, Stop.ALPHA_BREAKDOWN, Stop.GAMMA_BREAKDOWN, Stop.SINGULAR


class Note(NamedTuple):
    """The reason for a solver's failure, or for a difference from SciPy's `info`.

    Attributes
    ----------
    text : str
    info : int or None
        The sign of SciPy's info, where it is not refhf's: 0 is convergence, 1 the iteration limit, -1 a breakdown.
    x : str
        What SciPy's x is then worth: it 'solves' the system, 'falls short', or is 'not finite'.
    """

    text: str
    info: int | None = None
    x: str = ""


ARRIVES = Note("SciPy goes on through negative curvature, and arrives; refhf returns the direction", 0, "solves")
STRAYS = Note("SciPy goes on through negative curvature, to its limit; refhf returns the direction", 1, "falls short")
DIVIDES = Note("SciPy divides by p'Ap = 0, and iterates on NaN to its limit", 1, "not finite")
ON_NAN = Note("out of range; SciPy iterates on NaN to its limit", 1, "not finite")
STANDS = Note("out of range; SciPy's p'Ap overflows, and its steps have length zero to its limit", 1, "falls short")
OVERFLOWS = Note("out of range; SciPy's r meets the tolerance, but its x has overflowed", 0, "not finite")
NO_NORM = Note("out of range; SciPy's ||b|| underflows to zero, and it returns b for x", 0, "falls short")
ABSOLUTE = Note("SciPy's breakdown thresholds are absolute; refhf's are relative", -1, "falls short")
BELIEVES = Note("SciPy believes the recurrence's residual; refhf asks the true one", 0, "falls short")
NOT_SYMMETRIC = Note("the matrix is not symmetric, as CG needs it", x="falls short")
ROUNDING = Note("rounding: the recurrence loses its way at this condition, as does SciPy's", x="falls short")
STEPS_OVER = Note(
    "SciPy steps over an inner product that is zero to rounding, and arrives; refhf names it", 0, "solves"
)


class Expected(NamedTuple):
    """A solver's stop on a case, a note (see `Note`), and other stops that rounding may cause."""

    stop: Stop
    note: Note | None = None
    or_else: tuple = ()


class Case(NamedTuple):
    """The system A x = b; x is None where there is no solution, not one, or none known. cg, bicgstab: what they do."""

    name: str
    A: np.ndarray
    b: np.ndarray
    x: np.ndarray | None
    cg: Expected = Expected(CONVERGED)
    bicgstab: Expected = Expected(CONVERGED)
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


def scipys_random(n):
    """The matrices and right-hand sides that SciPy's tests draw."""
    return np.random.RandomState(1234).rand(n, n)


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
    """A case whose solution is `integers`, unless b is given. An outcome is a Stop, or a Stop with a Note."""
    A = np.asarray(A, rest.pop("dtype", float))
    if b is None:
        x = integers(len(A)).astype(A.dtype) if x is None else x
        b = A @ x
    expected = (Expected(*one) if isinstance(one, tuple) else Expected(one) for one in outcomes)
    return Case(name, A, np.asarray(b, A.dtype), x, *expected, **rest)


def scipys(name, A, *outcomes, b=None):
    """A case of scipy/sparse/linalg/_isolve/tests/test_iterative.py: its name, b and tolerance."""
    single = name.endswith("-F")
    rest = {"dtype": np.float32, "rtol": 1e-2} if single else {"rtol": 1e-8}
    return case(f"SciPy's {name}", A, *outcomes, b=np.arange(len(A)) if b is None else b, **rest)


def scaled(i, j, *outcomes, name="poisson1d 8", A=None):
    """(2^i A) x = 2^j b: the solution is scaled by 2^(j - i), and may be out of range."""
    A = poisson1d(8) if A is None else A
    x = integers(len(A))
    with np.errstate(over="ignore"):
        y = np.ldexp(x, j - i)
    y = y if np.isfinite(y).all() else None
    return case(f"{name}, A 2^{i}, b 2^{j}", np.ldexp(A, i), *outcomes, b=np.ldexp(A @ x, j), x=y)


BAD_ROWS = 2.0 ** np.array([-12, 9, 0, -7, 12, 3, -10, 6, -2, 11])  # D of D A D
SIGNS = np.diag([6.0, -5, 2, 7, -1, 10, 4, -3, -8, 9])
FIVE, ONE = np.eye(5), np.array([[1.0, 2, 2, 2, 1]])
BREAKS_DOWN = np.block([[0 * FIVE, ONE.T, -FIVE], [ONE, np.zeros((1, 6))], [-FIVE, 0 * ONE.T, -FIVE]])

CASES = [
    # SciPy's, all the real ones.
    scipys("poisson1d", poisson1d(40)),
    scipys(
        "poisson1d-F", poisson1d(40), CONVERGED, (RHO, STEPS_OVER, (ALPHA, CONVERGED))
    ),  # r'r0* is 26 eps of its norms
    scipys("neg-poisson1d", -poisson1d(40), (NEGATIVE, ARRIVES)),
    scipys("neg-poisson1d-F", -poisson1d(40), (NEGATIVE, ARRIVES), (RHO, STEPS_OVER, (ALPHA, CONVERGED))),
    scipys("poisson2d", poisson2d(9)),  # SciPy's is of 40 x 40 points
    scipys("poisson2d-F", poisson2d(9)),
    scipys("rand-diag", SIGNS, (NEGATIVE, ARRIVES)),
    scipys("rand-diag-F", SIGNS, (NEGATIVE, ARRIVES)),
    scipys("rand", scipys_random(4), (NEGATIVE, STRAYS)),
    scipys("rand-F", scipys_random(4), (NEGATIVE, STRAYS)),
    scipys("rand-sym", scipys_random(4) + scipys_random(4).T, (NEGATIVE, ARRIVES)),
    scipys("rand-sym-F", scipys_random(4) + scipys_random(4).T, (NEGATIVE, ARRIVES)),
    scipys("rand-sym-pd", scipys_random(9) @ scipys_random(9).T),
    scipys("rand-sym-pd-F", scipys_random(9) @ scipys_random(9).T),
    scipys("nonsymposdef", tridiagonal(10, -1.0, 2.0, 0.0), (LIMIT, NOT_SYMMETRIC), (RHO, STEPS_OVER)),
    scipys("nonsymposdef-F", tridiagonal(10, -1.0, 2.0, 0.0), (LIMIT, NOT_SYMMETRIC)),
    scipys("sym-nonpd", BREAKS_DOWN, (NEGATIVE, DIVIDES), ALPHA, b=np.eye(11)[5]),
    # Symmetric positive definite.
    case("1x1", [[4.0]]),
    case("identity", np.eye(7)),
    case("diagonal 1..20", np.diag(np.arange(1.0, 21))),
    case("mass matrix", tridiagonal(30, 1.0, 4.0, 1.0)),
    case("biharmonic", poisson1d(12) @ poisson1d(12)),
    case("min(i, j)", np.minimum.outer(np.arange(1.0, 13), np.arange(1.0, 13))),
    case("lehmer", [[min(i, j) / max(i, j) for j in range(1, 13)] for i in range(1, 13)]),
    case("hilbert 5", [[1 / (i + j + 1) for j in range(5)] for i in range(5)]),
    case("pascal 6", pascal(6)),
    case(
        "pascal 12, first unit vector", pascal(12), CONVERGED, (LIMIT, ROUNDING), b=np.eye(12)[0], x=pascal_solution(12)
    ),
    *(case(f"condition 1e{i}", conditioned(i)) for i in range(2, 14, 2)),
    *(case(f"condition 1e{i}, b of ones", conditioned(i), b=np.ones(12)) for i in range(2, 10, 2)),
    case("condition 1e10, b of ones", conditioned(10), CONVERGED, (LIMIT, ROUNDING), b=np.ones(12)),
    # LAPACK's spectra (xLATMS): one large, one small, equally spaced, random in the logarithm; the geometric is above.
    case("one large eigenvalue, 1e6", with_spectrum([1.0] + [1e-6] * 19)),
    case("one small eigenvalue, 1e-6", with_spectrum([1.0] * 19 + [1e-6])),
    case("equally spaced, condition 1e8", with_spectrum(np.linspace(1e-8, 1, 12))),
    case("random logarithms, condition 1e4", with_spectrum(1e-4 ** np.random.default_rng(5).uniform(0, 1, 12))),
    case("three clusters", with_spectrum(np.r_[np.linspace(1, 1.01, 10), np.linspace(50, 50.5, 10), [1e4] * 10])),
    case("two clusters, float32", with_spectrum([1.0] * 10 + [100.0] * 10), rtol=1e-3, dtype=np.float32),
    case("bad rows, Jacobi", poisson1d(10) * np.outer(BAD_ROWS, BAD_ROWS), M=np.diag(BAD_ROWS**-2.0)),
    case("start at the solution", poisson1d(8), x0=integers(8)),
    case("start far away", poisson1d(8), x0=1e6 * integers(8)),
    case("zero right-hand side", poisson1d(8), b=np.zeros(8), x=np.zeros(8)),
    case("below rounding", poisson1d(10), *[(STAGNATED, BELIEVES)] * 2, b=1 / np.arange(1.0, 11), rtol=1e-17),
    # Symmetric, not positive definite: cg says so.
    case("1x1 negative", [[-4.0]], (NEGATIVE, ARRIVES)),
    case("saddle point", saddle_point(8, 3), (NEGATIVE, ARRIVES)),
    case("helmholtz", poisson1d(20) - 0.3 * np.eye(20), (NEGATIVE, ARRIVES)),
    # Not symmetric: cg is not for them.
    case("convection 0.5", convection_diffusion(20, 0.5), (LIMIT, NOT_SYMMETRIC)),
    case("convection 0.9", convection_diffusion(20, 0.9), (LIMIT, NOT_SYMMETRIC)),
    case("grcar", grcar(10), (LIMIT, NOT_SYMMETRIC)),
    case("rotation plus identity", [[1.0, 2.0], [-2.0, 1.0]], (LIMIT, NOT_SYMMETRIC)),
    case("triangular", np.triu(np.ones((6, 6))) + np.eye(6), (LIMIT, NOT_SYMMETRIC)),
    case("random matrix", random(8, 3) + np.eye(8), (LIMIT, NOT_SYMMETRIC)),
    case("skew", np.kron(np.eye(3), [[0.0, 1.0], [-1.0, 0.0]]), (NEGATIVE, DIVIDES), ALPHA),
    case("cyclic shift", np.roll(np.eye(6), 1, 0), (NEGATIVE, DIVIDES), ALPHA, b=np.eye(6)[0], x=np.eye(6)[5]),
    # Singular.
    case("zero matrix", np.zeros((3, 3)), (ZERO, DIVIDES), ALPHA, b=np.ones(3)),
    case("ring, consistent", periodic(12), b=periodic(12) @ integers(12)),
    case("ring, inconsistent", periodic(12), (ZERO, DIVIDES), ALPHA, b=np.eye(12)[0]),
    case("semidefinite, inconsistent", np.diag([1.0, 0.0]), (ZERO, DIVIDES), ALPHA, b=[1.0, 2.0]),
    # Towards the ends of the range. CG squares r and p; Bi-CG-STAB squares As as well.
    scaled(-1000, 0, CONVERGED, (UNDERFLOW, ON_NAN)),
    scaled(-500, 0),
    scaled(-400, 0),
    scaled(400, 0, CONVERGED, (CONVERGED, ABSOLUTE)),
    scaled(500, 0, CONVERGED, (CONVERGED, ABSOLUTE)),
    scaled(1000, 0, CONVERGED, NON_FINITE),
    scaled(0, -1000, (UNDERFLOW, NO_NORM), (UNDERFLOW, NO_NORM)),
    scaled(0, -500, CONVERGED, (CONVERGED, ABSOLUTE)),
    scaled(0, -400, CONVERGED, (CONVERGED, ABSOLUTE)),
    scaled(0, 400),
    scaled(0, 500),
    scaled(0, 1000, (NON_FINITE, ON_NAN), (NON_FINITE, ON_NAN)),
    scaled(400, 400, (NON_FINITE, STANDS), (NON_FINITE, ON_NAN)),
    scaled(1000, 500, (NON_FINITE, ON_NAN), (NON_FINITE, ON_NAN)),
    scaled(-700, -200, (UNDERFLOW, ON_NAN), UNDERFLOW),
    scaled(-1000, 500, (NON_FINITE, OVERFLOWS), (NON_FINITE, OVERFLOWS)),
    scaled(-240, -240, CONVERGED, (CONVERGED, ABSOLUTE), name="condition 1e4", A=conditioned(4)),
    scaled(240, 240, CONVERGED, (CONVERGED, ABSOLUTE), name="condition 1e4", A=conditioned(4)),
]


class Counting:
    """An operator that counts its products, and spoils the one of number `spoiled` with `value`."""

    def __init__(self, A, spoiled=None, value=None):
        self.A, self.calls, self.spoiled, self.value = A, 0, spoiled, value
        self.operator = LinearOperator(A.shape, self.product, dtype=A.dtype)

    def product(self, v):
        self.calls += 1
        y = self.A @ v
        if self.calls == self.spoiled:
            y[len(y) // 2] = self.value
        return y


def true_residual(A, b, x):
    """||b - A x|| in extended precision, which has the exponents for the ends of the range."""
    A, b, x = (np.asarray(a, np.longdouble) for a in (A, b, x))
    with np.errstate(invalid="ignore"):
        return np.sqrt(np.sum((b - (A * x).sum(axis=1)) ** 2))


def size(x):
    """||x||, the same way."""
    return true_residual(np.zeros((len(x), 1)), x, np.zeros(1))


class Row(NamedTuple):
    """The outcome of a case: a row of the table. A residual is ||b - A x|| / ||b||, or 0 if ||b|| is 0."""

    case: Case
    solver: str
    expected: Expected
    note: Note | None
    x: np.ndarray
    info: Info
    residual: float
    scipys_info: int
    scipys_residual: float


def row(case: Case, solve) -> Row:
    """`solve`, cg or bicgstab, on the case, and SciPy's solver of the same name with the same arguments."""
    name, unit = solve.__name__, size(case.b) or np.inf
    x, info = solve(case.A, case.b, x0=case.x0, rtol=case.rtol, M=case.M)
    with np.errstate(all="ignore"):
        theirs = getattr(scipy.sparse.linalg, name)(case.A, case.b, x0=case.x0, rtol=case.rtol, M=case.M)
    residual, scipys_residual = (true_residual(case.A, case.b, y) / unit for y in (x, theirs[0]))
    expected = getattr(case, name)
    note = None if info.stop is CONVERGED and info.stop in expected.or_else else expected.note
    return Row(case, name, expected, note, x, info, residual, theirs[1], scipys_residual)


def matrices(cases) -> int:
    """The number of matrices among the cases."""
    return len({(case.A.dtype, case.A.tobytes()) for case in cases})


def solved_by_both() -> list:
    """The cases on which both are to converge."""
    return [case for case in CASES if case.cg.stop is case.bicgstab.stop is CONVERGED]


def condition(A) -> str:
    """||A|| ||A^-1||, as far as it can be told."""
    values = np.linalg.svd(A / (np.abs(A).max() or 1.0), compute_uv=False)
    return f"{values[0] / values[-1]:.1e}" if values[-1] > 1e-15 * values[0] else "> 1e15"


def lines(table):
    """The rows as text, and their totals."""
    yield f"{'system':<36}   n  condition  {'solver':<9}{'stop':<19}   k  residual SciPy  note"
    for r in table:
        note = r.note.text if r.note else ""
        yield (
            f"{r.case.name:<36}{len(r.x):>4}{condition(r.case.A):>11}  {r.solver:<9}{r.info.stop!s:<19}"
            f"{r.info.iterations:>4}{r.residual:>10.1e}{r.scipys_info:>6}  {note}".rstrip()
        )
    solved = {name: [r.case for r in table if r.solver == name and r.info == 0] for name in ("cg", "bicgstab")}
    same = sum(np.sign(r.info) == np.sign(r.scipys_info) for r in table)
    yield (
        f"\n{len(CASES)} systems with {matrices(CASES)} matrices. The true residual meets the tolerance on "
        f"{matrices(solved['cg'])} of them by cg, on {matrices(solved['bicgstab'])} by bicgstab,\n"
        f"on {matrices(solved_by_both())} by both. SciPy's info has refhf's sign in {same} of {len(table)} rows; "
        "the notes explain the others."
    )


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


if __name__ == "__main__":
    print("\n".join(lines([row(case, solve) for case in CASES for solve in (cg, bicgstab)])))
