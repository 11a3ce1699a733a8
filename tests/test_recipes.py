"""Recipes of derivatives compared: with fakes in NumPy; those of PyTorch and JAX are in tests/crosscheck."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import refhf
from refhf.conformance.recipes.recipe_comparison import DIRECTIONS, Differentiable, Recipe, compared
from refhf.conformance.recipes.recipe_report import RecipeVerdict
from refhf.conformance.recipes.richardson import curvatures, extrapolated, slopes
from refhf.lab.cli.entry_point import main

FEW = settings(max_examples=25)
SIZE = 6
A = np.random.default_rng(1).normal(size=(9, SIZE)) / 2
THETA = np.random.default_rng(2).normal(size=SIZE)


def value(theta):
    """sum log cosh(A theta)."""
    return float(np.log(np.cosh(A @ theta)).sum())


def gradient(theta, V=None):
    return A.T @ np.tanh(A @ theta)


def product(theta, V):
    return A.T @ ((1 - np.tanh(A @ theta) ** 2)[:, None] * (A @ V))


RIGHT = (
    Recipe("g", 1, gradient),
    Recipe("V'g", 1, lambda theta, V: V.T @ gradient(theta), True),
    Recipe("HV", 2, product),
    Recipe("V'HV", 2, lambda theta, V: V.T @ product(theta, V), True),
)


def report(*recipes, f=value, theta=THETA, rng=0):
    return compared(Differentiable("a fake", theta, f, recipes), rng)


def outcome(recipe, *others):
    """The result of one recipe among the right ones."""
    return report(*RIGHT, *others, recipe).results[-1]


def test_right_recipes_are_right():
    """All forms of a right derivative agree to 12 digits, and both oracles of second derivatives say so."""
    found = report(*RIGHT)
    assert found.passed and found.of(RecipeVerdict.AGREES) == tuple(recipe.name for recipe in RIGHT)
    assert all(result.digits >= 12 for result in found.results)
    assert [name for name, _ in found.oracles] == [
        "V'g from f alone", "V'HV from f alone", "V'HV from g", "HV from g"
    ]  # fmt: skip
    assert dict(found.oracles)["HV from g"] >= 12 and max(limit for _, limit in found.limits) < 1e-11


def fault(name, order, call, along=False):
    return Recipe(name, order, call, along)


WRONG = {  # recipe, error, remark
    "a factor": (fault("w", 2, lambda t, V: 1.5 * product(t, V)), 0.5, ""),
    "a factor along V": (fault("w", 2, lambda t, V: 1.5 * V.T @ product(t, V), True), 0.5, ""),
    "a gradient": (fault("w", 1, lambda t, V: 0.5 * gradient(t)), 0.5, ""),
    "a gradient along V": (fault("w", 1, lambda t, V: 2 * V.T @ gradient(t), True), 1, ""),
    "an antisymmetric part": (
        fault("w", 2, lambda t, V: product(t, V) + (np.eye(SIZE, k=1) - np.eye(SIZE, k=-1)) @ V), None, "not symmetric"
    ),
    "NaN": (fault("w", 2, lambda t, V: product(t, V) * np.nan), np.inf, "NaN or Inf"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_recipes_differ(name):
    """A wrong derivative differs by its size, and what is seen of it besides is remarked."""
    recipe, error, remark = WRONG[name]
    result = outcome(recipe)
    assert result.verdict is RecipeVerdict.DIFFERS
    assert error is None or result.error == pytest.approx(error, rel=1e-9)
    assert remark in result.remarks or not (remark or result.remarks)


def raising(error):
    def call(theta, V):
        raise error

    return Recipe("w", 2, call)


NO_RESULT = {
    "an exception": (raising(RuntimeError("ZeroTensors are immutable")), RecipeVerdict.RAISES, "RuntimeError: ZeroT"),
    "no rule": (raising(NotImplementedError("the derivative for 'x' is not implemented")), "unsupported", "derivative"),
    "no batching rule": (raising(RuntimeError("Batching rule not implemented for x")), "unsupported", "Batching"),
    "no forward mode": (raising(TypeError("can't apply forward-mode autodiff")), "unsupported", "forward-mode"),
    "another shape": (Recipe("w", 2, lambda t, V: V[1:]), RecipeVerdict.RAISES, "expected shape (6, 3); got (5, 3)"),
}


@pytest.mark.parametrize("name", NO_RESULT)
def test_a_recipe_without_a_result(name):
    """A missing derivative is unsupported and no fault; another exception is told, and the report is incomplete."""
    recipe, verdict, remark = NO_RESULT[name]
    found = report(*RIGHT, recipe)
    assert str(found.results[-1].verdict) == str(verdict) and remark in found.results[-1].remarks[0]
    assert found.passed is (verdict == "unsupported")
    assert found.verdict.startswith("right" if found.passed else "incomplete")


def test_equal_faults_are_told():
    """A wrong result names the first recipe with the same one, in whichever form."""
    wrong = WRONG["a factor"][0]._replace(name="first"), WRONG["a factor along V"][0]._replace(name="second")
    other = fault("third", 2, lambda t, V: 3 * product(t, V))
    *_, first, second, third = report(*RIGHT, *wrong, other).results
    assert (first.remarks, second.remarks, third.remarks) == ((), ("the same result as first",), ())


def test_a_common_fault_is_found():
    """Where all products have one fault, and where the gradient is wrong too, the values alone judge."""
    wrong = [recipe._replace(call=lambda t, V, call=recipe.call: 1.5 * call(t, V)) for recipe in RIGHT]
    for recipes in ([*RIGHT[:2], *wrong[2:]], wrong):
        found = report(*recipes)
        assert [r.name for r in found.results if r.verdict is RecipeVerdict.DIFFERS][-2:] == ["HV", "V'HV"]
    assert [name for name, _ in found.oracles] == ["V'g from f alone", "V'HV from f alone"]


def test_a_wrong_gradient_is_passed_over():
    """The oracle of H v is the first gradient that agrees with the values, not the first."""
    found = report(WRONG["a gradient"][0], *RIGHT)
    assert [name for name, _ in found.oracles][2:] == ["V'HV from g", "HV from g"]


def test_a_gradient_right_at_one_point_only():
    """A gradient that is right at theta and wrong around it is no oracle: its H V does not agree with the values."""
    here = Recipe("stale", 1, lambda theta, V: gradient(THETA))
    found = report(here, *RIGHT[2:])
    assert [name for name, _ in found.oracles] == ["V'g from f alone", "V'HV from f alone"]
    assert not found.of(RecipeVerdict.DIFFERS)


@FEW
@given(st.integers(0, 2**32 - 1), st.floats(3, 1e6))
def test_the_detection_limit(seed, times):
    """A fault some times the limit is found, whatever its direction; one of a tenth of the limit is not."""
    rng = np.random.default_rng(seed)
    E = rng.normal(size=(SIZE, DIRECTIONS))

    def moved(size):
        def call(theta, V):
            right = product(theta, V)
            return right + size * np.linalg.norm(right) * E / np.linalg.norm(E)

        return Recipe("w", 2, call)

    limit = dict(report(*RIGHT, rng=seed).limits)["HV"]
    assert report(*RIGHT, moved(times * limit), rng=seed).results[-1].verdict is RecipeVerdict.DIFFERS
    assert report(*RIGHT, moved(limit / 10), rng=seed).results[-1].verdict is RecipeVerdict.AGREES


def test_a_rough_function_is_undecided():
    """Where f has no derivatives the oracle has no digits: nothing is accused, and nothing passes."""
    rough = lambda theta: value(theta) + float(np.sin(1e13 * theta.sum()))  # noqa: E731
    found = report(*RIGHT, f=rough)
    assert len(found.of(RecipeVerdict.UNDECIDED)) == 4 and not found.passed
    assert "undecided: the oracle has no digits" in str(found)


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
@pytest.mark.parametrize("of_f", [1e-100, 1.0, 1e100])
def test_scales(scale, of_f):
    """Large and small theta and f are judged as those near 1 are."""
    B = A / scale
    slope = lambda t: of_f * B.T @ np.tanh(B @ t)  # noqa: E731
    curve = lambda t, V: of_f * B.T @ ((1 - np.tanh(B @ t) ** 2)[:, None] * (B @ V))  # noqa: E731
    recipes = Recipe("g", 1, lambda t, V: slope(t)), Recipe("HV", 2, curve)
    found = report(*recipes, f=lambda t: of_f * float(np.log(np.cosh(B @ t)).sum()), theta=scale * THETA)
    assert found.passed, found
    wrong = Recipe("HV", 2, lambda t, V: (1 + 1e-9) * curve(t, V))
    assert report(recipes[0], wrong, f=lambda t: of_f * value(t / scale), theta=scale * THETA).verdict.startswith(
        "wrong"
    )


def test_zeros():
    """theta = 0 has directions of norm 1; a linear f has the Hessian 0, and another one differs."""
    assert report(*RIGHT, theta=np.zeros(SIZE)).passed
    recipes = Recipe("g", 1, lambda t, V: A[0]), Recipe("0", 2, lambda t, V: 0 * V), Recipe("w", 2, lambda t, V: V)
    found = report(*recipes, f=lambda t: float(A[0] @ t))
    assert found.of(RecipeVerdict.DIFFERS) == ("w",), found


def test_a_minimum_of_value_0():
    """Where residuals, value and gradient are 0, rounding is that of what the value adds up, and nothing is accused."""
    B, y = A / 3, np.tanh(A / 3 @ THETA)

    def residuals(theta):
        return np.tanh(B @ theta) - y

    def slope(theta, V=None):
        return B.T @ ((1 - np.tanh(B @ theta) ** 2) * residuals(theta))

    def curve(theta, V):
        d, t = 1 - np.tanh(B @ theta) ** 2, np.tanh(B @ theta)
        return B.T @ ((d * d - 2 * t * d * residuals(theta))[:, None] * (B @ V))

    recipes = Recipe("g", 1, slope), Recipe("HV", 2, curve), Recipe("w", 2, lambda t, V: (1 + 1e-6) * curve(t, V))
    found = report(*recipes, f=lambda theta: float(residuals(theta) @ residuals(theta)) / 2)
    assert found.of(RecipeVerdict.DIFFERS) == ("w",), found


@FEW
@given(st.floats(0.01, 30), st.floats(-2, 2))
def test_the_bound_of_an_extrapolation(frequency, x):
    """The error of an extrapolated difference is at most its bound, for wide and narrow functions."""
    eps = np.finfo(float).eps
    found = extrapolated(
        lambda t: np.array((np.sin(frequency * (x + t)) - np.sin(frequency * (x - t))) / (2 * t)),
        lambda t: eps * (1 + frequency * abs(x)) / t,
    )
    error = abs(found.derivative - frequency * np.cos(frequency * x))
    assert error <= found.bound
    assert found.bound <= 1e-11 * max(1, frequency)


@FEW
@given(st.integers(0, 2**32 - 1), st.floats(-8, -1))
def test_a_kink_is_not_crossed(seed, distance):
    """With a kink near x the bound still holds, and shorter steps give the derivative of the side where x is."""
    a, kink = 1 + np.random.default_rng(seed).random(), 1 + 10**distance
    f = lambda x: np.array(np.exp(a * x[0]) + 5 * max(x[0] - kink, 0.0))  # noqa: E731
    (found,) = slopes(f, np.ones(1), np.ones((1, 1)), 1e-15 * np.exp(a))
    assert abs(found.derivative[0] - a * np.exp(a)) <= found.bound
    assert distance < -6 or found.bound < 1e-6


def test_a_quadratic_by_values():
    """V'HV of a quadratic by values alone is exact to its bound, which has 12 digits."""
    H, V = A.T @ A, np.random.default_rng(5).normal(size=(SIZE, 3))
    found = curvatures(lambda x: float(x @ H @ x / 2), THETA, V, 1e-15)
    error = np.linalg.norm(found.derivative - V.T @ H @ V)
    assert error <= found.bound <= 1e-12 * np.linalg.norm(V.T @ H @ V)


def test_a_random_value_is_refused():
    """A value drawn anew in each call, and one that is not finite, are a ValueError that says so."""
    rng = np.random.default_rng(0)
    for f in (lambda t: rng.random(), lambda t: np.nan):
        with pytest.raises(ValueError, match="model: expected one finite loss from two equal calls, .*; got"):
            report(*RIGHT, f=f)


def test_the_report_at_the_prompt():
    """A repr of three lines at most, a table for notebooks, JSON, and the scope in words."""
    found = report(*RIGHT, *(recipe for recipe, *_ in WRONG.values()))
    assert len(repr(found).splitlines()) == 3 and "wrong: of 10 recipes 4 right, 6 wrong" in repr(found)
    assert found._repr_html_().count("<tr>") == 11
    assert json.loads(json.dumps(found.to_dict()))["results"][4]["verdict"] == "differs"
    for words in ("detection limit, as a relative error: ", "It can find ", "along 3 random", "It cannot find"):
        assert words in " ".join(str(found).split())


MISTAKES = {
    "no model": (lambda: refhf.compare_recipes(3, len, 0, 0), "model: expected a torch.nn.Module, or a function"),
    "no loss": (lambda: refhf.compare_recipes(len, 3, 0, 0), "loss: expected a function of outputs and y; got int"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_named(name):
    """A mistake is a ValueError that names the argument."""
    call, message = MISTAKES[name]
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("body", ["return 3", "return 1, 2, 3", "raise KeyError('x')"])
def test_the_command_wants_a_model(tmp_path, capsys, body):
    """`refhf check --against recipes` of a function that returns no problem is a usage error in a line."""
    path = tmp_path / "mine.py"
    path.write_text(f"def problem():\n    {body}\n")
    assert main(["check", f"{path}:problem", "--against", "recipes"]) == 2
    assert "expected NAME() -> (model, loss, X, y) of PyTorch" in capsys.readouterr().err
