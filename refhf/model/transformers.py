"""Small transformers that predict the next token (Vaswani et al. 2017; Radford et al. 2019)."""

from functools import partial

from refhf import checks
from refhf.model.attention import Attention
from refhf.model.blocks import Block, flat
from refhf.model.chain import Chain
from refhf.model.dense import Dense
from refhf.model.elementwise import NONLINEARITIES, Activation
from refhf.model.embedding import Embedding
from refhf.model.layer_norm import LayerNorm
from refhf.model.losses import over_positions, softmax_cross_entropy
from refhf.model.network import Network
from refhf.model.residual import Residual
from refhf.model.weight_tying import Tie

EXPANSION = 4  # hidden units of the feed-forward part over width; Vaswani et al. 2017, section 3.3


def transformer(
    vocabulary: int = 65,
    context: int = 32,
    width: int = 32,
    heads: int = 4,
    depth: int = 2,
    *,
    nonlinearity: str = "gelu",
    tied: bool = False,
) -> Network:
    """A decoder of `depth` pre-norm layers: causal attention and a feed-forward part, each a residual block.

    A case is a row of tokens (context,), integers below `vocabulary`; its target is the row of the tokens that follow.
    The loss is the mean cross-entropy over the positions.

    Parameters
    ----------
    vocabulary, context, width, heads, depth : int
        `heads` divides `width`.
    nonlinearity : str
        As for `refhf.mlp`.
    tied : bool
        Whether the last layer's weights are the embedding's, transposed (Press and Wolf 2017, section 2).

    Raises
    ------
    ValueError
        For a number below 1, a width that `heads` does not divide, or an unknown name.

    Examples
    --------
    >>> net = transformer(vocabulary=5, context=4, width=8, heads=2, depth=1)
    >>> net.size, net.out_shape
    (1000, (4, 5))
    """
    numbers = {"vocabulary": vocabulary, "context": context, "width": width, "heads": heads, "depth": depth}
    vocabulary, context, width, heads, depth = (checks.positive_integer(*item) for item in numbers.items())
    if width % heads:
        raise ValueError(f"width: expected a multiple of heads = {heads}; got {width}")
    if vocabulary == 1:
        raise ValueError("vocabulary: expected two or more tokens for a softmax; got 1")
    f = Activation(NONLINEARITIES[checks.choice("nonlinearity", nonlinearity, NONLINEARITIES)])
    layer = partial(Dense, rule="normal")
    blocks: list[Block] = [Embedding(vocabulary, context, width)]
    for _ in range(depth):
        attention = LayerNorm(width), layer(width, 3 * width), Attention(heads), layer(width, width)
        feed_forward = LayerNorm(width), layer(width, EXPANSION * width), f, layer(EXPANSION * width, width)
        blocks += [Residual(Chain(attention)), Residual(Chain(feed_forward))]
    blocks += [LayerNorm(width), layer(width, vocabulary, bias=False)]
    chain = Chain(tuple(blocks))
    last = len(flat(chain.weight_shapes)) - 1
    ties = (Tie(last, of=0, transposed=True),) if checks.boolean("tied", tied) else ()
    return Network((context,), chain, over_positions(softmax_cross_entropy), ties)
