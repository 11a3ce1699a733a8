"""`refhf site`: serves the site that `make site` built, to this machine only."""

import argparse
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from refhf.lab.cli.argument_types import whole_number

LOOPBACK, PORT = "127.0.0.1", 8000  # our choice


class SiteHandler(SimpleHTTPRequestHandler):
    """A handler that is silent, and names the types of a site's files the same on each system."""

    extensions_map = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}

    def end_headers(self) -> None:
        """Let the browser keep files, and ask each time whether they have changed."""
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


def add_site_command(commands: Any) -> None:
    """Add the command to argparse's subcommands."""
    command = commands.add_parser("site", help="serve the built site to this machine, until Ctrl-C")
    folder = Path("build", "site", "html")
    command.add_argument("folder", nargs="?", type=Path, default=folder, help="default: build/site/html")
    command.add_argument("--port", type=whole_number, default=PORT, metavar="N", help=f"default: {PORT}; 0: a free one")


def run_site_command(args: argparse.Namespace) -> int:
    """Print the address and serve the folder.

    Raises
    ------
    ValueError
        For a folder without a site, or a port that is taken.
    """
    if not (args.folder / "index.html").is_file():
        raise ValueError(f"folder: expected a site, as built by make site; got {args.folder}, without index.html")
    try:
        server = ThreadingHTTPServer((LOOPBACK, args.port), partial(SiteHandler, directory=str(args.folder)))
    except (OSError, OverflowError) as error:
        raise ValueError(f"port: expected a free port, below 65536; got {args.port} ({error})") from None
    with server:
        print(f"http://{LOOPBACK}:{server.server_port}/", flush=True)
        server.serve_forever()
    return 0
