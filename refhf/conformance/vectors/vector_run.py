"""Runs the test vectors on an implementation, and counts the results."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from refhf.conformance.check_report import escaped
from refhf.conformance.vectors.adapter_process import NoReply
from refhf.conformance.vectors.load_vectors import Vector
from refhf.conformance.vectors.reply_comparison import BAD, GOOD, TOLERANCE, VectorResult, Verdict, judged

PATIENCE = 3  # consecutive requests of one operation without any reply, before the rest is not sent; our choice


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
    silent: dict[str, int] = {}
    for vector in vectors:
        names = {vector.id, vector.topic, *vector.flags}
        if names & skips:
            yield VectorResult(vector, Verdict.SKIP, None, "skipped")
            continue
        operation = vector.request["operation"]
        if silent.get(operation, 0) == PATIENCE:
            result = VectorResult(
                vector, Verdict.FAIL, None, f"not sent: {PATIENCE} requests of this operation had no reply"
            )
        else:
            result, mute = _asked(vector, ask, tolerance)
            silent[operation] = silent.get(operation, 0) + 1 if mute else 0
        if names & xfails and result.verdict is not Verdict.SKIP:
            result = result._replace(verdict=Verdict.XPASS if result.verdict is Verdict.PASS else Verdict.XFAIL)
        yield result


def _asked(vector: Vector, ask: Ask, tolerance: float) -> tuple[VectorResult, bool]:
    try:
        reply = ask(vector.id, vector.request)
    except NoReply as failure:
        return VectorResult(vector, Verdict.FAIL, None, escaped(str(failure))), failure.silent
    if reply.get("unsupported") is True:
        return VectorResult(vector, Verdict.SKIP, None, "unsupported"), False
    return judged(vector, reply, tolerance), False


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
