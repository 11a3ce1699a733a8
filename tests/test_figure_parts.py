"""figures/fig_autoencoder.py, fig_batch_robustness.py and fig_speech.py: what they compute of their own."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import refhf

sys.path.insert(0, str(Path(__file__).parent.parent / "figures"))
import fig_autoencoder
import fig_batch_robustness
import fig_speech

from refhf.lab.sweep.settings_search import SearchResult
from refhf.lab.sweep.trial_choice import TrialChoice

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
    X = fig_autoencoder.curves(40)
    net, scale = fig_autoencoder.autoencoder((5, 2)), fig_autoencoder.FAST["curves"]._replace(passes=1000)
    f, theta = refhf.supervised(net, X, X), fig_autoencoder.sparse(net, 0)
    run = fig_autoencoder.Nesterov(f, theta, 0, {"learning_rate": 0.01}, scale, 0.99)
    for t, mu in ((0, 1 / 2), (249, 1 / 2), (250, 3 / 4), (500, 5 / 6), (750, 7 / 8), (run.final, 0.9)):
        run.t = t
        assert abs(run.momentum() - mu) < 1e-12
    plain = fig_autoencoder.Nesterov(f, theta, 0, {"learning_rate": 0.01}, scale, 0.0)
    plain.turn()
    for t in range(plain.updates):
        mini = f.sample(plain.batch, rng=np.random.default_rng([0, t]))
        theta = theta - np.float32(0.01) * mini.value_and_gradient(theta)[1]
    np.testing.assert_allclose(plain.theta, theta, rtol=1e-6, atol=1e-7)


@given(st.integers(0, 9), st.integers(0, 5), st.integers(0, 32), st.integers(1, 33))
def test_a_class_of_speech_is_a_digit_and_a_part(digit, speaker, segment, parts):
    """The speaker does not matter; parts are in order, from 0 to parts - 1."""
    label = (digit * 6 + speaker) * 33 + segment
    assert fig_speech.coarse(label, parts) == digit * parts + int(segment * parts / 33)
    assert fig_speech.coarse(label, parts) // parts == digit


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
