"""`gn-cg-path` against `gn-cg` at equal curvature products and at equal passes over the data.

    python benchmarks/path_damping.py [--as-is]

Five small networks on the first 1,000 cases of mnist-mini as images of 14 x 14, seeds 0 to 9 (start and mini-batches),
and two first lambdas: 0.1, the default of both, and 10, from which the ratio rule has to come down. Both methods have
curvature on 250 cases and at most 30 iterations; gn-cg takes the last. A run has at a budget the loss of all cases
after its last step within it. One JSON line a run goes to benchmarks/path_damping.jsonl; runs that are there are not
made again. Printed: the ratio of the losses, `gn-cg-path` over `gn-cg`, as the geometric mean over seeds with its
paired 95 % interval (`refhf.lab.sweep.paired_differences` of the logarithms); below 1 the path is ahead. `--as-is`
makes no runs.
"""

import argparse
import json
import math
import os
from pathlib import Path

if __name__ == "__main__":
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")

import numpy as np

import refhf
from refhf.lab.sweep.paired_differences import paired_difference, verdict

LINES = Path(__file__).parent / "path_damping.jsonl"
CASES, BATCH, ITERATIONS, SEEDS = 1000, 250, 30, range(10)  # our choice: minutes of one core
PRODUCTS, PASSES = (100, 300, 1000), (50, 150, 400)  # budgets
LAMBDAS = 0.1, 10.0
METHODS = "gn-cg-path", "gn-cg"
NETWORKS = {
    "196-30-10, tanh": lambda: refhf.mlp([196, 30, 10]),
    "196-30-20-10, logistic": lambda: refhf.mlp([196, 30, 20, 10], nonlinearity="logistic"),
    "196-30-10, ReLU": lambda: refhf.mlp([196, 30, 10], nonlinearity="relu"),
    "196-40-8-40-196, tanh, squared error": lambda: refhf.mlp([196, 40, 8, 40, 196], loss="squared_error"),
    "convolutions to 4 and 8 channels, 10 units": lambda: refhf.convnet(
        (14, 14, 1), [refhf.conv(4, 4, stride=2), refhf.conv(8, 4, stride=2), 10]
    ),
}


def made(name: str, method: str, damping: float, seed: int) -> dict:
    """The line of a run: its losses at the budgets."""
    data = refhf.load("mnist-mini", dtype="float32")
    X = data.X[:CASES].reshape(-1, 14, 2, 14, 2).mean((2, 4)).reshape(-1, 196)
    net = NETWORKS[name]()
    objective = refhf.supervised(net, X, X if net.outputs == 196 else data.y[:CASES])
    theta = net.init(rng=seed, dtype=np.float32)
    options = {"curvature_batch": BATCH, "solver_iterations": ITERATIONS, "damping": damping}
    options |= {"backtracking": False} if method == "gn-cg" else {}
    points = [(0, 0.0, objective.value(theta))]
    for report in refhf.iterate(objective, theta, method=method, rng=seed, **options):
        points.append((report.counts.curvature_products, report.counts.epochs, report.loss))
        if points[-1][0] > PRODUCTS[-1] and points[-1][1] > PASSES[-1]:
            break
    at = []
    for kind, budgets in enumerate((PRODUCTS, PASSES)):
        at += [[loss for *spent, loss in points if spent[kind] <= budget][-1] for budget in budgets]
    run = {"network": name, "method": method, "damping": damping, "seed": seed}
    return run | {"steps": len(points) - 1, "losses": [float(f"{loss:.6g}") for loss in at]}


def key(line: dict) -> tuple:
    """The run that a line is of."""
    return line["network"], line["method"], line["damping"], line["seed"]


def read() -> list[dict]:
    """The lines that are there."""
    return [json.loads(line) for line in LINES.read_text(encoding="utf-8").splitlines()] if LINES.exists() else []


def table(lines: list[dict]) -> str:
    """The ratios with their intervals, and a verdict a row on `gn-cg-path` being below at every budget."""
    heads = [f"{n} products" for n in PRODUCTS] + [f"{n} passes" for n in PASSES]
    rows = [
        "| network, first lambda | " + " | ".join(heads) + " | ahead at equal products |",
        "|---|" + "--:|" * 6 + "---|",
    ]
    found = {key(line): line["losses"] for line in lines}
    for name in NETWORKS:
        for damping in LAMBDAS:
            logs = [
                [[math.log(found[name, method, damping, seed][i]) for seed in SEEDS] for method in METHODS]
                for i in range(len(heads))
            ]
            differences = [paired_difference(*pair) for pair in logs]
            cells = [" [".join(f"{math.exp(x):.2f}" for x in d[:2]) + f", {math.exp(d.high):.2f}]" for d in differences]
            said = {str(verdict(d, "below")) for d in differences[: len(PRODUCTS)]}
            rows.append(f"| {name}; {damping:g} | {' | '.join(cells)} | {said.pop() if len(said) == 1 else 'mixed'} |")
    return "\n".join(rows) + "\n"


def main() -> None:
    """Make the missing runs, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--as-is", action="store_true")
    lines = read()
    there = {key(line) for line in lines}
    runs = [
        (name, method, damping, seed)
        for name in NETWORKS
        for damping in LAMBDAS
        for seed in SEEDS
        for method in METHODS
    ]
    for run in [] if parser.parse_args().as_is else runs:
        if run not in there:
            lines.append(made(*run))
            with LINES.open("a", encoding="utf-8") as file:
                file.write(json.dumps(lines[-1]) + "\n")
    print(table(lines), end="")


if __name__ == "__main__":
    main()
