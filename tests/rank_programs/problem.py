"""What the rank tests compute, on any communicator: the same in the tests' own process and under mpiexec."""

import contextlib

import numpy as np

import refhf
from refhf.parallel import shard

HESSIAN_FREE = ("gn-cg", "hessian-cg", "hybrid-cg", "hessian-bicgstab")
# Damped and cut short, lest the methods themselves make 1e-16 large: Bi-CG-STAB undamped turns it into 1 in ten steps.
SOLVER = "solver_stop", "solver_iterations"  # of a report's detail
OPTIONS = {method: {"curvature_batch": 40, "damping": 1.0, "solver_iterations": 5} for method in HESSIAN_FREE}
OPTIONS |= {
    "gn-cg-path": {"curvature_batch": 40, "damping": 1.0, "solver_iterations": 5},
    "sgd": {"batch": 40},
    "rmsprop": {"batch": 40},
    "nlcg-pr": {"batch": 40, "line_search": "online"},
    "replica-newton": {"batch": 40},
    "gradient-descent": {},
    "newton": {"damping": 1.0},
    "truncated-newton": {"damping": 1.0, "solver_iterations": 5},
    "saddle-free-newton": {"damping": 1.0, "subspace": 5},
    "negative-curvature-newton": {"solver_iterations": 3, "probe_iterations": 10},
}
STEPS = dict.fromkeys((*HESSIAN_FREE, "sgd"), 10) | {"newton": 1}  # R11; a Newton step takes P products
SIZES = (12, 9, 4)


def one_blas_thread():
    """A context with one, as the ranks have: the last bits, and the time of many threads, depend on it."""
    try:
        import threadpoolctl
    except ImportError:
        return contextlib.nullcontext()
    return threadpoolctl.threadpool_limits(1)


def data(cases=101, seed=0):
    """A network, its start, and labelled cases with a rule in them."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(cases, SIZES[0]))
    y = (X @ rng.normal(size=(SIZES[0], SIZES[-1]))).argmax(axis=1)
    net = refhf.mlp(SIZES)
    return net, net.init(seed), X, y


def objective(comm=None, cases=101, bounds=None, **options):
    """The objective and a start; `bounds` are where the ranks' shards begin and end, even ones if None."""
    net, theta, X, y = data(cases)
    if comm is not None:
        rows = shard(cases, comm.rank, comm.size, options.get("reduction", "fast"))
        rows = rows if bounds is None else slice(*bounds[comm.rank : comm.rank + 2])
        X, y = X[rows], y[rows]
    return refhf.supervised(net, X, y, l2=1e-3, comm=comm, **options), theta


def train(method, comm=None, reduction="fast", steps=None, cases=101, **options):
    """A run: theta, f, what must not depend on the ranks, and the last report."""
    f, theta = objective(comm, cases, reduction=reduction, **options)
    chosen = {name: min(n, cases) if "batch" in name else n for name, n in OPTIONS.get(method, {}).items()}
    steps = steps or min(STEPS.get(method, 3), 10 if reduction == "fast" else 3)
    reports = refhf.minimize(f, theta, method, steps, rng=0, **chosen)
    told = [(r["outcome"], *(r.get(name, "") for name in SOLVER), r["step_length"]) for r in reports.history]
    return reports.x, reports.fun, told, reports.history[-1]


def uneven(cases, ranks):
    """Bounds of shards of which the first has three rows, and from 3 ranks on the second and the last may have none."""
    if ranks < 3:
        return [*[0, 3, cases][:ranks], cases]
    full = max(1, ranks - 3)
    return [0, 3, *np.linspace(3, cases, full + 1).astype(int).tolist(), cases][: ranks + 1]
