"""refhf.lab.sweep: what is run, what a line says, how a file is resumed, what the table and the picture say."""

import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from processes import OWN_WARNINGS, room_for
from short_runs import save_tiny, signal_at, timeless, tiny
from test_checkpoint import HOLD

from refhf.data.data_sets import DataSet
from refhf.driver.registry import METHODS
from refhf.formats import FormatError
from refhf.lab.cli import entry_point
from refhf.lab.plots import run_figures
from refhf.lab.runs import training_run
from refhf.lab.runs.network_choice import NetworkChoice
from refhf.lab.runs.training_problem import pose_problem
from refhf.lab.sweep import sweep_figure, sweep_summary
from refhf.lab.sweep import sweep_runs as sweep_lines
from refhf.lab.sweep.sweep_grid import Configuration, SweepSetting, batch_option, configurations
from refhf.lab.sweep.sweep_runs import run_sweep
from refhf.methods.schedules import warm_up_then_decay

ROOT = Path(__file__).parent.parent


DATA = tiny()
SETTING = SweepSetting(DATA, (4,), steps=3, targets=(0.5, 0.0))
CELLS = configurations(["sgd", "gn-cg", "newton"], [8, 16], range(2), {"damping": 1.0}, {"learning_rate": [0.1, 1.0]})


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    path = tmp_path_factory.mktemp("sweep") / "runs.jsonl"
    return path, run_sweep(SETTING, CELLS, path)


def test_cells_are_the_cross_product():
    """Methods x batches x grids x seeds, a method without a batch once a seed, options where they are known."""
    assert [(c.method, c.batch, c.options) for c in CELLS if c.seed == 1] == [
        ("sgd", 8, {"learning_rate": 0.1}),
        ("sgd", 8, {"learning_rate": 1.0}),
        ("sgd", 16, {"learning_rate": 0.1}),
        ("sgd", 16, {"learning_rate": 1.0}),
        ("gn-cg", 8, {"damping": 1.0}),
        ("gn-cg", 16, {"damping": 1.0}),
        ("newton", None, {"damping": 1.0}),
    ]
    assert [c.seed for c in CELLS] == [0] * 7 + [1] * 7


def test_every_method_can_be_swept():
    """Each method has one option that is its batch, or none, and a run of two steps has a line."""
    for method in METHODS:
        assert len({"batch", "curvature_batch"} & {*METHODS[method].options}) == (batch_option(method) is not None)
    setting = SweepSetting(DATA, (), steps=2)
    names = [name for name in METHODS if name != "replica-newton"]
    found = run_sweep(setting, configurations(names, [8], range(1)))
    assert [line["method"] for line in found] == names
    assert {line["steps"] for line in found} == {2}


def test_lines_are_those_of_single_runs(lines):
    """A line says what `lab.runs` says of the same run: ends, counts, curve, and the first step at a target."""
    for cell, line in zip(CELLS, lines[1], strict=True):
        batch = {} if cell.batch is None else {batch_option(cell.method): cell.batch}
        problem = pose_problem(DATA, (4,), seed=cell.seed)
        result = training_run.execute_run(training_run.plan_run(problem, cell.method, 3, batch | cell.options))
        last = result.history[-1]
        assert line["status"] == "steps done"
        assert line["steps"] == last["step"] == 3
        assert line["options"] == cell.options
        assert line["options"] | line["defaults"] | batch == json.loads(json.dumps(result.run.options))
        assert not line["defaults"].keys() & {*line["options"], *batch}
        for key in ("loss", "training_error", "test_error", "epochs", "gradient_evaluations", "curvature_products"):
            assert line[key] == last[key]
        np.testing.assert_allclose(line["curve"]["loss"], [record["loss"] for record in result.history], rtol=1e-4)
        for target, reached in zip(SETTING.targets, line["reached"], strict=True):
            first = next((record["step"] for record in result.history if record["training_error"] <= target), None)
            assert (reached and reached["step"]) == first


def test_resume_runs_only_what_is_missing(lines, tmp_path, monkeypatch):
    """After a cut anywhere in the file, the same lines come back, and exactly the runs cut away are made again."""
    path, whole = lines
    content = path.read_bytes()
    ends = [i + 1 for i, byte in enumerate(content) if byte == ord("\n")]
    made = []
    monkeypatch.setattr(sweep_lines, "_line", lambda setting, cell, *_: made.append(cell) or known[repr(cell)])
    known = {
        repr(cell): {key: value for key, value in line.items() if key != "setting"}
        for cell, line in zip(CELLS, whole, strict=True)
    }
    for cut in (0, 1, ends[0] - 1, ends[0], ends[4] + 7, len(content) - 1, len(content)):
        torn = tmp_path / f"{cut}.jsonl"
        torn.write_bytes(content[:cut])
        made.clear()
        heard = []
        assert run_sweep(SETTING, CELLS, torn, lambda line, resumed, heard=heard: heard.append(resumed)) == whole
        kept = sum(end <= cut for end in ends)
        assert made == CELLS[kept:]
        assert heard == [True] * kept + [False] * (len(CELLS) - kept)
        assert torn.read_bytes() == content


def test_a_changed_line_is_refused(lines, tmp_path):
    """A line in which a bit was flipped, or a digit changed, is refused by its file and its number."""
    content = lines[0].read_bytes()
    path, rng, refused = tmp_path / "runs.jsonl", np.random.default_rng(0), 0
    first = content.index(b"\n") + 1
    changed = [content.replace(b'"loss": ', b'"loss": 1', 1), content.replace(b'"seed": 0', b'"seed": 7', 1)]
    for bit in rng.integers(8 * first, size=40):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        changed.append(bytes(flipped))
    for other in changed:
        path.write_bytes(other)
        with pytest.raises(ValueError, match=r"runs\.jsonl: line 1: "):
            run_sweep(SETTING, CELLS[:1], path)
        refused += path.read_bytes() == other
    assert refused == 42


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="needs links that can be told from files")
@pytest.mark.parametrize("name", ["runs.jsonl", "sweep.png", "sweep.png.part"])
@pytest.mark.parametrize("text", ["", "thesis", '{"method": "'])
def test_a_planted_link_is_not_followed(name, text, refhf_cli, tmp_path):
    """The target of a link in a sweep's folder is neither written nor truncated."""
    (tmp_path / "precious").write_text(text)
    (tmp_path / "out").mkdir()
    if name != "runs.jsonl":
        (tmp_path / "out" / "runs.jsonl").touch()
    (tmp_path / "out" / name).symlink_to(tmp_path / "precious")
    status, _, err = refhf_cli("--methods", "newton", "--batches", "8", "--seeds", "1", "--steps", "1", "--quiet")
    assert (tmp_path / "precious").read_text() == text
    assert (status, "runs.jsonl: expected a file; found a link" in err) == (
        (2, True) if name == "runs.jsonl" else (0, False)
    )


@pytest.mark.parametrize("stop", [1, 3, 5, 9])
def test_an_interrupted_run_is_taken_up(stop, tmp_path):
    """An interrupted run stops after its current step and resumes there: the same lines, and no step twice."""
    setting, chosen = SETTING._replace(stop_at_target=True), configurations(["sgd", "gn-cg"], [8], range(2))
    whole = run_sweep(setting, chosen)
    path, calls = tmp_path / "runs.jsonl", []
    steps = sum(line["steps"] + 1 for line in whole)
    assert steps > 10
    rows, asked = [], (lambda: calls.append(1) or len(calls) == stop)
    found = run_sweep(setting, chosen, path, lambda line, resumed: rows.append(resumed), asked)
    assert found == json.loads(json.dumps(found))
    assert len(found) < len(chosen)
    assert len(list(tmp_path.iterdir())) == 2
    again = run_sweep(setting, chosen, path, asked=lambda: calls.append(1))
    assert timeless(again) == timeless(whole)
    assert len(calls) <= steps
    assert [file.name for file in tmp_path.iterdir()] == ["runs.jsonl"]


def test_a_run_put_down_is_held_to_its_setting(tmp_path):
    """An interrupted run resumes only with its own settings; others are refused by name; other cells may differ."""
    path, one = tmp_path / "runs.jsonl", [Configuration("gn-cg", 8, 0, {})]
    calls = []
    assert run_sweep(SETTING, one, path, asked=lambda: calls.append(1) or len(calls) == 2) == []
    (folder,) = (file for file in tmp_path.iterdir() if file.is_dir())
    for change, named in ({"steps": 9}, "setting steps"), ({"l2": 0.1}, "l2"), ({"targets": ()}, "setting targets"):
        with pytest.raises(ValueError, match=f"^{named}: expected .*, as in {folder}"):
            run_sweep(SETTING._replace(**change), one, path)
    assert len(run_sweep(SETTING, [Configuration("newton", None, 0, {})], path)) == 1
    torn = folder / "checkpoint.npz"
    torn.write_bytes(torn.read_bytes()[:-40])
    with pytest.raises(FormatError, match=r"checkpoint\.npz: "):
        run_sweep(SETTING, one, path)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_loses_no_step(number, code, refhf_cli, tmp_path, monkeypatch):
    """A signal ends a sweep after the step in hand, in one line; the same command goes on, with the same numbers."""
    monkeypatch.setattr(run_figures, "save_figure", lambda *_: None)
    monkeypatch.setattr(sweep_figure, "draw_sweep", lambda *_: None)
    words = ["--methods", "gn-cg", "--batches", "8", "--seeds", "2", "--steps", "4", "--quiet"]
    assert refhf_cli(*words)[0] == 0
    lines = tmp_path / "out" / "runs.jsonl"
    whole = [json.loads(line) for line in lines.read_text().splitlines()]
    lines.write_bytes(b"")
    calls = signal_at(monkeypatch, 8, number)
    assert refhf_cli(*words) == (code, "", "refhf: interrupted; the same command resumes the sweep\n")
    assert refhf_cli(*words)[0] == 0
    assert len(calls) == 10
    assert timeless([json.loads(line) for line in lines.read_text().splitlines()]) == timeless(whole)


def test_more_cells_may_join(lines, tmp_path):
    """A file takes further methods, batches and seeds of its setting; what it has is not run again."""
    path = tmp_path / "runs.jsonl"
    path.write_bytes(lines[0].read_bytes())
    more = run_sweep(SETTING, [Configuration("sgd", 40, 7, {}), CELLS[0]], path)
    assert more[1] == lines[1][0]
    assert len(path.read_text().splitlines()) == len(CELLS) + 1


@pytest.mark.parametrize(
    "change, named",
    [({"steps": 4}, "steps"), ({"network": (5,)}, "hidden"), ({"l2": 0.1}, "l2"), ({"targets": (0.5,)}, "targets"),
     ({"data": DATA._replace(X=DATA.X.astype(np.float32))}, "dtype"), ({"data": DATA._replace(name="other")}, "data"),
     ({"data": DATA._replace(X=DATA.X + 1)}, "data_digest"), ({"data": DATA._replace(y=DATA.y[::-1])}, "data_digest")],
)  # fmt: skip
def test_another_setting_is_refused(change, named, lines):
    """A file of another setting is refused by the name of what differs, and left as it is."""
    path, _ = lines
    content = path.read_bytes()
    with pytest.raises(ValueError, match=f"^{named}: expected .* as in the runs"):
        run_sweep(SETTING._replace(**change), CELLS, path)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "text",
    [
        "{}\n",
        "[1]\n",
        '{"method": 1}\n{"torn',
        "not JSON\n\n",
        "\n",
        "\x00\n",
        "thesis",
        "\x00" * 9,
        "{}",
        "[",
        '{"method":"',
    ],
)
def test_a_file_of_something_else_is_refused(text, tmp_path):
    """A line that no sweep wrote is a FormatError with file and line, and the file is not changed."""
    path = tmp_path / "runs.jsonl"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"runs\.jsonl: line 1: expected a run"):
        run_sweep(SETTING, CELLS, path)
    assert path.read_text() == text


@pytest.mark.parametrize(
    "setting, chosen, named",
    [
        (SETTING._replace(steps=None), CELLS, "steps, epochs"),
        (SETTING._replace(steps=0), CELLS, "steps"),
        (SETTING._replace(epochs=0), CELLS, "epochs"),
        (SETTING._replace(targets=(1.5,)), CELLS, "targets"),
        (SETTING._replace(targets=(), stop_at_target=True), CELLS, "stop_at_target"),
        (SETTING._replace(data=DATA._replace(y=DATA.X, y_test=DATA.X_test)), CELLS, "targets"),
        (SETTING, [*CELLS, Configuration("sgd", 41, 0, {})], "batch"),
        (SETTING, [*CELLS, Configuration("gn-cg", 0, 0, {})], "curvature_batch"),
        (SETTING, [*CELLS, CELLS[3]], "cells: expected each once"),
        (SETTING, [Configuration("sgd", 8, 0, {"learning_rate": rate}) for rate in (1, 1.0)], "cells: expected each"),
        (SETTING, [*CELLS, Configuration("sgd", 4, 0, {"learning_rate": -1.0})], "learning_rate"),
        (SETTING, [*CELLS, Configuration("sgd", 4, 0, {"learning_rate": lambda k: 0.1})], "options of sgd"),
    ],
)  # fmt: skip
def test_mistakes_come_before_any_run(setting, chosen, named, tmp_path, monkeypatch):
    """A wrong setting or cell, the last one too, is a ValueError by its name before anything is run or written."""
    monkeypatch.setattr(sweep_lines, "_line", pytest.fail)
    with pytest.raises(ValueError, match=f"^{named}"):
        run_sweep(setting, chosen, tmp_path / "new" / "runs.jsonl")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "arguments, named",
    [
        ((["sdg"], [8]), "methods: .*did you mean 'sgd'"),
        ((["sgd", "sgd"], [8]), "methods: expected each once"),
        ((["sgd"], [5, 8, 5]), "batches: expected each once; got 5 twice"),
        ((["sgd"], [8], [0, 1, 0]), "seeds: expected each once; got 0 twice"),
        ((["sgd"], [8], range(1), {}, {"learning_rate": [0.1, 1, 1.0]}), "learning_rate: expected each once; got 1.0"),
        ((["newton"], [8, 8]), "batches: expected each once; got 8 twice"),
        ((["sgd"], [8], range(1), {"dampign": 1}), "option of sgd"),
        ((["sgd", "gn-cg"], [8], range(1), {"damping": 1}, {"damping": [1]}), "damping: expected an option or a grid"),
        ((["gn-cg"], [8], range(1), {"curvature_batch": 8}), "option of gn-cg"),
    ],
)
def test_wrong_cells(arguments, named):
    """Unknown names, names given twice, and the batch as an option are refused."""
    with pytest.raises(ValueError, match=named):
        configurations(*(*arguments, range(1))[: max(3, len(arguments))])


def test_a_diverged_run_is_a_line(tmp_path):
    """A rate that overflows ends with that status, the sweep goes on, and the best is finite."""
    chosen = configurations(["sgd"], [8], range(2), grid={"learning_rate": [1e300, 0.1]})
    found = run_sweep(
        SETTING._replace(network=NetworkChoice(hidden=(4,), nonlinearity="relu")), chosen, tmp_path / "runs.jsonl"
    )
    assert [line["status"] for line in found] == ["non finite", "steps done"] * 2
    rows = sweep_summary.seed_groups(found)
    assert [row.diverged for row in rows] == [2, 0]
    assert [row.options for row in sweep_summary.best_of_grid(rows)] == [{"learning_rate": 0.1}]
    assert found[0]["loss"] is None or found[0]["loss"] > 1e100
    json.loads((tmp_path / "runs.jsonl").read_text().splitlines()[0], parse_constant=pytest.fail)


def test_ends(tmp_path):
    """`epochs` ends a run with the step that reaches it, `stop_at_target` with the one that reaches the last target."""
    found = run_sweep(SweepSetting(DATA, (4,), epochs=20.0), configurations(["gn-cg", "sgd"], [8], [0]))
    for line in found:
        assert line["status"] == "passes done"
        assert line["curve"]["epochs"][-2] < 20 <= line["epochs"]
    (line,) = run_sweep(
        SETTING._replace(steps=50, targets=(0.2, 0.4), stop_at_target=True), [Configuration("gn-cg", 8, 0, {})]
    )
    assert line["status"] == "targets reached"
    errors = line["curve"]["training_error"]
    assert errors[-1] <= 0.2 < min(errors[:-1])
    assert line["reached"][0]["step"] == line["steps"]


def test_a_schedule_is_an_option(tmp_path):
    """A run with a schedule, by name or as a record, is found again in the file, and not mistaken for another's."""
    a, b = (warm_up_then_decay(0.01, peak, 0.01, warm_up=5, every=5, steps=30) for peak in (0.1, 0.2))
    heard = []
    for _ in range(2):
        chosen = [Configuration("sgd", 8, 0, {"learning_rate": rate}) for rate in (a, b, "adya-2018")]
        setting = SETTING._replace(steps=None, epochs=6)
        found = run_sweep(setting, chosen, tmp_path / "runs.jsonl", lambda line, resumed: heard.append(resumed))
    assert heard == [False] * 3 + [True] * 3
    assert [line["steps"] for line in found] == [6, 6, 6]
    assert len({line["loss"] for line in found}) == 3


def test_statistics_by_hand():
    """Mean, standard deviation and counts over seeds; the best of a grid has the least mean loss, infinite if null."""

    def line(seed, rate, loss, step):
        reached = [None if step is None else {"step": step}]
        return {"method": "sgd", "batch": 8, "seed": seed, "options": {"learning_rate": rate, "momentum": 1},
                "loss": loss, "reached": reached, "status": "steps done"}  # fmt: skip

    rows = sweep_summary.seed_groups(
        [line(0, 0.1, 1.0, 3), line(0, 0.2, 0.1, 2), line(1, 0.1, 3.0, None), line(1, 0.2, None, 4)]
    )
    assert [row.options for row in rows] == [{"learning_rate": 0.1}, {"learning_rate": 0.2}]
    assert rows[0].statistic("loss") == (2.0, math.sqrt(2), 2, 2)
    assert rows[0].reached(0)[::2] == (3.0, 1)
    assert rows[1].reached(0) == (3.0, math.sqrt(2), 2, 2)
    assert sweep_summary.best_of_grid(rows) == [rows[0]]
    assert sweep_summary.format_statistic(rows[0].reached(0)) == "3 (1 of 2)"


def test_the_picture_shows_means_and_spreads(lines):
    """Each curve passes through the means of its method's best rows, with bars of one standard deviation."""
    drawn = sweep_figure.draw_sweep(sweep_summary.seed_groups(lines[1]), SETTING.targets, "title")
    rows = sweep_summary.best_of_grid(sweep_summary.seed_groups(lines[1]))
    assert len(drawn.axes) == 3 + len(SETTING.targets)
    ax = drawn.axes[0]
    containers = {one.get_label(): one for one in ax.containers}
    assert set(containers) == {"sgd", "gn-cg"}
    for method, one in containers.items():
        values = [row.statistic("loss") for row in rows if row.method == method]
        np.testing.assert_allclose(one.lines[0].get_ydata(orig=False), [value.mean for value in values])
        for segment, value in zip(one.lines[2][0].get_segments(), values, strict=True):
            np.testing.assert_allclose(segment[1][1] - value.mean, value.spread)
    assert [text.get_text() for text in drawn.legends[0].get_texts()] == ["sgd", "gn-cg", "newton (has no batch)"]


def test_picture_without_classes_or_seeds():
    """Targets that are numbers have a loss alone; one seed has no bars; nothing is an error or a warning."""
    data = DATA._replace(y=DATA.X[:, :2], y_test=DATA.X_test[:, :2])
    found = run_sweep(SweepSetting(data, (3,), steps=1), configurations(["newton", "gn-cg"], [8], [0]))
    drawn = sweep_figure.draw_sweep(sweep_summary.seed_groups(found), (), "title")
    assert [ax.get_title() for ax in drawn.axes] == ["training loss"]
    assert "nan" not in sweep_summary.sweep_table(sweep_summary.seed_groups(found), ())


@pytest.fixture
def refhf_cli(tmp_path, capsys):
    """`refhf sweep` on the tiny data, into a folder of the test's: (status, stdout, stderr)."""
    path = save_tiny(tmp_path)

    def call(*rest):
        small = ["--data", path, "--hidden", "4", "--out", str(tmp_path / "out")]
        return entry_point.main(["sweep", *small, *rest]), *capsys.readouterr()

    return call


def test_command(refhf_cli, tmp_path):
    """The command writes lines and picture; again it runs nothing; JSON has all rows, the table the best."""
    words = ["--methods", "sgd,newton", "--batches", "8,16", "--seeds", "2", "--steps", "2", "--targets", "0.5"]
    words += ["--grid", "learning_rate=0.1,1"]
    status, out, err = refhf_cli(*words)
    assert status == 0
    assert len(err.splitlines()) == 10
    assert out.count("learning_rate") == 2
    assert "methods without a batch, run once for each seed: newton" in out
    written = (tmp_path / "out" / "runs.jsonl").read_bytes()
    assert len(written.splitlines()) == 10
    first = (tmp_path / "out" / "sweep.png").read_bytes()
    status, out, err = refhf_cli(*words, "--json")
    assert (status, err) == (0, "")
    found = json.loads(out, parse_constant=pytest.fail)
    assert [row["best"] for row in found["rows"]].count(True) == 3
    assert len(found["rows"]) == 5
    assert (tmp_path / "out" / "runs.jsonl").read_bytes() == written
    assert (tmp_path / "out" / "sweep.png").read_bytes() == first


@pytest.mark.parametrize(
    "words, named",
    [
        ("--methods sgd --batches 8", "steps, epochs"),
        ("--methods sgd --batches 5,5 --seeds 1 --steps 1", "batches: expected each once; got 5 twice"),
        ("--methods sgd --batches 5 --grid learning_rate=0.1,1e-1 --steps 1", "learning_rate: expected each once"),
        ("--methods sgd --batches 0 --steps 1", "batches: expected an integer >= 1; got '0'"),
        ("--methods sgd --batches 8 --steps 1 --grid learning_rate=", "grid: expected NAME=VALUE"),
        ("--methods sgd --batches 8 --steps 1 --grid learning_rate=1 --grid learning_rate=2", "learning_rate"),
        ("--methods sgd --batches 80 --steps 1", "batch: expected an integer >= 1 and <= 40; got 80"),
        ("--methods sgd --steps 1", "--batches"),
    ],
)
def test_command_refuses(words, named, refhf_cli, tmp_path):
    """A mistake ends with status 2 and a line that names it, and leaves no folder."""
    status, out, err = refhf_cli(*words.split())
    assert (status, out) == (2, "")
    assert named in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_two_sweeps_of_one_folder(refhf_cli, tmp_path, monkeypatch):
    """A folder that another process sweeps into is refused, with the line in hand as it is; a killed one frees it."""
    pytest.importorskip("fcntl")
    monkeypatch.setattr(run_figures, "save_figure", lambda *_: None)
    monkeypatch.setattr(sweep_figure, "draw_sweep", lambda *_: None)
    words = ["--methods", "newton", "--batches", "8", "--seeds", "2", "--steps", "1", "--quiet"]
    assert refhf_cli(*words)[0] == 0
    lines = tmp_path / "out" / "runs.jsonl"
    whole = lines.read_bytes()
    lines.write_bytes(whole[:-9])
    with subprocess.Popen([sys.executable, "-c", HOLD.format(str(lines))], stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        status, out, err = refhf_cli(*words)
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert f"another process writes to {lines}" in err
        assert lines.read_bytes() == whole[:-9]
        other.kill()
    assert refhf_cli(*words)[0] == 0
    again = [json.loads(line) for line in lines.read_text().splitlines()]
    assert timeless(again) == timeless([json.loads(line) for line in whole.decode().splitlines()])


def test_a_full_disk_ends_a_sweep(refhf_cli, lines, tmp_path):
    """The sweep ends with that message; what it has is kept, and the line that was torn off is run again."""
    path, whole = tmp_path / "runs.jsonl", lines[0].read_bytes()
    second = whole.index(b"\n", whole.index(b"\n") + 1) + 1
    with room_for(second + 50), pytest.raises(OSError, match="File too large"):
        run_sweep(SETTING, CELLS, path)
    assert path.stat().st_size == second + 50
    assert timeless(run_sweep(SETTING, CELLS[:4], path)) == timeless(lines[1][:4])
    assert len(path.read_bytes().splitlines()) == 4


def test_command_refuses_a_folder_of_something_else(refhf_cli, tmp_path):
    """A folder with files but no runs is not touched."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letter.txt").touch()
    status, _, err = refhf_cli("--methods", "sgd", "--batches", "8", "--steps", "1")
    assert status == 2
    assert "not empty" in err


def test_figure_4_is_deterministic(tmp_path):
    """fig4_batch_sizes.py --fast writes the same bytes from two fresh processes, one with an ASCII terminal."""
    started = []
    for name, encoding in ("a", "utf-8"), ("b", "ascii"):
        (tmp_path / name).mkdir()
        command = [sys.executable, *OWN_WARNINGS, ROOT / "figures" / "fig4_batch_sizes.py", "--fast", tmp_path / name]
        setting = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONIOENCODING": encoding}
        started.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, env=os.environ | setting))
    assert [process.wait() for process in started] == [0, 0]
    for file in ("fig4_batch_sizes.png", "fig4_batch_sizes.txt"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize("method", ["sgd", "momentum", "gradient-descent"])
@pytest.mark.parametrize("stop", [False, True])
def test_a_run_that_diverged_has_reached_no_target(method, stop):
    """NaN outputs are no class, even if all labels are 0: no step reaches the target."""
    data = DataSet("zeros", 1e10 * np.random.default_rng(0).normal(size=(20, 3)), np.zeros(20, int), None, None)
    setting = SweepSetting(data, (), steps=3, targets=(0.05,), stop_at_target=stop)
    with np.errstate(all="ignore"):
        (line,) = run_sweep(setting, configurations([method], [20], [0], {"learning_rate": 1e290}))
    assert (line["status"], line["reached"], line["training_error"]) == ("non finite", [None], None)
    assert line["curve"]["training_error"][0] > 0.05
