"""Check other libraries' curvature products and solvers; write results.json and README.md. Run by `make scoreboard`.

    python benchmarks/scoreboard/run.py                     # everything that is installed
    python benchmarks/scoreboard/run.py --only torch,scipy  # these libraries; the other rows stay as they are
    python benchmarks/scoreboard/run.py --page              # the page alone, from results.json
    python benchmarks/scoreboard/run.py --reproduce ID      # the reproduction in reports/ID.md

Each adapter runs in its own process, so that libraries cannot disturb each other.
"""

import argparse
import contextlib
import importlib.metadata
import inspect
import io
import json
import os
import platform
import re
import runpy
import subprocess
import sys
import time
import warnings
from datetime import date
from pathlib import Path

import numpy as np
import page
import problems
import solver_laws

import refhf

HERE = Path(__file__).parent
LIMIT = 1800  # seconds an adapter may take
RIGHT, WRONG, ABSENT = "right", "wrong", "not offered"


def as_cell(report, seconds: float) -> dict:
    """A check's report in JSON types."""
    found = report.to_dict()
    laws = []
    for finding in found["findings"]:
        figures = {name: finding[name] and round(finding[name], 1) for name in ("digits", "needed")}
        verdict = RIGHT if finding["passed"] else WRONG
        laws.append({"law": finding["law"], "verdict": verdict, **figures, "worst": finding["worst"]})
    diagnosis = [str(cause) for cause in report.causes]
    verdict = RIGHT if report.passed else WRONG
    return {"verdict": verdict, "laws": laws, "diagnosis": diagnosis, "remarks": found["remarks"], "seconds": seconds}


def checked(check, *arguments) -> dict:
    """The cell of a check."""
    began = time.perf_counter()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            report = check(*arguments)
    except problems.NotOfferedError as reason:
        return {"verdict": ABSENT, "why": str(reason)}
    return as_cell(report, round(time.perf_counter() - began, 2))


def product_cell(problem, factory) -> dict:
    """The check of a route on a problem."""
    return checked(lambda: problems.check(problem, factory(problem)))


def solver_cells(kind, solver) -> dict:
    """All cells of a solver."""
    cells = {"refhf.check_solver": checked(refhf.check_solver, solver, kind)} if kind else {}
    for topic, law in solver_laws.TOPICS.items():
        if topic == "x0 = solution" and "x0" not in inspect.signature(solver).parameters:
            cells[topic] = {"verdict": ABSENT, "why": "it has no x0"}
        else:
            cells[topic] = checked(law, solver)
    return cells


def rows_of(name: str) -> list[dict]:
    """The rows of an adapter."""
    adapter = runpy.run_path(str(HERE / "adapters" / f"{name}.py"))
    cells: dict[str, dict] = {}
    for curvature, table in (("hessian", "HESSIAN"), ("gauss-newton", "GAUSS_NEWTON")):
        for route, factory in adapter.get(table, {}).items():
            for problem in problems.PROBLEMS:
                if problem.curvature == curvature:
                    cells.setdefault(route, {})[problem.topic] = product_cell(problem, factory)
    for route, (kind, solver) in adapter.get("SOLVERS", {}).items():
        cells[route] = solver_cells(kind, solver)
    library, version = adapter["PACKAGE"], adapter.get("VERSION") or importlib.metadata.version(adapter["PACKAGE"])
    return [
        {
            "adapter": name,
            "library": library,
            "route": route,
            "version": version,
            "date": date.today().isoformat(),
            "machine": machine(),
            "note": adapter.get("NOTES", {}).get(route, ""),
            "cells": of_route,
        }
        for route, of_route in cells.items()
    ]


def machine() -> str:
    """The processor, system, Python and NumPy."""
    names = [line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")]
    processor = names[0] if names else platform.machine()
    return f"{processor}, {platform.system()}, Python {platform.python_version()}, NumPy {np.__version__}"


def _cpuinfo() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def in_process(name: str) -> list[dict] | str:
    """The rows of an adapter, computed in another process; or why there are none."""
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, str(HERE / "run.py"), "--adapter", name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, env=environment, check=False)
    except subprocess.TimeoutExpired:
        return f"no result in {LIMIT} s"
    if done.returncode:
        return re.sub(r" \(/.*\)", "", (done.stderr.strip().splitlines() or ["no message"])[-1])  # without a path
    return json.loads(done.stdout.splitlines()[-1])


def main() -> int:
    """Run the adapters; 1 if a cell is wrong that no report explains."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="adapters whose name contains one of these words")
    parser.add_argument("--page", action="store_true", help="only write the page")
    parser.add_argument("--reproduce", metavar="ID", help="run the reproduction in a report")
    parser.add_argument("--adapter", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=HERE, help="folder of results.json and README.md")
    args = parser.parse_args()
    if args.adapter:
        print(json.dumps(rows_of(args.adapter)))
        return 0
    if args.reproduce:
        exec(compile(page.reproduction(args.reproduce), args.reproduce, "exec"), {})
        return 0
    results = args.out / "results.json"
    found = json.loads(results.read_text(encoding="utf-8")) if results.exists() else {"rows": [], "not_run": {}}
    if not args.page:
        update(found, [word for word in args.only.split(",") if word] or [""])
        results.write_text(as_text(found), encoding="utf-8")
    (args.out / "README.md").write_text(page.page(found), encoding="utf-8")
    unexplained = page.unexplained(found["rows"])
    for line in unexplained:
        print("not explained by a report:", line)
    return int(bool(unexplained))


def as_text(results: dict) -> str:
    """The results as JSON, a row a line."""
    rows = ",\n".join(json.dumps(row, ensure_ascii=False) for row in results["rows"])
    return f'{{"not_run": {json.dumps(results["not_run"], ensure_ascii=False)},\n"rows": [\n{rows}\n]}}\n'


def update(results: dict, words: list[str]) -> None:
    """Compute the rows of the named adapters anew; those of a library that is not installed stay as they are."""
    for name in sorted(path.stem for path in (HERE / "adapters").glob("*.py")):
        if not any(word in name for word in words):
            continue
        rows = in_process(name)
        if isinstance(rows, str):
            print(f"{name}: not run: {rows}", flush=True)
            if not any(row["adapter"] == name for row in results["rows"]):
                results["not_run"][name] = rows
            continue
        results["not_run"].pop(name, None)
        others = [row for row in results["rows"] if row["adapter"] != name]
        results["rows"] = sorted(others + rows, key=lambda row: (row["library"], row["route"]))
        for row in rows:
            wrong = ", ".join(topic for topic, cell in row["cells"].items() if cell["verdict"] == WRONG)
            print(f"{row['library']} {row['version']}, {row['route']}: wrong: {wrong or 'nothing'}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
