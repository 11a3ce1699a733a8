"""The heights of a surface on its map, and contour levels."""

import numpy as np

from refhf.surfaces.stationary_points import Surface

LEVELS = 22  # contours; our choice


def height_map(surface: Surface, n: int):
    """x (n,), y (n,), f (n, n) over the window, and contour levels that part it into equal areas."""
    assert surface.window is not None
    x0, x1, y0, y1 = surface.window
    x, y = np.linspace(x0, x1, n), np.linspace(y0, y1, n)
    f = surface.value(np.array(np.meshgrid(x, y)).reshape(2, -1)).reshape(n, n)
    return x, y, f, np.unique(np.quantile(f[np.isfinite(f)], np.linspace(0, 1, LEVELS)))
