"""The test suite on other kernels, versions, settings and users, cell by cell, and one table of the outcomes.

    python tests/portability.py [--quick] [--only CELL,CELL] [--limit SECONDS] [TEST_FILE ...]
    python tests/portability.py --here --quick --only kernel-Prescott-1,kernel-Haswell-1

A cell runs what is committed, in a clone of its own below the folder for temporary files; cells that differ by
environment variables alone share one. The outcome is a line of docs/portability.jsonl, of which docs/portability.md is
made after each cell: the last line of a cell counts. A cell that has passed at this commit is not run again unless it
is named. `--quick` runs the numerical test files alone, and the table says so. With test files a cell runs these, and
neither file is written. `--here` runs the cells in this checkout with this Python: nothing is installed or written. The
exit status is 1 if a cell failed.

An `OPENBLAS_CORETYPE` that is set already is taken for the machine's need: no other kernel is run then.
"""

import argparse
import contextlib
import json
import os
import pathlib
import platform
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from xml.etree import ElementTree

from portability_cells import NUMERICAL, cells, clean, probe

ROOT = pathlib.Path(__file__).parents[1]
LINES, TABLE = ROOT / "docs" / "portability.jsonl", ROOT / "docs" / "portability.md"
WORK = pathlib.Path(tempfile.gettempdir()) / f"refhf-portability-{os.getuid()}"
NOBODY = {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid, "extra_groups": []}
HEAD = """# Portability

Made by `make portability`; processor: {processor}. A row is the suite in one cell; the kernels are those that were
loaded, by NumPy and by SciPy where they differ, with their numbers of threads.

| cell | tests | Python | NumPy | SciPy | Matplotlib | BLAS | outcome | passed | skipped | failed | commit |
|---|---|---|---|---|---|---|---|---|---|---|---|
"""


def git(*arguments):
    """The output of a git command in the repository."""
    return subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True, check=True).stdout.strip()


def prepare(home):
    """Checkout and interpreter of a home, made anew unless they are there for this commit."""
    place, commit = WORK / home.name, git("rev-parse", "HEAD")
    folder, stamp, python = place / "refhf", place / "commit", place / "venv" / "bin" / "python"
    if stamp.exists() and stamp.read_text() == commit:
        return folder, str(python)
    place.mkdir(parents=True, exist_ok=True)
    if folder.exists():
        shutil.rmtree(folder)
    git("clone", "--quiet", "--no-hardlinks", ROOT, folder)
    if not python.exists():
        subprocess.run([home.python, "-m", "venv", python.parents[1]], check=True)
    needs = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    constraints = place / "constraints.txt"
    constraints.write_text("\n".join(need.replace(">=", "==") for need in needs) if home.lowest else "")
    editable = ["--editable"] if home.editable else []
    install = [python, "-m", "pip", "install", "--quiet", "--constraint", constraints, "pytest-random-order"]
    subprocess.run([*install, *editable, f"{folder}{home.extras}"], check=True)
    if not home.editable:
        subprocess.run(["chmod", "-R", "a-w", folder], check=True)
    elif home.nobody and os.getuid() == 0:
        subprocess.run(["chown", "-R", "nobody", folder], check=True)
    stamp.write_text(commit)
    return folder, str(python)


def run(cell, files, limit, here):
    """The outcome of a cell."""
    folder, python = (ROOT, sys.executable) if here else prepare(cell.home)
    with tempfile.TemporaryDirectory() as scratch:
        os.chmod(scratch, 0o777)
        report = pathlib.Path(scratch) / "report.xml"
        options = ["-q", "-n", "auto", f"--junitxml={report}", *cell.arguments]
        if not cell.home.editable:  # from elsewhere: in the checkout, its own package would be found first
            files = [folder / file for file in files or ["tests"]]
            options += ["-c", folder / "pyproject.toml", f"--ignore={folder / 'tests' / 'crosscheck'}"]
        process = subprocess.Popen(
            [python, "-m", "pytest", *options, *files],
            cwd=folder if cell.home.editable else scratch,
            env=clean() | {"OPENBLAS_NUM_THREADS": "1", "TMPDIR": scratch} | cell.environment,
            start_new_session=True,
            **(NOBODY if cell.home.nobody and os.getuid() == 0 else {}),
        )
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            print(f"no end after {limit} s")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        counts = read(report)
    ran = probe(python, **cell.environment)
    outcome = {0: "passed", 1: "failed", None: "no end"}.get(process.returncode, f"status {process.returncode}")
    return {"outcome": outcome, **counts, "ran": ran}


def read(report):
    """Counts of tests, and the names of those that failed, from pytest's report."""
    if not report.exists():
        return {"tests": 0, "skipped": 0, "failing": []}
    suite = ElementTree.parse(report).getroot()[0]
    bad = [case for case in suite if case.find("failure") is not None or case.find("error") is not None]
    names = [f"{case.get('classname')}::{case.get('name')}" for case in bad]
    return {"tests": int(suite.get("tests")), "skipped": int(suite.get("skipped")), "failing": names}


def processor():
    """The processor's name, where the system tells it."""
    told = pathlib.Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*:\s*(.+)", told.read_text()) if told.exists() else []
    return f"{names[0]} ({platform.machine()})" if names else platform.machine()


def table(outcomes, order):
    """docs/portability.md: a row a cell, then what fails."""
    rows, failing = [], []
    for name in order:
        if line := outcomes.get(name):
            ran = line["ran"]
            facts = (
                line["meaning"],
                line["tests_run"],
                *(ran[key] for key in ("python", "numpy", "scipy", "matplotlib")),
            )
            blas = ", ".join(dict.fromkeys(f"{kernel} x {threads}" for kernel, threads in ran["blas"])) or "-"
            passed = line["tests"] - line["skipped"] - len(line["failing"])
            counts = f"{passed} | {line['skipped']} | {len(line['failing'])}"
            row = *map(str, facts), blas, line["outcome"], counts, line["commit"]
            rows.append(f"| {' | '.join(row)} |")
            failing += [f"* {line['meaning']}: `{test}`" for test in line["failing"]]
    TABLE.write_text(HEAD.format(processor=processor()) + "\n".join([*rows, "", *failing]).rstrip() + "\n")


def main():
    """Run the cells, and write the table after each."""
    parser = argparse.ArgumentParser(description="Run the tests on other kernels, versions, settings and users.")
    parser.add_argument("--only", help="cells, separated by commas; all that have not passed at this commit if none")
    parser.add_argument("--quick", action="store_true", help="only the numerical test files")
    parser.add_argument("--here", action="store_true", help="in this checkout, with this Python")
    parser.add_argument("--limit", type=float, default=3600.0, help="seconds for a cell")
    parser.add_argument("files", nargs="*", help="test files")
    given = parser.parse_args()
    files = [*given.files, *(NUMERICAL if given.quick else ())]
    keep, failed = not (given.files or given.here), []
    offered = {cell.name: cell for cell in cells(given.here)}
    wanted = given.only.split(",") if given.only else list(offered)
    lines = map(json.loads, LINES.read_text().splitlines()) if LINES.exists() else ()
    outcomes, commit = {line["cell"]: line for line in lines}, git("rev-parse", "--short=10", "HEAD")
    for name in wanted:
        if name not in offered and name.startswith("kernel-"):
            print(f"== {name}: not on this machine", flush=True)
            continue
        if name not in offered:
            parser.error(f"only: expected cells among {', '.join(offered)}; got {name!r}")
        done = outcomes.get(name, {})
        enough = given.quick or done.get("tests_run") == "all"
        if keep and enough and not given.only and (done.get("outcome"), done.get("commit")) == ("passed", commit):
            continue
        cell = offered[name]
        print(f"== {name}: {cell.meaning}", flush=True)
        outcome = run(cell, files, given.limit, given.here)
        failed += [name] if outcome["outcome"] != "passed" else []
        if keep:
            facts = {"cell": name, "meaning": cell.meaning, "commit": commit}
            outcomes[name] = {**facts, "tests_run": "numerical" if given.quick else "all", **outcome}
            with LINES.open("a") as file:
                file.write(json.dumps(outcomes[name]) + "\n")
            table(outcomes, offered)
    print(f"failed: {', '.join(failed) or 'none'}")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
