"""Time H v and G v of a ResNet-20 and of a small transformer against PyTorch and JAX, on one thread, in one run.

    python benchmarks/block_products.py               # some ten minutes
    python benchmarks/block_products.py --together    # in one process
    python benchmarks/block_products.py --parts       # where refhf's time goes; the work in XLA's programs
    python benchmarks/block_products.py --quick       # small networks: does it run?

PyTorch keeps the graph of its gradient and differentiates it again; JAX compiles `jax.linearize` of its gradient (H) or
of its outputs and their transpose (G). All linearise once and multiply often, take turns round after round, and are
timed in CPU seconds. Each has a process of its own, as its user has: in one process all share the C library's heap,
which returns pages or keeps them by what any of them did before. The first products are compared: a wrong one is not
timed. A ratio is the peer's time over refhf's; above 1 refhf is faster. A product over a gradient is in refhf's own
times. The last column of a row is the memory of the tape over that of PyTorch's saved tensors.
"""

import argparse
import collections
import contextlib
import multiprocessing
import os
import statistics
import sys
import time
from functools import partial
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC"):
    os.environ[variable] = "1"
os.environ |= {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"}
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "crosscheck"))

import numpy as np  # noqa: E402
from test_block_products import Jax, Torch, chain_weights, forward  # noqa: E402

import refhf  # noqa: E402
from refhf.model import network  # noqa: E402
from refhf.model.batch_statistics import leaves  # noqa: E402
from refhf.model.blocks import arrays  # noqa: E402

ROUNDS = 5
TOLERANCE = 2e-2  # relative difference above which a float32 product is wrong; rounding alone makes up to 0.7 %


def problems(quick):
    """Name, network, X and y."""
    rng = np.random.default_rng(0)
    side, cases, sequences = (8, 16, 4) if quick else (32, 128, 32)
    net = refhf.resnet((side, side, 3), 8 if quick else 20, 4 if quick else 16, group=cases)
    images = rng.standard_normal((cases, side, side, 3)).astype(np.float32)
    yield f"{'ResNet-8' if quick else 'ResNet-20'}", net, images, rng.integers(0, 10, cases)
    net = refhf.transformer(65, 8 if quick else 64, 16 if quick else 64, 4, 2)
    yield "transformer", net, *rng.integers(0, 65, (2, sequences, *net.in_shape))


class Refhf:
    """refhf's products."""

    name = "refhf"

    def __init__(self, net, X, y, theta):
        self.gradient = lambda: network.loss_and_gradient(net, theta, X, y)[1]
        hessian = network.hessian_product(net, theta, X, y)
        gauss_newton = network.gauss_newton_product(net, theta, X, y)
        self.products = {"H": hessian, "G": gauss_newton}
        self.bytes = sum({x.__array_interface__["data"][0]: x.nbytes for x in arrays(_tape(hessian))}.values())


def _tape(product):
    """The tape of an R-operator product."""
    return product.args[1]


class PyTorch:
    """PyTorch's products over a kept graph."""

    name = "PyTorch, graph kept"

    def __init__(self, net, X, y, theta):
        lib = Torch()
        torch = lib.torch
        torch.set_num_threads(1)
        at, a = torch.tensor(theta, requires_grad=True), lib.array(X)
        saved = {}

        def pack(x):
            saved[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
            return x

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
            z = forward(lib, net.chain, chain_weights(net, at), a)
            f = lib.loss(z, y) * len(X)
            (g,) = torch.autograd.grad(f, at, create_graph=True)
        self.bytes = sum(saved.values())
        z2 = forward(lib, net.chain, chain_weights(net, at), a)
        u = torch.zeros_like(z2, requires_grad=True)
        (back,) = torch.autograd.grad(z2, at, u, create_graph=True)
        end = z2.detach().requires_grad_()
        (Dz,) = torch.autograd.grad(lib.loss(end, y) * len(X), end, create_graph=True)

        def hessian(v):
            return torch.autograd.grad(g, at, torch.as_tensor(v), retain_graph=True)[0].numpy()

        def gauss_newton(v):
            (Rz,) = torch.autograd.grad(back, u, torch.as_tensor(v), retain_graph=True)
            (HJv,) = torch.autograd.grad(Dz, end, Rz, retain_graph=True)
            return torch.autograd.grad(z2, at, HJv, retain_graph=True)[0].numpy()

        self.products = {"H": hessian, "G": gauss_newton}


class JAX:
    """JAX's products, linearised and compiled once."""

    name = "jax.linearize"

    def __init__(self, net, X, y, theta):
        lib = Jax(x64=False)
        jax, a = lib.jax, lib.array(X)

        def outputs(t):
            return forward(lib, net.chain, chain_weights(net, t), a)

        def loss(z):
            return lib.loss(z, y) * len(X)

        _, hessian = jax.linearize(jax.jit(jax.grad(lambda t: loss(outputs(t)))), theta)
        z, jvp = jax.linearize(jax.jit(outputs), theta)
        vjp = jax.linear_transpose(jvp, theta)
        _, of_loss = jax.linearize(jax.grad(loss), z)
        self.compiled = {"H": jax.jit(hessian), "G": jax.jit(lambda v: vjp(of_loss(jvp(v)))[0])}
        self.products = {
            name: (lambda v, product=product: np.asarray(product(v).block_until_ready()))
            for name, product in self.compiled.items()
        }


def seconds(function):
    """CPU seconds of one call."""
    begin = time.process_time()
    function()
    return time.process_time() - begin


class Library:
    """A library at one problem: `ask` for a 'product', its 'seconds', those of a 'gradient', or the tape's 'bytes'."""

    def __init__(self, library, net, X, y):
        theta = net.init(0, np.float32)
        self.v = np.random.default_rng(1).standard_normal(net.size).astype(np.float32)
        self.at, self.name = library(net, X, y, theta), library.name

    def ask(self, what, kind=""):
        """The answer."""
        if what == "bytes":
            return self.at.bytes
        call = self.at.gradient if what == "gradient" else partial(self.at.products[kind], self.v)
        return call() if what == "product" else seconds(call)


class Apart:
    """A library in a process of its own."""

    def __init__(self, library, *problem):
        spawn = multiprocessing.get_context("spawn")
        self.pipe, other = spawn.Pipe()
        self.name = library.name
        spawn.Process(target=answer, args=(other, library, *problem), daemon=True).start()

    def ask(self, *question):
        """The answer."""
        self.pipe.send(question)
        return self.pipe.recv()


def answer(pipe, *of_library):
    """Answer all that comes through a pipe, until it is closed."""
    library = Library(*of_library)
    with contextlib.suppress(EOFError):
        while True:
            pipe.send(library.ask(*pipe.recv()))


def measure(name, problem, rounds, kind_of_library):
    """Print the rows of one network."""
    own, *peers = (kind_of_library(library, *problem) for library in (Refhf, PyTorch, JAX))
    for kind in "HG":
        want = own.ask("product", kind)
        off = {peer: np.linalg.norm(peer.ask("product", kind) - want) for peer in peers}
        right = [peer for peer in peers if off[peer] <= TOLERANCE * np.linalg.norm(want)]
        times = [
            [*(each.ask("seconds", kind) for each in (own, *right)), own.ask("gradient")] for _ in range(rounds + 1)
        ][1:]  # the first round finds no pages
        mine = statistics.median(row[0] for row in times)
        of_gradient = statistics.median(row[0] / row[-1] for row in times)
        print(f"{name:12} {kind} v {1e3 * mine:8.1f} ms  {of_gradient:5.2f} gradients", end="")
        for i, peer in enumerate(right, 1):
            print(f"  {peer.name} {statistics.median(row[i] / row[0] for row in times):5.2f}", end="")
        print(*(f"  {peer.name}: wrong" for peer in peers if peer not in right), end="")
        tape, saved = own.ask("bytes"), peers[0].ask("bytes")
        print(f"  tape {tape / 2**20:.0f} MB, {tape / saved:.2f} of PyTorch's" if kind == "H" else "", flush=True)


def parts(title, net, X, y):
    """Print refhf's CPU time by kind of block, the rate of this machine's matrix products, and XLA's count of work."""
    theta, a = net.init(0, np.float32), np.ones((1024, 1024), np.float32)
    rate = 2 * 1024**3 / min(seconds(lambda: a @ a) for _ in range(9)) / 1e9
    print(f"{title}: products of 1024 x 1024 matrices make {rate:.0f} GFLOP/s")
    spent = collections.Counter()

    def timed(kind, sweep):
        def call(*args, **options):
            begin = time.process_time()
            result = sweep(*args, **options)
            spent[kind] += time.process_time() - begin
            return result

        return call

    own = Refhf(net, X, y, theta)
    of_xla = JAX(net, X, y, theta).compiled
    for kind in {type(block) for block in leaves(net.chain)}:
        for sweep in ("backward", "r_forward", "r_backward"):
            setattr(kind, sweep, timed(kind.__name__, getattr(kind, sweep)))
    for kind, product in own.products.items():
        product(theta)
        spent.clear()
        total = seconds(lambda product=product: [product(theta) for _ in range(ROUNDS)])
        shares = "  ".join(f"{name} {100 * part / total:.0f} %" for name, part in spent.most_common(5))
        cost = of_xla[kind].lower(theta).compile().cost_analysis()
        print(f"  {kind} v {1e3 * total / ROUNDS:.1f} ms: {shares}", end="; ")
        print(f"XLA: {cost['flops'] / 1e9:.1f} GFLOP, {cost['bytes accessed'] / 1e9:.2f} GB read and written")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small networks, one round")
    parser.add_argument("--together", action="store_true", help="all libraries in one process")
    parser.add_argument("--parts", action="store_true", help="where the time goes")
    given = parser.parse_args()
    for title, *problem in problems(given.quick):
        if given.parts:
            parts(title, *problem)
            continue
        measure(title, problem, 1 if given.quick else ROUNDS, Library if given.together else Apart)
