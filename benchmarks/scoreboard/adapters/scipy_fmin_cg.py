"""SciPy: nonlinear conjugate gradients, as the solver of a quadratic."""

import numpy as np
from scipy.optimize import minimize

PACKAGE = "scipy"


def fmin_cg(A, b, x0=None, rtol=1e-5, maxiter=None):
    """gtol bounds the largest entry of the gradient, so that its norm is at most rtol ||b||."""
    gtol = rtol * np.linalg.norm(b) / np.sqrt(len(b))
    start = np.zeros_like(b) if x0 is None else x0
    found = minimize(
        lambda x: x @ (A @ x) / 2 - b @ x,
        start,
        jac=lambda x: A @ x - b,
        method="CG",
        options={"gtol": gtol, "maxiter": maxiter},
    )
    return found.x, found.status


SOLVERS = {"minimize(method='CG'), fmin_cg": (None, fmin_cg)}
