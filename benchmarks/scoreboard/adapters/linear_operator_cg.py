"""linear_operator (GPyTorch): linear_cg."""

import numpy as np
import torch
from linear_operator.utils.linear_cg import linear_cg

PACKAGE = "linear_operator"


def cg(A, b, x0=None, rtol=1e-5, maxiter=None):
    A = np.asarray(A)
    options = {} if x0 is None else {"initial_guess": torch.tensor(x0)[:, None]}
    options |= {"tolerance": rtol, "stop_updating_after": rtol, "max_iter": maxiter}
    x = linear_cg(torch.tensor(A), torch.tensor(b)[:, None], **options).numpy().ravel()
    return x, int(np.linalg.norm(A @ x - b) > rtol * np.linalg.norm(b))


SOLVERS = {"linear_cg": (None, cg)}
NOTES = {"linear_cg": "It does not report convergence: info is the adapter's, from the true residual."}
