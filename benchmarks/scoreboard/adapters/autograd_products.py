"""autograd: its Hessian and Gauss-Newton products."""

from autograd import differential_operators as operators
from autograd import numpy as anp
from problems import forward, mean_loss

PACKAGE = "autograd"


def of(route):
    def factory(problem):
        f = lambda theta: mean_loss(anp, problem, forward(anp, problem, theta, problem.X), problem.y)  # noqa: E731
        return route(f)

    return factory


def gauss_newton(problem):
    z = lambda theta: forward(anp, problem, theta, problem.X)  # noqa: E731
    product = operators.make_ggnvp(z, lambda z: mean_loss(anp, problem, z, problem.y))
    return lambda theta, v: product(theta)(v)


HESSIAN = {
    "make_hvp": of(lambda f: lambda theta, v: operators.make_hvp(f)(theta)[0](v)),
    "hessian_vector_product": of(lambda f: operators.hessian_vector_product(f)),
    "hessian": of(lambda f: lambda theta, v: operators.hessian(f)(theta) @ v),
}
GAUSS_NEWTON = {"make_ggnvp": gauss_newton}
