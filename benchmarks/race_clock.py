"""The networks of the race, and the clock that a contender runs against.

The clock counts the CPU seconds of the process, on one thread, and wall seconds beside them. It stands still while the
training loss and error are evaluated, which is no contender's work. A run ends at its cap, or with all marks reached.
"""

import math
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

import refhf
from refhf.model import network
from refhf.model.losses import wrong_class

ERRORS = 0.05, 0.02, 0.01, 0.001  # shares of the training cases; the issue's
FIELDS = "cpu", "wall", "loss", "error", "steps", "products", "product_passes", "gradient_passes", "value_passes"


class Network(NamedTuple):
    """A network of the race.

    Attributes
    ----------
    title : str
    cases : int
        The first so many of mnist-mini.
    cap, tuning_cap : float
        CPU seconds of a run.
    losses : tuple of float
        Marks of the training loss, the largest first; all are our choice.
    errors : tuple of float
        Marks of the training error.
    """

    title: str
    cases: int
    cap: float
    tuning_cap: float
    losses: tuple[float, ...]
    errors: tuple[float, ...] = ()


NETWORKS = {
    "digits": Network("784-400-150-10, tanh, softmax cross-entropy", 5000, 20.0, 5.0, (0.01,), ERRORS),
    "autoencoder": Network(
        "196-100-40-10-40-100-196, tanh, squared error, digits of 14 x 14", 2000, 4.0, 1.5, (4.0, 3.0, 2.5, 2.0)
    ),
    "convnet": Network(
        "convolutions of 4 x 4 to 8 and to 32 channels, stride 2, and 10 units, tanh, digits of 14 x 14",
        2000,
        4.0,
        1.5,
        (0.01,),
        ERRORS,
    ),
}


class Problem(NamedTuple):
    """What all contenders are given: network, cases, start; X (B, n_0) and theta0 (P,) in float32."""

    net: refhf.Network
    X: np.ndarray
    y: np.ndarray
    theta0: np.ndarray
    images: bool

    @property
    def cases(self) -> int:
        """B."""
        return len(self.X)

    def objective(self):
        """The problem as refhf's objective."""
        return refhf.supervised(self.net, self.X, self.y)

    def outputs(self, theta) -> np.ndarray:
        """z (B, n_L) at theta (P,), in refhf's order."""
        theta = np.asarray(theta, np.float32)
        parts = (network.forward(self.net, theta, self.X[i : i + 500], order=0)[0] for i in range(0, self.cases, 500))
        return np.concatenate(list(parts))

    def scores(self, z) -> tuple[float, float]:
        """Mean loss and share of wrong cases; NaN where there are no classes."""
        with np.errstate(all="ignore"):
            loss = float(self.net.loss.value(z, self.y)) / self.cases
            return loss, math.nan if self.y.ndim > 1 else float(wrong_class(self.net.loss, z, self.y)) / self.cases


def problem(name: str, seed: int, cases: int | None = None) -> Problem:
    """The network, its data and the start of a seed."""
    cases = cases or NETWORKS[name].cases
    data = refhf.load("mnist-mini", dtype="float32")
    X, y = data.X[:cases], data.y[:cases]
    if name == "digits":
        net = refhf.mlp([784, 400, 150, 10])
        return Problem(net, X, y, net.init(rng=seed, dtype=np.float32), images=False)
    X = X.reshape(-1, 14, 2, 14, 2).mean((2, 4)).reshape(-1, 196)
    if name == "convnet":
        net = refhf.convnet((14, 14, 1), [refhf.conv(8, 4, stride=2), refhf.conv(32, 4, stride=2), 10])
        return Problem(net, X, y, net.init(rng=seed, dtype=np.float32), images=True)
    net = refhf.mlp([196, 100, 40, 10, 40, 100, 196], loss="squared_error")
    return Problem(net, X, X, net.init(rng=seed, dtype=np.float32), images=False)


class Over(BaseException):
    """The run is over; no `except Exception` of a contender's catches it."""


class Clock:
    """A stopwatch with the curve of a run: a row of FIELDS at each mark."""

    def __init__(self, problem: Problem, cap: float, losses=(), errors=()):
        self.problem, self.cap, self.losses, self.errors = problem, cap, losses, errors
        self.curve, self.counts, self.used = [], dict.fromkeys(FIELDS[4:], 0), [0.0, 0.0]
        self.since = None

    def start(self) -> None:
        """Let the clock run; each contender has by then made one gradient, which loads what its library loads late."""
        self.since = time.process_time(), time.perf_counter()

    def stop(self) -> None:
        """Let the clock stand still."""
        now = time.process_time(), time.perf_counter()
        self.used = [used + n - s for used, n, s in zip(self.used, now, self.since, strict=True)]
        self.since = None

    def tick(self, what: str | None = None, cases: int | None = None) -> None:
        """Count a product, gradient or value over so many cases (None: all); Over at the cap."""
        share = 1 if cases is None else cases / self.problem.cases
        if what:
            self.counts[f"{what}_passes"] += share
            self.counts["products"] += what == "product"
        if self.since and self.used[0] + time.process_time() - self.since[0] > self.cap:
            raise Over("time")

    def mark(self, outputs: Callable[[], np.ndarray], step: bool = True) -> None:
        """Note where the run is, off the clock; Over at the cap or with all marks reached."""
        self.stop()
        self.counts["steps"] += step
        loss, error = self.problem.scores(outputs())
        self.curve.append([*self.used, loss, error, *self.counts.values()])
        if loss <= min(self.losses, default=-math.inf) and not error > min(self.errors, default=math.inf):
            raise Over("all marks")
        if self.used[0] > self.cap:
            raise Over("time")
        if not math.isfinite(loss):
            raise Over("loss not finite")
        self.start()
