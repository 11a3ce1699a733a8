"""`refhf.compare_recipes` over PyTorch and JAX: known faults are found by it alone. Run by `make crosscheck`."""

import numpy as np
import pytest

import refhf
from refhf.conformance.recipes.recipe_report import RecipeVerdict
from refhf.lab.cli.entry_point import main

pytestmark = pytest.mark.filterwarnings("ignore")  # what the frameworks say of themselves
AUTOGRAD = "autograd.grad", "autograd.functional.hvp", "forward over reverse", "reverse over reverse"


@pytest.fixture
def torch():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    return torch


def model_of(torch, norm):
    """A small network whose one layer is a normalisation."""
    nn = torch.nn
    conv = norm == "InstanceNorm1d"
    first = nn.Conv1d(1, 4, 1) if conv else nn.Linear(3, 4)
    middle = getattr(nn, norm)(*(2, 4) if norm == "GroupNorm" else (4,), **{"affine": True} if conv else {})
    last = nn.Linear(12 if conv else 4, 2)
    X = torch.randn(6, 1, 3) if conv else torch.randn(6, 3)
    return nn.Sequential(first, middle, nn.Tanh(), nn.Flatten(), last), X


def classification(torch, norm):
    model, X = model_of(torch, norm)
    return refhf.compare_recipes(model, torch.nn.CrossEntropyLoss(), X, torch.randint(2, (6,)))


@pytest.mark.parametrize("norm", ["LayerNorm", "BatchNorm1d", "InstanceNorm1d"])
def test_faults_of_normalisations_are_found(torch, norm):
    """Where PyTorch reads saved statistics as constants (issues 196699, 196700), its recipes differ; no others do."""
    found = classification(torch, norm)
    wrong = found.of(RecipeVerdict.DIFFERS)
    assert not {result.name for result in found.results if result.order == 1} & set(wrong)
    assert not set(AUTOGRAD) & set(wrong) and set(AUTOGRAD) <= set(found.of(RecipeVerdict.AGREES))
    if not wrong:
        assert found.passed
        pytest.skip(f"PyTorch {torch.__version__} has the fault no more")
    assert {"reverse over forward", "forward over forward", "jacrev(jacrev)"} <= set(wrong), found
    assert all("not symmetric" in r.remarks and r.error > 1e-3 for r in found.results if r.name in wrong)


@pytest.mark.parametrize("norm", ["GroupNorm", "Tanh"])
def test_nothing_else_is_accused(torch, norm):
    """Where no statistics are saved, no recipe differs, in float32 parameters as in float64 ones."""
    if norm == "Tanh":
        nn = torch.nn
        model, X = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)), torch.randn(6, 3)
        found = refhf.compare_recipes(model, nn.CrossEntropyLoss(), X, torch.randint(2, (6,)))
        assert found.passed and min(result.digits for result in found.results) > 11
    else:
        found = classification(torch, norm)
    assert not found.of(RecipeVerdict.DIFFERS) + found.of(RecipeVerdict.UNDECIDED)


def test_a_crash_is_told(torch):
    """jvp(grad(mse_loss)) is told as an exception, or agrees where PyTorch has mended it; the others agree."""
    nn = torch.nn
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    found = refhf.compare_recipes(model, nn.MSELoss(), torch.randn(6, 3), torch.randn(6, 2))
    for result in found.results:
        told = result.verdict is RecipeVerdict.RAISES and "ZeroTensors" in result.remarks[0]
        assert result.verdict is RecipeVerdict.AGREES or (told and "forward over reverse" in result.name)


def test_a_module_is_left_alone(torch):
    """The module keeps its numbers, statistics, gradients and dtype."""
    model, X = model_of(torch, "BatchNorm1d")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    refhf.compare_recipes(model, torch.nn.CrossEntropyLoss(), X, torch.randint(2, (6,)))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(p.grad is None and p.dtype is torch.float32 for p in model.parameters())


def test_a_rule_of_ones_own_is_judged(torch):
    """A torch.autograd.Function whose backward is wrong by 1e-6 is found, with no reference but values."""

    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, Dx):
            return 2 * (1 + 1e-6) * ctx.saved_tensors[0] * Dx

    model = torch.nn.Linear(3, 2)
    found = refhf.compare_recipes(model, lambda z, y: Square.apply(z - y).mean(), torch.randn(6, 3), torch.randn(6, 2))
    assert {"autograd.grad", "autograd.functional.hvp"} <= set(found.of(RecipeVerdict.DIFFERS)), found


def test_jax_agrees_with_itself():
    """The recipes of JAX agree, with float32 parameters too; a custom rule that is wrong is found."""
    jax = pytest.importorskip("jax")
    jnp, rng = jax.numpy, np.random.default_rng(0)
    params = {"W": rng.normal(size=(3, 4)).astype(np.float32), "b": rng.normal(size=4), "U": rng.normal(size=(4, 2))}
    X, y = rng.normal(size=(6, 3)), rng.normal(size=(6, 2))

    @jax.custom_jvp
    def bent(s):
        return jnp.tanh(s)

    bent.defjvp(lambda s, Rs: (jnp.tanh(s[0]), (1 - jnp.tanh(s[0]) ** 2 + 1e-6) * Rs[0]))

    def found(f):
        model = lambda params, X: f(X @ params["W"] + params["b"]) @ params["U"]  # noqa: E731
        return refhf.compare_recipes(model, lambda z, y: ((z - y) ** 2).mean(), X, y, params=params)

    enabled = jax.config.jax_enable_x64
    right = found(jnp.tanh)
    assert right.passed and min(result.digits for result in right.results) > 11
    assert len(found(bent).of(RecipeVerdict.DIFFERS)) == 15
    assert jax.config.jax_enable_x64 is enabled


MISTAKES = {
    "params": (lambda t, m, X: refhf.compare_recipes(m, len, X, X, params=3), "params: expected None for a module"),
    "vector loss": (lambda t, m, X: refhf.compare_recipes(m, lambda z, y: z, X, X), "loss: expected a function that"),
    "inputs": (lambda t, m, X: refhf.compare_recipes(m, len, X[:, 1:], X), r"expected loss\(model\(X\), y\) to run"),
    "dropout": (
        lambda t, m, X: refhf.compare_recipes(
            t.nn.Sequential(m, t.nn.Dropout()), lambda z, y: z.sum(), X, X
        ), "without dropout"
    ),
    "no parameters": (lambda t, m, X: refhf.compare_recipes(t.nn.Tanh(), len, X, X), "a module with parameters; got T"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_named(torch, name):
    """A mistake is a ValueError that names the argument."""
    call, message = MISTAKES[name]
    with pytest.raises(ValueError, match=message):
        call(torch, torch.nn.Linear(3, 2), torch.randn(6, 3))


PROBLEM = """\
import torch

def problem():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    return model, torch.nn.CrossEntropyLoss(), torch.randn(6, 3), torch.randint(2, (6,))
"""


def test_the_command(torch, tmp_path, capsys):
    """`refhf check --against recipes` prints the report, and exits with 0 where all recipes are right."""
    path = tmp_path / "mine.py"
    path.write_text(PROBLEM)
    assert main(["check", f"{path}:problem", "--against", "recipes"]) == 0
    assert "right: of 20 recipes 20 right" in capsys.readouterr().out
