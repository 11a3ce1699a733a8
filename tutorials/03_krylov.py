# %% [markdown]
# # 3. Conjugate gradients and Bi-CG-STAB on matrices one can see
#
# Line 6 of He et al.'s Algorithm 2 asks for the solution of (G_k + lambda I) v = -g_k "by CG (BI-CG) method". This
# tutorial runs both solvers on matrices of two and three rows, where every number can be checked by hand. One
# function of a matrix A and a right-hand side b describes both:
#
#     phi(x) = x'Ax/2 - b'x,      gradient  A x - b = -r,      r = b - A x the residual
#
# In refhf a solver is a generator of iterates, `refhf.cg_iterates` or `refhf.bicgstab_iterates`. The calling loop
# decides when to stop.

# %%
from itertools import islice

import numpy as np
from scipy.sparse.linalg import LinearOperator

import refhf
from refhf.krylov.stopping import advance, negative_curvature


def show(iterates, last):
    """Print iterates 0 .. last, and return them."""
    kept = list(islice(iterates, last + 1))
    for it in kept:
        x = ", ".join(f"{number:.4f}" for number in np.round(it.x, 4) + 0)
        print(f"k = {it.k}: x = ({x}), phi = {round(it.phi, 4) + 0:.4f}")
    return kept


# %% [markdown]
# ## Conjugate gradients by hand
#
# Saad 2003, Algorithm 6.18. Take A = (4 1; 1 3), b = (1, 2), x_0 = 0. Then p_0 = r_0 = b, r_0'r_0 = 5, p_0'Ap_0 = 20,
# and so alpha_0 = 5/20: `x = (0.2500, 0.5000), phi = -0.6250`. The next step gives the exact solution (1/11, 7/11):
# `x = (0.0909, 0.6364), phi = -0.6818`. A is positive definite, so phi falls at every step: CG minimises it over a
# growing space.

# %%
A, b = np.array([[4.0, 1.0], [1.0, 3.0]]), np.array([1.0, 2.0])
first, second, third = show(refhf.cg_iterates(A, b), 2)
assert np.allclose(second.x, [1 / 4, 1 / 2])
assert np.allclose(third.x, [1 / 11, 7 / 11])
assert np.allclose([first.phi, second.phi, third.phi], [0, -5 / 8, -15 / 22])

# %% [markdown]
# Residuals are orthogonal, and directions are conjugate: `r_0'r_1 = 0.0`, `p_0'A p_1 = 0.0`. phi costs no product
# with A: phi = -x'(r + b)/2, and CG already has the residual r.

# %%
print(f"r_0'r_1 = {abs(first.r @ second.r):.1f}, p_0'A p_1 = {abs(first.p @ A @ second.p):.1f}")
assert np.allclose([first.r @ second.r, first.p @ A @ second.p], 0, atol=1e-14)
assert np.isclose(-second.x @ (second.r + b) / 2, second.x @ A @ second.x / 2 - b @ second.x)

# %% [markdown]
# ## k distinct eigenvalues, k iterations
#
# After k steps the residual is r_k = q(A) b, where q is the best polynomial of degree k with q(0) = 1. If A has k
# distinct eigenvalues, the polynomial with these k roots makes r_k = 0. So (2 1 1; 1 2 1; 1 1 2), with eigenvalues 1,
# 1 and 4, takes `iterations = 2, eigenvalues 1, 1, 4`; (2 1 0; 1 2 1; 0 1 2), with three, takes three.


# %%
def iterations(A, b):
    _, info = refhf.cg(A, b, rtol=1e-10)
    assert info.stop.name == "CONVERGED"
    return info.iterations


b = np.array([1.0, 2.0, 3.0])
twins = np.array([[2.0, 1.0, 1.0], [1.0, 2.0, 1.0], [1.0, 1.0, 2.0]])
chain = np.array([[2.0, 1.0, 0.0], [1.0, 2.0, 1.0], [0.0, 1.0, 2.0]])
show(refhf.cg_iterates(twins, b), 2)
print(f"iterations = {iterations(twins, b)}, eigenvalues 1, 1, 4")
print(f"iterations = {iterations(chain, b)}, eigenvalues 2 - sqrt(2), 2, 2 + sqrt(2)")
assert np.allclose(np.linalg.eigvalsh(twins), [1, 1, 4])
assert (iterations(twins, b), iterations(chain, b)) == (2, 3)

# %% [markdown]
# The clusters of eigenvalues matter, not the size: 400 rows with five distinct eigenvalues take `iterations = 5, of
# 400`. A hundred eigenvalues from 0.001 to 1 are hard. Adding lambda = 1 to each makes them nearly equal, and CG
# needs fewer iterations, `iterations with lambda = 1 / without < 1/5`. So damping also saves products in Hessian-free
# optimisation.

# %%
five = np.diag(np.repeat([1.0, 2.0, 3.0, 5.0, 8.0], 80))
spread = np.diag(np.logspace(-3, 0, 100))
undamped, damped = iterations(spread, np.ones(100)), iterations(spread + np.eye(100), np.ones(100))
print(f"iterations = {iterations(five, np.arange(1.0, 401.0))}, of 400")
assert iterations(five, np.arange(1.0, 401.0)) == 5
assert damped < undamped / 5  # 13 and about 200; the exact numbers depend on rounding
print("iterations with lambda = 1 / without < 1/5")

# %% [markdown]
# ## Negative curvature: the result of CG
#
# A = (1 2; 2 1) has eigenvalues 3 and -1, so phi is unbounded below along some direction. With b = (1, 0) the first
# step is fine (p_0'Ap_0 = 1). The next direction is p_1 = (4, -2) with `p_1'A p_1 = -12`. He et al. (section 4.1)
# "choose the current iteration whenever a negative curvature direction is encountered": CG must stop *before* it
# steps along p_1. So CG returns x_1, and with it the useful direction p_1: `x_1 = (1, 0), p_1 = (4, -2)`.
#
# The test is a rule over iterates, like any other reason to stop: `negative_curvature` in `refhf/krylov/stopping.py`.

# %%
A, b = np.array([[1.0, 2.0], [2.0, 1.0]]), np.array([1.0, 0.0])
it, stop = advance(refhf.cg_iterates(A, b, stop_at=negative_curvature))
print(f"x_{it.k} = ({it.x[0]:.0f}, {it.x[1]:.0f}), p_{it.k} = ({it.p[0]:.0f}, {it.p[1]:.0f})")
print(f"p_{it.k}'A p_{it.k} = {it.curvature:.0f}: {stop.value}")
assert (it.k, round(it.curvature)) == (1, -12)
assert np.allclose([it.x, it.p], [[1, 0], [4, -2]])

_, info = refhf.cg(A, b)  # the signature of SciPy's cg, but it stops at negative curvature
assert info.stop is stop
assert np.allclose(info.direction, it.p)

# %% [markdown]
# The bare recurrence would continue and "solve" the system: at (-1/3, 2/3), `phi = 0.1667`, the gradient is zero. But
# this point is the saddle of phi, and higher than the start. With negative curvature, solving is not minimising.

# %%
*_, saddle = show(refhf.cg_iterates(A, b), 2)
assert np.allclose(saddle.x, np.linalg.solve(A, b))
assert np.isclose(saddle.phi, 1 / 6)

# %% [markdown]
# ## Bi-CG-STAB
#
# He et al.'s Algorithm 3 needs neither symmetry nor positive curvature, but costs two products per iteration, A p and
# A s. On the first matrix it also takes two iterations, but `products = 4`, twice CG's two. So compare the two
# solvers at equal *products*, never at equal iterations.

# %%
A, b = np.array([[4.0, 1.0], [1.0, 3.0]]), np.array([1.0, 2.0])
products = []
counting = LinearOperator((2, 2), matvec=lambda p: products.append(p) or A @ p, dtype=float)
*_, last = show(refhf.bicgstab_iterates(counting, b), 2)
print(f"products = {len(products)}")
assert len(products) == 4
assert np.allclose(last.x, [1 / 11, 7 / 11])

# %% [markdown]
# ## Breakdowns have names
#
# The recurrence divides by three numbers. Each of them can be zero. With A = (0 1; 1 0) and b = (1, 0), A p_0 = (0,
# 1) is orthogonal to r_0*: `stop = ALPHA_BREAKDOWN`. With (1 -1; 1 0), s = (0, -1) and A s = (1, 0): `stop =
# GAMMA_BREAKDOWN`. Both are reported, and x stays finite.

# %%
swap, b = np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([1.0, 0.0])
for A, name in ((swap, "ALPHA_BREAKDOWN"), (np.array([[1.0, -1.0], [1.0, 0.0]]), "GAMMA_BREAKDOWN")):
    x, info = refhf.bicgstab(A, b)
    print(f"stop = {info.stop.name}: {info.stop.value}")
    assert info.stop.name == name
    assert np.isfinite(x).all()

# %% [markdown]
# Algorithm 3, line 1, leaves the shadow r_0* free: "choose r_0* such that (r_0, r_0*) != 0". The usual r_0* = r_0
# broke down. With r_0* = (1, 1) one iteration solves the same system: `x = (0.0000, 1.0000)`.

# %%
*_, last = show(refhf.bicgstab_iterates(swap, b, shadow=np.array([1.0, 1.0])), 1)
assert np.allclose(last.x, [0, 1])

# %% [markdown]
# ## On an indefinite matrix Bi-CG-STAB is Newton's method, which converges to saddles
#
# Take (1 2; 2 1) and b = (1, 0) again, that is g = (-1, 0). After one iteration Bi-CG-STAB gives d with `g'd = -1.00,
# d'Ad = -0.44`: downhill, along negative curvature. The paper hopes for this (section 4.2). After two iterations it
# has solved the system. Its d then leads to the saddle above, with `g'd = 0.33, d'Ad = -0.33`: uphill!
#
# The paper's remedy: every iterate is a candidate and is turned downhill, d~ = -sign(g'd) d. The turned d~ is a
# direction of negative curvature. So the truncation and the sign find the descent direction here; the solver does
# not.

# %%
A, g = np.array([[1.0, 2.0], [2.0, 1.0]]), np.array([-1.0, 0.0])
for it in show(refhf.bicgstab_iterates(A, -g), 2)[1:]:
    d = it.x
    turned = -np.sign(g @ d) * d
    print(f"     g'd = {g @ d:.2f}, d'Ad = {d @ A @ d:.2f}; turned: g'd~ = {g @ turned:.2f}")
    assert (round(g @ d, 2), round(d @ A @ d, 2)) == {1: (-1.0, -0.44), 2: (0.33, -0.33)}[it.k]
    assert g @ turned < 0
assert np.allclose(it.x, saddle.x)

# %% [markdown]
# This is the rule: for f(x, y) = x^2 - y^2 the exact Newton step from *any* point ends at the saddle (0, 0), and it
# goes uphill wherever |y| > |x|.

# %%
rng, H = np.random.default_rng(0), np.diag([2.0, -2.0])
for point in rng.normal(size=(1000, 2)):
    g = H @ point
    d, _ = refhf.bicgstab(H, -g, rtol=1e-8)
    assert np.linalg.norm(point + d) < 1e-6 * np.linalg.norm(point)
    assert (g @ d > 0) == (abs(point[1]) > abs(point[0]))
print("of 1000 starts, on the saddle after one Newton step = 1000")

# %% [markdown]
# `on the saddle after one Newton step = 1000`. A Krylov method also stays in the space spanned by b, A b, A^2 b, ...
# In the paper's example, f = x^2/2 + y^4/4 - y^2/2 (eq. 2), at (1, 0), b and A b lie on the line y = 0, and so does
# every Krylov vector: `y = 0.0`. Only a start delta_0 off the line leaves it (Algorithm 2, line 1): from (0, 0.1),
# the first iterate has `y = 0.0040`.

# %%
A, b = np.diag([1.0, -1.0]), np.array([-1.0, 0.0])
*_, on_line = refhf.bicgstab_iterates(A, b)
_, off_line, *_ = refhf.bicgstab_iterates(A, b, x0=np.array([0.0, 0.1]))
print(f"from delta_0 = (0, 0): y = {on_line.x[1]:.1f}; from (0, 0.1): y = {off_line.x[1]:.4f}")
assert on_line.x[1] == 0
assert round(off_line.x[1], 4) == 0.004
