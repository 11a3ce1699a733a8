# %% [markdown]
# # 11. Residual and batch normalisation: what your framework does in train mode
#
# A residual network (He et al. 2015) needs two more blocks than tutorial 1. A residual block adds its input to its
# output. Batch normalisation (Ioffe and Szegedy 2015) subtracts a batch's mean and divides by its standard deviation.
# In train mode, both of these are functions of the weights and of all cases of the batch. Therefore the Hessian has
# terms that are easy to miss. We derive them, check each line, and measure how far off H v is with common mistakes.
# Then we see what coupled cases mean for a gradient and for prediction, and train a small residual network.

# %%
import numpy as np

import refhf
from refhf.parallel import run

rng = np.random.default_rng(0)


def off(got, want):
    """The size of an error, relative to the right answer."""
    return np.linalg.norm(got - want) / np.linalg.norm(want)


# %% [markdown]
# ## A residual block is a sum of two chains
#
# s = F(a) + a (He et al. 2015, eq. 1), where F is a chain of layers and the identity is a chain of none. Every sweep
# is linear in what it adds up, so each of the four is F's sweep plus the identity's:
#
#     s  = F(a) + a                  Rs  = R{F(a)} + Ra
#     Da = (Da of F) + Ds            RDa = (RDa of F) + RDs
#
# We run the sweeps of a block of refhf, and those of its F alone: `sweeps equal to F's plus the identity's = 4`.

# %%
layers = [refhf.dense(4, 4), refhf.elementwise("tanh"), refhf.dense(4, 4)]
net = refhf.chain([refhf.residual(layers)], shape=(4,))
block = net.chain.blocks[0]
(w,), (u,), (Dw,), (RDw,) = (net.unpack(x) for x in rng.normal(size=(4, net.size)))
a, Ds, Ra, RDs = rng.normal(size=(4, 7, 4))


def sweeps(block, w, u, Dw, RDw):
    s, tape = block.forward(w, a)
    Da, tape = block.backward(tape, Ds, Dw, keep=True)
    Rs, r_tape = block.r_forward(tape, u, Ra)
    return s, Da, Rs, block.r_backward(tape, r_tape, RDs, RDw)


of_block, of_main = sweeps(block, w, u, Dw, RDw), sweeps(block.main, w[0], u[0], Dw[0], RDw[0])
equal = [np.array_equal(x, y + z) for x, y, z in zip(of_block, of_main, (a, Ds, Ra, RDs), strict=True)]
print(f"sweeps equal to F's plus the identity's = {sum(equal)}")
assert equal == [True] * 4

# %% [markdown]
# The second line is the reason for the block: Ds arrives below unchanged, however small F's part is. Here are thirty
# tanh layers with and without shortcuts. Without them, the gradient at the first layer is tiny: `no shortcuts: |DW_1|
# = 3e-06`; with them, `shortcuts: |DW_1| = 2e+00`.

# %%
X, y = rng.normal(size=(12, 4)), rng.integers(3, size=12)
for name, wrap in (("no shortcuts", list), ("shortcuts", lambda stages: [refhf.residual(stages)])):
    stages = [stage for _ in range(30) for stage in wrap([refhf.dense(4, 4), refhf.elementwise("tanh")])]
    deep = refhf.chain([*stages, refhf.dense(4, 3)], shape=(4,), loss="softmax_cross_entropy")
    _, g = refhf.supervised(deep, X, y).value_and_gradient(deep.init(rng=0))
    print(f"{name}: |DW_1| = {np.linalg.norm(g[:16]):.0e}")

# %% [markdown]
# ## Batch normalisation: the derivative
#
# Take one channel of one batch: m numbers a. Let mean(.) be the mean over them. Algorithm 1 of Ioffe and Szegedy is
#
#     mu = mean(a),    rho = (mean((a - mu)^2) + epsilon)^-1/2,    n = rho (a - mu),    s = gamma n + beta
#
# Apply R{.} to each. Because a - mu has mean zero, Rmu drops out of the second:
#
#     Rmu  = mean(Ra)
#     Rrho = -rho^3 mean((a - mu) Ra) = -rho^2 mean(n Ra)
#     Rn   = rho (Ra - Rmu) + Rrho (a - mu) = rho (Ra - mean(Ra) - n mean(n Ra))
#
# So Rn = J Ra with the symmetric matrix J = rho (I - 1 1'/m - n n'/m). Backward needs its transpose, which is J
# again: Da = J Dn. We check it on six numbers: `J is its transpose = True`.
#
# J has the eigenvalue 0 for the vector of ones: n does not change when a constant is added to a. Along n itself the
# eigenvalue is epsilon rho^3, nearly 0: n hardly changes when a is multiplied. In all other directions it is rho.

# %%
EPSILON = 1e-5
a, m = rng.normal(size=6), 6


def normalised(a):
    centred = a - a.mean()
    return (np.mean(centred**2) + EPSILON) ** -0.5 * centred


n, rho = normalised(a), (a.var() + EPSILON) ** -0.5
J = rho * (np.eye(m) - np.ones((m, m)) / m - np.outer(n, n) / m)
columns = np.column_stack([normalised(a + 1e-20j * e).imag / 1e-20 for e in np.eye(m)])  # complex steps: tutorial 1
assert np.allclose(J, columns, rtol=1e-12, atol=1e-14)
print(f"J is its transpose = {np.array_equal(J, J.T)}")
assert np.array_equal(J, J.T)
assert np.allclose(J @ n, EPSILON * rho**3 * n, atol=1e-14)
assert np.allclose(np.linalg.eigvalsh(J), [0, EPSILON * rho**3, rho, rho, rho, rho], atol=1e-14)

# %% [markdown]
# ## The second derivative
#
# J depends on a, through rho and n. The product rule gives, with R{n n'} = Rn n' + n Rn',
#
#     RDa = J RDn + (RJ) Dn,      (RJ) Dn = -rho (mean(n Ra) Da + Rn mean(n Dn) + n mean(Rn Dn))
#
# We write the four sweeps for a small network: a dense layer without bias (beta replaces it), batch normalisation,
# and softmax cross-entropy of s. It normalises over *groups* of six cases. Twelve cases make two groups, so arrays
# are (2, 6, channels) and the mean is over axis 1. Ten numbered lines are the normalisation's.

# %%
net = refhf.chain([refhf.dense(4, 3, bias=False), refhf.batch_norm(3, group=6)], loss="softmax_cross_entropy")
objective = refhf.supervised(net, X, y)
theta, v = rng.normal(size=(2, net.size))
X_groups, targets = X.reshape(2, 6, 4), np.eye(3)[y].reshape(2, 6, 3)


def mean(x):
    return x.mean(axis=1, keepdims=True)


def total(x):
    return x.sum(axis=(0, 1))


def softmax(s):
    return np.exp(s) / np.exp(s).sum(axis=2, keepdims=True)


def joined(a, DW_of, *others):
    """X'DW_of and the others, as one vector (P,)."""
    return np.concatenate([np.einsum("gmi,gmj->ij", a, DW_of).ravel(), *others])


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


def J(x, n, rho):
    return rho * (x - mean(x) - n * mean(n * x))


def RJ(Ra, Rn, n, rho, Dn, Da):
    """(RJ) Dn."""
    return -rho * (mean(n * Ra) * Da + Rn * mean(n * Dn) + n * mean(Rn * Dn))


def hessian_product(theta, v, J=J, RJ=RJ):
    """Sweeps 3 and 4: H v."""
    _, (gamma, n, rho, p, Ds, Dn, Da) = backward(theta)
    (V,), (c, d) = net.unpack(v)
    Ra = X_groups @ V
    Rn = J(Ra, n, rho)  # 7
    Rs = gamma * Rn + c * n + d  # 8
    RDs = p * (Rs - (p * Rs).sum(axis=2, keepdims=True)) / len(X)
    RDn = gamma * RDs + c * Ds  # 9
    RDa = J(RDn, n, rho) + RJ(Ra, Rn, n, rho, Dn, Da)  # 10
    return joined(X_groups, RDa, total(RDs * n + Ds * Rn), total(RDs))


# %% [markdown]
# The gradient's lines are analytic, so a complex step differentiates them, as in tutorial 1. Our product agrees with
# it and with refhf, whose lines are in `refhf/model/normalisation.py`: `by hand, complex step and refhf: relative
# error < 1e-13`.


# %%
def complex_step(theta, *arguments):
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
# **Forget that J depends on a.** The gradient is right, and the product is symmetric and linear. Only a derivative of
# the gradient shows that it is not H v.
#
# **Treat mu and rho as constants.** Then Rn = rho Ra. This happens when statistics are detached from the graph, or
# when the network is in eval mode. The product is that of another function.


# %%
def no_RJ(*arguments):
    return 0


def constant_J(x, n, rho):
    return rho * x


for name, wrong in (("no RJ", (J, no_RJ)), ("constant statistics", (constant_J, no_RJ))):
    print(f"{name}: error of H v = {off(hessian_product(theta, v, *wrong), Hv):.2f}")

# %% [markdown]
# **Use the unbiased variance**, the sum over m - 1. It belongs to prediction (below), and not to train mode. The error is
# of order 1/m.
#
# **Put epsilon outside the root**, rho = 1/(sigma + epsilon). This is harmless while sigma is near 1. But in a channel
# whose sigma is below sqrt(epsilon) = 0.003, the paper's rho is bounded by 1/sqrt(epsilon) = 316, and this one by
# 1/epsilon = 100,000. Both versions are derived consistently here; they are exact derivatives of another f.
# We multiply one column of W to make sigma small.


# %%
def unbiased(m):
    return lambda variance: ((m / (m - 1) * variance + EPSILON) ** -0.5, m / (m - 1))


def outside(variance):
    sigma = variance**0.5
    return 1 / (sigma + EPSILON), (sigma + EPSILON) / sigma


many = rng.normal(size=(1, 600, 4)), np.eye(3)[rng.integers(3, size=(1, 600))]
for m, cases in ((6, (X_groups, targets)), (600, many)):
    error = off(complex_step(theta, unbiased(m), *cases), complex_step(theta, paper, *cases))
    print(f"unbiased, m = {m}: error of H v = {error:.4f}")
for scale in (1, 0.1, 0.01, 0.001):
    weak = theta.copy()
    weak[:12:3] *= scale  # W's first column
    sigma = (X @ weak[:12:3]).std()
    error = off(complex_step(weak, outside), complex_step(weak))
    print(f"epsilon outside, sigma = {sigma:.4f}: error of H v = {error:.5f}")

# %% [markdown]
# ## The cases are coupled
#
# In tutorials 1 to 10 the gradient of a batch is the mean of the gradients of its cases. Here it is not. A case alone
# is its own mean, so n = 0 for any W: `|DW| of a case alone = 0.0000`. The mean of these twelve gradients is far off,
# `mean of single gradients: error = 0.92`. No case has a gradient of its own, so refhf refuses to square it.
#
# f depends on which cases are together. As one group of twelve, they have another f; so do the same cases in another
# order.

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
# So the groups are part of the definition of f. In many frameworks the group is whatever a device happens to get: f
# changes with the number of devices, or with the size of a chunk that fits into memory. refhf fixes the group once
# (Hoffer, Hubara and Soudry 2017 call it a ghost batch). Chunks, ranks and mini-batches then consist of whole groups,
# and f, g and H v do not depend on them: `same f, g and H v = 4`.


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
# A prediction must not depend on which cases are asked for together. Algorithm 2 of Ioffe and Szegedy therefore
# replaces mu by its mean over the groups, and the variance by the mean of the unbiased one. These are plain numbers
# beside theta: `objective.statistics(theta)`. `net.frozen(statistics)` is the network that uses them. (Frameworks
# have running averages in their place, which lag behind theta.) Each case is now alone again:

# %%
statistics = objective.statistics(theta)
a = X_groups @ net.unpack(theta)[0][0]
assert np.allclose(statistics[0], [a.mean(axis=(0, 1)), a.var(axis=1, ddof=1).mean(axis=0)], rtol=1e-12)
frozen_net = net.frozen(statistics)
together, alone = frozen_net.predict(theta, X), [frozen_net.predict(theta, x) for x in X]
assert np.allclose(together, alone, rtol=1e-12)
assert np.array_equal(together, objective.predict(theta, X))
print("a case alone has the prediction that it has among others")

# %% [markdown]
# The frozen network is another function of theta, and its curvature is another matrix: `H frozen: difference = 0.82`,
# `G frozen: difference = 0.58`. One direction shows why. Multiply a column of W by t: in train mode n does not change
# (but for epsilon), so G has curvature zero along that column. With frozen statistics a changes and mu and rho do
# not, so there is curvature: `v'Gv, groups = 0.0000; frozen = 0.2210`.

# %%
frozen = objective.frozen(statistics)
column = np.zeros(net.size)
column[:12:3] = theta[:12:3]
G, G_frozen = (A.gauss_newton(theta) @ np.eye(net.size) for A in (objective, frozen))
H, H_frozen = (A.hessian(theta) @ np.eye(net.size) for A in (objective, frozen))
print(f"H frozen: difference = {off(H_frozen, H):.2f}")
print(f"G frozen: difference = {off(G_frozen, G):.2f}")
print(f"v'Gv, groups = {column @ G @ column:.4f}; frozen = {column @ G_frozen @ column:.4f}")
assert abs(g @ column) < 1e-5

# %% [markdown]
# ## A small residual network
#
# Eight layers with two to eight channels, `P = 1320`, on 400 digits of 14 x 14 pixels, in groups of 50. Eight steps
# of gn-cg, each with at most 20 products on 200 cases. Once the curvature is that of f; once it is frozen
# (`curvature_statistics="frozen"`), which is cheaper to write and differs from f's. f and g are the same in both runs.

# %%
digits = refhf.load("mnist-mini")
images = digits.X.reshape(-1, 28, 28, 1)[:, ::2, ::2]
net = refhf.resnet((14, 14, 1), depth=8, width=2, group=50)
print(f"P = {net.size}")
assert net.size == 1320
losses = {}
for kind in ("groups", "frozen"):
    objective = refhf.supervised(net, images[:400], digits.y[:400], curvature_statistics=kind)
    options = {"curvature_batch": 200, "solver_iterations": 20}
    result = refhf.minimize(objective, net.init(rng=0), "gn-cg", steps=8, rng=0, **options)
    wrong = (objective.predict(result.x, images[5000:6000]).argmax(axis=1) != digits.y[5000:6000]).mean()
    print(f"curvature of {kind}: loss = {result.fun:.2f}, unseen digits in error {wrong:.0%}")
    losses[kind] = result.fun
