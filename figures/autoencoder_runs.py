"""The runs of fig_autoencoder.py: deep autoencoders, their data and starts, trained by gn-cg, NAG and SGD.

A run takes up to hours, so its state is kept in a file beside its line, and it goes on where it was interrupted.
Equations and constants of NAG are those of Sutskever, Martens, Dahl and Hinton 2013, section 3.
"""

import itertools
import json
import math
import pickle
import time
from typing import NamedTuple

import numpy as np

import refhf
from refhf.data.data_sets import load
from refhf.driver.minimize import resume
from refhf.lab.plots.history_axes import or_inf
from refhf.lab.runs.atomic_files import atomic_write
from refhf.lab.runs.json_lines import read_json_lines

CONNECTIONS = 15  # Martens 2010, section 5
MARTENS = {"preconditioner": True, "backtracking": True, "warm_start": 0.95, "solver_iterations": 250}
BATCH = 200  # Sutskever et al. 2013, section 3, as all constants of NAG below
FINAL, FINAL_MOMENTUM = 1000, 0.9
MU_MAX = 0.99


class Scale(NamedTuple):
    """The scale of a data set's runs."""

    hidden: tuple[int, ...]
    cases: int
    chunks: int  # curvature batches in all cases: numchunks of Martens' code
    passes: int
    seeds: int
    tried: int  # passes of a trial
    apart: int = 0  # passes between two points of gn-cg's curve, at least


# ----- data, network and start


def curves(n: int) -> np.ndarray:
    """Images (n, 784) in [0, 1] of parabolas through three random points each; ink is Gaussian across the line."""
    rng, images = np.random.default_rng(0), np.empty((n, 784), np.float32)
    t = np.linspace(0, 1, 60)[:, None]
    basis = np.hstack([(2 * t - 1) * (t - 1), 4 * t * (1 - t), t * (2 * t - 1)])  # 1 at t = 0, 1/2, 1
    grid = np.stack(np.meshgrid(np.arange(28), np.arange(28)), axis=-1).reshape(784, 2)
    for image in images:
        line = basis @ rng.uniform(4, 24, (3, 2))  # our choice: inside the picture
        squares = ((line[:, None] - grid) ** 2).sum(axis=2).min(axis=0)
        image[:] = np.exp(-squares / (2 * 0.7**2))  # our choice: a line of some two pixels
    return images


def cases(name: str, scale: Scale, data_dir=None) -> np.ndarray:
    """The images that are both inputs and targets."""
    if name == "curves":
        return curves(scale.cases)
    return load("mnist-mini" if scale.cases <= 10_000 else "mnist", dtype="float32", data_dir=data_dir).X[: scale.cases]


def autoencoder(hidden):
    """The network: dense layers down to the code and up again, logistic but for the code and the outputs' z."""
    sizes = [784, *hidden, *hidden[-2::-1], 784]
    blocks = []
    for i, (n, m) in enumerate(itertools.pairwise(sizes)):
        blocks += [refhf.dense(n, m)]
        if i not in (len(hidden) - 1, len(sizes) - 2):
            blocks += [refhf.elementwise("logistic")]
    return refhf.chain(blocks, loss="logistic_cross_entropy")


def sparse(net, seed):
    """The start: CONNECTIONS weights N(0, 1) a unit."""
    rng, theta = np.random.default_rng(seed), np.zeros(net.size, np.float32)
    for W, _ in (layer for layer in net.unpack(theta) if len(layer)):
        n, m = W.shape
        k = min(CONNECTIONS, n)
        for unit in range(m):
            W[rng.choice(n, k, replace=False), unit] = rng.normal(size=k)
    return theta


# ----- runs


class HessianFree:
    """A run of gn-cg; a turn is a step."""

    def __init__(self, f, theta, seed, options, scale):
        self.f, self.options = f, {**MARTENS, **options, "curvature_batch": f.cases // scale.chunks}
        self.steps = refhf.iterate(f, theta, method="gn-cg", rng=seed, **self.options)
        self.theta, self.passes, self.products = theta, 0.0, 0

    def turn(self):
        """One step."""
        report = next(self.steps)
        self.theta, self.passes, self.products = report.theta, report.counts.epochs, report.counts.curvature_products

    def kept(self):
        """What resumes the run."""
        return self.theta, self.passes, self.products, self.steps.progress

    def restore(self, kept):
        """Take it up again."""
        self.theta, self.passes, self.products, progress = kept
        self.steps = resume(self.f, progress, method="gn-cg", **self.options)


class Nesterov:
    """A run of NAG, or of SGD where mu_max is 0; a turn is the updates of a pass over the data."""

    def __init__(self, f, theta, seed, options, scale, mu_max):
        self.f, self.seed, self.rate, self.mu_max = f, seed, options["learning_rate"], mu_max
        self.batch = min(BATCH, f.cases // 2)
        self.updates = f.cases // self.batch
        self.final = scale.passes * self.updates - min(FINAL, scale.passes * self.updates // 10)
        self.theta, self.v, self.t, self.passes, self.products = theta, np.zeros_like(theta), 0, 0.0, 0

    def momentum(self):
        """mu_t."""
        if self.mu_max and self.t >= self.final:
            return FINAL_MOMENTUM
        return min(1 - 2 ** (-1 - math.log2(self.t // 250 + 1)), self.mu_max)  # eq. 5

    def turn(self):
        """The updates of a pass."""
        for _ in range(self.updates):
            mini = self.f.sample(self.batch, rng=np.random.default_rng([self.seed, self.t]))
            mu = np.float32(self.momentum())
            g = mini.value_and_gradient(self.theta + mu * self.v)[1]
            self.v = mu * self.v - np.float32(self.rate) * g  # eq. 3
            self.theta = self.theta + self.v  # eq. 4
            self.t += 1
        self.passes += 1.0

    def kept(self):
        """What resumes the run."""
        return self.theta, self.v, self.t, self.passes

    def restore(self, kept):
        """Take it up again."""
        self.theta, self.v, self.t, self.passes = kept


def begun(method, *place):
    if method == "gn-cg":
        return HessianFree(*place)
    return Nesterov(*place, MU_MAX if method == "nag" else 0.0)


def squared_error(net, theta, X) -> float:
    """The squared error of a case, summed over the pixels, in the mean of all cases."""
    total = 0.0
    with np.errstate(all="ignore"):
        for i in range(0, len(X), 1000):
            total += float(((net.predict(theta, X[i : i + 1000]) - X[i : i + 1000]) ** 2).sum(dtype=np.float64))
    return total / len(X)


def line_of(net, X, scale, wanted, interrupted, keep):
    """A run's line. Until it ends, its state is in the file `interrupted`, and the line so far is kept."""
    method, seed, options, passes = wanted
    f = refhf.supervised(net, X, X)
    run = begun(method, f, sparse(net, seed), seed, options, scale._replace(passes=passes))
    line = {"method": method, "seed": seed, "options": options, "cases": len(X), "budget": passes}
    points = [(0.0, 0, 0.0, squared_error(net, run.theta, X))]
    if interrupted and interrupted.exists():
        whose, found, kept = pickle.loads(interrupted.read_bytes())
        if whose == key(line):
            points = found
            run.restore(kept)
    apart, spent = scale.apart if method == "gn-cg" else max(1, passes // 50), points[-1][2]
    while run.passes < passes and math.isfinite(points[-1][-1]):
        start = time.process_time()
        run.turn()
        spent += time.process_time() - start
        if run.passes - points[-1][0] >= apart or run.passes >= passes:
            points.append((run.passes, run.products, spent, squared_error(net, run.theta, X)))
            if interrupted:
                with atomic_write(interrupted) as file:
                    pickle.dump((key(line), points, run.kept()), file)
                keep(line | {"curve": curve_of(points)})
    if interrupted:
        interrupted.unlink(missing_ok=True)
    return line | {"curve": curve_of(points)}


def curve_of(points) -> dict[str, list]:
    names = "passes", "products", "seconds", "squared_error"
    return {name: [rounded(x) for x in column] for name, column in zip(names, zip(*points, strict=True), strict=True)}


def rounded(x):
    return x if isinstance(x, int) else float(f"{x:.5g}") if math.isfinite(x) else None


def key(line):
    return line["method"], line["seed"], line["cases"], line["budget"], json.dumps(line["options"], sort_keys=True)


def finished(line) -> bool:
    """Whether a run is at its end: of its passes, or of finite errors."""
    return line["curve"]["passes"][-1] >= line["budget"] or not math.isfinite(ends(line))


def made(name, scale, path, data_dir, wanted) -> list[dict]:
    """The lines of the wanted runs (method, seed, options, passes): those at the path, and those that it lacks."""
    known = {key(line): line for line in read_json_lines(path)}
    X, net, lines = None, autoencoder(scale.hidden), []
    for place in wanted:
        method, seed, options, passes = place
        line = {"method": method, "seed": seed, "options": options, "cases": scale.cases, "budget": passes}
        if key(line) not in known or not finished(known[key(line)]):
            X = cases(name, scale, data_dir) if X is None else X
            interrupted = path and path.with_suffix(f".{method}-{seed}.partial")
            line = line_of(net, X, scale, place, interrupted, lambda line: kept_at(path, line))
            if path:
                kept_at(path, line)
                print(name, *place, f"{ends(line):.4g}", f"{line['curve']['seconds'][-1]:.0f} s", flush=True)
            known[key(line)] = line
        lines.append(known[key(line)])
    return lines


def kept_at(path, line):
    """The line is written in place of the run's earlier one, or added."""
    lines = {key(other): other for other in read_json_lines(path)} | {key(line): line}
    with atomic_write(path) as file:
        file.write("".join(json.dumps(other) + "\n" for other in lines.values()).encode())


def ends(line) -> float:
    """The squared error at the end; infinite where it is not finite."""
    return or_inf(line["curve"]["squared_error"][-1])
