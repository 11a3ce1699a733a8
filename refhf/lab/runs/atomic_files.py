"""File writing that survives crashes and never follows a link.

Other users may be able to write to the folder and could place a link at a file's name. New files are therefore created
with O_EXCL, and existing files are opened with O_NOFOLLOW.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from refhf.formats import FormatError

WITHOUT_SYNC = errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL  # fsync(2): a file on which it is not supported


@contextlib.contextmanager
def atomic_write(path) -> Iterator[IO[bytes]]:
    """Open a new file that replaces the one at `path` on success.

    The file is written beside `path`, synced to disk and renamed. After a kill or on a full disk, `path` holds either
    the complete old file or the complete new file.

    Raises
    ------
    OSError
        If the file cannot be written; the partial file is removed.
    """
    path = Path(path)
    beside = path.with_name(path.name + ".part")
    beside.unlink(missing_ok=True)  # left by a kill, or a link
    try:
        with open_regular(beside, "xb") as file:
            yield file
            file.flush()
            _sync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
    _sync_folder(path.parent)


def open_regular(path, mode: str, **settings) -> IO:
    """Open a regular file; like `open`, but refuse links.

    Raises
    ------
    FormatError
        If the path is a link or not a regular file.
    OSError
        As `open`.
    """
    return open(path, mode, opener=_regular, **settings)


def _regular(path, flags):
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # a pipe that nobody writes to would block
    try:
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise FormatError(path, "expected a file; found a link") from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FormatError(path, "expected a file; found something else")
    return descriptor


def _sync_folder(folder):
    """Sync the folder so that the rename is durable, where the system supports it."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _sync(descriptor):
    """Sync a file to disk, on file systems that support it."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in WITHOUT_SYNC:
            raise
