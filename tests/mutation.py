"""Mutation testing: one small fault at a time in krylov/, model/ and methods/, to see whether a test notices.

    python tests/mutation.py [--share 0.3] [--processes 2] [--again] [PATTERN ...]
    python tests/mutation.py --table

mutmut writes the mutants to mutants/ (`[tool.mutmut]` in pyproject.toml; `mutmut show NAME` prints one); this script
runs them. The tests are collected once; each mutant is a fork of that process, in which the tests that reach its
function run, the quickest first, until one fails. Outcomes are lines of mutants/outcomes.jsonl, where the last one
counts, and what has one is not run again unless that is asked for. A PATTERN is of names ("refhf.krylov.cg.*") or an
outcome ("survived").
tests/MUTATION.md has the figures and the survivors.
"""

import argparse
import collections
import fnmatch
import functools
import hashlib
import importlib
import itertools
import json
import math
import os
import pathlib
import random
import re
import resource
import signal
import sys
import time

os.environ |= {"HYPOTHESIS_PROFILE": "mutation", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}

import pytest
from mutmut import __main__ as mutmut
from mutmut.configuration import config
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state

SLOW, MOST = 0.5, 10.0  # seconds of CPU of a test, and of a mutant's tests, beyond which they are left out (our choice)
MEMORY = 8 << 30  # bytes of address space: a mutant may ask for any number
NAMES = re.compile(r'(checks\.\w+\()(f?"[^"]*"|None)')  # an argument's name in a message: text, not behaviour
AT_IMPORT = "refhf.surfaces.saddles"  # its functions run when it is loaded: it is loaded again, and its own tests run
WORK = pathlib.Path("mutants").absolute()
REACH, OUTCOMES = WORK / "reach.json", WORK / "outcomes.jsonl"


class Forks:
    """A pytest plugin that runs the collected tests once for each mutant."""

    def __init__(self, mutants, processes):
        self.mutants, self.processes = mutants, processes

    def pytest_runtestloop(self, session):
        """Find which tests reach which function, then run the mutants."""
        if session.testsfailed:
            pytest.exit("a module of tests cannot be imported")
        marks = {path: hashlib.sha1(path.read_bytes()).hexdigest() for path in {item.path for item in session.items}}
        items = {f"{item.nodeid} {marks[item.path]}": item for item in session.items}
        known = json.loads(REACH.read_text()) if REACH.exists() else {}
        fresh = [test for test in items if test not in known]
        status, said = self.fork("stats", [items[test] for test in fresh], 3600)
        if status:
            pytest.exit(f"fails without a mutant: {said}")
        known |= zip(fresh, json.loads(said), strict=True)
        REACH.write_text(json.dumps(known))
        tests = collections.defaultdict(list)  # of a function: those that reach it, with their seconds
        for test in items:
            for function in known[test][1] if known[test][0] < SLOW else ():
                tests[function].append((known[test][0], test))
        for i in range(self.processes):
            if os.fork() == 0:
                try:
                    for mutant in self.mutants[i :: self.processes]:
                        self.run(mutant, sorted(tests[mutant.rpartition("__mutmut_")[0]]), items)
                finally:
                    os._exit(0)
        for _ in range(self.processes):
            os.wait()
        return True

    def run(self, mutant, tests, items):
        """Run a mutant, and write down its outcome."""
        total = list(itertools.accumulate(seconds for seconds, _ in tests))
        few = [items[test] for sofar, (_, test) in zip(total, tests, strict=True) if sofar < MOST]
        status, test = self.fork(mutant, few, 3 + 1.5 * min([MOST, *total[-1:]]))
        reached = few or mutant.startswith(AT_IMPORT)
        outcome = "timeout" if status < 0 else "killed" if status else "survived" if reached else "no test"
        with OUTCOMES.open("a") as file:
            file.write(json.dumps({"mutant": mutant, "outcome": outcome, "test": test}) + "\n")

    def fork(self, mutant, items, seconds):
        """Exit status and last words of a process that runs `items` as `mutant`; a signal's number is negative."""
        ear, mouth = os.pipe()
        if child := os.fork():
            os.close(mouth)
            with open(ear) as words:
                said = words.read()
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said
        self.mouth, reached, status = mouth, [], 3
        try:
            for stream in (1, 2):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(seconds), math.ceil(seconds)))
            signal.alarm(300 + 60 * math.ceil(seconds))  # for one that waits
            set_mutant_under_test(mutant)
            if mutant.startswith(AT_IMPORT):
                del sys.modules["test_surfaces"]
                importlib.reload(sys.modules[AT_IMPORT])
                status = int(pytest.main([*arguments(), "-x", "tests/test_surfaces.py"]) != 0)
                os._exit(self.say("tests/test_surfaces.py" if status else "", status))
            for item, following in zip(items, [*items[1:], None], strict=False):
                before = time.process_time()
                item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
                reached.append((time.process_time() - before, list(state()._stats)))
                state()._stats.clear()
            status = self.say(json.dumps(reached) if mutant == "stats" else "", 0)
        finally:
            os._exit(status)

    def say(self, words, status):
        """Tell the parent, and return the status."""
        with open(self.mouth, "w") as mouth:
            mouth.write(words)
        return status

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item, call):
        """A test has failed: the mutant is killed. No report: pytest would parse the mutants' large files for it."""
        if call.excinfo and not call.excinfo.errisinstance(pytest.skip.Exception):
            os._exit(self.say(item.nodeid, 1))


def arguments():
    """pytest's."""
    return ["--rootdir=.", "-q", "-s", *config().pytest_add_cli_args]


def sample(share):
    """The mutants' names, the same share of each module's, drawn at random; a larger share contains a smaller one."""
    drawn = []
    for path in sorted((WORK / "refhf").rglob("*.meta")):
        names = list(json.loads(path.read_text())["exit_code_by_key"])
        random.Random(path.name).shuffle(names)
        names = [name for name in names[: math.ceil(share * len(names))] if name not in of_text(path)]
        drawn += [((i + 0.5) / len(names), name) for i, name in enumerate(names)]
    return [name for _, name in sorted(drawn)]


@functools.cache
def of_text(path):
    """A module's mutants that change the name of an argument in a message, and nothing else."""
    lines, found = path.with_suffix("").read_text().splitlines(), set()
    spans = json.loads(path.with_suffix(".spans").read_text())["spans"]

    def source(name):
        first, last = spans[name]
        return NAMES.sub(r"\1", "\n".join(lines[first - 1 : last])).replace(name, "")

    module = ".".join(path.relative_to(WORK).with_suffix("").with_suffix("").parts)
    for name in spans:
        original = name.rpartition("__mutmut_")[0] + "__mutmut_orig"
        if name != original and source(name) == source(original):
            found.add(f"{module}.{name}")
    return found


def outcomes():
    """The last outcome of each mutant that has run."""
    lines = OUTCOMES.read_text().splitlines() if OUTCOMES.exists() else []
    return {line["mutant"]: line["outcome"] for line in map(json.loads, lines)}


def table():
    """Outcomes by room and module; the rate is of those run, with Wilson's 95 % interval."""
    counts, done = collections.defaultdict(collections.Counter), outcomes()
    for name in sample(1):
        _, room, module, *_ = name.split(".")
        for row in (f"{room}/{module}.py", f"**{room}/**", "**all**"):
            counts[row].update(["mutants", *([done[name], "run"] if name in done else [])])
    print("| | mutants | run | killed | timeout | survived | no test | caught | 95 % interval |\n" + 9 * "|---" + "|")
    for row in sorted(counts, key=lambda row: (row.strip("*") == "all", row.strip("*"))):
        c, n, z = counts[row], max(counts[row]["run"], 1), 1.96
        p = (c["killed"] + c["timeout"]) / n
        half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        low, high = (100 * (p + z * z / (2 * n) + x) / (1 + z * z / n) for x in (-half, half))
        cells = " | ".join(str(c[k]) for k in ("mutants", "run", "killed", "timeout", "survived", "no test"))
        print(f"| {row} | {cells} | {100 * p:.1f} % | {low:.1f} to {high:.1f} % |")


def main():
    """Write the mutants, run them, print the table."""
    parser = argparse.ArgumentParser(description="Run mutants against the tests.")
    parser.add_argument("--share", type=float, default=1.0, help="of each module's mutants")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--table", action="store_true", help="only print the table of what has run")
    parser.add_argument("--again", action="store_true", help="also what has an outcome")
    parser.add_argument("patterns", nargs="*", help='of mutants\' names, or an outcome ("survived"); all if none')
    given = parser.parse_args()
    if not given.table:
        WORK.mkdir(exist_ok=True)
        mutmut.copy_src_dir()
        mutmut.copy_also_copy_files()
        mutmut.setup_source_paths()
        mutmut.create_mutants(given.processes)
        done, args = outcomes(), [*arguments(), *config().pytest_add_cli_args_test_selection]
        mutants = [
            name
            for name in sample(given.share)
            if (given.again or name not in done)
            and any(fnmatch.fnmatch(name, p) or done.get(name) == p for p in given.patterns or ["*"])
        ]
        os.chdir(WORK)
        pytest.main(args, plugins=[Forks(mutants, given.processes)])
    table()


if __name__ == "__main__":
    main()
