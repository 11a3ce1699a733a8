"""pytorch-minimize: the Hessian and its product that its Newton methods use."""

from torch_networks import of_vectors
from torchmin.function import ScalarFunction

PACKAGE = "pytorch-minimize"


def hessp(f):
    def product(theta, v):
        return ScalarFunction(f, theta.shape, hessp=True).closure(theta).hessp.mv(v)

    return product


def hess(f):
    def product(theta, v):
        return ScalarFunction(f, theta.shape, hess=True).closure(theta).hess @ v

    return product


HESSIAN = {"hessp (newton-cg, trust-ncg)": of_vectors(hessp), "hess (newton-exact, dogleg)": of_vectors(hess)}
