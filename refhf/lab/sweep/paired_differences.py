"""Paired differences between two methods on the same seeds, their intervals, and the verdict on a claim."""

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import scipy

from refhf import checks

LEVEL = 0.95  # our choice, figures/protocol.md


class ClaimVerdict(StrEnum):
    """The verdict on a claim."""

    HOLDS = "holds"
    FAILS = "fails"
    NOT_JUDGEABLE = "not judgeable here"


class PairedDifference(NamedTuple):
    """The mean of paired differences and its interval.

    Attributes
    ----------
    mean, low, high : float
        The interval of Student's t; NaN for fewer than two pairs, or where one of them is not finite.
    pairs : int
    lost : int
        Pairs of which one run or both diverged.
    """

    mean: float
    low: float
    high: float
    pairs: int
    lost: int

    def __str__(self) -> str:
        lost = f" ({self.lost} of {self.pairs} lost)" if self.lost else ""
        if math.isnan(self.low):
            return f"{self.mean:+.3g}{lost}" if math.isfinite(self.mean) else f"-{lost}"
        return f"{self.mean:+.3g} [{self.low:+.3g}, {self.high:+.3g}]"


def paired_difference(values: Sequence[float], reference: Sequence[float], level: float = LEVEL) -> PairedDifference:
    """The mean of values[i] - reference[i] and its interval of Student's t with n - 1 degrees of freedom.

    Parameters
    ----------
    values, reference : sequence of float (n,)
        Of the same seeds, in the same order; infinite for a run that diverged.
    level : float
        The probability with which the interval covers the mean, for differences that are normal and independent.

    Raises
    ------
    ValueError
        For another number of values, or none.

    Examples
    --------
    >>> print(paired_difference([1.0, 2.0, 4.0], [1.0, 1.0, 2.0]))
    +1 [-1.48, +3.48]
    """
    if len(values) != len(reference) or not values:
        raise ValueError(
            f"values, reference: expected as many of each, one at least; got {len(values)}, {len(reference)}"
        )
    level = checks.real("level", level, low=0.0, high=1.0)
    one, other = np.asarray(values, float), np.asarray(reference, float)
    lost = int((~np.isfinite(one) | ~np.isfinite(other)).sum())
    n = len(one)
    if lost:
        return PairedDifference(math.nan, math.nan, math.nan, n, lost)
    d = one - other
    mean = float(d.mean())
    if n == 1:
        return PairedDifference(mean, math.nan, math.nan, n, 0)
    half = float(scipy.special.stdtrit(n - 1, (1 + level) / 2) * d.std(ddof=1) / math.sqrt(n))
    return PairedDifference(mean, mean - half, mean + half, n, 0)


def verdict(difference: PairedDifference, claim: str, margin: float = 0.0) -> ClaimVerdict:
    """The verdict on the claim that the mean is 'below' or 'above' 0, or 'alike': within +-margin of it.

    A claim holds where the whole interval agrees with it, and fails where no part of the interval does. Elsewhere, and
    without an interval, it cannot be judged from these runs.

    Examples
    --------
    >>> print(verdict(paired_difference([1.0, 1.1, 0.9], [2.0, 2.0, 2.0]), "below"))
    holds
    >>> print(verdict(paired_difference([1.0, 2.0, 4.0], [1.0, 1.0, 2.0]), "above"))
    not judgeable here
    """
    checks.choice("claim", claim, ("below", "above", "alike"))
    low, high = difference.low, difference.high
    if math.isnan(low):
        return ClaimVerdict.NOT_JUDGEABLE
    if claim == "alike":
        margin = checks.positive("margin", margin)
        agrees, disagrees = -margin <= low and high <= margin, high < -margin or low > margin
    elif claim == "below":
        agrees, disagrees = high < 0, low >= 0
    else:
        agrees, disagrees = low > 0, high <= 0
    return ClaimVerdict.HOLDS if agrees else ClaimVerdict.FAILS if disagrees else ClaimVerdict.NOT_JUDGEABLE
