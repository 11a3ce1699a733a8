"""Candidates for a result: the right gradient or product, and those of known mistakes, most likely first."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from refhf.conformance import parameter_layout
from refhf.conformance.float64_reference import Reference
from refhf.conformance.mistakes import wrong_blocks, wrong_derivatives
from refhf.conformance.mistakes.kronecker_factors import kronecker_candidates
from refhf.conformance.mistakes.wrong_derivatives import network_cases
from refhf.conformance.patterns import Cause, Pattern
from refhf.model.blocks import Array


class CandidateResult(NamedTuple):
    """A result that user code may compute, and the mistake that leads to it (None for the right one)."""

    cause: Cause | None
    at: Callable[[Array, Array], Array]  # (theta, u) -> (P,), without weight decay


def product_candidates(kind: str, reference: Reference, first_theta: Array) -> Iterator[CandidateResult]:
    """Yield the right product and those of known mistakes, of kind 'hessian' or 'gauss-newton'."""
    problem = network_cases(reference)
    right = wrong_derivatives.RESIDUAL if kind == "gauss-newton" else wrong_derivatives.NONE

    def exact(theta: Array, v: Array, kind: str = kind) -> Array:
        want, _ = reference.product(kind)(theta, v)
        return want - reference.l2 * v

    yield CandidateResult(None, exact)
    yield CandidateResult(Cause(Pattern.STALE), lambda theta, v: exact(first_theta, v))
    if problem is None:
        return

    def without(*patterns: Pattern, **options: Any) -> Callable[[Array, Array], Array]:
        return lambda theta, v: wrong_derivatives.curvature(problem, theta, v, right | set(patterns), **options)

    other, named = ("gauss-newton", Pattern.GAUSS_NEWTON) if kind == "hessian" else ("hessian", Pattern.HESSIAN)
    yield CandidateResult(Cause(named), lambda theta, v: exact(theta, v, other))
    for pattern in sorted((wrong_derivatives.FORWARD | wrong_derivatives.BACKWARD) - right, key=str):
        yield CandidateResult(Cause(pattern), without(pattern))
    for pattern in Pattern.NO_BACKWARD_SLOPE, Pattern.SLOPE_OF_ACTIVATION:
        yield CandidateResult(Cause(pattern), without(pattern))
    for pattern in wrong_blocks.mistakes_of_blocks(problem.net):
        if kind == "hessian" or pattern not in wrong_blocks.IN_HESSIAN:
            yield CandidateResult(Cause(pattern), without(pattern))
        if pattern not in wrong_blocks.IN_VALUE | wrong_blocks.IN_HESSIAN:
            yield CandidateResult(Cause(pattern, "in the R-forward sweep alone"), without(tangent=right | {pattern}))
            yield CandidateResult(Cause(pattern, "in the backward sweeps alone"), without(pattern, tangent=right))
    for cause, loss_hessian in wrong_derivatives.loss_hessians(problem.net):
        for missing in sorted({right, wrong_derivatives.RESIDUAL}, key=len):  # user code may also return G for H
            yield CandidateResult(cause, without(*missing, loss_hessian=loss_hessian))
    for cause, of_layers in kronecker_candidates(problem):
        yield CandidateResult(cause, of_layers)
    for of in (kind, other) if len(parameter_layout.parameter_layers(problem.net)) > 1 else ():
        yield CandidateResult(
            Cause(Pattern.LAYERS_ALONE, of), lambda theta, v, of=of: layers_alone(reference, exact, of, theta, v)
        )
    yield from _reordered(reference, exact)
    for loss in wrong_derivatives.other_losses(problem.net):
        swapped = problem._replace(net=problem.net._replace(loss=loss))
        yield CandidateResult(
            Cause(Pattern.WRONG_LOSS, loss.name),
            lambda theta, v, swapped=swapped: wrong_derivatives.curvature(swapped, theta, v, right),
        )


def layers_alone(reference: Reference, exact: Callable[..., Array], kind: str, theta: Array, v: Array) -> Array:
    """The product with the diagonal blocks of a matrix, one of each layer."""
    assert reference.net is not None
    result = np.zeros_like(v)
    for indices in parameter_layout.parameter_layers(reference.net):
        alone = np.zeros_like(v)
        alone[indices] = v[indices]
        result[indices] = exact(theta, alone, kind)[indices]
    return result


def gradient_candidates(reference: Reference, first_theta: Array) -> Iterator[CandidateResult]:
    """Yield the right gradient and those of known mistakes."""
    problem = network_cases(reference)

    def exact(theta: Array, _: Array) -> Array:
        return reference.gradient(theta)[0] - reference.l2 * theta

    yield CandidateResult(None, exact)
    yield CandidateResult(Cause(Pattern.STALE), lambda theta, u: exact(first_theta, u))
    if problem is None:
        return
    of_blocks = [p for p in wrong_blocks.mistakes_of_blocks(problem.net) if p not in wrong_blocks.IN_HESSIAN]
    for pattern in (Pattern.NO_BACKWARD_SLOPE, Pattern.SLOPE_OF_ACTIVATION, *of_blocks):
        yield CandidateResult(
            Cause(pattern), lambda theta, _, p=pattern: wrong_derivatives.gradient(problem, theta, {p})
        )
    for cause, residual in wrong_derivatives.residuals(problem.net):
        yield CandidateResult(
            cause, lambda theta, _, r=residual: wrong_derivatives.gradient(problem, theta, residual=r)
        )
    yield from _reordered(reference, exact)


def value_candidates(reference: Reference) -> Iterator[CandidateResult]:
    """Yield the right value, as a vector of one number, and those of known mistakes."""

    def exact(theta: Array, u: Array) -> Array:
        return np.array([reference.value(theta)[0]]) - reference.l2 * u

    yield CandidateResult(None, exact)
    if (problem := network_cases(reference)) is None:
        return
    for pattern in wrong_blocks.mistakes_of_blocks(problem.net):
        if pattern in wrong_blocks.IN_VALUE:
            yield CandidateResult(
                Cause(pattern), lambda theta, _, p=pattern: np.array([wrong_derivatives.value(problem, theta, {p})])
            )


def _reordered(reference: Reference, exact: Callable[[Array, Array], Array]) -> Iterator[CandidateResult]:
    """Yield the right vector with theta or the result, or both, in another layout."""
    net, given = reference.net, reference.order
    assert net is not None
    out_in = parameter_layout.out_in(net)
    orders = [(out_in, Pattern.LAYOUT_OUT_IN), (parameter_layout.bias_first(net), Pattern.BIAS_FIRST)]
    if given is not None:
        orders = [(np.argsort(given), Pattern.LAYOUT_IN_OUT)]
    for order, pattern in orders:
        back = np.argsort(order)
        yield CandidateResult(Cause(pattern), lambda theta, u, o=order, k=back: exact(theta[o], u[o])[k])
    if given is None:
        turned = np.argsort(out_in)
        yield CandidateResult(Cause(Pattern.RESULT_OUT_IN), lambda theta, u: exact(theta, u)[turned])
