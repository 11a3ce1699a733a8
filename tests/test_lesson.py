"""`refhf lesson`: the tutorials, in a checkout and in a wheel."""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from refhf.lab.cli import entry_point, lesson_command

ROOT = Path(__file__).parents[1]
TUTORIALS = sorted((ROOT / "tutorials").glob("[0-9]*.py"))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_tutorial_is_listed(capsys):
    """The list has each tutorial's number and title; as JSON too."""
    assert entry_point.main(["lesson"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert entry_point.main(["lesson", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["file"] for row in rows] == [path.name for path in TUTORIALS]
    for row, line, path in zip(rows, lines, TUTORIALS, strict=False):
        assert line.split() == [str(row["number"]), *row["title"].split()]
        assert f"# # {row['number']}. {row['title']}\n" in path.read_text(encoding="utf-8")


def test_a_lesson_is_written_as_it_is(here, capsys):
    """The file written is the tutorial's, and nothing else is written."""
    assert entry_point.main(["lesson", "3"]) == 0
    (written,) = here.iterdir()
    assert written.name in capsys.readouterr().out
    assert written.read_bytes() == (ROOT / "tutorials" / written.name).read_bytes()


def test_a_notebook_has_the_cells_of_the_script(here, capsys):
    """The notebook's cells are the script's, in order: the text without comment signs, and the code."""
    pytest.importorskip("jupytext")
    assert entry_point.main(["lesson", "3", "--notebook", "--json"]) == 0
    notebook = json.loads((here / json.loads(capsys.readouterr().out)["file"]).read_text(encoding="utf-8"))
    script = next(path for path in TUTORIALS if path.name.startswith("03")).read_text(encoding="utf-8")
    kinds = ["markdown" if cell.startswith(" [markdown]") else "code" for cell in script.split("# %%")[1:]]
    assert [cell["cell_type"] for cell in notebook["cells"]] == kinds
    for cell in notebook["cells"]:
        sign = "# " if cell["cell_type"] == "markdown" else ""
        assert all((sign + line).strip() in script for line in "".join(cell["source"]).splitlines())


@pytest.mark.parametrize("name", ["03_krylov.py", "03_krylov.ipynb"])
def test_no_file_is_overwritten(name, here, capsys):
    """Where a file of that name is, the command refuses, and the file stays."""
    (here / name).write_text("my notes")
    assert entry_point.main(["lesson", "3", *["--notebook"] * name.endswith("ipynb")]) == 2
    assert name in capsys.readouterr().err
    assert (here / name).read_text() == "my notes" and len([*here.iterdir()]) == 1


@pytest.mark.parametrize("words", [["99"], ["-1"], ["krylov"], ["--notebook"]], ids=str)
def test_no_such_lesson(words, here, capsys):
    """Another number, or none for a notebook, is a usage error in one line; nothing is written."""
    assert entry_point.main(["lesson", *words]) == 2
    assert re.fullmatch(r"refhf: error: (argument N|number): expected .*; got .*\n", capsys.readouterr().err)
    assert [*here.iterdir()] == []


def test_without_jupytext_the_extra_is_named(here, capsys, monkeypatch):
    """Without jupytext the script is written, and the notebook is refused with the extra's name."""
    monkeypatch.setitem(sys.modules, "jupytext", None)
    assert entry_point.main(["lesson", "3", "--notebook"]) == 2
    assert "refhf[notebook]" in capsys.readouterr().err
    assert [*here.iterdir()] == []
    assert entry_point.main(["lesson", "3"]) == 0


def test_a_wheel_has_the_lessons(tmp_path):
    """A wheel has each tutorial, and the command finds them in it."""
    pytest.importorskip("setuptools", "77")
    code = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
    for name in "setup.py", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in", "refhf_pytest.py":
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    for folder in "refhf", "tutorials":
        (tmp_path / folder).symlink_to(ROOT / folder)
    run = [sys.executable, "-c", code, str(tmp_path)]
    subprocess.run(run, cwd=tmp_path, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if name.startswith("refhf/lessons/")}
        assert names == {f"refhf/lessons/{path.name}" for path in TUTORIALS}
        archive.extractall(tmp_path / "installed")
    listed = [sys.executable, "-m", "refhf", "lesson", "--json"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "installed")}
    shown = subprocess.run(listed, cwd=tmp_path / "installed", env=environment, capture_output=True, check=True)
    assert [row["file"] for row in json.loads(shown.stdout)] == [path.name for path in TUTORIALS]


def test_the_title_is_without_number():
    """The title is the first heading's, without the lesson's number."""
    assert lesson_command.lesson_title("# %% [markdown]\n# # 12. Heads of 2.\n# ## 3. More\n") == "Heads of 2."
