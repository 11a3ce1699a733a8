"""PyTorch: Hessian products by each composition of its modes."""

from torch.autograd import functional
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vjp
from torch_networks import of_vectors

PACKAGE = "torch"


def reverse_over_forward(f):
    return lambda theta, v: grad(lambda theta: jvp(f, (theta,), (v,))[1])(theta)


HESSIAN = {
    "autograd.functional.hvp": of_vectors(lambda f: lambda theta, v: functional.hvp(f, theta, v)[1]),
    "autograd.functional.vhp": of_vectors(lambda f: lambda theta, v: functional.vhp(f, theta, v)[1]),
    "autograd.functional.hessian": of_vectors(lambda f: lambda theta, v: functional.hessian(f, theta) @ v),
    "autograd.functional.hessian, vectorize": of_vectors(
        lambda f: lambda theta, v: functional.hessian(f, theta, vectorize=True) @ v
    ),
    "func: forward over reverse": of_vectors(lambda f: lambda theta, v: jvp(grad(f), (theta,), (v,))[1]),
    "func: reverse over reverse": of_vectors(lambda f: lambda theta, v: vjp(grad(f), theta)[1](v)[0]),
    "func: reverse over forward": of_vectors(reverse_over_forward),
    "func.hessian": of_vectors(lambda f: lambda theta, v: hessian(f)(theta) @ v),
    "func: jacrev(jacrev)": of_vectors(lambda f: lambda theta, v: jacrev(jacrev(f))(theta) @ v),
    "func: forward over forward, jacfwd(jacfwd)": of_vectors(lambda f: lambda theta, v: jacfwd(jacfwd(f))(theta) @ v),
}
