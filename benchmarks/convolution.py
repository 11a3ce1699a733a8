"""Time the products of convolutional networks, beside PyTorch and the machine's matrix products, in one run.

`python benchmarks/convolution.py` prints three tables, all in float32 (about three minutes on two idle cores).

1. A network with a 3x3, 32-to-32-channel layer within: 28 x 28 x 32 images, two such convolutions with padding 1, tanh
   between them, the mean over each channel, 10 outputs; batch 256. "Of square" and "of like" are the fraction of the
   rate of NumPy's product of two 2048 x 2048 matrices, and of one shaped like the layer's, (3136, 288) by (288, 32),
   which is the patches of four images, in one call. Only the matrix products that the mathematics needs are counted
   (`flops`). PyTorch's images and weights lie in its default layout (B, C, H, W); it forms products anew by forward
   mode over reverse mode, or over a kept graph by a second backward pass, which is its fastest way to multiply often.
2. The same for a network as Arnold and Wang's (`refhf.convnet`), 28 x 28 x 1 images, batch 256.
3. What `refhf.objective.IMAGE_CHUNK_SIZE` and `refhf.model.convolution.STRIP_BYTES` are read off: times of H v for
   both, and of one layer's `apply` with its strips made in a buffer or kept in memory.

A row's time is the median over the rounds of the best call of each, and its ratio to refhf's is formed within each
round; peers and matrix products take turns. ``--threads 1`` times the process's own CPU seconds.
"""

import argparse
import math
import os
import statistics
import time
import warnings


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a batch of 4, one round: does it run?")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="default: all cores; 1 counts CPU time")
    parser.add_argument("--rounds", type=int, default=7, help="default: 7")
    parser.add_argument("--tables", default="123", help="default: 123")
    return parser.parse_args()


if __name__ == "__main__":  # the pools of threads are sized once, when their libraries are loaded
    ARGUMENTS = arguments()
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(ARGUMENTS.threads)

import numpy as np  # noqa: E402

import refhf  # noqa: E402
from refhf import conv, pool  # noqa: E402
from refhf.model import convolution  # noqa: E402
from refhf.model.architectures import Conv, Pool  # noqa: E402
from refhf.objective.chunk_threads import results_in_order  # noqa: E402
from refhf.objective.supervised import IMAGE_CHUNK_SIZE  # noqa: E402

NETWORKS = {
    "3x3, 32 to 32 channels on 28x28": ((28, 28, 32), [conv(32, 3, padding=1), conv(32, 3, padding=1), pool(28), 10]),
    "as Arnold and Wang's": ((28, 28, 1), [conv(8, 5), pool(2), conv(16, 5), pool(2), conv(32, 3), 56, 10]),
}
PRODUCTS = {"gradient": (2, 3), "H v": (2, 6), "G v": (2, 4)}  # matrix products in the first layer, and in a later one
DIGITS = 3  # that a peer must agree to; our choice


def flops(net, batch, what):
    """2 numbers of a case's output, fan-in and batch for each product: a V and a' RDs in the first layer's, ..."""
    shapes = net.chain.shapes(net.in_shape)
    units = [math.prod(s) for block, s in zip(net.chain.blocks, shapes[1:], strict=True) if block in net.layers]
    first, *later = (2 * batch * n * layer.fan_in for n, layer in zip(units, net.layers, strict=True))
    of_first, of_later = PRODUCTS[what]
    return of_first * first + of_later * sum(later)


def refhf_calls(case):
    net, X, y, theta, v = case
    f = refhf.supervised(net, X, y)
    H, G = f.hessian(theta), f.gauss_newton(theta)
    return {
        "gradient": {"refhf": lambda: f.value_and_gradient(theta)[1]},
        "H v": {"refhf": lambda: H @ v},
        "G v": {"refhf": lambda: G @ v},
    }


def torch_calls(case, stages, shape, threads):
    """PyTorch's ways to the same vectors, each in refhf's order of theta."""
    import torch
    from torch.func import grad, jvp, vjp

    torch.set_num_threads(threads)
    functional, (net, X, y, theta, v) = torch.nn.functional, case
    images = torch.from_numpy(np.ascontiguousarray(X.reshape(-1, *shape).transpose(0, 3, 1, 2)))
    labels = torch.from_numpy(y)

    def parts(vector):
        tensors = [torch.from_numpy(x.copy()) for pair in net.unpack(vector) for x in pair]
        return tuple(x.permute(3, 2, 0, 1).contiguous() if x.ndim == 4 else x for x in tensors)

    def joined(tensors):
        return torch.cat([(x.permute(2, 3, 1, 0) if x.ndim == 4 else x).reshape(-1) for x in tensors]).detach().numpy()

    def model(*w):
        a, w = images, list(w)
        for stage in stages:
            if isinstance(stage, Pool):
                a = functional.avg_pool2d(a, stage.size)
                continue
            W, b = w.pop(0), w.pop(0)
            if isinstance(stage, Conv):
                a = functional.conv2d(a, W, b, stage.stride, stage.padding)
            else:
                a = (a.permute(0, 2, 3, 1).reshape(len(a), -1) if a.ndim == 4 else a) @ W + b
            a = torch.tanh(a) if w else a
        return a

    def loss(*w):
        return functional.cross_entropy(model(*w), labels)

    def output_hessian(p, u):
        return p * (u - (p * u).sum(1, keepdim=True)) / len(p)

    w, along = parts(theta), parts(v)
    gradient = grad(loss, argnums=tuple(range(len(w))))
    kept = tuple(x.clone().requires_grad_() for x in w)
    g = torch.autograd.grad(loss(*kept), kept, create_graph=True)
    z = model(*kept)
    p, dual = z.detach().softmax(1), torch.zeros_like(z, requires_grad=True)
    pulled = torch.autograd.grad(z, kept, dual, create_graph=True)  # J' dual, linear in it

    def gauss_newton_anew():
        z, Rz = jvp(model, w, along)
        return vjp(model, *w)[1](output_hessian(z.softmax(1), Rz))

    def gauss_newton_kept():
        (Rz,) = torch.autograd.grad(pulled, dual, along, retain_graph=True)
        return torch.autograd.grad(z, kept, output_hessian(p, Rz), retain_graph=True)

    return {
        "gradient": {"PyTorch": lambda: joined(torch.autograd.grad(loss(*kept), kept))},
        "H v": {
            "PyTorch, forward over reverse": lambda: joined(jvp(gradient, w, along)[1]),
            "PyTorch, graph kept": lambda: joined(torch.autograd.grad(g, kept, along, retain_graph=True)),
        },
        "G v": {
            "PyTorch, forward over reverse": lambda: joined(gauss_newton_anew()),
            "PyTorch, graph kept": lambda: joined(gauss_newton_kept()),
        },
    }


def torch_convolution(layer, batch, threads):
    """One layer forward and backward: s, and Dx and DW from Ds. Its own, in chunks as it is swept, and PyTorch's."""
    import torch

    rng = np.random.default_rng(0)
    out_shape = layer.out_shape(layer.shape)
    x, Ds = (rng.random((batch, *shape), np.float32) for shape in (layer.shape, out_shape))
    W = rng.random(layer.weight_shape, np.float32)
    torch.set_num_threads(threads)
    images = torch.rand(batch, layer.shape[2], *layer.shape[:2], requires_grad=True)
    kernels = torch.rand(layer.channels, layer.shape[2], layer.kernel, layer.kernel, requires_grad=True)
    back = torch.rand(batch, layer.channels, *out_shape[:2])

    chunks = [slice(start, start + IMAGE_CHUNK_SIZE) for start in range(0, batch, IMAGE_CHUNK_SIZE)]

    def ours(rows):
        u = Ds[rows]
        return layer.product(W, x[rows]), layer.adjoint_input(W, u), layer.adjoint_weight(x[rows], u)

    def in_order():
        with results_in_order(ours, chunks) as results:
            return list(results)

    def theirs():
        s = torch.nn.functional.conv2d(images, kernels, padding=layer.padding)
        return torch.autograd.grad(s, (images, kernels), back)

    return {
        "refhf": in_order,
        "PyTorch": theirs,
    }


def best(call, clock, seconds=0.3):
    """The fastest call of those that start within some seconds."""
    times, end = [], clock() + seconds
    while not times or clock() < end:
        start = clock()
        call()
        times.append(clock() - start)
    return min(times)


def matrix_products(rng):
    """Two calls and their operations: square, and like the layer's."""
    A, patches, W = (rng.random(shape, np.float32) for shape in ((2048, 2048), (3136, 288), (288, 32)))
    return {"square": (lambda: A @ A, 2 * 2048**3), "like": (lambda: patches @ W, 2 * 3136 * 288 * 32)}


def compare(what, calls, work, rounds, clock):
    """Print a row for each of the calls, the first of which is refhf's."""
    products = matrix_products(np.random.default_rng(0))
    times = {name: [] for name in (*calls, *products)}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in (calls | {name: call for name, (call, _) in products.items()}).items():
            times[name].append(best(call, clock))
    rates = {name: [operations / t for t in times[name]] for name, (_, operations) in products.items()}
    for name in calls:
        ms, own = statistics.median(times[name]) * 1e3, times["refhf"]
        ratio = statistics.median(t / mine for t, mine in zip(times[name], own, strict=True))
        of = [statistics.median(work / t / r for t, r in zip(times[name], rates[gemm], strict=True)) for gemm in rates]
        print(f"  {what:18}{name:31}{ms:9.2f}{ratio:7.2f}{of[0]:11.0%}{of[1]:9.0%}", flush=True)


def make_case(shape, stages, batch):
    rng, net = np.random.default_rng(0), refhf.convnet(shape, stages)
    X, y = rng.random((batch, int(np.prod(shape))), np.float32), rng.integers(10, size=batch)
    return net, X, y, net.init(rng=0, dtype=np.float32), rng.standard_normal(net.size, np.float32)


def products(name, batch, args, clock):
    shape, stages = NETWORKS[name]
    case = make_case(shape, stages, batch)
    print(f"\n{name}, batch {batch}, P = {case[0].size:,}, {args.threads} threads")
    print(f"  {'what':18}{'who':31}{'ms':>9}{'ratio':>7}{'of square':>11}{'of like':>9}")
    ours, theirs = refhf_calls(case), {}
    try:
        theirs = torch_calls(case, stages, shape, args.threads)
    except ImportError as error:
        print(f"  PyTorch: missing: {error}")
    for what in PRODUCTS:
        calls = ours[what] | theirs.get(what, {})
        want = ours[what]["refhf"]()
        for peer, call in calls.items():
            error = np.linalg.norm(call() - want) / np.linalg.norm(want)
            assert error < 10.0**-DIGITS, f"{what}, {peer}: expected {DIGITS} digits; got an error of {error:.1e}"
        compare(what, calls, flops(case[0], batch, what), args.rounds, clock)
    if theirs and name in list(NETWORKS)[:1]:
        layer = case[0].layers[1]
        work = 3 * 2 * batch * math.prod(layer.out_shape(layer.shape)) * layer.fan_in
        compare("layer, both ways", torch_convolution(layer, batch, args.threads), work, args.rounds, clock)


def sizes(batch, args, clock):
    """The third table."""
    chunks, buffers, usual = (16, 32, 64, 128, 256), (2**18, 2**19, 2**20, 2**21, 2**22, 2**23), convolution.STRIP_BYTES
    print(f"\nms of H v, batch {batch}, for chunks of so many cases, and then for buffers of so many KiB")
    for name, (shape, stages) in NETWORKS.items():
        net, X, y, theta, v = make_case(shape, stages, batch)
        of_chunks = {}
        for chunk in chunks:
            H = refhf.supervised(net, X, y, chunk_size=chunk).hessian(theta)
            of_chunks[chunk] = lambda H=H, v=v: H @ v
        H = refhf.supervised(net, X, y).hessian(theta)
        rows = [in_turns(of_chunks, args.rounds, clock)]

        def buffered(size, H=H, v=v):
            convolution.STRIP_BYTES = size
            H @ v
            convolution.STRIP_BYTES = usual

        rows.append(in_turns({size: lambda size=size: buffered(size) for size in buffers}, args.rounds, clock))
        for row, unit in zip(rows, (1, 1024), strict=True):
            print(f"  {name:34}" + "".join(f"{size // unit:>7}:{t * 1e3:6.1f}" for size, t in row.items()), flush=True)
    layer = refhf.convnet(*NETWORKS["3x3, 32 to 32 channels on 28x28"]).layers[0]
    rng = np.random.default_rng(0)
    x, W = (rng.random(shape, np.float32) for shape in ((batch, *layer.shape), layer.weight_shape))
    strips = rng.random((batch, 30, 28, 96), np.float32)
    seen = [(slice(None), [strips[:, p : p + 28] for p in range(3)])]
    out = np.empty((batch, *layer.out_shape(layer.shape)), np.float32)
    calls = {"a buffer": lambda: layer.product(W, x), "memory": lambda: convolution._correlate(seen, W, out)}
    row = in_turns(calls, args.rounds, clock)
    print("  apply of a 3x3 layer, strips in " + ", in ".join(f"{name} {t * 1e3:.1f} ms" for name, t in row.items()))


def in_turns(calls, rounds, clock):
    """The median over the rounds of each call's best time."""
    times = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            times[name].append(best(call, clock))
    return {name: statistics.median(t) for name, t in times.items()}


def main(args):
    """Print the tables."""
    warnings.simplefilter("ignore")  # deprecations inside PyTorch
    batch, args.rounds = (4, 1) if args.quick else (256, args.rounds)
    clock = time.process_time if args.threads == 1 else time.perf_counter
    for table, name in zip("12", NETWORKS, strict=True):
        if table in args.tables:
            products(name, batch, args, clock)
    if "3" in args.tables:
        sizes(batch, args, clock)


if __name__ == "__main__":
    main(ARGUMENTS)
