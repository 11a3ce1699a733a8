"""At the prompt: short reprs, notebook tables, histories, saved networks, options."""

import json
import pickle
import re
import shutil
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

import refhf
from refhf.driver.registry import METHODS
from refhf.formats import FormatError
from refhf.lab.cli import entry_point

RNG = np.random.default_rng(0)
X, LABELS = RNG.standard_normal((12, 3)), np.arange(12) % 2
NET = refhf.mlp([3, 4, 2])
OBJECTIVE = refhf.supervised(NET, X, LABELS, l2=0.1)
RESULT = refhf.minimize(OBJECTIVE, NET.init(0), steps=3)
SHOWN = {
    "Network 784-400-150-10, tanh, softmax_cross_entropy, 375,660 parameters": refhf.mlp([784, 400, 150, 10]),
    "Network 3-1, squared_error, 4 parameters": refhf.mlp([3, 1], loss="squared_error"),
    "Network 28 x 28 x 1 to 10, 5 blocks, softmax_cross_entropy, 11,738 parameters": refhf.convnet(
        (28, 28, 1), [refhf.conv(8, 5), refhf.pool(2), 10]
    ),
    "Network 32 to 32 x 65, 7 blocks, softmax_cross_entropy, 30,656 parameters": refhf.transformer(),
    "Supervised: 12 cases, l2 0.1, float64\n  Network 3-4-2, tanh, softmax_cross_entropy, 26 parameters": OBJECTIVE,
    "FromFunctions: value, gradient, hessian": refhf.from_functions(np.sum, np.ones_like, lambda x, v: 0 * v),
    "DataSet mnist-mini: 10,000 cases of 784 numbers, labels up to 9; 2,000 test cases": refhf.load("mnist-mini"),
    "DataSet sonnets: 138 cases of 32 numbers, tokens of 54 characters; 15 test cases": refhf.load("sonnets"),
    "Steps of gn-cg: 0 done": refhf.iterate(OBJECTIVE, NET.init(0)),
}


@pytest.mark.parametrize("words", SHOWN)
def test_a_repr_says_what_it_is(words):
    """Each has a repr of a line or two with its sizes."""
    assert repr(SHOWN[words]) == str(SHOWN[words]) == words


@pytest.mark.parametrize("method", refhf.available_methods())
def test_a_report_is_three_lines(method):
    """The repr of a step's report says its number, outcome and numbers in at most three lines, without vectors."""
    options = {} if method in ("newton", "truncated-newton", "saddle-free-newton") else {"rng": 0}
    report = next(refhf.iterate(OBJECTIVE, NET.init(0), method=method, **options))
    lines = repr(report).splitlines()
    assert 2 <= len(lines) <= 3 and max(map(len, lines)) < 150
    assert lines[0].startswith(f"step 1: {report.outcome}, loss at the {report.loss_at} {report.loss:.6g}, ")
    assert f"gradient evaluations {report.counts.gradient_evaluations}" in lines[-1]


def test_blocks_keep_their_repr():
    """`refhf.parallel.launch.agree` compares the chains of ranks by their repr: it still names every number."""
    assert repr(NET.chain) == (
        "Chain(blocks=(Dense(n_in=3, n_out=4, bias=True, rule='glorot'), Activation('tanh'), "
        "Dense(n_in=4, n_out=2, bias=True, rule='glorot')))"
    )


def test_a_result_is_two_lines_and_a_table():
    """A result's repr has f, success, message and counts; a notebook shows a row for each step."""
    first, second = repr(RESULT).splitlines()
    assert first == f"fun {RESULT.fun:.6g} at x (26,), success False: {RESULT.message}"
    assert second == f"  nit 3, nfev {RESULT.nfev}, njev {RESULT.njev}, nhev {RESULT.nhev}"
    table = RESULT._repr_html_()
    assert table.count("<tr>") == 4 and f"<td>{RESULT.history[1]['loss']:.6g}</td>" in table
    again = pickle.loads(pickle.dumps(RESULT))
    assert repr(again) == repr(RESULT) and again.x.tobytes() == RESULT.x.tobytes()


def test_a_check_shows_its_verdict():
    """The repr of a check is its verdict and the first diagnoses; a notebook has a row for each law, escaped."""
    v = NET.init(0)
    wrong = refhf.check_hessian_product(lambda theta, v: OBJECTIVE.gauss_newton(theta) @ v, v, OBJECTIVE)
    first, *causes = repr(wrong).splitlines()
    assert first == f"{wrong.subject}: {wrong.verdict}" and 1 <= len(causes) <= 2
    assert "Gauss-Newton product" in causes[0]
    table = wrong._repr_html_()
    assert table.count("<tr>") == 1 + len(wrong.findings) and wrong.verdict in table
    assert "<b>" not in wrong._replace(subject="<b>")._repr_html_()


def test_a_history_is_plain():
    """Each step of a history is a flat dict of numbers, truth values and words; all have the same keys."""
    for method in ("gn-cg", "negative-curvature-newton", "nlcg-pr", "sgd", "replica-newton"):
        history = refhf.minimize(OBJECTIVE, NET.init(0), method, 3, rng=0).history
        assert [record["step"] for record in history] == [1, 2, 3]
        assert {tuple(record) for record in history} == {tuple(history[0])}
        kinds = {type(value) for record in history for value in record.values()}
        assert kinds <= {int, float, bool, str, type(None)}, method


def test_progress_is_a_bar(capsys, monkeypatch):
    """`progress` shows steps and loss on stderr, changes nothing, and without tqdm names the extra to install."""
    pytest.importorskip("tqdm")
    shown = refhf.minimize(OBJECTIVE, NET.init(0), steps=3, progress=True)
    out, err = capsys.readouterr()
    assert out == "" and re.search(r"gn-cg: 100%.* 3/3 .*loss ", err)
    assert shown.x.tobytes() == RESULT.x.tobytes() and shown.history == RESULT.history
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ValueError, match=r"^progress: expected tqdm, .*refhf\[cli\]"):
        refhf.minimize(OBJECTIVE, NET.init(0), steps=3, progress=True)
    with pytest.raises(ValueError, match="progress: expected True or False; got 'yes'"):
        refhf.minimize(OBJECTIVE, NET.init(0), progress="yes")


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """The folder of a comparison of gn-cg and sgd, three steps each."""
    folder = tmp_path_factory.mktemp("compared")
    np.savez(folder / "mine.npz", X=X, y=LABELS)
    words = f"compare --methods gn-cg,sgd --data {folder}/mine.npz --hidden 4 --steps 3 --quiet --out {folder}/out"
    assert entry_point.main(words.split()) == 0
    return folder / "out"


def test_history_of_a_folder(compared, tmp_path):
    """It is the records of `history.jsonl`, also while its last line is half written; a forged one is named."""
    path = compared / "gn-cg" / "history.jsonl"
    records = refhf.history(compared / "gn-cg")
    assert [record["step"] for record in records] == [0, 1, 2, 3]
    assert [record["loss"] for record in records] == [
        json.loads(line)["loss"] for line in path.read_text().splitlines()
    ]
    shutil.copytree(compared / "gn-cg", tmp_path / "run")
    growing = tmp_path / "run" / "history.jsonl"
    growing.write_bytes(path.read_bytes()[:-9])
    np.testing.assert_equal(refhf.history(tmp_path / "run"), records[:-1])
    growing.write_text(path.read_text().replace('"step": 2', '"step": 7'))
    with pytest.raises(FormatError, match=r"history.jsonl: expected a file that `refhf` wrote; found \(line 3"):
        refhf.history(tmp_path / "run")
    (tmp_path / "run" / "run.json").write_text('{"method": "adam"}')
    with pytest.raises(FormatError, match=r"run.json: expected a file that `refhf` wrote"):
        refhf.history(tmp_path / "run")
    with pytest.raises(ValueError, match="^folder: expected one of refhf train .* has comparison.png, gn-cg, sgd$"):
        refhf.history(compared)


def test_a_run_leaves_a_network(compared, tmp_path, capsys):
    """`network.npz` is the network of `theta.npz`; `refhf predict` gives its answers, loss and error for given data."""
    run, data = compared / "gn-cg", compared.parent / "mine.npz"
    net, theta = refhf.load_network(run / "network.npz")
    assert theta.tobytes() == np.load(run / "theta.npz")["theta"].tobytes()
    objective = refhf.supervised(net, X.astype(theta.dtype), LABELS)
    assert entry_point.main(["predict", f"{run}/network.npz", str(data), "--json", "--out", f"{tmp_path}/p.csv"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["cases"], told["loss"], told["error"]) == (12, objective.value(theta), objective.error(theta))
    head, *rows = (tmp_path / "p.csv").read_text().splitlines()
    numbers = np.array([row.split(",") for row in rows], np.float32)
    assert head == "class,p0,p1" and list(told["first"][0]) == ["class", "p0", "p1"]
    predicted = objective.predict(theta, X.astype(theta.dtype))
    np.testing.assert_array_equal(numbers, np.column_stack([predicted.argmax(axis=1), predicted]))
    assert entry_point.main(["predict", f"{run}/network.npz", str(data)]) == 0
    assert capsys.readouterr().out.startswith(f"cases 12, loss {told['loss']:.6g}, error {told['error']:.6g}\nclass ")
    for words, said in {
        (f"{run}/theta.npz", data): "expected network and theta",
        (f"{run}/network.npz", "mnist-mini"): "X: expected an array of shape (any, 3)",
        (f"{run}/none.npz", data): "cannot be read",
    }.items():
        assert entry_point.main(["predict", *map(str, words)]) == 2
        assert said in capsys.readouterr().err


def test_a_normalised_network_predicts_alone(tmp_path, capsys):
    """`network.npz` of a residual network has the training cases' statistics: its error is the run's test error."""
    rng = np.random.default_rng(0)
    arrays = {f"X{part}": rng.random((24, 64)) for part in ("", "_test")}
    np.savez(tmp_path / "mine.npz", **arrays, **{f"y{part}": np.arange(24) % 3 for part in ("", "_test")})
    network = "--network resnet-8 --width 2 --group 8 --method sgd --option batch=8"
    words = f"train --data {tmp_path}/mine.npz {network} --steps 2 --quiet --json --out {tmp_path}/out"
    assert entry_point.main(words.split()) == 0
    final = json.loads(capsys.readouterr().out)["final"]
    assert entry_point.main(["predict", f"{tmp_path}/out/network.npz", f"{tmp_path}/mine.npz", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["error"] == final["test_error"]


def test_a_regression_has_r_squared(tmp_path, capsys):
    """`refhf predict` of a network with squared error prints R^2 = 1 - sum (z - y)^2 / sum (y - mean)^2."""
    net, y = refhf.mlp([3, 4, 1], loss="squared_error"), X[:, :1] - X[:, 1:2] ** 2
    theta = refhf.minimize(refhf.supervised(net, X, y), net.init(0), steps=5).x
    refhf.save(tmp_path / "net.npz", net, theta)
    np.savez(tmp_path / "mine.npz", X=X, y=y)
    assert entry_point.main(["predict", f"{tmp_path}/net.npz", f"{tmp_path}/mine.npz", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    residual = ((net.predict(theta, X) - y) ** 2).sum()
    assert told["R^2"] == pytest.approx(1 - residual / ((y - y.mean()) ** 2).sum(), rel=1e-12)
    assert 0.5 < told["R^2"] < 1 and list(told["first"][0]) == ["z0"]


def test_plot_history_draws_what_it_is_given(compared):
    """Results, histories, folders, dicts and lists of them: a curve each, of the records' numbers, with its name."""
    ours = [(record["epochs"], record["loss"]) for record in RESULT.history]
    written = [(record["epochs"], record["loss"]) for record in refhf.history(compared / "sgd")]
    given = {
        "a result": (RESULT, ["run"], ours),
        "a history": (RESULT.history, ["run"], ours),
        "a folder": (str(compared / "sgd"), ["run"], written),
        "a comparison": (compared, ["gn-cg", "sgd"], written),
        "a list": ([RESULT, RESULT], ["run 1", "run 2"], ours),
        "a dict": ({"a": RESULT, "b": RESULT.history}, ["a", "b"], ours),
        "both": ({"a": RESULT, "b": compared}, ["a", "b gn-cg", "b sgd"], written),
    }
    for what, (runs, names, last) in given.items():
        ax = refhf.plot_history(runs, x="epochs", ax=Figure().subplots())
        assert [line.get_label() for line in ax.lines] == names, what
        np.testing.assert_array_equal(ax.lines[-1].get_xydata(), last, err_msg=what)
        assert ax.get_yscale() == "log" and (ax.get_legend() is None) == (len(names) == 1)
    signed = refhf.plot_history([{"step": 1, "loss": -1.0}, {"step": 2, "loss": -2.0}], ax=Figure().subplots())
    assert signed.get_yscale() == "linear"
    for wrong in ({}, [], 3, OBJECTIVE, {"a": 3}, []):
        with pytest.raises(ValueError, match="^runs: expected .*; got "):
            refhf.plot_history(wrong)
    with pytest.raises(ValueError, match="^y of run: .* step, loss, .*; got 'lambda' .did you mean 'damping'"):
        refhf.plot_history(RESULT, y="lambda")


@pytest.mark.parametrize("method", METHODS)
def test_options_are_documented_once(method, capsys):
    """`refhf.options` and `refhf info` have each option with the default that `minimize` uses, values and a meaning."""
    found, family = refhf.options(method), METHODS[method].family
    assert tuple(found) == METHODS[method].options
    for name, option in found.items():
        assert option.default == family.options._field_defaults[name]
        assert option.meaning.endswith(".") and option.allowed
        assert option.default is not None or "None" in option.allowed, name
        assert f"    {name} : {option.allowed}" in family.options.__doc__
        assert option.meaning.split()[-1] in family.options.__doc__
    assert entry_point.main(["info", method, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {name: option._asdict() for name, option in found.items()}
    assert entry_point.main(["info", method]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines() if line[0] != " "] == list(found)


def test_options_of_an_unknown_method():
    """An unknown name is refused, with the nearest one."""
    with pytest.raises(ValueError, match="^method: expected one of gn-cg, .*did you mean 'gn-cg'"):
        refhf.options("gn_cg")
