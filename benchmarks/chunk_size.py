"""Time a gradient and a Hessian product against `chunk_size`, the number of cases in a sweep.

`python benchmarks/chunk_size.py` prints, for two of the papers' networks, each time relative to the best of its row.
The default `refhf.objective.CHUNK_SIZE` is read off this table.
"""

import time

import numpy as np

import refhf

SHAPES = {"784-400-150-10": [784, 400, 150, 10], "360-512-512-512-1973": [360, 512, 512, 512, 1973]}
CHUNKS = 256, 512, 1024, 2048, 4096, 8192
CASES, ROUNDS = 8192, 5


def seconds(call, argument):
    """The fastest of a few calls, after one that is not counted."""
    call(argument)
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        call(argument)
        times.append(time.perf_counter() - start)
    return min(times)


def main():
    """Print the table."""
    rng = np.random.default_rng(0)
    print(f"{'network':22}{'dtype':9}{'what':10}" + "".join(f"{c:>8}" for c in CHUNKS) + f"{'best/ms':>10}")
    for name, sizes in SHAPES.items():
        for dtype in (np.float32, np.float64):
            X, y = rng.random((CASES, sizes[0]), dtype), rng.integers(sizes[-1], size=CASES)
            net = refhf.mlp(sizes)
            theta, v = net.init(rng=0, dtype=dtype), rng.standard_normal(net.size, dtype)
            gradient, product = [], []
            for chunk in CHUNKS:
                objective = refhf.supervised(net, X, y, chunk_size=chunk)
                gradient.append(seconds(objective.value_and_gradient, theta))
                product.append(seconds(objective.hessian(theta).dot, v))
            for what, times in (("gradient", gradient), ("H @ v", product)):
                ratios = "".join(f"{t / min(times):8.2f}" for t in times)
                print(f"{name:22}{np.dtype(dtype).name:9}{what:10}{ratios}{min(times) * 1e3:10.1f}", flush=True)


if __name__ == "__main__":
    main()
