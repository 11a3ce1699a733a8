"""The mean loss of a network over cases, plus weight decay, as an objective.

f(theta) = (1/B) sum of the cases' losses + l2/2 ||theta||^2, with its gradient g, its Hessian H and its
Gauss-Newton matrix G = J' H_L J / B + l2 I. All four include the weight decay. Losses, gradients and products are
summed over all cases (`refhf.objective.case_sums`) and divided by B once; by 1 for the summed loss.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np

from refhf import checks
from refhf.krylov.symmetric_operator import SymmetricOperator
from refhf.model import network
from refhf.model.blocks import Array
from refhf.model.elementwise import harmless_underflow
from refhf.model.network import Network
from refhf.objective.case_data import Data, Settings, checked_data
from refhf.objective.case_sums import sum_over_cases
from refhf.objective.fisher import UniformDraws, drawn_fisher_product, draws_of_case, empirical_fisher_product
from refhf.objective.jacobian import JacobianOperator, tape_of
from refhf.objective.linearised_chunks import Linearise, LinearisedChunks, linearised_chunks, mean_product
from refhf.objective.scores import explained_share, wrong_share
from refhf.parallel.launch import agree, as_communicator
from refhf.parallel.reduction import Partial, Reduction
from refhf.parallel.shards import layout, virtual_shards

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
        theta, nothing = self._theta(theta), np.empty(0, self.dtype)

        def loss(rows: slice) -> tuple[Any, Array]:
            z, _ = network.forward(self.net, theta, self.X[rows], order=0)
            return self.net.loss.value(z, self.y[rows]), nothing

        return self._sum_over_cases(loss, theta, 0).loss / self.divisor + self._decay(theta)

    @harmless_underflow
    def value_and_gradient(self, theta: Any) -> tuple[float, Array]:
        """f(theta) and its gradient (P,)."""
        theta = self._theta(theta)

        def loss_and_gradient(rows: slice) -> tuple[Any, Array]:
            return network.loss_and_gradient(self.net, theta, self.X[rows], self.y[rows])

        loss, gradient = self._sum_over_cases(loss_and_gradient, theta, self.size)
        gradient /= self.divisor
        gradient += self.l2 * theta
        return loss / self.divisor + self._decay(theta), gradient

    def hessian(self, theta: Any) -> SymmetricOperator:
        """H (P, P) at theta, exact: each H @ v is one R-forward and one R-backward sweep over a tape."""
        return self._curvature(network.hessian_product, theta)

    def gauss_newton(self, theta: Any) -> SymmetricOperator:
        """G (P, P) at theta, positive semidefinite: J' H_L J / B + l2 I (Schraudolph 2002, section 3)."""
        return self._curvature(network.gauss_newton_product, theta)

    def jacobian(self, theta: Any) -> JacobianOperator:
        """J = dz/dtheta (B n, P) at theta, with its adjoint: each J @ v and each J.T @ u is one sweep over a tape.

        z are the outputs before the loss's own nonlinearity, n numbers of each of B cases: n_L, or positions times n_L.
        Rows are the cases in their order, and within a case its outputs in C order: (J @ v).reshape(B, *net.out_shape).
        G = J' H_L J / B + l2 I. On several ranks J has the rows of this rank's own cases, and nothing is communicated:
        J'u over all cases is the sum over ranks of `J.T @ u`. Under batch normalisation z depends on its whole group;
        with curvature_statistics='frozen' J has the statistics held fixed, as G has.
        """
        held = self._held(theta)
        return JacobianOperator(held.net, held._linearised(tape_of, theta), self.dtype)

    def fisher(self, theta: Any, kind: str = "empirical", *, rng: Any = None) -> SymmetricOperator:
        """The empirical Fisher matrix F (P, P) at theta, or a Monte Carlo estimate of the Fisher matrix; plus l2 I.

        'empirical' is the mean over cases of g_i g_i', g_i the gradient of case i; its diagonal is `gradient_squares`.
        'monte-carlo' has the same form, with one draw of each case's labels from the network's own p(y | z) at theta,
        and over c where the loss is -c log p (`refhf.objective.fisher` derives it): its mean over draws is G.
        For sequences g_i is that of the whole sequence, and c is 1/positions. Neither is the Gauss-Newton matrix.

        Parameters
        ----------
        theta : array (P,)
        kind : {'empirical', 'monte-carlo'}
        rng : Generator, int or None
            Of the labels, for 'monte-carlo' alone. A case's labels depend on its number, not on chunks or ranks.

        Raises
        ------
        ValueError
            For another kind, an rng for 'empirical', or batch normalisation over groups, in which no case has a
            gradient of its own; curvature_statistics='frozen' gives it one.

        References
        ----------
        Martens 2020, New insights and perspectives on the natural gradient method, sections 5 and 9.2. Kunstner,
        Balles and Hennig 2019, Limitations of the empirical Fisher approximation, eqs. 2 and 3.
        """
        held = self._held(theta)
        if held.group > 1:
            raise ValueError("net: expected no batch normalisation, which couples the cases: none has its own gradient")
        if checks.choice("kind", kind, ("empirical", "monte-carlo")) == "empirical":
            if rng is not None:
                raise ValueError(f"rng: expected None for kind 'empirical', which draws nothing; got {rng!r}")
            return held._curvature(empirical_fisher_product, theta)
        seed = int(np.random.default_rng(rng).integers(2**63))
        drawn = UniformDraws(seed, self.reduction.layout.first, draws_of_case(held.net))
        reduction = self.reduction._replace(key=self.reduction.key + seed)  # ranks with other seeds are found out
        labelled = Supervised(held.net, self.data._replace(y=drawn), reduction, self.settings)
        return labelled._curvature(drawn_fisher_product, theta)

    def sample(self, cases: int, *, rng: Any = None) -> "Supervised":
        """The same objective on `cases` cases, drawn without replacement; whole groups under batch normalisation."""
        cases, group = checks.positive_integer("cases", cases), self.group
        if cases > self.cases:
            raise ValueError(f"cases: expected at most the {self.cases} cases there are; got {cases}")
        if cases % group:
            if cases == self.cases:
                return self
            raise ValueError(f"cases: expected a multiple of {group}, the group of batch normalisation; got {cases}")
        reduction, rows = self.reduction.draw(cases, np.random.default_rng(rng))
        settings = self.settings._replace(divisor=self.divisor * cases / self.cases)
        return Supervised(self.net, self.data.take(rows), reduction, settings)

    def frozen(self, statistics: Iterable[Array]) -> "Supervised":
        """The same objective with given statistics in batch normalisation (`refhf.Network.frozen`)."""
        return Supervised(self.net.frozen(statistics), self.data, self.reduction, self.settings)

    @harmless_underflow
    def gradient_squares(self, theta: Any) -> Array:
        """The mean over cases of g_i * g_i, plus l2 (P,): Martens 2010, section 4.7, and his code's weight decay."""
        theta = self._theta(theta)

        def squares(rows: slice) -> tuple[float, Array]:
            return 0.0, network.gradient_squares(self.net, theta, self.X[rows], self.y[rows])

        return self._sum_over_cases(squares, theta, self.size).vector / self.divisor + self.l2

    def statistics(self, theta: Any) -> list[Array]:
        """For each batch normalisation the mean and variance (2, channels) to predict with, averaged over the groups.

        `net.frozen(statistics)` is the network that uses them (`refhf.model.batch_statistics`).
        """
        theta, channels = self._theta(theta), self.net.normalised_channels
        if not channels:
            return []

        def summed(rows: slice) -> tuple[float, Array]:
            return 0.0, network.batch_statistics(self.net, theta, self.X[rows])

        means = self._sum_over_cases(summed, theta, 2 * sum(channels)).vector / self.cases
        cuts = np.cumsum([2 * n for n in channels])[:-1]
        return [x.reshape(2, -1) for x in np.split(means, cuts)]

    def predict(self, theta: Any, X: Any) -> Array:
        """The network's predictions (B, n_L) for inputs X (B, n_0), or (n_L,) for one case (n_0,).

        Batch normalisation predicts with the statistics of the objective's own cases.
        """
        net = self.net.frozen(self.statistics(theta)) if self.group > 1 else self.net
        return net.predict(self._theta(theta), X)

    def error(self, theta: Any) -> float:
        """The fraction of cases (of positions with labels) in the wrong class; NaN if an output is not finite.

        The class of a target is its label, or its largest column; of a single output, whether it is above 1/2.
        """
        return wrong_share(self, self._theta(theta))

    def r_squared(self, theta: Any) -> float:
        """The share of the targets' variance that the outputs explain, 1 - sum (z - y)^2 / sum (y - mean y)^2.

        NaN where all cases have the same target; ValueError for another loss than the squared error.
        """
        return explained_share(self, self._theta(theta))

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
    reduction : {'fast', 'reproducible', 'reproducible-V'}
        How sums over ranks are made (`refhf.parallel.reduction`): with 'reproducible' they have the same bits for
        every number of ranks, and cost more. V is the number of pieces of the cases, by default 16, and the most ranks
        that have work.
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
    virtual_shards(reduction)
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
