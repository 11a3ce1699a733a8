"""The kit on networks of blocks: faults of normalisation and attention are caught and named, right code passes."""

import block_faults
import numpy as np
import pytest
from block_faults import BLOCK_FAULTS, Attended, BatchNormalised, Normalised

import refhf
from refhf.conformance import parameter_layout
from refhf.conformance.mistakes import wrong_blocks, wrong_derivatives
from refhf.conformance.patterns import Pattern
from refhf.model import network

CODES = Normalised, BatchNormalised, Attended
CHECKS = {"hessian_product": refhf.check_hessian_product, "gauss_newton_product": refhf.check_gauss_newton_product}


@pytest.mark.parametrize("code", CODES)
def test_right_code_passes(code):
    """Every function of right code passes, on the checker's own cases and on given ones."""
    report = refhf.check_network(block_faults.functions(code), block_faults.network(code))
    assert report.passed, str(report)
    for seed in range(3):
        theta, X, y, objective = block_faults.problem(code, seed)
        for name, check in CHECKS.items():
            report = check(getattr(code(X, y), name), theta, objective)
            assert report.passed, str(report)


@pytest.mark.parametrize("name", CHECKS)
@pytest.mark.parametrize("fault", BLOCK_FAULTS, ids=lambda fault: f"{fault.code.__name__}: {fault.fault}")
def test_fault_of_a_block_is_caught_and_named(fault, name):
    """A product with the fault is diagnosed with its pattern and no other."""
    theta, X, y, objective = block_faults.problem(fault.code)
    report = CHECKS[name](getattr(fault.code(X, y, fault.fault), name), theta, objective)
    assert not report.passed
    assert report.patterns == (fault.pattern,), str(report)
    where = fault.fault.split()[-1]
    expected = {"forward": "in the R-forward sweep alone", "backward": "in the backward sweeps alone"}.get(where, "")
    assert report.causes[0].detail == expected


@pytest.mark.parametrize("fault", BLOCK_FAULTS, ids=lambda fault: f"{fault.code.__name__}: {fault.fault}")
def test_fault_of_a_gradient_or_value_is_named(fault):
    """A gradient or value that the fault changes is diagnosed with its pattern; else it passes."""
    theta, X, y, objective = block_faults.problem(fault.code)
    wrong, right = fault.code(X, y, fault.fault), fault.code(X, y)
    for names in ("gradient",), ("value", "gradient"):
        functions = {name: getattr(wrong, name) for name in names}
        changed = any(
            not np.allclose(f(theta), getattr(right, name)(theta), rtol=1e-9) for name, f in functions.items()
        )
        report = refhf.check_gradient(functions.get("value"), wrong.gradient, theta, objective)
        assert report.passed is not changed
        assert report.patterns == (fault.pattern,) * changed, str(report)


IMAGES = [
    refhf.conv(2, 3, padding=1, bias=False),
    refhf.batch_norm(2, group=4),
    refhf.elementwise("silu"),
    refhf.residual([refhf.conv(3, 2, stride=2), refhf.layer_norm(3)], [refhf.conv(3, 2, stride=2)]),
    refhf.elementwise("gelu"),
    refhf.max_pool(2),
    refhf.flatten(),
    refhf.dense(3, 3),
]


@pytest.mark.parametrize("code", [Normalised, BatchNormalised])
def test_saved_statistics_are_named(code):
    """H v of the derivative along v, whose rule keeps the statistics as PyTorch's does, is named."""
    theta, X, y, objective = block_faults.problem(code)
    report = refhf.check_hessian_product(code(X, y).forward_first, theta, objective)
    assert report.patterns == (Pattern.SAVED_STATISTICS,), str(report)


NETWORKS = {
    "images": refhf.chain(IMAGES, shape=(4, 4, 1), loss="softmax_cross_entropy"),
    "transformer": refhf.transformer(5, 3, 4, 2, 1),
    "tied": refhf.transformer(4, 2, 3, 1, 1, tied=True),
}


def drawn(net, cases):
    rng = np.random.default_rng(0)
    X = rng.integers(0, net.tokens, (cases, net.inputs)) if net.tokens else rng.standard_normal((cases, net.inputs))
    y = rng.integers(0, net.outputs, (cases, *net.out_shape[:-1]))
    return net.init(rng) + 0.1 * rng.standard_normal(net.size), X, y


def of_refhf(net):
    """refhf's own functions of a network."""

    def objective(X, y):
        return refhf.supervised(net, X, y)

    return {
        "outputs": lambda theta, X: network.forward(net, theta, X, order=0)[0],
        "value": lambda theta, X, y: objective(X, y).value(theta),
        "gradient": lambda theta, X, y: objective(X, y).value_and_gradient(theta)[1],
        "hessian_product": lambda theta, v, X, y: objective(X, y).hessian(theta) @ v,
        "gauss_newton_product": lambda theta, v, X, y: objective(X, y).gauss_newton(theta) @ v,
        "jvp": lambda theta, v, X: network.r_forward(net, network.forward(net, theta, X, order=1)[1], v)[0],
        "vjp": lambda theta, u, X: network.backward(net, network.forward(net, theta, X, order=1)[1], u)[0],
    }


@pytest.mark.parametrize(("name", "dtype"), [*((name, "float64") for name in NETWORKS), ("transformer", "float32")])
def test_whole_networks_pass(name, dtype):
    """refhf's functions of residual networks and transformers pass: images, groups, tokens, positions, tied weights."""
    report = refhf.check_network(of_refhf(NETWORKS[name]), NETWORKS[name], dtype=dtype)
    assert report.passed, str(report)


@pytest.mark.parametrize("name", NETWORKS)
def test_known_mistakes_are_named_inside_residual_blocks(name):
    """G for H, a missing f'' and the softmax's diagonal are named, for several groups and a rest."""
    net = NETWORKS[name]
    theta, X, y = drawn(net, 2 * net.group + 2 if net.group > 1 else 3)
    objective = refhf.supervised(net, X, y)
    problem = wrong_derivatives.NetworkCases(net, X, np.eye(net.outputs)[y], len(X))
    hessian = dict(wrong_derivatives.loss_hessians(net))
    diagonal = next(h for cause, h in hessian.items() if cause.pattern is Pattern.SOFTMAX_DIAGONAL)
    for pattern, product in (
        (Pattern.GAUSS_NEWTON, lambda theta, v: objective.gauss_newton(theta) @ v),
        (Pattern.NO_BEND, lambda theta, v: wrong_derivatives.curvature(problem, theta, v, {Pattern.NO_BEND})),
        (Pattern.SOFTMAX_DIAGONAL, lambda theta, v: wrong_derivatives.curvature(problem, theta, v, set(), diagonal)),
    ):
        assert refhf.check_hessian_product(product, theta, objective).patterns == (pattern,)


@pytest.mark.parametrize("name", NETWORKS)
def test_blocks_without_a_mistake_are_the_sweeps(name):
    """Without a mistake the mistaken blocks give H v, G v, g and f."""
    net = NETWORKS[name]
    theta, X, y = drawn(net, 2 * net.group + 2 if net.group > 1 else 3)
    objective, v = refhf.supervised(net, X, y), np.random.default_rng(1).standard_normal(net.size)
    problem = wrong_derivatives.NetworkCases(net, X, np.eye(net.outputs)[y], len(X))
    for got, want in (
        (wrong_derivatives.value(problem, theta), objective.value(theta)),
        (wrong_derivatives.gradient(problem, theta), objective.value_and_gradient(theta)[1]),
        (wrong_derivatives.curvature(problem, theta, v), objective.hessian(theta) @ v),
        (wrong_derivatives.curvature(problem, theta, v, wrong_derivatives.RESIDUAL), objective.gauss_newton(theta) @ v),
    ):
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)


def test_mistakes_are_asked_only_of_networks_that_have_the_block():
    """A network without normalisation or attention has none of their mistakes; one that sees all has no mask."""
    assert wrong_blocks.mistakes_of_blocks(refhf.mlp([3, 4, 2])) == []
    stages = [refhf.dense(4, 12), refhf.attention(1, causal=False), refhf.flatten(), refhf.dense(12, 2)]
    assert wrong_blocks.mistakes_of_blocks(refhf.chain(stages, shape=(3, 4))) == [Pattern.NO_ROW_SUM]


def test_parts_of_theta_have_names():
    """W, b, gamma, beta, E and T by layer; the tied array stands once; 'out-in' turns the W alone."""
    names = [block.name for block in parameter_layout.parameter_blocks(NETWORKS["tied"])]
    assert names[:6] == ["E_1", "T_1", "gamma_2", "beta_2", "W_3", "b_3"]
    assert names[-2:] == ["gamma_8", "beta_8"]
    for net in NETWORKS.values():
        blocks = parameter_layout.parameter_blocks(net)
        np.testing.assert_array_equal(np.concatenate([b.indices for b in blocks]), np.arange(net.size))
        order = parameter_layout.out_in(net)
        np.testing.assert_array_equal(np.sort(order), np.arange(net.size))
        assert all((order[b.indices] == b.indices).all() for b in blocks if b.name[0] != "W")
        assert sorted(parameter_layout.bias_first(net)) == list(range(net.size))


def test_frozen_statistics_and_summed_losses():
    """H with frozen statistics, and of the summed loss, is compared with its own complex step."""
    theta, X, y, _ = block_faults.problem(BatchNormalised)
    net = block_faults.network(BatchNormalised)
    for options in ({"curvature_statistics": "frozen"}, {"reduction_of_cases": "sum"}):
        objective = refhf.supervised(net, X, y, **options)
        report = refhf.check_hessian_product(lambda theta, v, o=objective: o.hessian(theta) @ v, theta, objective)
        assert report.passed, str(report)
