"""Networks from a few numbers: fully connected ones, and convolutional ones of images."""

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import numpy as np

from refhf import checks
from refhf.model.blocks import Block, Shape
from refhf.model.chain import Chain
from refhf.model.convolution import Convolution
from refhf.model.dense import Dense
from refhf.model.elementwise import NONLINEARITIES, Activation
from refhf.model.losses import LOSSES, Loss
from refhf.model.network import Network
from refhf.model.pooling import AveragePool, Flatten


def mlp(sizes: Any, *, nonlinearity: str = "tanh", loss: str = "softmax_cross_entropy") -> Network:
    """A fully connected network.

    Parameters
    ----------
    sizes : sequence of int
        n_0 (inputs), hidden widths, n_L (outputs).
    nonlinearity : {'tanh', 'logistic', 'softplus', 'relu', 'identity'}
    loss : {'softmax_cross_entropy', 'logistic_cross_entropy', 'squared_error'}

    Raises
    ------
    ValueError
        For fewer than two sizes, a size below 1, a softmax over one output, or an unknown name.
    """
    if np.ndim(sizes) != 1 or len(sizes) < 2:
        raise ValueError(f"sizes: expected at least two (inputs and outputs); got {sizes!r}")
    sizes = [checks.positive_integer(f"sizes[{i}]", n) for i, n in enumerate(sizes)]
    f, rule = _activation(nonlinearity)
    blocks: list[Block] = []
    for n_in, n_out in itertools.pairwise(sizes[:-1]):
        blocks += [Dense(n_in, n_out, rule=rule), f]
    blocks.append(Dense(sizes[-2], sizes[-1]))
    return Network((sizes[0],), Chain(tuple(blocks)), loss_named("sizes[-1]", sizes[-1], loss))


def _activation(nonlinearity: str) -> tuple[Activation, str]:
    """The block, and the starting rule of the layer before it."""
    f = NONLINEARITIES[checks.choice("nonlinearity", nonlinearity, NONLINEARITIES)]
    return Activation(f), "he" if f.name == "relu" else "glorot"


def loss_named(last: str, outputs: int, name: str) -> Loss:
    """The loss of that name for so many outputs; ValueError for a softmax over one, naming the argument `last`."""
    if checks.choice("loss", name, LOSSES) == "softmax_cross_entropy" and outputs == 1:
        raise ValueError(f"{last}: expected two or more outputs for a softmax (one: logistic_cross_entropy); got 1")
    return LOSSES[name]


def image_shape(shape: Any) -> tuple[int, int, int]:
    """(height, width, channels) as whole numbers; ValueError for anything else."""
    if np.shape(shape) != (3,):
        raise ValueError(f"shape: expected (height, width, channels); got {shape!r}")
    height, width, channels = (checks.positive_integer(f"shape[{i}]", n) for i, n in enumerate(shape))
    return height, width, channels


class Conv(NamedTuple):
    """The stage `conv(channels, kernel, stride, padding)` of a convolutional network."""

    channels: int
    kernel: int
    stride: int
    padding: int
    bias: bool = True

    def __repr__(self) -> str:
        bias = "" if self.bias else ", bias=False"
        return f"conv({self.channels}, {self.kernel}, stride={self.stride}, padding={self.padding}{bias})"


class Pool(NamedTuple):
    """The stage `pool(size)` of a convolutional network."""

    size: int

    def __repr__(self) -> str:
        return f"pool({self.size})"


def conv(channels: int, kernel: int, *, stride: int = 1, padding: Any = 0, bias: bool = True) -> Conv:
    """A stage of `refhf.convnet` and `refhf.chain`: a convolution by `channels` kernels of kernel x kernel pixels.

    Parameters
    ----------
    channels, kernel : int
    stride : int
        Pixels from one patch to the next.
    padding : int
        Zeros on each side of the image, fewer than `kernel`.
    bias : bool
        Whether each channel has one.

    Raises
    ------
    ValueError
        For a number out of range.
    """
    for name, given in (("channels", channels), ("kernel", kernel), ("stride", stride)):
        checks.positive_integer(name, given)
    if not checks.is_integer(padding) or not 0 <= padding < kernel:
        raise ValueError(f"padding: expected an integer from 0 to kernel - 1 = {kernel - 1}; got {padding!r}")
    return Conv(int(channels), int(kernel), int(stride), int(padding), checks.boolean("bias", bias))


def pool(size: int) -> Pool:
    """A stage of `refhf.convnet` and `refhf.chain`: the means of size x size squares of pixels, channel by channel.

    Raises
    ------
    ValueError
        For a size below 1.
    """
    return Pool(checks.positive_integer("size", size))


def convnet(shape: Any, stages: Any, *, nonlinearity: str = "tanh", loss: str = "softmax_cross_entropy") -> Network:
    """A convolutional network.

    A case's row of X is an image in C order, channels last (`refhf.model.convolution` says how PyTorch's order becomes
    it), and so is what a convolution gives. theta holds W_1.ravel(), b_1, W_2.ravel(), ... with W_l (k, k, C_in, C_out)
    and b_l (C_out,) for convolutions, W_l (n_{l-1}, n_l) and b_l (n_l,) for units, which take images as rows too.

    Parameters
    ----------
    shape : (int, int, int)
        height, width and channels of the images; n_0 is their product.
    stages : sequence of `conv(...)`, `pool(...)` and int
        An integer is that many units, fully connected. The nonlinearity follows each convolution and each layer of
        units but the last, whose numbers are the outputs; none follows a `pool`, which comes after the nonlinearity.
        The last stage has weights: to average the outputs of a convolution by 1 x 1, average its inputs instead.
    nonlinearity : {'tanh', 'logistic', 'softplus', 'relu', 'identity'}
    loss : {'softmax_cross_entropy', 'logistic_cross_entropy', 'squared_error'}

    Raises
    ------
    ValueError
        Where images do not fit a stage, with their sizes up to there: a kernel or pool larger than the image, pixels
        that no patch or square reaches at its right or lower edge, an image wanted after units. For a stage of another
        kind, no stage or a `pool` at the end, a softmax over one output, or an unknown name.

    Examples
    --------
    Arnold and Wang's convolutional network has five layers and about 16,000 parameters; no more is known of it. One
    that has, for images of 28 x 28 x 1, counting the layers with weights:

    >>> from refhf import conv, pool
    >>> net = convnet((28, 28, 1), [conv(8, 5), pool(2), conv(16, 5), pool(2), conv(32, 3), 56, 10])
    >>> [(W.size, b.size) for W, b in net.unpack(net.init(rng=0))]
    [(200, 8), (3200, 16), (4608, 32), (7168, 56), (560, 10)]
    >>> net.size
    15858

    The same for CIFAR's 32 x 32 x 3, with 24 units for 56, has 15,650.
    """
    shape = image_shape(shape)
    if not isinstance(stages, Sequence) or isinstance(stages, str):
        raise ValueError(f"stages: expected a sequence of conv(...), pool(...) and numbers of units; got {stages!r}")
    stages = cast(Sequence[Any], stages)
    f, rule = _activation(nonlinearity)
    at, sizes = shape, _by(shape)
    blocks: list[Block] = []
    for i, stage in enumerate(stages):
        if misfit := misfit_of(stage, at):
            raise ValueError(f"stages[{i}]: {misfit}; sizes: {sizes} -> {stage!r}: ?")
        if not isinstance(stage, Conv | Pool) and len(at) == 3:
            blocks.append(Flatten(at))
            at = (math.prod(at),)
        last = i == len(stages) - 1
        blocks.append(image_block(stage, at, "glorot" if last else rule))
        at = blocks[-1].out_shape(at)
        if not (last or isinstance(stage, Pool)):
            blocks.append(f)
        sizes += f" -> {stage!r}: {_by(at)}"
    if not stages or isinstance(stages[-1], Pool):
        raise ValueError(f"stages: expected weights in the last one, conv(...) or a number of units; got {stages!r}")
    if len(at) == 3:
        blocks.append(Flatten(at))
    return Network(shape, Chain(tuple(blocks)), loss_named("stages[-1]", math.prod(at), loss))


def image_block(stage: Any, shape: Shape, rule: str) -> Block:
    """The block of a stage that fits cases of `shape`."""
    if isinstance(stage, Pool):
        return AveragePool(stage.size)
    if isinstance(stage, Conv):
        return Convolution(cast(tuple[int, int, int], shape), *stage, rule=rule)
    return Dense(shape[0], int(stage), rule=rule)


def _by(shape: Shape) -> str:
    return " x ".join(map(str, shape))


def misfit_of(stage: Any, shape: Shape) -> str | None:
    """The fault of a stage for its input; None if it has none."""
    if not isinstance(stage, Conv | Pool):
        if checks.is_integer(stage) and stage >= 1:
            return None
        return f"expected conv(...), pool(...) or a number of units >= 1; got {stage!r}"
    if len(shape) == 1:
        return f"expected a number of units, for units leave no image; got {stage!r}"
    if isinstance(stage, Pool):
        if any(n % stage.size for n in shape[:2]):
            return f"expected a size that divides {shape[0]} and {shape[1]}; got {stage.size}"
        return None
    for n in shape[:2]:
        room = n + 2 * stage.padding - stage.kernel
        if room < 0:
            return (
                f"expected a kernel of at most {n + 2 * stage.padding}, the image and its padding; got {stage.kernel}"
            )
        if stage.stride <= stage.kernel and room % stage.stride > stage.padding:
            missed = room % stage.stride - stage.padding
            return f"expected patches that reach the image's edge; got a stride that leaves {missed} of {n} pixels"
    return None
