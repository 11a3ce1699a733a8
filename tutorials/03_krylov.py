# %% [markdown]
# # 3. Conjugate gradients and Bi-CG-STAB on matrices one can see
#
# Line 6 of He et al.'s Algorithm 2 asks for the solution of (G_k + lambda I) v = -g_k "by CG (BI-CG) method". This
# tutorial runs both solvers on matrices of two and three rows, where every number can be checked by hand. One
# function of a matrix $A$ and a right-hand side $b$ describes both:
#
# $$\varphi(x) = \tfrac12 x'Ax - b'x, \qquad \nabla \varphi(x) = Ax - b = -r, \qquad r = b - Ax \text{ the residual}
# \tag{1}$$
#
# In refhf a solver is a generator of iterates, `refhf.cg_iterates` or `refhf.bicgstab_iterates`. The calling loop
# decides when to stop.

# %%
from itertools import islice

import matplotlib.pyplot as plt
import numpy as np
from scipy.sparse.linalg import LinearOperator

import refhf
from refhf.krylov.stopping import advance, negative_curvature

BLUE, RED = "#0072B2", "#B34700"
ARROW = {"arrowprops": {"arrowstyle": "->"}, "backgroundcolor": "white"}


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
# Saad 2003, Algorithm 6.18. From $p_0 = r_0 = b - A x_0$, each iteration is five lines:
#
# $$\begin{aligned}
# \alpha_k &= r_k'r_k \,/\, p_k'Ap_k &\quad(2)\\
# x_{k+1} &= x_k + \alpha_k p_k &\quad(3)\\
# r_{k+1} &= r_k - \alpha_k A p_k &\quad(4)\\
# \beta_k &= r_{k+1}'r_{k+1} \,/\, r_k'r_k &\quad(5)\\
# p_{k+1} &= r_{k+1} + \beta_k p_k &\quad(6)
# \end{aligned}$$
#
# Take A = (4 1; 1 3), b = (1, 2), x_0 = 0. Then p_0 = r_0 = b, r_0'r_0 = 5, p_0'Ap_0 = 20,
# and so alpha_0 = 5/20: `x = (0.2500, 0.5000), phi = -0.6250`. The next step gives the exact solution (1/11, 7/11):
# `x = (0.0909, 0.6364), phi = -0.6818`. A is positive definite, so phi falls at every step: CG minimises it over a
# growing space.

# %%


def by_hand(A, b, x, steps):
    """The points of conjugate gradients, x_0 first."""
    points, r = [x], b - A @ x
    p = r
    for _ in range(steps):
        alpha = r @ r / (p @ A @ p)  # (2)
        x = x + alpha * p  # (3)
        before, r = r, r - alpha * A @ p  # (4)
        beta = r @ r / (before @ before)  # (5)
        p = r + beta * p  # (6)
        points.append(x)
    return np.array(points)


A, b = np.array([[4.0, 1.0], [1.0, 3.0]]), np.array([1.0, 2.0])
first, second, third = show(refhf.cg_iterates(A, b), 2)
assert np.allclose(second.x, [1 / 4, 1 / 2])
assert np.allclose(third.x, [1 / 11, 7 / 11])
assert np.allclose([first.phi, second.phi, third.phi], [0, -5 / 8, -15 / 22])
assert np.allclose(by_hand(A, b, np.zeros(2), 2), [first.x, second.x, third.x])

# %% [markdown]
# Residuals are orthogonal, and directions are conjugate: `r_0'r_1 = 0.0`, `p_0'A p_1 = 0.0`. phi costs no product
# with A: phi = -x'(r + b)/2, and CG already has the residual r.

# %%
print(f"r_0'r_1 = {abs(first.r @ second.r):.1f}, p_0'A p_1 = {abs(first.p @ A @ second.p):.1f}")
assert np.allclose([first.r @ second.r, first.p @ A @ second.p], 0, atol=1e-14)
assert np.isclose(-second.x @ (second.r + b) / 2, second.x @ A @ second.x / 2 - b @ second.x)

# %% [markdown]
# ## Why conjugate directions
#
# Gradient descent with the best step length along each residual minimises $\varphi$ too, but each step spoils a part
# of the one before. In a narrow valley it zigzags. CG's second direction is conjugate to the first, $p_0'Ap_1 = 0$. A
# step along it does not change the slope along $p_0$, which stays zero. So in two dimensions the second step ends at
# the minimum.
#
# The matrix (5 -4; -4 5) has eigenvalues 1 and 9. From (5, 4), with b = 0, CG is at the minimum after two steps.
# Gradient descent still has `after 10 steps: distance = 0.69` to go.

# %%
narrow, start = np.array([[5.0, -4.0], [-4.0, 5.0]]), np.array([5.0, 4.0])
descent = [start]
for _ in range(10):
    r = -narrow @ descent[-1]
    descent.append(descent[-1] + r @ r / (r @ narrow @ r) * r)
conjugate = by_hand(narrow, np.zeros(2), start, 2)
print(f"after 10 steps: distance = {np.linalg.norm(descent[-1]):.2f}")
assert np.allclose(conjugate[2], 0)

x, y = np.meshgrid(np.linspace(-0.7, 5.6, 150), np.linspace(-0.7, 5.0, 150))
fig, ax = plt.subplots(figsize=(7, 5), layout="constrained")
ax.contour(x, y, 2.5 * (x**2 + y**2) - 4 * x * y, [0.2, 1, 3, 6, 10.25, 16, 22.5], colors="0.65", linewidths=0.8)
ax.plot(*np.transpose(descent), "o-", color=RED, markersize=3, linewidth=1)
ax.plot(*conjugate.T, "s--", color=BLUE, markersize=5, linewidth=2)
ax.plot(0, 0, "k*", markersize=13)
ax.annotate("start", start, (5.0, 4.6), **ARROW)
ax.annotate("gradient descent, ten steps", descent[3], (0.1, 3.6), color=RED, **ARROW)
ax.annotate("conjugate gradients, two steps", (conjugate[1] + conjugate[2]) / 2, (2.2, 0.4), color=BLUE, **ARROW)
ax.annotate("minimum", (0, 0), (0.6, -0.5), **ARROW)
ax.set(xlabel="first component of x", ylabel="second component of x", aspect="equal")
ax.set_title("Level lines of phi, and the paths of two methods")
plt.show()

# %% [markdown]
# **Picture.** The level lines are long ellipses. Gradient descent (solid, small dots) turns by a right angle at each
# step and zigzags down the valley. Conjugate gradients (dashed, squares) take the same first step, and with the second
# they are at the minimum (star).
#
# ## k distinct eigenvalues, k iterations
#
# After $k$ steps the residual is a polynomial in $A$ times $b$, the best one of degree $k$ with $q(0) = 1$:
#
# $$r_k = q(A)\, b, \qquad \text{CG minimises } \sum_i \frac{q(\lambda_i)^2 (v_i'b)^2}{\lambda_i}
# \text{ over } \deg q \le k,\; q(0) = 1 \tag{7}$$
#
# where $\lambda_i$, $v_i$ are the eigenvalues and eigenvectors of $A$. If A has k distinct eigenvalues, the
# polynomial with these k roots makes r_k = 0. So (2 1 1; 1 2 1; 1 1 2), with eigenvalues 1, 1 and 4, takes
# `iterations = 2, eigenvalues 1, 1, 4`; (2 1 0; 1 2 1; 0 1 2), with three, takes three.


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

r_1 = next(islice(refhf.cg_iterates(twins, b), 1, None)).r
q_1, *_ = np.linalg.lstsq(np.column_stack([twins @ b]), r_1 - b, rcond=None)  # r_1 = b + q_1 A b
t = np.linspace(0, 4.7, 100)
fig, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
ax.axhline(0, color="0.6", linewidth=0.8)
ax.plot(t, 1 + q_1 * t, color=RED)
ax.plot(t, (1 - t) * (1 - t / 4), "--", color=BLUE, linewidth=2)
ax.plot([1, 4], [0, 0], "ko", markersize=8)
ax.annotate("degree 1, after one iteration", (1.8, float(1 + q_1[0] * 1.8)), (1.7, 0.85), color=RED, **ARROW)
ax.annotate("degree 2, after two iterations", (2.6, -0.56), (1.7, -0.9), color=BLUE, **ARROW)
ax.annotate("eigenvalue 1, twice", (1, 0), (0.05, -0.45), **ARROW)
ax.annotate("eigenvalue 4", (4, 0), (3.9, 0.85), **ARROW)
ax.set(
    xlabel="eigenvalue of A",
    ylabel="polynomial q",
    ylim=(-1.05, 1.1),
    title="What is left of each eigenvector after k iterations",
)
plt.show()

# %% [markdown]
# **Picture.** Both polynomials are 1 at zero. The line (degree 1) misses both eigenvalues (dots); the parabola
# (dashed) goes through both, so that nothing is left of the residual.
#
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

fig, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
drawn = ((spread, "-", RED), (spread + np.eye(100), "--", BLUE), (five[::4, ::4], ":", "black"))
for matrix, style, colour in drawn:
    residuals = [np.linalg.norm(it.r) / 10 for it in islice(refhf.cg_iterates(matrix, np.ones(100)), 101)]
    ax.semilogy(np.maximum(residuals, 1e-15), style, color=colour, linewidth=2)
ax.text(58, 3e-2, "eigenvalues 0.001 to 1", color=RED)
ax.text(14, 1e-8, "the same, lambda = 1 added", color=BLUE)
ax.annotate("five distinct eigenvalues", (4.7, 1e-10), (25, 1e-12), **ARROW)
ax.set(xlabel="iteration", ylabel="residual, relative to b", title="100 rows, three spectra", ylim=(1e-13, 10))
plt.show()

# %% [markdown]
# **Picture.** The residual with spread eigenvalues (solid) hardly falls in a hundred iterations. With lambda = 1 added
# (dashed) it falls on a straight line, tenfold per iteration. With five distinct eigenvalues (dotted) it drops to
# rounding at the fifth.
#
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

x, y = np.meshgrid(np.linspace(-1, 3, 150), np.linspace(-1.6, 1.1, 150))
fig, ax = plt.subplots(figsize=(7, 4.8), layout="constrained")
lines = ax.contour(x, y, (x**2 + y**2) / 2 + 2 * x * y - x, 12, colors="0.6", linewidths=0.8)
ax.clabel(lines, fontsize=8)
ax.plot([0, 1], [0, 0], "s-", color=BLUE, linewidth=2)
ax.annotate("", (2.3, -0.65), (1, 0), arrowprops={"arrowstyle": "->", "color": BLUE, "linewidth": 2})
ax.plot([1, -1 / 3], [0, 2 / 3], "x--", color=RED, linewidth=1.5, markersize=9)
ax.annotate("start", (0, 0), (-0.75, -0.45), **ARROW)
ax.annotate("x_1: CG stops here", (1, 0), (1.2, 0.35), color=BLUE, **ARROW)
ax.annotate("p_1: phi falls without end", (1.8, -0.4), (0.6, -1.2), color=BLUE, **ARROW)
ax.annotate("the saddle: A x = b", (-1 / 3, 2 / 3), (-0.1, 0.95), color=RED, **ARROW)
ax.set(xlabel="first component of x", ylabel="second component of x", aspect="equal")
ax.set_title("An indefinite matrix: level lines of phi")
plt.show()

# %% [markdown]
# **Picture.** The numbers on the level lines are phi. CG goes from the start to x_1 (solid, squares). Along the arrow
# p_1 phi falls for ever. The bare recurrence steps backwards along p_1 (dashed, to the cross), uphill to the saddle.
#
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

# %% [markdown]
# ## Exercises
#
# **1.** Do one step of CG by hand for A = (4 1; 1 3) and b = (1, 2), from $x_0 = (2, 1)$. Is $x_2$ again the solution?
#
# <details><summary>Answer</summary>
#
# $r_0 = b - A x_0 = (-8, -3)$, $r_0'r_0 = 73$, $A r_0 = (-35, -17)$, $r_0'Ar_0 = 331$. So $\alpha_0 = 73/331$ and
# $x_1 = (2, 1) + \frac{73}{331} (-8, -3) \approx (0.2356, 0.3384)$. And $x_2 = (1/11, 7/11)$, from any start.
#
# </details>

# %%
# Answer to exercise 1, checked
A, b = np.array([[4.0, 1.0], [1.0, 3.0]]), np.array([1.0, 2.0])
points = by_hand(A, b, np.array([2.0, 1.0]), 2)
assert np.allclose(points[1], [0.2356, 0.3384], atol=1e-4)
assert np.allclose(points[2], [1 / 11, 7 / 11])

# %% [markdown]
# **2.** How many iterations does CG take for $A = I + uu'$ with 50 rows? And for $I + uu' + ww'$?
#
# <details><summary>Answer</summary>
#
# Two and three. $uu'$ has rank one, so $A$ has the eigenvalue 1, 49 times, and $1 + |u|^2$. A further term of rank one
# moves one more eigenvalue.
#
# </details>

# %%
# Answer to exercise 2, checked
u, w, b = np.random.default_rng(1).normal(size=(3, 50))
assert iterations(np.eye(50) + np.outer(u, u), b) == 2
assert iterations(np.eye(50) + np.outer(u, u) + np.outer(w, w), b) == 3

# %% [markdown]
# **3.** Show that each step of CG lowers $\varphi$ by exactly $\frac{\alpha_k}{2} r_k'r_k$.
#
# <details><summary>Answer</summary>
#
# $\varphi(x + \alpha p) = \varphi(x) - \alpha\, r'p + \frac{\alpha^2}{2} p'Ap$. By (6), $r_k'p_k = r_k'r_k$, because
# $r_k$ is orthogonal to $p_{k-1}$. By (2), $\alpha_k p_k'Ap_k = r_k'r_k$. Together
# $-\alpha_k r_k'r_k + \frac{\alpha_k}{2} r_k'r_k = -\frac{\alpha_k}{2} r_k'r_k$. So with positive curvature $\varphi$
# always falls.
#
# </details>

# %%
# Answer to exercise 3, checked
one, two, three = islice(refhf.cg_iterates(chain, np.array([1.0, 2.0, 3.0])), 3)
for before, after in ((one, two), (two, three)):
    alpha = before.r @ before.r / (before.p @ chain @ before.p)
    assert np.isclose(after.phi - before.phi, -alpha / 2 * (before.r @ before.r))

# %% [markdown]
# **4.** How much damping $\lambda$ does A = (1 2; 2 1) need, so that CG from b = (1, 0) meets no negative curvature?
#
# <details><summary>Answer</summary>
#
# More than 1. $p_0'(A + \lambda I)p_0 = 1 + \lambda$ is positive. $p_1$ is conjugate to $p_0$, so the product of the
# two curvatures has the sign of the determinant, $(1 + \lambda)^2 - 4$, which is positive for $\lambda > 1$. Then the
# smallest eigenvalue, $\lambda - 1$, is positive as well.
#
# </details>

# %%
# Answer to exercise 4, checked
A, b = np.array([[1.0, 2.0], [2.0, 1.0]]), np.array([1.0, 0.0])
stops = [refhf.cg(A + damping * np.eye(2), b)[1].stop.name for damping in (0.0, 0.99, 1.01)]
assert stops == ["NEGATIVE_CURVATURE", "NEGATIVE_CURVATURE", "CONVERGED"]

# %% [markdown]
# ## What to remember
#
# - CG minimises $\varphi$ over a growing space: one product an iteration, and as many iterations as there are distinct
#   eigenvalues.
# - Damping makes eigenvalues nearly equal. It saves iterations.
# - With negative curvature there is no minimum: CG must stop and return its iterate.
# - Bi-CG-STAB takes two products an iteration. Run to the end on an indefinite matrix it goes to the saddle.
