"""`refhf.compare_recipes`: every recipe of a framework for the derivatives of a model's loss."""

import sys
from collections.abc import Callable
from typing import Any

from refhf.conformance.recipes.jax_recipes import jax_problem
from refhf.conformance.recipes.recipe_comparison import compared
from refhf.conformance.recipes.recipe_report import RecipeReport
from refhf.conformance.recipes.torch_recipes import torch_problem


def compare_recipes(
    model: Any, loss: Callable[..., Any], X: Any, y: Any, *, params: Any = None, rng: Any = 0
) -> RecipeReport:
    """Run all recipes of PyTorch or JAX for the gradient and the Hessian of a model's loss, and compare them.

    Reverse and forward mode, each over each other, by hand and by the framework's own functions, with and without
    vmap: seven gradients and thirteen Hessian products in PyTorch, five and ten in JAX. They are compared with
    Richardson-extrapolated differences of the loss, and of the gradient once it is found right. No twin and no
    derivative of refhf's takes part, so the layers may be of any kind.

    Parameters
    ----------
    model : torch.nn.Module or callable
        A module; or, in JAX, (params, X) -> outputs. A module is left as it is: float64 copies on the CPU are used.
    loss : callable
        (outputs, y) -> one number; outputs of any shape.
    X, y : tensor, array or (JAX) tree
        The cases; for a module of several inputs X is a tuple.
    params : tree of arrays, optional
        JAX's parameters, of real numbers; None for a module.
    rng : Generator, int or None
        Generator of the three random directions.

    Returns
    -------
    RecipeReport
        A line for each recipe: agrees to so many digits, differs by so much, raises, or is unsupported; the digits of
        the oracles; the detection limit.

    Raises
    ------
    ValueError
        For invalid arguments; for a loss that fails, is no number or is drawn anew in each call. Faults of the recipes
        are in the report.

    Notes
    -----
    Models of JAX's libraries are functions of a tree (run with Equinox 0.13.8, Flax 0.12.8 and JAX 0.10.2):

    * Equinox: `params, static = eqx.partition(model, eqx.is_inexact_array)`, and
      `lambda params, X: jax.vmap(eqx.combine(params, static))(X)`;
    * Flax linen: `params = module.init(key, X)`, and `module.apply`;
    * Flax nnx: `graph, params = nnx.split(model)`, and `lambda params, X: nnx.merge(graph, params)(X)`.

    Examples
    --------
    >>> print(refhf.compare_recipes(model, torch.nn.CrossEntropyLoss(), X, y))  # doctest: +SKIP
    >>> print(refhf.compare_recipes(apply, loss, X, y, params=params))  # doctest: +SKIP
    """
    torch, jax = (sys.modules.get(name) for name in ("torch", "jax"))
    if not callable(loss):
        raise ValueError(f"loss: expected a function of outputs and y; got {type(loss).__name__}")
    if torch is not None and isinstance(model, torch.nn.Module):
        if params is not None:
            raise ValueError(f"params: expected None for a module, which has its own; got {type(params).__name__}")
        return compared(torch_problem(torch, model, loss, X, y), rng)
    if jax is None or not callable(model):
        raise ValueError(
            f"model: expected a torch.nn.Module, or a function (params, X) of JAX; got {type(model).__name__}"
        )
    if params is None:
        raise ValueError("params: expected the tree of arrays that the function of JAX takes; got None")
    return compared(jax_problem(jax, model, loss, X, y, params), rng)
