"""Checks that the content of a checkpoint is one that a run can produce.

The digest of a checkpoint only shows that the file is undamaged. Each function here returns the checked value, or
raises ValueError with what was expected and what was found.
"""

import json
import math
from collections.abc import Mapping

import numpy as np

from refhf.driver.minimize import Progress, Status
from refhf.driver.registry import METHODS
from refhf.methods.report import Counts, Outcome, Report

ENDS = {"step": int, "loss": float, "training_error": float, "test_error": float, "outcome": Outcome}
NOT_TOLD = ("k", "theta", "loss_at", "negative_direction", "counts", "detail")
IN_JSON = {int: (int,), float: (int, float, type(None)), bool: (bool,), str: (str,)}  # other fields are strings or null
MAY_BE_NONE = ("training_error", "test_error", "solver_stop", "probe_stop")  # of a record
KINDS = {float: "f", int: "iu", bool: "b"}


def read_number(name: str, value, kind: type = int):
    """Check an integer or a finite number; neither may be negative."""
    if type(value) not in ((int,) if kind is int else (int, float)) or not 0 <= value < math.inf:
        raise ValueError(f"{name}: expected {'an integer' if kind is int else 'a number'} >= 0; found {value!r}")
    return value


def read_status(name: str | None) -> Status | None:
    """Look up the status of that name; None for null."""
    if name is not None and name not in Status.__members__:
        raise ValueError(f"status: expected one of {', '.join(Status.__members__)}, or null; found {name!r}")
    return None if name is None else Status[name]


def read_vector(name: str, x, facts: Mapping, finite: bool):
    """Check an array of the run's number of parameters and dtype; `displacements` has one row for each replica."""
    replicas = (facts["replicas"],) if name == "displacements" else ()
    shape, dtype = (*replicas, facts["parameters"]), facts["dtype"]
    if (x.shape, str(x.dtype)) != (shape, dtype):
        raise ValueError(f"{name}: expected {dtype} of shape {shape}; found {x.dtype} of shape {x.shape}")
    if finite and not np.isfinite(x).all():
        raise ValueError(f"{name}: expected finite numbers; found NaN or Inf")
    return x


def read_progress(arrays: Mapping, record: Mapping, going_on: bool) -> Progress:
    """Check and rebuild a method's progress; theta must be finite if the run can be resumed.

    A field of the state may be None where None is its default; a checkpoint has no array of it then.
    """
    facts, kinds, method_progress = record["facts"], record["state"], record["progress"]
    state = METHODS[facts["method"]].family.state
    none = {name for name in kinds if kinds[name] == "NoneType"}
    if set(kinds) != set(state._fields) or set(arrays) != {*kinds, "best theta"} - none:
        raise ValueError(f"expected {', '.join(state._fields)}, best theta; found {', '.join([*kinds, *arrays])}")
    if wrong := [name for name in none if state._field_defaults.get(name, 0) is not None]:
        raise ValueError(f"{', '.join(wrong)}: expected an array or a number; found None")
    values = {}
    for name, kind in state.__annotations__.items():
        if name in none:
            values[name] = None
        elif kind in KINDS:
            values[name] = _scalar(name, arrays[name], kind, state._field_defaults.get(name, 0), kinds[name])
        else:
            values[name] = read_vector(name, arrays[name], facts, finite=going_on and name == "theta")
    counts = {
        name: read_number(name, method_progress["counts"][name], kind) for name, kind in Counts.__annotations__.items()
    }
    return Progress(
        read_number("k", method_progress["k"]),
        read_number("seed", method_progress["seed"]),
        state(**values),
        Counts(**counts),
    )


def _scalar(name, x, kind, default, python):
    """A Python or NumPy scalar, as it was saved. Only a field whose default is NaN may be NaN or negative."""
    if x.shape or x.dtype.kind not in KINDS[kind]:
        raise ValueError(f"{name}: expected {kind.__name__}; found {x.dtype} of shape {x.shape}")
    if kind is not bool and not math.isnan(default):
        read_number(name, x.item(), kind)
    return x.item() if python == kind.__name__ else x[()]


def record_fields(method: str) -> dict[str, type]:
    """The keys of a method's records, in their order, and the types of their values."""
    own = {**Report.__annotations__, **METHODS[method].family.detail.__annotations__, **Counts.__annotations__}
    return {**ENDS, **{name: kind for name, kind in own.items() if name not in (*NOT_TOLD, *ENDS)}, "seconds": float}


def read_history(content: bytes, step: int, method: str) -> list[dict]:
    """Check and read the records of steps 0 to `step` of a method from their JSON lines."""
    fields = record_fields(method)
    records = [json.loads(line) for line in content.splitlines()]
    for k, record in enumerate(records):
        if list(record) != list(fields) or record["step"] != k:
            raise ValueError(f"line {k + 1}: expected {', '.join(fields)} of step {k}; found {str(record)[:60]}")
        for name, kind in fields.items():
            if type(record[name]) not in IN_JSON.get(kind, (str, type(None))) or (kind is int and record[name] < 0):
                raise ValueError(f"line {k + 1}: {name}: expected {kind.__name__}; found {record[name]!r}")
    if len(records) != step + 1:
        raise ValueError(f"expected {step + 1} lines; found {len(records)}")
    return [{name: _number(name, value) for name, value in record.items()} for record in records]


def _number(name, value):
    """Turn null back into NaN, for fields that cannot be None."""
    return math.nan if value is None and name not in MAY_BE_NONE else value
