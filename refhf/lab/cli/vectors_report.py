"""The report of `refhf vectors`: a text, a dictionary, and one JSON object a result."""

import textwrap

from refhf.conformance.vectors import vector_run
from refhf.conformance.vectors.load_vectors import RELEASE
from refhf.conformance.vectors.reply_comparison import Verdict
from refhf.conformance.vectors.suspected_mistakes import suspects as suspects_of
from refhf.text import columns

SHOWN = 20  # failures listed in words, our choice; --json has all


def _counts(results):
    return {verdict: sum(result.verdict is verdict for result in results) for verdict in Verdict}


def _tables(results):
    """Tallies by topic and by flag."""
    by_topic = vector_run.tallies(results, lambda vector: [vector.topic])
    return by_topic, vector_run.tallies(results, lambda vector: vector.flags)


def report_text(results):
    """Tables by topic and by flag, failures, suspected mistakes, counts."""
    counts, (topics, flags) = _counts(results), _tables(results)
    asked, failing = _where(topics, _answered), _where(flags, lambda tally: tally.failed)
    lines = _table("topic", asked)
    if len(asked) < len(topics):
        others = ", ".join(name for name in topics if name not in asked)
        lines += textwrap.wrap(f"not supported, or skipped: {others}", 100, break_on_hyphens=False)
    if failing:
        lines += ["", *_table("flag: vectors that catch this mistake", failing)]
    failures = _failures(results)
    lines += [""] * bool(failures) + failures[:SHOWN]
    if len(failures) > SHOWN:
        lines.append(f"... and {len(failures) - SHOWN} more: --json lists all")
    suspects = suspects_of(results)
    if suspects:
        lines += ["", "the failures look most like", *(f"  {suspect}" for suspect in suspects)]
    lines += ["", f"The vectors that were answered catch {len(_where(flags, _answered))} known mistakes."]
    lines.append(f"{len(results)} vectors: " + ", ".join(f"{n} {verdict}" for verdict, n in counts.items() if n))
    return "\n".join(lines)


def _answered(tally):
    return tally.passed + tally.failed


def _where(tallies, count):
    """The tallies whose count is not 0."""
    return {name: tally for name, tally in tallies.items() if count(tally)}


def _failures(results):
    """A line for each failure with a reply, and one for all that have the same reason for no reply."""
    groups = {}
    for r in results:
        if r.verdict in (Verdict.FAIL, Verdict.XPASS):
            groups.setdefault(r.reason if r.error is None else r.vector.id, []).append(r)
    many = {reason: f" and {len(group) - 1} more" if len(group) > 1 else "" for reason, group in groups.items()}
    return [
        f"{r.verdict!s:<6}{r.vector.id}{many[key]}: {r.reason or r.verdict.value}" for key, (r, *_) in groups.items()
    ]


def _table(head, tallies):
    """Lines of name, pass, fail, skip, and the fewest digits of agreement."""
    rows = [(head, "pass", "fail", "skip", "digits")]
    for name, (passed, failed, skipped, digits) in tallies.items():
        rows.append((name, passed, failed, skipped, "" if digits is None else f"{digits:.1f}"))
    return columns(rows)


def report_dict(results):
    """The same in JSON types, with every result."""
    topics, flags = _tables(results)
    return {
        "counts": {str(verdict): n for verdict, n in _counts(results).items()},
        "topics": {name: tally._asdict() for name, tally in topics.items()},
        "flags": {name: tally._asdict() for name, tally in flags.items()},
        "suspects": [suspect._asdict() for suspect in suspects_of(results)],
        "results": result_lines(results),
    }


def result_lines(results):
    """A dictionary for each result; README.md of the vectors promises its keys."""
    return [
        {
            "vectors": RELEASE,
            "id": result.vector.id,
            "operation": result.vector.request["operation"],
            "verdict": str(result.verdict),
            "digits": result.digits,
            "reason": result.reason,
        }
        for result in results
    ]
