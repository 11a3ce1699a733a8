"""Newton steps from the differences between replicas: theta - alpha H^-1 g.

S. Arnold and C. Wang, "Accelerating SGD for Distributed Deep Learning Using Approximated Hessian Matrix".
`secants` is the algebra; here are the replicas, w_m = theta + d_m, which train on batches of their own,
and how they meet. A step ends with a synchronisation.

The paper takes theta - alpha H^-1 g (equation 1) with one alpha, and H^-1 the identity off the span. So the error in
the span falls by alpha a step whatever the curvature, by 1 % at its rate of 0.01, where SGD's falls by alpha times the
curvature, which is more where that is above 1. `newton_rate` is for those who would take the whole step there.

Departure: the step between synchronisations is each replica's own SGD step. The paper does not define one, for its
"1-step synchronous case". Replicas that all take the same step keep their differences, and replicas that each take
H^-1 of their own gradient scale them: H^-1 (g_m - g) is w_m - w by construction. Either way the span is for ever that
of the start, and replicas that start together stay together. Here replica m stands at theta - beta (g_m - g), theta
the point after the Newton step: its own SGD step from where the replicas met, but for the mean. It costs no gradient;
but displacements then follow d <- -beta (H d + noise), and grow where beta lambda > 1. SGD's limit is 2.

Departure: theta is one more replica in the reading 'pairs'. Differences between replicas that have each taken a step
leave out what the steps have in common, the mean gradient, which is where the step is to go. Measured from theta, whose
column of W and of G is zero, M replicas give M pairs and not M - 1 differences, and a single one is no longer SGD.
"""

from collections.abc import Callable
from typing import NamedTuple, cast

import numpy as np
from numpy.random import Generator

from refhf import checks
from refhf.krylov.arithmetic import norm
from refhf.methods import schedules
from refhf.methods.mini_batch import batch_size, mini_batch
from refhf.methods.replicas.replica_topology import TOPOLOGIES, Rates
from refhf.methods.replicas.secants import Differences
from refhf.methods.report import Counts, LossAt, Outcome, Report, Source, taken
from refhf.model.blocks import Array
from refhf.objective.protocol import Objective
from refhf.parallel.communicator import Communicator, serial
from refhf.parallel.launch import agree, as_communicator

BATCH = 256  # Arnold and Wang, results
RATE = 0.01  # the larger of theirs
READINGS = ("own-batch", "same-batch", "pairs")


class ReplicaOptions(NamedTuple):
    """Options of `replica-newton`.

    Attributes
    ----------
    stochastic : bool
        That a step takes mini-batches.
    replicas : int
        M. 4 is our choice; the paper has up to 8.
    reading : {'own-batch', 'same-batch', 'pairs'}
        What G's columns are. 'own-batch', as printed: the gradients of the replicas where they stand, each on its own
        batch, so that they differ by H W and by the batches' noise. 'same-batch': each replica takes its SGD step from
        theta, and the gradient there less that at theta, on the same batch: a gradient more. The mean of those at theta
        is z, and theta steps from where it is. 'pairs': the same, and theta is one more replica.
    learning_rate : float, callable, 'estimated' or None
        alpha, or a function of the step; 'estimated' is 1/sigma_max of each step, where there is one. None: 0.01.
    newton_rate : float or None
        Of the part in the span. None: alpha, as in equation 1.
    local_rate : float or None
        beta, of the replicas' own steps. None: alpha (0.01 where that is estimated).
    period : int
        Gradients that a replica takes from one synchronisation to the next: all but the last move it alone. 1 is the
        paper's. With the other two readings it is the steps that each takes on its batch, and one gradient more.
    spread : float
        The norm of a random vector added to each replica after each synchronisation, uniform in direction. 0 adds none.
    batch : int or None
        Cases of all replicas together; each draws its batch // M on its own. None is 256, or all if fewer. A function
        without data is whole for each replica.
    topology : {'tree', 'server'}
        How ranks meet, see `refhf.methods.replicas.replica_topology`.
    comm : Communicator, mpi4py intracommunicator or None
        The ranks over which the replicas are shared, M / N on each; each needs all the data. None: all are here.
    """

    stochastic: bool
    replicas: int = 4
    reading: str = "own-batch"
    learning_rate: float | Callable[[int], float] | str | None = None
    newton_rate: float | None = None
    local_rate: float | None = None
    period: int = 1
    spread: float = 0.0
    batch: int | None = None
    topology: str = "tree"
    comm: Communicator | None = None


def check(options: ReplicaOptions, objective: Objective) -> ReplicaOptions:
    """The options with their defaults filled in; ValueError for one out of range."""
    options = options._replace(
        replicas=checks.positive_integer("replicas", options.replicas),
        period=checks.positive_integer("period", options.period),
        spread=checks.real("spread", options.spread, low=0.0),
        reading=checks.choice("reading", options.reading, READINGS),
        topology=checks.choice("topology", options.topology, TOPOLOGIES),
    )
    for name in ("newton_rate", "local_rate"):
        if (given := getattr(options, name)) is not None:
            options = options._replace(**{name: checks.real(name, given, low=0.0)})
    rate = RATE if options.learning_rate is None else options.learning_rate
    batch = batch_size("batch", options.batch, BATCH, objective)
    if options.replicas > batch and objective.sample(batch, rng=0) is not objective:
        raise ValueError(f"replicas: expected at most the {batch} cases of a batch; got {options.replicas}")
    batch_size("batch / replicas", max(1, batch // options.replicas), batch, objective)
    comm = as_communicator(options.comm)
    _check_ranks(comm, options.replicas, objective)
    rate = rate if rate == "estimated" else schedules.check(rate)
    return options._replace(learning_rate=rate, batch=batch, comm=comm if comm.size > 1 else None)


def _check_ranks(comm: Communicator, replicas: int, objective: Objective) -> None:
    if replicas % comm.size:
        raise ValueError(f"replicas: expected a multiple of the {comm.size} ranks of comm; got {replicas}")
    if comm.size > 1 and objective.comm is not None and objective.comm.size > 1:
        raise ValueError("comm: expected an objective of one process, ranks share its cases or the replicas; got both")


class ReplicaDetail(NamedTuple):
    """The detail of a report of `replica-newton`.

    Attributes
    ----------
    differences : Differences
        The use of the differences between the replicas.
    rank : int
        Dimension of the span on which H^-1 is not taken as the identity.
    """

    differences: Differences = Differences.USED
    rank: int = 0


class ReplicaState(NamedTuple):
    """The state between two steps.

    Attributes
    ----------
    theta : ndarray (P,)
    displacements : ndarray (L, P)
        d_m of this rank's L replicas; zero where they start each step from theta.
    communications, bytes_communicated : int
        By the meetings so far.
    """

    theta: Array
    displacements: Array
    communications: int = 0
    bytes_communicated: int = 0


def init(theta: Array, options: ReplicaOptions, rng: Generator) -> ReplicaState:
    """The state before the first step: the replicas coincide."""
    comm = options.comm or serial()
    agree(comm, theta0=theta)
    return ReplicaState(theta, np.zeros((options.replicas // comm.size, theta.size), theta.dtype))


class Replica(NamedTuple):
    """A replica's contribution: d_m (P,), its column of G (P,), its gradient g_m (P,) for z, and the loss there."""

    displacement: Array
    column: Array
    gradient: Array
    f: float


def replica(
    objective: Objective, theta: Array, displacement: Array, options: ReplicaOptions, beta: float, rng: Generator
) -> Replica:
    """The work of a replica between two synchronisations."""
    d, cases = displacement, max(1, cast(int, options.batch) // options.replicas)
    if options.spread:
        xi = rng.standard_normal(theta.size).astype(theta.dtype)
        d = d + options.spread / norm(xi) * xi
    if options.reading == "own-batch":
        for _ in range(options.period - 1):
            d = d - beta * mini_batch(objective, cases, rng).value_and_gradient(theta + d)[1]
        f, g = mini_batch(objective, cases, rng).value_and_gradient(theta + d)
        return Replica(d, g, g, f)
    mini = mini_batch(objective, cases, rng)
    f, g = mini.value_and_gradient(theta)
    there = g
    for _ in range(options.period):
        d = d - beta * there
        there = mini.value_and_gradient(theta + d)[1]
    return Replica(d, there - g, g, f)


def step(
    state: ReplicaState, objective: Objective, options: ReplicaOptions, k: int, rng: Generator
) -> tuple[ReplicaState, Report[ReplicaDetail]]:
    """One step of all replicas, with the synchronisation that ends it."""
    theta, comm = state.theta, options.comm or serial()
    estimated = options.learning_rate == "estimated"
    alpha = RATE if estimated else schedules.rate(cast(schedules.Rate, options.learning_rate), k)
    beta = alpha if options.local_rate is None else options.local_rate
    own = len(state.displacements)
    streams = [rng, *rng.spawn(options.replicas - 1)][comm.rank * own :]  # one a replica, whoever has it
    replicas = [
        replica(objective, theta, d, options, beta, stream)
        for d, stream in zip(state.displacements, streams, strict=False)
    ]
    rates = Rates(alpha, estimated, options.newton_rate, float(np.finfo(theta.dtype).eps), options.reading == "pairs")
    before = comm.traffic
    met = TOPOLOGIES[options.topology](_columns(replicas), np.array([one.f for one in replicas]), comm, rates)
    calls = state.communications + comm.traffic.calls - before.calls
    carried = state.bytes_communicated + comm.traffic.bytes - before.bytes
    report = Report(
        k, theta, met.f, LossAt.REPLICAS, norm(met.gradient), Outcome.NON_FINITE,
        ReplicaDetail(met.differences, met.rank), source=Source.REPLICAS if met.rank else Source.GRADIENT,
        negative_curvature=met.smallest < 0, smallest_eigenvalue=met.smallest,
        counts=Counts(communications=calls, bytes_communicated=carried),
    )  # fmt: skip
    moved = theta + met.step.astype(theta.dtype)
    if met.differences is Differences.NON_FINITE or not (np.isfinite(met.f) and np.isfinite(moved).all()):
        return state, report
    if report.gradient_norm == 0:
        return state, report._replace(outcome=Outcome.STATIONARY)
    kept = options.reading == "own-batch"
    away = np.array([-beta * kept * (one.gradient - met.gradient).astype(theta.dtype) for one in replicas])
    return taken(ReplicaState(theta, away, calls, carried), report, moved, met.f, met.alpha)


def _columns(replicas: list[Replica]) -> Array:
    """Displacements and columns of G, (2, L, P); and the gradients, (3, L, P), where those are others."""
    kinds = [[one.displacement for one in replicas], [one.column for one in replicas]]
    if replicas[0].column is not replicas[0].gradient:
        kinds.append([one.gradient for one in replicas])
    return np.array(kinds, np.float64)
