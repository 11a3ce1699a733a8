"""A network: a chain of blocks with a loss at its end, and the products that its four sweeps give.

Notation here (rows are cases) / in the papers (columns are cases): a_0 = X (B, *in_shape), s_l = a_{l-1} W_l + b_l,
a_l = f(s_l), z = s_L  /  s_l = W_l' a_{l-1} + b_l. Dx is dL/dx, Rx the directional derivative of x along v, RDx that of
dL/dx.

Sources: Pearlmutter 1994, section 4 (R-operator of backpropagation); Schraudolph 2002, section 3 (Gauss-Newton product
as a pass f1 forward, H_L, and a pass r1 back).

Every function here sums over the cases it is given, without l2, and computes in the dtype of its arguments, complex
ones included; shapes are the caller's business (`refhf.supervised` checks them).
"""

import math
from collections.abc import Iterable
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from refhf import checks
from refhf.model.batch_norm import BatchNorm
from refhf.model.batch_statistics import frozen, leaves, statistics
from refhf.model.blocks import Array, Block, Shape, Tape, Weights, read_only, size, views
from refhf.model.cases import inputs, many, parameters
from refhf.model.chain import Chain
from refhf.model.elementwise import Activation, Elementwise, Nonlinearity, harmless_underflow
from refhf.model.embedding import Embedding
from refhf.model.losses import Loss
from refhf.model.network_summary import network_summary
from refhf.model.standardise import standardise
from refhf.model.weight_tying import Ties, first_places, tied_size, tied_sum, untied


class Network(NamedTuple):
    """A chain of blocks, and the loss at what the last one gives.

    Attributes
    ----------
    in_shape : tuple of int
        A case's shape. X may also have the cases as flat rows, in C order.
    chain : Chain
    loss : Loss
    ties : tuple of Tie or of Stored
        Arrays of the chain's weights that are others of them, and have no numbers of their own in theta; or the place
        of each array in a theta of another layout.
    classes : tuple of str
        The names of the classes, in the outputs' order, where the data has names.
    """

    in_shape: Shape
    chain: Chain
    loss: Loss
    ties: Ties = ()
    classes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return network_summary(self)

    @property
    def size(self) -> int:
        """P, the length of theta."""
        shapes = self.chain.weight_shapes
        return size(shapes) - tied_size(shapes, self.ties)

    @property
    def out_shape(self) -> Shape:
        """The shape of a case's z."""
        return self.chain.out_shape(self.in_shape)

    @property
    def inputs(self) -> int:
        """n_0, the numbers of a case."""
        return math.prod(self.in_shape)

    @property
    def outputs(self) -> int:
        """n_L, the last number of `out_shape`."""
        return self.out_shape[-1]

    @property
    def images(self) -> bool:
        """True if a case is an image (height, width, channels)."""
        return len(self.in_shape) == 3

    @property
    def group(self) -> int:
        """The cases that belong together: batch normalisation's group; 1 without it."""
        return next((block.group for block in leaves(self.chain) if isinstance(block, BatchNorm)), 1)

    @property
    def normalised_channels(self) -> list[int]:
        """The channels of each batch normalisation."""
        return [block.channels for block in leaves(self.chain) if isinstance(block, BatchNorm)]

    @property
    def tokens(self) -> int | None:
        """The vocabulary, where a case is a row of tokens; None elsewhere."""
        first = self.chain.blocks[0]
        return first.vocabulary if isinstance(first, Embedding) else None

    @property
    def layers(self) -> tuple[Block, ...]:
        """The blocks with weights, as they stand in theta."""
        return tuple(block for block in self.chain.blocks if size(block.weight_shapes))

    @property
    def nonlinearities(self) -> tuple[Nonlinearity, ...]:
        """Those of the chain's own activations."""
        return tuple(block.nonlinearity for block in self.chain.blocks if isinstance(block, Activation))

    @property
    def tape_numbers(self) -> int:
        """Numbers that a linearisation keeps of a case, at most, besides theta; the loss keeps three of z's size."""
        return self.chain.tape_numbers(self.in_shape) + 3 * math.prod(self.out_shape)

    def unpack(self, theta: Array) -> tuple[Any, ...]:
        """The layers' weights, ((W_1, b_1), ..., (W_L, b_L)), views of theta (P,), copies if some are tied."""
        if np.shape(theta) != (self.size,):
            raise ValueError(f"theta: expected shape ({self.size},); got {np.shape(theta)}")
        weights = _weights(self, theta)
        return tuple(w for w, block in zip(weights, self.chain.blocks, strict=True) if size(block.weight_shapes))

    def init(self, rng: Any = None, dtype: Any = np.float64) -> Array:
        """A starting point theta (P,): each block's own rule.

        Parameters
        ----------
        rng : Generator, int or None
        dtype : float32 or float64, else a ValueError
        """
        shapes, dtype = self.chain.weight_shapes, checks.precision("dtype", dtype)
        theta = np.zeros(checks.positive_integer("size", size(shapes), checks.LARGEST // 8), dtype)
        self.chain.initial(views(shapes, theta), np.random.default_rng(rng))
        return first_places(theta, shapes, self.ties)

    @harmless_underflow
    def predict(self, theta: Any, X: Any) -> Array:
        """Probabilities for the cross-entropies, z for the squared error: (B, n_L), of one case (n_0,) (n_L,)."""
        if self.group > 1:
            raise ValueError("net: expected no batch normalisation over groups; predict by net.frozen(statistics)")
        theta = parameters(theta, self.size)
        z, _ = forward(self, theta, inputs(self, X, theta.real.dtype, one=True), order=0)
        y = self.loss.predict(z)
        return y if many(self, np.shape(X)) else y[0]

    def standardised(self, X: Any) -> "Network":
        """The same network behind a first block that takes the cases X to mean 0 and deviation 1 (`standardise`).

        Images have the statistics of their channels. The network takes data in its own units from then on.

        Raises
        ------
        ValueError
            For a network of tokens, or an X of another shape.

        Examples
        --------
        >>> import numpy as np, refhf
        >>> X = np.array([[1.0, 500.0], [3.0, 700.0]])
        >>> net = refhf.mlp([2, 4, 1], loss="squared_error").standardised(X)
        >>> net.chain.blocks[0].mean
        array([  2., 600.])
        """
        if self.tokens:
            raise ValueError("X: expected numbers to standardise; got a network of tokens")
        if np.ndim(X) != 2 or np.shape(X)[1] != self.inputs:
            raise ValueError(f"X: expected shape (B, {self.inputs}); got {np.shape(X)}")
        first = standardise(X, self.in_shape[-1] if self.images else None)
        return self._replace(chain=Chain((first, *self.chain.blocks)))

    def frozen(self, statistics: Iterable[Array]) -> "Network":
        """The same network of the same theta, with given statistics in batch normalisation: each case alone.

        Parameters
        ----------
        statistics : sequence of ndarray (2, channels)
            Mean and variance, for each batch normalisation: `objective.statistics(theta)`, or running averages.

        Raises
        ------
        ValueError
            For another number of arrays, or one of another shape.
        """
        found, expected = list(statistics), [(2, n) for n in self.normalised_channels]
        if [np.shape(x) for x in found] != expected:
            raise ValueError(f"statistics: expected shapes {expected}; got {[np.shape(x) for x in found]}")
        return self._replace(chain=frozen(self.chain, map(np.asarray, found)))


def _weights(net: Network, theta: Array) -> Weights:
    shapes = net.chain.weight_shapes
    return views(shapes, untied(theta, shapes, net.ties))


def forward(net: Network, theta: Array, X: Array, *, order: int = 2) -> tuple[Array, Tape]:
    """Sweep 1: z (B, *out_shape), and the tape for `order` derivatives.

    The tape is read-only, and its theta nobody else's: nothing that happens later can change a product.
    """
    _keep_pages()
    weights = read_only(_weights(net, _unchanging(theta)))
    return read_only(net.chain.forward(weights, X.reshape(len(X), *net.in_shape), order=order))


@cache
def _keep_pages() -> None:
    """Let a sweep find the pages that the one before has freed; new ones take half of a small product's time.

    glibc gives back what is free at the heap's end beyond twice the largest block that was mapped and freed, of up to
    32 MB (mallopt(3), M_MMAP_THRESHOLD). So one such block, never touched, is freed. Elsewhere this does nothing.
    """
    np.empty(2**25 - 2**16, np.uint8)


def _unchanging(theta: Array) -> Array:
    """theta itself where it is read-only, so that the tapes of many chunks share one; else a read-only copy."""
    return theta if theta.flags.owndata and not theta.flags.writeable else read_only(theta.copy())


def backward(net: Network, tape: Tape, Dz: Array, *, keep: bool = False) -> tuple[Array, Tape]:
    """Sweep 2: J' Dz (P,), J = dz/dtheta, and the tape for sweep 4. With Dz = dL/dz it is the gradient."""
    shapes = net.chain.weight_shapes
    Dtheta = np.empty(size(shapes), Dz.dtype)
    _, tape = net.chain.backward(tape, Dz, views(shapes, Dtheta), keep=keep, below=False)
    return tied_sum(Dtheta, shapes, net.ties), read_only(tape)


def r_forward(net: Network, tape: Tape, v: Array) -> tuple[Array, Tape]:
    """Sweep 3: Rz = J v, and the tape for sweep 4."""
    return net.chain.r_forward(tape, _weights(net, v), None)


def r_backward(net: Network, tape: Tape, r_tape: Tape, RDz: Array) -> Array:
    """Sweep 4: R{gradient} (P,), the derivative of sweep 2 along the direction of sweep 3."""
    shapes = net.chain.weight_shapes
    Hv = np.empty(size(shapes), RDz.dtype)
    net.chain.r_backward(tape, r_tape, RDz, views(shapes, Hv), below=False)
    return tied_sum(Hv, shapes, net.ties)


def batch_statistics(net: Network, theta: Array, X: Array) -> Array:
    """For each batch normalisation its statistics (2, channels), raveled and joined, summed over the cases."""
    _, found = statistics(net.chain, _weights(net, theta), X.reshape(len(X), *net.in_shape))
    return np.concatenate([x.ravel() for x in found])


def loss_and_gradient(net: Network, theta: Array, X: Array, y: Array) -> tuple[Any, Array]:
    """The loss and its gradient (P,), summed over the cases: sweeps 1 and 2."""
    z, tape = forward(net, theta, X, order=1)
    return net.loss.value(z, y), backward(net, tape, net.loss.gradient(z, y))[0]


def gradient_squares(net: Network, theta: Array, X: Array, y: Array) -> Array:
    """The sum over cases of g_i * g_i (P,), g_i the gradient of case i alone (Martens 2010, section 4.7)."""
    if net.ties:  # a tied weight's derivative is a sum of several, which has to be made before it is squared
        cases = (slice(i, i + 1) for i in range(len(X)))
        return np.sum([loss_and_gradient(net, theta, X[i], y[i])[1] ** 2 for i in cases], axis=0)
    z, tape = forward(net, theta, X)
    _, tape = backward(net, tape, net.loss.gradient(z, y), keep=True)
    squares = np.empty_like(theta)
    net.chain.squares(tape, views(net.chain.weight_shapes, squares))
    return squares


def hessian_product(net: Network, theta: Array, X: Array, y: Array) -> Elementwise:
    """The map v -> H v (P,), exact (R-operator). Sweeps 1 and 2 now, sweeps 3 and 4 at each product."""
    z, tape = forward(net, theta, X)
    _, tape = backward(net, tape, net.loss.gradient(z, y), keep=True)
    return partial(_hessian_times, net, tape, net.loss.hessian(z, y))


def _hessian_times(net: Network, tape: Tape, loss_hessian: Elementwise, v: Array) -> Array:
    Rz, r_tape = r_forward(net, tape, v)
    RDz = loss_hessian(Rz)  # RDz = H_L Rz
    return r_backward(net, tape, r_tape, RDz)


def gauss_newton_product(net: Network, theta: Array, X: Array, y: Array) -> Elementwise:
    """The map v -> J' H_L J v (P,). Sweep 1 now, sweeps 3 and 2 at each product."""
    z, tape = forward(net, theta, X, order=1)
    return partial(_gauss_newton_times, net, tape, net.loss.hessian(z, y))


def _gauss_newton_times(net: Network, tape: Tape, loss_hessian: Elementwise, v: Array) -> Array:
    Rz, _ = r_forward(net, tape, v)  # v -> J v
    HJv = loss_hessian(Rz)  # J v -> H_L J v
    return backward(net, tape, HJv)[0]  # H_L J v -> J' H_L J v
