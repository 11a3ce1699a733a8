"""The position of a run between two steps: saved to a checkpoint and loaded from it."""

import contextlib
import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from refhf.driver.minimize import Progress, Status
from refhf.formats import FormatError
from refhf.lab.runs import atomic_files, checkpoint, checkpoint_contents
from refhf.lab.runs.output_folder import to_json

HISTORY = "history.jsonl"


class RunPosition(NamedTuple):
    """The position of a run between two steps: all that the remaining steps depend on, and the history.

    Attributes
    ----------
    step, rejected, seconds : int, int, float
        Steps so far, rejected steps in a row, and the method's own time.
    progress : Progress
        The method's progress.
    history : list of dict
        The records from step 0.
    best : ndarray (P,)
        The point with the smallest loss so far.
    status : Status or None
        Why the run ended here, or None.
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
        """The current point; the best point if the run ended with non-finite numbers."""
        return self.best if self.status is Status.NON_FINITE else self.progress.state.theta


def history_lines(history: Sequence[Mapping]) -> bytes:
    """Encode the records as the lines of `history.jsonl`."""
    return "".join(to_json(record) + "\n" for record in history).encode()


def save_position(path, position: RunPosition, history_end: Mapping, **facts) -> None:
    """Write a position with the facts that `load_position` compares, including the method's name.

    The history stays in `history.jsonl` beside the checkpoint. The checkpoint stores its length and digest, so
    its cost does not grow with the steps. Errors as `refhf.lab.runs.checkpoint.save_checkpoint`.
    """
    k, seed, state, counts = position.progress
    arrays = {name: np.asarray(value) for name, value in state._asdict().items() if value is not None}
    record = {
        "facts": facts,
        "history": history_end,
        "state": {name: type(value).__name__ for name, value in state._asdict().items()},
        "progress": {"k": k, "seed": seed, "counts": counts._asdict()},
        **{name: getattr(position, name) for name in ("step", "rejected", "seconds")},
        "status": position.status and position.status.name,
    }
    checkpoint.save_checkpoint(path, arrays | {"best theta": position.best}, record)


def load_position(path, **facts) -> RunPosition | None:
    """Load the position of a run with these facts; None if the file does not exist.

    Raises
    ------
    FormatError
        As `refhf.lab.runs.checkpoint.load_checkpoint`; if no run can have produced the content; or if the
        `history.jsonl` beside the checkpoint does not belong to it.
    ValueError
        If a fact differs.
    """
    path = Path(path)
    if not path.exists():
        return None
    arrays, record = checkpoint.load_checkpoint(path)
    with _wrong(path):
        stored = {name: record["facts"].get(name) for name in facts}
    for name, fact in facts.items():
        if stored[name] != fact:
            raise ValueError(f"{name}: expected {stored[name]!r}, as in {path}; got {fact!r}")
    with _wrong(path):
        status = checkpoint_contents.read_status(record["status"])
        step, length = (
            checkpoint_contents.read_number("step", record["step"]),
            checkpoint_contents.read_number("bytes", record["history"]["bytes"]),
        )
        position = RunPosition(
            step,
            checkpoint_contents.read_number("rejected", record["rejected"]),
            checkpoint_contents.read_number("seconds", record["seconds"], float),
            checkpoint_contents.read_progress(arrays, record, going_on=status is not Status.NON_FINITE),
            [],
            checkpoint_contents.read_vector("best theta", arrays["best theta"], record["facts"], finite=True),
            status,
        )
        goes_with = {"bytes": length, "digest": record["history"]["digest"]}
    with _wrong(path.with_name(HISTORY)) as beside:
        content = _read(beside, **goes_with)
        history = checkpoint_contents.read_history(content, step, record["facts"]["method"])
        if history_lines(history) != content:
            raise ValueError("expected the numbers as they were written; found others")
    return position._replace(history=history)


def _read(path, bytes, digest):
    """Read the first `bytes` bytes of the file and verify their digest."""
    with atomic_files.open_regular(path, "rb") as file:
        content = file.read(min(bytes, os.fstat(file.fileno()).st_size))
    if history_digest(content).hexdigest() != digest or len(content) != bytes:
        raise ValueError(f"expected the first {bytes} bytes to match the checkpoint; found other content")
    return content


def history_digest(content: bytes):
    """The running digest of a history; update it with each new line."""
    return hashlib.blake2b(content, digest_size=16)


@contextlib.contextmanager
def _wrong(path):
    """Turn errors in the block into a FormatError of the file."""
    try:
        yield path
    except FormatError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, FileNotFoundError) as error:
        raise FormatError(path, f"expected a file that `refhf` wrote; found ({error})") from error
