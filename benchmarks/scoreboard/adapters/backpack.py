"""BackPACK: Hessian and Gauss-Newton products, and the factor V of G = V V'."""

import torch
from backpack import backpack, extend
from backpack.extensions import SqrtGGNExact
from backpack.hessianfree.ggnvp import ggn_vector_product
from backpack.hessianfree.hvp import hessian_vector_product
from torch_networks import cases, flat, of_modules, split

PACKAGE = "backpack-for-pytorch"


def hessian(problem, net, loss):
    X, y = cases(problem)
    return lambda v: flat(hessian_vector_product(loss(net(X), y), list(net.parameters()), split(net, v)))


def gauss_newton(problem, net, loss):
    X, y = cases(problem)
    z = net(X)
    return lambda v: flat(ggn_vector_product(loss(z, y), z, net, split(net, v)))


def square_root(problem, net, loss):
    X, y = cases(problem)
    net, loss = extend(net), extend(loss)
    with backpack(SqrtGGNExact()):
        loss(net(X), y).backward()
    V = torch.cat([p.sqrt_ggn_exact.flatten(end_dim=1).flatten(start_dim=1) for p in net.parameters()], dim=1).T
    return lambda v: V @ (V.T @ v)


HESSIAN = {"hessian_vector_product": of_modules(hessian)}
GAUSS_NEWTON = {"ggn_vector_product": of_modules(gauss_newton), "SqrtGGNExact": of_modules(square_root)}
