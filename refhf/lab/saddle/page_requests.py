"""The engine of the classroom page: requests and answers as JSON, the same for a server and for a browser.

A request names what is asked for and a surface: `{"ask": "scene", "surface": "saddle"}`, or `"function"`, an expression
in x and y, with a `"window"` [x from, x to, y from, y to].
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from refhf import checks
from refhf.lab.saddle import page_paths, page_scene, page_settings, saddle_wording
from refhf.lab.saddle.saddle_methods import DEFAULT_METHODS, SADDLE_METHODS
from refhf.lab.saddle.trajectories import trace_path
from refhf.surfaces.saddles import SURFACES
from refhf.surfaces.stationary_points import Surface
from refhf.surfaces.typed_surface import typed_surface

# Our choices.
STEPS = 200  # of a path at most, as in the command's table
MOST_STEPS = 1000
MOST_STARTS = 100  # in one request for ends, so that the page can paint and stop between requests
FLAT_SURFACES = {name: surface for name, surface in SURFACES.items() if surface.window}
SURFACE_FIELDS = "surface", "function", "window"


def answer(text: str) -> str:
    """The answer to a request.

    Parameters
    ----------
    text : str
        A JSON object. `ask` is "scene", "runs" or "ends"; "runs" has `start` [x, y], "ends" has `starts` and `method`.
        Optional: `methods`, `settings` (an object of page_settings.SETTINGS), `seed`, `steps`.

    Returns
    -------
    str
        A JSON object; `{"error": sentence}` for a request that cannot be answered.

    Examples
    --------
    >>> answer('{"ask": "ends", "surface": "saddle", "method": "newton", "starts": [[1, 0], [0, 0.9]]}')
    '{"ends":["saddle","minimum 0"]}'
    """
    try:
        found = _answer(json.loads(text))
    except (ValueError, OverflowError, RecursionError) as wrong:
        found = {"error": str(wrong) or type(wrong).__name__}
    return json.dumps(found, separators=(",", ":"), allow_nan=False)


@np.errstate(all="ignore")  # what is not finite is an ending
def _answer(given) -> dict:
    if not isinstance(given, dict):
        raise ValueError(f"request: expected a JSON object; got {type(given).__name__}")
    asked, fields = QUESTIONS[checks.choice("ask", given.get("ask"), QUESTIONS)]
    checks.option_names(given, ("ask", *SURFACE_FIELDS, *fields), "the request")
    return asked(_surface(given), given)


def _surface(given: Mapping[str, Any]) -> Surface:
    if "function" not in given:
        return FLAT_SURFACES[checks.choice("surface", given.get("surface"), FLAT_SURFACES)]
    text = given["function"]
    if not isinstance(text, str):
        raise ValueError(f"function: expected an expression in x and y; got {text!r}")
    return typed_surface(text, given.get("window", (-2, 2, -2, 2)))


def _scene(surface, given):
    return page_scene.scene(surface)


def _runs(surface, given):
    start, reasons = checks.array("start", given.get("start"), (2,), np.float64), {}
    names = given.get("methods", list(DEFAULT_METHODS))
    if not isinstance(names, list):
        raise ValueError(f"methods: expected a list; got {names!r}")
    runs = [page_paths.trajectory_facts(_path(surface, name, start, given), reasons) for name in names]
    return {"runs": runs, "reasons": list(reasons)}


def _ends(surface, given):
    starts = checks.array("starts", given.get("starts"), (None, 2), np.float64)
    if len(starts) > MOST_STARTS:
        raise ValueError(f"starts: expected at most {MOST_STARTS}; got {len(starts)}")
    return {"ends": [_end(_path(surface, given.get("method"), start, given)) for start in starts]}


def _end(path) -> str:
    reached = page_paths.minimum_reached(path)
    return saddle_wording.ending_group(path) if reached < 0 else f"minimum {reached}"


def _path(surface, name, start, given):
    checks.choice("method", name, SADDLE_METHODS)
    settings = given.get("settings", {})
    if not isinstance(settings, dict):
        raise ValueError(f"settings: expected an object; got {settings!r}")
    options = page_settings.setting_options(surface, name, settings)
    steps = checks.positive_integer("steps", given.get("steps", STEPS), maximum=MOST_STEPS)
    return trace_path(surface, name, start, steps=steps, seed=checks.whole("seed", given.get("seed", 0)), **options)


QUESTIONS: dict[str, tuple[Callable[[Surface, Mapping[str, Any]], dict], tuple[str, ...]]] = {
    "scene": (_scene, ()),
    "runs": (_runs, ("start", "methods", "settings", "seed", "steps")),
    "ends": (_ends, ("starts", "method", "settings", "seed", "steps")),
}
