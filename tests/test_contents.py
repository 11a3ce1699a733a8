"""refhf.lab.runs.checkpoint_contents, progress: a checkpoint whose digest is right and whose content is not (R17)."""

import json
import shutil

import numpy as np
import pytest
from test_ranks_cli import tiny

from refhf.data.data_sets import load
from refhf.driver.registry import METHODS
from refhf.formats import FormatError
from refhf.lab.plots import run_figures
from refhf.lab.runs import checkpoint, run_position
from refhf.lab.runs.network_choice import NetworkChoice
from refhf.lab.runs.run_writer import RunWriter
from refhf.lab.runs.training_problem import pose_problem
from refhf.lab.runs.training_run import execute_run, plan_run

METHODS_TRIED = {"gn-cg": {"curvature_batch": 20}, "nlcg-pr": {"batch": 15}, "replica-newton": {"replicas": 3}}
DEEP = json.loads("[" * 900 + "]" * 900)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """The folders of short runs, by method."""
    folder = tmp_path_factory.mktemp("good")
    problem = pose_problem(load(tiny(folder)), [4])
    for method, options in METHODS_TRIED.items():
        run = plan_run(problem, method, 3, options)
        with RunWriter(folder / method, run, 1) as keeper:
            execute_run(run, keeper=keeper)
    return folder


def put(*path_and_value):
    """A forger: puts a value at a place of the record."""
    *path, last, value = path_and_value

    def change(arrays, record, history):
        for key in path:
            record = record[key]
        record[last] = value

    return change


def array(name, change):
    """A forger of an array."""
    return lambda arrays, record, history: arrays.update({name: np.asarray(change(arrays.get(name)))})


def without(name):
    """A forger of a state that is None, as one that a run has not come to is saved: its array is left out."""

    def change(arrays, record, history):
        record["state"][name] = "NoneType"
        del arrays[name]

    return change


def told(name, value, line=1):
    """A forger of a number in the history."""
    return lambda arrays, record, history: history[line].update({name: value})


def first(value):
    """A forger of an array's first number."""
    return lambda x: np.concatenate([[value], x[1:]]).astype(x.dtype)


FORGED = {
    "negative damping": array("damping", lambda x: -x),
    "NaN damping": array("damping", lambda x: x * np.nan),
    "infinite damping": array("damping", lambda x: x + np.inf),
    "damping of shape (1,)": array("damping", lambda x: x[None]),
    "damping as text": array("damping", lambda x: np.array("0.1")),
    "damping as an integer": array("damping", lambda x: np.array(1)),
    "complex damping": array("damping", lambda x: x + 0j),
    "damping as a vector": array("damping", lambda x: np.zeros(9)),
    "a whole flag": array("after_negative_curvature", lambda x: np.array(3)),
    "no damping": lambda arrays, record, history: arrays.pop("damping"),
    "a short theta": array("theta", lambda x: x[:-1]),
    "theta (1, P)": array("theta", lambda x: x[None]),
    "theta in float32": array("theta", lambda x: x.astype("f4")),
    "theta of integers": array("theta", lambda x: x.astype("i8")),
    "NaN in theta": array("theta", first(np.nan)),
    "Inf in theta": array("theta", first(np.inf)),
    "a short best theta": array("best theta", lambda x: x[:-1]),
    "NaN in the best theta": array("best theta", first(np.nan)),
    "an empty best theta": array("best theta", lambda x: x[:0]),
    "best theta as text": array("best theta", lambda x: x.astype("U")),
    "no best theta": lambda arrays, record, history: arrays.pop("best theta"),
    "a short delta": array("delta", lambda x: x[:3]),
    "an array more": array("stranger", lambda x: np.zeros(3)),
    "step -3": put("step", -3),
    "step 2": put("step", 2),
    "step 1e9": put("step", 10**9),
    "step 3.0": put("step", 3.0),
    "step true": put("step", True),
    "step null": put("step", None),
    "rejected -1": put("rejected", -1),
    "rejected as text": put("rejected", "0"),
    "seconds -1": put("seconds", -1.0),
    "seconds null": put("seconds", None),
    "no seconds": lambda arrays, record, history: record.pop("seconds"),
    "a strange status": put("status", "FINE"),
    "status 0": put("status", 0),
    "status []": put("status", []),
    "k -1": put("progress", "k", -1),
    "k 1.5": put("progress", "k", 1.5),
    "seed -1": put("progress", "seed", -1),
    "seed as text": put("progress", "seed", "1"),
    "a negative count": put("progress", "counts", "curvature_products", -5),
    "a count of 1.5": put("progress", "counts", "value_evaluations", 1.5),
    "epochs as text": put("progress", "counts", "epochs", "1"),
    "no counts": put("progress", "counts", {}),
    "counts []": put("progress", "counts", []),
    "progress []": put("progress", []),
    "no progress": lambda arrays, record, history: record.pop("progress"),
    "another method": put("facts", "method", "nlcg-dy"),
    "no method of all": put("facts", "method", "magic"),
    "method []": put("facts", "method", []),
    "facts null": put("facts", None),
    "no facts": lambda arrays, record, history: record.pop("facts"),
    "other parameters": put("facts", "parameters", 3),
    "another dtype": put("facts", "dtype", "float32"),
    "state []": put("state", []),
    "no delta in the state": lambda arrays, record, history: record["state"].pop("delta"),
    "theta None": without("theta"),
    "theta None, and an array": put("state", "theta", "NoneType"),
    "no theta": lambda arrays, record, history: arrays.pop("theta"),
    "damping None": without("damping"),
    "a state more": put("state", "stranger", "float"),
    "a deep status": put("status", DEEP),
    "a deep step": put("step", DEEP),
    "an empty history": lambda arrays, record, history: history.clear(),
    "a line less": lambda arrays, record, history: history.pop(),
    "a line twice": lambda arrays, record, history: history.append(history[-1]),
    "lines in another order": lambda arrays, record, history: history.reverse(),
    "a line without a loss": lambda arrays, record, history: history[1].pop("loss"),
    "a line with more": told("more", 1),
    "a list as a line": lambda arrays, record, history: history.__setitem__(1, []),
    "null as a line": lambda arrays, record, history: history.__setitem__(1, None),
    "loss as text": told("loss", "1"),
    "loss true": told("loss", True),
    "loss []": told("loss", []),
    "a nested loss": told("loss", [[[]]]),
    "iterations 1.5": told("solver_iterations", 1.5),
    "negative products": told("curvature_products", -1),
    "outcome 3": told("outcome", 3),
    "a flag null": told("negative_curvature", None),
    "step of a line": told("step", 2),
}
OF_OTHERS = {
    "nlcg-pr": {
        "negative scale": array("scale", lambda x: -x),
        "NaN scale": array("scale", lambda x: x * np.nan),
        "negative skipped": array("skipped", lambda x: np.array(-1)),
        "floored 1.5": array("floored", lambda x: np.array(1.5)),
        "a long direction": array("d", lambda x: np.append(x, 0)),
    },
    "replica-newton": {
        "a replica less": array("displacements", lambda x: x[:-1]),
        "displacements None": without("displacements"),
        "one row of them": array("displacements", lambda x: x[0]),
        "another number of replicas": put("facts", "replicas", 2),
        "negative bytes": array("bytes_communicated", lambda x: np.array(-1)),
    },
}
ALL = [("gn-cg", name, change) for name, change in FORGED.items()]
ALL += [(method, name, change) for method, forged in OF_OTHERS.items() for name, change in forged.items()]


def written(folder, arrays, record, content):
    """Write a checkpoint, and the history that it says it goes with."""
    (folder / run_position.HISTORY).write_bytes(content)
    digest = run_position.history_digest(content).hexdigest()
    checkpoint.save_checkpoint(
        folder / checkpoint.CHECKPOINT_NAME, arrays, record | {"history": {"bytes": len(content), "digest": digest}}
    )


@pytest.mark.parametrize(("method", "name", "change"), ALL, ids=[name for _, name, _ in ALL])
def test_what_no_run_comes_to_is_refused(method, name, change, good, tmp_path):
    """R17: a right digest and a wrong content: one FormatError that names the checkpoint, or its history."""
    arrays, record = checkpoint.load_checkpoint(good / method / checkpoint.CHECKPOINT_NAME)
    history = [json.loads(line) for line in (good / method / run_position.HISTORY).read_text().splitlines()]
    written(tmp_path, arrays, record, run_position.history_lines(history))
    assert run_position.load_position(tmp_path / checkpoint.CHECKPOINT_NAME).step == 3
    change(arrays, record, history)
    written(tmp_path, arrays, record, run_position.history_lines(history))
    with pytest.raises(FormatError) as failure:
        run_position.load_position(tmp_path / checkpoint.CHECKPOINT_NAME)
    assert failure.value.path in (tmp_path / checkpoint.CHECKPOINT_NAME, tmp_path / run_position.HISTORY)


CONTENTS = [b"", b"\n", b"{", b"[" * 10**5 + b"\n", b"\xff\n", b"1" * 5000 + b"\n", b"NaN\n", b"\x00\n", b"null\n"]


@pytest.mark.parametrize("content", CONTENTS, ids=[str(content[:9]) for content in CONTENTS])
def test_a_history_of_something_else(content, good, tmp_path):
    """R17: the same for a history that is no JSON, too deep, or of other things."""
    written(tmp_path, *checkpoint.load_checkpoint(good / "gn-cg" / checkpoint.CHECKPOINT_NAME), content)
    with pytest.raises(FormatError, match=r"history\.jsonl: "):
        run_position.load_position(tmp_path / checkpoint.CHECKPOINT_NAME)


@pytest.mark.parametrize(
    "text", ['{"step": 1e999}', '{"step": NaN}', '{"a":' * 9000, "[" * 9000, '{"step": ' + "1" * 5000]
)
def test_a_record_that_is_no_record(text, good, tmp_path):
    """R17: NaN, 1e999, deep nesting and long numbers in a record: a FormatError of the file, from any reader of it."""
    arrays, _ = checkpoint.load_checkpoint(good / "gn-cg" / checkpoint.CHECKPOINT_NAME)
    for whole in text, '{"format": 1, "digest": "0", "x": ' + text + "}":
        np.savez(tmp_path / checkpoint.CHECKPOINT_NAME, record=np.frombuffer(whole.encode(), np.uint8), **arrays)
        for read in checkpoint.load_checkpoint, run_position.load_position:
            with pytest.raises(FormatError, match=r"checkpoint\.npz: "):
                read(tmp_path / checkpoint.CHECKPOINT_NAME)


def test_a_history_that_is_not_there(good, tmp_path):
    """A checkpoint without its history, or with one that is shorter or another, is refused by the history's name."""
    shutil.copy(good / "gn-cg" / checkpoint.CHECKPOINT_NAME, tmp_path)
    content = (good / "gn-cg" / run_position.HISTORY).read_bytes()
    for wrong in None, b"", content[:-1], content[:50] + b" " + content[51:]:
        if wrong is not None:
            (tmp_path / run_position.HISTORY).write_bytes(wrong)
        with pytest.raises(FormatError, match=r"history\.jsonl: "):
            run_position.load_position(tmp_path / checkpoint.CHECKPOINT_NAME)
    (tmp_path / run_position.HISTORY).write_bytes(content + b"torn")
    assert run_position.load_position(tmp_path / checkpoint.CHECKPOINT_NAME).step == 3


def test_no_option_has_the_name_of_another_fact(good):
    """The facts are one list of names: no method's option is called as something else that decides a run."""
    known = {
        "method",
        "sizes",
        "parameters",
        "dtype",
        "nonlinearity",
        "loss",
        "l2",
        "seed",
        "reduction",
        "data",
        "steps",
        *NetworkChoice._fields,
    }
    assert all(not known & {*method.family.options._fields} for method in METHODS.values())


def test_a_checkpoint_costs_the_same_at_any_step(tmp_path, monkeypatch):
    """A checkpoint's size does not grow with the number of steps, and the history is written once."""
    monkeypatch.setattr(run_figures, "save_figure", lambda *_: None)
    problem = pose_problem(load(tiny(tmp_path)), [4])
    run, sizes = plan_run(problem, "gradient-descent", 300), {}

    def look(record):
        if record["step"] in (10, 300):
            sizes[record["step"]] = (tmp_path / "run" / checkpoint.CHECKPOINT_NAME).stat().st_size

    with RunWriter(tmp_path / "run", run, 10) as keeper:
        history = execute_run(run, look, keeper).history
    assert abs(sizes[300] - sizes[10]) < 50
    assert (tmp_path / "run" / run_position.HISTORY).read_bytes() == run_position.history_lines(history)
