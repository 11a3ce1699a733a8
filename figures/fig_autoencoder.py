"""Table 1 of Sutskever, Martens, Dahl and Hinton 2013: deep autoencoders by Hessian-free optimisation, NAG and SGD.

    python figures/fig_autoencoder.py [--fast | --as-is] [--only NAME [--method M]] [--budget B]
                                      [--data-dir DIR] [FOLDER]

writes fig_autoencoder.png, fig_autoencoder_long.png and fig_autoencoder.txt, by default into this folder, from the runs
in its fig_autoencoder/*.jsonl, a file for each data set. Missing runs are made first (a quarter of an hour of one
core). Those of LONG, on 10,000 digits and on the 60,000 from DIR or REFHF_DATA_DIR, are made by --only alone: an hour
of a core each for gn-cg. An interrupted run resumes, and has a line of what it has done so far.

Networks are the paper's: 784-400-200-100-50-25-6 (curves) and 784-1000-500-250-30 (MNIST), each with its mirror image
as the decoder, the weights not tied; logistic units, a linear code layer, logistic outputs (Hinton and Salakhutdinov
2006; Martens' published code). Training minimises the cross-entropy without weight decay; the table and the picture
have the squared error of a training case, summed over its pixels. Starts are sparse: 15 weights N(0, 1) a unit, the
others and the biases 0 (Martens 2010, section 5).

    gn-cg  Martens' options: Gauss-Newton, preconditioner (power 0.75), CG's candidates walked back, CG started from
           0.95 of its last iterate, at most 250 iterations. Curvature batches are a fourth of the curves and an
           eighth of the digits, as in his code.
    nag    Nesterov's momentum in the paper's form and schedule, mini-batches of 200, the last updates at 0.9
    sgd    the same without momentum

The curves are generated, since the originals are not to be had here: each is a parabola through three random points, so
that six numbers make an image, as in the original. They are called CURVES-like; errors on them are not the paper's.

Cut, in the order of protocol.md: 1,000 curves for 20,000 and 1,000 digits for 60,000, so that a step is cheap and there
are many; 600 passes (curves) and 150 (MNIST) for the 7,500 and 2,500 of the paper's NAG; four trials a method, on seed
100, for half of the passes, and only on curves; one reported seed for ten. --budget multiplies the cases and passes
of these two; the longer runs have fewer passes than the paper's too, 1,500 and 300.
--fast has tiny networks and keeps nothing; --as-is runs nothing.
"""

import argparse
import itertools
import json
import math
import os
import pickle
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

import refhf
from refhf.data.data_sets import load
from refhf.driver.minimize import resume
from refhf.lab.plots import history_axes, run_figures
from refhf.lab.runs.atomic_files import atomic_write
from refhf.text import columns

METHODS = {"gn-cg": ("-", "o", 0), "nag": ("--", "s", 1), "sgd": (":", "^", 6)}  # dash, marker, colour
CONNECTIONS = 15  # Martens 2010, section 5
MARTENS = {"preconditioner": True, "backtracking": True, "warm_start": 0.95, "solver_iterations": 250}
BATCH = 200  # Sutskever et al. 2013, section 3, as all constants of NAG below
FINAL, FINAL_MOMENTUM = 1000, 0.9
MU_MAX = 0.99
TRIALS = {  # our choice; the last of each was added because sgd's best was the largest
    "gn-cg": [{"damping": damping} for damping in (45.0, 3.0, 0.2, 12.0)],  # the first is that of Martens' code
    "nag": [{"learning_rate": rate} for rate in (0.1, 0.03, 0.01, 0.05)],
    "sgd": [{"learning_rate": rate} for rate in (0.1, 0.03, 0.01, 0.3)],
}
TUNING = 100
PAPER = {  # Table 1: SGD, NAG (the best of its momenta), HF without weight decay, HF of 2010
    "curves": {"SGD": 0.48, "HF of 2010": 0.11, "NAG": 0.074, "HF": 0.058},
    "mnist": {"SGD": 2.1, "HF of 2010": 1.40, "NAG": 0.73, "HF": 0.69},
}
PAPER |= {"mnist-10000": PAPER["mnist"], "mnist-60000": PAPER["mnist"]}
NAMES = {"curves": "CURVES-like", "mnist": "MNIST", "mnist-10000": "MNIST, longer", "mnist-60000": "all of MNIST"}


class Scale(NamedTuple):
    """The scale of a data set's runs."""

    hidden: tuple[int, ...]
    cases: int
    chunks: int  # curvature batches in all cases: numchunks of Martens' code
    passes: int
    seeds: int
    apart: int = 0  # passes between two points of gn-cg's curve, at least


SCALES = {
    "curves": Scale((400, 200, 100, 50, 25, 6), 1000, 4, 600, 1),
    "mnist": Scale((1000, 500, 250, 30), 1000, 8, 150, 1),
    "mnist-10000": Scale((1000, 500, 250, 30), 10_000, 8, 1500, 1, 8),
    "mnist-60000": Scale((1000, 500, 250, 30), 60_000, 8, 300, 1, 8),
}
LONG = "mnist-10000", "mnist-60000"  # an hour of a core each for gn-cg
PUBLISHED = {"gn-cg": {"damping": 45.0}}  # the first lambda of Martens' code, for the long runs
FAST = {"curves": Scale((8, 2), 40, 4, 4, 1), "mnist": Scale((8, 3), 40, 4, 4, 1)}


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
    known = {key(line): line for line in there(path)}
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
    lines = {key(other): other for other in there(path)} | {key(line): line}
    with atomic_write(path) as file:
        file.write("".join(json.dumps(other) + "\n" for other in lines.values()).encode())


def there(path) -> list[dict]:
    return [json.loads(text) for text in path.read_text().splitlines()] if path and path.exists() else []


def ends(line) -> float:
    """The squared error at the end; infinite where it is not finite."""
    return history_axes.or_inf(line["curve"]["squared_error"][-1])


def chosen(trials) -> dict[str, dict]:
    """Of each method the options with the least squared error, of the trials on curves."""
    return {
        method: min((line for line in trials if line["method"] == method), key=ends)["options"] for method in METHODS
    }


# ----- numbers and picture

Runs = dict[str, list[dict]]  # the reported lines by data set


def reported(lines, method) -> list[dict]:
    return [line for line in lines if line["method"] == method]


def crossing(line, value, share=1 / 2) -> tuple[float, bool]:
    """The passes at which a run's error is first below a value, and whether it was seen.

    If it was not: where a power law of the passes through the last share of the run would be, by least squares.
    """
    passes, errors = np.array(line["curve"]["passes"][1:]), np.array(line["curve"]["squared_error"][1:], float)
    below = np.nonzero(errors <= value)[0]
    if len(below):
        return float(passes[below[0]]), True
    late = passes >= (1 - share) * passes[-1] if len(passes) else passes > 0
    slope, at = np.polyfit(np.log(passes[late]), np.log(errors[late]), 1) if late.sum() > 1 else (0.0, 0.0)
    with np.errstate(over="ignore"):
        return (float(np.exp((np.log(value) - at) / slope)) if slope < 0 else math.inf), False


def error_at(line, passes) -> float:
    """The squared error at the run's last point within so many passes."""
    found = [e for p, e in zip(line["curve"]["passes"], line["curve"]["squared_error"], strict=True) if p <= passes]
    return history_axes.or_inf(found[-1])


def written(scales, trials, runs: Runs) -> str:
    parts = ["trials on curves, seed 100: squared error at the end"]
    parts += columns([[line["method"], json.dumps(line["options"]), f"{ends(line):.4g}"] for line in trials])
    for name, lines in runs.items():
        scale = scales[name]
        parts += ["", f"{NAMES[name]}, {scale.cases} cases, {scale.passes} passes: training squared error at the end"]
        table = [["", "seed", "passes", "products", "squared error", "passes to the 2010 value"]]
        for line in lines:
            passes, seen = crossing(line, PAPER[name]["HF of 2010"])
            said = f"{passes:.0f}" if seen else f"{passes:.3g} by extrapolation"
            last = [f"{line['curve'][key][-1]:.5g}" for key in ("passes", "products")]
            table.append([line["method"], str(line["seed"]), *last, f"{ends(line):.4g}", said])
        parts += columns(table)
    return "\n".join([*parts, ""])


def figure(scales, runs: Runs):
    """A panel for each data set: squared error against passes, and the paper's values after its long runs."""
    from matplotlib.figure import Figure

    with run_figures.figure_style():
        drawn = Figure(figsize=(8.5 * len(runs), 7), layout="constrained")
        axes = drawn.subplots(1, len(runs), squeeze=False)[0]
        for ax, (name, lines) in zip(axes, runs.items(), strict=True):
            panel(ax, name, lines, "passes")
            first = min(lines, key=ends)["method"]
            said = f"{NAMES[name]}, {scales[name].cases:,} cases: after {scales[name].passes} passes {first} is lowest"
            ax.set(xlabel="effective passes over the data", title=said)
        axes[0].set_ylabel("training squared error of a case")
        legend(drawn)
    return drawn


def long_figure(scales, runs: Runs):
    """A row for each data set: squared error against passes, and against CPU seconds."""
    from matplotlib.figure import Figure

    with run_figures.figure_style():
        drawn = Figure(figsize=(17, 6.5 * len(runs)), layout="constrained")
        axes = drawn.subplots(len(runs), 2, sharey="row", squeeze=False)
        for row, (name, lines) in zip(axes, runs.items(), strict=True):
            titles = "effective passes over the data", "CPU seconds"
            reached = ", ".join(f"{line['method']} {ends(line):.3g}" for line in lines)
            for ax, key, says in zip(row, ("passes", "seconds"), titles, strict=True):
                panel(ax, name, lines, key)
                ax.set_xlabel(says)
            row[0].set(ylabel="training squared error of a case", title=f"{scales[name].cases:,} digits: {reached}")
        legend(drawn)
    return drawn


def legend(drawn):
    """A legend with each method once."""
    found = [zip(*ax.get_legend_handles_labels(), strict=True) for ax in drawn.axes]
    handles = {label: handle for pairs in found for handle, label in pairs}
    drawn.legend(handles.values(), handles, loc="outside lower center", ncols=len(METHODS))


def panel(ax, name, lines, key):
    """The curves of a data set against the passes or the seconds, and the paper's values."""
    for line in lines:
        dash, marker, colour = METHODS[line["method"]]
        curve = line["curve"]
        errors = [math.nan if x is None else x for x in curve["squared_error"]]
        look = {"linestyle": dash, "marker": marker, "color": history_axes.COLOURS[colour]}
        label = line["method"] if line["seed"] == 0 else None
        ax.plot(curve[key], errors, label=label, markevery=0.1, **look)
    for says, value in PAPER[name].items():
        ax.axhline(value, color=history_axes.QUIET, linewidth=1, linestyle=(0, (1, 3)))
        at = {"NAG": "bottom", "HF": "top"}.get(says, "center")  # these two are close
        ax.text(1.01, value, f"paper: {says}", transform=ax.get_yaxis_transform(), va=at, fontsize=11)
    ax.set_yscale("log")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--as-is", action="store_true")
    parser.add_argument("--only", choices=NAMES, help="make the runs of this data set; default: of the two small ones")
    parser.add_argument("--method", choices=METHODS, help="and of this method; default: of all")
    parser.add_argument("--budget", type=int, default=1, metavar="B", help="multiplies cases and passes; default: 1")
    parser.add_argument("--data-dir", default=os.environ.get("REFHF_DATA_DIR"), metavar="DIR")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent)
    args = parser.parse_args()
    grown = {
        name: scale
        if name in LONG
        else scale._replace(cases=scale.cases * args.budget, passes=scale.passes * args.budget)
        for name, scale in SCALES.items()
    }
    scales, folder = FAST if args.fast else grown, None if args.fast else args.folder / "fig_autoencoder"
    if folder:
        folder.mkdir(exist_ok=True)
    paths = {name: folder and folder / f"{name}.jsonl" for name in NAMES}
    tried = [(m, TUNING, o, max(2, scales["curves"].passes // 2)) for m, trials in TRIALS.items() for o in trials]
    makes = [] if args.as_is else [args.only] if args.only else [name for name in scales if name not in LONG]
    trials = made("curves", scales["curves"], paths["curves"], args.data_dir, tried if makes else [])
    trials = trials or [line for line in there(paths["curves"]) if line["seed"] == TUNING]
    best, runs = chosen(trials), {}
    for name, scale in scales.items():
        lines = []
        if name in makes:
            options = best | (PUBLISHED if name in LONG else {})
            methods = [args.method] if args.method else METHODS
            wanted = [(m, seed, options[m], scale.passes) for seed in range(scale.seeds) for m in methods]
            lines = made(name, scale, paths[name], args.data_dir, wanted)
        runs[name] = [line for line in there(paths[name]) or lines if line["seed"] != TUNING]
    runs = {name: lines for name, lines in runs.items() if lines}
    text = written(scales, trials, runs)
    (args.folder / "fig_autoencoder.txt").write_text(text, encoding="utf-8", newline="\n")
    print(text)
    for drawn, suffix, wanted in ((figure, "", [n for n in runs if n not in LONG]), (long_figure, "_long", LONG)):
        found = {name: runs[name] for name in wanted if name in runs}
        if found:
            run_figures.save_figure(drawn(scales, found), args.folder / f"fig_autoencoder{suffix}.png")


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="replace")  # where it is ASCII, "?" for the sign of plus or minus
    main()
