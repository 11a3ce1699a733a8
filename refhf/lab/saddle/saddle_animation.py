"""The figure of the saddle lab as an animated .gif, step by step."""

from collections.abc import Sequence

from refhf.lab.plots import run_figures
from refhf.lab.saddle import saddle_figure
from refhf.lab.saddle.trajectories import Trajectory

FRAMES = 30  # steps at most, our choice
PER_SECOND = 3
HOLD = 9  # frames of the last picture, a pause before the animation repeats
DPI = 50  # 800 by 450 points


def save_animation(paths: Sequence[Trajectory], file) -> None:
    """Write trajectories from one start over one surface as an animation."""
    last = min(FRAMES, max(len(path.points) - 1 for path in paths))
    frames = [*range(last + 1), *[None] * HOLD]
    figure = saddle_figure.saddle_figure(paths, 0)
    from matplotlib.animation import FuncAnimation, PillowWriter

    figure.set_dpi(DPI)

    def draw(upto):
        figure.clear()
        saddle_figure.draw_saddle_figure(figure, paths, upto)
        return []

    with run_figures.figure_style():
        FuncAnimation(figure, draw, frames, init_func=list, blit=False).save(file, PillowWriter(PER_SECOND), dpi=DPI)
