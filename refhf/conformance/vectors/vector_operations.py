"""The table of all operations of the test vectors: refhf's reply to a request.

A request is a dictionary of numbers, flat lists, strings and booleans; a reply has the same types. The fields are
documented in `refhf/conformance/vectors/README.md`.
"""

import os
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np

from refhf import checks
from refhf.conformance.vectors import network_operations, solver_operations, step_operations
from refhf.conformance.vectors.network_operations import Reply, Request, array
from refhf.data.idx import FormatError, read_idx
from refhf.methods.replicas import secants
from refhf.surfaces import saddles


def reply_to(request: Request) -> Reply:
    """refhf's reply to a request.

    Raises
    ------
    ValueError
        For an unknown operation.
    """
    return OPERATIONS[checks.choice("operation", request["operation"], OPERATIONS)](request)


def inverse_hessian_product(request: Request) -> Reply:
    """H^-1 z from replicas."""
    W, G = (array(request, name).reshape(request["replicas"], -1).T for name in ("W", "G"))
    found: Any = secants.inverse_hessian_product(W, G, array(request, "z"))
    return {"product": found.product.tolist(), "rank": found.rank}


def saddle(request: Request) -> Reply:
    """Value, gradient and Hessian of the saddle surface."""
    theta = array(request, "theta")
    surface: Any = saddles.saddle
    columns = [surface.hessp(theta, e) for e in np.eye(2)]
    return {
        "value": float(surface.value(theta)),
        "gradient": surface.gradient(theta).tolist(),
        "hessian": np.concatenate(columns).tolist(),
    }


def stationary_point(request: Request) -> Reply:
    """The kind of a stationary point of the saddle surface, and its eigenvalues."""
    for point in saddles.saddle.stationary:
        if np.array_equal(point.theta, array(request, "theta")):
            return {"kind": point.kind, "eigenvalues": np.asarray(point.eigenvalues).tolist()}
    return {"kind": "not stationary"}


def idx(request: Request) -> Reply:
    """The validity of an IDX file, and the shape and data of a valid one."""
    descriptor, path = tempfile.mkstemp()
    try:
        with open(descriptor, "wb") as file:
            file.write(bytes.fromhex(request["hex"]))
        data = read_idx(path)
    except FormatError:
        return {"valid": False}
    finally:
        os.unlink(path)
    return {"valid": True, "shape": list(data.shape), "data": data.ravel().tolist()}


OPERATIONS: dict[str, Callable[[Request], Reply]] = {
    "nonlinearity": network_operations.nonlinearity,
    "loss": network_operations.loss,
    "gradient": network_operations.gradient,
    "hessian_product": network_operations.hessian_product,
    "gauss_newton_product": network_operations.gauss_newton_product,
    "cg": solver_operations.cg,
    "bicgstab": solver_operations.bicgstab,
    "solve": solver_operations.solve,
    "damping": step_operations.damping,
    "line_search": step_operations.line_search,
    "hf_step": step_operations.hf_step,
    "nlcg": step_operations.nlcg,
    "inverse_hessian_product": inverse_hessian_product,
    "saddle": saddle,
    "stationary_point": stationary_point,
    "idx": idx,
}
