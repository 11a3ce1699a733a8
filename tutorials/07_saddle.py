# %% [markdown]
# # 7. Leaving a saddle
#
# He et al. 2016, section 4.2 and Figure 2: on the function
#
#     f(x, y) = x^2/2 + y^4/4 - y^2/2
#
# gradient descent, Newton, truncated Newton and saddle-free Newton, started at (x, 0), all end at the saddle (0, 0),
# although the minima (0, 1) and (0, -1) are near. We differentiate by hand and show why each method stays on the
# line, how long it takes to escape from a start *beside* the line, and which methods add the missing component.
# `refhf saddle --out saddle.html` writes an interactive page for the same experiments.

# %%
from itertools import islice

import numpy as np

import refhf
from refhf.krylov.lanczos import lanczos_smallest
from refhf.surfaces.saddles import SURFACES, high_dimensional

saddle = SURFACES["saddle"]
objective = refhf.from_functions(*saddle.functions)

# %% [markdown]
# ## The Hessian, by hand
#
# The gradient is (x, y^3 - y), so the Hessian is diagonal, with 1 and 3 y^2 - 1 (the paper's eq. 2). It does not
# depend on x. At the saddle `eigenvalues at (0, 0) = -1, 1`, at the minima `eigenvalues at (0, 1) = 1, 2`; y has
# negative curvature where y^2 < 1/3.


# %%
def gradient(x, y):
    return np.array([x, y**3 - y])


def hessian(x, y):
    return np.diag([1.0, 3 * y**2 - 1])


for point in (0.0, 0.0), (0.0, 1.0):
    low, high = np.linalg.eigvalsh(hessian(*point))
    print(f"eigenvalues at ({point[0]:.0f}, {point[1]:.0f}) = {low:.0f}, {high:.0f}")
    assert np.array_equal(gradient(*point), [0, 0])

rng = np.random.default_rng(0)
for point in rng.normal(size=(20, 2)):
    assert np.allclose(objective.value_and_gradient(point)[1], gradient(*point), rtol=1e-12, atol=0)
    assert np.allclose(objective.hessian(point) @ np.eye(2), hessian(*point), rtol=1e-12, atol=0)

# %% [markdown]
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
# Start at (1, eps). Near y = 0 the gradient's y component is almost -y, so each step multiplies y by 1 + alpha.
# Growth from eps to 1/2 takes log(1/(2 eps)) / log(1 + alpha) steps. Dividing eps by e costs 1/log(1 + alpha) = 10.49
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
theory = 1 / np.log(1 + alpha)
print(f"gradient descent: slope = {slope(descent):.2f} steps, theory = {theory:.2f}")
print(f"from 1e-12: steps = {descent[-1]}")
assert (round(slope(descent), 2), round(theory, 2), descent[-1]) == (10.48, 10.49, 284)

# %% [markdown]
# ## Newton is attracted
#
# The Newton step divides by the signed curvature: y becomes y - (y^3 - y)/(3 y^2 - 1) = 2 y^3/(3 y^2 - 1). Near 0
# this is about -2 y^3: convergence to the saddle is cubic. The borderline is where 2 y^3/(3 y^2 - 1) = -y, at `y =
# 0.4472, 1/sqrt(5) = 0.4472`. From (1, 0.4) Newton's y is `-0.2462, 0.0365, -0.0001 = y of Newton`: f decreases in
# the direction of the minimum, but Newton converges to the saddle. (From y = 1/2 a step leads to y = -1, across the
# saddle.)


# %%
def newton(y):
    return 2 * y**3 / (3 * y**2 - 1)


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
# Bi-CG-STAB, run until it solves H d = -g, *is* Newton (tutorial 3). For two parameters ten iterations are enough.
# From (1, 0.01) `hessian-bicgstab` ends at the saddle: `Bi-CG-STAB: y = 0.0000, smallest eigenvalue = -1`. Its sign
# flip and its backtracking over the candidates do not help here. The solver finds negative curvature, as the paper
# hopes, only if it is stopped early.

# %%
*_, report = islice(refhf.iterate(objective, [1.0, 0.01], method="hessian-bicgstab"), 60)
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

# %% [markdown]
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
# iterate, which contains y: from fifty starts (x, 0), `hessian-cg: left the line = 50 of 50`. Bi-CG-STAB continues
# until it *solves* the system, and the solution does not depend on the start: `hessian-bicgstab: left the line < 5 of
# 50`. At the saddle itself g = 0, so the step runs no solver.


# %%
def left_the_line(method, **options):
    """The number of starts (x, 0), of fifty, from which a method reaches |y| = 1 (to six digits) in 40 steps."""
    count = 0
    for seed, x in enumerate(np.linspace(-2, 2, 50)):
        reports = refhf.iterate(objective, [x, 0.0], method=method, rng=seed, **options)
        count += any(abs(abs(report.theta[1]) - 1) < 1e-6 for report in islice(reports, 40))
    return count


escaped = {method: left_the_line(method, delta_0_norm=0.1) for method in ("hessian-cg", "hessian-bicgstab")}
print(f"hessian-cg: left the line = {escaped['hessian-cg']} of 50")
print("hessian-bicgstab: left the line < 5 of 50")
assert escaped["hessian-cg"] == 50
assert escaped["hessian-bicgstab"] < 5
assert left_the_line("hessian-cg") == 0  # from a zero start

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
# s + t d, a curve that starts along d and bends towards s. From fifty starts on the line `negative-curvature-newton:
# left the line = 50 of 50`, and from the saddle, where s = 0, `from the saddle: steps = 1`. A single step is luck: d
# has norm 1, and (0, 1) is at distance 1. But in general the number of steps does not depend on eps.

# %%
print(f"negative-curvature-newton: left the line = {left_the_line('negative-curvature-newton')} of 50")
assert left_the_line("negative-curvature-newton") == 50
result = refhf.minimize(objective, [0.0, 0.0], "negative-curvature-newton", steps=25, rng=0)
moves = sum(record["outcome"] == "accepted" for record in result.history)
print(f"from the saddle: steps = {moves}, {result.message}")
assert moves == 1
assert np.allclose(abs(result.x), [0, 1])

# %% [markdown]
# ## Ten thousand parameters
#
# None of this needs a matrix. The last surface has ten directions of negative curvature among 10,000, and we start at
# its saddle. Each step finds one of them; then Newton steps converge: `f = -1.3750, lowest = -1.3750`, in seconds.

# %%
large = high_dimensional(10_000, 10)
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
