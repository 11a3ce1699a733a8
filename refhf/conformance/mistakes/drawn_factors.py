"""KFAC with drawn labels: A V S of each layer, where S is that of any labels and follows from the product.

Martens and Grosse 2015, section 2.2, take S of labels drawn from the model. The product G_l V = A V S (their eq. 1) is
linear in S, and A needs no labels; so S is the solution of least squares, and the rest must vanish.
"""

import numpy as np

from refhf.conformance.mistakes.diagnosis import Sample
from refhf.conformance.mistakes.kronecker_factors import is_dense, layer_statistics
from refhf.conformance.mistakes.wrong_derivatives import NetworkCases
from refhf.conformance.oracles import norm
from refhf.conformance.patterns import Cause, Pattern
from refhf.model.blocks import Array

AGREE = 1e-6  # relative size of the rest, and of S - S': our choice


def drawn_factors_cause(problem: NetworkCases, samples: list[Sample], l2: float) -> Cause | None:
    """The cause; None if no S of some layer gives the samples at the first theta."""
    here = [s for s in samples if (s.theta == samples[0].theta).all()]
    if not is_dense(problem.net) or len(here) < 2:
        return None
    joined = [_fits(problem, here, l2, together) for together in (True, False)]
    if not any(joined):
        return None
    place = "in the block of its weights" if joined[0] else "apart"
    return Cause(Pattern.KRONECKER, f"S of other labels, such as drawn ones, the bias {place}")


def _fits(problem: NetworkCases, samples: list[Sample], l2: float, joined: bool) -> bool:
    """True if each layer has a symmetric, positive semidefinite S with A V S for every sample."""
    statistics = layer_statistics(problem, samples[0].theta, "empirical")
    directions = [problem.net.unpack(s.u) for s in samples]
    results = [problem.net.unpack(s.got - l2 * s.u) for s in samples]
    for l, (x, _) in enumerate(statistics):
        known = np.vstack([_of_inputs(x, direction[l], joined) for direction in directions])  # A V
        wanted = np.vstack([np.vstack(result[l]) for result in results])
        if not _explained(known, wanted):
            return False
    return True


def _of_inputs(x: Array, layer: list[Array], joined: bool) -> Array:
    """A V, with the bias as the last row; its A is 1 where it is apart."""
    V, c = layer
    if joined:
        x = np.column_stack([x, np.ones(len(x))])
        return x.T @ (x @ np.vstack([V, c])) / len(x)
    return np.vstack([x.T @ (x @ V) / len(x), c])


def _explained(known: Array, wanted: Array) -> bool:
    """True if wanted = known S for an S that some labels could have."""
    if np.linalg.matrix_rank(known) < known.shape[1] or len(known) <= known.shape[1]:
        return False
    S = np.linalg.lstsq(known, wanted, rcond=None)[0]
    rest, skew = norm((known @ S - wanted).ravel()), norm((S - S.T).ravel())
    small = rest <= AGREE * norm(wanted.ravel()) and skew <= AGREE * norm(S.ravel())
    return small and bool(np.linalg.eigvalsh(S)[0] >= -AGREE * norm(S.ravel()))
