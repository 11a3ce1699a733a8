"""Model parallelism (He et al. 2016, Figure 1, left): a rank has all cases, and some columns of each weight matrix.

A layer split by columns is still bilinear in (weights, input), so the sweeps of `refhf.model.network` run on it as
they are: a rank makes its columns of s_l, and all columns are gathered; it makes its columns' part of Da_{l-1}, and
the parts are summed. A rank's columns of the gradient stay with it, as its columns of the weights do.

Notation here: J are the columns of W_l (n_{l-1}, n_l) on one rank; s_l[:, J] = a_{l-1} W_l[:, J] + b_l[J],
DW_l[:, J] = a_{l-1}' Ds_l[:, J], Da_{l-1} = sum over ranks of Ds_l[:, J] W_l[:, J]'. Biases are few: every rank has
them all. What is communicated is counted in `refhf.parallel.communication_volume`.

Departure: the output's deltas are not exchanged. He et al. 2016, section 3, count an exchange a layer forward and one
back; but every rank has all of z and so of Ds_L. An iteration on b cases is one call and b n_L numbers less.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from refhf.krylov.symmetric_operator import SymmetricOperator
from refhf.model import network
from refhf.model.bilinear import Bilinear
from refhf.model.blocks import Array, Shape, Shapes
from refhf.model.chain import Chain
from refhf.model.dense import Dense
from refhf.parallel.communicator import Communicator
from refhf.parallel.launch import as_communicator
from refhf.parallel.shards import cuts


@dataclass(frozen=True)
class SplitDense(Bilinear):
    """s = x W + b, of which each rank has its share of the columns of W (n_in, n_out).

    The R-forward sweep's R{s} = a V + R{a} W gathers both terms, two calls for what could be one: the price of
    sweeps that know nothing of ranks.
    """

    n_in: int
    n_out: int
    comm: Communicator

    bias: bool = True
    rule: str = "glorot"

    @property
    def columns(self) -> slice:
        """Those of this rank."""
        bounds = cuts(self.n_out, self.comm.size)
        return slice(int(bounds[self.comm.rank]), int(bounds[self.comm.rank + 1]))

    @property
    def weight_shape(self) -> Shape:
        """(n_in, columns here)."""
        return (self.n_in, self.columns.stop - self.columns.start)

    @property
    def weight_shapes(self) -> Shapes:
        """W's, and b's (n_out,)."""
        return (self.weight_shape, (self.n_out,))

    def out_shape(self, in_shape: Shape) -> Shape:
        """(n_out,)."""
        return (self.n_out,)

    def tape_numbers(self, in_shape: Shape) -> int:
        """The numbers of s, all columns."""
        return self.n_out

    def product(self, W: Array, x: Array) -> Array:
        """The pre-activation without its bias (B, n_out), of which this rank makes its columns."""
        return self.gather(x @ W)

    def adjoint_input(self, W: Array, Ds: Array) -> Array:
        """Dx (B, n_in), the sum of what the ranks' columns contribute."""
        return self.comm.sum(Ds[:, self.columns] @ W.T)

    def adjoint_weight(self, x: Array, Ds: Array, out: Array | None = None) -> Array:
        """DW (n_in, columns here); nothing is communicated."""
        return np.matmul(x.T, Ds[:, self.columns], out=out)

    def adjoint_weight_squares(self, x: Array, Ds: Array, out: Array) -> Array:
        """The sum over cases of each case's DW squared; nothing is communicated."""
        return np.matmul((x * x).T, Ds[:, self.columns] ** 2, out=out)

    def gather(self, x):
        """All columns (B, n_out) from the ranks' (B, columns there)."""
        parts = self.comm.gather(x.ravel(), len(x) * np.diff(cuts(self.n_out, self.comm.size)))
        return np.concatenate([part.reshape(len(x), -1) for part in parts], axis=1)


class ModelParallel:
    """An objective whose network is spread over ranks, as a function of this rank's part of theta.

    A part (P_r,) holds, as theta does, W_1[:, J].ravel(), b_1, ... All ranks make each call together. It is not for
    `refhf.minimize`, whose norms and inner products are those of whole vectors.

    Attributes
    ----------
    net : Network
        Of `SplitDense` layers; net.size is P_r.
    """

    def __init__(self, objective, comm: Communicator):
        self.objective, self.comm, self.cases = objective, comm, objective.cases
        blocks = objective.net.chain.blocks
        split: list[Any] = [SplitDense(b.n_in, b.n_out, comm) if isinstance(b, Dense) else b for b in blocks]
        self.net = objective.net._replace(chain=Chain(tuple(split)))
        self._data = objective.X, objective.y

    def value_and_gradient(self, part) -> tuple[float, np.ndarray]:
        """f, the same on every rank, and this rank's part (P_r,) of the gradient."""
        loss, gradient = network.loss_and_gradient(self.net, part, *self._data)
        return float(loss) / self.cases, gradient / self.cases

    def gauss_newton(self, part) -> SymmetricOperator:
        """From this rank's part of v to its part of G v (P_r,)."""
        return self._mean(network.gauss_newton_product(self.net, part, *self._data))

    def hessian(self, part) -> SymmetricOperator:
        """From this rank's part of v to its part of H v (P_r,)."""
        return self._mean(network.hessian_product(self.net, part, *self._data))

    def sample(self, cases: int, *, rng=None) -> "ModelParallel":
        """The same on some of the cases; rng is to be the same on all ranks."""
        return ModelParallel(self.objective.sample(cases, rng=rng), self.comm)

    def part(self, theta) -> np.ndarray:
        """The part (P_r,) of theta (P,) that this rank holds."""
        pairs = zip(self.net.layers, self.objective.net.unpack(theta), strict=True)
        return np.concatenate([x for layer, (W, b) in pairs for x in (W[:, layer.columns].ravel(), b)])

    def join(self, part) -> np.ndarray:
        """The whole (P,) from all parts: L calls and as many numbers as there are weights; training needs none."""
        theta = np.empty(self.objective.size, part.dtype)
        pairs = zip(self.net.unpack(part), self.objective.net.unpack(theta), strict=True)
        for layer, ((columns, bias), (W, b)) in zip(self.net.layers, pairs, strict=True):
            W[...], b[...] = layer.gather(columns), bias
        return theta

    def _mean(self, product):
        return SymmetricOperator(partial(self._mean_times, product), self.net.size, self.objective.dtype)

    def _mean_times(self, product, v):
        return product(v) / self.cases


def model_parallel(objective, comm) -> ModelParallel:
    """Split the network of `objective` over ranks by columns, as evenly as they go.

    Parameters
    ----------
    objective : Supervised
        Over all the cases, the same on every rank; without weight decay.
    comm : Communicator, or any mpi4py intracommunicator

    Raises
    ------
    ValueError
        For a convolutional network, a layer of fewer columns than there are ranks, or an objective that shares its
        cases or decays.

    Examples
    --------
    >>> import refhf
    >>> from refhf.parallel import run
    >>> net = refhf.mlp([2, 3, 2])
    >>> objective = refhf.supervised(net, [[0.0, 1.0], [1.0, 0.0]], [0, 1])
    >>> run(2, lambda comm: [layer.columns for layer in model_parallel(objective, comm).net.layers])
    [[slice(0, 1, None), slice(0, 1, None)], [slice(1, 3, None), slice(1, 2, None)]]
    """
    comm = as_communicator(comm)
    if objective.comm.size > 1 or objective.l2:
        raise ValueError("objective: expected one with all cases on every rank and l2 = 0")
    if objective.net.images:
        raise ValueError("objective: expected a fully connected network (refhf.mlp); got a convolutional one")
    for l, layer in enumerate(objective.net.layers, start=1):
        if layer.n_out < comm.size:
            raise ValueError(f"comm: expected at most {layer.n_out} ranks, the columns of layer {l}; got {comm.size}")
    return ModelParallel(objective, comm)
