"""`refhf.chain`: a network of your own, from blocks in a row."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from refhf import checks
from refhf.model.architectures import loss_named
from refhf.model.attention import Attention
from refhf.model.batch_norm import BatchNorm
from refhf.model.bilinear import RULES
from refhf.model.blocks import Block, Shape
from refhf.model.chain import Chain
from refhf.model.dense import Dense
from refhf.model.elementwise import NONLINEARITIES, Activation
from refhf.model.layer_norm import LayerNorm
from refhf.model.max_pooling import MaxPool
from refhf.model.network import Network
from refhf.model.pooling import Flatten, GlobalAveragePool
from refhf.model.residual import Residual


@dataclass(frozen=True)
class Stage:
    """A block of `refhf.chain`, not yet made: its name and arguments, and the function from a shape to the block."""

    call: str
    make: Callable[[Shape], Block]

    def __repr__(self) -> str:
        return self.call


AnyStage: TypeAlias = Stage | Block


def built(stages: Sequence[AnyStage], shape: Shape) -> Chain:
    """The chain of these stages for cases of `shape`.

    Raises
    ------
    ValueError
        For a stage of another kind, or one that does not take what the stage before gives, with both and the shapes.
    """
    blocks: list[Block] = []
    for i, stage in enumerate(stages):
        before = f" after {stages[i - 1]!r}" if i else ""
        try:
            block = stage.make(shape) if isinstance(stage, Stage) else stage
            shape = block.out_shape(shape)
        except AttributeError:
            raise ValueError(f"stages[{i}]: expected a stage such as refhf.dense(20, 30); got {stage!r}") from None
        except ValueError as error:
            raise ValueError(f"stages[{i}], {stage!r}{before}: {error}") from None
        blocks.append(block)
    return Chain(tuple(blocks))


def dense(n_in: int, n_out: int, *, bias: bool = True, rule: str = "glorot") -> Dense:
    """s = x W + b on the last axis.

    Parameters
    ----------
    n_in, n_out : int
    bias : bool
    rule : {'glorot', 'he', 'normal'}
        The starting weights.

    Raises
    ------
    ValueError
        For a number below 1, or an unknown rule.
    """
    n_in, n_out = checks.positive_integer("n_in", n_in), checks.positive_integer("n_out", n_out)
    return Dense(n_in, n_out, checks.boolean("bias", bias), checks.choice("rule", rule, RULES))


def elementwise(nonlinearity: str) -> Activation:
    """a = f(s), for one of 'tanh', 'logistic', 'softplus', 'relu', 'identity', 'gelu', 'gelu_tanh', 'silu'.

    Raises
    ------
    ValueError
        For an unknown name, with the nearest one.
    """
    return Activation(NONLINEARITIES[checks.choice("nonlinearity", nonlinearity, NONLINEARITIES)])


def layer_norm(channels: int) -> LayerNorm:
    """Layer normalisation over the last axis (Ba, Kiros and Hinton 2016)."""
    return LayerNorm(checks.positive_integer("channels", channels))


def batch_norm(channels: int, *, group: int) -> BatchNorm:
    """Batch normalisation of each channel over groups of `group` cases (Ioffe and Szegedy 2015)."""
    return BatchNorm(checks.positive_integer("channels", channels), checks.positive_integer("group", group))


def attention(heads: int, *, causal: bool = True) -> Attention:
    """Self-attention of query, key and value side by side (Vaswani et al. 2017): a dense layer before it makes them."""
    return Attention(checks.positive_integer("heads", heads), checks.boolean("causal", causal))


def max_pool(size: int) -> MaxPool:
    """The largest number of each size x size square of an image."""
    return MaxPool(checks.positive_integer("size", size))


def flatten() -> Stage:
    """An activation as a row."""
    return Stage("flatten()", Flatten)


def global_average_pool() -> Stage:
    """The mean over all positions, channel by channel."""
    return Stage("global_average_pool()", GlobalAveragePool)


def residual(stages: Sequence[AnyStage], shortcut: Sequence[AnyStage] = ()) -> Stage:
    """The sum of a chain of stages and a shortcut; without stages the shortcut is the identity (He et al. 2015)."""
    main, beside = tuple(stages), tuple(shortcut)

    def make(shape: Shape) -> Block:
        return cast(Any, Residual(built(main, shape), built(beside, shape)))

    named = f"residual({list(main)!r}" + (f", {list(beside)!r})" if beside else ")")
    return Stage(named, make)


def chain(stages: Sequence[AnyStage], *, shape: Sequence[int] | None = None, loss: str = "squared_error") -> Network:
    """A network of your own.

    Parameters
    ----------
    stages : sequence
        `dense`, `layer_norm`, `batch_norm`, `elementwise`, `attention`, `residual`, ..., or blocks of your own
        (`refhf.model.blocks`). The last one gives the outputs (n_L,).
    shape : sequence of int, optional
        A case's shape; needed unless the first stage is a dense layer.
    loss : str
        As for `refhf.mlp`.

    Raises
    ------
    ValueError
        Where a stage does not take what the one before gives, naming both and the shapes; for outputs that are no row,
        or an unknown name.

    Examples
    --------
    >>> net = chain([dense(20, 30), layer_norm(30), elementwise("gelu"), residual([dense(30, 30)]), dense(30, 2)])
    >>> net.size
    1682
    """
    stages = list(stages)
    if shape is None:
        if not stages or not isinstance(stages[0], Dense):
            raise ValueError("shape: expected a case's shape, as the first stage is no dense layer; got None")
        shape = (stages[0].n_in,)
    shape = tuple(checks.positive_integer(f"shape[{i}]", n) for i, n in enumerate(shape))
    blocks = built(stages, shape)
    outputs = blocks.out_shape(shape)
    if len(outputs) != 1:
        raise ValueError(
            f"stages[-1]: expected outputs (n_L,), as flatten() or global_average_pool() makes; got {outputs}"
        )
    return Network(shape, blocks, loss_named("stages[-1]", outputs[0], loss))
