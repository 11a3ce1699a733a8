"""hessian-eigenthings: its Hessian and Gauss-Newton operators."""

from hessian_eigenthings.loss_fns import supervised_forward, supervised_loss, supervised_loss_of_output
from hessian_eigenthings.operators import GGNOperator, HessianOperator
from torch_networks import cases, of_modules

PACKAGE = "hessian-eigenthings"


def hessian(problem, net, loss):
    return HessianOperator(net, [cases(problem)], supervised_loss(loss)).matvec


def gauss_newton(problem, net, loss):
    return GGNOperator(net, [cases(problem)], supervised_forward, supervised_loss_of_output(loss)).matvec


HESSIAN = {"HessianOperator": of_modules(hessian)}
GAUSS_NEWTON = {"GGNOperator": of_modules(gauss_newton)}
