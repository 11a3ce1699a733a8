"""Section 3's formulas, and the model of time: exact on synthetic data, right at its limits."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import refhf
from refhf.model import network
from refhf.parallel.cost_model import (
    KINDS,
    Machine,
    Measurement,
    Rate,
    crossing,
    fit,
    flops,
    hf_iteration,
    hops,
    largest_share,
    predict,
    seconds,
    sgd_epoch,
)
from refhf.parallel.volume import counted_data_parallel, paper_data_parallel, paper_model_parallel, parameters, weights

TIMIT, TRAINING = (360, 512, 512, 512, 1973), 70_945  # He et al. 2016, section 5: 70 % of 101,350 cases
MNIST = (784, 400, 10)
MACHINE = Machine(
    latency=2e-5,
    per_byte=1e-9,
    rates={
        "value": Rate(6e-11, 1e-9),
        "gradient": Rate(5e-11, 2e-9),
        "gauss-newton": Rate(4e-11, 3e-9),
        "hessian": Rate(4.5e-11, 3e-9),
    },
)


def test_the_papers_formulas_by_hand():
    """An epoch of 60,000 cases in batches of 128 on 16 ranks, 784-400-10: section 3's numbers, worked out here."""
    sizes, n, b = MNIST, 60_000, 128
    assert weights(sizes) == 784 * 400 + 400 * 10 == 317_600
    assert parameters(sizes) == 318_010 == refhf.mlp(sizes).size
    assert paper_data_parallel(n, b, sizes, 16) == (2 * 468.75, 468.75 * 4 * 317_600)
    assert paper_model_parallel(n, b, sizes) == (2 * 2 * 468.75, 2 * 60_000 * 410)
    assert counted_data_parallel(sizes, gradients=469) == (469, 469 * 318_013)
    assert counted_data_parallel(sizes, gradients=1, products=10, values=4) == (15, 11 * 318_010 + 15 * 3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sizes", [(3, 2), (5, 4, 3), (7, 6, 5, 4)])
def test_flops_are_those_of_the_sweeps(kind, sizes, monkeypatch):
    """Counted in the layers while the sweeps run: 2 m n for every case and matrix product."""
    counted = []

    class Counting(network.Dense):
        def apply(self, W, x):
            counted.append(2 * len(x) * W.size)
            return x @ W

        def adjoint_input(self, W, Ds):
            counted.append(2 * len(Ds) * W.size)
            return Ds @ W.T

        def adjoint_weight(self, x, Ds, out=None):
            counted.append(2 * len(x) * self.n_in * self.n_out)
            return np.matmul(x.T, Ds, out=out)

    net = refhf.mlp(sizes)
    net = net._replace(layers=tuple(Counting(*layer) for layer in net.layers))
    f, theta = refhf.supervised(net, np.ones((4, sizes[0])), [0, 1, 0, 1]), net.init(0)
    if kind == "value":
        f.value(theta)
    elif kind == "gradient":
        f.value_and_gradient(theta)
    else:
        G = f.hessian(theta) if kind == "hessian" else f.gauss_newton(theta)
        counted.clear()
        assert len(G @ theta) == net.size
    assert sum(counted) == 4 * flops(kind, sizes)


def test_all_reduces():
    """One rank sends nothing; a tree takes 2 ceil(log2 N) whole vectors, a ring 2 (N - 1) N-th parts."""
    for algorithm in ("tree", "ring"):
        np.testing.assert_array_equal(hops(1, 100, algorithm), [0, 0])
        np.testing.assert_array_equal(hops(2, 100, algorithm), [2, 800 if algorithm == "ring" else 1600])
    np.testing.assert_array_equal(hops(1000, 100, "tree"), [20, 20 * 800])
    np.testing.assert_allclose(hops(1000, 100, "ring"), [1998, 1998 * 0.8])
    with pytest.raises(ValueError, match="algorithm: expected one of tree, ring"):
        hops(2, 1, "star")


def synthetic(machine, noise=0.0):
    rng, rows = np.random.default_rng(0), []
    for sizes in (TIMIT, MNIST):
        for ranks in (1, 2, 4):
            for kind in machine.rates:
                for cases in (512, 2048, 8192):
                    x = Measurement(kind, sizes, ranks, cases / ranks, 0.0)
                    rate, numbers = machine.rates[kind], counted_data_parallel(sizes, values=1).numbers
                    numbers += 0 if kind == "value" else parameters(sizes)
                    time = rate.per_flop * x.cases * flops(kind, sizes) + rate.per_parameter * parameters(sizes)
                    time += hops(ranks, numbers, machine.algorithm) @ [machine.latency, machine.per_byte]
                    rows.append(x._replace(seconds=time * (1 + noise * rng.uniform(-1, 1))))
    return rows


@pytest.mark.parametrize("algorithm", ["tree", "ring"])
def test_a_fit_finds_the_machine(algorithm):
    """Times made by a machine give it back to 1e-6; with 5 % of noise on them, it predicts each within 10 %."""
    machine = MACHINE._replace(algorithm=algorithm)
    found = fit(synthetic(machine), algorithm)
    np.testing.assert_allclose([found.latency, found.per_byte], [machine.latency, machine.per_byte], rtol=1e-6)
    for kind in KINDS:
        np.testing.assert_allclose(found.rates[kind], machine.rates[kind], rtol=1e-6)
    found = fit(synthetic(machine, noise=0.05), algorithm)
    for want, got in zip(synthetic(machine), synthetic(found), strict=True):
        assert got.seconds == pytest.approx(want.seconds, rel=0.1)


def test_a_fit_refuses_what_it_cannot_tell():
    """One rank only, or one number of cases, leaves a coefficient open: a ValueError."""
    rows = synthetic(MACHINE)
    for kept in ([m for m in rows if m.ranks == 1], [m for m in rows if (m.cases, m.sizes) == (512, MNIST)], rows[:3]):
        with pytest.raises(ValueError, match="measurements"):
            fit(kept)
    assert fit([m for m in rows if m.kind == "gradient"]).rates.keys() == {"gradient"}
    with pytest.raises(ValueError, match="kind: expected one of gradient"):
        seconds(fit([m for m in rows if m.kind == "gradient"]), MNIST, hf_iteration(10, 5, 1, 1)["cg"], 2)


def test_the_limits_of_scaling():
    """Gradient and line search scale until a rank has a case; then, and for CG much earlier, messages are all.

    He et al. 2016, Figure 5: an iteration on 1 rank is its flops; time falls by N while computing dominates; CG's
    communication does not fall with N.
    """
    plan = hf_iteration(TRAINING, 4096, products=10, tries=2)
    one = predict(MACHINE, TIMIT, plan, 1)
    assert one["iteration"].communicate == 0
    rate = MACHINE.rates["gradient"]
    gradient = rate.per_flop * TRAINING * flops("gradient", TIMIT) + rate.per_parameter * parameters(TIMIT)
    assert one["gradient"].compute == pytest.approx(gradient)
    assert one["iteration"].total == pytest.approx(sum(one[part].total for part in ("gradient", "cg", "line_search")))
    times = {ranks: predict(MACHINE, TIMIT, plan, ranks) for ranks in (1, 2, 16, 100, 1_000, 10_000)}
    speed_up = {part: times[1][part].total / times[16][part].total for part in plan}
    assert speed_up["cg"] < 10 < 15 < speed_up["line_search"] <= 16
    assert 12 < speed_up["gradient"] <= 16
    floor = MACHINE.rates["gradient"]
    assert times[10_000]["gradient"].compute == pytest.approx(
        floor.per_flop * math.ceil(TRAINING / 10_000) * flops("gradient", TIMIT)
        + floor.per_parameter * parameters(TIMIT)
    )
    for before, after in ((2, 16), (16, 100), (100, 1_000), (1_000, 10_000)):
        assert times[after]["cg"].communicate > times[before]["cg"].communicate
        assert times[after]["line_search"].compute <= times[before]["line_search"].compute
    best = min(times, key=lambda ranks: times[ranks]["iteration"].total)
    assert 1 < best < 10_000
    slow = MACHINE._replace(algorithm="ring")
    ring, tree = (predict(m, TIMIT, plan, 16)["gradient"].communicate for m in (slow, MACHINE))
    assert ring < tree  # 30/16 of a large vector against 8 times it
    ring, tree = (predict(m, TIMIT, plan, 10_000)["line_search"].communicate for m in (slow, MACHINE))
    assert ring > tree  # 20,000 messages against 28, for a scalar


@given(cases=st.integers(1, 400), ranks=st.integers(1, 300))
def test_largest_share(cases, ranks):
    """At least the mean and one case, at most all; exactly all on one rank."""
    share = largest_share(cases, ranks)
    assert max(1.0, cases / ranks) - 1e-9 <= share <= cases + 1e-9
    assert largest_share(cases, 1) == cases


def test_largest_share_is_that_of_drawn_batches():
    """Within 5 % of what drawing gives, for two ranks to a hundred."""
    rng = np.random.default_rng(0)
    for ranks in (2, 10, 100):
        drawn = rng.multinomial(512, np.full(ranks, 1 / ranks), size=4000).max(axis=1).mean()
        assert largest_share(512, ranks) == pytest.approx(drawn, rel=0.05)


def test_where_hf_overtakes_sgd():
    """At the crossing both take the same time; before it SGD is ahead, beyond it HF; 0 and inf where nobody crosses."""
    hf = [one._replace(times=20 * one.times) for part in hf_iteration(60_000, 2048, 30, 3).values() for one in part]
    sgd = [one._replace(times=10 * one.times) for one in sgd_epoch(60_000, 128)]
    factor = crossing(MACHINE, MNIST, sgd, hf, 16)

    def ahead(slower):
        machine = MACHINE._replace(latency=slower * MACHINE.latency, per_byte=slower * MACHINE.per_byte)
        return seconds(machine, MNIST, sgd, 16).total - seconds(machine, MNIST, hf, 16).total

    fast = MACHINE._replace(latency=0.0, per_byte=1e-15)
    late = crossing(fast, MNIST, sgd, hf, 16)
    assert late > 1
    assert late * 1e-15 == pytest.approx(factor * 1e-9, rel=0.3)
    assert ahead(factor) == pytest.approx(0, abs=1e-9 * seconds(MACHINE, MNIST, hf, 16).total)
    assert ahead(factor / 2) < 0 < ahead(2 * factor)
    assert crossing(MACHINE, MNIST, hf, sgd, 16) == math.inf
    assert crossing(MACHINE, MNIST, sgd, sgd, 16) == 0.0
    assert crossing(MACHINE, MNIST, sgd, [one._replace(times=one.times / 2) for one in sgd], 16) == 0.0
