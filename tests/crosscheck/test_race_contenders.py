"""The race's contenders of PyTorch and of the registry: the same start, and a step that lowers the loss."""

import importlib
import math
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))
race_clock, contenders = (importlib.import_module(name) for name in ("race_clock", "race_contenders"))
sys.path.remove(str(ROOT / "benchmarks"))
THEIRS = "hessianfree", "torch LBFGS", "torch Adam", "torch SGD, momentum", "pytorch-minimize newton-cg"


@pytest.mark.parametrize("network", race_clock.NETWORKS)
def test_the_start_is_the_same(network):
    """The PyTorch model has refhf's outputs and loss at the start, and its parameters are contiguous."""
    pytest.importorskip("torch")
    posed = race_clock.problem(network, seed=0, cases=20)
    model = contenders.TorchProblem(posed, race_clock.Clock(posed, math.inf))
    np.testing.assert_allclose(model.outputs(), posed.outputs(posed.theta0), atol=1e-5)
    assert model.forward()[0].item() == pytest.approx(posed.objective().value(posed.theta0), rel=1e-5)
    assert all(parameter.is_contiguous() for parameter in model.parameters)


@pytest.mark.parametrize("name", THEIRS)
@pytest.mark.parametrize("network", ["autoencoder", "convnet"])
def test_a_contender_lowers_the_loss(network, name):
    """From the start to nine tenths of its loss."""
    pytest.importorskip("torch")
    if name.startswith("pytorch-minimize"):
        pytest.importorskip("torchmin")
    contender = contenders.CONTENDERS[name]
    if network in contender.cannot:
        pytest.skip(contender.cannot[network])
    posed = race_clock.problem(network, seed=0, cases=50)
    start = posed.scores(posed.outputs(posed.theta0))[0]
    clock = race_clock.Clock(posed, cap=60.0, losses=(0.9 * start,))
    with pytest.raises(race_clock.Over, match="all marks"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        contender.run(posed, clock, {}, 0, None)
