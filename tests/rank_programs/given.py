"""Under mpiexec: the communicators of mpi4py that people have, wherever refhf takes one; rank 0 says that all is well.

Usage: given.py FOLDER, where FOLDER holds X.npy and y.npy.
"""

import sys

import numpy as np
import problem
from mpi4py import MPI

import refhf
from refhf import parallel
from refhf.parallel.communication_volume import counted_data_parallel
from refhf.parallel.model_parallel import model_parallel

WORLD = MPI.COMM_WORLD


class Mine(MPI.Intracomm):
    """A class of the user's own."""


def intracommunicators():
    """All kinds, by name. Each rank is in each of them, and their sizes are 1, 2, 3 and 4."""
    yield "world", WORLD
    yield "duplicate", WORLD.Dup()
    yield "self", MPI.COMM_SELF
    yield "halves", WORLD.Split(WORLD.rank % 2)
    yield "backwards", WORLD.Split(0, -WORLD.rank)
    yield "three and one", WORLD.Split(WORLD.rank == 3)
    yield "a node", WORLD.Split_type(MPI.COMM_TYPE_SHARED)
    yield "cartesian", WORLD.Create_cart([2, 2])
    yield "a group", WORLD.Create_group(WORLD.group)
    yield "a class of one's own", Mine(WORLD)


def taken(comm, folder):
    """All that takes a communicator, on this one."""
    for reduction in "fast", "reproducible":
        want = problem.train("gn-cg", None, reduction, steps=3)[0]
        x, _, _, last = problem.train("gn-cg", comm, reduction, steps=3)
        assert np.linalg.norm(x - want) <= 1e-10 * np.linalg.norm(want)
        if reduction == "fast" and comm.size > 1:
            counts = [last[name] for name in ("value_evaluations", "gradient_evaluations", "curvature_products")]
            expected = counted_data_parallel(problem.SIZES, counts[1], counts[2], counts[0])
            assert last["communications"] <= expected.calls
    parallel.agree(comm, seed=0)
    X, y = parallel.load_shard(f"{folder}/X.npy", f"{folder}/y.npy", comm)
    net = refhf.mlp([X.shape[1], 4, 2])
    f = refhf.supervised(net, X, y, comm=comm)
    everything = refhf.supervised(net, np.load(f"{folder}/X.npy"), np.load(f"{folder}/y.npy"))
    assert f.cases == everything.cases
    theta = net.init(0)
    np.testing.assert_allclose(f.value(theta), everything.value(theta), rtol=1e-12)
    split = model_parallel(refhf.supervised(refhf.mlp([3, 4, 4]), np.ones((5, 3)), [0, 1, 2, 3, 0]), comm)
    whole = split.objective.net.init(0)
    got = split.join(split.value_and_gradient(split.part(whole))[1])
    np.testing.assert_allclose(got, split.objective.value_and_gradient(whole)[1], atol=1e-14)
    if comm.size < 3:
        options = {"method": "replica-newton", "steps": 2, "rng": 0, "replicas": 2, "batch": 20}
        xs = [refhf.minimize(everything, theta, comm=given, **options).x for given in (None, comm)]
        np.testing.assert_allclose(*xs, rtol=1e-10)
    with parallel.guard(comm):
        assert parallel.share_cores(comm) is None


def refused(given):
    """Whether everything that takes a communicator says of this that it is none, before any work."""
    net = refhf.mlp([2, 2])
    f = refhf.supervised(net, np.ones((4, 2)), [0, 1, 0, 1])
    calls = (
        lambda: refhf.supervised(net, np.ones((4, 2)), [0, 1, 0, 1], comm=given),
        lambda: parallel.agree(given, seed=0),
        lambda: parallel.load_shard("X.npy", "y.npy", given),
        lambda: parallel.share_cores(given),
        lambda: parallel.end_all(given, "", 1),
        lambda: parallel.guard(given).__enter__(),
        lambda: model_parallel(f, given),
        lambda: refhf.minimize(f, net.init(0), "replica-newton", 1, comm=given),
    )
    for call in calls:
        try:
            call()
        except ValueError as error:
            if not str(error).startswith("comm: expected None, a communicator of refhf.parallel or"):
                raise
        else:
            return False
    return True


def main(folder):
    """Everything once."""
    for name, comm in intracommunicators():
        print(name, comm.size, file=sys.stderr, flush=True)
        taken(comm, folder)
    null = WORLD.Split(MPI.UNDEFINED if WORLD.rank else 0)
    halves = WORLD.Split(WORLD.rank % 2)
    between = halves.Create_intercomm(0, WORLD, 1 - WORLD.rank % 2)
    for wrong in (between, MPI.COMM_NULL, MPI, "world", 0, [WORLD], *((null,) if WORLD.rank else ())):
        assert refused(wrong), wrong
    WORLD.Barrier()
    if WORLD.rank == 0:
        print("all is well")


if __name__ == "__main__":
    main(*sys.argv[1:])
