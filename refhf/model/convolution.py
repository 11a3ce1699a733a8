"""Convolutions of images.

Images are (B, height, width, channels). A batch in PyTorch's order (B, channels, height, width) becomes one by
`x.transpose(0, 2, 3, 1)`, and PyTorch's weights (C_out, C_in, k, k) become W by `weight.transpose(2, 3, 1, 0)`. As
there, the kernel is not turned: s[i, j] takes W[0, 0] at its upper left corner.

A convolution is the sum over p of products of matrices, what row p of the kernel sees (pixels, k C_in) by W[p]
(k C_in, C_out), and so are its adjoints. Strips hold the k neighbours of each pixel in its row side by side, and a row
of the kernel sees some rows of them. They repeat each number k times. They are made for a few cases at a time in one
buffer that stays in the processor's cache, and the tape holds images. That takes less time, on one thread, than to
keep the strips and read them from memory, and k times less memory (`python benchmarks/convolution.py --threads 1
--tables 3`). The products are made a few pixels at a time: W[p] is small, and OpenBLAS has a faster way for those. By a
W[p] too large for that, all pixels in the buffer are multiplied at once.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from refhf.model.bilinear import Bilinear
from refhf.model.blocks import Array, Shape

Seen = tuple[slice, list[Array]]  # which cases, and what each row of the kernel sees of them
STRIP_BYTES = 2**20  # our choice, by `python benchmarks/convolution.py`: the buffer of strips
SMALL = 100**3  # multiplications: OpenBLAS 0.3.31, kernel/x86_64/sgemm_small_kernel_permit_skylakex.c
FEWEST = 16  # pixels of a small product; our choice: with fewer, other processors lose more than is gained


@dataclass(frozen=True)
class Convolution(Bilinear):
    """s[i, j] = sum over p, q of x[stride i + p - padding, stride j + q - padding] @ W[p, q] + b, zero outside x.

    x (B, height, width, C_in) and W (k, k, C_in, C_out) give s (B, rows, columns, C_out).

    Attributes
    ----------
    shape : (int, int, int)
        height, width and channels C_in of the images that come in.
    channels : int
        C_out, the number of kernels.
    kernel, stride, padding : int
        k >= 1, the step between two patches, and the zeros put around the image, fewer than k.
    """

    shape: tuple[int, int, int]
    channels: int
    kernel: int
    stride: int = 1
    padding: int = 0
    bias: bool = True
    rule: str = "glorot"

    @property
    def weight_shape(self) -> Shape:
        """(k, k, C_in, C_out)."""
        return (self.kernel, self.kernel, self.shape[2], self.channels)

    @property
    def fan_in(self) -> int:
        """Inputs that one unit sums."""
        return self.kernel**2 * self.shape[2]

    @property
    def fan_out(self) -> int:
        """Units that sum one input, at stride 1."""
        return self.kernel**2 * self.channels

    def out_shape(self, in_shape: Shape) -> Shape:
        """(rows, columns, C_out)."""
        if in_shape != self.shape:
            raise ValueError(f"expected images of shape {self.shape}; got {in_shape}")
        rows, columns = ((n + 2 * self.padding - self.kernel) // self.stride + 1 for n in self.shape[:2])
        return rows, columns, self.channels

    def tape_numbers(self, in_shape: Shape) -> int:
        """The numbers of Ds; no strips are kept."""
        return math.prod(self.out_shape(in_shape))

    def product(self, W: Array, x: Array) -> Array:
        """s without b, (B, rows, columns, C_out)."""
        s = np.empty((len(x), *self.out_shape(self.shape)), np.result_type(W, x))
        _correlate(self._seen(x), W, s)
        return s

    def adjoint_input(self, W: Array, Ds: Array) -> Array:
        """Dx (B, height, width, C_in).

        A convolution too, at stride 1 and by W turned half round: of Ds with stride - 1 zeros between its pixels,
        k - 1 - padding zeros before them, and as many behind as make it (height + k - 1) x (width + k - 1). The zeros
        are multiplied too, the price of one way for all strides.
        """
        Dx = np.empty((len(Ds), *self.shape), np.result_type(W, Ds))
        frame, before = [n + self.kernel - 1 for n in self.shape[:2]], self.kernel - 1 - self.padding
        seen = _seen(Ds, frame, before, self.stride, self.kernel, 1)
        _correlate(seen, W[::-1, ::-1].swapaxes(2, 3), Dx)
        return Dx

    def adjoint_weight(self, x: Array, Ds: Array, out: Array | None = None) -> Array:
        """DW (k, k, C_in, C_out)."""
        DW = np.empty(self.weight_shape, np.result_type(x, Ds)) if out is None else out
        DW[...] = 0
        bands = _bands(Ds.shape[1], Ds.shape[2], DW[0].size)
        for cases, seen in self._seen(x):
            u = Ds[cases].reshape(*bands, self.channels)
            for p in range(self.kernel):
                each = seen[p].reshape(*u.shape[:3], -1).swapaxes(2, 3) @ u  # DW[p] of each band (k C_in, C_out)
                DW[p] += each.sum(axis=(0, 1)).reshape(DW[p].shape)
        return DW

    def adjoint_weight_squares(self, x: Array, Ds: Array, out: Array) -> Array:
        """The sum over cases of each case's DW squared."""
        out[...] = 0
        Ds = Ds.reshape(len(Ds), math.prod(Ds.shape[1:3]), self.channels)
        for cases, seen in self._seen(x):
            u = Ds[cases]
            for p in range(self.kernel):
                each = seen[p].reshape(*u.shape[:2], -1).swapaxes(1, 2) @ u  # DW[p] of each case
                out[p] += (each * each).sum(axis=0).reshape(out[p].shape)
        return out

    def _seen(self, x: Array) -> Iterator[Seen]:
        frame = [n + 2 * self.padding for n in self.shape[:2]]
        return _seen(x, frame, self.padding, 1, self.kernel, self.stride)


def _correlate(seen: Iterable[Seen], W: Array, s: Array) -> None:
    """s = the sum over p of what row p of the kernel sees by W[p]; s (B, rows, columns, C)."""
    (rows, columns, channels), weights = s.shape[1:], W[0].size
    bands, rows_of_kernel = _bands(rows, columns, weights), W.reshape(len(W), -1, channels)
    for cases, (first, *others) in seen:
        out = s[cases].reshape(*bands, channels)
        np.matmul(first.reshape(*out.shape[:3], -1), rows_of_kernel[0], out=out)
        for p, other in enumerate(others, 1):
            out += other.reshape(*out.shape[:3], -1) @ rows_of_kernel[p]


def _bands(rows: int, columns: int, weights: int) -> Shape:
    """The shape (cases, bands of rows, pixels) of products by so many weights that are small, else of one for all."""
    fit = (r for r in range(1, rows + 1) if rows % r == 0 and FEWEST <= r * columns <= SMALL // weights)
    tall = max(fit, default=0)
    return (-1, rows // tall, tall * columns) if tall else (1, 1, -1)


def _seen(x: Array, frame: list[int], before: int, step: int, kernel: int, stride: int) -> Iterator[Seen]:
    """For a few cases at a time, which they are and what each row of the kernel sees, k of (n, rows, columns, k C).

    Images x (B, height, width, C) are put into a frame of zeros, `before` pixels from its upper left corner and `step`
    pixels apart; the kernel is moved over it by `stride`.
    """
    height, width, channels = x.shape[1:]
    rows, columns = ((n - kernel) // stride + 1 for n in frame)
    numbers = frame[0] * columns * kernel * channels
    most = min(len(x), max(1, STRIP_BYTES // (x.itemsize * numbers)))
    framed = np.zeros((most, *frame, channels), x.dtype)
    inside = framed[:, before : before + step * height : step, before : before + step * width : step]
    image, line, pixel, _ = framed.strides
    run = np.dtype((np.void, kernel * pixel))  # k neighbours: one element, so copied at once
    neighbours = np.ndarray((most, frame[0], columns), run, framed, 0, (image, line, stride * pixel))
    strips = np.empty((most, frame[0], columns, kernel * channels), x.dtype)
    for start in range(0, len(x), most or 1):
        cases = slice(start, min(start + most, len(x)))
        n = cases.stop - start
        inside[:n] = x[cases]
        strips.view(run)[:n, ..., 0] = neighbours[:n]
        yield cases, [strips[:n, p : p + stride * (rows - 1) + 1 : stride] for p in range(kernel)]
