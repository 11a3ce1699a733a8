"""Short runs on small data, shared by tests: the cases, the reports, a signal within a run, results without times."""

import itertools
import os

import numpy as np

import refhf
from refhf.data.data_sets import DataSet
from refhf.lab.runs import training_run


def labelled(cases, inputs, classes, seed=0):
    """X (B, n_0) and labels y (B,) that a linear map of X decides."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(cases, inputs))
    return X, (X @ rng.normal(size=(inputs, classes))).argmax(axis=1)


def digits(cases=60, sizes=(8, 6, 3), seed=0, **options):
    """An objective of labelled cases, and a start."""
    net = refhf.mlp(list(sizes))
    return refhf.supervised(net, *labelled(cases, sizes[0], sizes[-1], seed), **options), net.init(rng=seed)


def reports(objective, start, method, steps, **options):
    """The reports of the first steps."""
    return list(itertools.islice(refhf.iterate(objective, start, method=method, **options), steps))


def tiny():
    """40 cases to train on, 20 to test on, 5 inputs, 3 classes."""
    X, y = labelled(60, 5, 3)
    return DataSet("tiny", X[:40], y[:40], X[40:], y[40:])


def save_tiny(folder):
    """The same as a file, and its path."""
    data = tiny()
    np.savez(folder / "tiny.npz", X=data.X, y=data.y, X_test=data.X_test, y_test=data.y_test)
    return str(folder / "tiny.npz")


def timeless(value):
    """A record, a line of a sweep, or a list of them, without seconds and the digests that depend on them."""
    if isinstance(value, dict):
        return {key: timeless(item) for key, item in value.items() if key not in ("seconds", "digest")}
    return [timeless(item) for item in value] if isinstance(value, list) else value


def signal_at(monkeypatch, position, *numbers):
    """Send this process the signals at that position, counted from 1 over all runs; the method of each position so far.

    A run of n steps has n + 1 positions.
    """
    record, methods = training_run._record, []

    def signalled(run, *rest):
        methods.append(run.method)
        for number in numbers if len(methods) == position else ():
            os.kill(os.getpid(), number)
        return record(run, *rest)

    monkeypatch.setattr(training_run, "_record", signalled)
    return methods
