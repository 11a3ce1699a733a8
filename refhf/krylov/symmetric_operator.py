"""A symmetric matrix given by its product, as a SciPy LinearOperator: the public edge of the products inside."""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numpy.typing import DTypeLike
from scipy.sparse.linalg import LinearOperator  # pyright: ignore[reportMissingTypeStubs] # SciPy has none

from refhf import checks
from refhf.model.blocks import Array


class SymmetricOperator(LinearOperator):
    """A symmetric scipy LinearOperator (n, n), made of a real product v (n,) -> A v (n,).

    `A @ v` checks v and passes through SciPy. The solvers of `refhf.krylov` call `product` instead. A complex vector
    costs two products: A (x + iy) = A x + i A y.

    Attributes
    ----------
    product : callable
        v (n,) -> A v (n,), for a contiguous v of the operator's dtype.
    """

    shape: tuple[int, int]

    def __init__(self, product: Callable[[Array], Array], size: int, dtype: DTypeLike):
        super().__init__(np.dtype(dtype), (size, size))
        self.product = product

    def _matvec(self, x: Any) -> Array:
        return taken_apart(self._real, x)

    def _real(self, v: Array) -> Array:
        with np.errstate(under="ignore"):
            return self.product(np.ascontiguousarray(checks.vector("v", v, self.shape[0], self.dtype)))

    def _adjoint(self) -> Any:
        return self

    def _rmatvec(self, x: Any) -> Array:
        return self._matvec(x)


def taken_apart(product: Callable[[Array], Array], x: Any) -> Array:
    """A x by a real product; of a complex x, A Re x + i A Im x, which is A^H x too where the product is A'."""
    v: Any = np.asarray(x).reshape(-1)
    if np.iscomplexobj(v):
        real: Any = product(v.real)
        both = real.astype(np.result_type(real.dtype, np.complex64))
        both.imag = product(v.imag)
        return both
    return product(v)


def shifted(A: LinearOperator, damping: float, like: Array) -> SymmetricOperator:
    """A + lambda I, of the size and dtype of `like` (n,)."""
    return SymmetricOperator(lambda v: cast(Array, A @ v) + damping * v, like.size, like.dtype)
