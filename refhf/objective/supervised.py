"""Objective: value, gradient, curvature and sampling; what every method sees, and all it sees.

f(theta) = (1/B) sum of the cases' losses + l2/2 ||theta||^2, with its gradient g, its Hessian H and its
Gauss-Newton matrix G = J' H_L J / B + l2 I. Weight decay enters all four alike.

Losses, gradients and products are summed over chunks of cases, over the ranks that share the cases (He et al. 2016,
Algorithm 2, lines 3 to 5), and divided by B once.
"""

from functools import partial
from typing import Protocol

import numpy as np
from scipy.sparse.linalg import LinearOperator

from refhf import checks
from refhf.model import network
from refhf.model.cases import inputs, targets
from refhf.model.elementwise import harmless_underflow
from refhf.model.network import Network
from refhf.objective.chunks import ordered_map
from refhf.objective.operators import operator
from refhf.parallel.communicator import Communicator
from refhf.parallel.launch import agree, as_communicator
from refhf.parallel.reduction import Partial, Reduction, added
from refhf.parallel.shards import REDUCTIONS, Rows, layout

CHUNK_SIZE = 512  # cases; our choice, by `python benchmarks/chunk_size.py`
IMAGE_CHUNK_SIZE = 64  # the same for convolutional networks, by `python benchmarks/convolution.py`
TAPE_BYTES = 2**30  # our choice: the tapes a curvature operator may keep; beyond it chunks are swept anew


class Objective(Protocol):
    """What a method may ask of a function of theta (P,).

    `size` is P, None where any will do; `cases` the number of cases behind it (1 for a function without data,
    which samples itself); `dtype` that of its vectors; `curvatures` which of 'hessian', 'gauss-newton' and
    'gradient-squares' it has, without which the methods of these names are never called; `comm` the communicator of
    the ranks that share its cases, None where there is none.
    """

    size: int | None
    cases: int
    dtype: np.dtype
    curvatures: frozenset
    comm: Communicator | None

    def value(self, theta) -> float:
        """f(theta)."""

    def value_and_gradient(self, theta) -> tuple[float, np.ndarray]:
        """f(theta) and its gradient (P,)."""

    def hessian(self, theta) -> LinearOperator:
        """H (P, P) at theta."""

    def gauss_newton(self, theta) -> LinearOperator:
        """G (P, P) at theta."""

    def gradient_squares(self, theta) -> np.ndarray:
        """The mean over cases of the squares of their gradients (P,)."""

    def sample(self, cases: int, *, rng=None) -> "Objective":
        """The same objective on some of its cases."""


class Supervised:
    """The mean loss of a network over cases, plus weight decay. Made by `supervised`."""

    curvatures = frozenset({"hessian", "gauss-newton", "gradient-squares"})

    def __init__(self, net: Network, X, y, l2: float, chunk_size: int, reduction: Reduction):
        self.net, self.X, self.y, self.l2, self.chunk_size = net, X, y, l2, chunk_size
        self.reduction, self.comm = reduction, reduction.comm
        self.size, self.cases, self.dtype = net.size, reduction.layout.cases, X.dtype

    def value(self, theta) -> float:
        """f(theta), a float; sums are accumulated in float64."""
        theta = self._theta(theta)

        def loss(X, y):
            return self.net.loss.value(network.forward(self.net, theta, X, order=0)[0], y)

        return self._number(loss, theta) / self.cases + self._decay(theta)

    @harmless_underflow
    def value_and_gradient(self, theta) -> tuple[float, np.ndarray]:
        """f(theta) and its gradient (P,)."""
        theta = self._theta(theta)
        loss, gradient = self._sum(lambda X, y: network.loss_and_gradient(self.net, theta, X, y), theta)
        gradient /= self.cases
        gradient += self.l2 * theta
        return loss / self.cases + self._decay(theta), gradient

    def hessian(self, theta) -> LinearOperator:
        """H (P, P) at theta, exact: each H @ v is one R-forward and one R-backward sweep over a kept tape."""
        return self._curvature(network.hessian_product, theta)

    def gauss_newton(self, theta) -> LinearOperator:
        """G (P, P) at theta, positive semidefinite: J' H_L J / B + l2 I (Schraudolph 2002, section 3)."""
        return self._curvature(network.gauss_newton_product, theta)

    def sample(self, cases: int, *, rng=None) -> "Supervised":
        """The same objective on `cases` cases, drawn without replacement."""
        cases = checks.positive_integer("cases", cases)
        if cases > self.cases:
            raise ValueError(f"cases: expected at most the {self.cases} cases there are; got {cases}")
        reduction, rows = self.reduction.draw(cases, np.random.default_rng(rng))
        return Supervised(self.net, self.X[rows], self.y[rows], self.l2, self.chunk_size, reduction)

    @harmless_underflow
    def gradient_squares(self, theta) -> np.ndarray:
        """The mean over cases of g_i * g_i, plus l2 (P,): Martens 2010, section 4.7, and his code's weight decay."""
        theta = self._theta(theta)
        squares = self._sum(lambda X, y: (0.0, network.gradient_squares(self.net, theta, X, y)), theta).vector
        return squares / self.cases + self.l2

    def predict(self, theta, X):
        """The network's answer (B, n_L) for other inputs X (B, n_0), or (n_L,) for one case (n_0,)."""
        return self.net.predict(self._theta(theta), X)

    def error(self, theta) -> float:
        """The fraction of cases in the wrong class (labels, or one column a class); NaN if an output is not finite."""
        theta = self._theta(theta)

        def wrong(X, y):
            z = network.forward(self.net, theta, X, order=0)[0]
            if not np.isfinite(z).all():
                return np.nan  # it says nothing of these cases, and so of no fraction of all
            said = self.net.loss.predict(z)[:, 0] > 0.5 if z.shape[1] == 1 else z.argmax(axis=1)
            truth = y if y.ndim == 1 else (y[:, 0] > 0.5 if y.shape[1] == 1 else y.argmax(axis=1))
            return (said != truth).sum()

        return self._number(wrong, theta) / self.cases

    def _theta(self, theta):
        return checks.vector("theta", theta, self.size, self.dtype)

    @harmless_underflow
    def _decay(self, theta):
        return 0.5 * self.l2 * float(np.einsum("i,i", theta, theta, dtype=np.float64)) if self.l2 else 0.0

    def _sum(self, of_cases, asked) -> Partial:
        """The sum over all cases, on all ranks, of what of_cases(X, y) -> (loss, vector (P,)) gives for some."""
        return self._total(lambda rows: of_cases(self.X[rows], self.y[rows]), asked, self.size)

    def _number(self, of_cases, asked) -> float:
        """The same for of_cases(X, y) -> float."""
        nothing = np.empty(0, self.dtype)
        return self._total(lambda rows: (of_cases(self.X[rows], self.y[rows]), nothing), asked, 0).loss

    @harmless_underflow
    def _total(self, of_rows, asked, size):
        pieces = self.reduction.layout.mine
        total = partial(added, size=size, dtype=self.dtype)
        partials = [ordered_map(of_rows, self._chunks(piece), total) for piece in pieces]
        return self.reduction.total(partials, asked, size)

    def _chunks(self, piece):
        starts = range(piece.start, piece.stop, self.chunk_size)
        return [slice(start, min(start + self.chunk_size, piece.stop)) for start in starts]

    @harmless_underflow
    def _curvature(self, linearise, theta):
        theta = self._theta(theta).copy()
        theta.flags.writeable = False
        chunks = [rows for piece in self.reduction.layout.mine for rows in self._chunks(piece)]
        numbers = self.net.tape_numbers * self.chunk_size + self.size
        keep = chunks[: max(1, TAPE_BYTES // (self.dtype.itemsize * numbers))]
        linearised = partial(self._linearised, linearise, theta)
        kept = dict(zip((rows.start for rows in keep), ordered_map(linearised, keep, list), strict=True))
        return operator(partial(self._product, kept, linearised), self.size, self.dtype)

    def _linearised(self, linearise, theta, rows):
        return linearise(self.net, theta, self.X[rows], self.y[rows])

    def _product(self, kept, linearised, v):
        def of_rows(rows):
            return 0.0, (kept.get(rows.start) or linearised(rows))(v)

        Hv = self._total(of_rows, v, self.size).vector
        Hv /= self.cases
        if self.l2:
            Hv += self.l2 * v
        return Hv


def supervised(
    net: Network, X, y, *, l2: float = 0.0, chunk_size: int | None = None, comm=None, reduction: str = "fast"
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
    X, y = _cases(net, X, y, chunk_size)
    same = {"network": (net.chain, net.loss.name), "dtype": X.dtype.str, "l2": l2}
    agree(comm, **same, chunk_size=chunk_size, reduction=reduction)
    return Supervised(net, X, y, l2, chunk_size, Reduction(comm, layout(len(X), comm, reduction), reduction))


def _cases(net, X, y, chunk_size):
    """X and y, checked; what is on disk is checked a chunk at a time, and left there, but for a number a case."""
    if isinstance(X, Rows):
        for start in range(0, max(len(X), 1), chunk_size):
            inputs(net, X[start : start + chunk_size])
    else:
        X = inputs(net, X)
    if not (isinstance(y, Rows) and y.shape[1:] not in ((), (1,))):
        return X, targets(net, y, len(X), X.dtype)
    for start in range(0, max(len(X), len(y), 1), chunk_size):
        rows = slice(start, start + chunk_size)
        targets(net, y[rows], len(range(len(X))[rows]), X.dtype)
    return X, y
