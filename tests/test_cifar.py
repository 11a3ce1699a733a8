"""refhf.data.cifar: CIFAR-10's binary files, as their page describes them."""

import tracemalloc

import numpy as np
import pytest

import refhf
from refhf.data import cifar
from refhf.data.data_sets import list_data_sets, load
from refhf.formats import FormatError


def record(label, image):
    """A record by the page's words: the label, then all red, all green, all blue bytes, row by row."""
    planes = [image[row, column, plane] for plane in range(3) for row in range(32) for column in range(32)]
    return bytes([label, *planes])


@pytest.fixture
def written(tmp_path):
    """Seven images in six files, two of them for testing: (folder, images, labels)."""
    rng = np.random.default_rng(0)
    images, labels = rng.integers(256, size=(7, 32, 32, 3), dtype=np.uint8), rng.integers(10, size=7)
    records = [record(label, image) for label, image in zip(labels, images, strict=True)]
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for name, content in zip(cifar.TRAIN, records, strict=False):
        (folder / name).write_bytes(content)
    (folder / cifar.TEST).write_bytes(b"".join(records[5:]))
    return folder, images, labels


@pytest.mark.parametrize("inside", [True, False])
def test_images_come_channels_last(written, inside):
    """Rows of X are the images, over 255, in C order, as a convolutional network takes them; and it does."""
    folder, images, labels = written
    data = load("cifar-10", data_dir=folder.parent if inside else folder, dtype=np.float32)
    np.testing.assert_array_equal(data.X, images[:5].reshape(5, -1) / np.float32(255))
    np.testing.assert_array_equal(data.X_test, images[5:].reshape(2, -1) / np.float32(255))
    assert (*data.y, *data.y_test) == tuple(labels) and data.y.dtype == np.int64
    net = refhf.convnet((32, 32, 3), [refhf.conv(2, 5, stride=3), refhf.pool(5), 10])
    assert np.isfinite(refhf.supervised(net, data.X, data.y).value(net.init(0, np.float32)))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda content: b"", "found 0$"),
        (lambda content: content[:-1], "expected records of 3073 bytes.* found 3072$"),
        (lambda content: content + b"x", "found 3074$"),
        (lambda content: content[1:] + b"\xff", "expected labels from 0 to 9; found"),
        (lambda content: b"\x0a" + content[1:], "expected labels from 0 to 9; found 10$"),
    ],
)
def test_malformed_files_are_refused(written, damage, reason):
    """R17: no records, a part of one, or a label that is none is a FormatError that names the file and why."""
    folder, images, _ = written
    path = folder / cifar.TRAIN[3]
    images[3, 0, 0, 0] = 77
    path.write_bytes(damage(record(4, images[3])))
    with pytest.raises(FormatError, match=f"^{path}: .*{reason}"):
        load("cifar-10", data_dir=folder)


def test_a_large_file_is_refused_before_it_is_read(written):
    """R17: a file's size is looked at before memory is taken for it; a folder in its place is no file."""
    folder, _, _ = written
    path = folder / cifar.TEST
    with open(path, "wb") as file:
        file.truncate(100_000 * cifar.RECORD)
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match="found 307300000$"):
            cifar.read_cifar(path)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    with pytest.raises(FormatError, match="cannot be read"):
        cifar.read_cifar(folder)


def test_a_folder_that_lacks_a_file_is_named(written, monkeypatch):
    """The data set is listed, with where it is or why it is nowhere; there is no download."""
    folder, _, _ = written
    assert {row.name: row for row in list_data_sets(data_dir=folder)}["cifar-10"].source == f"folder {folder}"
    (folder / cifar.TRAIN[0]).unlink()
    with pytest.raises(ValueError, match=f"^data_dir: expected a folder that has data_batch_1.bin .* got {folder}"):
        load("cifar-10", data_dir=folder)
    monkeypatch.delenv("REFHF_DATA_DIR", raising=False)
    with pytest.raises(ValueError, match="^data_dir: .* not downloaded; got none"):
        load("cifar-10")
