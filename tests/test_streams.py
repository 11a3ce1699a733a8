"""refhf.lab.cli.standard_streams, text, plots: what is printed, written and named cannot cost a run its numbers."""

import contextlib
import errno
import io
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure
from processes import ONE_THREAD
from test_app import read_history, tiny  # noqa: F401, a fixture

from refhf.data import data_sets
from refhf.data.fetch import IDX_SETS
from refhf.formats import FormatError, read_npz
from refhf.lab.cli import entry_point, standard_streams
from refhf.lab.plots import run_figures
from refhf.lab.runs import checkpoint
from refhf.text import contents, printable

SWEEP = "sweep", "--methods", "sgd,newton", "--batches", "8", "--seeds", "2", "--steps", "2", "--hidden", "6"


@pytest.fixture
def small(tiny):  # noqa: F811
    """A command by its name, small enough for a test."""
    train = "train", "--data", tiny, "--hidden", "6", "--steps", "4"
    return {
        "train": train,
        "compare": ("compare", "--methods", "sgd,newton", *train[1:]),
        "sweep": (*SWEEP, "--data", tiny),
        "saddle": ("saddle", "--methods", "newton", "--steps", "5"),
    }


@pytest.fixture(autouse=True)
def undrawn(monkeypatch, request):
    """Figures are empty, but for the tests that ask for `drawn`."""
    if "drawn" not in request.fixturenames:
        for name in "run_figure", "comparison_figure":
            monkeypatch.setattr(run_figures, name, lambda *_: Figure((1, 1)))


@pytest.fixture
def drawn():
    """A test that asks for it has its figures drawn."""


# --- streams


def without_reader():
    """A stream on a pipe with a closed reading end."""
    read, write = os.pipe()
    os.close(read)
    return os.fdopen(write, "w", buffering=1)


def full():
    """A stream on a disk that is full."""
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    return open("/dev/full", "w", buffering=1)


@pytest.mark.parametrize("name", ["stdout", "stderr"])
@pytest.mark.parametrize("command", ["train", "sweep", "saddle", "info", "nonsense"])
@pytest.mark.parametrize("stream", [without_reader, full, lambda: None], ids=["no reader", "full", "none"])
def test_a_stream_that_fails(name, command, stream, small, tmp_path, monkeypatch):
    """A stream without a reader, or none, changes no status and no file; nor does a stderr that cannot be written.

    Results that cannot be written are status 2, as any disk that is full.
    """
    given = small.get(command, (command,))
    out = ("--out", str(tmp_path / "out")) if command in ("train", "compare", "sweep") else ()
    broken = stream()
    monkeypatch.setattr(sys, name, broken)
    status = entry_point.main([*given, *out])
    assert status == (2 if command == "nonsense" or (stream is full and name == "stdout") else 0)
    if broken is not None:
        broken.close()  # what is left in it goes nowhere, without a word
    if command == "train":
        assert len(read_history(tmp_path / "out")) == 5
        assert (tmp_path / "out" / "checkpoint.npz").exists()


@pytest.mark.parametrize("encoding", ["ascii", "cp437", "utf-16"])
def test_an_encoding_that_lacks_a_letter(encoding, small, tmp_path, monkeypatch):
    """The table of a sweep is whole in any encoding, and so is a path that is none of its letters."""
    held = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(held, encoding))
    assert entry_point.main([*small["sweep"], "--out", str(tmp_path / "µ\udcff日本")]) == 0
    told = held.getvalue().decode(encoding)
    assert ("±" in told) == (encoding != "ascii")
    assert ("±" in told) != ("+-" in told)
    assert "sgd" in told and "newton" in told and "sweep.png" in told


def test_a_stream_is_left_as_it_was(capsys):
    """`main` puts the process's streams back, and reads its own exit through them: --help too."""
    before = sys.stdout, sys.stderr
    with pytest.raises(SystemExit):
        entry_point.main(["--help"])
    assert (sys.stdout, sys.stderr) == before
    with standard_streams.forgiving_streams():
        assert sys.stderr.isatty() is False
        assert sys.stdout.encoding == before[0].encoding


def test_processes_without_readers(tmp_path, small):
    """As a process: closed streams and pipes whose readers are gone leave no word behind, and the files are whole."""
    refhf = f"'{sys.executable}' -m refhf"
    folder = tmp_path / "a b"
    words = " ".join(f"'{word}'" for word in small["train"])
    script = f"""
    set -o pipefail
    {refhf} {words} --out '{folder}' 2>&- | true; echo "$?"
    {refhf} {words} --help 2>>"$OUT" | true; echo "$?"
    {refhf} nonsense 2>&- >&-; echo "$?"
    """
    environment = os.environ | ONE_THREAD | {"OUT": str(tmp_path / "said")}
    ran = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=environment, check=False)
    assert (ran.stdout.split(), ran.stderr) == (["0", "0", "2"], "")
    assert (tmp_path / "said").read_text() == ""
    assert (folder / "theta.npz").exists()


# --- pictures


NAMES = [
    "a$b$c", "$\\frac", "${$", "a^b_c{}", "\\$", "$$$$", "日本", "x\ny", "\x1b[31mred", "n\udcff\udcfe", "a b", "%d%s",
    "-", "\u202egnp", "ä", "\t", "{0}", "$\\undefined$", "a" * 200, "<b>&amp;", "\N{GRINNING FACE}",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_any_name_can_be_a_title(name, tmp_path):
    """Whatever a data file is called, its name is a line of a picture, as it stands."""
    figure, title = Figure((1, 1)), run_figures.escape_dollars(printable(name))
    figure.text(0, 0, title)
    assert "\n" not in title and title.isprintable()
    run_figures.save_figure(figure, tmp_path / "a.svg")
    run_figures.save_figure(figure, tmp_path / "a.png")
    if "$" in name:
        shown = figure.texts[0]._preprocess_math(title)
        assert shown == (printable(name), False)


def test_a_file_of_any_name_is_trained_on(drawn, tiny, tmp_path, capsys):  # noqa: F811
    """A data file with two dollars, or one whose name is not UTF-8, has its table and its picture."""
    path = os.path.join(tmp_path, "n\udcff$\\x$.npz")
    try:
        shutil.copy(tiny, path)
    except OSError:
        pytest.skip("the file system knows UTF-8 only")
    given = "--data", path, "--hidden", "6", "--steps", "2"
    assert entry_point.main(["train", *given, "--out", str(tmp_path / "o")]) == 0
    assert (tmp_path / "o" / "run.png").read_bytes().startswith(b"\x89PNG")
    assert "training error" in capsys.readouterr().out


FAILURES = [RuntimeError("a\nb"), OSError(errno.ENOSPC, "full"), MemoryError()]


@pytest.mark.parametrize("error", FAILURES, ids=repr)
@pytest.mark.parametrize("command", ["train", "compare", "sweep", "saddle"])
def test_a_picture_that_fails_costs_no_number(command, error, small, tmp_path, monkeypatch, capsys):
    """Whatever a picture fails at, the results are printed and kept; a line on stderr says what is missing, and why.

    Where the picture is what was asked for, the status says so too.
    """

    def fail(figure, path):
        open(path, "wb").close()
        raise error

    monkeypatch.setattr(run_figures, "save_figure", fail)
    out = str(tmp_path / ("saddle.png" if command == "saddle" else "out"))
    assert entry_point.main([*small[command], *(["--quiet"] if command != "saddle" else []), "--out", out]) == (
        2 if command == "saddle" else 0
    )
    said = capsys.readouterr()
    assert "newton" in said.out or "gn-cg" in said.out
    assert said.err.count("refhf: no picture ") == said.err.count("\n") == (3 if command == "compare" else 1)
    assert type(error).__name__ in said.err
    assert not list(tmp_path.rglob("*.png"))


def test_a_comparison_without_its_picture_says_so(small, tmp_path, monkeypatch, capsys):
    """In JSON, a picture that could not be drawn is null."""
    monkeypatch.setattr(run_figures, "comparison_figure", lambda *_: 1 / 0)
    assert entry_point.main([*small["compare"], "--json", "--quiet", "--out", str(tmp_path / "o")]) == 0
    assert json.loads(capsys.readouterr().out)["picture"] is None


def test_a_backend_that_is_none(tmp_path):
    """No backend is needed: an MPLBACKEND that matplotlib does not know is left alone; one that it knows is heeded."""
    code = f"""
    import os, sys
    from refhf.lab.plots import run_figures as plots
    with plots.figure_style():
        from matplotlib.figure import Figure
    plots.save_figure(Figure(), {str(tmp_path / "a.png")!r})
    import matplotlib
    print(os.environ["MPLBACKEND"], matplotlib.rcParams["backend"] == os.environ["MPLBACKEND"])
    """
    for backend, heeded in ("garbage", False), ("svg", True):
        command = [sys.executable, "-c", "\n".join(line[4:] for line in code.splitlines())]
        ran = subprocess.run(
            command, capture_output=True, text=True, env=os.environ | {"MPLBACKEND": backend}, check=True
        )
        assert ran.stdout == f"{backend} {heeded}\n"
    assert (tmp_path / "a.png").exists()


# --- paths


@pytest.mark.parametrize(
    "given",
    [
        "train --data-dir {}", "train --data {}.npz", "train --out {}", "train --resume {}", "compare --out {}",
        "sweep --methods sgd --batches 3 --steps 1 --out {}", "saddle --out {}.png", "data --data-dir {}",
        "vectors --self --skips {}", "vectors --self --xfails {}", "check --against cg {}.py:f", "train --data {}",
    ],
)  # fmt: skip
def test_nobodys_home(given, capsys, tmp_path, monkeypatch):
    """The home of an unknown user is a one-line error that names the argument, and creates no folder."""
    monkeypatch.chdir(tmp_path)
    assert entry_point.main(given.format("~nobody-has-this-name/x").split()) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "no home is known of ~nobody-has-this-name" in said
    assert not list(tmp_path.iterdir())


def test_a_home_is_found(small, tmp_path, monkeypatch, capsys):
    """'~' is the home folder in every argument that is a path, where the shell has left it: `--out=~/run`."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for command in "train", "compare", "sweep":
        assert entry_point.main([*small[command], f"--out=~/{command}"]) == 0
    assert entry_point.main(["train", "--resume", "~/train", "--steps", "5"]) == 0
    assert entry_point.main(["saddle", "--methods", "newton", "--steps", "2", "--out=~/s.svg"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["compare", "s.svg", "sweep", "train"]
    (tmp_path / "folder").mkdir()
    for name in "X", "y":
        np.save(tmp_path / "folder" / f"{name}.npy", np.eye(3))
    assert data_sets.load("~/folder").X.shape == (3, 3)
    capsys.readouterr()


def test_a_run_is_resumed_from_any_folder(small, tiny, tmp_path, monkeypatch, capsys):  # noqa: F811
    """Paths of the data that were relative where a run began hold wherever it is resumed, and may be given again."""
    start, other = tmp_path / "start", tmp_path / "other"
    for folder in start, other:
        folder.mkdir()
    monkeypatch.chdir(start)
    relative = os.path.relpath(tiny, start)
    for command in "train", "compare":
        given = [relative if word == tiny else word for word in small[command]]
        assert entry_point.main([*given, "--out", command, "--quiet"]) == 0
        monkeypatch.chdir(other)
        folder = f"../start/{command}"
        assert entry_point.main([command, "--resume", folder, "--steps", "5", "--quiet"]) == 0
        again = os.path.relpath(tiny, other)
        assert entry_point.main([command, "--resume", folder, "--steps", "6", "--data", again, "--quiet"]) == 0
        monkeypatch.chdir(start)
    assert len(read_history(start / "train")) == 7
    capsys.readouterr()


def test_what_is_said_can_be_typed(small, tmp_path, monkeypatch, capsys):
    """The command that goes on with a run is quoted as a shell needs it."""
    monkeypatch.setattr(
        "refhf.lab.runs.stop_signals.finish_step_on_signal", lambda comm: contextlib.nullcontext(lambda: 2)
    )
    folder = tmp_path / "my run $HOME"
    assert entry_point.main([*small["train"], "--quiet", "--out", str(folder)]) == 130
    assert f"refhf train --resume '{folder}' resumes it" in capsys.readouterr().out


# --- files


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EIO, errno.EBADF, errno.EACCES])
def test_a_folder_that_cannot_be_synced(number, tmp_path, monkeypatch):
    """A checkpoint that is in place is saved, whether or not its folder can be synced."""
    sync = os.fsync

    def refuse(descriptor):
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(number, os.strerror(number))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse)
    checkpoint.save_checkpoint(tmp_path / "c.npz", {"x": np.arange(3)}, {"step": 1})
    assert checkpoint.load_checkpoint(tmp_path / "c.npz")[1] == {"step": 1}


@pytest.mark.parametrize(
    ("number", "fatal"), [(errno.EINVAL, False), (errno.ENOSYS, False), (errno.EIO, True), (errno.ENOSPC, True)]
)
def test_a_file_that_cannot_be_synced(number, fatal, tmp_path, monkeypatch):
    """On a file system without syncing a checkpoint is saved; where the disk refuses it, it is not."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError(number, "no")))
    if fatal:
        with pytest.raises(OSError, match="no"):
            checkpoint.save_checkpoint(tmp_path / "c.npz", {"x": np.arange(3)}, {})
        assert not list(tmp_path.iterdir())
    else:
        checkpoint.save_checkpoint(tmp_path / "c.npz", {"x": np.arange(3)}, {})
        assert checkpoint.load_checkpoint(tmp_path / "c.npz")[1] == {}


@pytest.mark.parametrize("spell", [str, lambda file: file.replace("-idx", ".idx")], ids=["published", "dotted"])
@pytest.mark.parametrize("end", ["", ".gz"])
@pytest.mark.parametrize("within", ["", "mnist"])
def test_files_of_mnist_by_either_name(spell, end, within, tmp_path):
    """`train-images.idx3-ubyte`, as some archives have it, is `train-images-idx3-ubyte`."""
    folder = tmp_path / within
    folder.mkdir(exist_ok=True)
    for file in IDX_SETS["mnist"].sha256:
        (folder / (spell(file) + end)).touch()
    assert data_sets.list_data_sets(data_dir=tmp_path)[1].source == f"folder {folder}"


def test_what_is_there_instead_is_named(tmp_path):
    """A folder or a path that will not do is described in the message: what is in it, or what it is."""
    for what, said in {
        "nothing": "does not exist",
        "file": "is a file",
        "empty": "is empty",
        "some": "has .hidden, t10k.zip, x?y",
        "many": "has 00, 01, 02, 03, 04, 05, 06, 07 and 4 more",
    }.items():
        place = tmp_path / what
        if what == "file":
            place.touch()
        elif what != "nothing":
            place.mkdir()
            names = {"some": ["t10k.zip", "x\ny", ".hidden"], "many": [f"{i:02}" for i in range(12)]}.get(what, [])
            for name in names:
                (place / name).touch()
        assert contents(place) == said
        for name in "mnist", "fashion-mnist", "cifar-10":
            with pytest.raises(ValueError, match="got .*, which ") as caught:
                data_sets.load(name, data_dir=place)
            assert str(caught.value).endswith(said)
        if what in ("empty", "some"):
            with pytest.raises(ValueError, match="a path that") as caught:
                data_sets.load(place)
            assert str(caught.value).endswith(said)


def test_one_hot_targets_are_no_bomb(tmp_path):
    """Targets of 40 MB that shrink to nearly nothing are read; an archive is as large as all that is in it."""
    y = np.zeros((5000, 1000))
    y[np.arange(5000), np.random.default_rng(0).integers(1000, size=5000)] = 1
    np.savez_compressed(tmp_path / "one-hot.npz", X=np.zeros((5000, 2)), y=y)
    assert np.array_equal(read_npz(tmp_path / "one-hot.npz")["y"], y)
    np.savez_compressed(tmp_path / "ten.npz", **{f"x{i}": np.zeros(10**6) for i in range(10)})
    with pytest.raises(FormatError, match="claim to be"):
        read_npz(tmp_path / "ten.npz")
