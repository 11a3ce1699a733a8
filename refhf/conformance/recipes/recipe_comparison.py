"""A function of a vector and recipes for its derivatives, compared with differences that need no derivative rule.

Values of f alone give V' g and V' H V, for random directions V (P, k). A recipe's gradient that agrees with the former
gives H V, every component of it, and V' H V to more digits; both judge if that V' H V agrees with the one from f alone.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from refhf.conformance import oracles
from refhf.conformance.check_report import digits
from refhf.conformance.checkers.user_function import LACKING, ConductLog, Unusable, as_array, guarded, in_a_line
from refhf.conformance.float64_reference import FLOOR, SAFETY, SMALL
from refhf.conformance.oracles import EPS, norm
from refhf.conformance.patterns import Pattern
from refhf.conformance.recipes.recipe_report import RecipeReport, RecipeResult, RecipeVerdict
from refhf.conformance.recipes.richardson import Extrapolated, curvatures, slopes
from refhf.model.blocks import Array

DIRECTIONS = 3  # k: our choice
BOUNDS = 3  # times an oracle's bound, which is an upper estimate already: our choice
TELLING = 1e-3  # relative tolerance above which an oracle does not judge: our choice
SAME = 1e-9  # relative difference of two results that are called the same: our choice
MISSING = rf"{LACKING}|[Bb]atching rule|not implemented for|not (yet )?(supported|implemented)"


class Recipe(NamedTuple):
    """A way to a derivative.

    Attributes
    ----------
    name : str
    order : int
        1 or 2.
    call : callable
        (theta (P,), V (P, k)) -> g (P,) or H V (P, k); if `along`, V' g (k,) or V' H V (k, k).
    along : bool
    """

    name: str
    order: int
    call: Callable[[Array, Array], Any]
    along: bool = False


class Differentiable(NamedTuple):
    """A function of theta (P,) in float64, and recipes for its derivatives."""

    subject: str
    theta: Array
    value: Callable[[Array], float]
    recipes: tuple[Recipe, ...]


class _Judge(NamedTuple):
    """An oracle: the derivative, its bound, the tolerance of a recipe's, and the norm that errors are relative to."""

    name: str
    derivative: Array
    bound: float
    tolerance: float
    scale: float

    @property
    def decides(self) -> bool:
        return self.scale == 0 or self.tolerance <= TELLING * self.scale


_Judges = dict[tuple[int, bool], _Judge]  # of an order, and of numbers along V or whole vectors
_Usable = list[tuple[Recipe, Array]]


def require_a_number(shape_of_loss: Callable[[], Any]) -> None:
    """Refuse a model, loss, X and y that do not give one number."""
    try:
        shape = tuple(shape_of_loss())
    except Exception as error:
        raise ValueError(f"model, loss, X, y: expected loss(model(X), y) to run; got {in_a_line(error)}") from error
    if shape != ():
        raise ValueError(f"loss: expected a function that returns one number; got shape {shape}")


def compared(problem: Differentiable, rng: Any = 0) -> RecipeReport:
    """The report of all recipes of a function.

    Raises
    ------
    ValueError
        If two equal calls of the function give different values, or one that is not finite.
    """
    theta, value = problem.theta, problem.value
    first, second = value(theta), value(theta)
    if not np.isfinite(first) or abs(first - second) > 16 * EPS * abs(first):
        raise ValueError(
            f"model: expected one finite loss from two equal calls, without dropout; got {first:.9g} and {second:.9g}"
        )
    V = np.random.default_rng(rng).standard_normal((len(theta), DIRECTIONS))
    V *= (norm(theta) or 1.0) / np.linalg.norm(V, axis=0)
    results = [_called(recipe, theta, V) for recipe in problem.recipes]
    tried = [(recipe, result) for recipe, result in zip(problem.recipes, results, strict=True)]
    usable = [(recipe, result) for recipe, result in tried if isinstance(result, np.ndarray)]
    noise = _noise(value, theta, V)
    judges = {(1, True): _judge("V'g from f alone", slopes(value, theta, V, noise)[0], 1, usable, theta, V)}
    judges[2, True] = _judge("V'HV from f alone", curvatures(value, theta, V, noise), 2, usable, theta, V)
    shown = list(judges.values())
    if gradient := _right_gradient(usable, judges[1, True], V):
        shown += _from_gradient(gradient, judges, usable, theta, V)
    judged = [
        _judged(recipe, result, judges, V) if isinstance(result, np.ndarray) else result for recipe, result in tried
    ]
    precisions = tuple((judge.name, digits(judge.bound, judge.scale)) for judge in shown)
    limits = tuple((judge.name.split()[0], judge.tolerance / (judge.scale or 1.0)) for judge in judges.values())
    return RecipeReport(problem.subject, _grouped(judged, tried, V), precisions, limits, DIRECTIONS)


def _called(recipe: Recipe, theta: Array, V: Array) -> Array | RecipeResult:
    """The finite array of a recipe, or the outcome that it has none."""
    log, k = ConductLog(), V.shape[1]
    shape = (k if recipe.along else len(theta), *((k,) if recipe.order == 2 else ()))
    try:
        result = as_array(guarded(recipe.call, (theta, V), {}, log)).astype(np.float64)
    except Unusable:
        reason = log.seen.get(Pattern.RAISES, "")
        verdict = RecipeVerdict.UNSUPPORTED if re.search(MISSING, reason) else RecipeVerdict.RAISES
        return RecipeResult(recipe.name, recipe.order, verdict, remarks=(reason,))
    if result.shape != shape:
        wrong = f"expected shape {shape}; got {result.shape}"
        return RecipeResult(recipe.name, recipe.order, RecipeVerdict.RAISES, remarks=(wrong,))
    if not np.isfinite(result).all():
        return RecipeResult(recipe.name, recipe.order, RecipeVerdict.DIFFERS, np.inf, remarks=("NaN or Inf",))
    return result


def _noise(f: Callable[[Array], Any], theta: Array, V: Array) -> float:
    """The rounding error of f in a difference: theta + t v is rounded to eps/2, and f rounds what it computes.

    At theta alone f or theta may be 0, which hides the rounding of what f adds up; so a point beside it counts too.
    """
    here, beside = (_rounding(f, at) for at in (theta, theta + V[:, 0]))
    return max(here, beside) if np.isfinite(beside) else here


def _rounding(f: Callable[[Array], Any], theta: Array) -> float:
    return oracles.rounding(f, theta, eps=EPS / oracles.ROUNDINGS, rng=0) + EPS * norm(f(theta))


def _along(recipe: Recipe, result: Array, V: Array) -> Array:
    return result if recipe.along else V.T @ result


def _judge(
    name: str, found: Extrapolated, order: int, usable: Any, theta: Array, V: Array, whole: bool = False
) -> _Judge:
    """The oracle; the tolerance allows for the rounding of the nearest recipe of whole vectors, if there is one."""
    want, scale = found.derivative, norm(found.derivative)
    size, far = scale, 0.0
    if full := [(recipe, result) for recipe, result in usable if recipe.order == order and not recipe.along]:
        seen = (lambda x: x) if whole else (lambda x: V.T @ x)
        recipe, result = min(full, key=lambda pair: norm(seen(pair[1]) - want))
        far = oracles.rounding(lambda theta: seen(as_array(recipe.call(theta, V))), theta, eps=EPS, rng=0)
        size = scale if whole else norm(V[:, 0]) * norm(result)
    floor = FLOOR[np.dtype(np.float64)] * max(scale, SMALL * size)
    return _Judge(name, want, found.bound, max(floor, BOUNDS * found.bound, SAFETY * far), scale)


def _from_gradient(
    gradient: Recipe, judges: dict[tuple[int, bool], _Judge], usable: Any, theta: Array, V: Array
) -> Any:
    """The oracles of second derivatives that a right gradient gives; they judge if they agree with the values."""

    def g(theta: Array) -> Array:
        return as_array(gradient.call(theta, V))

    whole, along = slopes(g, theta, V, _noise(g, theta, V), also=V)
    of_values = judges[2, True]
    if norm(along.derivative - of_values.derivative) <= of_values.tolerance:
        judges[2, True] = _judge(f"V'HV from {gradient.name}", along, 2, usable, theta, V)
        judges[2, False] = _judge(f"HV from {gradient.name}", whole, 2, usable, theta, V, whole=True)
        return judges[2, True], judges[2, False]
    return ()


def _right_gradient(usable: _Usable, judge: _Judge, V: Array) -> Recipe | None:
    """The first recipe of a whole gradient that agrees with the values."""
    for recipe, result in usable if judge.decides else ():
        if recipe.order == 1 and not recipe.along and norm(V.T @ result - judge.derivative) <= judge.tolerance:
            return recipe
    return None


def _judged(recipe: Recipe, result: Array, judges: _Judges, V: Array) -> RecipeResult:
    """The outcome of a recipe that has a result."""
    whole = recipe.order == 2 and not recipe.along and (2, False) in judges
    judge, numbers = judges[recipe.order, not whole], _along(recipe, result, V)
    error = norm((result if whole else numbers) - judge.derivative)
    verdict = RecipeVerdict.AGREES if error <= judge.tolerance else RecipeVerdict.DIFFERS
    verdict = verdict if judge.decides else RecipeVerdict.UNDECIDED
    remarks = []
    if recipe.order == 2 and norm(numbers - numbers.T) > judges[2, True].tolerance:
        remarks.append("not symmetric")
    relative = error / judge.scale if judge.scale else error
    return RecipeResult(recipe.name, recipe.order, verdict, relative, digits(error, judge.scale), tuple(remarks))


def _grouped(judged: list[RecipeResult], tried: Any, V: Array) -> tuple[RecipeResult, ...]:
    """The outcomes; a wrong or undecided result names the first recipe with the same one."""
    shown, firsts = [], []
    for outcome, (recipe, result) in zip(judged, tried, strict=True):
        if isinstance(result, np.ndarray) and outcome.verdict is not RecipeVerdict.AGREES:
            numbers = _along(recipe, result, V)
            for name, order, other in firsts:
                if order == recipe.order and norm(numbers - other) <= SAME * norm(other):
                    outcome = outcome._replace(remarks=(*outcome.remarks, f"the same result as {name}"))
                    break
            else:
                firsts.append((recipe.name, recipe.order, numbers))
        shown.append(outcome)
    return tuple(shown)
