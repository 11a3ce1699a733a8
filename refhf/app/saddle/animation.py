"""The lab's picture, step by step: a .gif."""

from collections.abc import Sequence

from refhf.app import plots
from refhf.app.saddle import picture
from refhf.app.saddle.trajectories import Path

FRAMES = 30  # steps at most, our choice
PER_SECOND = 3
HOLD = 9  # frames of the last picture, so that it is seen before the first comes again
DPI = 50  # 800 by 450 points


def save(paths: Sequence[Path], file) -> None:
    """Write the paths, from one start over one surface, as an animation."""
    last = min(FRAMES, max(len(path.points) - 1 for path in paths))
    frames = [*range(last + 1), *[None] * HOLD]
    figure = picture.picture(paths, 0)
    from matplotlib.animation import FuncAnimation, PillowWriter

    figure.set_dpi(DPI)

    def draw(upto):
        figure.clear()
        picture.draw(figure, paths, upto)
        return []

    with plots.style():
        FuncAnimation(figure, draw, frames, init_func=list, blit=False).save(file, PillowWriter(PER_SECOND), dpi=DPI)
