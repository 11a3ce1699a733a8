"""Requests about networks of blocks: (name, request)."""

import math

from oracle.named_draws import decimals, draws
from oracle.network_requests import targets

SOFTMAX, SQUARED, LOGISTIC = "softmax_cross_entropy", "squared_error", "logistic_cross_entropy"


def _weights(block, shape):
    """(P, the shape after the block, for a residual block the rest of the list)."""
    kind, *words = block.split()
    bias, given = words[-1:] != ["no-bias"], [int(word) for word in words if word.isdigit()]
    if kind == "dense":
        return (shape[-1] + bias) * given[0], [*shape[:-1], given[0]]
    if kind in ("tied", "shared"):
        return 0, [*shape[:-1], given[1]]
    if kind == "conv":
        channels, k, stride, padding = given
        out = [(n + 2 * padding - k) // stride + 1 for n in shape[:2]]
        return (k * k * shape[2] + bias) * channels, [*out, channels]
    if kind in ("pool", "max-pool"):
        return 0, [shape[0] // given[0], shape[1] // given[0], shape[2]]
    if kind == "subsample":
        return 0, [-(-shape[0] // given[1]), -(-shape[1] // given[1]), given[0]]
    if kind == "embedding":
        return (given[0] + shape[0]) * given[1], [shape[0], given[1]]
    count = 2 * shape[-1] if kind in ("layer-norm", "batch-norm") else 0
    after = {"attention": [shape[0], shape[-1] // 3], "flatten": [math.prod(shape)]}
    return count, after.get(kind, [shape[-1]] if kind == "global-average-pool" else list(shape))


def parameters(blocks, shape):
    """P of a list of blocks, and the shape of z."""
    total, before = 0, []
    for block in blocks:
        if block == "residual":
            before.append(shape)
        elif block == "shortcut":
            shape = before[-1]
        elif block == "end":
            before.pop()
        else:
            count, shape = _weights(block, shape)
            total += count
    return total, shape


def requests(topic, name, shape, blocks, loss=SOFTMAX, cases=3, l2=0.0, size=1.0, soft=False):
    """The three operations on a network, their numbers keyed by topic and name."""
    (count, out), rng = parameters(blocks, shape), draws(f"{topic}/{name}")
    request = {"shape": shape, "blocks": blocks, "loss": loss, "l2": l2, "cases": cases}
    request["theta"] = decimals(rng, count)
    if blocks[0].startswith("embedding"):
        request["X"] = [int(k) for k in rng.integers(0, int(blocks[0].split()[1]), cases * shape[0])]
    else:
        request["X"] = decimals(rng, cases * math.prod(shape), size)
    request["y"] = targets(rng, loss, cases * math.prod(out[:-1]), out[-1], soft)
    v = decimals(rng, count)
    yield f"{name}/gradient", {"operation": "gradient", **request}
    for operation in ("hessian_product", "gauss_newton_product"):
        yield f"{name}/{operation}".replace("_", "-"), {"operation": operation, **request, "v": v}


def layer_norm():
    """Of rows, of data, of each pixel; with a variance near epsilon."""
    topic = "layer_norm"
    yield from requests(topic, "rows", [3], ["dense 4", "layer-norm", "tanh", "dense 2"])
    yield from requests(topic, "of-data", [4], ["layer-norm", "dense 2"], SQUARED, l2=0.25)
    yield from requests(topic, "small-variance", [3], ["dense 3 no-bias", "layer-norm", "dense 2"], size=0.01)
    blocks = ["conv 3 2 1 0", "layer-norm", "gelu", "flatten", "dense 1"]
    yield from requests(topic, "images", [3, 3, 1], blocks, LOGISTIC)
    yield from requests(topic, "twice", [3], ["layer-norm", "dense 3", "layer-norm", "silu", "dense 2"], soft=True)


def batch_norm():
    """One group, two, a rest that is smaller; of images, whose sets run over the pixels too."""
    topic, rows = "batch_norm", ["dense 3", "batch-norm 4", "tanh", "dense 2"]
    yield from requests(topic, "one-group", [2], rows, cases=4)
    yield from requests(topic, "two-groups", [2], rows, SQUARED, cases=8, l2=0.125)
    yield from requests(topic, "a-rest", [2], rows, cases=7)
    yield from requests(
        topic, "small-variance", [3], ["batch-norm 5", "dense 3", "silu", "dense 2"], cases=5, size=0.01
    )
    blocks = ["conv 2 2 1 0 no-bias", "batch-norm 2", "gelu_tanh", "global-average-pool", "dense 2"]
    yield from requests(topic, "images", [3, 3, 1], blocks, cases=4)


def attention():
    """Causal or not, one head or two, with a label for each position or for the sequence."""
    topic, last = "attention", ["flatten", "dense 2"]
    yield from requests(topic, "causal", [3, 2], ["dense 6", "attention 1 causal", "dense 2"])
    yield from requests(topic, "all-positions", [3, 2], ["dense 6", "attention 1 full", *last])
    yield from requests(topic, "two-heads", [3, 2], ["dense 12 no-bias", "attention 2 causal", *last], SQUARED, l2=0.25)
    yield from requests(topic, "of-data", [2, 6], ["attention 2 full", *last], cases=4)


def residual():
    """An identity beside a chain, a layer beside it, blocks within blocks, every second pixel."""
    topic, identity = "residual", ["dense 3", "tanh", "dense 3", "shortcut", "end"]
    yield from requests(topic, "identity", [3], ["residual", *identity, "dense 2"])
    beside = ["dense 4", "silu", "shortcut", "dense 4 no-bias", "end"]
    yield from requests(topic, "projection", [3], ["residual", *beside, "tanh", "dense 2"], SQUARED)
    inner = ["residual", "dense 2", "gelu", "shortcut", "end"]
    nested = ["dense 2", "residual", *inner, "dense 2", "shortcut", *inner, "end"]
    yield from requests(topic, "nested", [2], [*nested, "dense 2"], l2=0.125)
    images = ["residual", "conv 3 3 2 1", "shortcut", "subsample 3 2", "end", "silu", "global-average-pool", "dense 2"]
    yield from requests(topic, "subsampled", [3, 3, 1], images)


def embedding():
    """Tokens that come more than once, and some that do not come at all."""
    topic = "embedding"
    yield from requests(topic, "positions", [3], ["embedding 4 2", "tanh", "dense 3"], cases=2)
    yield from requests(topic, "unused-tokens", [2], ["embedding 7 2", "flatten", "gelu", "dense 2"], SQUARED, cases=2)


def max_pooling():
    """The largest number of each square."""
    topic = "max_pooling"
    yield from requests(topic, "rows", [4, 4, 1], ["conv 2 3 1 1", "max-pool 2", "silu", "flatten", "dense 2"], cases=2)
    blocks = ["conv 2 2 1 0", "gelu", "max-pool 3", "flatten", "dense 1"]
    yield from requests(topic, "one-square", [4, 4, 2], blocks, LOGISTIC, l2=0.25)


def tied_weights():
    """An array of weights in two places: of an embedding, of an autoencoder, of one layer used twice; a transformer."""
    topic = "tied_weights"
    yield from requests(topic, "embedding", [3], ["embedding 4 2", "tanh", "tied 0 4"], cases=2)
    yield from requests(topic, "autoencoder", [3], ["dense 2", "gelu", "tied 0 3"], SQUARED, l2=0.25)
    twice = ["dense 2", "tanh", "dense 2 no-bias", "silu", "shared 2 2", "tanh", "tied 2 2"]
    yield from requests(topic, "square-layer", [3], twice, l2=0.125, soft=True)
    yield from requests(topic, "transformer", [3], [*_transformer(1), "tied 0 3"], cases=2)


def bottleneck():
    """1 x 1, 3 x 3 and 1 x 1 convolutions beside an identity and a projection; a network of eleven layers."""
    topic, end = "bottleneck", ["global-average-pool", "dense 2"]
    block = ["residual", *_bottleneck(1, 4, 1, "batch-norm 4"), "shortcut", "end", "silu"]
    yield from requests(topic, "identity", [3, 3, 4], [*block, *end], cases=4)
    beside = ["shortcut", "conv 4 1 2 0 no-bias", "layer-norm", "end", "tanh"]
    yield from requests(
        topic, "projection", [3, 3, 2], ["residual", *_bottleneck(1, 4, 2, "layer-norm"), *beside, *end]
    )
    blocks = ["conv 1 3 1 1 no-bias", "batch-norm 3", "silu"]
    for stage in range(3):
        width, stride = 2**stage, 2 if stage else 1
        blocks += ["residual", *_bottleneck(width, 4 * width, stride, "batch-norm 3"), "shortcut"]
        blocks += [f"conv {4 * width} 1 {stride} 0 no-bias", "batch-norm 3", "end", "silu"]
    yield from requests(topic, "depth-11", [4, 4, 1], [*blocks, *end])


def _bottleneck(width, out, stride, norm):
    """The convolutions of a bottleneck and their norms; none but a norm after the last."""
    words = [f"conv {width} 1 1 0 no-bias", norm, "silu", f"conv {width} 3 {stride} 1 no-bias", norm, "silu"]
    return [*words, f"conv {out} 1 1 0 no-bias", norm]


def preactivation():
    """Norm and nonlinearity before each convolution, nothing after the sum; a network of eight layers."""
    topic, end = "preactivation", ["batch-norm 3", "silu", "global-average-pool", "dense 2"]
    block = ["residual", *_before("batch-norm 4", 2, 1), "shortcut", "end"]
    yield from requests(topic, "identity", [3, 3, 2], [*block, "tanh", *end[2:]], cases=4)
    beside = ["shortcut", "conv 2 1 2 0", "end", "gelu", *end[2:]]
    yield from requests(topic, "projection", [3, 3, 1], ["residual", *_before("layer-norm", 2, 2), *beside], l2=0.125)
    blocks = ["conv 2 3 1 1 no-bias"]
    for stage in range(3):
        width, stride = 2 * 2**stage, 2 if stage else 1
        blocks += ["residual", *_before("batch-norm 3", width, stride), "shortcut"]
        blocks += [*([f"subsample {width} 2"] if stage else []), "end"]
    yield from requests(topic, "depth-8", [4, 4, 1], [*blocks, *end])


def _before(norm, width, stride):
    """The main chain of a pre-activation block."""
    return [norm, "silu", f"conv {width} 3 {stride} 1 no-bias", norm, "silu", f"conv {width} 3 1 1 no-bias"]


def residual_network():
    """The network of `refhf.resnet((4, 4, 1), depth=8, width=2, classes=2, group=3, nonlinearity="silu")`."""
    blocks, width = ["conv 2 3 1 1 no-bias", "batch-norm 3", "silu"], 2
    for stage in range(3):
        width, stride = 2 * 2**stage, 2 if stage else 1
        blocks += ["residual", f"conv {width} 3 {stride} 1 no-bias", "batch-norm 3", "silu"]
        blocks += [f"conv {width} 3 1 1 no-bias", "batch-norm 3", "shortcut"]
        blocks += [*([f"subsample {width} 2"] if stage else []), "end", "silu"]
    blocks += ["global-average-pool", "dense 2"]
    yield from requests("residual_network", "depth-8", [4, 4, 1], blocks)


def transformer():
    """The network of `refhf.transformer(3, 3, width=4, heads=2, depth=2, nonlinearity="gelu_tanh")`."""
    yield from requests("transformer", "depth-2", [3], [*_transformer(2), "dense 3 no-bias"], cases=2)


def _transformer(depth):
    """All but the last layer."""
    blocks = ["embedding 3 4"]
    for _ in range(depth):
        blocks += ["residual", "layer-norm", "dense 12", "attention 2 causal", "dense 4", "shortcut", "end"]
        blocks += ["residual", "layer-norm", "dense 16", "gelu_tanh", "dense 4", "shortcut", "end"]
    return [*blocks, "layer-norm"]
