"""The mean loss of a network over cases, plus weight decay, as an objective.

f(theta) = (1/B) sum of the cases' losses + l2/2 ||theta||^2, with its gradient g, its Hessian H and its
Gauss-Newton matrix G = J' H_L J / B + l2 I. All four include the weight decay. Losses, gradients and products are
summed over all cases (`refhf.objective.case_sums`) and divided by B once.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from refhf import checks
from refhf.krylov.symmetric_operator import SymmetricOperator
from refhf.model import network
from refhf.model.blocks import Array
from refhf.model.cases import inputs, targets
from refhf.model.elementwise import harmless_underflow
from refhf.model.network import Network
from refhf.objective.case_sums import chunks, sum_over_cases
from refhf.objective.chunk_threads import results_in_order
from refhf.parallel.launch import agree, as_communicator
from refhf.parallel.reduction import Partial, Reduction
from refhf.parallel.shards import REDUCTIONS, Rows, layout

Product = Callable[[Array], Array]

CHUNK_SIZE = 512  # cases; our choice, from `python benchmarks/chunk_size.py`
IMAGE_CHUNK_SIZE = 64  # the same for convolutional networks, from `python benchmarks/convolution.py`
TAPE_BYTES = 2**30  # our choice: the memory for an operator's tapes; the chunks beyond it are swept again each time


class Supervised:
    """The mean loss of a network over cases, plus weight decay. Made by `supervised`."""

    curvatures = frozenset({"hessian", "gauss-newton", "gradient-squares"})

    def __init__(self, net: Network, X: Any, y: Any, l2: float, chunk_size: int, reduction: Reduction):
        self.net, self.X, self.y, self.l2, self.chunk_size = net, X, y, l2, chunk_size
        self.reduction, self.comm = reduction, reduction.comm
        self.size, self.cases = net.size, reduction.layout.cases
        self.dtype: np.dtype[Any] = X.dtype

    def value(self, theta: Any) -> float:
        """f(theta); sums are accumulated in float64."""
        theta, nothing = self._theta(theta), np.empty(0, self.dtype)

        def loss(rows: slice) -> tuple[Any, Array]:
            z, _ = network.forward(self.net, theta, self.X[rows], order=0)
            return self.net.loss.value(z, self.y[rows]), nothing

        return self._sum_over_cases(loss, theta, 0).loss / self.cases + self._decay(theta)

    @harmless_underflow
    def value_and_gradient(self, theta: Any) -> tuple[float, Array]:
        """f(theta) and its gradient (P,)."""
        theta = self._theta(theta)

        def loss_and_gradient(rows: slice) -> tuple[Any, Array]:
            return network.loss_and_gradient(self.net, theta, self.X[rows], self.y[rows])

        loss, gradient = self._sum_over_cases(loss_and_gradient, theta, self.size)
        gradient /= self.cases
        gradient += self.l2 * theta
        return loss / self.cases + self._decay(theta), gradient

    def hessian(self, theta: Any) -> SymmetricOperator:
        """H (P, P) at theta, exact: each H @ v is one R-forward and one R-backward sweep over a tape."""
        return self._curvature(network.hessian_product, theta)

    def gauss_newton(self, theta: Any) -> SymmetricOperator:
        """G (P, P) at theta, positive semidefinite: J' H_L J / B + l2 I (Schraudolph 2002, section 3)."""
        return self._curvature(network.gauss_newton_product, theta)

    def sample(self, cases: int, *, rng: Any = None) -> "Supervised":
        """The same objective on `cases` cases, drawn without replacement."""
        cases = checks.positive_integer("cases", cases)
        if cases > self.cases:
            raise ValueError(f"cases: expected at most the {self.cases} cases there are; got {cases}")
        reduction, rows = self.reduction.draw(cases, np.random.default_rng(rng))
        return Supervised(self.net, self.X[rows], self.y[rows], self.l2, self.chunk_size, reduction)

    @harmless_underflow
    def gradient_squares(self, theta: Any) -> Array:
        """The mean over cases of g_i * g_i, plus l2 (P,): Martens 2010, section 4.7, and his code's weight decay."""
        theta = self._theta(theta)

        def squares(rows: slice) -> tuple[float, Array]:
            return 0.0, network.gradient_squares(self.net, theta, self.X[rows], self.y[rows])

        return self._sum_over_cases(squares, theta, self.size).vector / self.cases + self.l2

    def predict(self, theta: Any, X: Any) -> Array:
        """The network's predictions (B, n_L) for inputs X (B, n_0), or (n_L,) for one case (n_0,)."""
        return self.net.predict(self._theta(theta), X)

    def error(self, theta: Any) -> float:
        """The fraction of cases in the wrong class; NaN if an output is not finite.

        The class of a target is its label, or its largest column; of a single output, whether it is above 1/2.
        """
        theta, nothing = self._theta(theta), np.empty(0, self.dtype)

        def wrong(rows: slice) -> tuple[Any, Array]:
            z, y = network.forward(self.net, theta, self.X[rows], order=0)[0], self.y[rows]
            if not np.isfinite(z).all():
                return np.nan, nothing
            predicted = self.net.loss.predict(z)[:, 0] > 0.5 if z.shape[1] == 1 else z.argmax(axis=1)
            truth = y if y.ndim == 1 else (y[:, 0] > 0.5 if y.shape[1] == 1 else y.argmax(axis=1))
            return (predicted != truth).sum(), nothing

        return self._sum_over_cases(wrong, theta, 0).loss / self.cases

    def _theta(self, theta: Any) -> Array:
        return checks.vector("theta", theta, self.size, self.dtype)

    def _sum_over_cases(self, function: Callable[[slice], tuple[Any, Array]], asked: Array, size: int) -> Partial:
        return sum_over_cases(function, self.reduction, self.chunk_size, asked, size)

    @harmless_underflow
    def _decay(self, theta: Array) -> float:
        return 0.5 * self.l2 * float(np.einsum("i,i", theta, theta, dtype=np.float64)) if self.l2 else 0.0

    @harmless_underflow
    def _curvature(self, linearise: Callable[..., Product], theta: Any) -> SymmetricOperator:
        """Linearise the chunks whose tapes fit into memory now, the others at each product."""
        theta = self._theta(theta).copy()
        theta.flags.writeable = False
        pieces = [rows for piece in self.reduction.layout.mine for rows in chunks(piece, self.chunk_size)]
        numbers = self.net.tape_numbers * self.chunk_size + self.size
        fitting = pieces[: max(1, TAPE_BYTES // (self.dtype.itemsize * numbers))]
        linearised = partial(self._linearised, linearise, theta)
        with results_in_order(linearised, fitting) as results:
            products = dict(zip((rows.start for rows in fitting), results, strict=True))
        return SymmetricOperator(partial(self._product, products, linearised), self.size, self.dtype)

    def _linearised(self, linearise: Callable[..., Product], theta: Array, rows: slice) -> Product:
        return linearise(self.net, theta, self.X[rows], self.y[rows])

    def _product(self, products: dict[int, Product], linearised: Callable[[slice], Product], v: Array) -> Array:
        """The sum of the chunks' products, over B, plus l2 v."""

        def of_chunk(rows: slice) -> tuple[float, Array]:
            return 0.0, (products.get(rows.start) or linearised(rows))(v)

        with np.errstate(under="ignore"):
            Hv = sum_over_cases(of_chunk, self.reduction, self.chunk_size, v, self.size).vector
            Hv /= self.cases
            if self.l2:
                Hv += self.l2 * v
        return Hv


def supervised(
    net: Network,
    X: Any,
    y: Any,
    *,
    l2: float = 0.0,
    chunk_size: int | None = None,
    comm: Any = None,
    reduction: str = "fast",
) -> Supervised:
    """The mean loss of `net` over the cases (X, y), plus l2/2 ||theta||^2.

    Parameters
    ----------
    net : Network
    X : array (B, n_0) or (B, ...), or `refhf.parallel.shards.Rows` of a file
        Cases in rows; images may keep their shape (`refhf.model.cases.inputs`). Computation is in X's dtype if that
        is float32 or float64, else in float64. It is not copied where it need not be: do not write over it.
    y : array (B,), (B, 1) or (B, n_L), or `Rows`
        Labels 0 .. n_L - 1 for the cross-entropies (0 or 1 where n_L = 1), or targets (`refhf.model.cases.targets`).
        Targets of the softmax cross-entropy are distributions, of the logistic one probabilities.
    l2 : float
        Weight decay, on every parameter, biases included.
    chunk_size : int, optional
        Cases swept at once; memory grows with it and not with B. None is 512, and 64 for convolutional networks.
    comm : Communicator, optional
        The ranks that share the cases, from `refhf.parallel`, or any mpi4py intracommunicator: each rank gives its own
        consecutive rows, which may be none, as X and y, and gets the same answers. None is one process.
    reduction : {'fast', 'reproducible'}
        How sums over ranks are made (`refhf.parallel.reduction`): with 'reproducible' they have the same bits for
        every number of ranks, and cost more.

    Raises
    ------
    ValueError
        Naming the argument, what was expected and what came; on all ranks, if theirs are different.
    """
    chunk_size = (IMAGE_CHUNK_SIZE if net.images else CHUNK_SIZE) if chunk_size is None else chunk_size
    l2, chunk_size = checks.real("l2", l2, low=0.0), checks.positive_integer("chunk_size", chunk_size)
    checks.choice("reduction", reduction, REDUCTIONS)
    comm = as_communicator(comm)
    checked, y = _cases(net, X, y, chunk_size)
    same = {"network": (net.chain, net.loss.name), "dtype": checked.dtype.str, "l2": l2}
    agree(comm, **same, chunk_size=chunk_size, reduction=reduction)
    return Supervised(
        net, checked, y, l2, chunk_size, Reduction(comm, layout(len(checked), comm, reduction), reduction)
    )


def _cases(net: Network, X: Any, y: Any, chunk_size: int) -> tuple[Any, Any]:
    """X and y, checked; what is on disk is checked a chunk at a time, and left there, but for a number a case."""
    if isinstance(X, Rows):
        for start in range(0, max(len(X), 1), chunk_size):
            inputs(net, X[start : start + chunk_size])
        held: Any = X
    else:
        held = inputs(net, X)
    if not (isinstance(y, Rows) and y.shape[1:] not in ((), (1,))):
        return held, targets(net, y, len(held), held.dtype)
    for start in range(0, max(len(held), len(y), 1), chunk_size):
        rows = slice(start, start + chunk_size)
        targets(net, y[rows], len(range(len(held))[rows]), held.dtype)
    return held, y
