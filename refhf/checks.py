"""Complaints about a caller's arguments: each a ValueError naming argument, expected and actual."""

import difflib
from collections.abc import Iterable
from numbers import Integral, Real

import numpy as np


def choice(argument: str, given, valid: Iterable[str]):
    """`given` if it is one of `valid`; otherwise a ValueError with the nearest of them."""
    valid = list(valid)
    if given in valid:
        return given
    near = difflib.get_close_matches(str(given), valid, n=1, cutoff=0.4)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise ValueError(f"{argument}: expected one of {', '.join(valid)}; got {given!r}{hint}")


def option_names(given: Iterable[str], valid: Iterable[str], owner: str):
    """Refuse a keyword that `owner` does not have, naming the nearest one that it has."""
    for name in given:
        choice(f"option of {owner}", name, valid)


FUNCTIONS = "refhf.from_functions(fun, jac, hessp)"
SCIPYS = {  # what scipy.optimize.minimize calls, or takes, otherwise
    "maxiter": "steps",
    "tol": "gradient_tolerance",
    "gtol": "gradient_tolerance",
    "disp": "callback=print",
    "options": "the options themselves as arguments",
    **dict.fromkeys(("jac", "hess", "hessp"), FUNCTIONS),
    "args": "functions of theta alone",
    **dict.fromkeys(("bounds", "constraints"), "none, as the methods are unconstrained"),
}


def not_scipys(names: Iterable[str]):
    """Refuse a keyword of `scipy.optimize.minimize`, saying what stands for it here."""
    for name in sorted(set(names) & set(SCIPYS)):
        raise ValueError(f"{name}: expected {SCIPYS[name]}; got SciPy's {name}")


def positive_integer(argument: str, given, maximum: int | None = None) -> int:
    """`given` as an int of at least 1, and at most `maximum`."""
    whole = isinstance(given, Integral) and not isinstance(given, bool)
    if not whole or given < 1 or (maximum is not None and given > maximum):
        limit = "" if maximum is None else f" and <= {maximum}"
        raise ValueError(f"{argument}: expected an integer >= 1{limit}; got {given!r}")
    return int(given)


def whole(argument: str, given) -> int:
    """`given` as an int of at least 0."""
    if not isinstance(given, Integral) or isinstance(given, bool) or given < 0:
        raise ValueError(f"{argument}: expected an integer >= 0; got {given!r}")
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


def objective(given):
    """Refuse what is no objective: a function above all, as SciPy takes it."""
    needed = ("size", "cases", "dtype", "curvatures", "value", "value_and_gradient", "sample")
    lacking = [name for name in needed if not hasattr(given, name)]
    if callable(given) and lacking:
        raise ValueError(
            "objective: expected one of refhf.supervised or refhf.from_functions; got a function: call "
            "refhf.minimize(refhf.from_functions(fun, jac), x0), or "
            "scipy.optimize.minimize(fun, x0, jac=jac, method=refhf.scipy_method(name))"
        )
    if lacking:
        what = f"{type(given).__name__}, which has no {', '.join(lacking)}"
        raise ValueError(f"objective: expected one of refhf.supervised or refhf.from_functions; got a {what}")


def has_curvature(objective, *needed: str):
    """Refuse an objective that lacks one of the matrices 'hessian', 'gauss-newton'."""
    for name in needed:
        if name not in objective.curvatures:
            have = ", ".join(sorted(objective.curvatures)) or "none"
            raise ValueError(f"objective: expected one with {name} products for this method; got one with {have}")


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
