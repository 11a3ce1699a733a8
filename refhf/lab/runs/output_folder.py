"""The output folder of a run: checks, `run.json`, and strict JSON."""

import importlib.metadata
import json
import math
import os
import platform
from collections.abc import Mapping
from pathlib import Path

from refhf.formats import FormatError
from refhf.lab.runs import atomic_files

WRITTEN = ("run.json", "history.jsonl", "checkpoint.npz", "theta.npz", "network.npz", "run.png", "comparison.png")
FILES = (*WRITTEN, *(name + ".part" for name in WRITTEN))  # the latter are left by a kill during writing
OF_THE_MOMENT = ("json", "quiet", "overwrite", "resume", "out")  # a resumed run does not take these from its start


def to_json(value, **layout) -> str:
    """Encode as strict JSON; non-finite numbers become null."""

    def strict(value):
        if isinstance(value, dict):
            return {key: strict(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [strict(item) for item in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return json.dumps(strict(value), allow_nan=False, **layout)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic_files.atomic_write(path) as file:
        file.write(text.encode())


def command_line(folder) -> tuple[Path, list[str]]:
    """The path of the `run.json` in the folder or a subfolder, and the command line it records.

    The file stores each argument twice, in `arguments` and in `command`; it is refused if they differ.

    Raises
    ------
    ValueError
        If there is no `run.json`.
    FormatError
        If the `run.json` is broken.
    """
    places = Path(folder, "run.json"), *sorted(Path(folder).glob("*/run.json"))
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise ValueError(f"resume: expected the folder of a run (--out); got {folder}, which has no run.json")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        words, stored = command(found["arguments"]), found["command"]
        if words != stored:
            other = sorted({*words, *stored} - ({*words} & {*stored}))
            raise ValueError(f"its arguments and its command differ in {', '.join(other) or 'their order'}")
        return path, words
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FormatError(path, f"expected a file that `refhf` wrote; found ({error!r})") from error


def command(arguments: Mapping) -> list[str]:
    """The command line with these arguments, without those listed in OF_THE_MOMENT."""
    words = [str(arguments["command"]), *(f"--option={name}={value}" for name, value in arguments["option"])]
    for name, value in arguments.items():
        if value is not None and name not in ("command", "option", *OF_THE_MOMENT):
            value = ",".join(map(str, value)) or "none" if isinstance(value, list | tuple) else value  # hidden widths
            words.append(f"--{name.replace('_', '-')}" + ("" if value is True else f"={value}"))
    return words


def versions() -> dict[str, str | None]:
    """Versions of Python, refhf and its dependencies; None for a package that is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in ("refhf", "numpy", "scipy", "matplotlib", "tqdm", "pooch", "threadpoolctl", "mpi4py"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def check_folder(folder, overwrite: bool) -> None:
    """Refuse an output folder that is not writable, or not empty unless `overwrite`; nothing is changed."""
    folder = Path(folder)
    if folder.is_dir() and not overwrite and any(folder.iterdir()):
        raise ValueError(f"out: expected a new or an empty folder, or --overwrite; got {folder}, which is not empty")
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        why = "is not writable" if nearest.is_dir() else "is a file"
        raise ValueError(f"out: expected a folder that can be written; got {folder}, but {nearest} {why}")


def make_folder(folder: Path) -> None:
    """Make the folder; ValueError if that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"out: expected a folder that can be written; got {folder} ({error})") from error


def empty_folder(folder: Path) -> None:
    """Remove the files of an earlier run and no others; ValueError if that fails."""
    try:
        for name in FILES:
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise ValueError(f"out: expected a folder that can be written; got {folder} ({error})") from error
