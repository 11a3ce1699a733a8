"""A network in one line."""

from typing import Any

from refhf.model.dense import Dense
from refhf.model.elementwise import Activation


def network_summary(net: Any) -> str:
    """The layer sizes of a fully connected network, the shapes and number of blocks of others; loss and parameters."""
    blocks = net.chain.blocks
    if all(isinstance(block, Dense | Activation) for block in blocks):
        sizes = [net.inputs, *(block.n_out for block in blocks if isinstance(block, Dense))]
        words = ["-".join(map(str, sizes)), *dict.fromkeys(f.name for f in net.nonlinearities)]
    else:
        before, after = (" x ".join(map(str, shape)) for shape in (net.in_shape, net.out_shape))
        words = [f"{before} to {after}", f"{len(blocks)} blocks"]
    return f"Network {', '.join([*words, net.loss.name])}, {net.size:,} parameters"
