"""Monte-Carlo Fisher matrices and KFAC are named, with how sure that is; what only resembles them is not."""

import faults
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import refhf
from refhf.conformance.patterns import Pattern

P = Pattern


def report(change, kind="gauss-newton", **options):
    """The report of a changed product of a case."""
    case = faults.case(**options)
    right = case.mine().gauss_newton_product
    check = refhf.check_gauss_newton_product if kind == "gauss-newton" else refhf.check_hessian_product
    return check(change(right, case), case.theta, case.objective)


@pytest.mark.parametrize(
    ("options", "draws"),
    [
        ({}, 1),
        ({}, 40),
        ({"loss": "logistic_cross_entropy", "sizes": (5, 4, 4, 1)}, 5),
        ({"loss": "logistic_cross_entropy", "sizes": (5, 4, 4, 2)}, 3),
        ({"loss": "squared_error"}, 1),
    ],
    ids=str,
)
def test_drawn_labels_are_found(options, draws):
    """The draws a case are counted, and a test against the model's own distribution is said."""
    found = report(faults.drawn_labels(draws), **options)
    assert found.patterns == (P.MONTE_CARLO_FISHER,), str(found)
    detail = found.causes[0].detail
    assert detail.startswith(f"{draws} draw")
    assert float(detail.rpartition("= ")[2]) > 1e-3


def test_labels_drawn_anew_are_found():
    """A product whose labels change at each call is random, and its labels are found in one call."""
    found = report(faults.drawn_labels(2, redrawn=True))
    assert found.patterns == (P.RANDOM, P.MONTE_CARLO_FISHER), str(found)


def test_labels_of_another_distribution_are_told():
    """Labels that the model would hardly draw have a small p."""

    def unlikely(right, case):
        mine = case.mine()
        p = faults.PREDICT[mine.loss](mine.outputs(case.theta))
        worst = np.eye(p.shape[1])[p.argmin(axis=1)]
        return case.mine("fisher", y=worst).gauss_newton_product

    found = report(unlikely, scale=3.0)
    assert found.patterns == (P.MONTE_CARLO_FISHER,), str(found)
    assert float(found.causes[0].detail.rpartition("= ")[2]) < 1e-3


def test_what_is_no_monte_carlo_fisher():
    """Weights of cases, and noise on drawn labels, are not named so."""

    def weighted(right, case):
        product = faults.drawn_labels(1)(right, case)
        return lambda theta, v: product(theta, v) + 0.01 * right(theta, v)

    assert P.MONTE_CARLO_FISHER not in report(weighted).patterns
    for size in 1e-4, 5e-6:  # in the labels, and in the product alone
        noise = faults._noise(size)
        found = report(lambda right, case, noise=noise: noise(faults.drawn_labels(1)(right, case), case))
        assert P.MONTE_CARLO_FISHER not in found.patterns


def test_kfac_is_named_with_its_factors_and_damping():
    """A summed, damped KFAC has all three names; its detail says the labels of S and the place of the bias."""

    def damped(right, case):
        product = faults.kfac(labels="true", joined=False)(right, case)
        return lambda theta, v: 7 * (product(theta, v) - 0.01 * v) + 0.31 * v

    found = report(damped)
    assert found.patterns == (P.KRONECKER, P.SUM_NOT_MEAN, P.DAMPED), str(found)
    assert found.causes[0].detail == "S of the true labels, the bias apart"
    assert report(faults.kfac()).causes[0].detail == "S of labels in expectation, the bias in the block of its weights"


@pytest.mark.parametrize(("joined", "place"), [(True, "in the block of its weights"), (False, "apart")])
def test_kfac_of_drawn_labels_is_named(joined, place):
    """An S that is neither of the true labels nor in expectation is found from the product."""
    found = report(faults.kfac(labels="drawn", joined=joined))
    assert found.patterns == (P.KRONECKER,), str(found)
    assert found.causes[0].detail == f"S of other labels, such as drawn ones, the bias {place}"


@given(seed=st.integers(0, 2**32 - 1), sign=st.sampled_from([1.0, -1.0]))
@settings(max_examples=5)
def test_only_a_possible_factor_is_kfac(seed, sign):
    """A V S is named so for any positive semidefinite S, and for no other."""
    rng = np.random.default_rng(seed)

    def change(right, case):
        net = case.mine()
        roots = [rng.standard_normal((n, 2 * n)) for n in net.sizes[1:]]

        def product(theta, v):
            a, _ = net.forward(theta)
            pairs = []
            for x, (V, c), root in zip(a, net.layers(v), roots, strict=True):
                S = sign * root @ root.T
                pairs.append((x.T @ x @ V @ S / len(x), c @ S))
            return net.flat(pairs) + net.l2 * v

        return product

    assert (P.KRONECKER in report(change).patterns) is (sign > 0)


def test_what_is_no_kfac():
    """A Kronecker product with a wrong S is not named so."""

    def wrong(right, case):
        product = faults.kfac()(right, case)
        return lambda theta, v: product(theta, v) * (1 + 0.1 * np.sin(np.arange(v.size)))

    assert P.KRONECKER not in report(wrong).patterns
