"""`refhf saddle`: traces methods over a surface and shows which leave the saddle."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from refhf import checks
from refhf.driver.registry import METHODS
from refhf.lab.cli.argument_types import integer_above_0, whole_number
from refhf.lab.plots import run_figures
from refhf.lab.runs import output_folder
from refhf.lab.saddle import saddle_animation, saddle_figure, saddle_page, saddle_table
from refhf.lab.saddle.saddle_methods import DEFAULT_METHODS, SADDLE_METHODS
from refhf.lab.saddle.trajectories import trace_path
from refhf.surfaces.saddles import SURFACES
from refhf.text import columns, name_list

STEPS = 200  # our choice: gradient descent from 1e-9 off the saddle's line reaches a minimum within
ENDINGS = ".png", ".svg", ".pdf", ".gif", ".html"
EXAMPLE = """\
example: print the table and write a page, which needs no network
  refhf saddle --start 1,0 --out saddle.html"""


def add_saddle_command(commands) -> None:
    """Add the command to argparse's subcommands."""
    command = commands.add_parser("saddle", help="show which methods leave a saddle, and why", epilog=_epilog())
    command._negative_number_matcher = re.compile(r"-(?:[\d.]|inf|nan)")  # --start -1,0 is a value, not a flag
    option = command.add_argument
    option("--surface", default="saddle", metavar="S", help="default: %(default)s; see below")
    option("--start", metavar="X,Y", help="start of all methods; default: the surface's own")
    option("--methods", metavar="A,B,C", help=f"default: the first {len(DEFAULT_METHODS)} below")
    option(
        "--steps", default=STEPS, type=integer_above_0, metavar="N", help="most steps of a method; default: %(default)s"
    )
    option("--seed", default=0, type=whole_number, metavar="N", help="random seed; default: %(default)s")
    option("--out", metavar="FILE", help=f"picture, animation or page, by its ending: {', '.join(ENDINGS)}")
    option("--json", action="store_true", help="print JSON")


def _epilog():
    surfaces = columns(((name, surface.description) for name, surface in SURFACES.items()), 2, 2)
    names = columns(((name, describe_method(name)) for name in SADDLE_METHODS), 2, 2)
    return "\n".join([EXAMPLE, "", "surfaces:", *surfaces, "", "methods:", *names])


def describe_method(name: str) -> str:
    """A one-line description of a method of the lab."""
    more = {"delta_0_norm": ", from a random start delta_0", "noise": ", and noise"}
    return METHODS[SADDLE_METHODS[name].method].description + "".join(
        more[option] for option in SADDLE_METHODS[name].options
    )


@np.errstate(over="ignore", invalid="ignore")  # of paths that left the scene the norms may overflow
def run_saddle_command(args) -> int:
    """Print the table or its JSON, and write the file if asked; 2 if it cannot be written."""
    surface = SURFACES[checks.choice("surface", args.surface, SURFACES)]
    names = _names(args.methods)
    start = surface.start if args.start is None else _start(args.start, surface)
    _check_out(args.out, surface)
    paths = [trace_path(surface, name, start, steps=args.steps, seed=args.seed) for name in names]
    if args.json:
        facts = {
            "surface": surface.name,
            "start": list(start),
            "paths": saddle_table.trajectory_rows(paths),
            "out": args.out,
        }
        print(output_folder.to_json(facts))
    else:
        long = "its own start" if args.start is None else "the given start"
        where = saddle_table.format_point(start) if surface.size <= 3 else long
        print(f"{surface.name}: {surface.description}\nfrom {where}, at most {args.steps} steps\n")
        print(saddle_table.trajectory_table(paths))
    if not args.out:
        return 0
    sys.stdout.flush()
    written = run_figures.try_picture(
        lambda: _write(Path(args.out), surface, paths, names, start, args.seed, args.steps), args.out
    )
    if written and not args.json:
        print(f"\nwritten: {args.out}")
    return 0 if written else 2


def _names(given):
    names = list(DEFAULT_METHODS) if given is None else name_list(given)
    for name in names:
        checks.choice("method", name, SADDLE_METHODS)
    checks.distinct("methods", names)
    return names


def _start(text, surface):
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"start: expected {surface.size} numbers with commas between; got {text!r}") from None
    return checks.array("start", numbers, (surface.size,))


def _check_out(out, surface):
    """Refuse a file that cannot be written, before any work."""
    if out is None:
        return
    checks.choice("out: the file's ending", Path(out).suffix.lower(), ENDINGS)
    if Path(out).suffix.lower() == ".html" and surface.window is None:
        flat = ", ".join(name for name, one in SURFACES.items() if one.window)
        raise ValueError(f"out: expected a surface of two parameters for a page, one of {flat}; got {surface.name!r}")
    check_folder(out)


def check_folder(out) -> None:
    """Refuse a file in a folder that does not exist."""
    if not Path(out).absolute().parent.is_dir():
        raise ValueError(f"out: expected a file in a folder that exists; got {str(out)!r}")


def _write(file, surface, paths, names, start, seed, steps):
    kind = file.suffix.lower()
    if kind == ".html":
        text = saddle_page.saddle_page([surface], names, start=start, seed=seed, steps=steps, listen=share_printer())
        file.write_text(text, encoding="utf-8")
    elif kind == ".gif":
        saddle_animation.save_animation(paths, file)
    else:
        run_figures.save_figure(saddle_figure.saddle_figure(paths), file)


def share_printer() -> Callable[[float], None]:
    """A function that says on stderr how much is done: on a terminal each per cent in one line, else each quarter."""
    shown = 0

    def show(done):
        nonlocal shown
        step = 1 if sys.stderr.isatty() else 25
        share = int(done * 100 / step) * step
        if share > shown:
            shown = share
            ends = {"start": "\r", "end": "\n" if share == 100 else ""} if step == 1 else {"start": "", "end": "\n"}
            print(f"{ends['start']}{share} % of the page", end=ends["end"], file=sys.stderr, flush=True)

    return show
