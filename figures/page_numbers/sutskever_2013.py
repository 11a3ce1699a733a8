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


NONE = "no runs yet"


def _ending(data, method):
    return errors(data, method) or NONE


def versus(one, other):
    """The squared errors at the end of both: 'CURVES-like: gn-cg 1.2, sgd 3.4; MNIST: ...'."""
    return "; ".join(
        f"{fig.NAMES[data]}: {one} {_ending(data, one)}, {other} {_ending(data, other)}" for data in fig.NAMES
    )


def crossed(method):
    """Where the values of Martens 2010 are crossed: 'CURVES-like: after 300 passes; MNIST: ...'."""
    return "; ".join(f"{fig.NAMES[data]}: {_crossings(data, method) or NONE}" for data in fig.NAMES)


def _crossings(data, method):
    found = []
    for line in fig.reported(RUNS[data], method):
        passes, seen = fig.crossing(line, fig.PAPER[data]["HF of 2010"])
        if seen:
            found.append(f"after {passes:,.0f} passes")
        elif passes < 1e6:
            found.append(f"not in {line['budget']} passes, by extrapolation after some {number(passes, 2)}")
        else:
            found.append(f"not in {line['budget']} passes, and no power law through their last half leads there")
    return " and ".join(found)


def cost():
    """The steps, products and minutes of gn-cg, by data set."""
    said = []
    for data in fig.NAMES:
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
        for data in RUNS
        for method in fig.METHODS
        if RUNS[data]
    ]
    return table(["", "method", "squared error here, a number a seed", "the paper's"], rows)
