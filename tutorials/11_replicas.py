# %% [markdown]
# # 11. Newton steps from the differences between replicas
#
# Arnold and Wang ("Accelerating SGD for Distributed Deep Learning Using Approximted Hessian Matrix") train M replicas
# w_1, ..., w_M of a network. They observe that the difference of two replicas' gradients is a product with the
# Hessian (their equation 2):
#
# $$H (w_k - w_j) = g_k - g_j; \qquad \text{with } W \text{ and } G \text{ less their means: } HW = G, \quad H^{-1}G = W
# \tag{1}$$
#
# So H^-1 is known on the span of G, without extra cost. We test this on a quadratic, where it is exact, then with
# noise in the gradients, and then on a network.

# %%
import matplotlib.pyplot as plt
import numpy as np

import refhf
from refhf.data.data_sets import load
from refhf.parallel import run
from refhf.parallel.communication_volume import counted_replicas

rng = np.random.default_rng(0)

# %% [markdown]
# ## Two replicas, by hand
#
# H = diag(4, 5). The replicas (1, 3) and (2, 3) differ by (1, 0), their gradients by (4, 0). Off the span of that
# difference the paper takes the identity, "H^-1 z = z_perp + ...". So z = (8, 8) becomes `H^-1 z = (2, 8)`: 8/4, and
# 8 unchanged. The curvature along the first axis is known, `eigenvalue = 4.0`, and along the second it is not.

# %%
H = np.diag([4.0, 5.0])
W = np.array([[1.0, 2.0], [3.0, 3.0]])  # one replica per column
found = refhf.inverse_hessian_product(W, H @ W, [8.0, 8.0])  # (1)
print(f"H^-1 z = ({found.product[0]:.0f}, {found.product[1]:.0f}); eigenvalue = {found.eigenvalues[0]:.1f}")
assert np.allclose(found.product, [2, 8])
assert np.allclose(found.eigenvalues, 4)

# %% [markdown]
# ## M - 1 differences give H exactly on their span
#
# Now six unknowns, eigenvalues 1 to 6, and M replicas scattered at random. M columns less their mean have rank M - 1
# at most. For z in the span of G, H^-1 z is exact with two replicas and with seven; only the span grows. At M = 7 it
# is the whole space, and the step from the mean replica w along H^-1 of the mean gradient ends at the minimum: `M =
# 2: rank 1, error in the span < 1e-12, to the minimum = 3.11` and `M = 7: rank 6, error in the span < 1e-12, to the
# minimum = 0.00`.

# %%
basis, _ = np.linalg.qr(rng.normal(size=(6, 6)))
H = basis * np.arange(1.0, 7) @ basis.T
minimum, start = rng.normal(size=6), rng.normal(size=6)
for M in (2, 4, 7):
    W = start[:, None] + 0.1 * rng.normal(size=(6, M))
    G = H @ (W - minimum[:, None])
    inside = (G - G.mean(axis=1, keepdims=True)) @ rng.normal(size=M)
    error = refhf.inverse_hessian_product(W, G, inside).product - np.linalg.solve(H, inside)
    found = refhf.inverse_hessian_product(W, G, G.mean(axis=1))
    left = np.linalg.norm(W.mean(axis=1) - found.product - minimum) / np.linalg.norm(W.mean(axis=1) - minimum)
    assert np.linalg.norm(error) < 1e-12
    print(f"M = {M}: rank {found.rank}, error in the span < 1e-12, to the minimum = {left:.2f}")
assert found.rank == 6
assert left < 1e-10

# %% [markdown]
# The last number is the distance after the step, relative to the distance before it. With M = 2 it has *grown*: off
# the span the identity gives a gradient step of rate 1, and the eigenvalues go up to 6. A Newton step needs no rate,
# a gradient step does. With one rate for both, as printed, 0.01 is safe for the gradient's part, and takes 1 % of
# Newton's.
#
# ## Eigenvalues
#
# The same data give H on the span of W: with W = Q R, Q orthonormal, H Q = G R^-1, and the eigenvalues of Q' H Q are
# Ritz values: they lie between the extreme eigenvalues of H, and each residual bounds the distance to an eigenvalue.
# Three differences show `eigenvalues from 1.64 to 4.86`, six all of them: `eigenvalues from 1.00 to 6.00`. The
# largest singular value of H Q is the paper's sigma_max, and 1/sigma_max its learning rate: `1/sigma_max = 0.1667,
# 1/6 = 0.1667`. It is always at least 1/||H||, so an error makes the rate too large, never too small.

# %%
for M in (4, 7):
    W = start[:, None] + 0.1 * rng.normal(size=(6, M))
    found = refhf.inverse_hessian_product(W, H @ W, start)
    print(f"eigenvalues from {found.eigenvalues[0]:.2f} to {found.eigenvalues[-1]:.2f}")
    for value, error in zip(found.eigenvalues, found.errors, strict=True):
        assert abs(np.arange(1, 7) - value).min() <= error + 1e-12
    assert found.learning_rate >= 1 / 6 - 1e-12
print(f"1/sigma_max = {found.learning_rate:.4f}, 1/6 = {1 / 6:.4f}")
assert np.allclose(found.eigenvalues, np.arange(1, 7))

# %% [markdown]
# ## How do replicas come to differ?
#
# The paper does not say what a replica does between two synchronisations. If each takes H^-1 of its *own* gradient,
# the replicas give no new information: H^-1 (g_m - g) = w_m - w by construction, so a step at rate alpha only
# multiplies the differences by 1 - alpha. On our quadratic with four replicas and alpha = 0.3: `differences
# multiplied by = 0.7000`, and their span does not change. If all replicas take the same step, the differences stay
# too.

# %%
W = start[:, None] + 0.1 * rng.normal(size=(6, 4))
G = H @ (W - minimum[:, None])
moved = np.column_stack([W[:, m] - 0.3 * refhf.inverse_hessian_product(W, G, G[:, m]).product for m in range(4)])
ratio = (moved - moved.mean(axis=1, keepdims=True)) / (W - W.mean(axis=1, keepdims=True))
print(f"differences multiplied by = {ratio.mean():.4f}")
assert np.allclose(ratio, 0.7)

# %% [markdown]
# So refhf's `replica-newton` lets each replica take its own SGD step from the common point, minus the mean of these
# steps: w_m = theta - beta (g_m - g). The replicas differ because their batches differ. If they do not differ, the
# report says so, and the step is SGD. Here the function has no batches, but `spread` scatters the replicas at random,
# and one step of rate 1 is Newton's.

# %%
bowl = refhf.from_functions(lambda x: (x - minimum) @ H @ (x - minimum) / 2, lambda x: H @ (x - minimum))
for spread in (0.0, 0.1):
    options = {"method": "replica-newton", "replicas": 7, "learning_rate": 1.0, "spread": spread}
    report = next(refhf.iterate(bowl, start, rng=0, **options))
    left = np.linalg.norm(report.theta - minimum)
    print(f"spread {spread}: distance to the minimum = {left:.1f} ({report.detail.differences.value})")
    assert (left < 1e-10) == (spread > 0)

# %% [markdown]
# `spread 0.0: distance to the minimum = 12.8`, and `spread 0.1: distance to the minimum = 0.0`.
#
# ## Noise
#
# Each replica has a batch of its own. Then G is H W *and* the difference between the batches' gradients, and this
# noise does not get smaller when the replicas are closer. Say the noise in a gradient has size 1 (a vector of norm
# sqrt(6)), and the replicas are `distance` apart: The noise hides H unless the distance times the curvature is well
# above the noise. "Asymmetry" is ||A - A'|| / (2 ||A||) for A = Q' H Q: 0 for a Hessian, 0.7 for a matrix of noise.
# So the asymmetry detects useless data.


# %%
def noisy(distance, rng=rng, draws=200):
    """Medians over draws: the error of the largest eigenvalue, and the asymmetry."""
    errors, asymmetries = [], []
    for _ in range(draws):
        W = distance * rng.normal(size=(6, 8))
        found = refhf.inverse_hessian_product(W, H @ W + rng.normal(size=W.shape), start)
        errors.append(abs(found.eigenvalues[-1] - 6))
        asymmetries.append(found.asymmetry)
    return np.median(errors), np.median(asymmetries)


drowned, heard = noisy(0.1), noisy(100.0)
print(f"distance 0.1: error of 6 > 5, asymmetry > 0.4; measured {drowned[0]:.1f} and {drowned[1]:.2f}")
print(f"distance 100: error of 6 < 0.05, asymmetry < 0.01; measured {heard[0]:.3f} and {heard[1]:.4f}")
assert drowned[0] > 5
assert drowned[1] > 0.4
assert heard[0] < 0.05
assert heard[1] < 0.01

apart = 10.0 ** np.arange(-1, 2.1, 0.5)
medians = np.array([noisy(distance, np.random.default_rng(1), 50) for distance in apart])
fig, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
ax.loglog(apart, medians[:, 0], "o-", color="#B34700")
ax.loglog(apart, medians[:, 1], "s--", color="#0072B2")
ax.axvline(1, color="0.4", linestyle=":")
ax.text(1.1, 15, "distance = noise", color="0.3")
ax.text(5, 1.6, "error of the eigenvalue 6", color="#B34700")
ax.text(0.9, 0.02, "asymmetry", color="#0072B2", ha="right")
ax.set(xlabel="distance between replicas (noise in a gradient: 1)", ylabel="median of 50 draws")
ax.set_title("When do differences of gradients show H?")
plt.show()

# %% [markdown]
# **Picture.** Left of the dotted line the noise is larger than the differences: the error of the eigenvalue (solid)
# is as large as the eigenvalue, and the asymmetry (dashed) stays near one half. To the right both fall in proportion
# to the distance.
#
# `distance 0.1: error of 6 > 5, asymmetry > 0.4`, but `distance 100: error of 6 < 0.05, asymmetry < 0.01`.
#
# But a function that is not quadratic has no common Hessian for replicas so far apart. The remedy is to take both
# gradients of a pair on the *same* batch, that of replica m: g_m(w_m) - g_m(theta) = H_m (w_m - theta), with no noise
# except that of H itself. It costs a second gradient. refhf has both readings: `reading="own-batch"`, as printed in
# the paper, and `reading="same-batch"`.
#
# ## A network
#
# 784-32-10 on handwritten digits, after 100 steps of SGD. The Hessian's largest eigenvalue is known from Lanczos,
# `largest eigenvalue = 4.96`. Eight replicas, batches of 32, one step of beta = 0.1 apart:

# %%
digits = load("mnist-mini")
net = refhf.mlp([784, 32, 10])
f = refhf.supervised(net, digits.X, digits.y)
theta = refhf.minimize(f, net.init(0), "sgd", 100, rng=0, batch=256, learning_rate=0.1).x
true = refhf.lanczos_largest(f.hessian(theta), theta.size, rng=0).value
print(f"largest eigenvalue = {true:.2f}, P = {theta.size}")

M, beta = 8, 0.1
before = np.column_stack([f.sample(32, rng=rng).value_and_gradient(theta)[1] for _ in range(M)])
W = theta[:, None] - beta * (before - before.mean(axis=1, keepdims=True))
batches = [f.sample(32, rng=rng) for _ in range(M)]
there = np.column_stack([batch.value_and_gradient(W[:, m])[1] for m, batch in enumerate(batches)])
here = np.column_stack([batch.value_and_gradient(theta)[1] for batch in batches])
z = there.mean(axis=1)
own, same = (refhf.inverse_hessian_product(W, G, z) for G in (there, there - here))
for name, found in {"own-batch": own, "same-batch": same}.items():
    low, high = found.eigenvalues[[0, -1]]
    print(f"{name}: eigenvalues from {low:.1f} to {high:.1f}, asymmetry {found.asymmetry:.2f}, ", end="")
    print(f"sigma_max = {1 / found.learning_rate:.1f}")
part = np.linalg.norm(same.product - z) / np.linalg.norm(z)
print(f"same-batch changes so much of the gradient: part = {part:.2f}")
assert 1 / own.learning_rate > 3 * true
assert own.eigenvalues[0] < -1
assert own.asymmetry > 2 * same.asymmetry
assert 0.5 * true < 1 / same.learning_rate < 1.5 * true

# %% [markdown]
# On the same batch, `asymmetry 0.25, sigma_max = 3.4`: below the true value, as expected of a maximum over seven
# directions. With their own batches the replicas give wrong eigenvalues, `eigenvalues from -5.2 to 4.3`, with
# `asymmetry 0.65, sigma_max = 17.5`: noise, divided by beta times its own size. So in their span H^-1 shortens the
# step, for any H; off the span H^-1 is the identity, as in SGD. Even an exact H^-1 changes only the part of the
# gradient in seven directions out of 25,450.
#
# ## Training
#
# 100 steps from the start, global batch 256, at rate 0.1. Own-batch costs as much as SGD: both use the data `SGD:
# epochs = 2.56` and `own-batch: epochs = 2.56` times; same-batch takes twice the gradients, `same-batch: epochs =
# 5.12`.
#
# A third reading, `reading="pairs"`, is not the paper's. Replicas that have each taken an SGD step from theta share
# the step of the mean gradient, and differences between replicas do not contain it. Differences from theta itself do,
# and this is the direction in which theta moves.

# %%
runs = {"SGD": ("sgd", {})} | {
    reading: ("replica-newton", {"replicas": 8, "reading": reading}) for reading in ("own-batch", "same-batch", "pairs")
}
runs["one pair"] = ("replica-newton", {"replicas": 1, "reading": "pairs"})
losses = {}
for name, (method, options) in runs.items():
    result = refhf.minimize(f, net.init(0), method, 100, rng=0, batch=256, learning_rate=0.1, **options)
    losses[name] = result.fun
    print(f"{name}: epochs = {result.history[-1]['epochs']:.2f}, loss = {result.fun:.3f}")
twice = refhf.minimize(f, net.init(0), "sgd", 200, rng=0, batch=256, learning_rate=0.1).fun
print(f"SGD: epochs = 5.12, loss = {twice:.3f}")
apart = max(abs(np.log(losses[name] / losses["SGD"])) for name in ("own-batch", "same-batch"))
print(f"largest difference from SGD's loss < 5 %; measured {100 * apart:.1f} %")
assert apart < 0.05
assert losses["one pair"] < losses["pairs"] < 0.97 * losses["SGD"]
assert twice < losses["one pair"]

# %% [markdown]
# For own-batch and same-batch, `largest difference from SGD's loss < 5 %`. Neither improves a step or makes it worse.
# Pairs help: `pairs: epochs = 5.12, loss = 0.546`; but a single pair does better than eight, `one pair: epochs =
# 5.12, loss = 0.535`, and SGD better than both with as many gradients, `SGD: epochs = 5.12, loss = 0.433`. The gain
# comes from the direction of the gradient, not from the replicas. `figures/README.md` has the paper's own comparison,
# over several seeds.
#
# ## Communication
#
# "Trivially implemented in both the Parameter-Server and Tree-Reduction frameworks", says the summary. For the server
# this is true: it receives 2 P numbers from each replica and broadcasts. For a tree of sums it is not: G'G needs
# inner products of columns on different ranks, and a sum of local results does not give them. But the ranks can
# exchange columns for rows, P/M of each column. Then a reduction is enough: each rank factors its rows, the small
# triangles are gathered, and each rank computes the same M coefficients c of H^-1 z = z + (W - G) c, and its rows of
# the result. In units of P numbers per rank, for M = 8, `the server receives 16, and sends 2; in the tree a rank
# receives = 4`; the tree's number holds for any M. Both give the same theta:

# %%
small = refhf.mlp([6, 5, 3])
X, y = rng.normal(size=(60, 6)), rng.integers(3, size=60)


def trained(comm, topology):
    """Train four replicas, one per rank, each with all the data and its own batch."""
    objective = refhf.supervised(small, X, y)
    options = {"replicas": 4, "batch": 40, "learning_rate": 0.1, "comm": comm, "topology": topology}
    return refhf.minimize(objective, small.init(0), "replica-newton", 5, rng=0, **options)


one, tree, server = (
    trained(None, "tree"),
    *(run(4, lambda comm, how=how: trained(comm, how))[0] for how in ("tree", "server")),
)
assert np.allclose(tree.x, one.x, rtol=1e-12)
assert np.allclose(server.x, one.x, rtol=1e-12)
for how, result in {"tree": tree, "server": server}.items():
    calls, numbers = counted_replicas(small.size, 4, 4, how)
    assert result.history[-1]["communications"] == 5 * calls
    assert result.history[-1]["bytes_communicated"] == 5 * 8 * numbers
tree, server = (round(counted_replicas(10**6, 8, 8, how).numbers / 10**6) for how in ("tree", "server"))
print(f"the server receives {server - 2}, and sends 2; in the tree a rank receives = {tree}")
assert (server, tree) == (18, 4)

# %% [markdown]
# ## Exercises
#
# **1.** What does the method give for z in the span of G, if H is singular there? Take H = diag(1, 0) and the replicas
# (0, 0) and (1, 1).
#
# <details><summary>Answer</summary>
#
# The difference of the replicas is (1, 1), that of the gradients (1, 0). By (1), $H^{-1} (1, 0) = (1, 1)$. That is
# *one* of the solutions of $Hx = (1, 0)$: the second component is what the replicas happen to have.
#
# </details>

# %%
# Answer to exercise 1, checked
W, H = np.array([[0.0, 1.0], [0.0, 1.0]]), np.diag([1.0, 0.0])
found = refhf.inverse_hessian_product(W, H @ W, [1.0, 0.0])
assert np.allclose(found.product, [1, 1])

# %% [markdown]
# **2.** Why can the largest Ritz value never exceed the largest eigenvalue, without noise?
#
# <details><summary>Answer</summary>
#
# A Ritz value is $q'Hq$ for a unit vector $q$ in the span, and $\max q'Hq$ over *all* unit vectors is the largest
# eigenvalue.
#
# </details>

# %%
# Answer to exercise 2, checked
basis, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(6, 6)))
H = basis * np.arange(1.0, 7) @ basis.T
W = np.random.default_rng(3).normal(size=(6, 4))
values = refhf.inverse_hessian_product(W, H @ W, np.ones(6)).eigenvalues
assert 1 <= values.min() <= values.max() <= 6

# %% [markdown]
# **3.** How large must the distance be, so that noise of size 1 in a gradient disturbs the curvature 6 by about 1 %?
#
# <details><summary>Answer</summary>
#
# The error of a curvature is about noise / distance. For 0.06 one needs a distance of about 17, in the picture between
# 10 and 30. For a network, that is far outside the region where its Hessian is constant.
#
# </details>

# %%
# Answer to exercise 3, checked
H = np.diag(np.arange(1.0, 7))
near, far = (noisy(distance, np.random.default_rng(4), 100)[0] for distance in (3.0, 100.0))
assert far < 0.06 < near

# %% [markdown]
# ## What to remember
#
# - Differences of gradients are products with the Hessian: M replicas show it on M - 1 directions.
# - With own batches the differences are mostly noise. Asymmetry detects it.
# - Even an exact inverse on a few directions out of thousands changes little.
