"""The contenders of the race: a function each, which runs a method on a problem against the clock.

A contender's first trial has the method's defaults; the others are its search, stated here, as many for each. Options
that are no option of the library are those of the driver: `share` is the part of the cases that the curvature is
formed on, drawn anew each step where the library lets it, and `batch` the cases of a mini-batch.
Tolerances that would end a run early are switched off for all.
"""

import importlib
import sys
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.optimize
from race_clock import Clock, Over, Problem

import refhf

TINY = 1e-30  # a tolerance that ends nothing


class Contender(NamedTuple):
    """A contender.

    Attributes
    ----------
    kind : str
        'refhf', 'Hessian-free' for another's, 'quasi-Newton' or 'first order'.
    package : str
        The distribution whose version is noted; empty: one given by its path.
    run : callable
        (problem, clock, options, seed, path).
    trials : tuple of dict
        The first has the defaults.
    networks : tuple of str
        Those that it cannot run, with the reason.
    """

    kind: str
    package: str
    run: Callable
    trials: tuple[dict, ...]
    cannot: dict[str, str] = {}


class Counting:
    """An objective of refhf whose evaluations are counted by the clock, and end at its cap."""

    def __init__(self, objective, clock: Clock):
        self.objective, self.clock = objective, clock
        self.size, self.cases, self.group, self.dtype, self.curvatures, self.comm = (
            getattr(objective, name) for name in ("size", "cases", "group", "dtype", "curvatures", "comm")
        )

    def value(self, theta):
        """f, counted."""
        self.clock.tick("value", self.cases)
        return self.objective.value(theta)

    def value_and_gradient(self, theta):
        """f and g, counted."""
        self.clock.tick("gradient", self.cases)
        return self.objective.value_and_gradient(theta)

    def hessian(self, theta):
        """H, its products counted."""
        return self._operator(self.objective.hessian(theta))

    def gauss_newton(self, theta):
        """G, its products counted."""
        return self._operator(self.objective.gauss_newton(theta))

    def sample(self, cases, *, rng=None):
        """A mini-batch, counted by its cases."""
        return Counting(self.objective.sample(cases, rng=rng), self.clock)

    def _operator(self, A):
        def product(v):
            self.clock.tick("product", self.cases)
            return A @ v

        return refhf.krylov.symmetric_operator.SymmetricOperator(product, self.size, self.dtype)


def warm(objective, theta):
    """The objective, after one gradient."""
    objective.value_and_gradient(theta)
    return objective


def cases_of(problem: Problem, share: float | None) -> int:
    """The cases of a share, all for None."""
    return problem.cases if share is None else round(share * problem.cases)


def refhf_method(name: str):
    """A method of refhf by its name."""

    def run(problem: Problem, clock: Clock, options, seed, path):
        objective = warm(problem.objective(), problem.theta0)
        clock.start()
        steps = refhf.iterate(Counting(objective, clock), problem.theta0, method=name, rng=seed, **options)
        for report in steps:
            clock.mark(lambda theta=report.theta: problem.outputs(theta))
            if str(report.outcome.name) in ("STATIONARY", "NON_FINITE"):
                raise Over(report.sentence)

    return run


def scipy_method(name: str, tolerance: dict):
    """A method of SciPy over refhf's values, gradients and products."""

    def run(problem: Problem, clock: Clock, options, seed, path):
        options = tolerance | options
        matrix, cases = options.pop("matrix", "hessian"), cases_of(problem, options.pop("share", None))
        rng, at = np.random.default_rng(seed), {"theta": None, "A": None}
        objective = Counting(warm(problem.objective(), problem.theta0), clock)

        def product(x, v):
            theta = x.astype(np.float32)
            if at["theta"] is None or not np.array_equal(at["theta"], theta):
                mini = objective if cases == problem.cases else objective.sample(cases, rng=rng)
                at.update(theta=theta, A=getattr(mini, matrix)(theta))
            return (at["A"] @ v.astype(np.float32)).astype(float)

        def both(x):
            f, g = objective.value_and_gradient(x.astype(np.float32))
            return f, g.astype(float)

        more = {} if name == "L-BFGS-B" else {"hessp": product}
        clock.start()
        result = scipy.optimize.minimize(
            both, problem.theta0.astype(float), jac=True, method=name, options=options, **more,
            callback=lambda x: clock.mark(lambda: problem.outputs(x)),
        )  # fmt: skip
        raise Over(f"stopped: {result.message}")

    return run


def hessianfree_method(problem: Problem, clock: Clock, options, seed, path):
    """hessianfree of the registry: softmax and cross-entropy, or linear outputs and squared error, its only routes."""
    import hessianfree as hf

    options = dict(options)
    batch = cases_of(problem, options.pop("batch", None))
    classes = problem.y.ndim == 1
    sizes = [problem.net.inputs, *(b.n_out for b in problem.net.chain.blocks if hasattr(b, "n_out"))]
    layers = [hf.nl.Linear(), *(hf.nl.Tanh() for _ in sizes[1:-1]), hf.nl.Softmax() if classes else hf.nl.Linear()]
    loss = hf.loss_funcs.CrossEntropy() if classes else hf.loss_funcs.SquaredError()
    targets = np.eye(10, dtype=np.float32)[problem.y] if classes else problem.y

    class Counted(hf.FFNet):
        def calc_G(self, v, damping=0, out=None):  # noqa: N802
            clock.tick("product", len(self.inputs))
            return super().calc_G(v, damping, out)

        def calc_grad(self):
            clock.tick("gradient", len(self.inputs))
            return super().calc_grad()

        def forward(self, inputs, params=None, deriv=False):
            clock.tick("value", len(inputs))
            return super().forward(inputs, params, deriv)

    net = Counted(sizes, layers, loss_type=loss, load_weights=problem.theta0.copy(), rng=np.random.RandomState(seed))
    net.optimizer = optimizer = hf.opt.HessianFree(**{"plotting": False} | options)
    optimizer.net = net
    net.cache_minibatch(problem.X, targets)
    hf.FFNet.calc_grad(net)
    clock.start()
    while True:  # the loop of `run_epochs`, without its own test error
        rows = net.rng.permutation(problem.cases)
        for i in range(0, problem.cases, batch):
            net.cache_minibatch(problem.X, targets, rows[i : i + batch])
            net.W += optimizer.compute_update()
            net.activations = net.d_activations = None
            clock.mark(lambda: problem.outputs(net.W))


class TorchProblem:
    """The problem for PyTorch: the model from `refhf.to_torch`, and its loss with the evaluations counted."""

    def __init__(self, problem: Problem, clock: Clock):
        import torch

        torch.set_num_threads(1)
        self.torch, self.problem, self.clock = torch, problem, clock
        self.model = refhf.to_torch(problem.net, problem.theta0)
        X = problem.X
        if problem.images:
            X = np.array(X.reshape(-1, *problem.net.in_shape).transpose(0, 3, 1, 2), order="C")
        self.X, self.y = torch.from_numpy(X), torch.from_numpy(problem.y)
        self.parameters = list(self.model.parameters())
        torch.autograd.grad(self.forward()[0], self.parameters)

    def loss(self, z, y):
        """The mean loss, as refhf has it."""
        if y.ndim > 1:
            return 0.5 * ((z - y) ** 2).sum() / len(z)
        return self.torch.nn.functional.cross_entropy(z, y)

    def forward(self, rows=slice(None)):
        """(loss, z) over the cases of the rows."""
        z = self.model(self.X[rows])
        return self.loss(z, self.y[rows]), z

    def outputs(self):
        """z (B, n_L) for the clock."""
        with self.torch.no_grad():
            return self.torch.cat([self.model(part) for part in self.X.split(500)]).numpy()

    def mark(self, step=True):
        """Note where the model is."""
        self.clock.mark(self.outputs, step)


def torch_hessianfree(problem: Problem, clock: Clock, options, seed, path):
    """PyTorchHessianFree. With `share`, `step` is given the gradient of all cases and products on a part of them."""
    sys.path.insert(0, str(path))
    module = importlib.import_module("hessianfree.optimizer")
    t, options = TorchProblem(problem, clock), dict(options)
    cases, rng = cases_of(problem, options.pop("share", None)), np.random.default_rng(seed)
    optimizer = module.HessianFree(t.parameters, **options)
    its_product = optimizer._Gv

    def product(loss, z, parameters, v):
        clock.tick("product", len(z))
        return its_product(loss, z, parameters, v)

    def forward():
        clock.tick("value")
        return t.forward()

    optimizer._Gv = product
    clock.start()
    while True:
        if cases == problem.cases:
            clock.tick("gradient")
            optimizer.step(forward=forward)
        else:
            clock.tick("gradient")
            gradient = t.torch.autograd.grad(t.forward()[0], t.parameters)
            mini = t.forward(rng.choice(problem.cases, cases, replace=False))
            optimizer.step(
                forward,
                grad=t.torch.nn.utils.parameters_to_vector(gradient),
                mvp=lambda v, mini=mini: product(*mini, t.parameters, v),
            )
        t.mark()


def torchmin_method(name: str, tolerance: dict):
    """A method of pytorch-minimize."""

    def run(problem: Problem, clock: Clock, options, seed, path):
        import torchmin
        from torchmin.function import ScalarFunction

        t = TorchProblem(problem, clock)
        torch, names = t.torch, [name for name, _ in t.model.named_parameters()]

        def parts(theta):
            split = theta.split([p.numel() for p in t.parameters])
            return {n: part.view_as(p) for n, part, p in zip(names, split, t.parameters, strict=True)}

        def f(theta):
            clock.tick("gradient")
            return t.loss(torch.func.functional_call(t.model, parts(theta), (t.X,)), t.y)

        def mark(theta):
            def outputs():
                with torch.no_grad():
                    return torch.func.functional_call(t.model, parts(theta), (t.X,)).numpy()

            clock.mark(outputs)

        its_closure = ScalarFunction.closure

        def closure(self, x):
            answer = its_closure(self, x)
            return answer._replace(hessp=answer.hessp and CountedProduct(answer.hessp, clock))

        ScalarFunction.closure = closure
        theta0 = torch.nn.utils.parameters_to_vector(t.parameters).detach()
        clock.start()
        result = torchmin.minimize(f, theta0, name, callback=mark, options=tolerance | options)
        raise Over(f"stopped: {result.message}")

    return run


class CountedProduct(NamedTuple):
    """pytorch-minimize's product, counted."""

    operator: object
    clock: Clock

    def mv(self, v):
        """H v."""
        self.clock.tick("product")
        return self.operator.mv(v)


def torch_lbfgs(problem: Problem, clock: Clock, options, seed, path):
    """torch.optim.LBFGS over all cases."""
    t = TorchProblem(problem, clock)
    optimizer = t.torch.optim.LBFGS(t.parameters, **{"tolerance_grad": TINY, "tolerance_change": TINY} | options)

    def closure():
        clock.tick("gradient")
        optimizer.zero_grad()
        loss, _ = t.forward()
        loss.backward()
        return loss

    clock.start()
    while True:
        optimizer.step(closure)
        t.mark()


def torch_first_order(name: str, own: dict, batch: int = 128):
    """A first-order method of torch.optim on mini-batches; marked twice a pass."""

    def run(problem: Problem, clock: Clock, options, seed, path):
        t = TorchProblem(problem, clock)
        optimizer = getattr(t.torch.optim, name)(t.parameters, **own | options)
        generator = t.torch.Generator().manual_seed(seed)
        clock.start()
        while True:
            rows = t.torch.randperm(problem.cases, generator=generator).split(batch)
            for i, part in enumerate(rows, 1):
                clock.tick("gradient", len(part))
                optimizer.zero_grad()
                t.forward(part)[0].backward()
                optimizer.step()
                if i in (len(rows) // 2, len(rows)):
                    t.mark()

    return run


CURVATURE = ({}, {"matrix": "gauss_newton"}, {"share": 0.1}, {"matrix": "gauss_newton", "share": 0.1})
NO_CONVOLUTION = {"convnet": "it has no convolutions"}
CONTENDERS = {
    "gn-cg": Contender("refhf", "refhf", refhf_method("gn-cg"), (
        {}, {"solver_iterations": 10, "backtracking": False}, {"solver_iterations": 20},
        {"solver_iterations": 20, "damping": 1.0})),
    "gn-cg-path": Contender("refhf", "refhf", refhf_method("gn-cg-path"), (
        {}, {"solver_iterations": 5}, {"solver_iterations": 20},
        {"solver_iterations": 20, "damping": 1.0})),
    "hybrid-cg": Contender("refhf", "refhf", refhf_method("hybrid-cg"), (
        {}, {"solver_iterations": 10, "backtracking": False}, {"solver_iterations": 20},
        {"solver_iterations": 20, "damping": 1.0})),
    "hessian-bicgstab": Contender("refhf", "refhf", refhf_method("hessian-bicgstab"), (
        {}, {"solver_iterations": 10}, {"solver_iterations": 20},
        {"damping": 1.0})),
    "PyTorchHessianFree": Contender("Hessian-free", "", torch_hessianfree, (
        {}, {"share": 0.1, "cg_max_iter": 10}, {"share": 0.1, "cg_max_iter": 20},
        {"share": 0.1, "cg_max_iter": 20, "damping": 0.1})),
    "hessianfree": Contender("Hessian-free", "hessianfree", hessianfree_method, (
        {}, {"batch": 0.1, "CG_iter": 10}, {"batch": 0.1, "CG_iter": 20},
        {"batch": 0.1, "CG_iter": 20, "init_damping": 0.1}),
        NO_CONVOLUTION),
    "SciPy trust-krylov": Contender(
        "Hessian-free", "scipy", scipy_method("trust-krylov", {"gtol": TINY, "maxiter": 10**6}), CURVATURE),
    "SciPy trust-ncg": Contender(
        "Hessian-free", "scipy", scipy_method("trust-ncg", {"gtol": TINY, "maxiter": 10**6}), CURVATURE),
    "SciPy Newton-CG": Contender(
        "Hessian-free", "scipy", scipy_method("Newton-CG", {"xtol": TINY, "maxiter": 10**6}), CURVATURE),
    "pytorch-minimize newton-cg": Contender(
        "Hessian-free", "pytorch-minimize", torchmin_method("newton-cg", {"xtol": TINY}), (
            {}, {"cg_max_iter": 50}, {"cg_max_iter": 250}, {"normp": 2})),
    "pytorch-minimize trust-ncg": Contender(
        "Hessian-free", "pytorch-minimize", torchmin_method("trust-ncg", {"gtol": TINY}), (
            {}, {"initial_trust_radius": 0.1}, {"initial_trust_radius": 10.0}, {"eta": 0.01})),
    "SciPy L-BFGS-B": Contender(
        "quasi-Newton", "scipy",
        scipy_method("L-BFGS-B", {"gtol": TINY, "ftol": 0.0, "maxiter": 10**6, "maxfun": 10**6}), (
            {}, {"maxcor": 5}, {"maxcor": 30}, {"maxcor": 100})),
    "torch LBFGS": Contender("quasi-Newton", "torch", torch_lbfgs, (
        {}, {"line_search_fn": "strong_wolfe"}, {"line_search_fn": "strong_wolfe", "history_size": 20}, {"lr": 0.3})),
    "torch Adam": Contender("first order", "torch", torch_first_order("Adam", {}), (
        {}, {"lr": 3e-4}, {"lr": 3e-3}, {"lr": 1e-2})),
    "torch SGD, momentum": Contender("first order", "torch", torch_first_order("SGD", {"momentum": 0.9}), (
        {}, {"lr": 0.01}, {"lr": 0.03}, {"lr": 0.1})),
}  # fmt: skip
