"""The page and the picture of the race, from its lines.

    python benchmarks/race_page.py

writes docs/race.md and docs/race.png from benchmarks/race.jsonl, path_damping.jsonl and dual_solve.json.
"""

import json
import math
import statistics
import sys
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

import dual_solve
import path_damping
import race
from race_clock import FIELDS, NETWORKS
from race_contenders import CONTENDERS

ROOT = Path(__file__).parents[1]
PAGE, PICTURE = ROOT / "docs" / "race.md", ROOT / "docs" / "race.png"
TEMPLATE = Path(__file__).parent / "race_page.txt"  # the page's words; {names} stand for what is computed here
VERDICTS = Path(__file__).parent / "race_verdicts.json"  # what a person made of the numbers
COLOURS = {"refhf": "C0", "Hessian-free": "C3", "quasi-Newton": "C2", "first order": "0.5"}
MARKERS = {"refhf": "o", "Hessian-free": "^", "quasi-Newton": "s", "first order": "x"}


class Mark(NamedTuple):
    """A mark: a field of the curve, and the value that is to be reached."""

    field: str
    value: float

    def __str__(self) -> str:
        return f"{100 * self.value:g} %" if self.field == "error" else f"loss {self.value:g}"


class Row(NamedTuple):
    """A contender at one setting: its lines, one a seed."""

    name: str
    label: str
    lines: list[dict]

    def at(self, mark: Mark, field: str = "cpu") -> float:
        """The median over seeds of a field where the mark is first reached; infinite where it is not."""
        i, j = FIELDS.index(mark.field), FIELDS.index(field)
        return statistics.median(
            next((row[j] for row in line["curve"] if row[i] is not None and row[i] <= mark.value), math.inf)
            for line in self.lines
        )


def marks_of(network: str) -> list[Mark]:
    """The marks of a network."""
    posed = NETWORKS[network]
    return [Mark("error", value) for value in posed.errors] + [Mark("loss", value) for value in posed.losses]


def options_said(options: dict) -> str:
    """A setting in words; a share of the cases as a percentage."""
    said = [f"{key} {value}" for key, value in options.items() if key not in ("share", "batch")]
    said += [f"{key} {100 * value:g} %" for key, value in options.items() if key in ("share", "batch")]
    return ", ".join(said) or "defaults"


def rows_of(lines: list[dict], network: str) -> list[Row]:
    """Each contender's defaults, then its best trial where that is another."""
    rows = []
    for name in CONTENDERS:
        own = [x for x in lines if (x["network"], x["contender"], x["stage"]) == (network, name, "race")]
        best = race.best_trial(lines, network, name)
        for options in [{}] + ([best] if best else []):
            found = [line for line in own if line["options"] == options]
            if found:
                rows.append(Row(name, options_said(options), found))
    return rows


def number(x: float) -> str:
    """Two digits or more; a dash for what was not reached."""
    return "-" if math.isinf(x) else f"{x:.2g}" if x < 10 else f"{x:.0f}"


def table(rows: list[Row], network: str) -> str:
    """Seconds to each mark; products and passes at the last mark reached; the loss at the end."""
    marks = marks_of(network)
    head = ["contender", "setting", *(str(mark) for mark in marks), "products", "product passes", "gradient passes",
            "last loss"]  # fmt: skip
    text = ["| " + " | ".join(head) + " |", "|---|---|" + "--:|" * (len(marks) + 4)]
    for row in sorted(rows, key=lambda row: [row.at(mark) for mark in reversed(marks)]):
        reached = [mark for mark in marks if math.isfinite(row.at(mark))]
        spent = ["products", "product_passes", "gradient_passes"]
        spent = [number(row.at(reached[-1], field)) if reached else "-" for field in spent]
        loss = statistics.median(race.last_loss(line) for line in row.lines)
        name = f"**{row.name}**" if CONTENDERS[row.name].kind == "refhf" else row.name
        cells = [name, row.label, *(number(row.at(mark)) for mark in marks), *spent, f"{loss:.2g}"]
        text.append("| " + " | ".join(cells) + " |")
    return "\n".join(text) + "\n"


def borrowed(row: Row) -> bool:
    """Whether a method of SciPy is given refhf's products on a mini-batch that is redrawn at each point."""
    return row.name.startswith("SciPy") and "share" in row.lines[0]["options"]


def least(rows: list[Row], mark: Mark, wanted) -> tuple[float, str]:
    """The least seconds to a mark of the rows that are wanted, and whose they are."""
    return min(((row.at(mark), row.name) for row in rows if wanted(row)), default=(math.inf, ""))


COLUMNS = {  # heads of `ratios`, and the rows that they are the best of
    "refhf's best": lambda row: CONTENDERS[row.name].kind == "refhf",
    "best Hessian-free rival": lambda row: CONTENDERS[row.name].kind == "Hessian-free" and not borrowed(row),
    "SciPy over refhf's mini-batch": borrowed,
    "L-BFGS or first order": lambda row: CONTENDERS[row.name].kind in ("quasi-Newton", "first order"),
    "gn-cg's defaults": lambda row: row.name == "gn-cg" and row.label == "defaults",
    "gn-cg's best": lambda row: row.name == "gn-cg",
}


def cell(seconds: float, name: str, base: float, cap: float) -> str:
    """Seconds, whose they are, and how many times the base; > where only the cap is known."""
    said = "-" if math.isinf(seconds) else f"{number(seconds)}, {name}"
    return said if math.isinf(base) else f"{said}, x {'> ' * math.isinf(seconds)}{min(seconds, cap) / base:.1f}"


def ratios(lines: list[dict]) -> str:
    """At each mark the best seconds of a kind, and over refhf's best; gn-cg's defaults over its best."""
    text = ["| network | mark | " + " | ".join(COLUMNS) + " |", "|---|---|" + "--:|" * len(COLUMNS)]
    for network, posed in NETWORKS.items():
        rows = rows_of(lines, network)
        for mark in marks_of(network) if rows else []:
            found = [least(rows, mark, wanted) for wanted in COLUMNS.values()]
            best, own = found[0][0], found[-1][0]
            cells = [cell(*found[0], math.inf, posed.cap), *(cell(*one, best, posed.cap) for one in found[1:4])]
            cells += [cell(*found[4], own, posed.cap), cell(*found[5], math.inf, posed.cap)]
            text.append(f"| {network} | {mark} | " + " | ".join(cells) + " |")
    return "\n".join(text) + "\n"


def failures(lines: list[dict]) -> str:
    """What ended runs other than the cap and the marks."""
    said = {}
    for line in lines:
        if line["ended"] not in ("time", "all marks"):
            said.setdefault((line["contender"], line["ended"]), set()).add(line["network"])
    return (
        "".join(f"* {name}, {', '.join(sorted(where))}: {ended}\n" for (name, ended), where in said.items())
        or "None.\n"
    )


def searches() -> str:
    """The trials of each contender."""
    return "".join(
        f"| {name} | " + "; ".join(options_said(trial) for trial in contender.trials) + " |\n"
        for name, contender in CONTENDERS.items()
    )


def versions(lines: list[dict]) -> str:
    """The versions in the lines."""
    found = {CONTENDERS[line["contender"]].package or line["contender"]: line["version"] for line in lines}
    return ", ".join(f"{name} {version}".strip() for name, version in sorted(found.items()))


def page(lines: list[dict]) -> str:
    """The page."""
    tables = []
    for name, posed in NETWORKS.items():
        rows = rows_of(lines, name)
        if rows:
            seeds = len({line["seed"] for row in rows for line in row.lines})
            tables.append(
                f"### {name}\n\n{posed.title}; {posed.cases:,} cases; at most {posed.cap:g} CPU seconds a run,"
                f" {posed.tuning_cap:g} in the search; starts: {seeds}.\n\n{table(rows, name)}"
            )
    words = json.loads(VERDICTS.read_text(encoding="utf-8"))
    return TEMPLATE.read_text(encoding="utf-8").format(
        **words,
        ratios=ratios(lines),
        tables="\n".join(tables),
        failures=failures(lines),
        searches=searches(),
        versions=versions(lines),
        path=path_damping.table(path_damping.read()),
        dual=dual_solve.tables(json.loads(dual_solve.FOUND.read_text(encoding="utf-8"))),
    )


def picture(lines: list[dict]) -> None:
    """Training error, or loss, against CPU seconds: each contender's best setting."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    there = [network for network in NETWORKS if rows_of(lines, network)]
    fig, axes = plt.subplots(1, len(there), figsize=(5.2 * len(there), 5), squeeze=False)
    for ax, network in zip(axes[0], there, strict=True):
        field = "error" if NETWORKS[network].errors else "loss"
        i, last = FIELDS.index(field), marks_of(network)[-1]
        best = {}
        for row in rows_of(lines, network):
            best[row.name] = min(
                row, best.get(row.name, row), key=lambda row: (row.at(last), race.last_loss(row.lines[0]))
            )
        styles = {kind: iter(("-", "--", ":", "-.", (0, (5, 1)), (0, (1, 1)), (0, (3, 1, 1, 1)))) for kind in COLOURS}
        for name, row in best.items():
            curve, kind = row.lines[0]["curve"], CONTENDERS[name].kind
            points = [(p[0], max(p[i], 0.5 / row.lines[0]["cases"] if field == "error" else 0)) for p in curve if p[i]]
            look = {"color": COLOURS[kind], "ls": next(styles[kind]), "marker": MARKERS[kind], "markevery": 0.12}
            ax.plot(*zip(*points, strict=True), **look, ms=4, lw=1.2, label=name)
        ax.set(
            yscale="log", xscale="log", xlabel="CPU seconds of one thread", ylabel=f"training {field}", title=network
        )
        ax.set_xlim(left=0.05)
        ax.legend(fontsize=6)
    fig.tight_layout()
    fig.savefig(PICTURE, dpi=110)
    plt.close(fig)


def main() -> None:
    """Write both."""
    lines = race.read()
    PAGE.write_text(page(lines), encoding="utf-8")
    picture(lines)


if __name__ == "__main__":
    main()
