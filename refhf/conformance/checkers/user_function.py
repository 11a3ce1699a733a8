"""Somebody else's function, called with care: what it does wrong is noted, and nothing of it gets out."""

import contextlib
import io
import warnings
from collections.abc import Callable, Mapping

import numpy as np

from refhf.conformance.check_report import Cause, Finding, Pattern, digits, plain
from refhf.conformance.oracles import norm

CONDUCT = {
    Pattern.RAISES: "returns",
    Pattern.WRONG_SHAPE: "the right shape",
    Pattern.WRONG_DTYPE: "the right dtype",
    Pattern.NOT_FINITE: "finite numbers",
    Pattern.MODIFIES_INPUT: "leaves its arguments alone",
    Pattern.PRINTS: "prints nothing",
}
SAME = 16  # eps by which one call twice may differ, where threads add in any order: our choice


class Unusable(Exception):  # noqa: N818 : no error of ours; it never leaves the room
    """A call gave nothing that can be compared."""


class Notes:
    """What was seen while functions were called: the first time of each pattern."""

    def __init__(self):
        self.seen = {}

    def note(self, pattern: Pattern, detail: str):
        """Remember the first."""
        self.seen.setdefault(pattern, plain(detail))

    def findings(self) -> list[Finding]:
        """One for each law of conduct."""
        return [Finding(law, None, None, self.seen.get(p, ""), p not in self.seen) for p, law in CONDUCT.items()]

    def causes(self) -> list[Cause]:
        """Of the laws of conduct that were broken."""
        return [Cause(pattern, self.seen[pattern]) for pattern in CONDUCT if pattern in self.seen]


def guarded(function: Callable, arguments: tuple, options: Mapping, notes: Notes):
    """function(*arguments, **options), on copies of its arrays, silenced; `Unusable` if it raises."""
    given = [np.array(x) if isinstance(x, np.ndarray) else x for x in arguments]
    named = {name: np.array(x) if isinstance(x, np.ndarray) else x for name, x in options.items()}
    before, said = _bytes(given, named), io.StringIO()
    try:
        with contextlib.redirect_stdout(said), warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            result = function(*given, **named)
    except (Exception, SystemExit) as error:
        notes.note(Pattern.RAISES, in_a_line(error))
        raise Unusable from error
    finally:
        if said.getvalue():
            notes.note(Pattern.PRINTS, repr(said.getvalue()[:60]))
        if _bytes(given, named) != before:
            notes.note(Pattern.MODIFIES_INPUT, "an array that it was given has changed")
    return result


def in_a_line(error: BaseException) -> str:
    """An exception in a line."""
    try:
        message = " ".join(str(error).split())
    except Exception:  # of its own __str__
        message = "(no message)"
    return f"{type(error).__name__}: {message[:200]}"


def _bytes(given, named):
    """What arrays and tensors hold."""
    arrays = (x for x in (*given, *named.values()) if isinstance(x, np.ndarray) or hasattr(x, "detach"))
    return [as_array(x).tobytes() for x in arrays]


def as_array(given) -> np.ndarray:
    """An array, of a tensor as well: whatever has detach() and cpu() is detached and moved first."""
    for step in "detach", "cpu":
        given = getattr(given, step)() if hasattr(given, step) else given
    return np.asarray(given)


class Subject:
    """A function of vectors, in the caller's layout, dtype and kind of array; results are float64 in ours.

    Parameters
    ----------
    function : callable
    notes : Notes
    like : array or tensor
        theta as the caller gave it: where that has `new_tensor` (PyTorch), the function is given tensors.
    order : ndarray of int (P,) or None
        ours = theirs[order], for vectors of length P.
    shape : tuple
        Of the result.
    data : tuple
        What the function is given after its vectors, as it is: X, y.
    """

    def __init__(self, function: Callable, notes: Notes, like, shape: tuple, order=None, data=()):
        self.function, self.notes, self.like, self.shape, self.order = function, notes, like, shape, order
        self.data = data
        self.dtype = as_array(like).dtype if as_array(like).dtype == np.float32 else np.dtype(np.float64)
        self.single = True  # whether all of its numbers were float32 numbers

    def __call__(self, *vectors) -> np.ndarray:
        """Its result, checked. `Unusable` if there is none."""
        given = guarded(self.function, self._arguments(vectors), {}, self.notes)
        return self._ours(given)

    def raw(self, *vectors) -> np.ndarray:
        """Its result, of whatever shape."""
        return as_array(guarded(self.function, self._arguments(vectors), {}, self.notes))

    def complex(self, theta) -> np.ndarray:
        """Its result at a complex theta, for a complex step; `Unusable` if it has none. Notes nothing."""
        if hasattr(self.like, "new_tensor"):
            raise Unusable
        theirs = theta if self.order is None else _scattered(theta, self.order)
        result = guarded(self.function, (theirs, *self.data), {}, Notes())
        try:
            result = np.asarray(result, complex).reshape(self.shape)
        except (TypeError, ValueError) as error:
            raise Unusable from error
        return result if self.order is None or not self.shape else result[self.order]

    def repeated(self, *vectors) -> Finding:
        """The same call again: the same bits, or what threads make of them."""
        first, second = self(*vectors), self(*vectors)
        error, scale = norm(first - second), norm(first)
        passed = error <= SAME * np.finfo(self.dtype).eps * scale
        worst = "" if first.tobytes() == second.tobytes() else "not bit for bit"
        return Finding(
            "same call, same result", digits(error, scale), digits(SAME * np.finfo(self.dtype).eps, 1), worst, passed
        )

    def _arguments(self, vectors):
        return (*(self._theirs(x) for x in vectors), *self.data)

    def _theirs(self, x):
        if self.order is not None and x.shape == self.order.shape:
            x = _scattered(x, self.order)
        x = np.array(x, self.dtype)
        return self.like.new_tensor(x) if hasattr(self.like, "new_tensor") else x

    def _ours(self, given):
        try:
            x = as_array(given)
            kind = x.dtype.kind
            x = x.astype(np.float64) if kind in "fiub" else np.asarray(np.real(x), np.float64)
        except (TypeError, ValueError, RuntimeError) as error:
            shown = type(given).__name__ if not isinstance(given, np.ndarray) else f"{given.dtype} {given.shape}"
            self.notes.note(Pattern.WRONG_DTYPE, f"expected real numbers; got {shown}")
            raise Unusable from error
        if kind != "f" or as_array(given).dtype.itemsize < self.dtype.itemsize:
            scalar = self.shape == () and kind in "fiu"  # a float32 value of a float64 theta loses digits, and says so
            if not (scalar and kind != "f"):
                self.notes.note(Pattern.WRONG_DTYPE, f"expected {self.dtype}; got {as_array(given).dtype}")
        if x.shape != self.shape:
            self.notes.note(Pattern.WRONG_SHAPE, f"expected {self.shape}; got {x.shape}")
            if x.size != int(np.prod(self.shape)):
                raise Unusable
            x = x.reshape(self.shape)
        if not np.isfinite(x).all():
            bad = np.argwhere(~np.isfinite(np.atleast_1d(x)))[0]
            self.notes.note(Pattern.NOT_FINITE, f"{np.atleast_1d(x)[tuple(bad)]} at index {tuple(map(int, bad))}")
            raise Unusable
        with np.errstate(over="ignore"):
            self.single &= bool((x == x.astype(np.float32)).all())
        return x if self.order is None or x.shape != self.order.shape else x[self.order]


def _scattered(ours, order):
    theirs = np.empty_like(ours)
    theirs[order] = ours
    return theirs
