"""The numbers of measured.jsonl: what a command printed once, and no file of runs keeps."""

import json

from page_numbers import FIGURES

_LINES = [json.loads(line) for line in (FIGURES / "measured.jsonl").read_text(encoding="utf-8").splitlines()]
MEASURED = {line["name"]: line for line in _LINES}


def once(name, key):
    """The number, as the file writes it."""
    return str(MEASURED[name]["values"][key])
