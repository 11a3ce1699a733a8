"""Kills and flipped bits: a run that is resumed comes to the same numbers, or is refused by the name of a file.

    python tests/survival.py [--kills 30] [--flips 300]

kills `train`, `compare` and `sweep` so often each, at moments spread over their length, and resumes them; and flips so
many bits, one at a time, of every file in the folder of a run of each that was interrupted, and resumes that. It writes
a line for each, and ends with status 1 where a number was another or a refusal named no file. `test_survival.py` does
a few of both. A flip or a kill is done in a process that is forked off, so that nothing is imported twice.
"""

import argparse
import contextlib
import io
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from short_runs import save_tiny, signal_at, timeless

from refhf.lab.cli import entry_point
from refhf.lab.plots import run_figures
from refhf.lab.runs import output_folder

STEPS, STOP = 8, 5
SHARED = ["--hidden", "4", "--dtype", "float64", "--quiet", "--l2", "0.001"]
SINGLE = [*SHARED, "--steps", str(STEPS), "--checkpoint-every", "2"]
COMMANDS = {
    "train": ["train", "--method", "nlcg-pr", *SINGLE, "--option", "batch=15"],
    "compare": ["compare", "--methods", "gn-cg,sgd", *SINGLE, "--damping", "0.5"],
    "sweep": ["sweep", "--methods", "gn-cg,sgd", "--batches", "8,20", "--seeds", "2", *SHARED, "--steps", "8"],
}


def quickly():
    """Draw nothing, as of a picture nothing is read, and ask for the versions once."""
    versions = output_folder.versions()
    output_folder.versions = lambda: versions
    run_figures.run_figure = run_figures.comparison_figure = lambda *_: None
    run_figures.save_figure = lambda figure, path: Path(path).write_bytes(b"picture")


def begin(command, where, folder):
    """The words that begin a command."""
    return [*COMMANDS[command], *where, "--out", str(folder)]


def resume(command, where, folder):
    """The words that go on with it."""
    return begin(command, where, folder) if command == "sweep" else [command, "--resume", str(folder), "--quiet"]


def forked(words, stop=None):
    """Start the command in a process of its own, interrupted after `stop` steps; its number, and where it speaks to."""
    with tempfile.NamedTemporaryFile(delete=False) as said:
        child = os.fork()
        if child:
            return child, Path(said.name)
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
    sys.stdout = sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), "utf-8", write_through=True)
    if stop is not None:
        signal_at(pytest.MonkeyPatch(), stop, signal.SIGINT)
    code = 70
    with contextlib.suppress(BaseException):
        code = entry_point.main(words)
    os._exit(code)


def ended(child, said):
    """The exit status of a process, minus its signal if that ended it, and what it said."""
    code, text = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said.read_text()
    said.unlink()
    return code, text


def numbers(folder):
    """The results of a folder's runs: histories and lines without times, and parameters."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.suffix == ".jsonl":
            texts = path.read_text().splitlines()
            found[name] = [timeless(json.loads(text)) for text in texts]
        elif path.name == "theta.npz":
            found[name] = np.load(path)["theta"].tobytes()
    return found


def verdict(command, where, folder, whole, named):
    """Resume it: 'same', 'refused' by one of these names, or what is wrong."""
    code, text = ended(*forked(resume(command, where, folder)))
    if code == 0:
        return "same" if numbers(folder) == whole else f"other numbers: {text}"
    line = text.strip()
    if code == 2 and line.startswith("refhf: error: ") and "\n" not in line and any(name in line for name in named):
        return "refused"
    return f"status {code}: {line}"


def kills(command, count, folder, rng):
    """Counts of the verdicts of so many kills, and in how many the process was still there to be killed."""
    where, whole = ["--data", save_tiny(folder)], folder / "whole"
    start = time.monotonic()
    assert ended(*forked(begin(command, where, whole)))[0] == 0
    seconds = time.monotonic() - start
    found = Counter()
    for k in range(count):
        place = folder / f"{k}"
        child, said = forked(begin(command, where, place))
        time.sleep(seconds * (k + rng.random()) / count)
        os.kill(child, signal.SIGKILL)
        found["killed"] += ended(child, said)[0] == -signal.SIGKILL
        found[verdict(command, where, place, numbers(whole), ["run.json", "checkpoint.npz", "runs.jsonl"])] += 1
    return found


def flips(command, count, folder, rng):
    """By the name of each file, counts of the verdicts of so many bits flipped in it."""
    where, whole, cut = ["--data", save_tiny(folder)], folder / "whole", folder / "cut"
    assert ended(*forked(begin(command, where, whole)))[0] == 0
    stop = STOP + {"train": 0, "compare": STEPS + 1, "sweep": 3 * (STEPS + 1)}[command]
    assert ended(*forked(begin(command, where, cut), stop))[0] == 130
    found = {}
    for file in sorted(path.relative_to(cut) for path in cut.rglob("*") if path.is_file()):
        content = (cut / file).read_bytes()
        found[str(file)] = Counter()
        bits = rng.choice(8 * len(content), min(count, 8 * len(content)), replace=False)
        for bit in bits.tolist():
            place = folder / "flipped"
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(cut, place)
            flipped = bytearray(content)
            flipped[bit // 8] ^= 1 << bit % 8
            (place / file).write_bytes(flipped)
            found[str(file)][verdict(command, where, place, numbers(whole), [str(place / file)])] += 1
    return found


def main():
    """Do all, and say how often each verdict was reached."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--flips", type=int, default=300)
    args = parser.parse_args()
    quickly()
    rng, bad = np.random.default_rng(0), 0
    for command in COMMANDS:
        with tempfile.TemporaryDirectory() as folder:
            found = kills(command, args.kills, Path(folder), rng)
        bad += len(found.keys() - {"killed", "same", "refused"})
        print(f"{command}: {args.kills} kills: {dict(found)}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            for file, found in flips(command, args.flips, Path(folder), rng).items():
                bad += len(found.keys() - {"same", "refused"})
                print(f"{command}: {file}: {found.total()} flips: {dict(found)}", flush=True)
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
