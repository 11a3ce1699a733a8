"""Keep the ratios of a benchmark's run, and compare them with the last run on a machine of the same kind.

    python benchmarks/curvature_products.py --json bench.json
    python benchmarks/record.py bench.json

appends a line to benchmarks/history.jsonl (date, commit, machine, versions, ratios), writes docs/history.md from all
lines, and prints a warning for each ratio that fell by more than 10 % since the last line of the same kind of machine:
processor, number of cores, system and number of threads. It never fails: a ratio of two times on a shared machine can
move by as much. With `--compare` it prints the warnings and keeps nothing. In GitHub's workflows they are annotations.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
HISTORY, PAGE = ROOT / "benchmarks" / "history.jsonl", ROOT / "docs" / "history.md"
FALL = 0.10  # the share that a ratio may fall without a warning; the issue's
PACKAGES = "refhf", "numpy", "scipy", "jax", "torch", "autograd"
KIND = "cpu", "cores", "system", "threads"
RATE = "share of the matrix-product rate"
HEAD = """# How the speed has moved

`make bench` adds a line to `benchmarks/history.jsonl`, and `python benchmarks/record.py` writes this page from it. A
number is the peer's time over refhf's in one run, above 1 refhf is faster, or the share of the machine's matrix-product
rate that refhf reaches. Only lines of one kind of machine are comparable. `make bench-guard` compares a short run on
one thread with the last line of the kind, and warns of a fall of more than 10 %.
"""


def ratios(results: dict) -> dict[str, float]:
    """The ratios in the JSON of curvature_products.py, by product and peer; of refhf itself, the share of the rate."""
    found = {}
    for figure in results["products"]:
        for row in figure["rows"]:
            if "ms" in row:
                own = row["peer"] == "refhf"
                found[f"{figure['product']}: {RATE if own else row['peer']}"] = row["of_gemm" if own else "ratio"]
    return found


def processor() -> str:
    """The name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def installed(package: str) -> str | None:
    """A package's version, None if it is not there."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def commit() -> str | None:
    """The commit of the working tree, None outside git."""
    try:
        command = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def line_of(results: dict) -> dict:
    """The line of a run on this machine."""
    versions = {"python": platform.python_version()} | {name: installed(name) for name in PACKAGES}
    return {
        "date": time.strftime("%Y-%m-%d"),
        "commit": commit(),
        "machine": {
            "cpu": processor(),
            "cores": os.cpu_count(),
            "system": platform.system(),
            "threads": results["threads"],
        },
        "versions": {name: version for name, version in versions.items() if version},
        "ratios": {name: float(f"{ratio:.3g}") for name, ratio in ratios(results).items()},
    }


def kind(line: dict) -> tuple:
    """The kind of machine that a line was measured on."""
    return tuple(line["machine"][name] for name in KIND)


def falls(line: dict, history: list[dict]) -> list[str]:
    """A sentence for each ratio more than FALL below the last earlier line of the same kind that has it."""
    said = []
    for name, ratio in line["ratios"].items():
        before = next((one for one in reversed(history) if kind(one) == kind(line) and name in one["ratios"]), None)
        if before and ratio < (1 - FALL) * before["ratios"][name]:
            share = 1 - ratio / before["ratios"][name]
            said.append(f"{name}: {ratio:.2f}, {share:.0%} below the {before['ratios'][name]:.2f} of {before['date']}")
    return said


def page(history: list[dict]) -> str:
    """docs/history.md: for each kind of machine a table, a column for each of its last six lines."""
    text = [HEAD]
    for machine in dict.fromkeys(kind(line) for line in history):
        shown = [line for line in history if kind(line) == machine][-6:]
        cpu, cores, system, threads = machine
        text.append(f"## {cpu}, {cores} cores, {system}, {threads} thread{'s' * (threads != 1)}\n")
        text.append(
            "| ratio | " + " | ".join(f"{line['date']} {line['commit'] or ''}".strip() for line in shown) + " |"
        )
        text.append("|---|" + "--:|" * len(shown))
        for name in dict.fromkeys(name for line in shown for name in line["ratios"]):
            cells = [f"{line['ratios'][name]:.2f}" if name in line["ratios"] else "" for line in shown]
            text.append(f"| {name} | {' | '.join(cells)} |")
        text.append(
            "\nVersions of the last: " + ", ".join(" ".join(pair) for pair in shown[-1]["versions"].items()) + ".\n"
        )
    return "\n".join(text)


def read(path: Path = HISTORY) -> list[dict]:
    """The lines of a file, none if there is no file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def record(results: dict, history_path: Path = HISTORY, page_path: Path = PAGE) -> list[str]:
    """Append the line, write the page, and return the warnings."""
    history, line = read(history_path), line_of(results)
    with history_path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    page_path.write_text(page([*history, line]), encoding="utf-8")
    return falls(line, history)


def main(argv: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="the JSON of curvature_products.py")
    parser.add_argument("--compare", action="store_true", help="print the warnings and keep nothing")
    given = parser.parse_args(argv)
    results = json.loads(given.results.read_text(encoding="utf-8"))
    line, history = line_of(results), read(HISTORY)
    warnings = falls(line, history) if given.compare else record(results, HISTORY, PAGE)
    for warning in warnings:
        print(f"{'::warning title=benchmark::' if os.environ.get('GITHUB_ACTIONS') else 'warning: '}{warning}")
    earlier = sum(kind(one) == kind(line) for one in history)
    print(f"{len(warnings)} ratios fell by more than {FALL:.0%}; runs before on such a machine: {earlier}")


if __name__ == "__main__":
    main()
