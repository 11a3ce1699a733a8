"""Residual networks for images (He et al. 2015; 2016)."""

from collections.abc import Sequence

from refhf import checks
from refhf.model.architectures import image_shape, loss_named
from refhf.model.batch_norm import BatchNorm
from refhf.model.blocks import Block, Shape
from refhf.model.chain import Chain
from refhf.model.convolution import Convolution
from refhf.model.dense import Dense
from refhf.model.elementwise import NONLINEARITIES, Activation
from refhf.model.layer_norm import LayerNorm
from refhf.model.network import Network
from refhf.model.pooling import GlobalAveragePool
from refhf.model.residual import Residual

RELU = Activation(NONLINEARITIES["relu"])
GROUP = 128  # cases that batch normalisation takes together; our choice, the batch of He et al. 2015, section 4.2


def resnet(
    shape: Sequence[int] = (32, 32, 3),
    depth: int = 20,
    width: int = 16,
    classes: int = 10,
    *,
    norm: str | None = "batch",
    version: str = "v1",
    group: int = GROUP,
    nonlinearity: str = "relu",
    loss: str = "softmax_cross_entropy",
) -> Network:
    """A residual network for small images: He et al. 2015, section 4.2, of 6 n + 2 layers.

    A 3 x 3 convolution, three stages of n blocks of two 3 x 3 convolutions with width, 2 width and 4 width
    channels, the second and third beginning with stride 2, the mean over all pixels, and one dense layer.

    Departure: the shortcut of a stage's first block is a projection. He et al. 2015, section 4.2, take the identity
    with zeros for the new channels on CIFAR-10; here it is a 1 x 1 convolution, as in their section 3.3 for ImageNet.
    It adds 1 % to the parameters of 20 layers.

    Parameters
    ----------
    shape : (int, int, int)
        height, width and channels of the images.
    depth : int
        6 n + 2, for n >= 1.
    width : int
        Channels of the first stage; 16 in the paper.
    classes : int
        Outputs.
    norm : {'batch', 'layer', None}
        Follows ('v1') or precedes ('v2') the convolutions, which then have no bias.
    version : {'v1', 'v2'}
        Post-activation (He et al. 2015) or pre-activation (He et al. 2016) blocks.
    group : int
        Cases that batch normalisation takes together.
    nonlinearity, loss : str
        As for `refhf.mlp`.

    Raises
    ------
    ValueError
        For a depth that is not 6 n + 2, another number out of range, or an unknown name.

    Examples
    --------
    >>> resnet((32, 32, 3), depth=20).size
    272474
    """
    height, breadth, channels = image_shape(shape)
    depth, width = checks.positive_integer("depth", depth), checks.positive_integer("width", width)
    classes, group = checks.positive_integer("classes", classes), checks.positive_integer("group", group)
    if depth % 6 != 2 or depth < 8:
        raise ValueError(f"depth: expected 6 n + 2 for n >= 1, such as 8, 20, 32; got {depth}")
    if norm is not None:
        checks.choice("norm", norm, ("batch", "layer"))
    checks.choice("version", version, ("v1", "v2"))
    parts = _Parts(norm, group, Activation(NONLINEARITIES[checks.choice("nonlinearity", nonlinearity, NONLINEARITIES)]))
    at: Shape = (height, breadth, channels)
    blocks: list[Block] = [parts.convolution(at, width)]
    at = (height, breadth, width)
    if version == "v1":
        blocks += parts.between(width)
    for stage in range(3):
        for i in range((depth - 2) // 6):
            added = parts.block(at, width * 2**stage, 2 if stage and i == 0 else 1, version)
            blocks += added
            at = Chain(tuple(added)).out_shape(at)
    if version == "v2":
        blocks += parts.between(at[-1])
    blocks += [GlobalAveragePool(at), Dense(at[-1], classes)]
    return Network((height, breadth, channels), Chain(tuple(blocks)), loss_named("classes", classes, loss))


class _Parts:
    """The blocks of one residual network: all convolutions, normalisations and activations alike."""

    def __init__(self, norm: str | None, group: int, activation: Activation):
        self.norm, self.group, self.activation = norm, group, activation

    def convolution(self, shape: Shape, channels: int, kernel: int = 3, stride: int = 1) -> Convolution:
        """A convolution that keeps height and width at stride 1, with the starting weights of He et al. 2015."""
        height, width, inputs = shape
        return Convolution(
            (height, width, inputs), channels, kernel, stride, kernel // 2, bias=self.norm is None, rule="he"
        )

    def normalisation(self, channels: int) -> list[Block]:
        """The normalisation, if there is one."""
        if self.norm is None:
            return []
        return [BatchNorm(channels, self.group) if self.norm == "batch" else LayerNorm(channels)]

    def between(self, channels: int) -> list[Block]:
        """Normalisation and activation."""
        return [*self.normalisation(channels), self.activation]

    def block(self, shape: Shape, channels: int, stride: int, version: str) -> list[Block]:
        """One residual block, as blocks of the chain."""
        first = self.convolution(shape, channels, stride=stride)
        second = self.convolution(first.out_shape(shape), channels)
        projection = [self.convolution(shape, channels, 1, stride)] if first.out_shape(shape) != shape else []
        if version == "v2":
            main = [*self.between(shape[-1]), first, *self.between(channels), second]
            return [Residual(Chain(tuple(main)), Chain(tuple(projection)))]
        main = [first, *self.between(channels), second, *self.normalisation(channels)]
        shortcut = [*projection, *(self.normalisation(channels) if projection else [])]
        return [Residual(Chain(tuple(main)), Chain(tuple(shortcut))), self.activation]
