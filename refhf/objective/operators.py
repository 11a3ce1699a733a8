"""Products with a symmetric matrix as SciPy's LinearOperator: the public edge of the products inside."""

from collections.abc import Callable
from functools import partial

import numpy as np
from scipy.sparse.linalg import LinearOperator

from refhf import checks
from refhf.model.elementwise import harmless_underflow


def operator(product: Callable, size: int, dtype) -> LinearOperator:
    """A symmetric scipy LinearOperator (P, P) over a real product v (P,) -> (P,).

    A complex vector is taken apart, H (x + iy) = Hx + i Hy: two products.
    """
    times = partial(_times, product, size, dtype)  # no closure, so that the operator can be pickled
    return LinearOperator((size, size), matvec=times, rmatvec=times, dtype=dtype)


@harmless_underflow
def _times(product, size, dtype, v):
    if not np.iscomplexobj(v):
        return product(np.ascontiguousarray(checks.vector("v", v.reshape(-1), size, dtype)))
    Hv = _times(product, size, dtype, v.real).astype(np.result_type(dtype, np.complex64))
    Hv.imag = _times(product, size, dtype, v.imag)
    return Hv
