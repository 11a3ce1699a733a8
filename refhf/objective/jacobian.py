"""The Jacobian of all outputs, J = dz/dtheta, as a SciPy LinearOperator.

Row (i, j) of J is the gradient of output j of case i. J v is sweep 3 over each chunk of cases, and J'u is sweep 2
(Pearlmutter 1994, section 4; Schraudolph 2002, section 3: the passes f1 and r1).
"""

import math
from typing import Any

import numpy as np
from scipy.sparse.linalg import LinearOperator  # pyright: ignore[reportMissingTypeStubs] # SciPy has none

from refhf import checks
from refhf.krylov.symmetric_operator import taken_apart
from refhf.model import network
from refhf.model.blocks import Array, Tape
from refhf.model.network import Network
from refhf.objective.chunk_threads import results_in_order
from refhf.objective.linearised_chunks import LinearisedChunks


def tape_of(net: Network, theta: Array, X: Array, y: Array) -> Tape:
    """Sweep 1: the tape for J v and J'u."""
    return network.forward(net, theta, X, order=1)[1]


class JacobianOperator(LinearOperator):
    """J (B n, P) over this rank's B cases of n outputs, made of the tapes of its chunks.

    A complex vector costs two products: J (x + iy) = J x + i J y.
    """

    shape: tuple[int, int]

    def __init__(self, net: Network, chunks: LinearisedChunks, dtype: np.dtype[Any]):
        cases = sum(rows.stop - rows.start for rows in chunks.pieces)
        super().__init__(dtype, (cases * math.prod(net.out_shape), net.size))
        self.net, self.chunks = net, chunks

    def _matvec(self, x: Any) -> Array:
        return taken_apart(self._forward, x)

    def _rmatvec(self, x: Any) -> Array:
        return taken_apart(self._backward, x)

    def _forward(self, v: Array) -> Array:
        """J v (B n,)."""
        v = np.ascontiguousarray(checks.vector("v", v, self.shape[1], self.dtype))

        def Rz(rows: slice) -> Array:
            return network.r_forward(self.net, self.chunks.of(rows), v)[0].ravel()

        with np.errstate(under="ignore"), results_in_order(Rz, self.chunks.pieces) as results:
            return np.concatenate([np.empty(0, self.dtype), *results])

    def _backward(self, u: Array) -> Array:
        """J'u (P,)."""
        u = checks.vector("u", u, self.shape[0], self.dtype)
        Dz = np.ascontiguousarray(u).reshape(-1, *self.net.out_shape)

        def Dtheta(rows: slice) -> Array:
            return network.backward(self.net, self.chunks.of(rows), Dz[rows])[0]

        total = np.zeros(self.shape[1], self.dtype)
        with np.errstate(under="ignore"), results_in_order(Dtheta, self.chunks.pieces) as results:
            for part in results:
                total += part
        return total
