"""PyTensor: Hessian products by gradient of gradient, and by R-operator."""

import pytensor
import pytensor.tensor as pt
from problems import forward, mean_loss
from pytensor.gradient import grad, hessian_vector_product, pushforward

PACKAGE = "pytensor"


def of(route):
    def factory(problem):
        theta, v = pt.dvector("theta"), pt.dvector("v")
        f = mean_loss(pt, problem, forward(pt, problem, theta, pt.as_tensor(problem.X)), problem.y)
        return pytensor.function([theta, v], route(f, theta, v), on_unused_input="ignore", mode="FAST_COMPILE")

    return factory


HESSIAN = {
    "hessian_vector_product": of(lambda f, theta, v: hessian_vector_product(f, theta, v)),
    "pushforward of grad": of(lambda f, theta, v: pushforward(grad(f, theta), theta, v)),
}
