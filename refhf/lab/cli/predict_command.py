"""`refhf predict`: the predictions of a saved network."""

import argparse
import itertools
import math
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
from refhf.text import columns

CHUNK = 512  # cases predicted at a time; our choice
SHOWN = 5  # rows printed; our choice, --out has all
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

    Raises
    ------
    ValueError, OSError
        For a file that is no network, data that do not fit it, or a place that cannot be written.
    """
    net, theta = load_network(args.network_file)
    data = data_sets.load(args.data, data_dir=args.data_dir, dtype=theta.dtype)
    print_notes(data.notes, args.quiet)
    X, y = (data.X, data.y) if data.X_test is None else (data.X_test, data.y_test)
    if len(net.out_shape) > 1:
        raise ValueError(f"network_file: expected one answer a case; got one of shape {net.out_shape}")
    objective = supervised(net, X, y)
    facts = {"cases": len(X), "loss": objective.value(theta)}
    if net.loss.labels:
        facts["error"] = objective.error(theta)
    else:
        spread = np.square(objective.y[:] - np.mean(objective.y[:], axis=0)).sum()
        squares = 2 * len(X) * facts["loss"]  # the loss is half the mean square
        facts["R^2"] = 1 - squares / spread if spread else math.nan
    head = [*["class"] * net.loss.labels, *(f"{'p' if net.loss.labels else 'z'}{j}" for j in range(net.outputs))]
    if args.out:
        with atomic_files.atomic_write(args.out) as file:
            file.writelines(f"{','.join(map(str, row))}\n".encode() for row in (head, *_rows(net, theta, X)))
    first = [*itertools.islice(_rows(net, theta, X), SHOWN)]
    if args.json:
        rows = [dict(zip(head, (np.asarray(x).item() for x in row), strict=True)) for row in first]
        print(to_json({**facts, "first": rows}))
    else:
        print(", ".join(f"{name} {x:,.6g}" for name, x in facts.items()))
        print(*columns([head, *([f"{x:.4g}" for x in row] for row in first)], 0), sep="\n")
        print(f"predictions: {args.out}" if args.out else "nothing was written; --out FILE.csv has a row for each case")
    return 0


def _rows(net: Network, theta: np.ndarray, X: Any) -> Iterator[list[Any]]:
    """For each case its class, of a network of classes, and the outputs."""
    for start in range(0, len(X), CHUNK):
        outputs = net.predict(theta, X[start : start + CHUNK])
        for case, label in zip(outputs, classes(outputs), strict=True):
            yield [*[int(label)] * net.loss.labels, *case]
