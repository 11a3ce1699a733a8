"""The methods as `scipy.optimize.minimize` takes them."""

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import scipy

from refhf import checks
from refhf.driver.minimize import minimize
from refhf.driver.registry import METHODS
from refhf.methods.report import LossAt
from refhf.objective.functions import from_functions

if TYPE_CHECKING:
    from refhf.driver.minimize_result import MinimizeResult

MAXITER = 1000  # our choice
WORDS = "maxiter", "gtol", "tol", "disp", "rng"  # options that each method has here


class ScipyMethod(NamedTuple):
    """A method and its options, to be called by `scipy.optimize.minimize`. Made by `scipy_method`."""

    name: str
    options: dict

    def __call__(
        self, fun, x0, args=(), jac=None, hess=None, hessp=None, bounds=None, constraints=(), callback=None, **given
    ) -> "MinimizeResult":
        """Minimise fun(x, *args) from x0, as SciPy calls it."""
        checks.option_names(given, (*WORDS, *METHODS[self.name].options), f"{self.name} through SciPy")
        given = dict(given)
        maxiter, disp = given.pop("maxiter", None), given.pop("disp", None)
        tolerance = given.pop("tol", None)
        tolerance = given.pop("gtol", tolerance)
        if tolerance is not None:
            given["gradient_tolerance"] = checks.real("gtol", tolerance, low=0.0)
        objective = from_functions(*_functions(fun, args, jac, hess, hessp, bounds, constraints))
        told = Callback(callback, objective) if callback is not None else None
        result = minimize(
            objective,
            checks.array("x0", np.atleast_1d(x0), (None,), float),
            self.name,
            MAXITER if maxiter is None else checks.whole("maxiter", maxiter),
            callback=told,
            **{**self.options, **given},
        )
        result.nfev += told.values if told else 0
        if disp:
            _print(result)
        return result


class Callback:
    """SciPy's callback, called with a report: it gets x, or `intermediate_result` if it asks for that by name.

    Attributes
    ----------
    values : int
        How often f was computed for it.
    """

    def __init__(self, callback, objective):
        if not callable(callback):
            raise ValueError(f"callback: expected a function; got {callback!r}")
        self.callback, self.objective, self.values = callback, objective, 0
        try:
            self.by_name = set(inspect.signature(callback).parameters) == {"intermediate_result"}
        except (TypeError, ValueError):  # a built-in function without a signature
            self.by_name = False

    def __call__(self, report):
        """As SciPy, go on whatever it returns: StopIteration is what ends a run."""
        x = report.theta.copy()
        if self.by_name:
            known = report.loss_at is LossAt.END
            self.values += not known
            fun = report.loss if known else self.objective.value(x)
            self.callback(intermediate_result=scipy.optimize.OptimizeResult(x=x, fun=fun))
        else:
            self.callback(x)


def scipy_method(name: str, **options) -> ScipyMethod:
    """A method as `scipy.optimize.minimize` takes it.

    `scipy.optimize.minimize(fun, x0, jac=..., hessp=..., method=refhf.scipy_method("hessian-cg"))`. SciPy's `options`
    maxiter (1000 unless given), disp and gtol are understood, and rng and the method's own; `tol` is gtol, of ||g||.
    `callback` gets x, or `intermediate_result`. nhev of the result counts products with the Hessian.

    Raises
    ------
    ValueError
        For an unknown method or option; when called, for derivatives that are no functions (nothing is differentiated
        numerically here), or bounds or constraints.
    """
    checks.choice("method", name, METHODS)
    checks.option_names(options, METHODS[name].options, name)
    return ScipyMethod(name, options)


def _functions(fun, args, jac: Callable[..., Any] | None, hess, hessp, bounds, constraints):
    """The value, the gradient and the Hessian's product, or None, as `from_functions` takes them."""
    if not callable(jac):
        raise ValueError(f"jac: expected the gradient as a function, or True where fun gives both; got {jac!r}")
    for name, given in {"hess": hess, "hessp": hessp}.items():
        if given is not None and not callable(given):
            raise ValueError(f"{name}: expected a function (finite differences are not made); got {given!r}")
    if bounds is not None or constraints:
        raise ValueError("bounds, constraints: expected none, the methods are unconstrained")

    last = [None, None]  # a point and the Hessian there: it is made once, and multiplied often

    def product(x, v):
        if hessp:
            return hessp(x, v, *args)
        if last[0] is None or not np.array_equal(last[0], x):
            last[:] = x, hess(x, *args)
        return np.ravel(last[1] @ v)

    return lambda x: fun(x, *args), lambda x: np.atleast_1d(jac(x, *args)), product if hess or hessp else None


def _print(result):
    print(result.message)
    print(f"         Current function value: {result.fun:f}")
    print(f"         Iterations: {result.nit}")
    print(f"         Function evaluations: {result.nfev}")
    print(f"         Gradient evaluations: {result.njev}")
    print(f"         Hessian products: {result.nhev}")
