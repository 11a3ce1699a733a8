# %% [markdown]
# # 4. Check your own
#
# You have written a Hessian product, or a conjugate gradient solver, and training does not quite work. Is the code
# wrong? A wrong curvature product does not crash: the optimiser still goes downhill, only less well. This tutorial
# finds, names and corrects three common mistakes. Each takes one call: `refhf.check_hessian_product`,
# `refhf.check_gauss_newton_product`, `refhf.check_solver`.
#
# A checker tests laws. Your function must agree with the reference and with derivatives of your own gradient. It must
# be symmetric and linear, give the same bits twice, and not overwrite its arguments. For each law the checker reports
# how many *digits* agree in the worst direction, and how many are required. (Digits beyond these are rounding, and
# differ between processors.) If a law fails, the checker looks for a known mistake that gives exactly these numbers.

# %%
import matplotlib.pyplot as plt
import numpy as np

import refhf

rng = np.random.default_rng(0)
net = refhf.mlp([6, 5, 3], nonlinearity="tanh", loss="softmax_cross_entropy")
X, y = rng.standard_normal((11, 6)), rng.integers(0, 3, 11)
objective = refhf.supervised(net, X, y, l2=0.01)
theta = net.init(rng=1)


def digits(report, law):
    """The number of digits that agree in the finding whose law starts with `law`."""
    return next(finding.digits for finding in report.findings if finding.law.startswith(law))


# %% [markdown]
# ## 1. A Hessian product without f''
#
# Pearlmutter's rule for a product with the Hessian differentiates each line of backpropagation along v. Here it is
# written out for one hidden layer, in the notation of refhf (Rx is the derivative of x along v). It contains a
# mistake.


# %%
def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def hessian_product(theta, v, bend):
    (W, b), (w2, b2) = net.unpack(theta)
    (V, c), (v2, c2) = net.unpack(v)
    a = np.tanh(X @ W + b)
    p = softmax(a @ w2 + b2)
    Dz = (p - np.eye(3)[y]) / len(X)
    Da = Dz @ w2.T
    Rs = X @ V + c
    Ra = (1 - a**2) * Rs
    Rz = Ra @ w2 + a @ v2 + c2
    RDz = p * (Rz - (p * Rz).sum(axis=1, keepdims=True)) / len(X)
    RDs = (RDz @ w2.T + Dz @ v2.T) * (1 - a**2) + bend(a) * Da * Rs
    parts = X.T @ RDs, RDs.sum(axis=0), a.T @ RDz + Ra.T @ Dz, RDz.sum(axis=0)
    return np.concatenate([part.ravel() for part in parts]) + 0.01 * v


def mine(theta, v):
    return hessian_product(theta, v, bend=lambda a: 0.0)


# %% [markdown]
# Is it symmetric? Yes: `symmetric: 12 digits or more = True`. Is it linear? Yes. The product passes these two popular
# tests, and yet its first digit is wrong: `laws that fail = 1`. The checker names the missing term.

# %%
report = refhf.check_hessian_product(mine, theta, objective)
print(report)
failed = [finding.law for finding in report.findings if not finding.passed]
print(f"laws that fail = {len(failed)}")
print(f"symmetric: 12 digits or more = {digits(report, 'symmetric') >= 12}")
assert failed == ["the reference"]
assert digits(report, "symmetric") >= 12
assert [cause.pattern.name for cause in report.causes] == ["NO_BEND"]
print(f"diagnosis of 1 = {report.causes[0].pattern.name}")

found = [finding for finding in report.findings if finding.digits is not None][::-1]
fig, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
colours = ["#8CC4E8" if finding.passed else "#B34700" for finding in found]
hatches = ["" if finding.passed else "//" for finding in found]
names = [finding.law.split(":")[0].strip("()") for finding in found]
names = [name if name != "linear" else f"linear {i}" for i, name in enumerate(names, 1)]
ax.barh(names, [max(finding.digits, 0.1) for finding in found], color=colours, hatch=hatches, height=0.6)
ax.plot([finding.needed for finding in found], names, "k|", markersize=22, markeredgewidth=3)
ax.set(xlabel="digits that agree (black stroke: digits required)", title="Laws of my product")
plt.show()

# %% [markdown]
# **Picture.** One bar a law. All bars but one reach beyond their stroke; the bar of the reference is hardly visible.
# Symmetry and linearity are right to all digits, and the product is still wrong.
#
# `diagnosis of 1 = NO_BEND`: f' depends on s, and s changes along v, so there is a further term R{f'(s)} = f''(s)
# R{s}; for tanh, f'' = -2 a (1 - a^2). With it the laws hold: `with f'' passed = True`.


# %%
def mended(theta, v):
    return hessian_product(theta, v, bend=lambda a: -2 * a * (1 - a**2))


report = refhf.check_hessian_product(mended, theta, objective)
print(f"with f'' passed = {report.passed}")
assert report.passed

# %% [markdown]
# If refhf has no reference for your network, your own gradient is enough: the checker compares the product with its
# derivative. If the gradient accepts complex numbers, this derivative is exact to rounding (a complex step). If not,
# it is a central difference with about eight digits, and the checker estimates a bound of its error. The checker
# catches the same mistake, `caught without a reference = True`, but it needs the reference to name it.


# %%
def gradient(theta):
    (W, b), (w2, b2) = net.unpack(theta)
    a = np.tanh(X @ W + b)
    Dz = (softmax(a @ w2 + b2) - np.eye(3)[y]) / len(X)
    Ds = Dz @ w2.T * (1 - a**2)
    parts = X.T @ Ds, Ds.sum(axis=0), a.T @ Dz, Dz.sum(axis=0)
    return np.concatenate([part.ravel() for part in parts]) + 0.01 * theta


report = refhf.check_hessian_product(mine, theta, gradient=gradient)
print(f"caught without a reference = {not report.passed}")
assert not report.passed
assert refhf.check_hessian_product(mended, theta, gradient=gradient).passed

# %% [markdown]
# ## 2. A Gauss-Newton product of the wrong size
#
# G = J' H_L J / B + l2 I. The next product has two mistakes: it sums over the cases instead of averaging, and it
# omits the weight decay. The directions that CG finds with it are nearly right, but lambda, rho and the step length
# are wrong by the batch size, B = 11.


# %%
def gauss_newton_product(theta, v):
    (W, b), (w2, b2) = net.unpack(theta)
    (V, c), (v2, c2) = net.unpack(v)
    a = np.tanh(X @ W + b)
    p = softmax(a @ w2 + b2)
    Rz = ((1 - a**2) * (X @ V + c)) @ w2 + a @ v2 + c2
    u = p * (Rz - (p * Rz).sum(axis=1, keepdims=True))
    Ds = u @ w2.T * (1 - a**2)
    return np.concatenate([part.ravel() for part in (X.T @ Ds, Ds.sum(axis=0), a.T @ u, u.sum(axis=0))])


report = refhf.check_gauss_newton_product(gauss_newton_product, theta, objective)
print(report)
names = [cause.pattern.name for cause in report.causes]
print(f"diagnosis of 2 = {', '.join(names)}")
assert names == ["SUM_NOT_MEAN", "NO_DECAY"]

# %% [markdown]
# Two causes at once, and both are found: `diagnosis of 2 = SUM_NOT_MEAN, NO_DECAY`. The checker does not try all
# combinations of mistakes. It fits your results by c G v + lambda v, and finds c = 11 and lambda = 0. The corrected
# product passes: `mean and decay mended, passed = True`.

# %%
report = refhf.check_gauss_newton_product(
    lambda theta, v: gauss_newton_product(theta, v) / len(X) + 0.01 * v, theta, objective
)
print(f"mean and decay mended, passed = {report.passed}")
assert report.passed

# %% [markdown]
# ## 3. A conjugate gradient solver that ignores x0
#
# The third function solves every system from x = 0, and was tested only there. Hessian-free optimisation starts it
# from the last step's solution.


# %%
def cg(A, b, x0=None, *, rtol=1e-5, maxiter=None, first_residual=lambda A, b, x: b):
    x = np.zeros_like(b) if x0 is None else x0.copy()
    r = first_residual(A, b, x)
    p, rho = r, r @ r
    for _ in range(10 * len(b) if maxiter is None else maxiter):
        if np.sqrt(rho) <= rtol * np.linalg.norm(b):
            break
        Ap = A @ p
        if not p @ Ap > 0:
            return x, -1
        alpha = rho / (p @ Ap)
        x, r = x + alpha * p, r - alpha * Ap
        old, rho = rho, r @ r
        p = r + rho / old * p
    return x, 0 if np.sqrt(rho) <= rtol * np.linalg.norm(b) else 1


def right(A, b, x0=None, *, rtol=1e-5, maxiter=None):
    return cg(A, b, x0, rtol=rtol, maxiter=maxiter, first_residual=lambda A, b, x: b - A @ x)


A, b = np.diag([1.0, 2.0, 3.0]), np.ones(3)
for x0 in (None, np.array([0.0, 0.0, 1.0])):
    x, info = cg(A, b, x0)
    print(f"info = {info}, true residual = {np.linalg.norm(b - A @ x):.0f}")

# %% [markdown]
# From x = 0 the result is right. From x0 = (0, 0, 1) the solver also reports success, `info = 0, true residual = 3`,
# but the result is far off: its r is no longer b - A x, and the recurrence does not show this. The checker computes
# the true residual of each iterate, with maxiter = 1, 2, 3, 4, with and without x0. The iterates match one known
# mistake: `diagnosis of 3 = X0_RESIDUAL`.

# %%
assert info == 0
assert round(np.linalg.norm(b - A @ x)) == 3
report = refhf.check_solver(cg)
print(report)
print(f"diagnosis of 3 = {report.causes[0].pattern.name}")
assert not report.passed
assert [cause.pattern.name for cause in report.causes] == ["X0_RESIDUAL"]
report = refhf.check_solver(right)
print(f"with b - A x0, passed = {report.passed}")
assert report.passed

# %% [markdown]
# `with b - A x0, passed = True`. From the command line the same checkers are
#
#     refhf check mine.py:hvp --against hessian --sizes 6,5,3 --l2 0.01
#     refhf check mine.py:cg --against cg
#
# where X and y are passed as in SciPy's `args`: hvp(theta, v, X, y). Exit status 1 means that a law failed, 2 that
# the command was wrong. For PyTorch, give theta as a tensor, and your function receives tensors. Use layout="out-in"
# if theta comes from `torch.nn.Linear`, which stores W as (out, in).
#
# ## Exercises
#
# **1.** A product returns $-Hv$. Which laws hold, and which diagnosis do you expect?
#
# <details><summary>Answer</summary>
#
# It is symmetric and linear; only the reference fails. The checker finds that the result is a multiple of the right
# one.
#
# </details>

# %%
# Answer to exercise 1, checked
report = refhf.check_hessian_product(lambda theta, v: -mended(theta, v), theta, objective)
print(report)
assert [finding.law for finding in report.findings if not finding.passed] == ["the reference"]
assert report.causes

# %% [markdown]
# **2.** A product that adds $10^{-6} v$ is wrong by little. Does the checker notice? How many digits agree?
#
# <details><summary>Answer</summary>
#
# Yes. In float64 twelve digits are required; about five to six agree.
#
# </details>

# %%
# Answer to exercise 2, checked
report = refhf.check_hessian_product(lambda theta, v: mended(theta, v) + 1e-6 * v, theta, objective)
assert not report.passed
assert 4 < digits(report, "the reference") < 8

# %% [markdown]
# **3.** Write a function that returns $Hv$ for the *first* call and then the same vector for every $v$ (a cache by
# mistake). Which laws catch it?
#
# <details><summary>Answer</summary>
#
# Symmetry, linearity and the reference all fail. "Same call, same result" holds.
#
# </details>

# %%
# Answer to exercise 3, checked
cache = []


def cached(theta, v):
    cache.append(mended(theta, v))
    return cache[0].copy()


report = refhf.check_hessian_product(cached, theta, objective)
failed = {finding.law.split(":")[0] for finding in report.findings if not finding.passed}
assert {"the reference", "symmetric", "linear"} <= failed

# %% [markdown]
# ## What to remember
#
# - A wrong curvature product does not crash, and training still goes downhill: test it.
# - Symmetric and linear is not enough. Compare with a derivative of your own gradient.
# - Check a solver from a start that is not zero, and by its true residual.
# - The size of an error can name its cause.
