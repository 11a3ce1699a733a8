"""A product with a Monte-Carlo Fisher matrix, found by its labels.

    F v = J' u / B + l2 v,   u_i = sum over draws s of r_is (r_is' J_i v) / S,   r_is = Dz of case i and label s

Labels are drawn from the model's own distribution (Kunstner, Hennig and Balles 2019, section 2), so that F is G in
expectation. Where J has full rank, u follows from the product; each u_i is then a sum of a few known vectors, whose
weights are whole numbers over S. No matrix but of labels has whole numbers there, in all cases at once.
"""

from itertools import product as choices
from typing import NamedTuple

import numpy as np
import scipy

from refhf.conformance.mistakes.diagnosis import Sample
from refhf.conformance.mistakes.wrong_derivatives import NetworkCases
from refhf.conformance.oracles import norm
from refhf.conformance.patterns import Cause, Pattern
from refhf.model.blocks import Array
from refhf.model.network import backward, forward

MOST_NUMBERS = 400  # B n_L up to which J is formed, at one sweep a row: our choice
MOST_DRAWS = 64  # draws a case: our choice
WHOLE = 1e-3  # distance from a whole number, and twice it the chance of one by accident: our choice
CHANCE = 1e-9  # of a fit by accident, above which nothing is said: our choice
AGREE = 1e-6  # relative distance of the product with the labels found: our choice


class CasesSpace(NamedTuple):
    """J (B n_L, P) of all cases, z (B, n_L), and w = J v and u (B, n_L) of each sample."""

    J: Array
    z: Array
    w: list[Array]
    u: list[Array]


def monte_carlo_cause(problem: NetworkCases, samples: list[Sample], l2: float) -> Cause | None:
    """The cause, with its draws and a test of its labels; None if the samples at the first theta have no labels."""
    here = [s for s in samples if (s.theta == samples[0].theta).all()]
    space = _cases_space(problem, here, l2)
    if space is None:
        return None
    squared = problem.net.loss.name == "squared_error"
    found = _of_squares(space) if squared else _of_labels(problem, space)
    if found is None:
        return None
    of_outputs, detail = found
    for sample, w in zip(here, space.w, strict=True):
        u = np.einsum("bij,bj->bi", of_outputs, w)
        want = space.J.T @ u.ravel() / problem.divisor + l2 * sample.u
        if norm(want - sample.got) > AGREE * norm(sample.got):
            return None
    return Cause(Pattern.MONTE_CARLO_FISHER, detail)


def _cases_space(problem: NetworkCases, samples: list[Sample], l2: float) -> CasesSpace | None:
    net, shape = problem.net, (len(problem.X), problem.net.outputs)
    numbers = shape[0] * shape[1]
    if len(net.out_shape) > 1 or net.group > 1 or not min(MOST_NUMBERS, net.size) >= numbers:
        return None
    z, tape = forward(net, samples[0].theta, problem.X, order=1)
    jacobian = np.stack([backward(net, tape, one.reshape(shape))[0] for one in np.eye(numbers)])
    if np.linalg.matrix_rank(jacobian) < numbers:
        return None
    results = np.stack([(s.got - l2 * s.u) * problem.divisor for s in samples], axis=1)
    u = np.linalg.lstsq(jacobian.T, results, rcond=None)[0]
    return CasesSpace(jacobian, z, [(jacobian @ s.u).reshape(shape) for s in samples], [x.reshape(shape) for x in u.T])


def _of_squares(space: CasesSpace) -> tuple[Array, str] | None:
    """The matrices r_i r_i' of one draw r_i ~ N(0, I) a case; they need two samples and two outputs to be told."""
    sizes = (space.u[0] * space.w[0]).sum(axis=1, keepdims=True)  # (r'w)^2
    if len(space.u) < 2 or space.z.shape[1] < 2 or not (sizes > 0).all():
        return None
    r = space.u[0] / np.sqrt(sizes)
    size = float((r**2).sum())
    tails = scipy.special.chdtr(r.size, size), scipy.special.chdtrc(r.size, size)  # of chi-squared
    return r[:, :, None] * r[:, None, :], _sure(1, 2 * min(tails))


def _of_labels(problem: NetworkCases, space: CasesSpace) -> tuple[Array, str] | None:
    """The matrices sum over labels of their share times r r', if all shares are whole numbers over some S."""
    (B, n), p = space.z.shape, problem.net.loss.predict(space.z)
    if problem.net.loss.name == "softmax_cross_entropy":
        labels, likely = np.eye(n), p
    elif n <= 2:
        labels = np.array(list(choices((0.0, 1.0), repeat=n)))
        likely = np.stack([np.prod(np.where(y, p, 1 - p), axis=1) for y in labels], axis=1)
    else:
        return None
    r = p[:, None, :] - labels  # (B, labels, n_L)
    rows = [r * (r @ w[:, :, None]) for w in space.w]  # each label's part of u
    matrices = np.concatenate([x.transpose(0, 2, 1) for x in rows] + [np.ones((B, 1, len(labels)))], axis=1)
    known = np.concatenate([*space.u, np.ones((B, 1))], axis=1)
    shares = np.stack([np.linalg.lstsq(M, k, rcond=None)[0] for M, k in zip(matrices, known, strict=True)])
    for draws in range(1, MOST_DRAWS + 1):
        if draws * (2 * WHOLE) ** (B * (len(labels) - 1)) > CHANCE:
            return None
        counts = np.round(draws * shares)
        if (np.abs(draws * shares - counts) <= WHOLE).all() and (counts >= 0).all():
            return np.einsum("bl,bli,blj->bij", counts / draws, r, r), _of_counts(counts, draws, likely)
    return None


def _of_counts(counts: Array, draws: int, likely: Array) -> str:
    """Pearson's test of the counts against the model's own distribution."""
    expected = draws * np.maximum(likely, np.finfo(float).tiny)
    squares = float(((counts - expected) ** 2 / expected).sum())
    return _sure(draws, float(scipy.special.chdtrc(len(counts) * (counts.shape[1] - 1), squares)))


def _sure(draws: int, p: float) -> str:
    said = f"{draws} draw{'s' * (draws > 1)} a case reproduce{'s' * (draws == 1)} it"
    return f"{said}; chi-squared test that the model drew them: p = {p:.2g}"
