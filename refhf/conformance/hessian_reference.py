"""The reference of a model's Hessian products, and the report of a function that is said to compute them."""

from typing import Any, NamedTuple

from refhf import checks
from refhf.conformance.check_report import CheckReport
from refhf.conformance.checkers.product_checker import check_gauss_newton_product, check_hessian_product
from refhf.objective.protocol import Objective
from refhf.torch_modules.from_torch import from_torch
from refhf.torch_modules.parameter_places import numbers

CHECKS = {"hessian": check_hessian_product, "gauss-newton": check_gauss_newton_product}


class HessianReference(NamedTuple):
    """An objective, and the point at which it is asked.

    Attributes
    ----------
    objective : Objective
    theta : array or tensor (P,)
    """

    objective: Objective
    theta: Any

    def hessian_product(self, v: Any) -> Any:
        """H v (P,) at theta; a tensor if theta is one."""
        return self._as_theta(self.objective.hessian(numbers(self.theta)) @ numbers(v))

    def gauss_newton_product(self, v: Any) -> Any:
        """G v (P,) at theta; a tensor if theta is one."""
        return self._as_theta(self.objective.gauss_newton(numbers(self.theta)) @ numbers(v))

    def _as_theta(self, product: Any) -> Any:
        return self.theta.new_tensor(product) if hasattr(self.theta, "new_tensor") else product


def hessian_reference(
    model: Any, loss: Any = None, batch: Any = None, *, theta: Any = None, known: Any = None
) -> HessianReference:
    """The reference of a model's Hessian products.

    Parameters
    ----------
    model : torch.nn.Module or Objective
    loss, batch : optional
        Those of a module: the loss of `refhf.from_torch`, and its cases (X, y).
    theta : array or tensor (P,), optional
        The point; that of the module if None. An objective has none of its own.
    known : dict, optional
        As for `refhf.from_torch`.

    Raises
    ------
    ValueError
        As `refhf.from_torch`; for a batch that is no pair, or an objective without theta.
    """
    if hasattr(model, "value_and_gradient"):
        if theta is None:
            raise ValueError("theta: expected the point (P,), which an objective does not have; got None")
        return HessianReference(model, theta)
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        raise ValueError(f"batch: expected (X, y); got {type(batch).__name__}")
    objective, own = from_torch(model, loss, *batch, known=known)
    return HessianReference(objective, own if theta is None else theta)


def product_report(
    product: Any,
    model: Any,
    batch: Any = None,
    *,
    loss: Any = None,
    theta: Any = None,
    known: Any = None,
    kind: str = "hessian",
    any_convention: bool = False,
    rng: Any = 0,
) -> CheckReport:
    """The kit's report of a function that is said to be a model's product.

    Parameters
    ----------
    product : callable
        (theta, v) -> H v (P,), of tensors for a module.
    model, batch, loss, theta, known
        As for `hessian_reference`.
    kind : {'hessian', 'gauss-newton'}
    any_convention : bool
        As for `check_hessian_product`.
    rng : Generator, int or None
        Generator of the random directions.
    """
    check = CHECKS[checks.choice("kind", kind, CHECKS)]
    reference = hessian_reference(model, loss, batch, theta=theta, known=known)
    return check(product, reference.theta, reference.objective, any_convention=any_convention, rng=rng)
