"""Figures 1 and 2 of Arnold and Wang: a saddle and its plateau, and SGD against Newton steps from replicas.

    python figures/fig_replicas.py [--fast | --as-is] [--seeds N] [FOLDER]

writes fig_replicas_1.png, fig_replicas_2.png and fig_replicas.txt, into this folder unless told otherwise, from the
runs in its fig_replicas.jsonl, a line each; those that are not there are run first (delete them to have all run: forty
minutes of one core). MNIST and Fashion-MNIST are read from $REFHF_DATA_DIR. --fast has two seeds, few cases of
mnist-mini under either name, and short runs, and keeps none; --as-is runs nothing.

The paper has a convolutional network of five layers and about 16,000 parameters, 60,000 cases, 50 epochs of 234 steps
at rates 0.0003 and 0.01. Here: five layers and 15,958 parameters on images averaged to 14 x 14, the first 5,120 cases,
10 epochs of 20 steps, global batch 256 as in the paper, float32; and besides its rates 0.1, as 200 steps at 0.01 hardly
move. Per step, a method is compared with SGD after as many steps; per gradient, with SGD after as many passes over the
data: the readings 'same-batch' and 'pairs' take two gradients a step, and so count half their steps.
"""

import argparse
import itertools
import json
import math
import statistics
from pathlib import Path

import numpy as np

import refhf
from refhf.app import panels, plots
from refhf.app.data import load
from refhf.model.surfaces import SURFACES

METHODS = {"SGD": ("sgd", {})} | {
    f"{reading} {m}": ("replica-newton", {"replicas": m, "reading": reading})
    for reading, ms in {"own-batch": (2, 4, 8), "same-batch": (2, 4, 8), "pairs": (1, 8)}.items()
    for m in ms
}
TWICE = ("same-batch", "pairs")
RATES = (0.1, 0.01, 0.0003)
DATA = ("mnist", "fashion-mnist")
NONLINEARITIES = ("tanh", "relu")
CASES, BATCH, STEPS, EVERY = 5120, 256, 200, 50
START, ALPHA, SPREAD = (1.0, 1e-3), 0.3, 0.01  # of Figure 1; our choice


# ----- runs


def network(nonlinearity):
    conv, pool = refhf.conv, refhf.pool
    stages = [conv(16, 3), pool(2), conv(32, 3), pool(2), conv(48, 2), 84, 10]
    return refhf.convnet((14, 14, 1), stages, nonlinearity=nonlinearity)


def cases(name, n):
    """The first n cases, images averaged over squares of 2 x 2."""
    data = load(name)
    images = data.X[:n].reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4))
    return images.reshape(-1, 196).astype(np.float32), data.y[:n]


def curve(f, theta, name, rate, seed, fast):
    """Training loss at every EVERY-th step; NaN from where the run ended early."""
    method, options = METHODS[name]
    batch, steps, every = (32, 4, 2) if fast else (BATCH, STEPS, EVERY)
    losses = [f.value(theta)]
    reports = refhf.iterate(f, theta, method=method, rng=seed, batch=batch, learning_rate=rate, **options)
    for report in itertools.islice(reports, steps):
        if not report.accepted:
            break
        if report.k % every == 0:
            losses.append(f.value(report.theta))
    return losses + [math.nan] * (steps // every + 1 - len(losses))


def key(line):
    return tuple(line[name] for name in ("data", "nonlinearity", "rate", "method", "seed"))


def cells(seeds):
    """(data, nonlinearity, rate, method, seed); the smallest rate, at which nothing moves, has one seed."""
    for rate in RATES:
        for seed in range(seeds if rate > RATES[-1] else 1):
            for data, nonlinearity, name in itertools.product(DATA, NONLINEARITIES, METHODS):
                yield data, nonlinearity, rate, name, seed


def made(wanted, path, fast):
    """The lines that are at the path, if there is one, and those that it lacks."""
    lines = there(path)
    had, held = {key(line) for line in lines}, {}
    for cell in wanted:
        if cell in had:
            continue
        data, nonlinearity, rate, name, seed = cell
        if data not in held:
            held[data] = cases("mnist-mini" if fast else data, 128 if fast else CASES)
        net = network(nonlinearity)
        f = refhf.supervised(net, *held[data])
        names = dict(zip(("data", "nonlinearity", "rate", "method", "seed"), cell, strict=True))
        line = {**names, "loss": curve(f, net.init(seed, np.float32), name, rate, seed, fast)}
        lines.append(line)
        print(*cell, f"{line['loss'][-1]:.4f}", flush=True)
        if path:
            with open(path, "a", encoding="utf-8") as stream:
                stream.write(json.dumps(line) + "\n")
    return lines


def there(path):
    return [json.loads(text) for text in path.read_text().splitlines()] if path and path.exists() else []


# ----- numbers


def of(lines, data, nonlinearity, rate, method):
    return {line["seed"]: line["loss"] for line in lines if key(line)[:4] == (data, nonlinearity, rate, method)}


def gains(lines, data, nonlinearity, rate, method, per_gradient=False):
    """By how many percent the loss is above SGD's, a number a seed."""
    sgd, own = of(lines, data, nonlinearity, rate, "SGD"), of(lines, data, nonlinearity, rate, method)
    last = len(next(iter(sgd.values()))) - 1 if sgd else 0
    at = last // 2 if per_gradient and method.startswith(TWICE) else last
    return [100 * (own[seed][at] / sgd[seed][last] - 1) for seed in own if seed in sgd]


def said(values):
    """Mean ± standard deviation of the runs that did not end early, and how many did."""
    kept = [value for value in values if math.isfinite(value)]
    lost = f" ({len(values) - len(kept)} ended)" if len(kept) < len(values) else ""
    if len(kept) < 2:
        return (f"{kept[0]:+.2f}" if kept else "") + lost
    return f"{statistics.fmean(kept):+.2f} ± {statistics.stdev(kept):.2f}" + lost


def written(lines):
    parts = []
    for rate, data, nonlinearity in itertools.product(RATES, DATA, NONLINEARITIES):
        sgd = of(lines, data, nonlinearity, rate, "SGD")
        if not sgd:
            continue
        ends = [loss[-1] for loss in sgd.values() if math.isfinite(loss[-1])]
        parts += [f"{data}, {nonlinearity}, rate {rate:g}, {len(ends)} seeds: SGD {statistics.fmean(ends):.4f}"]
        for name in list(METHODS)[1:]:
            found = [gains(lines, data, nonlinearity, rate, name, per) for per in (False, True)]
            parts.append(f"  {name:<14}{said(found[0]):>28}{said(found[1]):>28}")
        parts.append("")
    top = f"Training loss after {STEPS} steps above SGD's, in percent, of the seeds: per step, per gradient."
    return "\n".join([top, "", *parts])


# ----- pictures

LOOKS = {"SGD": 6, "own-batch 8": 0, "same-batch 8": 1, "pairs 8": 2, "pairs 1": 3}


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
    with plots.style():
        drawn = Figure(figsize=(15, 6), layout="constrained")
        left, right = drawn.subplots(1, 2)
        x, y = np.meshgrid(np.linspace(-0.6, 1.3, 80), np.linspace(-1.4, 1.4, 80))
        left.contour(x, y, x**2 / 2 + y**4 / 4 - y**2 / 2, 25, colors="#BBBBBB", linewidths=1)
        names = f"gradient descent, alpha = {ALPHA}", f"three replicas, alpha = {ALPHA}"
        for points, name, i in zip(paths(), names, (1, 0), strict=True):
            look = {"color": panels.COLOURS[i], "marker": panels.MARKERS[i], "label": name}
            look |= {"linewidth": 5, "markersize": 9} if i else {"markersize": 5}
            left.plot(*points.T, **look)
            right.plot([value(point) for point in points], **look)
        left.plot(0, 0, "k+", markersize=18, markeredgewidth=3)
        left.plot([0, 0], [1, -1], "k*", markersize=14)
        left.set(xlabel="x", ylabel="y", title="x^2/2 + y^4/4 - y^2/2: saddle (+) and minima (stars)")
        right.set(xlabel="steps", ylabel="f", title="gradient descent waits at the saddle; H^-1 g stays there")
        right.legend()
    return drawn


def figure_2(lines):
    from matplotlib.figure import Figure

    columns = list(itertools.product(DATA, NONLINEARITIES))
    with plots.style():
        drawn = Figure(figsize=(19, 11), layout="constrained")
        drawn.suptitle(f"Five-layer convolutional network, 15,958 parameters, batch {BATCH}")
        axes = drawn.subplots(2, 4)
        for (above, below), place in zip(axes.T, columns, strict=True):
            curves(above, lines, *place)
            ends(below, lines, *place)
        axes[0, 0].set_ylabel(f"training loss, rate {RATES[0]:g}")
        axes[1, 0].set_ylabel("loss above SGD's, %")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        drawn.legend(handles, labels, loc="outside lower center", ncols=len(LOOKS))
    return drawn


def curves(ax, lines, data, nonlinearity):
    """Mean loss against steps; it ends where a seed does."""
    for name, i in LOOKS.items():
        found = list(of(lines, data, nonlinearity, RATES[0], name).values())
        if found:
            steps = EVERY * np.arange(len(found[0]))
            ax.plot(steps, np.mean(found, axis=0), color=panels.COLOURS[i], marker=panels.MARKERS[i], label=name)
    seeds = len(of(lines, data, nonlinearity, RATES[0], "SGD"))
    ax.set(title=f"{data}, {nonlinearity}, {seeds} seeds", xlabel="steps")


def ends(ax, lines, data, nonlinearity):
    """Loss at the end above SGD's, by method: filled per step, open per gradient; all seeds."""
    names = list(METHODS)[1:]
    for at, name in enumerate(names):
        for per, shift in ((False, -0.15), (True, 0.15)):
            values = gains(lines, data, nonlinearity, RATES[0], name, per)
            colour = panels.COLOURS[("own-batch", "same-batch", "pairs").index(name.split()[0])]
            face = "white" if per else colour
            ax.plot([at + shift] * len(values), values, "o", color=colour, markerfacecolor=face)
    ax.axhline(0, color="black", linewidth=1)
    ax.set_xticks(range(len(names)), names, rotation=60, ha="right")
    ax.set_title("per step: filled; per gradient: open")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--as-is", action="store_true")
    parser.add_argument("--seeds", type=int, default=5, metavar="N")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent)
    args = parser.parse_args()
    path = None if args.fast else args.folder / "fig_replicas.jsonl"
    wanted = [] if args.as_is else list(cells(min(args.seeds, 2) if args.fast else args.seeds))
    if args.fast:
        wanted = [cell for cell in wanted if cell[2] == RATES[0]]
    lines = made(wanted, path, args.fast)
    text = written(lines)
    (args.folder / "fig_replicas.txt").write_text(text, encoding="utf-8", newline="\n")
    print(text)
    plots.save(figure_1(), args.folder / "fig_replicas_1.png")
    plots.save(figure_2(lines), args.folder / "fig_replicas_2.png")


if __name__ == "__main__":
    main()
