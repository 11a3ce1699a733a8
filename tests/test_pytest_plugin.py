"""pytest's plugin: the fixtures, their messages, and a run without them that does not load refhf."""

import importlib.metadata
import importlib.util
import os
import textwrap
from pathlib import Path

import pytest

import refhf

pytest_plugins = ["pytester"]

PROBLEM = """
    import numpy as np, refhf

    net = refhf.mlp([3, 4, 2])
    rng = np.random.default_rng(0)
    objective = refhf.supervised(net, rng.normal(size=(6, 3)), rng.integers(2, size=6))
    theta = net.init(rng=0)

    def product(theta, v):
        return objective.hessian(theta) @ v

    def gauss_newton(theta, v):
        return objective.gauss_newton(theta) @ v
"""
MODULE = """
    import torch

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)).double()
    loss, batch = torch.nn.CrossEntropyLoss(), (torch.randn(6, 3).double(), torch.arange(6) % 2)
    names, shapes = zip(*((name, p.shape) for name, p in model.named_parameters()))

    def value(theta):
        parts = theta.split([shape.numel() for shape in shapes])
        weights = {name: x.reshape(shape) for name, x, shape in zip(names, parts, shapes)}
        return loss(torch.func.functional_call(model, weights, (batch[0],)), batch[1])

    def product(theta, v):
        return torch.autograd.functional.vhp(value, theta, v)[1]
"""


RIGHT_AND_WRONG = """
    def test_right(assert_hessian_product, hessian_reference):
        assert assert_hessian_product(product, objective, theta=theta).passed
        assert_hessian_product(gauss_newton, objective, theta=theta, kind="gauss-newton")
        assert_hessian_product(lambda theta, v: 6 * product(theta, v), objective, theta=theta, any_convention=True)
        reference = hessian_reference(objective, theta=theta)
        np.testing.assert_array_equal(reference.hessian_product(theta), product(theta, theta))
        np.testing.assert_array_equal(reference.gauss_newton_product(theta), gauss_newton(theta, theta))

    def test_wrong(assert_hessian_product):
        assert_hessian_product(gauss_newton, objective, theta=theta)

    def test_no_theta(assert_hessian_product):
        assert_hessian_product(product, objective)

    def test_no_batch(assert_hessian_product):
        assert_hessian_product(product, print)

    def test_no_module(assert_hessian_product):
        assert_hessian_product(product, print, (theta, theta))

    def test_no_kind(assert_hessian_product):
        assert_hessian_product(product, objective, theta=theta, kind="hesian")
"""
MISTAKES = [
    "theta: expected the point (P,), which an objective does not have; got None",
    "batch: expected (X, y); got NoneType",
    "model: expected a torch.nn.Module; got builtin_function_or_method",
    "kind: expected one of hessian, gauss-newton; got 'hesian' (did you mean 'hessian'?)",
]
MODULES_OWN = """
    def test_right(assert_hessian_product, hessian_reference):
        assert_hessian_product(product, model, batch, loss=loss)
        reference = hessian_reference(model, loss, batch)
        Hv = reference.hessian_product(reference.theta)
        torch.testing.assert_close(Hv, product(reference.theta, reference.theta))

    def test_wrong(assert_hessian_product):
        assert_hessian_product(lambda theta, v: 7 * product(theta, v), model, batch, loss=loss)
"""


@pytest.fixture
def run(pytester, monkeypatch):
    """A run of pytest in a process of its own: of files, with options."""
    here = str(Path(refhf.__file__).parents[1])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([here, os.environ.get("PYTHONPATH", "")]))
    plugin = [] if importlib.metadata.entry_points(group="pytest11", name="refhf") else ["-p", "refhf_pytest"]

    def run(parts, *options):
        pytester.makepyfile("\n".join(map(textwrap.dedent, parts)))
        return pytester.runpytest_subprocess(*plugin, "-q", "-p", "no:cacheprovider", *options)

    return run


def test_the_message_is_the_diagnosis(run):
    """A right product passes; a wrong one fails with the kit's report, without a traceback; mistakes are named."""
    result = run([PROBLEM, RIGHT_AND_WRONG])
    result.assert_outcomes(passed=1, failed=5)
    result.stdout.fnmatch_lines(["*wrong: * laws fail", "diagnosis: This is the Gauss-Newton product*"])
    result.stdout.no_fnmatch_line("*refhf_pytest.py*")
    for message in MISTAKES:
        assert f"ValueError: {message}" in result.stdout.str()


def test_a_module_is_its_own_reference(run):
    """A module's product is checked at the module's parameters, and a factor is named."""
    if importlib.util.find_spec("torch") is None:  # not imported here: pytester would unload it again, and it cannot be
        pytest.skip("needs torch")
    result = run([MODULE, MODULES_OWN])
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["diagnosis: It is wrong by a factor. (7)"])


def test_other_runs_do_not_load_refhf(run):
    """A run without the fixtures imports neither refhf nor NumPy; it offers them."""
    test = "import sys\ndef test_it():\n    assert not {'refhf', 'numpy', 'torch'} & set(sys.modules)"
    result = run([test], "-p", "no:hypothesispytest", "-p", "no:xdist")
    result.assert_outcomes(passed=1)
    run([], "--fixtures").stdout.fnmatch_lines(["hessian_reference*", "assert_hessian_product*"])
