"""JAX: Hessian products by three recipes, Gauss-Newton by jvp and vjp."""

import jax
import numpy as np
from jax import numpy as jnp
from problems import forward, mean_loss

PACKAGE = "jax"
jax.config.update("jax_enable_x64", True)


def of_vectors(route):
    def factory(problem):
        f = jax.jit(lambda theta: mean_loss(jnp, problem, forward(jnp, problem, theta, problem.X), problem.y))
        product = jax.jit(route(f))
        return lambda theta, v: np.asarray(product(theta, v))

    return factory


def gauss_newton(problem):
    def product(theta, v):
        outputs = lambda theta: forward(jnp, problem, theta, problem.X)  # noqa: E731
        z, Rz = jax.jvp(outputs, (theta,), (v,))
        of_loss = jax.grad(lambda z: mean_loss(jnp, problem, z, problem.y))
        return jax.vjp(outputs, theta)[1](jax.jvp(of_loss, (z,), (Rz,))[1])[0]

    product = jax.jit(product)
    return lambda theta, v: np.asarray(product(theta, v))


HESSIAN = {
    "forward over reverse": of_vectors(lambda f: lambda theta, v: jax.jvp(jax.grad(f), (theta,), (v,))[1]),
    "reverse over reverse": of_vectors(lambda f: lambda theta, v: jax.grad(lambda t: jax.grad(f)(t) @ v)(theta)),
    "reverse over forward": of_vectors(lambda f: lambda theta, v: jax.grad(lambda t: jax.jvp(f, (t,), (v,))[1])(theta)),
    "jax.hessian": of_vectors(lambda f: lambda theta, v: jax.hessian(f)(theta) @ v),
}
GAUSS_NEWTON = {"jvp, H_L, vjp": gauss_newton}
