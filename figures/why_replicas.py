"""Two explanations for figures/fig_replicas.py: the rate 1/sigma_max, and the stall of steps from pairs with tanh.

    REFHF_DATA_DIR=... python figures/why_replicas.py [--fast] [--seeds N]

1. The median of the rate that `replica-newton` estimates over 100 steps with M = 8, and 1/lambda_max at the start.

2. With tanh the step in the span climbs where the curvature is negative: training at rate 0.1 from eight pairs a step
   (reading 'pairs'), once with the eigenvalues of H on the span as they are, once with their magnitudes, as in
   saddle-free Newton (Dauphin et al. 2014); the loss after every 40 steps. Written without refhf.methods.

Both have the network of that figure, and MNIST.
"""

import argparse
import itertools
import statistics

import numpy as np
from fig_replicas import CASES, METHODS, cases, network

import refhf

RATE, PAIRS, BATCH, FLOOR = 0.1, 8, 256, 1e-3  # as the figure; the floor of |eigenvalues| is our choice


def rates(net, f, steps):
    """Print the estimated rates, and the one of the Hessian of all cases."""
    theta = net.init(0, np.float32)
    hessian = f.hessian(theta)
    pair = refhf.lanczos_largest(lambda v: hessian @ v.astype(theta.dtype), net.size, rng=0, rtol=1e-3, maxiter=60)
    print(f"1/lambda_max at the start {1 / pair.value:.3f}", end="")
    for name in ("own-batch 8", "same-batch 8"):
        method, options = METHODS[name]
        reports = refhf.iterate(f, theta, method=method, rng=0, batch=BATCH, learning_rate="estimated", **options)
        taken = [report.step_length for report in itertools.islice(reports, steps)]
        print(f", {name} {statistics.median(taken):.4f}", end="")
    print(flush=True)


def step(f, theta, rng, magnitude):
    """-RATE H^-1 z, H from the pairs' differences on their span, else the identity; and the smallest eigenvalue."""
    minis = [f.sample(BATCH // PAIRS, rng=rng) for _ in range(PAIRS)]
    g = np.array([mini.value_and_gradient(theta)[1] for mini in minis], float).T
    moved = [(theta - RATE * column).astype(theta.dtype) for column in g.T]
    there = np.array([mini.value_and_gradient(at)[1] for mini, at in zip(minis, moved, strict=True)], float).T
    q, r = np.linalg.qr(-RATE * g)
    h = q.T @ np.linalg.solve(r.T, (there - g).T).T
    eigenvalues, y = np.linalg.eigh((h + h.T) / 2)
    z, vectors = g.mean(axis=1), q @ y
    inside = vectors.T @ z
    by = np.maximum(abs(eigenvalues), FLOOR) * (1 if magnitude else np.where(eigenvalues < 0, -1, 1))
    return -RATE * (z - vectors @ inside + vectors @ (inside / by)), eigenvalues[0]


def main():
    """Print the rates, and the losses of both kinds of step, a line a seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true", help="few cases of mnist-mini, few steps: does it run?")
    parser.add_argument("--seeds", type=int, default=3, metavar="N")
    args = parser.parse_args()
    X, y = cases("mnist-mini", BATCH) if args.fast else cases("mnist", CASES)
    for nonlinearity in ("tanh", "relu"):
        net = network("mnist", nonlinearity)
        f = refhf.supervised(net, X, y)
        print(nonlinearity, end=": ")
        rates(net, f, 2 if args.fast else 100)
        for seed in range(1 if args.fast else args.seeds):
            for name, magnitude in (("eigenvalues", False), ("their magnitudes", True)):
                theta, rng, losses, negative = net.init(seed, np.float32), np.random.default_rng(seed), [], 0
                for k in range(1, 3 if args.fast else 201):
                    change, smallest = step(f, theta, rng, magnitude)
                    theta = (theta + change).astype(theta.dtype)
                    negative += smallest < 0
                    losses += [f"{f.value(theta):.3f}"] if k % 40 == 0 else []
                print(
                    f"{nonlinearity} seed {seed}, {name:<16} {' '.join(losses)}  steps with one below 0: {negative}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
