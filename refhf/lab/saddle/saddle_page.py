"""The classroom page as one HTML file: refhf computes, the browser draws."""

import json
from collections.abc import Callable, Sequence
from importlib import resources

from refhf.lab.saddle import page_scene, page_store
from refhf.lab.saddle.page_requests import FLAT_SURFACES, STEPS
from refhf.surfaces.stationary_points import Surface

SCRIPTS = "state", "store", "drawing", "ground", "map", "chart", "panel", "basins", "address", "picture", "controls"
STARTS = {"saddle": 11}  # grid points an axis of the surface that is shown first; our choice


def saddle_page(
    surfaces: Sequence[Surface],
    names: Sequence[str],
    *,
    start=None,
    seed: int = 0,
    steps: int = STEPS,
    starts: int | None = None,
    lessons: str = "",
    listen: Callable[[float], object] = lambda done: None,
) -> str:
    """The page (HTML), with runs from a grid of starts.

    Parameters
    ----------
    surfaces : sequence of Surface
        The first one is shown first.
    names : sequence of str
        Keys of SADDLE_METHODS.
    start : array (2,), optional
        The start shown first; each surface's own if None.
    seed, steps : int
        The seed and the most steps of each path.
    starts : int, optional
        Grid points an axis, at most; STARTS if None.
    lessons : str
        The address of the folder of lessons that the page links to, ending in a slash.
    listen : callable
        Called with the share that is done, from 0 to 1.

    Raises
    ------
    ValueError
        For a surface of another dimension.
    """
    packed = {}
    for i, surface in enumerate(surfaces):
        if surface.window is None:
            raise ValueError(
                f"surface: expected one of two parameters for a page; got {surface.name!r} of {surface.size}"
            )
        packed[surface.name] = page_store.packed_surface(
            surface,
            names,
            start=start,
            seed=seed,
            steps=steps,
            starts=starts or STARTS.get(surface.name, page_store.STARTS),
            listen=lambda share, before=i: listen((before + share) / len(surfaces)),
        )
    return page_text(surfaces, names, packed=packed, seed=seed, steps=steps, lessons=lessons)


def page_text(surfaces: Sequence[Surface], names: Sequence[str], **more) -> str:
    """The page (HTML) with these data besides the facts about the methods."""
    titles = {surface.name: surface.description.split(",")[0] for surface in surfaces}
    data = json.dumps(
        page_scene.page_facts(names) | {"surfaces": titles, **more}, separators=(",", ":"), allow_nan=False
    ).replace("<", "\\u003c")
    parts = {"STYLE": _file("page.css"), "SCRIPT": "\n".join(_file(f"{name}.js") for name in SCRIPTS), "DATA": data}
    page = _file("page.html")
    for name, part in parts.items():
        page = page.replace(f"{{{name}}}", part)
    return page


def served_page(names: Sequence[str]) -> str:
    """The page (HTML) for a server that answers requests at `answer`: it has no runs of its own."""
    return page_text(list(FLAT_SURFACES.values()), names, packed={}, seed=0, steps=STEPS, lessons="", served=True)


def _file(name):
    return resources.files("refhf.lab.saddle").joinpath("page", name).read_text(encoding="utf-8")
