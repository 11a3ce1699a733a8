"""Report of a checker: the laws with their digits of agreement, a verdict, and a diagnosis."""

import textwrap
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from refhf.conformance.patterns import Cause, Pattern
from refhf.text import html_table

EXACT = 17.0  # digits reported for two equal float64 numbers


def escaped(text: str) -> str:
    """User-supplied text, safe to print: escape sequences, newlines and lone surrogates become Python escapes."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


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
    limit : float or None
        The relative error from which on a fault shows, along the directions that were compared; None if none were.
    conventions : tuple of str
        The conventions, other than refhf's, under which the laws were tested.
    """

    subject: str
    findings: tuple[Finding, ...]
    causes: tuple[Cause, ...] = ()
    remarks: tuple[str, ...] = ()
    limit: float | None = None
    conventions: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """True if at least one law was checked and all hold."""
        return bool(self.findings) and all(finding.passed for finding in self.findings)

    @property
    def verdict(self) -> str:
        """The verdict in one line."""
        if self.passed and self.conventions:
            return f"right under the convention {', '.join(self.conventions)}: all {len(self.findings)} laws hold"
        if self.passed:
            return f"right: all {len(self.findings)} laws hold"
        if self.patterns == (Pattern.UNSUPPORTED,):
            return "unsupported: a derivative is missing"
        failed = sum(not finding.passed for finding in self.findings)
        return f"wrong: {failed} of {len(self.findings)} laws fail"

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
        elif self.limit:
            lines.append(f"detection limit: a relative error above {self.limit:.0e} would have failed")
        return "\n".join(lines + [f"remark: {remark}" for remark in self.remarks])

    def to_dict(self) -> dict[str, Any]:
        """The report in JSON types."""
        return {
            "subject": self.subject,
            "passed": self.passed,
            "verdict": self.verdict,
            "findings": [finding._replace(passed=bool(finding.passed))._asdict() for finding in self.findings],
            "diagnosis": [
                {
                    "pattern": str(cause.pattern),
                    "sentence": cause.pattern.value,
                    "detail": cause.detail,
                    "equals": [str(other.pattern) for other in cause.equals],
                }
                for cause in self.causes
            ],
            "remarks": list(self.remarks),
            "limit": self.limit,
            "conventions": list(self.conventions),
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
