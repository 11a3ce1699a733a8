"""Networks on the command line: convnets, residual networks with batch normalisation, and transformers of texts."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from processes import mpiexec, needs_mpi
from short_runs import labelled, signal_at, timeless

from refhf.data.data_sets import DataSet, load
from refhf.formats import FormatError
from refhf.lab.cli import entry_point
from refhf.lab.plots import run_figures
from refhf.lab.runs import training_run
from refhf.lab.runs.network_choice import NetworkChoice, completed
from refhf.lab.runs.training_problem import pose_problem
from refhf.methods.mini_batch import batch_size
from refhf.model.network_file import load_network
from refhf.model.residual_networks import resnet
from refhf.model.transformers import transformer

X, LABELS = labelled(60, 16, 3)  # images of 4 x 4 pixels
DATA = DataSet("images", X[:40], LABELS[:40], X[40:], LABELS[40:])
RESNET = ["--network", "resnet-8", "--width", "2", "--group", "12"]  # three groups, and four cases
TEXT = "so long as men can breathe or eyes can see, " * 12


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    """Figures are drawn elsewhere."""
    for name in "run_figure", "comparison_figure", "save_figure":
        monkeypatch.setattr(run_figures, name, lambda *_: None)


@pytest.fixture
def folder(tmp_path):
    """A folder with images.npz and words.txt."""
    np.savez(tmp_path / "images.npz", X=X[:40], y=LABELS[:40], X_test=X[40:], y_test=LABELS[40:])
    (tmp_path / "words.txt").write_text(TEXT)
    return tmp_path


def refhf_cli(command, *words):
    return entry_point.main([command, *map(str, words)])


def history(folder):
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


NETWORKS = {  # the words that choose a network, and its title
    "convnet": (["--width", "2"], "convnet, width 2, tanh"),
    "resnet-8": (["--width", "2", "--group", "20"], "resnet-8, width 2, norm batch, group 20, relu"),
    "resnet-14": (["--width", "2", "--norm", "layer"], "resnet-14, width 2, norm layer, relu"),
    "transformer": (
        ["--width", "8", "--heads", "2", "--depth", "1", "--context", "8", "--nonlinearity", "silu"],
        "transformer, width 8, depth 1, heads 2, context 8, silu",
    ),
    "resnet-11": (
        ["--width", "2", "--group", "20", "--block", "bottleneck", "--shortcut", "projection", "--preactivation"],
        "resnet-11, width 2, norm batch, group 20, block bottleneck, shortcut projection, preactivation, relu",
    ),
    "tied transformer": (
        ["--width", "8", "--heads", "2", "--depth", "1", "--context", "8", "--tied"],
        "transformer, width 8, depth 1, heads 2, context 8, tied, gelu",
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_trains(name, folder, capsys):
    """Each network lowers its loss, by the name and in the precision that were asked for."""
    words, title = NETWORKS[name]
    name = name.removeprefix("tied ")
    data = folder / ("words.txt" if name == "transformer" else "images.npz")
    assert refhf_cli("train", "--data", data, "--network", name, *words, "--steps", 3, "--out", folder / "run") == 0
    assert capsys.readouterr().err.splitlines()[0] == f"gn-cg on {data.stem}, {title}"
    losses = [record["loss"] for record in history(folder / "run")]
    assert losses[-1] < 0.95 * losses[0]
    with np.load(folder / "run" / "theta.npz", allow_pickle=False) as saved:
        assert (saved["network"], saved["width"], saved["theta"].dtype) == (name, int(words[1]), np.float32)


def test_the_bundled_text_trains(capsys):
    """`--network transformer --data sonnets` needs nothing else."""
    small = ["--width", "8", "--depth", "1", "--steps", "1", "--method", "sgd", "--json", "--quiet"]
    assert refhf_cli("train", "--network", "transformer", "--data", "sonnets", *small) == 0
    first, last = json.loads(capsys.readouterr().out)["history"]
    assert last["loss"] < first["loss"]


def test_test_errors_have_the_training_statistics():
    """The test error is that of the network frozen at the training cases' statistics, of each test case alone."""
    problem = pose_problem(DATA, NetworkChoice("resnet-8", width=2, group=12))
    assert problem.notes == ("X: batch normalisation in groups of 12 cases; the last 4 form a smaller group",)
    result = training_run.execute_run(training_run.plan_run(problem, "gn-cg", 2))
    assert result.history[-1]["test_error"] == problem.test_error(result.theta)
    assert result.history[-1]["training_error"] == problem.objective.error(result.theta)
    thetas = [result.theta, *(problem.net.init(seed) for seed in range(4))]
    errors = []
    for theta in thetas:
        frozen = problem.net.frozen(problem.objective.statistics(theta))
        wrong = [frozen.predict(theta, x).argmax() != y for x, y in zip(X[40:], LABELS[40:], strict=True)]
        errors.append(np.mean(wrong))
    assert [problem.test_error(theta) for theta in thetas] == errors
    assert [problem.test.error(theta) for theta in thetas] != errors  # by the test cases' own statistics


def test_an_mlp_is_as_it_was():
    """The facts and the title of an mlp's run have its sizes and its nonlinearity, and no network."""
    problem = pose_problem(DATA, [6])
    facts = training_run.run_facts(training_run.plan_run(problem, "gradient-descent", 1))
    assert problem.title == "images, 16-6-3, tanh"
    assert set(NetworkChoice._fields) & set(facts) == {"nonlinearity"}
    assert (facts["sizes"], facts["nonlinearity"]) == ([16, 6, 3], "tanh")


@pytest.mark.parametrize(
    ("cases", "group", "size"),
    [(10000, 1, 1000), (10000, 128, 896), (10000, 3000, 3000), (900, 128, 900), (40, 40, 40)],
)
def test_the_usual_batch_is_whole_groups(cases, group, size):
    """1,000 cases are rounded down to whole groups, one at least; all cases are a batch though they are not."""
    assert batch_size("batch", None, 1000, SimpleNamespace(cases=cases, group=group)) == size


def test_a_resumed_run_has_the_same_numbers(folder, monkeypatch, capsys):
    """resnet-8, stopped by a signal and resumed, has the history of a run that was not; no other network resumes it."""
    words = ["--data", folder / "images.npz", *RESNET, "--steps", 4, "--checkpoint-every", 1, "--quiet"]
    assert refhf_cli("train", *words, "--curvature-batch", 24, "--out", folder / "whole") == 0
    signal_at(monkeypatch, 3, 15)
    assert refhf_cli("train", *words, "--curvature-batch", 24, "--out", folder / "run") == 143
    capsys.readouterr()
    for other, said in (["--network", "mlp"], "network: expected 'resnet-8'"), (["--width", 3], "width: expected 2"):
        assert refhf_cli("train", "--resume", folder / "run", *other) == 2
        assert f"error: {said}, as the run in" in capsys.readouterr().err
    assert refhf_cli("train", "--resume", folder / "run", "--quiet") == 0
    assert timeless(history(folder / "run")) == timeless(history(folder / "whole"))


@pytest.mark.parametrize(
    ("words", "net"),
    [
        (
            ["--network", "resnet-11", "--width", "2", "--group", "12", "--block", "bottleneck", "--preactivation"],
            resnet((4, 4, 1), 11, 2, 3, group=12, block="bottleneck", version="v2"),
        ),
        (
            ["--network", "resnet-8", "--width", "2", "--group", "12", "--shortcut", "projection", "--block", "basic"],
            resnet((4, 4, 1), 8, 2, 3, group=12, shortcut="projection"),
        ),
        (
            ["--network", "transformer", "--width", "8", "--depth", "1", "--context", "8", "--tied"],
            transformer(16, 8, 8, 4, 1, tied=True),
        ),
    ],
)
def test_unusual_networks_are_saved_and_resumed(words, net, folder, monkeypatch, capsys):
    """The saved network is that of `refhf.resnet` or `transformer`, predicts, and a stopped run resumes to the bit."""
    data = folder / ("words.txt" if "transformer" in words else "images.npz")
    words = ["--data", data, *words, "--method", "sgd", "--steps", 3, "--checkpoint-every", 1, "--quiet"]
    assert refhf_cli("train", *words, "--out", folder / "whole") == 0
    signal_at(monkeypatch, 2, 15)
    assert refhf_cli("train", *words, "--out", folder / "run") == 143
    assert refhf_cli("train", "--resume", folder / "run", "--quiet") == 0
    assert timeless(history(folder / "run")) == timeless(history(folder / "whole"))
    saved, _ = load_network(folder / "run" / "network.npz")
    assert (saved.size, saved.ties) == (net.size, net.ties)
    assert saved.chain.weight_shapes == net.chain.weight_shapes
    if net.tokens:
        assert saved.chain == net.chain
    else:
        frozen = net.frozen(np.stack([np.zeros(n), np.ones(n)]) for n in net.normalised_channels)
        assert [type(b) for b in saved.chain.blocks] == [type(b) for b in frozen.chain.blocks]
        capsys.readouterr()
        assert refhf_cli("predict", folder / "run" / "network.npz", data) == 0
        assert "error" in capsys.readouterr().out
    other = ["--depth", 2] if net.tokens else ["--norm", "layer"]
    assert refhf_cli("train", "--resume", folder / "run", *other) == 2


def test_the_usual_settings_are_those_that_were_not_given():
    """Naming a default changes nothing, so that an older sweep of the same network goes on."""
    usual, named = NetworkChoice("resnet-8"), NetworkChoice("resnet-8", block="basic", shortcut="identity")
    assert completed(named) == completed(usual)
    assert {"block", "shortcut", "preactivation"}.isdisjoint(completed(named).settings)


def test_a_sweep_knows_its_network(folder, capsys):
    """A sweep's lines have the network's settings, and no other network joins them."""
    words = ["--methods", "sgd", "--batches", "12,24", "--seeds", 1, "--steps", 1, "--quiet", "--out", folder / "sweep"]
    data = ["--data", folder / "images.npz"]
    assert refhf_cli("sweep", *words, *data, *RESNET) == 0
    lines = [json.loads(line) for line in (folder / "sweep" / "runs.jsonl").read_text().splitlines()]
    known = {"network": "resnet-8", "width": 2, "norm": "batch", "group": 12, "nonlinearity": "relu"}
    assert all(known.items() <= line["setting"].items() and "hidden" not in line["setting"] for line in lines)
    assert refhf_cli("sweep", *words, *data, *RESNET, "--network", "resnet-14") == 2
    assert "network: expected 'resnet-8', as in the runs that are in" in capsys.readouterr().err


def test_a_comparison_shares_a_network(folder, capsys):
    """All methods of a comparison start from the same residual network."""
    words = ["--methods", "hessian-cg,momentum,nlcg-pr", "--steps", 1, "--json", "--quiet"]
    assert refhf_cli("compare", *words, "--data", folder / "images.npz", *RESNET) == 0
    runs = json.loads(capsys.readouterr().out)["runs"]
    assert len({run["history"][0]["loss"] for run in runs}) == 1
    assert all(run["history"][1]["loss"] < run["history"][0]["loss"] for run in runs[:2])


BAD = [  # arguments, what the line must say
    (
        "--network resnet-18",
        "network: expected resnet-N of N = 6 n + 2 layers; got 'resnet-18' (did you mean 'resnet-20",
    ),
    ("--network resnet", "got 'resnet' (did you mean 'resnet-20'?)"),
    ("--network transfomer", "network: expected one of mlp, convnet, resnet-8, resnet-20, "),
    ("--network transfomer", "got 'transfomer' (did you mean 'transformer'?)"),
    ("--network cnn", "(did you mean 'convnet'?)"),
    (
        "--network resnet-8 --norm bacth",
        "norm: expected one of batch, layer, none; got 'bacth' (did you mean 'batch'?)",
    ),
    ("--network resnet-8 --nonlinearity rleu", "got 'rleu' (did you mean 'relu'?)"),
    (
        "--network resnet-8 --hidden 5",
        "hidden: expected none, as resnet-8 has width, norm, group, nonlinearity, block, shortcut, ",
    ),
    (
        "--network resnet-8 --heads 2",
        "heads: expected none, as resnet-8 has width, norm, group, nonlinearity, block, shortcut, ",
    ),
    (
        "--network convnet --norm batch",
        "norm: expected none, as convnet has width, nonlinearity, ",
    ),
    ("--width 5", "width: expected none, as mlp has hidden, nonlinearity, standardise; got 5"),
    ("--context 5", "context: expected none, as mlp has hidden, nonlinearity, standardise; got 5"),
    ("--network resnet-8 --norm layer --group 5", "group: expected none with norm layer; got 5"),
    ("--network resnet-8 --block botleneck", "block: expected one of basic, bottleneck; got 'botleneck' (did you mean"),
    ("--network resnet-8 --shortcut none", "shortcut: expected one of identity, projection; got 'none'"),
    (
        "--network resnet-50 --block bottleneck",
        "network: expected resnet-N of N = 9 n + 2 layers and bottleneck blocks; got 'resnet-50' (did you mean",
    ),
    ("--network resnet-8 --tied", "tied: expected none, as resnet-8 has width, norm, group, "),
    ("--network transformer --preactivation", "preactivation: expected none, as transformer has width, depth, heads, "),
    (
        "--network convnet --block bottleneck",
        "block: expected none, as convnet has width, nonlinearity, ",
    ),
    ("--network resnet-8 --group 41", "group: expected an integer >= 1 and <= 40; got 41"),
    (
        "--network resnet-8 --group 20 --curvature-batch 30",
        "curvature_batch: expected a multiple of 20, the group of ba",
    ),
    ("--network resnet-8 --group 20 --method sgd --option batch=5", "batch: expected a multiple of 20, the group of "),
    ("--network resnet-8 --group 20 --method replica-newton", "batch / replicas: expected a multiple of 20, the group"),
    ("--network resnet-8 --width 0", "--width: expected an integer >= 1; got '0'"),
    (
        "--network resnet-8 --data odd.npz",
        "X: expected square images of one channel or three, n_0 = s s or 3 s s; got n_",
    ),
    ("--network convnet --data three.npz", "stages[1]: expected a size that divides 3 and 3; got 2"),
    ("--network transformer", "data: expected a text for a transformer, as sonnets or a .txt file; got images"),
    ("--data words.txt", "network: expected transformer, as words is a text; got mlp"),
    ("--network transformer --data words.txt --width 6", "width: expected a multiple of heads = 4; got 6"),
    ("--network transformer --data words.txt --loss squared_error", "loss: expected softmax_cross_entropy for a text;"),
    (
        "--network transformer --data words.txt --context 600",
        "expected a text of more than context = 600 characters; fou",
    ),
    ("--network transformer --data none.txt", "name_or_path: expected a .txt file; got 'none.txt', which is no file"),
    ("--network transformer --data latin.txt", "latin.txt: expected a text in UTF-8; found"),
    ("--network transformer --data same.txt", "vocabulary: expected two or more tokens for a softmax; got 1"),
]


@pytest.mark.parametrize(("given", "said"), BAD)
def test_bad_networks(given, said, folder, monkeypatch, capsys):
    """A mistake is one line before any work."""
    monkeypatch.chdir(folder)
    for name, columns in ("odd", 5), ("three", 9):
        np.savez(f"{name}.npz", X=X[:, :columns], y=LABELS)
    (folder / "latin.txt").write_bytes("né".encode("latin-1") * 99)
    (folder / "same.txt").write_text("a" * 99)
    assert refhf_cli("train", "--data", "images.npz", *given.split(), "--out", "out") == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert said in err
    assert not (folder / "out").exists()


def test_windows_of_a_text(tmp_path):
    """Windows follow each other, a target is its window one character ahead, and the last tenth is to test on."""
    (tmp_path / "a.txt").write_text("bananas", encoding="utf-8")
    read = load(tmp_path / "a.txt", context=2, dtype="float32")
    assert (read.vocabulary, read.X_test, read.dtype) == ("abns", None, np.float32)
    np.testing.assert_array_equal(read.X, [[1, 0], [2, 0], [2, 0]])  # ba na na
    np.testing.assert_array_equal(read.y, [[0, 2], [0, 2], [0, 3]])  # an an as
    letters = "abcdefghijklmnopqrstü"  # 21: ten windows of two
    (tmp_path / "b.txt").write_text(letters, encoding="utf-8")
    read = load(tmp_path / "b.txt", context=2)
    joined = np.concatenate([read.X, read.X_test]).ravel(), np.concatenate([read.y, read.y_test]).ravel()
    assert ["".join(read.vocabulary[i] for i in part) for part in joined] == [letters[:-1], letters[1:]]
    assert (len(read.X), len(read.X_test)) == (9, 1)
    with pytest.raises(FormatError, match=r"expected a text of more than context = 32 characters; found 21"):
        load(tmp_path / "b.txt")


def test_the_sonnets():
    """Eight sonnets of 14 lines."""
    text = load("sonnets", context=1)
    letters = [text.vocabulary[i] for i in np.concatenate([text.X, text.X_test]).ravel()]
    poems = "".join(letters).split("\n\n")
    assert [len(poem.splitlines()) for poem in poems] == [14] * 8


@needs_mpi
def test_ranks_train_as_one_process(folder):
    """resnet-8 on three ranks has the numbers of one process, to the bit, with --reduction reproducible."""
    words = ["-m", "refhf", "train", "--data", folder / "images.npz", *RESNET, "--steps", 2, "--curvature-batch", 24]
    for ranks in 1, 3:
        rest = "--reduction", "reproducible", "--quiet", "--out", folder / f"on {ranks}"
        code, _, err, _ = mpiexec(ranks, *words, *rest)
        assert (code, err) == (0, "")
    one, three = (np.load(folder / f"on {ranks}" / "theta.npz")["theta"] for ranks in (1, 3))
    np.testing.assert_array_equal(three, one)
    errors = [[record["test_error"] for record in history(folder / f"on {ranks}")] for ranks in (1, 3)]
    assert errors[0] == errors[1]


def test_settings_that_the_data_decides():
    """A group is at most all cases, and a transformer's context is that of the text."""
    assert completed(NetworkChoice("resnet-20"), DATA).group == 40
    assert completed(NetworkChoice("resnet-20")).group is None
    assert completed(NetworkChoice("transformer"), load("sonnets", context=7)).context == 7
