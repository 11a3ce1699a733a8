"""ASDL (asdfghjkl): the full Hessian, its product, the exact Fisher matrix, and its conjugate gradients."""

import numpy as np
import torch
from asdl.fisher import FisherConfig, get_fisher_maker
from asdl.hessian import HessianConfig, HessianMaker
from asdl.mvp import conjugate_gradient_method
from asdl.vector import ParamVector
from problems import OUTPUTS
from torch_networks import cases, flat, of_modules, split

PACKAGE = "asdfghjkl"


def maker(problem, net, loss):
    made, (X, y) = HessianMaker(net, HessianConfig(hessian_shapes=["full"])), cases(problem)
    made.setup_loss_call(loss, made.setup_model_call(net, X), y)
    return made


def hessian(problem, net, loss):
    maker(problem, net, loss).forward_and_backward()
    return lambda v: net.hessian.data @ v


def product(problem, net, loss):
    def of(v):
        maker(problem, net, loss).forward_and_backward(hvp=True, vec=ParamVector(net.parameters(), split(net, v)))
        return flat(net.hvp.values())

    return of


def fisher(problem, net, loss):
    kind = "mse" if problem.loss == "squared_error" else "cross_entropy"
    made = get_fisher_maker(net, FisherConfig("fisher_exact", ["full"], kind, data_size=len(problem.X)))
    X, y = cases(problem)
    made.setup_loss_call(loss, made.setup_model_call(net, X), y)
    made.forward_and_backward()
    factor = 2 / OUTPUTS if kind == "mse" else 1.0  # it has variance 1, without MSELoss's mean over outputs
    return lambda v: factor * (net.fisher.data @ v)


def cg(A, b, x0=None, rtol=1e-5, maxiter=None):
    A, p = torch.tensor(np.asarray(A)), torch.nn.Parameter(torch.zeros(len(b)))
    start = None if x0 is None else ParamVector([p], [torch.tensor(x0)])
    multiply = lambda v: ParamVector([p], [A @ v.values().__iter__().__next__()])  # noqa: E731
    options = {"init_x": start, "damping": 0.0, "max_iters": maxiter, "tol": rtol}
    x = flat(conjugate_gradient_method(multiply, ParamVector([p], [torch.tensor(b)]), **options).values()).numpy()
    return x, int(not np.linalg.norm(A.numpy() @ x - b) <= rtol * np.linalg.norm(b))


HESSIAN = {"HessianMaker, full": of_modules(hessian), "HessianMaker, hvp": of_modules(product)}
GAUSS_NEWTON = {"exact Fisher matrix": of_modules(fisher)}
SOLVERS = {"conjugate_gradient_method": ("cg", cg)}
NOTES = {"conjugate_gradient_method": "It does not report convergence: info is the adapter's, from the true residual."}
