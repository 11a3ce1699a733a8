"""curvlinops: linear operators of the Hessian and the Gauss-Newton matrix, and its inverse by conjugate gradients."""

import curvlinops
import numpy as np
import torch
from curvlinops.examples import TensorLinearOperator
from torch_networks import cases, of_modules

PACKAGE = "curvlinops-for-pytorch"


def of(operator):
    def route(problem, net, loss):
        A = operator(net, loss, list(net.parameters()), [cases(problem)], check_deterministic=False)
        return lambda v: A @ v

    return of_modules(route)


def cg(A, b, rtol=1e-5, maxiter=None):
    options = {"tolerance": rtol, "stop_updating_after": rtol, "max_iter": maxiter, "eps": 1e-10}
    A = torch.tensor(np.asarray(A))
    x = (curvlinops.CGInverseLinearOperator(TensorLinearOperator(A), **options) @ torch.tensor(b)).numpy()
    return x, int(np.linalg.norm(A.numpy() @ x - b) > rtol * np.linalg.norm(b))


HESSIAN = {"HessianLinearOperator": of(curvlinops.HessianLinearOperator)}
GAUSS_NEWTON = {"GGNLinearOperator": of(curvlinops.GGNLinearOperator)}
SOLVERS = {"CGInverseLinearOperator": (None, cg)}
NOTES = {"CGInverseLinearOperator": "It does not report convergence: info is the adapter's, from the true residual."}
