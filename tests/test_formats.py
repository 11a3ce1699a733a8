"""Every file that refhf reads, and files that lie about themselves (R17)."""

import errno
import gc
import gzip
import io
import json
import sys
import tracemalloc
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refhf.data import cifar
from refhf.data.data_sets import DataSet, load
from refhf.data.idx import read_idx
from refhf.formats import FormatError, read_npz, write_npz
from refhf.lab.cli import command_parser
from refhf.lab.runs import checkpoint, output_folder
from refhf.lab.sweep.sweep_grid import SweepSetting, configurations
from refhf.lab.sweep.sweep_runs import run_sweep
from refhf.parallel.shards import Rows

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import malformed_files

MEMORY = 64 * 2**20  # bytes, R17
STRINGS = 10 * settings.default.max_examples  # at random: R17's 1,000, and more in a long run


@pytest.fixture
def little_memory():
    """None of the files that a test reads takes more memory than R17 allows."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()


class Full(io.BytesIO):
    """A stream with room for so many bytes."""

    def __init__(self, room):
        super().__init__()
        self.room = room

    def write(self, content):
        if self.tell() + len(content) > self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(content)


def test_an_archive_without_room_is_closed(monkeypatch):
    """Wherever the disk is full, that is the error, and collecting the archive says nothing more."""
    said, arrays, whole = [], {"x": np.arange(600.0), "name": "y"}, io.BytesIO()
    monkeypatch.setattr(sys, "unraisablehook", said.append)
    write_npz(whole, arrays)
    gc.freeze()  # what other tests left behind is not looked through each time
    for room in range(0, len(whole.getvalue()), 100):
        with pytest.raises(OSError, match="No space left"):
            write_npz(Full(room), arrays)
        gc.collect()
        assert said == [], room
    gc.unfreeze()


def test_what_is_written_is_read(tmp_path):
    """`write_npz`: NumPy reads the same arrays, of no pickles."""
    arrays = {"x": np.arange(6.0).reshape(2, 3), "name": "tanh", "none": np.empty((0, 2)), "F": np.eye(3, 2).T}
    with open(tmp_path / "a.npz", "wb") as stream:
        write_npz(stream, arrays)
    read = np.load(tmp_path / "a.npz", allow_pickle=False)
    assert list(read) == list(arrays)
    for name, x in arrays.items():
        np.testing.assert_array_equal(read[name], x)
    with pytest.raises(ValueError, match="Object arrays"):
        write_npz(io.BytesIO(), {"x": np.array([None])})


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
    """The message of `read` on the file, which must be a FormatError."""
    with pytest.raises(FormatError, match=str(path)) as error:
        read(path)
    return str(error.value)


@pytest.mark.parametrize("kind", ["npy", "npz", "zipped"])
def test_liars_are_refused(kind, tmp_path, little_memory):
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


def test_bombs_are_refused(tmp_path, little_memory):
    """R17: a member that would fill the memory is refused before it does, whether or not its size is what it says."""
    path = tmp_path / "bomb.npz"
    header = npy(None, describe((2**27,), "|u1"))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("X.npy", "w") as member:
        member.write(header)
        for _ in range(2**7):
            member.write(bytes(2**20))
    assert "claim to be" in refused(read_npz, path)
    content = bytearray(path.read_bytes())
    for signature, at in (b"PK\x03\x04", 22), (b"PK\x01\x02", 24):  # the sizes: 8 TiB would not fit, 100 bytes do
        i = content.index(signature) + at
        content[i : i + 4] = (100).to_bytes(4, "little")
    path.write_bytes(content)
    refused(read_npz, path)


@pytest.mark.parametrize("what", malformed_files.FILES)
def test_files_made_to_fill_the_memory_are_refused(what, tmp_path):
    """R17: a small file that unpacks, or claims, to be large costs no more than any malformed one."""
    path, (_, read) = tmp_path / "file.npz", malformed_files.FILES[what]
    malformed_files.write(path, what, 100)
    tracemalloc.start()
    try:
        refused(read, path)
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("compressed", [False, True])
def test_one_hot_targets_are_no_bomb(compressed, tmp_path):
    """40 MB of one-hot targets, which shrink to a thousandth, are read, compressed or not."""
    y = np.zeros((5000, 1000))
    y[np.arange(5000), np.arange(5000) % 1000] = 1
    path = tmp_path / "data.npz"
    (np.savez_compressed if compressed else np.savez)(path, X=np.ones((5000, 1)), y=y)
    np.testing.assert_array_equal(load(path).y, y)


def test_a_compressed_checkpoint_is_refused(whole, tmp_path):
    """A checkpoint is written without compression, so that no small file unpacks to a large record."""
    (tmp_path / "checkpoint.npz").write_bytes(whole["checkpoint.npz"])
    arrays = read_npz(tmp_path / "checkpoint.npz")
    np.savez_compressed(tmp_path / "small.npz", **arrays)
    assert "compression" in refused(checkpoint.load_checkpoint, tmp_path / "small.npz")


# Every format: a file of it, and what reads it.


SETTING = SweepSetting(DataSet("tiny", np.eye(4), np.arange(4) % 2), (), steps=1)


READERS = {
    "X.npy": Rows,
    "data.npz": load,
    "train-images-idx3-ubyte": read_idx,
    "train-images-idx3-ubyte.gz": read_idx,
    "data_batch_1.bin": cifar.read_cifar,
    "checkpoint.npz": checkpoint.load_checkpoint,
    "run.json": lambda path: output_folder.command_line(path.parent),
    "runs.jsonl": lambda path: run_sweep(SETTING, [], path),
}


def described(given):
    """A run.json of these arguments; their command is left out where they make none."""
    try:
        command = output_folder.command(given)
    except (TypeError, ValueError):
        command = []
    return json.dumps({"command": command, "arguments": given}, indent=2)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bytes of a good file of each format, by name."""
    folder = tmp_path_factory.mktemp("whole")
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4, 3))
    images = b"\0\0\x08\3" + np.array([2, 3, 4], ">u4").tobytes() + rng.bytes(24)
    checkpoint.save_checkpoint(
        folder / "checkpoint.npz", {"theta": X, "best theta": X}, {"step": 3, "history": [{"loss": 0.5}]}
    )
    run_sweep(SETTING, configurations(["gradient-descent"], [1], [0]), folder / "runs.jsonl")
    return {
        "X.npy": npy(X),
        "data.npz": npz({"X": npy(X), "y": npy(np.arange(4))}, zipfile.ZIP_DEFLATED),
        "train-images-idx3-ubyte": images,
        "train-images-idx3-ubyte.gz": gzip.compress(images),
        "data_batch_1.bin": b"\7" + rng.bytes(cifar.RECORD - 1),
        "run.json": described(vars(command_parser.parse_command(["train", "--option", "a=1"]))).encode(),
        **{name: (folder / name).read_bytes() for name in ("checkpoint.npz", "runs.jsonl")},
    }


@pytest.mark.parametrize("name", READERS)
def test_a_whole_file_is_read(name, whole, tmp_path):
    """The files are valid before the tests below damage them."""
    path = tmp_path / name
    path.write_bytes(whole[name])
    READERS[name](path)


def refusals(name, contents, folder):
    """The number of contents that are refused; any error must be a FormatError that names the file."""
    path, n = folder / name, 0
    for content in contents:
        path.write_bytes(content)
        try:
            READERS[name](path)
        except FormatError as error:
            assert str(error).startswith(str(path)) and error.reason
            n += 1
    return n


@pytest.mark.parametrize("name", READERS)
def test_damaged_files_are_refused(name, whole, tmp_path, little_memory):
    """R17: cut anywhere a file is refused; flipped bytes are, too, or are numbers that nothing checks.

    Of a sweep's file the end is left out, as of one that a kill has torn. With a digest or a CRC, few bytes can be
    flipped unseen: time stamps, and versions that nobody reads.
    """
    good = whole[name]
    places = range(0, len(good), max(1, len(good) // 150))
    if name != "runs.jsonl":
        assert refusals(name, (good[:i] for i in places), tmp_path) == len(places)
    flipped = refusals(name, (good[:i] + bytes([good[i] ^ 0xFF]) + good[i + 1 :] for i in places), tmp_path)
    assert flipped > len(places) * (0.75 if name.endswith(("z", "run.json", "jsonl")) else 0)


@pytest.mark.parametrize("name", READERS)
def test_random_bytes_are_refused(name, whole, tmp_path, little_memory):
    """R17: bytes at random, alone or after a beginning of a good file, are refused, but for chance's few good ones."""
    rng, good = np.random.default_rng(0), whole[name]
    n = -(-STRINGS // len(READERS))
    starts = rng.choice([0, min(len(good) - 1, 10), *rng.integers(len(good), size=4)], n)
    strings = (good[:i] + rng.bytes(rng.integers(1, 400)) + b"\n" for i in starts)
    assert refusals(name, strings, tmp_path) >= 0.99 * n


JSON = [
    b"", b"\0", b"\xff", b"null", b"3", b"NaN", b"[]", b"{}", b"{", b'"', b"[" * 10**5, b'{"a":' * 10**5, b"1" * 10**4,
]  # fmt: skip


@pytest.mark.parametrize("name", ["run.json", "runs.jsonl"])
def test_other_json_is_refused(name, tmp_path, little_memory):
    """R17: JSON of other things, too deep, or none."""
    assert refusals(name, (content + b"\n" for content in JSON), tmp_path) == len(JSON)


def test_lines_of_another_kind_are_refused(whole, tmp_path):
    """R17: a line of a sweep's file lacks nothing, has nothing more, and each value is of its kind."""
    line = json.loads(whole["runs.jsonl"])
    others = [{**line, key: [{}] if isinstance(value, dict) else {"a": 1}} for key, value in line.items()]
    lacking = [{key: value for key, value in line.items() if key != left_out} for left_out in line]
    lines = [*others, *lacking, line | {"more": 1}]
    assert refusals("runs.jsonl", (json.dumps(one).encode() + b"\n" for one in lines), tmp_path) == len(lines)


@pytest.mark.parametrize("name", READERS)
def test_a_folder_is_no_file(name, tmp_path):
    """A folder in a file's place is refused by its name."""
    (tmp_path / name).mkdir()
    with pytest.raises((ValueError, OSError), match=str(tmp_path)):
        READERS[name](tmp_path / name)


def test_arguments_of_another_kind_are_refused(whole, tmp_path):
    """R17: what a run.json says is held to what the command line takes: what is taken has the kind it must have."""
    rng, path = np.random.default_rng(0), tmp_path / "run.json"
    path.write_bytes(whole["run.json"])
    good, command, refused = json.loads(whole["run.json"])["arguments"], ["train", "--resume", str(tmp_path)], 0
    kinds = {
        name: type(value) for name, value in vars(command_parser.parse_command(command)).items() if value is not None
    }
    for name in sorted(good):
        strange = [True, 5, -1.5, "x", "", "-1", [], ["a"], [[1]], {}, {"a": None}, "\ud800", 10**400]
        path.write_text(described({**good, name: strange[rng.integers(len(strange))]}))
        try:
            got = vars(command_parser.parse_command(command))
        except FormatError as error:
            assert str(error).startswith(str(path))
            refused += 1
        else:
            assert {key: type(got[key]) for key in kinds} == kinds
    assert refused > len(good) / 3


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
