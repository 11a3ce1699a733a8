"""The arguments of the command line: their defaults, their meaning, and the complaints about them."""

import argparse
import re
from collections.abc import Sequence

from refhf import checks
from refhf.driver.registry import DEFAULT_METHOD, METHODS, available_methods
from refhf.lab.cli import check_command, resumed_arguments, vectors_command
from refhf.lab.cli import saddle_command as saddle
from refhf.lab.runs import output_folder
from refhf.methods.schedules import SCHEDULES
from refhf.model.elementwise import NONLINEARITIES
from refhf.model.losses import LOSSES
from refhf.parallel.shards import REDUCTIONS
from refhf.text import columns, name_list

# What a run does unless it is told otherwise; our choice, by `make demo`.
STEPS = 25
CURVATURE_BATCH = 1000  # or all the cases, if fewer
COMPARE_METHODS = "gn-cg,hessian-cg,hybrid-cg,hessian-bicgstab,sgd"

TRAIN_EXAMPLE = """\
example: ten steps of Hessian-free optimisation on the bundled digits, with a figure in ./run
  refhf train --method hessian-bicgstab --steps 10 --out run
the same on four ranks, of one machine or a cluster
  mpiexec -n 4 refhf train --method hessian-bicgstab --steps 10 --out run"""
COMPARE_EXAMPLE = """\
example: the four Hessian-free methods and SGD from the same start, side by side in ./demo
  refhf compare --methods gn-cg,hessian-cg,hybrid-cg,hessian-bicgstab,sgd --out demo"""
SWEEP_EXAMPLE = """\
example: two methods at three batch sizes from five starts, and sgd at the best of three rates
  refhf sweep --methods sgd,gn-cg --batches 128,512,2048 --grid learning_rate=0.03,0.1,0.3 --epochs 20 --out sweep"""
DATA_EXAMPLE = "example: where each data set would come from\n  refhf data --data-dir ~/mnist"
INFO_EXAMPLE = "example: what to put into a report of a problem\n  refhf info"


class Parser(argparse.ArgumentParser):
    """Complaints are ValueErrors; flags are not guessed from their beginnings."""

    def __init__(self, **settings):
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **settings)

    def error(self, message):
        """Raise what argparse found, for `main` to print."""
        raise ValueError(message)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The command and its arguments.

    Raises
    ------
    ValueError
        Naming what was expected and what came, with the nearest name for one that is not known.
    SystemExit
        After --help and --version.
    """
    parser, commands = _parser()
    if not argv:
        raise ValueError(f"command: expected one of {', '.join(commands)}; got none (see refhf --help)")
    if argv[0] not in ("-h", "--help", "--version"):
        checks.choice("command", argv[0], commands)
    args, unknown = parser.parse_known_args(argv)
    if unknown:
        _refuse(args.command, unknown[0].split("=")[0], re.findall(r"--[\w-]+", commands[args.command].format_usage()))
    resumed_arguments.find_homes(args)
    if getattr(args, "resume", None):
        return resumed_arguments.resumed(parser, commands[args.command], argv, args)
    return args


def _refuse(command, given, flags):
    """ValueError for an argument that the command does not have, which may be an option of its methods."""
    options = {name for method in METHODS.values() for name in method.options} if "--option" in flags else ()
    meant = checks.hint(given, flags) or checks.hint(given, sorted(options)).replace("'", "'--option ", 1)
    raise ValueError(f"argument of {command}: expected one of {', '.join(flags)}; got {given!r}{meant}")


def _parser():
    parser = Parser(prog="refhf", description="Hessian-free optimisation and its relatives.", epilog=TRAIN_EXAMPLE)
    parser.add_argument("--version", action="version", version=f"refhf {output_folder.versions()['refhf']}")
    commands = parser.add_subparsers(dest="command", metavar="command")
    train = commands.add_parser("train", help="train a network by one method", epilog=_epilog(TRAIN_EXAMPLE))
    train.add_argument("--method", type=str.strip, default=DEFAULT_METHOD, help="default: %(default)s; see below")
    compare = commands.add_parser("compare", help="several methods from one start", epilog=_epilog(COMPARE_EXAMPLE))
    compare.add_argument(
        "--methods", type=name_list, default=COMPARE_METHODS, metavar="A,B,C", help="default: %(default)s; see below"
    )
    sweep = commands.add_parser("sweep", help="methods x batch sizes x seeds", epilog=_epilog(SWEEP_EXAMPLE))
    for command in train, compare, sweep:
        _add_problem_arguments(command)
    for command in train, compare:
        _add_run_arguments(command)
    _add_sweep_arguments(sweep)
    saddle.add(commands)
    check_command.add(commands)
    vectors_command.add(commands)
    listing = commands.add_parser("data", help="the data sets and where they come from", epilog=DATA_EXAMPLE)
    listing.add_argument("--data-dir", metavar="DIR", help="folder of IDX or CIFAR-10 files; default: $REFHF_DATA_DIR")
    info = commands.add_parser("info", help="versions, BLAS, threads, MPI", epilog=INFO_EXAMPLE)
    for command in train, compare, sweep, listing, info:
        command.add_argument("--json", action="store_true", help="print JSON")
    return parser, commands.choices


def _add_problem_arguments(command):
    add = command.add_argument
    add("--data", default="mnist-mini", metavar="D", help="see refhf data; default: %(default)s")
    add("--data-dir", metavar="DIR", help="folder of IDX or CIFAR-10 files; default: $REFHF_DATA_DIR")
    add("--hidden", default="400,150", type=_widths, metavar="N,N", help="hidden widths, or none; default: %(default)s")
    add("--nonlinearity", default="tanh", metavar="F", help=f"{', '.join(NONLINEARITIES)}; default: %(default)s")
    add("--loss", metavar="L", help=f"{', '.join(LOSSES)}; default: by the data, softmax or squared")
    add("--l2", default=0.0, type=_number, metavar="X", help="weight decay; default: %(default)s")
    add("--option", action="append", default=[], type=_option, metavar="NAME=VALUE", help="of the method; repeatable")
    add("--dtype", default="float32", metavar="T", help="float32 or float64; default: %(default)s")
    add("--quiet", action="store_true", help="no progress on stderr")


def _add_run_arguments(command):
    add = command.add_argument
    add("--steps", default=STEPS, type=_positive, metavar="N", help="epochs for sgd; default: %(default)s")
    add("--curvature-batch", type=_positive, metavar="B", help=f"cases; default: {CURVATURE_BATCH}, or all if fewer")
    add("--damping", type=_number, metavar="X", help="the first lambda; default: the method's")
    add("--seed", default=0, type=_whole, metavar="S", help="of the start and of every draw; default: %(default)s")
    add("--reduction", default="fast", metavar="R", help=f"over ranks: {', '.join(REDUCTIONS)}; default: %(default)s")
    add("--checkpoint-every", default=10, type=_whole, metavar="N", help="steps, 0: at the end; default: %(default)s")
    add("--resume", metavar="DIR", help="go on with the run in DIR; with --steps for longer")
    add("--out", metavar="DIR", help="write history, parameters and figure here; default: nothing is written")
    add("--overwrite", action="store_true", help="write into a folder that is not empty")


def _add_sweep_arguments(command):
    add = command.add_argument
    add("--methods", required=True, type=name_list, metavar="A,B,C", help="see below")
    add("--batches", required=True, type=_list(_positive), metavar="B,B", help="batch, or curvature_batch, of a method")
    add("--seeds", default=5, type=_positive, metavar="N", help="0 to N - 1; default: %(default)s")
    add("--steps", type=_positive, metavar="N", help="end of a run; epochs for sgd and its like")
    add("--epochs", type=_number, metavar="N", help="or its end in effective passes over the data")
    add("--grid", action="append", default=[], type=_grid, metavar="NAME=V,V", help="an option's values, to try all")
    add("--targets", default=[], type=_list(_number), metavar="E,E", help="training errors: when are they reached?")
    add("--stop-at-target", action="store_true", help="a run ends once it has reached them all")
    add("--out", required=True, metavar="DIR", help="where the lines and the picture go; a run that is there is kept")


def _epilog(example):
    """The example, the methods, and their options."""
    lines = [example, "", "methods:", *columns(available_methods().items(), 2, 2), "", "options:"]
    owners = {}
    for name, method in METHODS.items():
        owners.setdefault(method.options, []).append(name)
    lines += [f"  {', '.join(names)}:\n    {', '.join(options)}" for options, names in owners.items()]
    lines += ["", f"learning_rate is a number, or the name of a schedule: {', '.join(SCHEDULES)}"]
    return "\n".join(lines)


def check_problem(args) -> None:
    """ValueError for a setting of the problem that is unknown or out of range, before the data is read."""
    checks.choice("nonlinearity", args.nonlinearity, NONLINEARITIES)
    checks.choice("dtype", args.dtype, ("float32", "float64"))
    if args.loss:
        checks.choice("loss", args.loss, LOSSES)
    checks.real("l2", args.l2, low=0.0)


def once(pairs) -> dict:
    """As a dict; ValueError for a name given twice."""
    found = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name}: expected one value; got {found[name]!r} and {value!r}")
        found[name] = value
    return found


def _integer(text, low):
    try:
        value = int(text)
    except ValueError:
        value = low - 1
    if value < low:
        raise argparse.ArgumentTypeError(f"expected an integer >= {low}; got {text!r}")
    return value


def _positive(text):
    return _integer(text, 1)


def _whole(text):
    return _integer(text, 0)


def _number(text):
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number; got {text!r}") from None


def _widths(text):
    """'400,150' -> [400, 150]; 'none' -> []."""
    try:
        return [] if text == "none" else [_positive(width) for width in text.split(",")]
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"expected widths >= 1 as in 400,150, or none; got {text!r}") from None


def _list(kind):
    """What reads '1,2,3' as a list of that kind."""
    return lambda text: [kind(part) for part in text.split(",")]


def _grid(text):
    """'name=1,2,3' -> (name, [1, 2, 3]), its values as `_option` reads them."""
    name, _, values = text.partition("=")
    if not (name and values and all(values.split(","))):
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE,VALUE; got {text!r}")
    pairs = [_option(f"{name}={value}") for value in values.split(",")]
    return pairs[0][0], [value for _, value in pairs]


def _option(text):
    """'name=value' -> (name, value), the value None, a bool, an int, a float or the text itself."""
    name, equals, value = text.partition("=")
    name, value = name.strip().replace("-", "_"), value.strip()
    if not (name and equals and value):
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE; got {text!r}")
    words = {"none": None, "true": True, "false": False}
    if value.lower() in words:
        return name, words[value.lower()]
    for kind in int, float:
        try:
            return name, kind(value)
        except ValueError:
            continue
    return name, value
