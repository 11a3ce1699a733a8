"""The parts of theta by name, and other layouts of theta."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from refhf.model.batch_statistics import leaves
from refhf.model.bilinear import Bilinear
from refhf.model.blocks import Array, arrays, flat, size
from refhf.model.embedding import Embedding
from refhf.model.frozen_norm import FrozenNorm
from refhf.model.network import Network
from refhf.model.normalisation import Normalisation

LETTERS = ((Bilinear, ("W", "b")), (Normalisation, ("gamma", "beta")), (FrozenNorm, ("gamma", "beta")))
LETTERS += ((Embedding, ("E", "T")),)


class ParameterBlock(NamedTuple):
    """A part of theta: its name (W_1, b_1, gamma_2, ...) and its indices."""

    name: str
    indices: Array


def parameter_blocks(net: Network) -> list[ParameterBlock]:
    """The parts W_1, b_1, W_2, ... of theta; a tied part stands once."""
    return [ParameterBlock(name, x.ravel()) for layer in _layers(net) for name, x in layer if x.size]


def parameter_layers(net: Network) -> list[Array]:
    """The indices of each layer's part of theta; a tied part stands once."""
    return [np.concatenate([x.ravel() for _, x in layer]) for layer in _layers(net) if layer]


def out_in(net: Network) -> Array:
    """The indices (P,) with ours = theirs[indices], where theirs stores each W as (out, in)."""
    theirs = [_turned(x) if name[0] == "W" else x for layer in _layers(net) for name, x in layer]
    return np.argsort(np.concatenate([x.ravel() for x in theirs]))


def bias_first(net: Network) -> Array:
    """The indices (P,) with ours = theirs[indices], where theirs stores each bias before its weights."""
    layers = (layer[::-1] if layer and layer[0][0][0] == "W" else layer for layer in _layers(net))
    return np.argsort(np.concatenate([x.ravel() for layer in layers for _, x in layer]))


def _turned(W: Array) -> Array:
    return W.transpose(W.ndim - 1, W.ndim - 2, *range(W.ndim - 2))


def _layers(net: Network) -> Iterator[list[tuple[str, Array]]]:
    """Yield the names and indices of each layer's arrays, in theta's order, without the tied ones."""
    indices, seen = arrays(net.unpack(np.arange(net.size))), np.zeros(net.size, bool)
    for l, block in enumerate((block for block in leaves(net.chain) if size(block.weight_shapes)), 1):
        letters = next((letters for kind, letters in LETTERS if isinstance(block, kind)), ())
        layer: list[tuple[str, Array]] = []
        for i, _ in enumerate(flat(block.weight_shapes)):
            x = next(indices)
            if x.size and (seen[x].any() or x.max() - x.min() + 1 < x.size):
                continue  # tied to one before, or zeros that theta does not hold
            layer.append((f"{letters[i] if i < len(letters) else f'w{i + 1}'}_{l}", x))
            seen[x] = True
        yield layer
