"""PyHessian: the product behind its eigenvalues and traces."""

from pyhessian import hessian
from pyhessian.utils import hessian_vector_product
from torch_networks import cases, flat, of_modules, split

PACKAGE = "pyhessian"


def route(problem, net, loss):
    of_net = hessian(net, loss, data=cases(problem), cuda=False)
    return lambda v: flat(hessian_vector_product(of_net.gradsH, of_net.params, split(net, v)))


HESSIAN = {"hessian_vector_product": of_modules(route)}
