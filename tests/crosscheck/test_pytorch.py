"""Products against PyTorch's double backward, which shares no line with the sweeps. Run by `make crosscheck`."""

import numpy as np
import pytest

import refhf

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore")  # what PyTorch says of itself

NONLINEARITIES = {
    "tanh": torch.tanh,
    "logistic": torch.sigmoid,
    "softplus": torch.nn.functional.softplus,
    "relu": torch.relu,
    "identity": lambda s: s,
}


def mean_loss(net, theta, X, y):
    """The network again, in PyTorch, from its formulas."""
    a, start = X, 0
    for l, layer in enumerate(net.layers):
        n_in, n_out = layer.weight_shape
        W = theta[start : start + n_in * n_out].reshape(n_in, n_out)
        b = theta[start + n_in * n_out : start + (n_in + 1) * n_out]
        start += (n_in + 1) * n_out
        a = a @ W + b
        if l < len(net.nonlinearities):
            a = NONLINEARITIES[net.nonlinearities[l].name](a)
    if net.loss.name == "softmax_cross_entropy":
        return torch.nn.functional.cross_entropy(a, y)
    if net.loss.name == "logistic_cross_entropy":
        return torch.nn.functional.binary_cross_entropy_with_logits(a, y, reduction="sum") / len(X)
    return 0.5 * ((a - y) ** 2).sum() / len(X)


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
@pytest.mark.parametrize("loss", ["softmax_cross_entropy", "logistic_cross_entropy", "squared_error"])
def test_products(nonlinearity, loss):
    """Value, gradient, H v and G v agree with PyTorch's to 1e-12 in float64."""
    rng = np.random.default_rng(0)
    net = refhf.mlp([12, 9, 7, 5], nonlinearity=nonlinearity, loss=loss)
    X = rng.normal(size=(20, 12))
    y = rng.integers(5, size=20) if loss.startswith("softmax") else rng.random((20, 5))
    theta, v = net.init(rng=1) + 0.1 * rng.normal(size=net.size), rng.normal(size=net.size)
    objective = refhf.supervised(net, X, y)

    at, along = torch.tensor(theta, requires_grad=True), torch.tensor(v)
    f = mean_loss(net, at, torch.tensor(X), torch.tensor(y))
    (g,) = torch.autograd.grad(f, at, create_graph=True)
    (hv,) = torch.autograd.grad(g @ along, at)
    close(objective.value(theta), f.item())
    close(objective.value_and_gradient(theta)[1], g.detach().numpy())
    close(objective.hessian(theta) @ v, hv.numpy())


@pytest.mark.parametrize("loss", ["softmax_cross_entropy", "logistic_cross_entropy", "squared_error"])
def test_gauss_newton(loss):
    """G v agrees to 1e-12 with the Hessian product of PyTorch's loss of z + J (theta - theta_0), linear in theta."""
    rng = np.random.default_rng(2)
    net = refhf.mlp([6, 5, 4], loss=loss)
    X = rng.normal(size=(8, 6))
    y = rng.integers(4, size=8) if loss.startswith("softmax") else rng.random((8, 4))
    theta, v = net.init(rng=1), rng.normal(size=net.size)
    of_z = refhf.mlp([4, 4], nonlinearity="identity", loss=loss)

    def outputs(theta):
        a = torch.tensor(X)
        for W, b in ((theta[:30].reshape(6, 5), theta[30:35]), (theta[35:55].reshape(5, 4), theta[55:])):
            a = (torch.tanh(a) if a.shape[1] == 5 else a) @ W + b
        return a

    z, rz = torch.func.jvp(outputs, (torch.tensor(theta),), (torch.tensor(v),))
    unit = torch.cat([torch.eye(4, dtype=torch.float64).ravel(), torch.zeros(4, dtype=torch.float64)])
    z = z.detach().requires_grad_()
    f = mean_loss(of_z, unit, z, torch.tensor(y))
    (g,) = torch.autograd.grad(f, z, create_graph=True)
    (hz,) = torch.autograd.grad((g * rz).sum(), z)
    at = torch.tensor(theta, requires_grad=True)
    (gv,) = torch.autograd.grad((outputs(at) * hz).sum(), at)
    close(refhf.supervised(net, X, y).gauss_newton(theta) @ v, gv.numpy())


def close(ours, theirs):
    error = np.linalg.norm(np.subtract(ours, theirs)) / np.linalg.norm(theirs)
    assert error < 1e-12, f"expected agreement below 1e-12; got {error:.1e}"
