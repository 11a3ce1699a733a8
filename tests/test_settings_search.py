"""refhf.lab.sweep: budgets, the search for settings, paired differences, processes, and `refhf sweep --search`."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from short_runs import save_tiny, timeless, tiny

from refhf.driver.registry import METHODS
from refhf.lab.cli import entry_point
from refhf.lab.sweep import search_report, search_space, settings_search
from refhf.lab.sweep.paired_differences import ClaimVerdict, PairedDifference, paired_difference, verdict
from refhf.lab.sweep.search_space import AXES, Axis
from refhf.lab.sweep.settings_search import SearchPlan, search_settings
from refhf.lab.sweep.sweep_budgets import BUDGETS, value_at
from refhf.lab.sweep.sweep_grid import SweepSetting, configurations
from refhf.lab.sweep.sweep_runs import run_sweep
from refhf.lab.sweep.trial_choice import TrialChoice, choose_trial

SETTING = SweepSetting(tiny(), (4,), budgets={"steps": 2, "passes": 6, "products": 8})
T_95 = {1: 12.7062047362, 2: 4.3026527297, 4: 2.7764451052, 9: 2.2621571628}  # Student's t, 0.975, printed in tables


# ----- paired differences


@pytest.mark.parametrize("freedom", T_95)
def test_the_interval_has_the_width_of_the_tables(freedom):
    """Half the interval is t s / sqrt n, with t from a printed table and s from the definition."""
    rng = np.random.default_rng(freedom)
    one, other = rng.normal(size=(2, freedom + 1))
    found = paired_difference(list(one), list(other))
    mean = sum(one - other) / (freedom + 1)
    s = math.sqrt(sum((x - mean) ** 2 for x in one - other) / freedom)
    assert found.mean == pytest.approx(mean)
    assert found.high - found.mean == pytest.approx(T_95[freedom] * s / math.sqrt(freedom + 1), rel=1e-9)
    assert found.mean - found.low == pytest.approx(found.high - found.mean)


@given(st.lists(st.tuples(st.integers(-999, 999), st.integers(-999, 999)), min_size=2, max_size=12))
def test_the_interval_is_scipys(pairs):
    """It is the interval of SciPy's paired t test, and turns its sign with the pairs."""
    one, other = (list(map(float, values)) for values in zip(*pairs, strict=True))
    found, turned = paired_difference(one, other), paired_difference(other, one)
    assert (turned.mean, turned.low, turned.high) == pytest.approx((-found.mean, -found.high, -found.low), abs=1e-9)
    if len({a - b for a, b in pairs}) == 1:
        assert found.low == found.high == found.mean
        return
    expected = stats.ttest_rel(one, other).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-6, abs=1e-9)


def test_the_interval_covers_as_often_as_it_says():
    """Of 2,000 samples of ten normal differences, the interval covers the mean in 95 %, to within 4 deviations."""
    x = np.random.default_rng(0).normal(0.3, 1.0, (2000, 10))
    found = [paired_difference(list(row), [0.0] * 10) for row in x]
    covered = sum(d.low <= 0.3 <= d.high for d in found)
    assert abs(covered - 1900) < 4 * math.sqrt(2000 * 0.95 * 0.05)


def test_a_run_that_diverged_leaves_no_interval():
    """One infinite loss makes the difference unknown, and counts as lost; so does a single pair for the interval."""
    lost = paired_difference([1.0, math.inf, math.inf], [1.0, 2.0, math.inf])
    assert (math.isnan(lost.low), lost.pairs, lost.lost) == (True, 3, 2)
    assert verdict(lost, "below") == verdict(paired_difference([1.0], [2.0]), "below") == ClaimVerdict.NOT_JUDGEABLE
    with pytest.raises(ValueError, match=r"^values, reference: .*got 1, 2"):
        paired_difference([1.0], [1.0, 2.0])


@given(st.floats(-5, 5), st.floats(0, 5), st.floats(0.1, 5))
def test_verdicts_exclude_each_other(low, width, margin):
    """The whole interval must agree, or disagree; 'below' holds only where 'above' fails; 0 inside leaves it open."""
    d = PairedDifference(low + width / 2, low, low + width, 9, 0)
    below, above, alike = verdict(d, "below"), verdict(d, "above"), verdict(d, "alike", margin)
    if below is ClaimVerdict.HOLDS:
        assert d.high < 0 and above is ClaimVerdict.FAILS
    if above is ClaimVerdict.HOLDS:
        assert d.low > 0 and below is ClaimVerdict.FAILS
    if low < 0 < low + width:
        assert below is above is ClaimVerdict.NOT_JUDGEABLE
    assert (alike is ClaimVerdict.HOLDS) == (max(abs(low), abs(low + width)) <= margin)
    if alike is ClaimVerdict.FAILS:
        assert not -margin <= low <= margin and not -margin <= low + width <= margin


# ----- budgets and choices


def line(options, losses, seed=100, spent=(0, 2, 4), key="curvature_products"):
    return {"method": "gn-cg", "batch": 8, "seed": seed, "options": options, "curve": {key: spent, "loss": losses}}


def test_a_value_at_a_budget_by_hand():
    """It is that of the last point within the budget, infinite if it was not finite, None if nothing is ever spent."""
    run = line({}, [3.0, 2.0, 1.0])
    assert [value_at(run, "products", amount) for amount in (1, 2, 3.9, 4, 99)] == [3.0, 2.0, 2.0, 1.0, 1.0]
    assert value_at(line({}, [3.0, 2.0, None]), "products", 9) == math.inf
    assert value_at(line({}, [3.0, 2.0, 1.0], spent=(0, 0, 0)), "products", 9) is None


@pytest.mark.parametrize("method", ["sgd", "gn-cg", "hessian-bicgstab"])
def test_a_run_ends_when_it_has_spent_all_its_budgets(method):
    """The last step alone exceeds the last of them; what is never spent, SGD's products, holds no run up."""
    (found,) = run_sweep(SETTING, configurations([method], [8], [0]))
    curve = found["curve"]
    assert found["status"] == "budgets spent"
    applying = {name: amount for name, amount in SETTING.budgets.items() if curve[BUDGETS[name]][-1]}
    assert ("products" in applying) == (method != "sgd")
    assert all(curve[BUDGETS[name]][-1] >= amount for name, amount in applying.items())
    assert any(curve[BUDGETS[name]][-2] < amount for name, amount in applying.items())
    evaluations = sum(found[key] for key in ("value_evaluations", "gradient_evaluations", "curvature_products"))
    assert curve["communications"][-1] == evaluations > 0


@given(st.lists(st.lists(st.sampled_from([0.5, 1.0, 2.0, None]), min_size=2, max_size=2), min_size=1, max_size=6))
def test_the_choice_is_the_least_mean(trials):
    """Of the means over the tuning seeds the least, of equals the first; a run that diverged is never preferred."""
    space = {"damping": Axis((0.1, 10.0), "log", between=True)}
    lines = [
        line({"damping": 1.0 + i}, [3.0, 2.5, loss], seed)
        for seed in (0, 1)
        for i, losses in enumerate(trials)
        for loss in [losses[seed]]
    ]
    choice = choose_trial(lines, space, "products", 4)
    means = [math.inf if None in losses else sum(losses) / 2 for losses in trials]
    assert choice.score == min(means)
    assert choice.options == {"damping": 1.0 + means.index(min(means))}
    assert choice.trials == len(trials)
    at = means.index(min(means))
    assert ("damping" in choice.edges) == (at in (0, len(trials) - 1) and math.isfinite(choice.score))


def test_a_method_that_spends_nothing_has_no_choice():
    """Where no run spends anything of the budget, there is nothing to compare."""
    assert choose_trial([line({}, [3.0, 2.0, 1.0], spent=(0, 0, 0))], {}, "products", 4) is None


# ----- the space


@settings(max_examples=60)
@given(st.sampled_from(sorted(AXES)), st.integers(0, 10**6))
def test_draws_lie_within_the_axis(name, seed):
    """A draw is one of the values, or lies between the ends; one beyond an edge lies outside of all that were tried."""
    axis, rng = AXES[name], np.random.default_rng(seed)
    drawn = [axis.draw(rng) for _ in range(5)]
    if not axis.between:
        assert {*drawn} <= {*axis.values}
    else:
        assert all(axis.values[0] <= x <= axis.values[1] for x in drawn)
    for value in drawn:
        for further in axis.beyond(value, drawn):
            assert further > max(drawn) or further < min(drawn)
            assert value in (min(drawn), max(drawn))
            assert name != "momentum" or 0 <= further < 1


def test_edges_by_hand():
    """Reals move by a factor of 3, integers by 2, momentum by its distance from 1; words have no edge."""
    assert Axis((0.1, 1.0), "log", True).beyond(0.1, [0.1, 0.5, 1.0]) == [0.033]
    assert Axis((4, 250), "log").beyond(250, [4, 250]) == [500]
    assert Axis((4, 250), "log").beyond(4, [4, 250]) == [2]
    assert Axis((0.1, 1.0), "log", True).beyond(0.5, [0.1, 0.5, 1.0]) == []
    assert Axis((0.0, 0.99), "complement", True).beyond(0.9, [0.5, 0.9]) == [0.967]
    assert Axis((0.0, 0.99), "complement", True).beyond(0.5, [0.5, 0.9]) == [0.0]
    assert Axis((0.0, 0.99), "complement", True).beyond(0.0, [0.0, 0.9]) == []
    assert Axis((False, True, "best")).beyond("best", [False, "best"]) == []
    assert Axis((1.0,), "log").beyond(1.0, [1.0]) == [3.0, 0.33]
    assert Axis((4, 250), "log").beyond(None, [4, None]) == []
    assert Axis((4, 250), "log").beyond(4, [4, None]) == [8, 2]


def test_drawn_trials_are_distinct_and_repeat():
    """The same seed draws the same trials, each once, until a finite space is exhausted; methods draw their own."""
    space = {"backtracking": AXES["backtracking"], "warm_start": AXES["warm_start"]}
    drawn = list(search_space.drawn_trials(space, "gn-cg", 0))
    assert drawn == list(search_space.drawn_trials(space, "gn-cg", 0))
    assert len(drawn) == 6 and all(drawn.count(trial) == 1 for trial in drawn)
    assert drawn != list(search_space.drawn_trials(space, "hybrid-cg", 0))


def test_the_space_of_a_method():
    """Each method has its own options; a fixed one is not searched; a grid's values replace those of the space."""
    for method in METHODS:
        assert {*search_space.space_of(method, {}, {})} == {*METHODS[method].options} & {*AXES}
    space = search_space.space_of("momentum", {"learning_rate": 0.1}, {"momentum": [0.5, 0.9]})
    assert space == {"momentum": Axis((0.5, 0.9), "complement")}


# ----- the search


def pretended(loss, made=None):
    """A sweep whose runs have a loss that is a function of method, options and seed."""

    def run(setting, cells, path=None, listen=None, asked=None, processes=1):
        (made if made is not None else []).extend(cells)
        return [
            cell._asdict() | {"curve": {"step": (0, 1), "loss": (9.0, loss(cell.method, cell.options, cell.seed))}}
            for cell in cells
        ]

    return run


STEPS = SETTING._replace(budgets={"steps": 1})


@pytest.mark.parametrize("best", [1e-4, 0.2, 40.0])
def test_an_optimum_beyond_an_edge_is_found(best, monkeypatch):
    """Wherever the best rate is, the chosen one is within a factor of 3 of it, on no edge; all have as many trials."""
    made = []
    monkeypatch.setattr(
        settings_search,
        "run_sweep",
        pretended(lambda method, options, seed: math.log(options["learning_rate"] / best) ** 2 + seed, made),
    )
    plan = SearchPlan(("sgd", "momentum"), (8,), trials=5)
    result = search_settings(STEPS, plan)
    for choice in result.choices:
        assert best / 3 < choice.options["learning_rate"] < best * 3
        assert "learning_rate" not in choice.edges
        tried = [cell.options for cell in made if (cell.method, cell.seed) == (choice.method, 100)]
        rates = [options["learning_rate"] for options in tried]
        assert min(rates) < choice.options["learning_rate"] < max(rates)
    assert len({choice.trials for choice in result.choices}) == 1
    assert {cell.seed for cell in made} == {*plan.tuning, *plan.reported}


def test_an_optimum_at_infinity_is_flagged(monkeypatch):
    """Where the loss falls with the rate for ever, the search ends and says that the choice lies on an edge."""
    monkeypatch.setattr(
        settings_search, "run_sweep", pretended(lambda method, options, seed: 1 / (1 + options["learning_rate"]))
    )
    (choice,) = search_settings(STEPS, SearchPlan(("sgd",), (8,), trials=3)).choices
    assert [*choice.edges] == ["learning_rate"]
    assert choice.trials > 3


def test_an_options_own_limit_is_no_edge(monkeypatch):
    """One CG iteration is the least there can be: a choice there is no optimum on an edge."""
    monkeypatch.setattr(
        settings_search, "run_sweep", pretended(lambda method, options, seed: float(options["solver_iterations"]))
    )
    fixed = {"damping": 1.0, "warm_start": 0.0, "backtracking": False}
    (choice,) = search_settings(STEPS, SearchPlan(("gn-cg",), (8,), fixed, trials=6)).choices
    assert (choice.options, choice.edges) == (fixed | {"solver_iterations": 1}, {})


def test_the_first_trial_can_be_given(monkeypatch):
    """A method's first trial has the options of `first`, and its defaults for the others; so have the other methods."""
    monkeypatch.setattr(settings_search, "run_sweep", pretended(lambda method, options, seed: 1.0))
    given = {"gn-cg": {"solver_iterations": 77, "backtracking": False}}
    plan = SearchPlan(("gn-cg", "hessian-cg"), (8,), trials=1, tuning=(100,), first=given)
    one, other = (line["options"] for line in search_settings(STEPS, plan).tuning[:2])
    assert one == {"damping": 0.1, "solver_iterations": 77, "backtracking": False, "warm_start": 0.95}
    assert other == {"damping": 0.1, "solver_iterations": 5, "backtracking": "best", "warm_start": 0.0}
    with pytest.raises(ValueError, match="^solver_iterations: "):
        search_settings(STEPS, plan._replace(first={"gn-cg": {"solver_iterations": 0}}))


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    path = tmp_path_factory.mktemp("search") / "runs.jsonl"
    plan = SearchPlan(("sgd", "gn-cg"), (8,), trials=3, tuning=(7,), reported=(0, 1, 2))
    return path, plan, search_settings(SETTING, plan, path)


def test_a_search_of_real_runs(searched):
    """Each method has a choice at each budget of which it spends anything, of the least loss, and its reported runs."""
    result = searched[2]
    assert [(choice.method, choice.budget) for choice in result.choices] == [
        ("sgd", "steps"), ("sgd", "passes"), ("gn-cg", "steps"), ("gn-cg", "passes"), ("gn-cg", "products"),
    ]  # fmt: skip
    assert {choice.trials for choice in result.choices} == {len(result.tuning) // 2}
    assert {run["seed"] for run in result.tuning} == {7}
    for choice in result.choices:
        amount = SETTING.budgets[choice.budget]
        own = [run for run in result.tuning if run["method"] == choice.method]
        assert choice.score == min(value_at(run, choice.budget, amount) for run in own)
        reported = [
            run for run in result.reported if (run["method"], run["options"]) == (choice.method, choice.options)
        ]
        assert [run["seed"] for run in reported] == [0, 1, 2]
        assert search_report.reported_values(result, SETTING, choice) == [
            value_at(run, choice.budget, amount) for run in reported
        ]
    assert result.tuning[0]["options"] == {"learning_rate": 0.1}  # its default


def test_a_search_is_resumed(searched, tmp_path, monkeypatch):
    """After a cut anywhere the same call makes what is missing, with the same result; a whole file is only read."""
    path, plan, result = searched
    content = path.read_bytes().splitlines(keepends=True)
    for kept in (2, len(content) - 1):
        torn = tmp_path / f"{kept}.jsonl"
        torn.write_bytes(b"".join(content[:kept]) + content[kept][:20])
        heard = []
        again = search_settings(SETTING, plan, torn, lambda line, known, heard=heard: heard.append(known))
        assert timeless(again.tuning) == timeless(result.tuning)
        assert again.choices == result.choices
        assert timeless(again.reported) == timeless(result.reported)
        assert heard.count(True) == kept
    calls = []
    assert (
        search_settings(SETTING, plan, tmp_path / "new.jsonl", asked=lambda: calls.append(1) or len(calls) == 5) is None
    )
    again = search_settings(SETTING, plan, tmp_path / "new.jsonl")
    assert timeless(again.reported) == timeless(result.reported)


def test_the_report(searched):
    """A difference is that of the reported seeds from the baseline's; the table has it, the choices and the edges."""
    _, _, result = searched
    rows = search_report.search_dicts(result, SETTING, "sgd")
    by = {(row["method"], row["budget"]): row for row in rows}
    gn, sgd = by["gn-cg", "passes"], by["sgd", "passes"]
    expected = stats.ttest_rel(gn["loss"]["values"], sgd["loss"]["values"]).confidence_interval(0.95)
    told = gn["baseline"]["loss"]
    assert (told["low"], told["high"], told["pairs"]) == pytest.approx((expected.low, expected.high, 3))
    assert sgd["baseline"] is None and by["gn-cg", "products"]["baseline"] is None
    table = search_report.search_table(result, SETTING, "sgd")
    assert [text.split(" ")[1:3] for text in table.splitlines() if text.startswith("at ")] == [
        ["2", "steps"], ["6", "passes"], ["8", "products"]
    ]  # fmt: skip
    assert f"[{told['low']:+.3g}, {told['high']:+.3g}]" in table
    assert f"learning_rate {sgd['options']['learning_rate']}" in table


def test_the_baseline_of_a_choice():
    """It has the same budget, and the same batch if there is one, else the batch of least score."""
    others = [TrialChoice("sgd", batch, budget, {}, score, 1, {}) for batch, budget, score in [
        (8, "steps", 1.0), (16, "steps", 0.5), (8, "passes", 0.1), (16, "passes", 0.2)
    ]]  # fmt: skip
    alike, none = (
        TrialChoice(name, batch, "steps", {}, 9.0, 1, {}) for name, batch in [("gn-cg", 8), ("newton", None)]
    )
    assert search_report.partner([alike, *others], alike, "sgd") is others[0]
    assert search_report.partner([none, *others], none, "sgd") is others[1]
    assert search_report.partner([alike, none], alike, "sgd") is None


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"methods": ("sdg",)}, "methods: .*'sgd'"),
        ({"trials": 0}, "trials: expected an integer >= 1"),
        ({"tuning": (1,)}, "tuning, reported: expected seeds that differ; got 1 in both"),
        ({"reported": ()}, "reported: expected a seed at least"),
        ({"tuning": (100, 100)}, "tuning: expected each once"),
        ({"criterion": "test_error"}, "criterion: expected one of loss, training_error"),
        ({"random": False}, "grid: expected an option"),
        ({"batches": {"gn-cg": (8,)}}, "batches: expected those of each method; got none of sgd"),
        ({"batches": (8, 8)}, "batches: expected each once"),
        ({"grid": {"dampign": [1]}}, "option of sgd"),
    ],
)
def test_a_wrong_plan_is_refused(change, named, monkeypatch):
    """A wrong plan is a ValueError by its name before any run, and so is a search without a budget."""
    monkeypatch.setattr(settings_search, "run_sweep", pytest.fail)
    plan = SearchPlan(("sgd",), (8,))
    with pytest.raises(ValueError, match=f"^{named}"):
        search_settings(SETTING, plan._replace(**change))
    with pytest.raises(ValueError, match="^budgets: expected one at least"):
        search_settings(SETTING._replace(budgets=None, steps=1), plan)
    for budgets, said in ({"products": 0}, "budgets: products: "), ({"steps": 3, "spteps": 1}, "budgets: .*'steps'"):
        with pytest.raises(ValueError, match=f"^{said}"):
            search_settings(SETTING._replace(budgets=budgets), plan)


def test_batches_by_method(monkeypatch):
    """Methods may have batches of their own; one without a batch needs none; all have as many trials."""
    monkeypatch.setattr(
        settings_search, "run_sweep", pretended(lambda method, options, seed: options.get("learning_rate", 0.0))
    )
    result = search_settings(STEPS, SearchPlan(("sgd", "newton", "gn-cg"), {"sgd": (4, 8), "gn-cg": (16,)}, trials=2))
    assert [choice.place for choice in result.choices] == [("sgd", 4), ("sgd", 8), ("newton", None), ("gn-cg", 16)]
    assert len({choice.trials for choice in result.choices if choice.method in ("sgd", "gn-cg")}) == 1


def test_a_grid_is_searched_whole(monkeypatch):
    """With `random` off the trials are the grid's combinations, and an edge is extended."""
    monkeypatch.setattr(
        settings_search, "run_sweep", pretended(lambda method, options, seed: -options["learning_rate"])
    )
    monkeypatch.setattr(settings_search, "ROUNDS", 2)
    plan = SearchPlan(("sgd",), (8,), {"noise": 0.0}, {"learning_rate": [0.1, 0.3]}, random=False)
    (choice,) = search_settings(STEPS, plan).choices
    assert choice.options == {"noise": 0.0, "learning_rate": 2.7}
    assert choice.trials == 4


def test_several_processes_make_the_same_lines(tmp_path):
    """Two processes that are asked to stop save what they have; two others, or one, go on to the lines of one alone."""
    cells = configurations(["gn-cg", "sgd"], [8], range(3))
    whole, path = run_sweep(SETTING, cells), tmp_path / "runs.jsonl"
    assert run_sweep(SETTING, cells, path, asked=lambda: True, processes=2) == []
    heard = []
    found = run_sweep(SETTING, cells, path, lambda line, known: heard.append(line), processes=2)
    assert timeless(found) == timeless(whole)
    assert len(heard) == len(cells) and all(line in found for line in heard)
    assert [file.name for file in tmp_path.iterdir()] == ["runs.jsonl"]
    assert run_sweep(SETTING, cells, path) == found
    with pytest.raises(ValueError, match="^processes: expected an integer >= 1"):
        run_sweep(SETTING, cells, processes=0)


# ----- the command


@pytest.fixture
def refhf_cli(tmp_path, capsys):
    path = save_tiny(tmp_path)

    def call(*rest):
        small = ["--data", path, "--hidden", "4", "--out", str(tmp_path / "out"), "--quiet", "--batches", "8"]
        return entry_point.main(["sweep", *small, *rest]), *capsys.readouterr()

    return call


def test_the_command_searches(refhf_cli, tmp_path):
    """It prints a table for each budget, or JSON of the same choices, and runs nothing twice."""
    words = ["--search", "random", "--methods", "sgd,gn-cg", "--budgets", "passes=4,products=6", "--trials", "2"]
    words += ["--tune-seeds", "7", "--report-seeds", "0-1,3"]
    status, out, err = refhf_cli(*words)
    assert (status, err) == (0, "")
    assert "at 4 passes" in out and "at 6 products" in out and "training loss less that of sgd" in out
    lines = (tmp_path / "out" / "runs.jsonl").read_bytes()
    status, out, err = refhf_cli(*words, "--json")
    assert (status, err) == (0, "")
    found = json.loads(out, parse_constant=pytest.fail)["choices"]
    assert [(row["method"], row["budget"]) for row in found] == [
        ("sgd", "passes"), ("gn-cg", "passes"), ("gn-cg", "products")
    ]  # fmt: skip
    assert all(len(row["loss"]["values"]) == 3 for row in found)
    assert (tmp_path / "out" / "runs.jsonl").read_bytes() == lines


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("--methods sgd --search random --steps 1", "budgets: expected one at least"),
        ("--methods sgd --steps 1 --trials 3", "--trials: expected none without --search"),
        ("--methods sgd --search random --budgets steps=1 --seeds 3", "--seeds: expected none with --search"),
        ("--methods sgd --search random --budgets steps=1 --baseline gn-cg", "baseline: expected one of sgd"),
        ("--methods sgd --search random --budgets stpes=1", "budgets: expected one of steps, passes"),
        ("--methods sgd --search random --budgets steps", "--budgets: expected NAME=N"),
        ("--methods sgd --search random --budgets steps=1 --tune-seeds 3", "expected seeds that differ; got 3"),
        (
            "--methods sgd --search random --budgets steps=1 --report-seeds 3-1",
            "--report-seeds: expected an integer >= 3",
        ),
        ("--methods sgd --search grid --budgets steps=1", "grid: expected an option with values"),
        ("--methods sgd --steps 1 --processes 0", "--processes: expected an integer >= 1"),
    ],
)
def test_the_command_refuses(words, named, refhf_cli, tmp_path):
    """A mistake ends with status 2 and a line that names it, and leaves no folder."""
    status, out, err = refhf_cli(*words.split())
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert named in err
    assert not (tmp_path / "out").exists()
