"""SciPy: its iterative solvers of symmetric positive definite systems."""

from scipy.sparse import linalg

PACKAGE = "scipy"


def of(solve):
    def solver(A, b, x0=None, rtol=1e-5, maxiter=None, M=None):
        return solve(A, b, x0=x0, rtol=rtol, atol=0.0, maxiter=maxiter, M=M)

    return solver


def minres(A, b, x0=None, rtol=1e-5, maxiter=None):
    return linalg.minres(A, b, x0=x0, rtol=rtol, maxiter=maxiter)


SOLVERS = {
    "cg": ("cg", of(linalg.cg)),
    "bicgstab": ("bicgstab", of(linalg.bicgstab)),
    "bicg": (None, of(linalg.bicg)),
    "cgs": (None, of(linalg.cgs)),
    "gmres": (None, of(linalg.gmres)),
    "tfqmr": (None, of(linalg.tfqmr)),
    "minres": (None, minres),
}
