"""What of a run goes into its checkpoint, and how it comes out."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from refhf.app import checkpoint
from refhf.formats import FormatError
from refhf.methods.minimize import Progress, Status
from refhf.methods.report import Counts
from refhf.methods.table import METHODS

HISTORY = "history.jsonl"
MAY_BE_NONE = "training_error", "test_error", "solver_stop"  # of a record


class Position(NamedTuple):
    """Where a run stands between two steps: all that the rest of it depends on, and what it has told.

    Attributes
    ----------
    step, rejected, seconds : int, int, float
        Rows so far, how many rejected in a row, and the method's time.
    progress : Progress
        Of the method.
    history : list of dict
        The records, step 0 included.
    best : ndarray (P,)
        The point of the smallest loss among them.
    status : Status or None
        Why the run ended there, if it did.
    """

    step: int
    rejected: int
    seconds: float
    progress: Progress
    history: list[dict]
    best: np.ndarray
    status: Status | None = None

    @property
    def theta(self) -> np.ndarray:
        """The point that the run has come to; of one that ended at something not finite the best."""
        return self.best if self.status is Status.NON_FINITE else self.progress.state.theta


def save(path, position: Position, lines: bytes, method: str, **facts) -> None:
    """Write it, its history as lines of JSON, with the method's name and facts, to which `load` holds it.

    The lines are those of `history.jsonl`, each made once, so that what a checkpoint costs hardly grows with the steps.
    `refhf.app.checkpoint.save` says how, and what it raises.
    """
    k, seed, state, counts = position.progress
    arrays = {name: np.asarray(value) for name, value in state._asdict().items() if value is not None}
    arrays |= {"best theta": position.best, HISTORY: np.frombuffer(lines, np.uint8)}
    kinds = {name: type(value).__name__ for name, value in state._asdict().items()}
    record = {
        "method": method,
        "facts": facts,
        "state": kinds,
        "progress": {"k": k, "seed": seed, "counts": counts._asdict()},
        **{name: getattr(position, name) for name in ("step", "rejected", "seconds")},
        "status": position.status and position.status.name,
    }
    checkpoint.save(path, arrays, record)


def load(path, method: str, **facts) -> Position | None:
    """The position in a checkpoint of this method with these facts; None if there is no such file.

    Raises
    ------
    FormatError
        As `refhf.app.checkpoint.load`, or if it is of another kind of run.
    ValueError
        If a fact is another.
    """
    if not Path(path).exists():
        return None
    arrays, record = checkpoint.load(path)
    try:
        for name, fact in facts.items():
            if record["facts"][name] != fact:
                raise ValueError(f"{name}: expected {record['facts'][name]!r}, as in {path}; got {fact!r}")
        if record["method"] != method:
            raise FormatError(path, f"expected the checkpoint of a run of {method}; found one of {record['method']}")
        progress = record["progress"]
        state = METHODS[method].room.State(**_values(arrays, record["state"]))
        return Position(
            progress=Progress(progress["k"], progress["seed"], state, Counts(**progress["counts"])),
            best=arrays["best theta"],
            status=record["status"] and Status[record["status"]],
            **{name: record[name] for name in ("step", "rejected", "seconds")},
            history=[
                {key: _number(key, value) for key, value in json.loads(line).items()}
                for line in arrays[HISTORY].tobytes().splitlines()
            ],
        )
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise FormatError(path, f"expected the checkpoint of a run of {method}; found another ({error!r})") from error


def _number(key, value):
    """What is not finite is null in JSON, and comes back as NaN."""
    return math.nan if value is None and key not in MAY_BE_NONE else value


def _values(arrays: Mapping, kinds: Mapping) -> dict:
    scalars = {"float": float, "int": int, "bool": bool}
    return {
        name: None if kind == "NoneType" else scalars[kind](arrays[name]) if kind in scalars else arrays[name]
        for name, kind in kinds.items()
    }
