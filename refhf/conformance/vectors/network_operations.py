"""Operations on nonlinearities, losses and networks: refhf's reply to a request."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from refhf.conformance.vectors.block_networks import network_of_blocks
from refhf.model.architectures import conv, convnet, mlp, pool
from refhf.model.blocks import Array
from refhf.model.elementwise import NONLINEARITIES
from refhf.model.losses import LOSSES
from refhf.model.network import Network
from refhf.objective.supervised import Supervised, supervised

Request = Mapping[str, Any]
Reply = dict[str, Any]


def array(request: Request, name: str) -> Array:
    """A field as an array of float64."""
    return np.array(request[name], float)


def network_of(request: Request) -> Network:
    """The network of a request: fully connected (`sizes`), convolutional (`shape`, `stages`), or of `blocks`."""
    if "blocks" in request:
        return network_of_blocks(request["shape"], request["blocks"], request["loss"])
    rest = {"nonlinearity": request["nonlinearity"], "loss": request["loss"]}
    if "sizes" in request:
        return mlp(request["sizes"], **rest)
    return convnet(request["shape"], [_stage(stage) for stage in request["stages"]], **rest)


def _stage(text: str) -> Any:
    """The stage of a text such as 'conv 2 3 1 0' (channels, kernel, stride, padding), 'pool 2' or 'dense 4'."""
    kind, *given = text.split()
    numbers = [int(word) for word in given]
    if kind == "conv":
        return conv(*numbers[:2], stride=numbers[2], padding=numbers[3])
    return pool(numbers[0]) if kind == "pool" else numbers[0]


def objective_of(request: Request, rows: Any = slice(None)) -> Supervised:
    """The mean loss over the given rows (all cases by default) plus l2/2 ||theta||^2."""
    net = network_of(request)
    X, y = (np.reshape(request[name], (request["cases"], -1))[rows] for name in ("X", "y"))
    if len(net.out_shape) == 2:
        y = y.reshape(-1, *net.out_shape).argmax(axis=2)
    return supervised(net, X.astype(float), y.astype(float), l2=request.get("l2", 0.0))


def nonlinearity(request: Request) -> Reply:
    """f, f' and f'' at each s."""
    f, s = NONLINEARITIES[request["nonlinearity"]], array(request, "s")
    return {"f": f.f(s).tolist(), "d": f.d(s).tolist(), "dd": f.dd(s).tolist()}


def loss(request: Request) -> Reply:
    """Mean loss over the cases, its gradient with respect to z, and the product of its Hessian with Rz."""
    loss, cases = LOSSES[request["loss"]], request["cases"]
    z, y, Rz = (array(request, name).reshape(cases, -1) for name in ("z", "y", "Rz"))
    return {
        "value": float(loss.value(z, y)) / cases,
        "gradient": (loss.gradient(z, y) / cases).ravel().tolist(),
        "hessian_product": (loss.hessian(z, y)(Rz) / cases).ravel().tolist(),
    }


def gradient(request: Request) -> Reply:
    """Value and gradient."""
    f, g = objective_of(request).value_and_gradient(array(request, "theta"))
    return {"value": f, "gradient": g.tolist()}


def hessian_product(request: Request) -> Reply:
    """H v."""
    H: Any = objective_of(request).hessian(array(request, "theta"))
    return {"product": (H @ array(request, "v")).tolist()}


def gauss_newton_product(request: Request) -> Reply:
    """G v."""
    G: Any = objective_of(request).gauss_newton(array(request, "theta"))
    return {"product": (G @ array(request, "v")).tolist()}
