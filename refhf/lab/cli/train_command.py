"""`refhf train`: trains a network by one method."""

import argparse
from typing import Any

from refhf.driver.registry import DEFAULT_METHOD
from refhf.lab.cli import shared_arguments
from refhf.lab.cli.training_session import run_training
from refhf.parallel.communicator import Communicator

EXAMPLE = """\
example: ten steps of Hessian-free optimisation on the bundled digits, with a figure in ./run
  refhf train --method hessian-bicgstab --steps 10 --out run
the same on four ranks of one machine or of a cluster
  mpiexec -n 4 refhf train --method hessian-bicgstab --steps 10 --out run"""


def add_train_command(commands: Any) -> None:
    """Add the command to argparse's subcommands."""
    epilog = shared_arguments.methods_epilog(EXAMPLE)
    command = commands.add_parser("train", help="train a network by one method", epilog=epilog)
    command.add_argument("--method", type=str.strip, default=DEFAULT_METHOD, help="default: %(default)s; see below")
    shared_arguments.add_problem_arguments(command)
    shared_arguments.add_run_arguments(command)
    shared_arguments.add_json(command)


def run_train_command(args: argparse.Namespace, comm: Communicator) -> int:
    """Train; the exit status. Errors as `run_training`."""
    return run_training(args, [args.method], comm)
