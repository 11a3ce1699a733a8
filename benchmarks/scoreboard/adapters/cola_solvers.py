"""CoLA: conjugate gradients on PyTorch tensors."""

import cola
import numpy as np
import torch
from cola.linalg.inverse.cg import cg as cola_cg

PACKAGE = "cola-ml"


def cg(A, b, x0=None, rtol=1e-5, maxiter=None):
    A = torch.tensor(np.asarray(A))
    start = None if x0 is None else torch.tensor(x0)
    x, _ = cola_cg(cola.PSD(cola.ops.Dense(A)), torch.tensor(b), x0=start, tol=rtol, max_iters=maxiter)
    x = x.numpy().ravel()
    return x, int(not np.linalg.norm(A.numpy() @ x - b) <= 2 * rtol * np.linalg.norm(b))


SOLVERS = {"cg": (None, cg)}
NOTES = {"cg": "It stops at (||r_0|| + ||b||) tol, and does not report convergence: info is the adapter's."}
