# %% [markdown]
# # 12. Attention: the Hessian of softmax(QK')V by hand
#
# Attention (Vaswani et al. 2017, eq. 1) multiplies three functions of the weights with one another, with a softmax
# between them. So its Hessian has more terms than any block before. We write the four sweeps in NumPy, check each
# line, and compare H with the Gauss-Newton matrix G. Then we make the two common mistakes on purpose, and train a
# small transformer.

# %%
from itertools import product

import numpy as np

import refhf

rng = np.random.default_rng(0)


def off(got, want):
    """The size of an error, relative to the right answer."""
    return np.linalg.norm(got - want) / np.linalg.norm(want)


# %% [markdown]
# ## The forward sweep
#
# A case is a sequence of T positions, each with d numbers. Each position has a query, a key and a value, all linear
# in X: the rows of Q = X W_Q, K = X W_K and V = X W_V. With c = 1/sqrt(d), one head is three lines:
#
#     S = c Q K',      P = softmax of each row of S,      s = P V
#
# P_ij is the share of value j in the answer at position i. In causal attention j > i is excluded: S_ij = -inf there.
#
# Here are five cases with T = 4 and d = 3. The weights W_Q, W_K, W_V stand side by side in one dense layer without
# bias, (3, 9), so `P = 27`. The loss is the squared error, so f = |s - y|^2 / 2, averaged over the cases.

# %%
net = refhf.chain(
    [refhf.dense(3, 9, bias=False), refhf.attention(heads=1), refhf.flatten()], shape=(4, 3), loss="squared_error"
)
theta, v = rng.normal(size=(2, net.size))
X, y = rng.normal(size=(2, 5, 4, 3))
B, c = len(X), 1 / np.sqrt(3)
print(f"P = {net.size}")
assert net.size == 27


def t(x):
    """The transpose of each case's matrix."""
    return x.swapaxes(1, 2)


def rowsum(x):
    return x.sum(axis=2, keepdims=True)


def softmax(S):
    return np.exp(S) / rowsum(np.exp(S))


def split(a):
    return np.split(a, 3, axis=2)


def joined(*of_parts):
    """X' times what belongs to Q, K and V, summed over the cases, as one vector (P,)."""
    return np.einsum("bti,btj->ij", X, np.concatenate(of_parts, axis=2)).ravel()


future = np.triu(np.ones((4, 4), bool), 1)


def forward(theta):
    Q, K, V = split(X @ theta.reshape(3, 9))
    S = np.where(future, -np.inf, c * Q @ t(K))
    P = softmax(S)
    return Q, K, V, P, P @ V


# %% [markdown]
# ## The Jacobian of softmax, and the backward sweep
#
# For one row, p_j = exp(s_j) / sum_k exp(s_k). Differentiation gives
#
#     dp_j/ds_k = p_j (1 if j = k else 0) - p_j p_k,      that is, diag(p) - p p'
#
# It is symmetric. The term p p' is there because all entries share one denominator: if one grows, the others shrink.
# For a whole row it costs one sum: (diag(p) - p p') x = p * (x - sum(p * x)).
#
# The transposes of the three forward lines are the backward sweep (Ds is df/ds):
#
#     DV = P'Ds,    DP = Ds V',    DS = P * (DP - rowsum(P * DP)),    DQ = c DS K,    DK = c DS'Q
#
# A masked entry has P = 0, hence DS = 0. It needs no further attention.


# %%
def backward(Q, K, V, P, s):
    Ds = (s - y) / B
    DV = t(P) @ Ds
    DP = Ds @ t(V)
    DS = P * (DP - rowsum(P * DP))
    DQ, DK = c * DS @ K, c * t(DS) @ Q
    return Ds, DV, DP, DS, DQ, DK


def gradient(theta):
    _, DV, _, _, DQ, DK = backward(*forward(theta))
    return joined(DQ, DK, DV)


objective = refhf.supervised(net, X, y.reshape(5, 12))
f, g = objective.value_and_gradient(theta)
assert off(gradient(theta), g) < 1e-13
print("gradient by hand and refhf: relative error < 1e-13")

# %% [markdown]
# ## R-forward and R-backward
#
# Apply R{.} to each line (tutorial 1). Every product gives two terms. In DS, three factors depend on theta: P in
# front, P in the sum, and DP.
#
#     RS = c (RQ K' + Q RK'),    RP = P * (RS - rowsum(P * RS)),    Rs = RP V + P RV
#
#     RDV = RP'Ds + P'RDs,       RDP = RDs V' + Ds RV'
#     RDS = RP * (DP - rowsum(P * DP)) + P * (RDP - rowsum(RP * DP + P * RDP))
#     RDQ = c (RDS K + DS RK),   RDK = c (RDS'Q + DS'RQ)
#
# A complex step (tutorial 1) differentiates each line of the first two sweeps exactly. All of ours agree with it:
# `lines checked = 8`, and so does refhf's H v. Its lines are in `refhf/model/attention.py`.

# %%
Q, K, V, P, s = forward(theta)
Ds, DV, DP, DS, DQ, DK = backward(Q, K, V, P, s)
RQ, RK, RV = split(X @ v.reshape(3, 9))


def r_forward():
    RS = c * (RQ @ t(K) + Q @ t(RK))
    RP = P * (RS - rowsum(P * RS))
    return RP, RP @ V + P @ RV


def r_backward(RP, RDs, of_P=1):
    """`of_P = 0` leaves out the terms of RDS with RP."""
    RDV = t(RP) @ Ds + t(P) @ RDs
    RDP = RDs @ t(V) + Ds @ t(RV)
    RDS = P * (RDP - rowsum(P * RDP)) + of_P * (RP * (DP - rowsum(P * DP)) - P * rowsum(RP * DP))
    RDQ = c * (RDS @ K + DS @ RK)
    RDK = c * (t(RDS) @ Q + t(DS) @ RQ)
    return RDV, RDP, RDS, RDQ, RDK


RP, Rs = r_forward()
RDs = Rs / B
RDV, RDP, RDS, RDQ, RDK = r_backward(RP, RDs)

at_h = forward(theta + 1e-20j * v)
of_forward, of_backward = at_h[3:], backward(*at_h)
lines = zip((RP, Rs, RDs, RDV, RDP, RDS, RDQ, RDK), (*of_forward, *of_backward), strict=True)
errors = [off(by_hand, line.imag / 1e-20) for by_hand, line in lines]
print(f"lines checked = {len(errors)}")
assert len(errors) == 8
assert max(errors) < 1e-13

Hv = joined(RDQ, RDK, RDV)
assert off(Hv, objective.hessian(theta) @ v) < 1e-13
print("H v by hand and refhf: relative error < 1e-13")

# %% [markdown]
# ## The Gauss-Newton matrix
#
# G v takes Rs through the *backward* sweep: no term that contains Ds, DP or DS. What is left out is the curvature of
# attention itself.

# %%
RDP_of_G = RDs @ t(V)
RDS_of_G = P * (RDP_of_G - rowsum(P * RDP_of_G))
Gv = joined(c * RDS_of_G @ K, c * t(RDS_of_G) @ Q, t(P) @ RDs)
G, H = objective.gauss_newton(theta) @ np.eye(27), objective.hessian(theta) @ np.eye(27)
assert off(Gv, G @ v) < 1e-13
rank, negative = np.linalg.matrix_rank(G, tol=1e-10), (np.linalg.eigvalsh(H) < -1e-10).sum()
print(f"|H - G| / |G| = {off(H, G):.2f}")
print(f"rank of G = {rank}, negative eigenvalues of H = {negative}")
