"""The mean loss of a network over cases, plus weight decay, as an objective.

f(theta) = (1/B) sum of the cases' losses + l2/2 ||theta||^2, with its gradient g, its Hessian H and its
Gauss-Newton matrix G = J' H_L J / B + l2 I. All four include the weight decay. Losses, gradients and products are
summed over all cases (`refhf.objective.case_sums`) and divided by B once; by 1 for the summed loss.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from refhf import checks
from refhf.krylov.symmetric_operator import SymmetricOperator
from refhf.model.blocks import Array
from refhf.model.elementwise import harmless_underflow
from refhf.model.network import Network
from refhf.objective.case_data import Data, Settings, checked_data
from refhf.objective.case_sums import sum_over_cases
from refhf.objective.linearised_chunks import Linearise, LinearisedChunks, linearised_chunks, mean_product
from refhf.objective.scores import explained_share, wrong_share
from refhf.parallel.launch import agree, as_communicator
from refhf.parallel.reduction import Partial, Reduction
from refhf.parallel.shards import REDUCTIONS, layout

CHUNK_SIZE = 512  # cases; our choice, from `python benchmarks/chunk_size.py`
IMAGE_CHUNK_SIZE = 64  # the same for images and sequences, from `python benchmarks/convolution.py`


class Supervised:
    """The mean loss of a network over cases, plus weight decay. Made by `supervised`."""

    def __init__(self, net: Network, data: Data, reduction: Reduction, settings: Settings):
        self.net, self.data, self.reduction, self.settings = net, data, reduction, settings
        self.X, self.y, self.dtype = data
        self.size, self.group, self.cases, self.comm = net.size, net.group, reduction.layout.cases, reduction.comm
        self.l2, self.chunk_size, self.divisor, self.curvature_statistics = settings

    def __repr__(self) -> str:
        return f"Supervised: {self.cases:,} cases, l2 {self.l2:g}, {self.dtype}\n  {self.net!r}"

    @property
    def curvatures(self) -> frozenset[str]:
        """Those of 'hessian', 'gauss-newton' and 'gradient-squares' that there are; no squares of coupled cases."""
        of_cases = {"gradient-squares"} if self.group == 1 else set[str]()
        return frozenset({"hessian", "gauss-newton"} | of_cases)

    def value(self, theta: Any) -> float:
        """f(theta); sums are accumulated in float64."""
        return wrong_share(self, self._theta(theta))

    def r_squared(self, theta: Any) -> float:
        """The share of the targets' variance that the outputs explain, 1 - sum (z - y)^2 / sum (y - mean y)^2.

        For the squared error alone. NaN where all cases have the same target.
        """
        theta = self._theta(theta)
        if self.net.loss.labels:
            raise ValueError(f"net: expected the squared error; got {self.net.loss.name}, whose score is `error`")
        return explained_share(self, theta)

    def _theta(self, theta: Any) -> Array:
        return checks.vector("theta", theta, self.size, self.dtype)

    def _sum_over_cases(self, function: Callable[[slice], tuple[Any, Array]], asked: Array, size: int) -> Partial:
        return sum_over_cases(function, self.reduction, self.chunk_size, asked, size)

    @harmless_underflow
    def _decay(self, theta: Array) -> float:
        return 0.5 * self.l2 * float(np.einsum("i,i", theta, theta, dtype=np.float64)) if self.l2 else 0.0

    def _held(self, theta: Any) -> "Supervised":
        """The objective that is linearised: of frozen statistics where they are asked for."""
        freezes = self.curvature_statistics == "frozen" and self.group > 1
        return self.frozen(self.statistics(theta)) if freezes else self

    def _linearised(self, linearise: Linearise, theta: Any) -> LinearisedChunks:
        return linearised_chunks(
            self.net, self.data, self.reduction.layout, self.chunk_size, linearise, self._theta(theta)
        )

    def _curvature(self, linearise: Linearise, theta: Any) -> SymmetricOperator:
        chunks = self._held(theta)._linearised(linearise, theta)
        product = partial(mean_product, chunks, self.reduction, self.settings)
        return SymmetricOperator(product, self.size, self.dtype)


def supervised(
    net: Network,
    X: Any,
    y: Any,
    *,
    l2: float = 0.0,
    reduction_of_cases: str = "mean",
    dtype: Any = None,
    chunk_size: int | None = None,
    comm: Any = None,
    reduction: str = "fast",
    curvature_statistics: str = "groups",
) -> Supervised:
    """The mean loss of `net` over the cases (X, y), plus l2/2 ||theta||^2.

    Parameters
    ----------
    net : Network
    X : array (B, n_0) or (B, ...), or `refhf.parallel.shards.Rows` of a file
        Cases in rows; images may keep their shape (`refhf.model.cases.inputs`). It is not copied where it need not
        be: do not write over it. Under batch normalisation each `group` of consecutive cases belongs together, and if
        it does not divide their number, the rest is a smaller group.
    y : array (B,), (B, 1) or (B, n_L), or `Rows`
        Labels 0 .. n_L - 1 for the cross-entropies (0 or 1 where n_L = 1), or targets (`refhf.model.cases.targets`).
        Targets of the softmax cross-entropy are distributions, of the logistic one probabilities.
    l2 : float
        Weight decay, on every parameter, biases included.
    reduction_of_cases : {'mean', 'sum'}
        Of the losses; a mini-batch of a sum is scaled up to all cases.
    dtype : float32 or float64, optional
        Of all computation. None is X's, or float64 if X has neither.
    chunk_size : int, optional
        Cases swept at once, in whole groups; memory grows with it and not with B. None is 512, and 64 for images and
        tokens.
    comm : Communicator, optional
        The ranks that share the cases, from `refhf.parallel`, or any mpi4py intracommunicator: each rank gives its own
        consecutive rows, which may be none, as X and y, and gets the same answers. None is one process.
    reduction : {'fast', 'reproducible'}
        How sums over ranks are made (`refhf.parallel.reduction`): with 'reproducible' they have the same bits for
        every number of ranks, and cost more.
    curvature_statistics : {'groups', 'frozen'}
        H and G of batch normalisation by the statistics of each group, which are functions of theta; or by the
        objective's `statistics` at theta, held fixed. f and g have those of the groups in any case.

    Raises
    ------
    ValueError
        Naming the argument, what was expected and what came; on all ranks, if theirs are different.
    """
    if chunk_size is None:
        chunk_size = IMAGE_CHUNK_SIZE if net.images or net.tokens else CHUNK_SIZE
    l2, chunk_size = checks.real("l2", l2, low=0.0), checks.positive_integer("chunk_size", chunk_size)
    checks.choice("reduction", reduction, REDUCTIONS)
    checks.choice("reduction_of_cases", reduction_of_cases, ("mean", "sum"))
    checks.choice("curvature_statistics", curvature_statistics, ("groups", "frozen"))
    comm = as_communicator(comm)
    data = checked_data(net, X, y, dtype, chunk_size)
    same = {"network": (net.chain, net.loss.name, net.ties), "dtype": data.dtype.str, "l2": l2}
    how = {"reduction": reduction, "reduction_of_cases": reduction_of_cases, "curvature": curvature_statistics}
    agree(comm, **same, chunk_size=chunk_size, **how)
    over_ranks = Reduction(comm, layout(len(data.X), comm, reduction, net.group), reduction)
    divisor = 1 if reduction_of_cases == "sum" else over_ranks.layout.cases
    return Supervised(net, data, over_ranks, Settings(l2, chunk_size, divisor, curvature_statistics))
