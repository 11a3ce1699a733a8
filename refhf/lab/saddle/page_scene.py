"""The facts about a surface that the classroom page draws in addition to the trajectories."""

from collections.abc import Sequence

import numpy as np

from refhf.lab.saddle import escape_reasons, page_paths, page_settings, saddle_table, saddle_wording
from refhf.lab.saddle.saddle_ground import height_map
from refhf.lab.saddle.saddle_methods import SADDLE_METHODS
from refhf.lab.saddle.trajectories import within
from refhf.surfaces.stationary_points import Surface

# Our choices.
HEIGHTS = 61  # an axis; between them the page interpolates with cubics
OFF = 1e-6  # distance from the stable directions of the start beside them
TICKS = 5  # an axis, at most
ROUND = tuple(float(f"{m}e{k}") for k in range(-6, 12) for m in (1, 2, 5))
SPACINGS = tuple(sorted((*ROUND, *(float(f"25e{k}") for k in range(-6, 11)))))  # of a grid of starts
SIGNS = {
    "o": "circle", "s": "square", "^": "triangle", "D": "diamond", "v": "down", "P": "plus", "X": "cross", "*": "star",
    "<": "left", ">": "right", "p": "pentagon", "h": "hexagon",
}  # fmt: skip


def page_facts(names: Sequence[str]) -> dict:
    """The facts that belong to no surface: methods, settings and words."""
    return {
        "columns": page_paths.COLUMNS,
        "methods": [method_facts(name) for name in names],
        "settings": {name: setting._asdict() for name, setting in page_settings.SETTINGS.items()},
        "says": saddle_wording.GROUP_WORDS,
    }


def method_facts(name: str) -> dict:
    """A method's name, look, plain words, source and settings."""
    look = SADDLE_METHODS[name]
    return {
        "name": name,
        "words": saddle_wording.IN_PLAIN_WORDS[name],
        "source": saddle_wording.SOURCES[name],
        "colour": look.colour,
        "dash": look.dash,
        "sign": SIGNS[look.marker],
        "settings": page_settings.settings_of(name),
    }


def scene(surface: Surface, start=None) -> dict:
    """The map, the stationary points on it, and the named starts; `start` replaces the surface's own."""
    assert surface.window is not None
    bent = escape_reasons.negative_curvature_directions(surface) is not None
    special = special_starts(surface, surface.start if start is None else np.asarray(start, float))
    _, _, f, levels = height_map(surface, HEIGHTS)
    return {
        "name": surface.name,
        "surface": saddle_wording.raise_powers(surface.description).replace(" - ", " \u2212 "),
        "window": surface.window,
        "question": saddle_wording.QUESTIONS[surface.saddle is None],
        "off": f"distance from {saddle_table.name_stable_directions(surface)}" if bent else None,
        "stationary": [
            {"kind": p.kind, "point": shown_point(p.theta), "seen": within(surface, p.theta)}
            for p in surface.stationary
        ],
        "largest": page_paths.largest_curvature(surface),
        "levels": [page_paths.short(level, 5) for level in levels],
        "heights": [page_paths.short(height, 4) for height in f.ravel()],
        "ticks": [map_ticks(*axis) for axis in (surface.window[:2], surface.window[2:])],
        "special": list(special),
        "named": [shown_point(theta) for theta in special.values()],
    }


def shown_point(theta) -> list:
    """A point for JSON, to the last bit, so that it is on a line if the point is."""
    return [page_paths.short(x, 17) for x in theta]


def map_ticks(low: float, high: float) -> list:
    """Multiples of a round number inside an axis, at most TICKS."""
    by = next((by for by in ROUND if (high - low) / by < TICKS), high - low)
    return [page_paths.short(k * by, 6) for k in range(int(np.floor(low / by)) + 1, int(np.ceil(high / by)))]


def special_starts(surface: Surface, start) -> dict:
    """Named starts: the given one, one slightly off it, and the saddle, if they exist."""
    found = {saddle_wording.true_minus(saddle_table.format_point(start)): start}
    directions = escape_reasons.negative_curvature_directions(surface)
    if directions is not None:
        found["10\u207b\u2076 beside"] = start + OFF * directions[0]
    if surface.saddle is not None:
        found["the saddle"] = surface.saddle.theta
    return found
