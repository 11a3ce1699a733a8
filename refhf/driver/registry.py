"""The methods by name: a family of one algorithm, and the options that the name fixes in it."""

from collections.abc import Callable
from typing import Any, NamedTuple

from refhf.methods import first_order
from refhf.methods.hessian_free import hf_step, path_step
from refhf.methods.newton import exact_newton, negative_curvature, saddle_free, truncated_newton
from refhf.methods.newton.newton_detail import NewtonDetail
from refhf.methods.nonlinear_cg import nlcg_step
from refhf.methods.replicas import replica_step
from refhf.methods.report import NoDetail, Report
from refhf.model.blocks import Array
from refhf.objective.protocol import Objective


class Family(NamedTuple):
    """An algorithm as data.

    Attributes
    ----------
    options, state, detail : type
        The NamedTuples of its options, of its state between two steps, and of its part of a report.
    check : callable
        (options, objective) -> options with the defaults filled in.
    init : callable
        (theta (P,), options, rng) -> the state before the first step.
    step : callable
        (state, objective, options, k, rng) -> (state, report).
    """

    options: Any
    state: Any
    detail: Any
    check: Callable[[Any, Objective], Any]
    init: Callable[[Array, Any, Any], Any]
    step: Callable[[Any, Objective, Any, int, Any], tuple[Any, Report[Any]]]


class Method(NamedTuple):
    """An optimiser as data.

    Attributes
    ----------
    description : str
        One line.
    family : Family
        The algorithm.
    fixed : dict
        The options that the method's name stands for.
    """

    description: str
    family: Family
    fixed: dict[str, Any]

    @property
    def options(self) -> tuple[str, ...]:
        """The names of the options a caller may set."""
        return tuple(name for name in self.family.options._fields if name not in self.fixed)

    def checked(self, objective: Objective, **given: Any) -> Any:
        """The family's options: the given, the fixed and the defaults; ValueError for one out of range."""
        return self.family.check(self.family.options(**given, **self.fixed), objective)


HESSIAN_FREE = Family(
    hf_step.HessianFreeOptions,
    hf_step.HessianFreeState,
    hf_step.HessianFreeDetail,
    hf_step.check,
    hf_step.init,
    hf_step.step,
)
DAMPING_PATH = Family(
    path_step.DampingPathOptions,
    path_step.DampingPathState,
    hf_step.HessianFreeDetail,
    path_step.check,
    path_step.init,
    path_step.step,
)
NEWTON = Family(
    exact_newton.ExactNewtonOptions,
    exact_newton.NewtonState,
    NewtonDetail,
    exact_newton.check,
    exact_newton.init,
    exact_newton.step,
)
TRUNCATED_NEWTON = Family(
    truncated_newton.TruncatedNewtonOptions,
    truncated_newton.TruncatedNewtonState,
    NewtonDetail,
    truncated_newton.check,
    truncated_newton.init,
    truncated_newton.step,
)
SADDLE_FREE_NEWTON = NEWTON._replace(
    options=saddle_free.SaddleFreeOptions, check=saddle_free.check, step=saddle_free.step
)
NEGATIVE_CURVATURE_NEWTON = NEWTON._replace(
    options=negative_curvature.NegativeCurvatureOptions,
    detail=negative_curvature.NegativeCurvatureDetail,
    check=negative_curvature.check,
    step=negative_curvature.step,
)
NONLINEAR_CG = Family(
    nlcg_step.NonlinearCGOptions,
    nlcg_step.NonlinearCGState,
    nlcg_step.NonlinearCGDetail,
    nlcg_step.check,
    nlcg_step.init,
    nlcg_step.step,
)
FIRST_ORDER = Family(
    first_order.FirstOrderOptions,
    first_order.FirstOrderState,
    NoDetail,
    first_order.check,
    first_order.init,
    first_order.step,
)
REPLICAS = Family(
    replica_step.ReplicaOptions,
    replica_step.ReplicaState,
    replica_step.ReplicaDetail,
    replica_step.check,
    replica_step.init,
    replica_step.step,
)


def _hf(curvature, solver):
    return HESSIAN_FREE, {"curvature": curvature, "solver": solver}


def _nlcg(beta):
    return NONLINEAR_CG, {"stochastic": True, "beta": beta}


def _first_order(rule, *offered, **fixed):
    unused = {"noise", "momentum", "decay", "epsilon"} - set(offered)
    defaults = first_order.FirstOrderOptions._field_defaults
    return FIRST_ORDER, {"rule": rule, **fixed, **{name: defaults[name] for name in unused}}


DEFAULT_METHOD = "gn-cg"  # of `minimize`, `iterate` and the command line
METHODS = {
    "gn-cg": Method("Gauss-Newton matrix, conjugate gradients (Martens 2010)", *_hf("gauss-newton", "cg")),
    "gn-cg-path": Method("The same with all dampings of a grid at once; the loss chooses lambda", DAMPING_PATH, {}),
    "hessian-cg": Method(
        "Hessian, conjugate gradients stopped at negative curvature (He et al.)", *_hf("hessian", "cg")
    ),
    "hybrid-cg": Method("Hessian; Gauss-Newton matrix in the step after negative curvature", *_hf("hybrid", "cg")),
    "hessian-bicgstab": Method(
        "Hessian, Bi-CG-STAB; all iterates are candidates (He et al.)", *_hf("hessian", "bicgstab")
    ),
    "newton": Method("Newton's step, H s = -g, taken without a test", NEWTON, {}),
    "truncated-newton": Method(
        "Newton's step by conjugate gradients stopped at negative curvature", TRUNCATED_NEWTON, {}
    ),
    "saddle-free-newton": Method("Newton's step with |H| in place of H (Dauphin et al. 2014)", SADDLE_FREE_NEWTON, {}),
    "negative-curvature-newton": Method(
        "Newton's step and negative curvature from a random probe (More and Sorensen 1979)",
        NEGATIVE_CURVATURE_NEWTON,
        {},
    ),
    "nlcg-fr": Method("Nonlinear CG, diagonal BFGS preconditioner, Fletcher-Reeves (Adya et al.)", *_nlcg("fr")),
    "nlcg-pr": Method("The same with Polak-Ribiere's beta (Adya et al.)", *_nlcg("pr")),
    "nlcg-hs": Method("The same with Hestenes and Stiefel's beta", *_nlcg("hs")),
    "nlcg-dy": Method("The same with Dai and Yuan's beta", *_nlcg("dy")),
    "gradient-descent": Method("The full gradient", *_first_order("plain", "noise", stochastic=False, batch=None)),
    "sgd": Method("Stochastic gradient descent", *_first_order("plain", "noise", stochastic=True)),
    "momentum": Method("Stochastic gradients with momentum", *_first_order("momentum", "momentum", stochastic=True)),
    "rmsprop": Method(
        "RMSProp with momentum", *_first_order("rmsprop", "momentum", "decay", "epsilon", stochastic=True)
    ),
    "replica-newton": Method(
        "The inverse Hessian from the differences between replicas (Arnold & Wang)",
        REPLICAS,
        {"stochastic": True},
    ),
}


def available_methods() -> dict[str, str]:
    """Names of the methods, each with a one-line description."""
    return {name: method.description for name, method in METHODS.items()}
