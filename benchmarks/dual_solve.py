"""The exact solve of the damped Gauss-Newton system against conjugate gradients, by the curvature batch.

    python benchmarks/dual_solve.py

First table: seconds of CG on (G + lambda I) d = -g to a relative residual of 1e-8 over those of
`refhf.gauss_newton_solve`, on 16 to 1,024 cases of mnist-mini, in float64, one thread, the median of rounds in which
the two take turns; above 1 the exact solve is faster. Second table: seconds of the solve in parameter space over those
in the space of outputs, about the size where `gauss_newton_solve` changes from one to the other (P = B C). Both tables
are printed, and kept as benchmarks/dual_solve.json, from which `benchmarks/race_page.py` writes docs/race.md.
"""

import itertools
import json
import os
import statistics
import time
from pathlib import Path

if __name__ == "__main__":
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")

import numpy as np

import refhf
from refhf.objective import dual_solve

FOUND = Path(__file__).parent / "dual_solve.json"
LAMBDAS, RESIDUAL = (0.1, 0.001), 1e-8
BATCHES = 16, 32, 64, 128, 256, 512, 1024
SHARES = 0.5, 0.75, 1, 1.25, 1.5, 2  # of P = B C
NETWORKS = {  # pixels of a side, the network, and the most cases: convolutions cost a product an unknown
    "784-400-150-10": (28, lambda: refhf.mlp([784, 400, 150, 10]), 1024),
    "convolutions to 4 and 8 channels": (
        14,
        lambda: refhf.convnet((14, 14, 1), [refhf.conv(4, 4, stride=2), refhf.conv(8, 4, stride=2), 10]),
        256,
    ),
}
SMALL = {
    "49-20-10": (7, lambda: refhf.mlp([49, 20, 10])),
    "convolutions to 4 and 8 channels": NETWORKS["convolutions to 4 and 8 channels"][:2],
}


def posed(side: int, net, cases: int):
    """(objective, theta, b) of so many digits of side x side pixels."""
    data = refhf.load("mnist-mini")
    k = 28 // side
    X = data.X[:cases].reshape(-1, side, k, side, k).mean((2, 4)).reshape(-1, side * side)
    objective, theta = refhf.supervised(net, X, data.y[:cases]), net.init(rng=0)
    return objective, theta, -objective.value_and_gradient(theta)[1]


def seconds(*functions) -> list[float]:
    """The median CPU seconds of each, in turns: three rounds, or one for what takes longer than two seconds."""
    taken = [[] for _ in functions]
    for _ in range(3):
        for own, function in zip(taken, functions, strict=True):
            start = time.process_time()
            function()
            own.append(time.process_time() - start)
        if sum(own[0] for own in taken) > 2:
            break
    return [statistics.median(own) for own in taken]


def against_cg(name: str, cases: int, damping: float) -> dict:
    """A row of the first table."""
    side, made, _ = NETWORKS[name]
    objective, theta, b = posed(side, made(), cases)
    exact = refhf.gauss_newton_solve(objective, theta, damping, b)
    G, counted = objective.gauss_newton(theta), [0]

    def product(v):
        counted[0] += 1
        return G.matvec(v) + damping * v

    def by_cg():
        A = refhf.krylov.symmetric_operator.SymmetricOperator(product, theta.size, theta.dtype)
        return refhf.cg(A, b, rtol=RESIDUAL, maxiter=10 * theta.size)[0]

    error = float(np.linalg.norm(by_cg() - exact) / np.linalg.norm(exact))
    products = counted[0]
    own, its = seconds(lambda: refhf.gauss_newton_solve(objective, theta, damping, b), by_cg)
    return {"network": name, "P": theta.size, "cases": cases, "lambda": damping, "exact": own, "cg": its,
            "products": products, "difference": error}  # fmt: skip


def two_spaces(name: str, share: float, damping: float = 0.1) -> dict:
    """A row of the second table."""
    side, made = SMALL[name]
    net = made()
    cases = round(share * net.size / 10)
    objective, theta, b = posed(side, net, cases)
    primal, dual = seconds(
        lambda: dual_solve._primal(objective, theta, damping, b), lambda: dual_solve._dual(objective, theta, damping, b)
    )
    return {"network": name, "P": net.size, "cases": cases, "share": share, "primal": primal, "dual": dual}


def tables(found: dict) -> str:
    """Both tables."""
    text = ["| network | lambda | " + " | ".join(f"{n:,}" for n in BATCHES) + " |", "|---|--:|" + "--:|" * len(BATCHES)]
    for name, damping in itertools.product(NETWORKS, LAMBDAS):
        rows = {r["cases"]: r for r in found["cg"] if (r["network"], r["lambda"]) == (name, damping)}
        cells = [
            f"{rows[n]['cg'] / rows[n]['exact']:.2g} ({rows[n]['products']})" if n in rows else "" for n in BATCHES
        ]
        P = next(iter(rows.values()))["P"]
        text.append(f"| {name}, P = {P:,} | {damping:g} | {' | '.join(cells)} |")
    text += ["", "| network | " + " | ".join(f"B C = {x:g} P" for x in SHARES) + " |", "|---|" + "--:|" * len(SHARES)]
    for name in SMALL:
        rows = [r for r in found["spaces"] if r["network"] == name]
        cells = [f"{r['primal'] / r['dual']:.2f}" for r in rows]
        text.append(f"| {name}, P = {rows[0]['P']:,} | {' | '.join(cells)} |")
    return "\n".join(text) + "\n"


def main() -> None:
    """Time both tables."""
    found = {"cg": [], "spaces": []}
    for name, share in itertools.product(SMALL, SHARES):
        found["spaces"].append(two_spaces(name, share))
        print(found["spaces"][-1], flush=True)
    for name, damping, cases in itertools.product(NETWORKS, LAMBDAS, BATCHES):
        if cases > NETWORKS[name][2] or (cases == BATCHES[-1] and damping != LAMBDAS[0]):
            continue  # 10,240 unknowns are factorised once, as they cost the same at every lambda
        found["cg"].append(against_cg(name, cases, damping))
        print(found["cg"][-1], flush=True)
    FOUND.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(tables(found), end="")


if __name__ == "__main__":
    main()
