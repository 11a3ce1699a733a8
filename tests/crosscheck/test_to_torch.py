"""refhf.to_torch: a network's outputs, and its gradient, by PyTorch. Run by `make crosscheck`."""

import copy
import pickle

import numpy as np
import pytest

import refhf
from refhf.model.elementwise import NONLINEARITIES
from refhf.model.network import forward

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore")  # what PyTorch says of itself

IMAGES, SMALL = (8, 8, 3), {"depth": 8, "width": 4, "group": 6}
RESNETS = {
    "v1": {},
    "v2": {"version": "v2"},
    "projections": {"shortcut": "projection"},
    "bottlenecks": {"depth": 11, "block": "bottleneck"},
    "layer": {"norm": "layer"},
    "none": {"norm": None},
}
NETWORKS = {
    **{f: refhf.mlp([5, 4, 3], nonlinearity=f) for f in NONLINEARITIES},
    "convnet": refhf.convnet(
        IMAGES, [refhf.conv(4, 3, padding=1), refhf.pool(2), refhf.conv(5, 3, stride=2, padding=1), 7, 5]
    ),
    "ends in a convolution": refhf.convnet(IMAGES, [refhf.conv(2, 5), refhf.conv(3, 3)], loss="squared_error"),
    "max pooling": refhf.chain(
        [refhf.conv(4, 3, bias=False), refhf.max_pool(2), refhf.layer_norm(4), refhf.flatten(), refhf.dense(36, 2)],
        shape=IMAGES,
    ),
    "layer normalisation of rows": refhf.chain([refhf.dense(5, 4, bias=False), refhf.layer_norm(4)]),
    **{
        f"resnet {name}": refhf.resnet(IMAGES, **{"depth": 8, "width": 4, "group": 6} | o)
        for name, o in RESNETS.items()
    },
}


def problem(name, dtype):
    """A network whose statistics are given, a theta with no zeros, and 12 cases."""
    rng, net = np.random.default_rng(0), NETWORKS[name]
    X = rng.standard_normal((12, *net.in_shape)).astype(dtype)
    theta = (net.init(0) + 0.1 * rng.standard_normal(net.size)).astype(dtype)
    if net.group > 1:
        net = net.frozen([np.abs(rng.standard_normal((2, n))) + 0.5 for n in net.normalised_channels])
    return net, theta, X, torch.from_numpy(X.transpose(0, 3, 1, 2).copy() if net.images else X)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-4)])
def test_outputs(name, dtype, tolerance):
    """z is the network's; so is the module's after a copy and a pickle; theta and the module share no memory."""
    net, theta, X, theirs = problem(name, dtype)
    model = refhf.to_torch(net, theta)
    z, _ = forward(net, theta.astype(float), X.astype(float), order=0)
    for module in model, copy.deepcopy(model), pickle.loads(pickle.dumps(model)):
        found = module(theirs).detach().numpy()
        assert found.dtype == dtype
        np.testing.assert_allclose(found, z, rtol=0, atol=tolerance * np.abs(z).max())
    assert sum(p.numel() for p in model.parameters()) == net.size and not model.training
    theta[...] = 0
    np.testing.assert_array_equal(model(theirs).detach().numpy(), found)


@pytest.mark.parametrize("name", ["tanh", "convnet", "resnet v1"])
def test_gradient(name):
    """PyTorch's gradient of its loss of the module has the norm of refhf's, whose order of numbers is another."""
    net, theta, X, theirs = problem(name, np.float64)
    model = refhf.to_torch(net, theta)
    y = np.arange(12) % net.outputs
    torch.nn.functional.cross_entropy(model(theirs), torch.from_numpy(y)).backward()
    found = np.sort(np.concatenate([p.grad.numpy().ravel() for p in model.parameters()]))
    _, g = refhf.supervised(net, X, y).value_and_gradient(theta)
    np.testing.assert_allclose(found, np.sort(g), atol=1e-12)


UNKNOWN = {
    "BatchNorm": NETWORKS["resnet v1"],
    "Embedding": refhf.transformer(5, 4, 4, 2, 1),
}


@pytest.mark.parametrize("block", UNKNOWN)
def test_other_blocks_are_named(block):
    """A block that PyTorch has no module of the same outputs for is named, and so is a theta of another length."""
    net = UNKNOWN[block]
    with pytest.raises(ValueError, match=f"^net: expected blocks that PyTorch has a module for; got {block}"):
        refhf.to_torch(net, net.init(0))
    with pytest.raises(ValueError, match="^theta: expected"):
        refhf.to_torch(net, net.init(0)[1:])
