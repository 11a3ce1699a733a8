"""Data sets: a bundled sample of MNIST, the files of MNIST, Fashion-MNIST and CIFAR-10, anybody's `.npz` or `.npy`."""

import difflib
import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from refhf.app import cifar
from refhf.app.fetch import IDX_SETS, locate, read_idx_set
from refhf.formats import FormatError, read_npz
from refhf.parallel import agree, shard
from refhf.parallel.shards import Rows

MNIST_MINI = Path(__file__).with_name("mnist_mini.npz")  # written by scripts/make_mnist_mini.py
WHITE = 255  # the largest value of a pixel, which becomes 1.0


class DataSet(NamedTuple):
    """Cases to train on and, where there are any, cases to test on; rows are cases.

    Those of a folder of `.npy` files stay on disk, as `refhf.parallel.shards.Rows`.

    Attributes
    ----------
    name : str
    X : (B, n_0) float; pixels lie in [0, 1], a `.npz` or `.npy` file keeps its own units
    y : (B,) int64 labels, or (B, n_L) float targets
    X_test : (B_test, n_0) float, or None
    y_test : (B_test,) int64 labels or (B_test, n_L) float targets, or None
    """

    name: str
    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray | None = None
    y_test: np.ndarray | None = None


class Row(NamedTuple):
    """A line of the table of data sets: the name, what it is, and where `load` would take it from."""

    name: str
    description: str
    source: str


def load(name_or_path, *, data_dir=None, dtype=np.float64, base_url=None, progress=False):
    """Load a data set by its name, or from a `.npz` file.

    `mnist-mini` comes with the package. `mnist` and `fashion-mnist` are read from a folder of IDX files if
    one is given, else from the cache (`pooch.os_cache("refhf")`), which the first call fills by download;
    wherever they come from, the SHA-256 of their decompressed content must be the published one. `cifar-10` is its six
    binary files in a folder; rows of `X` are images in C order, channels last, as `refhf.convnet` takes them.

    Parameters
    ----------
    name_or_path : str or path
        `mnist-mini`, `mnist`, `fashion-mnist`, `cifar-10`, or a path ending in `.npz` of a file that holds `X (B, n_0)`
        and `y`, integer labels `(B,)` or targets `(B, n_L)`, and optionally `X_test` and `y_test`; or a folder with
        these as `X.npy`, `y.npy` and so on, for what does not fit into memory.
    data_dir : str or path, optional
        Folder with the four IDX files, gzipped or not, or with CIFAR-10's, in it or in its subfolder of the data set's
        name. Default: the environment variable REFHF_DATA_DIR. Looked at for these three only.
    dtype : np.float64 or np.float32
        The type of `X`, `X_test` and of targets.
    base_url : str, optional
        Address to download `<base_url>/<file>.gz` from; `{name}` in it stands for the data set's name.
        Default: the environment variable REFHF_BASE_URL, else the publisher's.
    progress : bool
        Show a bar on stderr while downloading.

    Returns
    -------
    DataSet

    Raises
    ------
    ValueError
        If an argument is wrong, or if a download is needed and pooch is not installed.
    FormatError
        A ValueError: if a file is malformed, or its digest is another.
    OSError
        If the download fails.

    Examples
    --------
    >>> digits = load("mnist-mini")
    >>> digits.X.shape, digits.y.shape, digits.X_test.shape
    ((10000, 784), (10000,), (2000, 784))
    """
    if dtype not in (np.float64, np.float32, "float64", "float32"):
        raise ValueError(f"dtype: expected float64 or float32; got {dtype!r}")
    name = str(name_or_path)
    if name == "mnist-mini":
        return _scaled(name, (read_npz(MNIST_MINI)[key] for key in DataSet._fields[1:]), dtype)
    if name in IDX_SETS:
        arrays = read_idx_set(name, data_dir=data_dir, base_url=base_url, progress=progress)
        return _scaled(name, arrays, dtype)
    if name == cifar.NAME:
        return _scaled(name, cifar.read_cifar_set(data_dir), dtype)
    if name.endswith(".npz"):
        return _from_npz(Path(name).expanduser(), dtype)
    if Path(name, "X.npy").is_file():
        return _from_folder(Path(name), dtype)
    names = ["mnist-mini", *IDX_SETS, cifar.NAME]
    near = difflib.get_close_matches(name.lower(), names, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise ValueError(
        f"name_or_path: expected {', '.join(names)}, a path to a .npz or a folder with X.npy; got {name!r}{hint}"
    )


def data_sets(*, data_dir=None, base_url=None):
    """The data sets that have a name, as a list of `Row`; arguments as in `load`.

    A row's source is "bundled", "folder PATH", "cache PATH" or "download ADDRESS"; where `load` would raise
    ValueError, it is that error's message. Nothing is read or downloaded.
    """
    rows = [Row("mnist-mini", "a sample of mnist, per class 1,000 to train on, 200 to test on", "bundled")]
    for name in (*IDX_SETS, cifar.NAME):
        description = IDX_SETS[name].description if name in IDX_SETS else cifar.DESCRIPTION
        try:
            found = locate(name, data_dir, base_url) if name in IDX_SETS else ("folder", cifar.locate(data_dir))
            source = " ".join(map(str, found))
        except ValueError as error:
            source = str(error)
        rows.append(Row(name, description, source))
    return rows


def own(data: DataSet, comm, reduction: str) -> DataSet:
    """The rows of this rank, of data that all ranks were given; those that are in memory are copied, to free the rest.

    Raises
    ------
    ValueError
        On all ranks, if they were given different data (of `.npy` files, different shapes).
    """
    if comm.size == 1:
        return data
    arrays = data._asdict()
    agree(comm, **{key: (x.shape, x.dtype.str) if isinstance(x, Rows) else x for key, x in arrays.items()})
    for key, x in arrays.items():
        if key != "name" and x is not None:
            rows = shard(len(x), comm.rank, comm.size, reduction)
            arrays[key] = x.part(rows) if isinstance(x, Rows) else x[rows].copy()
    return DataSet(**arrays)


def digest(data: DataSet) -> str:
    """What tells data from others: of arrays their content, of files on disk their shape."""
    told = hashlib.blake2b(digest_size=8)
    for x in data[1:]:
        told.update(b"" if x is None else f"{x.dtype.str} {x.shape}".encode())
        if isinstance(x, np.ndarray):
            told.update(np.ascontiguousarray(x).view(np.uint8).data)
    return told.hexdigest()


def _scaled(name, arrays, dtype):
    """A DataSet from bytes: images (B, ...), labels (B,), test images, test labels."""
    X, y, X_test, y_test = arrays
    X, X_test = (np.divide(pixels.reshape(len(pixels), -1), WHITE, dtype=dtype) for pixels in (X, X_test))
    return DataSet(name, X, y.astype(np.int64), X_test, y_test.astype(np.int64))


def _from_npz(path, dtype):
    """A DataSet from anybody's file, each member checked."""
    if not path.is_file():
        raise ValueError(f"name_or_path: expected a .npz file; got {str(path)!r}, which is no file")
    arrays = read_npz(path, DataSet._fields[1:])
    _check_names(path, arrays)
    if all(array.ndim for array in arrays.values()):
        _check_shapes(path, arrays)  # before bytes become numbers eight times as long
    for key, array in arrays.items():
        is_labels = key.startswith("y") and array.ndim == 1
        arrays[key] = _labels(path, key, array) if is_labels else _matrix(path, key, array, dtype)
    return DataSet(path.stem, **arrays)


def _check_names(path, arrays):
    if set(arrays) not in ({"X", "y"}, {"X", "y", "X_test", "y_test"}):
        raise FormatError(path, f"expected arrays X, y or X, y, X_test, y_test; found {[*arrays]}")


def _check_shapes(path, arrays):
    shapes = {key: array.shape for key, array in arrays.items()}
    for X, y in ("X", "y"), ("X_test", "y_test"):
        if X in shapes and shapes[X][0] != shapes[y][0]:
            raise FormatError(path, f"expected as many rows in {X} as in {y}; found shapes {shapes}")
    for train, test in ("X", "X_test"), ("y", "y_test"):
        if test in shapes and shapes[train][1:] != shapes[test][1:]:
            raise FormatError(path, f"expected the same columns in {train} and {test}; found shapes {shapes}")


def _from_folder(path, dtype):
    """A DataSet from X.npy, y.npy and, if they are there, X_test.npy and y_test.npy; only labels are read now."""
    files = {key: path / f"{key}.npy" for key in DataSet._fields[1:] if (path / f"{key}.npy").exists()}
    _check_names(path, files)
    arrays = {key: Rows(file, dtype=dtype) for key, file in files.items()}
    for key in arrays:
        if key.startswith("y") and arrays[key].ndim == 1:
            arrays[key] = _labels(files[key], key, Rows(files[key])[:])
        elif arrays[key].ndim != 2 or 0 in arrays[key].shape:
            raise FormatError(files[key], f"{key}: expected rows of numbers; found {arrays[key].shape}")
    _check_shapes(path, arrays)
    return DataSet(path.name, **arrays)


def _matrix(path, key, array, dtype):
    """Inputs (B, n_0) or targets (B, n_L), as finite numbers of type dtype."""
    if array.ndim != 2 or array.size == 0 or array.dtype.kind not in "fiub":
        expected = "labels (B,) or targets (B, n_L)" if key.startswith("y") else "(B, n_0)"
        raise FormatError(path, f"{key}: expected numbers, {expected}; found {array.dtype} {array.shape}")
    with np.errstate(over="ignore"):
        numbers = array.astype(dtype, copy=False)
    if not np.isfinite(numbers).all():
        raise FormatError(path, f"{key}: expected numbers finite in {np.dtype(dtype)}; found NaN or Inf")
    return numbers


def _labels(path, key, array):
    """Labels (B,) as int64."""
    if array.dtype.kind not in "iu" or array.size == 0:
        raise FormatError(path, f"{key}: expected integer labels (B,); found {array.dtype} {array.shape}")
    labels = array.astype(np.int64, copy=False)
    if labels.min() < 0:
        raise FormatError(path, f"{key}: expected labels from 0 up; found {labels.min()}")
    return labels
