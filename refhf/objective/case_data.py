"""The cases of an objective, in memory or on disk, and its settings."""

from typing import Any, NamedTuple

import numpy as np

from refhf import checks
from refhf.model.cases import inputs, targets
from refhf.model.network import Network
from refhf.parallel.shards import Rows


class Data(NamedTuple):
    """The cases of one rank: inputs X and targets y, or `Rows` of files, and the dtype of what follows from them."""

    X: Any
    y: Any
    dtype: np.dtype[Any]

    def take(self, rows: Any) -> "Data":
        """Some of the cases."""
        return Data(self.X[rows], self.y[rows], self.dtype)


class Settings(NamedTuple):
    """The parts of an objective besides its network and its cases.

    Attributes
    ----------
    l2 : float
    chunk_size : int
    divisor : float
        What sums over cases are divided by: their number; 1 for the summed loss, and for a mini-batch of it its share
        of the cases.
    curvature_statistics : {'groups', 'frozen'}
    """

    l2: float
    chunk_size: int
    divisor: float
    curvature_statistics: str


def checked_data(net: Network, X: Any, y: Any, dtype: Any, chunk_size: int) -> Data:
    """X and y, checked; what is on disk is checked a chunk at a time, and left there, but for a number a case."""
    dtype = None if dtype is None else checks.precision("dtype", dtype)
    if isinstance(X, Rows):
        for start in range(0, max(len(X), 1), chunk_size):
            inputs(net, X[start : start + chunk_size])
        held: Any = X if dtype in (None, X.dtype) else X.astype(dtype)
    else:
        held = inputs(net, X, dtype)
    computed = np.dtype(held.dtype if held.dtype.kind == "f" else dtype or np.float64)
    if not (isinstance(y, Rows) and y.shape[1:] not in ((), (1,))):
        return Data(held, targets(net, y, len(held), computed), computed)
    for start in range(0, max(len(held), len(y), 1), chunk_size):
        rows = slice(start, start + chunk_size)
        targets(net, y[rows], len(range(len(held))[rows]), computed)
    return Data(held, y, computed)
