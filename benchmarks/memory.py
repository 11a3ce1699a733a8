"""Peak memory of a full gradient at MNIST's size: 60,000 x 784, network 784-400-150-10, float32.

`python benchmarks/memory.py` prints how far a value and gradient raise the process's peak resident memory above
what it holds with the data in place. The cases are random: what they are does not matter here.
"""

from pathlib import Path

import numpy as np

import refhf


def megabytes(field):
    """A field of Linux's account of this process: VmRSS, resident now, or VmHWM, the most so far."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1024


def main():
    """Print the figure."""
    rng = np.random.default_rng(0)
    X, y = rng.random((60_000, 784), np.float32), rng.integers(10, size=60_000)
    net = refhf.mlp([784, 400, 150, 10])
    objective, theta = refhf.supervised(net, X, y), net.init(rng=0, dtype=np.float32)
    Path("/proc/self/clear_refs").write_text("5")  # the most so far starts anew
    before = megabytes("VmRSS")
    objective.value_and_gradient(theta)
    print(f"data {X.nbytes / 2**20:.0f} MB; gradient: +{megabytes('VmHWM') - before:.0f} MB above {before:.0f} MB")


if __name__ == "__main__":
    main()
