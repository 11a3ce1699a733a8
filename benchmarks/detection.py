"""Measure the smallest size at which each check finds each kind of fault of the gallery, and write docs/detection.md.

`python benchmarks/detection.py` goes on where it was interrupted: each result is a line of docs/detection.jsonl, and
what has a line is not measured again. The page is made from the lines (`--page` makes it alone). `--fast` measures
every tenth fault, in whole powers of ten, and prints the lines.

A fault of size s is right + s (wrong - right), where `wrong` is the gallery's (tests/faults.py, tests/block_faults.py).
The sizes are the powers of 10^(1/2) from 1 down; the smallest one that fails is found by bisection, so a check that
finds a small fault is taken to find larger ones too.
"""

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy

import refhf

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import block_faults  # noqa: E402
import faults  # noqa: E402

LINES, PAGE = ROOT / "docs/detection.jsonl", ROOT / "docs/detection.md"
DIGITS = 16  # the smallest size is 10^-DIGITS
METHODS = {"hessian": "hessian_product", "gauss-newton": "gauss_newton_product", "gradient": "gradient"}
CHECKS = {
    "hessian": ("reference", "own gradient", "own value"),
    "gauss-newton": ("reference", "own outputs"),
    "gradient": ("reference", "own value"),
    "cg": ("check_solver",),
    "bicgstab": ("check_solver",),
}
TITLES = {
    "hessian": "Hessian products",
    "gauss-newton": "Gauss-Newton products",
    "gradient": "Gradients",
    "cg": "Conjugate gradients",
    "bicgstab": "Bi-CG-STAB",
}
RIGHT_SOLVERS = {"cg": faults.solver, "bicgstab": faults.stabilised}


class Subject(NamedTuple):
    """A fault of a kind: `make()` gives its (wrong, right) functions, `own` the user's other functions."""

    name: str
    kind: str
    make: Callable[[], tuple[Any, Any]]
    theta: Any = None
    objective: Any = None
    own: dict[str, Any] = {}


def subjects() -> Iterator[Subject]:
    """All faults of the gallery, and two that are not in it."""
    for fault in faults.PRODUCT_FAULTS + faults.GRADIENT_FAULTS:
        case = faults.case(**fault.options)

        def make(fault=fault, case=case):
            return fault.make(case), getattr(case.mine(), METHODS[fault.kind])

        yield Subject(fault.name, fault.kind, make, case.theta, case.objective, _own(case))
    yield from _others()
    for fault in block_faults.BLOCK_FAULTS:
        yield _of_block(fault)
    for fault in faults.SOLVER_FAULTS:
        yield Subject(fault.name, fault.kind, lambda fault=fault: (fault.solver, RIGHT_SOLVERS[fault.kind]()))


def _own(case: Any) -> dict[str, Any]:
    mine = case.mine()
    outputs = {"outputs": mine.outputs, "loss": mine.loss, "l2": case.arguments[-1]}
    return {"own gradient": {"gradient": mine.gradient}, "own value": {"value": mine.value}, "own outputs": outputs}


def _others() -> Iterator[Subject]:
    """A symmetric matrix of rank one, as large as H; and a product whose gradient has the same fault."""
    case = faults.case()
    right, gradient = case.mine().hessian_product, case.mine().gradient
    u = np.random.default_rng(9).standard_normal(case.theta.size)
    u /= np.linalg.norm(u)
    size = np.linalg.norm(np.linalg.eigvalsh(case.objective.hessian(case.theta) @ np.eye(u.size)), np.inf)

    def ranked():
        return lambda theta, v: right(theta, v) + size * u * (u @ v), right

    def doubled():
        return lambda theta, v: 2 * right(theta, v), right

    yield Subject("hessian: rank one added", "hessian", ranked, case.theta, case.objective, _own(case))
    both = _own(case) | {"own gradient": {"gradient": lambda theta: 2 * gradient(theta)}}
    yield Subject("hessian: doubled with its gradient", "hessian", doubled, case.theta, case.objective, both)


def _of_block(fault: Any) -> Subject:
    theta, X, y, objective = block_faults.problem(fault.code)
    v = np.random.default_rng(0).standard_normal(theta.size)
    right, wrong = fault.code(X, y), fault.code(X, y, fault.fault)
    changed = [m for m in METHODS.values() if m != "gradient" and not _same(right, wrong, m, theta, v)]
    kind = "hessian" if "hessian_product" in changed else "gauss-newton"

    def make():
        return getattr(wrong, METHODS[kind]), getattr(right, METHODS[kind])

    name = f"{kind}: {fault.code.__name__.lower()}, {fault.fault}"
    outputs = {"outputs": right.outputs, "loss": "softmax_cross_entropy"}
    own = {"own gradient": {"gradient": right.gradient}, "own value": {"value": right.value}, "own outputs": outputs}
    return Subject(name, kind, make, theta, objective, own)


def _same(right: Any, wrong: Any, method: str, theta: Any, v: Any) -> bool:
    return np.allclose(getattr(right, method)(theta, v), getattr(wrong, method)(theta, v), rtol=1e-12, atol=0)


def blended(subject: Subject, size: float) -> Callable[..., Any]:
    """The function right + size (wrong - right); of a solver its x, with the info of the wrong one."""
    wrong, right = subject.make()
    if subject.kind not in RIGHT_SOLVERS:
        return lambda *given: right(*given) + size * (wrong(*given) - right(*given))

    def solver(A: Any, b: Any, x0: Any = None, *, rtol: float = 1e-5, maxiter: Any = None, M: Any = None) -> Any:
        (x, _), (y, info) = (f(A, b, x0, rtol=rtol, maxiter=maxiter, M=M) for f in (right, wrong))
        return x + size * (y - x), info

    return solver


def found(subject: Subject, check: str, size: float) -> bool:
    """True if the check finds the fault of this size."""
    function, theta = blended(subject, size), subject.theta
    if subject.kind in RIGHT_SOLVERS:
        return not refhf.check_solver(function, subject.kind).passed
    own = subject.own.get(check, {})
    if check == "own gradient" and "doubled with" in subject.name:
        right, wrong = subject.own["own value"]["value"], own["gradient"]
        own = {"gradient": lambda theta: wrong(theta) / 2 * (1 + size)} if right else own
    if subject.kind == "gradient":
        value = own.get("value")
        return not refhf.check_gradient(value, function, theta, None if value else subject.objective).passed
    checker = {"hessian": refhf.check_hessian_product, "gauss-newton": refhf.check_gauss_newton_product}[subject.kind]
    return not checker(function, theta, None if own else subject.objective, **own).passed


def smallest(subject: Subject, check: str, steps: int = 2) -> float | None:
    """The smallest size 10^(-j / steps) that is found; None if size 1 is not, 0 if 10^-DIGITS is."""
    if not found(subject, check, 1.0):
        return None
    low, high = 0, DIGITS * steps + 1  # low is found; one more than the last is taken not to be
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if found(subject, check, 10 ** (-middle / steps)) else (low, middle)
    return 0.0 if low == DIGITS * steps else float(f"{10 ** (-low / steps):.2g}")


def change(subject: Subject) -> float | None:
    """||wrong - right|| / ||right|| at a random vector; None for solvers."""
    if subject.kind in RIGHT_SOLVERS:
        return None
    wrong, right = subject.make()
    v = np.random.default_rng(0).standard_normal(subject.theta.size)
    given = (subject.theta,) if subject.kind == "gradient" else (subject.theta, v)
    if "stale" in subject.name:  # it differs at the second theta
        wrong(*given)
        given = (1.1 * subject.theta, v)
    want = right(*given)
    return float(f"{np.linalg.norm(wrong(*given) - want) / np.linalg.norm(want):.2g}")


def line(subject: Subject, check: str, steps: int = 2) -> dict[str, Any]:
    """The result of a check on a kind of fault."""
    start = time.process_time()
    size = smallest(subject, check, steps)
    seconds = round(time.process_time() - start, 2)
    named = {"fault": subject.name, "kind": subject.kind, "check": check}
    return named | {"size": size, "change": change(subject), "cpu_seconds": seconds, **versions()}


def versions() -> dict[str, str]:
    """What a line was measured with."""
    of = {"refhf": refhf.__version__, "python": platform.python_version(), "numpy": np.__version__}
    return of | {"scipy": scipy.__version__, "date": datetime.now(UTC).date().isoformat()}


def page(lines: list[dict[str, Any]]) -> str:
    """docs/detection.md from the lines."""
    dates = sorted({line["date"] for line in lines})
    of = ", ".join(f"{name} {' and '.join(sorted({line[name] for line in lines}))}" for name in list(versions())[:-1])
    text = [
        "# How small a fault the kit finds",
        "",
        "A fault of size s is right + s (wrong - right); the fault itself has size 1. The table gives the smallest s,",
        "of the powers of 10^(1/2) down to 1e-16, at which a check fails. *Change* is ||wrong - right|| / ||right|| at",
        "a random vector, so change times s is the relative error at the limit. *Reference*: against",
        "`refhf.supervised` of the same network. *Own gradient*, *own value*, *own outputs*: against derivatives of",
        "the user's own functions, without a reference. A solver's x is changed by the size, and its info is the wrong",
        "solver's: *any* means that the info alone fails. *None* means that the fault itself passes.",
        "",
        f"`python benchmarks/detection.py`, {' to '.join(dict.fromkeys((dates[0], dates[-1])))}; {of}; float64,",
        f"networks of up to {MOST} parameters. The raw lines are in [detection.jsonl](detection.jsonl).",
    ]
    for kind, checks in CHECKS.items():
        rows: dict[str, dict[str, Any]] = {}
        for one in (one for one in lines if one["kind"] == kind):
            rows.setdefault(one["fault"], {"change": one["change"]})[one["check"]] = one["size"]
        if not rows:
            continue
        text += [
            "",
            f"## {TITLES[kind]}",
            "",
            f"| fault | change | {' | '.join(checks)} |",
            f"|---|--:{'|--:' * len(checks)}|",
        ]
        for name, row in rows.items():
            shown = " | ".join(_shown(row[check]) if check in row else "" for check in checks)
            size = "" if row["change"] is None else f"{row['change']:g}"
            text.append(f"| {name.partition(': ')[2].replace('|', '/')} | {size} | {shown} |")
    return "\n".join([*text, *_not_found(lines)]) + "\n"


MOST = 59


def _shown(size: float | None) -> str:
    return "none" if size is None else "any" if size == 0 else f"{size:g}"


def _not_found(lines: list[dict[str, Any]]) -> list[str]:
    """The lines of the page on what cannot be found."""
    text = ["", "## What is not found", ""]
    for kind, checks in CHECKS.items():
        for check in checks:
            of = [one for one in lines if (one["kind"], one["check"]) == (kind, check) and one["change"]]
            limits = sorted(one["size"] * one["change"] for one in of if one["size"])
            missed = [one["fault"].partition(": ")[2] for one in of if one["size"] is None]
            if limits:
                middle = limits[len(limits) // 2]
                text.append(
                    f"* {TITLES[kind]}, {check}: relative errors below {middle:.0e} pass for half of the faults, below "
                    f"{limits[0]:.0e} for all, and none above {limits[-1]:.0e}"
                    + (f"; faults that pass at size 1: {', '.join(missed)}." if missed else ".")
                )
    return [
        *text,
        "* No check finds a fault that the functions it compares share: a gradient and a product that are both doubled",
        "  pass until the value or a reference is given.",
        "* A report that passes states its own detection limit, the relative error that would have failed along the",
        "  directions that were compared. An error in few of many parameters is found only if it is that large there.",
    ]


def read() -> list[dict[str, Any]]:
    """The lines so far."""
    return [json.loads(text) for text in LINES.read_text().splitlines()] if LINES.exists() else []


def main() -> None:
    """Measure what has no line yet, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true", help="every tenth fault, whole powers of ten; prints the lines")
    parser.add_argument("--page", action="store_true", help="write the page only")
    given = parser.parse_args()
    if given.fast:
        for subject in list(subjects())[::10]:
            for check in CHECKS[subject.kind]:
                print(json.dumps(line(subject, check, steps=1)), flush=True)
        return
    if not given.page:
        done = {(one["fault"], one["check"]) for one in read()}
        for subject in subjects():
            for check in CHECKS[subject.kind]:
                if (subject.name, check) not in done:
                    with LINES.open("a") as file:
                        file.write(json.dumps(line(subject, check)) + "\n")
    PAGE.write_text(page(read()))


if __name__ == "__main__":
    main()
