"""A part of the training cases held out to test on."""

import numpy as np

from refhf import checks
from refhf.data.data_sets import DataSet
from refhf.parallel.shards import Rows


def held_out(data: DataSet, share: float, seed: int) -> DataSet:
    """The data, with this share of its cases, drawn without replacement, as its test cases.

    Raises
    ------
    ValueError
        For a share that leaves no case on either side, data that have test cases, or arrays left on disk.
    """
    share = checks.real("validation", share, low=0.0, high=1.0)
    if data.X_test is not None or isinstance(data.X, Rows):
        what = "arrays that are left on disk" if isinstance(data.X, Rows) else "test cases of its own"
        raise ValueError(f"validation: expected data without {what}; got {data.name}")
    test = round(share * len(data.X))
    if not 0 < test < len(data.X):
        raise ValueError(f"validation: expected a share with cases on both sides; got {share:g} of {len(data.X)}")
    order = np.random.default_rng(seed).permutation(len(data.X))
    one, other = np.sort(order[test:]), np.sort(order[:test])
    note = f"validation: {test} of {len(data.X)} cases, drawn by the seed, are the test cases"
    arrays = {"X": data.X[one], "y": data.y[one], "X_test": data.X[other], "y_test": data.y[other]}
    return data._replace(**arrays, notes=(*data.notes, note))
