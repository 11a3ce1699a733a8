"""The step of `action.yml`: runs `refhf vectors` on some topics, and posts the counts to the job's summary."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from refhf import checks
from refhf.conformance.vectors.load_vectors import load

VERDICTS = "passed", "failed", "skipped"
SHOWN = 20  # failures listed in words; our choice


def chosen_topics(given: str) -> list[str]:
    """The topics of a list, with spaces or commas between them; all if it is empty.

    Raises
    ------
    ValueError
        For a topic that there is not, with the nearest one.
    """
    known = list(dict.fromkeys(vector.topic for vector in load()))
    return [checks.choice("topics", name, known) for name in given.replace(",", " ").split()] or known


def run_vectors(adapter: str, topics: Collection[str], options: Sequence[str]) -> tuple[int, str]:
    """The exit status and the JSON text of `refhf vectors` on these topics; its messages go to standard error."""
    others = [vector.id for vector in load() if vector.topic not in topics]
    with tempfile.TemporaryDirectory() as folder:
        skips = Path(folder, "skips")
        skips.write_text("\n".join(others), encoding="utf-8")
        command = [sys.executable, "-m", "refhf", "vectors", "--json", "--adapter", adapter, *options]
        run = subprocess.run([*command, "--skips", str(skips)], stdout=subprocess.PIPE, encoding="utf-8", check=False)
    return run.returncode, run.stdout


def summary(report: Mapping[str, Any], topics: Collection[str]) -> str:
    """The counts by topic as a table of Markdown, with the first failures and what they look like."""
    head = ["| topic | pass | fail | skip | digits |", "|---|---|---|---|---|"]
    rows = [_row(name, tally) for name, tally in report["topics"].items() if name in topics]
    counts = {verdict: sum(report["topics"][name][verdict] for name in topics) for verdict in VERDICTS}
    lines = ["### refhf vectors: " + ", ".join(f"{n} {verdict}" for verdict, n in counts.items()), "", *head, *rows]
    if failed := [result for result in report["results"] if result["verdict"] == "fail"]:
        lines += ["", *(f"* `{result['id']}`: {_plain(result['reason'])}" for result in failed[:SHOWN])]
        lines += [f"* and {len(failed) - SHOWN} more"] * (len(failed) > SHOWN)
    return "\n".join(lines) + "\n"


def _row(name: str, tally: Mapping[str, Any]) -> str:
    digits = "" if tally["digits"] is None else f"{tally['digits']:.1f}"
    return f"| {name} | {tally['passed']} | {tally['failed']} | {tally['skipped']} | {digits} |"


def _plain(text: str) -> str:
    """An adapter's words without marks of Markdown or HTML."""
    return "".join(f"\\{c}" if c in "\\`*_[]<>|&#" else c for c in " ".join(text.split()))


def main(environment: Mapping[str, str], options: Sequence[str]) -> int:
    """Run the step; the exit status is that of `refhf vectors`."""
    try:
        topics = chosen_topics(environment.get("REFHF_TOPICS", ""))
    except ValueError as error:
        print(f"action: {error}", file=sys.stderr)
        return 2
    status, text = run_vectors(environment["REFHF_ADAPTER"], topics, options)
    if text:
        told = summary(json.loads(text), topics)
        print(told)
        if file := environment.get("GITHUB_STEP_SUMMARY"):
            with Path(file).open("a", encoding="utf-8") as stream:
                stream.write(told)
    return status


if __name__ == "__main__":
    sys.exit(main(os.environ, sys.argv[1:]))
