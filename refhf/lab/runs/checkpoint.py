"""Checkpoint files: arrays and a JSON record, written atomically and verified by a digest.

A checkpoint is an `.npz` file without pickles. It holds the arrays and, as `record`, the UTF-8 bytes of one JSON object
with a format version and a digest of everything else.
"""

import contextlib
import errno
import hashlib
import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from refhf.formats import FormatError, read_npz, write_npz
from refhf.lab.runs import atomic_files

FORMAT = 1  # increased when older checkpoints can no longer be read
CHECKPOINT_NAME = "checkpoint.npz"
WITHOUT_LOCKS = errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK


def save_checkpoint(path, arrays: Mapping[str, np.ndarray], record: Mapping) -> None:
    """Write a checkpoint to `path`, replacing an earlier one atomically.

    Raises as `refhf.lab.runs.atomic_files.atomic_write`.
    """
    record = {"format": FORMAT, "digest": _digest(arrays, record), **record}
    with atomic_files.atomic_write(path) as file:
        write_npz(file, {"record": np.frombuffer(_text(record), np.uint8), **arrays})


def load_checkpoint(path) -> tuple[dict[str, np.ndarray], dict]:
    """Read the arrays and the record of a checkpoint.

    Raises
    ------
    FormatError
        If the file is missing, unreadable, damaged, no checkpoint, or of another format version.
    """
    if not Path(path).is_file():
        raise FormatError(path, "expected a checkpoint; found no file")
    arrays = read_npz(path, compressions=[zipfile.ZIP_STORED])  # a small record cannot unpack to a large one
    try:
        record = json.loads(arrays.pop("record").tobytes())
        version, digest = record.pop("format"), record.pop("digest")
        found = _digest(arrays, record)
    except (KeyError, ValueError, AttributeError, TypeError, RecursionError) as error:
        raise FormatError(path, f"expected a checkpoint; its record is missing or broken ({error!r})") from error
    if version != FORMAT:
        raise FormatError(path, f"expected a checkpoint of format {FORMAT}; found format {version!r}")
    if digest != found:
        raise FormatError(path, "expected content that matches its digest; found other content")
    return arrays, record


def _digest(arrays, record):
    digest = hashlib.blake2b(_text(record), digest_size=16)
    for name in sorted(arrays):
        x = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {x.dtype.str} {x.shape}".encode())
        digest.update(x.view(np.uint8).data if x.ndim else x.tobytes())
    return digest.hexdigest()


def _text(record):
    return json.dumps(record, allow_nan=False).encode()


@contextlib.contextmanager
def locked(path) -> Iterator[None]:
    """Hold an exclusive lock on a folder or file; the system releases it when the process ends.

    The lock is flock on the folder or file itself, so no lock file is left behind. Where flock does not exist (Windows,
    some cluster file systems) nothing is locked.

    Raises
    ------
    ValueError
        If another process holds the lock.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    descriptor = os.open(path, os.O_RDONLY if os.path.isdir(path) else os.O_RDWR)  # NFS locks what can be written
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(f"out: expected an unused place; another process writes to {path}") from error
        except OSError as error:
            if error.errno not in WITHOUT_LOCKS:
                raise
        yield
    finally:
        os.close(descriptor)
