"""Reader of CIFAR-10's binary files; sizes and labels are checked.

A file is records of 3,073 bytes: a label from 0 to 9, then 1,024 bytes of red, of green and of blue, each plane row by
row. No digest is published for the files (the archive's is MD5), so none is verified, and nothing is downloaded.

References
----------
Krizhevsky 2009, "Learning multiple layers of features from tiny images"; https://www.cs.toronto.edu/~kriz/cifar.html,
section "Binary version".
"""

from pathlib import Path

import numpy as np

from refhf.data.fetch import find_data_folder
from refhf.formats import FormatError

NAME = "cifar-10"
DESCRIPTION = "photographs, 32 x 32 x 3, 10 classes: 50,000 to train on, 10,000 to test on"
TRAIN = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
TEST = "test_batch.bin"
FOLDERS = (NAME, "cifar-10-batches-bin", "")  # looked for within the folder given; the second is the archive's
PLANES, SIDE, CLASSES = 3, 32, 10
RECORD = 1 + PLANES * SIDE**2
MAX_BYTES = 3 * 2**24  # 48 MiB, our choice: one and a half times a published file


def read_cifar(path):
    """The images and labels of one file.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    images : (B, 32, 32, 3) uint8, channels last, as `refhf.convnet` takes them
    labels : (B,) uint8

    Raises
    ------
    FormatError
        If the file cannot be read, is not a whole number of records (at least one, at most 48 MiB), or has a label
        above 9. The size is checked before the file is read.
    """
    try:
        with open(path, "rb") as file:
            size = file.seek(0, 2)
            if not 0 < size <= MAX_BYTES or size % RECORD:
                raise FormatError(path, f"expected records of {RECORD} bytes, 1 to {MAX_BYTES // RECORD}; found {size}")
            file.seek(0)
            content = file.read(size)
    except OSError as error:
        raise FormatError(path, f"cannot be read: {error}") from error
    records = np.frombuffer(content, np.uint8).reshape(-1, RECORD)
    labels = records[:, 0]
    if labels.max() >= CLASSES:
        raise FormatError(path, f"expected labels from 0 to {CLASSES - 1}; found {labels.max()}")
    return records[:, 1:].reshape(-1, PLANES, SIDE, SIDE).transpose(0, 2, 3, 1), labels


def read_cifar_set(data_dir=None):
    """Training images and labels, of all five files, and test images and labels.

    Raises
    ------
    ValueError, FormatError
        As `locate` and `read_cifar` do.
    """
    folder = locate_cifar(data_dir)
    batches = [read_cifar(folder / name) for name in TRAIN]
    return *(np.concatenate(part) for part in zip(*batches, strict=True)), *read_cifar(folder / TEST)


def locate_cifar(data_dir=None) -> Path:
    """The folder that has the six files: `data_dir`, or $REFHF_DATA_DIR, or a subfolder of FOLDERS.

    Raises
    ------
    ValueError
        If there is none.
    """
    files = f"{TRAIN[0]} to {TRAIN[-1]} and {TEST}"
    folder = find_data_folder(NAME, data_dir, _complete, FOLDERS, files)
    if folder is None:
        raise ValueError(f"data_dir: expected a folder that has {files}, which are not downloaded; got none")
    return folder


def _complete(folder):
    return all((folder / name).is_file() for name in (*TRAIN, TEST))
