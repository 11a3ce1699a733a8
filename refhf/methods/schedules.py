"""Learning rates as functions of the step k = 1, 2, ...: warm-up, and a decay that is exponential or by steps.

Adya et al. 2018, section 4.1, after Goyal et al. 2017, section 2.2; and the authors' code for CIFAR (apple/ml-ncg,
cifar_multi_gpu_train.py), which has another schedule than the paper. Where a method has a `learning_rate`, it is a
number or any function of k. One with an attribute `steps` is for a run of so many steps, and `minimize` holds it to
that.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias, cast

from refhf import checks

START = 0.001  # Adya et al. 2018, section 4.1
PEAK = 0.1 / 256  # times the batch; the same, and Goyal et al. 2017
DECAY_EPOCHS = 2  # the same
LARGE = 8192  # the same: from this batch on the decay ends at 0.01, below it at 0.001
WARM_UPS = (32768, 30), (8192, 15), (0, 5)  # the same: (above this batch, that many epochs)
ML_NCG_WARM_UP = 25  # epochs: the authors' code, num_warmup_epochs
ML_NCG_PEAK = 0.8 / 1024  # times the batch: the example of the code's README, which has 0.001 as its start too
ML_NCG_BOUNDARIES = (200, (102, 153, 204)), (300, (153, 229, 306)), (math.inf, (204, 306, 408))  # (up to, at epochs)
ML_NCG_FALL = 0.1  # at each: the same code

Rate: TypeAlias = float | Callable[[int], float]


class Schedule(NamedTuple):
    """A rate that rises in a line from `start` to `peak`, and then falls to `end` by equal factors.

    Attributes
    ----------
    start, peak, end : float
    warm_up : int
        Steps until `peak` is reached.
    every : int
        Steps from one factor to the next. The first of these periods is at `peak`, the last, cut short by the run's
        end or not, at `end`; a single one is at `peak`.
    steps : int
        Of the run.
    """

    start: float
    peak: float
    end: float
    warm_up: int
    every: int
    steps: int

    def __call__(self, k: int) -> float:
        """The rate of step k; ValueError outside 1 .. steps."""
        k = checks.positive_integer("k", k, maximum=self.steps)
        if k <= self.warm_up:
            return self.start + (self.peak - self.start) * (k - 1) / self.warm_up
        falls = math.ceil((self.steps - self.warm_up) / self.every) - 1
        fall = (k - self.warm_up - 1) // self.every
        return self.peak * (self.end / self.peak) ** (fall / max(falls, 1))


def warm_up_then_decay(start: float, peak: float, end: float, *, warm_up: int, every: int, steps: int) -> Schedule:
    """A `Schedule`, checked.

    Raises
    ------
    ValueError
        For a rate that is not positive, a number of steps below 1, or a warm-up that leaves no step to decay in.
    """
    start, peak, end = checks.positive("start", start), checks.positive("peak", peak), checks.positive("end", end)
    every, warm_up = checks.positive_integer("every", every), checks.positive_integer("warm_up", warm_up)
    steps = checks.positive_integer("steps", steps)
    if steps <= warm_up:
        raise ValueError(f"steps: expected more than the {warm_up} of the warm-up; got {steps}")
    return Schedule(start, peak, end, warm_up, every, steps)


def _counted(batch: int, cases: int, epochs: int) -> tuple[int, int, int]:
    """The checked batch and epochs, and the steps of an epoch."""
    cases = checks.positive_integer("cases", cases)
    batch, epochs = checks.positive_integer("batch", batch, maximum=cases), checks.positive_integer("epochs", epochs)
    return batch, epochs, math.ceil(cases / batch)


def adya_2018(batch: int, cases: int, epochs: int) -> Schedule:
    """The schedule of Adya et al. 2018, section 4.1, all their methods' one, for `epochs` epochs.

    An epoch is ceil(cases / batch) steps. The paper gives the ends of the decay, its period and not its factor; here
    it is the one by which the last period is at the end rate.

    Parameters
    ----------
    batch, cases : int
        Of a step, and of the training set.
    epochs : int
        More than the warm-up's: 5, above batch 8192 15, above 32768 30.

    Examples
    --------
    >>> rate = adya_2018(batch=256, cases=2560, epochs=9)
    >>> [round(rate(k), 4) for k in (1, 26, 51, 71, 90)]
    [0.001, 0.0505, 0.1, 0.001, 0.001]
    """
    batch, epochs, an_epoch = _counted(batch, cases, epochs)
    warm_up = next(epochs for above, epochs in WARM_UPS if batch > above)
    if epochs <= warm_up:
        raise ValueError(f"epochs: expected more than the {warm_up} of the warm-up at batch {batch}; got {epochs}")
    return warm_up_then_decay(
        START,
        PEAK * batch,
        0.01 if batch >= LARGE else START,
        warm_up=warm_up * an_epoch,
        every=DECAY_EPOCHS * an_epoch,
        steps=epochs * an_epoch,
    )


class StepSchedule(NamedTuple):
    """A rate that rises from `start` to `peak`, by the square root of what is left, and falls tenfold at boundaries.

    Attributes
    ----------
    start, peak : float
    warm_up : int
        Steps until `peak` is reached.
    boundaries : tuple of int
        After so many steps the rate falls.
    steps : int
        Of the run.
    """

    start: float
    peak: float
    warm_up: int
    boundaries: tuple[int, ...]
    steps: int

    def __call__(self, k: int) -> float:
        """The rate of step k; ValueError outside 1 .. steps."""
        done = checks.positive_integer("k", k, maximum=self.steps) - 1
        if done < self.warm_up:
            return self.peak + (self.start - self.peak) * math.sqrt(1 - done / self.warm_up)
        return self.peak * ML_NCG_FALL ** sum(done > boundary for boundary in self.boundaries)


def ml_ncg(batch: int, cases: int, epochs: int) -> StepSchedule:
    """The schedule of the authors' code for CIFAR: 25 epochs of warm-up, tenfold falls after epochs 102 and 153 of 200.

    For up to 300 epochs the falls are after 153 and 229, for more after 204, 306 and 408. An epoch is
    ceil(cases / batch) steps. The peak is in proportion to the batch, 0.8 at 1,024.

    Parameters
    ----------
    batch, cases : int
        Of a step, and of the training set.
    epochs : int
        More than the warm-up's 25.

    Examples
    --------
    >>> rate = ml_ncg(batch=128, cases=256, epochs=200)
    >>> [round(rate(k), 4) for k in (1, 51, 204, 205, 206, 400)]
    [0.001, 0.1, 0.1, 0.1, 0.01, 0.001]
    """
    batch, epochs, an_epoch = _counted(batch, cases, epochs)
    if epochs <= ML_NCG_WARM_UP:
        raise ValueError(f"epochs: expected more than the {ML_NCG_WARM_UP} of the warm-up; got {epochs}")
    an_epoch = math.ceil(cases / batch)
    boundaries = next(places for most, places in ML_NCG_BOUNDARIES if epochs <= most)
    after = tuple(an_epoch * place for place in boundaries)
    return StepSchedule(START, ML_NCG_PEAK * batch, ML_NCG_WARM_UP * an_epoch, after, epochs * an_epoch)


SCHEDULES = {"adya-2018": adya_2018, "ml-ncg": ml_ncg}  # of (batch, cases, epochs), by the names of the command line


def check(learning_rate: Any) -> Rate:
    """A learning rate that is a function, or a number that is not negative."""
    if callable(learning_rate):
        return cast(Rate, learning_rate)
    return checks.real("learning_rate", learning_rate, low=0.0)


def check_length(learning_rate: Any, steps: int) -> None:
    """Refuse a schedule that is made for another number of steps."""
    made_for = getattr(learning_rate, "steps", steps)
    if made_for != steps:
        raise ValueError(f"learning_rate: expected a schedule for the run's {steps} steps; got one for {made_for}")


def rate(learning_rate: Rate, k: int) -> float:
    """alpha of step k."""
    if callable(learning_rate):
        return checks.real(f"learning_rate at step {k}", learning_rate(k), low=0.0)
    return learning_rate
