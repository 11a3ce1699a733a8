"""Operations on linear systems: refhf's reply to a request."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from refhf.conformance.vectors.network_operations import Reply, Request, array
from refhf.krylov.bicgstab import bicgstab_iterates
from refhf.krylov.cg import cg_iterates
from refhf.krylov.solve import bicgstab as bicgstab_solve
from refhf.krylov.solve import cg as cg_solve
from refhf.krylov.stopping import advance, iteration_limit, negative_curvature
from refhf.model.blocks import Array


def square(request: Request, name: str) -> Array:
    """A field as a matrix with as many rows as b has entries."""
    return array(request, name).reshape(len(request["b"]), -1)


def _trace(request: Request, iterates: Iterable[Any]) -> Reply:
    trace: list[Array] = []
    record: Any = lambda it: trace.append(it.x)  # noqa: E731 : a stopping rule that never stops
    _, stop = advance(iterates, record, iteration_limit(request["iterations"]))
    return {"x": np.concatenate(trace).tolist(), "stop": str(stop)}


def cg(request: Request) -> Reply:
    """The iterates of conjugate gradients, and why they end."""
    M = square(request, "M") if "M" in request else None
    A, b, x0 = square(request, "A"), array(request, "b"), array(request, "x0")
    reply = _trace(request, cg_iterates(A, b, x0, M, stop_at=negative_curvature))
    return reply | {"stop": {"zero curvature": "negative curvature"}.get(reply["stop"], reply["stop"])}


def bicgstab(request: Request) -> Reply:
    """The iterates of Bi-CG-STAB, and why they end."""
    shadow = array(request, "shadow") if "shadow" in request else None
    M = square(request, "M") if "M" in request else None
    return _trace(
        request, bicgstab_iterates(square(request, "A"), array(request, "b"), array(request, "x0"), shadow, M)
    )


def solve(request: Request) -> Reply:
    """A solver with its stopping rule."""
    solver = {"cg": cg_solve, "bicgstab": bicgstab_solve}[request["solver"]]
    x: Any
    x, info = solver(
        square(request, "A"),
        array(request, "b"),
        array(request, "x0"),
        rtol=request["rtol"],
        maxiter=request["maxiter"],
        M=square(request, "M") if "M" in request else None,
    )
    return {"x": x.tolist(), "converged": info == 0}
