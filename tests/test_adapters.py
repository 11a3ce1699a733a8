"""Programs that answer test vectors: hostile ones, files of replies, and the example adapters in other languages."""

import json
import shlex
import shutil
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import pytest

from refhf.conformance.vectors import adapter_process, reply_comparison, vector_run
from refhf.conformance.vectors.adapter_process import MOST, Adapter, NoReply
from refhf.conformance.vectors.batch_files import AnswerFile
from refhf.conformance.vectors.load_vectors import RELEASE, Vector, load
from refhf.conformance.vectors.reply_comparison import Verdict
from refhf.lab.cli import vectors_command
from refhf.lab.cli.entry_point import main

ADAPTERS = Path(__file__).parent.parent / "examples" / "adapters"
LONG = 100  # seconds: no test waits for it

# Each body is indented into `for line in sys.stdin:`; q is the request, good its right reply.
HOSTILE = """\
import json, os, signal, subprocess, sys, time
{start}
earlier = ""
for line in sys.stdin:
    q = json.loads(line)
    good = json.dumps({{"id": q["id"], "x": q["x"]}}) + "\\n"
    {body}
    sys.stdout.write(good)
    sys.stdout.flush()
"""


@pytest.fixture
def hostile(tmp_path):
    """A function of (body, start, timeout, notice) that makes an `Adapter`; all are ended."""
    made = []

    def make(body="pass", start="", timeout=LONG, notice=print):
        program = tmp_path / f"{len(made)}.py"
        program.write_text(HOSTILE.format(start=start, body=body))
        made.append(Adapter(shlex.join([sys.executable, "-S", "-E", str(program)]), timeout, notice))
        return made[-1]

    yield make
    for adapter in made:
        adapter.end()


def vectors(count, operations=None):
    """Vectors t/0, t/1, ..., each of an operation of its own by default."""
    names = operations or [f"o{k}" for k in range(count)]
    return [Vector(f"t/{k}", "t", {}, {"operation": names[k], "x": 1.0}, {"x": 1.0}, ("a", "b")) for k in range(count)]


def verdicts(results):
    return [str(result.verdict) for result in results]


SENTENCES = {
    "exits": ("os._exit(0)", "the adapter ended with status 0"),
    "is killed": ("os.kill(os.getpid(), 9)", "the adapter was ended by signal 9"),
    "raises": ("1 / 0", "the adapter ended with status 1: ZeroDivisionError: division by zero"),
    "raises in Node": (
        "sys.stderr.write('ReferenceError: f is unknown\\n\\nNode.js v20.20.2\\n'); sys.stderr.flush(); os._exit(1)",
        "the adapter ended with status 1: ReferenceError: f is unknown",
    ),
    "raises in GNU Octave": (
        "sys.stderr.write('error: x undefined\\nerror: ignoring an exception& while preparing to exit\\n');"
        " sys.stderr.flush(); os._exit(1)",
        "the adapter ended with status 1: error: x undefined",
    ),
    "prints other things": ("print('iteration 1: f = 3')", "the reply is not JSON (other text belongs on stderr): 'it"),
    "prints a number": ("good = '3\\n'", "the reply is not a JSON object: '3"),
    "leaves the id out": ("good = '{}\\n'", "the reply has no id: '{}"),
    "has a list for an id": ("good = '{\"id\":[1]}\\n'", 'the reply has no id: \'{"id":[1]}'),
    "answers another question": ("good = good.replace('t/', 'u/')", "the reply has another id: 'u/0'"),
    "does not end its line": ("sys.stdout.write(good[:9]); sys.stdout.flush(); os._exit(0)", "not a line of at most"),
    "prints binary": ("sys.stdout.buffer.write(bytes(range(128, 256)) + b'\\n')", "the reply is not JSON"),
    "nests without end": ("good = '{\"id\":' * 10**5 + '\\n'", "the reply is not JSON"),
}


@pytest.mark.parametrize("body,sentence", SENTENCES.values(), ids=SENTENCES)
def test_each_fault_has_a_sentence(hostile, body, sentence):
    """Each way to have no valid reply has its sentence, printable and short."""
    (result,) = vector_run.run(vectors(1), hostile(body).ask)
    assert result.verdict is Verdict.FAIL
    assert sentence in result.reason
    assert result.reason.isprintable() and len(result.reason) < 250


def test_a_line_of_200_megabytes(hostile):
    """The runner holds a few times the largest reply, however long a line is."""
    adapter = hostile("good = 'x' * 2 * 10**8 + '\\n'")
    tracemalloc.start()
    try:
        (result,) = vector_run.run(vectors(1), adapter.ask)
        assert tracemalloc.get_traced_memory()[1] < 8 * MOST
    finally:
        tracemalloc.stop()
    assert f"the reply is not a line of at most {MOST} bytes" in result.reason


def test_two_answers_to_one_question(hostile):
    """A second reply fails the next request, which it arrives for, and the sentence names its own request."""
    results = list(vector_run.run(vectors(2), hostile("good += good").ask))
    assert verdicts(results) == ["pass", "fail"]
    assert results[1].reason == "the reply is a second one to 't/0'"


def test_answers_out_of_order(hostile):
    """A program that reads two requests before it answers hangs; as a file its replies are right in any order."""
    adapter = hostile("if not earlier: earlier = good; continue", timeout=0.4)
    (result,) = vector_run.run(vectors(1), adapter.ask)
    assert result.reason.startswith("no reply in 0.4 s (")
    assert result.reason.endswith("try --questions)")


def test_a_hanging_program_is_given_up(hostile):
    """After three requests in vain, of any operations, no more are sent to a program that never replied."""
    results = list(vector_run.run(vectors(6), hostile("time.sleep(100)", timeout=0.2).ask))
    assert all("no reply in 0.2 s (a slow start, a line not flushed" in result.reason for result in results[:3])
    assert {result.reason for result in results[3:]} == {"not sent: none of 3 requests had a reply in time"}


def test_a_program_that_hangs_at_times_is_not_given_up(hostile):
    """A program that has replied is asked for all operations, whichever hang."""
    adapter = hostile("if q['operation'] == 'hang': time.sleep(100)", timeout=0.5)
    operations = ["good", "hang", "hang", "hang", "hang", "good"]
    results = list(vector_run.run(vectors(6, operations), adapter.ask))
    assert verdicts(results) == ["pass", "fail", "fail", "fail", "fail", "pass"]
    assert results[1].reason.startswith("no reply in 0.5 s (a line not flushed? ")
    assert results[4].reason == "not sent: 3 requests of this operation had no valid reply"


def test_a_program_that_dies_at_times_is_not_given_up(hostile):
    """Programs that die are asked for the other operations, even before their first reply."""
    adapter = hostile("q['operation'] == 'die' and os._exit(1)")
    results = list(vector_run.run(vectors(5, ["die", "die", "die", "die", "good"]), adapter.ask))
    assert verdicts(results) == ["fail"] * 4 + ["pass"]


def test_a_program_that_greets_is_not_started_for_each_request(hostile):
    """A program whose first line is no reply is asked three times an operation, not for all vectors."""
    adapter = hostile(start="print('ready', flush=True)")
    results = list(vector_run.run(vectors(6, ["a"] * 6), adapter.ask))
    assert ["not JSON" in result.reason for result in results] == [True] * 3 + [False] * 3
    assert results[5].reason == "not sent: 3 requests of this operation had no valid reply"


def test_a_slow_start_is_waited_for(hostile, monkeypatch):
    """The first reply waits for the start; the user is told in one line what is waited for."""
    monkeypatch.setattr(adapter_process, "NOTICE", 0.1)
    said = []
    adapter = hostile(start="time.sleep(0.5)", notice=said.append)
    assert verdicts(vector_run.run(vectors(3), adapter.ask)) == ["pass"] * 3
    assert said[:1] == [f"waiting for the reply to t/0, up to {LONG} s (--timeout)"]


def test_a_start_that_is_too_slow(hostile):
    """A program that needs longer to start than the limit is told of as such."""
    (result,) = vector_run.run(vectors(1), hostile(start="time.sleep(60)", timeout=0.2).ask)
    assert "a slow start" in result.reason


def test_a_child_that_keeps_the_pipe(hostile):
    """A grandchild out of reach that holds the output open delays the end by a second at most."""
    child = "subprocess.Popen(['sleep', '3'], start_new_session=True); os._exit(0)"
    begun = time.monotonic()
    (result,) = vector_run.run(vectors(1), hostile(child, timeout=0.5).ask)
    assert "no reply in 0.5 s" in result.reason
    assert time.monotonic() - begun < 2.9


def test_a_fault_costs_one_request(hostile):
    """After a request without a valid reply the program is started again, and right for the next."""
    adapter = hostile("if q['id'] == 't/1': good = 'x\\n'")
    assert verdicts(vector_run.run(vectors(3), adapter.ask)) == ["pass", "fail", "pass"]


def test_a_loud_program_fills_nothing(hostile):
    """The runner keeps the end of a long stderr, which does not block the program, and shows its last line."""
    adapter = hostile("sys.stderr.write('x' * 10**7 + '\\nthe last line\\n'); sys.stderr.flush(); os._exit(3)")
    (result,) = vector_run.run(vectors(1), adapter.ask)
    assert result.reason == "the adapter ended with status 3: the last line"
    assert len(adapter.errors) <= 2000


def test_a_closed_output(hostile):
    """A program that closes its output is not waited for."""
    (result,) = vector_run.run(vectors(1), hostile("os.close(1); time.sleep(100)").ask)
    assert result.reason == "the adapter closed its output"


def test_a_program_that_reads_nothing(hostile):
    """A request longer than a pipe holds does not block the runner."""
    with pytest.raises(NoReply, match="no reply"):
        hostile(start="time.sleep(100)", timeout=0.3).ask("t/x", {"x": [0.0] * 100_000})


@pytest.mark.parametrize("text", ["\x1b[31m red", "\ud800", "a\nb\r\x07", "\u202e", "\x00"])
def test_text_of_programs_is_escaped(text):
    """Replies and errors of a program are escaped in the reason."""

    def dies(*_):
        raise NoReply(f"the adapter ended with status 3: {text}")

    results = list(vector_run.run(vectors(1), dies))
    results += [reply_comparison.judged(vectors(1)[0], {"x": reply}) for reply in (text, [text], {text: 1}, [[text]])]
    results.append(reply_comparison.judged(Vector("t/w", "t", {}, {}, {"stop": "converged"}, ()), {"stop": text}))
    for result in results:
        assert result.verdict is Verdict.FAIL
        assert result.reason.isprintable()
        result.reason.encode()


@pytest.mark.parametrize("depth", [1, 300, 900, 960, 980, 990])
def test_nested_fields(hostile, depth):
    """A field of lists within lists fails with a sentence, at any depth."""
    good = f'\'{{"id":"t/0","x":{"[" * depth + "]" * depth}}}\\n\''
    (result,) = vector_run.run(vectors(1), hostile(f"good = {good}").ask)
    assert result.verdict is Verdict.FAIL and len(result.reason) < 250


def test_a_timeout_of_centuries(hostile, monkeypatch):
    """A time limit longer than the system's longest is that."""
    monkeypatch.setattr(adapter_process, "NOTICE", 0.1)
    assert verdicts(vector_run.run(vectors(1), hostile(start="time.sleep(0.3)", timeout=1e300).ask)) == ["pass"]


# Requests and replies as files.


def test_files_and_dialogue_agree(tmp_path, capsys):
    """A program asked by files has the report that it has in a dialogue, and skipped vectors are not asked."""
    questions, answers, skips = tmp_path / "q.jsonl", tmp_path / "a.jsonl", tmp_path / "skips"
    skips.write_text("gradient\n")
    program = [sys.executable, str(ADAPTERS / "numpy_adapter.py")]
    given = ["--skips", str(skips), "--json"]
    assert main(["vectors", "--questions", str(questions), *given]) == 0
    asked = [json.loads(line)["id"] for line in questions.read_text().splitlines()]
    assert asked == [vector.id for vector in load() if vector.topic != "gradient" and "gradient" not in vector.flags]
    with open(questions) as file, open(answers, "w") as out:
        subprocess.run(program, stdin=file, stdout=out, check=True)
    answers.write_text("".join(reversed(answers.read_text().splitlines(keepends=True))))
    capsys.readouterr()
    assert main(["vectors", "--answers", str(answers), *given]) == 0
    by_files = capsys.readouterr()
    assert main(["vectors", "--adapter", shlex.join(program), *given]) == 0
    assert by_files.out == capsys.readouterr().out
    assert by_files.err == ""


def test_a_broken_file_of_replies(tmp_path):
    """Missing and double replies fail; other lines are counted, and the first is shown."""
    replies = {k: json.dumps({"id": f"t/{k}", "x": 1.0}) for k in range(3)}
    path, said = tmp_path / "a.jsonl", []
    path.write_text(
        "\n".join(["hello", replies[0], replies[2], replies[2], "[" * 3 * MOST, '{"id":"u/7"}', '{"id":"t/1'])
    )
    results = list(vector_run.run(vectors(3), AnswerFile(path, {"t/0", "t/1", "t/2"}, said.append).ask))
    assert [result.reason for result in results] == ["", "the file has no reply", "the file has several replies"]
    assert said == [
        f"{path}: 4 of 7 lines are no replies; line 1: the reply is not JSON (other text belongs on stderr): 'hello'"
    ]


def test_an_empty_file_of_replies(tmp_path):
    """An empty file is no crash."""
    path = tmp_path / "a.jsonl"
    path.write_text("")
    with pytest.raises(NoReply, match="the file has no reply"):
        AnswerFile(path, {"t/0"}).ask("t/0", {})


# Results.


def test_lines_of_results(tmp_path, capsys):
    """`--results` writes a line of JSON for each vector, with the documented keys, as `--json` lists them."""
    path = tmp_path / "results.jsonl"
    program = shlex.join([sys.executable, str(ADAPTERS / "numpy_adapter.py")])
    assert main(["vectors", "--adapter", program, "--results", str(path), "--json"]) == 0
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines == json.loads(capsys.readouterr().out)["results"]
    assert [line["id"] for line in lines] == [vector.id for vector in load()]
    assert {tuple(line) for line in lines} == {("vectors", "id", "operation", "verdict", "digits", "reason")}
    assert {line["vectors"] for line in lines} == {RELEASE}
    assert {line["verdict"] for line in lines} == {"pass", "skip"}


def test_deprecated_vectors_are_not_sent(tmp_path, monkeypatch, capsys):
    """A vector in the list of deprecated ones is skipped; the list names ids, topics or flags only."""
    monkeypatch.setattr(vectors_command, "folder", lambda: tmp_path)
    (tmp_path / "DEPRECATED").write_text("cg/definite-2  # 1.2.0: an example\n")
    assert main(["vectors", "--self", "--json"]) == 0
    assert [row["id"] for row in json.loads(capsys.readouterr().out)["results"] if row["verdict"] == "skip"] == [
        "cg/definite-2"
    ]
    (tmp_path / "DEPRECATED").write_text("cg/definite-3000\n")
    assert main(["vectors", "--self"]) == 2


def test_one_reason_is_one_line(monkeypatch, capsys):
    """All vectors that had no reply for one reason are one line of the report."""

    def dead(request):
        raise NoReply("the adapter ended with status 1")

    monkeypatch.setattr("refhf.conformance.vectors.vector_operations.reply_to", dead)
    assert main(["vectors", "--self"]) == 1
    failures = [line for line in capsys.readouterr().out.splitlines() if line.startswith("fail  ")]
    assert len(failures) == 2
    assert failures[0].endswith(" more: the adapter ended with status 1")
    assert failures[1].endswith(" more: not sent: 3 requests of this operation had no valid reply")


# The examples in other languages.

EXAMPLES = {  # the words that run it, or compile it
    "node_adapter.js": "node {source}",
    "octave_adapter.m": "octave-cli -q {source}",
    "adapter.jl": "julia --startup-file=no {source}",
    "adapter.rs": "rustc -D warnings -o {program} {source}",
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples(name, tmp_path):
    """The example adapters in other languages pass all operations that they support."""
    program = str(tmp_path / "adapter")
    words = [word.format(source=ADAPTERS / name, program=program) for word in EXAMPLES[name].split()]
    if shutil.which(words[0]) is None:
        pytest.skip(f"needs {words[0]}")
    if program in words:
        subprocess.run(words, check=True)
        words = [program]
    with Adapter(shlex.join(words), LONG) as adapter:
        results = list(vector_run.run(load(), adapter.ask))
    assert [(r.vector.id, r.reason) for r in results if r.verdict is Verdict.FAIL] == []
    assert sum(result.verdict is Verdict.PASS for result in results) >= 210
