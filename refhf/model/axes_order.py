"""Images with their channels first, as PyTorch has them, and last."""

from dataclasses import dataclass

import numpy as np

from refhf.model.blocks import Array, Shape
from refhf.model.pooling import Linear


@dataclass(frozen=True)
class AxesOrder(Linear):
    """The same numbers with the axes of a case in another order.

    Attributes
    ----------
    axes : tuple of int
        (1, 2, 0) puts the channels of images last, (2, 0, 1) first.
    """

    axes: tuple[int, ...]

    def out_shape(self, in_shape: Shape) -> Shape:
        """The numbers of `in_shape` in that order."""
        if len(in_shape) != len(self.axes):
            raise ValueError(f"expected cases of {len(self.axes)} axes; got shape {in_shape}")
        return tuple(in_shape[i] for i in self.axes)

    def apply(self, a: Array) -> Array:
        """s[..., k, ...] = a[..., axes[k], ...]."""
        return np.ascontiguousarray(_transposed(a, self.axes))

    def adjoint(self, Ds: Array) -> Array:
        """The axes in their first order."""
        return np.ascontiguousarray(_transposed(Ds, tuple(np.argsort(self.axes))))


def _transposed(x: Array, axes: tuple[int, ...]) -> Array:
    return x.transpose(0, *(1 + i for i in axes))
