"""Figure 1 of Adya et al. 2018: the learning rate of section 4.1, step by step.

    python figures/fig_adya_1_schedule.py [FOLDER]

writes fig_adya_1_schedule.png by default into this folder: on the left the paper's batch 65536 on ImageNet's
1,281,167 training images for 90 epochs, with warm-up over 30 of them; on the right batches 256, 2048 and 16384 of
60,000 cases for 40 epochs.
"""

import sys
from pathlib import Path

from refhf.lab.plots import history_axes, run_figures
from refhf.methods.schedules import adya_2018

DASHES = "-", "--", (0, (4, 1, 1, 1))
IMAGENET = 1_281_167  # training images, Russakovsky et al. 2015, table 1


def main(folder: Path) -> None:
    from matplotlib.figure import Figure

    with run_figures.figure_style():
        figure = Figure(figsize=(12, 4.8), layout="constrained")
        axes = figure.subplots(1, 2)
        for ax, cases, epochs, batches in (
            (axes[0], IMAGENET, 90, [65536]),
            (axes[1], 60_000, 40, [256, 2048, 16384]),
        ):
            for i, batch in enumerate(batches):
                rate = adya_2018(batch, cases, epochs)
                steps = range(1, rate.steps + 1)
                passed = [k * epochs / rate.steps for k in steps]
                ax.plot(passed, [rate(k) for k in steps], color=history_axes.COLOURS[i], linestyle=DASHES[i])
                height = 1.3 if batch == max(batches) or i else 0.12  # the lowest curve has its name below
                ax.text(rate.warm_up * epochs / rate.steps, height * rate.peak, f"batch {batch:,}")
            ax.set_yscale("log")
            ax.set_xlabel("epochs")
            ax.set_ylabel("learning rate")
            ax.set_title(f"{cases:,} cases, {epochs} epochs")
            ax.set_ylim(top=4 * rate.peak)
        figure.suptitle("Large batches warm up for longer, to 0.1 B / 256; then a factor every two epochs")
    run_figures.save_figure(figure, folder / "fig_adya_1_schedule.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
