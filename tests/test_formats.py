"""refhf.formats: files of arrays that lie about themselves (R17)."""

import io
import tracemalloc
import warnings
import zipfile
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refhf.app.data import load
from refhf.formats import FormatError, array_header, read_npz
from refhf.parallel.shards import Rows

MEMORY = 64 * 2**20  # bytes, R17


def npy(x=None, header=None):
    """The bytes of a `.npy` file of x, with another header if one is given."""
    stream = io.BytesIO()
    if header is None:
        np.lib.format.write_array(stream, x, allow_pickle=True)
        return stream.getvalue()
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + (b"" if x is None else x.tobytes())


def npz(members, compression=zipfile.ZIP_STORED):
    """The bytes of an archive of these members, name to bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return stream.getvalue()


def describe(shape, descr="<f8", order=False):
    return repr({"descr": descr, "fortran_order": order, "shape": shape})


def liars():
    """(name, bytes of a `.npy` file) of arrays that are not there, or not arrays, or would run code."""
    good = npy(np.arange(6.0).reshape(2, 3))
    yield from ((f"cut at {n}", good[:n]) for n in range(len(good)))
    yield from ((f"byte {i} flipped", good[:i] + bytes([good[i] ^ 0xFF]) + good[i + 1 :]) for i in range(80))
    for shape in [(2**40,), (2**62, 2**62), (-1, -1), (-2, 3), (2, 4), (1, 3), (10**30,), (), (2.0, 3), "ab"]:
        yield f"shape {shape}", npy(np.arange(6.0), describe(shape))
    for descr in ["O", "V8", "<M8[s]", "nonsense", "<f3", "<U99999999", [("a", "<f8")], ("<f8", (3,))]:
        yield f"dtype {descr}", npy(np.arange(6.0), describe((6,), descr))
    yield "a pickle", npy(np.array([print], object))
    yield "no dictionary", npy(np.arange(6.0), "{'descr': '<f8', 'shape': (6,)}")
    yield "an expression", npy(np.arange(6.0), "__import__('os').abort()")
    yield "brackets", npy(np.arange(6.0), "(" * 5000)
    yield "a long integer of Python 2", npy(np.arange(6.0), "{'descr': '<f8', 'fortran_order': False, 'shape': (6L,)}")
    yield "an open string", npy(np.arange(6.0), "{'descr': '''<f8")
    yield "empty", b""
    yield "text", b"1.0 2.0 3.0\n" * 20
    yield "version 9", b"\x93NUMPY\x09\x00" + good[8:]


LIARS = dict(liars())


def refused(read, path):
    """What `read` says of the file, which must be its FormatError, in little memory."""
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match=str(path)) as error:
            read(path)
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()
    return str(error.value)


@pytest.mark.parametrize("kind", ["npy", "npz", "zipped"])
def test_liars_are_refused(kind, tmp_path):
    """R17: every truncation, flipped byte and false header is a FormatError naming the file, alone or in a `.npz`."""
    path = tmp_path / "file"
    for name, content in LIARS.items():
        if kind == "npy":
            path.write_bytes(content)
            refused(Rows, path)
        else:
            path.write_bytes(npz({"X": content}, zipfile.ZIP_DEFLATED if kind == "zipped" else zipfile.ZIP_STORED))
            said = refused(read_npz, path)
            assert "X.npy" in said, name


def test_damaged_archives_are_refused(tmp_path):
    """R17: every truncation of an archive, and most flipped bytes, are a FormatError; no other error comes of any."""
    rng = np.random.default_rng(0)
    good = npz({"X": npy(rng.normal(size=(4, 3))), "y": npy(np.arange(4))}, zipfile.ZIP_DEFLATED)
    path = tmp_path / "data.npz"
    for n in range(0, len(good), 3):
        path.write_bytes(good[:n])
        refused(load, path)
    read = 0
    for i in range(0, len(good), 3):
        path.write_bytes(good[:i] + bytes([good[i] ^ 0xFF]) + good[i + 1 :])
        try:
            load(path)
            read += 1  # a time stamp, or a version that nobody reads
        except FormatError:
            pass
    assert read < len(good) / 3 / 4


def test_bombs_are_refused(tmp_path):
    """R17: a member that would fill the memory is refused before it does, whether or not its size is what it says."""
    path = tmp_path / "bomb.npz"
    header = npy(None, describe((2**28,), "|u1"))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("X.npy", "w") as member:
        member.write(header)
        for _ in range(2**8):
            member.write(bytes(2**20))
    assert "claim to be" in refused(read_npz, path)
    content = bytearray(path.read_bytes())
    for signature, at in (b"PK\x03\x04", 22), (b"PK\x01\x02", 24):  # the sizes: 8 TiB would not fit, 100 bytes do
        i = content.index(signature) + at
        content[i : i + 4] = (100).to_bytes(4, "little")
    path.write_bytes(content)
    refused(read_npz, path)


@given(st.binary(max_size=400), st.sampled_from(["", "npy", "npz"]))
def test_random_bytes_are_refused(content, start):
    """R17: bytes at random, also after a good beginning, are a FormatError or an array; nothing else is raised."""
    good = {"": b"", "npy": npy(np.arange(3.0))[:70], "npz": npz({"X": npy(np.arange(3.0))})[:60]}[start]
    for stream in io.BytesIO(good + content), io.BytesIO(content + good):
        length = len(stream.getvalue())
        for read in (lambda stream, length: array_header(stream, length, "it"), lambda stream, _: read_npz(stream)):
            stream.seek(0)
            with suppress(FormatError):
                read(stream, length)


@given(st.integers(0, 2**32), st.sampled_from(["f4", "f8", ">f8", "u1", "?", "U3", "c16", "i8"]), st.booleans())
def test_what_numpy_writes_is_read(seed, dtype, fortran):
    """Arrays of numbers and text, of any shape and order, come back as NumPy wrote them."""
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(0, 4, rng.integers(0, 4)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the part of a complex number that others have not
        x = np.asarray(rng.integers(0, 2, shape), order="F" if fortran else "C").astype(dtype)
    stream = io.BytesIO()
    np.savez_compressed(stream, x=x, other=x)
    (name, got), *others = read_npz(stream, ["x"]).items()
    assert (name, others) == ("x", [])
    assert got.dtype == x.dtype
    np.testing.assert_array_equal(got, x)
