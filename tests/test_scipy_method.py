"""refhf.scipy_method: what scipy.optimize.minimize takes and gives, through each method."""

import copy
import pickle

import numpy as np
import pytest
import scipy.optimize
from scipy.sparse import csr_array
from scipy.sparse.linalg import aslinearoperator

import refhf
from refhf.driver.minimize import Status
from refhf.driver.registry import METHODS

NEWTON = ["hessian-cg", "truncated-newton", "negative-curvature-newton"]


@pytest.mark.parametrize("method", ["hessian-cg", "hessian-bicgstab"])
def test_scipy_method(method):
    """Through scipy.optimize.minimize the Rosenbrock function is minimised, with args, callback and options."""
    seen = []
    result = scipy.optimize.minimize(
        lambda x, c: c * scipy.optimize.rosen(x),
        [-1.2, 1.0],
        args=(2.0,),
        jac=lambda x, c: c * scipy.optimize.rosen_der(x),
        hessp=lambda x, v, c: c * scipy.optimize.rosen_hess_prod(x, v),
        method=refhf.scipy_method(method),
        tol=1e-8,
        callback=seen.append,
        options={"maxiter": 300, "damping": 0.1},
    )
    assert result.success
    np.testing.assert_allclose(result.x, 1, atol=1e-7)
    assert len(seen) == result.nit
    np.testing.assert_array_equal(seen[-1], result.x)
    short = scipy.optimize.minimize(
        scipy.optimize.rosen,
        [-1.2, 1.0],
        jac=scipy.optimize.rosen_der,
        hess=scipy.optimize.rosen_hess,
        method=refhf.scipy_method(method),
        options={"maxiter": 2},
    )
    assert (short.nit, short.success) == (2, False)
    with pytest.raises(ValueError, match="jac"):
        scipy.optimize.minimize(scipy.optimize.rosen, [0.0, 1.0], method=refhf.scipy_method(method))
    with pytest.raises(ValueError, match="damping"):
        refhf.scipy_method(method, dampin=1.0)


def rosen(method="hessian-cg", **given):
    """The Rosenbrock function minimised from SciPy's usual start."""
    derivatives = {"jac": scipy.optimize.rosen_der, "hessp": scipy.optimize.rosen_hess_prod}
    chosen = refhf.scipy_method(method) if method in list(METHODS) else method
    return scipy.optimize.minimize(
        **{"fun": scipy.optimize.rosen, "x0": [-1.2, 1.0], "method": chosen, **derivatives, **given}
    )


@pytest.mark.parametrize("method", NEWTON)
def test_the_fields_are_scipys(method):
    """All that Newton-CG's result has is there, and its success and status mean the same."""
    ours, theirs = rosen(method), rosen("Newton-CG")
    assert set(theirs) <= set(ours)
    assert (ours.success, ours.status) == (True, 0)
    np.testing.assert_allclose(ours.x, theirs.x, atol=1e-4)
    np.testing.assert_allclose(ours.jac, scipy.optimize.rosen_der(ours.x), atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_calls_are_counted(method):
    """nfev, njev and nhev are the calls of fun, jac and hessp, those for a callback's f included."""
    calls = dict.fromkeys(("fun", "jac", "hessp"), 0)

    def counted(name, function):
        def call(*given):
            calls[name] += 1
            return function(*given)

        return call

    def callback(intermediate_result):
        x, fun = intermediate_result.x, intermediate_result.fun
        assert fun == pytest.approx(x @ x)

    if method in ("gn-cg", "gn-cg-path", "hybrid-cg"):  # Gauss-Newton products are no part of SciPy's interface
        with pytest.raises(ValueError, match="gauss-newton"):
            refhf.scipy_method(method)(lambda x: x @ x, [1.0, 2.0], jac=lambda x: 2 * x, hessp=lambda x, v: 2 * v)
        return
    result = scipy.optimize.minimize(
        counted("fun", lambda x: x @ x),
        [1.0, 2.0],
        jac=counted("jac", lambda x: 2 * x),
        hessp=counted("hessp", lambda x, v: 2 * v),
        method=refhf.scipy_method(method),
        callback=callback,
        options={"maxiter": 3, "rng": 0},
    )
    assert (result.nfev, result.njev, result.nhev) == tuple(calls.values())


def test_a_callback_of_either_form():
    """callback(x) gets each point, callback(intermediate_result=...) f too; what they return is ignored."""
    points, results = [], []
    result = rosen(callback=lambda x: points.append(x) or True)

    def by_name(intermediate_result):
        results.append(intermediate_result)
        return True

    rosen(callback=by_name)
    assert len(points) == len(results) == result.nit
    for x, given in zip(points, results, strict=True):
        np.testing.assert_array_equal(x, given.x)
        assert given.fun == pytest.approx(scipy.optimize.rosen(x))
    built_in = [].append
    assert rosen(callback=built_in).nit == result.nit


def test_a_callback_that_stops():
    """StopIteration ends the run as in SciPy: status 99, no success, the point that it saw."""
    seen = []

    def callback(x):
        seen.append(x)
        if len(seen) == 3:
            raise StopIteration

    for method in (refhf.scipy_method("hessian-cg"), "Newton-CG"):
        seen.clear()
        result = rosen(method, callback=callback)
        assert (result.nit, result.success, result.status) == (3, False, 99)
        np.testing.assert_array_equal(result.x, seen[-1])


def test_options_that_scipy_has(capsys):
    """maxiter counts, 0 included; gtol goes before tol; disp prints; a tolerance of 0 is one."""
    none = rosen(options={"maxiter": 0})
    assert (none.nit, none.nfev, none.njev, none.success, none.status) == (0, 1, 1, False, 1)
    assert (none.x.tolist(), none.fun) == ([-1.2, 1.0], pytest.approx(24.2))
    short = rosen(options={"maxiter": 2, "disp": True})
    assert (short.nit, short.success, short.status) == (2, False, Status.STEPS_DONE.value[0])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == short.message
    assert lines[2:] == [
        "         Iterations: 2",
        f"         Function evaluations: {short.nfev}",
        f"         Gradient evaluations: {short.njev}",
        f"         Hessian products: {short.nhev}",
    ]
    rosen(options={"disp": False, "maxiter": None, "gtol": None})
    assert capsys.readouterr().out == ""
    rough = rosen(tol=10.0, options={"rng": 3})
    assert rough.nit < rosen().nit
    assert rosen(tol=1e-9, options={"gtol": 10.0}).nit == rough.nit
    assert rosen(tol=0, options={"maxiter": 60}).nit > rosen().nit
    assert rosen("negative-curvature-newton", options={"gtol": 1e-3}).success


FORMS = {
    "a matrix": lambda H: H,
    "nested lists": lambda H: H.tolist(),
    "a sparse matrix": csr_array,
    "an operator": aslinearoperator,
}


@pytest.mark.parametrize("form", FORMS)
def test_a_hessian_of_any_form(form):
    """`hess` may be what SciPy's methods take: all give the path of `hessp`, and it is asked for once a step."""
    want, asked = rosen(), []
    got = rosen(hessp=None, hess=lambda x: asked.append(x) or FORMS[form](scipy.optimize.rosen_hess(x)))
    assert got.success and len(asked) == got.nit < got.nhev
    np.testing.assert_allclose(got.x, want.x, atol=1e-6)


@pytest.mark.parametrize(
    "fun",
    [
        lambda x: np.array([x @ x]),
        lambda x: np.array([[x @ x]]),
        lambda x: [x @ x],
        lambda x: np.float32(x @ x),
        lambda x: 1,
    ],
)
def test_a_value_of_one_element(fun):
    """A one-element array, a list of one or any real number is a value, as in SciPy."""
    result = scipy.optimize.minimize(
        fun, [1.0, 2.0], jac=lambda x: 2 * x, method=refhf.scipy_method("gradient-descent")
    )
    assert isinstance(result.fun, float)


def test_forms_of_the_start_and_the_gradient():
    """A number starts a problem of one variable, integers are floats, `jac=True` and `args` are as in SciPy."""
    method = refhf.scipy_method("newton")
    one = scipy.optimize.minimize(
        lambda x: (x[0] - 3) ** 2, 1, jac=lambda x: 2 * (x[0] - 3), hess=lambda x: [[2]], method=method
    )
    assert (one.x, one.x.dtype, one.success) == (pytest.approx([3]), float, True)
    both = scipy.optimize.minimize(
        lambda x, a: (float((x - a) @ (x - a)), 2 * (x - a)),
        np.array([1, 2]),
        5.0,
        method,
        True,
        hessp=lambda x, v, a: 2 * v,
    )
    assert both.x.tolist() == [5, 5]


def test_basin_hopping_takes_a_method():
    """SciPy's functions that call minimize work with the method."""
    result = scipy.optimize.basinhopping(
        lambda x: np.cos(14.5 * x[0] - 0.3) + (x[0] + 0.2) * x[0],
        [1.0],
        niter=5,
        minimizer_kwargs={
            "method": refhf.scipy_method("gradient-descent", learning_rate=1e-3),
            "jac": lambda x: -14.5 * np.sin(14.5 * x - 0.3) + 2 * x + 0.2,
        },
    )
    assert np.isfinite(result.fun)


def test_a_method_is_plain():
    """It pickles, copies and says what it is."""
    method = refhf.scipy_method("hessian-cg", damping=0.5)
    assert pickle.loads(pickle.dumps(method)) == copy.deepcopy(method) == method
    assert repr(method) == "ScipyMethod(name='hessian-cg', options={'damping': 0.5})"


REFUSED = [
    ({"jac": None}, "jac", "a function", "None"),
    ({"jac": "2-point"}, "jac", "a function", "None"),  # SciPy makes None of it
    ({"hessp": None, "hess": "2-point"}, "hess", "a function", "'2-point'"),
    ({"hessp": None, "hess": scipy.optimize.BFGS()}, "hess", "a function", "BFGS"),
    ({"hessp": None, "hess": np.eye(2)}, "hess", "a function", "array"),
    ({"hessp": np.eye(2)}, "hessp", "a function", "array"),
    ({"hessp": None}, "objective", "one that has hessian"),
    ({"bounds": [(0, 1), (0, 1)]}, "bounds, constraints", "none"),
    ({"constraints": {"type": "eq", "fun": sum}}, "bounds, constraints", "none"),
    ({"options": {"maxiter": -1}}, "maxiter", ">= 0", "-1"),
    ({"options": {"maxiter": 2.5}}, "maxiter", ">= 0", "2.5"),
    ({"options": {"maxiter": True}}, "maxiter", ">= 0", "True"),
    ({"options": {"gtol": -1.0}}, "gtol", "[0, inf]", "-1.0"),
    ({"tol": np.nan}, "gtol", "finite", "nan"),
    ({"tol": "small"}, "gtol", "finite", "'small'"),
    ({"options": {"xtol": 1e-3}}, "option of hessian-cg through SciPy", "gtol", "'xtol'"),
    ({"options": {"return_all": True}}, "option of hessian-cg through SciPy", "'return_all'"),
    ({"options": {"steps": 3}}, "option of hessian-cg through SciPy", "maxiter", "'steps'"),
    ({"options": {"theta0": 3}}, "option of hessian-cg through SciPy", "'theta0'"),
    ({"options": {"dampin": 3}}, "option of hessian-cg through SciPy", "mean 'damping'"),
    ({"callback": 3}, "callback", "a function", "3"),
    ({"x0": [1j, 2]}, "x0", "real numbers", "complex128"),
    ({"x0": [np.nan, 2]}, "x0", "finite", "nan"),
    ({"fun": scipy.optimize.rosen_der}, "value", "a real number", "array"),
    ({"fun": lambda x: None}, "value", "a real number", "None"),
    ({"jac": lambda x: x[:1]}, "gradient", "(2,)", "(1,)"),
    ({"hessp": lambda x, v: v[:1]}, "hessp", "(2,)", "(1,)"),
    ({"hessp": None, "hess": lambda x: np.ones((1, 2))}, "hessp", "(2,)", "(1,)"),
]


@pytest.mark.parametrize(("given", "argument", "words"), [(given, name, words) for given, name, *words in REFUSED])
def test_scipys_that_is_not_here(given, argument, words):
    """An impossible request is a ValueError with the argument, the accepted values and the given one."""
    with pytest.raises(ValueError, match="^" + argument) as caught:
        rosen(**given)
    assert all(word in str(caught.value) for word in words), str(caught.value)
