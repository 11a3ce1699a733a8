"""The sliders of the classroom page: what a setting is called, its range, and the methods that it belongs to."""

from collections.abc import Mapping
from typing import NamedTuple

from refhf import checks
from refhf.lab.saddle.saddle_methods import DELTA_0, NOISE, SADDLE_METHODS, gradient_rate
from refhf.surfaces.stationary_points import Surface


class Setting(NamedTuple):
    """A setting of the page.

    Attributes
    ----------
    option : str
        The option of the methods that it sets.
    label, words : str
        The technical name and the plain one.
    default, low, high : float
        The range is that of a logarithmic slider.
    stops : tuple of float
        The values that a page without an engine has runs for.
    """

    option: str
    label: str
    words: str
    default: float
    low: float
    high: float
    stops: tuple[float, ...]


SETTINGS = {  # ranges and stops are our choices; beyond a rate of 2/L gradient descent diverges
    "rate": Setting("learning_rate", "rate \u00d7 L", "length of a step downhill", 1.0, 0.1, 2.5, (0.3, 1.0, 1.9, 2.1)),
    "noise": Setting("noise", "noise", "how much it shakes", NOISE, 0.001, 1.0, (0.01, NOISE, 0.3)),
    "delta_0": Setting(
        "delta_0_norm", "|\u03b4\u2080|", "length of the random vector", DELTA_0, 0.001, 1.0, (0.01, DELTA_0, 1.0)
    ),
}


def settings_of(name: str) -> list[str]:
    """The settings that a method of the lab has."""
    entry = SADDLE_METHODS[name]
    return [
        key
        for key, setting in SETTINGS.items()
        if setting.option in entry.options or (key == "rate" and entry.method == "gradient-descent")
    ]


def setting_options(surface: Surface, name: str, given: Mapping[str, float]) -> dict:
    """The options of a method for these settings; a setting that it does not have, or that is not given, sets nothing.

    Raises
    ------
    ValueError
        For a setting out of its range.
    """
    checks.option_names(given, SETTINGS, "the page")
    found = {}
    for key in settings_of(name):
        if key in given:
            setting = SETTINGS[key]
            value = checks.real(key, given[key], low=setting.low, high=setting.high)
            found[setting.option] = value * gradient_rate(surface) if key == "rate" else value
    return found
