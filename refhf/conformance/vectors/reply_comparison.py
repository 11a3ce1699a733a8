"""Compares a reply with the right one: relative error, verdict, reason."""

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from refhf.conformance.check_report import EXACT, escaped
from refhf.conformance.vectors.load_vectors import Vector
from refhf.model.blocks import Array
from refhf.text import Word

TOLERANCE = 1e-12  # relative, our choice: refhf errs by at most 5e-14 on all processors tried; a mistake of 1e-9 fails
WORDS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}  # JSON has no such numbers
ALIKE = 0.01  # relative distance of two equal errors, our choice


class Verdict(Word):
    """The outcome of a vector."""

    PASS = "The reply agrees."
    FAIL = "The reply is wrong or missing."
    SKIP = "The vector was not sent, or is not supported."
    XFAIL = "The vector failed, as expected."
    XPASS = "The vector passed but was expected to fail."


GOOD, BAD = (Verdict.PASS, Verdict.XPASS), (Verdict.FAIL, Verdict.XFAIL)


class VectorResult(NamedTuple):
    """A vector, the verdict, the relative error of the reply (None without a reply), and the reason."""

    vector: Vector
    verdict: Verdict
    error: float | None
    reason: str = ""

    @property
    def digits(self) -> float | None:
        """Digits of agreement of the reply."""
        if not self.error:
            return None if self.error is None else EXACT
        return max(0.0, -math.log10(self.error)) if self.error < math.inf else 0.0


def judged(vector: Vector, reply: Mapping[str, Any], tolerance: float = TOLERANCE) -> VectorResult:
    """Compare a reply with the vector's, field by field; further fields are ignored."""
    largest = 0.0
    reasons: list[str] = []
    for name, want in vector.reply.items():
        error, reason = field_error(reply[name], want) if name in reply else (math.inf, "missing")
        largest = max(largest, error)
        if not error <= tolerance:
            reasons.append(f"{name}: {reason or f'off by {error:.1e}, relative'}")
    return VectorResult(vector, Verdict.FAIL if reasons else Verdict.PASS, largest, escaped("; ".join(reasons)))


def field_error(got: Any, want: Any) -> tuple[float, str]:
    """The relative error of a field, and a reason if it has no number; words and booleans must be equal."""
    if not _numeric(want):
        same = got == want and isinstance(got, bool) == isinstance(want, bool)
        return (0.0, "") if same else (math.inf, f"expected {json.dumps(want)}; got {shown(got)}")
    x, y = _numbers(got), np.array([_number(t) for t in (want if isinstance(want, list) else [want])], float)
    if x is None or (isinstance(want, list) != isinstance(got, list)):
        kind = f"a flat list of {y.size} numbers" if isinstance(want, list) else "a number"
        return math.inf, f"expected {kind}; got {shown(got)}"
    if x.size != y.size:
        return math.inf, f"expected {y.size} numbers; got {x.size}"
    finite = np.isfinite(y)
    if not np.array_equal(x[~finite], y[~finite], equal_nan=True):
        return math.inf, f"expected {y[~finite][0]}; got {x[~finite][0]}"
    x, y = x[finite], y[finite]
    if not np.isfinite(x).all():
        return math.inf, f"got {x[~np.isfinite(x)][0]}"
    scale = abs(y).max(initial=0.0) or 1.0
    with np.errstate(over="ignore"):
        error = np.linalg.norm((x - y) / scale)
    return float(error / (np.linalg.norm(y / scale) or 1.0)), ""


def shown(got: Any) -> str:
    """A reply's field as JSON, cut to 60 characters."""
    return json.dumps(got, default=str)[:60]


def _numeric(want: Any) -> bool:
    return want in WORDS if isinstance(want, str) else not isinstance(want, bool)


def _number(given: Any) -> Any:
    return WORDS.get(given, given) if isinstance(given, str) else given


def _numbers(given: Any) -> Array | None:
    values = [_number(x) for x in (given if isinstance(given, list) else [given])]
    if not all(isinstance(x, int | float) and not isinstance(x, bool) for x in values):
        return None
    try:
        return np.array(values, float)
    except OverflowError:
        return None


def alike(known: float | str, error: float | str) -> bool:
    """True if two errors, numbers or words such as 'inf', may come from the same mistake."""
    x, y = float(_number(known)), float(_number(error))
    return x == y or abs(x - y) <= ALIKE * x < math.inf
