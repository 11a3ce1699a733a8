"""Networks of a list of blocks, as requests name them."""

from collections.abc import Iterator, Sequence
from typing import Any

from refhf.model import stages
from refhf.model.blocks import Shape
from refhf.model.convolution import Convolution
from refhf.model.dense import Dense
from refhf.model.embedding import Embedding
from refhf.model.network import Network
from refhf.model.pooling import AveragePool, Subsample
from refhf.model.stages import Stage
from refhf.model.weight_tying import Tie

NO_BIAS = "no-bias"
WITHOUT_NUMBERS = {
    "layer-norm": Stage("layer-norm", lambda shape: stages.layer_norm(shape[-1])),
    "global-average-pool": stages.global_average_pool(),
    "flatten": stages.flatten(),
}

ARRAYS = {"dense": 2, "conv": 2, "layer-norm": 2, "batch-norm": 2, "embedding": 2, "tied": 1, "shared": 1}  # of weights


def network_of_blocks(shape: Sequence[int], blocks: Sequence[str], loss: str) -> Network:
    """The network of blocks such as 'dense 4', 'layer-norm', 'residual', .., 'shortcut', .., 'end'."""
    return stages.chain(_until_end(iter(blocks)), shape=shape, loss=loss)._replace(ties=_ties(blocks))


def _ties(blocks: Sequence[str]) -> tuple[Tie, ...]:
    """The ties of 'tied k n' and 'shared k n', whose weights are the first array of word k."""
    words = [text.split() for text in blocks]
    arrays = [ARRAYS.get(word[0], 0) - (word[-1] == NO_BIAS) for word in words]
    return tuple(
        Tie(sum(arrays[:at]), of=sum(arrays[: int(word[1])]), transposed=word[0] == "tied")
        for at, word in enumerate(words)
        if word[0] in ("tied", "shared")
    )


def _until_end(words: Iterator[str]) -> list[Any]:
    """The stages before the next 'shortcut' or 'end', which is used up too."""
    found: list[Any] = []
    for word in words:
        if word in ("shortcut", "end"):
            break
        found.append(stages.residual(_until_end(words), _until_end(words)) if word == "residual" else _stage(word))
    return found


def _stage(text: str) -> Any:
    if text in WITHOUT_NUMBERS:
        return WITHOUT_NUMBERS[text]
    kind, *given = text.split()
    if kind == "attention":
        return stages.attention(int(given[0]), causal=given[1] == "causal")
    if not given:
        return stages.elementwise(text)
    bias = given[-1] != NO_BIAS
    return Stage(text, lambda shape: _block(kind, shape, [int(n) for n in given if n != NO_BIAS], bias))


def _block(kind: str, shape: Shape, numbers: list[int], bias: bool) -> Any:
    """The block of a kind for cases of this shape."""
    if kind == "dense":
        return Dense(shape[-1], *numbers, bias=bias)
    if kind in ("tied", "shared"):
        return Dense(shape[-1], numbers[1], bias=False)
    if kind == "conv":
        height, width, channels = shape
        return Convolution((height, width, channels), *numbers, bias=bias)
    if kind == "batch-norm":
        return stages.batch_norm(shape[-1], group=numbers[0])
    if kind == "embedding":
        return Embedding(numbers[0], shape[0], numbers[1])
    if kind == "subsample":
        return Subsample(shape, *numbers)
    return stages.max_pool(*numbers) if kind == "max-pool" else AveragePool(*numbers)
