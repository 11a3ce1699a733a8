"""Strong and weak scaling over the ranks that this machine has cores for, measured and predicted in one table.

    python benchmarks/scaling.py [--quick] [--rounds N] [--data-dir DIR] [--lines FILE]

starts `mpiexec -n N` on this file for N = 1, 2, 4, ... up to the number of cores, round after round, with one BLAS
thread and one sweep thread a rank, in float32. Each measured point is a line of JSON that is appended to FILE
(scaling.jsonl, in the working folder); what is there already is not measured again. The table is of all the lines:

    python benchmarks/scaling.py --rounds 0 --lines figures/fig5_scaling.jsonl

Networks
--------
timit
    360-512-512-512-1973 and 101,350 cases, as in He et al. 2016, section 5. The cases are synthetic (normal inputs,
    uniform labels): how long an evaluation takes does not depend on them.

    Departure: all 101,350 cases are trained on. He et al. 2016, section 5, train on 70 % of them and test on 30 %; here
    the full gradient and the line search sweep all, because nothing is tested. They take 1.43 times as long as on 70 %,
    beside CG, whose mini-batches have the same size; so CG's share of an iteration is understated.
mnist
    784-400-10 and MNIST's 60,000 training cases, from --data-dir or REFHF_DATA_DIR; without these, mnist-mini.

Points
------
value, gradient, gauss-newton
    An evaluation, or a product with a tape made before, on a mini-batch of 512 to 8,192 cases, drawn anew each round.
solver
    An iteration of CG less its product: what a rank does with vectors (P,).
sum, total
    An all-reduce of P + 3 float64, or of 3; and with all else that ranks add to an evaluation. Caches are cold, as they
    are after a sweep.
hf
    A step of gn-cg: the gradient and the line search on all cases; CG on a mini-batch: drawing it, making the tape,
    10 iterations, the two values of the reduction ratio.

A time is the best of a round (of hf the only one), and in the table the best of the rounds: others can only add to it.
How much they did is the median and the worst. A point at which the ranks had less than 95 % of their cores is measured
again, up to three times. glibc is told to keep freed memory (MALLOC_TRIM_THRESHOLD_, MALLOC_MMAP_THRESHOLD_): by itself
it hands the vectors of an evaluation back to the system after each. The model (`refhf.parallel.cost_model`) is fitted
to each network's solver, sum and total, to the evaluations on 512, 2,048 and 8,192 cases, and to the CG of steps on one
rank (what a step does beside its evaluations); evaluations on 1,024 and 4,096, everything on all the cases, and all
steps on more ranks, it predicts. Steps are timed once a round, so what other processes took from the ranks is in them:
it is measured (the share of the cores that they had), and added (`cost_model.interrupted`).
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

import refhf
from refhf.data import data_sets
from refhf.krylov.symmetric_operator import SymmetricOperator, shifted
from refhf.lab.runs.json_lines import read_json_lines
from refhf.methods.hessian_free.candidates import cg_candidates
from refhf.parallel import cost_model, mpi, shard
from refhf.parallel.communication_volume import counted_data_parallel
from refhf.parallel.reduction import EXTRA, Partial

NETWORKS = {"timit": (360, 512, 512, 512, 1973), "mnist": (784, 400, 10)}
TIMIT_CASES = 101_350
BATCHES = 512, 1024, 2048, 4096, 8192
FITTED = 512, 2048, 8192
STEPS = 512, 4096  # mini-batches of the steps of gn-cg
KINDS = "value", "gradient", "gauss-newton"
PARTS = "gradient", "cg", "line_search", "iteration"
COUNTS = "gradient_evaluations", "curvature_products", "value_evaluations", "communications", "bytes_communicated"
PRODUCTS = 10  # iterations of CG in a step; our choice
WINDOW = 0.4  # seconds that an evaluation is called for, at least
SWEPT = 2**26  # bytes written between sums, which find caches as cold as after a sweep; twice the last level's here
UNDISTURBED, AGAIN = 0.95, 3
LEAST = 1e-6  # seconds that a step takes beside its evaluations, at least, where noise leaves nothing; our choice
ALGORITHM = "halving"  # what MPICH takes for vectors
ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
KEEP = dict.fromkeys(("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"), str(2**32))


class Point(NamedTuple):
    """The key of a measurement: `what` on `cases` cases of all ranks (numbers, for sum and total), and the round."""

    network: str
    ranks: int
    what: str
    cases: int
    round: int


def points(network, ranks, round_, cases, quick):
    """All there is to measure in a round."""
    largest = min(cases, 1024) if quick else cases
    parameters = refhf.mlp(NETWORKS[network]).size
    plan = [(what, n) for what in ("sum", "total") for n in (parameters, 0)] if ranks > 1 else []
    plan += [("solver", 0)]
    plan += [(kind, b) for b in BATCHES if b <= largest for kind in KINDS]
    plan += [("hf", b) for b in (STEPS if largest >= max(STEPS) else (largest // 2, largest))]
    return [Point(network, ranks, what, n, round_) for what, n in plan]


def load(network, data_dir, quick):
    if network == "timit":
        rng, cases = np.random.default_rng(0), 4096 if quick else TIMIT_CASES
        return rng.standard_normal((cases, 360), np.float32), rng.integers(1973, size=cases)
    there = None if quick else data_dir or os.environ.get("REFHF_DATA_DIR")
    found = data_sets.load("mnist" if there else "mnist-mini", data_dir=there, dtype=np.float32)
    return found.X, found.y


class Timed:
    """The full objective of a step: its gradient and its values, which are the line search's, are timed."""

    def __init__(self, objective):
        self.objective, self.seconds = objective, {"gradient": 0.0, "line_search": 0.0}

    def __getattr__(self, name):
        return getattr(self.objective, name)

    def value(self, theta):
        return self._timed("line_search", self.objective.value, theta)

    def value_and_gradient(self, theta):
        return self._timed("gradient", self.objective.value_and_gradient, theta)

    def _timed(self, part, call, theta):
        begin = time.perf_counter()
        answer = call(theta)
        self.seconds[part] += time.perf_counter() - begin
        return answer


class Worker:
    """A rank of `mpiexec -n N scaling.py --worker NETWORK`."""

    def __init__(self, network, data_dir, quick):
        self.comm, self.quick = mpi(), quick
        X, y = load(network, data_dir, quick)
        mine = shard(len(X), self.comm.rank, self.comm.size)
        self.net = refhf.mlp(NETWORKS[network])
        self.objective = refhf.supervised(self.net, X[mine].copy(), y[mine], comm=self.comm)
        self.theta = self.net.init(0, dtype=np.float32)
        self.swept = np.zeros(SWEPT, np.uint8)

    def measure(self, point):
        """The line of a point: seconds, further known fields, and the share of the cores that the ranks had."""
        found, before = [], self._clocks()
        while len(found) < AGAIN and (not found or found[-1]["share"] < UNDISTURBED):
            self.comm.barrier()
            found.append(self._step(point) if point.what == "hf" else self._evaluation(point))
            after = self._clocks()
            found[-1]["share"] = (after - before)[1] / (after - before)[0]
            before = after
        best = max(found, key=lambda one: one["share"])
        return {**point._asdict(), **{k: x if isinstance(x, int) else float(f"{x:.5g}") for k, x in best.items()}}

    def _clocks(self):
        """Seconds so far, on the clock and of CPU time (ranks that wait are busy too), over all ranks."""
        return self.comm.sum(np.array([time.perf_counter(), time.process_time()]))

    def _evaluation(self, point):
        """The best of some calls, all ranks starting together, after one that is not counted."""
        call, more = self._prepared(point)
        call()
        times, begin = [], time.perf_counter()
        while not times or self.comm.sum(np.array([WINDOW - time.perf_counter() + begin]))[0] > 0:
            if point.what in ("sum", "total"):
                self.swept += 1
            self.comm.barrier()
            start = time.perf_counter()
            times.append(call() or time.perf_counter() - start)
        return {"seconds": min(times), **more}

    def _prepared(self, point):
        """The call that is timed (which may return seconds of its own), and more about it."""
        if point.what == "sum":
            x = np.zeros(point.cases + EXTRA)
            return lambda: self.comm.sum(x) is None, {}
        if point.what == "total":
            partial = Partial(0.0, np.zeros(point.cases, np.float32))
            return lambda: self.objective.reduction.total([partial], self.theta, point.cases) is None, {}
        if point.what == "solver":
            return self._solver, {}
        mini = self.objective.sample(point.cases, rng=[point.round, point.cases])
        more = {"largest": int(max(self.comm.gather(np.array([len(mini.X)])))[0])}
        v = np.random.default_rng(1).standard_normal(self.net.size, np.float32)
        ask = {
            "value": lambda: (mini.value, self.theta),
            "gradient": lambda: (mini.value_and_gradient, self.theta),
            "gauss-newton": lambda: (mini.gauss_newton(self.theta).matvec, v),
        }
        call, argument = ask[point.what]()
        return lambda: call(argument) is None, more

    def _solver(self):
        """Seconds of an iteration of CG without its product."""
        d, inside = np.linspace(1, 2, self.net.size, dtype=np.float32), [0.0]

        def product(v):
            begin = time.perf_counter()
            answer = d * v
            inside[0] += time.perf_counter() - begin
            return answer

        A = SymmetricOperator(product, len(d), d.dtype)
        B, g = shifted(A, 0.1, d), self.theta
        begin = time.perf_counter()
        solution = cg_candidates(refhf.cg_iterates(B, -g), B, g, PRODUCTS, backtracking=False)
        return (time.perf_counter() - begin - inside[0]) / solution.iterations

    def _step(self, point):
        objective, begin = Timed(self.objective), time.perf_counter()
        options = {"curvature_batch": point.cases, "solver_iterations": PRODUCTS, "backtracking": False}
        report = next(refhf.iterate(objective, self.theta, method="gn-cg", rng=point.round, **options))
        seconds = time.perf_counter() - begin
        cg = seconds - sum(objective.seconds.values())
        parts = {**objective.seconds, "cg": cg, "iteration": seconds}
        return {
            "seconds": seconds,
            **parts,
            "all": objective.cases,
            **{name: getattr(report.counts, name) for name in COUNTS},
        }


def work(arguments):
    """Measure the points asked for, a line each; rank 0 speaks."""
    worker = Worker(arguments.worker, arguments.data_dir, arguments.quick)
    for point in json.loads(arguments.points):
        line = worker.measure(Point(*point))
        if worker.comm.rank == 0:
            print(json.dumps(line), flush=True)


def rank_counts():
    return [2**i for i in range(10) if 2**i <= (os.cpu_count() or 1)]


def run(arguments):
    """All rounds, networks and ranks; lines are appended as they come."""
    done = {Point(*(line[name] for name in Point._fields)) for line in read_json_lines(arguments.lines)}
    mpiexec = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    shown = ["--quick"] * arguments.quick + (["--data-dir", arguments.data_dir] if arguments.data_dir else [])
    for round_ in range(arguments.rounds):
        for network in NETWORKS:
            cases = len(load(network, arguments.data_dir, arguments.quick)[0])
            for ranks in rank_counts():
                left = [p for p in points(network, ranks, round_, cases, arguments.quick) if p not in done]
                command = [mpiexec, "-n", str(ranks), sys.executable, __file__, "--worker", network]
                command += ["--points", json.dumps(left), *shown]
                print(f"round {round_ + 1}, {network}, ranks {ranks}: {len(left)} points", file=sys.stderr)
                if left:
                    append(command, arguments.lines)


def append(command, path):
    """Yield the lines that the command prints; exit if it fails."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | ONE_THREAD | KEEP) as process:
        for line in process.stdout:
            with path.open("a", encoding="utf-8") as file:
                file.write(line)
    if process.returncode:
        sys.exit(f"{command[0]}: ended with {process.returncode}")


class Times(NamedTuple):
    """A point over its rounds: `seconds` and share of the cores of each; `part` of a step, None if there is none."""

    network: str
    what: str
    cases: int
    ranks: int
    part: str | None
    seconds: tuple
    shares: tuple

    @property
    def best(self):
        return min(self.seconds)

    def lengthened(self, seconds):
        """The seconds of a step with what the ranks lost in the best round; those of an evaluation."""
        if not self.part:
            return seconds
        return cost_model.interrupted(seconds, self.ranks, min(self.shares[self.seconds.index(self.best)], 1.0))


def measured(lines):
    """The `Times` of all points, steps by their parts."""
    found = {}
    for line in lines:
        for part in PARTS if line["what"] == "hf" else [None]:
            key = line["network"], line["what"], line["cases"], line["ranks"], part
            found.setdefault(key, []).append((line[part or "seconds"], line["share"]))
    return [Times(*key, *zip(*each, strict=True)) for key, each in found.items()]


def is_fitted(times):
    step = times.part == "cg" and times.ranks == 1
    return step or times.what in cost_model.OTHERS or (times.what in KINDS and times.cases in FITTED)


def machine(times, network):
    """The machine fitted to a network's times."""
    chosen = [t for t in times if t.network == network and is_fitted(t)]
    sizes, steps = NETWORKS[network], [t for t in chosen if t.part]
    rows = [cost_model.Measurement(t.what, sizes, t.ranks, share(t), t.best) for t in chosen if not t.part]
    found = cost_model.fit(rows, ALGORITHM)
    nothing = found._replace(seconds=found.seconds | {"step vectors": 0.0, "step flops": 0.0})
    for i, t in enumerate(steps):
        known = cost_model.predict(nothing, sizes, cost_model.hf_iteration(t.cases, t.cases, PRODUCTS, 1), 1)[
            "cg"
        ].total
        rest = max(t.best / t.lengthened(1.0) - known, LEAST)
        steps[i] = cost_model.Measurement("step", sizes, 1, t.cases, rest)
    return found._replace(seconds=found.seconds | cost_model.fit(steps, ALGORITHM).seconds)


def share(times):
    """The cases of the rank that has most, on average over the mini-batches."""
    return cost_model.largest_share(times.cases, times.ranks) if times.what in KINDS else times.cases


def predicted(machine, times, cases):
    """Seconds of a point, by the model; `cases` are those of the whole set."""
    sizes = NETWORKS[times.network]
    if times.part is None:
        return cost_model.evaluation(machine, times.what, sizes, times.ranks, share(times)).total
    step = cost_model.hf_iteration(cases, times.cases, PRODUCTS, 1)
    return times.lengthened(cost_model.predict(machine, sizes, step, times.ranks)[times.part].total)


def rows(lines, network):
    """The table of a network: its points, their times, the model's, and what more ranks gain."""
    times = [t for t in measured(lines) if t.network == network]
    best = {t[:5]: t.best for t in times}
    cases = next(line["all"] for line in lines if line["what"] == "hf" and line["network"] == network)
    fitted = machine(times, network)
    yield "point", "cases", "ranks", "n", "best/s", "median", "worst", "model", "error", "", "strong", "weak"
    for t in sorted(times, key=lambda t: (t.what == "hf", t.what, t.part or "", t.cases, t.ranks)):
        model = predicted(fitted, t, cases)
        strong = best.get((network, t.what, t.cases, 1, t.part), 0) / t.best if t.ranks > 1 else 0
        weak = best.get((network, t.what, t.cases // t.ranks, 1, None), 0) / t.best if t.ranks > 1 and not t.part else 0
        numbers = t.best, statistics.median(t.seconds), max(t.seconds), model
        yield (
            f"hf {t.part}" if t.part else t.what,
            *map(str, (t.cases, t.ranks, len(t.seconds))),
            *(f"{x:.3g}" for x in numbers),
            f"{100 * (model / t.best - 1):+.1f} %",
            "fitted" if is_fitted(t) else "predicted",
            f"{strong:.2f}" if strong else "",
            f"{weak:.2f}" if weak and t.what in KINDS else "",
        )


def miscounted(lines):
    """The steps whose calls or bytes differ from the formula, `communication_volume.counted_data_parallel`."""
    steps = [line for line in lines if line["what"] == "hf" and line["ranks"] > 1]
    for line in steps:
        want = counted_data_parallel(NETWORKS[line["network"]], *(line[name] for name in COUNTS[:3]))
        if (line["communications"], line["bytes_communicated"]) != (want.calls, 8 * want.numbers):
            yield line


def table(lines):
    """All of it."""
    text = []
    for network, sizes in NETWORKS.items():
        found = machine(measured(lines), network).seconds
        text += [f"{network}: {'-'.join(map(str, sizes))}", "", columns(rows(lines, network)), ""]
        text += [f"  {name:22}{1e9 * seconds:.3g} ns" for name, seconds in found.items()] + [""]
    steps = sum(line["what"] == "hf" and line["ranks"] > 1 for line in lines)
    wrong = len(list(miscounted(lines)))
    return "\n".join([*text, f"calls and bytes: {steps - wrong} of {steps} steps over ranks as the formula says"])


def columns(rows):
    """Rows of text, one below the other."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(c.rjust(n) for c, n in zip(row, widths, strict=True)).rstrip() for row in rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few cases, one round: does it run?")
    parser.add_argument("--rounds", type=int, help="default: 5")
    parser.add_argument("--data-dir", help="folder of MNIST's IDX files; default: $REFHF_DATA_DIR")
    parser.add_argument("--lines", type=Path, default=Path("scaling.jsonl"), help="default: scaling.jsonl")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--points", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.rounds is None:
        arguments.rounds = 1 if arguments.quick else 5
    if len(rank_counts()) == 1:
        parser.error("expected a machine of two cores or more; this one has one")
    if arguments.worker:
        work(arguments)
    else:
        run(arguments)
        print(table(read_json_lines(arguments.lines)))
