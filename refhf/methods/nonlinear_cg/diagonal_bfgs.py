"""The diagonal of BFGS as a preconditioner: Adya et al. 2018, Algorithm 2.

BFGS updates an approximation of the Hessian by H + yy'/y's - Hss'H/s'Hs, so that it maps the last step s to its change
of gradient y (Nocedal and Wright 2006, equation 6.19). Kept is the diagonal h (P,), and M^-1 = 1/h, elementwise.

If h > 0 and y's > 0, the updated diagonal is positive: (h_i s_i)^2 <= h_i s'Hs, with equality only if s has no other
component, and then y_i^2 > 0. So a guard is needed for y's, and for rounding.

Departure: an update without curvature is skipped. The paper has no test, but y's <= 0 would make h negative, and a
small y's arbitrary; with another mini-batch's gradient in y both are common. The bound is the published code's.

Departure: the diagonal has a floor. The paper divides by h as it is. The published code takes |h| + 1e-8, having added
1e-8 to the squares, too, and to what divides them, so that h drifts where s_i = y_i = 0; here h is what Algorithm 2
says wherever it is above 1e-8.
"""

from typing import NamedTuple

import numpy as np

from refhf.krylov.arithmetic import inner
from refhf.model.blocks import Array
from refhf.text import Word

SMALLEST = 1e-8  # of y's, s'Hs and h_i: the published code's


class Secant(Word):
    """The use of the last step s and its change of gradient y; the value is a sentence."""

    NONE = "There is no preconditioner, or no step before."
    USED = "The diagonal was updated."
    NO_CURVATURE = "y's is negative or too small; the diagonal is unchanged."
    NO_STEP = "s'Hs is too small; the diagonal is unchanged."

    @property
    def skipped(self) -> bool:
        """True if there was a step before and the update was left out."""
        return self in (Secant.NO_CURVATURE, Secant.NO_STEP)


class Update(NamedTuple):
    """The new diagonal h (P,), the use of s and y, and the number of components raised to the floor."""

    h: Array | None
    secant: Secant
    floored: int = 0


def update(h: Array, s: Array, y: Array) -> Update:
    """Algorithm 2 for t > 0: the diagonal h (P,) after a step s (P,) that changed the gradient by y (P,).

    y is overwritten.
    """
    hs = h * s
    y_s, s_hs = inner(y, s), inner(s, hs)
    if not y_s >= SMALLEST:
        return Update(h, Secant.NO_CURVATURE)
    if not s_hs >= SMALLEST:
        return Update(h, Secant.NO_STEP)
    np.multiply(y, y, out=y)
    np.multiply(hs, hs, out=hs)
    y /= y_s  # Diag(yy') / y's
    hs /= s_hs  # H Diag(ss') H' / s'Hs
    y -= hs
    y += h  # H_diag + Diag(yy') / y's - H Diag(ss') H' / s'Hs
    floored = int(np.count_nonzero(y < SMALLEST))
    return Update(np.maximum(y, SMALLEST, out=y) if floored else y, Secant.USED, floored)
