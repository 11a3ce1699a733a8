"""Finds the published IDX files of MNIST and Fashion-MNIST, or downloads them once.

References
----------
LeCun, Bottou, Bengio & Haffner 1998, "Gradient-based learning applied to document recognition", Proc. IEEE 86
(MNIST); Xiao, Rasul & Vollgraf 2017, "Fashion-MNIST", arXiv:1708.07747.
"""

import os
import threading
from functools import partial
from typing import Any, NamedTuple

from refhf.data.idx import read_idx
from refhf.formats import FormatError
from refhf.text import contents, path_of

LIMIT = 1800  # seconds that the download of a file may take; our choice: the largest, 10 MB, at 6 kB a second
DOWNLOAD_BYTES = 2**26  # 64 MiB, our choice: twice the largest published file


class IdxSet(NamedTuple):
    """A set of four IDX files: description, base address, and {file: SHA-256 when decompressed}.

    The order is training images, training labels, test images, test labels.
    """

    description: str
    base_url: str
    sha256: dict


IDX_SETS = {
    "mnist": IdxSet(  # digests: those of the files as LeCun, Cortes & Burges published them
        "handwritten digits, 28 x 28, 10 classes: 60,000 to train on, 10,000 to test on",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        {
            "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
    ),
    "fashion-mnist": IdxSet(  # digests: those of the files as Xiao, Rasul & Vollgraf published them
        "pictures of clothes, 28 x 28, 10 classes: 60,000 to train on, 10,000 to test on",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        {
            "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        },
    ),
}


def read_idx_set(name, *, data_dir=None, base_url=None, progress=False):
    """The four arrays of an IDX data set as they are in its files, their digests verified.

    Parameters
    ----------
    name : str
        A key of IDX_SETS.
    data_dir, base_url, progress
        As in `refhf.data.data_sets.load`.

    Returns
    -------
    list of ndarray of uint8
        Training images (B, rows, columns) and labels (B,), test images and labels.

    Raises
    ------
    ValueError, FormatError, OSError
        As `refhf.data.data_sets.load` does.
    """
    place, where = locate_idx_set(name, data_dir, base_url)
    folder = _download(name, where, progress) if place == "download" else where
    return [
        read_idx(_find(folder, file), ndim=3 if "images" in file else 1, sha256=digest)
        for file, digest in IDX_SETS[name].sha256.items()
    ]


def find_data_folder(name, data_dir, complete, within, files):
    """The folder of a data set: in `data_dir` or $REFHF_DATA_DIR, itself or a subfolder; None if neither is set.

    Raises
    ------
    ValueError
        If none of them is `complete`.
    """
    argument, given = _setting("data_dir", data_dir, "REFHF_DATA_DIR")
    if not given:
        return None
    top = path_of(argument, given)
    for folder in (top / part for part in within):
        if complete(folder):
            return folder
    wanted = f"a folder that has {files}, or whose subfolder {name} does"
    raise ValueError(f"{argument}: expected {wanted}; got {given}, which {contents(top)}")


def locate_idx_set(name, data_dir=None, base_url=None):
    """The place of the files of `name`: ("folder", path), ("cache", path) or ("download", address).

    Raises
    ------
    ValueError
        If the folder given lacks a file, if the address is none, or if pooch is needed and not installed.
    """
    files = ", ".join(f"{file}[.gz]" for file in IDX_SETS[name].sha256)
    folder = find_data_folder(name, data_dir, partial(_complete, name=name), (name, ""), files)
    if folder:
        return "folder", folder
    argument, address = _setting("base_url", base_url, "REFHF_BASE_URL")
    address = (address or IDX_SETS[name].base_url).replace("{name}", name)
    if not address.startswith(("http://", "https://")):
        raise ValueError(f"{argument}: expected an http:// or https:// address; got {address!r}")
    try:
        folder = _pooch(name).os_cache("refhf") / name
    except RuntimeError as error:  # a user without an entry in the password file, and without HOME
        raise ValueError(
            f"data_dir: expected a folder with the files of {name}, or a home folder for the cache; got neither"
        ) from error
    return ("cache", folder) if _complete(folder, name) else ("download", address.rstrip("/") + "/")


def _download(name, address, progress):
    """Download the files of `name` into the cache and return the folder; a file that fails its check is removed."""
    pooch = _pooch(name)
    pooch.get_logger().setLevel("INFO" if progress else "WARNING")
    http = pooch.HTTPDownloader(progressbar=progress)
    folder = pooch.os_cache("refhf") / name

    for file, digest in IDX_SETS[name].sha256.items():
        cache = pooch.create(path=folder, base_url=address, registry={f"{file}.gz": None})
        try:
            download: Any = partial(_checked_download, http, digest)  # pooch's Downloader names its parameters
            cache.fetch(f"{file}.gz", downloader=download)
        except OSError as error:
            raise OSError(f"{address}{file}.gz: could not be downloaded to {folder} ({error})") from error
    return folder


class _Capped:
    """A file that accepts at most DOWNLOAD_BYTES."""

    def __init__(self, file, url):
        self.file, self.url, self.left = file, url, DOWNLOAD_BYTES

    def write(self, content):
        """Write, or raise FormatError."""
        self.left -= len(content)
        if self.left < 0:
            raise FormatError(self.url, f"expected at most {DOWNLOAD_BYTES} bytes; received more")
        return self.file.write(content)

    def flush(self):
        """Flush, as pooch does after each piece."""
        self.file.flush()


def _checked_download(http, digest, url, output, cache):
    with open(output, "wb") as file:
        _within(LIMIT, partial(http, url, _Capped(file, url), cache))
    try:
        read_idx(output, sha256=digest)
    except FormatError as error:
        raise FormatError(url, error.reason) from error


def _within(seconds, work):
    """Do the work in a thread; OSError if it exceeds the time limit.

    A socket's timeout does not stop a server that sends one byte a second. The daemon thread ends with the process.
    """
    failures, done = [], threading.Event()

    def run():
        try:
            work()
        except BaseException as error:
            failures.append(error)
        done.set()

    threading.Thread(target=run, daemon=True).start()
    if not done.wait(seconds):
        raise OSError(f"took longer than {seconds} s")
    if failures:
        raise failures[0]


def _pooch(name):
    try:
        import pooch
    except ImportError as error:
        raise ValueError(
            f"data_dir: expected a folder with the files of {name}, or pooch to download them "
            "(pip install 'refhf[cli]'); got neither"
        ) from error
    return pooch


def _setting(argument, given, variable):
    """The name and the value of a setting: the argument, or its environment variable."""
    return (argument, given) if given else (variable, os.environ.get(variable))


def _find(folder, file):
    """The path of `file` in `folder`, gzipped or not, also named as `train-images.idx3-ubyte`; None if absent."""
    names = [name + end for name in (file, file.replace("-idx", ".idx")) for end in (".gz", "")]
    return next((path for path in map(folder.joinpath, names) if path.is_file()), None)


def _complete(folder, name):
    return all(_find(folder, file) for file in IDX_SETS[name].sha256)
