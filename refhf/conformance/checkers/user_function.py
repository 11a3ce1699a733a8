"""Calls user code defensively: captures output and errors, checks results, records misconduct."""

import contextlib
import io
import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from refhf.conformance.check_report import Finding, digits, escaped
from refhf.conformance.oracles import norm
from refhf.conformance.patterns import Cause, Pattern
from refhf.model.blocks import Array

CONDUCT = {
    Pattern.RAISES: "returns",
    Pattern.WRONG_SHAPE: "the right shape",
    Pattern.WRONG_DTYPE: "the right dtype",
    Pattern.NOT_FINITE: "finite numbers",
    Pattern.MODIFIES_INPUT: "does not modify its arguments",
    Pattern.PRINTS: "prints nothing",
}
STEADY = 1e-6  # relative change of the growth of a result that grows with each call: our choice
LACKING = (  # what PyTorch, JAX and TensorFlow say where a derivative is missing
    "derivative for .* not implemented|forward AD|forward-mode|[Dd]ifferentiation rule|[Nn]o gradient defined"
)
SAME = 16  # eps by which two equal calls may differ, because threads may sum in any order: our choice


class Unusable(Exception):  # noqa: N818 : control flow, not an error; it does not leave this package
    """A call returned nothing that can be compared."""


class ConductLog:
    """Misconduct of user code: the first occurrence of each pattern."""

    def __init__(self) -> None:
        self.seen: dict[Pattern, str] = {}

    def note(self, pattern: Pattern, detail: str) -> None:
        """Record a pattern; only its first occurrence is kept."""
        self.seen.setdefault(pattern, escaped(detail))

    def findings(self) -> list[Finding]:
        """A finding for each law of conduct."""
        return [Finding(law, None, None, self.seen.get(p, ""), p not in self.seen) for p, law in CONDUCT.items()]

    def causes(self) -> list[Cause]:
        """A cause for each law of conduct that failed."""
        causes = [Cause(pattern, self.seen[pattern]) for pattern in CONDUCT if pattern in self.seen]
        return [Cause(Pattern.UNSUPPORTED, c.detail) if _lacks_derivative(c) else c for c in causes]


def _lacks_derivative(cause: Cause) -> bool:
    return cause.pattern is Pattern.RAISES and bool(re.search(LACKING, cause.detail))


def guarded(
    function: Callable[..., Any], arguments: tuple[Any, ...], options: Mapping[str, Any], log: ConductLog
) -> Any:
    """function(*arguments, **options) on copies of the arrays, without output; `Unusable` if it raises."""
    given = [np.array(x) if isinstance(x, np.ndarray) else x for x in arguments]
    named = {name: np.array(x) if isinstance(x, np.ndarray) else x for name, x in options.items()}
    before, printed = _bytes(given, named), io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            result = function(*given, **named)
    except (Exception, SystemExit) as error:
        log.note(Pattern.RAISES, in_a_line(error))
        raise Unusable from error
    finally:
        if printed.getvalue():
            log.note(Pattern.PRINTS, repr(printed.getvalue()[:60]))
        if _bytes(given, named) != before:
            log.note(Pattern.MODIFIES_INPUT, "an array argument has changed")
    return result


def in_a_line(error: BaseException) -> str:
    """The type and message of an exception, in one line."""
    try:
        message = " ".join(str(error).split())
    except Exception:  # raised by the __str__ of the exception
        message = "(no message)"
    return f"{type(error).__name__}: {message[:200]}"


def _bytes(given: list[Any], named: Mapping[str, Any]) -> list[bytes]:
    """The contents of all arrays and tensors."""
    arrays = (x for x in (*given, *named.values()) if isinstance(x, np.ndarray) or hasattr(x, "detach"))
    return [as_array(x).tobytes() for x in arrays]


def as_array(given: Any) -> Array:
    """`given` as an array; a tensor is first detached and moved to the CPU."""
    for step in "detach", "cpu":
        given = getattr(given, step)() if hasattr(given, step) else given
    return np.asarray(given)


class FunctionUnderTest:
    """A user's function of vectors.

    It is called with the layout, dtype and array type of the user; results are float64 arrays in refhf's layout.

    Parameters
    ----------
    function : callable
    log : ConductLog
    like : array or tensor
        theta as the user passed it. If it has `new_tensor` (PyTorch), the function is called with tensors.
    order : ndarray of int (P,) or None
        ours = theirs[order], for vectors of length P.
    shape : tuple
        The shape of the result.
    data : tuple
        Further arguments, passed after the vectors: X, y.

    Attributes
    ----------
    damping : float
        The multiple of the last vector that is taken off each result; 0 unless a convention is tried.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        log: ConductLog,
        like: Any,
        shape: tuple[int, ...],
        order: Array | None = None,
        data: tuple[Any, ...] = (),
    ) -> None:
        self.function, self.log, self.like, self.shape, self.order = function, log, like, shape, order
        self.data = data
        self.dtype = as_array(like).dtype if as_array(like).dtype == np.float32 else np.dtype(np.float64)
        self.single = True  # whether all results so far are float32 numbers
        self.damping = 0.0

    def __call__(self, *vectors: Array) -> Array:
        """The checked result; `Unusable` if there is none."""
        given = guarded(self.function, self._arguments(vectors), {}, self.log)
        return self._ours(given) - self.damping * vectors[-1] if self.damping else self._ours(given)

    def raw(self, *vectors: Array) -> Array:
        """The result, of any shape."""
        return as_array(guarded(self.function, self._arguments(vectors), {}, self.log))

    def complex(self, theta: Array) -> Array:
        """The result at a complex theta, for a complex step; `Unusable` if there is none. Records nothing."""
        if hasattr(self.like, "new_tensor"):
            raise Unusable
        theirs = theta if self.order is None or theta.shape != self.order.shape else _scattered(theta, self.order)
        result = guarded(self.function, (theirs, *self.data), {}, ConductLog())
        try:
            result = np.asarray(result, complex).reshape(self.shape)
        except (TypeError, ValueError) as error:
            raise Unusable from error
        return result if self.order is None or not self.shape else result[self.order]

    def repeated(self, *vectors: Array) -> Finding:
        """The law that two equal calls agree, to the bit or to a few roundings of threaded sums."""
        first, second = self(*vectors), self(*vectors)
        error, scale = norm(first - second), norm(first)
        passed = error <= SAME * np.finfo(self.dtype).eps * scale
        worst = "" if first.tobytes() == second.tobytes() else "not bit for bit"
        return Finding(
            "same call, same result", digits(error, scale), digits(SAME * np.finfo(self.dtype).eps, 1), worst, passed
        )

    def changing(self, *vectors: Array, detail: str = "") -> Cause:
        """The cause of two equal calls with different results: sums that grow by the same each time, or chance."""
        first, second, third = (self(*vectors) for _ in range(3))
        grows = norm(third - 2 * second + first) <= STEADY * norm(second - first)
        return Cause(Pattern.ACCUMULATES if grows else Pattern.RANDOM, "" if grows else detail)

    def _arguments(self, vectors: tuple[Array, ...]) -> tuple[Any, ...]:
        return (*(self._theirs(x) for x in vectors), *self.data)

    def _theirs(self, x: Array) -> Any:
        if self.order is not None and x.shape == self.order.shape:
            x = _scattered(x, self.order)
        x = np.array(x, self.dtype)
        return self.like.new_tensor(x) if hasattr(self.like, "new_tensor") else x

    def _ours(self, given: Any) -> Array:
        try:
            x = as_array(given)
            kind = x.dtype.kind
            x = x.astype(np.float64) if kind in "fiub" else np.asarray(np.real(x), np.float64)
        except (TypeError, ValueError, RuntimeError) as error:
            shown = type(given).__name__ if not isinstance(given, np.ndarray) else f"{given.dtype} {given.shape}"
            self.log.note(Pattern.WRONG_DTYPE, f"expected real numbers; got {shown}")
            raise Unusable from error
        if kind != "f" or as_array(given).dtype.itemsize < self.dtype.itemsize:
            scalar = self.shape == () and kind in "fiu"  # any real scalar type but float32 for float64
            if not (scalar and kind != "f"):
                self.log.note(Pattern.WRONG_DTYPE, f"expected {self.dtype}; got {as_array(given).dtype}")
        if x.shape != self.shape:
            self.log.note(Pattern.WRONG_SHAPE, f"expected {self.shape}; got {x.shape}")
            if x.size != int(np.prod(self.shape)):
                raise Unusable
            x = x.reshape(self.shape)
        if not np.isfinite(x).all():
            bad = np.argwhere(~np.isfinite(np.atleast_1d(x)))[0]
            self.log.note(Pattern.NOT_FINITE, f"{np.atleast_1d(x)[tuple(bad)]} at index {tuple(map(int, bad))}")
            raise Unusable
        with np.errstate(over="ignore"):
            self.single &= bool((x == x.astype(np.float32)).all())
        return x if self.order is None or x.shape != self.order.shape else x[self.order]


def _scattered(ours: Array, order: Array) -> Array:
    theirs = np.empty_like(ours)
    theirs[order] = ours
    return theirs
