"""Reader of IDX, the format of the MNIST files; no header is trusted.

An IDX file is two zero bytes, a code for the type of its numbers, the number of dimensions, one big-endian 32-bit size
for each dimension, and the numbers in C order.

References
----------
LeCun, Cortes & Burges, "The MNIST database of handwritten digits", http://yann.lecun.com/exdb/mnist/,
section "File formats".
"""

import gzip
import hashlib
import math
import os
import zlib

import numpy as np

from refhf.formats import FormatError, most_unpacked

GZIP_MAGIC = b"\x1f\x8b"  # RFC 1952, 2.3.1
UINT8 = 0x08  # the IDX code of unsigned bytes: "File formats"
MAX_BYTES = 2**30  # 1 GiB, our choice: twenty times the largest MNIST file
MAX_NDIM = 4  # our choice: cases, rows, columns, channels
CHUNK = 2**20  # 1 MiB, our choice: what a false header can cost in memory


def read_idx(path, *, ndim=None, sha256=None):
    """Read an IDX file of unsigned bytes, gzipped or plain (told apart by content, not by name).

    Memory grows with the bytes that are there, never with what the header claims.

    Parameters
    ----------
    path : str or path
    ndim : int, optional
        The number of dimensions the file must have; any from 1 to 4 if None.
    sha256 : str, optional
        SHA-256 the decompressed file must have, as 64 lower-case hexadecimal digits.

    Returns
    -------
    ndarray of uint8, of the shape in the header

    Raises
    ------
    FormatError
        If the file cannot be read; if it is not IDX, or holds another type, another number of dimensions, an
        empty dimension or more than 1 GiB; if its payload is shorter or longer than its header says; or if
        its digest is not `sha256`.
    """
    try:
        with open(path, "rb") as file:
            zipped = file.peek(len(GZIP_MAGIC)).startswith(GZIP_MAGIC)
            stream = gzip.GzipFile(fileobj=file) if zipped else file
            header, shape = _read_header(stream, path, ndim)
            size = os.fstat(file.fileno()).st_size
            if math.prod(shape) > most_unpacked(size):
                most = f"{most_unpacked(size)} bytes of payload in a file of {size}"
                raise FormatError(path, f"expected at most {most}, found shape {shape}")
            content = _read_at_most(stream, math.prod(shape) + 1, start=header)
    except (OSError, EOFError, zlib.error) as error:
        raise FormatError(path, f"cannot be read: {error}") from error
    expected, found = math.prod(shape), len(content) - len(header)
    if found != expected:
        more = "more" if found > expected else found
        raise FormatError(path, f"expected {expected} bytes of payload for shape {shape}, found {more}")
    if sha256 is not None and (digest := hashlib.sha256(content).hexdigest()) != sha256:
        raise FormatError(path, f"expected a decompressed file of SHA-256 {sha256}, found {digest}")
    return np.frombuffer(content, np.uint8, offset=len(header)).reshape(shape)


def _read_header(stream, path, ndim):
    """Read the header; return its bytes and the shape."""
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise FormatError(path, f"expected an IDX magic number (0, 0, type, dimensions), found {list(magic)}")
    code, dimensions = magic[2:]
    if code != UINT8:
        raise FormatError(path, f"expected unsigned bytes (type code 0x08), found type code 0x{code:02x}")
    if not 1 <= dimensions <= MAX_NDIM or dimensions != (ndim or dimensions):
        raise FormatError(path, f"expected {ndim or f'1 to {MAX_NDIM}'} dimensions, found {dimensions}")
    sizes = stream.read(4 * dimensions)
    if len(sizes) < 4 * dimensions:
        raise FormatError(path, f"expected {4 + 4 * dimensions} bytes of header, found {4 + len(sizes)}")
    shape = tuple(np.frombuffer(sizes, ">u4").tolist())
    if not 1 <= math.prod(shape) <= MAX_BYTES:
        raise FormatError(path, f"expected 1 to {MAX_BYTES} bytes of payload, found shape {shape}")
    return magic + sizes, shape


def _read_at_most(stream, limit, *, start):
    """`start` followed by up to `limit` bytes of the rest of `stream`."""
    content = bytearray(start)
    end = len(start) + limit
    while len(content) < end and (chunk := stream.read(min(CHUNK, end - len(content)))):
        content += chunk
    return content
