"""The runs that a page without an engine has: from a grid of starts, at the sliders' stops, compressed."""

import base64
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import NamedTuple

import numpy as np

from refhf.lab.saddle import page_paths, page_scene, page_settings
from refhf.lab.saddle.trajectories import trace_path
from refhf.surfaces.stationary_points import Surface

# Our choices.
STARTS = 9  # grid points an axis at most
APART = 2  # with a slider away from its default every second grid point has runs
TEXTS = "ending", "end", "right", "outcome", "why"


class Variant(NamedTuple):
    """Runs of a method with one setting away from its default, or with none.

    Attributes
    ----------
    method : str
    changed : dict
        The setting and its value, or empty.
    starts : tuple of int
        Numbers of the starts that it is run from.
    """

    method: str
    changed: dict[str, float]
    starts: tuple[int, ...]


def packed_surface(
    surface: Surface,
    names: Sequence[str],
    *,
    start=None,
    seed: int,
    steps: int,
    starts: int | None,
    listen: Callable[[float], object],
) -> str:
    """A surface's scene, starts and runs: JSON, deflated, in base64; `listen` is called with the share that is done."""
    grid, few = grid_of_starts(surface, starts or STARTS)
    shown = page_scene.scene(surface, start)
    every = [*grid, *page_scene.special_starts(surface, surface.start if start is None else np.asarray(start)).values()]
    few += range(len(grid), len(every))
    planned = list(variants(names, tuple(range(len(every))), tuple(few)))
    total, done, reasons, runs = sum(len(one.starts) for one in planned), count(1), {}, []
    for one in planned:
        options = page_settings.setting_options(surface, one.method, one.changed)
        for i in one.starts:
            path = trace_path(surface, one.method, every[i], steps=steps, seed=seed, **options)
            runs.append(page_paths.trajectory_facts(path, reasons))
            listen(next(done) / total)
    store = {
        "starts": [page_scene.shown_point(theta) for theta in every],
        "grid": len(grid),
        "variants": [one._asdict() for one in planned],
        "reasons": list(reasons),
        **columns(runs),
    }
    text = json.dumps(shown | {"store": store}, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def variants(names: Sequence[str], every: tuple[int, ...], few: tuple[int, ...]) -> Iterator[Variant]:
    """The variants in the order in which their runs are stored."""
    for name in names:
        yield Variant(name, {}, every)
        for key in page_settings.settings_of(name):
            setting = page_settings.SETTINGS[key]
            for value in setting.stops:
                if value != setting.default:
                    yield Variant(name, {key: value}, few)


def columns(runs: Sequence[dict]) -> dict:
    """The runs column by column, which compresses better: rows in each run, numbers, bends, and texts by number."""
    texts: dict[tuple, int] = {}
    width = len(page_paths.COLUMNS)
    return {
        "rows": [len(run["numbers"]) // width for run in runs],
        "numbers": [[x for run in runs for x in run["numbers"][i::width]] for i in range(width)],
        "bends": {str(i): run["bends"] for i, run in enumerate(runs) if run["bends"]},
        "says": [texts.setdefault(tuple(run[name] for name in TEXTS), len(texts)) for run in runs],
        "texts": [dict(zip(TEXTS, text, strict=True)) for text in texts],
    }


def grid_of_starts(surface: Surface, most: int) -> tuple[list[np.ndarray], list[int]]:
    """Starts at multiples of a round number inside the window, row by row; the numbers of every second of them."""
    assert surface.window is not None
    axes = []
    for low, high in (surface.window[:2], surface.window[2:]):
        by = next(by for by in page_scene.SPACINGS if np.ceil((high - low) / by) - 1 <= most)
        axes.append([(k, round(k * by, 10) + 0.0) for k in range(int(np.floor(low / by)) + 1, int(np.ceil(high / by)))])
    grid = [(i, j, np.array([x, y])) for j, y in axes[1] for i, x in axes[0]]
    return [theta for *_, theta in grid], [n for n, (i, j, _) in enumerate(grid) if i % APART == j % APART == 0]
