"""Values with exact first and second derivatives in x and y: truncated Taylor arithmetic.

Griewank and Walther 2008, chapter 13. Each rule is the product rule or the chain rule. The
numbers may be complex, or arrays of one shape.
"""

from typing import Any, NamedTuple

import numpy as np


class Jet(NamedTuple):
    """A value f and its derivatives in x and y."""

    f: Any
    fx: Any = 0.0
    fy: Any = 0.0
    fxx: Any = 0.0
    fxy: Any = 0.0
    fyy: Any = 0.0


def plus(a: Jet, b: Jet) -> Jet:
    """The jet of a + b."""
    return Jet(*(p + q for p, q in zip(a, b, strict=True)))


def scaled(c: Any, a: Jet) -> Jet:
    """The jet of c a, c a number."""
    return Jet(*(c * p for p in a))


def times(a: Jet, b: Jet) -> Jet:
    """The jet of a b."""
    return Jet(
        a.f * b.f,
        a.fx * b.f + a.f * b.fx,
        a.fy * b.f + a.f * b.fy,
        a.fxx * b.f + 2 * a.fx * b.fx + a.f * b.fxx,
        a.fxy * b.f + a.fx * b.fy + a.fy * b.fx + a.f * b.fxy,
        a.fyy * b.f + 2 * a.fy * b.fy + a.f * b.fyy,
    )


def composed(a: Jet, f: Any, d1: Any, d2: Any) -> Jet:
    """The jet of f(a), from f, f' and f'' at a."""
    return Jet(
        f,
        d1 * a.fx,
        d1 * a.fy,
        d1 * a.fxx + d2 * a.fx * a.fx,
        d1 * a.fxy + d2 * a.fx * a.fy,
        d1 * a.fyy + d2 * a.fy * a.fy,
    )


def power(a: Jet, n: float) -> Jet:
    """The jet of a^n, n a number."""
    d1 = n * a.f ** (n - 1) if n else 0.0
    d2 = n * (n - 1) * a.f ** (n - 2) if n * (n - 1) else 0.0  # 0, and not 0 times infinity, where a = 0
    return composed(a, a.f**n, d1, d2)


def _exp(a):
    f = np.exp(a)
    return f, f, f


def _tan(a):
    f = np.tan(a)
    return f, 1 + f * f, 2 * f * (1 + f * f)


def _tanh(a):
    f = np.tanh(a)
    return f, 1 - f * f, -2 * f * (1 - f * f)


def _sqrt(a):
    f = np.sqrt(a)
    return f, 0.5 / f, -0.25 / (a * f)


FUNCTIONS = {  # f, f' and f'' at a
    "exp": _exp,
    "log": lambda a: (np.log(a), 1 / a, -1 / (a * a)),
    "sqrt": _sqrt,
    "sin": lambda a: (np.sin(a), np.cos(a), -np.sin(a)),
    "cos": lambda a: (np.cos(a), -np.sin(a), -np.cos(a)),
    "tan": _tan,
    "sinh": lambda a: (np.sinh(a), np.cosh(a), np.sinh(a)),
    "cosh": lambda a: (np.cosh(a), np.sinh(a), np.cosh(a)),
    "tanh": _tanh,
    "arctan": lambda a: (np.arctan(a), 1 / (1 + a * a), -2 * a / (1 + a * a) ** 2),
}


def called(name: str, a: Jet) -> Jet:
    """The jet of one of FUNCTIONS at a."""
    return composed(a, *FUNCTIONS[name](a.f))
