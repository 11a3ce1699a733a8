"""benchmarks/race.py: the clock is fair, the choice is the stated one, and docs/race.md is that of its lines."""

import importlib
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]


def script(name):
    """A script of benchmarks/."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))


@pytest.fixture(scope="module")
def race():
    """The driver."""
    return script("race")


@pytest.fixture
def small():
    """The convolutional problem on 50 cases, and its clock without a cap."""
    clock = script("race_clock")
    posed = clock.problem("convnet", seed=0, cases=50)
    return posed, clock.Clock(posed, math.inf)


def test_the_clock_stands_still_during_an_evaluation(small, monkeypatch):
    """Seconds before and after a mark are charged; those that the mark spends on the training loss are not."""
    posed, clock = small
    now = [10.0]
    monkeypatch.setattr(
        script("race_clock"), "time", SimpleNamespace(process_time=lambda: now[0], perf_counter=lambda: now[0])
    )

    def outputs():
        now[0] += 100
        return posed.outputs(posed.theta0)

    clock.start()
    now[0] += 1
    clock.mark(outputs)
    now[0] += 2
    clock.stop()
    assert clock.used == [3, 3] and clock.curve[0][:2] == [1, 1]


def test_work_is_counted_by_its_cases(small):
    """A product on a tenth of the cases is one product and a tenth of a pass; the counts stand in the mark."""
    posed, clock = small
    clock.start()
    clock.tick("product", 5)
    clock.tick("product")
    clock.tick("gradient")
    clock.mark(lambda: posed.outputs(posed.theta0))
    row = dict(zip(script("race_clock").FIELDS, clock.curve[0], strict=True))
    assert (row["products"], row["product_passes"], row["gradient_passes"], row["value_passes"]) == (2, 1.1, 1, 0)
    assert row["loss"] == pytest.approx(posed.objective().value(posed.theta0), rel=1e-5)


def test_a_run_ends_at_its_cap_and_with_its_marks(small):
    """Over is raised by a tick beyond the cap, by a mark with all marks reached, and passes `except Exception`."""
    module = script("race_clock")
    posed, _ = small
    late = module.Clock(posed, cap=-1.0)
    late.start()
    with pytest.raises(module.Over, match="time"):
        late.tick("gradient")
    done = module.Clock(posed, math.inf, losses=(100.0, 10.0), errors=(1.0,))
    done.start()
    with pytest.raises(module.Over, match="all marks"):
        done.mark(lambda: posed.outputs(posed.theta0))
    assert not issubclass(module.Over, Exception)


def test_searches_are_of_one_size(race):
    """Each contender has four different trials, and the first is its defaults."""
    for contender in race.CONTENDERS.values():
        trials = [str(trial) for trial in contender.trials]
        assert trials[0] == "{}" and len(trials) == len(set(trials)) == 4


def test_the_best_trial(race):
    """All marks, earliest, come first; then the least loss at the cap; a run that is not finite comes last."""

    def line(options, ended, cpu, loss):
        return {"network": "digits", "contender": "gn-cg", "stage": "tuning", "options": options, "ended": ended,
                "curve": [[cpu, cpu, loss, 0.5, 1, 1, 1, 1, 1]]}  # fmt: skip

    lines = [line({}, "time", 5.0, None), line({"a": 1}, "time", 5.0, 0.2), line({"a": 2}, "time", 5.0, 0.1)]
    assert race.best_trial(lines, "digits", "gn-cg") is None
    assert race.best_trial([*lines, line({"a": 3}, "time", 5.0, 0.3)], "digits", "gn-cg") == {"a": 2}
    late = line({"a": 3}, "all marks", 4.0, 0.3)
    assert race.best_trial([*lines, late], "digits", "gn-cg") == {"a": 3}
    assert race.best_trial([*lines[:2], late, line({"a": 4}, "all marks", 2.0, 0.4)], "digits", "gn-cg") == {"a": 4}


@pytest.mark.parametrize("name", ["gn-cg", "gn-cg-path", "hybrid-cg", "SciPy trust-ncg", "SciPy L-BFGS-B"])
def test_a_contender_runs(race, small, name):
    """A contender of refhf's or SciPy's lowers the loss, and its work is counted."""
    posed, _ = small
    module = script("race_clock")
    clock = module.Clock(posed, cap=30.0, losses=(1.5,))
    with pytest.raises(module.Over, match="all marks"):
        race.CONTENDERS[name].run(posed, clock, {}, 0, None)
    row = dict(zip(module.FIELDS, clock.curve[-1], strict=True))
    assert row["loss"] <= 1.5 and row["gradient_passes"] >= 1
    assert (row["products"] > 0) == (name != "SciPy L-BFGS-B")


def test_lines_are_of_the_contenders(race):
    """Each line is of a network, a contender and a trial that are there, once."""
    lines = race.read()
    assert len({race.key(line) for line in lines}) == len(lines)
    for line in lines:
        assert line["network"] in race.NETWORKS
        assert line["options"] in race.CONTENDERS[line["contender"]].trials


def test_seconds_to_a_mark(race):
    """The first point at or below the mark; the median over starts; infinite where most did not arrive."""
    page = script("race_page")

    def line(*points):
        return {"curve": [[cpu, cpu, loss, None, 1, 1, 1, 1, 1] for cpu, loss in points]}

    row = page.Row("gn-cg", "defaults", [line((0.0, 9.0), (1.0, 2.0), (2.0, 1.0)), line((0.0, 9.0), (3.0, 2.0))])
    assert row.at(page.Mark("loss", 2.0)) == 2.0
    assert row.at(page.Mark("loss", 1.0)) == np.inf


def test_the_page_is_that_of_the_lines(race):
    """docs/race.md is what the script makes of the lines."""
    page = script("race_page")
    assert page.PAGE.read_text(encoding="utf-8") == page.page(race.read())
