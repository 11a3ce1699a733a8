"""`refhf.chain`: a network of your own, from blocks in a row."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from refhf import checks
from refhf.model.architectures import Conv, Pool, image_block, loss_named, misfit_of
from refhf.model.attention import Attention
from refhf.model.batch_norm import BatchNorm
from refhf.model.batch_statistics import leaves
from refhf.model.bilinear import RULES
from refhf.model.blocks import Block, Shape, Shapes, flat
from refhf.model.chain import Chain
from refhf.model.dense import Dense
from refhf.model.elementwise import NONLINEARITIES, Activation
from refhf.model.embedding import Embedding
from refhf.model.layer_norm import LayerNorm
from refhf.model.losses import over_positions
from refhf.model.max_pooling import MaxPool
from refhf.model.network import Network
from refhf.model.pooling import Flatten, GlobalAveragePool
from refhf.model.residual import Residual
from refhf.model.weight_tying import Tie


@dataclass(frozen=True)
class Stage:
    """A block of `refhf.chain`, not yet made: its name and arguments, and the function from a shape to the block."""

    call: str
    make: Callable[[Shape], Block]

    def __repr__(self) -> str:
        return self.call


AnyStage: TypeAlias = Stage | Conv | Pool | Block


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
            block = _made(stage, shape)
            shape = block.out_shape(shape)
        except AttributeError:
            meant = f" (did you mean refhf.elementwise({stage!r})?)" if stage in NONLINEARITIES else ""
            raise ValueError(
                f"stages[{i}]: expected a stage such as refhf.dense(20, 30); got {stage!r}{meant}"
            ) from None
        except ValueError as error:
            raise ValueError(f"stages[{i}], {stage!r}{before}: {error}") from None
        blocks.append(block)
    return Chain(tuple(blocks))


def _made(stage: AnyStage, shape: Shape) -> Block:
    if isinstance(stage, Stage):
        return stage.make(shape)
    if not isinstance(stage, Conv | Pool):
        return stage
    if len(shape) != 3:
        raise ValueError(f"expected images (height, width, channels); got shape {shape}")
    if misfit := misfit_of(stage, shape):
        raise ValueError(misfit)
    return image_block(stage, shape, "glorot")


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


def embedding(vocabulary: int, context: int, width: int) -> Embedding:
    """The first stage where a case is a row of tokens (context,): a vector of each token, and one of its position."""
    sizes = {"vocabulary": vocabulary, "context": context, "width": width}
    return Embedding(*(checks.positive_integer(*item) for item in sizes.items()))


def dropout(rate: float = 0.0) -> Stage:
    """No stage at all: dropout as it is at prediction, and the only kind that leaves f a function of theta.

    Raises
    ------
    ValueError
        For a rate other than 0.
    """
    if checks.real("rate", rate):
        raise ValueError(f"rate: expected 0, for f is a function of theta alone, without random numbers; got {rate!r}")
    return Stage("dropout()", lambda shape: Chain(()))


def max_pool(size: int) -> MaxPool:
    """The largest number of each size x size square of an image."""
    return MaxPool(checks.positive_integer("size", size))


def flatten() -> Stage:
    """An activation as a row."""
    return Stage("flatten()", Flatten)


def global_average_pool() -> Stage:
    """The mean over all positions, channel by channel."""
    return Stage("global_average_pool()", GlobalAveragePool)


def residual(stages: Iterable[AnyStage], shortcut: Iterable[AnyStage] = ()) -> Stage:
    """The sum of a chain of stages and a shortcut; without stages the shortcut is the identity (He et al. 2015)."""
    main, beside = tuple(stages), tuple(shortcut)

    def make(shape: Shape) -> Block:
        return Residual(built(main, shape), built(beside, shape))

    named = f"residual({list(main)!r}" + (f", {list(beside)!r})" if beside else ")")
    return Stage(named, make)


def chain(
    stages: Iterable[AnyStage],
    *,
    shape: Sequence[int] | None = None,
    loss: str = "squared_error",
    tied: Iterable[tuple[int, int]] = (),
) -> Network:
    """A network of your own.

    Parameters
    ----------
    stages : sequence
        `dense`, `conv`, `pool`, `layer_norm`, `batch_norm`, `elementwise`, `attention`, `residual` and the like, or
        blocks of your own (`refhf.model.blocks`). The last one gives the outputs: (n_L,), or (positions, n_L) with a
        label for each position, over which the loss is then averaged.
    shape : sequence of int, optional
        A case's shape; needed unless the first stage is a dense layer or an embedding.
    loss : str
        As for `refhf.mlp`.
    tied : sequence of (int, int)
        Pairs of stages, in their order, that share their first array of weights: of equal shapes, or one transposed.

    Raises
    ------
    ValueError
        Where a stage does not take what the one before gives, naming both and the shapes; for outputs of another
        shape, groups of different size in batch normalisation, stages that cannot be tied, or an unknown name.

    Examples
    --------
    >>> net = chain([dense(20, 30), layer_norm(30), elementwise("gelu"), residual([dense(30, 30)]), dense(30, 2)])
    >>> net.size
    1682
    """
    stages = list(stages)
    shape = tuple(checks.positive_integer(f"shape[{i}]", n) for i, n in enumerate(shape or _first_shape(stages)))
    blocks = built(stages, shape)
    outputs = blocks.out_shape(shape)
    groups = sorted({block.group for block in leaves(blocks) if isinstance(block, BatchNorm)})
    if len(groups) > 1:
        raise ValueError(f"stages: expected batch normalisation over groups of one size; got {groups}")
    of_loss = loss_named("stages[-1]", outputs[-1] if outputs else 1, loss)
    if len(outputs) == 2 and of_loss.name == "softmax_cross_entropy":
        of_loss = over_positions(of_loss)
    elif len(outputs) != 1:
        raise ValueError(
            f"stages[-1]: expected outputs (n_L,), as flatten() or global_average_pool() makes; got {outputs}"
        )
    return Network(shape, blocks, of_loss, _ties(blocks, tied))


def _first_shape(stages: Sequence[AnyStage]) -> Shape:
    first = stages[0] if stages else None
    if isinstance(first, Dense):
        return (first.n_in,)
    if isinstance(first, Embedding):
        return (first.context,)
    raise ValueError("shape: expected a case's shape, as the first stage has none of its own; got None")


def _ties(blocks: Chain, tied: Iterable[tuple[int, int]]) -> tuple[Tie, ...]:
    made: list[Tie] = []
    counts = [len(flat(shapes)) for shapes in blocks.weight_shapes]
    for i, (of, to) in enumerate(tied):
        first, second = (_first_array(blocks.weight_shapes, stage) for stage in (of, to))
        if not (of < to and first and second and second in (first, first[::-1])):
            raise ValueError(f"tied[{i}]: expected stages of one shape of weights; got {of} {first} and {to} {second}")
        made.append(Tie(sum(counts[:to]), sum(counts[:of]), transposed=first != second))
    return tuple(made)


def _first_array(shapes: Shapes, stage: int) -> Shape | None:
    return next(iter(flat(shapes[stage])), None) if 0 <= stage < len(shapes) else None
