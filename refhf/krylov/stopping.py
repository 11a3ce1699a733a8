"""Why a solver stopped, and the rules that say so: plain functions of an iterate.

A rule takes an iterate and returns a `Stop` or None. `advance` runs a solver's iterates until a rule speaks
or the recurrence itself cannot go on.
"""

from collections.abc import Callable, Iterable
from enum import Enum
from functools import partial

import numpy as np

from refhf.krylov.arithmetic import ROUNDING, norm


class Stop(Enum):
    """Why a solver stopped; the value is a sentence."""

    CONVERGED = "The true residual b - Ax meets the tolerance."
    EXACT = "The residual is exactly zero."
    HALF_STEP = "The residual vanished at the half step: s = 0."
    NO_PROGRESS = "The quadratic model stopped improving (Martens 2010, section 4.4)."
    ITERATION_LIMIT = "The given number of iterations was done."
    NEGATIVE_CURVATURE = "A direction with p'Ap <= 0, to rounding, was met."
    ZERO_CURVATURE = "p'Ap is exactly zero: the step length is undefined."
    STAGNATED = "The recurrence converged but the true residual did not, and a restart did not mend it."
    INDEFINITE_PRECONDITIONER = "r'Mr <= 0: the preconditioner is not positive definite."
    RHO_BREAKDOWN = "(r, r0*) is zero to rounding: the residual is orthogonal to its shadow."
    ALPHA_BREAKDOWN = "(Ap, r0*) is zero to rounding: the step along p is undefined."
    GAMMA_BREAKDOWN = "(s, As) is zero to rounding: the stabilising step would be zero."
    SINGULAR = "As = 0 although s is not: the matrix is singular."
    UNDERFLOW = "An inner product of vectors that are not zero underflowed: scale A or b up."
    INVARIANT_SUBSPACE = "The Krylov subspace is invariant: its Ritz values are eigenvalues."
    RITZ_CONVERGED = "The Ritz pair's error bound meets the tolerance."
    SUFFICIENT_CURVATURE = "d'Hd <= mu lambda_min for a unit vector d (He et al. 2016, section 4.2)."
    TRUST_BOUNDARY = "The step reached the trust region's boundary (Nocedal and Wright 2006, Algorithm 7.2)."
    NON_FINITE = "A number was not finite; the last finite iterate is kept."

    def __str__(self):
        return self.name.lower().replace("_", " ")


Rule = Callable[[object], Stop | None]


def advance(iterates: Iterable, *rules: Rule):
    """The iterate at which the first rule speaks, or the last one there is, and the reason.

    Returns
    -------
    iterate, stop : the solver's iterate, Stop
    """
    for it in iterates:
        for rule in rules:
            if stop := rule(it):
                return it, stop
    return it, it.stop


def iteration_limit(limit: int) -> Rule:
    """Stop at iterate number `limit`."""
    return partial(_at_limit, limit)


def _at_limit(limit, it):
    return Stop.ITERATION_LIMIT if it.k >= limit else None


def small_residual(b, rtol: float, atol: float) -> Rule:
    """Stop where ||r|| <= max(rtol ||b||, atol), SciPy's rule, on the recurrence's residual."""
    return partial(_at_tolerance, max(rtol * norm(b), atol))


def _at_tolerance(tolerance, it):
    return Stop.CONVERGED if norm(it.r) <= tolerance < np.inf else None


def negative_curvature(it) -> Stop | None:
    """Stop **before** a conjugate-gradient update whose p'Ap < 32 eps ||p|| ||Ap||.

    eps is the dtype's epsilon, and 32 eps what rounding makes of a zero (`vectors.ROUNDING`, our choice). What is
    not finite, or has Ap = 0 or p = 0, is the recurrence's affair.

    Departure: the curvature test allows for rounding. He et al. 2016, section 4.1, test p'Bp < 0; a curvature that
    is zero to rounding has no sign and would make a step of arbitrary length, so it counts as negative here. It
    changes only steps that would have been noise.
    """
    if not np.isfinite(it.curvature):
        return None
    bound = ROUNDING * float(np.finfo(it.p.dtype).eps) * norm(it.p) * norm(it.Ap)
    return Stop.NEGATIVE_CURVATURE if it.curvature < bound else None


def no_progress(tolerance: float = 5e-4, window: int = 10, fraction: float = 0.1) -> Rule:
    """Martens 2010, section 4.4: stop at iteration i if i > k, phi_i < 0 and (phi_i - phi_{i-k})/phi_i < k eps.

    k = max(10, 0.1 i) and eps = 5e-4 are his; 0.1 i is rounded up as in his code. phi is relative to
    phi(0) = 0 also where the start is not 0, so a warm start is measured like any other.
    """
    return partial(_no_progress, tolerance, window, fraction, [])


def _no_progress(tolerance, window, fraction, phis, it):
    phis.append(it.phi)
    k = max(window, int(np.ceil(fraction * it.k)))
    phi = phis[-1]
    if it.k > k and phi < 0 and (phi - phis[-1 - k]) / phi < k * tolerance:
        return Stop.NO_PROGRESS
    return None
