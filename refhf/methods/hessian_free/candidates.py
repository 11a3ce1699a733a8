"""Lines 6 and 7 of He et al.'s Algorithm 2: from a solver's iterates to candidates for the step."""

from collections.abc import Callable, Container, Iterable
from typing import NamedTuple

import numpy as np

from refhf.krylov.arithmetic import MatrixLike, inner
from refhf.krylov.cg import CGIterate
from refhf.krylov.stopping import Rule, Stop, SystemIterate, advance, iteration_limit, no_progress
from refhf.methods.search.descent import downhill
from refhf.model.blocks import Array


class Candidate(NamedTuple):
    """A direction d (P,) with g'd <= 0, and its curvature d'Bd."""

    vector: Array
    curvature: float


class Solution(NamedTuple):
    """The outcome of a solver's run.

    Attributes
    ----------
    candidates : tuple of Candidate
        In the order they were met; the last is the solver's answer.
    last : ndarray (P,)
        The solver's last iterate as it is, where a warm start begins.
    iterations, stop : int, Stop
    negative_curvature : bool
        Whether a direction with d'Bd <= 0 was met.
    negative_direction : ndarray (P,) or None
        The most negative one, d'Bd / ||d||^2, turned to g'd <= 0.
    """

    candidates: tuple[Candidate, ...]
    last: Array
    iterations: int
    stop: Stop
    negative_curvature: bool
    negative_direction: Array | None


def grid(last: int) -> set[int]:
    """The iterates that backtracking looks at: ceil(1.3^j), and the last (Martens 2010, section 4.6)."""
    marks, j = {last}, 0
    while (mark := int(np.ceil(1.3**j))) < last:
        marks.add(mark)
        j += 1
    return marks


def cg_candidates(
    iterates: Iterable[CGIterate], B: MatrixLike, g: Array, iterations: int, backtracking: bool
) -> Solution:
    """Conjugate gradients on B d = -g until progress, the limit or the curvature ends it.

    The last iterate is a candidate; with backtracking, so are those of the grid. Negative curvature ends it at the
    current iterate; at the very first, -g is the candidate (section 4.1).

    Departure: a warm-started CG iterate is turned downhill. Cut short, it may have g'd > 0, for which the paper has
    no rule in CG; here it is turned like the candidates of Bi-CG-STAB, so that the line search always has a
    descent direction. From a zero start every iterate of CG is one, and nothing changes.
    """
    candidates, keep = _kept(grid(iterations) if backtracking else ())
    it, stop = advance(iterates, keep, iteration_limit(iterations), no_progress())
    negative = stop.met_negative_curvature
    if it.k == 0:
        known = it.curvature if np.array_equal(it.p, it.b) else None  # without start and preconditioner
        candidates[0], stop = _steepest(it.b, inner(it.b, B @ it.b) if known is None else known, stop)
    else:
        candidates[it.k] = Candidate(it.x, it.x_curvature)
    direction = downhill(it.p, g) if negative else None
    return Solution(_turned(candidates, g), it.x, it.k, stop, negative, direction)


def bicgstab_candidates(iterates: Iterable[SystemIterate], B: MatrixLike, g: Array, iterations: int) -> Solution:
    """A fixed number of Bi-CG-STAB iterations on B d = -g; every iterate, turned downhill, is a candidate.

    Departure: a candidate's curvature is the damped d'Bd. He et al. 2016, section 4.2, tell the candidates apart by
    d'Hd; here it is d'Bd = d'Hd + lambda ||d||^2, which the recurrence gives without a further product. So a direction
    with -lambda ||d||^2 <= d'Hd < 0 is not reported as negative curvature. The step is the same: f alone compares the
    candidates.
    """
    candidates, keep = _kept(range(1, iterations + 1))
    it, stop = advance(iterates, keep, iteration_limit(iterations))
    if not candidates:
        candidates[0], stop = _steepest(it.b, inner(it.b, B @ it.b), stop)
    turned = _turned(candidates, g)
    negative = [c for c in turned if c.curvature < 0]
    steepest = min(negative, key=lambda c: c.curvature / inner(c.vector, c.vector), default=None)
    direction = steepest.vector if steepest else None
    return Solution(turned, it.x, it.k, stop, bool(negative), direction)


def _kept(marks: Container[int]) -> tuple[dict[int, Candidate], Rule]:
    """The candidates by the number of their iterate, and a rule that stops nothing and keeps those of the marks."""
    candidates: dict[int, Candidate] = {}

    def keep(it: SystemIterate) -> None:
        if it.k in marks:
            candidates[it.k] = Candidate(it.x, it.x_curvature)

    return candidates, keep


def _steepest(b: Array, curvature: float, stop: Stop) -> tuple[Candidate, Stop]:
    """-g, the one candidate where the solver has none, and why it has none."""
    return Candidate(b, curvature), stop if np.isfinite(curvature) else Stop.NON_FINITE


def _turned(candidates: dict[int, Candidate], g: Array) -> tuple[Candidate, ...]:
    """The candidates turned downhill, one after the other: a solver still at work would hold both signs."""
    for k, candidate in candidates.items():
        candidates[k] = candidate._replace(vector=downhill(candidate.vector, g))
    return tuple(candidates.values())


def choose(
    candidates: tuple[Candidate, ...], f: Callable[[Candidate], float], backtracking: bool | str
) -> tuple[Candidate, float]:
    """The candidate for the step, and f there: the last, or one by `walk_back`, or `best` of all."""
    if backtracking == "best":
        return best(candidates, f)
    return walk_back(candidates, f, bool(backtracking))


def best(candidates: tuple[Candidate, ...], f: Callable[[Candidate], float]) -> tuple[Candidate, float]:
    """The candidate of smallest f, of equals the last, and f there. A value that is not a number counts as infinite.

    Departure: backtracking may look at all candidates. Martens 2010, section 4.6, stops at the first that is worse than
    the one after it; here f is asked at each, a value more a candidate. f along Bi-CG-STAB's iterates rises and falls,
    so that a good early candidate may stand behind a worse one. Algorithm 2, line 7, asks for the best direction and
    does not say how it is found.
    """
    values = [f(candidate) for candidate in candidates]
    i = min(reversed(range(len(values))), key=lambda i: values[i] if np.isfinite(values[i]) else np.inf)
    return candidates[i], values[i]


def walk_back(
    candidates: tuple[Candidate, ...], f: Callable[[Candidate], float], back: bool
) -> tuple[Candidate, float]:
    """The last candidate and f there; if `back`, go back while f improves and stop at the first worsening.

    Martens 2010, section 4.6. A value that is not a number counts as infinite.

    Departure: backtracking stops at the first worsening. He et al. 2016, Algorithm 2, line 7, ask for the best
    descent direction of the solver; here the walk goes from the last candidate towards the first as long as f improves,
    the rule of Martens, whom they cite for it. It saves values of f, and misses a better candidate behind a worse one.
    """
    best, f_best = candidates[-1], f(candidates[-1])
    for candidate in reversed(candidates[:-1]) if back else ():
        f_candidate = f(candidate)
        if not f_candidate < f_best and np.isfinite(f_best):
            break
        best, f_best = candidate, f_candidate
    return best, f_best
