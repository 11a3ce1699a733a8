"""Diagnosis of a wrong gradient or product: the known mistake that reproduces it.

A model of a result is c * candidate + lambda * u. The candidate is the right result or that of a known mistake, without
weight decay; u is v for a product and theta for a gradient. The simplest model that fits all samples is the cause.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from refhf.conformance.check_report import digits
from refhf.conformance.mistakes.candidate_vectors import CandidateResult
from refhf.conformance.mistakes.coefficient_causes import SNAP, LikelyFactors, coefficient_causes
from refhf.conformance.oracles import norm
from refhf.conformance.parameter_layout import ParameterBlock
from refhf.conformance.patterns import Cause, Pattern
from refhf.model.blocks import Array

FIT = 10  # times the tolerance of a sample, the tolerance of a model: our choice
LOOSE = 1e-4  # relative tolerance of a model, for user code that also has few digits: our choice


class Sample(NamedTuple):
    """A result `got` (P,) for u (P,) at theta (P,), the expected `want`, and the tolerance of ||got - want||."""

    direction: str
    theta: Array
    u: Array
    got: Array
    want: Array
    tolerance: float

    @property
    def error(self) -> float:
        """||got - want||."""
        return norm(self.got - self.want)


Accept = Callable[[Sample], float]  # the largest distance from a sample at which a model fits
Model = tuple[float, float]  # c, lambda


def diagnose(
    samples: list[Sample],
    candidates: list[CandidateResult],
    blocks: list[ParameterBlock],
    l2: float,
    of: LikelyFactors,
    gradient: bool,
) -> list[Cause]:
    """The causes of wrong samples; empty if no model fits.

    Parameters
    ----------
    samples : list of Sample
    candidates : list of CandidateResult
        The right one first, then the mistakes, most likely first.
    blocks : list of ParameterBlock
        The parts of theta, to name those in which the result is zero.
    l2 : float
    of : LikelyFactors
    gradient : bool
        Whether u is theta (of a gradient) or v (of a product).
    """
    causes, keep = _zero_parts(samples, blocks)
    samples = [s._replace(got=s.got[keep], want=s.want[keep]) for s in samples]
    if all(s.error <= s.tolerance for s in samples):
        return causes
    directions = [s.u[keep] for s in samples]
    multiple = _common_factor([s.got for s in samples], directions)
    if multiple is not None and _common_factor([s.want for s in samples], directions) is None:
        shown = f"{multiple:.6g} {'theta' if gradient else 'v'}"
        return [*causes, Cause(Pattern.ARGUMENT, shown) if multiple else Cause(Pattern.ZERO_PART, "all of it")]
    accepts: list[Accept] = [lambda s: FIT * s.tolerance]
    if any(s.error > 0.01 * norm(s.want) for s in samples):
        accepts.append(lambda s: max(FIT * s.tolerance, LOOSE * norm(s.got)))
    for accept in accepts:
        for model in (_plain, _multiple, _two_coefficients):
            for candidate in candidates:
                found = model(samples, candidate, keep, l2, accept)
                if found is not None:
                    named = [candidate.cause] if candidate.cause else []
                    named += coefficient_causes(*found, l2, of, gradient)
                    others: list[Cause] = []
                    if model is _plain:
                        others = _equal_mistakes(samples, candidates, keep, l2)
                    elif (shift := _shift(samples, candidate, keep, accepts[0])) is not None:
                        others = coefficient_causes(*shift, l2, of, gradient)
                    return causes + _together(named, others)
    return causes


def _together(named: list[Cause], others: list[Cause]) -> list[Cause]:
    """The named causes, the last one with the others that have the same results."""
    patterns = {cause.pattern for cause in named}
    equals = tuple(other for other in others if other.pattern not in patterns)
    return [*named[:-1], named[-1]._replace(equals=(*named[-1].equals, *equals))] if named else []


def _equal_mistakes(samples: list[Sample], candidates: list[CandidateResult], keep: Array, l2: float) -> list[Cause]:
    """The mistakes that reproduce all samples closely, one of each pattern."""

    def closely(sample: Sample) -> float:
        return FIT * sample.tolerance

    found = [one.cause for one in candidates if one.cause and _plain(samples, one, keep, l2, closely)]
    return list({cause.pattern: cause for cause in reversed(found)}.values())


def _shift(samples: list[Sample], candidate: CandidateResult, keep: Array, accept: Accept) -> Model | None:
    """c = 1 and the lambda with which the right candidate fits; it is fitted to the first sample."""
    first, u = samples[0], samples[0].u[keep]
    decay = float(u @ (first.got - candidate.at(first.theta, first.u)[keep]) / (u @ u))
    fits = not candidate.cause and all(
        norm(candidate.at(s.theta, s.u)[keep] + decay * s.u[keep] - s.got) <= accept(s) for s in samples
    )
    return (1.0, decay) if fits else None


def _zero_parts(samples: list[Sample], blocks: list[ParameterBlock]) -> tuple[list[Cause], Array]:
    """The cause for blocks in which every result is zero, and a mask (P,) of the other components."""
    got = np.any([s.got != 0 for s in samples], axis=0)
    want = np.any([s.want != 0 for s in samples], axis=0)
    zero = [block for block in blocks if not got[block.indices].any() and want[block.indices].all()]
    keep = np.ones(got.size, bool)
    if not zero or not got.any():
        return [], keep
    for block in zero:
        keep[block.indices] = False
    names = ", ".join(block.name for block in zero)
    all_biases = {block.name for block in zero} == {block.name for block in blocks if block.name[:2] == "b_"}
    return [Cause(Pattern.ZERO_PART, f"the bias part is zero: {names}" if all_biases else names)], keep


def _plain(samples: list[Sample], candidate: CandidateResult, keep: Array, l2: float, accept: Accept) -> Model | None:
    """c = 1 and lambda = l2, for candidates with a mistake."""
    fits = candidate.cause and all(
        norm(candidate.at(s.theta, s.u)[keep] + l2 * s.u[keep] - s.got) <= accept(s) for s in samples
    )
    return (1.0, l2) if fits else None


def _multiple(
    samples: list[Sample], candidate: CandidateResult, keep: Array, l2: float, accept: Accept
) -> Model | None:
    """c times the candidate with weight decay."""
    return _fitted(samples, candidate, keep, accept, lambda s, x: [x + l2 * s.u[keep]], lambda c: (c[0], c[0] * l2))


def _two_coefficients(
    samples: list[Sample], candidate: CandidateResult, keep: Array, l2: float, accept: Accept
) -> Model | None:
    """Both c and lambda fitted."""
    return _fitted(samples, candidate, keep, accept, lambda s, x: [x, s.u[keep]], lambda c: (c[0], c[1]))


def _fitted(
    samples: list[Sample],
    candidate: CandidateResult,
    keep: Array,
    accept: Accept,
    columns: Callable[[Sample, Array], list[Array]],
    coefficients: Callable[[list[float]], Model],
) -> Model | None:
    """Fit all samples by least squares; None if one does not fit. The first sample is tried alone, to save time."""
    c: Any = ()
    for some in (samples[:1], samples):
        matrices = [np.stack(columns(s, candidate.at(s.theta, s.u)[keep]), axis=1) for s in some]
        if not all(np.isfinite(matrix).all() for matrix in matrices):
            return None
        c = np.linalg.lstsq(np.concatenate(matrices), np.concatenate([s.got for s in some]), rcond=None)[0]
        if any(norm(matrix @ c - s.got) > accept(s) for matrix, s in zip(matrices, some, strict=True)):
            return None
    return coefficients([float(x) for x in c])


def _common_factor(vectors: list[Array], directions: list[Array]) -> float | None:
    """The c with x = c u for all pairs (x, u); None if there is none, or if they are single numbers."""
    x, u = vectors[0], directions[0]
    if u.size == 1:
        return None
    c = float(x @ u / (u @ u))
    return c if all(norm(x - c * u) <= SNAP * norm(x) for x, u in zip(vectors, directions, strict=True)) else None


def by_digits(samples: list[Sample], single: bool, linear: bool) -> list[Cause]:
    """The cause if no model fits but two digits agree, or one of a function that is not linear."""
    right = min((digits(s.error, norm(s.want)) for s in samples if s.error > s.tolerance), default=0.0)
    if right < (2 if linear or single else 1):
        return []
    if single:
        return [Cause(Pattern.FLOAT32, f"{right:.1f} digits")]
    return [Cause(Pattern.NOISE if linear else Pattern.DIFFERENCES, f"{right:.1f} digits")]
