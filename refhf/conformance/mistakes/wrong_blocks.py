"""Networks whose blocks make known mistakes."""

from collections.abc import Set
from typing import Any

from refhf.conformance.float64_reference import mapped
from refhf.conformance.mistakes import wrong_attention, wrong_normalisation
from refhf.conformance.mistakes.wrong_attention import MistakenAttention
from refhf.conformance.mistakes.wrong_layers import MistakenActivation, MistakenLayer
from refhf.conformance.mistakes.wrong_normalisation import MistakenNormalisation
from refhf.conformance.patterns import Pattern
from refhf.model.attention import Attention
from refhf.model.batch_statistics import leaves
from refhf.model.bilinear import Bilinear
from refhf.model.elementwise import Activation
from refhf.model.network import Network
from refhf.model.normalisation import Normalisation

OF_BLOCKS = (Normalisation, wrong_normalisation.MISTAKES), (Attention, wrong_attention.MISTAKES)
IN_VALUE = frozenset(  # the mistakes that change the value too
    {Pattern.EPSILON_OUTSIDE, Pattern.UNBIASED_VARIANCE, Pattern.MASK_AFTER_SOFTMAX}
)
IN_HESSIAN = frozenset({Pattern.SAVED_STATISTICS})  # those that change H v alone


def mistaken(net: Network, without: Set[Pattern], tangent: Set[Pattern] | None = None) -> Network:
    """The network with some mistakes in its blocks, those in residual blocks too.

    The R-forward sweep of normalisation and attention makes those of `tangent` instead, if it is not None.
    """
    patterns, of_tangent = frozenset(without), frozenset(without if tangent is None else tangent)

    def block(right: Any) -> Any:
        if isinstance(right, Activation):
            return MistakenActivation(right.nonlinearity, patterns)
        if isinstance(right, Normalisation):
            return MistakenNormalisation(right, patterns, of_tangent)
        if isinstance(right, Attention):
            return MistakenAttention(right.heads, right.causal, patterns, of_tangent)
        return MistakenLayer(right, patterns) if isinstance(right, Bilinear) else right

    return net._replace(chain=mapped(block, net.chain))


def mistakes_of_blocks(net: Network) -> list[Pattern]:
    """The mistakes that only networks with normalisation or attention can make, and this one can."""
    blocks = list(leaves(net.chain))
    found = [p for kind, patterns in OF_BLOCKS if any(isinstance(b, kind) for b in blocks) for p in patterns]
    causal = any(isinstance(block, Attention) and block.causal for block in blocks)
    return [pattern for pattern in found if causal or pattern is not Pattern.MASK_AFTER_SOFTMAX]
