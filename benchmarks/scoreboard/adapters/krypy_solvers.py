"""KryPy: conjugate gradients, MINRES and GMRES."""

import numpy as np
from krypy.linsys import Cg, ConvergenceError, Gmres, LinearSystem, Minres

PACKAGE = "krypy"


def of(kind):
    def solver(A, b, x0=None, rtol=1e-5, maxiter=None):
        system = LinearSystem(np.asarray(A), b, self_adjoint=True, positive_definite=True)
        try:
            solved = kind(system, x0=None if x0 is None else x0[:, None], tol=rtol, maxiter=maxiter)
        except ConvergenceError as error:
            return error.solver.xk.ravel(), 1
        return solved.xk.ravel(), 0

    return solver


SOLVERS = {"Cg": (None, of(Cg)), "Minres": (None, of(Minres)), "Gmres": (None, of(Gmres))}
