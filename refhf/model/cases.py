"""Cases as a network takes them: what is given in an unambiguous form is read, the rest is refused by name."""

import math
from typing import Any

import numpy as np

from refhf import checks
from refhf.model.blocks import Array, Shape


def inputs(net: Any, X: Any, dtype: Any = None, *, one: bool = False) -> Array:
    """Inputs X (B, n_0), finite and real.

    Parameters
    ----------
    net : Network
    X : array (B, n_0), or (B, ...) of images
        A dense layer takes a case of any shape with n_0 numbers, in C order; a layer of images its own shape (rows,
        columns, channels). A single channel may also be first, or left out. An embedding takes tokens (B, context),
        whole numbers from 0 on.
    dtype : optional
        None is that of X if it is float32 or float64, else float64.
    one : bool
        Whether X may be one case without its row, (n_0,) or an image.

    Raises
    ------
    ValueError
        Naming the shapes or tokens that are taken, and what was given.
    """
    shape, n = _shape("X", X), net.inputs
    together = many(net, shape)
    if not together and not (one and shape in _case(net)):
        taken = [f"(any, {', '.join(map(str, case))})" for case in _case(net)] + [
            str(case) for case in _case(net) if one
        ]
        whose = f" (rows of images {net.in_shape})" if net.images else " (rows of tokens)" * bool(net.tokens)
        raise ValueError(f"X{whose}: expected an array of shape {' or '.join(taken)}; got shape {shape}")
    rows = (shape[0], n) if together else (1, n)
    given = X if shape == rows else np.reshape(X, rows)
    return _whole_numbers("X", "tokens", given, net.tokens) if net.tokens else checks.array("X", given, rows, dtype)


def many(net: Any, shape: Shape) -> bool:
    """True if X of this shape has cases in rows; False if it is one case."""
    flat = not net.images and len(shape) > 2 and math.prod(shape[1:]) == net.inputs
    return flat or shape[1:] in _case(net)


def _case(net: Any) -> tuple[Shape, ...]:
    """The shapes that a case may have; a dense layer takes others besides."""
    return (net.inputs,), *(_images(net.in_shape) if net.images else ())


def targets(net: Any, y: Any, cases: int, dtype: Any) -> Array:
    """The targets of the loss: labels (B,) for the softmax cross-entropy, or targets (B, n_L).

    Parameters
    ----------
    net : Network
    y : array (B,), (B, 1) or (B, n_L); (B, positions) for labels of each position
        For a single output (B,) is its column. For several, a cross-entropy takes (B,) and (B, 1) as labels: integers,
        booleans, or floats that are whole. (B, n_L) are targets, also an image for a network that ends in one.
    cases : int
        B.
    dtype
        Of targets.

    Raises
    ------
    ValueError
        Naming what is taken, and what came.
    """
    shape, outputs, loss = _shape("y", y), net.outputs, net.loss
    if len(net.out_shape) == 2:
        if shape != (cases, net.out_shape[0]):
            raise ValueError(f"y: expected labels of shape {(cases, net.out_shape[0])}; got shape {shape}")
        return _whole_numbers("y", "labels", y, outputs)
    if len(shape) == 1 or (loss.labels and outputs > 1 and shape[1:] == (1,)):  # a number a case
        if shape[0] != cases and (loss.labels or outputs == 1):
            raise ValueError(
                f"y: expected {cases} {'labels' if loss.labels else 'targets'}, one a case of X; got {shape[0]}"
            )
        if loss.labels and (outputs > 1 or np.asarray(y).dtype.kind in "iu"):
            labels = _whole_numbers("y", "labels", np.reshape(y, -1), max(outputs, 2))
            return _of_labels(loss, labels, outputs, dtype)
        if outputs == 1:
            y = np.reshape(y, (cases, 1))
    elif shape[1:] in _images(_last_image(net)):
        y = np.reshape(y, (shape[0], outputs))
    y = checks.array("y", y, (cases, outputs), dtype)
    if loss.labels and (y.min(initial=0) < 0 or y.max(initial=0) > 1):
        raise ValueError(f"y: expected targets in [0, 1]; got one of {y[(y < 0) | (y > 1)][0]:g}")
    if loss.name == "softmax_cross_entropy" and abs(y.sum(axis=1) - 1).max(initial=0) > 1e-5:  # our choice
        raise ValueError(f"y: expected rows that sum to 1; got one that sums to {_furthest(y.sum(axis=1), 1):g}")
    return y


def parameters(theta: Any, size: int) -> Array:
    """theta (P,) as an array of floats, complex ones too: a complex step goes through it."""
    theta = np.asarray(theta)
    if theta.dtype.kind == "c" and theta.shape == (size,):
        return theta
    return checks.vector(
        "theta", theta, size, np.result_type(theta, np.float32) if theta.dtype.kind in "fiub" else None
    )


def whole(y: Array) -> bool:
    """True if all numbers of an array of floats, integers or booleans are whole."""
    return y.dtype.kind in "iub" or (y.dtype.kind == "f" and bool((y == np.floor(y)).all()))


def _whole_numbers(argument: str, what: str, given: Any, classes: int) -> Array:
    """Labels or tokens: whole numbers from 0 to classes - 1."""
    x = np.asarray(given)
    if x.dtype.kind in "fiub":
        x = checks.array(argument, x, x.shape, x.dtype)
    if not whole(x):
        fractions = "fractions of" if x.dtype.kind == "f" else "dtype"
        raise ValueError(f"{argument}: expected integer {what}; got {fractions} {x.dtype}")
    if x.min(initial=0) < 0 or x.max(initial=0) >= classes:
        raise ValueError(f"{argument}: expected {what} in 0 .. {classes - 1}; got {x[(x < 0) | (x >= classes)][0]}")
    return x.astype(np.intp)


def _of_labels(loss: Any, labels: Array, outputs: int, dtype: Any) -> Array:
    if loss.name == "logistic_cross_entropy":
        return (labels[:, None] if outputs == 1 else np.eye(outputs)[labels]).astype(dtype)
    return labels


def _images(shape: Shape) -> tuple[Shape, ...]:
    """The shapes in which an image of `shape` is given: with its channels; a single channel also first, or left out."""
    if shape[2:] == (1,):
        return shape, shape[:2], (1, *shape[:2])
    return (shape,) if shape else ()


def _last_image(net: Any) -> Shape:
    """The shape of the images that a network ends in, before they become rows; () if there are none."""
    shapes = net.chain.shapes(net.in_shape)
    return shapes[-2] if len(shapes[-2]) == 3 and math.prod(shapes[-2]) == net.outputs else ()


def _shape(argument: str, given: Any) -> Shape:
    checks.unmasked(argument, given)
    try:
        return np.shape(given)
    except ValueError:
        raise ValueError(f"{argument}: expected an array; got rows of different lengths") from None


def _furthest(x: Array, target: float) -> float:
    return x[abs(x - target).argmax()]
