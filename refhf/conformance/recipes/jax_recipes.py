"""JAX's recipes for the derivatives of a model's loss."""

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from refhf.conformance.recipes.recipe_comparison import Differentiable, Recipe, require_a_number


def jax_problem(jax: Any, model: Any, loss: Any, X: Any, y: Any, params: Any) -> Differentiable:
    """loss(model(params, X), y) in float64 as a function of the joined leaves of params."""
    with _float64(jax):
        leaves = jax.tree_util.tree_leaves(params)
        if not leaves or not all(np.issubdtype(np.asarray(leaf).dtype, np.floating) for leaf in leaves):
            raise ValueError("params: expected a tree whose leaves are arrays of real numbers; got others, or none")
        params, X, y = (jax.tree_util.tree_map(lambda leaf: _widened(jax, leaf), tree) for tree in (params, X, y))
        theta, tree_of = importlib.import_module("jax.flatten_util").ravel_pytree(params)

        def f(theta: Any) -> Any:
            return loss(model(tree_of(theta), X), y)

        require_a_number(lambda: jax.eval_shape(f, theta).shape)
    subject = f"JAX {jax.__version__}, {getattr(model, '__name__', type(model).__name__)}, P = {len(theta):,}"
    return jax_function(jax, f, theta, subject)


def jax_function(jax: Any, f: Callable[[Any], Any], theta: Any, subject: str) -> Differentiable:
    """A function of an array (P,) with JAX's recipes."""
    compiled = jax.jit(f)

    def value(at: Any) -> float:
        with _float64(jax):
            return float(compiled(at))

    recipes = [
        Recipe(name, order, _of_arrays(jax, f, takes, recipe), along)
        for order, table in enumerate((GRADIENTS, PRODUCTS), 1)
        for name, (takes, along, recipe) in table.items()
    ]
    return Differentiable(subject, np.array(theta, np.float64), value, tuple(recipes))


def _of_arrays(jax: Any, f: Callable[[Any], Any], takes: str, recipe: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    """(theta, V) -> the recipe's numbers, compiled once, called for each v, for each pair v, w, or for V."""
    run = jax.jit(lambda at, *directions: recipe(jax, f, at, *directions))

    def call(at: Any, V: Any) -> Any:
        with _float64(jax):
            if takes == "v":
                return np.stack([run(at, v) for v in V.T], -1)
            if takes == "v, w":
                return np.array([[run(at, v, w) for w in V.T] for v in V.T])
            return np.asarray(run(at, V) if takes == "V" else run(at))

    return call


def _float64(jax: Any) -> Any:
    """A context of float64; older versions of JAX have it in jax.experimental."""
    return (jax if hasattr(jax, "enable_x64") else importlib.import_module("jax.experimental")).enable_x64(True)


def _widened(jax: Any, leaf: Any) -> Any:
    leaf = np.asarray(leaf)
    return jax.numpy.asarray(leaf.astype(np.float64) if np.issubdtype(leaf.dtype, np.floating) else leaf)


def _subspace(of: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """The derivative at a = 0 of the function of k numbers a -> f(theta + V a): V'g or V'H V, by the same rules."""
    return lambda jax, f, theta, V: of(jax, lambda a: f(theta + V @ a))(jax.numpy.zeros(V.shape[1]))


def _slope(jax: Any, f: Any, v: Any) -> Callable[[Any], Any]:
    return lambda theta: jax.jvp(f, (theta,), (v,))[1]


def _over_reverse(jax: Any, f: Any, theta: Any, v: Any) -> Any:
    return jax.jvp(jax.grad(f), (theta,), (v,))[1]


# A recipe: its arguments besides (jax, f, theta), whether its result is along V, and its function.
GRADIENTS: dict[str, tuple[str, bool, Callable[..., Any]]] = {
    "grad": ("", False, lambda jax, f, theta: jax.grad(f)(theta)),
    "jacrev": ("", False, lambda jax, f, theta: jax.jacrev(f)(theta)),
    "jvp": ("v", True, lambda jax, f, theta, v: _slope(jax, f, v)(theta)),
    "jacfwd": ("V", True, _subspace(lambda jax, f: jax.jacfwd(f))),
    "linearize": ("v", True, lambda jax, f, theta, v: jax.linearize(f, theta)[1](v)),
}
PRODUCTS: dict[str, tuple[str, bool, Callable[..., Any]]] = {
    "forward over reverse": ("v", False, _over_reverse),
    "reverse over reverse": ("v", False, lambda jax, f, theta, v: jax.vjp(jax.grad(f), theta)[1](v)[0]),
    "reverse over forward": ("v", False, lambda jax, f, theta, v: jax.grad(_slope(jax, f, v))(theta)),
    "forward over forward": ("v, w", True, lambda jax, f, theta, v, w: _slope(jax, _slope(jax, f, w), v)(theta)),
    "linearize(grad)": ("v", False, lambda jax, f, theta, v: jax.linearize(jax.grad(f), theta)[1](v)),
    "forward over reverse, vmap": (
        "V",
        False,
        lambda jax, f, theta, V: jax.vmap(lambda v: _over_reverse(jax, f, theta, v), 1, 1)(V),
    ),
    "hessian": ("V", True, _subspace(lambda jax, f: jax.hessian(f))),
    "jacrev(jacrev)": ("V", True, _subspace(lambda jax, f: jax.jacrev(jax.jacrev(f)))),
    "jacrev(jacfwd)": ("V", True, _subspace(lambda jax, f: jax.jacrev(jax.jacfwd(f)))),
    "jacfwd(jacfwd)": ("V", True, _subspace(lambda jax, f: jax.jacfwd(jax.jacfwd(f)))),
}
