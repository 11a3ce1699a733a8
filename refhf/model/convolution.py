"""Convolutions and average pooling of images.

An image of height x width pixels is a row of a flat array, in C order with the channels last: its number
(i, j, c) is at (i width + j) channels + c. A batch in PyTorch's order (B, channels, height, width) becomes one by
`x.transpose(0, 2, 3, 1).reshape(B, -1)`, and PyTorch's weights (C_out, C_in, k, k) become W by
`weight.transpose(2, 3, 1, 0)`. As there, the kernel is not turned: s[i, j] takes W[0, 0] at its upper left corner.

A convolution is the sum over p of products of matrices, what row p of the kernel sees (pixels, k C_in) by W[p]
(k C_in, C_out), and so are its adjoints. Strips hold the k neighbours of each pixel in its row side by side, and a row
of the kernel sees some rows of them. They repeat each number k times. They are made for a few cases at a time in one
buffer that stays in the processor's cache, and the tape holds images. That takes less time, on one thread, than to
keep the strips and read them from memory, and k times less memory (`python benchmarks/convolution.py --threads 1
--tables 3`). The products are made a few pixels at a time: W[p] is small, and OpenBLAS has a faster way for those.
"""

import math
from typing import NamedTuple

import numpy as np

from refhf.model.dense import Dense

STRIP_BYTES = 2**20  # our choice, by `python benchmarks/convolution.py`: the buffer of strips
SMALL = 100**3  # multiplications: OpenBLAS 0.3.31, kernel/x86_64/sgemm_small_kernel_permit_skylakex.c
FEWEST = 16  # pixels of a small product; our choice: with fewer, other processors lose more than is gained


class Convolution(NamedTuple):
    """s[i, j] = sum over p, q of x[stride i + p - padding, stride j + q - padding] @ W[p, q], zero outside the image.

    x (B, height width C_in) and W (k, k, C_in, C_out) give s (B, rows columns C_out).

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

    @property
    def out_shape(self):
        """(rows, columns, C_out)."""
        rows, columns = ((n + 2 * self.padding - self.kernel) // self.stride + 1 for n in self.shape[:2])
        return rows, columns, self.channels

    @property
    def n_in(self):
        """Numbers of an image that comes in."""
        return math.prod(self.shape)

    @property
    def n_out(self):
        """Numbers of an image that goes out."""
        return math.prod(self.out_shape)

    @property
    def weight_shape(self):
        """(k, k, C_in, C_out)."""
        return (self.kernel, self.kernel, self.shape[2], self.channels)

    @property
    def bias_shape(self):
        """(C_out,): a number a channel."""
        return (self.channels,)

    @property
    def fan_in(self):
        """Inputs that one unit sums."""
        return self.kernel**2 * self.shape[2]

    @property
    def fan_out(self):
        """Units that sum one input, at stride 1."""
        return self.kernel**2 * self.channels

    @staticmethod
    def enter(a):
        """The activation as it is, (B, n_in)."""
        return a

    def apply(self, W, x):
        """The pre-activation without its bias, (B, n_out)."""
        s = np.empty((len(x), *self.out_shape), np.result_type(W, x))
        _correlate(self._seen(x), W, s)
        return s.reshape(len(x), self.n_out)

    def adjoint_input(self, W, Ds):
        """Da (B, n_in), from <Ds, apply(W, a)> = <adjoint_input(W, Ds), a>.

        A convolution too, at stride 1 and by W turned half round: of Ds with stride - 1 zeros between its pixels,
        k - 1 - padding zeros before them, and as many behind as make it (height + k - 1) x (width + k - 1). The zeros
        are multiplied too, the price of one way for all strides.
        """
        Da = np.empty((len(Ds), *self.shape), np.result_type(W, Ds))
        frame, before = [n + self.kernel - 1 for n in self.shape[:2]], self.kernel - 1 - self.padding
        seen = _seen(Ds, self.out_shape, frame, before, self.stride, self.kernel, 1)
        _correlate(seen, W[::-1, ::-1].swapaxes(2, 3), Da)
        return Da.reshape(len(Ds), self.n_in)

    def adjoint_weight(self, x, Ds, out=None):
        """DW (k, k, C_in, C_out), from <Ds, apply(W, x)> = <adjoint_weight(x, Ds), W>."""
        DW = np.empty(self.weight_shape, np.result_type(x, Ds)) if out is None else out
        DW[...] = 0
        Ds = Ds.reshape(len(Ds), *_bands(*self.out_shape[:2], DW[0].size), self.channels)
        for cases, seen in self._seen(x):
            u = Ds[cases]
            for p in range(self.kernel):
                each = seen[p].reshape(*u.shape[:3], -1).swapaxes(2, 3) @ u  # DW[p] of each band (k C_in, C_out)
                DW[p] += each.sum(axis=(0, 1)).reshape(DW[p].shape)
        return DW

    def adjoint_weight_squares(self, x, Ds, out=None):
        """The sum over cases of each case's DW squared."""
        squares = np.empty(self.weight_shape, np.result_type(x, Ds)) if out is None else out
        squares[...] = 0
        Ds = Ds.reshape(len(Ds), self.n_out // self.channels, self.channels)
        for cases, seen in self._seen(x):
            u = Ds[cases]
            for p in range(self.kernel):
                each = seen[p].reshape(*u.shape[:2], -1).swapaxes(1, 2) @ u  # DW[p] of each case
                squares[p] += (each * each).sum(axis=0).reshape(squares[p].shape)
        return squares

    def _seen(self, x):
        frame = [n + 2 * self.padding for n in self.shape[:2]]
        return _seen(x, self.shape, frame, self.padding, 1, self.kernel, self.stride)


def _correlate(seen, W, s):
    """s = the sum over p of what row p of the kernel sees by W[p]; s (B, rows, columns, C)."""
    (rows, columns, channels), weights = s.shape[1:], W[0].size
    s = s.reshape(len(s), *_bands(rows, columns, weights), channels)
    W = W.reshape(len(W), -1, channels)
    for cases, (first, *others) in seen:
        out = s[cases]
        np.matmul(first.reshape(*out.shape[:3], -1), W[0], out=out)
        for p, other in enumerate(others, 1):
            out += other.reshape(*out.shape[:3], -1) @ W[p]


def _bands(rows, columns, weights):
    """How many bands of rows to cut an image into, and the pixels of one: its product by so many weights is small."""
    fit = (r for r in range(1, rows + 1) if rows % r == 0 and FEWEST <= r * columns <= SMALL // weights)
    tall = max(fit, default=rows)
    return rows // tall, tall * columns


def _seen(x, shape, frame, before, step, kernel, stride):
    """For a few cases at a time, which they are and what each row of the kernel sees, k of (n, rows, columns, k C).

    Images x (B, n) of `shape` are put into a frame of zeros, `before` pixels from its upper left corner and `step`
    pixels apart; the kernel is moved over it by `stride`.
    """
    height, width, channels = shape
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
        inside[:n] = x[cases].reshape(n, *shape)
        strips.view(run)[:n, ..., 0] = neighbours[:n]
        yield cases, [strips[:n, p : p + stride * (rows - 1) + 1 : stride] for p in range(kernel)]


class AveragePool(NamedTuple):
    """The means of the size x size squares that an image is cut into: linear, and without weights.

    Attributes
    ----------
    shape : (int, int, int)
        height, width and channels of the images that come in; `size` divides height and width.
    size : int
    """

    shape: tuple[int, int, int]
    size: int

    @property
    def out_shape(self):
        """(height / size, width / size, channels)."""
        height, width, channels = self.shape
        return height // self.size, width // self.size, channels

    def apply(self, a):
        """The smaller images (B, height width channels / size^2)."""
        rows, columns, channels = self.out_shape
        strips = _over_middle(a.reshape(len(a) * rows, self.size, self.size * columns * channels))
        means = _over_middle(strips.reshape(len(a) * rows * columns, self.size, channels))
        means *= 1 / self.size**2
        return means.reshape(len(a), rows * columns * channels)

    def adjoint(self, Da):
        """The larger images, from <Da, apply(a)> = <adjoint(Da), a>: each number size^2 times, over size^2."""
        rows, columns, channels = self.out_shape
        shares = (Da * (1 / self.size**2)).reshape(len(Da) * rows * columns, 1, channels)
        strips = shares.repeat(self.size, axis=1).reshape(len(Da) * rows, 1, self.size * columns * channels)
        return strips.repeat(self.size, axis=1).reshape(len(Da), self.size * rows * strips.shape[2])


def _over_middle(x):
    total = x[:, 0].copy()  # x.sum(axis=1) takes five times as long where there is little to sum
    for i in range(1, x.shape[1]):
        total += x[:, i]
    return total


class Pooled(NamedTuple):
    """A weighted layer of averaged images: the pooling is what happens before its weights, all else is the layer's."""

    pool: AveragePool
    layer: Dense | Convolution

    @property
    def shape(self):
        """height, width and channels of the images that come in."""
        return self.pool.shape

    @property
    def n_in(self):
        """Numbers of an image that comes in."""
        return math.prod(self.shape)

    def __getattr__(self, name):
        return getattr(self.layer, name)

    def enter(self, a):
        """The averaged images, as `layer` takes them."""
        return self.layer.enter(self.pool.apply(a))

    def adjoint_input(self, W, Ds):
        """Da (B, n_in), from <Ds, apply(W, enter(a))> = <adjoint_input(W, Ds), a>."""
        return self.pool.adjoint(self.layer.adjoint_input(W, Ds))
