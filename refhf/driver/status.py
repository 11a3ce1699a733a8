"""The reasons for which a run ends, and the test for them."""

from refhf.methods.report import Kind, Outcome, Report
from refhf.text import Word


class Status(Word):
    """The reason for which a run ended; the value is (SciPy's integer, success, a sentence)."""

    CONVERGED = 0, True, "The gradient is as small as asked for."
    STEPS_DONE = 1, False, "The given number of steps was done."
    CALLBACK = 99, False, "The callback asked to stop."
    NON_FINITE = 3, False, "A value, gradient or product is not finite; the best point so far is returned."
    NO_PROGRESS = 4, False, "Steps were rejected one after the other; the last accepted point is returned."
    NOT_A_MINIMUM = 5, False, "The gradient is zero, but the point is not a minimum."
    INTERRUPTED = 6, False, "The run was interrupted, and can be resumed."


GRADIENT_TOLERANCE = 1e-5  # SciPy's gtol of CG and BFGS; there of the largest component of g, here of ||g||
PATIENCE = 40  # rejected steps in a row; our choice: lambda has then grown by (3/2)^40 = 1e7


def ended(report: Report, rejected: int, tolerance: float, draws: bool) -> Status | None:
    """The reason for which a run ends with this report; None if it goes on.

    Parameters
    ----------
    report : Report
    rejected : int
        How many steps in a row were.
    tolerance : float
        ||g|| up to this has converged.
    draws : bool
        Whether the gradient is that of a mini-batch, which says nothing of all the cases.
    """
    if report.outcome is Outcome.NON_FINITE:
        return Status.NON_FINITE
    if report.kind is Kind.NOT_A_MINIMUM:
        return Status.NOT_A_MINIMUM
    leaving = report.accepted and (report.source.random or report.negative_curvature)  # a saddle, for all we know
    small = 0 < report.gradient_norm <= tolerance and not leaving
    if not draws and (report.outcome is Outcome.STATIONARY or small):
        return Status.CONVERGED
    return Status.NO_PROGRESS if rejected >= PATIENCE else None
