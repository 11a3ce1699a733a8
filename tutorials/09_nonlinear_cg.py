# %% [markdown]
# # 9. From linear CG to the stochastic method
#
# Adya et al. 2018 train large networks by nonlinear conjugate gradients. Have the paper open: Algorithm 1 is
# `refhf/methods/nonlinear_cg/nlcg_step.py`, line by line. It is the method of tutorial 3 with four things changed. We
# make the changes one by one, the first three on functions of two variables, and show the effect and the cost of
# each:
#
#     linear CG                               Algorithm 1
#     beta_k = r_k'r_k / r_{k-1}'r_{k-1}      the same (FR) or another formula (PR), clipped to [0, 1]
#     a preconditioner that stays             one that follows the curvature, Algorithm 2
#     alpha_k exact                           alpha_k from a schedule, times a scale (section 3.2.2)
#     g of all the data                       g of a mini-batch
#
# In their notation: r = -g, s = M^-1 r, delta = r's, and the direction is d = s + beta d.

# %%
from itertools import islice

import numpy as np

import refhf
from refhf.data.data_sets import load
from refhf.driver.minimize import METHODS
from refhf.methods.nonlinear_cg import diagonal_bfgs, nlcg_step
from refhf.methods.schedules import adya_2018
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
assert np.allclose(betas, [1.85 / 5, -1.15 / 5, -1.15 / 2, 1.85 / 2])

# %% [markdown]
# ## Why beta is clipped
#
# Suppose alpha and beta are constant. Along an axis of curvature c the points then follow
#
#     x_{k+1} = (1 + beta - alpha c) x_k - beta x_{k-1}
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

# %% [markdown]
# Dots show the valley, f < 5. `f` marks the first 200 points of FR, `p` the first 500 of PR. `X` is the minimum, (1,
# 1).


# %%
def drawn(marks, window=(-1.4, 1.4, -0.3, 1.5), columns=76, rows=22):
    """The surface as text: the valley, overlaid with the points of each mark."""
    left, right, low, high = window
    x, y = np.meshgrid(np.linspace(left, right, columns), np.linspace(high, low, rows))
    page = np.where(surface.value(np.array([x, y])) < 5, ".", " ")
    for mark, points in marks.items():
        for point in points:
            column = round((columns - 1) * (point[0] - left) / (right - left))
            row = round((rows - 1) * (high - point[1]) / (high - low))
            page[row, column] = mark
    return "\n".join("".join(line).rstrip() for line in page)


print(drawn({"f": [r.theta for r in fr[:200]], "p": [r.theta for r in pr], "X": [(1.0, 1.0)]}))

# %% [markdown]
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
# Algorithm 2 updates the diagonal of BFGS. It starts from h = (1, 1), and each step s that changes the gradient by y
# adds y_i^2/y's and takes away (h_i s_i)^2/s'hs. On the valley, from (10, 1), the first s is along (1, 10) and y
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
# ## A scale that follows the loss
#
# The online stochastic line search does not search. If f has grown by more than 2 % since the previous step, it
# divides a scale by 1.025. If f has grown by less than 1 %, it multiplies the scale by 1.025, at most up to 1. The
# rate is the schedule's times that scale. To bring down a rate that is three times too large takes log 3 / log 1.025
# such steps, `steps down to a third = 44`, and all of them uphill.
#
# On the valley, without preconditioner, gradient descent is stable up to a rate of 2/100, and with beta from 0 to 1
# the limit is 4/100, as shown above. We set 6/100. With PR and no search, f overflows, `PR, off: f after 200 steps >
# 1e200`. With the search f first rises by thirteen orders of magnitude, then falls to the minimum, `PR, online:
# highest f > 1e15, f after 400 steps < 1e-3`; the scale settles at `rate times scale = 0.04`, the stability limit.

# %%
print(f"steps down to a third = {np.log(3) / np.log(1.025):.0f}")
start, too_large = np.array([10.0, 1.0]), 0.06
runs = {
    (word, search): run(
        *(quadratic(valley, np.zeros(2)), start, f"nlcg-{word.lower()}", 400),
        **{"line_search": search, "learning_rate": too_large, "preconditioner": False},
    )
    for word in ("PR", "FR")
    for search in ("off", "online", "table")
}
for (word, search), reports in runs.items():
    f = [report.loss for report in reports]
    shown = ", ".join(f"1e{np.log10(f[k]):+.0f}" for k in range(0, len(f), 50))
    print(f"{word}, {search:6} f every 50 steps: {shown}")
f = {name: [report.loss for report in reports] for name, reports in runs.items()}
hold(f["PR", "off"][199] > 1e200, "PR, off: f after 200 steps > 1e200")
hold(
    max(f["PR", "online"]) > 1e15 and f["PR", "online"][399] < 1e-3,
    "PR, online: highest f > 1e15, f after 400 steps < 1e-3",
)
settled = too_large * np.median([report.detail.rate_scale for report in runs["PR", "online"][-100:]])
print(f"rate times scale = {settled:.2f}")

# %% [markdown]
# Its rule is crude: it counts rises and falls of f, and ignores their *size*. So a loss that alternates between large
# rises and small falls leaves the scale constant. With FR this happens, and f grows all the time: `FR, online: f
# after 400 steps > 1e15`, at a scale that is no longer falling. The published code differs: it compares f with an
# average, can halve the scale at once, and undoes a part of the last step. With its table both converge from the same
# rate, `table: highest f < 1e4, f after 400 steps < 1e-12`.

# %%
hold(f["FR", "online"][399] > 1e15, "FR, online: f after 400 steps > 1e15")
scales = [report.detail.rate_scale for report in runs["FR", "online"]]
assert min(scales[-200:]) > 0.9 * min(scales[:200])
tables = [f[word, "table"] for word in ("PR", "FR")]
hold(
    max(map(max, tables)) < 1e4 and max(losses[399] for losses in tables) < 1e-12,
    "table: highest f < 1e4, f after 400 steps < 1e-12",
)

# %% [markdown]
# So the search corrects a rate that is slightly too large, as a tuned schedule's sometimes is; it does not find a
# rate.
#
# ## Mini-batches
#
# Now the whole method, as published, on the 10,000 digits of the package: a network 784-30-10, 12 epochs, the paper's
# schedule (section 4.1: warm-up for 5 epochs to 0.1/256 times the batch, then down to 0.001 by a factor every second
# epoch), the same for all methods; it was tuned for momentum. At batch 2,500 that makes `steps = 48`. One seed, one
# network, one schedule: this *illustrates* what the methods do, and ranks nothing. `refhf sweep` is for that.

# %%
digits = load("mnist-mini", dtype=np.float32)
net = refhf.mlp([784, 30, 10], nonlinearity="tanh", loss="softmax_cross_entropy")
train = refhf.supervised(net, digits.X, digits.y)
theta_0 = net.init(rng=0, dtype=np.float32)
EPOCHS = 12


def trained(method, batch, **options):
    """Print a line about the run, and return its training error in per cent after some epochs."""
    schedule = adya_2018(batch, train.cases, EPOCHS)
    reports = run(train, theta_0, method, schedule.steps, batch=batch, learning_rate=schedule, **options)
    theta, last = reports[-1].theta, reports[-1]
    error = 100 * train.error(theta)
    name = f"{method}, {'no preconditioner' if options else f'batch {batch}'}"
    print(f"{name:26} steps = {last.k}, loss {train.value(theta):.1f}, error {error:.0f} %, ", end="")
    skipped, floored = (getattr(last.detail, name, 0) for name in ("skipped", "floored"))  # momentum has neither
    print(f"skipped {100 * skipped / last.k:.0f} % of the updates, floored {floored}")
    return error


rate = adya_2018(2500, train.cases, EPOCHS)
print("rate at steps 1, 11, 21, 31, 48: " + ", ".join(f"{rate(k):.3f}" for k in (1, 11, 21, 31, 48)))
methods = ("momentum", "nlcg-fr", "nlcg-pr")
large = {method: trained(method, 2500) for method in methods}
hold(max(large.values()) < 15, "batch 2500: largest error < 15 %")

# %% [markdown]
# All three train, `batch 2500: largest error < 15 %`. Now batch 128, where the line search is off (section 4.1), and
# 948 steps fit into the same epochs. Momentum becomes better, and NLCG much worse: `batch 128: error of momentum < 8
# %, of nlcg-fr > 12 %, of nlcg-pr > 40 %`. The paper's last section says "unstable", but no run diverges here. The
# next section gives the reason.

# %%
small = {method: trained(method, 128) for method in methods}
hold(
    small["momentum"] < 8 and small["nlcg-fr"] > 12 and small["nlcg-pr"] > 40,
    "batch 128: error of momentum < 8 %, of nlcg-fr > 12 %, of nlcg-pr > 40 %",
)
assert small["momentum"] < large["momentum"]
assert all(small[method] > large[method] for method in methods[1:])

# %% [markdown]
# ## Noise in the place of curvature
#
# The preconditioner is the reason. y is the difference between the gradients of *two* mini-batches, y = Hs + e_2 -
# e_1 with the noise of each, and s = -alpha (g + e_1) also contains e_1. If noise dominates, y'y is about ||e_1||^2 +
# ||e_2||^2 and y's about alpha ||e_1||^2. So y'y/y's, which the update adds to the sum of h, is 2/alpha, and tells
# nothing about f. At batch 128 and a rate of 0.05 that is 40; we measure `y of two mini-batches: y'y/y's > 30`, but
# `y of one: y'y/y's < 10`.

# %%
theta = refhf.minimize(train, theta_0, "momentum", 100, rng=0, batch=128, learning_rate=0.02).x
rng, ratios = np.random.default_rng(0), []
for _ in range(40):
    one, other = train.sample(128, rng=rng), train.sample(128, rng=rng)
    g = one.value_and_gradient(theta)[1]
    s = -0.05 * g
    changes = [batch.value_and_gradient(theta + s)[1] - g for batch in (other, one)]
    ratios.append([y @ y / (y @ s) for y in changes])
two, same = np.median(ratios, axis=0)
hold(30 < two < 50, "y of two mini-batches: y'y/y's > 30")
hold(0 < same < 10, "y of one: y'y/y's < 10")

# %% [markdown]
# A larger h makes shorter steps s = r/h, and a shorter s makes more of y noise. A step is a pure function of a state,
# so we can read h. After the paper's schedule `batch 128: mean of h > 1000`, and the run stands still; `batch 2500:
# mean of h < 10`. The cause could be the batch or the rate: the schedule gives batch 128 a twentieth of the rate.
# After 100 steps at a constant rate: `batch 128, rate 0.01: mean of h > 3`, but `batch 128, rate 0.5: mean of h < 2`,
# and without noise `batch 10000, rate 0.01: mean of h < 2`. So the cause is both: noise, and a rate that is small
# relative to it.


# %%
def mean_of_h(batch, steps, rate):
    """The mean of the preconditioner's diagonal after a run of nlcg-fr."""
    options = nlcg_step.NonlinearCGOptions(**METHODS["nlcg-fr"].fixed, batch=batch, learning_rate=rate)
    options = nlcg_step.check(options, train)
    state = nlcg_step.init(theta_0, options, np.random.default_rng(0))
    for k in range(1, steps + 1):
        state, _ = nlcg_step.step(state, train, options, k, np.random.default_rng(k))
    return state.h.mean()


schedules = {batch: adya_2018(batch, train.cases, EPOCHS) for batch in (128, 2500)}
hold(mean_of_h(128, schedules[128].steps, schedules[128]) > 1000, "batch 128: mean of h > 1000")
hold(mean_of_h(2500, schedules[2500].steps, schedules[2500]) < 10, "batch 2500: mean of h < 10")
hold(mean_of_h(128, 100, 0.01) > 3, "batch 128, rate 0.01: mean of h > 3")
hold(mean_of_h(128, 100, 0.5) < 2, "batch 128, rate 0.5: mean of h < 2")
hold(mean_of_h(10000, 100, 0.01) < 2, "batch 10000, rate 0.01: mean of h < 2")

# %% [markdown]
# Without preconditioner, at batch 128 and with the same schedule, both formulas train well: `no preconditioner, batch
# 128: largest error < 8 %`. A larger batch has less noise in y, and a larger rate in the schedule. The method needs
# both. The authors state the first: "with large mini-batches, the variance of the gradients is reduced" (section
# 3.2).

# %%
without = [trained(method, 128, preconditioner=False) for method in methods[1:]]
hold(max(without) < 8, "no preconditioner, batch 128: largest error < 8 %")

# %% [markdown]
# ## Summary
#
# | change from linear CG | benefit | cost |
# |---|---|---|
# | beta at most 1 | stable up to a rate of 4 / curvature | conjugacy, with exact steps and FR |
# | beta at least 0 | a restart where the gradient did not turn | with short steps PR is gradient descent |
# | a diagonal of curvatures | a valley along the axes becomes round | no help for a turned valley; M changes |
# | a scale for a line search | corrects a slightly too large rate | counts rises and ignores their size |
# | mini-batches | fewer passes over the data | noise in place of curvature, worse at small rates |
