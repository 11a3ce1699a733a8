"""The numbers of adya_2018.md: the runs of fig_adya_large_batches.py and fig_adya_resnet.py."""

import math

import fig_adya_large_batches as large
import fig_adya_resnet as resnet
import fig_resnet_convnet as beside
from fig_adya_large_batches import FULL, METHODS, seed_groups

from page_numbers import FIGURES, ablation, by_verdict, number, percent, table  # noqa: F401  the page calls ablation
from page_numbers.measured import once  # noqa: F401  the page calls it
from refhf.lab.sweep.paired_differences import paired_difference, verdict

SETS = {"mnist": "mnist-mini", "fashion": "fashion-mnist"}
RUNS = {short: large.there(FULL, name, FIGURES / "fig_adya_large_batches") for short, name in SETS.items()}
GUESSING = math.log(10)  # the loss of guessing one of ten classes


def groups(data, kind, epochs=FULL.epochs):
    """The groups by (method, batch): of the schedule, of the methods' own rates, or of the longer runs with these."""
    if epochs == FULL.epochs:
        rows = large.groups(RUNS[data].schedule if kind == "schedule" else RUNS[data].constant)
    else:
        rows = large.groups(
            [x for x in RUNS[data].longer[epochs] if (x["options"] != large.SCHEDULE) == (kind == "own")]
        )
    return {(row.method, row.batch): row for row in rows}


def seeds(data):
    """The number of seeds of each cell of a data set."""
    (found,) = {len(row.lines) for kind in ("own", "schedule") for row in groups(data, kind).values()}
    return found


def error(data, kind, method, batch, epochs=FULL.epochs):
    """The mean test error in per cent."""
    return percent(groups(data, kind, epochs)[method, batch].statistic("test_error").mean)


def spread(data, kind, method, batch, epochs=FULL.epochs):
    """Its standard deviation."""
    return percent(groups(data, kind, epochs)[method, batch].statistic("test_error").spread)


def longer(data, method):
    """'9.8, 6.4, 5.3 ± 0.4 %': the test errors of the largest batch after the numbers of epochs, with its own rate."""
    found = [error(data, "own", method, FULL.batches[-1], epochs) for epochs in FULL.longer]
    return f"{', '.join(found)} ± {spread(data, 'own', method, FULL.batches[-1], FULL.longer[-1])} %"


def short_of(data, method):
    """Points of test error of the longest run at the largest batch above those of batch 128."""
    long = groups(data, "own", FULL.longer[-1])[method, FULL.batches[-1]].statistic("test_error").mean
    return percent(long - groups(data, "own")[method, FULL.batches[0]].statistic("test_error").mean)


def points(data, method):
    """The test error at the largest batch less that at the smallest, with own rates, in points."""
    ends = [
        groups(data, "own")[method, batch].statistic("test_error").mean for batch in (FULL.batches[0], FULL.batches[-1])
    ]
    return percent(ends[1] - ends[0])


def loss(data, kind, method, batch=FULL.batches[-1]):
    """The training loss at the end, mean ± standard deviation."""
    return _loss(groups(data, kind)[method, batch])


def _loss(row):
    found = row.statistic("loss")
    return f"{number(found.mean)} ± {number(found.spread, 2)}"


def _judged(cells):
    """'**holds** for nlcg-fr on MNIST, ...; **fails** for ...', of (words, difference): whether each is below 0."""
    return by_verdict((words, verdict(difference, "below")) for words, difference in cells)


def _of_seed(data, kind, method, batch, key):
    """The losses, or the errors, by seed."""
    return {line["seed"]: line[key] for line in groups(data, kind)[method, batch].lines}


def apart(data, method, rival, kind="own", batch=FULL.batches[-1]):
    """The training loss of a method less that of a rival of the same seed."""
    one, other = (_of_seed(data, kind, name, batch, "loss") for name in (method, rival))
    return paired_difference(*([values[seed] for seed in sorted(one)] for values in (one, other)))


def degraded(data, method, rival):
    """The points of test error that the largest batch adds to a method's, less those that it adds to the rival's."""
    added = []
    for name in (method, rival):
        small, large_one = (_of_seed(data, "own", name, b, "test_error") for b in (FULL.batches[0], FULL.batches[-1]))
        added.append([100 * (large_one[seed] - small[seed]) for seed in sorted(small)])
    return paired_difference(*added)


WHERE = {"mnist": "MNIST", "fashion": "Fashion-MNIST"}


def each(difference, *pairs, where=WHERE, **more):
    """'nlcg-fr less rmsprop -0.02 [-0.04, -0.01] on MNIST and ... on Fashion-MNIST; ...' for each pair."""
    return "; ".join(
        f"{one} less {other} {' and '.join(f'{difference(x, one, other, **more)} on {where[x]}' for x in where)}"
        for one, other in pairs
    )


def each_judged(difference, *pairs, where=WHERE, **more):
    """The verdicts that these are below 0: '**holds** for nlcg-fr against momentum on both sets; ...'."""
    cells = []
    for one, other in pairs:
        found = {name: difference(x, one, other, **more) for x, name in where.items()}
        alike = len({verdict(x, "below") for x in found.values()}) == 1
        found = {"both sets": next(iter(found.values()))} if alike else found
        cells += [(f"{one} against {other} on {name}", x) for name, x in found.items()]
    return _judged(cells)


FR, PR = (("nlcg-fr", "momentum"), ("nlcg-fr", "rmsprop")), (("nlcg-pr", "momentum"), ("nlcg-pr", "rmsprop"))


def search(data, method, batch):
    """'0.584 ± 0.055 and 0.645 ± 0.085': training loss with the line search on and off."""
    lines = [x for x in RUNS[data].search if (x["method"], x["batch"]) == (method, batch)]
    ways = [[x for x in lines if x["options"]["line_search"] == way] for way in ("online", "off")]
    return " and ".join(_loss(large.groups(way)[0]) for way in ways)


def errors_table(data, name):
    """Test errors by method and batch, with own rates and with the schedule."""
    rows = [
        [f"{says}: {method}" if i == 0 else method]
        + [f"{error(data, kind, method, b)} ± {spread(data, kind, method, b)} %" for b in FULL.batches]
        for kind, says in (("own", "own rate"), ("schedule", "schedule"))
        for i, method in enumerate(METHODS)
    ]
    return table([f"{name}, test error after {FULL.epochs} epochs", *(f"{b:,}" for b in FULL.batches)], rows)


def diverged():
    """The number of runs that ended with numbers that are not finite."""
    lines = [x for runs in RUNS.values() for part in (runs.schedule, runs.constant, runs.search) for x in part]
    return sum(x["status"] == "non finite" for x in lines) or "no"


def _runs(kind):
    """The lines with the schedule of both sets, or those of the tuning seed."""
    lines = [x for runs in RUNS.values() for x in (runs.schedule if kind == "schedule" else runs.constant)]
    return lines if kind == "schedule" else [x for x in lines if x["seed"] == large.TUNING]


def _worse(kind):
    return [x for x in _runs(kind) if x["loss"] is None or x["loss"] > GUESSING]


def worse(kind):
    """By method, the number of runs that end above the loss of guessing: 'momentum 5, rmsprop 8, ...'."""
    return ", ".join(f"{method} {sum(x['method'] == method for x in _worse(kind))}" for method in METHODS)


def worse_at(kind):
    """The batches, or the rates, of these runs: '1 and 3'."""
    key = (lambda x: x["batch"]) if kind == "schedule" else lambda x: x["options"]["learning_rate"]
    return " and ".join(f"{x:,g}" for x in sorted({key(x) for x in _worse(kind)}))


def runs_of(kind):
    """The number of these runs of a method."""
    return sum(x["method"] == "momentum" for x in _runs(kind))


def edges(method):
    """The number of own rates of a method that are at an edge of its grid: '1 of 8'."""
    rates = [
        row.lines[0]["options"]["learning_rate"]
        for data in RUNS
        for row in large.groups(RUNS[data].constant)
        if row.method == method
    ]
    return f"{sum(rate in (large.RATES[0], large.RATES[-1]) for rate in rates)} of {len(rates)}"


# ----- the residual network

NAMES = {"fashion": "Fashion-MNIST", "cifar": "CIFAR-10"}
_BOTH = {
    short: resnet.there(name, FIGURES / "fig_adya_resnet")
    for short, name in (("fashion", "fashion-mnist"), ("cifar", "cifar-10"))
}
RESIDUAL, RESIDUAL_LONGER = ({data: runs[part] for data, runs in _BOTH.items()} for part in ("schedule", "longer"))
LARGEST = resnet.FULL.cases


def residual(data, method, batch=LARGEST):
    """The group of a residual network's runs."""
    return next(r for r in seed_groups(RESIDUAL[data]) if (r.method, r.batch) == (method, batch))


def residual_loss(data, method, batch=LARGEST):
    """Its training loss, mean ± standard deviation."""
    return _loss(residual(data, method, batch))


def residual_error(data, method, batch=LARGEST):
    """Its test error in per cent, mean ± standard deviation."""
    found = residual(data, method, batch).statistic("test_error")
    return f"{percent(found.mean)} ± {percent(found.spread)} %"


def residual_table(data):
    """Training losses and test errors by method and batch."""
    batches = *resnet.FULL.batches, LARGEST
    rows = [
        [method, *(f"{residual_loss(data, method, b)}; {residual_error(data, method, b)}" for b in batches)]
        for method in resnet.METHODS
    ]
    return table([f"{NAMES[data]}, training loss; test error", *(f"{b:,}" for b in batches)], rows)


def residual_apart(data, method, rival, batch=LARGEST):
    """'-0.21 [-0.35, -0.07]': the training loss of a method less a rival's of the same seed, mean and 95 % interval."""
    return paired_difference(*([x["loss"] for x in residual(data, name, batch).lines] for name in (method, rival)))


def residual_degraded(data, method, rival, batch=resnet.FULL.batches[-1]):
    """The points of test error that all cases in a batch add to a method's at a batch, less those of the rival."""
    added = []
    for name in (method, rival):
        small, all_cases = ([100 * x["test_error"] for x in residual(data, name, b).lines] for b in (batch, LARGEST))
        added.append([after - before for before, after in zip(small, all_cases, strict=True)])
    return paired_difference(*added)


def residual_longer(data):
    """'sgd 29.1 to 22.3 ± 1.2 %, ...': test errors with all cases in a batch, after 30 and after 90 epochs."""
    found = []
    for row in seed_groups(RESIDUAL_LONGER[data]):
        before = residual(data, row.method).statistic("test_error").mean
        after = row.statistic("test_error")
        spread = f" ± {percent(after.spread)}" if len(row.lines) > 1 else ""
        found.append(f"{row.method} {percent(before)} to {percent(after.mean)}{spread} %")
    return ", ".join(found)


def residual_best(data, batch=resnet.FULL.batches[0]):
    """The method with the least test error at a batch."""
    return min(resnet.METHODS, key=lambda method: residual(data, method, batch).statistic("test_error").mean)


def residual_gap(data, method):
    """Points of test error with all cases in a batch after 90 epochs, less those of the best at batch 128 after 30."""
    lines = [x for x in RESIDUAL_LONGER[data] if x["method"] == method]
    small = {x["seed"]: x for x in residual(data, residual_best(data), resnet.FULL.batches[0]).lines}
    return paired_difference(
        *([100 * x["test_error"] for x in xs] for xs in (lines, [small[x["seed"]] for x in lines]))
    )


def residual_gaps(data):
    """'sgd -1.2 [-2.0, -0.4], ...' of all methods."""
    return ", ".join(f"{method} {residual_gap(data, method)}" for method in resnet.METHODS)


def residual_closed():
    """The verdicts that the gap is closed: that the errors after 90 epochs are below the best at batch 128."""
    cells = []
    for data, name in NAMES.items():
        found = {method: residual_gap(data, method) for method in resnet.METHODS}
        alike = len({verdict(x, "below") for x in found.values()}) == 1
        cells += [(f"{'all' if alike else method} on {name}", x) for method, x in found.items()][: 1 if alike else None]
    return _judged(cells)


def residual_longer_seeds():
    """'3 on Fashion-MNIST, 2 on CIFAR-10': the number of seeds of the longer runs."""
    counts = {name: {len(row.lines) for row in seed_groups(RESIDUAL_LONGER[data])} for data, name in NAMES.items()}
    return ", ".join(f"{min(found)} on {name}" for name, found in counts.items())


def residual_seeds():
    """The number of seeds of each cell."""
    (seeds,) = {len(row.lines) for runs in RESIDUAL.values() for row in seed_groups(runs)}
    return seeds


def residual_costs():
    """Points of test error from the smallest batch to the largest, by method: '13.6 and 14.2'."""
    found = []
    for method in resnet.METHODS:
        ends = [
            [residual(data, method, b).statistic("test_error").mean for b in (resnet.FULL.batches[0], LARGEST)]
            for data in NAMES
        ]
        found.append(f"{method} {' and '.join(percent(last - first) for first, last in ends)}")
    return ", ".join(found)


BESIDE = beside.there(FIGURES / "fig_resnet_convnet")


def beside_error(name, key="test_error"):
    """The error of a network of fig_resnet_convnet.py in per cent, mean ± standard deviation."""
    found = seed_groups(beside.reported(BESIDE[name]))[0].statistic(key)
    return f"{percent(found.mean)} ± {percent(found.spread)} %"


def beside_rate(name):
    """Its rate, chosen by the tuning seed."""
    return f"{beside.chosen_rate(BESIDE[name]):g}"


def beside_lead():
    """'-8.1 [-9.5, -6.7]': points of test error of resnet-8 less the convnet's of the same seed."""
    one, other = ([100 * x["test_error"] for x in beside.reported(BESIDE[name])] for name in ("resnet-8", "convnet"))
    return str(paired_difference(one, other))
