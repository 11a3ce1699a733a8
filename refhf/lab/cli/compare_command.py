"""`refhf compare`: trains one network by several methods from the same start."""

import argparse
from typing import Any

from refhf.lab.cli import shared_arguments
from refhf.lab.cli.training_session import run_training
from refhf.parallel.communicator import Communicator
from refhf.text import name_list

METHODS = "gn-cg,hessian-cg,hybrid-cg,hessian-bicgstab,sgd"  # our choice, by `make demo`
EXAMPLE = """\
example: the four Hessian-free methods and SGD from the same start, side by side in ./demo
  refhf compare --methods gn-cg,hessian-cg,hybrid-cg,hessian-bicgstab,sgd --out demo"""


def add_compare_command(commands: Any) -> None:
    """Add the command to argparse's subcommands."""
    epilog = shared_arguments.methods_epilog(EXAMPLE)
    command = commands.add_parser("compare", help="train by several methods from one start", epilog=epilog)
    command.add_argument(
        "--methods", type=name_list, default=METHODS, metavar="A,B,C", help="default: %(default)s; see below"
    )
    shared_arguments.add_problem_arguments(command)
    shared_arguments.add_run_arguments(command)
    shared_arguments.add_json(command)


def run_compare_command(args: argparse.Namespace, comm: Communicator) -> int:
    """Train by each method; the exit status. Errors as `run_training`."""
    return run_training(args, args.methods, comm)
