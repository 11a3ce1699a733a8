"""KFAC: the Gauss-Newton matrix of each dense layer alone, as a Kronecker product of two small matrices.

Source: Martens and Grosse 2015, sections 2 and 3. For a layer s = x W + b, with means over the cases,

    G_l = E[(x x') kron (Ds Ds')]  ~  A kron S,  A = E[x x'],  S = E[Ds Ds']          (their eq. 1)
    G_l V = A V S                                                                      for V (n_in, n_out)

where Ds is that of labels drawn from the model, in expectation (from H_L, exact) or for the true labels (empirical).
The bias is a row of V with the input 1 (their section 2.1), or a block of its own.
"""

from collections.abc import Callable, Iterator
from itertools import product as choices
from typing import NamedTuple

import numpy as np

from refhf.conformance.mistakes.wrong_derivatives import NetworkCases
from refhf.conformance.patterns import Cause, Pattern
from refhf.model.blocks import Array
from refhf.model.dense import Dense
from refhf.model.elementwise import Activation
from refhf.model.network import Network, backward, forward

STATISTICS = {"exact": "S of labels in expectation", "empirical": "S of the true labels"}


class LayerStatistics(NamedTuple):
    """The inputs x (B, n_in) of a dense layer, and S (n_out, n_out), summed over cases."""

    x: Array
    S: Array


def kronecker_candidates(problem: NetworkCases) -> Iterator[tuple[Cause, Callable[[Array, Array], Array]]]:
    """Yield (cause, product (theta, v) -> (P,)) of the kinds of KFAC and of the layers' exact blocks."""
    if not is_dense(problem.net):
        return
    for statistics, joined in choices(STATISTICS, (True, False)):
        detail = f"{STATISTICS[statistics]}, the bias {'in the block of its weights' if joined else 'apart'}"

        def product(theta: Array, v: Array, statistics: str = statistics, joined: bool = joined) -> Array:
            found = layer_statistics(problem, theta, statistics)
            return kronecker_product(problem, found, v, joined)

        yield Cause(Pattern.KRONECKER, detail), product


def is_dense(net: Network) -> bool:
    """True for a chain of dense layers with biases and activations, each case alone."""
    blocks = net.chain.blocks
    kinds = all(isinstance(block, Activation) or (isinstance(block, Dense) and block.bias) for block in blocks)
    return kinds and len(net.out_shape) == 1 and not net.ties


def loss_roots(problem: NetworkCases, z: Array, statistics: str) -> list[Array]:
    """The Dz (B, n_L) whose outer products sum to H_L of each case, or the residual of the true labels alone."""
    if statistics == "empirical":
        return [problem.net.loss.gradient(z, problem.y)]
    product, n = problem.net.loss.hessian(z, problem.y), z.shape[1]
    H = np.stack([product(np.broadcast_to(e, z.shape).copy()) for e in np.eye(n)], axis=1)
    values, vectors = np.linalg.eigh(H)
    return [np.sqrt(np.maximum(values[:, [k]], 0)) * vectors[:, :, k] for k in range(n)]


def layer_statistics(problem: NetworkCases, theta: Array, statistics: str) -> list[LayerStatistics]:
    """Those of each dense layer at theta."""
    net, found = problem.net, list[LayerStatistics]()
    z, tape = forward(net, theta, problem.X)
    for Dz in loss_roots(problem, z, statistics):
        _, kept = backward(net, tape, Dz, keep=True)
        dense = [part for part, block in zip(kept, net.chain.blocks, strict=True) if isinstance(block, Dense)]
        each = [LayerStatistics(x, Ds.T @ Ds) for _, x, Ds in dense]
        found = [one._replace(S=one.S + more.S) for one, more in zip(found, each, strict=True)] if found else each
    return found


def kronecker_product(problem: NetworkCases, found: list[LayerStatistics], v: Array, joined: bool) -> Array:
    """(P,): A V S of each layer, over the divisor, with the mean over the cases in A."""
    parts: list[Array] = []
    for (x, S), (V, c) in zip(found, problem.net.unpack(v), strict=True):
        if joined:
            x, V = np.column_stack([x, np.ones(len(x))]), np.vstack([V, c])
        product = x.T @ (x @ V) / len(x) @ S / problem.divisor
        parts += [product.ravel()] if joined else [product.ravel(), c @ S / problem.divisor]
    return np.concatenate(parts)
