"""Checkers of Hessian and Gauss-Newton products."""

from collections.abc import Callable
from typing import Any

from refhf import checks
from refhf.conformance.check_report import CheckReport
from refhf.conformance.checkers.check_conventions import (
    STANDARD,
    CheckConvention,
    conventions,
    is_summed,
    of_reference,
    under_conventions,
)
from refhf.conformance.checkers.product_check import ProductCheck
from refhf.model.losses import LOSSES
from refhf.objective.protocol import Objective


def check_hessian_product(
    product: Callable[..., Any],
    theta: Any,
    reference: Objective | None = None,
    *,
    gradient: Callable[..., Any] | None = None,
    value: Callable[..., Any] | None = None,
    layout: str = "in-out",
    any_convention: bool = False,
    rng: Any = 0,
) -> CheckReport:
    """Check a Hessian product H v against a reference or your own gradient, and diagnose what is wrong.

    The product is compared with the reference's product, with the derivative of your own gradient (a complex step if
    the gradient is analytic, and central differences), with second derivatives of your value, or with all of them. No
    matrix is formed: a check makes some tens of calls, each for one product.

    Parameters
    ----------
    product : callable
        (theta, v) -> H v (P,), in SciPy's argument order.
    theta : array or tensor (P,)
        The point. float32 requires float32 accuracy only. For a PyTorch tensor, `product` and `gradient` get tensors.
    reference : Objective, optional
        `refhf.supervised(net, X, y, l2=...)` with the same network and cases.
    gradient : callable, optional
        theta -> (P,), your own.
    value : callable, optional
        theta -> float, your own f: v'H w is compared with its second derivatives, to fewer digits.
    layout : {'in-out', 'out-in'}
        Layout of each W in theta: (n_in, n_out), or (n_out, n_in) as in PyTorch's Linear.
    any_convention : bool
        Whether a product is right too that has another convention: the sum over the cases, the squared error without
        1/2 or averaged over the outputs, another weight decay, damping inside, another layout of W, no biases. The
        report names it, and all laws have to hold under it.
    rng : Generator, int or None
        Generator of the random directions.

    Returns
    -------
    CheckReport

    Raises
    ------
    ValueError
        For invalid arguments. Faults of `product` are in the report.

    Examples
    --------
    >>> import numpy as np, refhf
    >>> f = refhf.from_functions(lambda t: (t**3).sum(), lambda t: 3 * t**2, lambda t, v: 6 * t * v)
    >>> report = refhf.check_hessian_product(lambda theta, v: 12 * theta * v, np.ones(3), f)
    >>> report.passed, str(report.causes[0])
    (False, 'It is wrong by a factor. (2)')
    """
    own = value if gradient is None else gradient

    def checked(convention: CheckConvention, quick: bool) -> CheckReport:
        objective, order = convention.of_objective(reference), convention.of_layout(layout)
        check = ProductCheck("hessian", product, theta, objective, order, rng, own)
        check.posed(convention.names(is_summed(reference), layout), quick)
        if gradient is not None:
            check.add_gradient(gradient)
        if value is not None:
            check.add_value(value)
        return check.run("Hessian product", convention.damped)

    return under_conventions(checked, of_reference(reference, theta, any_convention), any_convention)


def check_gauss_newton_product(
    product: Callable[..., Any],
    theta: Any,
    reference: Objective | None = None,
    *,
    outputs: Callable[..., Any] | None = None,
    loss: str | Callable[..., Any] | None = None,
    reduction: str = "mean",
    l2: float = 0.0,
    layout: str = "in-out",
    any_convention: bool = False,
    rng: Any = 0,
) -> CheckReport:
    """Check a Gauss-Newton product G v, G = J' H_L J / B + l2 I, and diagnose what is wrong.

    The product is compared with the reference's product, or with your own outputs z through
    w'G v = (J w)' H_L (J v) / B + l2 w'v, where J v is the derivative of z along v.

    Parameters
    ----------
    product, theta, reference, layout, any_convention, rng
        As for `check_hessian_product`.
    outputs : callable, optional
        theta -> z (B, n_L), or (B, positions, n_L), the pre-activations that the loss takes.
    loss : {'squared_error', 'softmax_cross_entropy', 'logistic_cross_entropy'} or callable
        The loss that H_L belongs to; needed with `outputs`. Your own z -> float, with its weights and its reduction,
        is differentiated numerically.
    reduction : {'mean', 'sum'}
        Of a named loss, over cases and positions.
    l2 : float
        Weight decay; used with `outputs`.

    Returns
    -------
    CheckReport
    """
    if outputs is not None:
        loss = loss if callable(loss) else checks.choice("loss", loss, LOSSES)
        checks.choice("reduction", reduction, ("mean", "sum"))
        checks.real("l2", l2, low=0.0)

    def checked(convention: CheckConvention, quick: bool) -> CheckReport:
        objective, order = convention.of_objective(reference), convention.of_layout(layout)
        check = ProductCheck("gauss-newton", product, theta, objective, order, rng, outputs)
        summed = is_summed(reference) if reference is not None else reduction == "sum"
        check.posed(convention.names(summed, layout), quick)
        if outputs is not None:
            check.add_outputs(outputs, loss, l2, reduction, convention)
        return check.run("Gauss-Newton product", convention.damped)

    found = of_reference(reference, theta, any_convention)
    if reference is None:
        found = [STANDARD, *conventions(loss=loss if isinstance(loss, str) else "", l2=l2)]
    return under_conventions(checked, found, any_convention)
