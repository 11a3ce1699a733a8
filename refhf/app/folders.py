"""The output folder of a run: when it is refused, and what the JSON files in it are made of."""

import importlib.metadata
import json
import math
import os
import platform
from pathlib import Path

FILES = ("run.json", "history.jsonl", "theta.npz", "run.png", "comparison.png")


def to_json(value, **layout) -> str:
    """Strict JSON: numbers that are not finite become null."""

    def strict(value):
        if isinstance(value, dict):
            return {key: strict(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [strict(item) for item in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return json.dumps(strict(value), allow_nan=False, **layout)


def versions() -> dict[str, str | None]:
    """Versions of Python, this package and those it uses; None for one that is not installed."""
    found = {"python": platform.python_version()}
    for name in ("refhf", "numpy", "scipy", "matplotlib", "tqdm", "pooch", "threadpoolctl", "mpi4py"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def check(folder, overwrite: bool) -> None:
    """Refuse, without touching it, an output folder that is not empty (unless `overwrite`) or not writable."""
    folder = Path(folder)
    if folder.is_dir() and not overwrite and any(folder.iterdir()):
        raise ValueError(f"out: expected a new or an empty folder, or --overwrite; got {folder}, which is not empty")
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        why = "is not writable" if nearest.is_dir() else "is a file"
        raise ValueError(f"out: expected a folder that can be written; got {folder}, but {nearest} {why}")


def make(folder: Path) -> None:
    """Make the folder, without the files of an earlier run; ValueError if that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise ValueError(f"out: expected a folder that can be written; got {folder} ({error})") from error
