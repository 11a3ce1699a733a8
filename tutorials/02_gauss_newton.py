# %% [markdown]
# # 2. The Gauss-Newton product, as three arrows
#
# The Hessian of a network can be indefinite, but conjugate gradients need a positive definite matrix. He et al. 2016
# (section 4.1), following Martens 2010, therefore describe a positive semidefinite substitute, the Gauss-Newton
# matrix
#
# $$G = \tfrac1B J' H_L J, \qquad J = \frac{dz}{d\theta}, \qquad
# H_L = \text{the Hessian of the loss with respect to } z \tag{1}$$
#
# where z is the network's output and B the number of cases. Schraudolph (2002, section 3) multiplies by G without
# forming it, in three arrows:
#
# $$v \;\to\; Jv \;\to\; H_L J v \;\to\; J' H_L J v \tag{2}$$
#
# We follow them on a network small enough to write
# down J, H_L and G in full. Then we ask why H_L is taken at the *pre-activation* output, and when G equals the
# Hessian.

# %%
import matplotlib.pyplot as plt
import numpy as np
from scipy.linalg import block_diag

import refhf
from refhf.model.network import backward, forward, r_forward

rng = np.random.default_rng(0)
net = refhf.mlp([3, 4, 3], nonlinearity="tanh", loss="softmax_cross_entropy")
theta, v = rng.normal(size=net.size), rng.normal(size=net.size)
X, y = rng.normal(size=(5, 3)), rng.integers(3, size=5)
objective = refhf.supervised(net, X, y)

B, P = len(X), net.size
print(f"cases B = {B}, parameters P = {P}")
assert (B, P) == (5, 31)


def close(a, b):
    return np.allclose(a, b, rtol=1e-12, atol=1e-14)


# %% [markdown]
# ## J and H_L in full
#
# Each column of J is a complex step in one parameter (tutorial 1). J has one row for each output of each case, here
# `J is 15 x 31`. H_L is block diagonal, with one block diag(p) - p p' for each case, where p is the softmax of its z.


# %%
def dense(function):
    """The Jacobian of a function of theta, one complex step per column."""
    return np.column_stack([function(theta + 1e-20j * e).imag.ravel() / 1e-20 for e in np.eye(P)])


J = dense(lambda theta: forward(net, theta, X)[0])
print(f"J is {J.shape[0]} x {J.shape[1]}")
assert J.shape == (B * 3, P)

p = net.predict(theta, X)
H_L = block_diag(*[np.diag(p_i) - np.outer(p_i, p_i) for p_i in p])

# %% [markdown]
# ## The three arrows
#
# These are the three statements of `gauss_newton_product` in `refhf/model/network.py`. The first is the R-forward
# sweep of tutorial 1; the last is the backward sweep, with H_L J v where the gradient has dL/dz.

# %%
z, tape = forward(net, theta, X)

Rz, _ = r_forward(net, tape, v)  # (2): v -> J v
assert close(Rz.ravel(), J @ v)

HJv = net.loss.hessian(z, y)(Rz)  # (2): J v -> H_L J v
assert close(HJv.ravel(), H_L @ J @ v)

JHJv, _ = backward(net, tape, HJv)  # (2): H_L J v -> J' H_L J v
assert close(JHJv, J.T @ H_L @ J @ v)

assert close(objective.gauss_newton(theta) @ v, JHJv / B)
print("three arrows agree with J and H_L in full")

# %% [markdown]
# One v proves little. The products with all unit vectors give all columns of G:

# %%
G = objective.gauss_newton(theta) @ np.eye(P)
assert close(G, J.T @ H_L @ J / B)  # (1)
print(f"columns of G checked = {G.shape[1]}")

# %% [markdown]
# `columns of G checked = 31`.
#
# ## Why at the pre-activation output: matching losses
#
# Cross-entropy and softmax *match* (Schraudolph 2002, section 3.1): as one function of z they have the gradient p -
# y, and its derivative diag(p) - p p' is positive semidefinite. For p = (1/4, 1/2, 1/4) the eigenvalues are `0.000,
# 0.250, 0.375 = eigenvalues of H_L`: never negative, for any label. The eigenvector of 0 is (1, 1, 1): softmax does
# not change when a constant is added to z.

# %%
quarter = np.array([1, 2, 1]) / 4
block = np.diag(quarter) - np.outer(quarter, quarter)
eigenvalues = np.linalg.eigvalsh(block)
print(", ".join(f"{abs(e):.3f}" for e in eigenvalues), "= eigenvalues of H_L")
assert close(eigenvalues, [0, 1 / 4, 3 / 8])
assert close(block @ np.ones(3), 0)

# %% [markdown]
# Therefore v'Gv = (J v)' H_L (J v) / B >= 0 for every v. Each block has rank 2, so G has at most rank 5 * 2:
# `rank of G = 10` of 31. On a mini-batch G is singular more often than not, which is one reason for the damping G +
# lambda I of Algorithm 1, line 3. The Hessian at the same point has `negative eigenvalues of H = 11`.

# %%
H = objective.hessian(theta) @ np.eye(P)
rank, negative = np.linalg.matrix_rank(G), (np.linalg.eigvalsh(H) < -1e-6).sum()
print(f"rank of G = {rank}")
print(f"negative eigenvalues of H = {negative}")
assert (rank, negative) == (10, 11)
assert np.linalg.eigvalsh(G).min() > -1e-12

fig, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
ax.axhline(0, color="0.6", linewidth=0.8)
ax.plot(np.linalg.eigvalsh(H), "s", color="#B34700", markersize=5)
ax.plot(np.linalg.eigvalsh(G), "o", color="#0072B2", markersize=5, markerfacecolor="white")
ax.text(6, -0.5, "H: eleven negative eigenvalues (squares)", color="#B34700")
ax.text(2, 0.17, "G: no negative one, 21 are zero (circles)", color="#0072B2")
ax.set(xlabel="eigenvalues in ascending order", ylabel="eigenvalue", title="The spectra of H and G at one point")
plt.show()

# %% [markdown]
# **Picture.** The eigenvalues of H (squares) go below zero at the left. Those of G (circles) are zero for two thirds
# of the directions, and positive for the others. At the right, where curvature is large, the two are close.
#
# ## When G = H
#
# Differentiate f(z(theta)) twice. The chain rule leaves two terms, and G is the first of them:
#
# $$H = G + \frac1B \sum_i Dz_i\, \frac{d^2 z_i}{d\theta^2} \qquad \text{over all outputs } i \tag{3}$$
#
# So G = H wherever z is linear in theta. In a network without a hidden layer that is everywhere:

# %%
linear = refhf.mlp([3, 3])
at = rng.normal(size=linear.size)
flat = refhf.supervised(linear, X, y)
assert close(flat.hessian(at) @ np.eye(linear.size), flat.gauss_newton(at) @ np.eye(linear.size))
print("no hidden layer: G = H")

# %% [markdown]
# G = H also wherever Dz = p - y is zero, that is, where the network fits the data. Let the targets be p + t (y - p).
# At t = 1 this is our problem; at t = 0 the network fits exactly. G does not contain the targets, so it does not
# change, and H - G is proportional to t. At t = 1 it is as large as G, `t = 1.00: |H - G| / |G| = 1.0109`; at t = 0
# it is zero. He et al. remark in section 4.1 that G is "a good approximation only if the current point is close to
# local minimizer". This is why they use H as well.

# %%
one_hot = np.eye(3)[y]
for t in (1, 0.5, 0.1, 0.01, 0):
    fitted = refhf.supervised(net, X, p + t * (one_hot - p))
    H_t, G_t = (A @ np.eye(P) for A in (fitted.hessian(theta), fitted.gauss_newton(theta)))
    ratio, lowest = np.linalg.norm(H_t - G_t) / np.linalg.norm(G_t), np.linalg.eigvalsh(H_t).min()
    print(f"t = {t:.2f}: |H - G| / |G| = {ratio:.4f}, smallest eigenvalue of H = {round(lowest, 4) + 0:7.4f}")
    assert close(G_t, G)
    assert abs(ratio - t * 1.0109) < 1e-4

# %% [markdown]
# ## The wrong version: the loss Hessian after the softmax
#
# It is tempting to call p the output, with J_p = dp/dtheta and the loss -log p_y, whose Hessian with respect to p is
# y y' / p_y^2. This also gives a positive semidefinite matrix, so nothing breaks. But softmax is now in the part that
# is linearised, and the matrix is a different one:

# %%
J_p = dense(lambda theta: net.predict(theta, X))
wrong = J_p.T @ np.diag((one_hot / p**2).ravel()) @ J_p / B
difference, wrong_rank = np.linalg.norm(wrong - G) / np.linalg.norm(G), np.linalg.matrix_rank(wrong)
print(f"|wrong - G| / |G| = {difference:.2f}, rank of wrong = {wrong_rank}")
assert np.linalg.eigvalsh(wrong).min() > -1e-12
assert (round(difference, 2), wrong_rank) == (1.16, 5)

# %% [markdown]
# `|wrong - G| / |G| = 1.16`. Its rank is one per case, `rank of wrong = 5`: it is the mean of g_i g_i' over the
# gradients g_i of single cases (the "empirical Fisher" matrix). It contains the slope of the loss but not its
# curvature.

# %%
single = [refhf.supervised(net, X[i : i + 1], y[i : i + 1]).value_and_gradient(theta)[1] for i in range(B)]
assert close(wrong, np.mean([np.outer(g, g) for g in single], axis=0))
print("wrong = mean of g_i g_i'")

# %% [markdown]
# ## A factor of 2
#
# The squared error has a smaller trap. For ||z - y||^2 / 2 the matrix H_L is the identity; for ||z - y||^2 it is
# twice the identity. If the gradient belongs to one and H_L to the other, G is wrong by a factor of 2. On a linear
# least-squares problem the step -G^-1 g must end at the minimum f*. With 2 G it goes half the way, and a quarter of f
# - f* remains.

# %%
least_squares = refhf.supervised(refhf.mlp([3, 2], loss="squared_error"), X, rng.normal(size=(B, 2)))
at = rng.normal(size=8)
f, g = least_squares.value_and_gradient(at)
step = -np.linalg.solve(least_squares.gauss_newton(at) @ np.eye(8), g)
best = least_squares.value(at + step)
assert np.linalg.norm(least_squares.value_and_gradient(at + step)[1]) < 1e-12

left = (least_squares.value(at + step / 2) - best) / (f - best)
print(f"(f - f*) after / (f - f*) before = {left:.2f}")
assert close(left, 1 / 4)

# %% [markdown]
# `(f - f*) after / (f - f*) before = 0.25`. Damping and a line search would hide this factor. So check all columns on
# a small network before you train anything.
#
# ## Exercises
#
# **1.** Show that $v'Gv = 0$ exactly if $H_L J v = 0$. Name a direction of zero curvature that every network with a
# softmax has.
#
# <details><summary>Answer</summary>
#
# $v'Gv$ is the mean over the cases of $(Jv)' H_L (Jv)$, and $H_L$ is positive semidefinite. So each term is zero only
# if $H_L J v = 0$. Add the same number to all biases of the last layer: then $Jv = (1, 1, \dots, 1)$, which $H_L$
# takes to zero.
#
# </details>

# %%
# Answer to exercise 1, checked
direction = np.zeros(P)
direction[-3:] = 1  # the biases of the last layer
assert np.linalg.norm(G @ direction) < 1e-14
assert np.linalg.norm(H @ direction) < 1e-14

# %% [markdown]
# **2.** At most how large can the rank of G be with 200 cases and 10 classes? How many cases does a network with P =
# 39,760 parameters need, so that G can be regular?
#
# <details><summary>Answer</summary>
#
# Each case adds at most $10 - 1$ to the rank: 1,800. Because of exercise 1, G is never regular with a softmax. To come
# as close as possible one needs $39{,}760 / 9$, about 4,418 cases.
#
# </details>

# %%
# Answer to exercise 2, checked
few = refhf.supervised(net, X[:2], y[:2]).gauss_newton(theta) @ np.eye(P)
assert np.linalg.matrix_rank(few) == 2 * (3 - 1)
assert int(np.ceil(39_760 / 9)) == 4418

# %% [markdown]
# **3.** For which labels is the second term of (3) zero on average? Draw the labels from the network's own p, and show
# that the expectation of H is G.
#
# <details><summary>Answer</summary>
#
# $E[Dz] = p - E[y] = 0$, and $d^2z/d\theta^2$ does not depend on the labels. So $E[H] = G$. (This makes G the *Fisher
# information* matrix.) With three classes the expectation is a finite sum.
#
# </details>

# %%
# Answer to exercise 3, checked
one_case = refhf.supervised(net, X[:1], y[:1]).gauss_newton(theta) @ np.eye(P)
expected = sum(p[0, label] * (refhf.supervised(net, X[:1], [label]).hessian(theta) @ np.eye(P)) for label in range(3))
assert close(expected, one_case)

# %% [markdown]
# ## What to remember
#
# - $G = J'H_L J/B$: linearise the network, keep the curvature of the loss.
# - G is positive semidefinite where the loss is convex in z, and usually singular: hence the damping.
# - G = H where the network is linear or fits exactly; far from that it is another matrix.
# - Cut at the pre-activation output. After the softmax you get the empirical Fisher matrix.
