"""refhf.conformance: every seeded fault is caught and named, no false positives, no exception or output escapes."""

import json
import sys
import tracemalloc

import faults
import numpy as np
import pytest
import scipy.sparse.linalg
from hypothesis import settings

import refhf
from refhf.conformance import oracles, parameter_layout
from refhf.conformance.mistakes import linear_systems, wrong_derivatives, wrong_solvers
from refhf.conformance.patterns import Pattern
from refhf.krylov.bicgstab import bicgstab_iterates
from refhf.krylov.cg import cg_iterates
from refhf.lab.cli import entry_point
from refhf.model import network
from refhf.model.losses import LOSSES

LONG = settings.default.max_examples > 100
CORRECT = 1000 if LONG else 63


def check(kind, function, case, **options):
    """Check a 'hessian', 'gauss-newton' or 'gradient' against the reference."""
    if kind == "gradient":
        return refhf.check_gradient(case.mine().value, function, case.theta, case.objective, **options)
    checker = refhf.check_hessian_product if kind == "hessian" else refhf.check_gauss_newton_product
    return checker(function, case.theta, case.objective, **options)


def alone(kind, function, case):
    """Check without a reference, against derivatives of the user's own, right functions."""
    mine = case.mine()
    if kind == "gradient":
        return refhf.check_gradient(mine.value, function, case.theta)
    if kind == "hessian":
        return refhf.check_hessian_product(function, case.theta, gradient=mine.gradient)
    given = {"outputs": mine.outputs, "loss": mine.loss, "l2": case.arguments[-1]}
    return refhf.check_gauss_newton_product(function, case.theta, **given)


# --- Promise R5: every fault is caught and named


@pytest.mark.parametrize("fault", faults.PRODUCT_FAULTS + faults.GRADIENT_FAULTS, ids=lambda fault: fault.name)
def test_fault_is_caught_and_named(fault):
    """A seeded fault fails a law, and the diagnosis is its pattern and no other."""
    case = faults.case(**fault.options)
    report = check(fault.kind, fault.make(case), case)
    assert not report.passed
    assert set(report.patterns) == set(fault.patterns), str(report)


@pytest.mark.parametrize("fault", faults.SOLVER_FAULTS, ids=lambda fault: fault.name)
def test_solver_fault_is_caught_and_named(fault):
    """A solver's seeded fault fails a law, and the diagnosis names it."""
    report = refhf.check_solver(fault.solver, fault.kind)
    assert not report.passed
    assert set(report.patterns) & set(fault.patterns), str(report)


def test_there_are_as_many_faults_as_promised():
    """R5: at least 20 faults of products and 10 of solvers, with unique names."""
    for gallery, least in ((faults.PRODUCT_FAULTS, 20), (faults.SOLVER_FAULTS, 10)):
        assert len({fault.name for fault in gallery}) == len(gallery) >= least


@pytest.mark.parametrize("kind", ["hessian", "gauss-newton"])
@pytest.mark.parametrize(("name", "loss"), [("softplus", "squared_error"), ("relu", "logistic_cross_entropy")])
def test_every_line_left_out_is_caught(name, loss, kind):
    """A product without a term fails on any network where that term is not zero, and the diagnosis names the term."""
    case = faults.case(f=name, loss=loss)
    fitting = [fault for fault in faults.PRODUCT_FAULTS if fault.kind == kind and ": no " in fault.name]
    assert fitting
    for fault in fitting:
        function, right = fault.make(case), {"hessian": "hessian_product", "gauss-newton": "gauss_newton_product"}[kind]
        v = np.random.default_rng(1).standard_normal(case.theta.size)
        if np.allclose(function(case.theta, v), getattr(case.mine(), right)(case.theta, v), rtol=1e-9, atol=0):
            continue  # f'' of relu, H_L of the squared error
        report = check(kind, function, case)
        assert not report.passed
        assert set(report.patterns) == set(fault.patterns), f"{fault.name}\n{report}"


def test_faults_are_caught_without_a_reference():
    """Against the user's own gradient, outputs or value alone, all faults but one are caught.

    A central difference of the value has about 8 digits, so noise of 1e-9 in a gradient passes.
    """
    caught = {}
    for fault in faults.PRODUCT_FAULTS + faults.GRADIENT_FAULTS:
        case = faults.case(**fault.options)
        caught[fault.name] = not alone(fault.kind, fault.make(case), case).passed
    assert [name for name, found in caught.items() if not found] == ["gradient: noise 1e-9"]


@pytest.mark.parametrize(("factor", "pattern"), [(-1.0, Pattern.SIGN), (2.0, Pattern.FACTOR), (0.37, Pattern.FACTOR)])
def test_diagnosis_without_a_reference(factor, pattern):
    """A sign and a factor are named from the user's own gradient or value alone."""
    case = faults.case()
    mine = case.mine()
    for report in (
        alone("hessian", lambda theta, v: factor * mine.hessian_product(theta, v), case),
        alone("gradient", lambda theta: factor * mine.gradient(theta), case),
        refhf.check_hessian_product(  # a gradient of tensors has no complex step
            lambda theta, v: Tensor(factor * mine.hessian_product(theta.array, v.array)),
            Tensor(case.theta),
            gradient=lambda theta: Tensor(mine.gradient(theta.array)),
        ),
    ):
        assert report.patterns == (pattern,)


def test_two_faults_are_both_named():
    """A sum instead of a mean, missing decay, and a zero bias part are each named."""
    case = faults.case()
    product = case.mine(l2=0.0).hessian_product
    report = check("hessian", lambda theta, v: -7 * product(theta, v), case)
    assert set(report.patterns) == {Pattern.SIGN, Pattern.SUM_NOT_MEAN, Pattern.NO_DECAY}
    mask = np.ones(case.theta.size)
    for block in parameter_layout.parameter_blocks(case.objective.net):
        mask[block.indices] = block.name[0] == "W"
    report = check("hessian", lambda theta, v: 2 * product(theta, v) * mask, case)
    assert set(report.patterns) == {Pattern.ZERO_PART, Pattern.FACTOR, Pattern.NO_DECAY}


def test_product_that_takes_small_for_zero_is_caught():
    """The product with v / 2^20 is A v / 2^20; an absolute threshold for v = 0 is caught."""
    case = faults.case()
    product = case.mine().hessian_product
    report = check("hessian", lambda theta, v: product(theta, v) * (np.linalg.norm(v) > 1e-4), case)
    assert [f.law for f in report.findings if not f.passed] == ["linear: A (v / 2^20) = A v / 2^20"]


@pytest.mark.parametrize(("name", "loss"), [*zip(("tanh", "logistic", "softplus"), LOSSES, strict=True)])
def test_noise_is_caught_everywhere(name, loss):
    """Relative noise of 1e-9 in a product fails on every analytic network of ordinary scale."""
    case = faults.case(3, f=name, loss=loss)
    product, wave = case.mine().hessian_product, np.random.default_rng(0).standard_normal(case.theta.size)
    report = check("hessian", lambda theta, v: product(theta, v) * (1 + 1e-9 * wave), case)
    assert report.patterns == (Pattern.NOISE,)


# --- Promise R5: no false positives


def test_no_false_alarm():
    """Right code always passes: float32 and float64, relu, saturated, badly scaled, any decay."""
    alarms = []
    for seed in range(CORRECT):
        case, kind = faults.drawn(seed)
        if kind in ("cg", "bicgstab"):
            reports = [refhf.check_solver({"cg": faults.solver, "bicgstab": faults.stabilised}[kind](), kind, rng=seed)]
        elif kind == "network":
            functions, net = faults.functions(case)
            given = {"l2": case.arguments[-1], "dtype": case.theta.dtype.name, "rng": seed}
            reports = [refhf.check_network(functions, net, **given)]
        else:
            method = {"hessian": "hessian_product", "gauss-newton": "gauss_newton_product", "gradient": "gradient"}[
                kind
            ]
            function = getattr(case.mine(), method)
            reports = [check(kind, function, case), alone(kind, function, case)]
        alarms += [f"{seed}: {report}" for report in reports if not report.passed]
    assert not alarms, "\n".join(alarms)


def test_solvers_that_are_right():
    """cg of refhf and SciPy pass, and bicgstab of refhf; the absolute breakdown thresholds of SciPy's are found."""
    for seed in range(100 if LONG else 5):
        assert refhf.check_solver(refhf.cg, rng=seed).passed
        assert refhf.check_solver(refhf.bicgstab, "bicgstab", rng=seed).passed
        theirs = refhf.check_solver(scipy.sparse.linalg.cg, rng=seed)
        assert theirs.passed
        assert any("negative curvature" in remark for remark in theirs.remarks)
        assert refhf.check_solver(scipy.sparse.linalg.bicgstab, "bicgstab", rng=seed).patterns == (Pattern.ABSOLUTE,)
    assert refhf.check_solver(refhf.bicgstab, "cg").patterns == (Pattern.OTHER_SOLVER,)
    assert refhf.check_solver(refhf.cg, "bicgstab").patterns == (Pattern.OTHER_SOLVER,)


def test_refhf_itself_is_right():
    """refhf's own products on a convolutional network pass, and G for H is diagnosed."""
    net = refhf.convnet((6, 6, 1), [refhf.conv(2, 3), refhf.pool(2), 3])
    rng = np.random.default_rng(0)
    objective = refhf.supervised(net, rng.standard_normal((5, 36)), rng.integers(0, 3, 5), l2=0.01)
    theta = net.init(rng)
    report = refhf.check_hessian_product(lambda theta, v: objective.hessian(theta) @ v, theta, objective)
    assert report.passed
    report = refhf.check_hessian_product(lambda theta, v: objective.gauss_newton(theta) @ v, theta, objective)
    assert report.patterns == (Pattern.GAUSS_NEWTON,)


def test_pytorch_layout():
    """Code with W as (out, in) passes with layout='out-in' and is diagnosed without; and the reverse."""
    case = faults.case()
    order = parameter_layout.out_in(case.objective.net)
    theta = np.empty_like(case.theta)
    theta[order] = case.theta
    theirs = case.mine("out-in").hessian_product
    assert refhf.check_hessian_product(theirs, theta, case.objective, layout="out-in").passed
    assert refhf.check_hessian_product(theirs, theta, case.objective).patterns == (Pattern.LAYOUT_OUT_IN,)
    ours = case.mine().hessian_product
    assert refhf.check_hessian_product(ours, case.theta, case.objective, layout="out-in").patterns == (
        Pattern.LAYOUT_IN_OUT,
    )


class Tensor:
    """A stand-in for a PyTorch tensor; NumPy refuses to convert one that is attached to a graph."""

    def __init__(self, array, attached=False):
        self.array, self.attached, self.dtype = np.asarray(array), attached, np.asarray(array).dtype

    def new_tensor(self, array):
        return Tensor(np.asarray(array, self.dtype))

    def detach(self):
        return Tensor(self.array)

    def cpu(self):
        return self

    def __array__(self, dtype=None, copy=None):
        if self.attached:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")
        return self.array.astype(dtype or self.dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tensors(dtype):
    """If theta is a tensor, the functions get tensors of its dtype and may return tensors attached to a graph."""
    case = faults.case(dtype=dtype)
    seen = []

    def product(theta, v):
        seen.append((type(theta), type(v), theta.dtype, v.dtype))
        return Tensor(case.mine().hessian_product(theta.array, v.array), attached=True)

    report = refhf.check_hessian_product(product, Tensor(case.theta, attached=True), case.objective)
    assert report.passed, str(report)

    def writes(theta, v):
        v.array *= 2
        return product(theta, v)

    assert Pattern.MODIFIES_INPUT in refhf.check_hessian_product(writes, Tensor(case.theta), case.objective).patterns
    assert set(seen) == {(Tensor, Tensor, np.dtype(dtype), np.dtype(dtype))}


# --- A network on the checker's own cases


def test_network():
    """All functions of a network are checked at once; a fault fails only the laws of its function."""
    case = faults.case(loss="logistic_cross_entropy")
    right, net = faults.functions(case)
    assert refhf.check_network(right, net, l2=0.01).passed
    wrong, _ = faults.functions(case, "no f''")
    report = refhf.check_network(wrong, net, l2=0.01)
    assert report.patterns == (Pattern.NO_BEND,)
    assert {f.law.split(":")[0] for f in report.findings if not f.passed} == {"hessian_product"}
    jvp = {name: right[name] for name in ("jvp", "vjp")}
    jvp["vjp"] = lambda theta, u, X: 2 * right["vjp"](theta, u, X)
    report = refhf.check_network(jvp, net)
    assert {f.law for f in report.findings if not f.passed} == {"vjp: the reference", "jvp and vjp: u'(J v) = (J'u)'v"}


def test_overflow_at_sure_outputs_is_found():
    """exp(z) overflows for large z: a function that passes on ordinary cases fails with saturated outputs."""
    case = faults.case(dtype=np.float32)
    _, net = faults.functions(case)

    def value(theta, X, y):
        z = case.mine(X=X).outputs(theta).astype(np.float32)
        return np.mean(np.log(np.exp(z + 40).sum(axis=1)) - 40 - z[np.arange(len(z)), y])

    report = refhf.check_network({"value": value}, net, dtype="float32")
    assert Pattern.NOT_FINITE in report.patterns


# --- Cost


def test_no_matrix_is_formed():
    """With 100,000 parameters a check needs memory for fewer than 300 vectors; a matrix would need 100,000."""
    net = refhf.mlp([700, 120, 100, 10])
    rng = np.random.default_rng(0)
    objective = refhf.supervised(net, rng.standard_normal((30, 700)), rng.integers(0, 10, 30))
    assert net.size > 97_000
    theta, calls = net.init(0), []

    def product(theta, v):
        calls.append(1)
        return objective.gauss_newton(theta) @ v

    tracemalloc.start()
    reports = [
        refhf.check_hessian_product(product, theta, objective),  # fails, and so is diagnosed
        refhf.check_gauss_newton_product(product, theta, objective),
    ]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [report.passed for report in reports] == [False, True]
    assert reports[0].patterns == (Pattern.GAUSS_NEWTON,)
    assert peak < 300 * 8 * net.size
    assert len(calls) < 60


# --- Misbehaving functions: each is a finding, and no exception or output escapes

CASE = faults.case()
RIGHT = CASE.mine().hessian_product


def _writes(theta, v):
    v *= 2
    return RIGHT(theta, v / 2)


def _writes_theta(theta, v):
    Hv = RIGHT(theta, v)
    theta[0] = 0
    return Hv


def _nan(theta, v):
    Hv = RIGHT(theta, v)
    Hv[3] = np.nan
    return Hv


def _prints(theta, v):
    print("in the product")
    return RIGHT(theta, v)


def _raises(theta, v):
    raise KeyError("W_7")


def _exits(theta, v):
    raise SystemExit(3)


RNG = np.random.default_rng(0)
BAD = [
    ("wrong length", lambda theta, v: RIGHT(theta, v)[:-1], Pattern.WRONG_SHAPE),
    ("a column", lambda theta, v: RIGHT(theta, v)[:, None], Pattern.WRONG_SHAPE),
    ("a scalar", lambda theta, v: 1.0, Pattern.WRONG_SHAPE),
    ("None", lambda theta, v: None, Pattern.WRONG_DTYPE),
    ("a list of texts", lambda theta, v: ["a"] * theta.size, Pattern.WRONG_DTYPE),
    ("ragged", lambda theta, v: [[1.0], [1.0, 2.0]], Pattern.WRONG_DTYPE),
    ("complex", lambda theta, v: RIGHT(theta, v) + 0j, Pattern.WRONG_DTYPE),
    ("float32 of float64", lambda theta, v: RIGHT(theta, v).astype(np.float32), Pattern.WRONG_DTYPE),
    ("integers", lambda theta, v: RIGHT(theta, v).astype(int), Pattern.WRONG_DTYPE),
    ("raises", _raises, Pattern.RAISES),
    ("exits", _exits, Pattern.RAISES),
    ("wants no v", lambda theta: theta, Pattern.RAISES),
    ("prints", _prints, Pattern.PRINTS),
    ("writes v", _writes, Pattern.MODIFIES_INPUT),
    ("writes theta", _writes_theta, Pattern.MODIFIES_INPUT),
    ("NaN", _nan, Pattern.NOT_FINITE),
    ("Inf", lambda theta, v: RIGHT(theta, v) / 0.0, Pattern.NOT_FINITE),
    ("random", lambda theta, v: RIGHT(theta, v) + 1e-6 * RNG.standard_normal(v.size), Pattern.RANDOM),
    ("zero", lambda theta, v: 0 * v, None),
]


@pytest.mark.parametrize(("function", "pattern"), [bad[1:] for bad in BAD], ids=[bad[0] for bad in BAD])
def test_bad_function_is_a_finding(function, pattern, capsys):
    """Every misbehaviour of a function is reported; nothing is raised, warned or printed."""
    for report in (
        refhf.check_hessian_product(function, CASE.theta, CASE.objective),
        refhf.check_hessian_product(function, CASE.theta, gradient=CASE.mine().gradient),
        refhf.check_gauss_newton_product(function, CASE.theta, CASE.objective),
    ):
        assert not report.passed
        assert pattern is None or pattern in report.patterns, str(report)
        json.dumps(report.to_dict(), allow_nan=False)
    assert capsys.readouterr() == ("", "")


OF_THETA = [bad for bad in BAD if bad[0] not in ("writes v", "wants no v", "random", "zero")]


@pytest.mark.parametrize(("function", "pattern"), [bad[1:] for bad in OF_THETA], ids=[bad[0] for bad in OF_THETA])
def test_bad_gradient_and_value_are_findings(function, pattern, capsys):
    """Misbehaviour of a gradient, of a value, and of the gradient that a product is compared with is reported."""
    mine, zero = CASE.mine(), np.ones(CASE.theta.size)

    def bad(theta):
        return function(theta, zero)

    assert pattern in refhf.check_gradient(mine.value, bad, CASE.theta, CASE.objective).patterns
    assert not refhf.check_gradient(lambda theta: None, mine.gradient, CASE.theta).passed
    report = refhf.check_hessian_product(RIGHT, CASE.theta, CASE.objective, gradient=bad)
    assert all(f.passed for f in report.findings if "gradient" not in f.law)
    assert capsys.readouterr() == ("", "")


BAD_SOLVERS = [
    ("raises", lambda A, b, **options: 1 / 0, Pattern.RAISES),
    ("x alone", lambda A, b, **options: b, Pattern.WRONG_SHAPE),
    ("wrong x", lambda A, b, **options: (b[:-1], 0), Pattern.WRONG_SHAPE),
    ("NaN", lambda A, b, **options: (np.nan * b, 0), Pattern.NOT_FINITE),
    ("b for x", lambda A, b, **options: (b, 0), Pattern.CLAIMS),
    ("prints", lambda A, b, **options: print("x") or refhf.cg(A, b, **options), Pattern.PRINTS),
    ("writes b", lambda A, b, **options: (b.__imul__(2), refhf.cg(A, b / 2, **options))[1], Pattern.MODIFIES_INPUT),
    ("endless", lambda A, b, **options: [A @ b for _ in iter(int, 1)], Pattern.NEVER_STOPS),
    ("random", lambda A, b, **options: refhf.cg(A, b + 1e-3 * RNG.standard_normal(b.size), **options), Pattern.RANDOM),
    ("no maxiter", lambda A, b, rtol: refhf.cg(A, b, rtol=rtol), Pattern.RAISES),
]


@pytest.mark.parametrize(("solver", "pattern"), [bad[1:] for bad in BAD_SOLVERS], ids=[bad[0] for bad in BAD_SOLVERS])
def test_bad_solver_is_a_finding(solver, pattern, capsys):
    """Every misbehaviour of a solver is reported, even if it would never return."""
    for kind in ("cg", "bicgstab"):
        report = refhf.check_solver(solver, kind)
        assert not report.passed
        assert pattern in report.patterns, str(report)
        json.dumps(report.to_dict(), allow_nan=False)
    assert capsys.readouterr() == ("", "")


def test_solver_of_arrays_only():
    """A solver that accepts arrays only gets arrays, is checked, and gets a remark."""

    def cg(A, b, rtol, maxiter):
        assert isinstance(A, np.ndarray)
        return refhf.cg(A, b, rtol=rtol, maxiter=maxiter)

    report = refhf.check_solver(cg)
    assert report.passed
    assert [remark.split(":")[0] for remark in report.remarks] == [
        "it has no x0",
        "it has no M",
        "it accepts arrays only",
    ]


def test_a_wrong_own_gradient_is_not_a_fault_of_the_product():
    """A complex step is used only if central differences confirm it: a right gradient may use absolute values."""
    case = faults.case()
    mine = case.mine()
    report = refhf.check_hessian_product(
        mine.hessian_product, case.theta, gradient=lambda theta: mine.gradient(theta) + 0 * np.abs(theta)
    )
    assert report.passed
    report = refhf.check_hessian_product(
        lambda theta, v: theta * v, np.array([1.0, 2.0]), gradient=lambda theta: np.abs(theta) * theta.real / 2
    )
    assert report.passed, str(report)
    assert any("not analytic" in remark for remark in report.remarks)


MISTAKES = [
    (lambda: refhf.check_hessian_product(None, CASE.theta, CASE.objective), "product: expected a function"),
    (lambda: refhf.check_hessian_product(RIGHT, CASE.theta), "reference: expected an Objective, or"),
    (lambda: refhf.check_hessian_product(RIGHT, CASE.theta[:-1], CASE.objective), "theta: expected an array of shape"),
    (lambda: refhf.check_hessian_product(RIGHT, CASE.theta * np.nan, CASE.objective), "theta: expected finite numbers"),
    (lambda: refhf.check_gradient(None, RIGHT, 1e300 * CASE.theta, CASE.objective), "theta: expected a point at which"),
    (lambda: refhf.check_hessian_product(RIGHT, CASE.theta, 3), "reference: expected an Objective"),
    (lambda: refhf.check_hessian_product(RIGHT, CASE.theta, CASE.objective, layout="io"), "layout: expected one of"),
    (lambda: refhf.check_hessian_product(RIGHT, CASE.theta, gradient=3), "gradient: expected a function"),
    (
        lambda: refhf.check_hessian_product(RIGHT, CASE.theta, gradient=RIGHT, layout="out-in"),
        "layout: expected a reference",
    ),
    (lambda: refhf.check_gauss_newton_product(RIGHT, CASE.theta, outputs=RIGHT), "loss: expected one of"),
    (lambda: refhf.check_gradient(len, len, [np.ones((2, 3)), np.ones(3)]), "expected one vector .*; got list of 2"),
    (lambda: refhf.check_gradient(len, len, iter([np.ones(3)])), "theta: expected one vector"),
    (lambda: refhf.check_gradient(len, len, {"W": np.ones(3)}), "theta: expected one vector .*; got dict of 1"),
    (lambda: refhf.check_gradient(len, len, Tensor(np.ones(3, np.float16))), "float32 or float64; got float16"),
    (lambda: refhf.check_gradient(None, RIGHT, CASE.theta), "reference: expected an Objective"),
    (lambda: refhf.check_gradient(RIGHT, None, CASE.theta), "gradient: expected a function"),
    (lambda: refhf.check_gradient(len, len, []), "theta: expected at least one"),
    (lambda: refhf.check_network({}, CASE.objective.net), "functions: expected some of"),
    (lambda: refhf.check_network({"hessian": RIGHT}, CASE.objective.net), "did you mean 'hessian_product'"),
    (lambda: refhf.check_solver(None), "solver: expected a function"),
    (lambda: refhf.check_solver(refhf.cg, "minres"), "kind: expected one of"),
]


@pytest.mark.parametrize(("call", "message"), MISTAKES, ids=[message for _, message in MISTAKES])
def test_mistakes(call, message):
    """An invalid argument raises a ValueError that names it."""
    with pytest.raises(ValueError, match=message):
        call()


# --- The report


def test_report_is_a_table_and_a_dictionary():
    """The string has verdict, laws with digits, and diagnosis; the dictionary has the same in JSON types."""
    case = faults.case()
    report = refhf.check_hessian_product(case.mine().gauss_newton_product, case.theta, case.objective)
    lines = str(report).splitlines()
    assert lines[0] == "Hessian product, P = 59: wrong: 1 of 12 laws fail"
    assert sum(line.startswith("FAIL") for line in lines) == 1
    assert lines[-1] == "diagnosis: This is the Gauss-Newton product, not the Hessian product."
    assert max(map(len, lines)) <= 130
    said = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert (said["passed"], said["diagnosis"][0]["pattern"]) == (False, "gauss newton")
    assert [f["law"] for f in said["findings"] if not f["passed"]] == ["the reference"]


def test_digits():
    """digits is -log10 of the relative error between 0 and 17; a NaN sample is the worst."""
    from refhf.conformance.check_report import compared, digits

    assert digits(1e-7, 10.0) == pytest.approx(8)
    assert [digits(0.0, 1.0), digits(5.0, 1.0), digits(np.nan, 1.0), digits(0.0, 0.0), digits(1.0, 0.0)] == [
        17,
        0,
        0,
        17,
        0,
    ]
    finding = compared("law", [("a", 1e-13, 1e-12, 1.0), ("b", np.nan, 1.0, 1.0), ("c", 1e-11, 1e-12, 1.0)])
    assert (finding.worst, finding.passed) == ("b", False)
    assert compared("law", [("a", 0.0, 0.0, 0.0)]).passed


# --- Oracles


def test_oracles_on_a_function_with_known_derivatives():
    """f(x) = A sin(x): each oracle gives A (cos(x) v) within its bound; the Taylor rate is 2, and 1 for a wrong one."""
    rng = np.random.default_rng(0)
    A, x, v = rng.standard_normal((5, 5)), rng.standard_normal(5), rng.standard_normal(5)

    def function(x):
        return A @ np.sin(x)

    want = A @ (np.cos(x) * v)
    assert np.abs(oracles.complex_step(function, x, v) - want).max() < 1e-13
    for difference, digits in ((oracles.central_difference, 1e-9), (oracles.forward_difference, 1e-6)):
        got = difference(function, x, v)
        assert np.linalg.norm(got.derivative - want) <= got.bound < digits
    assert oracles.taylor_rate(function, x, v, want, 1e-2)[0] == pytest.approx(2, abs=0.05)
    assert oracles.taylor_rate(function, x, v, 1.01 * want, 1e-4)[0] == pytest.approx(1, abs=0.05)
    np.testing.assert_array_equal(oracles.dense(lambda v: A @ v, 5), A)
    left, right = oracles.dot_test(lambda v: A @ v, lambda u: A.T @ u, x, v)
    assert left == pytest.approx(right, rel=1e-13)
    assert oracles.asymmetry(x, v, A @ x, A @ v) > 0.1
    assert oracles.asymmetry(x, v, (A + A.T) @ x, (A + A.T) @ v) < 1e-13
    assert oracles.nonlinearity(lambda v: A @ v, x, v, A @ x, A @ v) < 1e-13
    assert oracles.nonlinearity(np.sin, x, v, np.sin(x), np.sin(v)) > 0.1


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_central_difference_states_its_error(scale):
    """The bound exceeds the error, and not by much, at any scale of x and for float32 functions."""
    rng = np.random.default_rng(1)
    for dtype in (np.float64, np.float32):
        x, v = scale * rng.standard_normal(20), rng.standard_normal(20)
        got = oracles.central_difference(
            lambda x, dtype=dtype: np.sin(x.astype(dtype) / dtype(scale)).astype(float),
            x,
            v,
            float(np.finfo(dtype).eps),
        )
        error = np.linalg.norm(got.derivative - np.cos(x / scale) * v / scale)
        assert error <= 3 * got.bound
        assert got.bound < (1e-2 if dtype == np.float32 else 1e-7) * np.linalg.norm(v) / scale


@pytest.mark.parametrize("loss", LOSSES)
def test_terms_sum_to_the_product(loss):
    """Without missing terms the sweeps give H, and without the residual's terms G; also on images."""
    rng = np.random.default_rng(2)
    images = refhf.convnet((5, 5, 1), [refhf.conv(2, 2), refhf.pool(2), 3], loss=loss)
    for net in (refhf.mlp([4, 3, 5, 3], nonlinearity="softplus", loss=loss), images):
        X, y = rng.standard_normal((6, net.inputs)), np.eye(3)[rng.integers(0, 3, 6)]
        theta, v = rng.standard_normal((2, net.size)) / 3
        objective, problem = refhf.supervised(net, X, y), wrong_derivatives.NetworkCases(net, X, y, len(X))
        np.testing.assert_allclose(
            wrong_derivatives.curvature(problem, theta, v), objective.hessian(theta) @ v, atol=1e-13
        )
        without = wrong_derivatives.curvature(problem, theta, v, wrong_derivatives.RESIDUAL)
        np.testing.assert_allclose(without, objective.gauss_newton(theta) @ v, atol=1e-13)
        np.testing.assert_allclose(
            wrong_derivatives.gradient(problem, theta), objective.value_and_gradient(theta)[1], atol=1e-13
        )


@pytest.mark.parametrize("kind", ["cg", "bicgstab"])
def test_recurrences_without_a_mistake_are_the_solvers(kind):
    """Without a mistake the recurrences give refhf's iterates, also with a start and a preconditioner."""
    rng = np.random.default_rng(3)
    plain = linear_systems.ordinary(kind, rng)
    for system in (plain, plain._replace(x0=rng.standard_normal(6)), linear_systems.preconditioned(kind, rng)):
        iterates = (cg_iterates if kind == "cg" else bicgstab_iterates)(system.A, system.b, x0=system.x0, M=system.M)
        want = [it.x for it in iterates][1:5]
        np.testing.assert_allclose(wrong_solvers.RECURRENCES[kind](system, 4), want, rtol=1e-8)


# --- The command


@pytest.fixture
def checked(tmp_path, capsys):
    """Call `refhf check` on a file: (status, stdout, stderr)."""
    (tmp_path / "friend.py").write_text("import refhf\nnet = refhf.mlp([5, 4, 4, 3])\n")
    (tmp_path / "mine.py").write_text(
        "import refhf\nfrom friend import net\nprint('loading')\n"
        "def hvp(theta, v, X, y):\n    return refhf.supervised(net, X, y).hessian(theta) @ v\n"
        "def gvp(theta, v, X, y):\n    return refhf.supervised(net, X, y).gauss_newton(theta) @ v\n"
        "def grad(theta, X, y):\n    return refhf.supervised(net, X, y).value_and_gradient(theta)[1]\n"
        "def cg(A, b, **options):\n    return refhf.cg(A, b, **options)\n"
        "number = 3\n"
    )
    (tmp_path / "broken.py").write_text("def f(:\n")

    def call(target, *rest):
        status = entry_point.main(["check", str(tmp_path / target), *rest])
        return status, *capsys.readouterr()

    return call


def test_command(checked):
    """Exit status 0 and a table, or 1 and a diagnosis; --json prints one JSON value; loading prints nothing."""
    for name, against in (("hvp", "hessian"), ("gvp", "gauss-newton"), ("grad", "gradient"), ("cg", "cg")):
        status, out, _ = checked(f"mine.py:{name}", "--against", against)
        assert status == 0, out
        assert "loading" not in out
        assert "right" in out.splitlines()[0]
    status, out, _ = checked("mine.py:gvp", "--against", "hessian", "--seed", "5")
    assert status == 1
    assert out.splitlines()[-1] == f"diagnosis: {Pattern.GAUSS_NEWTON.value}"
    status, out, _ = checked("mine.py:hvp", "--against", "hessian", "--l2", "0.5", "--json")
    assert status == 1
    assert [cause["pattern"] for cause in json.loads(out)["diagnosis"]] == ["no decay"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["mine.py:hvp"], "required: --against"),
        (["mine.py:hvp", "--against", "hesian"], "did you mean 'hessian'"),
        (["mine.py:hvq", "--against", "hessian"], "did you mean 'hvp'"),
        (["mine.py:number", "--against", "hessian"], "name in"),
        (["mine.py", "--against", "hessian"], "target: expected FILE.py:NAME"),
        (["nothing.py:f", "--against", "hessian"], "target: expected a file that exists"),
        (["broken.py:f", "--against", "hessian"], "cannot be loaded: SyntaxError"),
        (["mine.py:hvp", "--against", "hessian", "--sizes", "5,x"], "--sizes: expected an integer >= 1; got 'x'"),
        (["mine.py:hvp", "--against", "hessian", "--sizes", "5"], "sizes: expected at least two"),
        (["mine.py:hvp", "--against", "hessian", "--loss", "hinge"], "loss: expected one of"),
        (["mine.py:hvp", "--against", "hessian", "--l2", "-1"], "l2: expected a finite number in [0, inf]"),
        (["mine.py:hvp", "--against", "hessian", "--dtype", "float16"], "dtype: expected one of"),
        (["mine.py:hvp", "--against", "hessian", "--seed", "x"], "seed: expected an integer"),
    ],
)
def test_command_mistakes(arguments, says, checked):
    """A usage error is one line on stderr and exit status 2."""
    status, out, err = checked(*arguments)
    assert (status, out) == (2, "")
    assert says in err.splitlines()[-1]


HVP = """
import refhf
def hvp(theta, v, X, y):
    return refhf.supervised(refhf.mlp([5, 4, 4, 3]), X, y).hessian(theta) @ v
"""
PICKLED = """
def NAME(theta, v, X, y):
    return pickle.loads(pickle.dumps(C(hvp(theta, v, X, y)))).x
"""
RIGHT_FILES = {
    "annotations.py": "from __future__ import annotations\nimport dataclasses\n@dataclasses.dataclass\nclass C:\n"
    "    x: int\n" + HVP + "NAME = hvp\n",
    "late_sibling.py": HVP + "def NAME(*given):\n    import beside\n    return beside.same(hvp(*given))\n",
    "itself.py": HVP + "def NAME(*given):\n    import itself\n    return itself.hvp(*given)\n",
    "pickles.py": "import pickle\nclass C:\n    def __init__(self, x):\n        self.x = x\n" + HVP + PICKLED,
    "records.py": "from __future__ import annotations\nimport pickle\nfrom typing import NamedTuple\n"
    "class C(NamedTuple):\n    x: object\n" + HVP + PICKLED,
    "dataclasses.py": "import pickle\nfrom dataclasses import dataclass\nclass C:\n    def __init__(self, x):\n"
    "        self.x = x\n" + HVP + PICKLED,  # the file has the name of a module that refhf imports
    "no_path.py": "import sys\n" + HVP + "sys.path.clear()\nNAME = hvp\n",
}


@pytest.mark.parametrize("file", RIGHT_FILES)
def test_a_right_function_of_a_module_is_right(file, tmp_path, checked):
    """A function may import and unpickle from its file and folder; sys.path and sys.modules are restored."""
    (tmp_path / "beside.py").write_text("def same(x):\n    return x\n")
    (tmp_path / file).write_text(RIGHT_FILES[file])
    paths, modules = list(sys.path), dict(sys.modules)
    status, out, err = checked(f"{file}:NAME", "--against", "hessian")
    assert status == 0, out + err
    assert sys.path == paths
    assert [name for name, module in sys.modules.items() if str(tmp_path) in str(getattr(module, "__file__", ""))] == []
    assert all(sys.modules[name] is module for name, module in modules.items())


@pytest.mark.parametrize(
    ("returned", "diagnosis"),
    [
        ("v", f"{Pattern.ARGUMENT.value} (1 v)"),
        ("-2 * v", f"{Pattern.ARGUMENT.value} (-2 v)"),
        ("0 * v", f"{Pattern.ZERO_PART.value} (all of it)"),
        ("hvp(theta, v, X, y) + 0.25 * v", f"{Pattern.DAMPED.value} (0.25 v)"),
        ("0.37 * hvp(theta, v, X, y)", f"{Pattern.FACTOR.value} (0.37)"),
        ("v / 0", None),
        ("v[1:]", None),
        ("1 / 0", None),
        ("hvp(theta, v, X, y) * (1 + 1e-6 * v)", None),
    ],
)
def test_one_fault_is_named_once(returned, diagnosis, tmp_path, checked):
    """One fault has one diagnosis, although it may look different on one case and with saturated outputs."""
    (tmp_path / "wrong.py").write_text(HVP + f"def f(theta, v, X, y):\n    return {returned}\n")
    status, out, _ = checked("wrong.py:f", "--against", "hessian")
    assert status == 1
    said = [line.removeprefix("diagnosis: ") for line in out.splitlines() if line.startswith("diagnosis: ")]
    assert len(said) == 1
    assert diagnosis in (None, *said)


@pytest.mark.parametrize(
    "statement",
    [
        "raise ValueError('\\x1b[31m red \\x07')",
        "raise ValueError('\\ud800')",
        "raise ValueError('one\\ntwo\\r\\u2028three')",
        "raise type('E', (Exception,), {'__str__': lambda self: 1 / 0})",
        "raise type('E', (Exception,), {'__str__': lambda self: 3})",
        "print('\\x1b[2J \\ud800')",
    ],
)
def test_user_text_is_escaped(statement, tmp_path, checked):
    """User-supplied exceptions and prints appear in the diagnosis as printable characters on one line."""
    (tmp_path / "wrong.py").write_text(f"def f(theta, v, X, y):\n    {statement}\n    return v\n")
    status, out, err = checked("wrong.py:f", "--against", "hessian")
    assert (status, err) == (1, "")
    assert all(line.isprintable() for line in out.split("\n"))
    assert "diagnosis: It " in out
    (tmp_path / "wrong.py").write_text(f"def f():\n    pass\n{statement}\n")
    status, out, err = checked("wrong.py:f", "--against", "hessian")
    assert all(line.isprintable() for line in out.split("\n"))
    assert "print" in statement or (status == 2 and all(line.isprintable() for line in err.split("\n")))


# --- Names for what is easily taken for another fault


def accumulating(function):
    """The function, which adds each result to the ones before, as .grad does."""
    total = []

    def adds(*given):
        total[:] = [sum(total, function(*given))]
        return total[0]

    return adds


def test_accumulation_is_told_from_chance():
    """A result that grows with each call accumulates; it is not drawn anew."""
    mine = CASE.mine()
    for report in (
        refhf.check_hessian_product(accumulating(RIGHT), CASE.theta, CASE.objective),
        refhf.check_hessian_product(accumulating(RIGHT), CASE.theta, gradient=mine.gradient),
        refhf.check_gradient(None, accumulating(mine.gradient), CASE.theta, CASE.objective),
        refhf.check_gradient(mine.value, accumulating(mine.gradient), CASE.theta),
    ):
        assert report.patterns == (Pattern.ACCUMULATES,), str(report)


def test_single_precision_is_told_from_asymmetry():
    """A product and a gradient that compute in float32 on a float64 theta are of low precision, not unsymmetric."""
    mine = faults.case(loss="squared_error", dtype=np.float32).mine()

    def single(function):
        return lambda *given: function(*(x.astype(np.float32) for x in given)).astype(float)

    report = refhf.check_hessian_product(single(mine.hessian_product), CASE.theta, gradient=single(mine.gradient))
    assert not report.passed
    assert report.patterns == (Pattern.FLOAT32,), str(report)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("derivative for aten::_trilinear is not implemented"),
        NotImplementedError("Trying to use forward AD with _cdist_forward that does not support it"),
        NotImplementedError("Differentiation rule for 'eigh' not implemented"),
        LookupError("gradient registry has no gradient defined for operation 'x'"),
    ],
)
def test_a_missing_derivative_is_unsupported(error):
    """A product whose framework lacks a derivative is unsupported; one that raises otherwise is wrong."""

    def product(theta, v):
        raise error

    report = refhf.check_hessian_product(product, CASE.theta, CASE.objective)
    assert report.patterns == (Pattern.UNSUPPORTED,)
    assert report.verdict == "unsupported: a derivative is missing"
    assert not report.passed
    assert refhf.check_hessian_product(_raises, CASE.theta, CASE.objective).verdict.startswith("wrong")


def test_other_solvers_are_named():
    """MINRES, also SciPy's, and conjugate residuals posed as cg are another solver; a tolerance needs its name."""
    for solver in (scipy.sparse.linalg.minres, conjugate_residuals):
        report = refhf.check_solver(solver)
        assert Pattern.OTHER_SOLVER in report.patterns, str(report)
        assert any("MINRES" in cause.detail for cause in report.causes)
    with pytest.raises(ValueError, match="solver: expected a relative tolerance named rtol; got none"):
        refhf.check_solver(lambda A, b, x0=None, tol=1e-5, maxiter=None: refhf.cg(A, b, rtol=tol))


def conjugate_residuals(A, b, x0=None, *, rtol=1e-5, maxiter=None):
    """Stiefel's method, with r'Ar where conjugate gradients has r'r."""
    x = np.zeros_like(b) if x0 is None else x0
    r = p = b - A @ x
    rho = r @ (A @ r)
    for _ in range(maxiter or 10 * b.size):
        if np.linalg.norm(r) <= rtol * np.linalg.norm(b):
            return x, 0
        Ap = A @ p
        x, r = x + rho / (Ap @ Ap) * p, r - rho / (Ap @ Ap) * Ap
        old, rho = rho, r @ (A @ r)
        p = r + rho / old * p
    return x, 1


def test_a_loss_of_ones_own():
    """G of a weighted, a summed and a smooth L1 loss passes if the loss or its reduction is given, and only then."""
    case = faults.case(l2=0.0)
    mine, (_, _, _, X, y, _) = case.mine(), case.arguments
    weights = np.array([1.0, 3.0, 0.5])

    def cross_entropy(z):
        return -(weights * y * (z - np.log(np.exp(z).sum(axis=1, keepdims=True)))).sum() / len(z)

    def product(theta, v):
        p, Rz = faults.PREDICT["softmax_cross_entropy"](mine.outputs(theta)), mine.r_forward(theta, v)[-1]
        HRz = (y @ weights)[:, None] * p * (Rz - (p * Rz).sum(axis=1, keepdims=True)) / len(X)
        a, s = mine.forward(theta)
        return mine.flat([(x.T @ D, D.sum(axis=0)) for x, D in zip(a, mine.deltas(theta, s, HRz)[0], strict=True)])

    def check(product, **options):
        return refhf.check_gauss_newton_product(product, case.theta, outputs=mine.outputs, **options)

    assert check(product, loss=cross_entropy).passed
    assert check(product, loss=lambda z: cross_entropy(z.real) if z.dtype.kind == "c" else cross_entropy(z)).passed
    report = check(product, loss="softmax_cross_entropy")
    assert not report.passed
    assert any("loss=" in remark for remark in report.remarks)

    def summed(theta, v):
        return len(X) * mine.gauss_newton_product(theta, v)

    assert check(summed, loss="softmax_cross_entropy", reduction="sum").passed
    assert check(summed, loss="softmax_cross_entropy").patterns == (Pattern.SUM_NOT_MEAN,)


def test_outputs_at_positions():
    """Outputs (B, positions, n_L) are checked as the mean over both; others, and those that raise, are refused."""
    net = refhf.transformer(5, 3, 4, 2, 1)
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 5, (2, 4, 3))
    theta, objective = net.init(rng) + 0.1 * rng.standard_normal(net.size), refhf.supervised(net, X, y)

    def outputs(theta):
        return network.forward(net, theta, X, order=0)[0]

    def product(theta, v):
        return objective.gauss_newton(theta) @ v

    given = {"loss": "softmax_cross_entropy"}
    assert refhf.check_gauss_newton_product(product, theta, outputs=outputs, **given).passed
    with pytest.raises(ValueError, match=r"outputs: expected z .*; got float64 of shape \(1, 4, 3, 5\)"):
        refhf.check_gauss_newton_product(product, theta, outputs=lambda theta: outputs(theta)[None], **given)
    with pytest.raises(ValueError, match="outputs: expected z of theta, in numbers; got ZeroDivisionError"):
        refhf.check_gauss_newton_product(product, theta, outputs=lambda theta: 1 / 0, **given)


def test_equal_causes_are_listed_together():
    """With one-hot targets the empirical Fisher is G split at the probabilities; with one parameter 2 H is H + H."""
    case = faults.case()
    report = check("gauss-newton", case.mine("fisher").gauss_newton_product, case)
    assert report.patterns == (Pattern.FISHER,)
    assert [cause.pattern for cause in report.causes[0].equals] == [Pattern.AT_PROBABILITIES]
    assert "Or, which is the same here" in str(report)
    assert report.to_dict()["diagnosis"][0]["equals"] == ["at probabilities"]
    soft = faults.case(soft=True)
    assert check("gauss-newton", soft.mine("fisher").gauss_newton_product, soft).causes[0].equals == ()
    parabola = refhf.from_functions(lambda t: 1.5 * t @ t, lambda t: 3 * t, lambda t, v: 3 * v)
    for theta in np.ones(1), np.ones(4):
        report = refhf.check_hessian_product(lambda theta, v: 6 * v, theta, parabola)
        assert report.patterns == (Pattern.FACTOR,), str(report)
        assert [cause.pattern for cause in report.causes[0].equals] == [Pattern.DAMPED]
    report = check("hessian", lambda theta, v: 2 * case.mine().hessian_product(theta, v), case)
    assert report.causes[0].equals == ()


def test_a_product_is_checked_from_the_value_alone():
    """Against second derivatives of f alone right products pass, and G, a sign and a factor fail; tensors too."""
    for options in ({}, {"f": "softplus", "loss": "squared_error"}, {"dtype": np.float32}):
        case = faults.case(**options)
        mine = case.mine()
        right = refhf.check_hessian_product(mine.hessian_product, case.theta, value=mine.value)
        assert right.passed, str(right)
        assert not refhf.check_hessian_product(mine.gauss_newton_product, case.theta, value=mine.value).passed
    case = faults.case()
    mine = case.mine()
    for factor, pattern in ((-1, Pattern.SIGN), (2, Pattern.FACTOR)):

        def product(theta, v, factor=factor):
            return factor * mine.hessian_product(theta, v)

        assert refhf.check_hessian_product(product, case.theta, value=mine.value).patterns == (pattern,)
    tensors = refhf.check_hessian_product(
        lambda theta, v: Tensor(mine.hessian_product(theta.array, v.array)),
        Tensor(case.theta),
        value=lambda theta: Tensor(mine.value(theta.array)),
    )
    assert tensors.passed, str(tensors)


@pytest.mark.parametrize("central", [False, True])
def test_a_bad_step_of_a_difference_is_named(central):
    """A difference of gradients is named with a step so long that one digit or two are right."""
    step, case = 1e-2, faults.case()
    gradient = case.mine().gradient

    def difference(theta, v):
        return (gradient(theta + step * v) - gradient(theta - central * step * v)) / (step * (1 + central))

    report = refhf.check_hessian_product(difference, case.theta, case.objective)
    assert report.patterns == (Pattern.DIFFERENCES,), str(report)


def test_the_detection_limit_is_said():
    """An error just above the limit of the report fails, one far below it passes; a wrong report names no limit."""
    case = faults.case()
    mine = case.mine()

    def off(size):
        return lambda theta, v: mine.hessian_product(theta, v) * (1 + size)

    for given in ({"reference": case.objective}, {"gradient": mine.gradient}, {"value": mine.value}):
        report = refhf.check_hessian_product(off(0.0), case.theta, **given)
        assert report.passed
        assert 1e-13 < report.limit < 1e-3
        assert f"a relative error above {report.limit:.0e} would have failed" in str(report)
        assert not refhf.check_hessian_product(off(30 * report.limit), case.theta, **given).passed
        assert refhf.check_hessian_product(off(report.limit / 30), case.theta, **given).passed
    wrong = refhf.check_hessian_product(lambda theta, v: 2 * v, case.theta, case.objective)
    assert "detection limit" not in str(wrong)
    functions, net = faults.functions(case)
    assert 1e-13 < refhf.check_network(functions, net, l2=0.01).limit < 1e-10

    def scaled(size):
        def solver(A, b, **given):
            x, info = refhf.cg(A, b, **given)
            return x * (1 + size), info

        return refhf.check_solver(solver)

    limit = scaled(0.0).limit
    assert f"a relative error above {limit:.0e} would have failed" in str(scaled(0.0))
    assert not scaled(30 * limit).passed
    assert scaled(limit / 30).passed
