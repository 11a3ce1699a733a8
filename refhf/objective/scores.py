"""Scores of a network on the cases of an objective: the share of wrong classes, and R^2."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from refhf.model import network
from refhf.model.blocks import Array
from refhf.model.losses import wrong_class
from refhf.objective.case_sums import sum_over_cases


def wrong_share(objective: Any, theta: Array) -> float:
    """The fraction of the cases of a `Supervised` (of positions with labels) in the wrong class."""

    def wrong(rows: slice) -> tuple[Any, Array]:
        z, _ = network.forward(objective.net, theta, objective.X[rows], order=0)
        return wrong_class(objective.net.loss, z, objective.y[rows]), np.empty(0, theta.dtype)

    return sum_over_cases(wrong, objective.reduction, objective.chunk_size, theta, 0).loss / objective.cases


def explained_share(objective: Any, theta: Array) -> float:
    """R^2 = 1 - sum (z - y)^2 / sum (y - mean y)^2 over the cases of a `Supervised`; NaN where all y are the same."""
    if objective.net.loss.labels:
        raise ValueError(f"net: expected the squared error; got {objective.net.loss.name}, whose score is `error`")

    def summed(function: Callable[[slice], tuple[Any, Array]], size: int) -> Array:
        return sum_over_cases(function, objective.reduction, objective.chunk_size, theta, size).vector

    def targets(rows: slice) -> tuple[Any, Array]:
        return 0.0, objective.y[rows].sum(axis=0)

    mean = summed(targets, objective.net.outputs) / objective.cases

    def squares(rows: slice) -> tuple[Any, Array]:
        z, _ = network.forward(objective.net, theta, objective.X[rows], order=0)
        return 0.0, np.array([np.square(x).sum() for x in (z - objective.y[rows], objective.y[rows] - mean)])

    unexplained, spread = summed(squares, 2)
    return float(1 - unexplained / spread) if spread else math.nan
