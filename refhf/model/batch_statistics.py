"""The statistics that batch normalisation predicts with: averages over the training cases, plain arrays beside theta.

Ioffe and Szegedy 2015, Algorithm 2, lines 10 and 11: of each channel E[x] = E_B[mu_B] and
Var[x] = m / (m - 1) E_B[sigma_B^2], where B runs over the groups of cases and m counts the numbers of a set.
"""

from collections.abc import Iterator

import numpy as np

from refhf.model.batch_norm import BatchNorm
from refhf.model.blocks import Array, Block, Weights
from refhf.model.chain import Chain
from refhf.model.frozen_norm import FrozenNorm
from refhf.model.residual import Residual


def leaves(block: Block) -> Iterator[Block]:
    """The blocks that are not made of blocks, in theta's order."""
    if isinstance(block, Chain):
        for inner in block.blocks:
            yield from leaves(inner)
    elif isinstance(block, Residual):
        yield from leaves(block.main)
        yield from leaves(block.shortcut)
    else:
        yield block


def statistics(block: Block, w: Weights, a: Array) -> tuple[Array, list[Array]]:
    """s, and for each BatchNorm (2, channels): mu and m / (m - 1) sigma^2, each summed over the cases."""
    if isinstance(block, Chain):
        found: list[Array] = []
        for inner, w_l in zip(block.blocks, w, strict=True):
            a, of_inner = statistics(inner, w_l, a)
            found += of_inner
        return a, found
    if isinstance(block, Residual):
        s, of_main = statistics(block.main, w[0], a)
        beside, of_shortcut = statistics(block.shortcut, w[1], a)
        return s + beside, of_main + of_shortcut
    s, _ = block.forward(w, a, order=0)
    if not isinstance(block, BatchNorm):
        return s, []
    of_groups = np.stack(block.statistics(a))
    return s, [of_groups.sum(axis=1) * (len(a) / of_groups.shape[1])]


def frozen(block: Block, found: Iterator[Array]) -> Block:
    """The same block, where each BatchNorm has become a FrozenNorm by the next of the (2, channels) statistics."""
    if isinstance(block, Chain):
        return Chain(tuple(frozen(inner, found) for inner in block.blocks))
    if isinstance(block, Residual):
        return Residual(frozen(block.main, found), frozen(block.shortcut, found))
    if not isinstance(block, BatchNorm):
        return block
    mean, variance = next(found)
    return FrozenNorm(mean, variance, block.epsilon)
