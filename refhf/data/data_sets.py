"""Data sets: bundled digits and sonnets, files of MNIST, Fashion-MNIST, CIFAR-10 and spoken digits, and your own."""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from refhf import hints
from refhf.data import array_files, character_windows, cifar, csv_file, image_folder, spoken_digits
from refhf.data.array_files import ARRAYS, row_pieces
from refhf.data.fetch import IDX_SETS, locate_idx_set, read_idx_set
from refhf.formats import read_npz
from refhf.parallel import agree, shard
from refhf.parallel.shards import Rows
from refhf.text import contents, path_of

MNIST_MINI = Path(__file__).with_name("mnist_mini.npz")  # written by tests/make_mnist_mini.py
SONNETS = Path(__file__).with_name("sonnets.txt")  # Shakespeare's 18, 29, 30, 55, 73, 116, 130 and 138
FOLDER_SETS = {cifar.NAME: cifar.DESCRIPTION, spoken_digits.NAME: spoken_digits.DESCRIPTION}  # never downloaded
NAMES = "mnist-mini", *IDX_SETS, *FOLDER_SETS, "sonnets"
WHITE = 255  # the largest value of a pixel, which becomes 1.0


class DataSet(NamedTuple):
    """Training cases and, if there are any, test cases; a row is a case.

    The arrays of a folder of `.npy` files stay on disk, as `refhf.parallel.shards.Rows`.

    Attributes
    ----------
    name : str
    X : (B, n_0) float; pixels lie in [0, 1], a `.npz` or `.npy` file keeps its own units; of a text (B, context) int64
    y : (B,) int64 labels, or (B, n_L) float targets; of a text (B, context) int64
    X_test : (B_test, n_0) float, or None
    y_test : (B_test,) int64 labels or (B_test, n_L) float targets, or None
    notes : a sentence for each array of a file that has another name or shape there
    vocabulary : the characters of a text, sorted, whose places in it X and y hold; '' of other data
    dtype : of computation, where X has integers; else None
    classes : the names of the labels 0, 1, ..., where the data has names; else ()
    image_shape : (height, width, channels), where the file or folder says it; else ()
    """

    name: str
    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray | None = None
    y_test: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    vocabulary: str = ""
    dtype: np.dtype | None = None
    classes: tuple[str, ...] = ()
    image_shape: tuple[int, ...] = ()

    def __repr__(self) -> str:
        targets = f"labels up to {self.y.max()}" if self.y.ndim == 1 else f"targets of {self.y.shape[1]}"
        if self.vocabulary:
            targets = f"tokens of {len(self.vocabulary)} characters"
        test = "" if self.X_test is None else f"; {len(self.X_test):,} test cases"
        return f"DataSet {self.name}: {len(self.X):,} cases of {self.X.shape[1]} numbers, {targets}{test}"


class DataSetListing(NamedTuple):
    """An entry in the list of data sets: name, description, and the source `load` would use."""

    name: str
    description: str
    source: str


def load(name_or_path, *, data_dir=None, dtype: Any = np.float64, context=None, base_url=None, progress=False):
    """Load a data set by its name, or from a file or folder of your own.

    `mnist-mini` and `sonnets` come with the package. `mnist` and `fashion-mnist` are read from a folder of IDX files if
    one is given, else from the cache (`pooch.os_cache("refhf")`), which the first call fills by download;
    wherever they come from, the SHA-256 of their decompressed content must be the published one. `cifar-10` is its six
    binary files in a folder; rows of `X` are images in C order, channels last, as `refhf.convnet` takes them. `fsdd` is
    the recordings of the Free Spoken Digit Dataset in a folder, as frames of speech (`refhf.data.spoken_digits`).

    Parameters
    ----------
    name_or_path : str or path
        `mnist-mini`, `mnist`, `fashion-mnist`, `cifar-10`, `fsdd`, `sonnets`, or a path ending in `.npz` of a file that
        holds `X (B, n_0)` and `y`, integer labels `(B,)` or targets `(B, n_L)`, and optionally `X_test` and `y_test`;
        or a folder with these as `X.npy`, `y.npy` and so on, for what does not fit into memory. `X_train` and `x_train`
        are `X` too, and so on. Integers `(B, 1)` are labels, floats `(B,)` targets; cases `(B,)` or `(B, rows,
        columns)` become rows. `notes` of the result records this. A path ending in `.txt` is a text in UTF-8, read as
        characters: cases are windows of `context` characters, one after the other, and targets the same windows one
        character ahead. The last tenth of the windows is to test on. `refhf.transformer` takes them. A path ending in
        `.csv` is a table with a header, whose column `y` or `label`, or else its last, is y (`refhf.data.csv_file`). A
        folder of images CLASS/NAME.png, or train/CLASS/NAME.png and test/CLASS/NAME.png, is read by
        `refhf.data.image_folder`.
    data_dir : str or path, optional
        Folder with the four IDX files, gzipped or not, with CIFAR-10's, or with the recordings, in it or in its
        subfolder of the data set's name. Default: the environment variable REFHF_DATA_DIR. Used for these four only.
    dtype : np.float64 or np.float32
        The type of `X`, `X_test` and of targets; of a text, whose arrays are integers, that of computation.
    context : int, optional
        Characters of a case of a text; used for texts only. Default: 32.
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
        return _scaled(name, (read_npz(MNIST_MINI)[key] for key in ARRAYS), dtype)
    if name in IDX_SETS:
        arrays = read_idx_set(name, data_dir=data_dir, base_url=base_url, progress=progress)
        return _scaled(name, arrays, dtype)
    if name == cifar.NAME:
        return _scaled(name, cifar.read_cifar_set(data_dir), dtype)
    if name == spoken_digits.NAME:
        return DataSet(name, **spoken_digits.read_spoken_digits(data_dir, dtype))
    if name == "sonnets":
        return _text(SONNETS, dtype, context)
    path = path_of("name_or_path", name)
    if name.endswith(".npz"):
        return DataSet(path.stem, **array_files.read_npz_cases(path, dtype))
    if name.endswith(".txt"):
        return _text(path, dtype, context)
    if name.endswith(".csv"):
        return DataSet(path.stem, **csv_file.read_csv_cases(path, dtype))
    if any(path.glob("*.npy")):
        return DataSet(path.name, **array_files.read_npy_folder(path, dtype))
    if image_folder.is_image_folder(path):
        return DataSet(path.name, **image_folder.read_image_folder(path, dtype))
    more = f", a path that {contents(path)}" if path.exists() else hints.hint(name, NAMES)
    raise ValueError(
        f"name_or_path: expected {', '.join(NAMES)}, a path to a .npz, .csv or .txt file or a folder with X.npy or of "
        f"images by class; got {name!r}{more}"
    )


def list_data_sets(*, data_dir=None, base_url=None):
    """List the named data sets as `DataSetListing`; arguments as in `load`.

    A source is "bundled", "folder PATH", "cache PATH" or "download ADDRESS"; where `load` would raise ValueError, it is
    that error's message. Nothing is read or downloaded.
    """
    rows = [DataSetListing("mnist-mini", "a sample of mnist, per class 1,000 to train on, 200 to test on", "bundled")]
    for name in (*IDX_SETS, *FOLDER_SETS):
        try:
            source = " ".join(map(str, _located(name, data_dir, base_url)))
        except ValueError as error:
            source = str(error)
        described = IDX_SETS[name].description if name in IDX_SETS else FOLDER_SETS[name]
        rows.append(DataSetListing(name, described, source))
    return [
        *rows,
        DataSetListing("sonnets", "eight sonnets of Shakespeare, as characters for a transformer", "bundled"),
    ]


def _located(name, data_dir, base_url):
    """The place of a named set's files, in two words."""
    if name in IDX_SETS:
        return locate_idx_set(name, data_dir, base_url)
    locate = cifar.locate_cifar if name == cifar.NAME else spoken_digits.locate_recordings
    return "folder", locate(data_dir)


def local_rows(data: DataSet, comm, reduction: str, group: int = 1) -> DataSet:
    """The rows of this rank, whole groups, from data given to all ranks. Arrays in memory are copied to free the rest.

    Raises
    ------
    ValueError
        On all ranks, if they were given different data (for `.npy` files, different shapes).
    """
    if comm.size == 1:
        return data
    arrays = {key: getattr(data, key) for key in ARRAYS}
    told = {key: (x.shape, x.dtype.str) if isinstance(x, Rows) else x for key, x in arrays.items()}
    agree(comm, name=data.name, **told)
    for key, x in arrays.items():
        if x is not None:
            rows = shard(len(x), comm.rank, comm.size, reduction, group)
            arrays[key] = x.part(rows) if isinstance(x, Rows) else x[rows].copy()
    return data._replace(**arrays)


def data_digest(data: DataSet) -> str:
    """A digest of the data's content; files on disk are read through once."""
    told = hashlib.blake2b(digest_size=8)
    for x in (getattr(data, key) for key in ARRAYS):
        told.update(b"" if x is None else f"{x.dtype.str} {x.shape}".encode())
        for rows in row_pieces(x) if isinstance(x, Rows) else () if x is None else (x,):
            told.update(np.ascontiguousarray(rows).view(np.uint8).data)
    return told.hexdigest()


def _text(path, dtype, context):
    arrays = character_windows.read_windows(path, character_windows.CONTEXT if context is None else context)
    return DataSet(path.stem, **arrays, dtype=np.dtype(dtype))


def _scaled(name, arrays, dtype):
    """A DataSet from bytes: images (B, ...), labels (B,), test images, test labels."""
    X, y, X_test, y_test = arrays
    X, X_test = (np.divide(pixels.reshape(len(pixels), -1), WHITE, dtype=dtype) for pixels in (X, X_test))
    return DataSet(name, X, y.astype(np.int64), X_test, y_test.astype(np.int64))
