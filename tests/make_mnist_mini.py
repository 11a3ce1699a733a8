"""Draw mnist-mini, the sample of MNIST that comes with the package, and write refhf/data/mnist_mini.npz.

    python tests/make_mnist_mini.py --data-dir DIR

DIR (default: the environment variable REFHF_DATA_DIR, else a download) holds the four IDX files of MNIST.
From the training files 1,000 digits a class are drawn and shuffled, from the test files 200 a class. The seed
is fixed and NumPy writes a constant date, so the same NumPy and zlib write the same bytes.
"""

import argparse

import numpy as np

from refhf.data.data_sets import MNIST_MINI
from refhf.data.fetch import read_idx_set

SEED = 0  # our choice


def draw(images, labels, count, rng):
    """`count` cases of each class, shuffled: images (10 count, 784), labels (10 count,)."""
    rows = [rng.choice(np.flatnonzero(labels == digit), count, replace=False) for digit in range(10)]
    rows = rng.permutation(np.concatenate(rows))
    return images[rows].reshape(len(rows), -1), labels[rows]


def main():
    """Read the files, draw, write."""
    parser = argparse.ArgumentParser(description="Draw mnist-mini and write refhf/data/mnist_mini.npz.")
    parser.add_argument("--data-dir", help="folder of the IDX files")
    images, labels, test_images, test_labels = read_idx_set("mnist", data_dir=parser.parse_args().data_dir)
    rng = np.random.default_rng(SEED)
    X, y = draw(images, labels, 1000, rng)
    X_test, y_test = draw(test_images, test_labels, 200, rng)
    np.savez_compressed(MNIST_MINI, X=X, y=y, X_test=X_test, y_test=y_test)


if __name__ == "__main__":
    main()
