"""Arguments that several commands share: the training problem, the run, and the help on methods."""

import argparse

from refhf import checks
from refhf.driver.registry import METHODS, available_methods
from refhf.lab.cli.argument_types import integer_above_0, method_option, real_number, whole_number
from refhf.lab.cli.network_arguments import add_network_arguments, network_choice
from refhf.lab.runs.network_choice import completed
from refhf.methods.schedules import SCHEDULES
from refhf.model.losses import LOSSES
from refhf.parallel.shards import REDUCTIONS
from refhf.text import columns

# Defaults of a run; our choice, by `make demo`.
STEPS = 25


def add_data_dir(command: argparse.ArgumentParser) -> None:
    """Add --data-dir."""
    command.add_argument(
        "--data-dir", metavar="DIR", help="folder of IDX, CIFAR-10, fsdd files; default: $REFHF_DATA_DIR"
    )


def add_json(command: argparse.ArgumentParser) -> None:
    """Add --json."""
    command.add_argument("--json", action="store_true", help="print JSON")


def add_problem_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments that define the training problem."""
    add = command.add_argument
    add("--data", default="mnist-mini", metavar="D", help="data set, see refhf data; default: %(default)s")
    add_data_dir(command)
    add_network_arguments(command)
    add("--loss", metavar="L", help=f"{', '.join(LOSSES)}; default: softmax for classes, else squared")
    add("--l2", default=0.0, type=real_number, metavar="X", help="weight decay; default: %(default)s")
    add(
        "--option", action="append", default=[], type=method_option, metavar="NAME=VALUE",
        help="option of the method; repeatable",
    )  # fmt: skip
    add("--dtype", default="float32", metavar="T", help="float32 or float64; default: %(default)s")
    add("--quiet", action="store_true", help="show no progress on stderr")


def add_run_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of one training run."""
    add = command.add_argument
    add(
        "--steps", default=STEPS, type=integer_above_0, metavar="N",
        help="steps, epochs for first-order methods; default: %(default)s",
    )  # fmt: skip
    add(
        "--curvature-batch", type=integer_above_0, metavar="B",
        help="cases in a curvature product; default: a tenth, at least 200, or all if fewer",
    )  # fmt: skip
    add("--validation", type=real_number, metavar="S", help="share of the cases held out to test on; default: none")
    add("--damping", type=real_number, metavar="X", help="initial lambda; default: the method's")
    add("--seed", default=0, type=whole_number, metavar="S", help="random seed; default: %(default)s")
    add(
        "--reduction", default="fast", metavar="R",
        help=f"sum over ranks: {', '.join(REDUCTIONS)} (V pieces; else 16); default: %(default)s",
    )  # fmt: skip
    add(
        "--checkpoint-every", default=10, type=whole_number, metavar="N",
        help="steps between checkpoints; 0: only at the end; default: %(default)s",
    )  # fmt: skip
    add("--resume", metavar="DIR", help="resume the run in DIR; a larger --steps extends it")
    add("--out", metavar="DIR", help="write history, parameters and figure to DIR; default: write nothing")
    add("--overwrite", action="store_true", help="allow --out to be a folder that is not empty")


def methods_epilog(example: str) -> str:
    """The example, the methods and their options, as the end of a help text."""
    lines = [example, "", "methods:", *columns(available_methods().items(), 2, 2), "", "options:"]
    owners: dict[tuple[str, ...], list[str]] = {}
    for name, method in METHODS.items():
        owners.setdefault(method.options, []).append(name)
    lines += [f"  {', '.join(names)}:\n    {', '.join(options)}" for options, names in owners.items()]
    lines += ["", f"learning_rate is a number, or the name of a schedule: {', '.join(SCHEDULES)}"]
    lines += ["refhf info METHOD says what each option means, and its default"]
    return "\n".join(lines)


def check_problem(args: argparse.Namespace) -> None:
    """ValueError for a setting of the problem that is unknown or out of range, before the data is read."""
    completed(network_choice(args))
    checks.choice("dtype", args.dtype, ("float32", "float64"))
    if args.loss:
        checks.choice("loss", args.loss, LOSSES)
    checks.real("l2", args.l2, low=0.0)
