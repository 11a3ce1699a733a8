"""pyDVL: the Hessian products of its influence functions."""

from functools import partial

from pydvl.influence.torch.functional import create_hvp_function
from torch.utils.data import DataLoader, TensorDataset
from torch_networks import cases, of_modules

PACKAGE = "pydvl"


def route(problem, net, loss, **options):
    data = DataLoader(TensorDataset(*cases(problem)), batch_size=len(problem.X))
    product = create_hvp_function(net, loss, data, **options)
    return lambda v: product(v).reshape(-1)


HESSIAN = {
    "create_hvp_function, precompute_grad": of_modules(route),
    "create_hvp_function, reverse only": of_modules(partial(route, precompute_grad=False)),
    "create_hvp_function, forward and reverse": of_modules(partial(route, precompute_grad=False, reverse_only=False)),
}
