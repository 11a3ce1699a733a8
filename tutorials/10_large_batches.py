# %% [markdown]
# # 10. Nonlinear conjugate gradients on mini-batches
#
# Lesson 9 changed linear CG into Algorithm 1 of Adya et al. 2018, except for two things: the rate comes from a
# schedule times a scale that follows the loss (section 3.2.2), and the gradient from a mini-batch. Here we add them,
# train a network, and ask why the method needs *large* batches.

# %%
from itertools import islice

import matplotlib.pyplot as plt
import numpy as np

import refhf
from refhf.data.data_sets import load
from refhf.driver.minimize import METHODS
from refhf.methods.nonlinear_cg import nlcg_step
from refhf.methods.schedules import adya_2018

BLUE, RED = "#0072B2", "#B34700"
valley = np.diag([1.0, 100.0])
objective = refhf.from_functions(lambda x: x @ valley @ x / 2, lambda x: valley @ x, lambda x, v: valley @ v)


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
# ## A scale that follows the loss
#
# The online stochastic line search does not search. It keeps a scale $\sigma \le 1$, and the rate is $\sigma$ times
# the schedule's. With f of this step and of the previous one:
#
# $$\sigma \leftarrow \sigma / 1.025 \text{ if } f_k > 1.02\, f_{k-1}, \qquad
# \sigma \leftarrow \min(1,\, 1.025\, \sigma) \text{ if } f_k < 1.01\, f_{k-1} \tag{1}$$
#
# To bring down a rate that is three times too large takes log 3 / log 1.025
# such steps, `steps down to a third = 44`, and all of them uphill.
#
# On the valley $f = x^2/2 + 100\, y^2/2$, without preconditioner, gradient descent is stable up to a rate of 2/100,
# and with beta from 0 to 1 the limit is 4/100 (lesson 9). We set 6/100. With PR and no search, f overflows, `PR, off:
# f after 200 steps > 1e200`. With the search f first rises by thirteen orders of magnitude, then falls to the
# minimum, `PR, online: highest f > 1e15, f after 400 steps < 1e-3`; the scale settles at `rate times scale = 0.04`,
# the stability limit.

# %%
print(f"steps down to a third = {np.log(3) / np.log(1.025):.0f}")
start, too_large = np.array([10.0, 1.0]), 0.06
runs = {
    (word, search): run(
        *(objective, start, f"nlcg-{word.lower()}", 400),
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

fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for search, dash, colour in (("off", ":", "black"), ("online", "--", RED), ("table", "-", BLUE)):
    ax.semilogy(np.minimum(f["PR", search], 1e40), dash, color=colour, linewidth=2)
ax.text(32, 1e27, "no search", color="black")
ax.text(120, 1e14, "the paper's search", color=RED)
ax.text(10, 1e-11, "the published table", color=BLUE)
ax.set(xlabel="step", ylabel="f", title="PR with a rate that is too large by a half", ylim=(1e-14, 1e30))
plt.show()

# %% [markdown]
# **Picture.** Without a search f grows without limit (dotted). With the paper's search (dashed) it grows for twenty
# steps, while the scale comes down, and then falls. With the published table (solid) it hardly rises.
#
# So the search corrects a rate that is slightly too large, as a tuned schedule's sometimes is; it does not find a
# rate.
#
# ## Mini-batches
#
# Now the whole method, as published, on the 10,000 digits of the package: a network 784-30-10, 8 epochs, the paper's
# schedule (section 4.1: warm-up for 5 epochs to 0.1/256 times the batch, then down to 0.001 by a factor every second
# epoch), the same for all methods; it was tuned for momentum. At batch 2,500 that makes `steps = 32`. One seed, one
# network, one schedule: this *illustrates* what the methods do, and ranks nothing. (With another BLAS the last digits
# of the lines for batch 128 differ.) `refhf sweep` is for that.

# %%
digits = load("mnist-mini", dtype=np.float32)
net = refhf.mlp([784, 30, 10], nonlinearity="tanh", loss="softmax_cross_entropy")
train = refhf.supervised(net, digits.X, digits.y)
theta_0 = net.init(rng=0, dtype=np.float32)
EPOCHS = 8


def steps_of(method, batch, steps, rate, **options):
    """Yield the state and the report of each step. A step is a pure function of a state, so we can read h."""
    options = nlcg_step.NonlinearCGOptions(**METHODS[method].fixed, batch=batch, learning_rate=rate, **options)
    options = nlcg_step.check(options, train)
    state = nlcg_step.init(theta_0, options, np.random.default_rng(0))
    for k in range(1, steps + 1):
        state, report = nlcg_step.step(state, train, options, k, np.random.default_rng([0, k]))
        yield state, report


def trained(method, batch, **options):
    """Print a line about a run, and return its training error in per cent and the mean of h after each step."""
    schedule = adya_2018(batch, train.cases, EPOCHS)
    if method == "momentum":
        reports, means = run(train, theta_0, method, schedule.steps, batch=batch, learning_rate=schedule), []
    else:
        made = [
            (report, 0.0 if state.h is None else state.h.mean())
            for state, report in steps_of(method, batch, schedule.steps, schedule, **options)
        ]
        reports, means = zip(*made, strict=True)
    theta, last = reports[-1].theta, reports[-1]
    error = 100 * train.error(theta)
    name = f"{method}, {'no preconditioner' if options else f'batch {batch}'}"
    print(f"{name:26} steps = {len(reports)}, loss {train.value(theta):.1f}, error {error:.0f} %, ", end="")
    skipped, floored = (getattr(last.detail, name, 0) for name in ("skipped", "floored"))  # momentum has neither
    print(f"skipped {100 * skipped / len(reports):.0f} % of the updates, floored {floored}")
    return error, means


rate = adya_2018(2500, train.cases, EPOCHS)
print("rate at steps 1, 8, 16, 24, 32: " + ", ".join(f"{rate(k):.3f}" for k in (1, 8, 16, 24, 32)))
methods = ("momentum", "nlcg-fr", "nlcg-pr")
runs = {(method, batch): trained(method, batch) for batch in (2500, 128) for method in methods}
large = {method: runs[method, 2500][0] for method in methods}
hold(max(large.values()) < 15, "batch 2500: largest error < 15 %")

# %% [markdown]
# All three train, `batch 2500: largest error < 15 %`. Now batch 128, where the line search is off (section 4.1), and
# 632 steps fit into the same epochs. Momentum becomes better, and NLCG much worse: `batch 128: error of momentum < 8
# %, of nlcg-fr > 12 %, of nlcg-pr > 40 %`. The paper's last section says "unstable", but no run diverges here. The
# next section gives the reason.

# %%
small = {method: runs[method, 128][0] for method in methods}
hold(
    small["momentum"] < 8 and small["nlcg-fr"] > 12 and small["nlcg-pr"] > 40,
    "batch 128: error of momentum < 8 %, of nlcg-fr > 12 %, of nlcg-pr > 40 %",
)
assert small["momentum"] < large["momentum"]
assert all(small[method] > large[method] for method in methods[1:])

# %% [markdown]
# ## Noise in the place of curvature
#
# The preconditioner is the reason. y is the difference between the gradients of *two* mini-batches with the noise of
# each,
#
# $$y = Hs + e_2 - e_1, \qquad s = -\alpha (g + e_1) \tag{2}$$
#
# If noise dominates, $y'y$ is about $|e_1|^2 + |e_2|^2$ and $y's$ about $\alpha |e_1|^2$. So y'y/y's, which the
# update adds to the sum of h, is 2/alpha, and tells nothing about f. At batch 128 and a rate of 0.05 that is 40; we
# measure `y of two mini-batches: y'y/y's > 30`, but `y of one: y'y/y's < 10`.

# %%
theta = refhf.minimize(train, theta_0, "momentum", 100, rng=0, batch=128, learning_rate=0.02).x
rng, ratios = np.random.default_rng(0), []
for _ in range(40):
    one, other = train.sample(128, rng=rng), train.sample(128, rng=rng)
    g = one.value_and_gradient(theta)[1]
    s = -0.05 * g  # (2)
    changes = [batch.value_and_gradient(theta + s)[1] - g for batch in (other, one)]
    ratios.append([y @ y / (y @ s) for y in changes])
two, same = np.median(ratios, axis=0)
hold(30 < two < 50, "y of two mini-batches: y'y/y's > 30")
hold(0 < same < 10, "y of one: y'y/y's < 10")

# %% [markdown]
# A larger h makes shorter steps s = r/h, and a shorter s makes more of y noise. After the paper's schedule `batch
# 128: mean of h > 1000`, and the run stands still; `batch 2500: mean of h < 10`. The cause could be the batch or the
# rate: the schedule gives batch 128 a twentieth of the rate. After 100 steps at a constant rate (30 of the full
# batch): `batch 128, rate 0.01: mean of h > 3`, but `batch 128, rate 0.5: mean of h < 2`, and without noise `batch
# 10000, rate 0.01: mean of h < 2`. So the cause is both: noise, and a rate that is small relative to it.


# %%
def mean_of_h(batch, steps, rate):
    """The mean of the preconditioner's diagonal after a run of nlcg-fr."""
    *_, (state, _) = steps_of("nlcg-fr", batch, steps, rate)
    return state.h.mean()


means = {batch: runs["nlcg-fr", batch][1] for batch in (128, 2500)}
hold(means[128][-1] > 1000, "batch 128: mean of h > 1000")
hold(means[2500][-1] < 10, "batch 2500: mean of h < 10")
hold(mean_of_h(128, 100, 0.01) > 3, "batch 128, rate 0.01: mean of h > 3")
hold(mean_of_h(128, 100, 0.5) < 2, "batch 128, rate 0.5: mean of h < 2")
hold(mean_of_h(10000, 30, 0.01) < 2, "batch 10000, rate 0.01: mean of h < 2")

fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for batch, dash, colour in ((128, "-", RED), (2500, "--", BLUE)):
    ax.semilogy(
        np.arange(1, len(means[batch]) + 1) * batch / train.cases, means[batch], dash, color=colour, linewidth=2
    )
ax.text(2.4, 300, "batch 128", color=RED)
ax.text(2.4, 1.7, "batch 2,500", color=BLUE)
ax.set(xlabel="passes over the data", ylabel="mean of h", title="What the preconditioner takes for curvature")
plt.show()

# %% [markdown]
# **Picture.** At batch 2,500 (dashed) the mean of h stays near 1. At batch 128 (solid) it grows all the time, to
# thousands: the steps become so short that the run stands still.
#
# Without preconditioner, at batch 128 and with the same schedule, both formulas train well: `no preconditioner, batch
# 128: largest error < 10 %`. A larger batch has less noise in y, and a larger rate in the schedule. The method needs
# both. The authors state the first: "with large mini-batches, the variance of the gradients is reduced" (section
# 3.2).

# %%
without = [trained(method, 128, preconditioner=False)[0] for method in methods[1:]]
hold(max(without) < 10, "no preconditioner, batch 128: largest error < 10 %")

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
#
# ## Exercises
#
# **1.** By how much may f grow in the long run without (1) ever lowering the scale?
#
# <details><summary>Answer</summary>
#
# By up to 2 % a step: 1.02 to the power of 400 is 2,755. The scale then stays, or grows where f grows by less than 1
# %.
#
# </details>

# %%
# Answer to exercise 1, checked
assert round(1.02**400) == 2755

# %% [markdown]
# **2.** Derive $2/\alpha$ for $y'y/y's$ from (2), if noise dominates and $e_1$, $e_2$ are independent with the same
# variance.
#
# <details><summary>Answer</summary>
#
# $y \approx e_2 - e_1$, $s \approx -\alpha e_1$. In many dimensions $e_1'e_2 \approx 0$, so
# $y'y \approx 2 |e|^2$ and $y's \approx \alpha |e|^2$.
#
# </details>

# %%
# Answer to exercise 2, checked
e_1, e_2 = np.random.default_rng(1).normal(size=(2, 100_000))
y, s = e_2 - e_1, -0.05 * e_1
assert abs(y @ y / (y @ s) / (2 / 0.05) - 1) < 0.03

# %% [markdown]
# **3.** Both gradients of y on the *same* mini-batch would remove the noise. What does this cost, and what does it not
# remove?
#
# <details><summary>Answer</summary>
#
# A second gradient for each step, so half as many steps for the same work. Then $y = H_m s$ with the Hessian of the
# mini-batch, which is still a random matrix, but with the right mean.
#
# </details>

# %%
# Answer to exercise 3, checked
batch = train.sample(128, rng=np.random.default_rng(2))
g = batch.value_and_gradient(theta)[1]
s = -1e-3 * g
y = batch.value_and_gradient(theta + s)[1] - g
assert np.linalg.norm(y - batch.hessian(theta) @ s) < 0.05 * np.linalg.norm(y)

# %% [markdown]
# ## What to remember
#
# - The scale corrects a rate that is slightly too large. It finds none.
# - A secant pair from two mini-batches measures noise: $y'y/y's$ is $2/\alpha$, whatever f is.
# - The noise makes the preconditioner large and the steps short. Large batches are the cure.
