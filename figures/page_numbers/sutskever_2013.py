"""The numbers of sutskever_2013.md: the runs of fig_autoencoder.py."""

import fig_autoencoder as fig

from page_numbers import FIGURES, number, table
from refhf.lab.runs.json_lines import read_json_lines

LINES = {name: read_json_lines(FIGURES / "fig_autoencoder" / f"{name}.jsonl") for name in fig.NAMES}
RUNS = {name: [line for line in lines if line["seed"] != fig.TUNING] for name, lines in LINES.items()}
TRIALS = {name: [line for line in LINES[name] if line["seed"] == fig.TUNING] for name in fig.TRIALS}
CHOSEN = {name: fig.chosen(lines) for name, lines in TRIALS.items()}


def errors(data, method):
    """The squared errors at the end, a number a seed: '1.23 and 1.31'."""
    return " and ".join(number(fig.ends(line)) for line in fig.reported(RUNS[data], method))


def chosen(method):
    """'12 (curves), 45 (MNIST), 45 on an edge (MNIST, longer)': the option's values that the trials chose."""
    return ", ".join(f"{_value(name, method)} ({fig.NAMES[name]})" for name in fig.TRIALS)


def tried(method, value, name="mnist-10000"):
    """The squared error at the end of the trial with this value."""
    options = {fig.OPTIONS[method]: value}
    return number(next(fig.ends(x) for x in TRIALS[name] if (x["method"], x["options"]) == (method, options)))


def _value(name, method):
    """The value that the trials on a data set chose, and whether it is an edge of those tried."""
    (value,) = CHOSEN[name][method].values()
    tried = fig.TRIALS[name][method]
    return f"{value:g}{' on an edge' * (value in (min(tried), max(tried)))}"


NONE = "no runs yet"
SHORT = [data for data in fig.NAMES if data not in fig.LONG]
VALUE = fig.PAPER["mnist"]["HF of 2010"]
SHARES = {"half": 1 / 2, "third": 1 / 3, "fourth": 1 / 4}  # of a run, to which a power law is fitted


def _ending(data, method):
    return errors(data, method) or NONE


def versus(one, other):
    """The squared errors at the end of both: 'CURVES-like: gn-cg 1.2, sgd 3.4; MNIST: ...'."""
    return "; ".join(f"{fig.NAMES[data]}: {one} {_ending(data, one)}, {other} {_ending(data, other)}" for data in SHORT)


def crossed(method):
    """Where the values of Martens 2010 are crossed: 'CURVES-like: after 300 passes; MNIST: ...'."""
    return "; ".join(f"{fig.NAMES[data]}: {_crossings(data, method) or NONE}" for data in SHORT)


def _crossings(data, method):
    found = []
    for line in fig.reported(RUNS[data], method):
        passes, seen = fig.crossing(line, fig.PAPER[data]["HF of 2010"])
        if seen:
            found.append(f"after {passes:,.0f} passes")
        elif passes < 1e6:
            found.append(f"not in {line['budget']} passes, by extrapolation after some {number(passes, 2)}")
        else:
            found.append(
                f"not in {line['budget']} passes; a power law through the last half of the run needs a million or more"
            )
    return " and ".join(found)


def cost():
    """The steps, products and minutes of gn-cg, by data set."""
    said = []
    for data in SHORT:
        for line in fig.reported(RUNS[data], "gn-cg"):
            curve = line["curve"]
            steps, minutes = len(curve["passes"]) - 1, curve["seconds"][-1] / 60
            said.append(
                f"{steps} steps and {curve['products'][-1]:,} products on {fig.NAMES[data]} ({minutes:.1f} min)"
            )
    return "; ".join(said) or NONE


def errors_table():
    """A row for each method and data set, beside the paper's."""
    paper = {"gn-cg": ("HF", "HF of 2010"), "nag": ("NAG",), "sgd": ("SGD",)}
    rows = [
        [
            fig.NAMES[data],
            method,
            errors(data, method),
            "; ".join(f"{x} {fig.PAPER[data][x]:.2g}" for x in paper[method]),
        ]
        for data in SHORT
        for method in fig.METHODS
        if RUNS[data]
    ]
    return table(["", "method", "squared error here, a number a seed", "the paper's"], rows)


# ----- the longer runs


def cases(data):
    """'10,000 digits'."""
    return f"{fig.SCALES[data].cases:,} digits"


def of_scale(data, key):
    """A number of its scale."""
    return f"{getattr(fig.SCALES[data], key):,}"


def curvature_batch(data):
    """The cases of a curvature batch."""
    return f"{fig.SCALES[data].cases // fig.SCALES[data].chunks:,}"


def _long():
    return [(data, line) for data in fig.LONG for method in fig.METHODS for line in fig.reported(RUNS[data], method)]


def long_table():
    """A row for each longer run: what was made of it, the error, and where the value of 2010 is crossed."""
    head = ["", "method", "passes", "products", "CPU minutes", "squared error", f"{VALUE:.2f} is crossed"]
    rows = []
    for data, line in _long():
        curve = line["curve"]
        passes = f"{curve['passes'][-1]:,.4g} of {line['budget']:,}"
        minutes = f"{curve['seconds'][-1] / 60:.0f}"
        rows.append(
            [
                *(cases(data), line["method"], passes, f"{curve['products'][-1]:,}", minutes),
                *(number(fig.ends(line)), _where(line)),
            ]
        )
    return table(head, rows)


def not_made():
    """'10,000 digits: sgd; ...': the methods without a longer run."""
    begun = {(data, line["method"]) for data, line in _long()}
    lacks = {data: [method for method in fig.METHODS if (data, method) not in begun] for data in fig.LONG}
    return "; ".join(f"{cases(data)}: {', '.join(methods)}" for data, methods in lacks.items() if methods) or "none"


def _where(line):
    """'after 310 passes', or where the power laws through the last shares of the run would be there."""
    found = [fig.crossing(line, VALUE, share) for share in SHARES.values()]
    if found[0][1]:
        return f"after {found[0][0]:,.0f} passes, {_seconds(line, found[0][0]) / 60:.0f} min"
    passes = [x for x, _ in found if x < 1e6]
    if len(passes) < len(found):
        return "no power law leads there"
    return f"not seen; by extrapolation after {number(min(passes), 2)} to {number(max(passes), 2)} passes"


def _seconds(line, passes):
    return next(s for p, s in zip(line["curve"]["passes"], line["curve"]["seconds"], strict=True) if p >= passes)


def long_versus(*methods):
    """The errors at the passes that all these methods have: '10,000 digits, 400 passes: gn-cg 1.2, nag 3.4; ...'."""
    said = []
    for data in fig.LONG:
        lines = [line for method in methods for line in fig.reported(RUNS[data], method)]
        if len({line["method"] for line in lines}) == len(methods):
            passes = min(line["curve"]["passes"][-1] for line in lines)
            found = ", ".join(f"{line['method']} {number(fig.error_at(line, passes))}" for line in lines)
            said.append(f"{cases(data)}, {passes:,.0f} passes: {found}")
    return "; ".join(said) or f"longer: {NONE}"


def long_reached():
    """'10,000 digits: after 310 passes, 52 min; ...' of gn-cg."""
    said = [f"{cases(data)}: {_where(line)}" for data, line in _long() if line["method"] == "gn-cg"]
    return "; ".join(said) or f"longer: {NONE}"


def reaches_2010():
    """The verdict on MNIST: holds where gn-cg is seen at the value on all digits."""
    seen = {data for data, line in _long() if line["method"] == "gn-cg" and fig.crossing(line, VALUE)[1]}
    if "mnist-60000" in seen:
        return "**holds** on MNIST, from one start; **not judgeable here** on CURVES: other curves, and too few passes"
    on_fewer = "; on 10,000 of the digits it is reached" if seen else ""
    return f"**not judgeable here**: too few passes over all digits, and other curves{on_fewer}"
