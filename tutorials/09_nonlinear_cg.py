# %% [markdown]
# # 9. Nonlinear conjugate gradients
#
# Adya et al. 2018 train large networks by nonlinear conjugate gradients. Have the paper open: Algorithm 1 is
# `refhf/methods/nonlinear_cg/nlcg_step.py`, line by line. It is the method of tutorial 3 with four things changed.
# This lesson makes the first two changes, one by one, on functions of two variables. Lesson 10 makes the others, and
# trains.
#
# | linear CG | Algorithm 1 |
# |---|---|
# | $\beta_k = r_k'r_k / r_{k-1}'r_{k-1}$ | the same (FR) or another formula (PR), clipped to $[0, 1]$ |
# | a preconditioner that stays | one that follows the curvature, Algorithm 2 |
# | $\alpha_k$ exact | $\alpha_k$ from a schedule, times a scale (section 3.2.2) |
# | g of all the data | g of a mini-batch |
#
# In their notation: r = -g, s = M^-1 r, delta = r's, and the direction is d = s + beta d.

# %%
from itertools import islice

import matplotlib.pyplot as plt
import numpy as np

import refhf
from refhf.methods.nonlinear_cg import diagonal_bfgs
from refhf.surfaces.saddles import SURFACES

FORMULAS = ("fr", "pr", "hs", "dy")
PLAIN = {"preconditioner": False, "clip": False}


def quadratic(A, b):
    """f = x'Ax/2 - b'x."""
    return refhf.from_functions(lambda x: x @ A @ x / 2 - b @ x, lambda x: A @ x - b, lambda x, v: A @ v)


def run(objective, start, method, steps, **options):
    """The reports of a run, up to the first step that is not taken."""
    reports = []
    with np.errstate(over="ignore", invalid="ignore"):
        for report in islice(refhf.iterate(objective, start, method=method, rng=0, **options), steps):
            if not report.accepted:
                break
            reports.append(report)
    return reports


def hold(condition, statement):
    """Assert a statement and print it."""
    assert condition, f"does not hold: {statement}"
    print(statement)


# %% [markdown]
# ## With exact steps it is linear CG
#
# Take Algorithm 1 without preconditioner and clipping, and along each d step to the minimum, alpha = -g'd / d'Ad. On
# a quadratic of thirty variables, for each of four formulas for beta, its points are those of `refhf.cg_iterates`:
# `largest difference < 1e-10`, relative to the way to the solution. It also terminates: five distinct eigenvalues
# take five steps, `steps = 5 of 30 variables`.

# %%
rng = np.random.default_rng(0)
basis, _ = np.linalg.qr(rng.normal(size=(30, 30)))
A, b = basis * np.repeat([1.0, 2.0, 4.0, 8.0, 16.0], 6) @ basis.T, rng.normal(size=30)
solution = np.linalg.solve(A, b)
linear = [it.x for it in islice(refhf.cg_iterates(A, b), 6)][1:]
differences = []
for formula in FORMULAS:
    reports = run(quadratic(A, b), np.zeros(30), f"nlcg-{formula}", 5, line_search="exact", **PLAIN)
    differences += [np.linalg.norm(report.theta - x) for report, x in zip(reports, linear, strict=True)]
    errors = [np.linalg.norm(report.theta - solution) / np.linalg.norm(solution) for report in reports]
    assert errors[4] < 1e-12
    assert min(errors[:4]) > 1e-4
hold(max(differences) < 1e-10 * np.linalg.norm(solution), "largest difference < 1e-10")
print(f"steps = {len(reports)} of 30 variables")

# %% [markdown]
# ## Without exact steps the formulas differ
#
# Let $y_k = r_{k-1} - r_k$ be the change of the gradient. The four formulas are
#
# $$\beta^{FR} = \frac{r_k'r_k}{r_{k-1}'r_{k-1}}, \qquad \beta^{PR} = \frac{-r_k'y_k}{r_{k-1}'r_{k-1}}, \qquad
# \beta^{HS} = \frac{-r_k'y_k}{d_{k-1}'y_k}, \qquad \beta^{DY} = \frac{r_k'r_k}{d_{k-1}'y_k} \tag{1}$$
#
# With exact steps $r_k'r_{k-1} = 0$ and $r_k'd_{k-1} = 0$, and all four are the same number.
#
# With (4 1; 1 3) and b = (1, 2) of tutorial 3, the exact first alpha is 1/4, and then beta is 1/16 by all formulas:
# `exact step: FR = 0.0625, PR = 0.0625, HS = 0.0625, DY = 0.0625`. Now let a schedule give alpha, say 1/10. From r_0
# = (1, 2) the step leads to r_1 = (0.4, 1.3), which is not orthogonal to r_0: r_1'r_1 = 1.85, but r_1'r_0 = 3. So FR
# is 1.85/5 and PR (1.85 - 3)/5, `alpha of 0.1: FR = 0.3700, PR = -0.2300, HS = -0.5750, DY = 0.9250`.

# %%
A, b = np.array([[4.0, 1.0], [1.0, 3.0]]), np.array([1.0, 2.0])
for name, how in {"exact step": ("exact", None), "alpha of 0.1": ("off", 0.1)}.items():
    options = {"line_search": how[0], "learning_rate": how[1], **PLAIN}
    betas = [run(quadratic(A, b), np.zeros(2), f"nlcg-{formula}", 2, **options)[1].detail.beta for formula in FORMULAS]
    print(f"{name}: " + ", ".join(f"{word.upper()} = {beta:.4f}" for word, beta in zip(FORMULAS, betas, strict=True)))
assert np.allclose(betas, [1.85 / 5, -1.15 / 5, -1.15 / 2, 1.85 / 2])  # (1)

# %% [markdown]
# ## Why beta is clipped
#
# Suppose alpha and beta are constant. Along an axis of curvature c the points then follow
#
# $$x_{k+1} = (1 + \beta - \alpha c)\, x_k - \beta\, x_{k-1} \tag{2}$$
#
# The two roots of this recurrence have the product beta. So with beta > 1 it diverges for *any* alpha; with beta from
# 0 to 1 it is stable while alpha c < 2 (1 + beta). FR is the ratio of successive squared gradient norms: after too
# long a step it is above 1, the next step is longer, and so on. In Rosenbrock's valley at rate 0.001, FR without the
# clip overflows before step 50, `without the clip: steps < 50, largest beta > 1e10`. With the clip the run converges,
# with beta = 1 in some steps: `with the clip: steps = 500, f < 1e-6`.

# %%
surface = SURFACES["rosenbrock"]
rosenbrock = refhf.from_functions(*surface.functions)
options = {"line_search": "off", "learning_rate": 0.001, "preconditioner": False}
wild = run(rosenbrock, surface.start, "nlcg-fr", 500, clip=False, **options)
fr = run(rosenbrock, surface.start, "nlcg-fr", 500, **options)
hold(len(wild) < 50 and wild[-1].detail.beta > 1e10, "without the clip: steps < 50, largest beta > 1e10")
hold(len(fr) == 500 and rosenbrock.value(fr[-1].theta) < 1e-6, "with the clip: steps = 500, f < 1e-6")

# %% [markdown]
# At the lower end the clip is a restart: PR below 0 becomes 0, and d = s, a gradient step. This is Powell's PR+. But
# in a valley with steps this short, successive gradients are nearly the same, so r'(r - r_old) is nearly 0, and so is
# beta: `FR: median of beta > 0.9, f < 1e-6`, but `PR: median of beta < 0.01, f > 1`. Here PR is gradient descent, to
# two digits of f, and FR is momentum with an adaptive coefficient. The best formula with exact steps is not the best
# with a schedule.

# %%
pr = run(rosenbrock, surface.start, "nlcg-pr", 500, **options)
descent = run(rosenbrock, surface.start, "gradient-descent", 500, learning_rate=0.001)
momentum = run(rosenbrock, surface.start, "momentum", 500, learning_rate=0.001)
for name, reports in {"FR": fr, "PR": pr, "gradient descent": descent, "momentum 0.9": momentum}.items():
    print(f"{name:16} after 50, 100, 500 steps: ", end="")
    print(", ".join(f"f = {rosenbrock.value(reports[k - 1].theta):.0e}" for k in (50, 100, 500)))


def median_beta(reports):
    return np.median([report.detail.beta for report in reports[1:]])


hold(median_beta(fr) > 0.9 and rosenbrock.value(fr[-1].theta) < 1e-6, "FR: median of beta > 0.9, f < 1e-6")
hold(median_beta(pr) < 0.01 and rosenbrock.value(pr[-1].theta) > 1, "PR: median of beta < 0.01, f > 1")
assert np.isclose(rosenbrock.value(pr[-1].theta), rosenbrock.value(descent[-1].theta), rtol=0.01)

# %%
x, y = np.meshgrid(np.linspace(-1.5, 1.5, 150), np.linspace(-0.3, 1.6, 150))
heights = surface.value(np.array([x, y]))
fig, ax = plt.subplots(figsize=(7, 4.4), layout="constrained")
ax.contour(x, y, np.log10(heights + 0.01), 9, colors="0.7", linewidths=0.8)
ax.plot(*np.transpose([r.theta for r in pr]), color="#EBA37C", linewidth=8)
ax.plot(*np.transpose([r.theta for r in fr[:200]]), "o-", color="#0072B2", markersize=3, linewidth=1, markevery=4)
ax.plot(1, 1, "k*", markersize=13)
arrow = {"arrowprops": {"arrowstyle": "->"}, "backgroundcolor": "white"}
ax.annotate("FR, 200 steps", fr[40].theta, (-0.4, 1.0), color="#0072B2", **arrow)
ax.annotate("PR ends here after 500 steps", pr[-1].theta, (-1.3, -0.2), color="#B34700", **arrow)
ax.annotate("minimum", (1, 1), (0.9, 0.4), **arrow)
ax.set(xlabel="x", ylabel="y", title="Rosenbrock's valley, rate 0.001")
plt.show()

# %% [markdown]
# **Picture.** FR (thin, a dot every fourth step) follows the bend of the valley and is near the minimum (star) after
# 200 steps. PR (thick, light) with the same rate is still on the first slope after 500.
#
# ## What the clip costs
#
# Linear CG sometimes needs beta > 1. In the valley f = x^2/2 + 100 y^2/2, the first exact step from (100, 0.1) ends
# at a longer gradient, with the largest beta that a ratio of 100 between two eigenvalues allows: 99^2/400, `beta =
# 24.50`. Two exact steps end at the minimum, `FR without the clip: steps = 2`. With the clip the second direction is
# not conjugate to the first, and `FR with the clip: steps > 50`: FR makes d conjugate to the previous direction only
# if all earlier steps were exact CG. PR with exact steps makes d conjugate to any previous direction, so `PR with the
# clip: steps = 3`.

# %%
valley = np.diag([1.0, 100.0])


def steps_to(part, A, start, method, limit=200, **options):
    """The number of steps until f = x'Ax/2 is below a fraction of its start; infinite above the limit."""
    reports = run(quadratic(A, np.zeros(2)), start, method, limit, **options)
    with np.errstate(over="ignore"):
        low = [report.k for report in reports if report.theta @ A @ report.theta < part * (start @ A @ start)]
    return min(low, default=np.inf)


start, options = np.array([100.0, 0.1]), {"line_search": "exact", "preconditioner": False}
second = run(quadratic(valley, np.zeros(2)), start, "nlcg-fr", 2, clip=False, **options)[1]
hold(round(second.detail.beta, 2) == 24.5 and np.isclose(second.detail.beta, 99**2 / 400), "beta = 24.50")
print(f"FR without the clip: steps = {steps_to(1e-12, valley, start, 'nlcg-fr', clip=False, **options)}")
hold(steps_to(1e-12, valley, start, "nlcg-fr", **options) > 50, "FR with the clip: steps > 50")
print(f"PR with the clip: steps = {steps_to(1e-12, valley, start, 'nlcg-pr', **options)}")

# %% [markdown]
# ## The preconditioner: a valley along the axes, and the same one turned
#
# Algorithm 2 updates the diagonal of BFGS. It starts from h = (1, 1). Each step s that changes the gradient by y gives
#
# $$h_i \leftarrow h_i + \frac{y_i^2}{y's} - \frac{(h_i s_i)^2}{\sum_j h_j s_j^2} \tag{3}$$
#
# On the valley, from (10, 1), the first s is along (1, 10) and y
# along (1, 1000), and one update is nearly exact: `along the axes: h = (0.99, 100.00), condition number = 1.01`, of
# M^-1/2 A M^-1/2. If we turn the valley by 45 degrees, both axes have the same mixture of 1 and 100. The diagonal of
# A is (50.5, 50.5), and M a multiple of the identity: `turned: h = (50.49, 50.50), condition number = 100.00`. No
# diagonal is better.

# %%
turn = np.array([[1.0, -1.0], [1.0, 1.0]]) / np.sqrt(2)
valleys = {"along the axes": (valley, np.array([10.0, 1.0])), "turned": (turn @ valley @ turn.T, turn @ [10.0, 1.0])}
for name, (A, start) in valleys.items():
    s = -A @ start
    h = diagonal_bfgs.update(np.ones(2), s, A @ s).h
    y = A @ s
    assert np.allclose(h, 1 + y**2 / (y @ s) - s**2 / (s @ s))  # (3)
    condition = np.linalg.cond(A / np.sqrt(np.outer(h, h)))
    print(f"{name}: h = ({h[0]:.2f}, {h[1]:.2f}), condition number = {condition:.2f}")

# %% [markdown]
# We count the steps until f is a millionth of its start. The rate is constant, without line search, so we take the
# best of 0.01, 0.03, 0.1, 0.3 and 1 for each. Without preconditioner the method is invariant to rotation, and the
# counts for both valleys are the same. With it, along the axes, rate 1 is that of a Newton step, and the best. (The
# first step still has h = (1, 1), and at rate 1 raises f up to 5,000 times.) In the turned valley it is harmful: a
# diagonal that changes at each step, without a useful value to converge to, only spoils the directions.
#
# `FR along the axes: without = 45, with = 5`, `FR turned: without = 45, with > 60`,
# `PR along the axes: without = 98, with = 5`, `PR turned: without = 98, with > 150`.
#
# The guards are not needed here: on a quadratic y's = s'As > 0, and then the new h is positive. So they count `along
# the axes, 5 steps: skipped = 0, floored = 0` and `turned, 60 steps: skipped = 0, floored = 0`.

# %%
GRID = (0.01, 0.03, 0.1, 0.3, 1.0)


def best(A, start, method, **options):
    """The fewest steps over the grid."""
    counts = [steps_to(1e-6, A, start, method, 300, line_search="off", learning_rate=rate, **options) for rate in GRID]
    return min(counts)


lower = {("FR", "turned"): 60, ("PR", "turned"): 150}
for word, (name, (A, start)) in ((word, item) for word in ("FR", "PR") for item in valleys.items()):
    method = f"nlcg-{word.lower()}"
    without, preconditioned = best(A, start, method, preconditioner=False), best(A, start, method)
    if (word, name) in lower:
        assert preconditioned > lower[word, name]
        print(f"{word} {name}: without = {without}, with > {lower[word, name]}")
    else:
        print(f"{word} {name}: without = {without}, with = {preconditioned}")

for (name, (A, start)), steps in zip(valleys.items(), (5, 60), strict=True):
    last = run(quadratic(A, np.zeros(2)), start, "nlcg-fr", steps, line_search="off", learning_rate=1.0)[-1]
    print(f"{name}, {last.k} steps: skipped = {last.detail.skipped}, floored = {last.detail.floored}")

# %% [markdown]
# With *exact* steps the preconditioner costs even along the axes: linear CG's two steps become
# `exact steps: PR = 4, FR > 20`, for M must not change while directions are to be conjugate. The paper says so
# ("supposed to be constant", section 3.2.1), and goes without the guarantee.
#
# Where curvature is negative y's < 0, and the paper's formula could make h negative and the step go uphill. There the
# method skips the update and keeps its last h. On tutorial 7's saddle, from (1, 0.01) at rate 0.3, FR skips a few
# updates in y^2 < 1/3 and soon reaches the minimum, `saddle, 25 steps: skipped = 6, floored = 0, f = -0.25`. But
# `saddle, 100 steps: skipped > 50`: the bound, y's < 1e-8, is absolute, so small steps near convergence also meet it.

# %%
start, options = valleys["along the axes"][1], {"line_search": "exact"}
exact = {method: steps_to(1e-12, valley, start, method, **options) for method in ("nlcg-pr", "nlcg-fr")}
hold(exact["nlcg-pr"] == 4 and exact["nlcg-fr"] > 20, "exact steps: PR = 4, FR > 20")
assert steps_to(1e-12, valley, start, "nlcg-fr", **options, **PLAIN) == 2

saddle = SURFACES["saddle"]
objective = refhf.from_functions(*saddle.functions)
reports = run(objective, [1.0, 0.01], "nlcg-fr", 100, line_search="off", learning_rate=0.3)
last, f = reports[24], objective.value(reports[24].theta)
print(f"saddle, 25 steps: skipped = {last.detail.skipped}, floored = {last.detail.floored}, f = {f:.2f}")
assert all(abs(r.theta[1]) < 1 for r in reports[:25] if r.detail.secant.skipped)
hold(reports[99].detail.skipped > 50, "saddle, 100 steps: skipped > 50")

# %% [markdown]
# ## Exercises
#
# **1.** Show that with $\beta$ in $[0, 1)$ and constant $\alpha$, (2) is stable exactly for
# $0 < \alpha c < 2 (1 + \beta)$.
#
# <details><summary>Answer</summary>
#
# The roots of $t^2 - (1 + \beta - \alpha c)\, t + \beta$ lie inside the unit circle if $|\beta| < 1$ and
# $|1 + \beta - \alpha c| < 1 + \beta$ (Jury's criterion). The second is $0 < \alpha c < 2 (1 + \beta)$.
#
# </details>

# %%
# Answer to exercise 1, checked
for beta in (0.0, 0.5, 0.9):
    for product in (0.01, 2 * (1 + beta) - 0.01, 2 * (1 + beta) + 0.01):
        largest = max(abs(np.roots([1, -(1 + beta - product), beta])))
        assert (largest < 1) == (product < 2 * (1 + beta))

# %% [markdown]
# **2.** Use (1) to show that PR is FR minus a term that vanishes for orthogonal gradients. When does PR restart?
#
# <details><summary>Answer</summary>
#
# $-r_k'y_k = r_k'r_k - r_k'r_{k-1}$. So PR = FR $- \, r_k'r_{k-1}/r_{k-1}'r_{k-1}$. It is negative, and clipped to a
# restart, if $r_k'r_{k-1} > r_k'r_k$: if the new gradient still points mainly along the old one.
#
# </details>

# %%
# Answer to exercise 2, checked
old, new = np.array([1.0, 2.0]), np.array([0.4, 1.3])
fletcher_reeves, polak_ribiere = new @ new / (old @ old), new @ (new - old) / (old @ old)
assert np.isclose(polak_ribiere, fletcher_reeves - new @ old / (old @ old))
assert (polak_ribiere < 0) == (new @ old > new @ new)

# %% [markdown]
# **3.** Insert $\operatorname{diag}(h)$ after the update (3) into $s'\operatorname{diag}(h)\,s$. Is it $s'y$, as for
# full BFGS?
#
# <details><summary>Answer</summary>
#
# No. Full BFGS gives $Bs = y$. Its diagonal alone gives $\sum_i h_i s_i^2$, without the products of different
# components, and that is another number, unless s has only one component that is not zero.
#
# </details>

# %%
# Answer to exercise 3, checked
A = np.array([[4.0, 1.0], [1.0, 3.0]])
for s, equal in ((np.array([1.0, 2.0]), False), (np.array([0.0, 2.0]), True)):
    h = diagonal_bfgs.update(np.ones(2), s, A @ s).h
    assert np.isclose(h @ s**2, s @ A @ s) == equal

# %% [markdown]
# ## What to remember
#
# - With exact steps all formulas for beta are linear CG; with a schedule they are different methods.
# - beta clipped to 1 is stable; the price is conjugacy.
# - PR with short steps is gradient descent; FR is momentum with an adaptive coefficient.
# - A diagonal preconditioner rounds a valley along the axes, and does nothing for a turned one.
