"""The step of `action.yml`: runs `refhf vectors` on some topics, and posts the counts to the job's summary."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

VERDICTS = "passed", "failed", "skipped"
SHOWN = 20  # failures listed in words; our choice


def run_vectors(adapter: str, topics: str, options: Sequence[str]) -> tuple[int, str]:
    """The exit status and the JSON text of `refhf vectors` on these topics; its messages go to standard error."""
    command = [sys.executable, "-m", "refhf", "vectors", "--json", "--adapter", adapter, "--topics", topics, *options]
    run = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", check=False)
    return run.returncode, run.stdout


def summary(report: Mapping[str, Any]) -> str:
    """The counts by topic as a table of Markdown, with the first failures and what they look like."""
    head = ["| topic | pass | fail | skip | digits |", "|---|---|---|---|---|"]
    rows = [_row(name, tally) for name, tally in report["topics"].items()]
    counts = {verdict: sum(tally[verdict] for tally in report["topics"].values()) for verdict in VERDICTS}
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
    status, text = run_vectors(environment["REFHF_ADAPTER"], environment.get("REFHF_TOPICS", ""), options)
    if text:
        told = summary(json.loads(text))
        print(told)
        if file := environment.get("GITHUB_STEP_SUMMARY"):
            with Path(file).open("a", encoding="utf-8") as stream:
                stream.write(told)
    return status


if __name__ == "__main__":
    sys.exit(main(os.environ, sys.argv[1:]))
