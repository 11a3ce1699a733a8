"""Promise R19: every tutorial runs in under a minute of one core, and prints the values in its text.

The convention: in a markdown cell, a code span with ` = `, ` < ` or ` > ` in it is a claim about the output, such as
`rank of G = 10`, and must be printed, word for word, by the tutorial itself (which asserts it).
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings
from processes import OWN_WARNINGS

TUTORIALS = sorted((Path(__file__).parent.parent / "tutorials").glob("[0-9]*.py"))
SECONDS = 60
MOVES = {  # lines that are said to hang on rounding: tables of draws, digits beyond those needed
    "06_digits": "hessian-cg|hybrid-cg|hessian-bicgstab|other constants",
    "04_check_your_own": "  ok  ",
}
ONE_CORE = dict.fromkeys(("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"), "1")


def claims(path):
    cells = re.split(r"^# %%", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    prose = (re.sub(r"\n#? ?", " ", cell) for cell in cells if cell.startswith(" [markdown]"))
    return [span for cell in prose for span in re.findall(r"`([^`]*)`", cell) if re.search(r" [=<>] ", span)]


def printed(claim, output):
    """True if the output has the claim, not as a part of another number or word."""
    return re.search(rf"(?<![\w.-]){re.escape(claim)}(?!\w|\.\d)", output) is not None


def altered(claim):
    """The claim with its last digit another, or its last letter where it has none."""
    last = r"\d(?=\D*$)" if re.search(r"\d", claim) else r"\w(?=\W*$)"
    return re.sub(last, lambda found: str((int(found[0]) + 1) % 10) if found[0].isdigit() else "?", claim)


def output(path, folder, **environment):
    command, before = [sys.executable, *OWN_WARNINGS, str(path)], os.times()
    run = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | ONE_CORE | environment,
        capture_output=True,
        text=True,
        timeout=10 * SECONDS,
    )
    after = os.times()
    assert run.returncode == 0, run.stderr
    assert sum(after[2:4]) - sum(before[2:4]) < SECONDS  # of one core: a busy machine is not the tutorial's fault
    return run.stdout


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_what_a_tutorial_states_is_what_it_prints(path, tmp_path):
    stated, shown = claims(path), output(path, tmp_path)
    assert len(stated) >= 5
    assert [claim for claim in stated if not printed(claim, shown)] == []
    assert [claim for claim in map(altered, stated) if printed(claim, shown)] == []  # the check can fail
    assert list(tmp_path.iterdir()) == []  # and a tutorial leaves nothing behind


@pytest.mark.skipif(settings.default.max_examples <= 100, reason="in a long run only")
@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_a_tutorial_prints_the_same_with_another_blas(path, tmp_path):
    """With OpenBLAS's oldest kernel, whose sums are rounded otherwise, every line is the same but those of MOVES."""
    texts = [output(path, tmp_path, **kernel) for kernel in ({}, {"OPENBLAS_CORETYPE": "Prescott"})]
    moves = re.compile(MOVES.get(path.stem, r"(?!)"))
    one, other = ([line for line in text.splitlines() if not moves.match(line)] for text in texts)
    assert one == other
