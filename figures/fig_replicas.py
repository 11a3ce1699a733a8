"""Figures 1 and 2 of Arnold and Wang: a saddle and its plateau, and SGD against Newton steps from replicas.

    python figures/fig_replicas.py [--fast | --as-is] [--seeds N] [--budget B] [--data NAME,NAME] [FOLDER]

writes fig_replicas_1.png, fig_replicas_2.png, fig_replicas_3.png and fig_replicas.txt, by default into this folder,
from the runs in its fig_replicas.jsonl and fig_replicas_long.jsonl, one per line. Missing runs are made first (delete
them to make all runs again: three and a half hours of one core). Data sets are read from $REFHF_DATA_DIR.
--fast has two seeds, few cases of mnist-mini under the first name, and short runs, and keeps none; --as-is runs
nothing.

The paper has a convolutional network of five layers and about 16,000 parameters, 60,000 cases, 50 epochs of 234 steps
at rates 0.0003 and 0.01. Here: five layers and 15,958 parameters on images averaged to 14 x 14, the first 5,120 cases,
50 epochs of 20 steps at its rates, global batch 256 as in the paper, float32. So few steps at 0.0003 hardly move, and
those at 0.01 are a beginning: besides its rates there are 10 epochs at 0.1, where training gets somewhere, and as many
at 1/sigma_max, estimated from the replicas at each step. --data mnist,cifar-10 is for who has CIFAR-10's binary files;
their images are taken as they are, by five layers and 15,650 parameters.

The long runs (fig_replicas_3.png) have all cases of MNIST, as 14 x 14 and as 28 x 28 pixels, and of CIFAR-10, the
paper's batch of 256 and its 50 epochs: 11,700 steps, 9,750 of CIFAR-10. Five layers each, 15,958, 15,858 and 15,650
parameters. Cut are the nonlinearity (ReLU only), the rate 0.0003 and M = 4 but for 14 x 14, and the seeds: one, which
--budget multiplies.

Per step, a method is compared with SGD after as many steps; per gradient, with SGD after as many passes over the data:
the readings 'same-batch' and 'pairs' take two gradients a step, and so count half their steps. At the estimated rate
it is compared with SGD at 0.1.
"""

import argparse
import itertools
import math
import statistics
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

import refhf
from refhf.data.data_sets import load
from refhf.lab.plots import history_axes, run_figures
from refhf.lab.runs.json_lines import append_json_line, read_json_lines
from refhf.surfaces.saddles import SURFACES

METHODS = {"SGD": ("sgd", {})} | {
    f"{reading} {m}": ("replica-newton", {"replicas": m, "reading": reading})
    for reading, ms in {"own-batch": (2, 4, 8), "same-batch": (2, 4, 8), "pairs": (1, 8)}.items()
    for m in ms
}
TWICE = ("same-batch", "pairs")
RUNS = {  # by rate: epochs, and the methods that are run at it
    0.1: (10, tuple(METHODS)),
    0.01: (50, ("SGD", "own-batch 2", "own-batch 4", "own-batch 8", "same-batch 8")),
    0.0003: (50, ("SGD", "own-batch 2", "own-batch 4", "own-batch 8", "same-batch 8")),
    "estimated": (10, ("own-batch 8", "same-batch 8")),
}
BEST = 0.1  # the rate of the SGD that "estimated" is compared with
NONLINEARITIES = ("tanh", "relu")
CASES, BATCH, EPOCH = 5120, 256, 20  # an epoch's steps
LONG = {  # the long runs, by data set and rate
    ("mnist", 0.01): ("SGD", "own-batch 2", "own-batch 4", "own-batch 8"),
    ("mnist", 0.0003): ("SGD", "own-batch 8"),
    ("mnist-28", 0.01): ("SGD", "own-batch 2", "own-batch 8"),
    ("cifar-10", 0.01): ("SGD", "own-batch 2", "own-batch 8"),
}
UNITS = "relu"  # of the long runs
START, ALPHA, SPREAD = (1.0, 1e-3), 0.3, 0.01  # of Figure 1; our choice


# ----- runs


class Length(NamedTuple):
    """The size of a run: cases, the mini-batch, the steps between two losses, and how often."""

    cases: int
    batch: int
    steps: int
    losses: int


FAST = Length(128, 32, 2, 2)
WHOLE = {"mnist": Length(60_000, BATCH, 468, 25), "cifar-10": Length(50_000, BATCH, 390, 25)}  # 25 times two epochs
WHOLE["mnist-28"] = WHOLE["mnist"]


def network(name, nonlinearity):
    conv, pool = refhf.conv, refhf.pool
    shape, stages = (14, 14, 1), [conv(16, 3), pool(2), conv(32, 3), pool(2), conv(48, 2), 84, 10]
    if name == "mnist-28":
        shape, stages = (28, 28, 1), [conv(8, 5), pool(2), conv(16, 5), pool(2), conv(32, 3), 56, 10]
    if name == "cifar-10":
        shape, stages = (32, 32, 3), [conv(8, 5), pool(2), conv(16, 5), pool(2), conv(32, 3), 24, 10]
    return refhf.convnet(shape, stages, nonlinearity=nonlinearity)


def cases(name, n):
    """The first n cases; grey images averaged over squares of 2 x 2, but for "mnist-28"."""
    if name in ("cifar-10", "mnist-28"):
        data = load(name.removesuffix("-28"), dtype=np.float32)
        return data.X[:n], data.y[:n]
    data = load(name)
    images = data.X[:n].reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4))
    return images.reshape(-1, 196).astype(np.float32), data.y[:n]


def curve(f, theta, name, rate, seed, length):
    """Training loss, the mean negative log-likelihood, along the run; shorter where it ended early."""
    method, options = METHODS[name]
    losses = [f.value(theta)]
    reports = refhf.iterate(f, theta, method=method, rng=seed, batch=length.batch, learning_rate=rate, **options)
    for report in itertools.islice(reports, length.steps * length.losses):
        if not report.accepted:
            break
        if report.k % length.steps == 0:
            losses.append(f.value(report.theta))
    return losses


def key(line):
    return tuple(line[name] for name in ("data", "nonlinearity", "rate", "method", "seed"))


def cells(seeds, sets):
    """(data, nonlinearity, rate, method, seed), seed by seed."""
    for seed, (rate, (_, names)), *place in itertools.product(range(seeds), RUNS.items(), sets, NONLINEARITIES):
        for name in names:
            yield *place, rate, name, seed


def long_cells(seeds):
    """(data, nonlinearity, rate, method, seed) of the long runs, seed by seed."""
    for seed, ((data, rate), names) in itertools.product(range(seeds), LONG.items()):
        for name in names:
            yield data, UNITS, rate, name, seed


def made(wanted, path, fast, whole=False):
    """The lines that are at the path, if there is one, and those that it lacks."""
    lines = read_json_lines(path)
    had, held = {key(line) for line in lines}, {}
    for cell in wanted:
        if cell in had:
            continue
        data, nonlinearity, rate, name, seed = cell
        length = FAST if fast else WHOLE[data] if whole else Length(CASES, BATCH, EPOCH, RUNS[rate][0])
        if data not in held:
            held[data] = cases("mnist-mini" if fast else data, length.cases)
        net = network("mnist-mini" if fast else data, nonlinearity)
        f = refhf.supervised(net, *held[data])
        names = dict(zip(("data", "nonlinearity", "rate", "method", "seed"), cell, strict=True))
        line = {**names, "loss": curve(f, net.init(seed, np.float32), name, rate, seed, length)}
        lines.append(line)
        print(*cell, f"{line['loss'][-1]:.4f}", flush=True)
        if path:
            append_json_line(path, line)
    return lines


# ----- numbers


def of(lines, data, nonlinearity, rate, method):
    """Losses by seed, an epoch each, NaN from where a run ended."""
    found = {line["seed"]: line["loss"] for line in lines if key(line)[:4] == (data, nonlinearity, rate, method)}
    whole = max(map(len, found.values()), default=0)
    return {seed: np.array(loss + [math.nan] * (whole - len(loss))) for seed, loss in sorted(found.items())}


def gains(lines, data, nonlinearity, rate, method, per_gradient=False):
    """By how many percent the loss at the end is above SGD's, a number a seed."""
    sgd = of(lines, data, nonlinearity, BEST if rate == "estimated" else rate, "SGD")
    own = of(lines, data, nonlinearity, rate, method)
    last = len(next(iter(sgd.values()))) - 1 if sgd else 0
    at = last // 2 if per_gradient and method.startswith(TWICE) else last
    return [
        100 * (own[seed][at] / sgd[seed][last] - 1) if at < len(own[seed]) else math.nan for seed in own if seed in sgd
    ]


def said(values):
    """Mean ± standard deviation of the runs that did not end early, and how many did."""
    kept = [value for value in values if math.isfinite(value)]
    lost = f" ({len(values) - len(kept)} ended)" if len(kept) < len(values) else ""
    if len(kept) < 2:
        return (f"{kept[0]:+.2f}" if kept else "") + lost
    return f"{statistics.fmean(kept):+.2f} ± {statistics.stdev(kept):.2f}" + lost


def written(lines, sets):
    parts = []
    for (rate, (epochs, names)), data, nonlinearity in itertools.product(RUNS.items(), sets, NONLINEARITIES):
        sgd = of(lines, data, nonlinearity, BEST if rate == "estimated" else rate, "SGD")
        if not sgd:
            continue
        ends = [loss[-1] for loss in sgd.values() if math.isfinite(loss[-1])]
        parts.append(f"{data}, {nonlinearity}, rate {rate}, {epochs} epochs, {len(sgd)} seeds: SGD {np.mean(ends):.4f}")
        for name in names:
            if name != "SGD":
                found = [gains(lines, data, nonlinearity, rate, name, per) for per in (False, True)]
                parts.append(f"  {name:<14}{said(found[0]):>28}{said(found[1]):>28}")
        parts.append("")
    top = "Training loss at the end above SGD's, in percent, of the seeds: per step, per gradient."
    return "\n".join([top, "", *parts])


def long_written(lines):
    """The losses of the long runs along the way, the mean of the seeds."""
    parts = [f"The long runs, {UNITS}: training loss at the start and after each fifth of the steps."]
    for (data, rate), name in ((place, name) for place, names in LONG.items() for name in names):
        found = list(of(lines, data, UNITS, rate, name).values())
        if found:
            losses = np.mean(found, axis=0)
            fifths = losses[:: max(1, (len(losses) - 1) // 5)]
            parts.append(f"  {data:<10}rate {rate:<8}{name:<14}" + "".join(f"{x:10.4f}" for x in fifths))
    return "\n".join([*parts, ""])


# ----- pictures

TITLES = {"mnist": "MNIST, 14 x 14", "mnist-28": "MNIST, 28 x 28", "cifar-10": "CIFAR-10 (JPEG copy)"}
LOOKS = {"SGD": 6, "own-batch 2": 3, "own-batch 4": 4, "own-batch 8": 0, "same-batch 8": 1, "pairs 1": 5, "pairs 8": 2}


def paths():
    """Figure 1's: the points of gradient descent, and of three scattered replicas' steps, from START."""
    f = refhf.from_functions(*SURFACES["saddle"].functions)
    options = {"replicas": 3, "spread": SPREAD, "learning_rate": ALPHA}
    for method, more in (("gradient-descent", {"learning_rate": ALPHA}), ("replica-newton", options)):
        reports = itertools.islice(refhf.iterate(f, START, method=method, rng=0, **more), 60)
        yield np.array([START, *(report.theta for report in reports)])


def figure_1():
    from matplotlib.figure import Figure

    value = SURFACES["saddle"].functions[0]
    with run_figures.figure_style():
        drawn = Figure(figsize=(15, 6), layout="constrained")
        left, right = drawn.subplots(1, 2)
        x, y = np.meshgrid(np.linspace(-0.6, 1.3, 80), np.linspace(-1.4, 1.4, 80))
        left.contour(x, y, x**2 / 2 + y**4 / 4 - y**2 / 2, 25, colors="#BBBBBB", linewidths=1)
        names = f"gradient descent, alpha = {ALPHA}", f"three replicas, alpha = {ALPHA}"
        for points, name, i in zip(paths(), names, (1, 0), strict=True):
            look = {"color": history_axes.COLOURS[i], "marker": history_axes.MARKERS[i], "label": name}
            look |= {"linewidth": 5, "markersize": 9} if i else {"markersize": 5}
            left.plot(*points.T, **look)
            right.plot([value(point) for point in points], **look)
        left.plot(0, 0, "k+", markersize=18, markeredgewidth=3)
        left.plot([0, 0], [1, -1], "k*", markersize=14)
        left.set(xlabel="x", ylabel="y", title="x^2/2 + y^4/4 - y^2/2: saddle (+) and minima (stars)")
        right.set(xlabel="steps", ylabel="f", title="gradient descent waits at the saddle; H^-1 g stays there")
        right.legend()
    return drawn


def figure_2(lines, sets):
    """Curves of the first set with ReLU at the paper's rate and at 0.1; all ends beside SGD's."""
    from matplotlib.figure import Figure

    with run_figures.figure_style():
        drawn = Figure(figsize=(16, 12.5), layout="constrained")
        drawn.suptitle(HEADLINE, x=0.01, ha="left", size=19, weight="bold")
        (slow, fast), (step, gradient) = drawn.subplots(2, 2)
        for ax, rate in ((slow, 0.01), (fast, BEST)):
            curves(ax, lines, sets[0], "relu", rate)
        for ax, per in ((step, False), (gradient, True)):
            ends(ax, lines, sets, per)
        gradient.legend(loc="lower right")
        drawn.legend(*fast.get_legend_handles_labels(), loc="outside lower center", ncols=len(LOOKS))
    return drawn


def figure_3(lines):
    """The long runs, a panel for each data set and rate that has some."""
    from matplotlib.figure import Figure

    places = [place for place in LONG if any((line["data"], line["rate"]) == place for line in lines)]
    rows = math.ceil(len(places) / 2)
    with run_figures.figure_style():
        drawn = Figure(figsize=(16, 1 + 6 * rows), layout="constrained")
        axes = drawn.subplots(rows, 2, squeeze=False).ravel()
        for ax, (data, rate) in zip(axes, places, strict=False):
            for at, name in enumerate(LONG[data, rate]):
                found = list(of(lines, data, UNITS, rate, name).values())
                if found:
                    look = {
                        "color": history_axes.COLOURS[LOOKS[name]],
                        "marker": history_axes.MARKERS[LOOKS[name]],
                        "linestyle": DASHES[name.split()[0]],
                        "markevery": (at, 5),
                    }
                    ax.plot(np.arange(len(found[0])) * WHOLE[data].steps, np.mean(found, axis=0), label=name, **look)
            ax.set(title=f"{TITLES[data]}, rate {rate:g}", xlabel="steps", ylabel="negative log-likelihood")
            history_axes.log_axis(ax, None)
        for ax in axes[len(places) :]:
            ax.remove()
        drawn.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(LOOKS))
    return drawn


HEADLINE = (
    "Replicas are no faster than SGD at the paper's rate 0.01; at 0.1 same-batch and one pair\n"
    "lead a little per step, and SGD leads them per gradient"
)
DASHES = {"SGD": "-", "own-batch": "--", "same-batch": "-", "pairs": (0, (4, 1, 1, 1))}
SHAPES = ("o", "s", "^", "D")  # a set and nonlinearity each


def curves(ax, lines, data, nonlinearity, rate):
    """Mean loss of an epoch; it ends where a seed does."""
    for name, i in LOOKS.items():
        found = list(of(lines, data, nonlinearity, rate, name).values())
        if found:
            every = max(1, len(found[0]) // 8)
            look = {
                "color": history_axes.COLOURS[i],
                "marker": history_axes.MARKERS[i],
                "linestyle": DASHES[name.split()[0]],
                "markevery": (i % every, every),
            }
            ax.plot(np.mean(found, axis=0), label=name, **look)
    seeds = len(of(lines, data, nonlinearity, rate, "SGD"))
    ax.set(title=f"rate {rate:g}: {data}, {nonlinearity}, mean of {seeds} seeds", xlabel="epochs")
    ax.set_ylabel("negative log-likelihood")


def ends(ax, lines, sets, per_gradient):
    """Loss at the end above SGD's at rate BEST, by method: all seeds of each set and nonlinearity."""
    names = list(METHODS)[1:]
    for i, (place, shape) in enumerate(zip(itertools.product(sets, NONLINEARITIES), SHAPES, strict=False)):
        for at, name in enumerate(names):
            values = gains(lines, *place, BEST, name, per_gradient)
            look = {"color": history_axes.COLOURS[(6, 1, 0, 2)[i]], "label": ", ".join(place) if at == 0 else None}
            ax.plot([at + 0.16 * (i - 1.5)] * len(values), values, shape, alpha=0.7, **look)
    ax.axhline(0, color="black", linewidth=1.5)
    ax.set_yscale("symlog", linthresh=10)
    ticks = -50, -20, -10, 0, 10, 20, 50, 100, 200, 500
    ax.set_yticks(ticks, [f"{tick:+d} %" if tick else "as SGD" for tick in ticks])
    ax.minorticks_off()
    ax.set_ylim(-60, 600)
    ax.set_xticks(range(len(names)), names, rotation=30, ha="right")
    ax.set_title(f"rate {BEST:g}: loss at the end above SGD's, per {'gradient' if per_gradient else 'step'}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--as-is", action="store_true")
    parser.add_argument("--seeds", type=int, default=5, metavar="N")
    parser.add_argument("--budget", type=int, default=1, metavar="B", help="seeds of the long runs; default: 1")
    parser.add_argument("--data", default="mnist,fashion-mnist", metavar="NAME,NAME")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent)
    args = parser.parse_args()
    path = None if args.fast else args.folder / "fig_replicas.jsonl"
    sets = args.data.split(",")[: 1 if args.fast else None]
    wanted = [] if args.as_is else list(cells(min(args.seeds, 2) if args.fast else args.seeds, sets))
    long_wanted = [] if args.as_is else list(long_cells(args.budget))
    if args.fast:
        wanted = [cell for cell in wanted if cell[3] in ("SGD", "own-batch 8") or cell[1:3] == ("relu", BEST)]
        long_wanted = [cell for cell in long_wanted if cell[0] == "mnist-28"]
    lines = made(wanted, path, args.fast)
    long_path = path and path.with_stem("fig_replicas_long")
    long_lines = made(long_wanted, long_path, args.fast, whole=True)
    text = written(lines, sets) + "\n" + long_written(long_lines)
    (args.folder / "fig_replicas.txt").write_text(text, encoding="utf-8", newline="\n")
    print(text)
    run_figures.save_figure(figure_1(), args.folder / "fig_replicas_1.png")
    run_figures.save_figure(figure_2(lines, sets), args.folder / "fig_replicas_2.png")
    run_figures.save_figure(figure_3(long_lines), args.folder / "fig_replicas_3.png")


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="replace")  # where it is ASCII, "?" for the sign of plus or minus
    main()
