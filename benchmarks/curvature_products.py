"""Time the Hessian and Gauss-Newton products of refhf and of other libraries, side by side in one run.

The README's table is what this prints last (some twelve minutes on two idle cores)::

    python benchmarks/curvature_products.py

Every library (a *peer*) gets the same network, theta, batch, v, dtype and number of threads, and sets up what
it can keep between products: "keeps" in its name says that it linearises once and multiplies often, as refhf
does; the others sweep forward and backward anew in every product. Its first product is compared with refhf's,
and one that is wrong is reported and not timed. Then the peers and a large matrix product take turns, round
after round (A B C A B C ...), so that a disturbance on a shared machine falls on neighbours alike.

How to read the columns
-----------------------
ms
    Time of one product: the best call of each round, then the median over the rounds. Arrays have been
    converted to the peer's own type beforehand.
ratio
    Peer's time over refhf's, formed within each round, then the median. Above 1, refhf is faster.
of GEMM
    Fraction of the rate of NumPy's large square matrix product in the same round. Only the matrix products
    that the mathematics needs are counted (`flops`), so that computing more than those scores less.
in gradients
    refhf's product over its own loss and gradient, timed in the same rounds.
digits
    Decimal digits on which the peer's product and refhf's agree: -log10 of the relative 2-norm error.

A wide range of the GEMM rate over the rounds says that the machine was shared: distrust small differences, or
add ``--threads 1``, which times the process's own CPU seconds and so hardly feels what else is running.
The last lines are the shares of an iteration of conjugate gradients, with one product, and of Bi-CG-STAB, with two,
that are spent outside the products.
"""

import argparse
import itertools
import json
import os
import statistics
import sys
import time
import warnings
from typing import NamedTuple


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small networks, one round: does it run?")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="default: all cores; 1 counts CPU time")
    parser.add_argument("--rounds", type=int, default=7, help="default: 7")
    parser.add_argument("--only", default="", metavar="A,B", help="refhf, and peers named like one of these")
    parser.add_argument("--json", metavar="FILE", help="write every figure there as well")
    return parser.parse_args()


if __name__ == "__main__":  # the pools of threads are sized once, when their libraries are loaded
    ARGUMENTS = arguments()
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC"):  # NPROC: XLA's
        os.environ[variable] = str(ARGUMENTS.threads)
    os.environ |= {"JAX_PLATFORMS": "cpu", "JAX_ENABLE_X64": "1"}

import numpy as np  # noqa: E402

NETWORKS = (((784, 400, 10), 1024), ((784, 400, 150, 10), 4096), ((360, 512, 512, 512, 1973), 4096))
SMALL = (((20, 15, 5), 64), ((20, 15, 12, 5), 64))
TOLERANCE = {"float32": 1e-4, "float64": 1e-11}  # relative error above which a product is wrong; our choice
OPTIONS = {"nonlinearity": "tanh", "loss": "softmax_cross_entropy"}


class Case(NamedTuple):
    """One product to be timed, the same for every peer."""

    sizes: tuple  # n_0 ... n_L
    X: np.ndarray  # (B, n_0)
    y: np.ndarray  # (B,) labels
    theta: np.ndarray  # (P,)  W_1.ravel(), b_1, W_2.ravel(), ...
    v: np.ndarray  # (P,)
    hessian: bool  # else the Gauss-Newton matrix


class NotOfferedError(Exception):
    """The peer cannot form this product; the message says why."""


def make_case(sizes, batch, dtype, hessian):
    rng = np.random.default_rng(0)
    theta = [rng.standard_normal((n + 1) * m) / np.sqrt(n) for n, m in itertools.pairwise(sizes)]
    X, y, theta = rng.random((batch, sizes[0])), rng.integers(sizes[-1], size=batch), np.concatenate(theta)
    v = rng.standard_normal(theta.size)
    return Case(sizes, X.astype(dtype), y, theta.astype(dtype), v.astype(dtype), hessian)


def flops(case):
    """Operations in the matrix products that one curvature product cannot do without, 2 B n_in n_out each.

    First layer: a0 V and a0' RDs. A later layer of the Gauss-Newton matrix: Ra W, a V, a' RDs and RDs W'; of
    the Hessian also Ra' Ds and Ds V'.
    """
    first, *later = (n * m for n, m in itertools.pairwise(case.sizes))
    return 2 * len(case.X) * (2 * first + (6 if case.hessian else 4) * sum(later))


def unpack(case, vector):
    """A vector (P,) of any library as [W_1, b_1, W_2, ...]."""
    parts, start = [], 0
    for n, m in itertools.pairwise(case.sizes):
        stop = start + n * m
        parts += [vector[start:stop].reshape(n, m), vector[stop : stop + m]]
        start = stop + m
    return parts


def logits(parts, a, tanh):
    """The forward sweep in any library's arrays."""
    for W, b in zip(parts[:-2:2], parts[1:-2:2], strict=True):
        a = tanh(a @ W + b)
    return a @ parts[-2] + parts[-1]


def output_hessian(p, u):
    """H_L u for softmax cross-entropy, mean over cases, in any library's arrays: p, u (B, n_L)."""
    return p * (u - (p * u).sum(1).reshape(-1, 1)) / len(p)


# The peers: each takes a Case, sets up what it can keep, and returns a function of nothing: the product.


def refhf_product(case):
    import refhf

    objective = refhf.supervised(refhf.mlp(list(case.sizes), **OPTIONS), case.X, case.y)
    A = objective.hessian(case.theta) if case.hessian else objective.gauss_newton(case.theta)
    return lambda: A @ case.v


def refhf_gradient(case):
    import refhf

    objective = refhf.supervised(refhf.mlp(list(case.sizes), **OPTIONS), case.X, case.y)
    return lambda: objective.value_and_gradient(case.theta)


def jax_product(case, keeps):
    import jax
    from jax import numpy as jnp

    X, y, w, v = (jnp.asarray(array) for array in (case.X, case.y, case.theta, case.v))

    def model(w, X):
        return logits(w, X, jnp.tanh)

    def gradient(w, X, y):
        def loss(w):
            return -jnp.take_along_axis(jax.nn.log_softmax(model(w, X)), y[:, None], 1).mean()

        return jax.grad(loss)(w)

    def linearized(w, X, y):
        if case.hessian:
            return jax.linearize(lambda w: gradient(w, X, y), w)[1], None
        z, linear = jax.linearize(lambda w: model(w, X), w)
        return linear, jax.nn.softmax(z)

    def kept(linear, p, v):
        v = unpack(case, v)
        return linear(v) if case.hessian else jax.linear_transpose(linear, v)(output_hessian(p, linear(v)))[0]

    def recomputed(w, X, y, v):
        if case.hessian:
            return jax.jvp(lambda w: gradient(w, X, y), (w,), (unpack(case, v),))[1]
        z, Rz = jax.jvp(lambda w: model(w, X), (w,), (unpack(case, v),))
        return jax.vjp(lambda w: model(w, X), w)[1](output_hessian(jax.nn.softmax(z), Rz))[0]

    w = unpack(case, w)
    parts, held = (kept, (*jax.jit(linearized)(w, X, y), v)) if keeps else (recomputed, (w, X, y, v))
    product = jax.jit(lambda *held: jnp.concatenate([part.ravel() for part in parts(*held)]))
    return lambda: product(*held).block_until_ready()


def torch_product(case, keeps):
    import torch
    from torch.func import grad, jvp, vjp

    X, y, w, v = (torch.from_numpy(array) for array in (case.X, case.y, case.theta, case.v))
    w, v = tuple(part.clone() for part in unpack(case, w)), tuple(unpack(case, v))

    def model(*w):
        return logits(w, X, torch.tanh)

    def loss(*w):
        return torch.nn.functional.cross_entropy(model(*w), y)

    def gauss_newton():
        z, Rz = jvp(model, w, v)
        return vjp(model, *w)[1](output_hessian(z.softmax(1), Rz))

    def gauss_newton_kept():
        (Rz,) = torch.autograd.grad(pulled, dual, v, retain_graph=True)
        return torch.autograd.grad(z, w, output_hessian(p, Rz), retain_graph=True)

    if not keeps:
        gradient = grad(loss, argnums=tuple(range(len(w))))
        product = (lambda: jvp(gradient, w, v)[1]) if case.hessian else gauss_newton
    else:
        w = tuple(part.requires_grad_() for part in w)
        if case.hessian:
            g = torch.autograd.grad(loss(*w), w, create_graph=True)
            product = lambda: torch.autograd.grad(g, w, v, retain_graph=True)  # noqa: E731
        else:
            z = model(*w)
            p, dual = z.detach().softmax(1), torch.zeros_like(z, requires_grad=True)
            pulled = torch.autograd.grad(z, w, dual, create_graph=True)  # J' dual, linear in it
            product = gauss_newton_kept
    return lambda: torch.cat([part.reshape(-1) for part in product()])


def curvlinops_product(case):
    import curvlinops
    import torch

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.P = torch.nn.ParameterList(unpack(case, torch.from_numpy(case.theta.copy())))

        def forward(self, X):
            return logits(list(self.P), X, torch.tanh)

    net, v = Net(), torch.from_numpy(case.v)
    data = [(torch.from_numpy(case.X), torch.from_numpy(case.y))]
    operator = curvlinops.HessianLinearOperator if case.hessian else curvlinops.GGNLinearOperator
    A = operator(net, torch.nn.CrossEntropyLoss(), list(net.parameters()), data, check_deterministic=False)
    return lambda: A @ v


def autograd_product(case, keeps):
    from autograd import differential_operators as operators
    from autograd import numpy as anp
    from autograd.scipy.special import logsumexp

    def model(theta):
        return logits(unpack(case, theta), case.X, anp.tanh)

    def loss(z):
        return anp.mean(logsumexp(z, axis=1) - z[anp.arange(len(case.y)), case.y])

    if not case.hessian:
        if not keeps:
            raise NotOfferedError("make_ggnvp is the one that keeps")
        product = operators.make_ggnvp(model, loss)(case.theta)
    elif keeps:
        product = operators.make_hvp(lambda theta: loss(model(theta)))(case.theta)[0]
    else:
        anew = operators.hessian_vector_product(lambda theta: loss(model(theta)))
        return lambda: anew(case.theta, case.v)
    return lambda: product(case.v)


def hessianfree_product(case):
    import hessianfree as hf

    if case.hessian:
        raise NotOfferedError("Gauss-Newton only")
    if (size := len(case.X) * case.sizes[-1] ** 2 * case.X.itemsize) > 4e9:
        raise NotOfferedError(f"its softmax Jacobian (B, n_L, n_L) would take {size / 1e9:.0f} GB")
    layers = [hf.nl.Linear(), *(hf.nl.Tanh() for _ in case.sizes[2:]), hf.nl.Softmax()]
    loss, dtype = hf.loss_funcs.CrossEntropy(), case.X.dtype.type
    net = hf.FFNet(list(case.sizes), layers, loss_type=loss, load_weights=case.theta.copy(), dtype=dtype)
    # Its J includes the softmax and its H_L is diag(t / p^2): with targets t = p this is G of the logits.
    net.cache_minibatch(case.X, net.forward(case.X)[-1])
    return lambda: net.calc_G(case.v)


PEERS = {
    "refhf": refhf_product,
    "jax": lambda case: jax_product(case, keeps=False),
    "jax keeps": lambda case: jax_product(case, keeps=True),
    "torch.func": lambda case: torch_product(case, keeps=False),
    "torch keeps": lambda case: torch_product(case, keeps=True),
    "curvlinops": curvlinops_product,
    "autograd": lambda case: autograd_product(case, keeps=False),
    "autograd keeps": lambda case: autograd_product(case, keeps=True),
    "hessianfree": hessianfree_product,
}


def prepare(case, peers):
    """Set up and check every peer: ({name: product}, {name: digits of agreement}, {name: why not timed})."""
    products, digits, absent, truth = {}, {}, {}, None
    for name in peers:
        try:
            product = PEERS[name](case)
            result = np.asarray(product())
        except ImportError as error:
            absent[name] = f"missing: {error}"
        except NotOfferedError as reason:
            absent[name] = f"not offered: {reason}"
        except Exception as error:  # another library on today's NumPy: say it in the table and go on
            absent[name] = f"failed: {type(error).__name__}: {error}".splitlines()[0][:90]
        else:
            truth = result.astype(np.float64) if truth is None else truth
            error = np.linalg.norm(result - truth) / np.linalg.norm(truth)
            if error < TOLERANCE[case.X.dtype.name] and result.dtype == case.X.dtype:
                products[name], digits[name] = product, -np.log10(max(error, 1e-17))
            else:
                absent[name] = f"WRONG: relative error {error:.1e}, dtype {result.dtype}"
    return products, digits, absent


def seconds(product, clock, least=0.15):
    """Time of a call: the best of at least two calls that together fill `least` seconds."""
    times = []
    while len(times) < 2 or sum(times) < least:
        start = clock()
        product()
        times.append(clock() - start)
    return min(times)


def measure(case, peers, rounds, gemm_size, clock):
    """Time the peers and a matrix product in turn; returns its rates and a row for each peer."""
    products, digits, absent = prepare(case, peers)
    M = np.random.default_rng(0).standard_normal((gemm_size, gemm_size)).astype(case.X.dtype)
    out, rates, times, gradients = np.empty_like(M), [], {name: [] for name in products}, []
    gradient = refhf_gradient(case) if "refhf" in products else None
    for _ in range(rounds):
        if gradient:
            gradients.append(seconds(gradient, clock))
        rates.append(2 * gemm_size**3 / seconds(lambda: np.matmul(M, M, out=out), clock))
        for name, product in products.items():
            times[name].append(seconds(product, clock))
    rows = []
    for name, mine in times.items():
        row = {"peer": name, "ms": 1e3 * statistics.median(mine), "digits": digits[name]}
        if "refhf" in times:
            row["ratio"] = statistics.median(t / base for t, base in zip(mine, times["refhf"], strict=True))
        if name == "refhf":
            row["in_gradients"] = statistics.median(t / base for t, base in zip(mine, gradients, strict=True))
        row["of_gemm"] = statistics.median(flops(case) / t / r for t, r in zip(mine, rates, strict=True))
        rows.append(row)
    return rates, rows + [{"peer": name, "absent": why} for name, why in absent.items()]


def solver_overhead(solver, sizes, batch, clock, iterations=20):
    """Share of a solver's iterations on a Gauss-Newton matrix that is spent outside its product."""
    from scipy.sparse.linalg import LinearOperator

    import refhf

    case, spent = make_case(sizes, batch, "float32", hessian=False), []
    objective = refhf.supervised(refhf.mlp(list(sizes), **OPTIONS), case.X, case.y)
    G, b = objective.gauss_newton(case.theta), -objective.value_and_gradient(case.theta)[1]

    def product(v):
        start = clock()
        image = G @ v
        spent.append(clock() - start)
        return image

    product(b)
    spent.clear()
    start = clock()
    iterates = getattr(refhf, f"{solver}_iterates")(LinearOperator(G.shape, product, dtype=G.dtype), b)
    for _ in itertools.islice(iterates, iterations + 1):  # from iterate 0
        pass
    outside = clock() - start - sum(spent)
    share, milli = outside / (outside + sum(spent)), 1e3 / iterations
    return {"P": b.size, "share": share, "ms_outside": milli * outside, "ms_product": milli * sum(spent)}


def show(figure):
    """Print every peer of one product."""
    slowest, fastest = min(figure["gemm_gflops"]), max(figure["gemm_gflops"])
    print(f"\n{figure['product']}: {figure['gflop']:.3g} GFLOP; GEMM {slowest:.0f} to {fastest:.0f} GFLOP/s")
    print(f"  {'peer':<16}{'ms':>9}{'ratio':>9}{'of GEMM':>9}{'digits':>9}")
    for row in figure["rows"]:
        numbers = (row.get(key, np.nan) for key in ("ms", "ratio", "of_gemm", "digits"))
        text = "".join(f"{number:9.2f}" for number in numbers) if "ms" in row else f"  {row['absent']}"
        print(f"  {row['peer']:<16}{text}", flush=True)


def summarize(figures, peers):
    """Print the README's table: refhf's time and fraction of the GEMM rate, and the peers' ratios."""
    print("\n| product | refhf ms | in gradients | of GEMM | " + " | ".join(peers[1:]) + " |")
    print("|---|" + "--:|" * (len(peers) + 2))
    for figure in figures:
        rows = {row["peer"]: row for row in figure["rows"]}
        wanted = [("refhf", "ms", ".1f"), ("refhf", "in_gradients", ".2f"), ("refhf", "of_gemm", ".0%")]
        wanted += [(name, "ratio", ".2f") for name in peers[1:]]
        cells = [format(rows[name][key], form) if key in rows[name] else "-" for name, key, form in wanted]
        print(" | ".join([f"| {figure['product']}", *cells]) + " |")


def main(args):
    warnings.simplefilter("ignore")  # deprecations inside the peers
    words = [word for word in args.only.split(",") if word] or [""]
    peers = [name for name in PEERS if name == "refhf" or any(word in name for word in words)]
    networks, size, rounds = (SMALL, 256, 1) if args.quick else (NETWORKS, 2048, args.rounds)
    clock = time.process_time if args.threads == 1 else time.perf_counter
    load = f", load before the run {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(f"threads {args.threads}, rounds {rounds}{load}")
    figures = []
    for (sizes, batch), dtype, hessian in itertools.product(networks, ("float32", "float64"), (True, False)):
        case = make_case(sizes, batch, dtype, hessian)
        rates, rows = measure(case, peers, rounds, size, clock)
        kind, shape = "Hessian" if hessian else "Gauss-Newton", "-".join(map(str, sizes))
        title = f"{shape}, batch {batch:,}, {dtype}, {kind}"
        figure = {"product": title, "gflop": flops(case) / 1e9, "gemm_gflops": [r / 1e9 for r in rates]}
        figure["rows"] = rows
        figures.append(figure)
        show(figure)
    summarize(figures, peers)
    solvers = {solver: solver_overhead(solver, *networks[1], clock) for solver in ("cg", "bicgstab")}
    for solver, spent in solvers.items():
        line = "P = {P:,}: {ms_product:.2f} ms in products, {ms_outside:.2f} ms outside them, {share:.1%}"
        print(f"\nAn iteration of {solver}, float32, " + line.format(**spent))
    if args.json:
        record = {"threads": args.threads, "rounds": rounds, "products": figures, "solvers": solvers}
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(record, file, indent=1)
    return int(any("WRONG" in row.get("absent", "") for figure in figures for row in figure["rows"]))


if __name__ == "__main__":
    sys.exit(main(ARGUMENTS))
