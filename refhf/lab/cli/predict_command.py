"""`refhf predict`: the predictions of a saved network."""

import argparse
import csv
import io
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from refhf.data import data_sets
from refhf.lab.cli.run_progress import print_notes
from refhf.lab.cli.shared_arguments import add_data_dir, add_json
from refhf.lab.runs import atomic_files
from refhf.lab.runs.output_folder import to_json
from refhf.model.losses import classes
from refhf.model.network import Network
from refhf.model.network_file import load_network
from refhf.objective.supervised import supervised
from refhf.text import columns, printable

CHUNK = 512  # cases predicted at a time; our choice
SHOWN = 5, 12  # rows and columns printed; our choice, --out has all
EXAMPLE = """\
example: after refhf train --out run, the network's error on the test cases, and its answer for each
  refhf predict run/network.npz mnist-mini --out predictions.csv"""


def add_predict_command(commands: Any) -> None:
    """Add the command to argparse's subcommands."""
    command = commands.add_parser("predict", help="predict by a saved network", epilog=EXAMPLE)
    add = command.add_argument
    add("network_file", metavar="NETWORK.npz", help="a file of refhf train --out, or of refhf.save")
    add("data", metavar="DATA", help="data set, see refhf data; its test cases, or all where it has none")
    add_data_dir(command)
    add("--out", metavar="FILE.csv", help="write a row for each case; default: print the first ones")
    add("--quiet", action="store_true", help="show no notes on stderr")
    add_json(command)


def run_predict_command(args: argparse.Namespace) -> int:
    """Print the error, or R^2 of a regression, and the first predictions, or their JSON; write all to a file.

    A prediction is a case's class and its probabilities, or its outputs; of a text, what follows each window.

    Raises
    ------
    ValueError, OSError
        For a file that is no network, data that do not fit it, or a place that cannot be written.
    """
    net, theta = load_network(args.network_file)
    context = net.in_shape[0] if net.tokens else None
    data = data_sets.load(args.data, data_dir=args.data_dir, dtype=theta.dtype, context=context)
    print_notes(data.notes, args.quiet)
    if bool(net.tokens) != bool(data.vocabulary):
        raise ValueError(f"data: expected {'a text' if net.tokens else 'no text'} for {net}; got {data.name}")
    X, y = (data.X, data.y) if data.X_test is None else (data.X_test, data.y_test)
    X, y = numbered(net, data, X) if net.tokens else X, numbered(net, data, y)
    objective = supervised(net, X, y, dtype=theta.dtype)
    facts = {"cases": len(X), "loss": objective.value(theta)}
    facts |= {"error": objective.error(theta)} if net.loss.labels else {"R^2": objective.r_squared(theta)}
    letter = "p" if net.loss.labels else "z"
    names = [f"{letter}({name})" for name in net.classes] or [f"{letter}{j}" for j in range(net.outputs)]
    head = [*["class"] * net.loss.labels, *names]
    if args.out:
        with atomic_files.atomic_write(args.out) as file:
            file.writelines(_csv_line(row) for row in (head, *_rows(net, theta, X)))
    first = [*itertools.islice(_rows(net, theta, X), SHOWN[0])]
    if args.json:
        rows = [dict(zip(head, row, strict=True)) for row in first]
        print(to_json({**facts, "first": rows}))
    else:
        print(", ".join(f"{name} {x:,.6g}" for name, x in facts.items()))
        print(*columns([[_shown(x) for x in row[: SHOWN[1]]] for row in (head, *first)], 0), sep="\n")
        print(f"predictions: {args.out}" if args.out else "nothing was written; --out FILE.csv has a row for each case")
    return 0


def numbered(net: Network, data: data_sets.DataSet, y: Any) -> Any:
    """The labels or tokens y of the data, by the numbers that their names have in the network's classes.

    Raises
    ------
    ValueError
        For a class or character that the network was not trained on.
    """
    own = data.classes or tuple(data.vocabulary)
    if not (net.classes and own) or net.classes == own:
        return y
    if unknown := [name for name in own if name not in net.classes]:
        known, found = (printable(", ".join(names)) for names in (net.classes, unknown))
        raise ValueError(f"data: expected the network's classes, {known}; got {found}")
    return np.array([net.classes.index(name) for name in own])[y]


def _rows(net: Network, theta: np.ndarray, X: Any) -> Iterator[list[Any]]:
    """For each case its class, of a network of classes, and the outputs; of a sequence those at its end."""
    for start in range(0, len(X), CHUNK):
        outputs = net.predict(theta, X[start : start + CHUNK])
        outputs = outputs if outputs.ndim == 2 else outputs[:, -1]
        for case, label in zip(outputs.tolist(), classes(outputs).tolist(), strict=True):
            yield [*[net.classes[label] if net.classes else int(label)] * net.loss.labels, *case]


def _csv_line(row: list[Any]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(row)
    return line.getvalue().encode()


def _shown(x: Any) -> str:
    return f"{x:.4g}" if isinstance(x, float) else printable(str(x))
