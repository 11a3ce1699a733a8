# %% [markdown]
# # 1. The R-operator by hand
#
# Hessian-free optimisation never forms the Hessian H. It only needs products H v. Pearlmutter (1994) showed how to
# compute one exactly, for a few more matrix products: differentiate *the lines of backpropagation themselves* along
# v. He et al. 2016 use it in section 4.1 and in line 5 of Algorithm 2. The operator
#
# $$R\{x\} = \left.\frac{d}{dr}\, x(\theta + r v)\right|_{r = 0} \tag{1}$$
#
# obeys the rules of any derivative:
#
# $$R\{x + y\} = Rx + Ry, \qquad R\{xy\} = Rx\, y + x\, Ry, \qquad
# R\{f(x)\} = f'(x)\, Rx, \qquad R\{\theta\} = v \tag{2}$$
#
# H v is R{gradient}. We write each line of the two sweeps of a two-layer network, then R of each line, and check each
# of them. The names are those of the notation table in `refhf/__init__.py`: Dx is df/dx, Rx is R{x}, and RDx is
# R{df/dx}. theta is one flat vector, here `P = 43`, with the parts W_1, b_1, W_2, b_2. The parts of v are V_1, c_1,
# V_2, c_2.

# %%
import matplotlib.pyplot as plt
import numpy as np

import refhf
from refhf.model.chain import Chain
from refhf.model.dense import Dense

rng = np.random.default_rng(0)
net = refhf.mlp([4, 5, 3], nonlinearity="tanh", loss="softmax_cross_entropy")
theta, v = rng.normal(size=net.size), rng.normal(size=net.size)
X, labels = rng.normal(size=(6, 4)), rng.integers(3, size=6)
B, y = len(X), np.eye(3)[labels]

print(f"P = {net.size}")
assert net.size == 43


def layers(vector):
    """{1: W_1, 2: W_2} and {1: b_1, 2: b_2}: views of a vector (P,)."""
    weights, biases = zip(*net.unpack(vector), strict=True)
    return dict(enumerate(weights, 1)), dict(enumerate(biases, 1))


W, b = layers(theta)
V, c = layers(v)

# %% [markdown]
# ## Sweeps 1 and 2: forward and backward
#
# Rows are cases. The objective is the mean cross-entropy of p = softmax(z), so df/dz is (p - y) / B. Forward, and then
# backward by the chain rule:
#
# $$s_1 = X W_1 + b_1, \qquad a_1 = \tanh s_1, \qquad z = a_1 W_2 + b_2 \tag{3}$$
#
# $$Dz = \tfrac1B (p - y), \qquad DW_2 = a_1' Dz, \qquad Da_1 = Dz\, W_2', \qquad Ds_1 = Da_1 \odot f'(s_1), \qquad
# DW_1 = X' Ds_1 \tag{4}$$


# %%
def softmax(z):
    return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)


def forward(theta):
    (W, b), s, a = layers(theta), {}, {0: X}
    s[1] = a[0] @ W[1] + b[1]  # (3)
    a[1] = np.tanh(s[1])  # (3)
    z = a[1] @ W[2] + b[2]  # (3)
    return s, a, z


def backward(theta, a, z):
    (W, _), Ds, Da, DW, Db = layers(theta), {}, {}, {}, {}
    Dz = (softmax(z) - y) / B  # (4)
    DW[2] = a[1].T @ Dz  # (4)
    Db[2] = Dz.sum(axis=0)
    Da[1] = Dz @ W[2].T  # (4)
    Ds[1] = Da[1] * (1 - a[1] ** 2)  # (4): tanh' = 1 - tanh^2
    DW[1] = a[0].T @ Ds[1]  # (4)
    Db[1] = Ds[1].sum(axis=0)
    return Dz, Ds, Da, DW, Db


s, a, z = forward(theta)
Dz, Ds, Da, DW, Db = backward(theta, a, z)

# %% [markdown]
# ## The check: a complex step
#
# These lines are analytic, so they run on complex numbers unchanged. With h so small that h^2 vanishes,
#
# $$x(\theta + i h v) = x(\theta) + i h\, R\{x\}, \qquad R\{x\} = \operatorname{Im} x(\theta + i h v) / h \tag{5}$$
#
# There is no subtraction, hence no cancellation (Squire and Trapp 1998). We run the sweeps once at theta + i h v. The
# imaginary part of *each line*, divided by h, is the exact value of its R-line: `R{s_1}: relative error < 1e-13`.
# (The exact error is rounding, and differs between processors.)

# %%
h = 1e-20
s_h, a_h, z_h = forward(theta + 1j * h * v)
Dz_h, Ds_h, Da_h, DW_h, Db_h = backward(theta + 1j * h * v, a_h, z_h)
checked = set()


def check(name, by_hand, line_at_h):
    truth = line_at_h.imag / h  # (5)
    error = abs(by_hand - truth).max() / abs(truth).max()
    assert error < 1e-13, f"the line of {name} is differentiated wrongly"
    print(f"R{{{name}}}: relative error < 1e-13")
    checked.add(name)


# %% [markdown]
# ## Sweep 3: R-forward
#
# The inputs do not depend on theta, so RX = 0. Every product has one term for each factor that depends on theta. The
# rules (2), applied to the lines (3):
#
# $$Rs_1 = X V_1 + c_1, \qquad Ra_1 = f'(s_1) \odot Rs_1, \qquad Rz = a_1 V_2 + Ra_1 W_2 + c_2 \tag{6}$$

# %%
Rs, Ra = {}, {}
Rs[1] = a[0] @ V[1] + c[1]  # (6)
check("s_1", Rs[1], s_h[1])
Ra[1] = (1 - a[1] ** 2) * Rs[1]  # (6)
check("a_1", Ra[1], a_h[1])
Rz = a[1] @ V[2] + Ra[1] @ W[2] + c[2]  # (6)
check("z", Rz, z_h)

# %% [markdown]
# ## Sweep 4: R-backward
#
# R{softmax(z)} is (diag(p) - p p') Rz, case by case. The derivative of tanh' is -2 tanh tanh'. RDW and RDb are the
# parts of the product that belong to W and b. The rules (2), applied to the lines (4):
#
# $$\begin{aligned}
# RDz &= \tfrac1B (\operatorname{diag}(p) - pp')\, Rz, & RDW_2 &= a_1' RDz + Ra_1' Dz, & RDa_1 &= RDz\, W_2' + Dz\,
# V_2', \\ RDs_1 &= RDa_1 \odot f' + Da_1 \odot f'' \odot Rs_1, & RDW_1 &= X' RDs_1 \end{aligned} \tag{7}$$

# %%
RDs, RDa, RDW, RDb = {}, {}, {}, {}
p = softmax(z)
RDz = (p * Rz - p * (p * Rz).sum(axis=1, keepdims=True)) / B  # (7)
check("Dz", RDz, Dz_h)
RDW[2] = a[1].T @ RDz + Ra[1].T @ Dz  # (7)
check("DW_2", RDW[2], DW_h[2])
RDb[2] = RDz.sum(axis=0)
check("Db_2", RDb[2], Db_h[2])
RDa[1] = RDz @ W[2].T + Dz @ V[2].T  # (7)
check("Da_1", RDa[1], Da_h[1])
RDs[1] = RDa[1] * (1 - a[1] ** 2) + Da[1] * (-2 * a[1] * (1 - a[1] ** 2)) * Rs[1]  # (7)
check("Ds_1", RDs[1], Ds_h[1])
RDW[1] = a[0].T @ RDs[1]  # (7)
check("DW_1", RDW[1], DW_h[1])
RDb[1] = RDs[1].sum(axis=0)
check("Db_1", RDb[1], Db_h[1])

print(f"lines checked = {len(checked)}")
assert len(checked) == 10

# %% [markdown]
# All lines are right: `lines checked = 10`. Concatenated, they are H v, and the package agrees. Its
# `refhf/model/bilinear.py` and `elementwise.py` have these lines; `chain.py` has the loops over the layers. Sweeps 1
# and 2 depend only on theta: `objective.hessian` runs them once, and each product runs only sweeps 3 and 4.

# %%
Hv = np.concatenate([RDW[1].ravel(), RDb[1], RDW[2].ravel(), RDb[2]])
H = refhf.supervised(net, X, labels).hessian(theta)
error = abs(Hv - H @ v).max() / abs(Hv).max()
assert error < 1e-13
print("by hand against objective.hessian(theta) @ v: relative error < 1e-13")

# %% [markdown]
# ## Why not a difference of gradients?
#
# The difference quotient $\left(g(\theta + hv) - g(\theta)\right)/h$ costs one gradient, less than $H v$. But a large
# h has an error of order h, and a small h an error of order $10^{-16}/h$ from cancellation. At the best h only half
# of the digits are right: `difference: best error > 1e-10`. The complex step has no such limit, but complex
# arithmetic costs more.

# %%
powers = 10.0 ** np.arange(-18, 1)


def full_gradient(theta):
    _, a, z = forward(theta)
    *_, DW, Db = backward(theta, a, z)
    return np.concatenate([DW[1].ravel(), Db[1], DW[2].ravel(), Db[2]])


def relative(product):
    return max(np.linalg.norm(product - Hv) / np.linalg.norm(Hv), 1e-17)


quotient = [relative((full_gradient(theta + h * v) - full_gradient(theta)) / h) for h in powers]
complex_step = [relative(full_gradient(theta + 1j * h * v).imag / h) for h in powers]
assert min(quotient) > 1e-10
assert max(complex_step[:8]) < 1e-13
print("difference: best error > 1e-10")

fig, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
ax.loglog(powers, quotient, "o-", color="#B34700", markersize=4)
ax.loglog(powers, complex_step, "s--", color="#0072B2", markersize=4)
ax.text(1e-13, 1e-1, "difference of gradients", color="#B34700")
ax.text(1e-13, 1e-14, "complex step", color="#0072B2")
ax.set(xlabel="step h", ylabel="relative error of H v", title="Two ways to differentiate the gradient")
plt.show()

# %% [markdown]
# **Picture.** The error of the difference (solid, dots) is a V: to the right the curvature of g, to the left
# cancellation. Its best is in the middle. The error of the complex step (dashed, squares) falls with h squared, down
# to rounding, and stays there.
#
# ## Three terms make the difference to Gauss-Newton
#
# Three terms of sweep 4 contain a D: `Ra' Dz`, `Dz V'` and `Da f'' Rs`. They are the curvature of the network itself.
# Without them nothing fails loudly; the result is exactly the Gauss-Newton product of the next tutorial. So check
# your product against the Hessian, and do not trust a plausible loss curve.

# %%
RDs_1 = (RDz @ W[2].T) * (1 - a[1] ** 2)
without = np.concatenate([(a[0].T @ RDs_1).ravel(), RDs_1.sum(axis=0), (a[1].T @ RDz).ravel(), RDb[2]])
G = refhf.supervised(net, X, labels).gauss_newton(theta)
assert np.allclose(without, G @ v, rtol=1e-12, atol=1e-14)
assert np.linalg.norm(without - Hv) > 0.1 * np.linalg.norm(Hv)
print("without the three terms: G v, and not H v")

# %% [markdown]
# ## The cost, in matrix products
#
# Matrix products take almost all the time. We count those of the package with layers that record the multiplications
# of each product for one case: n_in n_out for each of the three kinds.

# %%
notes = []


def noting(product):
    def noted(layer, *factors, **out):
        notes.append(layer.n_in * layer.n_out)
        return product(layer, *factors, **out)

    return noted


kinds = {kind: noting(getattr(Dense, kind)) for kind in ("product", "adjoint_input", "adjoint_weight")}
NotingDense = type("NotingDense", (Dense,), kinds)


def cost(sizes):
    """What a gradient notes, and what a product with H notes, on one case."""
    net = refhf.mlp(sizes)
    blocks = [NotingDense(b.n_in, b.n_out) if isinstance(b, Dense) else b for b in net.chain.blocks]
    net = net._replace(chain=Chain(tuple(blocks)))
    objective, theta = refhf.supervised(net, np.ones((1, sizes[0])), [0]), np.ones(net.size)
    notes.clear()
    objective.value_and_gradient(theta)
    of_gradient = notes.copy()
    H = objective.hessian(theta)  # sweeps 1 and 2: kept, and not counted
    notes.clear()
    H @ theta
    return of_gradient, notes.copy()


of_gradient, of_product = cost([4, 5, 3])
print(f"gradient = {len(of_gradient)} matrix products, H v = {len(of_product)} matrix products")
assert (len(of_gradient), len(of_product)) == (5, 8)

for sizes, expected in (([512] * 9, 1.91), ([784, 400, 150, 10], 1.23)):
    of_gradient, of_product = cost(sizes)
    ratio = sum(of_product) / sum(of_gradient)
    print(f"{sizes[0]}-{sizes[1]}-...: H v on a kept tape = {ratio:.2f} gradients, from scratch = {1 + ratio:.2f}")
    assert round(ratio, 2) == expected

# %% [markdown]
# For our two layers: `gradient = 5 matrix products`, `H v = 8 matrix products`. Count the @ above. In general L
# layers cost 3 L - 1 and 6 L - 4, because the first layer has no Da to pass on and RX = 0.
#
# He et al. (section 4.1) say "roughly twice the cost of a gradient evaluation". Eight equal layers of 512 units
# confirm this, in multiplications: `H v on a kept tape = 1.91 gradients`. In the paper's 784-400-150-10 most of the
# work is in the first layer: `H v on a kept tape = 1.23 gradients`. Repeating sweeps 1 and 2 for every product costs
# one gradient more, `from scratch = 2.23`.
#
# ## Exercises
#
# **1.** Derive $RDs$ for the logistic function $f(s) = 1/(1 + e^{-s})$. Which factors replace $1 - a^2$ and
# $-2a(1 - a^2)$?
#
# <details><summary>Answer</summary>
#
# $f' = a(1 - a)$ and $f'' = (1 - 2a)\, a (1 - a)$. The rest of (7) stays.
#
# </details>

# %%
# Answer to exercise 1, checked
of_s, Rs_1 = rng.normal(size=(2, 10))
a_1 = 1 / (1 + np.exp(-of_s))
derivative = 1 / (1 + np.exp(-(of_s + 1e-20j * Rs_1)))
assert np.allclose(derivative.imag / 1e-20, a_1 * (1 - a_1) * Rs_1, rtol=1e-12)
slope = derivative * (1 - derivative)
assert np.allclose(slope.imag / 1e-20, (1 - 2 * a_1) * a_1 * (1 - a_1) * Rs_1, rtol=1e-12)

# %% [markdown]
# **2.** The objective gets a weight decay $\frac{\mu}{2} |\theta|^2$. What changes in $H v$? At which line of the
# sweeps?
#
# <details><summary>Answer</summary>
#
# The gradient gets $\mu\theta$. Since $R\{\theta\} = v$, the product gets $\mu v$, after the last line. No sweep
# changes.
#
# </details>

# %%
# Answer to exercise 2, checked
net = refhf.mlp([4, 5, 3], nonlinearity="tanh", loss="softmax_cross_entropy")
decayed = refhf.supervised(net, X, labels, l2=0.01).hessian(theta) @ v
assert np.allclose(decayed, Hv + 0.01 * v, rtol=1e-12, atol=1e-14)

# %% [markdown]
# **3.** How do you compute $v'Hv$ with sweeps 1 to 3 only?
#
# <details><summary>Answer</summary>
#
# Not exactly: $v'Hv = R\{v'g\}$ needs the second derivative of z along v. But the Gauss-Newton part $v'Gv$ needs only
# $Rz$: it is the mean over the cases of $Rz'(\operatorname{diag}(p) - pp')Rz$.
#
# </details>

# %%
# Answer to exercise 3, checked
part = np.sum(p * Rz**2) - np.sum(np.sum(p * Rz, axis=1) ** 2)
assert np.isclose(part / B, v @ (G @ v))

# %% [markdown]
# ## What to remember
#
# - $H v$ is the derivative of the gradient along $v$: differentiate each line of backpropagation.
# - Every product gives two terms; $f'$ gives a term with $f''$.
# - It is exact, and costs about one to two gradients if the tape is kept.
# - A complex step checks each line by itself, to rounding.
