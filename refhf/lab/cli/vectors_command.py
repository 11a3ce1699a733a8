"""`refhf vectors`: runs the test vectors against an implementation in any language, or refhf itself."""

import contextlib
import sys
from pathlib import Path

from refhf import checks, hints
from refhf.conformance.vectors import vector_operations, vector_run
from refhf.conformance.vectors.adapter_process import Adapter
from refhf.conformance.vectors.batch_files import AnswerFile, write_questions
from refhf.conformance.vectors.load_vectors import load
from refhf.conformance.vectors.reply_comparison import TOLERANCE, Verdict
from refhf.conformance.vectors.suspected_mistakes import suspects as suspects_of
from refhf.lab.cli.argument_types import real_number
from refhf.lab.runs import output_folder
from refhf.text import columns

TIMEOUT = 60  # seconds, our choice: the first reply waits for the adapter to start
SHOWN = 20  # failures listed in words, our choice; --json has all
EXAMPLE = """\
example: the sample adapter, which implements some of the operations
  refhf vectors --adapter "python examples/adapters/numpy_adapter.py"
or, without a dialogue,
  refhf vectors --questions questions.jsonl
  python examples/adapters/numpy_adapter.py < questions.jsonl > answers.jsonl
  refhf vectors --answers answers.jsonl
format of requests and replies: refhf/conformance/vectors/README.md
exit: 0 no failure, 1 a failure, 2 usage"""


def add_vectors_command(commands) -> None:
    """Add the command to argparse's subcommands."""
    command = commands.add_parser("vectors", help="run test vectors against an implementation", epilog=EXAMPLE)
    option = command.add_argument
    option("--adapter", metavar="COMMAND", help="program that reads JSON requests and writes JSON replies, one a line")
    option("--self", action="store_true", help="test refhf itself")
    option("--questions", metavar="FILE", help="write all requests to FILE, one a line, and end")
    option("--answers", metavar="FILE", help="check the replies in FILE, one a line, in any order")
    option("--timeout", default=TIMEOUT, type=real_number, metavar="S", help="seconds a reply; default: %(default)s")
    option(
        "--tolerance", default=TOLERANCE, type=real_number, metavar="E", help="relative tolerance; default: %(default)s"
    )
    option("--skips", metavar="FILE", help="ids, topics or flags to skip, one a line, # for a comment")
    option("--xfails", metavar="FILE", help="the same, for vectors expected to fail")
    option("--json", action="store_true", help="print JSON, a result for each vector")


def run_vectors_command(args) -> int:
    """Print the report; 1 if a vector failed."""
    modes = {f"--{name}": getattr(args, name) for name in ("adapter", "self", "questions", "answers")}
    given = [mode for mode, value in modes.items() if value not in (None, False)]
    if len(given) != 1:
        raise ValueError(f"vectors: expected one of {', '.join(modes)}; got {' and '.join(given) or 'none'}")
    timeout, tolerance = checks.positive("timeout", args.timeout), checks.positive("tolerance", args.tolerance)
    vectors = load()
    names = {name for vector in vectors for name in (vector.id, vector.topic, *vector.flags)}
    lists = {"skips": _names(args.skips, "skips", names), "xfails": _names(args.xfails, "xfails", names)}
    if args.questions is not None:
        print(f"{write_questions(args.questions, vectors, lists['skips'])} requests: {args.questions}", file=sys.stderr)
        return 0
    with contextlib.ExitStack() as stack:
        if args.adapter is not None:
            ask = stack.enter_context(Adapter(args.adapter, timeout, _say)).ask
        elif args.answers is not None:
            ask = AnswerFile(args.answers, {vector.id for vector in vectors}, _say).ask
        else:
            ask = lambda _, request: vector_operations.reply_to(request)  # noqa: E731
        results = list(_watched(vector_run.run(vectors, ask, tolerance=tolerance, **lists), len(vectors)))
    print(output_folder.to_json(_as_dict(results)) if args.json else _text(results))
    return int(any(result.verdict is Verdict.FAIL for result in results))


def _say(notice):
    """Print a notice on stderr, over the counter if there is one."""
    print("\r" * sys.stderr.isatty() + notice, file=sys.stderr, flush=True)


def _watched(results, count):
    """The results, with a counter on stderr if it is a terminal."""
    for k, result in enumerate(results, 1):
        if sys.stderr.isatty():
            print(f"\rvector {k} of {count}", end="\n" if k == count else "", file=sys.stderr, flush=True)
        yield result


def _names(file, argument, known):
    """The names in a file; each must be an id, a topic or a flag."""
    if file is None:
        return frozenset()
    lines = (line.split("#")[0].strip() for line in Path(file).read_text(encoding="utf-8").splitlines())
    names = frozenset(line for line in lines if line)
    for name in sorted(names - known):
        hint = hints.hint(name, sorted(known))
        raise ValueError(f"{argument}: expected ids, topics or flags of vectors; got {name!r}{hint}")
    return names


def _counts(results):
    return {verdict: sum(result.verdict is verdict for result in results) for verdict in Verdict}


def _tables(results):
    """Tallies by topic and by flag."""
    by_topic = vector_run.tallies(results, lambda vector: [vector.topic])
    return by_topic, vector_run.tallies(results, lambda vector: vector.flags)


def _text(results):
    counts = _counts(results)
    topics, flags = _tables(results)
    asked = {name: tally for name, tally in sorted(flags.items()) if tally.passed + tally.failed}
    lines = [*_table("topic", topics), "", *_table("flag: the mistake that they catch", asked)]
    suspects = suspects_of(results)
    if suspects:
        lines += ["", "the failures look most like", *(f"  {suspect}" for suspect in suspects)]
    failed = [result for result in results if result.verdict in (Verdict.FAIL, Verdict.XPASS)]
    if failed:
        lines.append("")
    lines += [f"{r.verdict!s:<6}{r.vector.id}: {r.reason or r.verdict.value}" for r in failed[:SHOWN]]
    if len(failed) > SHOWN:
        lines.append(f"... and {len(failed) - SHOWN} more: --json lists all")
    lines += ["", f"{len(results)} vectors: " + ", ".join(f"{n} {verdict}" for verdict, n in counts.items() if n)]
    return "\n".join(lines)


def _table(head, tallies):
    """Lines of name, pass, fail, skip, and the fewest digits of agreement."""
    rows = [(head, "pass", "fail", "skip", "digits")]
    for name, (passed, failed, skipped, digits) in tallies.items():
        rows.append((name, passed, failed, skipped, "" if digits is None else f"{digits:.1f}"))
    return columns(rows)


def _as_dict(results):
    topics, flags = _tables(results)
    return {
        "counts": {str(verdict): n for verdict, n in _counts(results).items()},
        "topics": {name: tally._asdict() for name, tally in topics.items()},
        "flags": {name: tally._asdict() for name, tally in flags.items()},
        "suspects": [suspect._asdict() for suspect in suspects_of(results)],
        "results": [
            {"id": r.vector.id, "verdict": str(r.verdict), "digits": r.digits, "reason": r.reason} for r in results
        ],
    }
