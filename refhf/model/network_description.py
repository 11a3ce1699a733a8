"""A network as plain values, as JSON has them, and the network of such values.

A block is a dict of its class's name and its fields; its arrays stand beside the values, by name.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, cast

import numpy as np

from refhf import checks
from refhf.model.attention import Attention
from refhf.model.axes_order import AxesOrder
from refhf.model.batch_norm import BatchNorm
from refhf.model.bilinear import RULES
from refhf.model.blocks import Array, Block, Shape, flat
from refhf.model.chain import Chain
from refhf.model.convolution import Convolution
from refhf.model.dense import Dense
from refhf.model.elementwise import NONLINEARITIES, Activation, Nonlinearity
from refhf.model.embedding import Embedding
from refhf.model.frozen_norm import FrozenNorm
from refhf.model.layer_norm import LayerNorm
from refhf.model.losses import LOSSES, Loss
from refhf.model.max_pooling import MaxPool
from refhf.model.network import Network
from refhf.model.pooling import AveragePool, Flatten, GlobalAveragePool, Subsample
from refhf.model.residual import Residual
from refhf.model.stages import chain
from refhf.model.standardise import Standardise
from refhf.model.weight_tying import NOWHERE, Stored, Tie, Ties

Arrays = dict[str, Array]
BLOCKS: dict[str, Any] = {
    block.__name__: block
    for block in (
        *(Activation, Attention, AveragePool, AxesOrder, BatchNorm, Chain, Convolution, Dense, Embedding, Flatten),
        *(FrozenNorm, GlobalAveragePool, LayerNorm, MaxPool, Residual, Standardise, Subsample),
    )
}


def described(net: Network) -> tuple[dict[str, Any], Arrays]:
    """The values of a network, and the arrays that they name.

    Raises
    ------
    ValueError
        For a block, a nonlinearity or a loss that is not refhf's own.
    """
    arrays: Arrays = {}
    _known("loss", net.loss.name, _is_own(net.loss))
    blocks = [_value(block, arrays) for block in net.chain.blocks]
    ties = [list(tie) for tie in net.ties]
    names = {"loss": net.loss.name, "classes": list(net.classes)}
    return {"in_shape": list(net.in_shape), "blocks": blocks, "ties": ties, **names}, arrays


def _is_own(loss: Loss) -> bool:
    own = LOSSES.get(loss.name)
    return own is not None and (loss == own or getattr(loss.value, "args", None) == (own,))  # the latter over positions


def _known(what: str, name: str, own: bool) -> None:
    if not own:
        raise ValueError(f"net: expected a {what} of refhf, as a file has its name alone; got your own {name}")


def _value(part: Any, arrays: Arrays) -> Any:
    if isinstance(part, Nonlinearity):
        _known("nonlinearity", part.name, NONLINEARITIES.get(part.name) == part)
        return part.name
    if isinstance(part, np.ndarray):
        name = f"array {len(arrays)}"
        arrays[name] = cast(Array, part)
        return name
    if isinstance(part, tuple):
        return [_value(each, arrays) for each in cast(tuple[Any, ...], part)]
    if isinstance(part, bool | int | float | str):
        return part
    name = type(part).__name__
    _known("block", name, BLOCKS.get(name) is type(part))
    return {"block": name} | {field.name: _value(getattr(part, field.name), arrays) for field in fields(part)}


def rebuilt(values: Any, arrays: Mapping[str, Array]) -> Network:
    """The network of these values and arrays.

    Raises
    ------
    ValueError, LookupError, TypeError, RecursionError
        For values that are none of a network: of another kind, out of range, or blocks that do not fit each other.
    """
    blocks = [_block(each, arrays) for each in values["blocks"]]
    net = chain(blocks, shape=_shape("in_shape", values["in_shape"]), loss=values["loss"])
    return net._replace(ties=_ties(net, values["ties"]), classes=_classes(net, values["classes"]))


def _classes(net: Network, given: Any) -> tuple[str, ...]:
    classes = tuple(given)
    if not all(isinstance(word, str) for word in classes) or len(classes) not in (0, net.outputs):
        raise ValueError(f"classes: expected {net.outputs} names, or none; got {given!r}")
    checks.distinct("classes", classes)
    return classes


def _ties(net: Network, given: Any) -> Ties:
    shapes = flat(net.chain.weight_shapes)
    if given and isinstance(given[0][1], list):  # a Stored has a shape there, a Tie a number
        return _stored(shapes, given)
    ties = [
        Tie(checks.whole("array", array), checks.whole("of", of), checks.boolean("transposed", transposed))
        for array, of, transposed in given
    ]
    for tie in ties:
        ours, other = shapes[tie.array], shapes[tie.of]
        if tie.of >= tie.array or ours != (other[::-1] if tie.transposed else other):
            raise ValueError(f"ties: expected an earlier array of the same shape; got {ours} and {other}")
    checks.distinct("ties", [tie.array for tie in ties])
    return tuple(ties)


def _stored(shapes: list[Shape], given: Any) -> tuple[Stored, ...]:
    stored = tuple(
        Stored(start if start == NOWHERE else checks.whole("start", start), _shape("shape", shape), _axes("axes", axes))
        for start, shape, axes in given
    )
    if [math.prod(each.shape) for each in stored] != [math.prod(shape) for shape in shapes]:
        raise ValueError("ties: expected every array of the weights in theta; got arrays of other sizes")
    for each in stored:
        if each.start != NOWHERE and len(each.axes) != len(each.shape):
            raise ValueError(f"axes: expected the {len(each.shape)} axes of the array; got {each.axes}")
    held = {(each.start, math.prod(each.shape)) for each in stored if each.start != NOWHERE}
    end = 0
    for start, n in sorted(held):
        if start != end:
            raise ValueError(f"ties: expected arrays that follow each other in theta; got one at {start}, not {end}")
        end += n
    return stored


def _block(given: Any, arrays: Mapping[str, Array]) -> Block:
    kind = BLOCKS[checks.choice("block", given["block"], BLOCKS)]
    wanted = [field.name for field in fields(kind)]
    if set(given) != {"block", *wanted}:
        raise ValueError(f"{given['block']}: expected {', '.join(wanted)}; got {', '.join(map(str, given))}")
    made = kind(**{name: _field(name, given[name], arrays) for name in wanted})
    if isinstance(made, Convolution):
        reach = min(made.shape[:2]) + 2 * made.padding
        if len(made.shape) != 3 or not made.padding < made.kernel <= reach:
            raise ValueError(f"Convolution: expected a kernel that fits its images and padding; got {made}")
    if isinstance(made, Subsample) and not made.channels >= made.shape[-1]:
        raise ValueError(f"Subsample: expected at least as many channels as its images have; got {made}")
    if isinstance(made, FrozenNorm) and (made.mean.shape != made.variance.shape or (made.variance < 0).any()):
        raise ValueError("FrozenNorm: expected variances >= 0 beside means of their number; got others")
    if isinstance(made, Standardise) and (made.mean.shape != made.deviation.shape or (made.deviation <= 0).any()):
        raise ValueError("Standardise: expected deviations > 0 beside means of their number; got others")
    return made


def _field(name: str, given: Any, arrays: Mapping[str, Array]) -> Any:
    if name == "blocks":
        return tuple(_block(each, arrays) for each in given)
    if name in ("main", "shortcut"):
        return _block(given, arrays)
    if name in ("mean", "variance", "deviation"):
        return checks.array(name, arrays[given], (None,))
    if name == "nonlinearity":
        return NONLINEARITIES[checks.choice(name, given, NONLINEARITIES)]
    return READERS.get(name, checks.positive_integer)(name, given)


def _shape(name: str, given: Any) -> Shape:
    return tuple(checks.positive_integer(name, n) for n in given)


def _axes(name: str, given: Any) -> Shape:
    if sorted(given) != list(range(len(given))):
        raise ValueError(f"{name}: expected each of {len(given)} axes once; got {given}")
    return tuple(checks.whole(name, axis) for axis in given)


def _rule(name: str, given: Any) -> str:
    return checks.choice(name, given, RULES)


READERS: dict[str, Callable[[str, Any], Any]] = {  # the other fields are numbers of things, 1 or more
    "axes": _axes,
    "bias": checks.boolean,
    "causal": checks.boolean,
    "epsilon": checks.positive,
    "padding": checks.whole,
    "rule": _rule,
    "shape": _shape,
}
