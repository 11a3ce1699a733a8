"""What a checker found: laws with their digits of agreement, a verdict, and a diagnosis."""

import textwrap
from enum import Enum
from typing import NamedTuple

import numpy as np

EXACT = 17.0  # digits of two equal float64 numbers, as reported


class Pattern(Enum):
    """A known way to be wrong; the value is a sentence."""

    RAISES = "It raises an exception."
    PRINTS = "It prints to standard output."
    MODIFIES_INPUT = "It writes over its arguments."
    WRONG_SHAPE = "Its result has the wrong shape."
    WRONG_DTYPE = "Its result has the wrong dtype."
    NOT_FINITE = "Its result has NaN or Inf in it."
    RANDOM = "The same call gives another result: something is drawn anew in it."
    GAUSS_NEWTON = "This is the Gauss-Newton product, not the Hessian's."
    HESSIAN = "This is the Hessian product, not the Gauss-Newton matrix's."
    FISHER = "This is the empirical Fisher matrix: outer products of the cases' gradients."
    NO_LOSS_HESSIAN = "This is J'J v: the loss's Hessian H_L is left out."
    SOFTMAX_DIAGONAL = "Of the softmax's Hessian diag(p) - pp' only the diagonal p(1 - p) is there."
    SOFTMAX_NO_OUTER = "Of the softmax's Hessian diag(p) - pp' only diag(p) is there."
    AT_PROBABILITIES = "The Gauss-Newton matrix is split at the probabilities, not at the pre-activations z."
    NO_BEND = "The f'' term is missing: R{Ds} = R{Da} f' + Da f'' Rs."
    NO_INPUT_TERM = "R{DW} = a' R{Ds} + R{a}' Ds lacks R{a}' Ds."
    NO_DELTA_TERM = "R{DW} = a' R{Ds} + R{a}' Ds lacks a' R{Ds}."
    NO_WEIGHT_TERM = "R{Da} = R{Ds} W' + Ds V' lacks Ds V'."
    NO_BACK_TERM = "R{Da} = R{Ds} W' + Ds V' lacks R{Ds} W'."
    NO_DIRECTION = "R{s} = a V + R{a} W + c lacks a V."
    NO_FORWARD_TERM = "R{s} = a V + R{a} W + c lacks R{a} W."
    NO_BIAS_DIRECTION = "R{s} = a V + R{a} W + c lacks c: the bias part of v is not used."
    NO_FORWARD_SLOPE = "R{a} = f' R{s} lacks f'."
    NO_BACKWARD_SLOPE = "Ds = Da f' lacks f'."
    SLOPE_OF_ACTIVATION = "f' is taken at the activation a instead of at the pre-activation s."
    NO_SOFTMAX = "The softmax or logistic function is left out of the residual."
    WRONG_LOSS = "It is that of another loss."
    LAYOUT_OUT_IN = "W is laid out (out, in). If that is meant, say layout='out-in'."
    LAYOUT_IN_OUT = "W is laid out (in, out): leave layout='out-in' away."
    RESULT_OUT_IN = "theta is read right, but the result's W is laid out (out, in)."
    BIAS_FIRST = "Each layer's bias stands before its weights."
    ZERO_PART = "A part of the result is always zero."
    SIGN = "The sign is wrong."
    SUM_NOT_MEAN = "It is off by the batch size: a sum over the cases, not their mean."
    MEAN_TWICE = "It is off by 1 / batch size: the mean is taken twice."
    FACTOR = "It is off by a factor."
    ARGUMENT = "It returns a multiple of its argument: nothing of the function is in it."
    NO_DECAY = "Weight decay is missing: l2 theta in the gradient, l2 v in a product."
    DECAY_WRONG = "Weight decay has another coefficient than l2, as with l2 for l2/2, or decay divided by the batch."
    DAMPED = "A multiple of the identity is added: damping inside the product."
    STALE = "It answers for the first theta it was called with: a stale tape."
    FLOAT32 = "It agrees only to float32: its numbers are float32 numbers."
    DIFFERENCES = "It is not linear in v and agrees to some digits only: a finite difference."
    NOISE = "It agrees to some digits and no further, without a pattern: noise, low precision, or an approximation."
    NOT_SYMMETRIC = "It is not symmetric."
    INDEFINITE = "It is not positive semidefinite."
    X0_IGNORED = "x0 is ignored."
    X0_RESIDUAL = "The first residual is b, not b - A x0."
    PRECONDITIONER_IGNORED = "M is ignored."
    PRECONDITIONED_FIRST = "The first r'z is r'r: M comes in one iteration late."
    PRECONDITIONED_NORM = "Convergence is tested on the preconditioned residual, not on ||b - A x||."
    ONE_TOO_FEW = "It does one iteration fewer than maxiter."
    ONE_TOO_MANY = "It does one iteration more than maxiter."
    BETA = "beta is wrong."
    ALPHA = "The step length alpha is wrong."
    RESIDUAL_NOT_UPDATED = "The residual is not updated."
    OLD_RESIDUAL = "The new direction is made of the old residual."
    STEEPEST = "beta is 0: this is steepest descent."
    TRANSPOSED = "A' is applied in the place of A."
    OMEGA = "The stabilising step (omega, He's gamma) is wrong."
    NO_STABILISER = "The stabilising step is left out of x or of p."
    SHADOW = "The shadow residual r0* changes, or is not r_0."
    OTHER_SOLVER = "It is another solver."
    ABSOLUTE = "rtol is used as an absolute tolerance, or a threshold is absolute."
    CLAIMS = "It claims convergence (info = 0) that the true residual b - A x denies."
    NEVER_CLAIMS = "It does not report convergence (info = 0) where it has converged."
    NEVER_STOPS = "It goes on after the tolerance is met, or without end."

    def __str__(self):
        return self.name.lower().replace("_", " ")


def plain(text: str) -> str:
    """Somebody else's text, safe to print: escape sequences, newlines and lone surrogates as Python writes them."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


class Cause(NamedTuple):
    """A pattern, and what of it was measured."""

    pattern: Pattern
    detail: str = ""

    def __str__(self):
        return f"{self.pattern.value} ({self.detail})" if self.detail else self.pattern.value


class Finding(NamedTuple):
    """One law.

    Attributes
    ----------
    law : str
    digits, needed : float or None
        Of agreement in the worst direction, and the tolerance; None where the law has no figure.
    worst : str
        The direction (or system, or call) that was nearest to failing, or failed.
    passed : bool
    """

    law: str
    digits: float | None
    needed: float | None
    worst: str
    passed: bool

    def line(self, width: int) -> str:
        """It as a row of a table, the law `width` wide."""
        figures = (f"{'' if x is None else format(x, '.1f'):>8}" for x in (self.digits, self.needed))
        return f"{'  ok' if self.passed else 'FAIL'}  {self.law:<{width}}{''.join(figures)}  {self.worst}".rstrip()


class Report(NamedTuple):
    """What a checker found. Printed, it is a table.

    Attributes
    ----------
    subject : str
    findings : tuple of Finding
    causes : tuple of Cause
        The diagnosis; empty where everything passed or no known pattern fits.
    remarks : tuple of str
        What is no fault but worth knowing.
    """

    subject: str
    findings: tuple[Finding, ...]
    causes: tuple[Cause, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether no law failed, and there was one."""
        return bool(self.findings) and all(finding.passed for finding in self.findings)

    @property
    def verdict(self) -> str:
        """One line."""
        failed = sum(not finding.passed for finding in self.findings)
        return (
            f"right: {len(self.findings)} laws hold"
            if self.passed
            else f"wrong: breaks {failed} of {len(self.findings)} laws"
        )

    @property
    def patterns(self) -> tuple[Pattern, ...]:
        """Those of the diagnosis."""
        return tuple(cause.pattern for cause in self.causes)

    def __str__(self):
        quiet = [
            finding for finding in self.findings if finding.passed and finding.digits is None and not finding.worst
        ]
        shown = [finding for finding in self.findings if finding not in quiet]
        width = max([len(finding.law) for finding in shown], default=0)
        lines = [f"{self.subject}: {self.verdict}", f"      {'law':<{width}}{'digits':>8}{'needed':>8}  worst"]
        lines += [finding.line(width) for finding in shown]
        if quiet:
            laws = "; ".join(finding.law for finding in quiet)
            lines += textwrap.wrap(laws, 110, initial_indent="  ok  ", subsequent_indent="      ")
        if not self.passed:
            lines += [f"diagnosis: {cause}" for cause in self.causes] or ["diagnosis: none of the known patterns fits"]
        return "\n".join(lines + [f"remark: {remark}" for remark in self.remarks])

    def to_dict(self) -> dict:
        """The report in JSON's types."""
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
    """Decimal digits to which something of size `scale` is right if it is off by `error`: -log10 of their ratio."""
    if not np.isfinite(error):
        return 0.0
    return float(np.clip(-np.log10(error / scale), 0.0, EXACT)) if error and scale else (0.0 if error else EXACT)


def compared(law: str, samples) -> Finding:
    """The law's finding from samples (direction, error, tolerance, scale): the one that is nearest to failing."""
    worst, error, tolerance, scale = max(samples, key=lambda sample: excess(sample[1], sample[2]))
    return Finding(law, digits(error, scale), digits(tolerance, scale), worst, bool(excess(error, tolerance) <= 1))


def excess(error: float, tolerance: float) -> float:
    """error / tolerance; infinite for an error that is not a number."""
    if not np.isfinite(error):
        return np.inf
    return error / tolerance if tolerance else (np.inf if error else 0.0)
