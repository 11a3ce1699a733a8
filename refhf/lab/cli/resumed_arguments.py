"""Arguments of a resumed run: those of its start, from any working folder."""

from pathlib import Path

from refhf import checks
from refhf.data.data_sets import NAMES
from refhf.formats import FormatError
from refhf.lab.runs import output_folder
from refhf.text import path_of

MAY_CHANGE = ("steps", "checkpoint_every")
PATHS = ("data_dir", "out", "resume", "target", "skips", "xfails", "network_file")


def expand_home_folders(args):
    """Replace '~' by the home folder, as a shell does."""
    for name in PATHS:
        if getattr(args, name, None):
            setattr(args, name, str(path_of(name, getattr(args, name))))


def with_absolute_paths(args) -> dict:
    """The arguments with absolute data paths, valid in any working folder."""
    named = vars(args).copy()
    for name in ("data", "data_dir"):
        if named[name] and named[name] not in NAMES and (path := Path(named[name]).expanduser()).exists():
            named[name] = str(path.parent.resolve() / path.name)
    return named


def resume_arguments(parser, command, argv, args):
    """The arguments with which the run started, except those that may change."""
    if args.out and Path(args.out).resolve() != Path(args.resume).resolve():
        raise ValueError(f"out: expected none, since a run resumes in its own folder {args.resume}; got {args.out}")
    if args.overwrite:
        raise ValueError(f"overwrite: expected no such flag with --resume {args.resume}; got it")
    path, words = output_folder.command_line(args.resume)
    try:
        began = vars(parser.parse_args(words))
    except ValueError as error:
        raise FormatError(path, f"expected a file that `refhf` wrote; found ({error})") from error
    checks.choice("command", args.command, [began["command"]])
    command.set_defaults(**{name: value for name, value in began.items() if name not in output_folder.OF_THE_MOMENT})
    again = parser.parse_args(argv)
    expand_home_folders(again)
    for name, value in with_absolute_paths(again).items():
        if name not in (*output_folder.OF_THE_MOMENT, *MAY_CHANGE) and value != began[name]:
            raise ValueError(f"{name}: expected {began[name]!r}, as the run in {args.resume} has; got {value!r}")
    again.out = args.resume
    return again
