"""A residual network with batch normalisation beside the plain convolutional network, on CIFAR-10.

    python figures/fig_resnet_convnet.py [--fast | --as-is] [--data-dir DIR] [FOLDER]

writes fig_resnet_convnet.png and fig_resnet_convnet.txt, by default into this folder, from the runs in its
fig_resnet_convnet/*.jsonl, one per line. Missing runs are made first; an interrupted script resumes. Both networks are
those of `refhf train --network`, of width 8, trained by momentum at batch 128 for 10 passes over the first 5,120 cases
of CIFAR-10 (a copy of it that went through JPEG, where DIR has that), in float32. Seed 100 chooses the rate by
the training loss, among factors of about 3, extended until the best is inside; seeds 0 to 4 are reported.
--fast has 64 cases of mnist-mini and keeps nothing; --as-is runs nothing.
"""

import argparse
import os
import statistics
import sys
from pathlib import Path

from fig_adya_large_batches import say

from refhf.data.data_sets import DataSet, load
from refhf.lab.plots import run_figures
from refhf.lab.runs.json_lines import read_json_lines
from refhf.lab.runs.network_choice import NetworkChoice
from refhf.lab.sweep.sweep_grid import SweepSetting, configurations
from refhf.lab.sweep.sweep_runs import run_sweep
from refhf.lab.sweep.sweep_summary import best_of_grid, columns, format_statistic, seed_groups

CASES, BATCH, PASSES, WIDTH = 5120, 128, 10, 8  # our choice: what a core does in twenty minutes
RATES = (0.01, 0.03, 0.1, 0.3, 1.0)
TUNING, SEEDS = (100,), (0, 1, 2, 3, 4)
NETWORKS = "convnet", "resnet-8"


def made(folder: Path | None, fast: bool, data_dir=None) -> dict[str, list[dict]]:
    """The lines of both networks: those of the tuning seeds at all rates, then those of SEEDS at the chosen one."""
    whole = load("mnist-mini" if fast else "cifar-10", dtype="float32", data_dir=data_dir)
    data = DataSet(whole.name, *(x[: 64 if fast else CASES] for x in whole[1:5]))
    lines = {}
    for name in NETWORKS:
        group = {"group": 32 if fast else BATCH} if name == "resnet-8" else {}
        network = NetworkChoice(name, width=1 if fast else WIDTH, **group)
        setting = SweepSetting(data, network, steps=2 if fast else PASSES)
        path, batches = folder and folder / f"{name}.jsonl", [32 if fast else BATCH]
        tuned = configurations(["momentum"], batches, TUNING, grid={"learning_rate": RATES[1:3] if fast else RATES})
        rate = chosen_rate(run_sweep(setting, tuned, path, say))
        reported = configurations(["momentum"], batches, SEEDS[: 2 if fast else None], {"learning_rate": rate})
        lines[name] = run_sweep(setting, tuned + reported, path, say)
    return lines


def there(folder: Path) -> dict[str, list[dict]]:
    """The lines that are in the folder."""
    return {name: read_json_lines(folder / f"{name}.jsonl") for name in NETWORKS}


def chosen_rate(lines: list[dict]) -> float:
    """The rate with the smallest mean training loss over the tuning seeds."""
    return best_of_grid(seed_groups([line for line in lines if line["seed"] in TUNING]))[0].options["learning_rate"]


def reported(lines: list[dict]) -> list[dict]:
    """The lines of SEEDS."""
    return [line for line in lines if line["seed"] in SEEDS]


def written(lines: dict[str, list[dict]]) -> str:
    """The rates tried, and the errors of the reported seeds."""
    head = ["network", "rate", "of the rates", "seeds", "training loss", "training error", "test error"]
    rows = []
    for name, found in lines.items():
        (group,), tuned = seed_groups(reported(found)), [line for line in found if line["seed"] in TUNING]
        rates = sorted({line["options"]["learning_rate"] for line in tuned})
        shown = [format_statistic(group.statistic("loss"))]
        shown += [format_statistic(group.statistic(key), 100, " %") for key in ("training_error", "test_error")]
        rows.append([name, f"{chosen_rate(found):g}", f"{rates[0]:g} to {rates[-1]:g}", str(len(group.lines)), *shown])
    return "\n".join(columns([head, *rows])) + "\n"


def figure(lines: dict[str, list[dict]]):
    """A row of dots for each network: the test errors of the reported seeds."""
    from matplotlib.figure import Figure

    with run_figures.figure_style():
        drawn = Figure(figsize=(7, 2.6), layout="constrained")
        axes = drawn.subplots()
        for row, found in enumerate(lines.values()):
            errors = [100 * line["test_error"] for line in reported(found)]
            axes.plot(errors, [row] * len(errors), "o", alpha=0.7)
            axes.plot([statistics.fmean(errors)] * 2, [row - 0.25, row + 0.25], "k-", linewidth=2)
        axes.set_yticks(range(len(lines)), lines)
        axes.set_ylim(-0.6, len(lines) - 0.4)
        axes.set_xlabel("test error, percent; a dot a seed, a bar their mean")
        axes.set_title(f"{PASSES} passes of momentum, each at its best rate")
    return drawn


def main():
    """Make the runs, the table and the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--as-is", action="store_true")
    parser.add_argument("--data-dir", default=os.environ.get("REFHF_DATA_DIR"), metavar="DIR")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent)
    args = parser.parse_args()
    folder = args.folder / "fig_resnet_convnet"
    if args.as_is or not (args.fast or args.data_dir):
        lines = there(folder)
    else:
        lines = made(None if args.fast else folder, args.fast, args.data_dir)
    text = written(lines)
    (args.folder / "fig_resnet_convnet.txt").write_text(text, encoding="utf-8", newline="\n")
    run_figures.save_figure(figure(lines), args.folder / "fig_resnet_convnet.png")
    print(text)


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="replace")  # where it is ASCII, "?" for the sign of plus or minus
    main()
