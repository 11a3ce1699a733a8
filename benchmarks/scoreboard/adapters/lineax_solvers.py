"""Lineax: conjugate gradients, Bi-CG-STAB and GMRES."""

import jax
import lineax
import numpy as np

PACKAGE = "lineax"
jax.config.update("jax_enable_x64", True)


def of(kind):
    def solver(A, b, x0=None, rtol=1e-5, maxiter=None):
        operator = lineax.MatrixLinearOperator(np.asarray(A, float), lineax.positive_semidefinite_tag)
        options = {} if x0 is None else {"y0": jax.numpy.asarray(x0)}
        solution = lineax.linear_solve(
            operator, jax.numpy.asarray(b), kind(rtol=rtol, atol=0.0, max_steps=maxiter), options=options, throw=False
        )
        return np.asarray(solution.value), int(solution.result != lineax.RESULTS.successful)

    return solver


SOLVERS = {
    "CG": (None, of(lineax.CG)),
    "BiCGStab": (None, of(lineax.BiCGStab)),
    "GMRES": (None, of(lineax.GMRES)),
}
