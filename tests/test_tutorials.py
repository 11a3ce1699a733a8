"""Promise R19: every tutorial runs in under a minute of one core, and prints the values in its text.

The convention: in a markdown cell, a code span with ` = `, ` < ` or ` > ` in it is a claim about the output, such as
`rank of G = 10`, and must be printed, word for word, by the tutorial itself (which asserts it).
"""

import itertools
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
    "10_large_batches": "nlcg-.., batch 128",
}
ONE_CORE = dict.fromkeys(("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"), "1")
NO_DISPLAY = {"MPLBACKEND": "Agg", "DISPLAY": ""}
COURSE = Path(__file__).parent.parent / "docs" / "course"


def claims(path):
    cells = re.split(r"^# %%", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    prose = (re.sub(r"\n#? ?", " ", cell) for cell in cells if cell.startswith(" [markdown]"))
    return [span for cell in prose for span in re.findall(r"`([^`]*)`", cell) if re.search(r" [=<>] ", span)]


def cells(path):
    """(kind, text) of each cell; markdown without its comment signs."""
    for cell in re.split(r"^# %%", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        head, body = cell.split("\n", 1)
        markdown = "[markdown]" in head
        yield ("markdown", re.sub(r"^# ?", "", body, flags=re.MULTILINE)) if markdown else ("code", body)


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
        env=os.environ | ONE_CORE | NO_DISPLAY | environment,
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


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_a_lesson_has_pictures_exercises_and_a_summary(path):
    """A sentence stands under each picture, a checked answer under each exercise, three or four points at the end."""
    parts = list(cells(path))
    below = [after for (kind, text), (_, after) in itertools.pairwise(parts) if draws(kind, text)]
    assert below
    assert [text for text in below if not text.startswith("**Picture.** ")] == []
    exercises = [(i, text) for i, (_, text) in enumerate(parts) if "<details><summary>Answer</summary>" in text]
    assert 3 <= len(exercises) <= 5
    for number, (i, text) in enumerate(exercises, 1):
        kind, check = parts[i + 1]
        assert f"**{number}.** " in text
        assert text.count("<details>") == text.count("</details>") == 1
        assert kind == "code"
        assert check.startswith(f"# Answer to exercise {number}, checked\n")
        assert "assert " in check
    assert "## What to remember" in parts[-1][1]
    assert 3 <= len(re.findall(r"^- ", parts[-1][1].split("## What to remember")[1], flags=re.MULTILINE)) <= 4


def draws(kind, text):
    return kind == "code" and re.search(r"^(plt\.)?show\(", text, flags=re.MULTILINE)


def test_slides_have_each_picture_and_its_sentence(tmp_path):
    """The slides of a lesson are a title, a page a picture and the points to remember."""
    command = [sys.executable, str(COURSE / "slides.py"), "0", "--out", "slides.pdf"]
    subprocess.run(command, cwd=tmp_path, env=os.environ | ONE_CORE, check=True, timeout=10 * SECONDS)
    pages = len(re.findall(rb"/Type /Page\b", (tmp_path / "slides.pdf").read_bytes()))
    assert pages == 2 + sum(draws(*cell) is not None for cell in cells(TUTORIALS[0]) if cell[0] == "code")


def test_a_quiz_question_has_an_answer():
    """Each question of the quiz has four choices and one folded answer, which names one of them."""
    questions = re.split(r"^\*\*\d+\.\*\* ", (COURSE / "quiz.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    assert len(questions) >= 12
    for question in questions:
        assert re.findall(r"^- ([a-d])\) ", question, flags=re.MULTILINE) == list("abcd")
        assert (
            len(re.findall(r"<details><summary>Answer</summary>\s+\*\*[a-d]\.\*\* .+?</details>", question, re.S)) == 1
        )


@pytest.mark.skipif(settings.default.max_examples <= 100, reason="in a long run only")
@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_a_tutorial_prints_the_same_with_another_blas(path, tmp_path):
    """With OpenBLAS's oldest kernel, whose sums are rounded otherwise, every line is the same but those of MOVES."""
    texts = [output(path, tmp_path, **kernel) for kernel in ({}, {"OPENBLAS_CORETYPE": "Prescott"})]
    moves = re.compile(MOVES.get(path.stem, r"(?!)"))
    one, other = ([line for line in text.splitlines() if not moves.match(line)] for text in texts)
    assert one == other
