"""Layers of torch.nn as refhf's blocks.

PyTorch has images with their channels first and each W as (out, in, ...). The blocks compute in refhf's layout, and
`places.take` notes how theta has each of their arrays.
"""

from collections.abc import Callable
from typing import Any

from refhf.model.attention import Attention
from refhf.model.axes_order import AxesOrder
from refhf.model.batch_norm import BatchNorm
from refhf.model.blocks import Block, Shape
from refhf.model.convolution import Convolution
from refhf.model.dense import Dense
from refhf.model.elementwise import NONLINEARITIES, Activation
from refhf.model.embedding import Embedding
from refhf.model.frozen_norm import FrozenNorm
from refhf.model.layer_norm import LayerNorm
from refhf.model.max_pooling import MaxPool
from refhf.model.pooling import AveragePool, Flatten
from refhf.torch_modules.parameter_places import Places, module_name, numbers, one_number, require


def _linear(m: Any, shape: Shape, places: Places) -> list[Block]:
    require(len(shape) < 3, "rows, which nn.Flatten() makes of images")
    places.take(m.weight, 1, 0)
    if m.bias is not None:
        places.take(m.bias)
    return [Dense(m.in_features, m.out_features, m.bias is not None)]


def _convolution(m: Any, shape: Shape, places: Places) -> list[Block]:
    require(len(shape) == 3, f"images, not cases of shape {shape}")
    require(
        one_number(m.dilation) == m.groups == 1 and m.padding_mode == "zeros", "no dilation, groups or padding mode"
    )
    kernel, stride, padding = one_number(m.kernel_size), one_number(m.stride), m.padding
    if isinstance(padding, str):
        require(padding == "valid" or kernel % 2 == 1, "an odd kernel for padding='same'")
        padding = 0 if padding == "valid" else kernel // 2
    require(one_number(padding) < kernel, "a padding smaller than the kernel")
    places.take(m.weight, 2, 3, 1, 0)
    if m.bias is not None:
        places.take(m.bias)
    height, width, _ = shape
    images = height, width, m.in_channels
    return [Convolution(images, m.out_channels, kernel, stride, one_number(padding), m.bias is not None)]


def _batch_norm(m: Any, shape: Shape, places: Places) -> list[Block]:
    require(m.affine, "affine=True")
    require(len(shape) == (1 if module_name(m) == "BatchNorm1d" else 3), f"other cases than those of shape {shape}")
    places.take(m.weight)
    places.take(m.bias)
    if m.training or m.running_mean is None:
        return [BatchNorm(m.num_features, places.cases, m.eps)]
    return [FrozenNorm(numbers(m.running_mean).copy(), numbers(m.running_var).copy(), m.eps)]


def _layer_norm(m: Any, shape: Shape, places: Places) -> list[Block]:
    require(m.weight is not None, "elementwise_affine=True")
    require(len(shape) in (1, 2) and tuple(m.normalized_shape) == shape[-1:], f"to normalise the last axis of {shape}")
    places.take(m.weight)
    places.take(m.bias, shape=shape[-1:])
    return [LayerNorm(m.normalized_shape[0], m.eps)]


def _embedding(m: Any, shape: Shape, places: Places) -> list[Block]:
    require(len(shape) == 1, "to stand first, for tokens (B, T)")
    require((m.padding_idx, m.max_norm, m.scale_grad_by_freq) == (None, None, False), "no padding_idx or max_norm")
    places.take(m.weight)
    places.take(None, shape=(shape[0], m.embedding_dim))  # no vectors of the positions
    return [Embedding(m.num_embeddings, shape[0], m.embedding_dim)]


def _flatten(m: Any, shape: Shape, places: Places) -> list[Block]:
    if (m.start_dim, m.end_dim) == (0, 1) and len(shape) == 2:
        places.merged = True
        return []
    require(m.start_dim == 1 and m.end_dim in (-1, len(shape)), "start_dim=1 and end_dim=-1")
    first = [AxesOrder((2, 0, 1))] if len(shape) == 3 else []
    return [*first, Flatten(first[0].out_shape(shape) if first else shape)] if len(shape) > 1 else []


def _pool(m: Any, shape: Shape, places: Places) -> list[Block]:
    largest = module_name(m) == "MaxPool2d"
    require(
        m.stride in (None, m.kernel_size) or one_number(m.stride) == one_number(m.kernel_size), "stride = kernel_size"
    )
    require(one_number(m.padding) == 0 and not m.ceil_mode, "no padding or ceil_mode")
    if largest:
        require(one_number(m.dilation) == 1 and not m.return_indices, "no dilation or return_indices")
        return [MaxPool(one_number(m.kernel_size))]
    require(m.divisor_override is None, "no divisor_override")
    return [AveragePool(one_number(m.kernel_size))]


def _adaptive_pool(m: Any, shape: Shape, places: Places) -> list[Block]:
    outputs = one_number(m.output_size)
    square = len(shape) == 3 and shape[0] == shape[1] and shape[0] % outputs == 0
    require(square, f"square images whose side {outputs} divides, not cases of shape {shape}")
    return [AveragePool(shape[0] // outputs)]


def _dropout(m: Any, shape: Shape, places: Places) -> list[Block]:
    require(not m.training or m.p == 0, "model.eval() or p = 0, for f is a function of theta without random numbers")
    return []


def _attention(m: Any, shape: Shape, places: Places) -> list[Block]:
    """Self-attention without a mask."""
    plain = m.batch_first and m.in_proj_weight is not None and m.bias_k is None and not m.add_zero_attn
    require(plain and (m.dropout == 0 or not m.training), "batch_first=True, keys and values of its width, no dropout")
    for weight, bias in ((m.in_proj_weight, m.in_proj_bias), (m.out_proj.weight, m.out_proj.bias)):
        places.take(weight, 1, 0)
        if bias is not None:
            places.take(bias)
    bias = m.in_proj_bias is not None
    d = m.embed_dim
    return [Dense(d, 3 * d, bias), Attention(m.num_heads, causal=False), Dense(d, d, bias)]


def _elementwise(name: str) -> Callable[..., list[Block]]:
    return lambda m, shape, places: [Activation(NONLINEARITIES[name])]


def _gelu(m: Any, shape: Shape, places: Places) -> list[Block]:
    return [Activation(NONLINEARITIES["gelu" if m.approximate == "none" else "gelu_tanh"])]


def _softplus(m: Any, shape: Shape, places: Places) -> list[Block]:
    require(m.beta == 1, "beta = 1")
    return [Activation(NONLINEARITIES["softplus"])]


BLOCKS: dict[str, Callable[[Any, Shape, Places], list[Block]]] = {
    "Linear": _linear,
    "Conv2d": _convolution,
    "Embedding": _embedding,
    **dict.fromkeys(("BatchNorm1d", "BatchNorm2d"), _batch_norm),
    "LayerNorm": _layer_norm,
    "MultiheadAttention": _attention,
    **{torch: _elementwise(own) for torch, own in {"Tanh": "tanh", "Sigmoid": "logistic", "ReLU": "relu"}.items()},
    "SiLU": _elementwise("silu"),
    "GELU": _gelu,
    "Softplus": _softplus,
    "Flatten": _flatten,
    **dict.fromkeys(("AvgPool2d", "MaxPool2d"), _pool),
    "AdaptiveAvgPool2d": _adaptive_pool,
    "Dropout": _dropout,
    "Identity": lambda m, shape, places: [],
}
