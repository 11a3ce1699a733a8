"""Max pooling of images: linear in pieces."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from refhf.model.blocks import Array, Shape, Tape, Weightless, Weights
from refhf.model.pooling import AveragePool


@dataclass(frozen=True)
class MaxPool(Weightless):
    """The largest number of each size x size square of an image, channel by channel: linear in pieces.

    Where two numbers are equally large the first one is taken (our choice). Its second derivative is 0 wherever it
    exists, so the sweeps are those of the linear map that picks the numbers taken.

    Attributes
    ----------
    size : int
        It divides height and width.
    """

    size: int

    def out_shape(self, in_shape: Shape) -> Shape:
        """(height / size, width / size, channels)."""
        return AveragePool(self.size).out_shape(in_shape)

    def tape_numbers(self, in_shape: Shape) -> int:
        """The numbers of s and of their places."""
        return 2 * math.prod(self.out_shape(in_shape))

    def _squares(self, a: Array) -> Any:
        """(B, rows, columns, size^2, channels)."""
        rows, columns, channels = self.out_shape(a.shape[1:])
        cut = a.reshape(len(a), rows, self.size, columns, self.size, channels).swapaxes(2, 3)
        return cut.reshape(len(a), rows, columns, self.size**2, channels)

    def forward(self, w: Weights, a: Array, *, order: int = 2) -> tuple[Array, Tape]:
        """Sweep 1; the tape is where the largest numbers are."""
        squares = self._squares(a)
        where = squares.real.argmax(axis=3, keepdims=True)
        return np.take_along_axis(squares, where, axis=3)[:, :, :, 0], where

    def backward(self, tape: Tape, Ds: Array, Dw: Weights, *, keep: bool = False, below: bool = True) -> Any:
        """Sweep 2."""
        cases, rows, columns, channels = Ds.shape
        squares = np.zeros((cases, rows, columns, self.size**2, channels), Ds.dtype)
        np.put_along_axis(squares, tape, Ds[:, :, :, None], axis=3)
        cut = squares.reshape(cases, rows, columns, self.size, self.size, channels).swapaxes(2, 3)
        return cut.reshape(cases, rows * self.size, columns * self.size, channels), tape

    def r_forward(self, tape: Tape, u: Weights, Ra: Any) -> tuple[Any, Tape]:
        """Sweep 3."""
        return np.take_along_axis(self._squares(Ra), tape, axis=3)[:, :, :, 0], ()

    def r_backward(self, tape: Tape, r_tape: Tape, RDs: Array, RDw: Weights, *, below: bool = True) -> Any:
        """Sweep 4, which is sweep 2 of RDs."""
        return self.backward(tape, RDs, RDw)[0]
