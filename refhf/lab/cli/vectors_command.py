"""`refhf vectors`: runs the test vectors against an implementation in any language, or refhf itself."""

import contextlib
import sys
from pathlib import Path

from refhf import checks, hints
from refhf.conformance.vectors import vector_operations, vector_run
from refhf.conformance.vectors.adapter_process import Adapter
from refhf.conformance.vectors.batch_files import AnswerFile, write_questions
from refhf.conformance.vectors.load_vectors import folder, load, of_topics
from refhf.conformance.vectors.reply_comparison import TOLERANCE, Verdict
from refhf.lab.cli.argument_types import real_number
from refhf.lab.cli.vectors_report import report_dict, report_text, result_lines
from refhf.lab.runs import output_folder

TIMEOUT = 60  # seconds, our choice: the first reply waits for the adapter to start
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
    option("--topics", default="", metavar="T,T", help="topics to ask, such as cg,gradient; default: all")
    option("--timeout", default=TIMEOUT, type=real_number, metavar="S", help="seconds a reply; default: %(default)s")
    option(
        "--tolerance", default=TOLERANCE, type=real_number, metavar="E", help="relative tolerance; default: %(default)s"
    )
    option("--skips", metavar="FILE", help="ids, topics or flags to skip, one a line, # for a comment")
    option("--xfails", metavar="FILE", help="the same, for vectors expected to fail")
    option("--json", action="store_true", help="print JSON, a result for each vector")
    option("--results", metavar="FILE", help="write a line of JSON for each vector to FILE")


def run_vectors_command(args) -> int:
    """Print the report; 1 if a vector failed."""
    modes = {f"--{name}": getattr(args, name) for name in ("adapter", "self", "questions", "answers")}
    given = [mode for mode, value in modes.items() if value not in (None, False)]
    if len(given) != 1:
        raise ValueError(f"vectors: expected one of {', '.join(modes)}; got {' and '.join(given) or 'none'}")
    timeout, tolerance = checks.positive("timeout", args.timeout), checks.positive("tolerance", args.tolerance)
    vectors = of_topics(args.topics)
    names = {name for vector in load() for name in (vector.id, vector.topic, *vector.flags)}
    lists = {name: _names(name, _text(getattr(args, name)), names) for name in ("skips", "xfails")}
    lists["skips"] |= _names("deprecated", (folder() / "DEPRECATED").read_text(encoding="utf-8"), names)
    if args.questions is not None:
        print(f"{write_questions(args.questions, vectors, lists['skips'])} requests: {args.questions}", file=sys.stderr)
        return 0
    with contextlib.ExitStack() as stack:
        file = None if args.results is None else stack.enter_context(open(args.results, "w", encoding="utf-8"))
        if args.adapter is not None:
            ask = stack.enter_context(Adapter(args.adapter, timeout, _say)).ask
        elif args.answers is not None:
            ask = AnswerFile(args.answers, {vector.id for vector in load()}, _say).ask
        else:
            ask = _own_reply
        results = list(_watched(vector_run.run(vectors, ask, tolerance=tolerance, **lists), len(vectors)))
        if file is not None:
            file.writelines(output_folder.to_json(line) + "\n" for line in result_lines(results))
    print(output_folder.to_json(report_dict(results)) if args.json else report_text(results))
    return int(any(result.verdict is Verdict.FAIL for result in results))


def _own_reply(_, request):
    return vector_operations.reply_to(request)


def _say(notice):
    """Print a notice on stderr, over the counter if there is one."""
    print("\r" * sys.stderr.isatty() + notice, file=sys.stderr, flush=True)


def _watched(results, count):
    """The results, with a counter on stderr if it is a terminal."""
    for k, result in enumerate(results, 1):
        if sys.stderr.isatty():
            print(f"\rvector {k} of {count}", end="\n" if k == count else "", file=sys.stderr, flush=True)
        yield result


def _text(file):
    return "" if file is None else Path(file).read_text(encoding="utf-8")


def _names(argument, text, known):
    """The names in a text, one a line; each must be an id, a topic or a flag."""
    names = frozenset(line.split("#")[0].strip() for line in text.splitlines()) - {""}
    for name in sorted(names - known):
        hint = hints.hint(name, sorted(known))
        raise ValueError(f"{argument}: expected ids, topics or flags of vectors; got {name!r}{hint}")
    return names
