"""Complaints about a caller's arguments: each a ValueError naming argument, expected and actual."""

import difflib
import re
from collections.abc import Iterable
from numbers import Integral, Real

import numpy as np

OTHERS_SAY = {  # the words of other libraries and papers: what refhf calls the same thing, where it has it
    "activation": ("nonlinearity",),
    "batch size": ("batch", "curvature batch"),
    "bce": ("logistic cross entropy",),
    "binary cross entropy": ("logistic cross entropy",),
    "cross entropy": ("softmax cross entropy",),
    "crossentropy": ("softmax cross entropy",),
    "dataset": ("data",),
    "elu": (),
    "gauss newton": ("gn cg",),
    "gd": ("gradient descent",),
    "gelu": (),
    "iterations": ("steps",),
    "lambda": ("damping",),
    "linear": ("identity",),
    "lr": ("learning rate",),
    "maxiter": ("steps",),
    "mean squared error": ("squared error",),
    "mse": ("squared error",),
    "newton cg": ("truncated newton",),
    "nll": ("softmax cross entropy",),
    "optimiser": ("method",),
    "optimizer": ("method",),
    "output": ("out",),
    "sigmoid": ("logistic",),
    "weight decay": ("l2",),
}
NEAR = 0.7  # difflib's ratio from which a word may be a slip of the finger: one letter in four; our choice


def choice(argument: str, given, valid: Iterable[str]):
    """`given` if it is one of `valid`; otherwise a ValueError with the one that was meant, if that can be told."""
    valid = list(valid)
    if given in valid:
        return given
    raise ValueError(f"{argument}: expected one of {', '.join(valid)}; got {given!r}{hint(given, valid)}")


def hint(given, valid: Iterable[str]) -> str:
    """' (did you mean ...?)' with the one of `valid` that `given` stands for, or ''.

    It stands for one that differs in case, hyphens and the like alone; for one that others call so; for the only one
    of which it is a word; for one from which it differs by a slip of the finger.

    Examples
    --------
    >>> print(hint("Gn_CG", ["gn-cg", "sgd"]), hint("sigmoid", ["tanh", "logistic"]), hint("predict", ["vectors"]))
     (did you mean 'gn-cg'?)  (did you mean 'logistic'?)
    """
    names = {_words(name): name for name in valid}
    said = _words(str(given))
    parts = [words for words in names if said and f" {said} " in f" {words} "]
    found = [said, *OTHERS_SAY.get(said, ()), *(parts if len(parts) == 1 else ())]
    found = [words for words in found if words in names]
    if not (found or parts or said in OTHERS_SAY):
        swapped = [words for words in names if sorted(words) == sorted(said)]
        found = swapped or difflib.get_close_matches(said, names, n=1, cutoff=NEAR)
    return f" (did you mean {names[found[0]]!r}?)" if found else ""


def _words(name):
    """'--Learning-Rate' -> 'learning rate'."""
    return " ".join(re.split(r"[\W_]+", name.lower())).strip()


def option_names(given: Iterable[str], valid: Iterable[str], owner: str):
    """Refuse a keyword that `owner` does not have, naming the nearest one that it has."""
    for name in given:
        choice(f"option of {owner}", name, valid)


def positive_integer(argument: str, given, maximum: int | None = None) -> int:
    """`given` as an int of at least 1, and at most `maximum`."""
    whole = isinstance(given, Integral) and not isinstance(given, bool)
    if not whole or given < 1 or (maximum is not None and given > maximum):
        limit = "" if maximum is None else f" and <= {maximum}"
        raise ValueError(f"{argument}: expected an integer >= 1{limit}; got {given!r}")
    return int(given)


def boolean(argument: str, given) -> bool:
    """`given` if it is True or False."""
    if not isinstance(given, bool | np.bool_):
        raise ValueError(f"{argument}: expected True or False; got {given!r}")
    return bool(given)


def real(argument: str, given, low: float = -np.inf, high: float = np.inf) -> float:
    """`given` as a finite float within [low, high]."""
    if isinstance(given, bool) or not isinstance(given, Real) or not low <= given <= high or np.isinf(given):
        raise ValueError(f"{argument}: expected a finite number in [{low:g}, {high:g}]; got {given!r}")
    return float(given)


def has_curvature(objective, *needed: str):
    """Refuse an objective that lacks one of 'hessian', 'gauss-newton', 'gradient-squares'."""
    for name in needed:
        if name not in objective.curvatures:
            have = ", ".join(sorted(objective.curvatures)) or "none of its kind"
            raise ValueError(f"objective: expected one that has {name}, for this method and options; it has {have}")


def array(argument: str, given, shape: tuple, dtype=None) -> np.ndarray:
    """`given` as a finite array of real numbers of `shape`, in which None stands for any length."""
    x = np.asarray(given)
    fits = x.ndim == len(shape) and all(want in (None, got) for want, got in zip(shape, x.shape, strict=True))
    if not fits:
        want = "(" + ", ".join("any" if n is None else str(n) for n in shape) + ("," if len(shape) == 1 else "") + ")"
        raise ValueError(f"{argument}: expected an array of shape {want}; got shape {x.shape}")
    if x.dtype.kind not in "fiub":
        raise ValueError(f"{argument}: expected real numbers; got dtype {x.dtype}")
    x = x.astype(dtype or (x.dtype if x.dtype in (np.float32, np.float64) else np.float64), copy=False)
    if not np.isfinite(x).all():
        bad = np.argwhere(~np.isfinite(x))[0]
        raise ValueError(f"{argument}: expected finite numbers; got {x[tuple(bad)]} at index {tuple(map(int, bad))}")
    return x


def vector(argument: str, given, size: int | None, dtype) -> np.ndarray:
    """`given` as an array (size,) of `dtype`, non-finite numbers allowed: what they mean is the caller's affair."""
    x = np.asarray(given)
    if x.ndim != 1 or size not in (None, x.size) or x.dtype.kind not in "fiub":
        want = "(P,)" if size is None else f"({size},)"
        raise ValueError(f"{argument}: expected a real vector {want}; got {x.dtype} of shape {x.shape}")
    return x.astype(dtype, copy=False)
