"""refhf: the reference implementation of Hessian-free optimisation and its relatives, in NumPy.

Data flows one way: theta -> model -> objective -> curvature product -> Krylov solver -> method -> report.

Notation. Rows are cases. Lower case is Python's, words are words; these capitals are the papers'. Where
W (n_in, n_out) stands, a convolution has W (k, k, C_in, C_out); its s_l is a row of pixels, channels last.

================ =============== ====================================================================================
name             shape           meaning
================ =============== ====================================================================================
X                (B, n_0)        inputs of the network, a case a row
X_test           (B, n_0)        inputs it was not trained on
W                (n_in, n_out)   a layer's weights; theta holds W_1.ravel(), b_1, ..; of replicas (P, M) their thetas
V                (n_in, n_out)   the part of a direction v that belongs to W
W2               (n_in, n_out)   the part of the squared gradients that belongs to W
Dz               (B, n_L)        Dx is dL/dx, here at the output's pre-activation z
Ds               (B, n_l)        dL/ds_l at the pre-activation s_l = a_{l-1} W_l + b_l
Da               (B, n_l)        dL/da_l at the activation a_l = f(s_l)
Dx               (B, n_in)       dL/dx at a layer's input x
Dw               tuple           dL/dw, w all weights of a block
DW               (n_in, n_out)   dL/dW
Db               (n_out,)        dL/db
Dtheta           (P,)            dL/dtheta, the gradient
Rz               (B, n_L)        Rx is R{x}, the directional derivative of x along v (Pearlmutter 1994)
Rs               (B, n_l)        R{s_l}
Rx               (B, n_in)       R{x} at a layer's input x
Ra               (B, n_l)        R{a_l}
RDz              (B, n_L)        RDx is R{dL/dx}
RDs              (B, n_l)        R{dL/ds_l}
RDa              (B, n_l)        R{dL/da_l}
RDx              (B, n_in)       R{dL/dx}
RDw              tuple           R{dL/dw}, the part of H v that belongs to a block
RDW              (n_in, n_out)   R{dL/dW}, the part of H v that belongs to W
RDb              (n_out,)        R{dL/db}, the part of H v that belongs to b
Hv               (P,)            H v
HRz              (B, n_L)        H_L R{z}, H_L the loss's Hessian at z
HJv              (B, n_L)        H_L J v, J = dz/dtheta
H                (P, P)          Hessian of the objective
G                (P, P)          Gauss-Newton matrix J' H_L J / B + l2 I; of replicas (P, M) their gradients
J                (B n_L, P)      dz/dtheta
Jv               (B n_L,)        J v
B                (P, P)          damped matrix H + lambda I or G + lambda I; in shapes the number of cases
A                (n, n)          matrix of a linear system A x = b
M                (n, n)          approximate inverse of A (Saad's M^-1)
Ap               (n,)            A p
As               (n,)            A s
Mp               (n,)            M p
Ms               (n,)            M s
E, T             arrays          weights of an embedding: of tokens (vocabulary, width), of positions (context, width)
Q, K             (.., T, d_h)    queries and keys of an attention head; V are its values there
S, P             (.., T, T)      scores and their softmax
Dgamma, Dbeta    (C,)            dL/dgamma, dL/dbeta of a normalisation
DE, DT           arrays          dL/dE, dL/dT
DQ, DK, DV       (.., T, d_h)    dL/dQ, ..
DS, DP           (.., T, T)      dL/dS, dL/dP
Dn, Rn, RDn      as n            of the normalised activation n: dL/dn, R{n}, R{dL/dn}
RQ, RK, RV       (.., T, d_h)    R{Q}, ..
RS, RP           (.., T, T)      R{S}, R{P}
RDgamma, RDbeta  (C,)            R{dL/dgamma}, R{dL/dbeta}
RDQ, RDK, RDV    (.., T, d_h)    R{dL/dQ}, ..
RDS, RDP         (.., T, T)      R{dL/dS}, R{dL/dP}
================ =============== ====================================================================================
"""

from refhf.conformance.checkers.gradient_checker import check_gradient
from refhf.conformance.checkers.network_checker import check_network
from refhf.conformance.checkers.product_checker import check_gauss_newton_product, check_hessian_product
from refhf.conformance.checkers.solver_checker import check_solver
from refhf.conformance.recipes.compare_recipes import compare_recipes
from refhf.data.data_sets import load
from refhf.driver.method_options import options
from refhf.driver.minimize import iterate, minimize, resume
from refhf.driver.registry import available_methods
from refhf.driver.scipy_method import scipy_method
from refhf.krylov.bicgstab import bicgstab_iterates
from refhf.krylov.cg import cg_iterates
from refhf.krylov.eigenpairs import lanczos_eigenpairs
from refhf.krylov.hutchpp import stochastic_trace
from refhf.krylov.lanczos import lanczos_iterates, lanczos_largest, lanczos_smallest
from refhf.krylov.shifted_cg import shifted_cg, shifted_cg_iterates
from refhf.krylov.solve import bicgstab, cg
from refhf.krylov.spectral_density import spectral_density
from refhf.lab.plots.plot_history import plot_history
from refhf.lab.runs.run_history import history
from refhf.methods.replicas.secants import inverse_hessian_product
from refhf.model.architectures import conv, convnet, mlp, pool
from refhf.model.network import Network
from refhf.model.network_file import load_network, save
from refhf.model.residual_networks import resnet
from refhf.model.stages import (
    attention,
    batch_norm,
    chain,
    dense,
    dropout,
    elementwise,
    embedding,
    flatten,
    global_average_pool,
    layer_norm,
    max_pool,
    residual,
)
from refhf.model.transformers import transformer
from refhf.objective.dual_solve import gauss_newton_solve
from refhf.objective.functions import from_functions
from refhf.objective.supervised import supervised
from refhf.torch_modules.from_torch import from_torch
from refhf.torch_modules.to_torch import to_torch

__version__ = "0.1.0"

__all__ = [
    "Network",
    "attention",
    "available_methods",
    "batch_norm",
    "bicgstab",
    "bicgstab_iterates",
    "cg",
    "cg_iterates",
    "chain",
    "check_gauss_newton_product",
    "check_gradient",
    "check_hessian_product",
    "check_network",
    "check_solver",
    "compare_recipes",
    "conv",
    "convnet",
    "dense",
    "dropout",
    "elementwise",
    "embedding",
    "flatten",
    "from_functions",
    "from_torch",
    "gauss_newton_solve",
    "global_average_pool",
    "history",
    "inverse_hessian_product",
    "iterate",
    "lanczos_eigenpairs",
    "lanczos_iterates",
    "lanczos_largest",
    "lanczos_smallest",
    "layer_norm",
    "load",
    "load_network",
    "max_pool",
    "minimize",
    "mlp",
    "options",
    "plot_history",
    "pool",
    "residual",
    "resnet",
    "resume",
    "save",
    "scipy_method",
    "shifted_cg",
    "shifted_cg_iterates",
    "spectral_density",
    "stochastic_trace",
    "supervised",
    "to_torch",
    "transformer",
]
