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
    """A `.npy` file whose header declares a size, padded with that many blanks."""
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


def contents():
    """(what is wrong, its name, its bytes, what reads it) of each file."""
    yield "gzipped IDX bomb", "a", idx(1023, extra=b"x"), read_idx
    yield "gzipped IDX bomb cut short", "b", idx(200)[:-10], read_idx
    yield "gzipped IDX that claims less", "c", idx(200, 10), read_idx
    yield "gzipped IDX that claims more", "d", idx(100, 200 * MB), read_idx
    yield "checkpoint of dtype S0", "e", npz(record=npy((10**9,), "|S0")), checkpoint.load
    yield "checkpoint of dtype U0", "f", npz(record=npy((10**8, 3), "<U0")), checkpoint.load
    ten = {f"x{i}": zeros(31) for i in range(10)}
    yield "checkpoint of ten members under the limit", "g", npz(**ten), checkpoint.load
    yield ".npz of two members under the limit", "h", npz(X=zeros(40), y=zeros(40)), load
    yield ".npy v2 header of blanks, zipped", "i", npz(X=npy((1,), version=2, blanks=31 * MB)), read_npz
    yield ".npy v2 header of blanks", "j", npy((1,), version=2, blanks=33_000), Rows
    yield ".npy v2 header that claims 4 GB", "k", npy((1,), version=2)[:8] + b"\xff" * 4 + b" " * 30_000, Rows
    yield ".npy v1 header of blanks", "l", npz(X=npy((1,), blanks=65_000)), read_npz
    yield "a member of 1 GB", "m", npz(X=zeros(1000)), read_npz
    yield "a member with a wrong checksum", "n", _flipped(npz(X=zeros(31))), read_npz
    yield "a shape beyond the machine's", "o", npy((0, 2**62), "<f8"), lambda path: Rows(path)[:]
    yield "a member compressed by LZMA", "p", _lzma(2**30), read_npz
    yield "a record of nested lists", "q", npz(record=_bytes(b"[" + b"[]," * (10 * MB) + b"0]")), checkpoint.load
    yield "CIFAR records with a wrong label", "r", None, cifar.read_cifar
    X = zeros(45)
    yield "bytes of which not all rows have a label", "s", npz(X=X, y=npy((3,), payload=b"123")), load
    line = {"format": 1, "digest": "0" * 32, "a": "x" * (30 * MB)}
    yield "a record with one long text", "t", npz(record=_bytes(json.dumps(line).encode())), checkpoint.load


def write(path, content):
    """Write a file; the one whose content is None has no blocks but for its last ones."""
    if content is not None:
        path.write_bytes(content)
        return
    with open(path, "wb") as file:
        file.seek(cifar.RECORD * 80_000 - cifar.RECORD)
        file.write(b"\x0b" + bytes(cifar.RECORD - 1))


def written(folder):
    """{what is wrong: (path, what reads it)} of the files, written into a folder."""
    paths = {}
    for what, name, content, read in contents():
        paths[what] = folder / f"{name}.npz", read
        write(paths[what][0], content)
    return paths


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
