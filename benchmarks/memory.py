"""Peak memory of a full gradient at MNIST's size: 60,000 x 784, network 784-400-150-10, float32.

`python benchmarks/memory.py` prints how far a value and gradient raise the process's peak resident memory above what
it holds with the data in place. The cases are random: what they are does not matter here.
"""

import resource

import numpy as np

import refhf


def peak_megabytes():
    """The largest resident set so far (Linux counts in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main():
    """Print the two figures."""
    rng = np.random.default_rng(0)
    X, y = rng.random((60_000, 784), np.float32), rng.integers(10, size=60_000)
    net = refhf.mlp([784, 400, 150, 10])
    objective, theta = refhf.supervised(net, X, y), net.init(rng=0, dtype=np.float32)
    before = peak_megabytes()
    objective.value_and_gradient(theta)
    print(f"data {X.nbytes / 2**20:.0f} MB; gradient: +{peak_megabytes() - before:.0f} MB above {before:.0f} MB")


if __name__ == "__main__":
    main()
