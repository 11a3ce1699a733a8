"""What communication costs: a model of the time of an iteration from latency, bandwidth and flop rate.

n cases, batches of b, N ranks; `sizes` are the widths d_0, ..., d_L of the network (`refhf.parallel.volume`).

Left out: what ranks on one node take from each other (memory bandwidth, clock), stragglers, overlap of communication
with computation, the topology of the nodes.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls
from scipy.special import bdtr

from refhf import checks
from refhf.parallel.reduction import EXTRA
from refhf.parallel.volume import parameters, weights

NUMBER = 8  # bytes of a float64, in which sums over ranks are made
# How many matrix products a sweep has in every layer, and how many more from the second on.
KINDS = {"value": (1, 0), "gradient": (2, 1), "gauss-newton": (2, 2), "hessian": (2, 4)}


def flops(kind: str, sizes: Sequence[int]) -> int:
    """Floating-point operations of the matrix products for one case: 2 m n for each (m, n) block of each sweep.

    `kind` is one of KINDS. The first layer's input has no gradient and no R{a}: its weights count less often.
    """
    every, later = KINDS[kind]
    return 2 * (every * weights(sizes) + later * weights(sizes, first=2))


def hops(ranks: int, numbers: float, algorithm: str) -> np.ndarray:
    """An all-reduce's messages one after the other, and the bytes in them: time = (latency, 1 / bandwidth) @ hops.

    'tree': a reduction to a root and a broadcast back, ceil(log2 N) levels each of the whole vector (section 3).
    'ring': N - 1 steps of 1/N of the vector to make the sums, as many to spread them (Patarasuk and Yuan 2009).
    """
    if checks.choice("algorithm", algorithm, ("tree", "ring")) == "tree":
        levels = 2 * math.ceil(math.log2(ranks))
        return np.array([levels, levels * numbers * NUMBER])
    steps = 2 * (ranks - 1)
    return np.array([steps, steps / ranks * numbers * NUMBER])


def largest_share(cases: int, ranks: int) -> float:
    """The most cases, on average, that a rank has of a mini-batch drawn from all, shards being equal.

    The sum over k of P(largest > k), for N numbers Binomial(cases, 1/N) taken as independent.
    """
    least = math.ceil(cases / ranks)
    return least + float((1 - bdtr(np.arange(least, cases), cases, 1 / ranks) ** ranks).sum())


class Rate(NamedTuple):
    """Seconds of an evaluation on one rank: per flop, for the sweeps, and per parameter, for vectors (P,)."""

    per_flop: float
    per_parameter: float


class Machine(NamedTuple):
    """Alpha, beta and gamma.

    Attributes
    ----------
    latency : float
        alpha, seconds a message.
    per_byte : float
        beta, seconds a byte: 1 / bandwidth.
    rates : dict
        gamma, a `Rate` for each of KINDS: they mix matrix products and element-wise work differently.
    algorithm : {'tree', 'ring'}
        Of all-reduces.
    """

    latency: float
    per_byte: float
    rates: dict[str, Rate]
    algorithm: str = "tree"


class Measurement(NamedTuple):
    """An evaluation that was timed: its kind, on a rank with `cases` cases at most (of all ranks), in seconds."""

    kind: str
    sizes: tuple[int, ...]
    ranks: int
    cases: float
    seconds: float


class Evaluations(NamedTuple):
    """Evaluations of one kind in a plan: on how many cases of all ranks, how often.

    Attributes
    ----------
    kind : str
    cases : int
    times : float
    drawn : bool
        Whether the cases are a mini-batch, whose shares are unequal.
    sent : bool
        Whether the sums go over ranks; a tape made for products needs none.
    """

    kind: str
    cases: int
    times: float
    drawn: bool = False
    sent: bool = True


class Seconds(NamedTuple):
    """Of computing and of communicating."""

    compute: float
    communicate: float

    @property
    def total(self) -> float:
        """Both."""
        return self.compute + self.communicate


def fit(measurements: Sequence[Measurement], algorithm: str = "tree") -> Machine:
    """The machine that explains what was measured, by non-negative least squares of the relative errors.

    Each kind needs two numbers of cases (or two networks), and something has to be measured on 2 ranks or more.

    Raises
    ------
    ValueError
        If the measurements leave a coefficient undetermined.
    """
    kinds = list(dict.fromkeys(m.kind for m in measurements))
    rows = np.zeros((len(measurements), 2 + 2 * len(kinds)))
    for row, m in zip(rows, measurements, strict=True):
        at = 2 + 2 * kinds.index(m.kind)
        row[:2] = hops(m.ranks, _numbers(m.kind, m.sizes), algorithm)
        row[at : at + 2] = m.cases * flops(m.kind, m.sizes), parameters(m.sizes)
        row /= m.seconds
    scale = np.linalg.norm(rows, axis=0)
    if not scale.all() or np.linalg.matrix_rank(rows / scale) < len(scale):
        raise ValueError("measurements: expected some on 2 ranks or more, two numbers of cases a kind, and more rows")
    x = nnls(rows / scale, np.ones(len(rows)))[0] / scale
    rates = {kind: Rate(*x[2 + 2 * i : 4 + 2 * i].tolist()) for i, kind in enumerate(kinds)}
    return Machine(float(x[0]), float(x[1]), rates, algorithm)


def _numbers(kind, sizes):
    return EXTRA + (0 if kind == "value" else parameters(sizes))


def seconds(machine: Machine, sizes: Sequence[int], plan: Sequence[Evaluations], ranks: int) -> Seconds:
    """The time of a plan on so many ranks: of the rank with most cases, and of the messages one after the other."""
    compute = communicate = 0.0
    for one in plan:
        share = largest_share(one.cases, ranks) if one.drawn else math.ceil(one.cases / ranks)
        rate = machine.rates[checks.choice("kind", one.kind, machine.rates)]
        compute += one.times * (rate.per_flop * share * flops(one.kind, sizes) + rate.per_parameter * parameters(sizes))
        if one.sent:
            path = hops(ranks, _numbers(one.kind, sizes), machine.algorithm)
            communicate += one.times * float(np.dot([machine.latency, machine.per_byte], path))
    return Seconds(compute, communicate)


def sgd_epoch(n: int, b: int) -> tuple[Evaluations, ...]:
    """n/b gradients on mini-batches."""
    return (Evaluations("gradient", b, n / b, drawn=b < n),)


def hf_iteration(n: int, b: int, products: int, tries: int, curvature: str = "gauss-newton") -> dict[str, tuple]:
    """The parts of an iteration of He et al.'s Algorithm 2, as in their Figure 5: gradient, CG and line search.

    The gradient and the line search's `tries` are on all n cases; CG's tape and `products`, and the two values of the
    reduction ratio, on a mini-batch of b.
    """
    tape, drawn = "value" if curvature == "gauss-newton" else "gradient", b < n
    cg = (
        Evaluations(tape, b, 1, drawn, sent=False),
        Evaluations(curvature, b, products, drawn),
        Evaluations("value", b, 2, drawn),
    )
    return {
        "gradient": (Evaluations("gradient", n, 1),),
        "cg": cg,
        "line_search": (Evaluations("value", n, tries),),
    }


def predict(machine: Machine, sizes: Sequence[int], iteration: dict[str, tuple], ranks: int) -> dict[str, Seconds]:
    """The time of an iteration's parts (`hf_iteration`) on so many ranks, and of the whole under 'iteration'."""
    parts = {name: seconds(machine, sizes, plan, ranks) for name, plan in iteration.items()}
    whole = Seconds(*(math.fsum(column) for column in zip(*parts.values(), strict=True)))
    return {**parts, "iteration": whole}


def crossing(machine: Machine, sizes: Sequence[int], sgd, hf, ranks: int) -> float:
    """How many times slower the network (latency and bandwidth alike) has to be for `hf` to overtake `sgd`.

    Both are plans of all the evaluations to the same loss. 0 where HF is ahead on any network; inf where no slower
    network helps it.
    """
    a, b = seconds(machine, sizes, sgd, ranks), seconds(machine, sizes, hf, ranks)
    if b.communicate >= a.communicate:
        return 0.0 if b == a or (b.compute <= a.compute and b.communicate == a.communicate) else math.inf
    return max(0.0, (b.compute - a.compute) / (a.communicate - b.communicate))
