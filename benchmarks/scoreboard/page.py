"""The page of the scoreboard, made from its results, the table of faults and the reports."""

import re
from pathlib import Path

import found_faults as faults

REPORTS = Path(__file__).parent / "reports"
INTRODUCTION = """# Scoreboard

Other libraries' curvature products and linear solvers, checked by refhf's conformance kit. A row is a library and a
route; a cell is a topic. `make scoreboard` runs what is installed and writes this page and `results.json`, which has
the verdict, digits and diagnosis of each law.

* **ok**: all laws hold. **FAULT**, *limit*: linked to a report with a reproduction of at most ten lines. A *limit* is
  documented, reported by the library itself, or a convention. A blank cell is not offered.
* Each fault is found twice: by the kit, and by the reproduction, which uses the library and NumPy alone.
* "Known" lists issues that describe the fault; "none found" is the result of a search, no proof.
"""
PRODUCTS = """## Curvature products

The network is Linear(3, 8), a normalisation, tanh, Linear(8, 3), in float64. H is the Hessian, G the Gauss-Newton
matrix. Columns with a normalisation have cross-entropy. Libraries without layers have the normalisation written out.
"""
SOLVERS = """## Linear solvers

The systems are symmetric positive definite with six unknowns. *Tolerances*: rtol from 1e-2 to 1e-10. *Scales*: A, b, or
both times powers of two from 2^-120 to 2^120, at rtol 1e-8.
"""
SHORT = {"right": "ok", "not offered": ""}


def reproduction(name: str) -> str:
    """The code of a report."""
    found = re.search(r"```python\n(.*?)```", (REPORTS / f"{name}.md").read_text(encoding="utf-8"), re.DOTALL)
    if not found:
        raise ValueError(f"reports/{name}.md: expected a block of Python; got none")
    return found[1]


def shown(row: dict, topic: str) -> str:
    """A cell of the table."""
    cell = row["cells"].get(topic)
    if cell is None or cell["verdict"] in SHORT:
        return SHORT[cell["verdict"]] if cell else ""
    fault = faults.explain(row["library"], row["route"], topic)
    if fault is None:
        return "?"
    return f"[{'**FAULT**' if fault.kind == faults.FAULT else '*limit*'}](reports/{fault.name}.md)"


def unexplained(rows: list[dict]) -> list[str]:
    """The wrong cells without a report."""
    return [
        f"{row['library']}, {row['route']}: {topic}"
        for row in rows
        for topic, cell in row["cells"].items()
        if cell["verdict"] == "wrong" and not faults.explain(row["library"], row["route"], topic)
    ]


def table(rows: list[dict], kind: bool) -> list[str]:
    """The rows whose topics are solver topics, or not, in Markdown."""
    rows = [row for row in rows if ("scales" in row["cells"]) == kind]
    topics = list(dict.fromkeys(topic for row in rows for topic in row["cells"]))
    lines = ["| library | route | " + " | ".join(topics) + " |", "|---|---|" + ":-:|" * len(topics)]
    for row in rows:
        route = row["route"] + (" ¹" if row["note"] else "")
        cells = " | ".join(shown(row, topic) for topic in topics)
        lines.append(f"| {row['library']} {row['version']} | {route} | {cells} |")
    return lines


def listed(rows: list[dict]) -> list[str]:
    """The faults that occur, with their versions and whether they are known."""
    lines = ["| report | library | what | known |", "|---|---|---|---|"]
    for fault in faults.FAULTS:
        found = {
            f"{row['library']} {row['version']}": None
            for row in rows
            for topic, cell in row["cells"].items()
            if cell["verdict"] == "wrong" and faults.explain(row["library"], row["route"], topic) == fault
        }
        if found:
            name = f"[{fault.name}](reports/{fault.name}.md)" + (" (limit)" if fault.kind != faults.FAULT else "")
            lines.append(f"| {name} | {', '.join(found)} | {fault.summary} | {fault.known or 'none found'} |")
    return lines


def page(results: dict) -> str:
    """The page."""
    rows = results["rows"]
    solvers = sum("scales" in row["cells"] for row in rows)
    dates = sorted({row["date"] for row in rows})
    span = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    libraries = {row["library"] for row in rows}
    machines = "; ".join(sorted({row["machine"] for row in rows}))
    lines = [INTRODUCTION, f"{len(rows)} rows, {len(libraries)} libraries; {span}; {machines}."]
    lines += ["", "## Faults", "", *listed(rows), ""]
    lines += [PRODUCTS, *table(rows, False), ""] if len(rows) > solvers else []
    lines += [SOLVERS, *table(rows, True), ""] if solvers else []
    if results["not_run"]:
        lines += ["Not run:", "", *(f"* {name}: {why}" for name, why in results["not_run"].items()), ""]
    notes = sorted({row["note"] for row in rows if row["note"]})
    lines += ["¹ " + " / ".join(notes), ""] if notes else []
    return "\n".join(lines)
