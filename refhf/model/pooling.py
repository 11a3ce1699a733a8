"""Average pooling of images, and what turns images into rows: linear maps without weights."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from refhf.model.blocks import Array, Shape, Tape, Weightless, Weights


class Linear(Weightless, ABC):
    """The sweeps of a linear map without weights."""

    @abstractmethod
    def out_shape(self, in_shape: Shape) -> Shape:
        """The shape of a case's s."""

    @abstractmethod
    def apply(self, a: Array) -> Array:
        """s."""

    @abstractmethod
    def adjoint(self, Ds: Array) -> Array:
        """Da, from <Ds, apply(a)> = <adjoint(Ds), a>."""

    def tape_numbers(self, in_shape: Shape) -> int:
        """The numbers of s."""
        return math.prod(self.out_shape(in_shape))

    def forward(self, w: Weights, a: Array, *, order: int = 2) -> tuple[Array, Tape]:
        """Sweep 1; there is no tape."""
        return self.apply(a), ()

    def backward(self, tape: Tape, Ds: Array, Dw: Weights, *, keep: bool = False, below: bool = True) -> Any:
        """Sweep 2."""
        return self.adjoint(Ds), ()

    def r_forward(self, tape: Tape, u: Weights, Ra: Any) -> tuple[Any, Tape]:
        """Sweep 3."""
        return self.apply(Ra), ()

    def r_backward(self, tape: Tape, r_tape: Tape, RDs: Array, RDw: Weights, *, below: bool = True) -> Any:
        """Sweep 4."""
        return self.adjoint(RDs)


@dataclass(frozen=True)
class AveragePool(Linear):
    """The means of the size x size squares that an image (height, width, channels) is cut into.

    Attributes
    ----------
    size : int
        It divides height and width.
    """

    size: int

    def out_shape(self, in_shape: Shape) -> Shape:
        """(height / size, width / size, channels)."""
        if len(in_shape) != 3 or any(n % self.size for n in in_shape[:2]):
            raise ValueError(f"expected images whose height and width {self.size} divides; got shape {in_shape}")
        height, width, channels = in_shape
        return height // self.size, width // self.size, channels

    def apply(self, a: Array) -> Array:
        """The smaller images (B, height / size, width / size, channels)."""
        rows, columns, channels = self.out_shape(a.shape[1:])
        strips = _over_middle(a.reshape(len(a) * rows, self.size, self.size * columns * channels))
        means = _over_middle(strips.reshape(len(a) * rows * columns, self.size, channels))
        means *= 1 / self.size**2
        return means.reshape(len(a), rows, columns, channels)

    def adjoint(self, Ds: Array) -> Array:
        """The larger images, from <Ds, apply(a)> = <adjoint(Ds), a>: each number size^2 times, over size^2."""
        cases, rows, columns, channels = Ds.shape
        shares = (Ds * (1 / self.size**2)).reshape(cases * rows * columns, 1, channels)
        strips = shares.repeat(self.size, axis=1).reshape(cases * rows, 1, self.size * columns * channels)
        return strips.repeat(self.size, axis=1).reshape(cases, rows * self.size, columns * self.size, channels)


def _over_middle(x: Array) -> Array:
    total = x[:, 0].copy()  # x.sum(axis=1) takes five times as long where there is little to sum
    for i in range(1, x.shape[1]):
        total += x[:, i]
    return total


@dataclass(frozen=True)
class Flatten(Linear):
    """An activation of `shape` as a row, in C order."""

    shape: Shape

    def out_shape(self, in_shape: Shape) -> Shape:
        """(n,)."""
        if in_shape != self.shape:
            raise ValueError(f"expected shape {self.shape}; got {in_shape}")
        return (math.prod(in_shape),)

    def tape_numbers(self, in_shape: Shape) -> int:
        """None: it is a view."""
        return 0

    def apply(self, a: Array) -> Array:
        """(B, n)."""
        return a.reshape(len(a), math.prod(self.shape))

    def adjoint(self, Ds: Array) -> Array:
        """(B, *shape)."""
        return Ds.reshape(len(Ds), *self.shape)


@dataclass(frozen=True)
class Subsample(Linear):
    """Every `stride`-th pixel of each row and column, followed by channels of zeros up to `channels`.

    The identity shortcut where size and channels change: option A of He et al. 2015, section 4.1.

    Attributes
    ----------
    shape : tuple of int
        height, width and channels of the images.
    channels, stride : int
    """

    shape: Shape
    channels: int
    stride: int

    def out_shape(self, in_shape: Shape) -> Shape:
        """(rows, columns, channels)."""
        if in_shape != self.shape:
            raise ValueError(f"expected images of shape {self.shape}; got {in_shape}")
        height, width, _ = (-(-n // self.stride) for n in self.shape)
        return height, width, self.channels

    def apply(self, a: Array) -> Array:
        """(B, rows, columns, channels)."""
        s = np.zeros((len(a), *self.out_shape(self.shape)), a.dtype)
        s[..., : self.shape[2]] = a[:, :: self.stride, :: self.stride]
        return s

    def adjoint(self, Ds: Array) -> Array:
        """(B, height, width, channels)."""
        Da = np.zeros((len(Ds), *self.shape), Ds.dtype)
        Da[:, :: self.stride, :: self.stride] = Ds[..., : self.shape[2]]
        return Da


@dataclass(frozen=True)
class GlobalAveragePool(Linear):
    """The mean over the positions of an activation of `shape`, channel by channel."""

    shape: Shape

    def out_shape(self, in_shape: Shape) -> Shape:
        """(channels,)."""
        if in_shape != self.shape:
            raise ValueError(f"expected shape {self.shape}; got {in_shape}")
        return in_shape[-1:]

    def apply(self, a: Array) -> Array:
        """(B, channels)."""
        return a.mean(axis=tuple(range(1, a.ndim - 1)))

    def adjoint(self, Ds: Array) -> Array:
        """(B, *shape), each number over the number of positions."""
        share = Ds.reshape(len(Ds), *[1] * (len(self.shape) - 1), self.shape[-1]) / math.prod(self.shape[:-1])
        return np.broadcast_to(share, (len(Ds), *self.shape))
