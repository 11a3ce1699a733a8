"""`refhf.to_torch`: a network as a module of PyTorch, which is imported when it is called."""

import importlib
import operator
from typing import Any, NamedTuple

import numpy as np

from refhf import checks
from refhf.model.blocks import Block, Shape, Weights, views
from refhf.model.chain import Chain
from refhf.model.convolution import Convolution
from refhf.model.dense import Dense
from refhf.model.elementwise import NONLINEARITIES, Activation
from refhf.model.frozen_norm import FrozenNorm
from refhf.model.layer_norm import LayerNorm
from refhf.model.max_pooling import MaxPool
from refhf.model.network import Network
from refhf.model.pooling import AveragePool, Flatten, GlobalAveragePool, Subsample
from refhf.model.residual import Residual
from refhf.model.standardise import Standardise
from refhf.model.weight_tying import untied

ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {  # class of torch.nn, and its arguments
    "tanh": ("Tanh", {}),
    "logistic": ("Sigmoid", {}),
    "softplus": ("Softplus", {"threshold": 50}),  # above it s itself; e^-50 is below the rounding of float64
    "relu": ("ReLU", {}),
    "identity": ("Identity", {}),
    "gelu": ("GELU", {}),
    "gelu_tanh": ("GELU", {"approximate": "tanh"}),
    "silu": ("SiLU", {}),
}
FIRST, LAST = (0, 3, 1, 2), (0, 2, 3, 1)  # permutations of images: channels to the first place, and to the last


def to_torch(net: Network, theta: Any) -> Any:
    """A `torch.nn.Module` with the network's outputs z, which PyTorch's losses take; `net.predict` is their softmax.

    Parameters
    ----------
    net : Network
        Of dense and convolutional layers, pooling, activations, residual blocks and layer normalisation; batch
        normalisation by given statistics, `net.frozen(objective.statistics(theta))`.
    theta : array (P,)

    Returns
    -------
    torch.fx.GraphModule
        In theta's dtype, and in evaluation mode; its parameters are copies. It takes rows (B, n_0), or images in
        PyTorch's order (B, channels, height, width): `X.reshape(-1, *net.in_shape).transpose(0, 3, 1, 2)`.

    Raises
    ------
    ValueError
        For another block, a theta of another length, or without PyTorch.

    Examples
    --------
    >>> import refhf
    >>> net = refhf.mlp([3, 4, 2])
    >>> model = refhf.to_torch(net, net.init(rng=0))  # doctest: +SKIP
    """
    theta = checks.array("theta", theta, (net.size,))
    try:
        torch: Any = importlib.import_module("torch")
        fx: Any = importlib.import_module("torch.fx")
    except ImportError:
        raise ValueError("torch: expected PyTorch, by `pip install torch`; it is not installed") from None
    shapes = net.chain.weight_shapes
    made = _Translation(torch, fx.Graph(), {}, theta.dtype)
    x = made.graph.placeholder("x")
    made.graph.output(made.of(net.chain, views(shapes, untied(theta, shapes, net.ties)), x, net.in_shape))
    return fx.GraphModule(made.modules, made.graph).eval()


class _Translation(NamedTuple):
    """A graph of calls under construction, and the modules that it calls."""

    torch: Any
    graph: Any
    modules: dict[str, Any]
    dtype: Any

    def of(self, block: Block, w: Weights, x: Any, shape: Shape) -> Any:
        """The node of a block's s, from that of its a, of this shape in refhf."""
        if isinstance(block, Chain):
            for inner, w_l in zip(block.blocks, w, strict=True):
                x, shape = self.of(inner, w_l, x, shape), inner.out_shape(shape)
            return x
        if isinstance(block, Residual):
            both = self.of(block.main, w[0], x, shape), self.of(block.shortcut, w[1], x, shape)
            return self.graph.call_function(operator.add, both)
        if isinstance(block, Flatten | GlobalAveragePool | Subsample):
            return self.rearranged(block, x, shape)
        module = self.filled(self.module(block, shape), block, w)
        name = f"{type(block).__name__.lower()}_{len(self.modules)}"
        self.modules[name] = module
        apart = isinstance(block, LayerNorm) and len(shape) == 3  # it takes channels last
        s = self.graph.call_module(name, (self.graph.call_method("permute", (x, LAST)) if apart else x,))
        return self.graph.call_method("permute", (s, FIRST)) if apart else s

    def rearranged(self, block: Flatten | GlobalAveragePool | Subsample, x: Any, shape: Shape) -> Any:
        """The node of a block that has no module of PyTorch."""
        images = len(shape) == 3
        if isinstance(block, GlobalAveragePool):
            return self.graph.call_method("mean", (x, (2, 3) if images else 1))
        if isinstance(block, Flatten):
            rows = self.graph.call_method("permute", (x, LAST)) if images else x
            return self.graph.call_method("flatten", (rows, 1))
        every = slice(None, None, block.stride)
        kept = self.graph.call_function(operator.getitem, (x, (slice(None), slice(None), every, every)))
        zeros = (0, 0, 0, 0, 0, block.channels - shape[2])  # of columns, rows and channels: before, behind
        return self.graph.call_function(self.torch.nn.functional.pad, (kept, zeros))

    def module(self, block: Block, shape: Shape) -> Any:
        """PyTorch's module for a block; its numbers are not yet the block's."""
        nn = self.torch.nn
        match block:
            case Dense():
                return nn.Linear(block.n_in, block.n_out, block.bias)
            case Convolution():
                sizes = block.kernel, block.stride, block.padding
                return nn.Conv2d(block.shape[2], block.channels, *sizes, bias=block.bias)
            case AveragePool():
                return nn.AvgPool2d(block.size)
            case MaxPool():
                return nn.MaxPool2d(block.size)
            case LayerNorm():
                return nn.LayerNorm(block.channels, block.epsilon)
            case FrozenNorm() | Standardise() if len(shape) in (1, 3):
                epsilon, affine = (block.epsilon, True) if isinstance(block, FrozenNorm) else (0.0, False)
                norm = nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d
                return norm(len(block.mean), epsilon, affine=affine)
            case Activation() if NONLINEARITIES.get(block.nonlinearity.name) == block.nonlinearity:
                name, settings = ACTIVATIONS[block.nonlinearity.name]
                return getattr(nn, name)(**settings)
            case _:
                raise ValueError(f"net: expected blocks that PyTorch has a module for; got {block!r} of shape {shape}")

    def filled(self, module: Any, block: Block, w: Weights) -> Any:
        """The module with copies of the block's weights and statistics, in the dtype of the weights."""
        numbers = dict(zip(("weight", "bias"), w, strict=False))
        if isinstance(block, FrozenNorm):
            numbers |= {"running_mean": block.mean, "running_var": block.variance}
        if isinstance(block, Standardise):
            numbers |= {"running_mean": block.mean, "running_var": block.deviation**2}
        for name, x in numbers.items():
            theirs = x.transpose(3, 2, 0, 1) if x.ndim == 4 else x.T  # kernels (C_out, C_in, k, k), units (n_out, n_in)
            getattr(module, name).data = self.torch.from_numpy(np.array(theirs, self.dtype, order="C"))
        return module
