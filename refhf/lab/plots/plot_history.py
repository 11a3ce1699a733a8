"""`refhf.plot_history`: histories on matplotlib axes."""

import math
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

from refhf import checks
from refhf.lab.plots import history_axes
from refhf.lab.plots.run_figures import curve_style
from refhf.lab.runs.run_history import history
from refhf.text import path_of


def plot_history(runs: Any, x: str = "step", y: str = "loss", *, ax: Any = None):
    """Plot the histories of runs, a curve each.

    Parameters
    ----------
    runs : result, history, folder, or a dict or list of these
        What `refhf.minimize` returns, its `history`, or the folder of `refhf train --out` or `refhf compare --out`.
        The keys of a dict name the curves.
    x, y : str
        Keys of the records, such as 'step', 'epochs' or 'curvature_products', and 'loss', 'gradient_norm',
        'training_error' or 'damping'. The y axis is logarithmic where no number is negative.
    ax : matplotlib axes, optional
        Where to plot; None is a new figure of pyplot.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        For runs without a history, or a key that one of the histories does not have.

    Examples
    --------
    >>> import refhf
    >>> sphere = refhf.from_functions(lambda x: x @ x, lambda x: 2 * x, lambda x, v: 2 * v)
    >>> results = {name: refhf.minimize(sphere, [3.0, 4.0], name) for name in ("hessian-cg", "gradient-descent")}
    >>> plot_history(results, y="gradient_norm")  # doctest: +SKIP
    """
    found = _histories(runs)
    for name, records in found.items():
        valid = [key for key in records[-1] if any(_is_number(record[key]) for record in records)]
        checks.choice(f"x of {name}", x, valid)
        checks.choice(f"y of {name}", y, valid)
    if ax is None:
        from matplotlib import pyplot

        ax = pyplot.subplots()[1]
    values = [record[y] for records in found.values() for record in records if _is_number(record[y])]
    logarithmic = min(values) >= 0 < max(values)
    floor = history_axes.floor_of(values) if logarithmic else None
    for i, (name, records) in enumerate(found.items()):
        heights = [history_axes.on_log(record[y], floor) for record in records]
        every = max(1, len(records) // 8)
        ax.plot([record[x] for record in records], heights, label=name, markevery=every, **curve_style(i))
    if logarithmic:
        history_axes.log_axis(ax, floor)
    ax.set_xlabel(x.replace("_", " "))
    ax.set_ylabel(y.replace("_", " "))
    if len(found) > 1:
        ax.legend()
    return ax


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)


Histories = dict[str, Sequence[Mapping[str, Any]]]
PATH = str, PathLike


def _histories(runs: Any, name: str = "run") -> Histories:
    """The histories by name."""
    if isinstance(runs, PATH):
        folder = path_of("runs", runs)
        compared = {place.parent.name: place.parent for place in sorted(folder.glob("*/run.json"))}
        return _each(compared) if compared and not (folder / "run.json").exists() else {name: history(folder)}
    found = getattr(runs, "history", runs)
    if isinstance(found, Sequence) and found and all(isinstance(each, Mapping) and "step" in each for each in found):
        return {name: found}
    if isinstance(runs, Mapping) and runs:
        return _each(runs)
    if isinstance(runs, Sequence) and runs:
        return _each({str(run) if isinstance(run, PATH) else f"run {i}": run for i, run in enumerate(runs, 1)})
    expected = "a result of refhf.minimize, its history, a run's folder, or a dict or list of these"
    raise ValueError(f"runs: expected {expected}, with a step or more; got {type(runs).__name__}")


def _each(runs: Mapping[Any, Any]) -> Histories:
    """The histories of named runs; those of a comparison are named by both."""
    found: Histories = {}
    for name, run in runs.items():
        for inner, records in _histories(run, str(name)).items():
            found[inner if inner == str(name) else f"{name} {inner}"] = records
    return found
