"""`refhf.from_torch`: refhf's twin of a module of PyTorch."""

import sys
from typing import Any

import numpy as np

from refhf.model.axes_order import AxesOrder
from refhf.model.blocks import Array, Block
from refhf.model.chain import Chain
from refhf.model.losses import over_positions
from refhf.model.network import Network
from refhf.objective.supervised import Supervised, supervised
from refhf.torch_modules.module_chain import OTHERWISE, Known, chain_of
from refhf.torch_modules.parameter_places import Places, module_name, numbers
from refhf.torch_modules.scaled_losses import convention_of, scaled


def from_torch(model: Any, loss: Any, X: Any, y: Any, *, known: Known | None = None) -> tuple[Supervised, Any]:
    """The objective loss(model(X), y) in NumPy, with theta, gradient and products in the module's order and layout.

    Parameters
    ----------
    model : torch.nn.Module
        `Sequential`, nested too, of Linear, Conv2d, Embedding (first), BatchNorm1d and 2d, LayerNorm, Flatten,
        AvgPool2d, MaxPool2d, AdaptiveAvgPool2d, Dropout that drops nothing, elementwise functions, and
        TransformerEncoderLayer (batch_first=True, without masks). In train mode all cases are one group of batch
        normalisation; in eval mode its running statistics are used.
    loss : torch.nn.CrossEntropyLoss, MSELoss or BCEWithLogitsLoss
        With reduction 'mean' or 'sum'. The latter two average over all numbers of z, which is kept: refhf's losses,
        sums over the outputs and half the squares, are scaled.
    X, y : tensor or array
        As the module and the loss take them; images have their channels first.
    known : dict, optional
        Modules of your own: from a type to a function that takes one apart into a list. Its items are modules, blocks
        without weights such as `refhf.attention(4)`, and pairs (main, shortcut) of lists, residual blocks; an empty
        shortcut is the identity.

    Returns
    -------
    objective : Objective
        As of `refhf.supervised`.
    theta : tensor (P,)
        `torch.nn.utils.parameters_to_vector(model.parameters())`, detached. refhf's functions take it as an array.

    Raises
    ------
    ValueError
        For a module, loss or setting that refhf does not have, naming it; for parameters that the twin does not use;
        where module and twin do not have the same loss, as a forward method of another kind leads to.

    Examples
    --------
    >>> objective, theta = refhf.from_torch(model, torch.nn.CrossEntropyLoss(), X, y)  # doctest: +SKIP
    >>> print(refhf.check_hessian_product(my_hvp, theta, objective))  # doctest: +SKIP
    """
    torch: Any = sys.modules.get("torch")
    if torch is None or not isinstance(model, torch.nn.Module):
        raise ValueError(f"model: expected a torch.nn.Module; got {type(model).__name__}")
    parameters = list(model.parameters())
    dtypes = {str(parameter.dtype).removeprefix("torch.") for parameter in parameters}
    if len(dtypes) != 1 or not dtypes <= {"float32", "float64"}:
        raise ValueError(f"model: expected parameters of float32 or float64; got {', '.join(sorted(dtypes)) or 'none'}")
    (dtype,), cases = dtypes, numbers(X)
    if cases.ndim not in (2, 3, 4):
        raise ValueError(f"X: expected an array of shape (B, n), (B, T, n) or (B, C, H, W); got shape {cases.shape}")
    places = Places(parameters, len(cases))
    net = _network(model, loss, cases, places, dict(known or {}))
    if unused := places.unused(model.named_parameters()):
        raise ValueError(f"model: expected every parameter in the twin's layers; got others: {', '.join(unused)}")
    objective = supervised(net, cases, _targets(net, y, len(cases)), reduction_of_cases=loss.reduction, dtype=dtype)
    theta = torch.nn.utils.parameters_to_vector(parameters).detach()
    _same_loss(torch, model, loss, (X, y), objective.value(numbers(theta)))
    return objective, theta


def _network(model: Any, loss: Any, X: Array, places: Places, known: Known) -> Network:
    """The network of the module, which takes X as the module does."""
    convention = convention_of(loss, module_name)
    first: list[Block] = [AxesOrder((1, 2, 0))] if X.ndim == 4 else []
    shape = first[0].out_shape(X.shape[1:]) if first else X.shape[1:]
    apart = [model] if type(model) in known or module_name(model) != "Sequential" else model
    chain = Chain((*first, *chain_of(apart, shape, places, known).blocks))
    outputs = chain.out_shape(X.shape[1:])
    if len(outputs) != 1 + places.merged or (places.merged and convention.loss.name != "softmax_cross_entropy"):
        raise ValueError(
            f"model: expected outputs (B, n), as nn.Flatten() makes; got (B, {', '.join(map(str, outputs))})"
        )
    numbers_of_case = outputs[-1] if convention.of_elements and loss.reduction == "mean" else 1
    positions = outputs[0] if places.merged and loss.reduction == "sum" else 1
    own = over_positions(convention.loss) if places.merged else convention.loss
    return Network(
        X.shape[1:], chain, scaled(own, convention.factor * positions / numbers_of_case), tuple(places.stored)
    )


def _targets(net: Network, y: Any, cases: int) -> Array:
    """y as refhf has it: a row of labels for each case; what PyTorch would broadcast is refused."""
    y = numbers(y)
    if len(net.out_shape) == 2 and y.ndim == 1:
        return y.reshape(cases, -1) if len(y) == cases * net.out_shape[0] else y
    labels = net.loss.name == "softmax_cross_entropy" and y.ndim == 1
    if not labels and y.shape != (cases, net.outputs):
        raise ValueError(f"y: expected the outputs' shape {(cases, net.outputs)}; got {y.shape}")
    return y


def _same_loss(torch: Any, model: Any, loss: Any, batch: tuple[Any, Any], value: float) -> None:
    """Refuse a twin with another value than the module's own; the module's running statistics stay as they are."""
    like = next(model.parameters())
    X, y = (_tensor(torch, like, x) for x in batch)
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with torch.no_grad():
        theirs = float(loss(torch.func.functional_call(model, buffers, (X,)), y))
    if not abs(theirs - value) <= np.sqrt(torch.finfo(like.dtype).eps) * max(abs(theirs), abs(value)):
        raise ValueError(f"model: expected a twin of the same loss {theirs:.9g}; got one of {value:.9g} ({OTHERWISE})")


def _tensor(torch: Any, like: Any, given: Any) -> Any:
    x = torch.as_tensor(given if hasattr(given, "detach") else np.array(given), device=like.device)
    return x.to(like.dtype) if x.is_floating_point() else x
