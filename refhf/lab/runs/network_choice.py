"""The network of a run: chosen by name, with the settings that networks of that name have."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from refhf import checks
from refhf.data.data_sets import DataSet
from refhf.model.architectures import conv, convnet, mlp, pool
from refhf.model.elementwise import NONLINEARITIES
from refhf.model.network import Network
from refhf.model.residual_networks import BLOCKS, GROUP, SHORTCUTS, resnet
from refhf.model.transformers import transformer

NETWORKS = "mlp", "convnet", "resnet-8", "resnet-20", "resnet-32", "resnet-56", "resnet-110", "transformer"
NORMS = "batch", "layer", "none"
UNUSUAL: Mapping[str, Any] = dict.fromkeys(("block", "shortcut", "preactivation", "standardise"))  # None: the usual
DEFAULTS: Mapping[str, Mapping[str, Any]] = {  # the settings that a network has; None: decided by the data, or unusual
    "mlp": {"hidden": (400, 150), "nonlinearity": "tanh", "standardise": None},  # our choice, by `make demo`
    "convnet": {"width": 8, "nonlinearity": "tanh", "standardise": None},  # our choice
    "resnet": {"width": 16, "norm": "batch", "group": None, "nonlinearity": "relu", **UNUSUAL},  # refhf.resnet's
    "transformer": {"width": 32, "depth": 2, "heads": 4, "context": None, "nonlinearity": "gelu", "tied": None},
}
KNOWN = {"block": BLOCKS, "shortcut": SHORTCUTS}  # the first one is the usual one
COUNTS = "width", "group", "depth", "heads", "context"


class NetworkChoice(NamedTuple):
    """A network by name, and its settings; None is the default, or what the network does not have.

    Attributes
    ----------
    network : str
        'mlp', 'convnet', 'resnet-N' of N = 6 n + 2 layers, of 9 n + 2 with bottlenecks, or 'transformer'.
    hidden : sequence of int
        Widths of the hidden layers of an mlp.
    width : int
        Channels of the first convolution of a convnet or a resnet; numbers of a transformer's token.
    norm : {'batch', 'layer', 'none'}
    group : int
        Cases that batch normalisation takes together.
    depth, heads, context : int
        Layers, attention heads and characters of a case of a transformer.
    nonlinearity : str
    block : {'bottleneck'}
        The residual blocks of a resnet; None is two 3 x 3 convolutions.
    shortcut : {'projection'}
        Where the shape changes; None is the identity with zeros as new channels.
    preactivation, tied : bool
        True for a resnet of pre-activation blocks, and a transformer whose last layer has the embedding's weights.
    standardise : bool
        True for a first block that takes the inputs to mean 0 and deviation 1; not of a transformer.
    """

    network: str = "mlp"
    hidden: Sequence[int] | None = None
    width: int | None = None
    norm: str | None = None
    group: int | None = None
    depth: int | None = None
    heads: int | None = None
    context: int | None = None
    nonlinearity: str | None = None
    block: str | None = None
    shortcut: str | None = None
    preactivation: bool | None = None
    tied: bool | None = None
    standardise: bool | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that are not None."""
        return {name: value for name, value in self._asdict().items() if value is not None and name != "network"}

    def title(self, inputs: int, outputs: int) -> str:
        """The network in a few words, of a completed choice."""
        if self.network == "mlp":
            shape = "-".join(map(str, (inputs, *(self.hidden or ()), outputs)))
            first = "standardised " if self.standardise else ""
            return first + shape + (f", {self.nonlinearity}" if self.hidden else "")
        named = [(name, value) for name, value in self.settings.items() if name != "nonlinearity"]
        words = [name if value is True else f"{name} {value}" for name, value in named]
        return ", ".join([self.network, *words, str(self.nonlinearity)])

    def notes(self, cases: int) -> tuple[str, ...]:
        """A sentence if the groups of batch normalisation do not divide the training cases."""
        rest = cases % self.group if self.group else 0
        said = f"X: batch normalisation in groups of {self.group} cases; the last {rest} form a smaller group"
        return (said,) if rest else ()


def as_choice(network: NetworkChoice | Sequence[int]) -> NetworkChoice:
    """The choice itself, or that of an mlp of these hidden widths."""
    return network if isinstance(network, NetworkChoice) else NetworkChoice(hidden=network)


def completed(choice: NetworkChoice, data: DataSet | None = None) -> NetworkChoice:
    """The choice with its defaults filled in, but for those that the data decides where there is none yet.

    Raises
    ------
    ValueError
        For an unknown name, a setting that the network does not have, one out of range, or data that does not fit.
    """
    for name, known in KNOWN.items():
        value = getattr(choice, name)
        if value is not None and checks.choice(name, value, known) == next(iter(known)):
            choice = choice._replace(**{name: None})
    family, given = _family(choice), choice.settings
    usual = dict(DEFAULTS[family])
    for name, value in given.items():
        if name not in usual:
            raise ValueError(f"{name}: expected none, as {choice.network} has {', '.join(usual)}; got {value!r}")
    if checks.choice("norm", given.get("norm", "batch"), NORMS) != "batch" and "group" in given:
        raise ValueError(f"group: expected none with norm {choice.norm}; got {choice.group}")
    if data is not None:
        _check_text(family, data)
        decided = {"group": min(GROUP, len(data.X)), "context": data.X.shape[1]}
        usual |= {name: value for name, value in decided.items() if name in usual}
    found = choice._replace(**usual | given)
    if found.norm != "batch":
        found = found._replace(group=None)
    checks.choice("nonlinearity", found.nonlinearity, NONLINEARITIES)
    for name in COUNTS:
        if name in found.settings:
            most = len(data.X) if name == "group" and data is not None else checks.LARGEST
            checks.positive_integer(name, found.settings[name], most)
    return found


def _family(choice: NetworkChoice) -> str:
    """The key of DEFAULTS; ValueError for an unknown network, with the nearest one."""
    name, layers = choice.network, 3 * BLOCKS[choice.block or "basic"]
    found = re.fullmatch(r"resnet-([1-9]\d{0,3})", name)
    if found is None:
        return checks.choice("network", name, NETWORKS)
    n = int(found[1])
    if n < layers + 2 or n % layers != 2:
        near, kind = f"resnet-{layers * max(1, round((n - 2) / layers)) + 2}", f" and {choice.block} blocks"
        raise ValueError(
            f"network: expected resnet-N of N = {layers} n + 2 layers{kind if choice.block else ''}; "
            f"got {name!r} (did you mean {near!r}?)"
        )
    return "resnet"


def _check_text(family: str, data: DataSet) -> None:
    if data.vocabulary and family != "transformer":
        raise ValueError(f"network: expected transformer, as {data.name} is a text; got {family}")
    if family == "transformer" and not data.vocabulary:
        raise ValueError(f"data: expected a text for a transformer, as sonnets or a .txt file; got {data.name}")


def build(choice: NetworkChoice, data: DataSet, outputs: int, loss: str) -> Network:
    """The network of a completed choice, for these cases and so many outputs.

    A convnet is two 5 x 5 convolutions of width and 2 width channels, each with a 2 x 2 pool behind it, and a layer of
    8 width units: LeNet-5's order of layers (LeCun et al. 1998, section II.B) in sizes of our choice.

    Raises
    ------
    ValueError
        As the networks, and for rows that are no square images, where the data has no `image_shape`.
    """
    family, has, inputs = _family(choice), choice.settings, data.X.shape[1]
    if family == "transformer":
        return transformer(outputs, **has)
    rest = {"nonlinearity": has["nonlinearity"], "loss": loss}
    if family == "mlp":
        return mlp([inputs, *has["hidden"], outputs], **rest)
    shape, width = data.image_shape or square_images(inputs), has["width"]
    if family == "convnet":
        first, second = (conv(channels, 5, padding=2) for channels in (width, 2 * width))
        return convnet(shape, [first, pool(2), second, pool(2), 8 * width, outputs], **rest)
    depth, norm = int(choice.network.removeprefix("resnet-")), None if choice.norm == "none" else choice.norm
    rest |= {name: has[name] for name in KNOWN if name in has} | ({"version": "v2"} if choice.preactivation else {})
    return resnet(shape, depth, width, outputs, norm=norm, group=choice.group or GROUP, **rest)


def square_images(inputs: int) -> tuple[int, int, int]:
    """(side, side, channels) of square images with one channel or three, from their numbers.

    Raises
    ------
    ValueError
        If no such image has so many numbers.

    Examples
    --------
    >>> square_images(784), square_images(3072)
    ((28, 28, 1), (32, 32, 3))
    """
    for channels in (1, 3):
        side = math.isqrt(inputs // channels)
        if channels * side**2 == inputs:
            return side, side, channels
    raise ValueError(f"X: expected square images of one channel or three, n_0 = s s or 3 s s; got n_0 = {inputs}")
