"""What is wrong: the known mistake whose answer is the one that was given.

A model of an answer is c * base + lambda * u, where base is the right answer or that of a known mistake, without weight
decay, and u is v for a product and theta for a gradient. The simplest model that fits all samples is the cause.
"""

from collections.abc import Callable, Iterator
from itertools import product as pairs
from typing import NamedTuple

import numpy as np

from refhf.conformance import reference
from refhf.conformance.check_report import Cause, Pattern, digits
from refhf.conformance.mistakes import wrong_derivatives
from refhf.conformance.oracles import norm
from refhf.model.losses import LOSSES

FIT = 10  # times the tolerance within which a model has to meet the samples: our choice
LOOSE = 1e-4  # the same, relative, for what was computed with few digits besides: our choice
SNAP = 1e-6  # relative distance at which a coefficient has a name: our choice


class Sample(NamedTuple):
    """An answer `got` (P,) for u (P,) at theta (P,), what was wanted, and how far off it may be."""

    direction: str
    theta: np.ndarray
    u: np.ndarray
    got: np.ndarray
    want: np.ndarray
    tolerance: float

    @property
    def error(self) -> float:
        """How far off it is."""
        return norm(self.got - self.want)


class Base(NamedTuple):
    """A vector that an answer may be a multiple of, by the mistake that it comes from (None: the right one)."""

    cause: Cause | None
    of: Callable  # (theta, u) -> (P,), without weight decay


def diagnose(
    samples: list[Sample], bases: list[Base], blocks, l2: float, cases: int, outputs: int, gradient: bool
) -> list[Cause]:
    """The causes, where a model fits.

    Parameters
    ----------
    samples : list of Sample
    bases : list of Base
        The right one first, then from the likeliest mistake on.
    blocks : list of reference.Block
        Names of the parts of theta, for saying which of them is zero.
    l2 : float
    cases, outputs : int
        B and n_L, which factors are named after.
    gradient : bool
        Whether u is theta, and weight decay a multiple of it.
    """
    causes, keep = _zero_parts(samples, blocks)
    samples = [s._replace(got=s.got[keep], want=s.want[keep]) for s in samples]
    if all(s.error <= s.tolerance for s in samples):
        return causes
    directions = [s.u[keep] for s in samples]
    multiple = _common_factor([s.got for s in samples], directions)
    if multiple is not None and _common_factor([s.want for s in samples], directions) is None:
        said = f"{multiple:.6g} {'theta' if gradient else 'v'}"
        return [*causes, Cause(Pattern.ARGUMENT, said) if multiple else Cause(Pattern.ZERO_PART, "all of it")]
    accepts = [lambda s: FIT * s.tolerance]
    if any(s.error > 0.01 * norm(s.want) for s in samples):
        accepts.append(lambda s: max(FIT * s.tolerance, LOOSE * norm(s.got)))
    for accept in accepts:
        for model in (_plain, _multiple, _two_coefficients):
            for base in bases:
                found = model(samples, base, keep, l2, accept)
                if found is not None:
                    named = _coefficients(*found, l2, cases, outputs, gradient)
                    return causes + ([base.cause] if base.cause else []) + named
    return causes


def _zero_parts(samples, blocks):
    got = np.any([s.got != 0 for s in samples], axis=0)
    want = np.any([s.want != 0 for s in samples], axis=0)
    zero = [block for block in blocks if not got[block.indices].any() and want[block.indices].all()]
    keep = np.ones(got.size, bool)
    if not zero or not got.any():
        return [], keep
    for block in zero:
        keep[block.indices] = False
    names = ", ".join(block.name for block in zero)
    all_biases = {block.name for block in zero} == {block.name for block in blocks if block.name[0] == "b"}
    return [Cause(Pattern.ZERO_PART, f"the bias part is zero: {names}" if all_biases else names)], keep


def _plain(samples, base, keep, l2, accept):
    """c = 1, lambda = l2; not for the right answer, which does not fit."""
    if base.cause and _fits(samples, base, keep, lambda s, x: x + l2 * s.u[keep], accept):
        return 1.0, l2
    return None


def _multiple(samples, base, keep, l2, accept):
    """All of it, weight decay too, times c."""
    return _fitted(samples, base, keep, accept, lambda s, x: [x + l2 * s.u[keep]], lambda c: (c[0], c[0] * l2))


def _two_coefficients(samples, base, keep, l2, accept):
    return _fitted(samples, base, keep, accept, lambda s, x: [x, s.u[keep]], lambda c: (c[0], c[1]))


def _fitted(samples, base, keep, accept, columns, coefficients):
    """Least squares over all samples; None if a sample is not met, first the first alone for cheapness."""
    for some in (samples[:1], samples):
        matrices = [np.stack(columns(s, base.of(s.theta, s.u)[keep]), axis=1) for s in some]
        if not all(np.isfinite(matrix).all() for matrix in matrices):
            return None
        c = np.linalg.lstsq(np.concatenate(matrices), np.concatenate([s.got for s in some]), rcond=None)[0]
        if any(norm(matrix @ c - s.got) > accept(s) for matrix, s in zip(matrices, some, strict=True)):
            return None
    return coefficients([float(x) for x in c])


def _fits(samples, base, keep, model, accept):
    return all(norm(model(s, base.of(s.theta, s.u)[keep]) - s.got) <= accept(s) for s in samples)


def _common_factor(vectors, directions):
    """The c of x = c u for each pair of them; None if there is none. A number is a multiple of any other."""
    x, u = vectors[0], directions[0]
    if u.size == 1:
        return None
    c = float(x @ u / (u @ u))
    return c if all(norm(x - c * u) <= SNAP * norm(x) for x, u in zip(vectors, directions, strict=True)) else None


def _near(x, y):
    return abs(x - y) <= SNAP * max(abs(x), abs(y))


def _coefficients(c, decay, l2, cases, outputs, gradient):
    """What c and lambda say."""
    causes = _factor(c, cases, outputs)
    if _near(decay, l2) or _near(decay, c * l2):
        return causes
    if l2 and abs(decay) <= SNAP * l2:
        return [*causes, Cause(Pattern.NO_DECAY)]
    if l2 and any(_near(decay, k * l2) for k in (2.0, 0.5, -1.0, cases, 1 / cases, outputs)):
        return [*causes, Cause(Pattern.DECAY_WRONG, f"{decay / l2:g} l2")]
    if gradient:
        return [*causes, Cause(Pattern.DECAY_WRONG, f"{decay:g} theta instead of {l2:g} theta")]
    return [*causes, Cause(Pattern.DAMPED, f"{decay - l2:g} v")]


def _factor(c, cases, outputs):
    if _near(c, 1.0):
        return []
    signs, twos = (1.0, -1.0), ((1.0, ""), (2.0, "2"), (0.5, "1/2"))
    batch = ((1.0, None), (cases, Pattern.SUM_NOT_MEAN), (1 / cases, Pattern.MEAN_TWICE))
    width = ((1.0, ""), (outputs, f"n_L = {outputs}"), (1 / outputs, f"1/n_L = 1/{outputs}"))
    named = [
        (sum([sign < 0, bool(two[1]), bool(b[1]), bool(w[1])]), sign, two[1], b[1], w[1])
        for sign, two, b, w in pairs(signs, twos, batch, width)
        if _near(c, sign * two[0] * b[0] * w[0])
    ]
    if not named:
        return [Cause(Pattern.FACTOR, f"{c:.6g}")]
    _, sign, two, b, w = min(named, key=lambda name: name[0])
    causes = [Cause(Pattern.SIGN)] if sign < 0 else []
    causes += [Cause(b, f"B = {cases}")] if b else []
    factor = " and ".join(name for name in (two, w) if name)
    if factor and _near(abs(c), cases):
        factor += f", which is B, too: {cases}"
    return causes + ([Cause(Pattern.FACTOR, factor)] if factor else [])


def by_digits(samples: list[Sample], single: bool, linear: bool) -> list[Cause]:
    """The cause where no model fits but some digits are right."""
    right = min((digits(s.error, norm(s.want)) for s in samples if s.error > s.tolerance), default=0.0)
    if right < 2:
        return []
    if single:
        return [Cause(Pattern.FLOAT32, f"{right:.1f} digits")]
    return [Cause(Pattern.NOISE if linear else Pattern.DIFFERENCES, f"{right:.1f} digits")]


def product_bases(kind: str, reference_, first_theta) -> Iterator[Base]:
    """The right product and those of known mistakes, of kind 'hessian' or 'gauss-newton'."""
    problem, none = reference_.problem, frozenset()
    right = wrong_derivatives.RESIDUAL if kind == "gauss-newton" else none

    def exact(theta, v, kind=kind):
        want, _ = reference_.product(kind)(theta, v)
        return want - reference_.l2 * v

    yield Base(None, exact)
    yield Base(Cause(Pattern.STALE), lambda theta, v: exact(first_theta, v))
    if problem is None:
        return

    def without(*patterns, **options):
        return lambda theta, v: wrong_derivatives.curvature(problem, theta, v, right | set(patterns), **options)

    if kind == "hessian":
        yield Base(Cause(Pattern.GAUSS_NEWTON), lambda theta, v: exact(theta, v, "gauss-newton"))
    else:
        yield Base(Cause(Pattern.HESSIAN), lambda theta, v: exact(theta, v, "hessian"))
    for pattern in sorted((wrong_derivatives.FORWARD | wrong_derivatives.BACKWARD) - right, key=str):
        yield Base(Cause(pattern), without(pattern))
    for pattern in Pattern.NO_BACKWARD_SLOPE, Pattern.SLOPE_OF_ACTIVATION:
        yield Base(Cause(pattern), without(pattern))
    for pattern, loss_hessian in wrong_derivatives.loss_hessians(problem.net.loss).items():
        for missing in sorted({right, wrong_derivatives.RESIDUAL}, key=len):  # of H, or of G, which is taken for H
            yield Base(Cause(pattern), without(*missing, loss_hessian=loss_hessian))
    yield from _reordered(reference_, exact)
    for name, other in LOSSES.items():
        if other is not problem.net.loss:
            swapped = problem._replace(net=problem.net._replace(loss=other))
            yield Base(
                Cause(Pattern.WRONG_LOSS, name),
                lambda theta, v, swapped=swapped: wrong_derivatives.curvature(swapped, theta, v, right),
            )


def gradient_bases(reference_, first_theta) -> Iterator[Base]:
    """The right gradient and those of known mistakes."""
    problem = reference_.problem

    def exact(theta, _):
        return reference_.gradient(theta)[0] - reference_.l2 * theta

    yield Base(None, exact)
    yield Base(Cause(Pattern.STALE), lambda theta, u: exact(first_theta, u))
    if problem is None:
        return
    for pattern in Pattern.NO_BACKWARD_SLOPE, Pattern.SLOPE_OF_ACTIVATION:
        yield Base(Cause(pattern), lambda theta, _, p=pattern: wrong_derivatives.gradient(problem, theta, {p}))
    for (pattern, name), residual in wrong_derivatives.residuals(problem.net.loss).items():
        yield Base(
            Cause(pattern, name), lambda theta, _, r=residual: wrong_derivatives.gradient(problem, theta, residual=r)
        )
    yield from _reordered(reference_, exact)


def _reordered(reference_, exact):
    """Ours read in another layout, answered in it, or both."""
    net, said = reference_.net, reference_.order
    out_in = reference.out_in(net)
    orders = [(out_in, Pattern.LAYOUT_OUT_IN), (reference.bias_first(net), Pattern.BIAS_FIRST)]
    if said is not None:
        orders = [(np.argsort(said), Pattern.LAYOUT_IN_OUT)]
    for order, pattern in orders:
        back = np.argsort(order)
        yield Base(Cause(pattern), lambda theta, u, o=order, k=back: exact(theta[o], u[o])[k])
    if said is None:
        turned = np.argsort(out_in)
        yield Base(Cause(Pattern.RESULT_OUT_IN), lambda theta, u: exact(theta, u)[turned])
