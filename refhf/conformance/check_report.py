"""Report of a checker: the laws with their digits of agreement, a verdict, and a diagnosis."""

import textwrap
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from refhf.text import Word, html_table

EXACT = 17.0  # digits reported for two equal float64 numbers


class Pattern(Word):
    """A known mistake; the value is a sentence for the user."""

    RAISES = "It raises an exception."
    PRINTS = "It prints to standard output."
    MODIFIES_INPUT = "It modifies its arguments."
    WRONG_SHAPE = "Its result has the wrong shape."
    WRONG_DTYPE = "Its result has the wrong dtype."
    NOT_FINITE = "Its result contains NaN or Inf."
    RANDOM = "The same call gives a different result: it draws random numbers."
    GAUSS_NEWTON = "This is the Gauss-Newton product, not the Hessian product."
    HESSIAN = "This is the Hessian product, not the Gauss-Newton product."
    FISHER = "This is the empirical Fisher matrix: outer products of the gradients of single cases."
    NO_LOSS_HESSIAN = "This is J'J v: the Hessian H_L of the loss is missing."
    SOFTMAX_DIAGONAL = "The softmax Hessian diag(p) - pp' is reduced to its diagonal p(1 - p)."
    SOFTMAX_NO_OUTER = "The softmax Hessian diag(p) - pp' is reduced to diag(p)."
    AT_PROBABILITIES = "The Gauss-Newton matrix is split at the probabilities, not at the pre-activations z."
    NO_BEND = "The f'' term is missing: R{Ds} = R{Da} f' + Da f'' Rs."
    NO_INPUT_TERM = "R{DW} = a' R{Ds} + R{a}' Ds lacks R{a}' Ds."
    NO_DELTA_TERM = "R{DW} = a' R{Ds} + R{a}' Ds lacks a' R{Ds}."
    NO_WEIGHT_TERM = "R{Da} = R{Ds} W' + Ds V' lacks Ds V'."
    NO_BACK_TERM = "R{Da} = R{Ds} W' + Ds V' lacks R{Ds} W'."
    NO_DIRECTION = "R{s} = a V + R{a} W + c lacks a V."
    NO_FORWARD_TERM = "R{s} = a V + R{a} W + c lacks R{a} W."
    NO_BIAS_DIRECTION = "R{s} = a V + R{a} W + c lacks c: the bias part of v is ignored."
    NO_FORWARD_SLOPE = "R{a} = f' R{s} lacks f'."
    NO_BACKWARD_SLOPE = "Ds = Da f' lacks f'."
    SLOPE_OF_ACTIVATION = "f' is taken at the activation a instead of at the pre-activation s."
    NO_SOFTMAX = "The softmax or logistic function is missing in the residual."
    WRONG_LOSS = "It belongs to another loss."
    LAYOUT_OUT_IN = "W is laid out (out, in). If this is intended, pass layout='out-in'."
    LAYOUT_IN_OUT = "W is laid out (in, out): omit layout='out-in'."
    RESULT_OUT_IN = "theta is read correctly, but W in the result is laid out (out, in)."
    BIAS_FIRST = "The bias of each layer precedes its weights."
    ZERO_PART = "Part of the result is always zero."
    SIGN = "The sign is wrong."
    SUM_NOT_MEAN = "It is too large by the batch size: the sum over the cases instead of the mean."
    MEAN_TWICE = "It is too small by the batch size: the mean is taken twice."
    FACTOR = "It is wrong by a factor."
    ARGUMENT = "It returns a multiple of its argument: the function does not enter."
    NO_DECAY = "Weight decay is missing: l2 theta in the gradient, l2 v in a product."
    DECAY_WRONG = (
        "Weight decay has a coefficient other than l2, as from l2 for l2/2 or from a division by the batch size."
    )
    DAMPED = "A multiple of the identity is added: damping inside the product."
    STALE = "It uses the first theta it was called with: a stale tape."
    FLOAT32 = "It agrees to float32 precision only: it computes in float32."
    DIFFERENCES = "It is not linear in v and agrees to a few digits only: a finite difference."
    NOISE = "It agrees to a few digits only, without a pattern: noise, low precision, or an approximation."
    NOT_SYMMETRIC = "It is not symmetric."
    INDEFINITE = "It is not positive semidefinite."
    X0_IGNORED = "x0 is ignored."
    X0_RESIDUAL = "The first residual is b, not b - A x0."
    PRECONDITIONER_IGNORED = "M is ignored."
    PRECONDITIONED_FIRST = "The first r'z is r'r: M is applied one iteration late."
    PRECONDITIONED_NORM = "Convergence is tested with the preconditioned residual, not with ||b - A x||."
    ONE_TOO_FEW = "It does one iteration fewer than maxiter."
    ONE_TOO_MANY = "It does one iteration more than maxiter."
    BETA = "beta is wrong."
    ALPHA = "The step length alpha is wrong."
    RESIDUAL_NOT_UPDATED = "The residual is not updated."
    OLD_RESIDUAL = "The new direction uses the old residual."
    STEEPEST = "beta is 0: this is steepest descent."
    TRANSPOSED = "A' is applied instead of A."
    OMEGA = "The stabilising step (omega, He's gamma) is wrong."
    NO_STABILISER = "The stabilising step is missing in x or in p."
    SHADOW = "The shadow residual r0* changes, or is not r_0."
    OTHER_SOLVER = "It is a different solver."
    ABSOLUTE = "rtol is used as an absolute tolerance, or a breakdown threshold is absolute."
    CLAIMS = "It reports convergence (info = 0), but the true residual b - A x is too large."
    NEVER_CLAIMS = "It converges but does not report it (info = 0)."
    NEVER_STOPS = "It continues after the tolerance is met, or never returns."


def escaped(text: str) -> str:
    """User-supplied text, safe to print: escape sequences, newlines and lone surrogates become Python escapes."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


class Cause(NamedTuple):
    """A pattern, and a measured detail such as the factor."""

    pattern: Pattern
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.pattern.value} ({self.detail})" if self.detail else self.pattern.value


class Finding(NamedTuple):
    """The result for one law.

    Attributes
    ----------
    law : str
    digits, needed : float or None
        Digits of agreement in the worst direction, and digits required; None for a law without numbers.
    worst : str
        The direction, system or call that failed or came closest to failing.
    passed : bool
    """

    law: str
    digits: float | None
    needed: float | None
    worst: str
    passed: bool

    def line(self, width: int) -> str:
        """A row of the table, with `width` characters for the law."""
        figures = (f"{'' if x is None else format(x, '.1f'):>8}" for x in (self.digits, self.needed))
        return f"{'  ok' if self.passed else 'FAIL'}  {self.law:<{width}}{''.join(figures)}  {self.worst}".rstrip()


class CheckReport(NamedTuple):
    """The result of a check; its string is a table.

    Attributes
    ----------
    subject : str
    findings : tuple of Finding
    causes : tuple of Cause
        The diagnosis; empty if all laws hold or no known pattern fits.
    remarks : tuple of str
        Observations that are not faults.
    """

    subject: str
    findings: tuple[Finding, ...]
    causes: tuple[Cause, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """True if at least one law was checked and all hold."""
        return bool(self.findings) and all(finding.passed for finding in self.findings)

    @property
    def verdict(self) -> str:
        """The verdict in one line."""
        laws, failed = len(self.findings), sum(not finding.passed for finding in self.findings)
        return f"right: all {laws} laws hold" if self.passed else f"wrong: {failed} of {laws} laws fail"

    @property
    def patterns(self) -> tuple[Pattern, ...]:
        """The patterns of the diagnosis."""
        return tuple(cause.pattern for cause in self.causes)

    def __repr__(self) -> str:
        return "\n".join([f"{self.subject}: {self.verdict}", *(f"  {cause}" for cause in self.causes[:2])])

    def _repr_html_(self) -> str:
        rows = ((law.law, law.digits, law.needed, law.worst, law.passed) for law in self.findings)
        return html_table(("law", "digits", "needed", "worst", "passed"), rows, caption=repr(self))

    def __str__(self) -> str:
        quiet = [law for law in self.findings if law.passed and law.digits is None and not law.worst]
        shown = [finding for finding in self.findings if finding not in quiet]
        width = max([len(finding.law) for finding in shown], default=0)
        lines = [f"{self.subject}: {self.verdict}", f"      {'law':<{width}}{'digits':>8}{'needed':>8}  worst"]
        lines += [finding.line(width) for finding in shown]
        if quiet:
            laws = "; ".join(finding.law for finding in quiet)
            lines += textwrap.wrap(laws, 110, initial_indent="  ok  ", subsequent_indent="      ")
        if not self.passed:
            lines += [f"diagnosis: {cause}" for cause in self.causes] or ["diagnosis: no known pattern fits"]
        return "\n".join(lines + [f"remark: {remark}" for remark in self.remarks])

    def to_dict(self) -> dict[str, Any]:
        """The report in JSON types."""
        return {
            "subject": self.subject,
            "passed": self.passed,
            "verdict": self.verdict,
            "findings": [finding._replace(passed=bool(finding.passed))._asdict() for finding in self.findings],
            "diagnosis": [
                {"pattern": str(cause.pattern), "sentence": cause.pattern.value, "detail": cause.detail}
                for cause in self.causes
            ],
            "remarks": list(self.remarks),
        }


def digits(error: float, scale: float) -> float:
    """Digits of agreement of a quantity of size `scale` with an error `error`: -log10(error / scale)."""
    if not np.isfinite(error):
        return 0.0
    return float(np.clip(-np.log10(error / scale), 0.0, EXACT)) if error and scale else (0.0 if error else EXACT)


def compared(law: str, samples: Iterable[tuple[str, float, float, float]]) -> Finding:
    """The finding of a law from samples (direction, error, tolerance, scale): the worst one counts."""
    worst, error, tolerance, scale = max(samples, key=lambda sample: excess(sample[1], sample[2]))
    return Finding(law, digits(error, scale), digits(tolerance, scale), worst, bool(excess(error, tolerance) <= 1))


def excess(error: float, tolerance: float) -> float:
    """error / tolerance; infinite for an error that is not finite."""
    if not np.isfinite(error):
        return np.inf
    return error / tolerance if tolerance else (np.inf if error else 0.0)
