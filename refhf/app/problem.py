"""What the runs of a comparison share: the network, the cases to train and to test on, and the start."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from refhf.app.data import DataSet, own
from refhf.model.architectures import mlp
from refhf.model.network import Network
from refhf.objective import Supervised, supervised
from refhf.parallel import as_communicator

MAX_CLASSES = 2**16  # our choice: beyond it a label is a mistake, and the last layer would fill the memory


class Problem(NamedTuple):
    """What the runs of a comparison share.

    Attributes
    ----------
    net : Network
    objective : Supervised
        Over the training cases.
    test : Supervised or None
        Over the test cases.
    theta0 : ndarray (P,)
    seed : int
        Of theta0, and of the methods' draws.
    title : str
        The data's name and the network's shape.
    """

    net: Network
    objective: Supervised
    test: Supervised | None
    theta0: np.ndarray
    seed: int
    title: str

    @property
    def sizes(self) -> list[int]:
        """n_0, hidden widths, n_L."""
        return [self.net.layers[0].n_in, *(layer.n_out for layer in self.net.layers)]


def pose(
    data: DataSet, hidden: Sequence[int], *, nonlinearity="tanh", loss=None, l2=0.0, seed=0, comm=None, reduction="fast"
) -> Problem:
    """The problem of training a network with these hidden widths on `data`, in the data's dtype.

    `loss` is the softmax cross-entropy for labels and the squared error for targets unless it is given. The ranks of
    `comm` are given the same data; each keeps its own rows.

    Raises
    ------
    ValueError
        Naming the argument, what was expected and what came.
    """
    comm = as_communicator(comm)
    data = own(data, comm, reduction)
    if data.y.ndim == 1:
        largest = [-1 if y is None else int(np.max(y, initial=-1)) for y in (data.y, data.y_test)]
        outputs = max(int(np.concatenate(comm.gather(np.array(largest))).max()) + 1, 2)
        if outputs > MAX_CLASSES:
            raise ValueError(f"y: expected labels below {MAX_CLASSES}; got {outputs - 1}")
    else:
        outputs = data.y.shape[1]
    loss = loss or ("softmax_cross_entropy" if data.y.ndim == 1 else "squared_error")
    net = mlp([data.X.shape[1], *hidden, outputs], nonlinearity=nonlinearity, loss=loss)
    ranks = {"comm": comm, "reduction": reduction}
    objective = supervised(net, data.X, data.y, l2=l2, **ranks)
    test = None if data.X_test is None else supervised(net, data.X_test, data.y_test, **ranks)
    shape = "-".join(str(n) for n in (data.X.shape[1], *hidden, outputs))
    title = f"{data.name}, {shape}" + (f", {nonlinearity}" if hidden else "")
    return Problem(net, objective, test, net.init(seed, data.X.dtype), seed, title)
