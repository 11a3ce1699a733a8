"""What the README says is so."""

import doctest
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_session():
    """The session prints what the README prints."""
    session = re.search(r"```python\n(.*?)```", README, flags=re.S).group(1)
    test = doctest.DocTestParser().get_doctest(session, {}, "README.md", "README.md", 0)
    assert doctest.DocTestRunner().run(test).failed == 0


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
