# %% [markdown]
# # 14. Residual networks
#
# A residual block (He et al. 2015) adds its input to its output. This small change makes networks of a hundred layers
# trainable. We derive its four sweeps, look at the gradient in a deep network with and without the identity, and
# train a small residual network with batch normalisation (lesson 13).

# %%
import matplotlib.pyplot as plt
import numpy as np

import refhf

rng = np.random.default_rng(0)
BLUE, RED = "#0072B2", "#B34700"

# %% [markdown]
# ## A residual block is a sum of two chains
#
# A residual block is s = F(a) + a (He et al. 2015, eq. 1). F is a chain of layers, the identity a chain without
# layers. Since s is a sum, each of the four sweeps is a sum too:
#
# $$\begin{aligned}
# s &= F(a) + a, & Rs &= R\{F(a)\} + Ra \\
# Da &= J_F' Ds + Ds, & RDa &= R\{J_F' Ds\} + RDs
# \end{aligned} \tag{1}$$
#
# By the equation for Da, Ds arrives below however small F's part is. This is why one uses the block. We run the four
# sweeps of a residual block and those of its F alone: `sweeps that differ by the identity's = 4`.

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
equal = [np.array_equal(x, y + z) for x, y, z in zip(of_block, of_main, (a, Ds, Ra, RDs), strict=True)]  # (1)
print(f"sweeps that differ by the identity's = {sum(equal)}")
assert equal == [True] * 4

# %% [markdown]
# ## The gradient in a deep network
#
# Take L blocks. In a plain network the gradient at the first is a product of Jacobians, and in a residual network a
# product of identities plus Jacobians:
#
# $$Da_0 = J_1' J_2' \cdots J_L'\, Ds_L, \qquad Da_0 = (I + J_1')(I + J_2') \cdots (I + J_L')\, Ds_L \tag{2}$$
#
# Multiply out the second: it is a sum over all ways through the network, and one of them, $I \cdots I$, is the
# gradient itself, unchanged. If each $J$ shrinks a vector to a half, after 30 layers nothing is left of the first
# product. We use 30 blocks tanh(a W) with random W: `plain: |Da_0| / |Ds| < 1e-6`, but `residual: |Da_0| / |Ds| > 1`.

# %%
weights = np.random.default_rng(1).normal(size=(30, 40, 40)) * 0.5 / np.sqrt(40)


def gradient_sizes(identity):
    """|Da| before each block, the first block first, relative to |Ds| of the last."""
    a, slopes = np.random.default_rng(2).normal(size=40), []
    for w in weights:
        t = np.tanh(a @ w)
        slopes.append(1 - t**2)
        a = t + identity * a
    d = np.random.default_rng(3).normal(size=40)
    found = [np.linalg.norm(d)]
    for w, slope in zip(weights[::-1], slopes[::-1], strict=True):
        d = w @ (slope * d) + identity * d  # (2)
        found.append(np.linalg.norm(d))
    return np.array(found)[::-1] / found[0]


plain, with_identity = gradient_sizes(0), gradient_sizes(1)
assert plain[0] < 1e-6
assert with_identity[0] > 1
print("plain: |Da_0| / |Ds| < 1e-6; residual: |Da_0| / |Ds| > 1")

fig, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
ax.semilogy(plain, "o-", color=RED, markersize=4)
ax.semilogy(with_identity, "s--", color=BLUE, markersize=4)
ax.text(14, 1e-6, "plain", color=RED)
ax.text(14, 4e-1 / 4, "residual", color=BLUE)
ax.set(xlabel="block (30: next to the loss)", ylabel="size of the gradient", title="Thirty blocks")
plt.show()

# %% [markdown]
# **Picture.** From the loss, at the right, back to the first block. In the plain network (solid, circles) the gradient
# loses about half its size at each block. In the residual network (dashed, squares) it stays about the same, and even
# grows.
#
# ## A small residual network
#
# We train eight layers with 4, 8 and 16 channels, `P = 4934`, on 400 digits of 14 x 14 pixels, in groups of 50. The
# method is gn-cg: eight steps, each with at most 20 products on 100 cases. We do this twice. In the second run
# `curvature_statistics="frozen"` replaces G by the frozen one; f and g do not change.
#
# With G the loss falls at every step, `groups: first rho = 0.37, loss from 2.7 to 0.8`. Then `unseen digits in error
# = 35%`. With the frozen G the first step raises the loss of its mini-batch, so that rho = -inf (tutorial 5). Later
# steps are better, but after eight the loss is still 1.5: `frozen: first rho = -inf, loss from 2.7 to 1.5`.

# %%
digits = refhf.load("mnist-mini")
images = digits.X.reshape(-1, 28, 28, 1)[:, ::2, ::2]
net = refhf.resnet((14, 14, 1), depth=8, width=4, group=50)
start = net.init(rng=0)
print(f"P = {net.size}")
results = {}
for kind in ("groups", "frozen"):
    objective = refhf.supervised(net, images[:400], digits.y[:400], curvature_statistics=kind)
    options = {"curvature_batch": 100, "solver_iterations": 20, "backtracking": False}
    result = results[kind] = refhf.minimize(objective, start, "gn-cg", steps=8, rng=0, **options)
    first = result.history[0]["rho"]
    print(f"{kind}: first rho = {first:.2f}, loss from {objective.value(start):.1f} to {result.fun:.1f}")
unseen = objective.predict(results["groups"].x, images[5000:6000]).argmax(axis=1)
print(f"unseen digits in error = {(unseen != digits.y[5000:6000]).mean():.0%}")
assert net.size == 4934
losses = [row["loss"] for row in results["groups"].history]
assert np.all(np.diff(losses) < 0)
assert results["frozen"].history[0]["rho"] == -np.inf
assert results["groups"].fun < 0.6 * results["frozen"].fun

fig, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
for kind, mark, colour in (("groups", "o-", BLUE), ("frozen", "s--", RED)):
    losses = [objective.value(start), *(row["loss"] for row in results[kind].history)]
    ax.plot(losses, mark, color=colour)
ax.text(4.2, 0.75, "G of the groups", color=BLUE)
ax.text(4.8, 2.1, "G of frozen statistics", color=RED)
ax.set(xlabel="step", ylabel="training loss", title="gn-cg on a residual network of eight layers", ylim=(0, 3))
plt.show()

# %% [markdown]
# **Picture.** With the right G (solid, circles) the loss falls at every step. With the frozen one (dashed, squares)
# the first steps hardly help, and the loss stays above the other curve.
#
# ## Exercises
#
# **1.** Show that a residual block with F = 0 changes neither values nor gradients. Which weights give F = 0?
#
# <details><summary>Answer</summary>
#
# By (1), $s = a$ and $Da = Ds$. It is enough that the last layer of F is zero. Many codes start like this: then the
# whole network starts as the identity, whatever its depth.
#
# </details>

# %%
# Answer to exercise 1, checked
stages = [refhf.dense(4, 4), refhf.elementwise("tanh"), refhf.dense(4, 4)]
one = refhf.chain([refhf.residual(stages)], shape=(4,), loss="squared_error")
at = np.random.default_rng(4).normal(size=one.size)
at[20:] = 0  # the second dense layer
inputs = np.random.default_rng(5).normal(size=(7, 4))
assert np.array_equal(one.predict(at, inputs), inputs)

# %% [markdown]
# **2.** How many ways does a signal have through a residual network of L blocks? How many of them pass k of the F?
#
# <details><summary>Answer</summary>
#
# $2^L$: at each block through F or past it. $\binom{L}{k}$ of them pass k of the F. With $J = \epsilon I$ the second
# product of (2) is $(1 + \epsilon)^L = \sum_k \binom{L}{k} \epsilon^k$.
#
# </details>

# %%
# Answer to exercise 2, checked
from math import comb

assert sum(comb(30, k) for k in range(31)) == 2**30
assert np.isclose(sum(comb(30, k) * 0.1**k for k in range(31)), 1.1**30)

# %% [markdown]
# **3.** Two residual blocks one after the other: is $H$ of f the sum of the two blocks' curvatures?
#
# <details><summary>Answer</summary>
#
# No. $s = a + F_1(a) + F_2(a + F_1(a))$: the weights of $F_1$ are in the argument of $F_2$, so H has blocks that
# couple the two.
#
# </details>

# %%
# Answer to exercise 3, checked
stage = refhf.residual([refhf.dense(3, 3), refhf.elementwise("tanh")])
two = refhf.chain([stage, stage], shape=(3,), loss="squared_error")
case = np.random.default_rng(6).normal(size=(3, 5, 3))
H = refhf.supervised(two, case[0], case[1]).hessian(np.random.default_rng(7).normal(size=two.size)) @ np.eye(two.size)
assert abs(H[:12, 12:]).max() > 0.01

# %% [markdown]
# ## What to remember
#
# - A residual block is a sum, and so is each of its four sweeps.
# - The identity carries the gradient past every block: depth no longer makes it vanish.
# - Batch normalisation in such a network couples the cases. Use the curvature of the groups, not a frozen one.
