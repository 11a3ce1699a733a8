"""Convolutional networks against PyTorch: its convolution, its pooling, its double backward. By `make crosscheck`."""

import numpy as np
import pytest

import refhf
from refhf import conv, pool

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore")  # what PyTorch says of itself
F = torch.nn.functional

NONLINEARITIES = {"tanh": torch.tanh, "softplus": F.softplus, "relu": torch.relu}
HEIGHT, WIDTH, CHANNELS = SHAPE = (12, 10, 3)
STAGES = [conv(4, 3, padding=1), pool(2), conv(5, 2, stride=2, padding=1), conv(6, 3, padding=2), 7, 5]


def outputs(theta, images, f):
    """The network of STAGES again, in PyTorch's layout: images (B, C, H, W), theta (P,) in refhf's."""
    start = 0

    def numbers(*shape):
        nonlocal start
        start += int(np.prod(shape))
        return theta[start - int(np.prod(shape)) : start].reshape(shape)

    def convolved(a, stage):
        W = numbers(stage.kernel, stage.kernel, a.shape[1], stage.channels).permute(3, 2, 0, 1)
        return F.conv2d(a, W, numbers(stage.channels), stage.stride, stage.padding)

    a = F.avg_pool2d(f(convolved(images, STAGES[0])), 2)
    a = f(convolved(f(convolved(a, STAGES[2])), STAGES[3]))
    a = a.permute(0, 2, 3, 1).reshape(len(a), -1)  # channels last, as rows
    a = f(a @ numbers(a.shape[1], 7) + numbers(7))
    return a @ numbers(7, 5) + numbers(5)


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    images, y = rng.normal(size=(9, CHANNELS, HEIGHT, WIDTH)), rng.integers(5, size=9)
    X = images.transpose(0, 2, 3, 1).reshape(9, -1)  # as `refhf.model.convolution` says
    size = refhf.convnet(SHAPE, STAGES).size
    return X, y, torch.tensor(images), torch.tensor(y), rng.normal(size=size) / 3, rng.normal(size=size)


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_products(problem, nonlinearity):
    """Value, gradient and H v agree with PyTorch's to 1e-12 in float64."""
    X, y, images, labels, theta, v = problem
    objective = refhf.supervised(refhf.convnet(SHAPE, STAGES, nonlinearity=nonlinearity), X, y)
    at, along = torch.tensor(theta, requires_grad=True), torch.tensor(v)
    f = F.cross_entropy(outputs(at, images, NONLINEARITIES[nonlinearity]), labels)
    (g,) = torch.autograd.grad(f, at, create_graph=True)
    (hv,) = torch.autograd.grad(g @ along, at)
    close(objective.value(theta), f.item())
    close(objective.value_and_gradient(theta)[1], g.detach().numpy())
    close(objective.hessian(theta) @ v, hv.numpy())


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_gauss_newton(problem, nonlinearity):
    """G v agrees to 1e-12 with J v by PyTorch's forward mode, H_L written out, and J' by its backward."""
    X, y, images, _, theta, v = problem
    objective = refhf.supervised(refhf.convnet(SHAPE, STAGES, nonlinearity=nonlinearity), X, y)

    def z_of(theta):
        return outputs(theta, images, NONLINEARITIES[nonlinearity])

    z, rz = torch.func.jvp(z_of, (torch.tensor(theta),), (torch.tensor(v),))
    p = z.detach().softmax(1)
    hz = p * (rz - (p * rz).sum(1, keepdim=True)) / len(X)
    at = torch.tensor(theta, requires_grad=True)
    (gv,) = torch.autograd.grad((z_of(at) * hz).sum(), at)
    close(objective.gauss_newton(theta) @ v, gv.numpy())


def close(ours, theirs):
    error = np.linalg.norm(np.subtract(ours, theirs)) / np.linalg.norm(theirs)
    assert error < 1e-12, f"expected agreement below 1e-12; got {error:.1e}"
