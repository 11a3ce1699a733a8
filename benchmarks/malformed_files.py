"""Small files made to fill the memory of what reads them: for `benchmarks/memory.py` and `tests/test_formats.py`."""

import gzip
import io
import json
import zipfile

import numpy as np

from refhf.data import cifar
from refhf.data.data_sets import load
from refhf.data.idx import read_idx
from refhf.formats import read_npz
from refhf.lab.runs import checkpoint
from refhf.parallel.shards import Rows

MB = 2**20


def npy(shape, descr="|u1", payload=b"", version=1, blanks=0):
    """A `.npy` file with a header that says so, and that many blanks at its end."""
    text = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode() + b" " * blanks + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + len(text).to_bytes(2 if version == 1 else 4, "little") + text + payload


def npz(compression=zipfile.ZIP_DEFLATED, **members):
    """A `.npz` file of these members, name to bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return stream.getvalue()


def zeros(megabytes, descr="|u1", itemsize=1):
    """A `.npy` file of zeros, rows of 1,024 numbers."""
    n = megabytes * MB // itemsize // 1024
    return npy((n, 1024), descr, bytes(n * 1024 * itemsize))


def idx(megabytes, claimed=None, extra=b""):
    """A gzipped IDX file of zeros."""
    shape = np.array([claimed or megabytes * MB], ">u4").tobytes()
    stream = io.BytesIO()
    with gzip.GzipFile(fileobj=stream, mode="wb") as file:
        file.write(b"\0\0\x08\1" + shape)
        for _ in range(megabytes):
            file.write(bytes(MB))
        file.write(extra)
    return stream.getvalue()


FILES = {  # what is wrong: what makes the bytes, for bombs of so many megabytes, and what reads them
    "gzipped IDX bomb": (lambda mb: idx(mb, extra=b"x"), read_idx),
    "gzipped IDX bomb cut short": (lambda mb: idx(mb)[:-10], read_idx),
    "gzipped IDX that claims less": (lambda mb: idx(mb, 10), read_idx),
    "gzipped IDX that claims more": (lambda mb: idx(mb - 1, mb * MB), read_idx),
    "checkpoint of dtype S0": (lambda mb: npz(record=npy((10**8,), "|S0")), checkpoint.load),
    "checkpoint of dtype U0": (lambda mb: npz(record=npy((10**7, 3), "<U0")), checkpoint.load),
    "checkpoint of ten members under the limit": (
        lambda mb: npz(**dict.fromkeys(map(str, range(10)), zeros(31))),
        checkpoint.load,
    ),
    ".npz of two members under the limit": (lambda mb: npz(X=zeros(40), y=zeros(40)), load),
    ".npy v2 header of blanks, zipped": (lambda mb: npz(X=npy((1,), version=2, blanks=31 * MB)), read_npz),
    ".npy v2 header of blanks": (lambda mb: npy((1,), version=2, blanks=33_000), Rows),
    ".npy v2 header that claims 4 GB": (lambda mb: npy((1,), version=2)[:8] + b"\xff" * 4 + b" " * 30_000, Rows),
    ".npy v1 header of blanks": (lambda mb: npz(X=npy((1,), blanks=65_000)), read_npz),
    "a large member": (lambda mb: npz(X=zeros(mb)), read_npz),
    "a member with a wrong checksum": (lambda mb: _flipped(npz(X=zeros(31))), read_npz),
    "a shape beyond the machine's": (lambda mb: npy((0, 2**62), "<f8"), lambda path: Rows(path)[:]),
    "a member compressed by LZMA": (lambda mb: _lzma(2**30), read_npz),
    "a record of nested lists": (
        lambda mb: npz(record=_bytes(b"[" + b"[]," * (3 * MB) + b"0]")),
        checkpoint.load,
    ),
    "CIFAR records with a wrong label": (None, cifar.read_cifar),
    "bytes of which not all rows have a label": (lambda mb: npz(X=zeros(45), y=npy((3,), payload=b"123")), load),
    "a record with one long text": (
        lambda mb: npz(record=_bytes(json.dumps({"format": 1, "digest": "0", "a": "x" * (30 * MB)}).encode())),
        checkpoint.load,
    ),
}


def write(path, what, megabytes):
    """Write one of these files; CIFAR's has no blocks but for its last ones."""
    make, _ = FILES[what]
    if make is not None:
        path.write_bytes(make(megabytes))
        return
    with open(path, "wb") as file:
        file.seek(cifar.RECORD * 80_000 - cifar.RECORD)
        file.write(b"\x0b" + bytes(cifar.RECORD - 1))


def _bytes(content):
    return npy((len(content),), payload=content)


def _flipped(content):
    at = content.index(b"PK\x01\x02") - 5
    return content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]


def _lzma(dictionary):
    """A member whose compression asks for a dictionary of that size."""
    content = bytearray(npz(zipfile.ZIP_LZMA, X=npy((10,), payload=bytes(10))))
    at = content.index(b"X.npy") + 5 + 4 + 1
    content[at : at + 4] = dictionary.to_bytes(4, "little")
    return bytes(content)
