"""Time what was tried where another library is faster, and left out: float32, one thread, CPU seconds.

`python benchmarks/left_out.py` prints three tables (70 seconds). Ways take turns, and each has its fastest call.

1. G v of curvature_products.py's networks; its matrix products alone, at the same shapes; and G v in larger chunks.
2. G v of a few cases more than whole chunks hold, so that the last chunk is small; and in chunks of one size.
3. A convolution, and DW: by strips (`refhf.model.convolution`), and by whole patches, a product for many cases.
"""

import itertools
import os
import time

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np  # noqa: E402

import refhf  # noqa: E402
from refhf.model.convolution import STRIP_BYTES, Convolution  # noqa: E402
from refhf.objective.supervised import CHUNK_SIZE  # noqa: E402

NETWORKS = (((784, 400, 10), 1024), ((784, 400, 150, 10), 4096), ((360, 512, 512, 512, 1973), 4096))
SECONDS = 4  # for each row, at least
LAYERS = (((28, 28, 1), 8, 5, 0), ((28, 28, 32), 32, 3, 1), ((8, 8, 64), 64, 3, 1), ((7, 7, 128), 128, 3, 1))


def in_turns(**ways):
    """The least milliseconds of each of the ways."""
    times, end = {name: [] for name in ways}, time.process_time() + SECONDS
    while time.process_time() < end:
        for name, way in ways.items():
            start = time.process_time_ns()
            way()
            times[name].append((time.process_time_ns() - start) / 1e6)
    return {name: min(own) for name, own in times.items()}


def show(what, times):
    """A row: the first way's milliseconds, and the share of it that each of the others takes."""
    first, *_ = times.values()
    shares = "".join(f"   {name} {ms / first:.3f}" for name, ms in list(times.items())[1:])
    print(f"  {what:38}{first:8.2f} ms{shares}", flush=True)


def gauss_newton(sizes, batch, chunk_size):
    """The map of nothing to G v."""
    rng = np.random.default_rng(0)
    net, X, y = refhf.mlp(list(sizes)), rng.random((batch, sizes[0]), np.float32), rng.integers(sizes[-1], size=batch)
    theta, v = net.init(rng=0, dtype=np.float32), rng.standard_normal(net.size, np.float32)
    G = refhf.supervised(net, X, y, chunk_size=chunk_size).gauss_newton(theta)
    return lambda: G @ v


def products_alone(sizes, batch):
    """G v's matrix products: x V, and x' RDs; of later layers Rx W and RDs W' too."""
    rng, products = np.random.default_rng(0), []
    for layer, (n, m) in enumerate(itertools.pairwise(sizes)):
        x, W, Ds = (rng.random(shape, np.float32) for shape in ((CHUNK_SIZE, n), (n, m), (CHUNK_SIZE, m)))
        products += [(x, W, np.empty_like(Ds)), (x.T, Ds, np.empty_like(W))]
        products += [(x, W, np.empty_like(Ds)), (Ds, W.T, np.empty_like(x))] if layer else []

    def multiply():
        for _ in range(batch // CHUNK_SIZE):
            for A, B, out in products:
                np.matmul(A, B, out=out)

    return multiply


def by_patches(layer, x, W, Ds):
    """(s, DW) of a convolution of stride 1, by the k x k neighbours of each pixel side by side."""
    n, k, (rows, columns, channels) = len(x), layer.kernel, layer.out_shape(layer.shape)
    framed = np.pad(x, ((0, 0), (layer.padding,) * 2, (layer.padding,) * 2, (0, 0)))
    image, line, pixel, _ = framed.strides
    run, at_once = np.dtype((np.void, k * pixel)), max(1, STRIP_BYTES // (rows * columns * k * k * pixel))
    windows = np.ndarray((n, rows, columns, k), run, framed, 0, (image, line, pixel, line))
    flat, s, DW = W.reshape(-1, channels), np.empty((n * rows * columns, channels), x.dtype), 0

    def patches(make):
        for start in range(0, n, at_once):
            seen = np.ascontiguousarray(windows[start : start + at_once]).view(x.dtype).reshape(-1, len(flat))
            make(seen, slice(start * rows * columns, start * rows * columns + len(seen)))

    def product(seen, here):
        np.matmul(seen, flat, out=s[here])

    def adjoint(seen, here):
        nonlocal DW
        DW = DW + seen.T @ Ds.reshape(-1, channels)[here]

    return lambda: patches(product), lambda: patches(adjoint), s


def main():
    """Print the tables."""
    print("G v, and as shares of it")
    for sizes, batch in NETWORKS:
        ways = {"its products": products_alone(sizes, batch), "chunks of 1,024": gauss_newton(sizes, batch, 1024)}
        show(f"{'-'.join(map(str, sizes))}, {batch:,}", in_turns(Gv=gauss_newton(sizes, batch, CHUNK_SIZE), **ways))
    print("\nG v with a small last chunk, and as shares of it")
    for (sizes, _), batch in itertools.product(NETWORKS[:2], (542, 1054, 4126)):
        even = -(-batch // -(-batch // CHUNK_SIZE))
        ways = {f"chunks of {even}": gauss_newton(sizes, batch, even)}
        show(f"{'-'.join(map(str, sizes))}, {batch:,}", in_turns(Gv=gauss_newton(sizes, batch, CHUNK_SIZE), **ways))
    print("\na convolution of 64 images by strips, and as a share of it")
    for shape, channels, kernel, padding in LAYERS:
        layer, rng = Convolution(shape, channels, kernel, padding=padding), np.random.default_rng(0)
        shapes = (64, *shape), layer.weight_shape, (64, *layer.out_shape(shape))
        x, W, Ds = (rng.random(numbers, np.float32) for numbers in shapes)
        product, adjoint, s = by_patches(layer, x, W, Ds)
        product()
        assert np.allclose(s.reshape(Ds.shape), layer.product(W, x), rtol=1e-4), "the patches' s is another"
        what = f"{shape}, {kernel} x {kernel} to {channels}"
        show(f"{what}, s", in_turns(strips=lambda l=layer, W=W, x=x: l.product(W, x), patches=product))
        ways = {"strips": lambda l=layer, x=x, Ds=Ds: l.adjoint_weight(x, Ds), "patches": adjoint}
        show(f"{what}, DW", in_turns(**ways))


if __name__ == "__main__":
    main()
