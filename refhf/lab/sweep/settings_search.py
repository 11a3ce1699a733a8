"""The search for each method's best settings, and the runs that report them: figures/protocol.md.

A script searches in the way of `refhf sweep --search random`::

    from refhf.data.data_sets import load
    from refhf.lab.sweep.settings_search import SearchPlan, search_settings
    from refhf.lab.sweep.sweep_grid import SweepSetting

    budgets = {"passes": 60, "products": 150}
    setting = SweepSetting(load("mnist-mini", dtype="float32"), (50,), budgets=budgets)
    plan = SearchPlan(("gn-cg", "sgd"), (512,), trials=12, tuning=(100, 101), reported=tuple(range(10)))
    result = search_settings(setting, plan, "runs.jsonl")  # result.choices, result.tuning, result.reported
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from refhf import checks
from refhf.driver.registry import METHODS
from refhf.lab.sweep.search_space import Axis, Options, all_trials, drawn_trials, space_of
from refhf.lab.sweep.sweep_budgets import CRITERIA
from refhf.lab.sweep.sweep_grid import Configuration, SweepSetting, batch_option, configurations
from refhf.lab.sweep.sweep_runs import run_sweep
from refhf.lab.sweep.trial_choice import TrialChoice, choose_trial

TRIALS = 16  # our choice
ROUNDS = 6  # our choice: so often a space grows; 3^6 = 729 times the range
TUNING, REPORTED = (100, 101), tuple(range(10))  # our choice, figures/protocol.md
Place = tuple[str, int | None]


class SearchPlan(NamedTuple):
    """The plan of a search.

    Attributes
    ----------
    methods : sequence of str
    batches : sequence of int, or dict of such
        Of all methods, or by method.
    fixed : dict
        Options that are not searched.
    grid : dict
        Values of options, in place of those of `refhf.lab.sweep.search_space.AXES`.
    random : bool
        Whether trials are drawn; else they are all combinations of the grid.
    trials : int
        Trials of each method, if they are drawn.
    tuning, reported : sequence of int
        Seeds that choose, and seeds that are reported.
    criterion : {'loss', 'training_error'}
    seed : int
        Of the draws.
    first : dict
        Options of a method's first trial, by method, where they are not its defaults.
    """

    methods: Sequence[str]
    batches: Sequence[int] | Mapping[str, Sequence[int]]
    fixed: Mapping[str, Any] = {}
    grid: Mapping[str, Sequence[Any]] = {}
    random: bool = True
    trials: int = TRIALS
    tuning: Sequence[int] = TUNING
    reported: Sequence[int] = REPORTED
    criterion: str = "loss"
    seed: int = 0
    first: Mapping[str, Options] = {}

    def check(self, setting: SweepSetting) -> list[Place]:
        """The methods with their batches; ValueError for an argument out of range, before any run."""
        configurations(self.methods, [1], [0], self.fixed, self.grid)
        found = [cell for method in self.methods for cell in configurations([method], self._batches(method), [0])]
        checks.positive_integer("trials", self.trials)
        checks.choice("criterion", self.criterion, CRITERIA)
        for name, seeds in (("tuning", self.tuning), ("reported", self.reported)):
            checks.distinct(name, seeds)
            if not seeds:
                raise ValueError(f"{name}: expected a seed at least; got none")
        if both := sorted({*self.tuning} & {*self.reported}):
            raise ValueError(f"tuning, reported: expected seeds that differ; got {both[0]} in both")
        if not setting.budgets:
            raise ValueError("budgets: expected one at least to compare at; got none")
        if not (self.random or self.grid):
            raise ValueError("grid: expected an option with values to try; got none")
        return [(cell.method, cell.batch) for cell in found]

    def _batches(self, method: str) -> Sequence[int]:
        if not isinstance(self.batches, Mapping):
            return self.batches
        if method not in self.batches and batch_option(method):
            raise ValueError(f"batches: expected those of each method; got none of {method}")
        return self.batches.get(method, ())

    def own(self, method: str) -> Options:
        """The fixed options that a method has."""
        return {name: value for name, value in self.fixed.items() if name in METHODS[method].options}

    def space(self, method: str) -> dict[str, Axis]:
        """The options of a method that are searched."""
        space = space_of(method, self.fixed, self.grid)
        return space if self.random else {name: axis for name, axis in space.items() if name in self.grid}


class SearchResult(NamedTuple):
    """The result of a search.

    Attributes
    ----------
    choices : list of TrialChoice
        For each method, batch and budget of which the method spends anything.
    tuning, reported : list of dict
        The lines of the trials, and those of the chosen options with the reported seeds.
    """

    choices: list[TrialChoice]
    tuning: list[dict]
    reported: list[dict]


def search_settings(
    setting: SweepSetting,
    plan: SearchPlan,
    path=None,
    listen: Callable[[dict, bool], object] = lambda line, resumed: None,
    asked: Callable[[], object] = lambda: 0,
    processes: int = 1,
) -> SearchResult | None:
    """Try settings with the tuning seeds, choose for each method, batch and budget, and run the reported seeds.

    All methods have the same number of trials: first `plan.trials`, of which the first has the method's defaults, or
    `plan.first`, and the others are drawn. Where a choice lies on an edge of the values tried, the next value beyond it
    is tried with the rest of the choice; the other methods then draw as many trials more, if their space has them. This
    ends when no choice lies on an edge, or after ROUNDS times: `TrialChoice.edges` has what is left.

    Parameters
    ----------
    setting : SweepSetting
        With budgets.
    plan : SearchPlan
    path, listen, asked, processes
        As `run_sweep` takes them. A search that was interrupted is resumed by the same call.

    Returns
    -------
    SearchResult or None
        None if the search was interrupted.

    Raises
    ------
    ValueError, FormatError
        As `run_sweep`, and for a plan out of range, before any run.
    """
    setting.check()
    trials, lines = _Trials(setting, plan, plan.check(setting)), []

    def run(cells):
        found = run_sweep(setting, cells, path, listen, asked, processes)
        return found if len(found) == len(cells) else None

    for grown in range(ROUNDS + 1):
        more = run(trials.new_cells())
        if more is None:
            return None
        lines += more
        choices = trials.choices(lines)
        if grown == ROUNDS or not trials.grow(choices):
            break
    chosen = []
    for cell in (Configuration(choice.method, choice.batch, 0, choice.options) for choice in choices):
        chosen += [] if cell in chosen else [cell]
    reported = run([cell._replace(seed=seed) for seed in plan.reported for cell in chosen])
    return None if reported is None else SearchResult(choices, lines, reported)


class _Trials:
    """The trials of each method and batch so far."""

    def __init__(self, setting: SweepSetting, plan: SearchPlan, places: Sequence[Place]) -> None:
        self.setting, self.plan, self.problem = setting, plan, setting.problem(plan.tuning[0])
        self.space = {method: plan.space(method) for method in plan.methods}
        self.coming = {place: self._first(*place) for place in places}
        self.tried: dict[Place, list[Options]] = {place: [] for place in places}
        self.new: dict[Place, list[Options]] = {}
        self._draw(plan.trials if plan.random else None)

    def new_cells(self) -> list[Configuration]:
        """The runs of the trials that were added last, seed by seed."""
        return [
            Configuration(method, batch, seed, options)
            for seed in self.plan.tuning
            for (method, batch), several in self.new.items()
            for options in several
        ]

    def choices(self, lines: Sequence[dict]) -> list[TrialChoice]:
        """The choices from the trials so far; an option's own limit is no edge."""
        found = []
        for place, (budget, amount) in itertools.product(self.tried, (self.setting.budgets or {}).items()):
            own = [line for line in lines if (line["method"], line["batch"]) == place]
            choice = choose_trial(own, self.space[place[0]], budget, amount, self.plan.criterion)
            if choice:
                edges = {
                    name: [x for x in values if self._allowed(place, choice.options | {name: x})]
                    for name, values in choice.edges.items()
                }
                found.append(choice._replace(edges={name: values for name, values in edges.items() if values}))
        return found

    def grow(self, choices: Sequence[TrialChoice]) -> bool:
        """Add the trials beyond the edges, and as many for the other methods; whether there are any."""
        self.new = {place: [] for place in self.tried}
        for choice in choices:
            for name, values in choice.edges.items():
                for value in values:
                    self._add(choice.place, choice.options | {name: value})
        grown = any(self.new.values())
        if grown and self.plan.random:
            self._draw(max(map(len, self.tried.values())))
        return grown

    def _draw(self, trials: int | None) -> None:
        """Add trials up to a number for each method, or all there are."""
        for place in self.tried:
            self.new.setdefault(place, [])
            while trials is None or len(self.tried[place]) < trials:
                options = next(self.coming[place], None)
                if options is None:
                    break
                self._add(place, options)

    def _add(self, place, options):
        if options not in self.tried[place]:
            self.tried[place].append(options)
            self.new[place].append(options)

    def _first(self, method: str, batch: int | None) -> Iterator[Options]:
        """The method's defaults, and then what is drawn; or the whole grid."""
        space, fixed = self.space[method], self.plan.own(method)
        if not self.plan.random:
            yield from (fixed | options for options in all_trials(space))
            return
        if not {*space} & {*self.plan.grid}:
            first = fixed | self.plan.first.get(method, {})
            run = Configuration(method, batch, 0, first).plan(self.problem, self.setting.limit)
            yield fixed | {name: run.options[name] for name in space}
        yield from (fixed | options for options in drawn_trials(space, method, self.plan.seed))

    def _allowed(self, place, options):
        method, batch = place
        try:
            Configuration(method, batch, 0, options).plan(self.problem, self.setting.limit)
        except ValueError:
            return False
        return True
