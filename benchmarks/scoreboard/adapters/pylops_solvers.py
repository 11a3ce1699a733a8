"""PyLops: conjugate gradients."""

import numpy as np
import pylops

PACKAGE = "pylops"


def cg(A, b, x0=None, rtol=1e-5, maxiter=None):
    A = np.asarray(A)
    x, _, _ = pylops.optimization.basic.cg(pylops.MatrixMult(A), b, x0=x0, niter=maxiter, tol=0.0, rtol=rtol)
    return x, int(not np.linalg.norm(A @ x - b) <= rtol * np.linalg.norm(b))


SOLVERS = {"cg": ("cg", cg)}
NOTES = {"cg": "It does not report convergence: info is the adapter's, from the true residual."}
