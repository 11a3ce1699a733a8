# %% [markdown]
# # 13. Batch normalisation: what your framework does in train mode
#
# Batch normalisation (Ioffe and Szegedy 2015) subtracts the mean of a batch and divides by its standard deviation. In
# train mode these two numbers depend on the weights and on all cases of the batch. This gives the Hessian terms that
# are easy to miss. We derive them, check them, and measure what common mistakes do to H v. Then we look at what
# coupled cases mean for the gradient and for prediction.

# %%
import matplotlib.pyplot as plt
import numpy as np

import refhf
from refhf.parallel import run

rng = np.random.default_rng(0)


def off(got, want):
    """The size of an error, relative to the right answer."""
    return np.linalg.norm(got - want) / np.linalg.norm(want)


# %% [markdown]
# ## Why normalise
#
# Each layer of a deep network multiplies the size of its input by some factor. After twenty layers a factor of 0.8 has
# become 0.01, and 1.2 has become 38. With batch normalisation after each layer the size is 1 whatever the factor.

# %%
deep = np.random.default_rng(1)
matrices = deep.normal(size=(20, 100, 100)) / np.sqrt(50)  # the rule of He et al. for ReLU: factor 1


def sizes(factor, normalise):
    """The standard deviation of the activations after each of twenty layers with ReLU."""
    a, found = deep.normal(size=(200, 100)), []
    for matrix in matrices:
        a = factor * np.maximum(a, 0) @ matrix
        if normalise:
            a = (a - a.mean(axis=0)) / a.std(axis=0)
        found.append(a.std())
    return np.array(found)


fig, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
for factor, mark, colour in ((0.8, "o-", "#B34700"), (1.2, "^--", "#0072B2")):
    ax.semilogy(range(1, 21), sizes(factor, False), mark, color=colour, markersize=4)
    assert np.allclose(sizes(factor, True), 1)
ax.semilogy(range(1, 21), sizes(1.2, True), "s:", color="black", markersize=4)
ax.text(14, 0.015, "factor 0.8", color="#B34700", ha="right")
ax.text(11, 25, "factor 1.2", color="#0072B2", ha="right")
ax.text(13, 1.4, "normalised, any factor")
ax.set(
    xlabel="layer",
    xticks=range(2, 21, 2),
    ylabel="standard deviation of activations",
    title="Layer statistics of a deep network",
)
plt.show()

# %% [markdown]
# **Picture.** Without normalisation the size of the activations falls or grows exponentially with depth (circles,
# triangles; a straight line on this scale). With normalisation (squares) it stays at 1.
#
# ## The derivative
#
# Take one channel: m numbers a, one for each case of the batch. Let mean(.) be the mean over them. Algorithm 1 of
# Ioffe and Szegedy is
#
# $$\mu = \operatorname{mean}(a),\; \rho = \left(\operatorname{mean}\left((a - \mu)^2\right) + \epsilon\right)^{-1/2},
# \; n = \rho\, (a - \mu), \quad s = \gamma n + \beta \tag{1}$$
#
# Apply R{.} to each part. In Rrho, the term with Rmu vanishes because a - mu has mean zero:
#
# $$\begin{aligned}
# R\mu &= \operatorname{mean}(Ra) \\ R\rho &= -\rho^3 \operatorname{mean}\left((a - \mu)\, Ra\right) = -\rho^2
# \operatorname{mean}(n\, Ra) \\ Rn &= \rho\, (Ra - R\mu) + R\rho\, (a - \mu) = \rho\, \left(Ra -
# \operatorname{mean}(Ra) - n \operatorname{mean}(n\, Ra)\right) \end{aligned} \tag{2}$$
#
# So Rn = J Ra, with J = rho (I - 1 1'/m - n n'/m). This matrix is symmetric, `J = J': True`, so the backward sweep is
# Da = J Dn. We check J on six numbers.
#
# J has the eigenvalue 0 for the vector of ones: n does not change when a constant is added to a. For n itself the
# eigenvalue is epsilon rho^3, nearly 0: n hardly changes when a is multiplied by a constant. For all other directions
# it is rho.

# %%
EPSILON = 1e-5  # refhf's, and PyTorch's default
a, m = rng.normal(size=6), 6


def normalised(a):
    centred = a - a.mean()
    return (np.mean(centred**2) + EPSILON) ** -0.5 * centred


n, rho = normalised(a), (a.var() + EPSILON) ** -0.5
J = rho * (np.eye(m) - np.ones((m, m)) / m - np.outer(n, n) / m)
columns = np.column_stack([normalised(a + 1e-20j * e).imag / 1e-20 for e in np.eye(m)])  # complex steps: tutorial 1
assert np.allclose(J, columns, rtol=1e-12, atol=1e-14)
print(f"J = J': {np.array_equal(J, J.T)}")
assert np.array_equal(J, J.T)
assert np.allclose(J @ n, EPSILON * rho**3 * n, atol=1e-14)
assert np.allclose(np.linalg.eigvalsh(J), [0, EPSILON * rho**3, rho, rho, rho, rho], atol=1e-14)

# %% [markdown]
# ## The second derivative
#
# J depends on a, through rho and n. The product rule, with R{n n'} = Rn n' + n Rn', gives
#
# $$RDa = J\, RDn + (RJ)\, Dn, \qquad (RJ)\, Dn = -\rho\, \left(\operatorname{mean}(n\, Ra)\, Da +
# Rn \operatorname{mean}(n\, Dn) + n \operatorname{mean}(Rn\, Dn)\right) \tag{3}$$
#
# We write the four sweeps of a small network: a dense layer without bias (beta replaces it), batch normalisation, and
# the softmax cross-entropy of s. The statistics are those of *groups* of six cases. Our twelve cases are two groups,
# so the arrays are (2, 6, channels), and mean(.) is over axis 1. Ten numbered lines are the normalisation's.

# %%
net = refhf.chain([refhf.dense(4, 3, bias=False), refhf.batch_norm(3, group=6)], loss="softmax_cross_entropy")
X, y = rng.normal(size=(12, 4)), rng.integers(3, size=12)
objective = refhf.supervised(net, X, y)
theta, v = rng.normal(size=(2, net.size))
X_groups, targets = X.reshape(2, 6, 4), np.eye(3)[y].reshape(2, 6, 3)


def mean(x):
    return x.mean(axis=1, keepdims=True)


def total(x):
    return x.sum(axis=(0, 1))


def softmax(s):
    return np.exp(s) / np.exp(s).sum(axis=2, keepdims=True)


def joined(X, Da, *others):
    """DW = X'Da and the others, as one vector (P,)."""
    return np.concatenate([np.einsum("gmi,gmj->ij", X, Da).ravel(), *others])


def paper(variance):
    """rho, and the factor of n n'/m in J / rho."""
    return (variance + EPSILON) ** -0.5, 1


def backward(theta, rule=paper, X=X_groups, y=targets):
    """Sweeps 1 and 2: the gradient, and what later sweeps need."""
    (W,), (gamma, beta) = net.unpack(theta)
    centred = X @ W - mean(X @ W)  # 1
    rho, factor = rule(mean(centred**2))  # 2
    n = rho * centred  # 3
    s = gamma * n + beta  # 4
    Ds = (softmax(s) - y) / (len(X) * X.shape[1])
    Dn = gamma * Ds  # 5
    Da = rho * (Dn - mean(Dn) - factor * n * mean(n * Dn))  # 6
    return joined(X, Da, total(Ds * n), total(Ds)), (gamma, n, rho, softmax(s), Ds, Dn, Da)


def j_times(x, n, rho):
    return rho * (x - mean(x) - n * mean(n * x))  # (2)


def rj_times(Ra, Rn, n, rho, Dn, Da):
    """(RJ) Dn."""
    return -rho * (mean(n * Ra) * Da + Rn * mean(n * Dn) + n * mean(Rn * Dn))  # (3)


def hessian_product(theta, v, j_times=j_times, rj_times=rj_times):
    """Sweeps 3 and 4: H v."""
    _, (gamma, n, rho, p, Ds, Dn, Da) = backward(theta)
    (V,), (c, d) = net.unpack(v)
    Ra = X_groups @ V
    Rn = j_times(Ra, n, rho)  # 7
    Rs = gamma * Rn + c * n + d  # 8
    RDs = p * (Rs - (p * Rs).sum(axis=2, keepdims=True)) / len(X)
    RDn = gamma * RDs + c * Ds  # 9
    RDa = j_times(RDn, n, rho) + rj_times(Ra, Rn, n, rho, Dn, Da)  # 10
    return joined(X_groups, RDa, total(RDs * n + Ds * Rn), total(RDs))


# %% [markdown]
# The lines of the gradient are analytic, so a complex step differentiates them (tutorial 1). Our product agrees with
# it, and with refhf: `by hand, complex step and refhf: relative error < 1e-13`. The same lines are in
# `refhf/model/normalisation.py`.


# %%
def complex_step(theta, *arguments, v=v):
    return backward(theta + 1e-20j * v, *arguments)[0].imag / 1e-20


f, g = objective.value_and_gradient(theta)
Hv = objective.hessian(theta) @ v
assert off(backward(theta)[0], g) < 1e-13
assert off(hessian_product(theta, v), Hv) < 1e-13
assert off(complex_step(theta), Hv) < 1e-13
print("by hand, complex step and refhf: relative error < 1e-13")

# %% [markdown]
# ## Wrong versions
#
# **RJ left out.** The gradient is right, and the product is symmetric and linear. But it is not the derivative of the
# gradient: `no RJ: error of H v = 0.49`, relative to |H v|.
#
# **mu and rho taken as constants.** Then Rn = rho Ra. This happens if the statistics are detached from the graph. The
# product is again symmetric, and belongs to another function: `constant statistics: error of H v = 0.87`.


# %%
def nothing(*arguments):
    return 0


def times_rho(x, n, rho):
    return rho * x


for name, wrong in (("no RJ", (j_times, nothing)), ("constant statistics", (times_rho, nothing))):
    print(f"{name}: error of H v = {off(hessian_product(theta, v, *wrong), Hv):.2f}")
    matrix = np.column_stack([hessian_product(theta, e, *wrong) for e in np.eye(net.size)])
    assert np.allclose(matrix, matrix.T, rtol=1e-12, atol=1e-14)

# %% [markdown]
# **The unbiased variance**, a sum over m - 1. It belongs to prediction (see below). The error falls like 1/m: `m = 6:
# error of H v = 0.0879`, `m = 600: error of H v = 0.0007`.
#
# **epsilon outside the root**, rho = 1/(sigma + epsilon). This does no harm while sigma is near 1. It does in a
# channel with sigma near or below sqrt(epsilon) = 0.003. There the paper's rho is at most 1/sqrt(epsilon) = 316, and
# the wrong one is up to 1/epsilon = 100,000. We multiply a column of W to make sigma small: `sigma = 2.1178: error of
# H v = 0.00000`, `sigma = 0.0212: error of H v = 0.05114`, `sigma = 0.0021: error of H v = 4.09063`.
#
# Both versions have their own J, so each product is exact, for the wrong function. (Its matrix is symmetric.)


# %%
def unbiased(m):
    return lambda variance: ((m / (m - 1) * variance + EPSILON) ** -0.5, m / (m - 1))


def outside(variance):
    sigma = variance**0.5
    return 1 / (sigma + EPSILON), (sigma + EPSILON) / sigma


for rule in (unbiased(6), outside):
    matrix = np.column_stack([complex_step(theta, rule, v=e) for e in np.eye(net.size)])
    assert np.allclose(matrix, matrix.T, rtol=1e-12, atol=1e-14)
large = rng.normal(size=(1, 600, 4)), np.eye(3)[rng.integers(3, size=(1, 600))]
for m, cases in ((6, (X_groups, targets)), (600, large)):
    error = off(complex_step(theta, unbiased(m), *cases), complex_step(theta, paper, *cases))
    print(f"unbiased variance, m = {m}: error of H v = {error:.4f}")
for scale in (1, 0.01, 0.001):
    weak = theta.copy()
    weak[:12:3] *= scale  # W's first column
    sigma = (X @ weak[:12:3]).std()
    error = off(complex_step(weak, outside), complex_step(weak))
    print(f"epsilon outside, sigma = {sigma:.4f}: error of H v = {error:.5f}")

# %% [markdown]
# ## The cases are coupled
#
# In all networks so far, the gradient of a batch is the mean of the gradients of its cases. Here it is not. A case
# that is a batch of its own equals its mean, so n = 0 whatever W is: `|DW| of a case alone = 0.0000`. The mean of
# these twelve gradients is far off, `mean of single gradients: error = 0.99`. No case has a gradient of its own.
#
# The value f depends on which cases are together: `two groups: f = 1.4939`, `one group: f = 1.3820`. Even the order
# of the cases matters, `two groups, cases rolled by three: f = 1.4519`.

# %%
single = [refhf.supervised(net, X[[i]], y[[i]]).value_and_gradient(theta)[1] for i in range(12)]
print(f"|DW| of a case alone = {max(np.linalg.norm(g_i[:12]) for g_i in single):.4f}")
print(f"mean of single gradients: error = {off(np.mean(single, axis=0), g):.2f}")
assert all(np.array_equal(g_i[:12], np.zeros(12)) for g_i in single)

in_one = refhf.chain([refhf.dense(4, 3, bias=False), refhf.batch_norm(3, group=12)], loss="softmax_cross_entropy")
order = np.roll(np.arange(12), 3)
print(f"two groups: f = {f:.4f}")
print(f"one group: f = {refhf.supervised(in_one, X, y).value(theta):.4f}")
print(f"two groups, cases rolled by three: f = {refhf.supervised(net, X[order], y[order]).value(theta):.4f}")

# %% [markdown]
# So the groups are part of the definition of f. In most frameworks a group is what one device gets at once. Then f
# changes with the number of devices, and with the size of a chunk that fits into memory. In refhf, the network names
# the group once (Hoffer, Hubara and Soudry 2017 call it a ghost batch). Chunks, ranks and mini-batches consist of
# whole groups. So f, g and H v are the same for chunks of 1, 6 or 100 cases and on two ranks: `same f, g and H v =
# 4`.


# %%
def everything(objective):
    f, g = objective.value_and_gradient(theta)
    return np.concatenate([[f], g, objective.hessian(theta) @ v])


def on_rank(comm):
    mine = slice(6 * comm.rank, 6 * comm.rank + 6)
    return everything(refhf.supervised(net, X[mine], y[mine], comm=comm))


settings = [everything(refhf.supervised(net, X, y, chunk_size=size)) for size in (1, 6, 100)] + run(2, on_rank)[:1]
same = [np.allclose(numbers, everything(objective), rtol=1e-12, atol=1e-14) for numbers in settings]
print(f"same f, g and H v = {sum(same)}")
assert same == [True] * 4

# %% [markdown]
# ## Prediction
#
# The prediction of a case must not depend on the cases beside it. So Algorithm 2 of Ioffe and Szegedy fixes the
# statistics: mu is averaged over the groups, and so is the unbiased variance. (Frameworks use running averages
# instead, which lag behind theta.) In refhf these are plain numbers beside theta, `objective.statistics(theta)`, and
# `net.frozen(statistics)` is the network that uses them. Now a case has the same prediction alone as in a batch:
# `predictions that are the same alone = 12`.

# %%
statistics = objective.statistics(theta)
a = X_groups @ net.unpack(theta)[0][0]
assert np.allclose(statistics[0], [a.mean(axis=(0, 1)), a.var(axis=1, ddof=1).mean(axis=0)], rtol=1e-12)
frozen_net = net.frozen(statistics)
together, alone = frozen_net.predict(theta, X), [frozen_net.predict(theta, x) for x in X]
same = np.isclose(together, alone, rtol=1e-12).all(axis=1)
print(f"predictions that are the same alone = {same.sum()}")
assert same.all()
assert np.array_equal(together, objective.predict(theta, X))

# %% [markdown]
# The frozen network is another function of theta, and its curvature is another matrix: `H frozen: difference = 0.84`,
# `G frozen: difference = 0.57`, relative to H and G. One direction shows it. Let v be a column of W, and zero
# elsewhere. A step along v multiplies the column by a number, and train mode divides by that number again (but for
# epsilon). So f does not change, and g'v and v'Gv are zero. The frozen network does not divide: `v'Gv = 0.0000,
# frozen = 0.0321`.

# %%
frozen = objective.frozen(statistics)
column = np.zeros(net.size)
column[:12:3] = theta[:12:3]
G, G_frozen = (A.gauss_newton(theta) @ np.eye(net.size) for A in (objective, frozen))
H, H_frozen = (A.hessian(theta) @ np.eye(net.size) for A in (objective, frozen))
print(f"H frozen: difference = {off(H_frozen, H):.2f}")
print(f"G frozen: difference = {off(G_frozen, G):.2f}")
print(f"v'Gv = {column @ G @ column:.4f}, frozen = {column @ G_frozen @ column:.4f}")
assert abs(g @ column) < 1e-5

# %% [markdown]
# ## Exercises
#
# **1.** Show with J that $\sum Da = 0$ over the cases of a group. What does that say about a bias before the
# normalisation?
#
# <details><summary>Answer</summary>
#
# $1'J = 0$, so $\sum Da = 1' J Dn = 0$. That sum is the gradient of a bias before the normalisation: it is always
# zero, and the bias is useless. So the dense layer above has none.
#
# </details>

# %%
# Answer to exercise 1, checked
*_, Da = backward(theta)[1]
assert abs(Da.sum(axis=1)).max() < 1e-14

# %% [markdown]
# **2.** W is multiplied by 10. What happens to f and to the gradient with respect to W? (Neglect epsilon.)
#
# <details><summary>Answer</summary>
#
# f stays: n does not depend on the scale. Differentiate $f(cW) = f(W)$: the gradient at $10 W$ is a tenth of that at
# W. So large weights learn slowly.
#
# </details>

# %%
# Answer to exercise 2, checked
scaled = theta.copy()
scaled[:12] *= 10
f_scaled, g_scaled = objective.value_and_gradient(scaled)
assert np.isclose(f_scaled, f, rtol=1e-4)
assert off(10 * g_scaled[:12], g[:12]) < 1e-3

# %% [markdown]
# **3.** Why is $v'Gv = 0$ for v = a column of W, but $v'Hv$ not necessarily?
#
# <details><summary>Answer</summary>
#
# Along v the outputs do not change at first order, $Jv = 0$, so $Gv = 0$. $f(\theta + tv)$ does not change either, so
# $v'Hv = 0$ as well, both up to epsilon. But $Hv$ is not zero: differentiate $g(cW) = g(W)/c$ to get $Hv = -g$ in the
# part of that column.
#
# </details>

# %%
# Answer to exercise 3, checked
assert abs(column @ H @ column) < 1e-3
assert np.linalg.norm(G @ column) < 1e-3
assert off((H @ column)[:12:3], -g[:12:3]) < 1e-3

# %% [markdown]
# ## What to remember
#
# - mu and rho depend on the weights: their derivatives belong to H v.
# - In train mode cases are coupled: no case has a gradient of its own, and the group is part of f.
# - For prediction the statistics are frozen. That is another function, with another curvature.
