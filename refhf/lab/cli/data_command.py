"""`refhf data`: lists the data sets and where `load` takes them from."""

import argparse
from typing import Any

from refhf.data import data_sets
from refhf.lab.cli.shared_arguments import add_data_dir, add_json
from refhf.lab.runs.output_folder import to_json
from refhf.text import columns

EXAMPLE = "example: the source of each data set\n  refhf data --data-dir ~/mnist"
OWN_FILES = (
    ("FILE.npz", "X, y (or X_train, x_train ..) and, if it has them, X_test, y_test"),
    ("FILE.txt", "a text, read as characters; its last tenth to test on"),
    ("FILE.csv", "a table with a header; the column y or label, or the last one, is y"),
    ("FOLDER/CLASS/*.png", "images by class, also in FOLDER/train and FOLDER/test"),
    ("FOLDER", "X.npy, y.npy, ..., as of FILE.npz, left on disk"),
)


def add_data_command(commands: Any) -> None:
    """Add the command to argparse's subcommands."""
    command = commands.add_parser("data", help="list the data sets and their sources", epilog=EXAMPLE)
    add_data_dir(command)
    add_json(command)


def run_data_command(args: argparse.Namespace) -> int:
    """Print the data sets, or their JSON."""
    listings = data_sets.list_data_sets(data_dir=args.data_dir)
    if args.json:
        print(to_json([listing._asdict() for listing in listings]))
        return 0
    entries = [*listings, *((name, what, "your own") for name, what in OWN_FILES)]
    print(*columns([line for name, what, source in entries for line in ((name, what), ("", source))], 2), sep="\n")
    return 0
