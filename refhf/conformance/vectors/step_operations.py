"""Operations on the parts of an optimiser and on whole steps: refhf's reply to a request."""

import math
from typing import Any

import numpy as np

from refhf.conformance.vectors.network_operations import Reply, Request, array, objective_of
from refhf.conformance.vectors.solver_operations import square
from refhf.driver.minimize import iterate
from refhf.driver.registry import METHODS
from refhf.methods.hessian_free import damping as damping_rule
from refhf.methods.hessian_free import hf_step as hessian_free
from refhf.methods.search import armijo
from refhf.methods.search.descent import reduction_ratio
from refhf.objective.functions import from_functions


class _FixedBatch:
    """An objective whose mini-batch is fixed: the rows that the request names."""

    def __init__(self, request: Request) -> None:
        self.whole, self.rows = objective_of(request), request["curvature_cases"]
        self.mini = objective_of(request, self.rows)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.whole, name)

    def sample(self, cases: int, *, rng: Any = None) -> Any:
        return self.mini


def damping(request: Request) -> Reply:
    """The predicted change, the reduction ratio, and the next lambda."""
    change, slope, curvature, square, lam = (
        float(request[name]) for name in ("change", "slope", "curvature", "squared_norm", "damping")
    )
    predicted = damping_rule.predicted_change(slope, curvature, square, lam, request["damped_ratio"])
    rho = reduction_ratio(change, predicted)
    return {"predicted": predicted, "rho": float(rho), "damping": damping_rule.levenberg_marquardt(lam, rho)}


def line_search(request: Request) -> Reply:
    """Armijo's rule along a polynomial."""
    coefficients, end = request["coefficients"], request.get("undefined_from", math.inf)

    def along(alpha: float) -> float:
        return math.nan if alpha >= end else float(np.polynomial.polynomial.polyval(alpha, coefficients))

    found = armijo.armijo(along, float(coefficients[0]), float(request["slope"]))
    return {"step_length": found.step_length, "value": found.value}


def hf_step(request: Request) -> Reply:
    """One step of a Hessian-free method."""
    method = METHODS[request["method"]]
    objective: Any = _FixedBatch(request) if "curvature_cases" in request else objective_of(request)
    named = {name: request[name] for name in ("damping", "damped_ratio") if name in request}
    options = hessian_free.HessianFreeOptions(
        **method.fixed,
        **named,
        curvature_batch=len(request.get("curvature_cases", ())) or objective.cases,
        solver_iterations=request["iterations"],
        warm_start=request.get("warm_start", 0.0),
        backtracking=request.get("backtracking", method.fixed["solver"] == "bicgstab"),
    )
    options = hessian_free.check(options, objective)
    warm = "delta" in request and bool(options.warm_start)
    state = hessian_free.HessianFreeState(
        array(request, "theta"),
        request["damping"],
        options.warm_start * array(request, "delta") if warm else None,
        after_negative_curvature=request.get("after_negative_curvature", False),
    )
    state, report = hessian_free.step(state, objective, options, 2, np.random.default_rng(0))
    return {
        "theta": state.theta.tolist(),
        "damping": state.damping,
        "rho": float(report.detail.rho),
        "step_length": report.step_length,
        "solver_iterations": report.detail.solver_iterations,
        "negative_curvature": report.negative_curvature,
    }


def nlcg(request: Request) -> Reply:
    """The points and betas of nonlinear conjugate gradients on a quadratic."""
    A, b, x0 = square(request, "A"), array(request, "b"), array(request, "x0")
    objective: Any = from_functions(lambda w: w @ (A @ w) / 2 - b @ w, lambda w: A @ w - b, hessp=lambda w, v: A @ v)
    options = {
        name: request[name] for name in ("clip", "preconditioner", "line_search", "learning_rate") if name in request
    }
    reports = iterate(objective, x0, method=f"nlcg-{request['beta']}", rng=0, **options)
    steps: list[Any] = [next(reports) for _ in range(request["steps"])]
    points = np.concatenate([x0, *(report.theta for report in steps)])
    return {"x": points.tolist(), "beta": [float(report.detail.beta) for report in steps]}
