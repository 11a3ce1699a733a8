# %% [markdown]
# # 6. Training on digits
#
# He et al. 2016 (section 5) train four Hessian-free methods on MNIST and report that Hessian-Bi-CG-STAB "outperforms
# other Hessian-free variants". We repeat the experiment on the small set of digits in the package, and ask what a
# fair comparison is. The lesson runs in about fifteen seconds.
#
# - `gn-cg`: Gauss-Newton matrix, conjugate gradients (Martens 2010)
# - `hessian-cg`: the Hessian; conjugate gradients stop at negative curvature
# - `hybrid-cg`: the Hessian, and Gauss-Newton for one step after negative curvature
# - `hessian-bicgstab`: the Hessian; a fixed number of Bi-CG-STAB iterations, each turned downhill

# %%
import matplotlib.pyplot as plt
import numpy as np

import refhf
from refhf.data.data_sets import load


def hold(condition, statement):
    """Assert a statement and print it."""
    assert condition, f"does not hold: {statement}"
    print(statement)


STYLES = {
    "gn-cg": ("#0072B2", "-", "o"),
    "hessian-cg": ("#B34700", "--", "s"),
    "hybrid-cg": ("0.45", ":", "^"),
    "hessian-bicgstab": ("black", "-.", "D"),
    "sgd": ("#007A5A", "-", ""),
}

# %% [markdown]
# ## The task
#
# 2,000 digits, a network 784-50-10 (`P = 39760`), all methods from the same theta_0. float32 is enough for a network,
# and faster. refhf accumulates the scalars that control a method in float64. The test set is as large as the training
# set, `cases to train on = 2000, to test on = 2000`.

# %%
digits = load("mnist-mini", dtype=np.float32)
net = refhf.mlp([784, 50, 10], nonlinearity="tanh", loss="softmax_cross_entropy")
train = refhf.supervised(net, digits.X[:2000], digits.y[:2000])
test = refhf.supervised(net, digits.X_test, digits.y_test)
theta_0 = net.init(rng=0, dtype=np.float32)
hold(net.size == 39760, "P = 39760")
hold((train.cases, test.cases) == (2000, 2000), "cases to train on = 2000, to test on = 2000")

# %% [markdown]
# ## Run them
#
# The cost of a step differs between methods, so equal steps are no fair comparison. Each run makes 250 effective
# passes over the data. Gradients, products and losses count in proportion to their cases (a product here uses 500 of
# 2000). With $n$ cases and curvature mini-batches of $b$:
#
# $$\text{passes} = \text{gradients} + \text{losses on all cases} +
# \frac{b}{n} \left(\text{products} + \text{losses on the mini-batch}\right) \tag{1}$$


# %%
def run(method, passes, start=theta_0, **options):
    """The reports of a run within a number of passes."""
    reports = []
    for report in refhf.iterate(train, start, method=method, rng=0, **options):
        if report.counts.epochs > passes:
            return reports
        reports.append(report)


PASSES = 250
common = {"curvature_batch": 500, "damping": 0.1}
last = common | {"solver_iterations": 250, "backtracking": False}
CHOSEN = {
    "gn-cg": last | {"warm_start": 0.95},
    "hessian-cg": last | {"warm_start": 0.0},
    "hybrid-cg": last | {"warm_start": 0.0},
    "hessian-bicgstab": common | {"solver_iterations": 10, "backtracking": True, "warm_start": 0.0},
}
runs = {method: run(method, PASSES, **options) for method, options in CHOSEN.items()}

# %% [markdown]
# A report has the total cost so far. We compare the runs after 400 curvature products (*equal products*; Bi-CG-STAB
# makes two per iteration), and at the end (*equal passes*).


# %%
def at(reports, count, budget):
    """The last report within a budget of 'curvature_products' or 'epochs'."""
    return [report for report in reports if getattr(report.counts, count) <= budget][-1]


def line(name, report):
    loss, error, test_error = train.value(report.theta), train.error(report.theta), test.error(report.theta)
    print(
        f"{name:23} {report.k:5} {report.counts.curvature_products:8} {report.counts.epochs:7.0f} {loss:9.3f} "
        f"{100 * error:8.2f} % {100 * test_error:8.2f} %"
    )
    return loss, error, test_error


def table(title, reports):
    print(f"\n{title + ', a draw':23} steps products  passes      loss   training       test")
    return {name: line(name, report) for name, report in reports.items()}


at_products = table("400 products", {name: at(reports, "curvature_products", 400) for name, reports in runs.items()})
at_passes = table("250 passes", {name: reports[-1] for name, reports in runs.items()})

fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for name, (colour, dash, mark) in list(STYLES.items())[:4]:
    passes, losses = zip(*[(r.counts.epochs, r.loss) for r in runs[name]], strict=True)
    ax.semilogy(passes, losses, dash, marker=mark, markersize=4, color=colour, label=name)
ax.set(xlabel="passes over the data, by (1)", ylabel="training loss", title="A mark a step")
fig.legend(loc="outside right center", frameon=False)
plt.show()

# %% [markdown]
# **Picture.** The loss falls by more than a factor of twenty for each method, on nearly straight lines of a logarithmic
# scale. The curve of hessian-bicgstab (diamonds) is lowest for most of the run. On your machine the curves of the three
# methods with H may differ (see below).
#
# All four train: `training error of each < 2 %` in the end. On unseen digits none is good, `test error of each < 12
# %`: with so few cases, the networks overfit.
#
# hessian-bicgstab is ahead of hessian-cg at equal passes, `loss of hessian-cg / loss of hessian-bicgstab > 1`, as in
# the paper's Figure 4. Against gn-cg we claim only `loss of hessian-bicgstab / loss of gn-cg < 3`, at equal passes
# and at equal products, whatever the table shows. The next two sections give the reasons. The tables are random
# draws: on another processor gn-cg has the same numbers, but the methods that use the Hessian have others. The
# statements in this text held in each of seven draws, on three BLAS kernels from up to four starts.

# %%
hold(max(error for _, error, _ in at_passes.values()) < 0.02, "training error of each < 2 %")
hold(max(test_error for _, _, test_error in at_passes.values()) < 0.12, "test error of each < 12 %")


def ratio(losses, a, b):
    return losses[a][0] / losses[b][0]


hold(ratio(at_passes, "hessian-cg", "hessian-bicgstab") > 1, "loss of hessian-cg / loss of hessian-bicgstab > 1")
hold(ratio(at_passes, "hessian-bicgstab", "gn-cg") < 3, "loss of hessian-bicgstab / loss of gn-cg < 3")
assert ratio(at_products, "hessian-bicgstab", "gn-cg") < 3

# %% [markdown]
# ## What rounding alone does
#
# Multiply theta_0 by 1.000001 and run again. For gn-cg the difference is small, `change of gn-cg < 5 %`.
# hessian-bicgstab ends elsewhere: its matrix is indefinite, an iterate may be huge and of either sign, and rounding
# can decide between candidates. hessian-cg and hybrid-cg also end elsewhere: rounding can decide whether a curvature
# is negative, and in which iteration. Another processor has the same effect, because its BLAS sums in another order.
# So one run is one random draw.

# %%
pair = ("gn-cg", "hessian-bicgstab")
for name in pair:
    runs[name + ", again"] = run(name, PASSES, start=theta_0 * np.float32(1.000001), **CHOSEN[name])
again = table("250 passes", {name: runs[name][-1] for one in pair for name in (one, one + ", again")})
change = {name: abs(ratio(again, name + ", again", name) - 1) for name in pair}
hold(change["gn-cg"] < 0.05, "change of gn-cg < 5 %")
assert change["gn-cg"] < change["hessian-bicgstab"]

# %% [markdown]
# ## What two constants do
#
# The paper does not print two constants, and we chose them by trial: the first lambda, 0.1, and the number of
# Bi-CG-STAB iterations, 10. Now start from lambda = 1 and make 20 iterations; nothing else changes. More such choices,
# and the defaults that came of them, are in `figures/he_2016.md`.

# %%
other = CHOSEN["hessian-bicgstab"] | {"damping": 1.0, "solver_iterations": 20}
runs["other constants"] = run("hessian-bicgstab", PASSES, **other)
at_passes = table("250 passes", {name: reports[-1] for name, reports in runs.items()})
hold(ratio(at_passes, "other constants", "hessian-bicgstab") > 2, "loss with other constants / loss before > 2")
hold(ratio(at_passes, "other constants", "gn-cg") > 1, "loss with other constants / loss of gn-cg > 1")

# %% [markdown]
# `loss with other constants / loss before > 2`, and gn-cg is ahead, `loss with other constants / loss of gn-cg > 1`.
# So a ranking of methods is also a ranking of settings and seeds. Compare with more than one of each (`refhf compare`
# draws the curves).
#
# ## Was it the negative curvature?
#
# gn-cg cannot meet any, because its matrix is positive definite: `negative curvature of gn-cg = 0 steps`. The others
# meet it repeatedly. hessian-cg discards the direction. hessian-bicgstab uses it, and was ahead: this fits the
# paper's argument. But the run with other constants also met and used it. The number of negative curvatures explains
# nothing.

# %%
for name, reports in runs.items():
    met = any(report.negative_curvature for report in reports)
    print(f"{name:23} negative curvature: {'met' if met else 'never'}")
hold(not any(r.negative_curvature for r in runs["gn-cg"]), "negative curvature of gn-cg = 0 steps")
for name in ("hessian-cg", "hybrid-cg", "hessian-bicgstab", "other constants"):
    assert any(r.negative_curvature for r in runs[name])

# %% [markdown]
# ## And stochastic gradient descent?
#
# We run plain SGD with batch 64 and rate 0.1, without tuning. Per pass it is ahead at first: after 50 passes `loss of
# SGD / lowest loss of the others at 50 passes < 1`. The paper says so too (Figure 3, middle): an iteration of the
# second-order methods "requires multiple epochs".

# %%
sgd = run("sgd", 60, batch=64, learning_rate=0.1)
fifty = table("50 passes", {name: at(reports, "epochs", 50) for name, reports in (runs | {"sgd": sgd}).items()})
others = min(loss for name, (loss, _, _) in fifty.items() if name != "sgd")
hold(fifty["sgd"][0] < others, "loss of SGD / lowest loss of the others at 50 passes < 1")

# %% [markdown]
# The Hessian-free methods do not save work; they do *fewer, larger pieces of work*. On many machines each gradient
# and each product is one reduction of P numbers. SGD made `reductions of SGD in 60 passes = 1875`; hessian-bicgstab
# needs a fraction of them to get below SGD's loss, `reductions of hessian-bicgstab / of SGD < 0.5`. This is the
# argument of the paper's title (Figure 3, right).

# %%
loss = train.value(sgd[-1].theta)
below = next(report for report in runs["hessian-bicgstab"] if report.loss < loss)
reductions = below.counts.gradient_evaluations + below.counts.curvature_products
hold(len(sgd) == 1875, "reductions of SGD in 60 passes = 1875")
hold(reductions / len(sgd) < 0.5, "reductions of hessian-bicgstab / of SGD < 0.5")

fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for name, (colour, dash, mark) in list(STYLES.items())[:4]:
    counts = [r.counts.gradient_evaluations + r.counts.curvature_products for r in runs[name]]
    ax.semilogy(counts, [r.loss for r in runs[name]], dash, marker=mark, markersize=4, color=colour, label=name)
chosen = sgd[::75]
ax.semilogy([r.k for r in chosen], [train.value(r.theta) for r in chosen], color="#007A5A", linewidth=3, label="sgd")
ax.set(xlabel="reductions of P numbers: gradients and products", ylabel="training loss")
ax.set_title("The same runs, and SGD, by their communication")
fig.legend(loc="outside right center", frameon=False)
plt.show()

# %% [markdown]
# **Picture.** Counted in reductions, SGD (thick line) needs by far the most for the same loss: its curve goes on to
# the right while those of the Hessian-free methods have already ended, at a lower loss.
#
# ## Exercises
#
# **1.** The first step of gn-cg above makes one gradient, $c$ products and $l$ evaluations of the loss. Check (1)
# against the report: how many losses were on all cases?
#
# <details><summary>Answer</summary>
#
# The reduction ratio takes two losses on the mini-batch, before and after the step (lesson 5). All others are those of
# the line search, on all cases.
#
# </details>

# %%
# Answer to exercise 1, checked
counts = runs["gn-cg"][0].counts
on_all = counts.value_evaluations - 2
by_hand = counts.gradient_evaluations + on_all + 500 / 2000 * (counts.curvature_products + 2)
assert np.isclose(by_hand, counts.epochs)

# %% [markdown]
# **2.** Above, theta_0 was multiplied by 1.000001. What happens with 1.00000001?
#
# <details><summary>Answer</summary>
#
# Nothing at all. theta is float32, with a relative spacing of about $1.2 \cdot 10^{-7}$. The product is rounded back
# to the same numbers, so the run has the same bits.
#
# </details>

# %%
# Answer to exercise 2, checked
assert np.array_equal(theta_0 * np.float32(1.00000001), theta_0)
assert not np.array_equal(theta_0 * np.float32(1.000001), theta_0)

# %% [markdown]
# **3.** A network of 784-50-10 without training has a loss near $\log 10$. Why? And how far is theta_0 from that?
#
# <details><summary>Answer</summary>
#
# With outputs near zero, softmax gives each class about 1/10, and $-\log \frac{1}{10} = 2.303$. Our outputs are not
# quite zero, so the loss is a little higher: the mean of $-\log p$ is least where all $p$ are equal.
#
# </details>

# %%
# Answer to exercise 3, checked
assert 0 < train.value(theta_0) - np.log(10) < 0.3
assert np.isclose(train.value(np.zeros_like(theta_0)), np.log(10))

# %% [markdown]
# ## What to remember
#
# - Compare methods at equal products or equal passes, never at equal steps.
# - One run is one draw: with an indefinite matrix, rounding alone changes where it ends.
# - A ranking of methods is also a ranking of their settings.
# - Hessian-free methods do fewer, larger pieces of work: they save communication, not arithmetic.
