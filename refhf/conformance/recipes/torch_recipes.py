"""PyTorch's recipes for the derivatives of a module's loss."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from refhf.conformance.recipes.recipe_comparison import Differentiable, Recipe, require_a_number


def torch_problem(torch: Any, model: Any, loss: Any, X: Any, y: Any) -> Differentiable:
    """The loss of float64 copies on the CPU as a function of the parameters, joined in the module's order.

    A normalisation in train mode loses its running statistics, which f does not use.
    """
    model, loss = (_float64(torch, each) for each in (model, loss))
    for module in model.modules():
        if module.training and getattr(module, "track_running_stats", False):
            module.running_mean = module.running_var = module.num_batches_tracked = None
            module.track_running_stats = False
    named = dict(model.named_parameters())
    if not named:
        raise ValueError(f"model: expected a module with parameters; got {type(model).__name__} without")
    names, sizes = list(named), [parameter.numel() for parameter in named.values()]
    inputs = tuple(_float64(torch, x) for x in (X if isinstance(X, tuple) else (X,)))
    y = _float64(torch, y)

    def f(theta: Any) -> Any:
        parts = zip(names, theta.split(sizes), strict=True)
        weights = {name: part.view_as(named[name]) for name, part in parts}
        buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
        return loss(torch.func.functional_call(model, weights | buffers, inputs), y)

    theta = torch.nn.utils.parameters_to_vector(list(named.values())).detach()
    with torch.no_grad():
        require_a_number(lambda: f(theta).shape)
    subject = f"PyTorch {torch.__version__}, {type(model).__name__}, P = {len(theta):,}"
    return torch_function(torch, f, theta.numpy(), subject)


def torch_function(torch: Any, f: Callable[[Any], Any], theta: Any, subject: str) -> Differentiable:
    """A function of a tensor (P,) with PyTorch's recipes."""

    def value(at: Any) -> float:
        with torch.no_grad():
            return float(f(torch.from_numpy(at)))

    def of_arrays(recipe: Callable[..., Any]) -> Callable[[Any, Any], Any]:
        return lambda at, V: np.asarray(recipe(f, torch.from_numpy(at), torch.from_numpy(V)).detach())

    rows = gradients(torch), products(torch)
    recipes = [
        Recipe(name, order, of_arrays(recipe), along)
        for order, table in enumerate(rows, 1)
        for name, (along, recipe) in table.items()
    ]
    return Differentiable(subject, np.array(theta, np.float64), value, tuple(recipes))


def gradients(torch: Any) -> dict[str, tuple[bool, Callable[..., Any]]]:
    """Recipes (f, theta, V) -> g, or V'g where the first of the pair is true."""
    func, functional = torch.func, torch.autograd.functional

    def autograd(f: Any, theta: Any, V: Any) -> Any:
        theta = theta.requires_grad_()
        return torch.autograd.grad(f(theta), theta)[0]

    def each(along: Callable[[Any, Any, Any], Any]) -> Callable[..., Any]:
        return lambda f, theta, V: torch.stack([along(f, theta, v) for v in V.T.contiguous()])

    return {
        "autograd.grad": (False, autograd),
        "func.grad": (False, lambda f, theta, V: func.grad(f)(theta)),
        "func.jacrev": (False, lambda f, theta, V: func.jacrev(f)(theta)),
        "func.jvp": (True, each(lambda f, theta, v: func.jvp(f, (theta,), (v,))[1])),
        "func.jacfwd": (True, lambda f, theta, V: func.jacfwd(_on(f, theta, V))(V.new_zeros(V.shape[1]))),
        "func.linearize": (
            True,
            lambda f, theta, V: torch.stack([*map(func.linearize(f, theta)[1], V.T.contiguous())]),
        ),
        "autograd.functional.jvp": (True, each(lambda f, theta, v: functional.jvp(f, theta, v)[1])),
    }


def products(torch: Any) -> dict[str, tuple[bool, Callable[..., Any]]]:
    """Recipes (f, theta, V) -> H V, or V'H V where the first of the pair is true."""
    func, functional = torch.func, torch.autograd.functional

    def each(product: Callable[[Any, Any, Any], Any]) -> Callable[..., Any]:
        return lambda f, theta, V: torch.stack([product(f, theta, v) for v in V.T.contiguous()], 1)

    def subspace(hessian: Callable[[Any, Any], Any]) -> Callable[..., Any]:
        return lambda f, theta, V: hessian(_on(f, theta, V), V.new_zeros(V.shape[1]))

    def over_reverse(f: Any, theta: Any, v: Any) -> Any:
        return func.jvp(func.grad(f), (theta,), (v,))[1]

    def forward_twice(f: Any, theta: Any, V: Any) -> Any:
        def slope(w: Any) -> Callable[[Any], Any]:
            return lambda theta: func.jvp(f, (theta,), (w,))[1]

        columns = V.T.contiguous()
        return torch.stack([torch.stack([func.jvp(slope(w), (theta,), (v,))[1] for w in columns]) for v in columns])

    return {
        "autograd.functional.hvp": (False, each(lambda f, theta, v: functional.hvp(f, theta, v)[1])),
        "autograd.functional.vhp": (False, each(lambda f, theta, v: functional.vhp(f, theta, v)[1])),
        "forward over reverse": (False, each(over_reverse)),
        "reverse over reverse": (False, each(lambda f, theta, v: func.vjp(func.grad(f), theta)[1](v)[0])),
        "reverse over forward": (
            False,
            each(lambda f, theta, v: func.grad(lambda theta: func.jvp(f, (theta,), (v,))[1])(theta)),
        ),
        "forward over forward": (True, forward_twice),
        "forward over reverse, vmap": (
            False,
            lambda f, theta, V: func.vmap(lambda v: over_reverse(f, theta, v), 1, 1)(V),
        ),
        "func.hessian": (True, subspace(lambda f, zero: func.hessian(f)(zero))),
        "jacrev(jacrev)": (True, subspace(lambda f, zero: func.jacrev(func.jacrev(f))(zero))),
        "jacrev(jacfwd)": (True, subspace(lambda f, zero: func.jacrev(func.jacfwd(f))(zero))),
        "jacfwd(jacfwd)": (True, subspace(lambda f, zero: func.jacfwd(func.jacfwd(f))(zero))),
        "autograd.functional.hessian": (True, subspace(functional.hessian)),
        "autograd.functional.hessian, vectorize": (
            True,
            subspace(lambda f, zero: functional.hessian(f, zero, vectorize=True)),
        ),
    }


def _on(f: Callable[[Any], Any], theta: Any, V: Any) -> Callable[[Any], Any]:
    """The function of k numbers a -> f(theta + V a), whose derivatives at 0 are V'g and V'H V, by the same rules."""
    return lambda a: f(theta + V @ a)


def _float64(torch: Any, given: Any) -> Any:
    """A copy on the CPU in which real numbers are float64; a function stays as it is."""
    if isinstance(given, torch.nn.Module):
        return copy.deepcopy(given).to("cpu", torch.float64)
    if callable(given):
        return given
    tensor = given.detach().cpu() if hasattr(given, "detach") else torch.from_numpy(np.array(given))
    return tensor.to(torch.float64) if tensor.is_floating_point() else tensor.clone()
