"""The damped Gauss-Newton system solved exactly, in the space of the cases' outputs where that is cheaper.

Ren and Goldfarb, Efficient subsampled Gauss-Newton and natural gradient methods for training neural networks,
arXiv:1906.02353 (2019), by Woodbury's formula (Golub and Van Loan 2013, section 2.1.4). Notation: J = dz/dtheta
(B C, P) for C outputs of a case, H_L = S S' with S the symmetric square root of each case's (C, C), U = J' S / sqrt B
(P, B C), so that G = U U' + l2 I. With l2 counted in lambda,

    (U U' + lambda I)^-1 b = (b - U (lambda I + U' U)^-1 U' b) / lambda

has B C unknowns in place of P. U is never formed: U w is sweep 2 and U' v is sweep 3. U' U is a sum over layers of
products of inner products where all layers are dense; for other networks it is made a column at a time.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, cast

import numpy as np
from scipy.linalg import (  # pyright: ignore[reportMissingTypeStubs] # SciPy has none
    cho_factor,  # pyright: ignore[reportUnknownVariableType]
    cho_solve,  # pyright: ignore[reportUnknownVariableType]
)

from refhf import checks
from refhf.model import network
from refhf.model.blocks import Array, Tape, size
from refhf.model.dense import Dense
from refhf.model.network import Network
from refhf.objective.case_sums import chunks, own_chunks
from refhf.objective.supervised import Supervised

DUAL_UP_TO = 1.5  # B C over P; from benchmarks/dual_solve.py: an unknown of the dual costs less than a product of G
MOST_UNKNOWNS = 11_000  # our choice: a float64 matrix of 1 GB, of which at most three are held at once


class OutputSpace(NamedTuple):
    """The outputs of all cases linearised at theta, and the square roots of their losses' Hessians.

    Attributes
    ----------
    net : Network
    theta : ndarray (P,)
    X : array
    rows, tapes : list
        Chunks of the cases, and the tape of sweep 1 of each.
    S : ndarray (B, C, C)
        Of each case, over sqrt B.
    """

    net: Network
    theta: Array
    X: Any
    rows: list[slice]
    tapes: list[Tape]
    S: Array


def linearised_outputs(objective: Supervised, theta: Array) -> OutputSpace:
    """Sweep 1 over all cases, and each case's S by its eigenvectors (H_L may be singular, as softmax's is)."""
    net = objective.net
    if objective.curvature_statistics == "frozen" and net.group > 1:
        net = net.frozen(objective.statistics(theta))
    rows = own_chunks(objective.reduction.layout, objective.chunk_size)
    tapes: list[Tape] = []
    roots: list[Array] = []
    for chunk in rows:
        z, tape = network.forward(net, theta, objective.X[chunk])
        tapes.append(tape)
        product, unit = net.loss.hessian(z, objective.y[chunk]), np.eye(z[0].size, dtype=z.dtype)
        columns = [product(np.broadcast_to(e.reshape(z.shape[1:]), z.shape)).reshape(len(z), -1) for e in unit]
        eigenvalues, vectors = np.linalg.eigh(np.stack(columns, axis=2))
        roots.append((vectors * np.sqrt(np.maximum(eigenvalues, 0))[:, None]) @ vectors.transpose(0, 2, 1))
    return OutputSpace(net, theta, objective.X, rows, tapes, np.concatenate(roots) / math.sqrt(objective.divisor))


def down(space: OutputSpace, w: Array) -> Array:
    """U w (P,) of w (B C,): sweep 2."""
    Dz = np.einsum("bij,bj->bi", space.S, w.reshape(space.S.shape[:2]))
    return np.sum([_adjoint(space, tape, Dz[r]) for r, tape in zip(space.rows, space.tapes, strict=True)], axis=0)


def up(space: OutputSpace, v: Array) -> Array:
    """U' v (B C,) of v (P,): sweep 3."""
    Rz = [network.r_forward(space.net, tape, v)[0].reshape(-1, space.S.shape[1]) for tape in space.tapes]
    return np.einsum("bij,bi->bj", space.S, np.concatenate(Rz)).ravel()


def _adjoint(space: OutputSpace, tape: Tape, Dz: Array) -> Array:
    return network.backward(space.net, tape, Dz.reshape(-1, *space.net.out_shape))[0]


def gram(space: OutputSpace) -> Array:
    """U' U (B C, B C), in float64."""
    net = space.net
    layers = [l for l, block in enumerate(net.chain.blocks) if size(block.weight_shapes)]
    dense = all(isinstance(net.chain.blocks[l], Dense) and space.tapes[0][l][1].ndim == 2 for l in layers)
    if dense and net.group == 1 and not net.ties:
        return _gram_of_layers(space, layers)
    return np.stack([up(space, column) for column in _columns(space)], axis=1).astype(np.float64)


def _gram_of_layers(space: OutputSpace, layers: list[int]) -> Array:
    """The sum over layers of (Ds_ic' Ds_jd) (x_i' x_j + 1): column ic of U is x_i Ds_ic' and Ds_ic, layer by layer.

    x_i are a layer's inputs, and Ds_ic is sweep 2 of column c of S_i.
    """
    cases, outputs, _ = space.S.shape
    total = np.zeros((cases, outputs, cases, outputs))
    swept = [
        [
            network.backward(space.net, tape, space.S[r, :, c], keep=True)[1]
            for r, tape in zip(space.rows, space.tapes, strict=True)
        ]
        for c in range(outputs)
    ]
    for l in layers:
        x = np.concatenate([tape[l][1] for tape in space.tapes]).astype(np.float64)
        Ds = np.stack([np.concatenate([tape[l][2] for tape in tapes]) for tapes in swept], axis=1).astype(np.float64)
        slopes = Ds.reshape(cases * outputs, -1)
        inputs = x @ x.T + cast(Dense, space.net.chain.blocks[l]).bias
        total += (slopes @ slopes.T).reshape(total.shape) * inputs[:, None, :, None]
    return total.reshape(cases * outputs, -1)


def _columns(space: OutputSpace) -> Iterator[Array]:
    """The columns (P,) of U; sweep 2 is over a case's own group alone."""
    group = space.net.group
    for rows in (rows for chunk in space.rows for rows in chunks(chunk, group, group)):
        _, tape = network.forward(space.net, space.theta, space.X[rows], order=1)
        S = space.S[rows]
        for i, c in np.ndindex(S.shape[:2]):
            Dz = np.zeros_like(S[:, 0])
            Dz[i] = S[i, :, c]
            yield _adjoint(space, tape, Dz)


def gauss_newton_solve(objective: Any, theta: Any, damping: float, b: Any = None) -> Array:
    """Solve (G + lambda I) d = b exactly, by the cheaper of two dense systems: of B C unknowns up to 1.5 P, else of P.

    The first costs C gradients, and a product of G for each unknown in networks that have other layers than dense
    ones; the second P products. Both then cost a Cholesky factorisation.

    Parameters
    ----------
    objective : Supervised
        From `refhf.supervised`, on one process. Under batch normalisation the groups' cases are coupled, as in G.
    theta : array (P,)
    damping : float
        lambda >= 0; with the objective's l2, which is a part of G, it must be above 0.
    b : array (P,), optional
        -g if None.

    Returns
    -------
    d : ndarray (P,)
        In the objective's dtype. NaN where a number of the system is not finite, or where lambda is below the rounding
        of G's largest eigenvalue.

    Raises
    ------
    ValueError
        For another kind of objective, several ranks, min(B C, P) above 11,000 (a matrix of 1 GB), shapes that do not
        fit, or a damping that is negative, or zero without l2.

    Examples
    --------
    >>> import numpy as np, refhf
    >>> net = refhf.mlp([3, 20, 2])
    >>> objective = refhf.supervised(net, np.eye(3), [0, 1, 1])
    >>> theta = net.init(rng=0)
    >>> d = refhf.gauss_newton_solve(objective, theta, 0.1)  # 6 unknowns in place of 122
    >>> g = objective.value_and_gradient(theta)[1]
    >>> bool(np.linalg.norm(objective.gauss_newton(theta) @ d + 0.1 * d + g) < 1e-14)
    True
    """
    objective, theta, shift = _checked(objective, theta, damping)
    outputs = objective.cases * math.prod(objective.net.out_shape)
    if (smaller := min(outputs, theta.size)) > MOST_UNKNOWNS:
        raise ValueError(f"objective: expected min(B C, P) <= {MOST_UNKNOWNS}, a matrix of 1 GB; got {smaller}")
    if b is not None:
        b = checks.array("b", b, (theta.size,), objective.dtype)
    with np.errstate(all="ignore"):
        b = -objective.value_and_gradient(theta)[1] if b is None else b
        try:
            if outputs < DUAL_UP_TO * theta.size and outputs <= MOST_UNKNOWNS:
                return _dual(objective, theta, shift, b)
            return _primal(objective, theta, damping, b)
        except np.linalg.LinAlgError:  # not positive definite to rounding, or not finite
            return np.full_like(b, np.nan)


def _primal(objective: Supervised, theta: Array, damping: float, b: Array) -> Array:
    """From G (P, P), a column a product."""
    G = objective.gauss_newton(theta)
    matrix = np.stack([G.product(e) for e in np.eye(theta.size, dtype=b.dtype)], axis=1)
    return _inverse(matrix, damping)(b).astype(b.dtype)


def _dual(objective: Supervised, theta: Array, shift: float, b: Array) -> Array:
    """From U' U (B C, B C), with one step of refinement: the difference below cancels where lambda is small."""
    space = linearised_outputs(objective, theta)
    inverse = _inverse(gram(space), shift)

    def solution(r: Array) -> Array:
        w = inverse(up(space, r)).astype(r.dtype)  # w = (lambda I + U'U)^-1 U' r
        return (r - down(space, w)) / shift  # d = (r - U w) / lambda

    d = solution(b)
    return d + solution(b - down(space, up(space, d)) - shift * d)


def _checked(objective: Any, theta: Any, damping: Any) -> tuple[Supervised, Array, float]:
    """The objective, theta and lambda + l2."""
    if not isinstance(objective, Supervised):
        raise ValueError(f"objective: expected one of refhf.supervised; got a {type(objective).__name__}")
    if objective.comm.size > 1:
        raise ValueError(f"objective: expected one on one process; got {objective.comm.size} ranks")
    theta = checks.array("theta", theta, (objective.size,), objective.dtype)
    damping = checks.real("damping", damping, low=0.0)
    if damping + objective.l2 == 0:
        raise ValueError("damping: expected a positive number where l2 is 0; got 0")
    return objective, theta, damping + objective.l2


def _inverse(matrix: Array, shift: float) -> Callable[[Array], Array]:
    """The map b -> (matrix + shift I)^-1 b, in float64 by Cholesky; the symmetric matrix is overwritten."""
    matrix = matrix.astype(np.float64, copy=False)
    matrix.flat[:: len(matrix) + 1] += shift
    factor = cast(tuple[Array, bool], cho_factor(matrix.T, lower=True, overwrite_a=True, check_finite=False))
    return lambda b: cast(Array, cho_solve(factor, b.astype(np.float64), check_finite=False))
