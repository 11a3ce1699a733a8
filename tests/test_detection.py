"""benchmarks/detection.py: its page is that of its lines, which cover the gallery, and a row is measured again."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def detection():
    """The script."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import detection
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))
    return detection


def test_the_page_is_that_of_the_lines(detection):
    """docs/detection.md is what the script makes of docs/detection.jsonl."""
    assert detection.PAGE.read_text() == detection.page(detection.read())


def test_every_fault_has_its_lines(detection):
    """Each fault of the gallery has one line for each check that applies, and there are no others."""
    want = [(subject.name, check) for subject in detection.subjects() for check in detection.CHECKS[subject.kind]]
    lines = [(one["fault"], one["check"]) for one in detection.read()]
    assert len(lines) == len(set(lines))
    assert set(lines) == set(want)


@pytest.mark.parametrize(("name", "check"), [("hessian: sign", "reference"), ("gradient: sum", "own value")])
def test_a_row_is_measured_again(detection, name, check):
    """The smallest size that is found is that of the page, to a factor of 10."""
    subject = next(subject for subject in detection.subjects() if subject.name == name)
    (size,) = (one["size"] for one in detection.read() if (one["fault"], one["check"]) == (name, check))
    assert detection.found(subject, check, 10 * size)
    assert not detection.found(subject, check, size / 10)


def test_what_passes_at_size_one_has_no_size(detection):
    """A gradient and a product that are both doubled pass; with a reference the fault has a size."""
    subject = next(subject for subject in detection.subjects() if subject.name.endswith("doubled with its gradient"))
    assert detection.smallest(subject, "own gradient", steps=1) is None
    assert 1e-13 < detection.smallest(subject, "reference", steps=1) < 1e-9
