"""The networks of the scoreboard as PyTorch modules, and as functions of a vector."""

import numpy as np
import torch
from problems import EPSILON, GROUPS, HIDDEN, INPUTS, OUTPUTS, Problem
from torch import nn

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)


def module(problem: Problem) -> nn.Module:
    """The network, with the problem's theta."""
    norm = {
        None: [],
        "layer_norm": [nn.LayerNorm(HIDDEN, eps=EPSILON)],
        "batch_norm": [nn.BatchNorm1d(HIDDEN, eps=EPSILON, track_running_stats=False)],
        "instance_norm": [
            nn.Unflatten(1, (GROUPS, HIDDEN // GROUPS)),
            nn.InstanceNorm1d(GROUPS, eps=EPSILON, affine=True),
            nn.Flatten(),
        ],
        "group_norm": [nn.GroupNorm(GROUPS, HIDDEN, eps=EPSILON)],
        "rms_norm": [nn.RMSNorm(HIDDEN, eps=EPSILON)],
    }[problem.norm]
    net = nn.Sequential(nn.Linear(INPUTS, HIDDEN), *norm, nn.Tanh(), nn.Linear(HIDDEN, OUTPUTS))
    put(net, problem.theta)
    return net


def put(net: nn.Module, theta: np.ndarray) -> None:
    """Set the parameters of a network."""
    nn.utils.vector_to_parameters(torch.tensor(theta), net.parameters())


def criterion(problem: Problem) -> tuple[nn.Module, float]:
    """PyTorch's loss, and the factor that makes it the problem's: MSELoss is the mean over all outputs, without 1/2."""
    return (nn.MSELoss(), OUTPUTS / 2) if problem.loss == "squared_error" else (nn.CrossEntropyLoss(), 1.0)


def cases(problem: Problem) -> tuple[torch.Tensor, torch.Tensor]:
    """X and y as tensors."""
    return torch.tensor(problem.X), torch.tensor(problem.y)


def outputs(problem: Problem):
    """theta -> z."""
    net, (X, _) = module(problem), cases(problem)
    names, shapes = zip(*((name, p.shape) for name, p in net.named_parameters()), strict=True)

    def z(theta):
        parts = theta.split([shape.numel() for shape in shapes])
        values = {name: part.reshape(shape) for name, part, shape in zip(names, parts, shapes, strict=True)}
        return torch.func.functional_call(net, values, (X,))

    return z


def objective(problem: Problem):
    """theta -> the loss."""
    z, (_, y), (loss, factor) = outputs(problem), cases(problem), criterion(problem)
    return lambda theta: factor * loss(z(theta), y)


def of_vectors(route, function=objective):
    """The factory of a route f -> product(theta, v) of tensors, for the runner."""

    def factory(problem):
        product = route(function(problem))
        return lambda theta, v: product(torch.tensor(theta), torch.tensor(v)).detach().numpy()

    return factory


def of_modules(route):
    """The factory of a route (problem, net, loss) -> (v -> product), for the runner; each product has a new network."""

    def factory(problem):
        loss, factor = criterion(problem)

        def product(theta, v):
            net = module(problem)
            put(net, theta)
            found = route(problem, net, loss)(torch.tensor(v))
            return factor * torch.as_tensor(found).detach().numpy()

        return product

    return factory


def flat(parts) -> torch.Tensor:
    """Tensors as one vector."""
    return torch.cat([part.reshape(-1) for part in parts])


def split(net: nn.Module, v: torch.Tensor) -> list[torch.Tensor]:
    """A vector as tensors of the parameters' shapes."""
    parameters = list(net.parameters())
    parts = v.split([p.numel() for p in parameters])
    return [part.reshape(p.shape) for part, p in zip(parts, parameters, strict=True)]
