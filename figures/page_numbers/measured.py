"""The numbers of measured.jsonl: what a command printed once, and no file of runs keeps."""

from page_numbers import FIGURES
from refhf.lab.runs.json_lines import read_json_lines

MEASURED = {line["name"]: line for line in read_json_lines(FIGURES / "measured.jsonl")}


def once(name, key):
    """The number, as the file writes it."""
    return str(MEASURED[name]["values"][key])
