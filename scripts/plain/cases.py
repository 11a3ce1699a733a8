"""What is asked: for each topic a line about it, and a function that lists (name, request)."""

from plain import cases_networks as networks
from plain import cases_rest as rest
from plain import cases_solvers as systems

TOPICS = {
    "nonlinearity": ("f, f' and f'' of each number s.", networks.nonlinearity),
    "loss": ("Mean loss over the cases, its gradient in z, and its Hessian's product with Rz.", networks.loss),
    "gradient": ("Value and gradient of dense networks.", networks.gradient),
    "hessian_product": ("H v of dense networks.", networks.hessian_product),
    "gauss_newton_product": ("G v of dense networks.", networks.gauss_newton_product),
    "convolution": ("Gradient, H v and G v of convolutional networks.", networks.convolution),
    "cg": ("Iterates of conjugate gradients, and why they end.", systems.cg),
    "bicgstab": ("Iterates of Bi-CG-STAB, and why they end.", systems.bicgstab),
    "solve": ("A solver's answer with its stopping rule, and whether it converged.", systems.solve),
    "damping": ("The model's promise, the reduction ratio, the next lambda.", rest.damping),
    "line_search": ("Armijo's step length along a polynomial.", rest.line_search),
    "hf_step": ("One whole step of a Hessian-free method.", rest.hf_step),
    "nlcg": ("Points and betas of nonlinear conjugate gradients on quadratics.", rest.nlcg),
    "inverse_hessian_product": ("H^-1 z from the differences between replicas.", rest.inverse_hessian_product),
    "saddle": ("x^2/2 + y^4/4 - y^2/2: value, gradient, Hessian, stationary points.", rest.saddle),
    "idx": ("IDX files of unsigned bytes: shape and data, or not valid.", rest.idx),
}
