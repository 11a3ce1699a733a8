"""kfac-jax: products with the exact curvature of a registered loss."""

import jax
import kfac_jax
import numpy as np
from jax import numpy as jnp
from problems import NotOfferedError, forward, mean_loss

PACKAGE = "kfac-jax"
jax.config.update("jax_enable_x64", True)


def of(name):
    def factory(problem):
        if problem.norm:
            raise NotOfferedError("its blocks know no normalisation; JAX's rows have them")

        def loss(theta, batch):
            X, y = batch
            z = forward(jnp, problem, theta, X)
            if problem.loss == "squared_error":
                kfac_jax.register_squared_error_loss(z, y, weight=0.5)
            else:
                kfac_jax.register_softmax_cross_entropy_loss(z, y)
            return mean_loss(jnp, problem, z, y)

        curvature, batch = kfac_jax.ImplicitExactCurvature(loss), (jnp.asarray(problem.X), jnp.asarray(problem.y))
        multiply = getattr(curvature, name)
        return lambda theta, v: np.asarray(multiply((jnp.asarray(theta), batch), jnp.asarray(v)))

    return factory


HESSIAN = {"ImplicitExactCurvature": of("multiply_hessian")}
GAUSS_NEWTON = {"ImplicitExactCurvature": of("multiply_ggn")}
