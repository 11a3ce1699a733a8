# %% [markdown]
# # 7. The same answer on many ranks
#
# He et al. 2016, Algorithm 2, lines 3 to 5: each node calculates on its own cases, and what they have is added. That
# is all there is to the distributed method, and three things go wrong with it: means instead of sums, another order of
# the same sum, and a rank that decides something alone. We do it by hand, on ranks that are threads of this process,
# then with two processes under `mpiexec`, and count what is communicated against the formulas of section 3.

# %%
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # one for each rank, as ranks share the cores

import importlib.util
import math
import shutil
import signal
import subprocess
import sys

import numpy as np

import refhf
from refhf.data.data_sets import load
from refhf.model import network
from refhf.parallel import run, shard
from refhf.parallel.communication_volume import (
    counted_data_parallel,
    counted_model_parallel,
    paper_data_parallel,
    paper_model_parallel,
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
# `run(n, function)` calls function(comm) on n ranks, each a thread. A communicator knows its rank and size, and makes
# calls that *all ranks make together*: `sum`, `broadcast`, `gather`, `barrier`. After a sum everybody has it:
# `1 + 2 + 3 + 4 = 10`, on four ranks.

# %%
sums = run(4, lambda comm: int(comm.sum(np.array([comm.rank + 1]))[0]))
print(f"1 + 2 + 3 + 4 = {sums[0]}, on each: {sums}")
assert sums == [10, 10, 10, 10]

# %% [markdown]
# ## Lines 3 and 4, by hand
#
# Line 3: each rank calculates the gradient of its own cases. Line 4: they are reduced. A rank's cases are a *shard*,
# consecutive rows; 1000 rows on three ranks are `333 + 333 + 334 = 1000`. What is added are **sums over cases**, the
# loss and the gradient in one buffer, one call; the division by n comes after, once. All ranks get the serial f and g,
# but for rounding: `f = 2.4408, calls = 1`.


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
# then counts seven times as much as one of the first, and the gradient is another function's:
# `700, 200, 100 cases: relative error = 0.161`. That is no rounding. And a rank without cases makes everything
# `mean of no cases = nan`. Sums have no such troubles: an empty sum is zero.


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
# "Then I make the shards equal." But the curvature of line 5 is that of a mini-batch. In refhf every rank draws the
# same row numbers, of all cases, from the same stream, and keeps those that it holds; so the mini-batch does not depend
# on the number of ranks, and nothing is communicated. Its shares are unequal by chance: of 64 cases drawn from 1000,
# 16 ranks have `fewest = 0, most = 8`. (The paper has each node draw its own; `refhf/parallel/reduction.py` declares
# the departure.)

# %%
drawn = np.random.default_rng(0).choice(1000, 64, replace=False)
shares = [sum(row in range(1000)[shard(1000, rank, 16)] for row in drawn) for rank in range(16)]
print(f"fewest = {min(shares)}, most = {max(shares)}: {shares}")
assert sum(shares) == 64

# %% [markdown]
# ## Another order, other bits
#
# Addition of floating-point numbers does not associate: `(0.1 + 0.2) + 0.3 = 0.6000000000000001`, but
# `0.1 + (0.2 + 0.3) = 0.6`. Three ranks add in another order than one does. So the gradient of three ranks has
# `components with other bits > 0`, and `relative difference < 1e-13`.

# %%
print(f"(0.1 + 0.2) + 0.3 = {(0.1 + 0.2) + 0.3}")
print(f"0.1 + (0.2 + 0.3) = {0.1 + (0.2 + 0.3)}")
_, g_3, _ = run(3, lines_3_and_4)[0]
other = np.count_nonzero(g_3 != g)
assert other > 0
assert np.linalg.norm(g_3 - g) < 1e-13 * np.linalg.norm(g)
print("components with other bits > 0; relative difference < 1e-13")

# %% [markdown]
# Is that harmless? Not where it is fed back. Each iteration of conjugate gradients starts from the rounding of the one
# before, and from the first good approximation of an eigenvalue on it grows about tenfold an iteration. One step, alone
# and on three ranks, of two methods: `gn-cg: relative difference of theta > 1e-12`, and Bi-CG-STAB, whose matrix is
# indefinite, has `hessian-bicgstab: relative difference of theta > 1e-08`. By how much more is rounding too, so another
# BLAS says otherwise: three of them gave 5e-7 to 2e-5, and 9e-4 to 8e-2, which is another step altogether. Both are
# steps of the same method, as good as each other; but who wants to find a bug by comparing runs will not find it here.
# No rank did anything wrong: multiply g by 1 + 2e-16 on one process and the same happens.


# %%
def shared(comm, reduction="fast"):
    """The objective over the ranks' shards."""
    mine = shard(1000, comm.rank, comm.size, reduction)
    return refhf.supervised(net, X[mine], y[mine], comm=comm, reduction=reduction)


def after(steps, ranks, method, reduction="fast", **options):
    """The result of a run on so many ranks, all of which have the same bits."""
    results = run(
        ranks,
        lambda comm: refhf.minimize(
            shared(comm, reduction), theta, method, steps=steps, rng=0, curvature_batch=250, **options
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
# The remedy is an order that does not depend on the ranks. `reduction="reproducible"` cuts the cases into `V = 16`
# pieces, whatever the number of ranks; each rank holds some whole pieces and makes *their* sums; all sums are gathered,
# and every rank adds them in the order of the pieces. By hand:


# %%
def in_order(comm):
    bounds = np.arange(VIRTUAL + 1) * 1000 // VIRTUAL  # of the pieces
    held = np.array_split(np.arange(VIRTUAL), comm.size)  # by each rank
    cases = [slice(bounds[piece], bounds[piece + 1]) for piece in held[comm.rank]]
    sums = [network.loss_and_gradient(net, theta, X[rows], y[rows])[1] for rows in cases]
    everyones = comm.gather(np.concatenate(sums), [net.size * len(pieces) for pieces in held])
    total = np.zeros(net.size)
    for piece in np.concatenate(everyones).reshape(VIRTUAL, net.size):
        total += piece
    return total / 1000


one, *more = (run(ranks, in_order)[0] for ranks in (1, 2, 3, 5, 16))
other = sum(np.count_nonzero(gradient != one) for gradient in more)
print(f"V = {VIRTUAL}; on 1, 2, 3, 5, 16 ranks: components with other bits = {other}")
assert other == 0

# %% [markdown]
# On 1, 2, 3, 5 and 16 ranks: `components with other bits = 0`. So every later number has the same bits too:
# `hessian-bicgstab, reproducible: relative difference of theta = 0.0`. It needs the same arithmetic within a piece:
# one machine, and one BLAS thread a rank. And it costs: the pieces themselves travel, 16 (P + 1) numbers and one a
# rank, where a sum over ranks is P + 3 (the three are the loss, and two check sums by which ranks notice that they were
# asked different things). For one gradient on three ranks `fast: numbers = 15913`, `reproducible: numbers = 254579`.


# %%
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
# ## No method knows how many ranks there are
#
# `refhf.supervised(..., comm=comm)`, which `shared` above calls, is the objective whose sums go over the ranks. Solvers
# and methods get it as they would any other, and every rank runs them on the same numbers. Five steps of gn-cg, with
# more damping, so that there is less to magnify: on three ranks the same step lengths and the same reasons to stop as
# alone, and `five steps: relative difference of theta < 1e-6`.


# %%
def decisions(result):
    return [
        (report.outcome, report.step_length, report.detail.solver_stop, report.detail.damping)
        for report in result.history
    ]


one, three = (after(5, ranks, "gn-cg", damping=1.0) for ranks in (1, 3))
assert decisions(three) == decisions(one)
assert difference(one, three) < 1e-6
print("five steps: relative difference of theta < 1e-6")

# %% [markdown]
# ## A rank that decides alone
#
# A call is made by all ranks or by none. So everything that decides *whether* there is a next call has to be the same
# on all ranks, to the last bit. Let each of two ranks stop when the loss of **its own** cases is below 1. It looks
# innocent. But `own losses after step 3 = 1.045, 0.987`: rank 1 is content and goes home, rank 0 waits for it in the
# next sum. Threads notice that, and raise an exception that says who waits where, and why in vain.


# %%
def own_loss(comm, theta):
    mine = shard(1000, comm.rank, comm.size)
    return refhf.supervised(net, X[mine], y[mine]).value(theta)


def steps_until(comm, done):
    """How many steps of gn-cg a rank makes, if it stops where done(comm, report)."""
    reports = refhf.iterate(shared(comm), theta, method="gn-cg", rng=0, curvature_batch=250, damping=1.0)
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
# The cure is to ask a number that all ranks have: `report.loss`, which came out of a sum. Then
# `by the common loss: steps = [4, 4]`. A clock is worse, as no two ranks have the same. So ask them all: each says
# whether it thinks that time is up, the answers are added, and if anybody's is, all stop. Below it is so on rank 1
# after step 2, and `by anybody's clock: steps = [2, 2]`.


# %%
def anybody_late(comm, report):
    late = comm.rank == 1 and report.k == 2  # in earnest: time.monotonic() > deadline
    return comm.sum(np.array([float(late)]))[0] > 0


steps = run(2, lambda comm: steps_until(comm, lambda comm, report: report.loss < 1))
print(f"by the common loss: steps = {steps}")
assert steps == [4, 4]
steps = run(2, lambda comm: steps_until(comm, anybody_late))
print(f"by anybody's clock: steps = {steps}")
assert steps == [2, 2]

# %% [markdown]
# A third way to decide alone is to throw one's own dice. With `rng=comm.rank` the ranks draw different mini-batches,
# and would add curvatures of cases that nobody chose together. They would not even hang. This is what the two check
# sums are for:


# %%
def own_dice(comm):
    return refhf.minimize(shared(comm), theta, "gn-cg", steps=2, rng=comm.rank, curvature_batch=250)


try:
    run(2, own_dice)
except RuntimeError as drifted:
    print(f"RuntimeError: {drifted}")
    assert "expected the same theta, vector and mini-batch" in str(drifted)
else:
    raise AssertionError("the ranks did not notice")

# %% [markdown]
# ## What an iteration communicates
#
# A report counts. The first step of gn-cg on three ranks: a gradient, the products of conjugate gradients, two values
# for the reduction ratio and one or more for the line search, each one call. A gradient or a product is P + 3 numbers,
# a value 3. So it is `1 + 20 + 3 = 24` calls and `21 * 15910 + 24 * 3 = 334182` numbers.

# %%
(report,) = run(3, lambda comm: refhf.minimize(shared(comm), theta, "gn-cg", steps=1, rng=0, curvature_batch=250))[
    0
].history
evaluations = report.counts.gradient_evaluations, report.counts.curvature_products, report.counts.value_evaluations
calls, total = report.counts.communications, report.counts.bytes_communicated // 8
print(" + ".join(map(str, evaluations)), "=", calls)
print(f"{sum(evaluations[:2])} * {theta.size} + {calls} * 3 = {total}")
assert (calls, total) == counted_data_parallel([784, 20, 10], *evaluations)

# %% [markdown]
# Section 3 gives formulas for an epoch of SGD, n/b iterations. For the network of Figure 3, 784-400-10, on N = 16
# ranks, and one iteration with b = 64:
#
# - *data-parallel*: 2 calls and log(N) sum d_i-1 d_i numbers, `paper: calls = 2, numbers = 1270400`. We count
#   `counted: calls = 1, numbers = 318013`. The paper reduces to a root and broadcasts back, 2 calls; an all-reduce is
#   one. Its log(N) = 4 is how often the vector is sent, one after the other, up a tree; the way back down, as long
#   again, is not in it. We count the vector once and leave the sending to a model of the network
#   (`refhf.parallel.cost_model`). And the paper has no biases and no loss.
# - *model-parallel* (weights split, cases not; 8 ranks at most share ten outputs): `paper: calls = 4, numbers = 52480`,
#   `counted: calls = 3, numbers = 51840`. Every rank has all outputs, so the deltas of the last layer need no call.

# %%
sizes, b = [784, 400, 10], 64
pairs = (
    (paper_data_parallel(b, b, sizes, 16), counted_data_parallel(sizes, gradients=1)),
    (paper_model_parallel(b, b, sizes), counted_model_parallel(b, sizes, gradients=1)),
)
for paper, counted in pairs:
    print(f"paper: calls = {paper.calls:.0f}, numbers = {paper.numbers:.0f}")
    print(f"counted: calls = {counted.calls:.0f}, numbers = {counted.numbers:.0f}")

# %% [markdown]
# Now the paper's argument. An epoch of SGD on the 60,000 digits of MNIST, b = 64, is `calls of an epoch = 938`. A
# Hessian-free iteration like the one above is `calls of the iteration = 24`, however many cases there are:
# `calls of an epoch / calls of the iteration = 39`. But SGD may take a larger b, and an iteration is not an epoch. What
# becomes of the argument when all that is counted, `figures/README.md` has to tell (Figure 3).

# %%
epoch = math.ceil(60_000 / b)
print(f"calls of an epoch = {epoch}\ncalls of the iteration = {calls}")
print(f"calls of an epoch / calls of the iteration = {epoch / calls:.0f}")

# %% [markdown]
# ## Processes: mpiexec
#
# The same program with processes for ranks. Nothing changes but the communicator: `refhf.parallel.mpi` in place of the
# one that `run` gives. Here `mpiexec -n 2 python -c ...` is started with a time limit, as everything should be that may
# wait for ever. Two processes with `reduction="reproducible"` have the theta of this one process, bit for bit.

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
    result = refhf.minimize(objective, net.init(rng=0), "hessian-bicgstab", steps=3, rng=0, curvature_batch=250)
    if comm.rank == 0:
        result.x.tofile(sys.stdout.buffer)
"""


def mpiexec(program, limit):
    """What two processes write, all of which are killed after `limit` seconds: None then."""
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
# And the rank that decides alone? MPI does not notice. Rank 1 leaves the loop after two sums; rank 0 waits in the
# third, and nothing but the limit ends that. (An *exception* on one rank is another matter: `guard`, and `mpi` itself,
# end all processes then.)

# %%
ALONE = """
import numpy as np
from refhf.parallel import mpi

comm = mpi(required=True)
for k in range(10):
    if comm.rank == 1 and k == 2:
        break
    comm.sum(np.ones(3))
"""

if missing:
    print(f"skipped: no {missing} here")
else:
    assert mpiexec(ALONE, limit=4) is None
    print("no end within 4 seconds: killed")

# %% [markdown]
# ## What to remember
#
# | where | wrong | right |
# |---|---|---|
# | line 4 | mean of the ranks' means | sums over cases, divided by n once |
# | line 5 | each rank draws its own | the same stream on all, each keeps its rows |
# | lines 6 to 10 | a rank's own loss, clock, dice | numbers that came out of a sum |
# | comparing runs | bits of sums in another order | a tolerance, or an order that is fixed |
# | two ranks in a test | equal shards | unequal ones, and an empty one |
