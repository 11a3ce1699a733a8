"""Under mpiexec, with plain `python`: one rank fails at the place named, the others go on until they wait for it.

Usage: crash.py PLACE RANK FOLDER
"""

import sys
from pathlib import Path

import numpy as np

import refhf
from refhf.lab.runs import checkpoint
from refhf.model import network
from refhf.parallel import agree, guard, load_shard, mpi
from refhf.parallel.model_parallel import model_parallel


def main(place, culprit, folder):
    """Ten steps with data from files, a callback and checkpoints, but for the failure."""
    comm = mpi()
    here = comm.rank == int(culprit)

    def fail(*_, **__):
        raise OSError(f"injected in {place}")

    inputs = Path(folder) / ("nowhere.npy" if here and place == "load" else "X.npy")
    X, y = load_shard(inputs, Path(folder) / "y.npy", comm)
    if here and place == "data":
        X = X[:]
        X[0] = np.nan
    if here and place == "sweep":
        network.loss_and_gradient = fail
    if here and place == "product":
        network.r_forward = fail
    if place == "empty":
        X, y = X[:0], y[:0]
    net = refhf.mlp([X.shape[1], 5, 2])
    f = refhf.supervised(net, X, y, comm=comm)
    if place == "split":
        model_parallel(refhf.supervised(net, X, y), comm)
    if here and place == "reduction":
        comm.sum = fail
    agree(comm, seed=int(here) if place == "arguments" else 0)

    def callback(report):
        if here and place == "callback" and report.k == 3:
            fail()
        if comm.rank == 0 and place != "checkpoint":
            checkpoint.save_checkpoint(Path(folder) / "checkpoint.npz", {"theta": report.theta}, {})
        if here and place == "checkpoint" and report.k == 2:
            checkpoint.save_checkpoint(Path(folder) / "no such folder" / "checkpoint.npz", {"theta": report.theta}, {})
        if here and place == "exit" and report.k == 2:
            sys.exit(7)
        if here and place == "interrupt" and report.k == 2:
            raise KeyboardInterrupt

    with guard(comm):
        refhf.minimize(
            f, net.init(0), "gn-cg", 10, rng=1 if here and place == "seed" else 0, curvature_batch=20, callback=callback
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
