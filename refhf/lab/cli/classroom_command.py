"""`refhf classroom`: opens the page of the saddle lab with an engine, or writes it as one file without."""

import argparse
import contextlib
import sys
from pathlib import Path
from typing import Any

from refhf import checks
from refhf.lab.cli.argument_types import whole_number
from refhf.lab.cli.saddle_command import check_folder, share_printer
from refhf.lab.plots import run_figures
from refhf.lab.saddle import page_requests, saddle_page
from refhf.lab.saddle.saddle_methods import DEFAULT_METHODS

EXAMPLE = """\
The page asks which methods leave a saddle, and shows them. It is served to this machine alone, until Ctrl-C.

example: write it as a file for a machine without Python; its starts and sliders snap to what was computed
  refhf classroom --out classroom.html"""


def add_classroom_command(commands: Any) -> None:
    """Add the command to argparse's subcommands."""
    command = commands.add_parser("classroom", help="open the page of saddles for a class", epilog=EXAMPLE)
    command.add_argument("--out", metavar="FILE", help="write the page as one .html file, in about a minute")
    command.add_argument(
        "--port", default=0, type=whole_number, metavar="N", help="port of the server; default: a free one"
    )
    command.add_argument("--no-browser", action="store_true", help="print the address, and open no browser")
    command.add_argument("--lessons", default="", metavar="URL", help="folder of the site's lessons, for links")


def run_classroom_command(args: argparse.Namespace) -> int:
    """Write the file, or serve the page until Ctrl-C; 2 if the file cannot be written.

    Raises
    ------
    ValueError
        For a file of another ending, a folder that is not there, or a port that is not free.
    """
    if args.out:
        return _write(Path(args.out), args.lessons)
    return _serve(args.port, not args.no_browser)


def _serve(port, opens):
    import webbrowser

    from refhf.lab.saddle import page_server  # sockets, which Python in a browser lacks

    try:
        server = page_server.page_server(DEFAULT_METHODS, port)
    except (OSError, OverflowError) as error:
        raise ValueError(f"port: expected a free one, or 0 for any; got {port} ({error})") from None
    address = f"http://{page_server.HOST}:{server.server_port}/"
    with server:
        print(f"{address}\nCtrl-C ends it", flush=True)
        if opens:
            webbrowser.open(address)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
    return 0


def _write(file, lessons):
    checks.choice("out: the file's ending", file.suffix.lower(), (".html",))
    check_folder(file)
    surfaces = list(page_requests.FLAT_SURFACES.values())
    written = run_figures.try_picture(
        lambda: file.write_text(
            saddle_page.saddle_page(surfaces, DEFAULT_METHODS, lessons=lessons, listen=share_printer()),
            encoding="utf-8",
        ),
        str(file),
    )
    if written:
        sys.stdout.write(f"written: {file}\n")
    return 0 if written else 2
