# %% [markdown]
# # 1. The R-operator by hand
#
# Hessian-free optimisation never forms the Hessian H. It only needs products H v. Pearlmutter (1994) showed how to
# compute one exactly, for a few more matrix products: differentiate *the lines of backpropagation themselves* along
# v. He et al. 2016 use it in section 4.1 and in line 5 of Algorithm 2. The operator R{x} = d/dr x(theta + r v) at r =
# 0 obeys the rules of any derivative:
#
#     R{x + y} = Rx + Ry      R{x y} = Rx y + x Ry      R{f(x)} = f'(x) Rx      R{theta} = v
#
# H v is R{gradient}. We write each line of the two sweeps of a two-layer network, then R of each line, and check each
# of them. The names are those of the notation table in `refhf/__init__.py`: Dx is df/dx, Rx is R{x}, and RDx is
# R{df/dx}. theta is one flat vector, here `P = 43`, with the parts W_1, b_1, W_2, b_2. The parts of v are V_1, c_1,
# V_2, c_2.

# %%
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
# Rows are cases. The objective is the mean cross-entropy of p = softmax(z), so df/dz is (p - y) / B.


# %%
def softmax(z):
    return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)


def forward(theta):
    (W, b), s, a = layers(theta), {}, {0: X}
    s[1] = a[0] @ W[1] + b[1]
    a[1] = np.tanh(s[1])
    z = a[1] @ W[2] + b[2]
    return s, a, z


def backward(theta, a, z):
    (W, _), Ds, Da, DW, Db = layers(theta), {}, {}, {}, {}
    Dz = (softmax(z) - y) / B
    DW[2] = a[1].T @ Dz
    Db[2] = Dz.sum(axis=0)
    Da[1] = Dz @ W[2].T
    Ds[1] = Da[1] * (1 - a[1] ** 2)  # tanh' = 1 - tanh^2
    DW[1] = a[0].T @ Ds[1]
    Db[1] = Ds[1].sum(axis=0)
    return Dz, Ds, Da, DW, Db


s, a, z = forward(theta)
Dz, Ds, Da, DW, Db = backward(theta, a, z)

# %% [markdown]
# ## The check: a complex step
#
# These lines are analytic, so they run on complex numbers unchanged. With h so small that h^2 vanishes,
#
#     x(theta + i h v) = x(theta) + i h R{x},       R{x} = Im x(theta + i h v) / h
#
# There is no subtraction, hence no cancellation (Squire and Trapp 1998). We run the sweeps once at theta + i h v. The
# imaginary part of *each line*, divided by h, is the exact value of its R-line: `R{s_1}: relative error < 1e-13`.
# (The exact error is rounding, and differs between processors.)

# %%
h = 1e-20
s_h, a_h, z_h = forward(theta + 1j * h * v)
Dz_h, Ds_h, Da_h, DW_h, Db_h = backward(theta + 1j * h * v, a_h, z_h)
checked = []


def check(name, by_hand, line_at_h):
    truth = line_at_h.imag / h
    error = abs(by_hand - truth).max() / abs(truth).max()
    assert error < 1e-13, f"the line of {name} is differentiated wrongly"
    print(f"R{{{name}}}: relative error < 1e-13")
    checked.append(name)


# %% [markdown]
# ## Sweep 3: R-forward
#
# The inputs do not depend on theta, so RX = 0. Every product has one term for each factor that depends on theta.

# %%
Rs, Ra = {}, {}
Rs[1] = a[0] @ V[1] + c[1]
check("s_1", Rs[1], s_h[1])
Ra[1] = (1 - a[1] ** 2) * Rs[1]
check("a_1", Ra[1], a_h[1])
Rz = a[1] @ V[2] + Ra[1] @ W[2] + c[2]
check("z", Rz, z_h)

# %% [markdown]
# ## Sweep 4: R-backward
#
# R{softmax(z)} is (diag(p) - p p') Rz, case by case. The derivative of tanh' is -2 tanh tanh'. RDW and RDb are the
# parts of the product that belong to W and b.

# %%
RDs, RDa, RDW, RDb = {}, {}, {}, {}
p = softmax(z)
RDz = (p * Rz - p * (p * Rz).sum(axis=1, keepdims=True)) / B
check("Dz", RDz, Dz_h)
RDW[2] = a[1].T @ RDz + Ra[1].T @ Dz
check("DW_2", RDW[2], DW_h[2])
RDb[2] = RDz.sum(axis=0)
check("Db_2", RDb[2], Db_h[2])
RDa[1] = RDz @ W[2].T + Dz @ V[2].T
check("Da_1", RDa[1], Da_h[1])
RDs[1] = RDa[1] * (1 - a[1] ** 2) + Da[1] * (-2 * a[1] * (1 - a[1] ** 2)) * Rs[1]
check("Ds_1", RDs[1], Ds_h[1])
RDW[1] = a[0].T @ RDs[1]
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
