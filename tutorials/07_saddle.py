# %% [markdown]
# # 7. Leaving a saddle
#
# He et al. 2016, section 4.2 and Figure 2: on the function
#
# $$f(x, y) = \frac{x^2}{2} + \frac{y^4}{4} - \frac{y^2}{2} \tag{1}$$
#
# gradient descent, Newton, truncated Newton and saddle-free Newton, started at (x, 0), all end at the saddle (0, 0),
# although the minima (0, 1) and (0, -1) are near. We differentiate by hand and show why each method stays on the
# line, how long it takes to escape from a start *beside* the line, and which methods add the missing component.
# `refhf classroom` opens an interactive page for the same experiments.

# %%
from itertools import islice

import matplotlib.pyplot as plt
import numpy as np

import refhf
from refhf.krylov.lanczos import lanczos_smallest
from refhf.surfaces.saddles import SURFACES, high_dimensional

saddle = SURFACES["saddle"]
objective = refhf.from_functions(*saddle.functions)
BLUE, RED, GREEN = "#0072B2", "#B34700", "#007A5A"
ARROW = {"arrowprops": {"arrowstyle": "->"}, "backgroundcolor": "white"}


def points(method, start, steps, rng=0, **options):
    """The points of a run, the start first: (steps + 1, 2)."""
    reports = refhf.iterate(objective, start, method=method, rng=rng, **options)
    return np.array([start, *(report.theta for report in islice(reports, steps))])


# %% [markdown]
# ## The Hessian, by hand
#
# The Hessian is diagonal (the paper's eq. 2):
#
# $$g = \begin{pmatrix} x \\ y^3 - y \end{pmatrix}, \qquad
# H = \begin{pmatrix} 1 & 0 \\ 0 & 3 y^2 - 1 \end{pmatrix} \tag{2}$$
#
# It does not depend on x. At the saddle `eigenvalues at (0, 0) = -1, 1`, at the minima `eigenvalues at (0, 1) = 1,
# 2`; y has negative curvature where y^2 < 1/3.


# %%
def gradient(x, y):
    return np.array([x, y**3 - y])  # (2)


def hessian(x, y):
    return np.diag([1.0, 3 * y**2 - 1])  # (2)


for point in (0.0, 0.0), (0.0, 1.0):
    low, high = np.linalg.eigvalsh(hessian(*point))
    print(f"eigenvalues at ({point[0]:.0f}, {point[1]:.0f}) = {low:.0f}, {high:.0f}")
    assert np.array_equal(gradient(*point), [0, 0])

rng = np.random.default_rng(0)
for point in rng.normal(size=(20, 2)):
    assert np.allclose(objective.value_and_gradient(point)[1], gradient(*point), rtol=1e-12, atol=0)
    assert np.allclose(objective.hessian(point) @ np.eye(2), hessian(*point), rtol=1e-12, atol=0)

runs = {  # each from its own start, so that the paths do not cover each other
    "gradient descent": (points("gradient-descent", [1.3, 0.0], 60, learning_rate=0.1), RED, "-", (0.3, 0.09)),
    "started beside the line": (
        points("gradient-descent", [1.3, -0.05], 80, learning_rate=0.1), RED, ":", (0.45, -0.4),
    ),
    "Newton": (points("newton", [-1.3, 0.44], 6), "black", "--", (-1.4, 0.53)),
    "saddle-free Newton": (points("saddle-free-newton", [-1.3, 0.05], 12), GREEN, "-.", (-1.42, -0.1)),
    "negative curvature": (points("negative-curvature-newton", [1.3, 0.0], 12, rng=4), BLUE, "-", (0.75, 0.75)),
}  # fmt: skip
x, y = np.meshgrid(np.linspace(-1.5, 1.5, 121), np.linspace(-1.4, 1.4, 121))
fig, ax = plt.subplots(figsize=(7, 6), layout="constrained")
shades = ax.contourf(x, y, saddle.value(np.array([x, y])), np.arange(-0.25, 1.5, 0.125), cmap="Greys_r", alpha=0.35)
ax.contour(shades, colors="0.55", linewidths=0.6)
ax.axhspan(-(3**-0.5), 3**-0.5, facecolor="none", edgecolor="0.55", hatch="//", linewidth=0)
for name, (path, colour, dash, at) in runs.items():
    ax.plot(*path.T, dash, color=colour, linewidth=2, marker="o", markersize=3)
    ax.text(*at, name, color=colour, bbox={"color": "white", "pad": 1})
ax.plot([0, 0], [1, -1], "k*", markersize=14)
ax.plot(0, 0, "kX", markersize=11)
ax.text(0.08, 1.08, "minimum", bbox={"color": "white", "pad": 1})
ax.text(0.08, -1.15, "minimum", bbox={"color": "white", "pad": 1})
ax.annotate("saddle", (0, 0), (-0.55, -0.2), **ARROW)
ax.set(xlabel="x", ylabel="y", title="The saddle, and five paths; hatched: negative curvature")
plt.show()

# %% [markdown]
# **Picture.** Dark is low: the two minima (stars), with the saddle (cross) between them; in the hatched band the
# curvature along y is negative. From (1.3, 0) gradient descent (solid) and, from the left, Newton (dashed) end at the
# saddle. Started a little beside the line, gradient descent (dotted) and saddle-free Newton (dash-dotted) turn away
# from it. The method of negative curvature leaves the line itself.
#
# ## On the line y = 0
#
# There the gradient is (x, 0), and H maps (x, 0) to (x, 0). So g, Hg, H^2 g, ... and all their linear combinations
# have y = 0. A method that uses only g and H stays on the line. Rounding does not help: zero times anything is zero.
# After a thousand steps of gradient descent `y = 0.0`, although H has the eigenvalue -1 all the time, along y.

# %%
alpha = 0.1
*_, report = islice(refhf.iterate(objective, [1.0, 0.0], method="gradient-descent", learning_rate=alpha), 1000)
print(f"x = {report.theta[0]:.0e}, y = {report.theta[1]}")
assert report.theta[1] == 0
assert np.linalg.eigvalsh(hessian(*report.theta))[0] == -1

# %% [markdown]
# ## Beside the line: escape takes log(1/eps) steps
#
# Start at (1, eps). Near y = 0 the gradient's y component is almost -y, so each step multiplies y by 1 + alpha:
#
# $$y_{k+1} = y_k - \alpha (y_k^3 - y_k) \approx (1 + \alpha)\, y_k, \qquad
# k \approx \frac{\log \frac{1}{2\varepsilon}}{\log (1 + \alpha)} \text{ steps from } \varepsilon \text{ to } \tfrac12
# \tag{3}$$
#
# So dividing eps by e costs 1/log(1 + alpha) = 10.49
# more steps. We measure: `gradient descent: slope = 10.48 steps, theory = 10.49`. From 1e-12 it takes 284 steps, most
# of them on a plateau where f hardly falls. This is the meaning of "slow near saddles". Gradient descent is slow, but
# it escapes.


# %%
def steps_until_half(method, eps, **options):
    """The number of steps of a method from (1, eps) until |y| > 1/2."""
    reports = refhf.iterate(objective, [1.0, eps], method=method, rng=0, **options)
    return next(report.k for report in islice(reports, 1000) if abs(report.theta[1]) > 0.5)


def slope(steps):
    """The least-squares slope: steps per factor e in eps."""
    return np.polyfit(np.log(1 / distances), steps, 1)[0]


distances = 10.0 ** -np.arange(2, 13)
descent = [steps_until_half("gradient-descent", eps, learning_rate=alpha) for eps in distances]
theory = 1 / np.log(1 + alpha)  # (3)
print(f"gradient descent: slope = {slope(descent):.2f} steps, theory = {theory:.2f}")
print(f"from 1e-12: steps = {descent[-1]}")
assert (round(slope(descent), 2), round(theory, 2), descent[-1]) == (10.48, 10.49, 284)

# %% [markdown]
# ## Newton is attracted
#
# The Newton step divides by the signed curvature:
#
# $$y - \frac{y^3 - y}{3 y^2 - 1} = \frac{2 y^3}{3 y^2 - 1} \tag{4}$$
#
# Near 0 this is about -2 y^3: convergence to the saddle is cubic. The borderline is where 2 y^3/(3 y^2 - 1) = -y, at
# `y = 0.4472, 1/sqrt(5) = 0.4472`. From (1, 0.4) Newton's y is `-0.2462, 0.0365, -0.0001 = y of Newton`: f decreases
# in the direction of the minimum, but Newton converges to the saddle. (From y = 1/2 a step leads to y = -1, across
# the saddle.)


# %%
def newton(y):
    return 2 * y**3 / (3 * y**2 - 1)  # (4)


low, high = 0.4, 0.5
for _ in range(60):  # bisection for the borderline
    y = (low + high) / 2
    low, high = (y, high) if abs(newton(y)) < y else (low, y)
print(f"y = {low:.4f}, 1/sqrt(5) = {1 / np.sqrt(5):.4f}")
assert np.isclose(low, 1 / np.sqrt(5))

first = newton(0.4)
second, third = newton(first), newton(newton(first))
print(f"{first:.4f}, {second:.4f}, {third:.4f} = y of Newton")
assert [round(y, 4) for y in (first, second, third)] == [-0.2462, 0.0365, -0.0001]

# %% [markdown]
# The package's `newton` takes the same steps, and reports the kind of point where it ends: `Stationary, not a
# minimum: smallest eigenvalue = -1`.

# %%
reports = list(islice(refhf.iterate(objective, [1.0, 0.4], method="newton"), 9))
assert np.allclose([report.theta[1] for report in reports[:3]], [first, second, third], rtol=1e-12)
assert all(report.theta[0] == 0 for report in reports)
print(reports[-1].sentence.replace("eigenvalue ", "eigenvalue = "))
assert reports[-1].sentence == "Stationary, not a minimum: smallest eigenvalue -1."

# %% [markdown]
# Bi-CG-STAB, run until it solves H d = -g, *is* Newton (tutorial 3). For two parameters ten iterations from zero are
# enough.
# From (1, 0.01) `hessian-bicgstab` ends at the saddle: `Bi-CG-STAB: y = 0.0000, smallest eigenvalue = -1`. Its sign
# flip and its backtracking over the candidates do not help here. The solver finds negative curvature, as the paper
# hopes, only if it is stopped early.

# %%
solved = {"solver_iterations": 10, "backtracking": True}
*_, report = islice(refhf.iterate(objective, [1.0, 0.01], method="hessian-bicgstab", **solved), 60)
smallest = np.linalg.eigvalsh(objective.hessian(report.theta) @ np.eye(2))[0]
print(f"Bi-CG-STAB: y = {abs(report.theta[1]):.4f}, smallest eigenvalue = {smallest:.0f}")
assert np.linalg.norm(report.theta) < 1e-12
assert np.isclose(smallest, -1)

# %% [markdown]
# ## |H| instead of H: faster, but still on the line
#
# Saddle-free Newton (Dauphin et al. 2014) divides by the *absolute value* of the curvature. Near y = 0 the step is
# then +y, and y doubles: log(1/eps)/log 2 steps, for any conditioning. Gradient descent with a fixed rate cannot do
# this. `saddle-free Newton: slope = 1.45 steps, theory = 1.44`. But on the line its step also depends on g and H
# alone: `y = 0.0 of saddle-free Newton`.

# %%
saddle_free = [steps_until_half("saddle-free-newton", eps, damping=0.0) for eps in distances]
theory = 1 / np.log(2)
print(f"saddle-free Newton: slope = {slope(saddle_free):.2f} steps, theory = {theory:.2f}")
assert round(slope(saddle_free), 2) == 1.45

*_, report = islice(refhf.iterate(objective, [1.0, 0.0], method="saddle-free-newton"), 60)
print(f"y = {report.theta[1]} of saddle-free Newton")
assert report.theta[1] == 0

fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for eps, mark in ((1e-2, "o"), (1e-6, "s"), (1e-10, "^")):
    for method, options, colour in (
        ("gradient-descent", {"learning_rate": alpha}, RED),
        ("saddle-free-newton", {"damping": 0.0}, GREEN),
        ("newton", {}, "black"),
    ):
        heights = abs(points(method, [1.0, eps], 3 if method == "newton" else 260, **options)[:, 1])
        end = np.argmax(heights > 0.5) if heights.max() > 0.5 else len(heights) - 1
        ax.semilogy(np.maximum(heights[: end + 1], 1e-12), color=colour, marker=mark, markersize=5, markevery=0.1)
ax.axhline(0.5, color="0.4", linestyle=":", linewidth=1)
ax.text(249, 0.08, "|y| = 1/2")
ax.text(110, 1e-8, "gradient descent: a factor 1.1 a step", color=RED)
ax.annotate("saddle-free Newton:\na factor 2 a step", (7, 1.3e-8), (70, 4e-11), color=GREEN, **ARROW)
ax.annotate("Newton: away from the minima", (1, 2e-12), (40, 3e-12), **ARROW)
ax.set(
    xlabel="steps",
    ylabel="|y|, the distance from the line",
    xlim=(-8, 290),
    title="From eps = 0.01, 0.000001 and 0.0000000001",
)
plt.show()

# %% [markdown]
# **Picture.** On a logarithmic scale, escape from three distances (three kinds of marks) is a straight line: flat for
# gradient descent, steep for saddle-free Newton. A start ten thousand times nearer costs the same number of further
# steps each time. Newton's curves fall instead.
#
# ## Escape from the line: a component that g lacks
#
# **Noise.** A random vector of norm sigma, added to each gradient, has a y component. It acts like a start with eps
# about sigma, with the same law: dividing sigma by e costs `noise: slope = 10.5 steps`. A report gives the source of
# the direction, and whether it was random: `source = NOISE, random = True`.

# %%
noisy = []
for sigma in distances:
    reports = refhf.iterate(objective, [1.0, 0.0], method="gradient-descent", learning_rate=alpha, noise=sigma, rng=0)
    noisy.append(next(report for report in islice(reports, 1000) if abs(report.theta[1]) > 0.5))
print(f"noise: slope = {slope([report.k for report in noisy]):.1f} steps")
print(f"source = {noisy[0].source.name}, random = {noisy[0].source.random}")
assert abs(slope([report.k for report in noisy]) - 1 / np.log(1 + alpha)) < 0.1

# %% [markdown]
# **A random start vector.** Line 1 of Algorithm 2 names delta_0, the starting point of the first solve, but gives no
# value. A random delta_0 has a y component. Conjugate gradients stop at negative curvature and return the current
# iterate, which contains y: from twenty starts (x, 0), `hessian-cg: left the line = 20 of 20`. Bi-CG-STAB continues
# until it *solves* the system, and the solution does not depend on the start: `hessian-bicgstab: left the line < 5 of
# 20`. At the saddle itself g = 0, so the step runs no solver.


# %%
def left_the_line(method, **options):
    """The number of starts (x, 0), of twenty, from which a method reaches |y| = 1 (to six digits) in 40 steps."""
    count = 0
    for seed, x in enumerate(np.linspace(-2, 2, 20)):
        reports = refhf.iterate(objective, [x, 0.0], method=method, rng=seed, **options)
        count += any(abs(abs(report.theta[1]) - 1) < 1e-6 for report in islice(reports, 40))
    return count


last = {"backtracking": False}
escaped = {
    method: left_the_line(method, delta_0_norm=0.1, **options)
    for method, options in (("hessian-cg", last), ("hessian-bicgstab", solved))
}
print(f"hessian-cg: left the line = {escaped['hessian-cg']} of 20")
print("hessian-bicgstab: left the line < 5 of 20")
assert escaped["hessian-cg"] == 20
assert escaped["hessian-bicgstab"] < 5
assert left_the_line("hessian-cg", **last) == 0  # from a zero start

# %% [markdown]
# **A Lanczos probe.** Lanczos estimates the lowest eigenvalue of H from products alone. Started from g, it stays on
# the line too: `from g: lowest eigenvalue = 1`. Started from a random vector, it finds the eigenvalue: `from a random
# vector: lowest eigenvalue = -1`, with d = (0, 1) or (0, -1). The paper's test asks for *sufficient* negative
# curvature, d'Hd <= min(0, mu lambda_min) with mu in (0, 1); g'd = 0, so both signs are allowed.

# %%
point = np.array([1.0, 0.0])
f, g = objective.value_and_gradient(point)
H = objective.hessian(point)
from_g, from_random = lanczos_smallest(H, 2, start=g), lanczos_smallest(H, 2, rng=0)
print(f"from g: lowest eigenvalue = {from_g.value:.0f}")
print(f"from a random vector: lowest eigenvalue = {from_random.value:.0f}")
d = from_random.vector
assert np.isclose(from_g.value, 1)
assert np.allclose(abs(d), [0, 1])
assert d @ (H @ d) <= min(0, 0.5 * -1)

# %% [markdown]
# `negative-curvature-newton` combines d with a Newton step s (More and Sorensen 1979): it searches along theta + t^2
# s + t d, a curve that starts along d and bends towards s. From twenty starts on the line `negative-curvature-newton:
# left the line = 20 of 20`, and from the saddle, where s = 0, `from the saddle: steps = 1`. A single step is luck: d
# has norm 1, and (0, 1) is at distance 1. But in general the number of steps does not depend on eps.

# %%
print(f"negative-curvature-newton: left the line = {left_the_line('negative-curvature-newton')} of 20")
assert left_the_line("negative-curvature-newton") == 20
result = refhf.minimize(objective, [0.0, 0.0], "negative-curvature-newton", steps=25, rng=0)
moves = sum(record["outcome"] == "accepted" for record in result.history)
print(f"from the saddle: steps = {moves}, {result.message}")
assert moves == 1
assert np.allclose(abs(result.x), [0, 1])

# %% [markdown]
# ## Two thousand parameters
#
# None of this needs a matrix. The last surface has ten directions of negative curvature among 2,000, and we start at
# its saddle. Each step finds one of them; then Newton steps converge: `f = -1.3750, lowest = -1.3750`, in seconds.

# %%
large = high_dimensional(2_000, 10)
result = refhf.minimize(
    refhf.from_functions(*large.functions), large.start, "negative-curvature-newton", steps=30, rng=0
)
probes = sum(record["source"] == "probe" for record in result.history)
print(f"f = {result.fun:.4f}, lowest = {large.lowest:.4f}: {probes} steps of negative curvature, {result.nit} in all")
assert np.isclose(result.fun, large.lowest)
assert 1 <= probes <= 10

# %% [markdown]
# ## Summary
#
# | source of the direction | on the line | eps beside it |
# |---|---|---|
# | g | stays | log(1/eps) / log(1 + alpha) steps |
# | H solved: Newton, Bi-CG-STAB | stays | converges to the saddle |
# | the absolute value of H: saddle-free Newton | stays | log(1/eps) / log 2 steps |
# | g and noise sigma | log(1/sigma) / log(1 + alpha) steps | no more than that |
# | conjugate gradients from a random delta_0 | a few steps, but not from the saddle | a few steps |
# | a Lanczos probe from a random vector | a few steps, from the saddle too | a few steps |
#
# ## Exercises
#
# **1.** How many steps does gradient descent take from $\varepsilon = 10^{-6}$ with the rate 0.2? Use (3), then run
# it.
#
# <details><summary>Answer</summary>
#
# $\log(500{,}000)/\log 1.2 = 72$. The run takes 73: near $y = 1/2$ the term $y^3$ already brakes a little.
#
# </details>

# %%
# Answer to exercise 1, checked
assert round(np.log(1 / 2e-6) / np.log(1.2)) == 72
assert steps_until_half("gradient-descent", 1e-6, learning_rate=0.2) == 73

# %% [markdown]
# **2.** Does momentum, $y_{k+1} = y_k - \alpha g + 0.9\,(y_k - y_{k-1})$, leave the line from (1, 0)? By which factor
# does $y$ grow beside it, at $\alpha = 0.1$?
#
# <details><summary>Answer</summary>
#
# It stays on the line: a combination of gradients, and all have y = 0. Beside it
# $y_{k+1} = (1 + 0.9 + 0.1)\, y_k - 0.9\, y_{k-1}$. The larger root of $t^2 - 2 t + 0.9 = 0$ is
# $1 + \sqrt{0.1} = 1.316$. So momentum escapes about three times as fast as gradient descent:
# $\log 1.316 / \log 1.1 = 2.9$.
#
# </details>

# %%
# Answer to exercise 2, checked
assert points("momentum", [1.0, 0.0], 50, learning_rate=0.1)[-1, 1] == 0
heights = points("momentum", [1.0, 1e-9], 60, learning_rate=0.1)[:, 1]
assert np.isclose(heights[50] / heights[49], 1 + np.sqrt(0.1), rtol=1e-3)

# %% [markdown]
# **3.** With damping, saddle-free Newton divides by $|H| + \lambda I$. By which factor does $y$ grow near the line for
# $\lambda = 1$?
#
# <details><summary>Answer</summary>
#
# The step is $y / (1 + \lambda)$, so $y$ grows by $1 + 1/(1 + \lambda) = 1.5$. Damping slows the escape down.
#
# </details>

# %%
# Answer to exercise 3, checked
heights = points("saddle-free-newton", [1.0, 1e-9], 1, damping=1.0)[:, 1]
assert np.isclose(heights[1] / heights[0], 1.5)

# %% [markdown]
# **4.** Give all points from which Newton's method reaches the line y = 0 in one step. (Look at (4).)
#
# <details><summary>Answer</summary>
#
# $2 y^3/(3 y^2 - 1) = 0$ only for $y = 0$. From any other $y$ Newton comes close, but never quite there, until
# rounding makes it zero. From $y^2 = 1/3$ the step does not exist: H is singular.
#
# </details>

# %%
# Answer to exercise 4, checked
assert all(newton(y) != 0 for y in np.linspace(0.01, 0.5, 50))
assert abs(np.linalg.det(hessian(0.0, 3**-0.5))) < 1e-12

# %% [markdown]
# ## What to remember
#
# - On the line every method that uses only g and H stays there: a saddle is left along a direction that g lacks.
# - Beside it the escape takes $\log(1/\varepsilon)$ steps: slow, but certain.
# - Newton's method converges to saddles; so does any solver that solves $Hd = -g$ exactly.
# - Noise, a random start of the solver, or a Lanczos probe supplies the missing direction.
