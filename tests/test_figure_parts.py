"""figures/fig_autoencoder.py, fig_batch_robustness.py and fig_speech.py: what they compute of their own."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import refhf
from refhf.driver.registry import METHODS
from refhf.lab.runs.json_lines import read_json_lines
from refhf.lab.runs.network_choice import NetworkChoice
from refhf.lab.runs.training_problem import pose_problem

sys.path.insert(0, str(Path(__file__).parent.parent / "figures"))
import autoencoder_runs
import fig_autoencoder
import fig_batch_robustness
import fig_defaults
import fig_speech
from earlier_defaults import EarlierConfiguration

from refhf.lab.sweep.settings_search import SearchResult
from refhf.lab.sweep.trial_choice import TrialChoice

FIGURES = Path(__file__).parent.parent / "figures"
passes = np.arange(1.0, 101.0)


@given(st.floats(1, 100), st.floats(0.2, 2), st.floats(0.05, 0.9))
def test_a_power_law_is_crossed_where_it_is(a, b, share):
    """Where errors are a p^-b, the crossing of a value is (a / value)^(1/b): seen, or by extrapolation."""
    line = {"curve": {"passes": [0.0, *passes], "squared_error": [2 * a, *(a * passes**-b)]}}
    for value in (share * a * 100**-b, a * 100 ** (-b * share)):
        where, seen = fig_autoencoder.crossing(line, value)
        exact = (a / value) ** (1 / b)
        assert seen == (exact <= 100)
        assert abs(where - exact) < 1 if seen else abs(where / exact - 1) < 1e-6


def test_an_error_that_grows_is_never_crossed():
    """A run whose last half rises has no crossing."""
    line = {"curve": {"passes": [0.0, *passes], "squared_error": [2.0, *(1 + passes)]}}
    assert fig_autoencoder.crossing(line, 0.5) == (np.inf, False)


def test_nag_without_momentum_is_sgd_and_its_momentum_is_equation_5():
    """mu_t is 1/2, 3/4, 5/6, ... for 250 updates each, up to its limit; with the limit 0 a turn is plain SGD."""
    X = autoencoder_runs.curves(40)
    net, scale = autoencoder_runs.autoencoder((5, 2)), fig_autoencoder.FAST["curves"]._replace(passes=1000)
    f, theta = refhf.supervised(net, X, X), autoencoder_runs.sparse(net, 0)
    run = autoencoder_runs.Nesterov(f, theta, 0, {"learning_rate": 0.01}, scale, 0.99)
    for t, mu in ((0, 1 / 2), (249, 1 / 2), (250, 3 / 4), (500, 5 / 6), (750, 7 / 8), (run.final, 0.9)):
        run.t = t
        assert abs(run.momentum() - mu) < 1e-12
    plain = autoencoder_runs.Nesterov(f, theta, 0, {"learning_rate": 0.01}, scale, 0.0)
    plain.turn()
    for t in range(plain.updates):
        mini = f.sample(plain.batch, rng=np.random.default_rng([0, t]))
        theta = theta - np.float32(0.01) * mini.value_and_gradient(theta)[1]
    np.testing.assert_allclose(plain.theta, theta, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("method", fig_autoencoder.METHODS)
def test_an_interrupted_run_goes_on_and_its_line_is_there_before(method, tmp_path, monkeypatch):
    """A run that is broken off has a line so far, and when it is made again it ends as an unbroken one, to the bit."""
    options = {"damping": 45.0} if method == "gn-cg" else {"learning_rate": 0.01}
    scale, wanted = fig_autoencoder.FAST["curves"]._replace(passes=60), (method, 0, options, 60)
    kind = type(autoencoder_runs.begun(method, *place(scale, options)))
    turn, turns = kind.turn, iter(range(100))

    def breaking(run):
        if next(turns) == 4:
            raise KeyboardInterrupt
        turn(run)

    (whole,) = autoencoder_runs.made("curves", scale, tmp_path / "whole.jsonl", None, [wanted])
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(kind, "turn", breaking)
        autoencoder_runs.made("curves", scale, tmp_path / "broken.jsonl", None, [wanted])
    (early,) = read_json_lines(tmp_path / "broken.jsonl")
    assert not autoencoder_runs.finished(early)
    (late,) = autoencoder_runs.made("curves", scale, tmp_path / "broken.jsonl", None, [wanted])
    for line in early, late:
        for key in ("passes", "products", "squared_error"):
            assert line["curve"][key] == whole["curve"][key][: len(line["curve"][key])]
    assert read_json_lines(tmp_path / "broken.jsonl") == [late]
    assert len(late["curve"]["passes"]) == len(whole["curve"]["passes"]) > len(early["curve"]["passes"])


def place(scale, options):
    """The rest of the arguments of `begun`."""
    X, net = autoencoder_runs.curves(scale.cases), autoencoder_runs.autoencoder(scale.hidden)
    return refhf.supervised(net, X, X), autoencoder_runs.sparse(net, 0), 0, options, scale


@given(st.integers(0, 9), st.integers(0, 5), st.integers(0, 32), st.integers(1, 33))
def test_a_class_of_speech_is_a_digit_and_a_part(digit, speaker, segment, parts):
    """The speaker does not matter; parts are in order, from 0 to parts - 1."""
    label = (digit * 6 + speaker) * 33 + segment
    assert fig_speech.coarse(label, parts) == digit * parts + int(segment * parts / 33)
    assert fig_speech.coarse(label, parts) // parts == digit


def test_a_run_made_again_has_the_options_of_its_line():
    """A stored run of fig4 or of fig_option_effects, made again, has the options that its line says."""
    digits = refhf.load("mnist-mini", dtype="float32")
    problem = pose_problem(digits, NetworkChoice(hidden=()))
    paths = [*FIGURES.glob("fig_option_effects/*.jsonl"), FIGURES / "fig4_batch_sizes" / "hessian_free.jsonl"]
    stored = [json.loads(line) for path in paths for line in path.read_text(encoding="utf-8").splitlines()]
    seen = {json.dumps([line["method"], line["batch"], line["options"]]): line for line in stored}
    assert len(seen) > 20
    for line in seen.values():
        cell = EarlierConfiguration(line["method"], line["batch"], line["seed"], line["options"])
        made = cell.plan(problem, 1).options
        assert {**made, **line["options"], **line["defaults"], "curvature_batch": line["batch"]} == made


def test_what_fig_defaults_chose_is_the_default():
    """A method without options has those that figures/fig_defaults.py says were chosen."""
    objective = refhf.from_functions(
        lambda x: x @ x, lambda x: 2 * x, hessp=lambda x, v: 2 * v, gauss_newton=lambda x, v: v
    )
    for method in fig_defaults.METHODS:
        options = METHODS[method].checked(objective)._asdict()
        assert options | fig_defaults.chosen(method) == options


def found(losses, edge=False):
    """A search's result at a budget of one pass: losses of the seeds by method and batch, all chosen."""
    choices = [
        TrialChoice(method, batch, "passes", {}, float(np.mean(values)), 1, {"damping": [3]} if edge else {})
        for (method, batch), values in losses.items()
    ]
    lines = [
        {"method": method, "batch": batch, "options": {}, "curve": {"epochs": [0, 1], "loss": [9.0, loss]}}
        for (method, batch), values in losses.items()
        for loss in values
    ]
    return fig_batch_robustness.Found(SimpleNamespace(budgets={"passes": 1}), SearchResult(choices, lines, lines))


@given(st.floats(0.05, 1), st.lists(st.floats(0.1, 2), min_size=2, max_size=5), st.sampled_from([64, 512]))
def test_the_growth_of_a_power_law_is_exact(power, scales, best):
    """Where L = c (b / best)^power from the best batch on, the loss grows by factor^power for each seed.

    This holds for factors that lead between two batches too. There is no growth beyond the largest batch.
    """
    batches = 64, 512, 2048, 8192
    ratios = {b: max(b / best, best / b) for b in batches}
    one = found({("sgd", b): [c * ratios[b] ** power for c in scales] for b in batches})
    assert fig_batch_robustness.best_batch(one, "passes", "sgd") == best
    for factor in (1, 10, 16):
        grown = fig_batch_robustness.growth(one, "passes", "sgd", factor)
        np.testing.assert_allclose(grown, power * np.log(factor), atol=1e-12)
    assert fig_batch_robustness.growth(one, "passes", "sgd", 8192 / best + 1) is None


@given(st.floats(0.001, 0.09), st.floats(0.12, 2), st.booleans())
def test_a_loss_is_robust_up_to_the_margin(little, much, edge):
    """Growth of less than 10 % is robust, of more is not, and on an edge neither; the smaller growth is more robust."""
    verdicts = []
    for one, other in ((little, much), (much, little)):
        losses = {("gn-cg", 64): [1.0, 2.0], ("gn-cg", 1024): [1 + one, 2 + 2 * one]}
        losses |= {("sgd", 64): [1.0, 2.0], ("sgd", 1024): [1 + other, 2 + 2 * other]}
        result = found(losses, edge)
        verdicts.append(fig_batch_robustness.robust(result, "passes", "gn-cg", 16).verdict)
        verdicts.append(fig_batch_robustness.more_robust(result, "passes", "gn-cg", "sgd", 16).verdict)
    assert verdicts == (["not judgeable here"] * 4 if edge else ["holds", "holds", "fails", "fails"])
