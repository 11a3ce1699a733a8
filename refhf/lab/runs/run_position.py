"""What of a run goes into its checkpoint, and how it comes out."""

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


def history_lines(history: Sequence[Mapping]) -> bytes:
    """The records as `history.jsonl` has them."""
    return "".join(to_json(record) + "\n" for record in history).encode()


def save_position(path, position: RunPosition, told: Mapping, **facts) -> None:
    """Write it, with the facts that `load` holds it to, among them the method's name.

    Its history is in `history.jsonl` beside it, of which the checkpoint has the length and the digest (`told`), so that
    its cost does not grow with the steps. `refhf.lab.runs.checkpoint.save_checkpoint` says how it is written, and what it raises.
    """
    k, seed, state, counts = position.progress
    arrays = {name: np.asarray(value) for name, value in state._asdict().items() if value is not None}
    record = {
        "facts": facts,
        "history": told,
        "state": {name: type(value).__name__ for name, value in state._asdict().items()},
        "progress": {"k": k, "seed": seed, "counts": counts._asdict()},
        **{name: getattr(position, name) for name in ("step", "rejected", "seconds")},
        "status": position.status and position.status.name,
    }
    checkpoint.save_checkpoint(path, arrays | {"best theta": position.best}, record)


def load_position(path, **facts) -> RunPosition | None:
    """The position in a checkpoint of a run with these facts; None if there is no such file.

    Raises
    ------
    FormatError
        As `refhf.lab.runs.checkpoint.load_checkpoint`; if its content is none that a run can have come to; or if the
        `history.jsonl` beside it is another than it goes with.
    ValueError
        If a fact is another.
    """
    path = Path(path)
    if not path.exists():
        return None
    arrays, record = checkpoint.load_checkpoint(path)
    with _wrong(path):
        told = {name: record["facts"].get(name) for name in facts}
    for name, fact in facts.items():
        if told[name] != fact:
            raise ValueError(f"{name}: expected {told[name]!r}, as in {path}; got {fact!r}")
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
        history = checkpoint_contents.read_history(content, step)
        if history_lines(history) != content:
            raise ValueError("expected its numbers as they were written; found others")
    return position._replace(history=history)


def _read(path, bytes, digest):
    """So many bytes of the file, from its beginning."""
    with atomic_files.open_regular(path, "rb") as file:
        content = file.read(min(bytes, os.fstat(file.fileno()).st_size))
    if history_digest(content).hexdigest() != digest or len(content) != bytes:
        raise ValueError(f"expected to begin with the {bytes} bytes that the checkpoint goes with; found others")
    return content


def history_digest(content: bytes):
    """What a history is known by, to be updated as it grows."""
    return hashlib.blake2b(content, digest_size=16)


@contextlib.contextmanager
def _wrong(path):
    """Within it, what goes wrong is a FormatError of the file."""
    try:
        yield path
    except FormatError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, FileNotFoundError) as error:
        raise FormatError(path, f"expected what `refhf` writes of a run; found something else ({error})") from error
