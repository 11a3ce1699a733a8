"""PyAMG: its Krylov solvers and simple iterations."""

from pyamg import krylov

PACKAGE = "pyamg"


def of(solve):
    def solver(A, b, x0=None, rtol=1e-5, maxiter=None, M=None):
        return solve(A, b, x0=x0, tol=rtol, maxiter=maxiter, M=M)

    return solver


def plain(solve):
    return lambda A, b, x0=None, rtol=1e-5, maxiter=None: solve(A, b, x0=x0, tol=rtol, maxiter=maxiter)


def restarted(solve):
    """maxiter counts restarts, which a small system does not need."""
    return lambda A, b, x0=None, rtol=1e-5, maxiter=None: solve(A, b, x0=x0, tol=rtol, maxiter=len(b))


SOLVERS = {
    "cg": ("cg", of(krylov.cg)),
    "bicgstab": ("bicgstab", of(krylov.bicgstab)),
    "cr": (None, plain(krylov.cr)),
    "cgne": (None, plain(krylov.cgne)),
    "cgnr": (None, plain(krylov.cgnr)),
    "gmres": (None, restarted(krylov.gmres)),
    "fgmres": (None, restarted(krylov.fgmres)),
    "steepest_descent": (None, plain(krylov.steepest_descent)),
    "minimal_residual": (None, plain(krylov.minimal_residual)),
}
