"""refhf.data.data_sets, fetch and idx: data sets bundled, from folders, from an address, from `.npz`."""

import gc
import gzip
import hashlib
import importlib.util
import pickle
import sys
import threading
import tracemalloc
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from processes import LIMIT

from refhf.data import fetch
from refhf.data.data_sets import MNIST_MINI, data_sets, digest, load
from refhf.data.idx import MAX_BYTES, read_idx
from refhf.formats import FormatError

rng = np.random.default_rng(0)
TINY = {  # a data set of the shape of MNIST: {file: array}
    "train-images-idx3-ubyte": rng.integers(0, 256, (6, 2, 3), np.uint8),
    "train-labels-idx1-ubyte": rng.integers(0, 10, 6, np.uint8),
    "t10k-images-idx3-ubyte": rng.integers(0, 256, (4, 2, 3), np.uint8),
    "t10k-labels-idx1-ubyte": rng.integers(0, 10, 4, np.uint8),
}


def idx_bytes(array, code=8, shape=None):
    """The IDX file of an array of bytes; `code` and `shape` can be made to lie."""
    shape = array.shape if shape is None else shape
    return bytes([0, 0, code, len(shape)]) + np.array(shape, ">u4").tobytes() + array.tobytes()


def write_tiny(folder, suffix=".gz"):
    folder.mkdir(parents=True)
    for file, array in TINY.items():
        content = idx_bytes(array)
        (folder / f"{file}{suffix}").write_bytes(gzip.compress(content) if suffix else content)
    return folder


def assert_is_tiny(data):
    images, labels, test_images, test_labels = TINY.values()
    assert data.name == "tiny"
    np.testing.assert_array_equal(data.X, images.reshape(6, 6) / 255.0)
    np.testing.assert_array_equal(data.X_test, test_images.reshape(4, 6) / 255.0)
    np.testing.assert_array_equal(data.y, labels)
    np.testing.assert_array_equal(data.y_test, test_labels)
    assert data.y.dtype == data.y_test.dtype == np.int64


@pytest.fixture(autouse=True)
def tiny(monkeypatch, tmp_path):
    """`tiny` is a data set, the environment is silent, and pooch's cache is a folder of the test."""
    digests = {file: hashlib.sha256(idx_bytes(array)).hexdigest() for file, array in TINY.items()}
    monkeypatch.setitem(fetch.IDX_SETS, "tiny", fetch.IdxSet("six digits", "http://127.0.0.1:1/", digests))
    for variable in "REFHF_DATA_DIR", "REFHF_BASE_URL":
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    if importlib.util.find_spec("pooch"):
        monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path / "cache" / project)


# --- mnist-mini -------------------------------------------------------------------------------------------


def test_mnist_mini_is_the_drawn_sample():
    """The bundled arrays have the digests they had when they were drawn, in a file under 2.5 MB."""
    with np.load(MNIST_MINI) as file:
        digests = {key: hashlib.sha256(file[key].tobytes()).hexdigest() for key in file}
    assert digests == {
        "X": "53328d4e7dd2fc785f0eae818902047586fc8f112f36b19009a58f1f93434513",
        "y": "b65d8a23de3fd807fbe56ef2f3d29073db63e830dae3ba1dc0cdaf7b3a54cc73",
        "X_test": "438d6b8fa58c4d00637b6b4b4fd75164abd1dc758c717680a2c955b80550fecc",
        "y_test": "bcde0c523d76ce99cad57a12194313cb63f1901ec1adb06d2c41c4d241fb87f4",
    }
    assert MNIST_MINI.stat().st_size < 2_500_000


def test_mnist_mini_is_balanced():
    """A class has 1,000 training and 200 test digits, and no digit is in it twice."""
    data = load("mnist-mini")
    np.testing.assert_array_equal(np.bincount(data.y), [1000] * 10)
    np.testing.assert_array_equal(np.bincount(data.y_test), [200] * 10)
    assert len(np.unique(np.concatenate([data.X, data.X_test]), axis=0)) == 12_000


@pytest.mark.parametrize("dtype", ["float32", np.float64])
def test_pixels_are_bytes_over_255(dtype):
    """X is the byte / 255, correctly rounded in the type asked for; labels are int64."""
    data = load("mnist-mini", dtype=dtype)
    with np.load(MNIST_MINI) as file:
        np.testing.assert_array_equal(data.X, file["X"] / np.array(255, dtype))
        np.testing.assert_array_equal(data.y, file["y"])
    assert data.X.dtype == data.X_test.dtype == dtype and data.y.dtype == np.int64
    assert data.X.min() == 0 and data.X.max() == 1


# --- IDX --------------------------------------------------------------------------------------------------


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    array=hnp.arrays(np.uint8, hnp.array_shapes(max_dims=4, max_side=5)),
    zipped=st.booleans(),
)
def test_idx_round_trip(tmp_path, array, zipped):
    """What is written is read: same shape, same bytes, gzipped or not, whatever the file is called."""
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(idx_bytes(array)) if zipped else idx_bytes(array))
    digest = hashlib.sha256(idx_bytes(array)).hexdigest()
    read = read_idx(path, ndim=array.ndim, sha256=digest)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, array, strict=True)


GOOD = idx_bytes(TINY["train-images-idx3-ubyte"])


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_every_truncation_is_refused(tmp_path, pack):
    """A file cut anywhere, in its header or in its payload, is a FormatError that names it."""
    path = tmp_path / "cut"
    for length in range(len(pack(GOOD))):
        path.write_bytes(pack(GOOD)[:length])
        with pytest.raises(FormatError, match="cut: ") as caught:
            read_idx(path)
        assert caught.value.path == path


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\1" + GOOD[1:], r"expected an IDX magic number .* found \[1, 0, 8, 3\]"),
        (b"\0\1" + GOOD[2:], r"expected an IDX magic number .* found \[0, 1, 8, 3\]"),
        (b"<html>not found</html>", "expected an IDX magic number"),
        (idx_bytes(TINY["train-images-idx3-ubyte"], code=0x0D), "found type code 0x0d"),
        (idx_bytes(np.zeros((2, 2), np.uint8)), "expected 3 dimensions, found 2"),
        (idx_bytes(np.zeros(2, np.uint8), shape=()), "expected 3 dimensions, found 0"),
        (idx_bytes(np.zeros(2, np.uint8), shape=(1,) * 255), "expected 3 dimensions, found 255"),
        (
            idx_bytes(np.zeros(0, np.uint8), shape=(0, 2**32 - 1, 2**32 - 1)),
            "expected 1 to .* bytes of payload",
        ),
        (GOOD + b"\0", r"expected 36 bytes of payload for shape \(6, 2, 3\), found more"),
        (GOOD[:-1], r"expected 36 bytes of payload for shape \(6, 2, 3\), found 35"),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_malformed_idx_is_refused(tmp_path, content, reason, pack):
    """A header that is not IDX, not bytes, not of the dimensions asked for, or not of its payload's size."""
    (tmp_path / "bad").write_bytes(pack(content))
    with pytest.raises(FormatError, match=reason):
        read_idx(tmp_path / "bad", ndim=3)


@pytest.mark.parametrize("ndim", [0, 5, 255])
def test_one_to_four_dimensions(tmp_path, ndim):
    """Where no number of dimensions is asked for, 1 to 4 are read and others refused."""
    (tmp_path / "bad").write_bytes(idx_bytes(np.zeros(1, np.uint8), shape=(1,) * ndim))
    with pytest.raises(FormatError, match=f"expected 1 to 4 dimensions, found {ndim}"):
        read_idx(tmp_path / "bad")


DAMAGED = {
    "no header": b"\x1f\x8b",
    "wrong CRC": gzip.compress(GOOD)[:-8] + b"\0" * 8,
    "trailing bytes": gzip.compress(GOOD) + b"x",
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_damaged_gzip_is_refused(tmp_path, content):
    """No header, a wrong CRC and trailing bytes are a FormatError, as is a file that is not there."""
    (tmp_path / "bad.gz").write_bytes(content)
    for name in "bad.gz", "absent":
        with pytest.raises(FormatError, match=f"{name}: cannot be read"):
            read_idx(tmp_path / name)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(
    ("payload", "claim"),
    [(10, MAX_BYTES), (10, MAX_BYTES + 1), (10, 2**32 - 1), (2**26, 10)],
    ids=["at the bound", "over the bound", "largest", "bomb"],
)
def test_memory_is_bounded_by_what_is_there(tmp_path, payload, claim, pack):
    """Neither a header that claims a GiB nor a payload that unpacks to far more than claimed costs 4 MB."""
    (tmp_path / "bad").write_bytes(pack(idx_bytes(np.zeros(payload, np.uint8), shape=(claim,))))
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match="bytes of payload"):
            read_idx(tmp_path / "bad")
        assert tracemalloc.get_traced_memory()[1] < 4e6
    finally:
        tracemalloc.stop()


def test_digest_is_of_the_decompressed_file(tmp_path):
    """Compression does not change the digest; one flipped byte does, and both digests are in the message."""
    digest = hashlib.sha256(GOOD).hexdigest()
    for level in 1, 9:
        (tmp_path / "a").write_bytes(gzip.compress(GOOD, level))
        read_idx(tmp_path / "a", sha256=digest)
    flipped = GOOD[:-1] + bytes([GOOD[-1] ^ 1])
    (tmp_path / "a").write_bytes(flipped)
    with pytest.raises(FormatError, match=f"{digest}, found {hashlib.sha256(flipped).hexdigest()}"):
        read_idx(tmp_path / "a", sha256=digest)


def test_format_error_survives_pickling():
    """A FormatError sent between ranks says the same."""
    error = pickle.loads(pickle.dumps(FormatError("a.gz", "expected b, found c")))
    assert isinstance(error, ValueError) and str(error) == "a.gz: expected b, found c"


# --- folders ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("inside", [".", "tiny"])
@pytest.mark.parametrize("by_environment", [False, True])
def test_folder(tmp_path, monkeypatch, suffix, inside, by_environment):
    """The files may be gzipped or not, in the folder or its subfolder, named by argument or environment."""
    write_tiny(tmp_path / "data" / inside, suffix)
    if by_environment:
        monkeypatch.setenv("REFHF_DATA_DIR", str(tmp_path / "data"))
    assert_is_tiny(load("tiny", data_dir=None if by_environment else tmp_path / "data"))


def test_folder_is_verified(tmp_path):
    """A file in a local folder that is not the published one is refused by its digest."""
    file = write_tiny(tmp_path / "tiny", "") / "t10k-labels-idx1-ubyte"
    file.write_bytes(idx_bytes(TINY[file.name] ^ 1))
    with pytest.raises(FormatError, match="t10k-labels-idx1-ubyte: expected a decompressed file of SHA-256"):
        load("tiny", data_dir=tmp_path)


def test_incomplete_folder(tmp_path, monkeypatch):
    """A folder without all four files is a ValueError naming who gave it, not a download."""
    (write_tiny(tmp_path / "tiny") / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(ValueError, match="^data_dir: expected a folder.*t10k-labels-idx1-ubyte.*; got /"):
        load("tiny", data_dir=tmp_path)
    monkeypatch.setenv("REFHF_DATA_DIR", str(tmp_path))
    with pytest.raises(ValueError, match="^REFHF_DATA_DIR: expected"):
        load("tiny")


# --- download ---------------------------------------------------------------------------------------------


@pytest.fixture
def server(tmp_path):
    """The address of a server of `tmp_path / "served"`, the paths asked of it, and a call to shut it down."""
    pytest.importorskip("pooch")
    asked = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            asked.append(self.path)

    http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=tmp_path / "served"))
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()

    def down():
        http.shutdown()
        http.server_close()
        thread.join()

    yield f"http://127.0.0.1:{http.server_port}", asked, down
    if thread.is_alive():
        down()


def test_download_once(tmp_path, server, monkeypatch, caplog, capfd):
    """The first call downloads each file once, silently; the second needs no server."""
    address, asked, down = server
    monkeypatch.setattr(pytest.importorskip("pooch").get_logger(), "handlers", [caplog.handler])
    write_tiny(tmp_path / "served" / "tiny")
    assert_is_tiny(load("tiny", base_url=f"{address}/tiny"))
    assert asked == [f"/tiny/{file}.gz" for file in TINY]
    down()
    assert_is_tiny(load("tiny", base_url=f"{address}/tiny"))
    assert not caplog.records and capfd.readouterr() == ("", "")


def test_download_address_from_the_environment_and_progress(tmp_path, server, monkeypatch, capsys):
    """REFHF_BASE_URL serves where no argument does, {name} is the data set's; progress goes to stderr."""
    pytest.importorskip("tqdm")
    write_tiny(tmp_path / "served" / "tiny")
    monkeypatch.setenv("REFHF_BASE_URL", server[0] + "/{name}/")
    assert_is_tiny(load("tiny", progress=True))
    out, err = capsys.readouterr()
    assert out == "" and "100%" in err


def test_corrupt_download_is_not_kept(tmp_path, server):
    """A download of another digest is a FormatError naming its address; mended, the next call succeeds."""
    file = write_tiny(tmp_path / "served") / "t10k-images-idx3-ubyte.gz"
    good = file.read_bytes()
    for bad in good[:-9], gzip.compress(idx_bytes(TINY[file.stem] ^ 1)), b"<html>moved</html>":
        file.write_bytes(bad)
        with pytest.raises(FormatError, match=f"^{server[0]}/{file.name}: "):
            load("tiny", base_url=server[0])
        assert len(list((tmp_path / "cache" / "refhf" / "tiny").iterdir())) == 2
    file.write_bytes(good)
    assert_is_tiny(load("tiny", base_url=server[0]))


def test_a_download_is_no_bomb(tmp_path, server, monkeypatch):
    """A download of which more comes than any published file has, or that unpacks to more, is refused and not kept."""
    file = write_tiny(tmp_path / "served") / "train-images-idx3-ubyte.gz"
    good = file.read_bytes()
    file.write_bytes(gzip.compress(idx_bytes(np.zeros(70 * 2**20, np.uint8)), 1))
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match=f"^{server[0]}/{file.name}: expected at most .* of payload"):
            load("tiny", base_url=server[0])
        assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
    finally:
        tracemalloc.stop()
    file.write_bytes(good)
    monkeypatch.setattr(fetch, "DOWNLOAD_BYTES", len(good) - 1)
    with pytest.raises(FormatError, match=f"^{server[0]}/{file.name}: expected at most {len(good) - 1} bytes; more"):
        load("tiny", base_url=server[0])
    assert not list((tmp_path / "cache" / "refhf" / "tiny").iterdir())


def test_failed_download(server):
    """A file that is not on the server, or a server that is not there, is an OSError with the address."""
    address, _, down = server
    with pytest.raises(OSError, match=f"^{address}/train-images-idx3-ubyte.gz: could not be downloaded .*404"):
        load("tiny", base_url=address)
    down()
    with pytest.raises(OSError, match=f"^{address}/train-images-idx3-ubyte.gz: could not be downloaded"):
        load("tiny", base_url=address)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pooch leaves a broken response open
@pytest.mark.parametrize("where", ["body", "header"])
def test_a_download_has_an_overall_limit(where, monkeypatch):
    """A server that drips keeps within a socket's time limit, and is given up all the same by an OSError."""
    pytest.importorskip("pooch")
    monkeypatch.setattr(fetch, "LIMIT", 0.5)
    over, before = threading.Event(), {*threading.enumerate()}

    class Dripping(BaseHTTPRequestHandler):
        def do_GET(self):
            self.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Length: 99999\r\n" + (b"\r\n" if where == "body" else b""))
            while not over.wait(0.02):
                self.wfile.write(b"a")

        def log_message(self, *args):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Dripping)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        with pytest.raises(OSError, match=r"train-images.*could not be downloaded .*longer than 0.5 s"):
            load("tiny", base_url=f"http://127.0.0.1:{http.server_port}")
    finally:
        over.set()
        http.shutdown()
        http.server_close()
        for other in {*threading.enumerate()} - before:
            other.join(LIMIT)
        gc.collect()


def test_download_without_pooch(monkeypatch):
    """Without pooch a download is a ValueError that says what to install; the bundled data need none."""
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ValueError, match=r"pip install 'refhf\[cli\]'"):
        load("tiny")
    load("mnist-mini")


# --- npz --------------------------------------------------------------------------------------------------

X, LABELS, TARGETS = np.arange(12.0).reshape(4, 3), np.array([0, 1, 2, 1]), np.eye(4, 2)


@pytest.mark.parametrize("y", [LABELS, LABELS.astype(np.uint8), TARGETS, TARGETS.astype(int)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_npz(tmp_path, y, dtype):
    """X is taken as it is, in the type asked for; y (B,) are int64 labels, y (B, n_L) targets in it."""
    path = tmp_path / "mine.npz"
    for test in {}, {"X_test": X[:2], "y_test": y[:2]}:
        np.savez_compressed(path, X=X, y=y, **test)
        data = load(path, dtype=dtype)
        assert data.name == "mine" and data.X.dtype == dtype
        assert data.y.dtype == (np.int64 if y.ndim == 1 else dtype)
        np.testing.assert_array_equal(data.X, X)
        np.testing.assert_array_equal(data.y, y)
        if test:
            np.testing.assert_array_equal(data.X_test, X[:2])
            np.testing.assert_array_equal(data.y_test, y[:2])
        else:
            assert data.X_test is None and data.y_test is None


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"X": X}, r"expected arrays X, y or X, y, X_test, y_test .*; found \['X'\]"),
        ({"X": X, "y": LABELS, "X_test": X}, r"found \['X', 'y', 'X_test'\]"),
        ({"X": np.array(3.0), "y": LABELS}, r"X: expected numbers, \(B, n_0\); found float64 \(\)"),
        ({"X": X[:0], "y": LABELS[:0]}, r"X: expected numbers, .* \(0, 3\)"),
        ({"X": X.astype(str), "y": LABELS}, "X: expected numbers"),
        ({"X": X + 1j, "y": LABELS}, "X: expected numbers"),
        (
            {"X": np.where(X == 5, np.nan, X), "y": LABELS},
            "X: expected numbers finite in float32; found NaN or Inf",
        ),
        ({"X": X * 1e300, "y": LABELS}, "X: expected numbers finite in float32"),
        ({"X": X, "y": LABELS.astype(str)}, r"y: expected integer labels \(B,\); found <U21"),
        ({"X": X, "y": LABELS - 1}, r"y: expected labels from 0 up \(or floats, as targets\); found -1"),
        ({"x_train": X, "y_train": LABELS - 1}, "y_train: expected labels from 0 up"),
        ({"X": X, "y": LABELS[None, None]}, r"y: expected numbers, labels \(B,\) or targets"),
        ({"x_train": X.astype(str), "y_train": LABELS}, "x_train: expected numbers"),
        ({"X": X, "X_train": X, "y": LABELS}, "expected one array for X; found X and X_train"),
        ({"X": X, "x": X, "y": LABELS}, "expected one array for X; found X and x"),
        ({"arr_0": X, "arr_1": LABELS}, r"expected arrays X, y .*; found \['arr_0', 'arr_1'\]"),
        ({"data": X, "target": LABELS}, r"expected arrays X, y .*; found \['data', 'target'\]"),
        (
            {"X_train": X, "y_train": LABELS, "X_val": X, "y_test": LABELS},
            r"found \['X_train', .*, 'X_val', 'y_test'\]",
        ),
        ({"X": X, "y": LABELS, "X_test": X, "y_test": LABELS * 1.0}, "expected the same columns in y and y_test"),
        ({}, r"expected arrays X, y .*; found \[\]"),
        ({"X": X, "y": np.array(3)}, r"y: expected numbers, labels \(B,\) or targets"),
        ({"X": X, "y": LABELS[:3]}, "expected as many rows in X as in y; found shapes"),
        (
            {"X": X, "y": TARGETS, "X_test": X, "y_test": TARGETS[:1]},
            "expected as many rows in X_test as in y_test",
        ),
        (
            {"X": X, "y": LABELS, "X_test": X[:, :2], "y_test": LABELS},
            "expected the same columns in X and X_test",
        ),
        ({"X": X, "y": LABELS, "X_test": X, "y_test": TARGETS}, "expected the same columns in y and y_test"),
        ({"X": np.array([None]), "y": LABELS}, "expected numbers or text; found object"),
    ],
)
def test_wrong_npz_is_refused(tmp_path, arrays, reason):
    """Missing, misshapen, non-numeric, non-finite or pickled arrays are a FormatError naming the array."""
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(FormatError, match=rf"bad\.npz: .*{reason}"):
        load(tmp_path / "bad.npz", dtype=np.float32)


@pytest.mark.parametrize("kind", ["npz", "npy"])
@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("y", LABELS + 65536, "y: expected labels below 65536; found 655"),
        (
            "y",
            np.where(LABELS.max() == LABELS, np.uint64(2**63), LABELS.astype(np.uint64)),
            "found 9223372036854775808",
        ),
        ("y", LABELS.astype(np.int64) + 10**12, "y: expected labels below 65536; found 10000000000"),
        ("y_test", LABELS + 65536, "y_test: expected labels below 65536"),
        ("y_test", LABELS - 1, "y_test: expected labels from 0 up"),
        ("X", X * np.nan, "X: expected numbers finite in float64; found NaN or Inf"),
        ("X", np.full(X.shape, -np.inf), "X: expected numbers finite in float64; found NaN or Inf"),
        ("X", np.where(np.arange(X.size).reshape(X.shape) == X.size - 1, np.nan, X), "found NaN or Inf"),
        ("X", np.full(X.shape, np.nan, np.float16), "found NaN or Inf"),
        ("X_test", X * np.nan, "X_test: expected numbers finite"),
        ("y", TARGETS * np.nan, "y: expected numbers finite"),
        ("y_test", np.full(TARGETS.shape, np.inf), "y_test: expected numbers finite"),
    ],
)
def test_wrong_numbers_name_their_file(kind, key, value, reason, tmp_path):
    """Labels beyond all classes, NaN and Inf: a FormatError that names the `.npz`, or the `.npy` of a folder."""
    y = TARGETS if value.ndim == 2 and key.startswith("y") else LABELS
    arrays = {"X": X, "y": y, "X_test": X, "y_test": y, key: value}
    if kind == "npz":
        np.savez(tmp_path / "a.npz", **arrays)
        where = what = tmp_path / "a.npz"
    else:
        for name, x in arrays.items():
            np.save(tmp_path / name, x)
        where, what = tmp_path, tmp_path / f"{key}.npy"
    with pytest.raises(FormatError) as failure:
        load(where)
    assert str(failure.value).startswith(f"{what}: ") and reason in str(failure.value)


def test_a_folder_is_finite_in_its_type(tmp_path):
    """What float32 does not hold is refused in float32 and taken in float64; a folder is known by all its numbers."""
    np.save(tmp_path / "y.npy", LABELS)
    np.save(tmp_path / "X.npy", np.full(X.shape, 1e39))
    with pytest.raises(FormatError, match=r"X.npy: X: expected numbers finite in float32"):
        load(tmp_path, dtype="float32")
    before = digest(load(tmp_path))
    changed = np.full(X.shape, 1e39)
    changed[-1, -1] = 2e39
    np.save(tmp_path / "X.npy", changed)
    assert digest(load(tmp_path)) != before


def test_damaged_npz_is_refused(tmp_path):
    """A file cut anywhere, or that is no zip at all, is a FormatError."""
    path = tmp_path / "bad.npz"
    np.savez_compressed(path, X=X, y=LABELS)
    content = path.read_bytes()
    for cut in range(0, len(content), 7):
        path.write_bytes(content[:cut])
        with pytest.raises(FormatError, match=r"bad\.npz: "):
            load(path)
    with open(path, "wb") as file:
        np.save(file, X)
    with pytest.raises(FormatError, match=r"bad\.npz: "):
        load(path)


# --- arguments --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "near"), [("mnits", "mnist"), ("MNIST", "mnist"), ("fashion_mnist", "fashion-mnist")])
def test_unknown_name(name, near):
    """A name that is none is a ValueError with all the names and the nearest."""
    with pytest.raises(ValueError, match=f"^name_or_path: .*mnist-mini, mnist.*got '{name}' .did you mean '{near}'"):
        load(name)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name_or_path": "digits of pi"}, "name_or_path: expected .*; got 'digits of pi'$"),
        ({"name_or_path": "absent.npz"}, "name_or_path: expected a .npz file; got 'absent.npz'"),
        (
            {"name_or_path": "mnist-mini", "dtype": "float16"},
            "dtype: expected float64 or float32; got 'float16'",
        ),
        (
            {"name_or_path": "tiny", "base_url": "mnist.org"},
            "base_url: expected an http:// .*; got 'mnist.org'",
        ),
    ],
)
def test_wrong_argument(arguments, message):
    """A wrong argument is a ValueError that names it, what was expected and what came."""
    with pytest.raises(ValueError, match=f"^{message}"):
        load(**arguments)


def test_data_sets_says_where_load_would_look(tmp_path, server):
    """A row a data set: a folder goes first, then the cache, then the download that fills the cache."""
    address, _, _ = server

    def source(**where):
        rows = {row.name: row for row in data_sets(**where)}
        assert {"mnist-mini", "mnist", "fashion-mnist"} <= set(rows) and rows["mnist-mini"].source == "bundled"
        return rows["tiny"].source

    assert source(base_url=address) == f"download {address}/"
    write_tiny(tmp_path / "served")
    load("tiny", base_url=address)
    assert source() == f"cache {tmp_path / 'cache' / 'refhf' / 'tiny'}"
    assert source(data_dir=tmp_path / "served") == f"folder {tmp_path / 'served'}"
    assert source(data_dir=tmp_path / "absent").startswith("data_dir: expected a folder")


def test_a_user_without_a_home(monkeypatch):
    """Where there is no home folder for the cache, that is one line: it names what may be given instead."""
    pooch = pytest.importorskip("pooch")

    def homeless(project):
        raise RuntimeError("could not determine the home directory")

    monkeypatch.delenv("REFHF_DATA_DIR", raising=False)
    monkeypatch.setattr(pooch, "os_cache", homeless)
    with pytest.raises(ValueError, match="data_dir: expected a folder with the files of mnist, or a home folder"):
        fetch.locate("mnist")
