"""Conventions under which a function may be right: another reduction, factor, weight decay, damping, layout or biases.

The user's functions stay as they are: the reference takes the convention, and all laws are tested again. Only damping
is taken off the user's product, because its coefficient is known from the product alone.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import product as choices
from typing import Any, NamedTuple, cast

from refhf import checks
from refhf.conformance.check_report import CheckReport
from refhf.conformance.checkers.derivative_check import one_vector
from refhf.conformance.float64_reference import mapped
from refhf.conformance.patterns import Pattern
from refhf.model.bilinear import Bilinear
from refhf.model.network import Network
from refhf.objective.supervised import Supervised
from refhf.torch_modules.scaled_losses import scaled

Factor = Callable[[tuple[int, ...]], float]  # of the shape of z, (B, ..., n_L)

FACTORS: dict[str, Factor] = {
    "": lambda shape: 1.0,
    "squared error without 1/2": lambda shape: 2.0,
    "squared error averaged over the outputs": lambda shape: 1 / shape[-1],
    "squared error without 1/2, averaged over the outputs": lambda shape: 2 / shape[-1],  # PyTorch's MSELoss
    "sum over the positions": lambda shape: float(math.prod(shape[1:-1])),
}
DECAYS: dict[str, Callable[[int], float]] = {  # of the number of cases: the multiple of l2
    "": lambda cases: 1.0,
    "no weight decay": lambda cases: 0.0,
    "weight decay l2 ||theta||^2": lambda cases: 2.0,
    "weight decay times the cases": float,
    "weight decay divided by the cases": lambda cases: 1 / cases,
}
OF_CONVENTIONS = frozenset(  # causes that may be a convention, and misconduct of code for a theta of another size
    {
        Pattern.SUM_NOT_MEAN,
        Pattern.MEAN_NOT_SUM,
        Pattern.FACTOR,
        Pattern.NO_DECAY,
        Pattern.DECAY_WRONG,
        Pattern.DAMPED,
        Pattern.LAYOUT_OUT_IN,
        Pattern.LAYOUT_IN_OUT,
        Pattern.ABSOLUTE,
        Pattern.FIRST_RESIDUAL,
        Pattern.PRECONDITIONER_INVERTED,
        Pattern.RAISES,
        Pattern.WRONG_SHAPE,
    }
)


class CheckConvention(NamedTuple):
    """A convention; the default is refhf's own, or that of the reference.

    Attributes
    ----------
    other_reduction : bool
        The sum over the cases where the reference has the mean, and the reverse.
    factor, decay : str
        Keys of `FACTORS` and `DECAYS`.
    other_layout : bool
        W as (out, in) where (in, out) was said, and the reverse.
    biases : bool
    damped : bool
        A multiple of v is in each product.
    """

    other_reduction: bool = False
    factor: str = ""
    decay: str = ""
    other_layout: bool = False
    biases: bool = True
    damped: bool = False

    def names(self, summed: bool = False, layout: str = "in-out") -> tuple[str, ...]:
        """The conventions in words, where those of the reference are `summed` and `layout`; damping not included."""
        reduction = ("mean" if summed else "sum") if self.other_reduction else ""
        turned = f"layout {self.of_layout(layout)}" if self.other_layout else ""
        named = (reduction, self.factor, self.decay, turned, "" if self.biases else "no bias")
        return tuple(name for name in named if name)

    def of_layout(self, layout: str) -> str:
        """The layout of each W in theta."""
        return {"in-out": "out-in", "out-in": "in-out"}[layout] if self.other_layout else layout

    def of_reduction(self, reduction: str) -> str:
        """The reduction over the cases."""
        return {"mean": "sum", "sum": "mean"}[reduction] if self.other_reduction else reduction

    def of_network(self, net: Network) -> Network:
        """The network, without biases if the convention has none."""
        return net if self.biases else unbiased(net)

    def of_objective(self, objective: Any) -> Any:
        """The objective; one that is not of cases stays as it is."""
        if self == STANDARD or not isinstance(objective, Supervised):
            return objective
        net, cases, settings = self.of_network(objective.net), objective.cases, objective.settings
        factor = FACTORS[self.factor]((cases, *net.out_shape))
        divisor = (1 if objective.divisor != 1 else cases) if self.other_reduction else settings.divisor
        settings = settings._replace(l2=DECAYS[self.decay](cases) * settings.l2, divisor=divisor)
        net = net._replace(loss=scaled(net.loss, factor))
        return Supervised(net, objective.data, objective.reduction, settings)


STANDARD = CheckConvention()


def unbiased(net: Network) -> Network:
    """The network whose dense and convolutional layers have no bias."""

    def block(right: Any) -> Any:
        return replace(cast(Any, right), bias=False) if isinstance(right, Bilinear) else right

    return net._replace(chain=mapped(block, net.chain))


def is_summed(objective: Any) -> bool:
    """True for the sum over several cases."""
    return isinstance(objective, Supervised) and objective.divisor == 1 < objective.cases


def conventions(
    *,
    loss: str = "",
    positions: bool = False,
    l2: float = 0.0,
    layouts: bool = False,
    biases: tuple[bool, ...] = (True,),
    products: bool = True,
) -> list[CheckConvention]:
    """All conventions that may apply, those with the fewest departures first.

    Parameters
    ----------
    loss : str
        The name of a loss over cases, whose reduction and factor may differ; empty if there is none.
    positions : bool
        Whether the loss is a mean over positions.
    l2 : float
    layouts : bool
        Whether W may be laid out in another order.
    biases : tuple of bool
        Whether there are biases; the likelier first.
    products : bool
        Whether a product is checked, which may be damped.
    """
    factors = list(FACTORS)[: 4 if loss == "squared_error" else 1] if loss else [""]
    factors += list(FACTORS)[4:] if positions else []
    both = (False, True)
    found = [
        CheckConvention(*chosen)
        for chosen in choices(
            both if loss else (False,),
            factors,
            DECAYS if l2 else ("",),
            both if layouts else (False,),
            biases,
            both if products else (False,),
        )
    ]
    known = [one for one in found[1:] if not (one.damped and one.decay)]  # two coefficients of v would be one too many
    return sorted(known, key=_departures)


def of_reference(reference: Any, theta: Any, asked: bool, products: bool = True) -> list[CheckConvention]:
    """The conventions for a reference and a theta of the user's size; the first is the standard one of that size."""
    checks.boolean("any_convention", asked)
    if not isinstance(reference, Supervised):
        return [STANDARD, *conventions(products=products)]
    net, positions = reference.net, len(reference.net.out_shape) > 1
    size = one_vector(theta).size
    biases = size == reference.size or net.ties or size != unbiased(net).size
    if not biases and not asked:
        raise ValueError(f"theta: expected shape ({net.size},); got ({size},), as without biases: any_convention=True")
    given = {"loss": net.loss.name, "positions": positions, "l2": reference.l2, "layouts": True, "products": products}
    return [STANDARD._replace(biases=bool(biases)), *conventions(biases=(bool(biases),), **given)]


def _departures(convention: CheckConvention) -> tuple[int, bool]:
    differ = sum(here != there for here, there in zip(convention, STANDARD, strict=True))
    return differ + convention.damped, convention.damped


Checked = Callable[[Any, bool], CheckReport]  # (convention, quick) -> report


def under_conventions(checked: Checked, found: list[Any], asked: bool) -> CheckReport:
    """The report under the first convention, the standard one, or under the next one with which all laws hold.

    Parameters
    ----------
    checked : callable
        (convention, quick) -> report. If quick, the check stops at the first law that fails, without a diagnosis.
    found : list
        The conventions.
    asked : bool
        Whether the user accepts another one. If not, the report stays "wrong", with a remark if there is one.
    """
    report = checked(found[0], False)
    likely = report.patterns and set(report.patterns) <= OF_CONVENTIONS
    if report.passed or not (asked or likely):
        return report
    for convention in found[1:]:
        other = checked(convention, True)
        if other.passed and asked:
            return other
        if other.passed:
            named = ", ".join(other.conventions)
            remark = f"right under the convention {named}: any_convention=True, or --any-convention, accepts it"
            return report._replace(remarks=(*report.remarks, remark))
    return report
