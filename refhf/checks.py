"""A caller's arguments and results made plain: Python's own bool, int and float, and arrays of real numbers.

Each complaint is a ValueError naming argument, expected and actual. NumPy's scalars do not get in: one of float64
would turn float32 vectors into float64, and one of float16 would round what it is multiplied with.
"""

import math
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

from refhf.hints import hint

Array = np.ndarray[Any, np.dtype[Any]]


def choice(argument: str, given: Any, valid: Iterable[str]) -> Any:
    """`given` if it is one of `valid`; otherwise a ValueError with the one that was meant, if that can be told."""
    valid = list(valid)
    if given in valid:
        return given
    raise ValueError(f"{argument}: expected one of {', '.join(valid)}; got {given!r}{hint(given, valid)}")


def option_names(given: Iterable[str], valid: Iterable[str], owner: str) -> None:
    """Refuse a keyword that `owner` does not have, naming the nearest one that it has."""
    for name in given:
        choice(f"option of {owner}", name, valid)


def distinct(argument: str, given: Sequence[Any]) -> None:
    """Refuse a value that is given twice."""
    for i, value in enumerate(given):
        if value in given[:i]:
            raise ValueError(f"{argument}: expected each once; got {value!r} twice")


NO_NUMBERS = bool, np.timedelta64  # though Python and NumPy count them among the integers
LARGEST = 2**63 - 1  # the most elements of an array, on any machine


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


def not_scipys(names: Iterable[str]) -> None:
    """Refuse a keyword of `scipy.optimize.minimize`, saying what stands for it here."""
    for name in sorted(set(names) & set(SCIPYS)):
        raise ValueError(f"{name}: expected {SCIPYS[name]}; got SciPy's {name}")


def is_integer(given: Any) -> bool:
    """True if `given` is one of Python's or NumPy's integers."""
    return isinstance(given, Integral) and not isinstance(given, NO_NUMBERS)


def integer(argument: str, given: Any, low: int, high: int = LARGEST) -> int:
    """`given` as an int of at least `low` and at most `high`."""
    value = int(given) if is_integer(given) else None
    if value is None or not low <= value <= high:
        limit = f" and <= {high}" if high < LARGEST or (value is not None and value > low) else ""
        raise ValueError(f"{argument}: expected an integer >= {low}{limit}; got {_shown(given)}")
    return value


def positive_integer(argument: str, given: Any, maximum: int = LARGEST) -> int:
    """`given` as an int of at least 1, and at most `maximum`."""
    return integer(argument, given, 1, maximum)


def whole(argument: str, given: Any) -> int:
    """`given` as an int of at least 0."""
    return integer(argument, given, 0)


def boolean(argument: str, given: Any) -> bool:
    """`given` if it is True or False."""
    if not isinstance(given, bool | np.bool_):
        raise ValueError(f"{argument}: expected True or False; got {given!r}")
    return bool(given)


def real(argument: str, given: Any, low: float = -np.inf, high: float = np.inf) -> float:
    """`given` as a finite float within [low, high]."""
    x = _float(given) if isinstance(given, Real) and not isinstance(given, NO_NUMBERS) else math.nan
    if not low <= x <= high or math.isinf(x):
        raise ValueError(f"{argument}: expected a finite number in [{low:g}, {high:g}]; got {_shown(given)}")
    return x


def positive(argument: str, given: Any) -> float:
    """`given` as a finite float above 0."""
    x = real(argument, given, low=0.0)
    if x == 0:
        raise ValueError(f"{argument}: expected a positive number; got 0")
    return x


def number(argument: str, given: Any) -> float:
    """A function's result, a number or an array of one, as a float; infinities and NaN are allowed."""
    if not isinstance(given, Real) or isinstance(given, NO_NUMBERS):
        x = as_array(argument, given)
        if x.size != 1 or x.dtype.kind not in "fiub":
            raise ValueError(f"{argument}: expected a real number as its result; got {given!r}")
        given = x.item()
    return _float(given)


def _float(given: Any) -> float:
    try:
        return float(given)
    except OverflowError:  # of an integer or a fraction
        return math.copysign(math.inf, given > 0 or -1)


def _shown(given: Any) -> str:
    """The repr of `given`; the number of bits of a huge integer."""
    huge = isinstance(given, Integral) and abs(int(given)) > 10**30
    return f"an integer of {int(given).bit_length()} bits" if huge else repr(given)


def objective(given: Any) -> None:
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


def has_curvature(objective: Any, *needed: str) -> None:
    """Refuse an objective that lacks one of 'hessian', 'gauss-newton', 'gradient-squares'."""
    for name in needed:
        if name not in objective.curvatures:
            have = ", ".join(sorted(objective.curvatures)) or "none of its kind"
            raise ValueError(f"objective: expected one that has {name}, for this method and options; it has {have}")


def precision(argument: str, given: Any) -> np.dtype[Any]:
    """`given` as one of the dtypes float32 and float64."""
    try:
        dtype = np.dtype(given)
    except TypeError:
        dtype = None
    if dtype not in (np.float32, np.float64):
        raise ValueError(f"{argument}: expected float32 or float64; got {given!r}")
    return dtype


def unmasked(argument: str, given: Any) -> Any:
    """`given`, unless some of its numbers are masked: the numbers below a mask are not meant."""
    parts = given if isinstance(given, list | tuple) else [given]
    if any(isinstance(part, np.ma.MaskedArray) and np.ma.is_masked(part) for part in parts):
        raise ValueError(f"{argument}: expected numbers throughout; got masked ones")
    return given


def as_array(argument: str, given: Any) -> Array:
    """`given` as an array of whatever kind, with nothing masked."""
    unmasked(argument, given)
    try:
        return np.asarray(given)
    except (TypeError, ValueError) as error:  # a list of lists of different lengths
        raise ValueError(f"{argument}: expected an array of real numbers; got {type(given).__name__}") from error


def array(argument: str, given: Any, shape: tuple[int | None, ...], dtype: Any = None) -> Array:
    """`given` as a finite array of real numbers of `shape`, in which None stands for any length."""
    x = as_array(argument, given)
    fits = x.ndim == len(shape) and all(want in (None, got) for want, got in zip(shape, x.shape, strict=True))
    if not fits:
        want = "(" + ", ".join("any" if n is None else str(n) for n in shape) + ("," if len(shape) == 1 else "") + ")"
        raise ValueError(f"{argument}: expected an array of shape {want}; got shape {x.shape}")
    if x.dtype.kind not in "fiub":
        raise ValueError(f"{argument}: expected real numbers; got dtype {x.dtype}")
    with np.errstate(all="ignore"):
        x = x.astype(dtype or (x.dtype if x.dtype in (np.float32, np.float64) else np.float64), copy=False)
    if not np.isfinite(x).all():
        bad = np.argwhere(~np.isfinite(x))[0]
        raise ValueError(f"{argument}: expected finite numbers; got {x[tuple(bad)]} at index {tuple(map(int, bad))}")
    return x


def vector(argument: str, given: Any, size: int | None, dtype: Any = None) -> Array:
    """`given` as an array (size,) of `dtype` (its own if None), non-finite numbers allowed: they have an outcome."""
    x = as_array(argument, given)
    if x.ndim != 1 or size not in (None, x.size) or x.dtype.kind not in "fiub":
        want = "(P,)" if size is None else f"({size},)"
        raise ValueError(f"{argument}: expected a real vector {want}; got {x.dtype} of shape {x.shape}")
    with np.errstate(all="ignore"):
        return x.astype(dtype or x.dtype, copy=False)
