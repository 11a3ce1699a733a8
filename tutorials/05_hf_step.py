# %% [markdown]
# # 5. One Hessian-free step, taken apart
#
# He et al. 2016, Algorithm 2, is `step` in `refhf/methods/hessian_free/hf_step.py`. Here we run its lines one by one
# with the package's own functions, and print every number. The resulting theta equals that of `refhf.iterate` to the
# last bit. First we do this for `gn-cg` (Gauss-Newton matrix and conjugate gradients), then for the paper's own
# `hessian-bicgstab`. The data are a thousand real digits; the network is small.

# %%
from itertools import islice

import matplotlib.pyplot as plt
import numpy as np
from scipy.sparse.linalg import LinearOperator

import refhf
from refhf.data.data_sets import load
from refhf.krylov.arithmetic import inner
from refhf.krylov.stopping import advance, negative_curvature, no_progress
from refhf.methods.hessian_free.damping import levenberg_marquardt, predicted_change
from refhf.methods.search.armijo import armijo
from refhf.methods.search.descent import reduction_ratio

digits = load("mnist-mini")
net = refhf.mlp([784, 20, 10], nonlinearity="tanh", loss="softmax_cross_entropy")
objective = refhf.supervised(net, digits.X[:1000], digits.y[:1000])

# %% [markdown]
# ## Lines 1 to 4: the start, and the gradient on all data
#
# A run starts with theta_0, the damping lambda (here 1, added to the mean curvature of the cases), and delta_0 = 0
# for the solver. On one process, lines 3 and 4 are one call. With `P = 15910` parameters, `f = 2.4408, |g| = 1.4`:
# the loss is near log 10 = 2.30, that of uniform guessing.

# %%
theta, damping, delta = net.init(rng=0), 1.0, None
f, g = objective.value_and_gradient(theta)
print(f"P = {theta.size}, f = {f:.4f}, |g| = {np.linalg.norm(g):.1f}")
assert (theta.size, round(f, 4), round(np.linalg.norm(g), 1)) == (15910, 2.4408, 1.4)

# %% [markdown]
# ## Line 5: the curvature, on a mini-batch
#
# The whole step uses one mini-batch: conjugate gradients need *one* matrix, so no batch is drawn between two
# products. Step k of a run has its own random stream, keyed by the run's seed and k. On its 250 cases the loss is
# `f_mini = 2.4154`.

# %%
seed = int(np.random.default_rng(0).integers(2**63))  # as refhf.iterate(..., rng=0) does
mini = objective.sample(250, rng=np.random.default_rng([seed, 1]))
f_mini = mini.value(theta)
print(f"f_mini = {f_mini:.4f}")
assert round(f_mini, 4) == 2.4154


def damp(A, damping):
    """A + lambda I, as an operator."""
    return LinearOperator(A.shape, matvec=lambda v: A @ v + damping * v, dtype=A.dtype)


B = damp(mini.gauss_newton(theta), damping)

# %% [markdown]
# ## Line 6: solve (G + lambda I) d = -g, but not to the end
#
# Martens (2010, section 4.4) does not test the residual. He stops at iteration i when the last k = max(10, 0.1 i)
# iterations together improved the quadratic model phi by less than the fraction k eps, eps = 0.0005. So there are at
# least 11 iterations. The fraction falls below 10 * 0.0005 at `i = 15: phi = -0.4485, fraction of the last 10 =
# 0.0009`.

# %%
phis = []


def watch(it):
    phis.append(it.phi)
    if it.k > 10:
        print(f"i = {it.k}: phi = {it.phi:.4f}, fraction of the last 10 = {1 - phis[-11] / phis[-1]:.4f}")


it, stop = advance(refhf.cg_iterates(B, -g, x0=delta, stop_at=negative_curvature), watch, no_progress())
print(f"{stop}: {stop.value}")
assert (it.k, round(it.phi, 4)) == (15, -0.4485)
assert 1 - phis[-11] / phis[-1] < 10 * 0.0005 < 1 - phis[-12] / phis[-2]

# %% [markdown]
# ## Line 7: the candidate
#
# Martens walks back over earlier iterates; He et al. omit that for CG (section 4.1). So d is the last iterate. Its
# curvature d'Bd costs no product: d'Bd = d'(b - r), with b = -g.

# %%
d, slope = it.x, inner(g, it.x)
curvature = inner(d, it.b) - inner(d, it.r)
print(f"g'd = {slope:.4f}, d'Bd = {curvature:.4f}")
assert np.isclose(curvature, d @ (B @ d))
assert slope < 0

# %% [markdown]
# ## Line 8: the reduction ratio, and lambda
#
# rho compares what d did to the loss, on the mini-batch, with what the quadratic q promised:
#
# $$\rho = \frac{f(\theta + d) - f(\theta)}{q(d) - q(0)}, \qquad q(d) = f + g'd + \tfrac12 d'Gd \tag{1}$$
#
# Does q include the damping? In Martens' code it does not, nor in refhf unless you set `damped_ratio`. The numbers
# differ. In either case, check your code on the exact solution p of (G + lambda I) p = -g:
#
# $$\text{damped: } q(p) - q(0) = \tfrac12 g'p, \qquad
# \text{undamped: } q(p) - q(0) = \tfrac12 g'p - \tfrac{\lambda}{2} |p|^2 \tag{2}$$

# %%
p, _ = refhf.cg(B, -g, rtol=1e-12)
damped, undamped = (predicted_change(g @ p, p @ (B @ p), p @ p, damping, damped) for damped in (True, False))
print(f"damped q = {damped:.4f}, undamped q = {undamped:.4f}")
assert (round(damped, 4), round(undamped, 4)) == (-0.4485, -0.7501)
assert np.isclose(damped, g @ p / 2)  # (2)
assert np.isclose(undamped, g @ p / 2 - damping * (p @ p) / 2)  # (2)

# %% [markdown]
# `damped q = -0.4485, undamped q = -0.7501`. For our d the ratio is `rho = 0.83`. The rule of Levenberg and Marquardt
# (Martens 2010, section 4.1) is
#
# $$\lambda \leftarrow \tfrac23 \lambda \text{ if } \rho > \tfrac34, \qquad
# \lambda \leftarrow \tfrac32 \lambda \text{ if } \rho < \tfrac14, \qquad \lambda \text{ stays otherwise} \tag{3}$$
#
# Here `lambda = 0.667` for the next step. A
# worse loss, or NaN, counts as rho = -inf, so that lambda grows.

# %%
f_mini_d = mini.value(theta + d)
predicted = predicted_change(slope, curvature, inner(d, d), damping, damped=False)
rho = reduction_ratio(f_mini_d - f_mini, predicted)  # (1)
print(f"rho = {rho:.2f}, lambda = {levenberg_marquardt(damping, rho):.3f}")
assert round(rho, 2) == 0.83
assert levenberg_marquardt(damping, rho) == damping * (2 / 3)  # (3)
assert reduction_ratio(np.nan, predicted) == -np.inf

lambdas, G = 10.0 ** np.arange(-2.5, 2.1, 0.5), mini.gauss_newton(theta)
promised, done = [], []
for trial in lambdas:
    tried, _ = refhf.cg(damp(G, trial), -g, rtol=1e-2)
    promised.append(g @ tried + tried @ (G @ tried) / 2)
    done.append(mini.value(theta + tried) - f_mini)

fig, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
ax.axhline(0, color="0.6", linewidth=0.8)
ax.semilogx(lambdas, promised, "o--", color="#0072B2", markersize=5)
ax.semilogx(lambdas, done, "s-", color="#B34700", markersize=5)
ax.axvline(1, color="0.4", linestyle=":")
ax.text(1.1, 1.5, "lambda of this step", color="0.3")
ax.text(0.004, -1.75, "promised by the model q", color="#0072B2")
ax.text(0.009, 1.0, "done to the loss", color="#B34700")
ax.set(xlabel="damping lambda", ylabel="change along d", title="Little damping: great promises", ylim=(-2.6, 2))
plt.show()

# %% [markdown]
# **Picture.** The smaller lambda, the more the model promises (dashed, circles). The loss itself (solid, squares)
# falls most at a lambda in the middle; with less damping the step leaves the region where the model holds. rho is the
# ratio of the two curves. Rule (3) moves lambda to where they begin to part.
#
# ## Lines 9 and 10: the line search, and the update
#
# Armijo's condition on *all* data, with the g that was CG's right-hand side: alpha = 1, 0.8, 0.64, ... until
#
# $$f(\theta + \alpha d) \le f(\theta) + 0.01\, \alpha\, g'd \tag{4}$$
#
# The first satisfies it: `alpha = 1.0, f = 1.7500`.

# %%
alpha, f_new = armijo(lambda alpha: objective.value(theta + alpha * d), f, slope)
theta_1 = theta + alpha * d
print(f"alpha = {alpha}, f = {f_new:.4f}")
assert (alpha, round(f_new, 4)) == (1.0, 1.75)
assert f_new <= f + 0.01 * alpha * slope  # (4)

# %% [markdown]
# ## The same step by the package
#
# `refhf.iterate` yields one report per step. The first equals ours, bit for bit, after `curvature products = 15`. The
# next step would start its solver from 0.95 delta, where delta is CG's last iterate, unscaled. We name two options:
# by default refhf makes at most 10 iterations, and takes the candidate of least f_mini, because that was better on the
# problems where it was measured (`figures/he_2016.md`).

# %%
options = {"curvature_batch": 250, "damping": 1.0, "solver_iterations": 250, "backtracking": False}
report = next(refhf.iterate(objective, theta, method="gn-cg", rng=0, **options))
print(f"curvature products = {report.counts.curvature_products}")
assert report.counts.curvature_products == it.k
assert (report.loss, report.detail.rho, report.step_length) == (f_new, rho, alpha)
assert report.detail.solver_stop is stop
assert np.array_equal(report.theta, theta_1)

# %% [markdown]
# ## Line 5 with the Hessian
#
# With H in place of G, conjugate gradients meet negative curvature at once, in spite of the damping: `negative
# curvature at i = 3`. `hessian-cg` then takes the current iterate (section 4.1) and discards the direction p.
# `hybrid-cg` uses G in its next step.

# %%
B = damp(mini.hessian(theta), damping)
it, stop = advance(refhf.cg_iterates(B, -g, stop_at=negative_curvature), no_progress())
print(f"{stop} at i = {it.k}")
assert it.k == 3
assert it.p @ (B @ it.p) < 0

# %% [markdown]
# ## Lines 6 and 7 of `hessian-bicgstab`
#
# The paper's proposal (section 4.2): a fixed number of Bi-CG-STAB iterations, here 3. Every iterate d is a candidate
# and is turned downhill: d~ = -sign(g'd) d. We take lambda = 0.1, so that negative curvature appears.

# %%
damping, candidates = 0.1, []
B = damp(mini.hessian(theta), damping)
for it in islice(refhf.bicgstab_iterates(B, -g), 1, 4):
    turned = inner(g, it.x) > 0
    d, curvature = -it.x if turned else it.x, inner(it.x, it.b) - inner(it.x, it.r)
    f_mini_d = mini.value(theta + d)
    candidates.append((d, curvature, f_mini_d))
    print(f"{it.k}: turned = {turned}, g'd~ = {g @ d:.2f}, d~'Bd~ = {curvature:.2f}, f_mini = {f_mini_d:.4f}")

# %% [markdown]
# The second is a direction of negative curvature, `g'd~ = -4.19, d~'Bd~ = -1.52, f_mini = 2.3497`. So is the third,
# but it pointed uphill: `turned = True, g'd~ = -1.97, d~'Bd~ = -2.56, f_mini = 1.8478`. Martens' backtracking (2010,
# section 4.6) goes from the last candidate towards the first while f_mini improves. The second is worse than the
# third, so the step takes the third: a turned iterate, along negative curvature.

# %%
assert [round(curvature, 2) for _, curvature, _ in candidates] == [0.2, -1.52, -2.56]
assert [round(f_mini_d, 4) for *_, f_mini_d in candidates] == [2.0535, 2.3497, 1.8478]
assert turned

slope = inner(g, d)
predicted = predicted_change(slope, curvature, inner(d, d), damping, damped=False)
rho = reduction_ratio(f_mini_d - f_mini, predicted)
alpha, f_new = armijo(lambda alpha: objective.value(theta + alpha * d), f, slope)
print(f"rho = {rho:.2f}, lambda = {levenberg_marquardt(damping, rho):.2f}, alpha = {alpha}, f = {f_new:.4f}")
assert levenberg_marquardt(damping, rho) == damping * 3 / 2
assert (round(rho, 2), round(f_new, 4)) == (0.16, 1.8618)

# %% [markdown]
# `rho = 0.16, lambda = 0.15, alpha = 1.0, f = 1.8618`: the model is unbounded below along d~ and predicted too large
# a decrease, so lambda grows. Again the package does the same:

# %%
options = {"curvature_batch": 250, "damping": 0.1, "solver_iterations": 3, "backtracking": True}
report = next(refhf.iterate(objective, theta, method="hessian-bicgstab", rng=0, **options))
print(f"negative curvature {report.negative_curvature}, curvature products = {report.counts.curvature_products}")
assert report.counts.curvature_products == 2 * 3
assert (report.loss, report.detail.rho, report.step_length) == (f_new, rho, alpha)
assert np.array_equal(report.theta, theta + alpha * d)

# %% [markdown]
# ## Exercises
#
# **1.** Derive (2): insert $Gp = -g - \lambda p$ into $q$.
#
# <details><summary>Answer</summary>
#
# $p'Gp = -g'p - \lambda |p|^2$, so the undamped
# $q(p) - q(0) = g'p + \frac12 p'Gp = \frac12 g'p - \frac{\lambda}{2} |p|^2$. The damped one adds
# $\frac{\lambda}{2} |p|^2$.
#
# </details>

# %%
# Answer to exercise 1, checked
gp, pp = g @ p, p @ p  # of the solution with lambda = 1
assert np.isclose(predicted_change(gp, -gp, pp, 1.0, damped=True), gp / 2)
assert np.isclose(predicted_change(gp, -gp, pp, 1.0, damped=False), gp / 2 - pp / 2)

# %% [markdown]
# **2.** A run has $\rho > 3/4$ in each step. After how many steps is lambda a hundredth of its start?
#
# <details><summary>Answer</summary>
#
# $\log 100 / \log 1.5 = 11.4$, so after twelve.
#
# </details>

# %%
# Answer to exercise 2, checked
damping, steps = 1.0, 0
while damping > 0.01:
    damping, steps = levenberg_marquardt(damping, 0.9), steps + 1
assert steps == 12

# %% [markdown]
# **3.** Why does the line search use g of all data, and not that of the mini-batch? What would happen in (4) with a
# direction d that goes uphill?
#
# <details><summary>Answer</summary>
#
# (4) is a condition on $f$ of all data, and $g'd$ is its slope only with the same g. If $g'd > 0$, the right side is
# above $f(\theta)$, and (4) would accept an increase. So d has to be a descent direction first: hence the turned d~.
#
# </details>

# %%
# Answer to exercise 3, checked
uphill = 0.05 * g / np.linalg.norm(g)
assert objective.value(theta + uphill) > f
assert objective.value(theta) <= f + 0.01 * (g @ uphill)  # (4) would allow a loss above f

# %% [markdown]
# ## What to remember
#
# - A step: gradient on all data, curvature on one mini-batch, CG cut short, damping, line search.
# - CG stops when the model no longer improves, long before the residual is small.
# - rho compares what happened with what the model promised; it steers lambda.
# - With H the model may be unbounded: stop at negative curvature, or turn the candidate downhill.
