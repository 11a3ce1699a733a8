"""Runs the test vectors on an implementation, and counts the results."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from refhf.conformance.check_report import escaped
from refhf.conformance.vectors.adapter_process import NoReply
from refhf.conformance.vectors.load_vectors import Vector
from refhf.conformance.vectors.reply_comparison import BAD, GOOD, TOLERANCE, VectorResult, Verdict, judged

PATIENCE = 3  # requests without a valid reply, in turn, before the rest of the operation is not sent; our choice

Ask = Callable[[str, dict[str, Any]], Any]  # (id, request) -> reply; may raise NoReply


def run(
    vectors: Iterable[Vector],
    ask: Ask,
    *,
    skips: frozenset[str] = frozenset(),
    xfails: frozenset[str] = frozenset(),
    tolerance: float = TOLERANCE,
) -> Iterator[VectorResult]:
    """Yield a `VectorResult` for each vector.

    Parameters
    ----------
    vectors : iterable of Vector
    ask : callable
        (id, request) -> reply; may raise `NoReply`.
    skips, xfails : set of str
        Ids, topics or flags of vectors not to send, and of those expected to fail.
    tolerance : float
        Relative, in the 2-norm of each list.

    Yields
    ------
    VectorResult
    """
    silence = _Silence()
    for vector in vectors:
        names = {vector.id, vector.topic, *vector.flags}
        if names & skips:
            yield VectorResult(vector, Verdict.SKIP, None, "skipped")
            continue
        operation = vector.request["operation"]
        reason = silence.reason(operation)
        if reason:
            result = VectorResult(vector, Verdict.FAIL, None, reason)
        else:
            result, failure = _asked(vector, ask, tolerance)
            silence.count(operation, failure)
        if names & xfails and result.verdict is not Verdict.SKIP:
            result = result._replace(verdict=Verdict.XPASS if result.verdict is Verdict.PASS else Verdict.XFAIL)
        yield result


class _Silence:
    """Counts the consecutive requests without a valid reply, and the time-outs before the first reply."""

    def __init__(self) -> None:
        self.silent: dict[str, int] = {}
        self.late, self.replied = 0, False

    def count(self, operation: str, failure: NoReply | None) -> None:
        """Note the outcome of a request."""
        self.silent[operation] = self.silent.get(operation, 0) + 1 if failure else 0
        self.late += failure is not None and failure.late
        self.replied |= failure is None

    def reason(self, operation: str) -> str:
        """The reason not to send the next request; empty if there is none."""
        if not self.replied and self.late >= PATIENCE:
            return f"not sent: none of {self.late} requests had a reply in time"
        many = self.silent.get(operation, 0) >= PATIENCE
        return f"not sent: {PATIENCE} requests of this operation had no valid reply" if many else ""


def _asked(vector: Vector, ask: Ask, tolerance: float) -> tuple[VectorResult, NoReply | None]:
    try:
        reply = ask(vector.id, vector.request)
    except NoReply as failure:
        return VectorResult(vector, Verdict.FAIL, None, escaped(str(failure))), failure
    if reply.get("unsupported") is True:
        return VectorResult(vector, Verdict.SKIP, None, "unsupported"), None
    return judged(vector, reply, tolerance), None


class Tally(NamedTuple):
    """Numbers of vectors that passed, failed and were skipped, and the fewest digits (None without a reply)."""

    passed: int
    failed: int
    skipped: int
    digits: float | None


def tallies(results: Iterable[VectorResult], names: Callable[[Vector], Iterable[str]]) -> dict[str, Tally]:
    """A tally for each name; names(vector) lists the names of a vector, such as its flags."""
    found: dict[str, Tally] = {}
    for result in results:
        good, bad = result.verdict in GOOD, result.verdict in BAD
        for name in names(result.vector):
            old = found.get(name, Tally(0, 0, 0, None))
            digits = [x for x in (old.digits, result.digits) if x is not None]
            found[name] = Tally(
                old.passed + good, old.failed + bad, old.skipped + (not good and not bad), min(digits, default=None)
            )
    return found
