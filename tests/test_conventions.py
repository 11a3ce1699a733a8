"""`any_convention`: a function of another convention is right if asked, and one with a fault besides stays wrong."""

import json

import faults
import numpy as np
import pytest

import refhf
from refhf.conformance import parameter_layout
from refhf.conformance.mistakes.coefficient_causes import LikelyFactors, coefficient_causes
from refhf.conformance.patterns import Cause, Pattern
from refhf.lab.cli import entry_point

B, L2 = 7, 0.01


def combined(times, decay):
    """The function (case, name, fault) -> a function of the data times a factor, plus decay times v or theta."""

    def make(case, name, fault):
        function = getattr(case.mine(fault, l2=0.0), name)
        return lambda *given: times * function(*given) + decay * given[-1]

    return make


def out_in(case, name, fault):
    """The function of vectors in PyTorch's layout."""
    order, function = parameter_layout.out_in(case.objective.net), getattr(case.mine(fault), name)
    back = np.argsort(order)
    return lambda *given: function(*(x[order] for x in given))[back]


def without_biases(case, name, fault):
    """The function of the weights alone."""
    function = getattr(case.mine(fault), name)
    return lambda *given: function(*(embedded(case, x) for x in given))[weights(case)]


def weights(case):
    """The indices of the weights in theta."""
    return np.concatenate(
        [b.indices for b in parameter_layout.parameter_blocks(case.objective.net) if b.name[0] == "W"]
    )


def embedded(case, given):
    """The vector with zeros for the biases."""
    x = np.zeros(case.theta.size)
    x[weights(case)] = given
    return x


CROSS, SQUARES = "softmax_cross_entropy", "squared_error"
OF_VECTORS = {
    "sum": (combined(B, L2), CROSS),
    "sum, weight decay times the cases": (combined(B, B * L2), CROSS),
    "squared error without 1/2": (combined(2, L2), SQUARES),
    "squared error averaged over the outputs": (combined(1 / 3, L2), SQUARES),
    "squared error without 1/2, averaged over the outputs": (combined(2 / 3, L2), SQUARES),
    "no weight decay": (combined(1, 0), CROSS),
    "weight decay l2 ||theta||^2": (combined(1, 2 * L2), CROSS),
    "weight decay divided by the cases": (combined(1, L2 / B), CROSS),
    "layout out-in": (out_in, CROSS),
    "no bias": (without_biases, CROSS),
    "sum, layout out-in": (lambda *given: lambda *x: B * out_in(*given)(*x) - (B - 1) * L2 * x[-1], CROSS),
}
OF_PRODUCTS = OF_VECTORS | {
    "damping 0.3 in the product": (combined(1, L2 + 0.3), CROSS),
    "sum, damping 0.3 in the product": (combined(B, L2 + 0.3), CROSS),
}


@pytest.mark.parametrize("convention", OF_PRODUCTS)
def test_a_product_of_a_convention(convention):
    """It is right under its convention if asked, wrong with a remark if not, and wrong with a fault besides."""
    make, loss = OF_PRODUCTS[convention]
    case = faults.case(loss=loss)
    theta = case.theta[weights(case)] if make is without_biases else case.theta

    def check(fault, **asked):
        return refhf.check_hessian_product(make(case, "hessian_product", fault), theta, case.objective, **asked)

    report = check("", any_convention=True)
    assert report.passed, str(report)
    assert ", ".join(report.conventions) == convention
    assert report.verdict == f"right under the convention {convention}: all {len(report.findings)} laws hold"
    assert report.to_dict()["conventions"] == list(report.conventions)
    near = check("no f''", any_convention=True)
    assert not near.passed, str(near)
    assert near.verdict.startswith("wrong")
    if make is without_biases:
        with pytest.raises(ValueError, match="theta: expected .* without biases: any_convention=True"):
            check("")
        return
    plain = check("")
    assert not plain.passed
    assert f"right under the convention {convention}: any_convention=True" in str(plain)


@pytest.mark.parametrize(
    "convention", ["sum", "squared error without 1/2", "no weight decay", "layout out-in", "no bias"]
)
def test_a_gradient_of_a_convention(convention):
    """It is right under its convention if asked, and with a fault besides it stays wrong."""
    make, loss = OF_VECTORS[convention]
    case = faults.case(loss=loss)
    theta = case.theta[weights(case)] if make is without_biases else case.theta
    for fault in "", "no f' backward":
        gradient = make(case, "gradient", fault)
        report = refhf.check_gradient(None, gradient, theta, case.objective, any_convention=True)
        assert report.passed == (not fault), str(report)
        assert fault or ", ".join(report.conventions) == convention


def test_what_is_no_convention():
    """Negative damping, a factor that no loss has, and G for H stay wrong; a right product is right under none."""
    case = faults.case()
    right = case.mine().hessian_product
    for product in (
        lambda theta, v: right(theta, v) - 0.3 * v,
        lambda theta, v: 2 * right(theta, v),
        case.mine().gauss_newton_product,
    ):
        report = refhf.check_hessian_product(product, case.theta, case.objective, any_convention=True)
        assert report.verdict.startswith("wrong")
    report = refhf.check_hessian_product(right, case.theta, case.objective, any_convention=True)
    assert report.verdict == "right: all 12 laws hold"


def test_a_summed_reference():
    """Beside a summed reference the mean is the convention."""
    case = faults.case()
    *_, X, y, _ = case.arguments
    objective = refhf.supervised(case.objective.net, X, y, l2=L2, reduction_of_cases="sum")
    report = refhf.check_hessian_product(case.mine().hessian_product, case.theta, objective, any_convention=True)
    assert report.conventions == ("mean",)


def test_damping_beside_ones_own_functions():
    """Damping is found from the user's own gradient, value or outputs, a sum from the outputs; a fault is not."""
    case = faults.case()
    mine, wrong = case.mine(), case.mine("no f''")
    for code, given in (
        (mine, {"gradient": mine.gradient}),
        (wrong, {"gradient": mine.gradient}),
        (mine, {"value": mine.value}),
    ):

        def product(theta, v, code=code):
            return code.hessian_product(theta, v) + 0.3 * v

        report = refhf.check_hessian_product(product, case.theta, any_convention=True, **given)
        assert report.passed == (code is mine), str(report)
        assert code is wrong or report.conventions == ("damping 0.3 in the product",)
    given = {"outputs": mine.outputs, "loss": CROSS, "l2": L2, "any_convention": True}
    for convention in "sum", "sum, damping 0.3 in the product", "weight decay l2 ||theta||^2":
        make, _ = OF_PRODUCTS[convention]
        for fault in "", "softmax diagonal":
            product = make(case, "gauss_newton_product", fault)
            report = refhf.check_gauss_newton_product(product, case.theta, **given)
            assert report.passed == (not fault), str(report)
            assert fault or ", ".join(report.conventions) == convention


def test_a_network_of_a_convention():
    """One convention holds for all functions: a sum beside a mean, or damping of another size a setting, is wrong."""
    case = faults.case(sizes=(3, 2, 2))
    right, net = faults.functions(case)
    of_cases = "value", "gradient", "hessian_product", "gauss_newton_product"

    def summed(name):
        return lambda *given: len(given[-2]) * right[name](*given)

    def check(functions):
        return refhf.check_network(functions, net, l2=L2, any_convention=True)

    sums = right | {name: summed(name) for name in of_cases}
    assert check(sums).conventions == ("sum", "weight decay times the cases")
    assert not check({"gradient": sums["gradient"], "hessian_product": right["hessian_product"]}).passed

    def damped(theta, v, X, y):
        return right["hessian_product"](theta, v, X, y) + 0.3 * v

    def more_damped(theta, v, X, y):
        return right["hessian_product"](theta, v, X, y) + 0.3 * len(X) * v

    assert check({"gradient": right["gradient"], "hessian_product": damped}).passed
    assert not check({"gradient": right["gradient"], "hessian_product": more_damped}).passed


def test_functions_without_biases():
    """Functions of the weights alone are right with no bias, are said to be so, and stay wrong with a fault."""
    case = faults.case(sizes=(3, 2, 2))
    _, net = faults.functions(case)
    for fault, passed in (("", True), ("no f''", False)):
        functions, _ = faults.functions(case, fault)

        def product(theta, v, X, y, functions=functions):
            if theta.size != weights(case).size:
                raise ValueError("theta")
            full = (embedded(case, x) for x in (theta, v))
            return functions["hessian_product"](*full, X, y)[weights(case)]

        report = refhf.check_network({"hessian_product": product}, net, l2=L2, any_convention=True)
        assert report.passed == passed, str(report)
        plain = refhf.check_network({"hessian_product": product}, net, l2=L2)
        assert plain.patterns == (Pattern.RAISES,)
        assert any("no bias" in remark for remark in plain.remarks) == passed


def of_solver(solver, *, inverted=False, stopping=""):
    """The solver with a convention of M and of its tolerance."""

    def converted(A, b, x0=None, *, rtol=1e-5, maxiter=None, M=None):
        size, first = np.linalg.norm(b) or 1.0, b if x0 is None else b - A @ x0
        rtol *= {"": 1.0, "absolute": 1 / size, "first": np.linalg.norm(first) / size}[stopping]
        M = np.linalg.inv(M) if inverted and M is not None else M
        return solver(A, b, x0, rtol=rtol, maxiter=maxiter, M=M)

    return converted


OF_SOLVERS = {
    "M approximates A": ({"inverted": True}, Pattern.PRECONDITIONER_INVERTED),
    "absolute tolerance": ({"stopping": "absolute"}, Pattern.ABSOLUTE),
    "tolerance relative to the first residual": ({"stopping": "first"}, Pattern.FIRST_RESIDUAL),
    "M approximates A, absolute tolerance": (
        {"inverted": True, "stopping": "absolute"},
        Pattern.PRECONDITIONER_INVERTED,
    ),
}


@pytest.mark.parametrize("kind", ["cg", "bicgstab"])
@pytest.mark.parametrize("convention", OF_SOLVERS)
def test_a_solver_of_a_convention(convention, kind):
    """It is right under its convention if asked, named if not, and with another line wrong it stays wrong."""
    options, pattern = OF_SOLVERS[convention]
    right = of_solver({"cg": refhf.cg, "bicgstab": refhf.bicgstab}[kind], **options)
    report = refhf.check_solver(right, kind, any_convention=True)
    assert report.passed, str(report)
    assert ", ".join(report.conventions) == convention
    plain = refhf.check_solver(right, kind)
    assert plain.patterns == (pattern,)
    assert f"right under the convention {convention}" in str(plain)
    wrong = {"cg": faults.solver(limit=lambda maxiter: maxiter + 1), "bicgstab": faults.stabilised(stabiliser=0.0)}
    assert not refhf.check_solver(of_solver(wrong[kind], **options), kind, any_convention=True).passed


def test_the_command(tmp_path, capsys):
    """`--any-convention` ends with status 0 and the convention's name; without it the status is 1, with a remark."""
    (tmp_path / "mine.py").write_text(
        "import refhf\nnet = refhf.mlp([5, 4, 4, 3])\n"
        "def hvp(theta, v, X, y):\n    return len(X) * (refhf.supervised(net, X, y).hessian(theta) @ v)\n"
        "def cg(A, b, x0=None, *, rtol, maxiter=None):\n"
        "    return refhf.cg(A, b, x0, rtol=rtol / (abs(b).max() and (b @ b) ** 0.5 or 1), maxiter=maxiter)\n"
    )
    for name, against, convention in (("hvp", "hessian", "sum"), ("cg", "cg", "absolute tolerance")):
        target = f"{tmp_path / 'mine.py'}:{name}"
        assert entry_point.main(["check", target, "--against", against, "--any-convention", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["conventions"] == [convention]
        assert entry_point.main(["check", target, "--against", against]) == 1
        assert f"right under the convention {convention}" in capsys.readouterr().out


def test_any_convention_is_a_flag():
    """Anything but a boolean is refused."""
    with pytest.raises(ValueError, match="any_convention: expected"):
        refhf.check_solver(refhf.cg, any_convention="sum")


def test_the_factor_of_a_convention_is_named():
    """The diagnosis says the convention that a factor or a coefficient of the weight decay belongs to."""
    case = faults.case(loss=SQUARES)

    def said(times, decay, objective=case.objective):
        report = refhf.check_hessian_product(combined(times, decay)(case, "hessian_product", ""), case.theta, objective)
        return [(cause.pattern, cause.detail) for cause in report.causes]

    assert said(B, L2) == [(Pattern.SUM_NOT_MEAN, "B = 7")]
    assert said(2, L2) == [(Pattern.FACTOR, "2: the squared error without its 1/2")]
    assert said(2 / 3, L2) == [(Pattern.FACTOR, "2: the squared error without its 1/2 and 1/n_L = 1/3")]
    assert said(2 * B, L2) == [
        (Pattern.SUM_NOT_MEAN, "B = 7"),
        (Pattern.FACTOR, "2: the squared error without its 1/2"),
    ]
    assert said(1, 2 * L2) == [(Pattern.DECAY_WRONG, "2 l2: l2 ||theta||^2 for l2/2 ||theta||^2")]
    assert said(1, B * L2) == [(Pattern.DECAY_WRONG, "B l2, B = 7")]
    assert said(1, L2 / B) == [(Pattern.DECAY_WRONG, "l2 / B, B = 7")]
    *_, X, y, _ = case.arguments
    summed = refhf.supervised(case.objective.net, X, y, l2=L2, reduction_of_cases="sum")
    assert said(1, L2, summed) == [(Pattern.MEAN_NOT_SUM, "B = 7")]
    assert said(B, L2, summed) == []
    sequences = LikelyFactors(cases=4, outputs=5, positions=3)
    assert coefficient_causes(3.0, 0.0, 0.0, sequences, gradient=False) == [
        Cause(Pattern.FACTOR, "T = 3: the sum over the positions instead of the mean")
    ]
    assert [cause.pattern for cause in coefficient_causes(12.0, 0.0, 0.0, sequences, gradient=False)] == [
        Pattern.SUM_NOT_MEAN,
        Pattern.FACTOR,
    ]
    (cause,) = coefficient_causes(2.0, 0.0, 0.0, LikelyFactors(cases=2, outputs=2), gradient=False)
    assert cause.pattern is Pattern.SUM_NOT_MEAN
    assert {one.detail for one in (cause, *cause.equals)} == {"B = 2", "2", "n_L = 2"}
