"""Residual networks for images (He et al. 2015; 2016)."""

from typing import Any, NamedTuple

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
from refhf.model.pooling import GlobalAveragePool, Subsample
from refhf.model.residual import Residual

BLOCKS = {"basic": 2, "bottleneck": 3}  # convolutions of a residual block
SHORTCUTS = "identity", "projection"
EXPANSION = 4  # channels of a bottleneck's last convolution over its others; He et al. 2015, Figure 5
GROUP = 128  # cases that batch normalisation takes together; our choice, the batch of He et al. 2015, section 4.2


def resnet(
    shape: Any = (32, 32, 3),
    depth: int = 20,
    width: int = 16,
    classes: int = 10,
    *,
    norm: str | None = "batch",
    version: str = "v1",
    block: str = "basic",
    shortcut: str = "identity",
    group: int = GROUP,
    nonlinearity: str = "relu",
    loss: str = "softmax_cross_entropy",
) -> Network:
    """A residual network for small images, of the layers of He et al. 2015, section 4.2.

    A 3 x 3 convolution; three stages of residual blocks with width, 2 width and 4 width channels, the second and third
    of which begin with stride 2; the mean over all pixels; a dense layer.

    Parameters
    ----------
    shape : (int, int, int)
        height, width and channels of the images.
    depth : int
        6 n + 2 with basic blocks (20 and 32 are the papers'), 9 n + 2 with bottlenecks; n >= 1 blocks a stage.
    width : int
        Channels of the first stage; 16 in the paper.
    classes : int
        Outputs.
    norm : {'batch', 'layer', None}
        What follows ('v1') or precedes ('v2') each convolution, which then has no bias.
    version : {'v1', 'v2'}
        Post-activation (He et al. 2015, eq. 1) or pre-activation (He et al. 2016, Figure 4 e) blocks.
    block : {'basic', 'bottleneck'}
        Two 3 x 3 convolutions; or, as in ResNet-50, one of 1 x 1, one of 3 x 3 and one of 1 x 1 to four times as many
        channels (He et al. 2015, Figure 5).
    shortcut : {'identity', 'projection'}
        Where the shape changes: every second pixel with zeros as new channels (option A of He et al. 2015, section
        4.1, theirs for small images), or a 1 x 1 convolution (option B).
    group : int
        Cases that batch normalisation takes together.
    nonlinearity, loss : str
        As for `refhf.mlp`.

    Raises
    ------
    ValueError
        For another depth, another number out of range, or an unknown name.

    Examples
    --------
    >>> resnet((32, 32, 3), depth=20).size
    269722
    """
    shape = image_shape(shape)
    depth, width = checks.positive_integer("depth", depth), checks.positive_integer("width", width)
    classes, group = checks.positive_integer("classes", classes), checks.positive_integer("group", group)
    if norm is not None:
        checks.choice("norm", norm, ("batch", "layer"))
    for argument, given, known in (("version", version, ("v1", "v2")), ("shortcut", shortcut, SHORTCUTS)):
        checks.choice(argument, given, known)
    layers = 3 * BLOCKS[checks.choice("block", block, BLOCKS)]
    if depth < layers + 2 or depth % layers != 2:
        raise ValueError(
            f"depth: expected {layers} n + 2 for n >= 1, such as {layers + 2} or {2 * layers + 2}; got {depth}"
        )
    f = Activation(NONLINEARITIES[checks.choice("nonlinearity", nonlinearity, NONLINEARITIES)])
    parts = _Parts(norm, group, f, version, block, shortcut)
    first = parts.convolution(shape, width)
    at, blocks = first.out_shape(shape), [first, *(parts.between(width) if version == "v1" else [])]
    for stage in range(3):
        for i in range((depth - 2) // layers):
            added = parts.residual(at, width * 2**stage, 2 if stage and i == 0 else 1)
            blocks += added
            at = added[0].out_shape(at)
    if version == "v2":
        blocks += parts.between(at[-1])
    blocks += [GlobalAveragePool(at), Dense(at[-1], classes)]
    return Network(shape, Chain(tuple(blocks)), loss_named("classes", classes, loss))


class _Parts(NamedTuple):
    """The blocks of one residual network: all convolutions, normalisations and activations alike."""

    norm: str | None
    group: int
    activation: Activation
    version: str
    block: str
    shortcut: str

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

    def residual(self, shape: Shape, channels: int, stride: int) -> list[Block]:
        """One residual block, and what follows its sum."""
        convolutions = self._convolutions(shape, channels, stride)
        out = Chain(tuple(convolutions)).out_shape(shape)
        main: list[Block] = list(self.between(shape[-1]) if self.version == "v2" else [])
        for layer in convolutions:
            main += [layer, *self.between(layer.channels)]
        del main[-1 if self.version == "v1" else -len(self.between(out[-1])) :]  # nothing, or a norm, ends F
        beside = self._shortcut(shape, out, stride)
        return [Residual(Chain(tuple(main)), beside), *([self.activation] if self.version == "v1" else [])]

    def _convolutions(self, shape: Shape, channels: int, stride: int) -> list[Convolution]:
        if self.block == "basic":
            first = self.convolution(shape, channels, 3, stride)
            return [first, self.convolution(first.out_shape(shape), channels)]
        first = self.convolution(shape, channels, 1)
        second = self.convolution(first.out_shape(shape), channels, 3, stride)
        third = self.convolution((*second.out_shape(second.shape)[:2], channels), EXPANSION * channels, 1)
        return [first, second, third]

    def _shortcut(self, shape: Shape, out: Shape, stride: int) -> Chain:
        if shape == out:
            return Chain(())
        if self.shortcut == "identity":
            return Chain((Subsample(shape, out[-1], stride),))
        norm = self.normalisation(out[-1]) if self.version == "v1" else []
        return Chain((self.convolution(shape, out[-1], 1, stride), *norm))
