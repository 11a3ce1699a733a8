"""NNGeometry: the dense Hessian and the Fisher matrix in closed form, dense and implicit."""

from nngeometry.hessian import Hessian
from nngeometry.layercollection import LayerCollection
from nngeometry.metrics import FIM
from nngeometry.object import PMatDense, PMatImplicit, PVector
from problems import OUTPUTS, NotOfferedError
from torch.utils.data import DataLoader, TensorDataset
from torch_networks import cases, of_modules

PACKAGE = "nngeometry"


def data(problem):
    return DataLoader(TensorDataset(*cases(problem)), batch_size=len(problem.X))


def hessian(problem, net, loss):
    H = Hessian(net, data(problem), PMatDense, function=loss).to_torch()
    return lambda v: H @ v


def fisher(representation):
    def route(problem, net, loss):
        regression = problem.loss == "squared_error"
        layers = LayerCollection.from_model(net)
        G = FIM(net, data(problem), representation, "regression" if regression else "classif_logits")
        factor = 2 / OUTPUTS if regression else 1.0  # it has variance 1, without MSELoss's mean over outputs
        return lambda v: factor * G.mv(PVector(layers, vector_repr=v)).to_torch()

    return of_modules(route)


def offered(problem):
    if problem.norm in ("instance_norm", "rms_norm"):
        raise NotOfferedError("no such layer")
    return of_modules(hessian)(problem)


HESSIAN = {"Hessian, PMatDense": offered}
GAUSS_NEWTON = {"FIM, PMatDense": fisher(PMatDense), "FIM, PMatImplicit": fisher(PMatImplicit)}
