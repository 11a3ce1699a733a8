"""The numbers of sutskever_2013.md: the runs of fig_autoencoder.py."""

import fig_autoencoder as fig

from page_numbers import FIGURES, number, table

LINES = {name: fig.there(FIGURES / "fig_autoencoder" / f"{name}.jsonl") for name in fig.NAMES}
RUNS = {name: [line for line in lines if line["seed"] != fig.TUNING] for name, lines in LINES.items()}
CHOSEN = fig.chosen([line for line in LINES["curves"] if line["seed"] == fig.TUNING])


def errors(data, method):
    """The squared errors at the end, a number a seed: '1.23 and 1.31'."""
    return " and ".join(number(fig.ends(line)) for line in fig.reported(RUNS[data], method))


def chosen(method):
    """The value of the option that the trials chose."""
    (value,) = CHOSEN[method].values()
    return f"{value:g}"


def on_edge(method):
    """Whether it is an edge of the values tried."""
    tried = [value for options in fig.TRIALS[method] for value in options.values()]
    return "on an edge of those tried" if chosen(method) in (f"{min(tried):g}", f"{max(tried):g}") else "inside"


def at(data, method, passes):
    """The squared errors after so many passes, a number a seed."""
    found = []
    for line in fig.reported(RUNS[data], method):
        spent, values = line["curve"]["passes"], line["curve"]["squared_error"]
        found.append(number([value for p, value in zip(spent, values, strict=True) if p <= passes][-1]))
    return " and ".join(found)


def steps(data):
    """The steps of gn-cg, a number a seed."""
    return " and ".join(str(len(line["curve"]["passes"]) - 1) for line in fig.reported(RUNS[data], "gn-cg"))


def products(data):
    """Its products."""
    return " and ".join(f"{line['curve']['products'][-1]:,}" for line in fig.reported(RUNS[data], "gn-cg"))


def minutes(data):
    """The minutes of a core of gn-cg's runs."""
    return f"{sum(line['curve']['seconds'][-1] for line in fig.reported(RUNS[data], 'gn-cg')) / 60:.0f}"


def crossings(data, method, value):
    """'after 210 passes', or 'after some 3,000 passes by extrapolation', or 'not by extrapolation', of each seed."""
    found = []
    for line in fig.reported(RUNS[data], method):
        passes, seen = fig.crossing(line, value)
        if seen:
            found.append(f"after {passes:,.0f} passes")
        elif passes < 1e6:
            found.append(f"after some {number(passes, 2)} by extrapolation")
        else:
            found.append("never by extrapolation")
    return " and ".join(found)


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
        for data in RUNS
        for method in fig.METHODS
        if RUNS[data]
    ]
    return table(["", "method", "squared error here, a number a seed", "the paper's"], rows)
