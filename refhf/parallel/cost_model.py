"""The cost of communication: a model of the time of an iteration from latency, bandwidth and flop rate.

n cases, batches of b, N ranks; `sizes` are the widths d_0, ..., d_L of the network (`communication_volume`).

`quantities` is the whole model: how much there is, on the rank with most cases, of each thing that takes time. A
`Machine` has the seconds that one of each takes, `fit` to what was measured (`python benchmarks/scaling.py`).

Left out: what ranks on one node take from each other (memory bandwidth, clock), caches, in which the vectors of a small
network stay and those of a large one do not (fit a machine to one network), overlap of communication with computation,
the topology of the nodes. What other processes take from the ranks is measured, and added by `interrupted`.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls
from scipy.special import bdtr

from refhf import checks
from refhf.parallel.communication_volume import parameters, weights
from refhf.parallel.reduction import EXTRA

NUMBER = 8  # bytes of a float64, in which sums over ranks are made
CHUNK = 512  # cases swept at once: `refhf.objective.supervised.CHUNK_SIZE`
# Matrix products of a sweep in every layer, and further ones from the second layer on.
KINDS = {"value": (1, 0), "gradient": (2, 1), "gauss-newton": (2, 2), "hessian": (2, 4)}
OTHERS = "solver", "step", "total", "sum"
ALGORITHMS = "tree", "ring", "halving"


def flops(kind: str, sizes: Sequence[int]) -> int:
    """Floating-point operations of the matrix products for one case: 2 m n for each (m, n) block of each sweep.

    `kind` is one of KINDS. The first layer's input has no gradient and no R{a}: its weights count less often.
    """
    every, later = KINDS[kind]
    return 2 * (every * weights(sizes) + later * weights(sizes, first=2))


def hops(ranks: int, numbers: float, algorithm: str) -> tuple[float, float]:
    """An all-reduce's messages one after the other, and the bytes in them.

    'tree': a reduction to a root and a broadcast back, ceil(log2 N) levels each of the whole vector (section 3).
    'ring': N - 1 steps of 1/N of the vector to make the sums, as many to spread them (Patarasuk and Yuan 2009).
    'halving': the same parts in log2 N steps, of 1/2, 1/4, ... of the vector, and as many back: Rabenseifner's, which
    MPICH takes for long vectors (Thakur, Rabenseifner and Gropp 2005). With N not a power of two, the ranks beyond one
    hand their vectors to others first, and get the sums last.
    """
    levels = math.ceil(math.log2(ranks))
    if checks.choice("algorithm", algorithm, ALGORITHMS) == "tree":
        return 2 * levels, 2 * levels * numbers * NUMBER
    if algorithm == "ring":
        return 2 * (ranks - 1), 2 * (ranks - 1) / ranks * numbers * NUMBER
    power = 2 ** int(math.log2(ranks))
    spare = 2 if power < ranks else 0
    steps = 2 * int(math.log2(power)) + spare
    return steps, (2 * (power - 1) / power + spare) * numbers * NUMBER


def largest_share(cases: int, ranks: int) -> float:
    """The most cases, on average, that a rank has of a mini-batch drawn from all, shards being equal.

    The sum over k of P(largest > k), for N numbers Binomial(cases, 1/N) taken as independent.
    """
    least = math.ceil(cases / ranks)
    return least + float((1 - bdtr(np.arange(least, cases), cases, 1 / ranks) ** ranks).sum())


def quantities(kind: str, sizes: Sequence[int], ranks: int, cases: float, algorithm: str = "tree") -> dict[str, float]:
    """The amounts of work and communication of an evaluation, by name, on the rank with most cases, `cases` of them.

    '<kind> flops'
        Of the matrix products. Sweeps mix them differently with element-wise work, which is counted in.
    '<kind> vectors'
        The numbers of a vector (P,) for each chunk of cases: weights are read, and gradients made and added.
    'solver'
        The numbers of theta, in an iteration of CG: what it does with vectors beside its product.
    'step vectors', 'step flops'
        What a step does beside its evaluations and CG's iterations: the numbers of theta; and, because the mini-batch
        is drawn and its tape is written to new memory, the flops of a value of its cases.
    'marked', 'widened'
        The numbers of what was asked, which an evaluation over ranks reads (`refhf.parallel.reduction.mark`); and of
        the vector that is summed, made float64 before and narrowed after.
    'messages', 'bytes'
        One after the other, of the all-reduce.

    `kind` is one of KINDS or of OTHERS: 'solver'; 'step'; 'total', what ranks add to an evaluation whose vector has
    `cases` numbers; and 'sum', the all-reduce in it.
    """
    size = parameters(sizes)
    if checks.choice("kind", kind, (*KINDS, *OTHERS)) == "solver":
        return {"solver": size}
    if kind == "step":
        return {"step vectors": size, "step flops": cases * flops("value", sizes)}
    if kind in KINDS:
        own = {f"{kind} flops": cases * flops(kind, sizes), f"{kind} vectors": math.ceil(cases / CHUNK) * size}
        return own | quantities("total", sizes, ranks, 0 if kind == "value" else size, algorithm)
    if ranks == 1:
        return {}
    messages, sent = hops(ranks, EXTRA + cases, algorithm)
    summed = {"messages": messages, "bytes": sent}
    return summed if kind == "sum" else {"marked": size, "widened": cases} | summed


class Machine(NamedTuple):
    """Alpha, beta and gamma.

    Attributes
    ----------
    seconds : dict
        Of one of each of `quantities`. 'messages' is alpha, the latency; 'bytes' beta, 1 / bandwidth; the others,
        1 / the rate at which a rank works, are gamma.
    algorithm : {'tree', 'ring', 'halving'}
        Of all-reduces.
    """

    seconds: dict[str, float]
    algorithm: str = "tree"

    def network(self, latency: float, bandwidth: float) -> "Machine":
        """The same ranks on another network: seconds a message, bytes a second."""
        return self._replace(seconds=self.seconds | {"messages": latency, "bytes": 1 / bandwidth})


class Measurement(NamedTuple):
    """A timed evaluation: its kind, on ranks with `cases` cases at most (see `quantities`), and its seconds."""

    kind: str
    sizes: tuple[int, ...]
    ranks: int
    cases: float
    seconds: float


class Seconds(NamedTuple):
    """The seconds of computation and of communication."""

    compute: float
    communicate: float

    @property
    def total(self) -> float:
        """Both."""
        return self.compute + self.communicate


def fit(measurements: Sequence[Measurement], algorithm: str = "tree") -> Machine:
    """The machine that explains what was measured, by non-negative least squares of the relative errors.

    Raises
    ------
    ValueError
        If they leave the seconds of something undetermined: a kind needs chunks that are not whole, and latency and
        bandwidth, on 2 ranks, two lengths of 'sum'.
    """
    made_of = [quantities(*m[:4], algorithm) for m in measurements]
    names = sorted({name for one in made_of for name, n in one.items() if n})
    rows = np.array([[one.get(name, 0.0) for name in names] for one in made_of], float)
    rows /= np.array([[m.seconds] for m in measurements])
    scale = np.linalg.norm(rows, axis=0)
    if np.linalg.matrix_rank(rows / scale) < len(names):
        raise ValueError(f"measurements: expected enough to tell apart {', '.join(names)}; got {len(rows)}")
    x = nnls(rows / scale, np.ones(len(rows)))[0] / scale
    return Machine(dict(zip(names, x.tolist(), strict=True)), algorithm)


def evaluation(
    machine: Machine, kind: str, sizes: Sequence[int], ranks: int, cases: float, sent: bool = True
) -> Seconds:
    """The time of one evaluation: of the rank with most cases, and of the messages one after the other."""
    made_of = quantities(kind, sizes, ranks if sent else 1, cases, machine.algorithm)
    time = {name: n * machine.seconds[checks.choice("kind", name, machine.seconds)] for name, n in made_of.items()}
    communicate = time.pop("messages", 0.0) + time.pop("bytes", 0.0)
    return Seconds(math.fsum(time.values()), communicate)


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


def seconds(machine: Machine, sizes: Sequence[int], plan: Sequence[Evaluations], ranks: int) -> Seconds:
    """The time of a plan on so many ranks."""
    compute = communicate = 0.0
    for one in plan:
        share = largest_share(one.cases, ranks) if one.drawn else math.ceil(one.cases / ranks)
        each = evaluation(machine, one.kind, sizes, ranks, share, one.sent)
        compute, communicate = compute + one.times * each.compute, communicate + one.times * each.communicate
    return Seconds(compute, communicate)


def sgd_epoch(n: int, b: int) -> tuple[Evaluations, ...]:
    """n/b gradients on mini-batches."""
    return (Evaluations("gradient", b, n / b, drawn=b < n),)


def hf_iteration(n: int, b: int, products: int, tries: int, curvature: str = "gauss-newton") -> dict[str, tuple]:
    """The parts of an iteration of He et al.'s Algorithm 2, as in their Figure 5: gradient, CG and line search.

    The gradient and the line search's `tries` are on all n cases; CG's tape, its iterations with a product each, and
    the two values of the reduction ratio, on a mini-batch of b.
    """
    tape, drawn = "value" if curvature == "gauss-newton" else "gradient", b < n
    cg = (
        Evaluations(tape, b, 1, drawn, sent=False),
        Evaluations(curvature, b, products, drawn),
        Evaluations("solver", 0, products),
        Evaluations("step", b, 1, drawn),
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


def interrupted(seconds: float, ranks: int, share: float) -> float:
    """The time of a step during which the ranks had only `share` of their cores, from its time on cores of their own.

    All ranks wait for one that is interrupted. With other processes on 1 - share of N cores, one at a time, a part
    N (1 - share) of the time is lost. It is less where they interrupt several ranks at once.

    Raises
    ------
    ValueError
        If that would be all of the time.

    Examples
    --------
    >>> f"{interrupted(1.0, 2, 0.95):.3f}"
    '1.111'
    """
    left = 1 - ranks * (1 - checks.real("share", share, low=0.0, high=1.0))
    if left <= 0:
        raise ValueError(f"share: expected more than {1 - 1 / ranks:.3g} on {ranks} ranks; got {share:.3g}")
    return seconds / left


def crossing(machine: Machine, sizes: Sequence[int], sgd, hf, ranks: int) -> float:
    """The factor by which the network (latency and bandwidth alike) has to be slower for `hf` to overtake `sgd`.

    Both are plans of all the evaluations to the same loss. 0 where HF is ahead on any network; inf where no slower
    network helps it.
    """
    a, b = seconds(machine, sizes, sgd, ranks), seconds(machine, sizes, hf, ranks)
    if b.communicate >= a.communicate:
        return 0.0 if b == a or (b.compute <= a.compute and b.communicate == a.communicate) else math.inf
    return max(0.0, (b.compute - a.compute) / (a.communicate - b.communicate))
