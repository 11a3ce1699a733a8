# %% [markdown]
# # 15. Attention: the Hessian of softmax(QK')V by hand
#
# Attention (Vaswani et al. 2017, eq. 1) multiplies three functions of the weights, with a softmax in between. So its
# second derivative has many terms. We write the four sweeps in NumPy, check each line with a complex step, and
# compare H with the Gauss-Newton matrix G. We make the two common mistakes, and measure them. Then we ask what H and
# G say where a transformer starts, and what that does to its training.

# %%
from itertools import product

import matplotlib.pyplot as plt
import numpy as np

import refhf

rng = np.random.default_rng(0)


def off(got, want):
    """The size of an error, relative to the right answer."""
    return np.linalg.norm(got - want) / np.linalg.norm(want)


# %% [markdown]
# ## The forward sweep
#
# A case is a sequence of T positions with d numbers each, X (T, d). Each position has a query, a key and a value: the
# rows of Q = X W_Q, K = X W_K and V = X W_V. With c = 1/sqrt(d), attention is three lines:
#
# $$S = c\, Q K', \qquad P = \text{softmax of each row of } S, \qquad s = P V \tag{1}$$
#
# So the answer at position i is a mean of the values, with weight P_ij for the value at j. Causal attention excludes
# the future: S_ij = -inf for j > i, hence P_ij = 0.
#
# Here are five cases with T = 4 and d = 3. One dense layer without bias holds W_Q, W_K and W_V side by side, (3, 9),
# so `size of theta = 27`. The loss is |s - y|^2 / 2, averaged over the cases.

# %%
net = refhf.chain(
    [refhf.dense(3, 9, bias=False), refhf.attention(heads=1), refhf.flatten()], shape=(4, 3), loss="squared_error"
)
theta, v = rng.normal(size=(2, net.size))
X, y = rng.normal(size=(2, 5, 4, 3))
B, c = len(X), 1 / np.sqrt(3)
print(f"size of theta = {net.size}")
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


def forward(theta, X=X):
    Q, K, V = split(X @ theta.reshape(3, 9))
    S = np.where(future, -np.inf, c * Q @ t(K))
    P = softmax(S)
    return Q, K, V, P, P @ V  # (1)


def show(matrices, titles):
    """Matrices of attention side by side."""
    _, axes = plt.subplots(1, len(matrices), figsize=(7, 7 / len(matrices) + 0.6), layout="constrained", squeeze=False)
    for ax, matrix, title in zip(axes[0], matrices, titles, strict=True):
        ax.imshow(matrix, cmap="Greys", vmin=0, vmax=1.1)
        for i, j in np.ndindex(*matrix.shape):
            colour = "white" if matrix[i, j] > 0.55 else "black"
            ax.text(j, i, "" if j > i else f"{matrix[i, j]:.2f}", ha="center", va="center", color=colour)
        ax.plot(*np.argwhere(future).T[::-1], "x", color="0.5")
        ax.set(xlabel="looks at position j", title=title, xticks=range(4), yticks=range(4))
        ax.set(xticklabels=range(1, 5), yticklabels=range(1, 5))
    axes[0, 0].set_ylabel("answer at position i")
    plt.show()


show(forward(theta)[3][:2], ["P of the first case", "P of the second case"])

# %% [markdown]
# **Picture.** The weights P of two cases. A row is the mean that makes one answer: its numbers are not negative and
# add up to 1; dark is large. The crosses are the mask: no position looks at a later one. So the first row has only
# one weight.
#
# ## The Jacobian of softmax, and the backward sweep
#
# Take one row. The derivative of p_j = exp(s_j) / sum_k exp(s_k) is
#
# $$\frac{dp_j}{ds_k} = p_j \delta_{jk} - p_j p_k, \qquad
# \text{that is, the matrix } \operatorname{diag}(p) - pp' \tag{2}$$
#
# It is symmetric. A product with it costs one sum: (diag(p) - p p') x = p * (x - sum(p * x)). The transposes of the
# forward lines make the backward sweep:
#
# $$DV = P'Ds, \quad DP = Ds\, V', \quad DS = P \odot (DP - \operatorname{rowsum}(P \odot DP)), \quad
# DQ = c\, DS\, K, \quad DK = c\, DS'Q \tag{3}$$
#
# Where P = 0, DS = 0 too. So the mask needs no line of its own here. By hand and by refhf: `gradient: relative error
# < 1e-13`.


# %%
def backward(Q, K, V, P, s):
    Ds = (s - y) / B
    DV = t(P) @ Ds  # (3)
    DP = Ds @ t(V)
    DS = P * (DP - rowsum(P * DP))
    DQ, DK = c * DS @ K, c * t(DS) @ Q  # (3)
    return Ds, DV, DP, DS, DQ, DK


def gradient(theta):
    _, DV, _, _, DQ, DK = backward(*forward(theta))
    return joined(DQ, DK, DV)


objective = refhf.supervised(net, X, y.reshape(5, 12))
f, g = objective.value_and_gradient(theta)
assert off(gradient(theta), g) < 1e-13
print("gradient: relative error < 1e-13")

# %% [markdown]
# ## R-forward and R-backward
#
# Apply R{.} to each line (tutorial 1). A product of two factors gives two terms. DS has three factors that depend on
# theta: the P in front, the P in the sum, and DP.
#
# $$RS = c\, (RQ\, K' + Q\, RK'), \qquad RP = P \odot (RS - \operatorname{rowsum}(P \odot RS)), \qquad
# Rs = RP\, V + P\, RV \tag{4}$$
#
# $$\begin{aligned}
# RDV &= RP'Ds + P'RDs, \qquad RDP = RDs\, V' + Ds\, RV' \\ RDS &= RP \odot (DP - \operatorname{rowsum}(P \odot DP)) +
# P \odot (RDP - \operatorname{rowsum}(RP \odot DP + P \odot RDP)) \\ RDQ &= c\, (RDS\, K + DS\, RK), \qquad RDK = c\,
# (RDS'Q + DS'RQ) \end{aligned} \tag{5}$$
#
# The complex step of the first two sweeps checks every line: `lines checked = 8`. The result agrees with refhf, where
# these lines are in `refhf/model/attention.py`: `H v: relative error < 1e-13`.

# %%
Q, K, V, P, s = forward(theta)
Ds, DV, DP, DS, DQ, DK = backward(Q, K, V, P, s)
RQ, RK, RV = split(X @ v.reshape(3, 9))


def r_forward():
    RS = c * (RQ @ t(K) + Q @ t(RK))  # (4)
    RP = P * (RS - rowsum(P * RS))  # (4)
    return RP, RP @ V + P @ RV


def r_backward(RP, RDs, constant=False):
    """`constant` takes diag(p) - p p' as constant, which is wrong."""
    RDV = t(RP) @ Ds + t(P) @ RDs  # (5)
    RDP = RDs @ t(V) + Ds @ t(RV)  # (5)
    RDS = P * (RDP - rowsum(P * RDP))
    if not constant:
        RDS += RP * (DP - rowsum(P * DP)) - P * rowsum(RP * DP)
    RDQ = c * (RDS @ K + DS @ RK)  # (5)
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
print("H v: relative error < 1e-13")

# %% [markdown]
# ## The Gauss-Newton matrix
#
# G v sends RDs through the *backward* sweep. So it lacks all terms with Ds, DP or DS, the curvature of attention
# itself. They are not small: `|H - G| / |G| = 1.36`, and H has `negative eigenvalues = 10`. Only the blocks of W_V
# are equal, since s is linear in W_V.
#
# The rank of G shows a symmetry: `rank = 18` of 27. The scores depend on W_Q W_K' alone. So f does not change if W_Q
# becomes W_Q A and W_K becomes W_K A'^-1, for any invertible 3 x 3 matrix A. J is zero along these nine directions,
# and so is G.

# %%
RDP_of_G = RDs @ t(V)
RDS_of_G = P * (RDP_of_G - rowsum(P * RDP_of_G))
Gv = joined(c * RDS_of_G @ K, c * t(RDS_of_G) @ Q, t(P) @ RDs)
H, G = (operator(theta) @ np.eye(27) for operator in (objective.hessian, objective.gauss_newton))
assert off(Gv, G @ v) < 1e-13
rank, negative = np.linalg.matrix_rank(G, tol=1e-10), (np.linalg.eigvalsh(H) < -1e-10).sum()
print(f"|H - G| / |G| = {off(H, G):.2f}, negative eigenvalues = {negative}, rank = {rank}")
assert (rank, negative) == (18, 10)

number = np.arange(27).reshape(3, 9)  # of each weight in theta
of_scores, of_values = number[:, :6].ravel(), number[:, 6:].ravel()
assert np.allclose(H[np.ix_(of_values, of_values)], G[np.ix_(of_values, of_values)], rtol=1e-12, atol=1e-13)

# %% [markdown]
# ## A saddle that G does not see
#
# Let W_Q = W_K = 0. Then S = 0, and P is uniform over the positions before. S is a *product* of Q and K, so its
# derivative with respect to W_Q is zero, because K is; and likewise for W_K. Hence g and J are zero for these
# weights, and G is zero. H is not. Its block for W_Q and W_K is
#
# $$\begin{pmatrix} 0 & M \\ M' & 0 \end{pmatrix} \quad \text{with the singular values of } M, \text{ plus and minus, as
# eigenvalues} \tag{6}$$
#
# So this point is a saddle: `eigenvalues of the block = -2.43 to 2.43`. The blocks of H that couple these weights
# with W_V are zero. So a Krylov method that starts from g never leaves the saddle, with G or with H.

# %%
start = theta.copy()
start[of_scores] = 0
H_0, G_0 = (operator(start) @ np.eye(27) for operator in (objective.hessian, objective.gauss_newton))
pairs = np.linalg.eigvalsh(H_0[np.ix_(of_scores, of_scores)])
print(f"eigenvalues of the block = {pairs[0]:.2f} to {pairs[-1]:.2f}")
assert np.allclose(pairs, -pairs[::-1], rtol=1e-10)
assert not gradient(start)[of_scores].any()
assert not G_0[of_scores].any()
assert not H_0[np.ix_(of_scores, of_values)].any()

# %% [markdown]
# ## Two common mistakes
#
# **The cross term of the softmax left out.** If softmax is treated like an elementwise function, its Jacobian is
# diag(p) - diag(p)^2, without the products p_j p_k. Then even the gradient is wrong, `diagonal only: error of g =
# 0.25`. A gradient check finds this. It does not find the next one: backward is right, but R-backward treats diag(p)
# - p p' as a constant, and leaves out the terms of RDS with RP, `constant Jacobian: error of H v = 0.37`.


# %%
def diagonal_only(x):
    return P * (1 - P) * x


g_wrong = joined(c * diagonal_only(DP) @ K, c * t(diagonal_only(DP)) @ Q, DV)
RDV, _, _, RDQ, RDK = r_backward(RP, RDs, constant=True)
print(f"diagonal only: error of g = {off(g_wrong, g):.2f}")
print(f"constant Jacobian: error of H v = {off(joined(RDQ, RDK, RDV), Hv):.2f}")

# %% [markdown]
# **The mask after the softmax.** The future's weights are set to zero when they have already been summed. Now the
# rows do not sum to 1, `sum of the first row = 0.42`, and the answers and H v are wrong: `mask after: error of s =
# 0.28, of H v = 0.32`. Also, the future leaks through the denominator. With the right mask, ds_i/dX_j is zero for j >
# i, which is what causal means. With the wrong one it is not: `largest |ds_i/dX_j|, j > i: mask before = 0.00, mask
# after = 0.40`. A model trained like this sees part of what it has to predict.


# %%
def forward_after(theta, X=X):
    Q, K, V = split(X @ theta.reshape(3, 9))
    P = softmax(c * Q @ t(K))
    return Q, K, V, P, np.where(future, 0, P) @ V


def gradient_after(theta):
    Q, K, V, P, s = forward_after(theta)
    Ds = (s - y) / B
    DP = np.where(future, 0, Ds @ t(V))
    DS = P * (DP - rowsum(P * DP))
    return joined(c * DS @ K, c * t(DS) @ Q, t(np.where(future, 0, P)) @ Ds)


def look_ahead(forward):
    """The largest |ds_i/dX_j| with j > i, of the first case, by complex steps."""
    found = []
    for j, e in product(range(1, 4), np.eye(3)):
        x_at_h = X[:1].astype(complex)
        x_at_h[0, j] += 1e-20j * e
        found.append(abs(forward(theta, x_at_h)[-1][0, :j].imag).max() / 1e-20)
    return max(found)


theta_h = theta + 1e-20j * v
s_h = forward_after(theta_h)[-1]
assert np.isclose(gradient_after(theta) @ v, ((s_h - y) ** 2).sum().imag / 1e-20 / 2 / B, rtol=1e-12)
after, error = forward_after(theta), off(gradient_after(theta_h).imag / 1e-20, Hv)
print(f"sum of the first row = {np.where(future, 0, after[3])[0, 0].sum():.2f}")
print(f"mask after: error of s = {off(after[4], s):.2f}, of H v = {error:.2f}")
leaks = look_ahead(forward), look_ahead(forward_after)
print(f"largest |ds_i/dX_j|, j > i: mask before = {leaks[0]:.2f}, mask after = {leaks[1]:.2f}")
assert leaks[0] == 0

# %% [markdown]
# ## Layer normalisation
#
# A transformer also has layer normalisation (Ba, Kiros and Hinton 2016). It is n = rho (a - mu) of tutorial 13, with
# means over the d channels of one position. So the cases stay independent, and J = rho (I - 1 1'/d - n n'/d) is the
# same matrix: `layer norm: relative error < 1e-13`.

# %%
block, a, Ra = refhf.layer_norm(6), *rng.normal(size=(2, 1, 4, 6))
_, tape = block.forward((np.ones(6), np.zeros(6)), a)
Rs, _ = block.r_forward(tape, (np.zeros(6), np.zeros(6)), Ra)


def mean(x):
    return x.mean(axis=2, keepdims=True)


rho = (mean((a - mean(a)) ** 2) + block.epsilon) ** -0.5
n = rho * (a - mean(a))
assert off(rho * (Ra - mean(Ra) - n * mean(n * Ra)), Rs) < 1e-13
print("layer norm: relative error < 1e-13")

# %% [markdown]
# ## The start of a tiny transformer
#
# The language has three letters, and a case is a string of four. The label of a letter is the letter *before* it; the
# label of the first is itself. A position that sees only its own letter can reach a loss of `3/4 log 3 = 0.8240` and
# no less. The cases are all 81 strings. The transformer has width 6, one head and one layer, `size of theta = 582`.
#
# At the start the weights are small, of deviation 0.02, and the biases are zero. H has `negative eigenvalues = 235`,
# and the lowest is not small: `eigenvalues from -18.7 to 27.0`. It is due to layer normalisation, not to attention.
# The activations that it reads are small, so rho is large, `mean rho = 53`, and the second derivative of n grows like
# rho^2. Those activations are the sum of the embedding and of what the two residual blocks add. Most of the lowest
# eigenvector's squared length is in the embedding and in the last biases of the two: `share of embedding and output
# biases = 88%`.
#
# The block of W_Q and W_K shows that the saddle is near: `block: H from -0.0002 to 0.0002, G < 1e-8`.

# %%
net = refhf.transformer(vocabulary=3, context=4, width=6, heads=1, depth=1)
X = np.array(list(product(range(3), repeat=4)))
y = np.column_stack([X[:, 0], X[:, :-1]])
objective, start = refhf.supervised(net, X, y), net.init(rng=0)
H, G = (operator(start) @ np.eye(net.size) for operator in (objective.hessian, objective.gauss_newton))
eigenvalues, vectors = np.linalg.eigh(H)
negative = (eigenvalues < -1e-6).sum()
print(f"3/4 log 3 = {0.75 * np.log(3):.4f}, size of theta = {net.size}")
print(f"negative eigenvalues = {negative}, eigenvalues from {eigenvalues[0]:.1f} to {eigenvalues[-1]:.1f}")
assert np.linalg.eigvalsh(G)[0] > -1e-10

(E, T), ((_, _, _, (_, b_1)), _), ((_, _, _, (_, b_2)), _), *_ = net.unpack(vectors[:, 0])
share = sum((part**2).sum() for part in (E, T, b_1, b_2))
(E, T), *_ = net.unpack(start)
rho = (mean((E[X] + T - mean(E[X] + T)) ** 2) + 1e-5) ** -0.5
print(f"share of embedding and output biases = {share:.0%}, mean rho = {rho.mean():.0f}")

numbers = net.unpack(np.arange(net.size))[1][0][1][0]  # of W_Q, W_K, W_V in theta
of_scores = numbers[:, :12].ravel()
block = np.ix_(of_scores, of_scores)
pairs = np.linalg.eigvalsh(H[block])
print(f"block: H from {pairs[0]:.4f} to {pairs[-1]:.4f}, G < 1e-8")
assert abs(G[block]).max() < 1e-8

# %% [markdown]
# ## Training from three starts
#
# We run gn-cg from this start with W_Q and W_K multiplied by 0, 1 and 25, each time with the last iterate of a CG of up
# to 250 iterations. P_43 is the weight of position 3 in the answer at position 4, averaged over the strings; position 3
# has the label.
#
# From 0, W_Q and W_K do not move: `start x 0: loss = 0.03, errors = 0%, W_Q and W_K moved = False, P_43 = 0.25`. The
# later layers learn to find the letter in the plain mean of four values. From 1 they move, but P stays nearly
# uniform: `start x 1: loss = 0.01, errors = 0%, W_Q and W_K moved = True, P_43 = 0.26`. From 25 the saddle is far
# away. Attention learns where to look, and the loss vanishes: `start x 25: loss = 0.00, errors = 0%, W_Q and W_K
# moved = True, P_43 = 0.98`.
#
# So a small loss does not prove that attention has learned where to look. Near the saddle, g and G are almost zero
# for W_Q and W_K, and gn-cg lowers the loss by the other weights.

# %%
losses, seen = [], []
for factor in (0, 1, 25):
    theta = start.copy()
    theta[of_scores] *= factor
    result = refhf.minimize(objective, theta, "gn-cg", 40, rng=0, solver_iterations=250, backtracking=False)
    (E, T), (((gamma, beta), (W, b), *_), _), *_ = net.unpack(result.x)
    a = E[X] + T
    n = (a - mean(a)) * (mean((a - mean(a)) ** 2) + 1e-5) ** -0.5
    Q, K, V = split((gamma * n + beta) @ W + b)
    P = softmax(np.where(future, -np.inf, Q @ t(K) / np.sqrt(6)))
    end = f"W_Q and W_K moved = {(result.x != theta)[of_scores].any()}, P_43 = {P[:, 3, 2].mean():.2f}"
    print(f"start x {factor}: loss = {result.fun:.2f}, errors = {objective.error(result.x):.0%}, {end}")
    losses.append(result.fun)
    seen.append(P.mean(axis=0))
assert losses[0] > losses[1] > 100 * losses[2]

show(seen, ["start x 0", "start x 1", "start x 25"])

# %% [markdown]
# **Picture.** P after training, averaged over the strings. From 0 and from 1 each row is almost uniform. From 25
# nearly all weight is on the position before (just left of the diagonal; the first position looks at itself).
#
# ## Exercises
#
# **1.** Show that $\operatorname{diag}(p) - pp'$ has rank T - 1 if all p are positive, and name the vector that it
# takes to zero.
#
# <details><summary>Answer</summary>
#
# $(\operatorname{diag}(p) - pp')\,1 = p - p = 0$. If $(\operatorname{diag}(p) - pp')x = 0$, then
# $p_j x_j = p_j (p'x)$, so all $x_j$ are equal. So only multiples of $1$ are taken to zero.
#
# </details>

# %%
# Answer to exercise 1, checked
p = np.array([0.1, 0.2, 0.3, 0.4])
jacobian = np.diag(p) - np.outer(p, p)
assert np.linalg.matrix_rank(jacobian) == 3
assert np.allclose(jacobian @ np.ones(4), 0)

# %% [markdown]
# **2.** Why is the score divided by $\sqrt d$? Let the components of q and k be independent with mean 0 and variance
# 1.
#
# <details><summary>Answer</summary>
#
# $q'k$ is then a sum of d terms with variance 1, so its standard deviation is $\sqrt d$. Without the division softmax
# would be close to a maximum for large d, and its Jacobian (2) close to zero.
#
# </details>

# %%
# Answer to exercise 2, checked
q, k = np.random.default_rng(1).normal(size=(2, 20_000, 64))
assert abs((q * k).sum(axis=1).std() / np.sqrt(64) - 1) < 0.03

# %% [markdown]
# **3.** How many numbers does P have for 1,000 positions and 12 heads, and how many has the same layer's $W$ with a
# width of 768?
#
# <details><summary>Answer</summary>
#
# 12 million a case, against $3 \cdot 768^2 = 1.8$ million weights. Memory and time grow with the *square* of the
# length.
#
# </details>

# %%
# Answer to exercise 3, checked
assert 12 * 1000**2 == 12_000_000
assert round(3 * 768**2 / 1e6, 1) == 1.8

# %% [markdown]
# ## What to remember
#
# - Attention is three products with a softmax between; each factor gives a term of H v.
# - The Jacobian of softmax is not diagonal, and it changes along v.
# - The mask comes before the softmax.
# - W_Q = W_K = 0 is a saddle that g and G do not see: start away from it.
