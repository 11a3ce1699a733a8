"""Stopping rules, and the reasons why a solver stops.

A rule is a function of an iterate that returns a `Stop` or None. `advance` runs a solver's iterates until a rule
returns a `Stop` or the recurrence ends.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np

from refhf.krylov.arithmetic import ROUNDING, Array, inner, norm
from refhf.text import Word


class Stop(Word):
    """Reasons to stop; the value is a sentence."""

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

    @property
    def met_negative_curvature(self) -> bool:
        """True if the solver ended at a direction p with p'Ap <= 0, to rounding."""
        return self in (Stop.NEGATIVE_CURVATURE, Stop.ZERO_CURVATURE)


Rule: TypeAlias = Callable[[Any], Stop | None]  # Any: an iterate that has what the rule looks at


class Iterate(Protocol):
    """The part that all solvers' iterates share: their number, and on the last one the reason to stop."""

    @property
    def k(self) -> int:
        """The number, from 0."""
        ...

    @property
    def stop(self) -> Stop | None:
        """The reason for which there is no next iterate; None if there may be one."""
        ...


@dataclass(frozen=True, eq=False)
class SystemIterate:
    """An iterate of a solver of A x = b.

    Attributes
    ----------
    k : int
    x, r, p : ndarray (n,)
        x_k, the recurrence's residual r_k, and the next direction p_k.
    b : ndarray (n,)
        The right-hand side.
    stop : Stop or None
        On the last iterate, why there is no next one.
    """

    k: int
    x: Array
    r: Array
    p: Array
    b: Array
    stop: Stop | None = None

    @property
    def phi(self) -> float:
        """The quadratic x'Ax/2 - b'x = -x'(r + b)/2 at x_k, without a product."""
        return -0.5 * (inner(self.x, self.r) + inner(self.x, self.b))

    @property
    def x_curvature(self) -> float:
        """x_k' A x_k = x_k'(b - r_k), without a product."""
        return inner(self.x, self.b) - inner(self.x, self.r)


class CurvatureIterate(Protocol):
    """An iterate of conjugate gradients with the product of its direction, as `cg_iterates` shows it to `stop_at`."""

    @property
    def p(self) -> Array:
        """The direction."""
        ...

    @property
    def Ap(self) -> Array | None:
        """The product A p."""
        ...

    @property
    def curvature(self) -> float | None:
        """p'Ap."""
        ...


AnyIterate = TypeVar("AnyIterate", bound=Iterate)


def advance(iterates: Iterable[AnyIterate], *rules: Rule) -> tuple[AnyIterate, Stop]:
    """The iterate at which a rule returns a `Stop`, and that `Stop`; or the last iterate and its `stop`.

    Rules are called in their order, once for each k: not for an iterate that is yielded again with its `stop`.
    """
    it, stop, k = None, None, -1
    for it in iterates:
        for rule in rules if it.k > k else ():
            if stop := rule(it):
                return it, stop
        k, stop = it.k, it.stop
    if it is None or stop is None:
        raise ValueError("iterates: expected at least one, and the last with its stop; got others")
    return it, stop


def iteration_limit(limit: int) -> Rule:
    """Stop at iterate number `limit`."""
    return partial(_at_limit, limit)


def _at_limit(limit: int, it: Iterate) -> Stop | None:
    return Stop.ITERATION_LIMIT if it.k >= limit else None


def small_residual(b: Array, rtol: float, atol: float) -> Rule:
    """Stop where ||r|| <= max(rtol ||b||, atol), SciPy's rule, on the recurrence's residual."""
    return partial(_at_tolerance, max(rtol * norm(b), atol))


def _at_tolerance(tolerance: float, it: SystemIterate) -> Stop | None:
    return Stop.CONVERGED if norm(it.r) <= tolerance < np.inf else None


def negative_curvature(it: CurvatureIterate) -> Stop | None:
    """Stop **before** a conjugate-gradient update with p'Ap < 32 eps ||p|| ||Ap||; for `stop_at` of `cg_iterates`.

    eps is that of the dtype. 32 eps is the largest rounding error of a zero inner product
    (`refhf.krylov.arithmetic.ROUNDING`, our choice). A curvature that is not finite, Ap = 0 and p = 0 are left to the
    recurrence.

    Departure: the curvature test allows for rounding. He et al. 2016, section 4.1, test p'Bp < 0; a curvature that
    is zero to rounding has no sign and would make a step of arbitrary length, so it counts as negative here. It
    changes only steps that would have been noise.
    """
    if it.Ap is None or it.curvature is None:
        raise ValueError("it: expected one with its product A p: cg_iterates(..., stop_at=negative_curvature)")
    if not np.isfinite(it.curvature):
        return None
    bound = ROUNDING * float(np.finfo(it.p.dtype).eps) * norm(it.p) * norm(it.Ap)
    return Stop.NEGATIVE_CURVATURE if it.curvature < bound else None


def no_progress(tolerance: float = 5e-4, window: int = 10, fraction: float = 0.1) -> Rule:
    """Martens 2010, section 4.4: stop at iteration i if i > k, phi_i < 0 and (phi_i - phi_{i-k})/phi_i < k eps.

    k = max(10, 0.1 i) and eps = 5e-4 are Martens'; 0.1 i is rounded up as in his code. phi is relative to
    phi(0) = 0 also where the start is not 0, so a warm start is measured like any other.
    """
    phis: list[float] = []
    return partial(_no_progress, tolerance, window, fraction, phis)


def _no_progress(tolerance: float, window: int, fraction: float, phis: list[float], it: SystemIterate) -> Stop | None:
    phis.append(it.phi)
    k = max(window, int(np.ceil(fraction * it.k)))
    phi = phis[-1]
    if it.k > k and phi < 0 and (phi - phis[-1 - k]) / phi < k * tolerance:
        return Stop.NO_PROGRESS
    return None
