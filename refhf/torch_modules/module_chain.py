"""A module of torch.nn, taken apart, as a chain of refhf's blocks."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from refhf.model.blocks import Block, Shape, size
from refhf.model.chain import Chain
from refhf.model.residual import Residual
from refhf.model.stages import Stage
from refhf.torch_modules.module_blocks import BLOCKS
from refhf.torch_modules.parameter_places import MisfitError, Places, module_name, require

Known = Mapping[type, Callable[[Any], Iterable[Any]]]
OTHERWISE = "without a twin, refhf.check_hessian_product(product, theta, gradient=your_gradient) checks your own alone"


def chain_of(items: Iterable[Any], shape: Shape, places: Places, known: Known, where: str = "model") -> Chain:
    """The chain of modules, of blocks without weights, and of pairs (main, shortcut), for cases of `shape`.

    Raises
    ------
    ValueError
        For a module that is unknown or does not fit, naming it.
    """
    blocks: list[Block] = []
    for i, item in enumerate(items):
        here = f"{where}[{i}]"
        try:
            made = _blocks(item, shape, places, known, here)
            for block in made:
                shape = block.out_shape(shape)
                require(min(shape) > 0, "a kernel or pool that fits the image")
        except MisfitError as error:
            raise ValueError(f"{here}: expected {error}; got {_named(item)}") from None
        except ValueError as error:
            inner = str(error).startswith(here)
            raise error if inner else ValueError(f"{here}, {_named(item)}: {error}") from None
        blocks += made
    return Chain(tuple(blocks))


def _blocks(item: Any, shape: Shape, places: Places, known: Known, here: str) -> Sequence[Block]:
    if isinstance(item, tuple):
        main, shortcut = (chain_of(branch, shape, places, known, here) for branch in item)
        return [Residual(main, shortcut)]
    name = module_name(item)
    if apart := known.get(type(item)) or APART.get(name or ""):
        return chain_of(apart(item), shape, places, known, here).blocks
    if name in BLOCKS:
        return BLOCKS[name](item, shape, places)
    block = item.make(shape) if isinstance(item, Stage) else item
    if hasattr(block, "r_backward") and not size(block.weight_shapes):
        return [block]
    kind = type(item).__name__
    raise ValueError(
        f"{here}: expected one of {', '.join([*APART, *BLOCKS])}, or known={{{kind}: lambda m: [...]}}; "
        f"got {_named(item)} ({OTHERWISE})"
    )


def _named(item: Any) -> str:
    """A module in one line."""
    line = " ".join(repr(item).split())
    return line if len(line) < 100 else f"{line[:97]}..."


def _encoder_layer(m: Any) -> list[Any]:
    """The two residual blocks of a TransformerEncoderLayer, without masks."""
    nn = sys.modules["torch"].nn
    f = {nn.functional.relu: nn.ReLU(), nn.functional.gelu: nn.GELU()}.get(m.activation, m.activation)
    attention, forward = [m.self_attn, m.dropout1], [m.linear1, f, m.dropout, m.linear2, m.dropout2]
    if m.norm_first:
        return [([m.norm1, *attention], []), ([m.norm2, *forward], [])]
    return [(attention, []), m.norm1, (forward, []), m.norm2]


APART: dict[str, Callable[[Any], Iterable[Any]]] = {"Sequential": list, "TransformerEncoderLayer": _encoder_layer}
