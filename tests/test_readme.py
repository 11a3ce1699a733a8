"""The statements and commands of the README hold."""

import doctest
import json
import re
import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
AT_WORK = (ROOT / "docs" / "methods_at_work.md").read_text(encoding="utf-8")


def test_session():
    """The session prints what the README prints."""
    session = re.search(r"```python\n(.*?)```", README, flags=re.S).group(1)
    test = doctest.DocTestParser().get_doctest(session, {}, "README.md", "README.md", 0)
    assert doctest.DocTestRunner().run(test).failed == 0


def test_the_table_is_of_medians(tmp_path, monkeypatch, capsys):
    """`make seeds` prints the median and the range of each number, in the columns of docs/methods_at_work.md."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["seeds.py"])
    Path("seeds").mkdir()
    for seed, loss in enumerate((0.5, 10.25, 0.125, 2.0, 0.0625)):
        final = {"loss": loss, "training_error": 0.1, "test_error": 0.25, "epochs": 9.7 + seed, "curvature_products": 7}
        Path("seeds", f"{seed}.json").write_text(json.dumps({"runs": [{"method": "gn-cg", "final": final}]}))
    run = runpy.run_path(str(ROOT / "benchmarks" / "seeds.py"))
    run["main"]()
    head, rule, row = capsys.readouterr().out.splitlines()
    assert f"{head}\n{rule}\n| gn-cg | " in AT_WORK
    assert row.startswith(
        "| gn-cg | 0.500 (0.062 to 10.250) | 10.00 (10.00 to 10.00) | 25.00 (25.00 to 25.00) | 12 (10"
    )


def test_files_exist():
    """Each file that the README names is there."""
    named = set(re.findall(r"\]\(([\w/.-]+)\)", README)) | set(
        re.findall(r"`((?:tests|refhf|benchmarks)/[\w/.]+)`", README)
    )
    named |= {f"tests/{name}" for name in re.findall(r"`(test_\w+\.py)`", README)}
    named |= {f"tutorials/{name}" for name in re.findall(r"`(\d\d_\w+\.py)`", README)}
    assert named
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_targets_exist():
    """Each `make` target that the README names is in the Makefile."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"make (\w+)", README):
        assert re.search(rf"^{target}:", makefile, flags=re.M), target


def test_a_release_has_absolute_links():
    """In the README of a release no link is relative: a package index shows the README alone."""
    release = runpy.run_path(str(ROOT / "docs" / "release.py"))
    links = re.findall(r"\]\(([^)]+)\)", release["absolute"](README, "https://example.org/refhf", "v1.0"))
    assert len(links) > 5
    assert all(link.startswith("https://example.org/refhf/") for link in links)
    assert "https://example.org/refhf/raw/v1.0/docs/compare.png" in links
