"""Files of arrays, `.npy` and `.npz`, read without trusting what a file says of itself.

No pickle is ever loaded, and memory grows with the bytes that are there, never with what a header claims.

References
----------
NumPy's documentation, `numpy.lib.format`; PKWARE, ".ZIP File Format Specification".
"""

import contextlib
import io
import math
import os
import sys
import tokenize
import warnings
import zipfile
from collections.abc import Container, Mapping
from typing import IO, Any, NamedTuple, cast

import numpy as np

CHUNK = 2**20  # bytes read at a time; our choice
HEADER_BYTES = 10_000  # of a `.npy` header, the most that NumPy reads
BOMB_BYTES, BOMB_RATIO = 3 * 2**24, 32  # what a file may unpack to: 48 MiB, or 32 times its size if that is more; our
# choice: pixels of digits shrink to a fifth, and 40 MB of one-hot targets, which shrink to a thousandth, are read


class FormatError(ValueError):
    """A file is not what its format, or its published digest, says it should be.

    Attributes
    ----------
    path : the file (or the address it came from)
    reason : str, what was expected and what was found
    """

    def __init__(self, path, reason):
        """Keep both, so that the error survives pickling between ranks."""
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self):
        """Say which file, then why."""
        return f"{self.path}: {self.reason}"


class Header(NamedTuple):
    """The header of a `.npy` file, and the byte at which the array begins."""

    shape: tuple[int, ...]
    dtype: np.dtype
    fortran_order: bool
    offset: int

    @property
    def nbytes(self) -> int:
        """The bytes of the array, as a whole number of Python: a wrong header cannot overflow it."""
        return self.dtype.itemsize * math.prod(self.shape)


def most_unpacked(size: int) -> int:
    """The most bytes that a file of `size` bytes may unpack to; what claims more is a bomb."""
    return max(BOMB_BYTES, BOMB_RATIO * size)


def array_header(stream: Any, length: int, path: Any) -> Header:
    """The header of a `.npy` stream of `length` bytes; the stream is left where the array begins.

    Raises
    ------
    FormatError
        If it is none, if it is of objects, or if the array it claims is not of that length.
    """
    try:
        start = _header_bytes(stream)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # NumPy warns of headers that it has to mend
            version = np.lib.format.read_magic(start)
            read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
            shape, fortran_order, dtype = read(start)
    except (ValueError, KeyError, TypeError, SyntaxError, RecursionError, Warning, tokenize.TokenError) as error:
        reason = " ".join(str(error).split())[:200]
        raise FormatError(path, f"expected a .npy file; found a broken header ({reason})") from error
    header = Header(shape, dtype, fortran_order, start.tell())
    plain = dtype.kind in "fciubUS" and dtype.itemsize and not dtype.subdtype
    if not plain or min(shape, default=0) < 0 or _too_large(shape, dtype):
        raise FormatError(path, f"expected numbers or text; found {dtype} of shape {shape}")
    if length - header.offset != header.nbytes:
        found = length - header.offset
        raise FormatError(path, f"expected {header.nbytes} bytes for {dtype} of shape {shape}; found {found}")
    return header


def _too_large(shape, dtype) -> bool:
    """True if NumPy refuses this shape. It counts a length of 0 as 1, so it also refuses some empty arrays."""
    return dtype.itemsize * math.prod(n or 1 for n in shape) > sys.maxsize


def _header_bytes(stream) -> io.BytesIO:
    """The beginning of a `.npy` stream up to where its array begins; no more of it is read."""
    start = stream.read(12)  # magic string, version, and the header's length in 2 or 4 bytes
    width = 2 if start[6:7] == b"\1" else 4
    length = int.from_bytes(start[8 : 8 + width], "little")
    if length > HEADER_BYTES:
        raise ValueError(f"it claims {length} bytes, more than {HEADER_BYTES}")
    return io.BytesIO(start + stream.read(max(0, 8 + width + length - len(start))))


COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # NumPy's two; a member of LZMA can ask for 4 GiB at once


def npz_names(path: Any) -> list[str]:
    """The names of the arrays of a `.npz` file; FormatError as of `read_npz`."""
    with _opened(path) as archive:
        return [member.filename.removesuffix(".npy") for member in archive.infolist()]


def read_npz(
    path: Any, names: Container[str] | None = None, compressions: Container[int] = COMPRESSIONS
) -> dict[str, np.ndarray]:
    """The arrays of a `.npz` file, compressed in one of these ways: those of the given names that it has, or all.

    Raises
    ------
    FormatError
        If the file cannot be read, is no archive of `.npy` files, is damaged, or claims more than it holds.
    """
    with _opened(path) as archive:
        members = {m.filename.removesuffix(".npy"): m for m in archive.infolist()}
        chosen = {name: m for name, m in members.items() if names is None or name in names}
        size = cast(IO[bytes], archive.fp).seek(0, os.SEEK_END)
        _refuse_bombs(chosen.values(), size, compressions, path)
        return {name: _array(archive, member, path) for name, member in chosen.items()}


@contextlib.contextmanager
def _opened(path):
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except FormatError:
        raise
    except Exception as error:  # zipfile and the decompressors each raise their own kinds
        raise FormatError(path, f"cannot be read as .npz: {' '.join(str(error).split())[:200]}") from error


def write_npz(stream: Any, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays to a stream as a `.npz` file.

    Unlike `np.savez` of NumPy 2.0, it closes the archive also where the stream takes no more.

    Raises
    ------
    OSError
        If the stream cannot be written to.
    """
    with zipfile.ZipFile(stream, "w") as archive:
        for name, x in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(x), allow_pickle=False)


def _refuse_bombs(members, size, compressions, path):
    claimed = sum(m.file_size for m in members)
    if claimed > most_unpacked(size):
        raise FormatError(
            path,
            f"expected arrays of at most {most_unpacked(size)} bytes in a file of {size}; found some that claim to be "
            f"{claimed} (numpy.savez writes arrays that are mostly zeros without compressing them)",
        )
    for member in members:
        if member.compress_type not in compressions:
            raise FormatError(path, f"{member.filename}: expected what NumPy writes; found another compression")


def _array(archive, member, path):
    with archive.open(member) as stream:
        header = array_header(stream, member.file_size, f"{path}: {member.filename}")
        content = bytearray()
        while chunk := stream.read(CHUNK):
            content += chunk
    if len(content) != header.nbytes:
        raise FormatError(path, f"{member.filename}: expected {header.nbytes} bytes; found {len(content)}")
    x = np.frombuffer(content, header.dtype) if header.nbytes else np.empty(math.prod(header.shape), header.dtype)
    return x.reshape(header.shape, order="F" if header.fortran_order else "C")
