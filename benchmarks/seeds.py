"""Run `refhf compare` with five seeds; of each number the median and the range: the README's table.

    make seeds    # a minute or two; what is done is kept in seeds/, and not done again

One run is one draw: of the network's start, of the mini-batches and, for methods on the Hessian, of rounding.
"""

import json
import subprocess
import sys
from pathlib import Path

SEEDS = range(5)
COLUMNS = {
    "training loss": lambda final: f"{final['loss']:.3f}",
    "training error, %": lambda final: f"{100 * final['training_error']:.2f}",
    "test error, %": lambda final: f"{100 * final['test_error']:.2f}",
    "passes": lambda final: f"{final['epochs']:.0f}",
    "products": lambda final: f"{final['curvature_products']}",
}


def finals(seed, arguments):
    """The last record of each method."""
    file = Path("seeds", f"{seed}.json")
    if not file.is_file():
        command = [sys.executable, "-m", "refhf", "compare", *arguments, "--seed", str(seed), "--json", "--quiet"]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        file.parent.mkdir(exist_ok=True)
        file.write_text(said)
    return {run["method"]: run["final"] for run in json.loads(file.read_text())["runs"]}


def cell(numbers):
    """Median (lowest to highest), of numbers as they are printed."""
    ordered = sorted(numbers, key=float)
    return f"{ordered[len(ordered) // 2]} ({ordered[0]} to {ordered[-1]})"


def main():
    """Run, and print the table."""
    runs = [finals(seed, sys.argv[1:]) for seed in SEEDS]
    print(f"| method | {' | '.join(COLUMNS)} |\n|---|{'--:|' * len(COLUMNS)}")
    for method in runs[0]:
        cells = [cell([shown(run[method]) for run in runs]) for shown in COLUMNS.values()]
        print(f"| {method} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
