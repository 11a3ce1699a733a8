"""The methods by name: a room, and what the name fixes in it."""

from typing import NamedTuple

from refhf.methods import first_order
from refhf.methods.hessian_free import hf_step
from refhf.methods.newton import exact_newton, negative_curvature, saddle_free, truncated_newton
from refhf.methods.nonlinear_cg import nlcg_step
from refhf.methods.replicas import replica_step


class Method(NamedTuple):
    """An optimiser as data.

    Attributes
    ----------
    description : str
        One line.
    room : module
        With `Options`, `check`, `init` and `step`.
    fixed : dict
        The options that the method's name stands for.
    """

    description: str
    room: object
    fixed: dict

    @property
    def options(self) -> tuple[str, ...]:
        """The names of the options a caller may set."""
        return tuple(name for name in self.room.Options._fields if name not in self.fixed)


def _hf(curvature, solver):
    return hf_step, {"curvature": curvature, "solver": solver}


def _nlcg(beta):
    return nlcg_step, {"stochastic": True, "beta": beta}


def _first_order(rule, *offered, **fixed):
    unused = {"noise", "momentum", "decay", "epsilon"} - set(offered)
    return first_order, {"rule": rule, **fixed, **{name: first_order.Options._field_defaults[name] for name in unused}}


METHODS = {
    "gn-cg": Method("Gauss-Newton matrix, conjugate gradients (Martens 2010)", *_hf("gauss-newton", "cg")),
    "hessian-cg": Method("Hessian, conjugate gradients cut at negative curvature (He et al.)", *_hf("hessian", "cg")),
    "hybrid-cg": Method("Hessian, and Gauss-Newton for a step after negative curvature", *_hf("hybrid", "cg")),
    "hessian-bicgstab": Method(
        "Hessian, Bi-CG-STAB, every iterate a candidate (He et al.)", *_hf("hessian", "bicgstab")
    ),
    "newton": Method("Newton's step, H s = -g, wherever it leads", exact_newton, {}),
    "truncated-newton": Method("Newton's step by conjugate gradients cut at negative curvature", truncated_newton, {}),
    "saddle-free-newton": Method("Newton's step with |H| in place of H (Dauphin et al. 2014)", saddle_free, {}),
    "negative-curvature-newton": Method(
        "A Newton step joined with a random probe's negative curvature (More and Sorensen 1979)", negative_curvature, {}
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
        replica_step,
        {"stochastic": True},
    ),
}


def available_methods() -> dict[str, str]:
    """Names of the methods, each with a one-line description."""
    return {name: method.description for name, method in METHODS.items()}
