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
are many; 600 passes (curves) and 150 (MNIST) for the 7,500 and 2,500 of the paper's NAG; four trials a method and data
set, on seed 100, for half of the passes; one reported seed for ten. --budget multiplies the cases and passes of these
two. The longer runs have fewer passes than the paper's too, 1,500 and 300; their trials are 30 passes over 10,000
digits.
--fast has tiny networks and keeps nothing; --as-is runs nothing.
"""

import argparse
import json
import math
import os
import sys
from pathlib import Path

import numpy as np
from autoencoder_runs import Scale, ends, made

from refhf.lab.plots import history_axes, run_figures
from refhf.lab.runs.json_lines import read_json_lines
from refhf.text import columns

METHODS = {"gn-cg": ("-", "o", 0), "nag": ("--", "s", 1), "sgd": (":", "^", 6)}  # dash, marker, colour
OPTIONS = {"gn-cg": "damping", "nag": "learning_rate", "sgd": "learning_rate"}  # what the trials choose
CURVES = {  # our choice; the last of each was added because sgd's best was the largest
    "gn-cg": (45.0, 3.0, 0.2, 12.0),  # the first is that of Martens' code
    "nag": (0.1, 0.03, 0.01, 0.05),
    "sgd": (0.1, 0.03, 0.01, 0.3),
}
DIGITS = {  # our choice: curves' rates leave NAG on the plateau for good, so the digits have trials of their own
    "gn-cg": (45.0, 12.0, 3.0, 150.0),
    "nag": (0.05, 0.02, 0.01, 0.003),
    "sgd": (0.1, 0.03, 0.01, 0.003),
}
TRIALS = {"curves": CURVES, "mnist": DIGITS, "mnist-10000": DIGITS}
TRIED_ON = {"mnist-60000": "mnist-10000"}  # a data set without trials: the one whose choice it has
TUNING = 100
PAPER = {  # Table 1: SGD, NAG (the best of its momenta), HF without weight decay, HF of 2010
    "curves": {"SGD": 0.48, "HF of 2010": 0.11, "NAG": 0.074, "HF": 0.058},
    "mnist": {"SGD": 2.1, "HF of 2010": 1.40, "NAG": 0.73, "HF": 0.69},
}
PAPER |= {"mnist-10000": PAPER["mnist"], "mnist-60000": PAPER["mnist"]}
NAMES = {"curves": "CURVES-like", "mnist": "MNIST", "mnist-10000": "MNIST, longer", "mnist-60000": "all of MNIST"}

SCALES = {
    "curves": Scale((400, 200, 100, 50, 25, 6), 1000, 4, 600, 1, 300),
    "mnist": Scale((1000, 500, 250, 30), 1000, 8, 150, 1, 75),
    "mnist-10000": Scale((1000, 500, 250, 30), 10_000, 8, 1500, 1, 30, 8),
    "mnist-60000": Scale((1000, 500, 250, 30), 60_000, 8, 300, 1, 0, 8),
}
LONG = "mnist-10000", "mnist-60000"  # an hour of a core each for gn-cg
FAST = {"curves": Scale((8, 2), 40, 4, 4, 1, 2), "mnist": Scale((8, 3), 40, 4, 4, 1, 2)}


def trials_of(name, scale, methods=METHODS) -> list[tuple]:
    """The trials on a data set, as `made` wants them."""
    return [(m, TUNING, {OPTIONS[m]: value}, scale.tried) for m in methods for value in TRIALS[name][m]]


def completed(name, scales, folder, data_dir, methods) -> list[dict]:
    """The trials and the reported runs of a data set, those that are missing made."""
    place, scale = TRIED_ON.get(name, name), scales[name]
    wanted = trials_of(place, scales[place], methods)
    tried = made(place, scales[place], file_of(folder, place), data_dir, wanted)
    best = chosen(tried)
    wanted = [(m, seed, best[m], scale.passes) for seed in range(scale.seeds) for m in methods]
    return tried + made(name, scale, file_of(folder, name), data_dir, wanted)


def file_of(folder, name) -> Path | None:
    """The file of a data set's lines; None where nothing is kept."""
    return folder and folder / f"{name}.jsonl"


def chosen(trials) -> dict[str, dict]:
    """Of each method the options with the least squared error in the trials on a data set."""
    methods = dict.fromkeys(line["method"] for line in trials)
    return {m: min((line for line in trials if line["method"] == m), key=ends)["options"] for m in methods}


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


def written(scales, trials: Runs, runs: Runs) -> str:
    parts = []
    for name, lines in trials.items():
        parts.append(f"trials on {NAMES[name]}, seed {TUNING}, {scales[name].tried} passes: squared error at the end")
        parts += [*columns([[line["method"], json.dumps(line["options"]), f"{ends(line):.4g}"] for line in lines]), ""]
    for name, lines in runs.items():
        scale = scales[name]
        parts.append(f"{NAMES[name]}, {scale.cases} cases, {scale.passes} passes: training squared error at the end")
        table = [["", "seed", "passes", "products", "squared error", "passes to the 2010 value"]]
        for line in lines:
            passes, seen = crossing(line, PAPER[name]["HF of 2010"])
            said = f"{passes:.0f}" if seen else f"{passes:.3g} by extrapolation"
            last = [f"{line['curve'][key][-1]:.5g}" for key in ("passes", "products")]
            table.append([line["method"], str(line["seed"]), *last, f"{ends(line):.4g}", said])
        parts += [*columns(table), ""]
    return "\n".join(parts)


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


def grown(budget) -> dict[str, Scale]:
    """The scales, of which the budget multiplies the cases and passes of the small ones."""
    return {
        name: scale
        if name in LONG
        else scale._replace(cases=scale.cases * budget, passes=scale.passes * budget, tried=scale.tried * budget)
        for name, scale in SCALES.items()
    }


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
    scales, folder = FAST if args.fast else grown(args.budget), None if args.fast else args.folder / "fig_autoencoder"
    if folder:
        folder.mkdir(exist_ok=True)
    makes = [] if args.as_is else [args.only] if args.only else [name for name in scales if name not in LONG]
    trials, runs = {}, {}
    for name in scales:
        path, lines = file_of(folder, name), []
        if name in makes:
            lines = completed(name, scales, folder, args.data_dir, [args.method] if args.method else [*METHODS])
        lines = read_json_lines(path) or lines
        trials[name] = [line for line in lines if line["seed"] == TUNING]
        runs[name] = [line for line in lines if line["seed"] != TUNING]
    trials = {name: lines for name, lines in trials.items() if lines}
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
