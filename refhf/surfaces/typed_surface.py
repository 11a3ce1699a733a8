"""A surface from the text of a function of x and y: parsed without `eval`, its derivatives exact."""

import ast
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from refhf import checks
from refhf.surfaces import jets, stationary_search
from refhf.surfaces.jets import Jet
from refhf.surfaces.stationary_points import Surface, numbers

LONGEST = 300  # characters; our choice
CONSTANTS = {"pi": np.pi, "e": np.e}
EXPECTED = f"expected numbers, x, y, pi, e, + - * / ** and {', '.join(jets.FUNCTIONS)}"
Formula = Callable[[Jet, Jet], Jet]


def typed_surface(text: str, window=(-2.0, 2.0, -2.0, 2.0)) -> Surface:
    """The surface of a function of x and y, with those of its stationary points that a search in the window finds.

    Parameters
    ----------
    text : str
        An expression of Python: numbers, x, y, pi, e, the operators + - * / ** (or ^) and the functions of
        `refhf.surfaces.jets`.
    window : (float, float, float, float)
        x from, x to, y from, y to.

    Returns
    -------
    Surface
        Its minima are local. The start is on the stable line of a saddle, if one is found.

    Raises
    ------
    ValueError
        For a text that is not such an expression, an empty window, or a function that is finite almost nowhere in it.

    Examples
    --------
    >>> surface = typed_surface("x**2/2 + y**4/4 - y**2/2")
    >>> [point.kind for point in surface.stationary]
    ['saddle', 'minimum', 'minimum']
    """
    x0, x1, y0, y1 = window = tuple(checks.array("window", window, (4,), np.float64).tolist())
    if not (x0 < x1 and y0 < y1):
        raise ValueError(f"window: expected x from < x to and y from < y to; got {window}")
    f = TypedFunction(parse_formula(text))
    corners = np.array(np.meshgrid(np.linspace(x0, x1, 41), np.linspace(y0, y1, 41))).reshape(2, -1)
    if np.isfinite(f.value(corners)).mean() < 0.1:  # our choice
        raise ValueError(f"function: expected one that is finite on the map; got {text!r}")
    found = stationary_search.stationary_points(f, window)
    start = stationary_search.start_beside(f, found, window)
    return Surface("own", text, f.value, f.gradient, f.hessp, None, found, numbers(*start), window=window)


class TypedFunction(NamedTuple):
    """A parsed function, and its derivatives at theta (2,), or (2, n) for the value."""

    formula: Formula

    def value(self, theta):
        """f(theta)."""
        return self._jet(theta).f + 0 * theta[0]

    def gradient(self, theta):
        """g (2,)."""
        jet = self._jet(theta)
        return np.array([jet.fx, jet.fy])

    def hessp(self, theta, v):
        """H v (2,)."""
        jet = self._jet(theta)
        return np.array([jet.fxx * v[0] + jet.fxy * v[1], jet.fxy * v[0] + jet.fyy * v[1]])

    def _jet(self, theta):
        if theta.ndim > 1:
            return jet_at(self.formula, *theta)
        return _remembered(self.formula, *theta)


@np.errstate(all="ignore")  # what is not finite is an ending
def jet_at(formula: Formula, x, y) -> Jet:
    """The formula's jet at x and y."""
    return formula(Jet(x, fx=1.0), Jet(y, fy=1.0))


_remembered = lru_cache(maxsize=64)(jet_at)  # f, g and H at a point are asked for one by one


@lru_cache(maxsize=64)
def parse_formula(text: str) -> Formula:
    """The formula of an expression.

    Raises
    ------
    ValueError
        If the text is too long, not an expression, or has something other than what EXPECTED lists.
    """
    if len(text) > LONGEST:
        raise ValueError(f"function: expected at most {LONGEST} characters; got {len(text)}")
    try:
        tree = ast.parse(text.replace("^", "**").strip(), mode="eval")
        return _formula(tree.body)
    except (SyntaxError, RecursionError, MemoryError):
        raise ValueError(f"function: {EXPECTED}; got {text!r}") from None


def _formula(node) -> Formula:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return _constant(number)
        case ast.Name(id="x"):
            return lambda x, y: x
        case ast.Name(id="y"):
            return lambda x, y: y
        case ast.Name(id=name) if name in CONSTANTS:
            return _constant(CONSTANTS[name])
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            a = _formula(inner)
            return lambda x, y: jets.scaled(-1.0, a(x, y))
        case ast.UnaryOp(op=ast.UAdd(), operand=inner):
            return _formula(inner)
        case ast.BinOp(left=left, op=op, right=right):
            return _operation(op, _formula(left), _formula(right), _number(right))
        case ast.Call(func=ast.Name(id=name), args=[inner], keywords=[]) if name in jets.FUNCTIONS:
            a = _formula(inner)
            return lambda x, y: jets.called(name, a(x, y))
    raise ValueError(f"function: {EXPECTED}; got {ast.unparse(node)!r}")


def _constant(number):
    try:
        value = np.float64(number)
    except OverflowError:
        raise ValueError(f"function: expected numbers below 1e308; got one of {number.bit_length()} bits") from None
    return lambda x, y: Jet(value)


def _number(node):
    """The value of an expression without x and y, else None."""
    if any(isinstance(part, ast.Name) and part.id in "xy" for part in ast.walk(node)):
        return None
    return float(jet_at(_formula(node), np.float64(0), np.float64(0)).f)


def _operation(op, a, b, right) -> Formula:
    match op:
        case ast.Add():
            return lambda x, y: jets.plus(a(x, y), b(x, y))
        case ast.Sub():
            return lambda x, y: jets.plus(a(x, y), jets.scaled(-1.0, b(x, y)))
        case ast.Mult():
            return lambda x, y: jets.times(a(x, y), b(x, y))
        case ast.Div():
            return lambda x, y: jets.times(a(x, y), jets.power(b(x, y), -1.0))
        case ast.Pow() if right is not None:
            return lambda x, y: jets.power(a(x, y), right)
        case ast.Pow():
            return lambda x, y: jets.called("exp", jets.times(b(x, y), jets.called("log", a(x, y))))
    raise ValueError(f"function: expected the operators + - * / **; got {type(op).__name__}")
