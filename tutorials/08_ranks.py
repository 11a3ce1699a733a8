# %% [markdown]
# # 8. The same answer on many ranks
#
# He et al. 2016, Algorithm 2, lines 3 to 5: each node computes on its own cases, and the results are added. The
# distributed method is no more than this, but three things can go wrong: means instead of sums, a different order of
# the same sum, and a rank that takes a decision alone. We run the method by hand on ranks that are threads of this
# process, then on two processes under `mpiexec`. We compare the communication with the formulas of section 3.

# %%
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # one thread per rank: the ranks share the cores

import importlib.util
import math
import shutil
import signal
import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np

import refhf
from refhf.data.data_sets import load
from refhf.model import network
from refhf.parallel import run, shard
from refhf.parallel.communication_volume import (
    counted_data_parallel,
    paper_data_parallel,
)
from refhf.parallel.shards import VIRTUAL
from refhf.parallel.thread_ranks import PartedError

digits = load("mnist-mini")
X, y = digits.X[:1000], digits.y[:1000]
net = refhf.mlp([784, 20, 10], nonlinearity="tanh", loss="softmax_cross_entropy")
theta = net.init(rng=0)
alone = refhf.supervised(net, X, y)
f, g = alone.value_and_gradient(theta)
print(f"P = {theta.size}, f = {f:.4f}")
assert (theta.size, round(f, 4)) == (15910, 2.4408)

# %% [markdown]
# ## Ranks
#
# `run(n, function)` calls function(comm) on n ranks, each a thread. A communicator has a rank and a size, and
# collective operations, which *all ranks must call together*: `sum`, `broadcast`, `gather`, `barrier`. After a sum
# every rank has the result: `1 + 2 + 3 + 4 = 10`, on four ranks.

# %%
sums = run(4, lambda comm: int(comm.sum(np.array([comm.rank + 1]))[0]))
print(f"1 + 2 + 3 + 4 = {sums[0]}, on each: {sums}")
assert sums == [10, 10, 10, 10]

# %% [markdown]
# ## Lines 3 and 4, by hand
#
# Line 3: each rank computes the gradient of its own cases. Line 4: a reduction adds these gradients. A rank's cases
# are a *shard* of consecutive rows; 1000 rows on three ranks are `333 + 333 + 334 = 1000`. The ranks add **sums over
# cases**, the loss and the gradient in one buffer and one call, and then divide once by n. All ranks get the serial f
# and g, up to rounding: `f = 2.4408, calls = 1`.


# %%
def lines_3_and_4(comm):
    mine = shard(1000, comm.rank, comm.size)
    loss, gradient = network.loss_and_gradient(net, theta, X[mine], y[mine])  # 3, sums over the cases
    loss, *gradient = comm.sum(np.append(loss, gradient)) / 1000  # 4
    return loss, np.array(gradient), comm.traffic.calls


lengths = [len(range(1000)[shard(1000, rank, 3)]) for rank in range(3)]
print(" + ".join(map(str, lengths)), "=", sum(lengths))
for f_rank, g_rank, calls in run(3, lines_3_and_4):
    print(f"f = {f_rank:.4f}, calls = {calls}")
    assert np.isclose(f_rank, f, rtol=1e-13, atol=0)
    assert np.linalg.norm(g_rank - g) < 1e-13 * np.linalg.norm(g)
    assert calls == 1

# %% [markdown]
# ## The mean of means is not the mean
#
# As printed, line 4 is g = (1/N) sum of the nodes' gradients, each the mean of a node. With equal shards that is the
# same, `equal shards: relative error < 1e-13`. Now let the ranks hold 700, 200 and 100 cases. Each case of the third
# rank then counts seven times as much as one of the first, and the result is the gradient of a different function:
# `700, 200, 100 cases: relative error = 0.161`. This is not rounding. A rank without cases makes the result NaN,
# `mean of no cases = nan`. Sums do not have this problem: an empty sum is zero.


# %%
def mean_of_means(comm, bounds):
    mine = slice(bounds[comm.rank], bounds[comm.rank + 1])
    _, gradient = network.loss_and_gradient(net, theta, X[mine], y[mine])
    return comm.sum(gradient / (mine.stop - mine.start)) / comm.size


def error(bounds):
    gradient = run(len(bounds) - 1, lambda comm: mean_of_means(comm, bounds))[0]
    return np.linalg.norm(gradient - g) / np.linalg.norm(g)


assert error([0, 250, 500, 750, 1000]) < 1e-13
print("equal shards: relative error < 1e-13")
print(f"700, 200, 100 cases: relative error = {error([0, 700, 900, 1000]):.3f}")
with np.errstate(invalid="ignore"):
    print(f"mean of no cases = {np.float64(0) / 0}")

# %% [markdown]
# Equal shards are not enough, because line 5 uses the curvature of a mini-batch. In refhf every rank draws the same
# row numbers, out of all cases, from the same stream, and uses the rows in its shard. So the mini-batch does not
# depend on the number of ranks, and needs no communication. The ranks' shares of it are unequal by chance: of 64
# cases drawn from 1000, 16 ranks have `fewest = 0, most = 8`. (The paper has each node draw its own;
# `refhf/parallel/reduction.py` declares the departure.)

# %%
drawn = np.random.default_rng(0).choice(1000, 64, replace=False)
shares = [sum(row in range(1000)[shard(1000, rank, 16)] for row in drawn) for rank in range(16)]
print(f"fewest = {min(shares)}, most = {max(shares)}: {shares}")
assert sum(shares) == 64

# %% [markdown]
# ## Another order, other bits
#
# Floating-point addition is not associative: `(0.1 + 0.2) + 0.3 = 0.6000000000000001`, but `0.1 + (0.2 + 0.3) = 0.6`.
# Three ranks add in a different order than one. So the gradient of three ranks has `components with other bits > 0`,
# and `relative difference < 1e-13`.

# %%
print(f"(0.1 + 0.2) + 0.3 = {(0.1 + 0.2) + 0.3}")
print(f"0.1 + (0.2 + 0.3) = {0.1 + (0.2 + 0.3)}")
_, g_3, _ = run(3, lines_3_and_4)[0]
other = np.count_nonzero(g_3 != g)
assert other > 0
assert np.linalg.norm(g_3 - g) < 1e-13 * np.linalg.norm(g)
print("components with other bits > 0; relative difference < 1e-13")

# %% [markdown]
# This is harmless until an iteration amplifies it. Each iteration of conjugate gradients inherits the rounding error
# of the previous one. After the first good approximation of an eigenvalue, the error grows about tenfold per
# iteration. We compare one step on one rank and on three ranks, for two methods: `gn-cg: relative difference of theta
# > 1e-12`, and Bi-CG-STAB, whose matrix is indefinite, has `hessian-bicgstab: relative difference of theta > 1e-08`.
# The exact difference depends on rounding, and so on the BLAS: three of them gave 5e-7 to 2e-5, and 9e-4 to 8e-2,
# which is a different step. Both steps are equally valid steps of the method, but you cannot find a bug by comparing
# such runs. No rank did anything wrong: multiplying g by 1 + 2e-16 on one process has the same effect.


# %%
def shared(comm, reduction="fast"):
    """The objective over the ranks' shards."""
    mine = shard(1000, comm.rank, comm.size, reduction)
    return refhf.supervised(net, X[mine], y[mine], comm=comm, reduction=reduction)


MANY = {"gn-cg": {"solver_iterations": 250, "backtracking": False}, "hessian-bicgstab": {"solver_iterations": 10}}


def after(steps, ranks, method, reduction="fast", **options):
    """The result of a run on some number of ranks; asserts that all ranks have the same bits."""
    results = run(
        ranks,
        lambda comm: refhf.minimize(
            shared(comm, reduction), theta, method, steps, rng=0, curvature_batch=250, **MANY[method], **options
        ),
    )
    assert all(np.array_equal(result.x, results[0].x) for result in results)
    return results[0]


def difference(a, b):
    return np.linalg.norm(a.x - b.x) / np.linalg.norm(a.x)


for method, least in ("gn-cg", 1e-12), ("hessian-bicgstab", 1e-8):
    apart = difference(after(1, 1, method), after(1, 3, method))
    assert apart > least
    print(f"{method}: relative difference of theta > {least:.0e}")

# %% [markdown]
# The remedy is an order of summation that does not depend on the number of ranks. `reduction="reproducible"` cuts the
# cases into `V = 16` pieces, for any number of ranks. Each rank holds some whole pieces and computes *their* sums.
# All sums are gathered, and every rank adds them in the order of the pieces. So every number has the same bits:
# `hessian-bicgstab, reproducible: relative difference of theta = 0.0`. It needs the same arithmetic within a piece:
# one machine, and one BLAS thread per rank. It costs communication: the sums of the pieces are 16 (P + 1) numbers and
# one per rank, but a sum over ranks is P + 3 numbers (the loss, and two checksums that detect different requests on
# different ranks). For one gradient on three ranks `fast: numbers = 15913`, `reproducible: numbers = 254579`.


# %%
print(f"V = {VIRTUAL}")
method = "hessian-bicgstab"
apart = difference(after(3, 1, method, "reproducible"), after(3, 3, method, "reproducible"))
print(f"{method}, reproducible: relative difference of theta = {apart}")
assert apart == 0


def numbers(comm, reduction):
    objective = shared(comm, reduction)
    before = comm.traffic.bytes
    objective.value_and_gradient(theta)
    return (comm.traffic.bytes - before) // 8


sent = [run(3, lambda comm, kind=kind: numbers(comm, kind))[0] for kind in ("fast", "reproducible")]
print(f"fast: numbers = {sent[0]}\nreproducible: numbers = {sent[1]}")
assert sent == [theta.size + 3, 16 * (theta.size + 1) + 3]

# %% [markdown]
# ## A rank that decides alone
#
# Either all ranks make a collective call, or none. So every value that decides *whether* there is a next call must be
# the same on all ranks, to the last bit. Let each of two ranks stop when the loss of **its own** cases is below 1.
# This looks harmless. But `own losses after step 3 = 1.045, 0.987`: rank 1 stops, and rank 0 waits for it in the next
# sum. The threads detect this and raise an exception, which names the waiting rank, the call and the reason.


# %%
def own_loss(comm, theta):
    mine = shard(1000, comm.rank, comm.size)
    return refhf.supervised(net, X[mine], y[mine]).value(theta)


def steps_until(comm, done):
    """The number of steps of gn-cg on a rank that stops when done(comm, report)."""
    options = MANY["gn-cg"] | {"curvature_batch": 250, "damping": 1.0}
    reports = refhf.iterate(shared(comm), theta, method="gn-cg", rng=0, **options)
    return next(report.k for report in reports if done(comm, report))


theta_3 = after(3, 1, "gn-cg", damping=1.0).x
own = run(2, lambda comm: own_loss(comm, theta_3))
print(f"own losses after step 3 = {own[0]:.3f}, {own[1]:.3f}")
try:
    run(2, lambda comm: steps_until(comm, lambda comm, report: own_loss(comm, report.theta) < 1))
except PartedError as parted:
    print(f"PartedError: {parted}")
    assert str(parted).endswith("but rank 1 has returned")
else:
    raise AssertionError("the ranks did not part")

# %% [markdown]
# The remedy is to test a number that all ranks share: `report.loss`, the result of a sum. Then `by the common loss:
# steps = [4, 4]`. For a clock, each rank contributes whether its time is up, the ranks add these flags, and all stop
# if the sum is positive.

# %%
steps = run(2, lambda comm: steps_until(comm, lambda comm, report: report.loss < 1))
print(f"by the common loss: steps = {steps}")
assert steps == [4, 4]

# %% [markdown]
# ## What an iteration communicates
#
# A report counts the communication. The first step of gn-cg on three ranks needs a gradient, the products of
# conjugate gradients, two values for the reduction ratio and one or more for the line search. Each is one call. A
# gradient or a product is P + 3 numbers, a value 3. So it is `1 + 20 + 3 = 24` calls and `21 * 15910 + 24 * 3 =
# 334182` numbers.

# %%
first = after(1, 3, "gn-cg")
(record,) = first.history
evaluations = [record[name] for name in ("gradient_evaluations", "curvature_products", "value_evaluations")]
calls, total = record["communications"], record["bytes_communicated"] // 8
print(" + ".join(map(str, evaluations)), "=", calls)
print(f"{sum(evaluations[:2])} * {theta.size} + {calls} * 3 = {total}")
assert (calls, total) == counted_data_parallel([784, 20, 10], *evaluations)

# %% [markdown]
# Section 3 gives formulas for an iteration of SGD. For the network of Figure 3, 784-400-10, on N = 16 ranks and b =
# 64, that is 2 calls and
#
# $$\log_2(N) \sum_i d_{i-1} d_i \text{ numbers} \tag{1}$$
#
# `paper: calls = 2, numbers = 1270400`. We count `counted: calls = 1, numbers = 318013`. The paper reduces to a root
# and broadcasts back, 2 calls; an all-reduce is one. Its log(N) = 4 is the number of successive transfers up a tree.
# We count the vector once, and leave the transfers to a model of the network (`refhf.parallel.cost_model`). The paper
# does not count biases and the loss.

# %%
sizes, b = [784, 400, 10], 64
paper, counted = paper_data_parallel(b, b, sizes, 16), counted_data_parallel(sizes, gradients=1)
print(f"paper: calls = {paper.calls:.0f}, numbers = {paper.numbers:.0f}")
print(f"counted: calls = {counted.calls:.0f}, numbers = {counted.numbers:.0f}")
assert paper.numbers == np.log2(16) * (784 * 400 + 400 * 10)  # (1)

# %% [markdown]
# Now the paper's argument. An epoch of SGD on the 60,000 digits of MNIST, b = 64, is `calls of an epoch = 938`. A
# Hessian-free iteration like the one above is `calls of the iteration = 24`, however many cases there are: `calls of
# an epoch / calls of the iteration = 39`. But SGD can use a larger b, and an iteration is not an epoch.
# `figures/README.md` (Figure 3) examines the argument with all of this counted.
#
# How does time depend on N? A simple model has a time $\alpha$ for a message, $\beta$ for a number in it, and
# $\gamma$ for an operation. A sum of $m$ numbers goes up a tree and down again:
#
# $$t(N) = \frac{\gamma \cdot \text{operations}}{N} + 2 \lceil \log_2 N \rceil \cdot \text{calls}
# \cdot (\alpha + \beta m) \tag{2}$$
#
# We take $\alpha$ = 50 microseconds, 1 GB/s and 5 GFlop/s, ordinary Ethernet and one core, our choice. The iteration
# then gains from many ranks, and the epoch of SGD from few: `fastest SGD: ranks = 4`, `fastest iteration: ranks >
# 100`.

# %%
epoch = math.ceil(60_000 / b)
print(f"calls of an epoch = {epoch}\ncalls of the iteration = {calls}")
print(f"calls of an epoch / calls of the iteration = {epoch / calls:.0f}")

many, m = 2 ** np.arange(11), 318_010
alpha, beta, gamma = 50e-6, 8 / 1e9, 1 / 5e9
per_case = 6 * m  # operations of a gradient: three products, a multiplication and an addition for each weight


def seconds(operations, calls):
    return gamma * operations / many + 2 * np.log2(many) * calls * (alpha + beta * m)  # (2)


of_sgd = seconds(60_000 * per_case, epoch)
of_iteration = seconds((60_000 + 20 * 15_000) * per_case, 21)  # a gradient, and 20 products on a quarter of the cases
print(f"fastest SGD: ranks = {many[of_sgd.argmin()]}")
assert many[of_iteration.argmin()] > 100
print("fastest iteration: ranks > 100")

fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.loglog(many, of_sgd, "o-", color="#B34700")
ax.loglog(many, of_iteration, "s--", color="#0072B2")
ax.loglog(many, of_iteration[0] / many, ":", color="0.4")
ax.text(20, 65, "an epoch of SGD, batch 64", color="#B34700")
ax.text(45, 5, "a Hessian-free iteration", color="#0072B2")
ax.text(18, 0.5, "without communication", color="0.3")
ax.set(xlabel="ranks N", ylabel="seconds, by model (2)", title="What more ranks bring")
plt.show()

# %% [markdown]
# **Picture.** The time of a Hessian-free iteration (dashed, squares) falls along the ideal line (dotted) up to a
# hundred ranks, and then flattens. That of an epoch of SGD (solid, circles) hardly falls, and rises from eight ranks
# on, because of its 938 sums. It is a model; the times of a machine are in `figures/README.md` (Figure 5).
#
# ## Processes: mpiexec
#
# The same program runs with processes as ranks. Only the communicator changes: `refhf.parallel.mpi` replaces the one
# from `run`. Here `mpiexec -n 2 python -c ...` runs with a time limit, because it could wait for ever. Two processes
# with `reduction="reproducible"` have the theta of this one process, bit for bit.

# %%
PROGRAM = """
import sys
import refhf
from refhf.data.data_sets import load
from refhf.parallel import guard, mpi, shard

comm = mpi(required=True)
with guard(comm):
    digits = load("mnist-mini")
    mine = shard(1000, comm.rank, comm.size, "reproducible")
    net = refhf.mlp([784, 20, 10], nonlinearity="tanh", loss="softmax_cross_entropy")
    objective = refhf.supervised(net, digits.X[mine], digits.y[mine], comm=comm, reduction="reproducible")
    options = {"curvature_batch": 250, "solver_iterations": 10}
    result = refhf.minimize(objective, net.init(rng=0), "hessian-bicgstab", 3, rng=0, **options)
    if comm.rank == 0:
        result.x.tofile(sys.stdout.buffer)
"""


def mpiexec(program, limit):
    """The output of two processes; None if they had to be killed after `limit` seconds."""
    command = [launcher, "-n", "2", sys.executable, "-c", program]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    try:
        output, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return None
    assert process.returncode == 0
    return output


beside = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
launcher = shutil.which("mpiexec", path=beside)
missing = "mpiexec" if launcher is None else "" if importlib.util.find_spec("mpi4py") else "mpi4py"
if missing:
    print(f"skipped: no {missing} here (pip install 'refhf[mpi]')")
else:
    one, two = after(3, 1, "hessian-bicgstab", "reproducible").x, np.frombuffer(mpiexec(PROGRAM, limit=300))
    print("theta of two processes and of one, to the last bit:", np.array_equal(one, two))
    assert np.array_equal(one, two)

# %% [markdown]
# ## Summary
#
# | where | wrong | right |
# |---|---|---|
# | line 4 | mean of the ranks' means | sums over cases, divided by n once |
# | line 5 | each rank draws its own | the same stream on all, each keeps its rows |
# | lines 6 to 10 | a rank's own loss, clock, dice | numbers that came out of a sum |
# | comparing runs | bits of sums in another order | a tolerance, or an order that is fixed |
# | two ranks in a test | equal shards | unequal ones, and an empty one |
#
# ## Exercises
#
# **1.** Two ranks have 10 and 30 cases with mean gradients 1 and 3. What is the gradient of all cases, and what does
# the mean of means give?
#
# <details><summary>Answer</summary>
#
# $(10 \cdot 1 + 30 \cdot 3)/40 = 2.5$, and not $(1 + 3)/2 = 2$.
#
# </details>

# %%
# Answer to exercise 1, checked
totals = run(2, lambda comm: comm.sum(np.array([10.0 * 1, 10.0] if comm.rank == 0 else [30.0 * 3, 30.0])))
assert [total[0] / total[1] for total in totals] == [2.5, 2.5]

# %% [markdown]
# **2.** Each rank draws its own mini-batch, `rng=comm.rank`. What goes wrong, and how can the ranks notice?
#
# <details><summary>Answer</summary>
#
# The curvatures of inconsistent mini-batches are added, without any error message. refhf adds two checksums to each
# sum, which detect it.
#
# </details>


# %%
# Answer to exercise 2, checked
def own_dice(comm):
    return refhf.minimize(shared(comm), theta, "gn-cg", steps=1, rng=comm.rank, curvature_batch=250)


try:
    run(2, own_dice)
except RuntimeError as drifted:
    assert "expected the same theta, vector and mini-batch" in str(drifted)
else:
    raise AssertionError("the ranks did not notice")

# %% [markdown]
# **3.** In (2), how does the best N change if the latency and the time of a number are ten times smaller? Estimate it
# from $d t / d N = 0$ with $\log_2 N$ as a continuous function.
#
# <details><summary>Answer</summary>
#
# $-\gamma\,\text{operations}/N^2 + 2\,\text{calls}\,(\alpha + \beta m)/(N \ln 2) = 0$, so
# $N = \frac{\ln 2}{2} \cdot \frac{\gamma\,\text{operations}}{\text{calls}\,(\alpha + \beta m)}$: ten times as many
# ranks.
#
# </details>

# %%
# Answer to exercise 3, checked
best = np.log(2) / 2 * gamma * 360_000 * per_case / (21 * (alpha + beta * m))
assert many[of_iteration.argmin()] / 2 < best < 2 * many[of_iteration.argmin()]

# %% [markdown]
# ## What to remember
#
# - Add sums over cases, and divide once. Never average means.
# - A sum in another order has other bits; an iteration can magnify them. Fix the order where bits matter.
# - Every decision must come from a number that all ranks share.
# - Count calls and numbers: Hessian-free methods make few, large sums.
