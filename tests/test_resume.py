"""Runs that survive: interrupted, killed, on a full disk, resumed (R15); nothing lost, nothing told twice."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from processes import finish, in_namespace, mpiexec, needs_mpi, needs_namespaces
from short_runs import signal_at, timeless
from test_ranks_cli import history, tiny

from refhf.data.data_sets import load
from refhf.driver.minimize import Status
from refhf.driver.registry import METHODS
from refhf.lab.cli import entry_point
from refhf.lab.plots import run_figures
from refhf.lab.runs import checkpoint, output_folder, run_position, training_run
from refhf.lab.runs.output_folder import to_json
from refhf.lab.runs.run_writer import RunWriter
from refhf.lab.runs.training_problem import pose_problem

SAVE = run_figures.save_figure
STEPS = 10
SMALL = ["--hidden", "4", "--steps", "10", "--dtype", "float64", "--quiet"]


SLOWLY = """
import os, signal, sys, time
from refhf.lab.cli import entry_point as cli
from refhf.lab.cli import run_progress
from refhf.lab.plots import run_figures as plots
from refhf.lab.runs import training_run as runs
from refhf.parallel import launched_rank
plots.run_figure = plots.save_figure = lambda *_: None
run_progress.progress_line = lambda record: time.sleep(0.03) or ""
"""  # `refhf`, a step every 0.03 s at most, and nothing drawn
MAIN = "sys.exit(cli.main(sys.argv[1:]))"


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    """Figures are drawn elsewhere."""
    for name in "run_figure", "comparison_figure", "save_figure":
        monkeypatch.setattr(run_figures, name, lambda *_: None)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny(tmp_path_factory.mktemp("data"))


def options(method):
    small = {"curvature_batch": 20, "batch": 15, "replicas": 3}
    return {name: value for name, value in small.items() if name in METHODS[method].options}


def run_of(problem, method, folder, since=None, every=1, asked=lambda: 0, listen=lambda record: None):
    run = training_run.plan_run(problem, method, STEPS, options(method), since)
    with RunWriter(folder, run, every, {}) as keeper:
        return training_run.execute_run(run, listen, keeper, asked)


def at_step(folder, step, act):
    """Call `act` with a process once that has written the history of so many steps; for `finish`."""

    def wait(process):
        lines, end = folder / "history.jsonl", time.monotonic() + 60
        while not lines.exists() or lines.read_bytes().count(b"\n") <= step:
            if process.poll() is not None or time.monotonic() > end:
                return
            time.sleep(0.002)
        act(process)

    return wait


def theta(folder):
    return np.load(Path(folder, "theta.npz"))["theta"]


@pytest.mark.parametrize("method", METHODS)
def test_a_run_goes_on_from_any_step_to_the_bit(method, data, tmp_path):
    """R15: from the checkpoint of each of its steps, a run ends where the uninterrupted one does, and tells the same.

    The history on disk is put back to the checkpoint, whatever had been written after it.
    """
    problem, kept = pose_problem(load(data), [4]), []

    def copy(record):
        if record["step"]:
            place = tmp_path / f"{record['step']}"
            place.mkdir()
            for name in checkpoint.CHECKPOINT_NAME, run_position.HISTORY:
                shutil.copy(tmp_path / "whole" / name, place / name)
            kept.append(place / checkpoint.CHECKPOINT_NAME)

    whole = run_of(problem, method, tmp_path / "whole", listen=copy)
    for path in kept:
        since = run_position.load_position(path)
        folder = shutil.copytree(tmp_path / "whole", tmp_path / "again", dirs_exist_ok=True)
        again = run_of(problem, method, folder, since)
        assert again.theta.tobytes() == whole.theta.tobytes() == theta(folder).tobytes()
        assert to_json(timeless(again.history)) == to_json(timeless(whole.history))
        assert history(folder) == history(tmp_path / "whole")
        assert again.status is whole.status


@pytest.mark.parametrize("method", ["gn-cg", "nlcg-pr", "rmsprop"])
def test_a_process_that_is_killed_is_resumed(method, data, tmp_path):
    """R15: a process killed at any moment is resumed to the bit; without a checkpoint yet, from the start."""
    command = ["train", "--method", method, "--data", str(data), *SMALL, "--checkpoint-every", "3"]
    assert entry_point.main([*command, "--out", str(tmp_path / "whole")]) == 0
    talking = [word for word in command if word != "--quiet"]
    for steps in 0, 4:
        folder = tmp_path / str(steps)
        slow = [sys.executable, "-c", SLOWLY + MAIN, *talking, "--out", str(folder)]
        finish(slow, 60, {}, at_step(folder, steps, subprocess.Popen.kill))
        assert entry_point.main(["train", "--resume", str(folder), "--quiet"]) == 0
        assert theta(folder).tobytes() == theta(tmp_path / "whole").tobytes()
        assert history(folder) == history(tmp_path / "whole")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_finishes_the_step(number, code, data, tmp_path, monkeypatch, capsys):
    """Ctrl-C and a polite kill: the step in hand is done, saved and said; resumed, the run ends as if uninterrupted."""
    command = ["train", "--method", "hybrid-cg", "--data", str(data), *SMALL, "--checkpoint-every", "0"]
    assert entry_point.main([*command, "--out", str(tmp_path / "whole")]) == 0
    signal_at(monkeypatch, 5, number)
    handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    assert entry_point.main([*command, "--out", str(tmp_path / "cut")]) == code
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert "hybrid-cg ended at step 4: The run was interrupted, and can be resumed." in capsys.readouterr().out
    assert len(history(tmp_path / "cut")) == 5
    assert entry_point.main(["train", "--resume", str(tmp_path / "cut"), "--quiet"]) == 0
    assert theta(tmp_path / "cut").tobytes() == theta(tmp_path / "whole").tobytes()
    assert history(tmp_path / "cut") == history(tmp_path / "whole")


def test_further_signals(data, tmp_path, monkeypatch):
    """A SIGTERM that comes twice is one; a second Ctrl-C ends the run in the middle of its step, as it says."""
    command = ["train", "--method", "sgd", "--data", str(data), *SMALL, "--out"]
    for number, code in (signal.SIGTERM, 143), (signal.SIGINT, 130):
        with monkeypatch.context() as patch:
            signal_at(patch, 4, number, number)
            assert entry_point.main([*command, str(tmp_path / str(code))]) == code
    assert run_position.load_position(tmp_path / "143" / checkpoint.CHECKPOINT_NAME).step == 3
    assert len(history(tmp_path / "130")) == 3
    assert theta(tmp_path / "130").size


ONE_RANK = """
record = runs._record
def cut(run, step, *rest):
    if step == int(os.environ["CUT"]) and launched_rank() == 1:
        os.kill(os.getpid(), signal.SIGTERM)
    return record(run, step, *rest)
runs._record = cut
"""


@needs_mpi
def test_a_signal_finishes_the_step_of_all_ranks(data, tmp_path):
    """mpiexec passes signals on; one that a single rank gets ends all, at the same step; resumed, to the same bits.

    No rank is left behind, and the exit status is that of one process.
    """
    command = ["train", "--method", "gn-cg", "--data", data, *SMALL, "--reduction", "reproducible", "--steps"]
    command.remove("--quiet")
    folder, done = tmp_path / "cut", 0
    for number, code in (signal.SIGINT, 130), (signal.SIGTERM, 143):
        rest = ["--resume", folder] if done else ["--out", folder]
        stop = at_step(folder, done + 1, lambda process, number=number: process.send_signal(number))
        got, out, err, _ = mpiexec(2, "-c", SLOWLY + MAIN, *command, 1000, *rest, meanwhile=stop)
        assert got == code, err
        assert "The run was interrupted, and can be resumed" in out
        done, before = run_position.load_position(folder / checkpoint.CHECKPOINT_NAME).step, done
        assert len(history(folder)) == done + 1 > before + 1
    again = "-c", SLOWLY + ONE_RANK + MAIN, *command, 1000, "--resume", folder
    got, _, err, _ = mpiexec(2, *again, CUT=str(done + 2))
    assert got == 143, err
    assert run_position.load_position(folder / checkpoint.CHECKPOINT_NAME).step == done + 2
    command = ["train", "--quiet", "--steps", str(done + 4)]
    assert entry_point.main([*command, "--resume", str(folder)]) == 0
    whole = ["--method", "gn-cg", "--data", str(data), *SMALL, "--reduction", "reproducible"]
    assert entry_point.main([*command, *whole, "--steps", str(done + 4), "--out", str(tmp_path / "whole")]) == 0
    assert theta(folder).tobytes() == theta(tmp_path / "whole").tobytes()
    assert history(folder) == history(tmp_path / "whole")


@needs_mpi
def test_ranks_resume_what_another_number_began(data, tmp_path):
    """R15, R11: what two ranks began, three go on with, reproducibly to the bit."""
    command = ["train", "--method", "gn-cg", "--data", data, *SMALL, "--reduction", "reproducible"]
    code, _, err, _ = mpiexec(1, "-m", "refhf", *command, "--out", tmp_path / "whole")
    assert code == 0, err
    code, _, err, _ = mpiexec(2, "-m", "refhf", *command, "--steps", 4, "--out", tmp_path / "cut")
    assert code == 0, err
    code, _, err, _ = mpiexec(3, "-m", "refhf", "train", "--resume", tmp_path / "cut", "--steps", STEPS, "--quiet")
    assert code == 0, err
    assert theta(tmp_path / "cut").tobytes() == theta(tmp_path / "whole").tobytes()
    assert history(tmp_path / "cut") == history(tmp_path / "whole")


def test_a_comparison_skips_what_is_done(data, tmp_path, monkeypatch):
    """`compare --resume`: methods that are done are not run again, the one in hand goes on, the others follow."""
    command = ["compare", "--methods", "gn-cg,sgd,hessian-cg", "--data", str(data), *SMALL]
    assert entry_point.main([*command, "--out", str(tmp_path / "whole")]) == 0
    calls = signal_at(monkeypatch, 15, signal.SIGINT)
    assert entry_point.main([*command, "--out", str(tmp_path / "cut")]) == 130
    assert [calls.count(name) for name in ("gn-cg", "sgd", "hessian-cg")] == [11, 4, 0]
    assert entry_point.main(["compare", "--resume", str(tmp_path / "cut"), "--quiet"]) == 0
    assert [calls.count(name) for name in ("gn-cg", "sgd", "hessian-cg")] == [11, 11, 11]
    for name in "gn-cg", "sgd", "hessian-cg":
        assert theta(tmp_path / "cut" / name).tobytes() == theta(tmp_path / "whole" / name).tobytes()
        assert history(tmp_path / "cut" / name) == history(tmp_path / "whole" / name)


BAD = [
    (["--resume", "{run}", "--hidden", "5"], "hidden: expected [4], as the run in"),
    (["--resume", "{run}", "--option", "damping=3"], "option: expected [], as the run in"),
    (["--resume", "{run}/nothing"], "resume: expected the folder of a run (--out); got"),
    (["--resume", "{broken}"], "run.json: expected a file that `refhf` wrote"),
    (["--resume", "{strange}"], "run.json: expected a file that `refhf` wrote"),
    (["--resume", "{torn}"], "checkpoint.npz: cannot be read as .npz"),
    (["--resume", "{other}"], "method: expected 'gradient-descent', as in"),
    (["--resume", "{lost}"], "checkpoint.npz: expected a file that `refhf` wrote"),
    (["--resume", "{changed}"], "data: expected"),
]


@pytest.mark.parametrize(("given", "said"), BAD, ids=[said.split(":")[0] + str(i) for i, (_, said) in enumerate(BAD)])
def test_what_cannot_be_resumed(given, said, tmp_path, capsys):
    """Another argument, other data, another method's checkpoint, a broken file: one line, status 2, nothing touched."""
    path = tiny(tmp_path / "data")
    command = ["train", "--method", "sgd", "--data", str(path), *SMALL, "--steps", "2", "--out"]
    assert entry_point.main([*command, str(tmp_path / "run")]) == 0
    copies = "broken", "strange", "torn", "other", "lost", "changed"
    places = {name: shutil.copytree(tmp_path / "run", tmp_path / name) for name in copies}
    (places["broken"] / "run.json").write_text("[]")
    (places["strange"] / "run.json").write_text('{"arguments": {"option": []}}')
    (places["torn"] / checkpoint.CHECKPOINT_NAME).write_bytes(
        (places["torn"] / checkpoint.CHECKPOINT_NAME).read_bytes()[:-30]
    )
    arrays, record = checkpoint.load_checkpoint(places["other"] / checkpoint.CHECKPOINT_NAME)
    checkpoint.save_checkpoint(
        places["lost"] / checkpoint.CHECKPOINT_NAME, {**arrays, run_position.HISTORY: np.frombuffer(b"{", "u1")}, record
    )
    record["facts"]["method"] = "gradient-descent"
    checkpoint.save_checkpoint(places["other"] / checkpoint.CHECKPOINT_NAME, arrays, record)
    if "{changed}" in given:
        tiny(tmp_path / "data", seed=1)
    places = {name: str(place) for name, place in (places | {"run": tmp_path / "run"}).items()}
    before = {file: file.read_bytes() for file in tmp_path.glob("*/*")}
    capsys.readouterr()
    assert entry_point.main(["train", *(word.format(**places) for word in given), "--quiet"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert said in err
    assert {file: file.read_bytes() for file in tmp_path.glob("*/*")} == before


CHANGED = {  # an argument, another value of it, and what is said of a run that was begun with that
    "method": ("hessian-cg", "method: expected 'gn-cg'"),
    "data": ("other.npz", "other.npz"),
    "hidden": ([5], "sizes: expected [5, 4, 3]"),
    "nonlinearity": ("relu", "nonlinearity: expected 'tanh'"),
    "loss": ("squared_error", "loss: expected 'softmax_cross_entropy'"),
    "l2": (0.101, "l2: expected 0.001"),
    "option": ([["warm_start", 0.8]], "warm_start: expected 0.9"),
    "dtype": ("float32", "dtype: expected 'float64'"),
    "seed": (1, "seed: expected 0"),
    "reduction": ("reproducible", "reduction: expected 'fast'"),
    "curvature_batch": (7, "curvature_batch: expected 20"),
    "damping": (0.5, "damping: expected 0.25"),
    "data_dir": ("elsewhere", ""),
    "checkpoint_every": (3, ""),
    "steps": (11, ""),
}


@pytest.fixture(scope="module")
def done(data, tmp_path_factory):
    """The folders of runs that are done, by command."""
    folder, gn = tmp_path_factory.mktemp("done"), ["--curvature-batch", "20", "--damping", "0.25", "--l2", "0.001"]
    gn += ["--option", "warm_start=0.9"]
    with pytest.MonkeyPatch.context() as patch:
        for name in "run_figure", "comparison_figure", "save_figure":
            patch.setattr(run_figures, name, lambda *_: None)
        for words in (["train", "--method", "gn-cg", *gn], ["compare", "--methods", "sgd"]):
            assert entry_point.main([*words, "--data", str(data), *SMALL, "--out", str(folder / words[0])]) == 0
    return folder


@pytest.mark.parametrize("name", CHANGED)
def test_a_changed_argument_is_refused_by_name(name, done, tmp_path, capsys):
    """An argument that was changed in run.json is refused by its name, and nothing is touched.

    Changed in both places where it stands, it is an argument that another run was begun with: that is refused by the
    checkpoint's facts, but for those that a run can be resumed with, or that decide nothing.
    """
    other, said = CHANGED[name]
    shutil.copytree(done / "train", tmp_path, dirs_exist_ok=True)
    described = json.loads((tmp_path / "run.json").read_text())
    described["arguments"][name] = other
    for consistent in False, True:
        if consistent:
            described["command"] = output_folder.command(described["arguments"])
        (tmp_path / "run.json").write_text(json.dumps(described))
        before = {file: file.read_bytes() for file in tmp_path.iterdir()}
        capsys.readouterr()
        status = entry_point.main(["train", "--resume", str(tmp_path), "--quiet"])
        if consistent and not said:
            assert status == 0
            continue
        out, err = capsys.readouterr()
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert (said if consistent else "run.json: expected a file that `refhf` wrote") in err
        assert consistent or f"--{name.replace('_', '-')}=" in err
        assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_another_place_is_refused(done, tmp_path, capsys):
    """`--resume A --out B` and `--resume A --overwrite` are refused by name; `--out A` says the same as none."""
    shutil.copytree(done / "train", tmp_path / "a")
    again = ["train", "--resume", str(tmp_path / "a"), "--quiet", "--steps", "12"]
    for more, said in (["--out", str(tmp_path / "b")], "out: expected none"), (["--overwrite"], "overwrite: expected"):
        capsys.readouterr()
        assert entry_point.main([*again, *more]) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert said in err
    assert not (tmp_path / "b").exists()
    assert len(history(tmp_path / "a")) == 11
    assert entry_point.main([*again, "--out", str(tmp_path / "a" / ".." / "a")]) == 0
    assert len(history(tmp_path / "a")) == 13


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="needs links that can be told from files")
@pytest.mark.parametrize("name", output_folder.FILES)
def test_a_planted_link_is_not_followed(name, done, tmp_path, monkeypatch):
    """Whatever name in its folder a link is planted at, a resumed run writes nothing to what it points to."""
    monkeypatch.setattr(run_figures, "save_figure", lambda *rest: SAVE(Figure(), rest[1]))
    command = "compare" if name.startswith("comparison") else "train"
    for kind in "file", "nothing":
        folder, target = tmp_path / kind / "run", tmp_path / kind / "precious"
        shutil.copytree(done / command, folder)
        if kind == "file":
            target.write_text("thesis")
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target)
        entry_point.main([command, "--resume", str(folder), "--quiet", "--steps", "11"])
        assert target.exists() is (kind == "file")
        assert kind == "nothing" or target.read_text() == "thesis"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
@pytest.mark.parametrize("name", ["checkpoint.npz", "history.jsonl", "checkpoint.npz.part", "theta.npz.part"])
def test_a_planted_pipe_hangs_nothing(name, done, tmp_path, capsys):
    """A pipe in place of a file is replaced, or refused by its name; nothing blocks on it."""
    shutil.copytree(done / "train", tmp_path, dirs_exist_ok=True)
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    code = entry_point.main(["train", "--resume", str(tmp_path), "--quiet", "--steps", "11"])
    assert code == (0 if name.endswith(".part") else 2)
    assert code == 0 or str(tmp_path / name) in capsys.readouterr().err


def test_a_longer_run_and_one_that_is_done(data, tmp_path, capsys):
    """`--resume` with fewer steps than were done does nothing and says so by its status; a diverged run stays ended.

    What diverged has kept the best point, of the smallest loss it told.
    """
    command = ["train", "--data", str(data), *SMALL, "--method", "sgd", "--out"]
    assert entry_point.main([*command, str(tmp_path / "a")]) == 0
    before = theta(tmp_path / "a")
    assert entry_point.main(["train", "--resume", str(tmp_path / "a"), "--steps", "3", "--quiet"]) == 0
    np.testing.assert_array_equal(theta(tmp_path / "a"), before)
    assert entry_point.main([*command, str(tmp_path / "b"), "--option", "learning_rate=1e155", "--l2", "1"]) == 0
    assert entry_point.main(["train", "--resume", str(tmp_path / "b"), "--quiet"]) == 0
    assert capsys.readouterr().out.count("sgd ended at step") == 2
    losses = [record["loss"] for record in history(tmp_path / "b")]
    cases = load(data)
    objective = pose_problem(cases, [4], l2=1.0).objective
    assert objective.value(theta(tmp_path / "b")) == min(loss for loss in losses if loss is not None)


def test_an_overwritten_comparison_is_forgotten(data, tmp_path):
    """After --overwrite, nothing of an earlier comparison with other methods is resumed."""
    command = ["compare", "--data", str(data), *SMALL, "--steps", "1", "--out", str(tmp_path / "a")]
    assert entry_point.main([*command, "--methods", "gn-cg,sgd"]) == 0
    assert entry_point.main([*command, "--methods", "hessian-cg", "--overwrite"]) == 0
    assert entry_point.main(["compare", "--resume", str(tmp_path / "a"), "--steps", "2", "--quiet"]) == 0
    assert len(history(tmp_path / "a" / "hessian-cg")) == 3
    assert not (tmp_path / "a" / "gn-cg" / "run.json").exists()


def test_two_runs_in_one_folder(data, tmp_path, capsys):
    """A folder that another run writes to is refused, resumed or overwritten as well, and left as it is."""
    pytest.importorskip("fcntl")
    command = ["train", "--data", str(data), *SMALL, "--method", "sgd", "--out", str(tmp_path)]
    assert entry_point.main(command) == 0
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    for again in [*command, "--overwrite"], ["train", "--resume", str(tmp_path), "--steps", "20"]:
        capsys.readouterr()
        with checkpoint.locked(tmp_path):
            assert entry_point.main(again) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert f"another process writes to {tmp_path}" in err
        assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


@needs_namespaces
def test_a_full_disk_ends_the_run(data, tmp_path):
    """A disk of 300 kB: the run ends with that message, and the last good checkpoint is whole."""
    script = """
data=$2
train() { "$python" -m refhf train --data "$data" --hidden 900 --checkpoint-every 1 --quiet --method sgd "$@"; }
mount -t tmpfs -o size=300k tmpfs "$1"
train --steps 2 --out "$1/run"
head -c 300k /dev/zero > "$1/rest"
train --steps 9 --resume "$1/run"
echo $?
cp -r "$1/run" "$1/../kept"
"""
    _, out, err, _ = in_namespace(script, tmp_path, data)
    assert out.endswith("run.png\n2\n"), err
    assert "No space left on device" in err
    assert run_position.load_position(tmp_path.parent / "kept" / checkpoint.CHECKPOINT_NAME).step == 2


READ_ONLY = """
import sys
from refhf.lab.cli import entry_point as cli
folder, data = sys.argv[1:]
for command in ["train"], ["compare"], ["sweep", "--methods", "sgd", "--batches", "9", "--steps", "1"]:
    print(cli.main([*command, "--data", data, "--out", folder + "/new"]))
print(cli.main(["train", "--resume", folder + "/run", "--steps", "20", "--quiet"]))
"""


@needs_namespaces
def test_a_folder_that_can_only_be_read(data, tmp_path):
    """A disk mounted for reading: train, compare, sweep and --resume each end with a line, before a step is done."""
    assert (
        entry_point.main(["train", "--method", "sgd", "--data", str(data), *SMALL, "--out", str(tmp_path / "run")]) == 0
    )
    before = {file: file.read_bytes() for file in (tmp_path / "run").iterdir()}
    script = """
mount --bind "$1" "$1" && mount -o remount,ro,bind "$1"
exec "$python" -c "$3" "$1" "$2"
"""
    _, out, err, _ = in_namespace(script, tmp_path, data, READ_ONLY)
    assert out == "2\n" * 4, err
    refused, (last,) = err.splitlines()[:3], err.splitlines()[3:]
    assert all("out: expected a folder that can be written; got" in line for line in refused)
    assert "Read-only file system" in last
    assert {file: file.read_bytes() for file in (tmp_path / "run").iterdir()} == before


def test_a_checkpoint_holds_nothing_but_numbers(data, tmp_path):
    """No pickles: numpy reads a run's files without them, and the record is JSON."""
    assert (
        entry_point.main(["train", "--method", "nlcg-fr", "--data", str(data), *SMALL, "--out", str(tmp_path / "a")])
        == 0
    )
    for name in "checkpoint.npz", "theta.npz":
        with np.load(tmp_path / "a" / name, allow_pickle=False) as file:
            assert all(file[key].dtype != object for key in file)
    record = json.loads(np.load(tmp_path / "a" / checkpoint.CHECKPOINT_NAME)["record"].tobytes())
    assert record["status"] == Status.STEPS_DONE.name
