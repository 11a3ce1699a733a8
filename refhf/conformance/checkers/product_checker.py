"""Checkers of Hessian and Gauss-Newton products."""

from collections.abc import Callable

from refhf import checks
from refhf.conformance.check_report import Report
from refhf.conformance.checkers.product_bench import ProductBench
from refhf.model.losses import LOSSES
from refhf.objective.protocol import Objective


def check_hessian_product(
    product: Callable, theta, reference: Objective | None = None, *, gradient=None, layout="in-out", rng=0
) -> Report:
    """Whether product(theta, v) is the Hessian's product H v, and if not, what it is.

    Held against the reference's product, or the derivative of your own gradient (a complex step if it is analytic,
    central differences), or both. No matrix is formed: some tens of calls, each of one product.

    Parameters
    ----------
    product : callable
        (theta, v) -> H v (P,), SciPy's order.
    theta : array or tensor (P,)
        Where. float32 asks for float32's digits. If it is a PyTorch tensor, `product` and `gradient` get tensors.
    reference : Objective, optional
        `refhf.supervised(net, X, y, l2=...)`, the same network on the same cases.
    gradient : callable, optional
        theta -> (P,), your own.
    layout : {'in-out', 'out-in'}
        How theta holds each W: (n_in, n_out), or as PyTorch's Linear does, (n_out, n_in).
    rng : Generator, int or None
        Of the directions.

    Returns
    -------
    Report

    Raises
    ------
    ValueError
        For arguments that do not fit. What `product` does wrong is in the report.

    Examples
    --------
    >>> import numpy as np, refhf
    >>> f = refhf.from_functions(lambda t: t @ t / 2, lambda t: t, lambda t, v: v)
    >>> report = refhf.check_hessian_product(lambda theta, v: 2 * v, np.ones(3), f)
    >>> report.passed, str(report.causes[0])
    (False, 'It is off by a factor. (2)')
    """
    bench = ProductBench("hessian", product, theta, reference, layout, rng, gradient)
    if gradient is not None:
        bench.add_gradient(gradient)
    return bench.run("Hessian product")


def check_gauss_newton_product(
    product: Callable,
    theta,
    reference: Objective | None = None,
    *,
    outputs=None,
    loss=None,
    l2=0.0,
    layout="in-out",
    rng=0,
) -> Report:
    """Whether product(theta, v) is the Gauss-Newton matrix's G v, G = J' H_L J / B + l2 I, and if not, what it is.

    Held against the reference's product, or against your own outputs z: w'G v = (J w)' H_L (J v) / B + l2 w'v, where
    J v is the derivative of z along v.

    Parameters
    ----------
    product, theta, reference, layout, rng
        As for `check_hessian_product`.
    outputs : callable, optional
        theta -> z (B, n_L), the pre-activations that go into the loss.
    loss : {'squared_error', 'softmax_cross_entropy', 'logistic_cross_entropy'}
        Whose H_L to take with `outputs`.
    l2 : float
        With `outputs`.

    Returns
    -------
    Report
    """
    bench = ProductBench("gauss-newton", product, theta, reference, layout, rng, outputs)
    if outputs is not None:
        bench.add_outputs(outputs, LOSSES[checks.choice("loss", loss, LOSSES)], checks.real("l2", l2, low=0.0))
    return bench.run("Gauss-Newton product")
