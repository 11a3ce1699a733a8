"""The online stochastic line search: Adya et al. 2018, section 3.2.2.

There is no search: the learning rate of a schedule is multiplied by a scale in (0, 1], which follows the loss from
step to step. Each rule takes f of this step's mini-batch, what it kept of the losses before (NaN at the first step),
and the scale.

Departure: the scale falls by a division and has a floor. Adya et al. 2018, section 3.2.2, reduce it by 2.5 %, and name
only its largest value, 1; here it is divided by 1.025, which is 2.44 % less, so that a fall and a rise cancel, and kept
above the published code's 1e-4, so that a run of rises of f does not stop training for good. A difference of 0.06 % a
fall; the floor acts after some 370 falls more than rises.
"""

import math
from typing import NamedTuple

MUCH, LITTLE = 0.02, 0.01  # section 3.2.2: more than this increase of f lowers the scale, less raises it
FACTOR = 1.025  # the same's 2.5 %, down by division, so that up and down are inverse to each other
SMALLEST = 1e-4  # of the scale: the published code's; the paper names only the largest, 1

# The published code's: above this increase over the average, (the scale's factor, how much of a step is withheld).
TABLE = (
    (0.15, (0.5, 0.9)),
    (0.125, (0.7, 0.7)),
    (0.10, (0.8, 0.5)),
    (0.075, (0.9, 0.3)),
    (0.05, (0.95, 0.2)),
    (0.025, (0.975, 0.1)),
    (0.01, (1.0, 0.1)),
)
AVERAGE, GROWTH = 0.7, 1.02  # how much of the average is kept; the scale's factor below the table: the published code's


class Scale(NamedTuple):
    """The scale of this step, what to keep of the losses, and the part of this step and the last to withhold."""

    scale: float
    kept: float
    withheld: float = 0.0


def off(f: float, kept: float, scale: float) -> Scale:
    """None: the scale is 1."""
    return Scale(1.0, f)


def online(f: float, kept: float, scale: float) -> Scale:
    """The paper's: the scale falls where f grew by more than 2 %, and rises where it grew by less than 1 %."""
    rise = increase(f, kept)
    if rise > MUCH:
        scale = max(scale / FACTOR, SMALLEST)
    elif rise < LITTLE:
        scale = min(scale * FACTOR, 1.0)
    return Scale(scale, f)


def table(f: float, kept: float, scale: float) -> Scale:
    """The published code's: f against a running average that includes it; a part of the step before is taken back."""
    kept = f if math.isnan(kept) else AVERAGE * kept + (1 - AVERAGE) * f
    rise = increase(f, kept)
    for above, (factor, withheld) in TABLE:
        if rise > above:
            return Scale(max(scale * factor, SMALLEST), kept, withheld)
    return Scale(min(scale * GROWTH, 1.0), kept)


RULES = {"off": off, "online": online, "table": table}


def increase(f: float, before: float) -> float:
    """The relative increase of f; 0 where there is no earlier value."""
    return (f - before) / abs(before) if before and not math.isnan(before) else 0.0
