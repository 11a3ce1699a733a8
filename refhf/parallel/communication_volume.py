"""Communication volumes: the formulas of He et al. 2016, section 3, and exact counts for this code.

n cases, batches of b, N ranks; `sizes` are the widths d_0, ..., d_L, and P = sum of d_{i-1} d_i + d_i is the length of
theta. Numbers are float64; a call's are those of its result, whatever an algorithm sends for it.

The paper's formulas leave out biases; the loss, which travels with the gradient; that broadcasting a sum back costs as
many numbers as making it; that a reduction and a broadcast can be one call; that a ring moves 2 (N - 1) / N times the
vector a rank, and not log2 N times; latency. Model-parallel, they count one exchange a layer too many
(`refhf.parallel.model_parallel`).

Departure: the weights are counted as sum of d_{i-1} d_i. Section 3 prints d_0 d_i for data parallelism; but a weight
matrix has as many rows as the layer before it has units.
"""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

from refhf.parallel.reduction import EXTRA


class Volume(NamedTuple):
    """An amount of communication: calls, and numbers in them."""

    calls: float
    numbers: float


def weights(sizes: Sequence[int], first: int = 1) -> int:
    """The sum of d_{i-1} d_i over the layers from `first` on."""
    return sum(m * n for m, n in itertools.pairwise(sizes[first - 1 :]))


def parameters(sizes: Sequence[int]) -> int:
    """P, biases included."""
    return weights(sizes) + sum(sizes[1:])


def paper_data_parallel(n: int, b: int, sizes: Sequence[int], ranks: int) -> Volume:
    """Section 3, an epoch of SGD: 2 n/b calls, (n/b) log2(N) sum of d_{i-1} d_i numbers over the whole network."""
    return Volume(2 * n / b, n / b * math.log2(ranks) * weights(sizes))


def paper_model_parallel(n: int, b: int, sizes: Sequence[int]) -> Volume:
    """Section 3, an epoch of SGD: 2 L n/b calls, 2 (n/b) b sum of d_i numbers, i from 1 on."""
    return Volume(2 * (len(sizes) - 1) * n / b, 2 * n * sum(sizes[1:]))


def counted_data_parallel(sizes: Sequence[int], gradients: int = 0, products: int = 0, values: int = 0) -> Volume:
    """The exact communication of an objective over 2 ranks or more in so many evaluations (reduction='fast').

    An all-reduce each: of P + 3 numbers for a gradient or a product (the loss, and two marks by which ranks see that
    they were asked the same), of 3 for a value. An epoch of SGD is n/b gradients; a Hessian-free iteration is a
    gradient, its solver's products, and the values of the reduction ratio and the line search.
    """
    calls = gradients + products + values
    return Volume(calls, EXTRA * calls + parameters(sizes) * (gradients + products))


def counted_model_parallel(b: int, sizes: Sequence[int], gradients: int = 0, products: int = 0) -> Volume:
    """The exact communication of `model_parallel` for so many gradients and Gauss-Newton products on b cases.

    A gradient gathers d_1, ..., d_L and sums d_{L-1}, ..., d_1, a number a case each: 2 L - 1 calls. A product gathers
    twice in each layer but the first: 3 L - 2 calls. Linearising costs L calls, which are not counted here.
    """
    layers, hidden, outputs = len(sizes) - 1, sum(sizes[1:-1]), sizes[-1]
    calls = gradients * (2 * layers - 1) + products * (3 * layers - 2)
    gradient, product = 2 * hidden + outputs, 3 * hidden + 2 * outputs - sizes[1]
    return Volume(calls, b * (gradients * gradient + products * product))


def counted_replicas(size: int, replicas: int, ranks: int, topology: str, reading: str = "own-batch") -> Volume:
    """The exact communication that a rank receives in a synchronisation of `replica-newton`, theta of `size` numbers.

    A replica has 2 columns of P numbers, displacement and gradient, 3 where the reading is not 'own-batch'. The server
    gets them all, and a loss each, and broadcasts 2 P + 5. In the tree they become P / N rows of all (one exchange),
    triangles of 2 M + 3 columns with a loss each (a gather), and rows of two vectors (a gather). With M = N replicas
    that is 2 P numbers a rank, 2 P and (2 M + 3)^2 M, where the server itself receives 2 P M. Arnold and Wang give no
    counts.
    """
    if ranks == 1:
        return Volume(0, 0)
    columns, used = 2 if reading == "own-batch" else 3, replicas + (reading == "pairs")
    if topology == "server":
        return Volume(2, columns * size * replicas + replicas + 2 * size + 5)
    rows, width = -(-size // ranks), 2 * used + 3
    triangles = ranks * (width * min(width, rows) + 1) if used > 1 else ranks
    return Volume(3, columns * rows * replicas + triangles + 2 * ranks * rows)
