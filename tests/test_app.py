"""refhf.lab.runs.training_run, folders, plots, console, cli: what a run leaves behind, and what it refuses."""

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from short_runs import save_tiny, timeless

import refhf
from refhf import hints
from refhf.data import data_sets
from refhf.data.data_sets import load
from refhf.driver.minimize import Status
from refhf.driver.registry import METHODS
from refhf.lab.cli import check_command, command_parser, entry_point, run_progress
from refhf.lab.plots import run_figures
from refhf.lab.runs import output_folder, training_run
from refhf.lab.runs.run_writer import RunWriter
from refhf.lab.runs.training_problem import pose_problem
from refhf.lab.saddle.saddle_methods import SADDLE_METHODS
from refhf.model.elementwise import NONLINEARITIES
from refhf.model.losses import LOSSES
from refhf.objective.supervised import Supervised
from refhf.surfaces.saddles import SURFACES

RECORD = {
    "step", "loss", "training_error", "test_error", "step_length", "negative_curvature", "outcome", "gradient_norm",
    "curvature_products", "gradient_evaluations", "value_evaluations", "epochs", "communications",
    "bytes_communicated", "seconds", "source", "smallest_eigenvalue", "kind",
}  # fmt: skip
METHOD_NAMES = ",".join(METHODS)
PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("data"))


@pytest.fixture
def drawn():
    """A test that asks for it has its figures drawn; the others have empty ones, in a tenth of the time."""


@pytest.fixture
def refhf_cli(tiny, capsys, monkeypatch, request):
    """Call the command line on the tiny data: (status, stdout, stderr)."""
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr(run_figures, "run_figure", lambda *_: None)
        monkeypatch.setattr(run_figures, "comparison_figure", lambda *_: None)
        monkeypatch.setattr(run_figures, "save_figure", lambda figure, path: Path(path).touch())

    def call(command, *rest):
        small = ["--data", tiny, "--hidden", "6", "--steps", "4"] if command in ("train", "compare") else []
        status = entry_point.main([command, *small, *map(str, rest)])
        return status, *capsys.readouterr()

    return call


def read_history(folder):
    lines = (folder / "history.jsonl").read_text().splitlines()
    return [json.loads(line, parse_constant=pytest.fail) for line in lines]


@pytest.mark.parametrize("method", METHODS)
def test_history_is_strict_and_complete(method, refhf_cli, tmp_path):
    """history.jsonl has a line of strict JSON for step 0 and each step, every key, and counts that only grow."""
    assert refhf_cli("train", "--method", method, "--out", tmp_path / "out")[0] == 0
    history = read_history(tmp_path / "out")
    assert [record["step"] for record in history] == [0, 1, 2, 3, 4]
    assert all(set(record) == RECORD | set(METHODS[method].family.detail._fields) for record in history)
    for key in "curvature_products", "gradient_evaluations", "value_evaluations", "epochs", "seconds":
        values = [record[key] for record in history]
        assert values[0] == 0
        assert values == sorted(values)
    if method != "newton":  # which goes wherever the stationary point of its model is
        assert history[-1]["loss"] < history[0]["loss"]
    described = json.loads((tmp_path / "out" / "run.json").read_text())
    assert described["method"] == described["arguments"]["method"] == method
    assert described["versions"]["numpy"] == np.__version__
    assert described["options"].get("curvature_batch", 40) == 40


@pytest.mark.parametrize(
    ("method", "rest"),
    [("gn-cg", []), ("sgd", ["--dtype", "float64"]), ("hessian-cg", ["--nonlinearity", "softplus", "--l2", "0.01"])],
)
def test_theta_reproduces_the_last_record(method, rest, tiny, refhf_cli, tmp_path):
    """theta.npz and the data, through the public interface, give the last loss and errors."""
    refhf_cli("train", "--method", method, "--seed", 3, "--out", tmp_path / "out", *rest)
    with np.load(tmp_path / "out" / "theta.npz", allow_pickle=False) as saved, np.load(tiny) as data:
        assert str(saved["method"]) == method
        assert saved["seed"] == 3
        net = refhf.mlp(saved["sizes"].tolist(), nonlinearity=str(saved["nonlinearity"]), loss=str(saved["loss"]))
        theta = saved["theta"]
        train, test = (
            refhf.supervised(net, data[X].astype(theta.dtype), data[y], l2=float(saved["l2"]))
            for X, y in (("X", "y"), ("X_test", "y_test"))
        )
        last = read_history(tmp_path / "out")[-1]
        assert train.value(theta) == pytest.approx(last["loss"], rel=1e-6)
        assert (train.error(theta), test.error(theta)) == (last["training_error"], last["test_error"])


def test_same_seed_same_history(refhf_cli, tmp_path):
    """The same arguments give the same history but for the seconds; another seed gives another."""
    for name, seed in ("a", 1), ("b", 1), ("c", 2):
        refhf_cli("train", "--method", "hybrid-cg", "--curvature-batch", 10, "--seed", seed, "--out", tmp_path / name)
    a, b, c = (timeless(read_history(tmp_path / name)) for name in "abc")
    assert a == b
    assert a != c


def test_run_is_what_the_library_does(tiny, refhf_cli, tmp_path):
    """A run's losses and counts are those of refhf.iterate from the same start with the same seed."""
    refhf_cli("train", "--method", "hessian-bicgstab", "--curvature-batch", 16, "--out", tmp_path / "out")
    with np.load(tiny) as data:
        net = refhf.mlp([5, 6, 3])
        objective = refhf.supervised(net, data["X"].astype(np.float32), data["y"])
    reports = refhf.iterate(objective, net.init(0, np.float32), method="hessian-bicgstab", rng=0, curvature_batch=16)
    for record, report in zip(read_history(tmp_path / "out")[1:], reports, strict=False):
        assert record["loss"] == report.loss
        assert record["rho"] == (report.detail.rho if math.isfinite(report.detail.rho) else None)
        assert record["curvature_products"] == report.counts.curvature_products
        assert record["epochs"] == report.counts.epochs


@pytest.mark.parametrize("batch", [8, 12, 40])
def test_a_row_of_sgd_is_an_epoch(batch, refhf_cli, tmp_path):
    """A row of SGD is ceil(cases / batch) updates, and evaluating it costs no count."""
    refhf_cli("train", "--method", "sgd", "--option", f"batch={batch}", "--out", tmp_path / "out")
    updates = math.ceil(40 / batch)
    for step, record in enumerate(read_history(tmp_path / "out")):
        assert record["gradient_evaluations"] == step * updates
        assert record["epochs"] == pytest.approx(step * updates * batch / 40)
        assert record["value_evaluations"] == record["curvature_products"] == 0


def test_history_grows_and_seconds_are_the_methods(tiny, tmp_path, monkeypatch):
    """A line is in the file before the next step begins; evaluating errors takes none of the seconds."""
    now = [0.0]
    error = Supervised.error
    monkeypatch.setattr(training_run.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(Supervised, "error", lambda *args: now.append(now.pop() + 100) or error(*args))
    run = training_run.plan_run(pose_problem(load(tiny), [6]), "gn-cg", 3)
    lines = []
    with RunWriter(tmp_path, run) as keeper:
        history = training_run.execute_run(
            run, lambda record: lines.append(len(read_history(tmp_path))), keeper
        ).history
    assert lines == [1, 2, 3, 4]
    assert now[0] > 0
    assert [record["seconds"] for record in history] == [0, 0, 0, 0]


def test_compare_starts_from_one_point(refhf_cli, tmp_path):
    """All runs of a comparison share the record of step 0, and a method trained alone has the same."""
    status, out, _ = refhf_cli("compare", "--methods", METHOD_NAMES, "--out", tmp_path / "all")
    assert status == 0
    starts = [timeless(read_history(tmp_path / "all" / method))[0] for method in METHODS]
    shared = [{name: start[name] for name in RECORD - {"seconds"}} for start in starts]
    assert all(start == shared[0] for start in shared)
    table = [row.split()[0] for row in out.splitlines()]
    assert table == ["method", *METHODS, "picture:"]
    assert out.splitlines()[-1] == f"picture: {tmp_path / 'all' / 'comparison.png'}"
    refhf_cli("train", "--method", "gn-cg", "--out", tmp_path / "one")
    alone, among = (timeless(read_history(tmp_path / place)) for place in ("one", "all/gn-cg"))
    assert alone == among


def test_options_go_to_those_that_know_them(refhf_cli):
    """In a comparison an option is given to each method that has it, and only to those."""
    options = "--curvature-batch", 7, "--option", "learning_rate=0.5", "--option", "backtracking=true"
    _, out, _ = refhf_cli("compare", "--methods", "gn-cg,sgd", "--json", "--quiet", *options)
    gn_cg, sgd = (run["options"] for run in json.loads(out)["runs"])
    assert (gn_cg["curvature_batch"], gn_cg["backtracking"]) == (7, True)
    assert "learning_rate" not in gn_cg
    assert sgd["learning_rate"] == 0.5
    assert "curvature_batch" not in sgd


def test_json_is_the_whole_of_stdout(refhf_cli, tmp_path):
    """--json prints one strict JSON value, whose history is that of the file."""
    status, out, _ = refhf_cli("train", "--json", "--out", tmp_path / "out")
    result = json.loads(out, parse_constant=pytest.fail)
    assert status == 0
    assert result["history"] == read_history(tmp_path / "out")
    assert result["final"] == result["history"][-1]
    assert result["status"] == "steps done"
    for command in "data", "info":
        status, out, _ = refhf_cli(command, "--json")
        assert status == 0
        assert json.loads(out)


def test_quiet_is_silent_and_progress_is_on_stderr(refhf_cli):
    """--quiet leaves stderr empty; otherwise, where it is no terminal, it has a line a step, all of one width."""
    assert refhf_cli("train", "--quiet")[2] == ""
    assert refhf_cli("compare", "--methods", "gn-cg,sgd", "--quiet")[2] == ""
    title, header, *lines = refhf_cli("train")[2].splitlines()
    assert title == "gn-cg on tiny, 5-6-3, tanh"
    assert header == run_progress.HEADER
    assert [line.split()[0] for line in lines] == ["0", "1", "2", "3", "4"]
    stop = header.index("stop")
    assert all(line[stop - 1] == " " != line[stop] for line in lines[1:])


def test_bar_on_a_terminal(refhf_cli, monkeypatch):
    """A terminal on stderr shows a progress bar."""
    pytest.importorskip("tqdm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    err = refhf_cli("compare", "--methods", "gn-cg,sgd")[2]
    assert "4/4" in err
    assert run_progress.HEADER not in err


def test_lines_on_a_terminal_without_tqdm(refhf_cli, monkeypatch):
    """Without tqdm a terminal shows the lines."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    err = refhf_cli("compare", "--methods", "gn-cg,sgd")[2]
    assert "4/4" not in err
    assert run_progress.HEADER in err


BAD = [  # arguments, what the line must say
    ("trian", "classroom, lesson, site, check, vectors, data, info; got 'trian' (did you mean 'train'?)"),
    ("train --stesp 3", "got '--stesp' (did you mean '--steps'?)"),
    ("train --step 3", "got '--step' (did you mean '--steps'?)"),
    ("train --method gn-gc", "method: expected one of gn-cg, gn-cg-path, hessian-cg, "),
    ("train --method gn-gc", "got 'gn-gc' (did you mean 'gn-cg'?)"),
    ("train --data mnist-mnii", "got 'mnist-mnii' (did you mean 'mnist-mini'?)"),
    ("train --data none.npz", "expected a .npz file; got 'none.npz'"),
    ("train --data mnist --data-dir nowhere", "data_dir: expected a folder that has train-images-idx3-ubyte"),
    (
        "train --nonlinearity tahn",
        "nonlinearity: expected one of tanh, logistic, softplus, relu, identity, gelu, gelu_tanh, silu; got",
    ),
    ("train --loss softmax", "loss: expected one of squared_error, softmax_cross_entropy, logistic_cross_entropy; got"),
    ("train --dtype float16", "dtype: expected one of float32, float64; got 'float16'"),
    ("train --option dampin=1", "got 'dampin' (did you mean 'damping'?)"),
    ("train --option learning_rate=1", "option of gn-cg: expected one of curvature_batch, damping, "),
    ("train --option damping", "expected NAME=VALUE; got 'damping'"),
    ("train --option preconditioner=flase", "preconditioner: expected true or false; got 'flase'"),
    ("train --option backtracking=flase", "backtracking: expected True or False, or 'best'; got 'flase'"),
    ("train --option damping=x", "damping: expected a finite number in [0, inf]; got 'x'"),
    ("train --option damping=1 --damping 2", "damping: expected one value; got 2.0 and 1"),
    ("train --method sgd --damping 1", "option of sgd: expected one of learning_rate, batch, noise; got 'damping'"),
    ("train --method sgd --option batch=0", "batch: expected an integer >= 1 and <= 40; got 0"),
    ("train --damping nan", "damping: expected a finite number in [0, inf]; got nan"),
    ("train --damping x", "--damping: expected a number; got 'x'"),
    ("train --l2 -1", "l2: expected a finite number in [0, inf]; got -1.0"),
    ("train --steps 0", "--steps: expected an integer >= 1; got '0'"),
    ("train --steps 1.5", "--steps: expected an integer >= 1; got '1.5'"),
    ("train --steps", "--steps: expected one argument"),
    ("train --seed -1", "--seed: expected an integer >= 0; got '-1'"),
    ("train --curvature-batch 41", "curvature_batch: expected an integer >= 1 and <= 40; got 41"),
    ("train --hidden 4,,5", "--hidden: expected widths >= 1 as in 400,150, or none; got '4,,5'"),
    ("train --hidden 10000000,10000000", "nable to allocate"),
    ("compare --methods gn-cg,hesian-cg", "got 'hesian-cg' (did you mean 'hessian-cg'?)"),
    ("compare --methods gn-cg,gn-cg", "methods: expected each once; got 'gn-cg' twice"),
    ("compare --methods gn-cg,sgd --option rate=1", "option of gn-cg, sgd: expected one of curvature_batch, "),
]


@pytest.mark.parametrize(("given", "said"), BAD, ids=[given for given, _ in BAD])
def test_bad_arguments(given, said, refhf_cli, tmp_path, monkeypatch):
    """A mistake ends in status 2 with one line that says what was expected, before any work and any file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REFHF_DATA_DIR", raising=False)
    command, *rest = given.split()
    status, out, err = refhf_cli(command, *rest, *(["--out", "out"] if command != "trian" else []))
    assert (status, out) == (2, "")
    assert err.startswith("refhf: error: ")
    assert err.count("\n") == 1
    assert said in err
    assert not any(tmp_path.iterdir())


def test_bad_data_files(tmp_path, capsys):
    """A data file with wrong members, labels or numbers is refused in one line that names it."""
    X, y = np.ones((4, 2)), np.arange(4)
    files = {
        "no_y": {"X": X},
        "nan": {"X": X * np.nan, "y": y},
        "negative": {"X": X, "y": y - 1},
        "words": {"X": X, "y": y.astype(str)},
        "huge_label": {"X": X, "y": y * 10**12},
        "empty": {"X": X[:0], "y": y[:0]},
        "lengths": {"X": X, "y": y[:3]},
    }
    for name, arrays in files.items():
        np.savez(tmp_path / f"{name}.npz", **arrays)
        assert entry_point.main(["train", "--data", str(tmp_path / f"{name}.npz"), "--steps", "1"]) == 2, name
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert "expected" in err


def test_failing_machine_is_a_line(refhf_cli, monkeypatch):
    """Any OSError is one line and status 2."""
    monkeypatch.setattr(data_sets, "load", lambda *_, **__: (_ for _ in ()).throw(OSError("no network\nno cache")))
    assert refhf_cli("train") == (2, "", "refhf: error: no network no cache\n")


@pytest.mark.parametrize("command", ["train", "compare"])
def test_output_folder_is_refused(command, refhf_cli, tmp_path):
    """A folder that is not empty, a file, and a place under a file are refused and left as they were."""
    full, file = tmp_path / "full", tmp_path / "file"
    full.mkdir()
    (full / "precious").write_text("thesis")
    file.write_text("thesis")
    for place, said in (full, "which is not empty"), (file, "is a file"), (file / "below", "is a file"):
        status, out, err = refhf_cli(command, "--out", place)
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert "out: expected a" in err
        assert said in err
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "full", "precious"]


def test_unwritable_folder_is_refused(refhf_cli, tmp_path, monkeypatch):
    """A folder without permission to write is refused before any work, and so is one that cannot be made."""
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    status, _, err = refhf_cli("train", "--out", tmp_path / "new")
    assert status == 2
    assert "is not writable" in err
    monkeypatch.undo()
    monkeypatch.setattr(output_folder.Path, "mkdir", lambda *_, **__: (_ for _ in ()).throw(PermissionError("no")))
    status, out, err = refhf_cli("train", "--quiet", "--out", tmp_path / "new")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "out: expected a folder that can be written" in err


def test_overwrite_replaces_its_own_files_only(refhf_cli, tmp_path):
    """--overwrite writes a run's files anew and leaves the others."""
    (tmp_path / "precious").write_text("thesis")
    (tmp_path / "history.jsonl").write_text("old\n" * 100)
    assert refhf_cli("train", "--out", tmp_path, "--overwrite")[0] == 0
    assert (tmp_path / "precious").read_text() == "thesis"
    assert len(read_history(tmp_path)) == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint.npz", "history.jsonl", "network.npz", "precious", "run.json", "run.png", "theta.npz"
    ]  # fmt: skip


def test_interrupt_keeps_what_was_written(refhf_cli, tmp_path, monkeypatch):
    """Ctrl-C ends in status 130; the history so far and its last point are there."""

    def interrupt(record):
        if record["step"] == 2:
            raise KeyboardInterrupt
        return ""

    monkeypatch.setattr(run_progress, "progress_line", interrupt)
    status, out, err = refhf_cli("train", "--out", tmp_path / "out")
    assert (status, out) == (130, "")
    assert err.splitlines()[-1] == "refhf: interrupted; files written so far remain"
    assert [record["step"] for record in read_history(tmp_path / "out")] == [0, 1, 2]
    with np.load(tmp_path / "out" / "theta.npz") as saved:
        assert np.isfinite(saved["theta"]).all()


def test_divergence_is_reported(drawn, refhf_cli, tmp_path):
    """A diverging run ends, reports it with status 0, and writes strict JSON, a finite theta and a figure."""
    rest = "--method", "sgd", "--option", "learning_rate=1e38", "--out", tmp_path
    status, out, _ = refhf_cli("train", *rest)
    assert status == 0
    assert "sgd ended at step" in out
    history = read_history(tmp_path)
    assert history[-1]["outcome"] == "non finite"
    assert history[-1]["loss"] is None
    assert (tmp_path / "run.png").read_bytes().startswith(PNG)
    with np.load(tmp_path / "theta.npz") as saved:
        assert np.isfinite(saved["theta"]).all()


def test_a_last_step_to_where_the_loss_overflows_is_no_success(tmp_path, capsys):
    """The step was taken, to a finite theta; but its loss is none, which the run says, and keeps the point before."""
    np.savez(tmp_path / "line.npz", X=np.ones((3, 1)), y=np.full((3, 1), 2.0))
    where = "--data", str(tmp_path / "line.npz"), "--hidden", "none", "--steps", "1", "--out", str(tmp_path / "out")
    assert entry_point.main(["train", "--method", "sgd", "--option", "learning_rate=1e25", *where]) == 0
    assert "sgd ended at step 1: " + Status.NON_FINITE.value[2] in capsys.readouterr().out
    assert [record["loss"] is None for record in read_history(tmp_path / "out")] == [False, True]
    with np.load(tmp_path / "out" / "theta.npz") as saved:
        assert abs(saved["theta"]).max() < 10


def test_regression_has_no_errors(tmp_path, capsys):
    """Targets are fitted by squared error; errors of classification are null, and the figures do without."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 3))
    np.savez(tmp_path / "line.npz", X=X, y=X @ rng.normal(size=(3, 2)))
    where = "--data", str(tmp_path / "line.npz"), "--hidden", "none", "--steps", "2", "--out", str(tmp_path / "out")
    assert (
        entry_point.main(["compare", "--methods", "gn-cg,sgd", "--dtype", "float64", "--option", "damping=0", *where])
        == 0
    )
    history = read_history(tmp_path / "out" / "gn-cg")
    assert history[-1]["loss"] < 1e-20
    assert all(record["training_error"] is record["test_error"] is None for record in history)
    for picture in "comparison.png", "gn-cg/run.png", "sgd/run.png":
        assert (tmp_path / "out" / picture).read_bytes().startswith(PNG)


@pytest.fixture(scope="module")
def histories(tiny):
    problem = pose_problem(load(tiny), [6])
    return {name: training_run.execute_run(training_run.plan_run(problem, name, 3)).history for name in METHODS}


def figures(histories):
    yield run_figures.comparison_figure(histories, "tiny")
    yield from (run_figures.run_figure(histories[name], f"{name} on tiny") for name in ("hybrid-cg", "sgd"))


def test_figures_are_deterministic(histories, tmp_path):
    """The same histories give the same bytes under any matplotlib settings, and without pyplot."""
    before = set(sys.modules)
    for copy, settings in ("a", {}), ("b", {"font.size": 30, "svg.hashsalt": "b", "axes.linewidth": 5}):
        with matplotlib.rc_context(settings):
            for i, figure in enumerate(figures(histories)):
                run_figures.save_figure(figure, tmp_path / f"{copy}{i}.svg")
                if i == 1:
                    run_figures.save_figure(figure, tmp_path / f"{copy}{i}.png")
    first = sorted(tmp_path.glob("a*"))
    assert len(first) == 4
    for path in first:
        assert path.read_bytes() == path.with_name("b" + path.name[1:]).read_bytes()
    assert "matplotlib.pyplot" not in set(sys.modules) - before


def undrawn_labels(figure):
    """Matplotlib keeps labels of ticks beyond the axis, which it does not draw."""
    for axis in (axis for ax in figure.axes for axis in (ax.xaxis, ax.yaxis)):
        low, high = sorted(axis.get_view_interval())
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
            if not low <= tick.get_loc() <= high:
                yield from (tick.label1, tick.label2)


def test_nothing_overlaps(histories):
    """No two texts of a figure overlap, and none is cut off."""
    for figure in figures(histories):
        with run_figures.figure_style():
            canvas = FigureCanvasAgg(figure)
            canvas.draw()
            undrawn = set(undrawn_labels(figure))
            texts = [t for t in figure.findobj(Text) if t.get_text() and t.get_visible() and t not in undrawn]
            boxes = [text.get_window_extent(canvas.get_renderer()) for text in texts]
        inside = Bbox.from_bounds(0, 0, *canvas.get_width_height())
        for i, box in enumerate(boxes):
            assert inside.contains(*box.min), texts[i]
            assert inside.contains(*box.max), texts[i]
            for j in range(i):
                assert not box.overlaps(boxes[j]), (texts[i], texts[j])


def test_data_lists_every_set(refhf_cli, monkeypatch):
    """`refhf data` names every data set and where it would come from."""
    monkeypatch.delenv("REFHF_DATA_DIR", raising=False)
    status, out, err = refhf_cli("data")
    assert (status, err) == (0, "")
    names = ["mnist-mini", "mnist", "fashion-mnist", "cifar-10", "fsdd", "sonnets", "FILE.npz", "FILE.txt", "FILE.csv"]
    names += ["FOLDER/CLASS/*.png", "FOLDER"]
    assert [line.split()[0] for line in out.splitlines()[::2]] == names


def test_info_with_and_without_threadpoolctl(refhf_cli, monkeypatch):
    """`refhf info` tells versions, BLAS, threads and MPI, also where threadpoolctl is not installed."""
    for module in None, "threadpoolctl":
        if module:
            monkeypatch.setitem(sys.modules, module, None)
        status, out, _ = refhf_cli("info")
        facts = dict(line.split(maxsplit=1) for line in out.splitlines())
        assert status == 0
        assert facts["numpy"] == np.__version__
        assert {"refhf", "python", "machine", "BLAS", "MPI"} <= set(facts)


@pytest.mark.parametrize("command", ["", "train", "compare", "predict", "data", "info"])
def test_help_has_an_example_that_parses(command, capsys):
    """--help of each command exits with 0 and shows an example which is a good command line."""
    with pytest.raises(SystemExit) as ended:
        entry_point.main([*command.split(), "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    examples = [line.split()[1:] for line in shown.splitlines() if line.startswith("  refhf ")]
    assert len(examples) == 1
    assert command_parser.parse_command(examples[0]).command == (command or "train")


def test_defaults_are_good_arguments():
    """The defaults of `train` and of `compare` name methods that there are."""
    assert command_parser.parse_command(["train"]).method in METHODS
    assert set(command_parser.parse_command(["compare"]).methods) <= set(METHODS)


@pytest.mark.parametrize("command", ["train --help", "compare --help", "sweep --help", "saddle --help", "check --help"])
def test_a_name_is_apart_from_what_is_said_of_it(command, capsys):
    """In every list of a help, at least two blanks stand between a name and its line, which all begin in one column."""
    with pytest.raises(SystemExit):
        entry_point.main(command.split())
    shown = capsys.readouterr().out.splitlines()
    names = {*METHODS, *SADDLE_METHODS, *SURFACES, *check_command.FUNCTIONS, *check_command.SOLVERS}
    lists, last = [], None
    for number, text in enumerate(shown):
        found = re.match(r"  ([a-z]\S*)(  +)\S", text)
        if found and found[1] in names:
            lists += [] if last == number - 1 else [set()]
            lists[-1].add(found.end())
            last = number
        assert not any(re.match(rf"  {re.escape(name)}[A-Z]", text) for name in names)
    assert lists and all(len(ends) == 1 for ends in lists)


RECORDS = [  # what is long in each cell
    {"loss": -1.234e-100, "training_error": 1.0, "test_error": 1.0, "damping": 1.2e-100, "rho": -1.2e-100},
    {"step": 123456, "step_length": 1.2e-11, "solver_iterations": 12345, "curvature_products": 1234567, "epochs": 1e7},
    {"loss": float("nan"), "damping": -1.2e-12, "rho": float("nan"), "step_length": float("nan")},
]


@pytest.mark.parametrize("more", RECORDS, ids=repr)
def test_cells_of_a_line_are_apart(more):
    """A blank stands between any two cells of a step's line, however long their numbers."""
    usual = {
        "step": 3, "loss": 0.5, "training_error": 0.1, "test_error": 0.2, "damping": 0.1, "rho": 0.5,
        "step_length": 1.0, "solver_iterations": 9, "solver_stop": "stop",
        "negative_curvature": False, "curvature_products": 7,
        "epochs": 1.0, "outcome": "accepted",
    }  # fmt: skip
    assert len(run_progress.progress_line(usual).split()) == 11
    blank = sum(isinstance(value, float) and math.isnan(value) for key, value in more.items() if key != "loss")
    assert len(run_progress.progress_line(usual | more).split()) == 11 - blank


MEANT = [  # arguments, what they meant, or None
    ("--versoin", None), ("predict", None), ("run", None), ("help", None), ("Train", "train"), ("comapre", "compare"),
    ("train --lr 1", "--option learning_rate"), ("train --learning-rate 1", "--option learning_rate"),
    ("train --momentum 1", "--option momentum"), ("train --batch-size 3", "--curvature-batch"),
    ("train --weight-decay 1", "--l2"), ("train --lambda 1", "--damping"),
    ("train --activation relu", "--nonlinearity"), ("train --output x", "--out"), ("train --Steps 3", "--steps"),
    ("train --verbose", None),
    ("train --device gpu", None),
    ("train --nonlinearity sigmoid", "logistic"), ("train --nonlinearity ReLU", "relu"),
    ("train --nonlinearity elu", None), ("train --nonlinearity swish", "silu"),
    ("train --nonlinearity linear", "identity"), ("train --loss mse", "squared_error"),
    ("train --loss softmax", "softmax_cross_entropy"),
    ("train --loss cross-entropy", "softmax_cross_entropy"), ("train --loss bce", "logistic_cross_entropy"),
    ("train --loss hinge", None), ("train --method adam", None), ("train --method cg", None),
    ("train --method GN_CG", "gn-cg"), ("train --method gauss-newton", "gn-cg"), ("train --method bicgstab",
    "hessian-bicgstab"), ("train --method gd", "gradient-descent"), ("train --method newton-cg", "truncated-newton"),
    ("train --method lbfgs", None), ("train --method sgd --option lr=1", "learning_rate"),
    ("train --method sgd --option batch-size=3", "batch"), ("train --method sgd --option nesterov=true", None),
    ("train --data minst", "mnist"), ("train --data iris", None),
    ("saddle --surface rosenbrok", "rosenbrock"), ("saddle --surface sphere", None), ("saddle --methods lbfgs", None),
    ("vectors --adaptor x", "--adapter"), ("check x.py:f --against gn", None), ("check x.py:f --against hvp", None),
]  # fmt: skip


@pytest.mark.parametrize(("given", "meant"), MEANT, ids=[given for given, _ in MEANT])
def test_what_was_meant(given, meant, capsys):
    """A hint names what others call so, or a slip of the finger; words for other things get none."""
    assert entry_point.main(given.split()) == 2
    found = re.findall(r"did you mean '(.*)'", capsys.readouterr().err)
    assert found == ([meant] if meant else [])


@pytest.mark.parametrize(
    "names", [list(METHODS), list(SADDLE_METHODS), list(SURFACES), list(LOSSES), list(NONLINEARITIES)]
)
def test_a_slip_of_the_finger(names):
    """A name with a letter left out, doubled or changed places with its neighbour hints at a name as near, or at it."""
    for name in (name for name in names if len(name) > 3):
        for i in range(len(name)):
            for wrong in (name[:i] + name[i + 1 :], name[:i] + name[i] + name[i:], swapped(name, i)):
                found = re.findall(r"'(.*)'", hints.hint(wrong, names))
                assert found == [name] or wrong in hints.OTHERS_SAY or len(found[0]) == len(name), (wrong, found)


def swapped(name, i):
    return name[: max(i - 1, 0)] + name[max(i - 1, 0) : i + 1][::-1] + name[i + 1 :]


def test_blanks_in_lists(refhf_cli):
    """Blanks around the names and values of a list, or around an option's name and value, say nothing."""
    status, out, _ = refhf_cli("compare", "--methods", " gn-cg, sgd ", "--option", " learning_rate = 0.5 ", "--json")
    gn_cg, sgd = json.loads(out)["runs"]
    assert (status, gn_cg["method"], sgd["method"], sgd["options"]["learning_rate"]) == (0, "gn-cg", "sgd", 0.5)
    assert refhf_cli("train", "--method", "gn-cg ", "--hidden", "4, 5", "--option", "backtracking= true")[0] == 0
    given = ["--batches", "8, 16", "--grid", " line_search = true, none", "--targets", "0.1, 0.2", "--out", "o"]
    sweep = command_parser.parse_command(["sweep", "--methods", "nlcg-fr , sgd", *given])
    assert (sweep.methods, sweep.grid) == (["nlcg-fr", "sgd"], [("line_search", [True, None])])
    assert refhf_cli("saddle", "--methods", "newton, gn-cg", "--start", "1, 0", "--steps", " 3 ")[0] == 0


def test_version(capsys):
    """`refhf --version` is one line on stdout."""
    with pytest.raises(SystemExit) as ended:
        entry_point.main(["--version"])
    assert (ended.value.code, capsys.readouterr().out) == (0, f"refhf {refhf.__version__}\n")


def test_python_m_refhf(tmp_path):
    """`python -m refhf` is the command, and a mistake is a line and status 2 there too."""
    shown = subprocess.run([sys.executable, "-m", "refhf", "--help"], capture_output=True, text=True, check=True)
    assert shown.stdout.startswith("usage: refhf ")
    refused = subprocess.run([sys.executable, "-m", "refhf", "trian"], capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
