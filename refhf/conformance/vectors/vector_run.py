"""Put the test vectors to an implementation, and say which known mistakes its failures look like."""

import math
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import NamedTuple

import numpy as np

from refhf.conformance.check_report import plain
from refhf.conformance.vectors.adapter import NoReply
from refhf.conformance.vectors.load_vectors import Vector

TOLERANCE = 1e-12  # relative, our choice: refhf is off by 5e-14 at most on any processor tried; a mistake of 1e-9 fails
PATIENCE = 3  # requests of one operation in a row that an adapter may die or hang on; our choice
WORDS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}  # JSON has no numbers for them
EXACT = 17.0  # digits of two equal doubles, as reported


class Verdict(Enum):
    """What became of a vector."""

    PASS = "The reply agrees."
    FAIL = "The reply is wrong, or there was none."
    SKIP = "Not asked, or not supported."
    XFAIL = "Failed, as expected."
    XPASS = "Passed, but was expected to fail."

    def __str__(self):
        return self.name.lower()


GOOD, BAD = (Verdict.PASS, Verdict.XPASS), (Verdict.FAIL, Verdict.XFAIL)


class Result(NamedTuple):
    """A vector, its verdict, the relative error of the reply (None without one), and the reason."""

    vector: Vector
    verdict: Verdict
    error: float | None
    reason: str = ""

    @property
    def digits(self) -> float | None:
        """To how many digits the reply agrees."""
        if not self.error:
            return None if self.error is None else EXACT
        return max(0.0, -math.log10(self.error)) if self.error < math.inf else 0.0


def run(vectors: Iterable[Vector], ask: Callable, *, skips=frozenset(), xfails=frozenset(), tolerance=TOLERANCE):
    """A `Result` for each vector.

    Parameters
    ----------
    vectors : iterable of Vector
    ask : callable
        (id, request) -> reply; may raise `NoReply`.
    skips, xfails : set of str
        Ids, topics or flags of vectors not to ask, and of those expected to fail.
    tolerance : float
        Relative, in the 2-norm of each list.

    Yields
    ------
    Result
    """
    silent = {}
    for vector in vectors:
        names = {vector.id, vector.topic, *vector.flags}
        if names & skips:
            yield Result(vector, Verdict.SKIP, None, "skipped")
            continue
        operation = vector.request["operation"]
        if silent.get(operation, 0) == PATIENCE:
            result = Result(vector, Verdict.FAIL, None, f"not asked: {PATIENCE} of this operation had no reply before")
        else:
            result, mute = _asked(vector, ask, tolerance)
            silent[operation] = silent.get(operation, 0) + 1 if mute else 0
        if names & xfails and result.verdict is not Verdict.SKIP:
            result = result._replace(verdict=Verdict.XPASS if result.verdict is Verdict.PASS else Verdict.XFAIL)
        yield result


def _asked(vector, ask, tolerance):
    try:
        reply = ask(vector.id, vector.request)
    except NoReply as failure:
        return Result(vector, Verdict.FAIL, None, plain(str(failure))), failure.silent
    if reply.get("unsupported") is True:
        return Result(vector, Verdict.SKIP, None, "unsupported"), False
    return judged(vector, reply, tolerance), False


def judged(vector: Vector, reply: Mapping, tolerance: float = TOLERANCE) -> Result:
    """The reply held against the vector's, field by field; fields that it does not ask for are ignored."""
    largest, reasons = 0.0, []
    for name, want in vector.reply.items():
        error, reason = compared(reply[name], want) if name in reply else (math.inf, "missing")
        largest = max(largest, error)
        if not error <= tolerance:
            reasons.append(f"{name}: {reason or f'off by {error:.1e}, relative'}")
    return Result(vector, Verdict.FAIL if reasons else Verdict.PASS, largest, plain("; ".join(reasons)))


def compared(got, want) -> tuple[float, str]:
    """The relative error of a field, and what else is wrong with it: words and booleans are right or not."""
    if not _numeric(want):
        same = got == want and isinstance(got, bool) == isinstance(want, bool)
        return (0.0, "") if same else (math.inf, f"expected {want!r}; got {str(got)[:60]!r}")
    x, y = _numbers(got), _numbers(want)
    if x is None or (isinstance(want, list) != isinstance(got, list)):
        kind = f"a flat list of {y.size} numbers" if isinstance(want, list) else "a number"
        return math.inf, f"expected {kind}; got {str(got)[:60]}"
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


def _numeric(want):
    return want in WORDS if isinstance(want, str) else not isinstance(want, bool)


def _number(given):
    return WORDS.get(given, given) if isinstance(given, str) else given


def _numbers(given):
    values = [_number(x) for x in (given if isinstance(given, list) else [given])]
    if not all(isinstance(x, int | float) and not isinstance(x, bool) for x in values):
        return None
    try:
        return np.array(values, float)
    except OverflowError:
        return None


class Tally(NamedTuple):
    """How many vectors with a name passed, failed, were skipped; the fewest digits (None if there was no reply)."""

    passed: int
    failed: int
    skipped: int
    digits: float | None


def tallies(results: Iterable[Result], names: Callable[[Vector], Iterable[str]]) -> dict[str, Tally]:
    """A tally for each name that `names` gives a vector."""
    found = {}
    for result in results:
        good, bad = result.verdict in GOOD, result.verdict in BAD
        for name in names(result.vector):
            old = found.get(name, Tally(0, 0, 0, None))
            digits = [x for x in (old.digits, result.digits) if x is not None]
            found[name] = Tally(
                old.passed + good, old.failed + bad, old.skipped + (not good and not bad), min(digits, default=None)
            )
    return found


SMALL = frozenset({"float32", "finite-difference"})  # mistakes that leave digits right, and whose error varies
LEFT = 4.0  # this many at least, our choice
LEAST = 0.5  # share of vectors that a mistake must explain, our choice
ALIKE = 0.01  # how far, relatively, an error may be from that of a mistake, our choice


class Suspect(NamedTuple):
    """A known mistake that an operation's failures look like.

    Attributes
    ----------
    operation, flag : str
    explained, failed : int
        Of `failed` wrong replies so many are off by what this mistake makes of them.
    passed : int
        So many vectors passed that would catch it.
    """

    operation: str
    flag: str
    explained: int
    failed: int
    passed: int

    def __str__(self):
        but = f"; but {self.passed} that catch it passed" if self.passed else ""
        return f"{self.operation}: {self.flag} (explains {self.explained} of {self.failed}{but})"


def suspects(results: Iterable[Result]) -> list[Suspect]:
    """For each operation with wrong replies, the flags that explain most of them.

    A flag explains a failure that it is a flag of, if the error is that of the mistake. Most is the largest share of
    explained vectors among those that fail or have the flag, and at least half; ties are all named.
    """
    answered, found = [result for result in results if result.error is not None], []
    for operation in dict.fromkeys(result.vector.request["operation"] for result in answered):
        mine = [result for result in answered if result.vector.request["operation"] == operation]
        wrong = [result for result in mine if result.verdict in BAD]
        small = all(result.digits >= LEFT for result in wrong)
        shares = {}
        for flag in dict.fromkeys(flag for result in wrong for flag in result.vector.flags if (flag in SMALL) == small):
            explained = sum(_explains(result, flag) for result in wrong)
            passed = sum(flag in result.vector.flags for result in mine if result.verdict in GOOD)
            suspect = Suspect(operation, flag, explained, len(wrong), passed)
            shares[suspect] = explained / (len(wrong) + passed)
        most = max([LEAST, *shares.values()])
        found += [suspect for suspect, share in shares.items() if share == most]
    return found


def _explains(result, flag):
    known = result.vector.flags.get(flag)
    return known is not None and (flag in SMALL or alike(known, result.error))


def alike(known, error) -> bool:
    """Whether two errors are those of one mistake: numbers, or words where they are not finite, as flags have them."""
    known, error = _number(known), _number(error)
    return known == error or abs(known - error) <= ALIKE * known < math.inf
