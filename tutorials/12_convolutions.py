# %% [markdown]
# # 12. Convolutions
#
# A convolutional layer multiplies each small patch of an image by the same weights. It is linear in the weights and
# linear in the image, as a dense layer is. So its four sweeps are those of lesson 1, with another product in the place
# of the matrix product. We write the layer as a matrix, find its adjoints, check a whole network, and ask what sharing
# weights does to the curvature.

# %%
import matplotlib.pyplot as plt
import numpy as np

import refhf

BLUE, RED = "#0072B2", "#B34700"
rng = np.random.default_rng(0)


def off(got, want):
    """The size of an error, relative to the right answer."""
    return np.linalg.norm(got - want) / np.linalg.norm(want)


# %% [markdown]
# ## The layer
#
# An image $x$ has rows, columns and channels. A kernel $W$ has $k \times k$ rows and columns, and a matrix from input
# to output channels at each. With stride 1 and no padding
#
# $$s_{ij} = \sum_{p, q = 1}^{k} x_{i + p,\, j + q}\, W_{pq} + b \tag{1}$$
#
# (counting from zero in the code). In refhf images are (cases, height, width, channels) and $W$ is (k, k, channels in,
# channels out). An image of 8 x 8 and a kernel of 3 x 3 give 6 x 6. From one channel to two these are
# `weights and biases = 20`; a dense layer between the same arrays has `dense: weights and biases = 4680`.


# %%
def patches(x, k=3):
    """All patches of each image as rows: (cases, rows, columns, k k channels)."""
    windows = np.lib.stride_tricks.sliding_window_view(x, (k, k), axis=(1, 2))  # (B, rows, columns, channels, k, k)
    return np.moveaxis(windows, 3, 5).reshape(*windows.shape[:3], -1)


def convolve(x, W, b):
    return patches(x) @ W.reshape(-1, W.shape[3]) + b  # (1)


net = refhf.chain([refhf.conv(2, 3), refhf.flatten()], shape=(8, 8, 1), loss="squared_error")
theta = rng.normal(size=net.size)
((W, b),) = net.unpack(theta)
x = rng.normal(size=(5, 8, 8, 1))
assert off(convolve(x, W, b).reshape(5, -1), net.predict(theta, x)) < 1e-14
print(f"weights and biases = {net.size}")
print(f"dense: weights and biases = {64 * 72 + 72}")

# %% [markdown]
# ## The layer as a matrix
#
# For a fixed kernel, (1) is a matrix $C(W)$ that takes the 64 numbers of an image to the 72 of the result. Most of its
# elements are zero, `elements that are not zero = 14 %`, and each weight stands in it 36 times, once for each place of
# the kernel.

# %%
unit = np.eye(64).reshape(64, 8, 8, 1)
C = convolve(unit, W, 0.0).transpose(0, 3, 1, 2).reshape(64, 72).T  # (72, 64): output channel by output channel
print(f"elements that are not zero = {100 * (C != 0).mean():.0f} %")
assert np.count_nonzero(C) == 2 * 36 * 9

fig, ax = plt.subplots(figsize=(7, 4.6), layout="constrained")
limit = abs(C).max()
shades = ax.imshow(C[:36], cmap="PuOr", vmin=-limit, vmax=limit, interpolation="none", aspect="auto")
fig.colorbar(shades, label="element")
ax.set(xlabel="pixel of the image, row by row (64)", ylabel="pixel of the result (36)")
ax.set_title("One kernel as a matrix")
plt.show()

# %% [markdown]
# **Picture.** The matrix of the first output channel. Each row holds the nine weights of the kernel in three short
# runs, one for each row of the patch, and zeros elsewhere. From row to row they move to the right by one pixel; the
# jumps come where a row of the image ends.
#
# ## Four sweeps
#
# Write $x * W$ for (1). It is bilinear, so with $\bar x$ for the patches of $x$ and the adjoint $C'$:
#
# $$\begin{aligned}
# s &= x * W + b, & Rs &= Rx * W + x * V + c \\
# DW &= \bar x' Ds, & RDW &= \bar x' RDs + R\bar x' Ds \\
# Dx &= C(W)' Ds, & RDx &= C(W)' RDs + C(V)' Ds
# \end{aligned} \tag{2}$$
#
# Compare with lesson 1: there is nothing new. The adjoint $C'$ adds what each patch gets back into the image. It must
# satisfy $\langle Ds,\, C x \rangle = \langle C' Ds,\, x \rangle$ for all $x$ and $Ds$, `adjoint: relative error <
# 1e-13`.


# %%
def adjoint(Ds, W):
    """C(W)' Ds: the image that the patches of Ds make."""
    k, rows, columns = W.shape[0], *Ds.shape[1:3]
    Dx = np.zeros((len(Ds), rows + k - 1, columns + k - 1, W.shape[2]))
    for p in range(k):
        for q in range(k):
            Dx[:, p : p + rows, q : q + columns] += Ds @ W[p, q].T
    return Dx


def weight_part(x, Ds):
    """DW."""
    return np.einsum("bijm,bijo->mo", patches(x), Ds).ravel()  # (2)


Ds = rng.normal(size=(5, 6, 6, 2))
assert np.isclose(np.sum(Ds * convolve(x, W, 0.0)), np.sum(adjoint(Ds, W) * x), rtol=1e-12)
assert off(adjoint(Ds[:1], W).ravel(), C.T @ Ds[0].transpose(2, 0, 1).ravel()) < 1e-13
print("adjoint: relative error < 1e-13")

# %% [markdown]
# Now two convolutions with tanh between them, by hand, against `objective.hessian`: `by hand: relative error of
# H v < 1e-13`.

# %%
layers = [refhf.conv(2, 3), refhf.elementwise("tanh"), refhf.conv(1, 3), refhf.flatten()]
net = refhf.chain(layers, shape=(8, 8, 1), loss="squared_error")
y = rng.normal(size=(5, 16))
theta, v = rng.normal(size=(2, net.size))
((W_1, b_1), (W_2, b_2)), ((V_1, c_1), (V_2, c_2)) = net.unpack(theta), net.unpack(v)

a = np.tanh(convolve(x, W_1, b_1))
Dz = (convolve(a, W_2, b_2) - y.reshape(5, 4, 4, 1)) / 5
Da = adjoint(Dz, W_2)
Ra = (1 - a**2) * convolve(x, V_1, c_1)  # (2), with Rx = 0
RDz = (convolve(Ra, W_2, 0.0) + convolve(a, V_2, c_2)) / 5  # (2)
RDa = adjoint(RDz, W_2) + adjoint(Dz, V_2)  # (2)
RDs = (1 - a**2) * RDa - 2 * a * Ra * Da
RDW_2 = weight_part(a, RDz) + weight_part(Ra, Dz)  # (2)
Hv = np.concatenate([weight_part(x, RDs), RDs.sum(axis=(0, 1, 2)), RDW_2, RDz.sum(axis=(0, 1, 2))])
H = refhf.supervised(net, x, y.reshape(5, 16)).hessian(theta)
assert off(Hv, H @ v) < 1e-13
print("by hand: relative error of H v < 1e-13")

# %% [markdown]
# ## What sharing does to the curvature
#
# A weight of a dense layer meets each case once; a weight of a convolution meets it at every place. So its gradient
# and its curvature are sums over the places. For least squares with one linear convolution, $G$ is the matrix of
# second moments of the patches:
#
# $$G = \frac1B \sum_{\text{cases}} \sum_{i,j} \bar x_{ij}\, \bar x_{ij}' \tag{3}$$
#
# Neighbouring pixels of a picture are alike. So the patches lie mainly along (1, ..., 1): one large eigenvalue, the
# brightness, and many small ones, the edges. On handwritten digits the largest is `digits: condition number > 100`.
# For images of independent noise it is small, `noise: condition number < 2`. This is the valley of lesson 0, and a
# reason why gradient descent is slow at the first layer, and why normalisation helps (lesson 13).

# %%
digits = refhf.load("mnist-mini")
images = digits.X[:200].reshape(-1, 28, 28, 1)
linear = refhf.chain([refhf.conv(1, 3, bias=False), refhf.flatten()], shape=(28, 28, 1), loss="squared_error")
spectra = {}
for name, batch in (("digits", images), ("noise", rng.normal(size=images.shape))):
    objective = refhf.supervised(linear, batch, np.zeros((200, 26 * 26)))
    G = objective.gauss_newton(np.zeros(9)) @ np.eye(9)
    moments = patches(batch).reshape(-1, 9)
    assert off(moments.T @ moments / 200, G) < 1e-12  # (3)
    spectra[name] = np.linalg.eigvalsh(G)[::-1]
condition = {name: spectrum[0] / spectrum[-1] for name, spectrum in spectra.items()}
assert condition["digits"] > 100
assert condition["noise"] < 2
print("digits: condition number > 100; noise: condition number < 2")

fig, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
for spectrum, (mark, colour) in zip(spectra.values(), (("o-", RED), ("s--", BLUE)), strict=True):
    ax.semilogy(range(1, 10), spectrum / spectrum[0], mark, color=colour)
ax.text(5, 0.05, "handwritten digits", color=RED)
ax.text(5, 0.5, "noise", color=BLUE)
ax.set(xlabel="eigenvalues of G, the largest first", ylabel="relative to the largest")
ax.set_title("Curvature of one 3 x 3 kernel", pad=10)
plt.show()

# %% [markdown]
# **Picture.** For noise (dashed, squares) all nine curvatures are about the same. For digits (solid, circles) they
# fall by more than two powers of ten: the kernel's mean is steep, its fine differences are flat.
#
# ## Training
#
# A small convolutional network on 500 digits of 14 x 14 pixels, with gn-cg: ten steps, at most ten products each. The
# loss falls at each step, and `training error < 15 %`.

# %%
small = digits.X[:500].reshape(-1, 28, 28, 1)[:, ::2, ::2]
layers = [
    refhf.conv(4, 4, stride=2),
    refhf.elementwise("tanh"),
    refhf.conv(8, 3),
    refhf.elementwise("tanh"),
]
net = refhf.chain([*layers, refhf.flatten(), refhf.dense(128, 10)], shape=(14, 14, 1), loss="softmax_cross_entropy")
objective = refhf.supervised(net, small, digits.y[:500])
options = {"curvature_batch": 250, "solver_iterations": 10}
result = refhf.minimize(objective, net.init(rng=0), "gn-cg", steps=10, rng=0, **options)
print(f"P = {net.size}, loss from {objective.value(net.init(rng=0)):.1f} to {result.fun:.2f}")
losses = [row["loss"] for row in result.history]
assert np.all(np.diff(losses) < 0)
assert objective.error(result.x) < 0.15
print("training error < 15 %")

# %% [markdown]
# ## Exercises
#
# **1.** How many rows and columns does (1) give with padding $p$ and stride $t$ for an image of $n \times n$?
#
# <details><summary>Answer</summary>
#
# $\lfloor (n + 2p - k)/t \rfloor + 1$; refhf wants the division to leave no rest. With $k = 3$, $p = 1$, $t = 1$ the
# size stays.
#
# </details>

# %%
# Answer to exercise 1, checked
for n, k, padding, stride in ((14, 4, 0, 2), (14, 3, 1, 1), (9, 5, 2, 2)):
    stage = refhf.conv(1, k, stride=stride, padding=padding)
    block = refhf.chain([stage, refhf.flatten()], shape=(n, n, 1), loss="squared_error")
    rows = (n + 2 * padding - k) // stride + 1
    assert block.predict(np.zeros(block.size), np.zeros((1, n, n, 1))).shape == (1, rows**2)

# %% [markdown]
# **2.** What is a convolution with $k = 1$?
#
# <details><summary>Answer</summary>
#
# A dense layer over the channels, applied to each pixel by itself.
#
# </details>

# %%
# Answer to exercise 2, checked
image, kernel = rng.normal(size=(2, 4, 4, 3)), rng.normal(size=(1, 1, 3, 5))
one = refhf.chain([refhf.conv(5, 1, bias=False), refhf.flatten()], shape=(4, 4, 3), loss="squared_error")
assert off(one.predict(kernel.ravel(), image), (image @ kernel[0, 0]).reshape(2, -1)) < 1e-14

# %% [markdown]
# **3.** Subtract the mean of each patch before the kernel. What happens to the condition number of G for the digits,
# apart from the eigenvalue that becomes zero?
#
# <details><summary>Answer</summary>
#
# The direction (1, ..., 1) no longer has curvature: its eigenvalue is zero. The largest of the others is much smaller
# than the largest before, so the ratio of the remaining eight is much better.
#
# </details>

# %%
# Answer to exercise 3, checked
rows = patches(digits.X[:200].reshape(-1, 28, 28, 1)).reshape(-1, 9)
centred = rows - rows.mean(axis=1, keepdims=True)
after = np.linalg.eigvalsh(centred.T @ centred)[::-1]
assert after[8] < 1e-10 * after[0]
assert after[0] / after[7] < condition["digits"] / 3

# %% [markdown]
# ## What to remember
#
# - A convolution is a matrix with few weights in many places; its sweeps are those of a dense layer.
# - The adjoint adds patches back into the image. Test it by $\langle Ds, Cx \rangle = \langle C'Ds, x \rangle$.
# - Shared weights add up curvature over the places; similar neighbours make it ill-conditioned.
