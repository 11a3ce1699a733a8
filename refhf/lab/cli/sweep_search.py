"""`refhf sweep --search`: the search for each method's best settings, and its report."""

import argparse
import sys
from pathlib import Path
from typing import Any

from refhf import checks
from refhf.lab.cli.argument_types import integer_above_0, integer_from, real_number, unique_options
from refhf.lab.runs import output_folder
from refhf.lab.sweep import search_report
from refhf.lab.sweep.settings_search import REPORTED, TRIALS, TUNING, SearchPlan, SearchResult, search_settings
from refhf.lab.sweep.sweep_budgets import BUDGETS, CRITERIA
from refhf.lab.sweep.sweep_grid import SweepSetting

KINDS = "random", "grid"
ONLY = "trials", "tune_seeds", "report_seeds", "baseline", "criterion"  # arguments of a search alone
EXAMPLE = """\
example: each method's best of 16 settings at 60 passes and at 150 products, against sgd, with ten other seeds
  refhf sweep --search random --methods sgd,gn-cg --batches 512 --budgets passes=60,products=150 --out search"""


def add_search_arguments(add: Any) -> None:
    """Add the arguments of a search."""
    add("--search", choices=KINDS, help="search each method's best options: drawn at random, or all of --grid")
    add(
        "--budgets", default={}, type=budgets, metavar="NAME=N,..",
        help=f"amounts of {', '.join(BUDGETS)}; a run ends when it has spent them all, a search compares at each",
    )  # fmt: skip
    add("--trials", type=integer_above_0, metavar="N", help=f"search: trials of each method; default: {TRIALS}")
    add(
        "--tune-seeds", type=seed_list, metavar="A-B",
        help=f"search: seeds that choose, as 100-101 or 3,5; default: {TUNING[0]}-{TUNING[-1]}",
    )  # fmt: skip
    add(
        "--report-seeds", type=seed_list, metavar="A-B",
        help=f"search: seeds that are reported; default: {REPORTED[0]}-{REPORTED[-1]}",
    )  # fmt: skip
    add("--baseline", metavar="M", help="search: the method that the others are compared with; default: the first")
    add("--criterion", choices=CRITERIA, help=f"search: the least mean of this is chosen; default: {CRITERIA[0]}")
    add(
        "--processes", default=1, type=integer_above_0, metavar="N",
        help="runs at a time; set OPENBLAS_NUM_THREADS so that they fit the machine; default: %(default)s",
    )  # fmt: skip


def budgets(text: str) -> dict[str, float]:
    """'passes=60,products=150' -> {'passes': 60.0, 'products': 150.0}."""
    found = {}
    for part in text.split(","):
        name, equals, amount = part.partition("=")
        if not equals or name in found:
            raise argparse.ArgumentTypeError(f"expected NAME=N,NAME=N with each name once; got {text!r}")
        found[name] = real_number(amount)
    return found


def seed_list(text: str) -> list[int]:
    """'0-3,7' -> [0, 1, 2, 3, 7]."""
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        low = integer_from(first, 0)
        found += range(low, integer_from(last, low) + 1) if dash else [low]
    return found


def check_search(args: argparse.Namespace) -> None:
    """ValueError for an argument of a search without one, or of a plain sweep with one."""
    for name in ("seeds",) if args.search else ONLY:
        if getattr(args, name) is not None:
            flag = f"--{name.replace('_', '-')}"
            raise ValueError(f"{flag}: expected none with{'' if args.search else 'out'} --search; got one")
    if args.search:
        checks.choice("baseline", args.baseline or args.methods[0], args.methods)


def search_plan(args: argparse.Namespace) -> SearchPlan:
    """The plan that the arguments describe."""
    given = {
        "trials": args.trials,
        "tuning": args.tune_seeds,
        "reported": args.report_seeds,
        "criterion": args.criterion,
    }
    return SearchPlan(
        args.methods, args.batches, unique_options(args.option), unique_options(args.grid), args.search == "random",
        **{name: value for name, value in given.items() if value is not None},
    )  # fmt: skip


def run_search(args: argparse.Namespace, setting: SweepSetting, path: Path, show: Any, asked: Any) -> int:
    """Search, print the report or its JSON, and return the exit status."""
    result = search_settings(setting, search_plan(args), path, show, asked, args.processes)
    if result is None:
        print("refhf: interrupted; the same command resumes the search", file=sys.stderr)
        return 128 + asked()
    baseline = args.baseline or args.methods[0]
    if args.json:
        rows = search_report.search_dicts(result, setting, baseline)
        print(output_folder.to_json({"choices": rows, "lines": str(path)}))
    else:
        _print_report(args, result, setting, baseline)
        print(f"runs: {path}")
    return 0


def _print_report(args: argparse.Namespace, result: SearchResult, setting: SweepSetting, baseline: str) -> None:
    plan = search_plan(args)
    print(f"{setting.problem(0).title}, {len(setting.data.X)} cases")
    print(f"options: of least mean {plan.criterion.replace('_', ' ')} over seeds {_seeds(plan.tuning)}")
    print(f"mean ± standard deviation of seeds {_seeds(plan.reported)}; paired differences with 95 % intervals")
    print(search_report.search_table(result, setting, baseline))
    if any(choice.edges for choice in result.choices):
        print("an optimum on an edge of what was tried is no optimum: widen the values by --grid, or repeat")


def _seeds(seeds: Any) -> str:
    seeds = [*seeds]
    whole = len(seeds) > 1 and seeds == [*range(seeds[0], seeds[-1] + 1)]
    return f"{seeds[0]} to {seeds[-1]}" if whole else ", ".join(map(str, seeds))
