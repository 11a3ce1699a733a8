"""The methods as `scipy.optimize.minimize` takes them."""

import numpy as np

from refhf import checks
from refhf.functions import from_functions
from refhf.methods.minimize import Status, minimize
from refhf.methods.table import METHODS

GRADIENT_TOLERANCE, MAXITER = 1e-5, 1000  # SciPy's gtol of CG and BFGS; our choice


def scipy_method(name: str, **options):
    """A method as `scipy.optimize.minimize` takes it.

    `scipy.optimize.minimize(fun, x0, jac=..., hessp=..., method=refhf.scipy_method("hessian-cg"))`. SciPy's
    `options={"maxiter": ..., "rng": ...}` and `tol` (on ||g||) are understood; `callback` gets x, as SciPy's does.

    Raises
    ------
    ValueError
        For an unknown method or option; when called, for a missing jac, or bounds or constraints.
    """
    checks.choice("method", name, METHODS)
    checks.option_names(options, METHODS[name].options, name)

    def run(fun, x0, args=(), jac=None, hess=None, hessp=None, bounds=None, constraints=(), callback=None, **given):
        if not callable(jac):
            raise ValueError(f"jac: expected the gradient as a function; got {jac!r}")
        if bounds is not None or constraints:
            raise ValueError("bounds, constraints: expected none, the methods are unconstrained")
        product = (lambda x, v: hessp(x, v, *args)) if hessp else (lambda x, v: hess(x, *args) @ v) if hess else None
        objective = from_functions(lambda x: fun(x, *args), lambda x: jac(x, *args), hessp=product)
        tolerance = given.pop("tol", None) or GRADIENT_TOLERANCE
        result = minimize(
            objective,
            np.atleast_1d(np.asarray(x0, float)),
            name,
            given.pop("maxiter", None) or MAXITER,
            callback=callback and (lambda report: callback(report.theta.copy())),
            gradient_tolerance=tolerance,
            **{**options, **given},
        )
        if result.status == Status.STEPS_DONE.value[0]:
            result.success = False  # SciPy's convention: the limit is a failure to converge
        return result

    return run
