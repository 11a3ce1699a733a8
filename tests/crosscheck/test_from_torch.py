"""`refhf.from_torch`: the twin's value, gradient and products are PyTorch's, in its order and layout."""

import copy
import re
import runpy
from pathlib import Path

import numpy as np
import pytest

import refhf

torch = pytest.importorskip("torch")
nn = torch.nn
pytestmark = pytest.mark.filterwarnings("ignore")  # what PyTorch says of itself


@pytest.fixture(autouse=True)
def _float64():
    """float64 by default, and the one kernel of attention that has a second derivative."""
    torch.set_default_dtype(torch.float64)
    with nn.attention.sdpa_kernel(nn.attention.SDPBackend.MATH):
        yield
    torch.set_default_dtype(torch.float32)


EXACT = 1e-11
CASES = 12


class Bottleneck(nn.Module):
    """A residual block whose shortcut has weights, and comes first among the parameters."""

    def __init__(self, width):
        super().__init__()
        self.shortcut = nn.Conv2d(width, 2 * width, 1, stride=2)
        self.first, self.second = nn.Conv2d(width, 3, 3, 2, 1), nn.Conv2d(3, 2 * width, 1)
        self.norm = nn.BatchNorm2d(3)

    def forward(self, x):
        return self.second(nn.functional.silu(self.norm(self.first(x)))) + self.shortcut(x)


class Tokens(nn.Module):
    """A transformer that predicts the next token, with tied weights."""

    def __init__(self, vocabulary, width):
        super().__init__()
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.tokens, self.norm = nn.Embedding(vocabulary, width), nn.LayerNorm(width)
        self.tokens.weight = self.head.weight
        self.into, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        x = self.tokens(x)
        Q, K, V = self.into(self.norm(x)).unflatten(2, (3, 2, -1)).permute(2, 0, 3, 1, 4)
        heads = nn.functional.scaled_dot_product_attention(Q, K, V, is_causal=True)
        return self.head(x + self.out(heads.transpose(1, 2).flatten(2))).flatten(0, 1)


KNOWN = {
    Bottleneck: lambda m: [([m.first, m.norm, nn.SiLU(), m.second], [m.shortcut])],
    Tokens: lambda m: [m.tokens, ([m.norm, m.into, refhf.attention(2), m.out], []), m.head, nn.Flatten(0, 1)],
}


def lenet(pool, *norm):
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding="same", bias=not norm), *norm, nn.Tanh(), pool(2),
        nn.Sequential(nn.Conv2d(4, 5, 2, stride=2), nn.Softplus()), nn.Flatten(), nn.Dropout(0.0), nn.Linear(20, 3),
    )  # fmt: skip


def encoder(**options):
    layer = nn.TransformerEncoderLayer(6, 2, 8, 0.0, batch_first=True, **options)
    return nn.Sequential(nn.Embedding(7, 6), layer, nn.LayerNorm(6, bias=False), nn.Flatten(), nn.Linear(24, 3))


MODELS = {
    "mlp": lambda: nn.Sequential(
        nn.Linear(8, 6), nn.Sigmoid(), nn.Linear(6, 5, bias=False), nn.Tanh(), nn.Linear(5, 3)
    ),
    "a layer": lambda: nn.Linear(8, 3),
    "a shared layer": lambda: nn.Sequential(nn.Linear(8, 4), *[nn.Linear(4, 4), nn.Tanh()] * 2, nn.Linear(4, 3)),
    "LayerNorm and GELU": lambda: nn.Sequential(
        nn.Linear(8, 6), nn.LayerNorm(6), nn.GELU(), nn.Linear(6, 5), nn.GELU("tanh"), nn.LayerNorm(5), nn.Linear(5, 3)
    ),
    "BatchNorm1d": lambda: nn.Sequential(nn.Linear(8, 6), nn.BatchNorm1d(6, eps=1e-3), nn.SiLU(), nn.Linear(6, 3)),
    "BatchNorm1d, eval": lambda: nn.Sequential(nn.Linear(8, 6), nn.BatchNorm1d(6), nn.SiLU(), nn.Linear(6, 3)).eval(),
    "LeNet": lambda: lenet(nn.AvgPool2d),
    "LeNet with BatchNorm2d": lambda: lenet(nn.MaxPool2d, nn.BatchNorm2d(4)),
    "LeNet with BatchNorm2d, eval": lambda: lenet(nn.MaxPool2d, nn.BatchNorm2d(4)).eval(),
    "ReLU and means": lambda: nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    ),
    "Flatten first": lambda: nn.Sequential(nn.Flatten(), nn.Linear(128, 3)),
    "residual": lambda: nn.Sequential(Bottleneck(2), nn.Identity(), nn.Flatten(), nn.Linear(64, 3)),
    "encoder": lambda: encoder(activation="gelu", norm_first=True),
    "encoder, norm last": lambda: encoder(activation=nn.Tanh()),
    "tied transformer": lambda: Tokens(7, 4),
}
LOSSES = {
    "CrossEntropyLoss": lambda z: torch.randint(0, z.shape[1], z.shape[:1]),
    "MSELoss": torch.randn_like,
    "BCEWithLogitsLoss": torch.rand_like,
}
IMAGES = "LeNet", "ReLU", "Flatten", "residual"


def posed(name, loss="CrossEntropyLoss", reduction="mean"):
    """A module with its parameters moved, a loss and cases."""
    torch.manual_seed(5)
    model = MODELS[name]()
    tokens = name.startswith(("encoder", "tied"))
    shape = (2, 8, 8) if name.startswith(IMAGES) else (8,)
    X = torch.randint(0, 7, (CASES, 4)) if tokens else torch.randn(CASES, *shape)
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.is_floating_point():
                tensor += 0.2 * torch.rand_like(tensor)
        z = copy.deepcopy(model)(X)
    return model, getattr(nn, loss)(reduction=reduction), X, LOSSES[loss](z)


def theirs(model, loss, X, y, v):
    """f, g, H v and G v by PyTorch: reverse over reverse."""
    parameters = list(model.parameters())

    def joined(tensors):
        return torch.cat([t.reshape(-1) for t in tensors])

    z = model(X)
    f = loss(z, y)
    g = joined(torch.autograd.grad(f, parameters, create_graph=True))
    Hv = joined(torch.autograd.grad(g @ v, parameters, retain_graph=True, materialize_grads=True))
    u = torch.zeros_like(z, requires_grad=True)
    back = joined(torch.autograd.grad(z, parameters, u, create_graph=True))
    (Rz,) = torch.autograd.grad(back @ v, u, retain_graph=True)
    at = z.detach().requires_grad_()
    (Dz,) = torch.autograd.grad(loss(at, y), at, create_graph=True)
    (HRz,) = torch.autograd.grad(Dz, at, Rz, materialize_grads=True)
    product = joined(torch.autograd.grad(z, parameters, HRz, retain_graph=True))
    return [x.detach().numpy() for x in (f, g, Hv, product)]


CONVENTIONS = [("mlp", loss, how) for loss in LOSSES for how in ("mean", "sum")]
CONVENTIONS += [("tied transformer", "CrossEntropyLoss", "sum")]


@pytest.mark.parametrize(
    ("name", "loss", "reduction"), [(name, "CrossEntropyLoss", "mean") for name in MODELS] + CONVENTIONS
)
def test_the_twin_is_the_modules(name, loss, reduction):
    """f, g, H v and G v are PyTorch's to 1e-11, in its order and layout; running statistics are left alone."""
    problem = posed(name, loss, reduction)
    before = [buffer.clone() for buffer in problem[0].buffers()]
    objective, theta = refhf.from_torch(*problem, known=KNOWN)
    assert all(map(torch.equal, before, problem[0].buffers()))
    assert torch.equal(theta, nn.utils.parameters_to_vector(problem[0].parameters()))
    v = torch.randn(len(theta))
    mine = objective.value_and_gradient(theta)
    own = [*mine, objective.hessian(theta) @ v.numpy(), objective.gauss_newton(theta) @ v.numpy()]
    for x, want in zip(own, theirs(*problem, v), strict=True):
        assert np.linalg.norm(x - want) <= EXACT * np.linalg.norm(want)
    assert objective.value(theta) == pytest.approx(mine[0], rel=1e-14)


def product_of(model, loss, X, y):
    """(theta, v) -> H v in PyTorch, of functions alone."""
    names, shapes = zip(*((name, p.shape) for name, p in model.named_parameters()), strict=True)

    def f(theta):
        parts = theta.split([shape.numel() for shape in shapes])
        weights = {name: x.reshape(shape) for name, x, shape in zip(names, parts, shapes, strict=True)}
        buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
        return loss(torch.func.functional_call(model, weights | buffers, (X,)), y)

    return lambda theta, v: torch.autograd.functional.vhp(f, theta, v)[1]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", ["mlp", "LeNet", "LayerNorm and GELU"])
def test_a_check_in_a_line(name, dtype):
    """The kit passes PyTorch's product of the module, in either precision, and names a factor of two."""
    model, loss, X, y = posed(name)
    problem = model.to(dtype), loss, X.to(dtype), y
    objective, theta = refhf.from_torch(*problem)
    product = product_of(*problem)
    report = refhf.check_hessian_product(product, theta, objective)
    assert report.passed, report
    report = refhf.check_hessian_product(lambda theta, v: 2 * product(theta, v), theta, objective)
    assert [str(cause) for cause in report.causes] == ["It is wrong by a factor. (2)"]


def test_the_example_ends_in_its_assertions(capsys):
    """`examples/check_torch_model.py` runs, and names both wrong products."""
    runpy.run_path(str(Path(__file__).parents[2] / "examples" / "check_torch_model.py"))
    out = capsys.readouterr().out
    assert "right: all" in out and "(B = 20)" in out and "This is the Gauss-Newton product" in out


def test_a_method_takes_the_twin():
    """`refhf.minimize` starts from theta as it is."""
    objective, theta = refhf.from_torch(*posed("mlp"))
    assert refhf.minimize(objective, theta, "gn-cg", steps=3, rng=0).fun < objective.value(theta)


class Own(nn.Linear):
    """A layer of one's own."""


class Doubled(nn.Sequential):
    """A forward that is not its layers'."""

    def forward(self, x):
        return 2 * super().forward(x)


def wrong_model(model, **options):
    return lambda m, loss, X, y: refhf.from_torch(model, loss, X, y, **options)


def wrong_loss(**options):
    return lambda m, loss, X, y: refhf.from_torch(m, nn.CrossEntropyLoss(**options), X, y)


WRONG = {
    "no module": (wrong_model(lambda x: x), "model: expected a torch.nn.Module; got function"),
    "an unknown layer": (wrong_model(nn.Sequential(Own(8, 3))), "model[0]: expected one of Sequential, .* got Own"),
    "and what still works": (wrong_model(Own(8, 3)), "refhf.check_hessian_product(product, theta, gradient="),
    "an unknown one inside": (wrong_model(nn.Sequential(nn.Sequential(nn.Linear(8, 3), nn.CELU()))), "model[0][1]: "),
    "random": (wrong_model(nn.Sequential(nn.Linear(8, 3), nn.Dropout())), "model.eval() or p = 0, .* got Dropout"),
    "dilation": (wrong_model(nn.Conv2d(8, 3, 2, dilation=2)), "model[0]: expected images.* got Conv2d"),
    "a bilinear image": (wrong_model(nn.Linear(7, 3)), "model[0], Linear.*: expected 7 inputs; got shape (8,)"),
    "another forward": (wrong_model(Doubled(nn.Linear(8, 3)), known={Doubled: list}), "a twin of the same loss"),
    "a parameter left out": (
        wrong_model(nn.Sequential(nn.Linear(8, 3), nn.Linear(3, 3)), known={nn.Sequential: lambda m: [m[0]]}),
        "expected every parameter in the twin's layers; got others: 1.weight, 1.bias",
    ),
    "a parameter of another": (
        wrong_model(nn.Sequential(nn.Linear(8, 3)), known={nn.Sequential: lambda m: [nn.Linear(8, 3)]}),
        "expected only parameters of the model; got Linear",
    ),
    "half precision": (wrong_model(nn.Linear(8, 3).half()), "float32 or float64; got float16"),
    "no parameters": (wrong_model(nn.Tanh()), "got none"),
    "images at the end": (
        lambda m, loss, X, y: refhf.from_torch(nn.Conv2d(1, 3, 1), loss, torch.ones(2, 1, 2, 2), y),
        "expected outputs (B, n), as nn.Flatten() makes; got (B, 2, 2, 3)",
    ),
    "another loss": (lambda m, loss, X, y: refhf.from_torch(m, nn.L1Loss(), X, y), "loss: expected one of torch.nn."),
    "weights": (wrong_loss(weight=torch.ones(3)), "CrossEntropyLoss with weight=None; got tensor"),
    "smoothing": (wrong_loss(label_smoothing=0.1), "with label_smoothing=0.0; got 0.1"),
    "no reduction": (wrong_loss(reduction="none"), "reduction='mean' or 'sum'; got 'none'"),
    "targets that broadcast": (
        lambda m, loss, X, y: refhf.from_torch(nn.Linear(8, 1), nn.MSELoss(), X, y.double()),
        "y: expected the outputs' shape (12, 1); got (12,)",
    ),
    "a single case": (lambda m, loss, X, y: refhf.from_torch(m, loss, X[0], y), "X: expected an array of shape (B, n)"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_the_twin_does_not_know_is_named(what):
    """A mistake is a ValueError in one line: the layer or argument, what is expected, what it is."""
    call, message = WRONG[what]
    pattern = ".*".join(map(re.escape, message.split(".*")))
    with pytest.raises(ValueError, match=pattern) as caught:
        call(*posed("mlp"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", MODELS)
def test_a_twin_is_saved(name, tmp_path):
    """A file gives back the twin's network, with the module's order of theta: the same gradient to the bit."""
    model, loss, X, y = posed(name)
    objective, theta = refhf.from_torch(model, loss, X, y, known=KNOWN)
    refhf.save(tmp_path / "twin.npz", objective.net, theta.numpy())
    net, again = refhf.load_network(tmp_path / "twin.npz")
    assert net.ties == objective.net.ties and again.tobytes() == theta.numpy().tobytes()
    y = y.numpy().reshape(CASES, -1) if len(net.out_shape) == 2 else y.numpy()
    other = refhf.supervised(net, X.numpy(), y)
    np.testing.assert_array_equal(other.value_and_gradient(again)[1], objective.value_and_gradient(theta)[1])


def test_a_twin_of_a_scaled_loss_is_not_saved(tmp_path):
    """PyTorch's squares are refhf's times a factor, which a file has no name for: a ValueError in a line."""
    objective, theta = refhf.from_torch(*posed("mlp", "MSELoss"))
    with pytest.raises(ValueError, match="^net: expected a loss of refhf, .* got your own squared_error$"):
        refhf.save(tmp_path / "twin.npz", objective.net, theta.numpy())
    assert not list(tmp_path.iterdir())
