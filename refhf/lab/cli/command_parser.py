"""The parser of the whole command line."""

import argparse
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

from refhf import checks, hints
from refhf.driver.registry import METHODS
from refhf.lab.cli import (
    check_command,
    classroom_command,
    compare_command,
    data_command,
    info_command,
    lesson_command,
    network_arguments,
    predict_command,
    resumed_arguments,
    saddle_command,
    site_command,
    sweep_command,
    train_command,
    vectors_command,
)
from refhf.lab.runs import output_folder
from refhf.lab.runs.network_choice import completed


class CommandParser(argparse.ArgumentParser):
    """A parser that raises ValueError and accepts no abbreviated flags."""

    def __init__(self, **settings: Any):
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **settings)

    def error(self, message: str) -> NoReturn:
        """Raise argparse's complaint as ValueError, for `main` to print."""
        raise ValueError(message)


def parse_command(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command and its arguments.

    Raises
    ------
    ValueError
        Names what was expected and what was given, with the nearest known name for an unknown one.
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
        flags = re.findall(r"--[\w-]+", commands[args.command].format_usage())
        _refuse(args.command, unknown[0].split("=")[0], flags)
    resumed_arguments.expand_home_folders(args)
    if getattr(args, "resume", None):
        return resumed_arguments.resume_arguments(parser, commands[args.command], argv, args)
    if "network" in args:
        vars(args).update(completed(network_arguments.network_choice(args))._asdict())
    return args


def _refuse(command: str, given: str, flags: Sequence[str]) -> NoReturn:
    """ValueError for an unknown argument; hints at --option if a method has an option of that name."""
    options: Iterable[str] = ()
    if "--option" in flags:
        options = {name for method in METHODS.values() for name in method.options}
    meant = hints.hint(given, flags) or hints.hint(given, sorted(options)).replace("'", "'--option ", 1)
    raise ValueError(f"argument of {command}: expected one of {', '.join(flags)}; got {given!r}{meant}")


def _parser() -> tuple[CommandParser, Mapping[str, argparse.ArgumentParser]]:
    parser = CommandParser(
        prog="refhf",
        description="Hessian-free optimisation and its relatives.",
        epilog=train_command.EXAMPLE,
    )
    parser.add_argument("--version", action="version", version=f"refhf {output_folder.versions()['refhf']}")
    commands = parser.add_subparsers(dest="command", metavar="command")
    train_command.add_train_command(commands)
    compare_command.add_compare_command(commands)
    sweep_command.add_sweep_command(commands)
    predict_command.add_predict_command(commands)
    saddle_command.add_saddle_command(commands)
    classroom_command.add_classroom_command(commands)
    lesson_command.add_lesson_command(commands)
    site_command.add_site_command(commands)
    check_command.add_check_command(commands)
    vectors_command.add_vectors_command(commands)
    data_command.add_data_command(commands)
    info_command.add_info_command(commands)
    return parser, commands.choices
