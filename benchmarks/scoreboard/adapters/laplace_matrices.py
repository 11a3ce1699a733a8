"""laplace-torch: the full matrices of its Laplace approximations, from three backends."""

from laplace.curvature import AsdlHessian, BackPackGGN, CurvlinopsGGN, CurvlinopsHessian
from problems import CASES, OUTPUTS
from torch_networks import cases, criterion, of_modules

PACKAGE = "laplace-torch"


def of(backend):
    def route(problem, net, loss):
        kind = "regression" if problem.loss == "squared_error" else "classification"
        net.output_size = OUTPUTS  # as laplace.Laplace sets it
        _, matrix = backend(net, kind).full(*cases(problem))
        return lambda v: matrix @ v / CASES / criterion(problem)[1]  # it has the sum over cases, and 1/2

    return of_modules(route)


HESSIAN = {"CurvlinopsHessian": of(CurvlinopsHessian), "AsdlHessian": of(AsdlHessian)}
GAUSS_NEWTON = {"CurvlinopsGGN": of(CurvlinopsGGN), "BackPackGGN": of(BackPackGGN)}
