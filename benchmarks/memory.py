"""Memory: of a full gradient, of a Hessian-free step, of malformed files; above what the process held before.

`python benchmarks/memory.py`
    60,000 x 784 in memory (MNIST's size), network 784-400-150-10, float32: the rise of the peak.
`python benchmarks/memory.py --ranks 2 --gigabytes 4`
    As much on disk as said, in a file without blocks (a sparse one), network 784-32-10, float32, over so many ranks:
    the rise of each rank while it opens its shard, makes the objective (which reads and checks all of it), draws a
    mini-batch of 4,096, and makes a full gradient. Anonymous memory is the process's own; file memory are pages of the
    page cache that it has mapped at the moment, which the system can take back at any time. Both are watched every two
    milliseconds; what is said is the most, and then what is left.
`python benchmarks/memory.py --step`
    A step on 2,000 cases, network 784-3000-800-10, float32, for 3, 10 and 30 iterations: the rise of the peak of what
    is allocated, in parameter vectors. The second step, which has a warm start where there is one.
`python benchmarks/memory.py --files`
    Files made to fill the memory: the size of each, and the rise of the peak while it is refused.

The cases are random or zeros: what they are does not matter here. Linux only.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import tracemalloc
from pathlib import Path

import malformed_files
import numpy as np

import refhf
from refhf.objective.chunk_threads import blas_threads
from refhf.parallel import guard, load_shard, mpi

FIELDS = "RssAnon", "RssFile"
ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def megabytes(field):
    """A field of Linux's account of this process: VmRSS, resident now, or VmHWM, the most so far."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1024


class Watched:
    """Within it, the most megabytes of each of FIELDS above what there was: `most`; `left` when it is over."""

    def __enter__(self):
        self.before = {field: megabytes(field) for field in FIELDS}
        self.most, self.over = dict.fromkeys(FIELDS, 0.0), threading.Event()
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        return self

    def _watch(self):
        while not self.over.wait(0.002):
            self._look()

    def _look(self):
        rise = {field: megabytes(field) - self.before[field] for field in FIELDS}
        self.most = {field: max(self.most[field], rise[field]) for field in FIELDS}
        return rise

    def __exit__(self, *error):
        self.over.set()
        self.thread.join()
        self.left = self._look()


def in_memory():
    """Print the rise of the peak, the data in memory."""
    rng = np.random.default_rng(0)
    X, y = rng.random((60_000, 784), np.float32), rng.integers(10, size=60_000)
    net = refhf.mlp([784, 400, 150, 10])
    objective, theta = refhf.supervised(net, X, y), net.init(rng=0, dtype=np.float32)
    Path("/proc/self/clear_refs").write_text("5")  # the most so far starts anew
    before = megabytes("VmRSS")
    objective.value_and_gradient(theta)
    print(f"data {X.nbytes / 2**20:.0f} MB; gradient: +{megabytes('VmHWM') - before:.0f} MB above {before:.0f} MB")


def steps():
    """Print the peaks of Hessian-free steps, the data and the state before them in memory."""
    rng, net = np.random.default_rng(0), refhf.mlp([784, 3000, 800, 10])
    X, y, theta = rng.random((2000, 784), np.float32), rng.integers(10, size=2000), net.init(0, np.float32)
    objective = refhf.supervised(net, X, y)
    print(f"parameter vectors of {theta.nbytes / 2**20:.1f} MB above the base, {blas_threads()} BLAS thread(s)")
    for method, backtracking in ("gn-cg", False), ("gn-cg", True), ("hessian-bicgstab", True):
        for iterations in (3, 10) if method == "hessian-bicgstab" else (3, 10, 30):
            given = {"solver_iterations": iterations, "backtracking": backtracking, "curvature_batch": len(X)}
            reports = refhf.iterate(objective, theta, method=method, damping=0.01, rng=0, **given)
            next(reports)
            tracemalloc.start()
            report = next(reports)
            peak = tracemalloc.get_traced_memory()[1] / theta.nbytes
            tracemalloc.stop()
            name = method + " with backtracking" * backtracking
            print(f"    {name:35}{report.detail.solver_iterations:3} iterations: {peak:5.1f}")


def files():
    """Print what each malformed file costs until it is refused."""
    with tempfile.TemporaryDirectory() as folder:
        for name, (_, read) in malformed_files.FILES.items():
            path = Path(folder, "file.npz")
            malformed_files.write(path, name, 1023)
            Path("/proc/self/clear_refs").write_text("5")  # the most so far starts anew
            before = megabytes("VmRSS")
            try:
                read(path)
                said = "read"
            except ValueError as error:
                said = type(error).__name__
            size = path.stat().st_size
            print(f"    {name:45}{size:10,} bytes: +{megabytes('VmHWM') - before:6.1f} MB, {said}", flush=True)


def rank(folder):
    """Print a rank's rises, the data on disk."""
    comm, lines = mpi(), []
    with guard(comm):
        net = refhf.mlp([784, 32, 10])
        theta = net.init(0, dtype=np.float32)
        refhf.supervised(net, np.zeros((512, 784), np.float32), np.zeros(512, int)).value_and_gradient(theta)
        start = megabytes("VmRSS")

        def watch(what, call):
            with Watched() as seen:
                answer = call()
            anonymous, file = (f"+{seen.most[field]:.1f} MB, then +{seen.left[field]:.1f}" for field in FIELDS)
            lines.append(f"    {what:12}anonymous {anonymous:26}file {file}")
            return answer

        X, y = watch("load_shard", lambda: load_shard(folder / "X.npy", folder / "y.npy", comm))
        objective = watch("supervised", lambda: refhf.supervised(net, X, y, comm=comm))
        watch("sample", lambda: objective.sample(4096, rng=0))
        watch("gradient", lambda: objective.value_and_gradient(theta))
        data = len(X) * 784 * 4 / 2**20
        lines.insert(
            0, f"rank {comm.rank} of {comm.size}: {data:.0f} MB of the data are its own; {start:.0f} MB before"
        )
        for turn in range(comm.size):
            comm.barrier()
            if turn == comm.rank:
                print("\n".join(lines), flush=True)


def on_disk(ranks, gigabytes):
    """Make the data, and start the ranks."""
    cases = int(gigabytes * 2**30 / (784 * 4))
    with tempfile.TemporaryDirectory() as folder:
        np.lib.format.open_memmap(Path(folder) / "X.npy", "w+", np.float32, (cases, 784)).flush()
        np.save(Path(folder) / "y.npy", np.arange(cases) % 10)
        mpiexec = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
        command = [mpiexec, "-n", str(ranks), sys.executable, __file__, "--rank", folder]
        sys.exit(subprocess.run(command, env=os.environ | ONE_THREAD).returncode)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ranks", type=int, help="on disk, over so many")
    parser.add_argument("--gigabytes", type=float, default=4.0, help="on disk; default: 4")
    parser.add_argument("--step", action="store_true", help="Hessian-free steps")
    parser.add_argument("--files", action="store_true", help="malformed files")
    parser.add_argument("--rank", type=Path, metavar="FOLDER", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.rank:
        rank(arguments.rank)
    elif arguments.ranks:
        on_disk(arguments.ranks, arguments.gigabytes)
    elif arguments.step:
        steps()
    elif arguments.files:
        files()
    else:
        in_memory()
