"""The race: seconds and products to 5, 2, 1 and 0.1 % training error and to a loss, against other libraries.

    python benchmarks/race.py [--only NETWORK] [--rounds N] [--contenders A,B] [--pytorch-hessianfree PATH]

Every contender has the same network, cases, start and one thread. Each first makes its four trials (`race_contenders`),
with a short cap and the start of seed 100; the least training loss at the cap chooses. Then rounds: all contenders in
turn, at their defaults and at their best trial, from the start of seed 0, 1, .... A run has a process of its own. One
JSON line a run goes to benchmarks/race.jsonl; runs that are there are not made again, so that a race can be interrupted
and continued. `benchmarks/race_page.py` writes docs/race.md from the lines.

PyTorchHessianFree is in no registry: PATH is a clone of github.com/ltatzel/PyTorchHessianFree, which needs
backpack-for-pytorch. Others: `pip install torch hessianfree pytorch-minimize`. A contender that is not installed is
left out.
"""

import argparse
import contextlib
import importlib.metadata
import importlib.util
import json
import multiprocessing
import os
import sys
import time
import warnings
from pathlib import Path

if __name__ == "__main__":  # pools of threads are sized once, when their libraries are loaded
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    sys.path.insert(0, str(Path(__file__).parent))

from race_clock import NETWORKS, Clock, Over, problem
from race_contenders import CONTENDERS
from record import processor

HERE = Path(__file__).parent
LINES = HERE / "race.jsonl"
TUNING_SEED = 100
KEY = "network", "contender", "stage", "options", "seed"


def key(line: dict) -> str:
    """The run that a line is of."""
    return json.dumps([line[name] for name in KEY], sort_keys=True)


def read(path: Path = LINES) -> list[dict]:
    """The lines of a file, none if there is no file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def wanted(run: dict, path: Path | None) -> dict:
    """The line of a run, made in a process of its own."""
    context = multiprocessing.get_context("fork")
    mine, its = context.Pipe()
    process = context.Process(target=_run, args=(run, path, its))
    process.start()
    its.close()
    try:
        line = mine.recv()
    except EOFError:
        line = run | {"ended": "the process died", "curve": []}
    process.join()
    return line


def _run(run: dict, path: Path | None, pipe) -> None:
    network, contender = NETWORKS[run["network"]], CONTENDERS[run["contender"]]
    posed = problem(run["network"], run["seed"])
    tuning = run["stage"] == "tuning"
    clock = Clock(posed, network.tuning_cap if tuning else network.cap, network.losses, network.errors)
    clock.curve.append([0.0, 0.0, *posed.scores(posed.outputs(posed.theta0)), 0, 0, 0, 0, 0])
    warnings.simplefilter("ignore")
    try:
        contender.run(posed, clock, run["options"], run["seed"], path)
        ended = "returned"
    except Over as over:
        ended = str(over)
    except Exception as error:
        ended = f"{type(error).__name__}: {error}"[:300]
    curve = [[float(f"{number:.4g}") if isinstance(number, float) else number for number in row] for row in clock.curve]
    curve = [[None if number != number else number for number in row] for row in curve]
    pipe.send(run | {"ended": ended, "cases": posed.cases, "cap": clock.cap, "curve": curve})


def last_loss(line: dict) -> float:
    """The training loss at a run's end, infinite where it is not finite."""
    loss = line["curve"][-1][2] if line["curve"] else None
    return float("inf") if loss is None else loss


def best_trial(lines: list[dict], network: str, name: str) -> dict | None:
    """The trial of least loss of the tuning seed; the earliest to end of those that reached all marks."""
    tuned = [line for line in lines if (line["network"], line["contender"], line["stage"]) == (network, name, "tuning")]
    if len(tuned) < len(CONTENDERS[name].trials):
        return None

    def rank(line):
        done = line["ended"] == "all marks"
        return (not done, line["curve"][-1][0] if done else last_loss(line))

    return min(tuned, key=rank)["options"]


def offered(name: str, network: str, path: Path | None) -> bool:
    """Whether a contender is installed, and can run a network."""
    contender = CONTENDERS[name]
    if network in contender.cannot:
        return False
    if not contender.package:
        return path is not None
    try:
        importlib.metadata.version(contender.package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def version(name: str, path: Path | None) -> str:
    """A contender's version; of a clone, the name of its folder."""
    package = CONTENDERS[name].package
    return importlib.metadata.version(package) if package else "of " + path.name if path else ""


def load_early() -> None:
    """Import what takes seconds to import, once; the runs' processes are forked from this one."""
    for module in "torch", "torchmin", "backpack":
        with contextlib.suppress(ImportError):
            importlib.import_module(module)


def race(networks, names, rounds, path, lines_path=LINES, say=print) -> None:
    """Make the runs that are missing, network after network, and append their lines."""
    load_early()
    lines = read(lines_path)
    there = {key(line) for line in lines}

    def make(network, name, stage, options, seed):
        run = {"network": network, "contender": name, "stage": stage, "options": options, "seed": seed}
        if key(run) in there:
            return
        start = time.perf_counter()
        line = wanted(run | {"version": version(name, path), "machine": processor()}, path)
        there.add(key(line))
        lines.append(line)
        with lines_path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        loss, error = (line["curve"] or [[None] * 4])[-1][2:4]
        say(f"{network} {name} {stage} {options} seed {seed}: {line['ended']}; loss {loss}, error {error};"
            f" {time.perf_counter() - start:.0f} s", flush=True)  # fmt: skip

    for network in networks:
        runners = [name for name in names if offered(name, network, path)]
        for trial in range(4):
            for name in runners:
                make(network, name, "tuning", CONTENDERS[name].trials[trial], TUNING_SEED)
        for seed in range(rounds):
            for name in runners:
                make(network, name, "race", {}, seed)
                if (best := best_trial(lines, network, name)) is not None:
                    make(network, name, "race", best, seed)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(NETWORKS), metavar="A,B", help=f"of {', '.join(NETWORKS)}")
    parser.add_argument("--contenders", default=",".join(CONTENDERS), metavar="A;B", help="by name, ';' between")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--pytorch-hessianfree", type=Path, metavar="PATH")
    parser.add_argument("--lines", type=Path, default=LINES)
    given = parser.parse_args()
    names = given.contenders.split(";") if ";" in given.contenders or given.contenders in CONTENDERS else CONTENDERS
    race(given.only.split(","), names, given.rounds, given.pytorch_hessianfree, given.lines)


if __name__ == "__main__":
    main()
