"""The house: which way the arrows point, and that notation and departures are where they are said to be."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import refhf

PACKAGE = Path(refhf.__file__).parent
ROOT = PACKAGE.parent
ROOMS = (
    "checks",
    "formats",
    "threads",
    "model",
    "parallel",
    "operators",
    "objective",
    "functions",
    "krylov",
    "methods",
    "conformance",
    "app",
)
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
PAGES = 260  # lines; a module is a page or two


def room(module: str) -> int:
    """How far to the right a module `refhf.room...` lives; the package itself is the front door."""
    parts = module.split(".")
    return ROOMS.index(parts[1]) if len(parts) > 1 and parts[1] in ROOMS else len(ROOMS)


def imports(path):
    for node in ast.walk(ast.parse((PACKAGE / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield node.module if node.module != "refhf" else f"refhf.{node.names[0].name}"


@pytest.mark.parametrize("path", [p for p in MODULES if len(p.parts) > 1 or p.stem in ROOMS], ids=str)
def test_arrows_point_one_way(path):
    """A module imports only from its own room and from rooms to its left."""
    here = room("refhf." + ".".join(path.with_suffix("").parts))
    for name in imports(path):
        if name.split(".")[0] == "refhf":
            assert room(name) <= here, f"{path} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_a_module_is_a_page_or_two(path):
    """No module outgrows two pages."""
    assert len((PACKAGE / path).read_text().splitlines()) <= PAGES


def notation():
    table = re.split(r"^=+ +=+ +=+$", refhf.__doc__, flags=re.M)[2]
    return [line.split()[0] for line in table.strip().splitlines()]


def test_notation_table_is_the_linters_list():
    """The names that the linter allows are exactly those of the notation table, each once."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    allowed = settings["tool"]["ruff"]["lint"]["pep8-naming"]["ignore-names"]
    assert sorted(notation()) == sorted(allowed)
    assert len(set(allowed)) == len(allowed)


def test_notation_is_used():
    """Each name of the notation table stands in the code of the package, its tests or its tutorials."""
    names = set()
    for path in [PACKAGE / p for p in MODULES] + [*ROOT.glob("tests/*.py"), *ROOT.glob("tutorials/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            names.add(getattr(node, "id", getattr(node, "arg", getattr(node, "name", None))))
    assert set(notation()) <= names


def test_departures_are_listed():
    """DEPARTURES.md lists what stands at each `Departure:` of the code, and nothing else."""
    marked = {
        (f"refhf/{path.as_posix()}", " ".join(title.split()))
        for path in MODULES
        for title in re.findall(r"Departure: ([^.]+)\.", (PACKAGE / path).read_text())
    }
    text = (PACKAGE / "DEPARTURES.md").read_text()
    assert set(re.findall(r"^\* `([^`]+)`: (.+)$", text, flags=re.M)) == marked


def test_import_is_light():
    """`import refhf` loads neither matplotlib nor MPI nor the command line's extras."""
    heavy = "matplotlib", "mpi4py", "pooch", "tqdm"
    code = f"import sys, refhf; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
