"""Figures 2, 4, 7 and 8 of Adya et al. 2018 on their kind of network: a residual network with batch normalisation.

    python figures/fig_adya_resnet.py [--fast | --as-is] [--budget B] [--data-dir DIR] [--only NAME] [FOLDER]

writes fig_adya_resnet.png and fig_adya_resnet.txt, by default into this folder, from the runs in its
fig_adya_resnet/*.jsonl, one per line. Missing runs are made first, seed by seed; an interrupted script resumes. The
paper trains ResNet-50 on ImageNet and ResNet-32 on CIFAR-100. Here it is ResNet-8 of width 4, relu, batch normalisation
over groups of 128 cases (the paper's native batch), on the first 4,096 cases of Fashion-MNIST and of CIFAR-10 (a copy
of it that went through JPEG, where DIR has that), images averaged to half their side, in float32.

    schedule   sgd, momentum, rmsprop, nlcg-fr, nlcg-pr; batches 128, 512 and all the cases; 30 epochs; 5 seeds
    longer     all the cases in a batch, for the paper's 90 epochs; 3 seeds

All have the paper's schedule. rmsprop has epsilon = 1.0, as the authors' published code. --budget B multiplies seeds
and cases; the paper's batches up to 65,536 are cut, and with them width and pixels, to what two cores do in some
hours. --only makes the runs of one data set, so that two processes can share the work. --fast has 64 cases and keeps
nothing; --as-is runs nothing.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from fig_adya_large_batches import curves, say, table

from refhf.data.data_sets import DataSet, load
from refhf.lab.plots import history_axes, run_figures
from refhf.lab.runs.json_lines import read_json_lines
from refhf.lab.runs.network_choice import NetworkChoice, square_images
from refhf.lab.sweep.sweep_figure import plot_against_batch
from refhf.lab.sweep.sweep_grid import Configuration, SweepSetting
from refhf.lab.sweep.sweep_runs import run_sweep
from refhf.lab.sweep.sweep_summary import columns, seed_groups

METHODS = ("sgd", "momentum", "rmsprop", "nlcg-fr", "nlcg-pr")
SCHEDULE = {"learning_rate": "adya-2018"}
TESTS = 2048  # cases to test on; our choice
OWN = {"rmsprop": {"epsilon": 1.0}}  # apple/ml-ncg
DATA = {"fashion-mnist": "Fashion-MNIST", "cifar-10": "CIFAR-10 (JPEG copy)"}


class Scale(NamedTuple):
    """The scale of the figure."""

    cases: int
    batches: tuple[int, ...]  # and all the cases in one
    width: int
    group: int
    epochs: int
    longer: int
    seeds: int
    longer_seeds: int


FULL = Scale(4096, (128, 512), 4, 128, 30, 90, 5, 3)
FAST = Scale(64, (32,), 1, 32, 6, 7, 2, 1)
Runs = dict[str, list[dict]]  # the lines of the two parts


def halved(X):
    """The images (B, n_0) averaged over squares of 2 x 2 pixels, (B, n_0 / 4)."""
    rows, columns, channels = square_images(X.shape[1])
    squares = X.reshape(len(X), rows // 2, 2, columns // 2, 2, channels)
    return np.ascontiguousarray(squares.mean(axis=(2, 4)).reshape(len(X), -1))


def made(scale: Scale, name: str, folder: Path | None, data_dir=None) -> Runs:
    """The runs that are in the folder, if there is one, and those that it lacks."""
    whole = load(name, dtype="float32", data_dir=data_dir)
    X, y = (x[: scale.cases] for x in whole[1:3])
    X_test, y_test = (x[: min(TESTS, scale.cases)] for x in whole[3:5])
    data = DataSet(name, halved(X), y, halved(X_test), y_test)
    network = NetworkChoice("resnet-8", width=scale.width, group=scale.group)

    def run(part, batches, epochs, seeds):
        chosen = [
            Configuration(method, batch, seed, SCHEDULE | OWN.get(method, {}))
            for seed in range(seeds)
            for batch in batches
            for method in METHODS
        ]
        path = folder and folder / f"{name}_{part}.jsonl"
        return run_sweep(SweepSetting(data, network, steps=epochs), chosen, path, say)

    return {
        "schedule": run("schedule", (*scale.batches, scale.cases), scale.epochs, scale.seeds),
        "longer": run("longer", (scale.cases,), scale.longer, scale.longer_seeds),
    }


def there(name: str, folder: Path) -> Runs:
    """The runs that are in the folder."""
    return {part: read_json_lines(folder / f"{name}_{part}.jsonl") for part in ("schedule", "longer")}


def written(scale: Scale, name: str, runs: Runs) -> str:
    """The tables of a data set."""
    tables = {"schedule": f"{scale.epochs} epochs", "longer": f"{scale.longer} epochs"}
    parts = [
        f"{tables[part]}\n" + "\n".join(columns(table(seed_groups(lines)))) for part, lines in runs.items() if lines
    ]
    return (
        f"{DATA.get(name, name)}, {scale.cases} cases, resnet-8 of width {scale.width}\n\n" + "\n\n".join(parts) + "\n"
    )


def figure(scale: Scale, found: dict[str, Runs]):
    """A row for each data set: training loss of the largest batch, and test error against the batch."""
    from matplotlib.figure import Figure

    with run_figures.figure_style():
        drawn = Figure(figsize=(11, 4.2 * len(found) + 1), layout="constrained")
        axes = drawn.subplots(len(found), 2, squeeze=False)
        for (name, runs), line in zip(found.items(), axes, strict=True):
            groups = seed_groups(runs["schedule"])
            largest = max(row.batch for row in groups)
            curves(line[0], [row for row in groups if row.batch == largest])
            line[0].set_title(f"{DATA.get(name, name)}: training loss, batch {largest}")
            plot_against_batch(line[1], groups, lambda row: row.statistic("test_error"), history_axes.percent)
            line[1].set_title(f"test error after {scale.epochs} epochs")
        drawn.legend(*axes[0, 1].get_legend_handles_labels(), loc="outside lower center", ncols=len(METHODS))
    return drawn


def main():
    """Make the runs, the tables and the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--as-is", action="store_true")
    parser.add_argument("--budget", type=int, default=1, metavar="B", help="multiplies seeds and cases; default: 1")
    parser.add_argument("--data-dir", default=os.environ.get("REFHF_DATA_DIR"), metavar="DIR")
    parser.add_argument("--only", choices=DATA, help="make the runs of this data set; default: of both")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent)
    args = parser.parse_args()
    grown = {name: getattr(FULL, name) * args.budget for name in ("cases", "seeds", "longer_seeds")}
    scale = FAST if args.fast else FULL._replace(**grown)
    folder, found = args.folder / "fig_adya_resnet", {}
    for name in ["mnist-mini"] if args.fast else DATA:
        kept = args.as_is or not (args.fast or args.data_dir) or args.only not in (None, name)
        if kept:
            found[name] = there(name, folder)
        else:
            found[name] = made(scale, name, None if args.fast else folder, args.data_dir)
    found = {name: runs for name, runs in found.items() if runs["schedule"]}
    text = "\n".join(written(scale, name, runs) for name, runs in found.items())
    (args.folder / "fig_adya_resnet.txt").write_text(text, encoding="utf-8", newline="\n")
    run_figures.save_figure(figure(scale, found), args.folder / "fig_adya_resnet.png")
    print(text)


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="replace")  # where it is ASCII, "?" for the sign of plus or minus
    main()
