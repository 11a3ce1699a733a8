"""The test vectors, the runner that sends them to an implementation, and the example adapters."""

import importlib.util
import json
import math
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import faulty_adapters
import jsonschema
import make_vectors
import numpy as np
import pytest
from hypothesis import settings
from oracle import wrong_blocks, wrong_networks
from processes import long_only

import refhf
from refhf.conformance.vectors import load_vectors, reply_comparison, vector_operations, vector_run
from refhf.conformance.vectors.adapter_process import Adapter
from refhf.conformance.vectors.load_vectors import Vector, compact, load
from refhf.conformance.vectors.network_operations import network_of
from refhf.conformance.vectors.reply_comparison import Verdict
from refhf.conformance.vectors.suspected_mistakes import suspects
from refhf.conformance.vectors.vector_operations import reply_to
from refhf.lab.cli.entry_point import main
from refhf.model import network

ROOT = Path(__file__).parent.parent
ADAPTERS = ROOT / "examples" / "adapters"
FILES = sorted(path for path in Path(str(load_vectors.folder())).iterdir() if path.suffix == ".json")
LIMIT = 100  # seconds: no test waits for it


def command(*words):
    return shlex.join([sys.executable, *map(str, words)])


# The files.


def test_refhf_passes_all(capsys):
    """refhf passes every vector at half the runner's tolerance, through the command."""
    assert main(["vectors", "--self", "--json", "--tolerance", str(reply_comparison.TOLERANCE / 2)]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["counts"]["pass"] == len(load()) >= 300
    assert sorted(row["digits"] for row in said["results"])[len(load()) // 100] > 13  # all but one of a hundred


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_files(path):
    """A file fits the schema, is smaller than 150 kB, has its name as topic, and compact JSON."""
    text = path.read_text(encoding="utf-8")
    document = json.loads(text)
    jsonschema.validate(document, json.loads((path.parent.parent / "schema.json").read_text()))
    assert len(text.encode()) < 150_000
    assert document["topic"] == path.stem
    for line, vector in zip(text.splitlines()[1:-1], document["vectors"], strict=True):
        assert compact(vector) == line.removesuffix(",")


def test_schema_refuses():
    """The schema refuses a vector without provenance, and numbers nested in lists."""
    schema = json.loads((ROOT / "refhf/conformance/vectors/schema.json").read_text())
    good = json.loads(FILES[0].read_text())
    for change in ({"routes": ["one alone"]}, {"reply": {"x": [[1.0]]}}, {"reply": {"x": None}}, {"name": "A b"}):
        bad = {**good, "vectors": [{**good["vectors"][0], **change}]}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, schema)


def test_manifest():
    """Ids are unique; requests and replies match the manifest, so they never change within a version."""
    listed = dict(line.split() for line in (load_vectors.folder() / "MANIFEST").read_text().splitlines())
    assert len(listed) == len(load())
    assert {vector.id: vector.digest for vector in load()} == listed


def test_provenance_and_topics():
    """Each reply has two different routes, and each operation of refhf has vectors."""
    assert all(len(set(vector.routes)) == 2 for vector in load())
    assert {vector.request["operation"] for vector in load()} == {*vector_operations.OPERATIONS}


def test_texts_say_to_what_the_routes_agree():
    """Schema and page have the generator's own number."""
    folder = Path(load_vectors.__file__).parent
    for name in "schema.json", "README.md":
        assert f"agree to {make_vectors.AGREEMENT:.0e}, relative, in each field" in (folder / name).read_text()


@pytest.fixture
def generator(monkeypatch):
    """tests/make_vectors.py, without the flags on file."""
    monkeypatch.setattr(make_vectors, "on_file", dict)
    monkeypatch.setattr(wrong_networks, "STALE", {})  # keeps the first theta it sees
    monkeypatch.setattr(wrong_blocks, "STALE", {})
    return make_vectors


# By default one vector in this many is computed again; all in a long run.
SLOW = {"nonlinearity": 4, "loss": 10, "hf_step": 10, "gradient": 3, "hessian_product": 3, "convolution": 3}
SLOW |= {"residual_network": 18, "transformer": 12, "tied_weights": 7, "bottleneck": 9, "preactivation": 9}
LONG = settings.default.max_examples > 100


@pytest.mark.parametrize("topic", [path.stem for path in FILES])
def test_the_generator_makes_them(generator, topic):
    """The exact and 100-digit computations reproduce the requests and replies of every topic from the names."""
    requests = list(generator.topics.TOPICS[topic][1]())
    stored = {vector.id: vector for vector in load() if vector.topic == topic}
    assert {f"{topic}/{name}": request for name, request in requests} == {v.id: v.request for v in stored.values()}
    for name, request in requests[:: 1 if LONG else SLOW.get(topic, 1)]:
        made, on_file = generator.made(topic, name, request), stored[f"{topic}/{name}"]
        assert made._replace(flags={}) == on_file._replace(flags={})


def test_flags_have_meanings():
    """Each flag has a meaning in words, and no meaning is without a flag."""
    assert set(load_vectors.meanings()) == {flag for vector in load() for flag in vector.flags}


@long_only
def test_flags_are_measured_again(generator):
    """Every flag of every vector is measured again with the same error, and no other: none depends on rounding."""
    for vector in load():
        found = dict(generator.flags(vector))
        assert found.keys() == vector.flags.keys(), vector.id
        for flag, error in found.items():
            assert reply_comparison.alike(vector.flags[flag], error), (vector.id, flag, error)


def test_a_flag_that_rounding_decides_is_refused(generator, monkeypatch):
    """A mistake with an error near the threshold for flags is refused."""
    vector = next(vector for vector in load() if vector.topic == "cg" and "float32" in vector.flags)
    error = vector.flags["float32"]
    for low, high, flagged in ((error / 9, error / 3, True), (3 * error, 9 * error, False)):
        monkeypatch.setattr(generator, "CAUGHT", (low, high))
        assert ("float32" in dict(generator.flags(vector))) is flagged
    monkeypatch.setattr(generator, "CAUGHT", (error / 3, 3 * error))
    with pytest.raises(generator.Disagreement, match="float32: off by .* rounding decides"):
        dict(generator.flags(vector))


def test_flags_on_file_stay(generator, monkeypatch):
    """A flag on file is kept if the error measured is alike, so bytes do not depend on rounding."""
    (vector, *_) = (v for v in load() if v.flags.get("factor-2") == 1.0)
    monkeypatch.setattr(generator, "on_file", lambda: {vector.id: {"factor-2": 1.0}})
    assert generator.bracketed(vector, "factor-2", 1.004) == 1.0
    assert generator.bracketed(vector, "factor-2", 1.02) == 1.02
    assert generator.bracketed(vector, "factor-2", math.inf) == "inf"
    assert generator.bracketed(vector, "sign", 0.12345) == 0.123


def test_the_generator_refuses_what_two_routes_do_not_agree_on():
    """A reply that refhf computes to eight digits only is not stored: 1 - tanh(s)^2 where tanh saturates."""
    with pytest.raises(make_vectors.Disagreement, match="d: off by"):
        make_vectors.made("nonlinearity", "x", {"operation": "nonlinearity", "nonlinearity": "tanh", "s": [9.0]})


@pytest.mark.parametrize(
    ("name", "net"),
    [
        ("residual_network/depth-8", refhf.resnet((4, 4, 1), 8, 2, 2, group=3, nonlinearity="silu")),
        ("transformer/depth-2", refhf.transformer(3, 3, 4, 2, 2, nonlinearity="gelu_tanh")),
        ("tied_weights/transformer", refhf.transformer(3, 3, 4, 2, 1, nonlinearity="gelu_tanh", tied=True)),
        (
            "bottleneck/depth-11",
            refhf.resnet((4, 4, 1), 11, 1, 2, group=3, nonlinearity="silu", block="bottleneck", shortcut="projection"),
        ),
        ("preactivation/depth-8", refhf.resnet((4, 4, 1), 8, 2, 2, group=3, nonlinearity="silu", version="v2")),
    ],
)
def test_whole_networks_are_refhfs(name, net):
    """The requests' lists of blocks are the networks that their docstrings name: the same outputs of the same theta."""
    (vector,) = (vector for vector in load() if vector.id == f"{name}/gradient")
    theta, X = (np.array(vector.request[field]) for field in ("theta", "X"))
    X = X.reshape(vector.request["cases"], -1)
    z = network.forward(network_of(vector.request), theta, X, order=0)[0]
    np.testing.assert_array_equal(z, network.forward(net, theta, X, order=0)[0])


@pytest.mark.parametrize(
    ("topic", "flags"),
    [
        ("layer_norm", ["constant-statistics", "constant-mean", "epsilon-outside-the-root", "unbiased-variance"]),
        ("batch_norm", ["constant-statistics", "constant-mean", "epsilon-outside-the-root", "one-group"]),
        ("attention", ["missing-row-sum", "mask-after-softmax", "sum-over-positions"]),
        ("residual_network", ["constant-statistics", "unbiased-variance", "gauss-newton-for-hessian"]),
        ("transformer", ["constant-mean", "missing-row-sum", "mask-after-softmax", "missing-f''"]),
        ("tied_weights", ["tied-once", "sum-over-positions", "missing-weight-term", "missing-input-term"]),
        ("bottleneck", ["constant-statistics", "constant-mean", "kernel-turned"]),
        ("preactivation", ["constant-statistics", "constant-mean", "d-of-activation"]),
    ],
)
def test_vectors_of_blocks_catch_their_mistakes(topic, flags):
    """A mistake of a block changes H v of a network that has it."""
    caught = {flag for v in load() if v.topic == topic and v.id.endswith("/hessian-product") for flag in v.flags}
    assert set(flags) <= caught


# What the vectors catch.


@pytest.mark.parametrize(("name", "ask"), faulty_adapters.RIGHT, ids=[name for name, _ in faulty_adapters.RIGHT])
def test_no_false_alarm(name, ask):
    """Independently written code without a fault passes."""
    found = faulty_adapters.results(ask)
    assert found
    assert [result.reason for result in found if result.verdict is not Verdict.PASS] == []


def test_every_fault_is_caught():
    """Each fault of `faults` fails a vector (R5); `python tests/faulty_adapters.py` prints the table."""
    caught = {
        name: any(r.verdict is Verdict.FAIL for r in faulty_adapters.results(ask))
        for name, ask in faulty_adapters.WRONG
    }
    assert len(caught) >= 30
    assert [name for name, failed in caught.items() if not failed] == []


@pytest.mark.parametrize(
    ("fault", "flag"),
    [
        ("hessian: G for H", "gauss-newton-for-hessian"),
        ("hessian: no f''", "missing-f''"),
        ("hessian: no Ds V'", "missing-weight-term"),
        ("hessian: no R{a}' Ds", "missing-input-term"),
        ("hessian: no c", "bias-direction"),
        ("hessian: softmax diagonal", "softmax-diagonal"),
        ("hessian: diag(p)", "softmax-outer-product"),
        ("hessian: no loss Hessian", "loss-hessian"),
        ("hessian: out-in", "layout"),
        ("hessian: sign", "sign"),
        ("hessian: 2 for 1", "factor-2"),
        ("hessian: bias zero", "bias"),
        ("hessian: l2 missing", "l2"),
        ("hessian: float32 within", "float32"),
        ("hessian: stale tape", "stale-tape"),
        ("gauss-newton: H for G", "hessian-for-gauss-newton"),
        ("gauss-newton: slope at a", "d-of-activation"),
        ("cg: x0 ignored", "start-ignored"),
        ("cg: M ignored", "preconditioner-ignored"),
        ("cg: preconditioned norm", "preconditioned-norm"),
        ("cg: one too few", "one-too-few"),
        ("cg: one too many", "one-too-many"),
        ("cg: 0 at the limit", "claims-at-limit"),
        ("cg: the count for 0", "never-claims"),
    ],
)
def test_flags_name_the_fault(fault, flag):
    """The suspected mistake is the one that was made."""
    found = faulty_adapters.results(dict(faulty_adapters.WRONG)[fault])
    assert [suspect.flag for suspect in suspects(found)] == [flag]


# The comparison.


def judged(want, got):
    vector = Vector("t/v", "t", {}, {"operation": "o"}, {"x": want}, ("a", "b"))
    return reply_comparison.judged(vector, {"x": got})


@pytest.mark.parametrize(
    ("want", "got"),
    [
        ([1.0, 2.0], [1.0, 2.0 + 1e-13]),
        (3.0, 3),
        ([0.0, 0.0], [0.0, 0.0]),
        ([0.0, 1.0], [1e-13, 1.0]),
        (["nan", 1.0], [float("nan"), 1.0]),
        ("-inf", "-inf"),
        (True, True),
        ("exact", "exact"),
        ([1e-300, 2e-300], [1e-300, 2e-300]),
        ([], []),
    ],
)
def test_agreement(want, got):
    """Lists agree in norm, words and booleans exactly; NaN and Inf may be words or numbers."""
    assert judged(want, got).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("want", "got", "reason"),
    [
        ([1.0, 2.0], [1.0, 2.0 + 1e-11], "off by"),
        ([1.0, 2.0], [1.0], "expected 2 numbers; got 1"),
        ([1.0, 2.0], [[1.0, 2.0]], "expected a flat list of 2 numbers"),
        ([1.0], 1.0, "expected a flat list"),
        (1.0, [1.0], "expected a number"),
        (1.0, True, "expected a number"),
        (1.0, None, "expected a number"),
        (1.0, "one", "expected a number"),
        ([1.0], [10**400], "expected a flat list"),
        ([1.0], [float("nan")], "got nan"),
        ("inf", "-inf", "expected inf"),
        ([0.0], [1e-11], "off by"),
        (True, 1, "expected true; got 1"),
        ("exact", "limit", 'expected "exact"; got "limit"'),
        ([1.0, 1.0], [0.0, None], "got [0.0, null]"),
        ([1e-300], [2e-300], "off by 1.0e+00"),
        ([1e300, 0.0], [-1e300, 1e300], "off by"),
    ],
)
def test_disagreement(want, got, reason):
    """The reason says what is wrong with a field."""
    result = judged(want, got)
    assert result.verdict is Verdict.FAIL
    assert reason in result.reason


def test_missing_and_further_fields():
    """A missing field fails; a further field is ignored."""
    vector = Vector("t/v", "t", {}, {"operation": "o"}, {"x": 1.0}, ("a", "b"))
    assert reply_comparison.judged(vector, {"y": 1.0}).reason == "x: missing"
    assert reply_comparison.judged(vector, {"x": 1.0, "y": 2.0}).verdict is Verdict.PASS


# Adapters.


def run_adapter(words, chosen=None):
    with Adapter(words, LIMIT) as adapter:
        return list(vector_run.run(load() if chosen is None else chosen, adapter.ask))


def holds(results, least, unsupported=()):
    """At least `least` vectors pass, and only expected ones fail."""
    failed = {r.vector.id: r.reason for r in results if r.verdict is Verdict.FAIL and r.vector.id not in unsupported}
    assert failed == {}
    assert sum(result.verdict is Verdict.PASS for result in results) >= least


def test_numpy_adapter(capsys):
    """The NumPy adapter passes all operations that it supports, through the command."""
    assert main(["vectors", "--adapter", command(ADAPTERS / "numpy_adapter.py"), "--timeout", str(LIMIT)]) == 0
    assert "24 pass" in capsys.readouterr().out


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_c_adapter(tmp_path):
    """The C adapter passes."""
    program = tmp_path / "adapter"
    subprocess.run(["cc", "-O1", "-Wall", "-Werror", "-o", program, ADAPTERS / "adapter.c", "-lm"], check=True)
    results = run_adapter(str(program))
    holds(results, 115)
    passed = {r.vector.request["operation"] for r in results if r.verdict is Verdict.PASS}
    assert {"cg", "nonlinearity", "saddle", "gradient", "hessian_product", "gauss_newton_product"} <= passed


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs PyTorch")
def test_torch_adapter():
    """PyTorch's automatic differentiation agrees, except where PyTorch itself loses digits (four vectors)."""
    lines = (ADAPTERS / "torch.xfails").read_text().splitlines()
    expected = {line.split("#")[0].strip() for line in lines} - {""}
    operations = "nonlinearity", "loss", "gradient", "hessian_product", "gauss_newton_product"
    chosen = [v for v in load() if v.request["operation"] in operations]
    holds(run_adapter(command(ADAPTERS / "torch_adapter.py"), chosen), 260, expected)


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="needs JAX")
def test_jax_adapter():
    """JAX agrees, on a few vectors, because it compiles each shape."""
    names = "gradient/tanh-softmax", "hessian_product/tanh-softmax", "gauss_newton_product/tanh-softmax"
    of_blocks = [v for v in load() if "blocks" in v.request and v.id.endswith("hessian-product")]
    chosen = [v for v in load() if v.id in (*names, "convolution/plain/hessian-product")]
    holds(run_adapter(command(ADAPTERS / "jax_adapter.py"), chosen + of_blocks), 4 + len(of_blocks))


# The command.


def names_file(tmp_path, text):
    path = tmp_path / "names"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("argument", ["--skips", "--xfails"])
def test_skips_and_xfails(tmp_path, monkeypatch, capsys, argument):
    """Ids, topics and flags may be skipped or expected to fail; an unexpected failure gives exit status 1."""

    def wrong(request):
        reply = reply_to(request)
        return {**reply, "stop": "wrong"} if request["operation"] == "cg" else reply

    monkeypatch.setattr("refhf.conformance.vectors.vector_operations.reply_to", wrong)
    assert main(["vectors", "--self"]) == 1
    assert 'fail  cg/definite-2: stop: expected "iteration limit"; got "wrong"' in capsys.readouterr().out
    known = names_file(tmp_path, "cg  # not done yet\n\none-too-few\n")
    assert main(["vectors", "--self", argument, known, "--json"]) == 0
    counts = json.loads(capsys.readouterr().out)["counts"]
    cg, few = {v.id for v in load() if v.topic == "cg"}, {v.id for v in load() if "one-too-few" in v.flags}
    assert counts["skip" if argument == "--skips" else "xfail"] == len(cg | few if argument == "--skips" else cg)
    assert counts["xpass"] == (0 if argument == "--skips" else len(few - cg))


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ([], "expected one of --adapter, --self, --questions, --answers; got none"),
        (["--self", "--adapter", "x"], "got --adapter and --self"),
        (["--answers", "no-such-file"], "no-such-file"),
        (["--adapter", ""], "expected a program"),
        (["--adapter", "no-such-program-here"], "expected a program that can be run; got 'no-such-program-here'"),
        (["--adapter", "'"], "expected a command"),
        (["--self", "--timeout", "0"], "timeout: expected a positive number; got 0"),
        (["--self", "--tolerance", "small"], "--tolerance: expected a number; got 'small'"),
        (["--self", "--skips", "no-such-file"], "no-such-file"),
        (["--self", "--skip", "x"], "--skips"),
    ],
)
def test_usage(args, says, capsys):
    """A usage error is one line on stderr and exit status 2."""
    assert main(["vectors", *args]) == 2
    complaint = capsys.readouterr().err
    assert says in complaint
    assert complaint.count("\n") == 1


def test_unknown_names(tmp_path, capsys):
    """An unknown name in a file is refused, with a suggestion."""
    assert main(["vectors", "--self", "--skips", names_file(tmp_path, "missing-f\n")]) == 2
    assert "did you mean \"missing-f''\"?" in capsys.readouterr().err


def test_report_of_a_wrong_product(monkeypatch, capsys):
    """A report names the mistake, the flags with digits of agreement, and the failures."""

    def gauss_newton_for_hessian(request):
        swapped = {"hessian_product": "gauss_newton_product"}
        return reply_to({**request, "operation": swapped.get(request["operation"], request["operation"])})

    monkeypatch.setattr("refhf.conformance.vectors.vector_operations.reply_to", gauss_newton_for_hessian)
    assert main(["vectors", "--self"]) == 1
    said = capsys.readouterr().out
    assert "hessian_product: gauss-newton-for-hessian (explains 73 of 73)" in said
    assert "in place of the Hessian" in said
    assert "... and 53 more" in said


def test_report_of_few_operations(monkeypatch, capsys):
    """Topics without an answer are named in a sentence, and flags have a table only where a vector failed."""

    def gradient_alone(request):
        return reply_to(request) if request["operation"] == "gradient" else {"unsupported": True}

    monkeypatch.setattr("refhf.conformance.vectors.vector_operations.reply_to", gradient_alone)
    assert main(["vectors", "--self"]) == 0
    said = capsys.readouterr().out
    assert "flag:" not in said
    assert re.search(r"^not supported, or skipped: .*hessian_product", said, flags=re.M)
    assert re.search(r"catch \d+ known mistakes", said)


def test_some_topics(tmp_path, capsys):
    """With --topics the vectors of these topics are all that is asked, and written as questions."""
    assert main(["vectors", "--self", "--topics", "saddle, cg", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    asked = {v.id for v in load() if v.topic in ("cg", "saddle")}
    assert {row["id"] for row in said["results"]} == asked
    path = tmp_path / "questions.jsonl"
    assert main(["vectors", "--questions", str(path), "--topics", "cg"]) == 0
    assert {json.loads(line)["id"].split("/")[0] for line in path.read_text().splitlines()} == {"cg"}
    assert main(["vectors", "--self", "--topics", "saddles"]) == 2
    assert "did you mean 'saddle'?" in capsys.readouterr().err


def test_runner_takes_any_callable():
    """The runner accepts any function of (id, request), which may return NumPy numbers."""
    vector = Vector("t/v", "t", {}, {"operation": "o"}, {"x": 1.0}, ("a", "b"))
    (result,) = vector_run.run([vector], lambda _, request: {"x": np.float64(1.0)})
    assert result.verdict is Verdict.PASS
