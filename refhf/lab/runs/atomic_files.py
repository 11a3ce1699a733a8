"""Files that a run writes: the old one or the new one, whatever happens, and never another than the one named.

In a folder to which somebody else can write, a link may stand at a name that a run will write to. None is followed: a
new file is made where none is (O_EXCL), and one that is added to is opened without following (O_NOFOLLOW).
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO

from refhf.formats import FormatError

WITHOUT_SYNC = errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL  # fsync(2): a file on which it is not supported


@contextlib.contextmanager
def atomic_write(path) -> Iterator[BinaryIO]:
    """A new file to write to, which takes the place of the one at `path` at the end.

    It is written beside it, synced to the disk, and renamed: a process killed, or a disk full, at any moment leaves a
    whole file, the old or the new.

    Raises
    ------
    OSError
        If it cannot be written; nothing is left of it then.
    """
    path = Path(path)
    beside = path.with_name(path.name + ".part")
    beside.unlink(missing_ok=True)  # what a kill has left, or a link
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
    """As `open`, but for a link.

    Raises
    ------
    FormatError
        If the path is a link, or no regular file.
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
    """Make the renaming last, where a folder can be opened and synced: what was renamed is in place in any case."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _sync(descriptor):
    """Bring a file to the disk, on file systems that know how to."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in WITHOUT_SYNC:
            raise
