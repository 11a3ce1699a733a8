"""The training problem that runs share: network, training and test cases, and start."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from refhf.data.array_files import MAX_CLASSES
from refhf.data.data_sets import DataSet, local_rows
from refhf.lab.runs.network_choice import NetworkChoice, as_choice, build, completed
from refhf.model.cases import whole
from refhf.model.dense import Dense
from refhf.model.network import Network
from refhf.objective.supervised import Supervised, supervised
from refhf.parallel import as_communicator
from refhf.text import printable

READ = 4096  # rows of a file read at a time; our choice


class TrainingProblem(NamedTuple):
    """The training problem that the runs of a comparison share.

    Attributes
    ----------
    network : NetworkChoice
        Completed.
    net : Network
    objective : Supervised
        Over the training cases.
    test : Supervised or None
        Over the test cases.
    theta0 : ndarray (P,)
    seed : int
        Seed of theta0 and of the methods' random draws.
    title : str
        The data's name and the network's shape.
    notes : tuple of str
        How ambiguous data were read, and a smaller last group of batch normalisation, a sentence each.
    """

    network: NetworkChoice
    net: Network
    objective: Supervised
    test: Supervised | None
    theta0: np.ndarray
    seed: int
    title: str
    notes: tuple[str, ...]

    @property
    def sizes(self) -> list[int]:
        """n_0, hidden widths, n_L."""
        return [self.net.inputs, *(block.n_out for block in self.net.chain.blocks if isinstance(block, Dense))]

    @property
    def network_facts(self) -> dict[str, Any]:
        """All that determines the network besides `sizes` and the loss: an mlp's nonlinearity, or name and settings."""
        if self.network.network == "mlp":
            first = {"standardise": True} if self.network.standardise else {}
            return {"nonlinearity": self.network.nonlinearity if self.network.hidden else "identity", **first}
        return {"network": self.network.network, **self.network.settings}

    def trained(self, theta) -> Network:
        """The network to predict with: batch normalisation has the training cases' statistics. All ranks call it."""
        return self.net.frozen(self.objective.statistics(theta)) if self.net.group > 1 else self.net

    def test_error(self, theta: np.ndarray) -> float | None:
        """The error on the test cases, where batch normalisation has the training cases' statistics."""
        if self.test is None:
            return None
        return self.test.frozen(self.objective.statistics(theta)).error(theta)

    def scores(self, theta: np.ndarray) -> dict[str, float]:
        """R^2 of a regression on the training cases and, if there are any, the test cases. All ranks call it."""
        if self.net.loss.labels:
            return {}
        of_test = {}
        if self.test is not None:
            of_test["test_r2"] = self.test.frozen(self.objective.statistics(theta)).r_squared(theta)
        return {"training_r2": self.objective.r_squared(theta)} | of_test


def pose_problem(
    data: DataSet, network: NetworkChoice | Sequence[int], *, loss=None, l2=0.0, seed=0, comm=None, reduction="fast"
) -> TrainingProblem:
    """Build the problem of training a network on `data`, in the data's dtype.

    `network` may be the hidden widths of an mlp. The default loss is softmax cross-entropy for labels and one-hot
    targets, else squared error. All ranks of `comm` are given the same data; each keeps its own rows.

    Raises
    ------
    ValueError
        Names the argument, what was expected and what was given.
    """
    comm = as_communicator(comm)
    network = completed(as_choice(network), data)
    notes = data.notes + network.notes(len(data.X))
    everything = data
    data = local_rows(data, comm, reduction, network.group or 1)
    loss, outputs, read = read_targets(data, loss, comm)
    net = build(network, data, outputs, loss)
    net = net._replace(classes=data.classes or tuple(data.vocabulary)) if net.loss.labels else net
    net = net.standardised(everything.X) if network.standardise else net
    alike = {"dtype": data.dtype or data.X.dtype, "comm": comm, "reduction": reduction}
    objective = supervised(net, data.X, data.y, l2=l2, **alike)
    test = None if data.X_test is None else supervised(net, data.X_test, data.y_test, **alike)
    title = f"{printable(data.name)}, {network.title(data.X.shape[1], outputs)}"
    return TrainingProblem(network, net, objective, test, net.init(seed, objective.dtype), seed, title, notes + read)


def read_targets(data: DataSet, loss: str | None, comm) -> tuple[str, int, tuple[str, ...]]:
    """The loss, the number of outputs for these targets, and notes on how the targets are read.

    Raises
    ------
    ValueError
        On all ranks, for labels above `MAX_CLASSES`, for a single target column that softmax cannot use, or for another
        loss of a text.
    """
    y, softmax = data.y, "softmax_cross_entropy"
    if data.vocabulary:
        if loss not in (None, softmax):
            raise ValueError(f"loss: expected {softmax} for a text; got {loss!r}")
        return softmax, len(data.vocabulary), ()
    if y.ndim == 1 and loss == "squared_error":
        return loss, 1, ("y: integers (B,), read as the targets of one output",)
    if y.ndim == 1:
        return loss or softmax, _classes(data, comm), ()
    if y.shape[1] == 1 and loss == softmax:
        if not _of_all(lambda y: whole(y) and y.min(initial=0) >= 0, data, comm):
            raise ValueError(f"y: expected labels 0, 1, ... for {loss}; got other numbers in its one column")
        return loss, _classes(data, comm), ("y: whole numbers (B, 1), read as labels",)
    if y.shape[1] > 1 and loss is None and _of_all(_one_hot, data, comm):
        return softmax, y.shape[1], (f"y: one 1 among 0 in each row, read as {y.shape[1]} classes",)
    return loss or "squared_error", y.shape[1], ()


def _classes(data, comm):
    largest = [-1 if y is None else int(np.max(y, initial=-1)) for y in (data.y, data.y_test)]
    classes = max(int(np.concatenate(comm.gather(np.array(largest))).max()) + 1, len(data.classes), 2)
    if classes > MAX_CLASSES:
        raise ValueError(f"y: expected labels below {MAX_CLASSES}; got {classes - 1}")
    return classes


def _of_all(law, data, comm):
    """True if `law` holds for all targets, training and test, on all ranks; files are read in pieces."""
    holds = all(
        law(np.asarray(y[start : start + READ]))
        for y in (data.y, data.y_test)
        if y is not None
        for start in range(0, len(y), READ)
    )
    return bool(np.concatenate(comm.gather(np.array([holds], int))).all())


def _one_hot(y):
    return bool(((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all())
