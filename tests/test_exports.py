"""R21 and R22 over all that `refhf` exports: inputs and the global random state are left alone."""

import copy
import itertools
import tempfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

import refhf
from refhf.data.data_sets import DataSet
from refhf.lab.runs.run_writer import RunWriter
from refhf.lab.runs.training_problem import pose_problem
from refhf.lab.runs.training_run import execute_run, plan_run

STEPS = 2


class Inputs:
    """A small problem of everything, all arrays read-only."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.net = refhf.mlp([3, 4, 2])
        arrays = {
            "X": rng.standard_normal((6, 3)),
            "y": rng.integers(2, size=6),
            "theta": self.net.init(rng=rng),
            "v": rng.standard_normal(self.net.size),
            "A": np.diag([1.0, 2, 5, 7]) + 0.1,
            "M": np.diag(rng.uniform(1, 2, 4)),
            "b": rng.standard_normal(4),
            "x0": rng.standard_normal(4),
            "W": rng.standard_normal((4, 3)),
            "sizes": np.array([3, 4, 2]),
        }
        arrays["G"] = arrays["A"] @ arrays["W"]
        for name, array in arrays.items():
            array.flags.writeable = False
            setattr(self, name, array)
        self.arrays = arrays.values()
        self.objective = refhf.supervised(self.net, self.X, self.y, l2=0.1)
        self.options = {"rng": seed, "curvature_batch": 3, "method": "hybrid-cg"}

    def oracle(self, name):
        """A product that hands out what it holds, and must not see it changed."""
        held = getattr(self.objective, name)(self.theta)
        return lambda theta, v: held @ v


def taken(iterates, n=STEPS):
    """The last of the first n; a generator may write into its vectors at the next, so a copy."""
    return [copy.deepcopy(it) for it in itertools.islice(iterates, n)][-1]


def twin(i, X):
    """The twin of a module that has the inputs' parameters."""
    torch = pytest.importorskip("torch")
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)).double()
    torch.nn.utils.vector_to_parameters(torch.tensor(i.theta), model.parameters())
    objective, theta = refhf.from_torch(model, torch.nn.CrossEntropyLoss(), X, i.y)
    return objective.hessian(theta) @ i.v


def recipes(i, X):
    """The comparison of PyTorch's recipes for a small module."""
    torch = pytest.importorskip("torch")
    model = torch.nn.Linear(3, 2).double()
    torch.nn.utils.vector_to_parameters(torch.tensor(i.theta[:8]), model.parameters())
    return refhf.compare_recipes(model, torch.nn.CrossEntropyLoss(), X, i.y)


def stopped(i):
    """An interrupted run's progress."""
    steps = refhf.iterate(i.objective, i.theta, **i.options)
    next(steps)
    return steps.progress


def minimized(i):
    """A result."""
    return refhf.minimize(i.objective, i.theta, steps=STEPS, **i.options)


def saved(i):
    """The network and theta of a file."""
    with tempfile.TemporaryDirectory() as folder:
        refhf.save(f"{folder}/run.npz", i.net, i.theta)
        return refhf.load_network(f"{folder}/run.npz")


def given_torch(i):
    """The numbers of a module; without PyTorch, the refusal."""
    try:
        return [x.detach().numpy() for x in refhf.to_torch(i.net, i.theta).parameters()]
    except ValueError as error:
        return str(error)


def history(i):
    """The history of a run's folder."""
    run = plan_run(pose_problem(DataSet("inputs", i.X, i.y), [4]), "sgd", STEPS)
    with tempfile.TemporaryDirectory() as folder:
        with RunWriter(folder, run) as keeper:
            execute_run(run, keeper=keeper)
        return refhf.history(folder)


CALLS = {
    "Network": lambda i: refhf.Network(*i.net).predict(i.theta, i.X),
    "available_methods": lambda i: refhf.available_methods(),
    "load_network": saved,
    "load": lambda i: refhf.load("mnist-mini").X[:3],
    "attention": lambda i: refhf.attention(2),
    "batch_norm": lambda i: refhf.batch_norm(3, group=2),
    "bicgstab": lambda i: refhf.bicgstab(i.A, i.b, i.x0, M=i.M),
    "bicgstab_iterates": lambda i: taken(refhf.bicgstab_iterates(i.A, i.b, i.x0, i.b, i.M)),
    "cg": lambda i: refhf.cg(i.A, i.b, i.x0, M=i.M),
    "cg_iterates": lambda i: taken(refhf.cg_iterates(i.A, i.b, i.x0, i.M)),
    "chain": lambda i: refhf.chain([refhf.dense(3, 2), refhf.dropout(), refhf.layer_norm(2)]).init(0),
    "check_gauss_newton_product": lambda i: refhf.check_gauss_newton_product(
        i.oracle("gauss_newton"), i.theta, i.objective
    ),
    "check_gradient": lambda i: refhf.check_gradient(
        i.objective.value, lambda t: i.objective.value_and_gradient(t)[1], i.theta, i.objective
    ),
    "check_hessian_product": lambda i: refhf.check_hessian_product(i.oracle("hessian"), i.theta, i.objective),
    "check_network": lambda i: refhf.check_network({"gradient": lambda theta, X, y, **rest: theta}, i.net),
    "check_solver": lambda i: refhf.check_solver(lambda A, b, **rest: refhf.cg(A, b, **rest)),
    "compare_recipes": lambda i: recipes(i, i.X),
    "conv": lambda i: refhf.conv(2, 3),
    "convnet": lambda i: refhf.convnet((4, 4, 1), [refhf.conv(2, 3), 2]).init(0),
    "dense": lambda i: refhf.dense(2, 3),
    "dropout": lambda i: refhf.dropout(0.0),
    "elementwise": lambda i: refhf.elementwise("gelu"),
    "embedding": lambda i: refhf.embedding(5, 3, 2),
    "flatten": lambda i: refhf.flatten(),
    "from_functions": lambda i: refhf.from_functions(lambda t: t @ t, lambda t: 2 * t).value_and_gradient(i.theta),
    "gauss_newton_solve": lambda i: refhf.gauss_newton_solve(i.objective, i.theta, 0.1, i.v),
    "from_torch": lambda i: twin(i, i.X),
    "global_average_pool": lambda i: refhf.global_average_pool(),
    "history": history,
    "inverse_hessian_product": lambda i: refhf.inverse_hessian_product(i.W, i.G, i.b),
    "iterate": lambda i: taken(refhf.iterate(i.objective, i.theta, **i.options)),
    "lanczos_eigenpairs": lambda i: refhf.lanczos_eigenpairs(i.A, 4, smallest=1, largest=2, rng=0),
    "lanczos_iterates": lambda i: taken(refhf.lanczos_iterates(i.A, 4, i.b)),
    "lanczos_largest": lambda i: refhf.lanczos_largest(i.A, 4, start=i.b),
    "lanczos_smallest": lambda i: refhf.lanczos_smallest(i.A, 4, rng=0),
    "layer_norm": lambda i: refhf.layer_norm(2),
    "max_pool": lambda i: refhf.max_pool(2),
    "minimize": lambda i: minimized(i).x,
    "mlp": lambda i: refhf.mlp(i.sizes).init(0),
    "options": lambda i: refhf.options("gn-cg"),
    "plot_history": lambda i: refhf.plot_history(minimized(i), ax=Figure().subplots()).lines[0].get_xydata(),
    "pool": lambda i: refhf.pool(2),
    "residual": lambda i: refhf.residual([refhf.dense(2, 2)]),
    "resnet": lambda i: refhf.resnet((8, 8, 1), 8, 2).init(0),
    "resume": lambda i: taken(
        refhf.resume(i.objective, stopped(i), **{k: v for k, v in i.options.items() if k != "rng"}), 1
    ),
    "save": saved,
    "scipy_method": lambda i: refhf.scipy_method("newton")(
        lambda t: t @ t / 2, i.b, jac=lambda t: t, hessp=lambda t, v: v, rng=0
    ),
    "shifted_cg": lambda i: refhf.shifted_cg(i.A, i.b, i.x0),
    "shifted_cg_iterates": lambda i: taken(refhf.shifted_cg_iterates(i.A, i.b, abs(i.x0))),
    "spectral_density": lambda i: refhf.spectral_density(i.A, 4, rng=0),
    "stochastic_trace": lambda i: refhf.stochastic_trace(i.A, 4, products=6, rng=0),
    "supervised": lambda i: [
        getattr(refhf.supervised(i.net, i.X, i.y), name)(i.theta, **options) @ i.v
        for name, options in (
            ("hessian", {}),
            ("jacobian", {}),
            ("fisher", {}),
            ("fisher", {"kind": "monte-carlo", "rng": 0}),
        )
    ],
    "to_torch": given_torch,
    "transformer": lambda i: refhf.transformer(5, 3, 4, 2, 1).init(0),
}
WRONG = {  # wrong shapes, of every export that takes an array or sizes
    "Network": lambda i: i.net.predict(i.theta[1:], i.X),
    "bicgstab": lambda i: refhf.bicgstab(i.A, i.b[1:]),
    "bicgstab_iterates": lambda i: next(refhf.bicgstab_iterates(i.A, i.b, i.x0[1:])),
    "cg": lambda i: refhf.cg(i.A, i.b[1:]),
    "cg_iterates": lambda i: next(refhf.cg_iterates(i.A[1:], i.b)),
    "check_gauss_newton_product": lambda i: refhf.check_gauss_newton_product(
        i.oracle("hessian"), i.theta[1:], i.objective
    ),
    "check_gradient": lambda i: refhf.check_gradient(i.objective.value, lambda t: t, i.theta[None], i.objective),
    "check_hessian_product": lambda i: refhf.check_hessian_product(i.oracle("hessian"), i.theta[1:], i.objective),
    "compare_recipes": lambda i: recipes(i, i.X[:, 1:]),
    "convnet": lambda i: refhf.convnet((4, 4), [2]),
    "from_functions": lambda i: refhf.from_functions(lambda t: 0.0, lambda t: t[1:]).value_and_gradient(i.theta),
    "gauss_newton_solve": lambda i: refhf.gauss_newton_solve(i.objective, i.theta, 0.1, i.v[1:]),
    "from_torch": lambda i: twin(i, i.X[:, 1:]),
    "inverse_hessian_product": lambda i: refhf.inverse_hessian_product(i.W, i.G[:, 1:], i.b),
    "iterate": lambda i: next(refhf.iterate(i.objective, i.theta[1:])),
    "lanczos_eigenpairs": lambda i: refhf.lanczos_eigenpairs(i.A, 3, smallest=1),
    "lanczos_iterates": lambda i: next(refhf.lanczos_iterates(i.A, 4, i.b[1:])),
    "lanczos_largest": lambda i: refhf.lanczos_largest(i.A, 3),
    "lanczos_smallest": lambda i: refhf.lanczos_smallest(i.A, 4, start=i.b[None]),
    "minimize": lambda i: refhf.minimize(i.objective, i.theta[None]),
    "chain": lambda i: refhf.chain([refhf.dense(3, 2), refhf.dense(3, 2)]),
    "resnet": lambda i: refhf.resnet((8, 8)),
    "mlp": lambda i: refhf.mlp([3]),
    "resume": lambda i: refhf.resume(
        refhf.supervised(refhf.mlp([3, 2]), i.X, i.y), stopped(i), method=i.options["method"]
    ),
    "shifted_cg": lambda i: refhf.shifted_cg(i.A, i.b[1:], i.x0),
    "shifted_cg_iterates": lambda i: next(refhf.shifted_cg_iterates(i.A, i.b, i.x0[None])),
    "spectral_density": lambda i: refhf.spectral_density(i.A, 3, rng=0),
    "stochastic_trace": lambda i: refhf.stochastic_trace(i.A, 3, rng=0),
    "save": lambda i: refhf.save("run.npz", i.net, i.theta[1:]),
    "supervised": lambda i: refhf.supervised(i.net, i.X[:, 1:], i.y),
    "to_torch": lambda i: refhf.to_torch(i.net, i.theta[1:]),
}
NO_SHAPES = {
    *("available_methods", "check_network", "check_solver", "conv", "history", "load", "load_network", "options"),
    *("attention", "batch_norm", "dense", "dropout", "elementwise", "embedding", "flatten", "global_average_pool"),
    *("layer_norm", "max_pool", "plot_history", "pool", "residual", "scipy_method", "transformer"),
}


def bits(result):
    """All that a result holds, as text; floats and arrays to the last bit, without times and addresses."""
    if isinstance(result, np.ndarray):
        return f"{result.dtype} {result.shape} {result.tobytes().hex()}"
    if isinstance(result, dict):
        return str([(key, bits(value)) for key, value in result.items() if "time" not in key and "seconds" not in key])
    if isinstance(result, float | np.floating):
        return float(result).hex()
    if hasattr(result, "_asdict"):
        return bits(result._asdict())
    if isinstance(result, list | tuple):
        return str([bits(each) for each in result])
    return repr(result)


def test_every_export_is_here():
    """Each callable of `refhf.__all__` has its call, and its wrong shape or none to give."""
    exports = {name for name in refhf.__all__ if callable(getattr(refhf, name))}
    assert set(CALLS) == exports and set(WRONG) | NO_SHAPES == exports


@pytest.mark.parametrize("name", CALLS)
@settings(max_examples=5)
@given(st.integers(0, 2**32 - 1))
def test_inputs_and_the_global_random_state_are_left_alone(name, seed):
    """R21, R22: read-only inputs will do and stay; NumPy's global state does not move; twice is the same bits."""
    inputs = Inputs(seed)
    before, state = [x.tobytes() for x in inputs.arrays], np.random.get_state()[1].copy()  # noqa: NPY002
    first = bits(CALLS[name](inputs))
    assert first == bits(CALLS[name](inputs))
    assert [x.tobytes() for x in inputs.arrays] == before
    np.testing.assert_array_equal(state, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("name", WRONG)
def test_wrong_shapes_are_named(name):
    """R21: a wrong shape is a ValueError that says what was expected and what came."""
    with pytest.raises(ValueError, match=r"(?s)expected .*(got|found)"):
        WRONG[name](Inputs(0))
