"""Files of arrays, `.npy` and `.npz`, read without trusting what a file says of itself.

No pickle is ever loaded, and memory grows with the bytes that are there, never with what a header claims.

References
----------
NumPy's documentation, `numpy.lib.format`; PKWARE, ".ZIP File Format Specification".
"""

import contextlib
import math
import tokenize
import warnings
import zipfile
from collections.abc import Container, Mapping
from typing import NamedTuple

import numpy as np

CHUNK = 2**20  # bytes read at a time; our choice
BOMB_BYTES, BOMB_RATIO = 3 * 2**24, 100  # an archive that holds more than both, the second in units of its size, is
# refused; our choice: pixels of digits shrink to a fifth, one-hot targets beside them to a thousandth


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
    """What a `.npy` file says of its array, and at which byte the array begins."""

    shape: tuple[int, ...]
    dtype: np.dtype
    fortran_order: bool
    offset: int

    @property
    def nbytes(self) -> int:
        """The bytes of the array, as a whole number of Python: a wrong header cannot overflow it."""
        return self.dtype.itemsize * math.prod(self.shape)


def array_header(stream, length: int, path) -> Header:
    """The header of a `.npy` stream of `length` bytes; the stream is left where the array begins.

    Raises
    ------
    FormatError
        If it is none, if it is of objects, or if the array it claims is not of that length.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # NumPy warns of headers that it has to mend
            version = np.lib.format.read_magic(stream)
            read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
            shape, fortran_order, dtype = read(stream)
    except (ValueError, KeyError, TypeError, SyntaxError, RecursionError, Warning, tokenize.TokenError) as error:
        reason = " ".join(str(error).split())[:200]
        raise FormatError(path, f"expected a .npy file; found a broken header ({reason})") from error
    header = Header(shape, dtype, fortran_order, stream.tell())
    if dtype.hasobject or dtype.names or dtype.subdtype or dtype.kind not in "fciubUS" or min(shape, default=0) < 0:
        raise FormatError(path, f"expected numbers or text; found {dtype} of shape {shape}")
    if length - header.offset != header.nbytes:
        found = length - header.offset
        raise FormatError(path, f"expected {header.nbytes} bytes for {dtype} of shape {shape}; found {found}")
    return header


def npz_names(path) -> list[str]:
    """The names of the arrays of a `.npz` file; FormatError as of `read_npz`."""
    with _opened(path) as archive:
        return [member.filename.removesuffix(".npy") for member in archive.infolist()]


def read_npz(path, names: Container[str] | None = None) -> dict[str, np.ndarray]:
    """The arrays of a `.npz` file: those of the given names that it has, or all.

    Raises
    ------
    FormatError
        If the file cannot be read, is no archive of `.npy` files, is damaged, or claims more than it holds.
    """
    arrays = {}
    with _opened(path) as archive:
        _refuse_a_bomb(archive.infolist(), path)
        for member in archive.infolist():
            name = member.filename.removesuffix(".npy")
            if names is None or name in names:
                arrays[name] = _array(archive, member, path)
    return arrays


@contextlib.contextmanager
def _opened(path):
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except FormatError:
        raise
    except Exception as error:  # zipfile and the decompressors each raise their own kinds
        raise FormatError(path, f"cannot be read as .npz: {' '.join(str(error).split())[:200]}") from error


def write_npz(stream, arrays: Mapping[str, np.ndarray]) -> None:
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


def _refuse_a_bomb(members, path):
    packed, claimed = (sum(getattr(member, size) for member in members) for size in ("compress_size", "file_size"))
    if claimed > max(BOMB_BYTES, BOMB_RATIO * packed):
        raise FormatError(
            path,
            f"expected less than {BOMB_BYTES} bytes, or {BOMB_RATIO} times what is in the file; found {packed} bytes "
            f"that claim to be {claimed} (uncompressed, from numpy.savez, it would do)",
        )


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
