"""JAX: conjugate gradients, Bi-CG-STAB and GMRES."""

import jax
import numpy as np
from jax.scipy.sparse import linalg

PACKAGE = "jax"
jax.config.update("jax_enable_x64", True)


def of(solve):
    def solver(A, b, x0=None, rtol=1e-5, maxiter=None):
        A = np.asarray(A, float)
        x = np.asarray(solve(A, b, x0=x0, tol=rtol, atol=0.0, maxiter=maxiter)[0])
        return x, int(not np.linalg.norm(A @ x - b) <= rtol * np.linalg.norm(b))

    return solver


SOLVERS = {
    "cg": ("cg", of(linalg.cg)),
    "bicgstab": ("bicgstab", of(linalg.bicgstab)),
    "gmres": (None, of(linalg.gmres)),
}
NOTES = dict.fromkeys(SOLVERS, "It does not report convergence: info is the adapter's, from the true residual.")
