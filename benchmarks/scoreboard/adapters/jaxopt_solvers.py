"""JAXopt: conjugate gradients, Bi-CG-STAB and GMRES."""

import jax
import numpy as np
from jaxopt import linear_solve

PACKAGE = "jaxopt"
jax.config.update("jax_enable_x64", True)


def of(solve):
    def solver(A, b, x0=None, rtol=1e-5, maxiter=None):
        A = np.asarray(A, float)
        init = None if x0 is None else jax.numpy.asarray(x0)
        x = np.asarray(solve(lambda v: A @ v, jax.numpy.asarray(b), init=init, tol=rtol, atol=0.0, maxiter=maxiter))
        return x, int(not np.linalg.norm(A @ x - b) <= rtol * np.linalg.norm(b))

    return solver


SOLVERS = {
    "solve_cg": ("cg", of(linear_solve.solve_cg)),
    "solve_bicgstab": ("bicgstab", of(linear_solve.solve_bicgstab)),
    "solve_gmres": (None, of(linear_solve.solve_gmres)),
}
NOTES = dict.fromkeys(SOLVERS, "It does not report convergence: info is the adapter's, from the true residual.")
