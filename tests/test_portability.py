"""tests/portability.py: which cells there are, and what the table says of them. The cells are run by hand."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def portability(monkeypatch, tmp_path):
    """The script, writing to a folder of its own."""
    monkeypatch.syspath_prepend(ROOT / "tests")
    import portability

    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    monkeypatch.setattr(portability, "LINES", tmp_path / "lines.jsonl")
    monkeypatch.setattr(portability, "TABLE", tmp_path / "table.md")
    return portability


def blas(*names):
    return {"python": "3.11.7", "numpy": "2.4", "scipy": "1.17", "matplotlib": "3.11", "blas": [[n, 1] for n in names]}


def test_kernels_are_those_that_run(portability, monkeypatch):
    """A kernel that dies is no cell; two names of one kernel are one; what the machine has set is left as it is."""
    import portability_cells as cells

    loaded = {"Prescott": blas("Katmai"), "Haswell": blas("Haswell"), "Zen": blas("Haswell"), "SkylakeX": "died"}
    monkeypatch.setattr(cells, "probe", lambda python, **setting: loaded[setting["OPENBLAS_CORETYPE"]])
    monkeypatch.setattr(cells, "KERNELS", {"machine": tuple(loaded)})
    monkeypatch.setattr(cells.platform, "machine", lambda: "machine")
    assert list(cells.kernels("python")) == ["Prescott", "Haswell"]
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Zen")
    assert list(cells.kernels("python")) == ["Zen"]


def test_probe_of_this_python(portability, tmp_path):
    """A working environment is described; a broken one gives an error text."""
    assert portability.probe(sys.executable)["python"] == ".".join(map(str, sys.version_info[:3]))
    (tmp_path / "numpy.py").write_text("raise ImportError('none here')")
    assert portability.probe(sys.executable, PYTHONPATH=str(tmp_path)) == "ImportError: none here"


def test_the_numerical_tests_are_there(portability):
    """Each file that `--quick` runs exists."""
    assert [name for name in portability.NUMERICAL if not (ROOT / name).exists()] == []


def test_read_a_report(portability, tmp_path):
    """Counts and names come from pytest's own report; without one, nothing ran."""
    assert portability.read(tmp_path / "none.xml") == {"tests": 0, "skipped": 0, "failing": []}
    (tmp_path / "test_three.py").write_text(
        "import pytest\ndef test_a(): pass\ndef test_b(): assert 0\n@pytest.mark.skip\ndef test_c(): pass\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-c", "none.ini", "--junitxml=report.xml", "test_three.py"]
    (tmp_path / "none.ini").write_text("[pytest]\n")
    subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    expected = {"tests": 3, "skipped": 1, "failing": ["test_three::test_b"]}
    assert portability.read(tmp_path / "report.xml") == expected


def test_a_cell_that_has_passed_is_not_run_again(portability, monkeypatch):
    """A line a cell, the table after each; at the same commit only what has not passed is run, or what is named."""
    from portability_cells import Cell

    ran, outcomes = [], {"a": "passed", "b": "failed"}

    def run(cell, files, limit, here):
        ran.append(cell.name)
        failing = [] if outcomes[cell.name] == "passed" else ["tests.test_x::test_y"]
        return {"outcome": outcomes[cell.name], "tests": 5, "skipped": 1, "failing": failing, "ran": blas("Zen")}

    monkeypatch.setattr(portability, "run", run)
    monkeypatch.setattr(portability, "cells", lambda here: [Cell(name, f"cell {name}") for name in "ab"])
    monkeypatch.setattr(portability, "git", lambda *_: "0123456789")
    for words, expected in ([], "ab"), ([], "b"), (["--only", "a"], "a"), (["--quick"], "b"):
        ran.clear()
        monkeypatch.setattr(sys, "argv", ["portability.py", *words])
        assert portability.main() == ("b" in expected)
        assert ran == list(expected)
    assert [json.loads(line)["cell"] for line in portability.LINES.read_text().splitlines()] == [
        "a",
        "b",
        "b",
        "a",
        "b",
    ]
    table = portability.TABLE.read_text()
    assert "| cell a | all | 3.11.7 | 2.4 | 1.17 | 3.11 | Zen x 1 | passed | 4 | 1 | 0 | 0123456789 |" in table
    assert "| failed | 3 | 1 | 1 |" in table
    assert table.endswith("* cell b: `tests.test_x::test_y`\n")
    monkeypatch.setattr(sys, "argv", ["portability.py", "--only", "c"])
    with pytest.raises(SystemExit):
        portability.main()
