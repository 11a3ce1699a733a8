"""`refhf lesson`: lists the tutorials, or writes one to the current folder as a script or a notebook."""

import argparse
import re
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from refhf.lab.cli.argument_types import whole_number
from refhf.lab.cli.shared_arguments import add_json
from refhf.lab.runs.output_folder import to_json
from refhf.text import columns

EXAMPLE = """\
example: write lesson 3, and run it
  refhf lesson 3
  python 03_krylov.py"""


def add_lesson_command(commands: Any) -> None:
    """Add the command to argparse's subcommands."""
    command = commands.add_parser("lesson", help="list the lessons; write one as a script or notebook", epilog=EXAMPLE)
    command.add_argument("number", nargs="?", type=whole_number, metavar="N", help="write this one; default: list all")
    command.add_argument("--notebook", action="store_true", help="write a Jupyter notebook; needs jupytext")
    add_json(command)


def run_lesson_command(args: argparse.Namespace) -> int:
    """Print the lessons, or write one and print the file's name; or their JSON.

    Raises
    ------
    ValueError
        For a lesson that is not there, or one of that name in the current folder.
    """
    found = lessons()
    if args.number is None:
        if args.notebook:
            raise ValueError(f"number: expected the lesson to write, one of {_numbers(found)}; got none")
        titles = {number: lesson_title(file.read_text(encoding="utf-8")) for number, file in found.items()}
        rows = [{"number": n, "title": titles[n], "file": found[n].name} for n in found]
        lines = columns([(str(n), title) for n, title in titles.items()], 2)
        print(to_json(rows) if args.json else "\n".join([*lines, "", "refhf lesson N writes lesson N to this folder"]))
        return 0
    if args.number not in found:
        raise ValueError(f"number: expected a lesson, one of {_numbers(found)}; got {args.number}")
    text = found[args.number].read_text(encoding="utf-8")
    path = Path(found[args.number].name).with_suffix(".ipynb" if args.notebook else ".py")
    if path.exists():
        raise ValueError(f"number: expected a folder without {path}, which is not overwritten; got one with it")
    content = notebook_text(text) if args.notebook else text
    with open(path, "x", encoding="utf-8", newline="\n") as file:
        file.write(content)
    runner = "jupyter lab" if args.notebook else "python"
    facts = {"number": args.number, "title": lesson_title(text), "file": path.name}
    print(to_json(facts) if args.json else f"written: {path}\nrun it: {runner} {path}")
    return 0


def lessons() -> dict[int, Traversable]:
    """The lessons' scripts by number: in an installed package refhf/lessons, in a checkout tutorials."""
    package = resources.files("refhf")
    folder = package / "lessons"
    if not folder.is_dir():
        folder = Path(str(package)).parent / "tutorials"
    files = [file for file in folder.iterdir() if re.fullmatch(r"\d\d_\w+\.py", file.name)]
    return {int(file.name[:2]): file for file in sorted(files, key=lambda file: file.name)}


def lesson_title(text: str) -> str:
    """The first heading of a lesson, without its number."""
    return re.sub(r"^\d+\. ", "", text.split("\n# # ")[1].splitlines()[0])


def notebook_text(text: str) -> str:
    """The lesson as a Jupyter notebook."""
    try:
        import jupytext
    except ImportError:
        raise ValueError("notebook: expected jupytext, pip install 'refhf[notebook]'; got none") from None
    notebook = jupytext.reads(text, fmt="py:percent")
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return jupytext.writes(notebook, fmt="ipynb")


def _numbers(found: dict[int, Traversable]) -> str:
    return ", ".join(map(str, found))
