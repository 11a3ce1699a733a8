"""Under mpiexec: all that must not depend on the number of ranks; rank 0 writes what it got to a `.npz` file.

Usage: equal.py OUT FOLDER, where FOLDER holds X.npy and y.npy.
"""

import json
import resource
import sys

import numpy as np
import problem
from numpy.testing import assert_, assert_array_equal  # `python -O` keeps them

import refhf
from refhf.parallel import agree, load_shard, mpi
from refhf.parallel.launch import share_cores
from refhf.parallel.model_parallel import model_parallel

COUNTS = "communications", "bytes_communicated", "value_evaluations", "gradient_evaluations", "curvature_products"


def same_everywhere(comm, x):
    """Whether x has the same bits on all ranks."""
    x = np.ascontiguousarray(x).reshape(-1).view(np.uint8)
    return all(np.array_equal(x, other) for other in comm.gather(x))


def primitives(comm):
    """The five calls, against what they should give."""
    x = comm.sum(np.full((2, 3), comm.rank + 0.5))
    assert_array_equal(x, np.full((2, 3), comm.size**2 / 2))
    assert_array_equal(comm.broadcast(np.array([comm.rank]), comm.size - 1), [comm.size - 1])
    gathered = comm.gather(np.full(comm.rank, comm.rank, np.int32), range(comm.size))
    assert_array_equal(np.concatenate(gathered), np.repeat(range(comm.size), range(comm.size)))
    sent = np.array([[10 * comm.rank + to] for to in range(comm.size)])
    assert_array_equal(comm.exchange(sent), [[10 * rank + comm.rank] for rank in range(comm.size)])
    comm.barrier()
    expected = (5, 8 * 6 + 8 + 4 * comm.size * (comm.size - 1) // 2 + 8 * comm.size) if comm.size > 1 else (0, 0)
    assert_(comm.traffic[:2] == expected, comm.traffic)


def streaming(comm, folder):
    """Kilobytes by which a pass over a file raises the peak of a rank's memory, and those of its shard."""
    X, y = load_shard(f"{folder}/X.npy", f"{folder}/y.npy", comm)
    net = refhf.mlp([X.shape[1], 4, 2])
    theta = net.init(0)
    refhf.supervised(net, X[:3000], y[:3000]).value_and_gradient(theta)  # what libraries take once
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    f = refhf.supervised(net, X, y, comm=comm)
    f.value_and_gradient(theta)
    f.sample(512, rng=0).gauss_newton(theta) @ theta
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, len(X) * X.shape[1] * 8 // 1024


def main(out, folder):
    """Everything once."""
    comm = mpi()
    primitives(comm)
    assert_(share_cores(comm) is None, "OPENBLAS_NUM_THREADS has decided")
    agree(comm, arguments=(out, folder))
    arrays, told = {}, {}
    for method in problem.OPTIONS:
        for reduction in ("fast", "reproducible"):
            name = f"{method} {reduction}"
            arrays[name], fun, steps, last = problem.train(method, comm, reduction)
            told[name] = [fun, steps, *(last[name] for name in COUNTS)]
            assert_(same_everywhere(comm, arrays[name]), name)
    for cases in (101, 2):  # uneven and empty shards; fewer cases than ranks
        bounds = problem.uneven(cases, comm.size) if cases > 2 else None
        for method in ("gn-cg", "sgd"):
            arrays[f"{method} {cases}"] = problem.train(method, comm, cases=cases, bounds=bounds)[0]
    f, theta = problem.objective(cases=30)
    m = model_parallel(refhf.supervised(f.net, f.X, f.y), comm)
    arrays["model-parallel"] = m.join(m.value_and_gradient(m.part(theta))[1])
    raised = 0
    try:
        refhf.supervised(f.net, f.X[:0], f.y[:0], comm=comm)
    except ValueError as error:
        raised = int(str(error).startswith("X: expected at least one case"))
    assert_(comm.sum(np.array([raised]))[0] == comm.size)
    memory, shard_size = streaming(comm, folder)
    assert_(memory < shard_size / 2, (memory, shard_size))
    if comm.rank == 0:
        np.savez(out, told=json.dumps(told), **arrays)
        print(f"{comm.size} ranks, {memory} of {shard_size} kB")


if __name__ == "__main__":
    main(*sys.argv[1:])
