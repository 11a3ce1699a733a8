"""refhf's own answers to the requests of the test vectors.

Each function takes a request, a dictionary of numbers, flat lists, strings and booleans, and returns a reply of the
same kind. What the fields mean stands in `refhf/conformance/vectors/README.md`.
"""

import math
from collections.abc import Callable

import numpy as np

from refhf import checks
from refhf.driver.minimize import iterate
from refhf.driver.registry import METHODS
from refhf.krylov.bicgstab import bicgstab_iterates
from refhf.krylov.cg import cg_iterates
from refhf.krylov.solve import bicgstab, cg
from refhf.krylov.stopping import advance, iteration_limit, negative_curvature
from refhf.methods.hessian_free import damping, hf_step
from refhf.methods.replicas import secants
from refhf.methods.search import armijo
from refhf.model.architectures import conv, convnet, mlp, pool
from refhf.model.elementwise import NONLINEARITIES
from refhf.model.losses import LOSSES
from refhf.objective.functions import from_functions
from refhf.objective.supervised import supervised
from refhf.surfaces import saddles


def answer(request: dict, operations: dict[str, Callable] | None = None) -> dict:
    """The reply to a request; `operations` are those of this module unless given.

    Raises
    ------
    ValueError
        For an operation that is not known.
    """
    operations = OPERATIONS if operations is None else operations
    return operations[checks.choice("operation", request["operation"], operations)](request)


def network_of(request: dict):
    """The network: fully connected by `sizes`, or convolutional by `shape` and `stages`."""
    rest = {"nonlinearity": request["nonlinearity"], "loss": request["loss"]}
    if "sizes" in request:
        return mlp(request["sizes"], **rest)
    return convnet(request["shape"], [_stage(stage) for stage in request["stages"]], **rest)


def _stage(text):
    """A stage's words, as in 'conv 2 3 1 0' (channels, kernel, stride, padding), 'pool 2' or 'dense 4'."""
    kind, *given = text.split()
    numbers = [int(word) for word in given]
    if kind == "conv":
        return conv(*numbers[:2], stride=numbers[2], padding=numbers[3])
    return pool(numbers[0]) if kind == "pool" else numbers[0]


def objective_of(request: dict, rows=slice(None)):
    """The mean loss over the cases, or over some of them, and l2/2 ||theta||^2."""
    net = network_of(request)
    X, y = (np.reshape(request[name], (request["cases"], -1))[rows] for name in ("X", "y"))
    return supervised(net, X.astype(float), y.astype(float), l2=request.get("l2", 0.0))


class _FixedBatch:
    """An objective whose mini-batch is the given rows, as a request names them."""

    def __init__(self, request):
        self.whole, self.rows = objective_of(request), request["curvature_cases"]
        self.mini = objective_of(request, self.rows)

    def __getattr__(self, name):
        return getattr(self.whole, name)

    def sample(self, cases, *, rng=None):
        return self.mini


def _array(request, name):
    return np.array(request[name], float)


def _square(request, name):
    return _array(request, name).reshape(len(request["b"]), -1)


def _nonlinearity(request):
    f, s = NONLINEARITIES[request["nonlinearity"]], _array(request, "s")
    return {"f": f.f(s).tolist(), "d": f.d(s).tolist(), "dd": f.dd(s).tolist()}


def _loss(request):
    loss, cases = LOSSES[request["loss"]], request["cases"]
    z, y, Rz = (_array(request, name).reshape(cases, -1) for name in ("z", "y", "Rz"))
    return {
        "value": float(loss.value(z, y)) / cases,
        "gradient": (loss.gradient(z, y) / cases).ravel().tolist(),
        "hessian_product": (loss.hessian(z, y)(Rz) / cases).ravel().tolist(),
    }


def _gradient(request):
    f, g = objective_of(request).value_and_gradient(_array(request, "theta"))
    return {"value": f, "gradient": g.tolist()}


def _hessian_product(request):
    return {"product": (objective_of(request).hessian(_array(request, "theta")) @ _array(request, "v")).tolist()}


def _gauss_newton_product(request):
    return {"product": (objective_of(request).gauss_newton(_array(request, "theta")) @ _array(request, "v")).tolist()}


def _trace(request, iterates):
    trace = []
    _, stop = advance(iterates, lambda it: trace.append(it.x), iteration_limit(request["iterations"]))
    return {"x": np.concatenate(trace).tolist(), "stop": str(stop)}


def _cg(request):
    M = _square(request, "M") if "M" in request else None
    iterates = cg_iterates(
        _square(request, "A"), _array(request, "b"), _array(request, "x0"), M, stop_at=negative_curvature
    )
    reply = _trace(request, iterates)
    return reply | {"stop": {"zero curvature": "negative curvature"}.get(reply["stop"], reply["stop"])}


def _bicgstab(request):
    shadow = _array(request, "shadow") if "shadow" in request else None
    M = _square(request, "M") if "M" in request else None
    return _trace(
        request, bicgstab_iterates(_square(request, "A"), _array(request, "b"), _array(request, "x0"), shadow, M)
    )


def _solve(request):
    solver = {"cg": cg, "bicgstab": bicgstab}[request["solver"]]
    x, info = solver(
        _square(request, "A"),
        _array(request, "b"),
        _array(request, "x0"),
        rtol=request["rtol"],
        maxiter=request["maxiter"],
        M=_square(request, "M") if "M" in request else None,
    )
    return {"x": x.tolist(), "converged": info == 0}


def _damping(request):
    change, slope, curvature, square, lam = (
        float(request[name]) for name in ("change", "slope", "curvature", "squared_norm", "damping")
    )
    predicted = damping.predicted_change(slope, curvature, square, lam, request["damped_ratio"])
    rho = damping.reduction_ratio(change, predicted)
    return {"predicted": predicted, "rho": float(rho), "damping": damping.levenberg_marquardt(lam, rho)}


def _line_search(request):
    coefficients, end = request["coefficients"], request.get("undefined_from", math.inf)

    def along(alpha):
        return math.nan if alpha >= end else float(np.polynomial.polynomial.polyval(alpha, coefficients))

    found = armijo.armijo(along, float(coefficients[0]), float(request["slope"]))
    return {"step_length": found.step_length, "value": found.value}


def _hf_step(request):
    method = METHODS[request["method"]]
    objective = _FixedBatch(request) if "curvature_cases" in request else objective_of(request)
    named = {name: request[name] for name in ("damping", "warm_start", "damped_ratio") if name in request}
    options = hf_step.Options(
        **method.fixed,
        **named,
        curvature_batch=len(request["curvature_cases"]) if "curvature_cases" in request else None,
        solver_iterations=request["iterations"],
        backtracking=request.get("backtracking", False),
    )
    state = hf_step.State(
        _array(request, "theta"),
        request["damping"],
        _array(request, "delta") if "delta" in request else None,
        request.get("after_negative_curvature", False),
    )
    options = hf_step.check(options, objective)
    state, report = hf_step.step(state, objective, options, 2, np.random.default_rng(0))
    return {
        "theta": state.theta.tolist(),
        "damping": state.damping,
        "rho": float(report.rho),
        "step_length": report.step_length,
        "solver_iterations": report.solver_iterations,
        "negative_curvature": report.negative_curvature,
    }


def _nlcg(request):
    A, b, x0 = _square(request, "A"), _array(request, "b"), _array(request, "x0")
    objective = from_functions(lambda w: w @ (A @ w) / 2 - b @ w, lambda w: A @ w - b, hessp=lambda w, v: A @ v)
    options = {
        name: request[name] for name in ("clip", "preconditioner", "line_search", "learning_rate") if name in request
    }
    reports = iterate(objective, x0, method=f"nlcg-{request['beta']}", rng=0, **options)
    steps = [next(reports) for _ in range(request["steps"])]
    points = np.concatenate([x0, *(report.theta for report in steps)])
    return {"x": points.tolist(), "beta": [float(report.beta) for report in steps]}


def _inverse_hessian_product(request):
    W, G = (_array(request, name).reshape(request["replicas"], -1).T for name in ("W", "G"))
    found = secants.inverse_hessian_product(W, G, _array(request, "z"))
    return {"product": found.product.tolist(), "rank": found.rank}


def _saddle(request):
    theta, surface = _array(request, "theta"), saddles.saddle
    columns = [surface.hessp(theta, e) for e in np.eye(2)]
    return {
        "value": float(surface.value(theta)),
        "gradient": surface.gradient(theta).tolist(),
        "hessian": np.concatenate(columns).tolist(),
    }


def _stationary_point(request):
    for point in saddles.saddle.stationary:
        if np.array_equal(point.theta, _array(request, "theta")):
            return {"kind": point.kind, "eigenvalues": point.eigenvalues.tolist()}
    return {"kind": "not stationary"}


OPERATIONS = {
    "nonlinearity": _nonlinearity,
    "loss": _loss,
    "gradient": _gradient,
    "hessian_product": _hessian_product,
    "gauss_newton_product": _gauss_newton_product,
    "cg": _cg,
    "bicgstab": _bicgstab,
    "solve": _solve,
    "damping": _damping,
    "line_search": _line_search,
    "hf_step": _hf_step,
    "nlcg": _nlcg,
    "inverse_hessian_product": _inverse_hessian_product,
    "saddle": _saddle,
    "stationary_point": _stationary_point,
}
