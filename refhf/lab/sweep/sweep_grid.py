"""The grid of a sweep: the setting that all runs share, and one configuration for each run."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from refhf import checks
from refhf.data.data_sets import DataSet, data_digest
from refhf.driver.registry import METHODS
from refhf.lab.runs import training_run
from refhf.lab.runs.network_choice import NetworkChoice, as_choice, completed
from refhf.lab.runs.run_position import RunPosition
from refhf.lab.runs.training_problem import TrainingProblem, pose_problem, read_targets
from refhf.lab.sweep.sweep_budgets import check_budgets
from refhf.model.losses import LOSSES
from refhf.parallel import serial

BATCH_OPTIONS = ("batch", "curvature_batch")  # a method's first of these is what a sweep calls its batch


class SweepSetting(NamedTuple):
    """The setting that all runs of a sweep share.

    Attributes
    ----------
    data : DataSet
    network : NetworkChoice or sequence of int
    loss, l2
        As `refhf.lab.runs.training_problem.pose_problem` takes them.
    steps : int or None
        Maximum steps of a run, epochs for stochastic first-order methods. None: no limit.
    epochs : float or None
        Maximum effective passes over the data; the run ends with the step that reaches it. None: no limit.
    targets : sequence of float
        Training errors; a line stores when each was first reached.
    stop_at_target : bool
        Whether a run ends once it has reached all targets.
    budgets : dict or None
        Amounts of steps, passes, products and communications; a run ends with the step by which it has spent them all.
        Its curve then has what it had at each of them (`refhf.lab.sweep.sweep_budgets.value_at`).
    """

    data: DataSet
    network: NetworkChoice | Sequence[int]
    loss: str | None = None
    l2: float = 0.0
    steps: int | None = None
    epochs: float | None = None
    targets: Sequence[float] = ()
    stop_at_target: bool = False
    budgets: Mapping[str, float] | None = None

    @property
    def limit(self) -> int:
        """Steps that no run exceeds: none costs less than a pass, a product or a communication."""
        return self.steps or math.ceil(self.epochs or max((self.budgets or {}).values(), default=0))

    def problem(self, seed: int) -> TrainingProblem:
        """The training problem of a run with this seed."""
        return pose_problem(self.data, self.network, loss=self.loss, l2=self.l2, seed=seed)

    def facts(self) -> dict:
        """The setting as each line stores it; the data as name, number of cases, dtype and digest."""
        data, chosen = self.data, completed(as_choice(self.network), self.data)
        known = {"data": data.name, "cases": len(data.X), "dtype": str(data.dtype or data.X.dtype)}
        known |= {"data_digest": data_digest(data)} | ({} if chosen.network == "mlp" else {"network": chosen.network})
        own = {key: value for key, value in self._asdict().items() if key not in ("data", "network")}
        if self.budgets is None:
            del own["budgets"]  # as in the files of sweeps without them
        rest = chosen.settings | own
        return known | {key: list(value) if isinstance(value, tuple | list) else value for key, value in rest.items()}

    def check(self) -> None:
        """ValueError if no limit ends a run, a limit is out of range, or a target is not an error rate."""
        if self.steps is None and self.epochs is None and not self.budgets:
            raise ValueError("steps, epochs, budgets: expected one of them at least; got none")
        check_budgets(self.budgets or {})
        if self.steps is not None:
            checks.positive_integer("steps", self.steps)
        if self.epochs is not None and checks.real("epochs", self.epochs, low=0.0) == 0:
            raise ValueError("epochs: expected a number above 0; got 0")
        for target in self.targets:
            checks.real("targets", target, low=0.0, high=1.0)
        if self.targets and not LOSSES[read_targets(self.data, self.loss, serial())[0]].labels:
            raise ValueError("targets: expected none, as the data have no classes")
        if self.stop_at_target and not self.targets:
            raise ValueError("stop_at_target: expected targets to stop at; got none")


class Configuration(NamedTuple):
    """One run of a sweep: method, batch, seed and options.

    Attributes
    ----------
    method : str
    batch : int or None
        The value of the method's option `batch_option(method)`; None if the method has no batch.
    seed : int
        Seed of the start and of the method's random draws.
    options : dict
        Further options of the method.
    """

    method: str
    batch: int | None
    seed: int
    options: dict

    def plan(self, problem: TrainingProblem, steps: int, since: RunPosition | None = None) -> training_run.TrainingRun:
        """The checked run, from its start or resumed; ValueError as `plan_run`."""
        batch = {} if self.batch is None else {batch_option(self.method): self.batch}
        return training_run.plan_run(problem, self.method, steps, batch | self.options, since)


def batch_option(method: str) -> str | None:
    """The method's option for its batch: `batch`, `curvature_batch`, or None."""
    return next((name for name in BATCH_OPTIONS if name in METHODS[method].options), None)


def configurations(
    methods: Sequence[str],
    batches: Sequence[int],
    seeds: Iterable[int],
    options: Mapping[str, object] | None = None,
    grid: Mapping[str, Sequence] | None = None,
) -> list[Configuration]:
    """Each method with each batch and each combination of its grid's values, from each seed.

    The order is seed by seed, so an interrupted sweep contains complete seeds. A method without a batch has one
    configuration for all batches. An option goes to every method that has it.

    Raises
    ------
    ValueError
        For an unknown method; for a method, batch, seed or grid value given twice; or for an option that no method has
        or that is also a batch.

    Examples
    --------
    >>> for configuration in configurations(["sgd", "newton"], [64, 128], range(1), grid={"learning_rate": [0.1, 0.3]}):
    ...     print(*configuration)
    sgd 64 0 {'learning_rate': 0.1}
    sgd 64 0 {'learning_rate': 0.3}
    sgd 128 0 {'learning_rate': 0.1}
    sgd 128 0 {'learning_rate': 0.3}
    newton None 0 {}
    """
    options, grid = dict(options or {}), dict(grid or {})
    for method in methods:
        checks.choice("methods", method, METHODS)
    seeds = [*seeds]
    for name, values in {"methods": methods, "batches": batches, "seeds": seeds, **grid}.items():
        checks.distinct(name, values)  # the runs of a repeated value would be counted twice
    known = {name for method in methods for name in METHODS[method].options if name != batch_option(method)}
    checks.option_names([*options, *grid], sorted(known), ", ".join(methods))
    if twice := options.keys() & grid.keys():
        raise ValueError(f"{min(twice)}: expected an option or a grid; got both")
    return [
        Configuration(method, batch, seed, chosen)
        for seed in seeds
        for method in methods
        for batch in (batches if batch_option(method) else [None])
        for chosen in _combinations(method, options, grid)
    ]


def _combinations(method, options, grid):
    """The method's options, once for each combination of grid values."""
    own = {name: [value] for name, value in options.items()} | grid
    own = {name: values for name, values in own.items() if name in METHODS[method].options}
    return [dict(zip(own, values, strict=True)) for values in itertools.product(*own.values())]
