"""The house: which way the arrows point, and that notation and departures are where they are said to be."""

import ast
import importlib
import io
import re
import subprocess
import sys
import tokenize
import tomllib
import warnings
from collections import Counter
from pathlib import Path

import pytest

import refhf

PACKAGE = Path(refhf.__file__).parent
ROOT = Path(__file__).parents[1]  # the package may be installed elsewhere
ROOMS = (
    "hints",
    "checks",
    "formats",
    "text",
    "model",
    "surfaces",
    "krylov",
    "parallel",
    "objective",
    "torch_modules",
    "methods",
    "driver",
    "data",
    "conformance",
    "lab",
)
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if path.parent.name != "lessons")
HOUSE = "refhf", "tests", "tutorials", "figures", "benchmarks", "examples", "scripts"
WITHIN = {  # a line may import from the lines above it; those of one line do not import each other
    "methods": ("report", "schedules", "search", "mini_batch", "first_order hessian_free newton nonlinear_cg replicas"),
    "conformance": (
        "oracles patterns",
        "check_report",
        "parameter_layout",
        "float64_reference",
        "mistakes",
        "checkers vectors",
        "hessian_reference recipes",
    ),
    "lab": ("runs", "plots", "saddle sweep", "cli"),
}
MOST_OF_A_MODULE, MOST_OF_A_FUNCTION = 150, 40  # lines of code, without docstrings, comments and blanks; our choice
NOT_CODE = tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER


def room(module: str) -> int:
    """The rank of a module `refhf.room...` in the order of rooms; the package itself comes last."""
    parts = module.split(".")
    return ROOMS.index(parts[1]) if len(parts) > 1 and parts[1] in ROOMS else len(ROOMS)


def imports(path):
    for node in ast.walk(ast.parse((PACKAGE / path).read_text(encoding="utf-8"))):
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


def levels(name):
    """The room of a module `refhf.room.part...`, and its part's place in WITHIN."""
    _, within, part, *_ = [*name.split("."), "", ""]
    places = [place for place, parts in enumerate(WITHIN.get(within, ())) if part in parts.split()]
    return within, part, places[0] if places else None


@pytest.mark.parametrize("path", [p for p in MODULES if p.parts[0] in WITHIN and p.name != "__init__.py"], ids=str)
def test_arrows_point_one_way_within_a_room(path):
    """In methods, conformance and lab too; the families of methods do not import each other."""
    within, here, place = levels("refhf." + ".".join(path.with_suffix("").parts))
    assert place is not None, f"{here} has no place in WITHIN"
    for name in imports(path):
        its_room, there, its_place = levels(name)
        if its_room == within and its_place is not None and there != here:
            assert its_place < place, f"{path} imports {name}"


def lines_of_code(path):
    """The numbers of the lines that hold code, and the syntax tree."""
    text = (PACKAGE / path).read_text(encoding="utf-8")
    tree = ast.parse(text)
    tokens = [t for t in tokenize.generate_tokens(io.StringIO(text).readline) if t.type not in NOT_CODE]
    lines = {n for token in tokens for n in range(token.start[0], token.end[0] + 1)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            lines -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return lines, tree


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_modules_and_functions_are_short(path):
    """No module has more than 150 lines of code and no function more than 40."""
    lines, tree = lines_of_code(path)
    assert len(lines) <= MOST_OF_A_MODULE
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            own = lines & set(range(node.lineno, node.end_lineno + 1))
            assert len(own) <= MOST_OF_A_FUNCTION, node.name


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_first_lines_say_what_a_thing_is(path):
    """No docstring opens with a question word, or with the half of a sentence that "Of" and "Its" begin."""
    for node in ast.walk(ast.parse((PACKAGE / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            opener = (ast.get_docstring(node) or "").split(maxsplit=1)[:1]
            assert not {"What", "How", "Of", "Its", "Which", "Why", "Whether"} & {*opener}, getattr(node, "name", path)


def test_one_name_one_thing():
    """No two modules, and no two public classes, have one name."""
    stems = [path.stem for path in MODULES if not path.stem.startswith("__")]
    trees = [ast.parse((PACKAGE / path).read_text(encoding="utf-8")) for path in MODULES]
    classes = [n.name for tree in trees for n in tree.body if isinstance(n, ast.ClassDef) and n.name[0] != "_"]
    for names in stems, classes:
        assert [name for name, count in Counter(names).items() if count > 1] == []


def notation():
    table = re.split(r"^=+ +=+ +=+$", refhf.__doc__, flags=re.M)[2]
    return [name for line in table.strip().splitlines() for name in re.split("  +", line)[0].split(", ")]


def test_notation_table_is_the_linters_list():
    """The names that the linter allows are exactly those of the notation table, each once."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    allowed = settings["tool"]["ruff"]["lint"]["pep8-naming"]["ignore-names"]
    assert sorted(notation()) == sorted(allowed)
    assert len(set(allowed)) == len(allowed)


def test_notation_is_used():
    """Each name of the notation table stands in the code of the package, its tests or its tutorials."""
    names = set()
    for path in [PACKAGE / p for p in MODULES] + [*ROOT.glob("tests/*.py"), *ROOT.glob("tutorials/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names.add(getattr(node, "id", getattr(node, "arg", getattr(node, "name", None))))
    assert set(notation()) <= names


def test_departures_are_listed():
    """DEPARTURES.md lists what stands at each `Departure:` of the code and of the figures, and nothing else."""
    marked = {
        (path.relative_to(ROOT).as_posix(), " ".join(title.split()))
        for room in ("refhf", "figures", "benchmarks")
        for path in (ROOT / room).rglob("*.py")
        for title in re.findall(r"Departure: ([^.]+)\.", path.read_text(encoding="utf-8"))
    }
    text = (PACKAGE / "DEPARTURES.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\* `([^`]+)`: (.+)$", text, flags=re.M)) == marked


def test_what_is_cited_is_there():
    """Each file of the repository that a docstring, a comment or a page of text names is there."""
    texts = [path for room in HOUSE for kind in ("py", "md") for path in (ROOT / room).rglob(f"*.{kind}")]
    named = {
        (place, path.relative_to(ROOT).as_posix())
        for path in (*ROOT.glob("*.md"), *texts)
        for place in re.findall(
            rf"(?<![\w/])(?:{'|'.join(HOUSE)})/[\w/.]+\.(?:py|md|toml|html)\b", path.read_text(encoding="utf-8")
        )
    }
    assert len(named) > 50
    assert sorted(pair for pair in named if not (ROOT / pair[0]).exists()) == []


def test_a_claim_and_a_promise_have_names_of_their_own():
    """No claim of a paper (figures/README.md) is called as a promise (docs/promises.md) is."""
    claims = set(re.findall(r"\[([A-Z]+\d+)\]\(", (ROOT / "figures" / "README.md").read_text(encoding="utf-8")))
    promises = set(re.findall(r"\bR\d+", (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")))
    assert claims and promises and not claims & promises


def test_a_package_is_not_hidden_by_a_name():
    """`refhf.methods` and other room names are the packages that `import` finds, independent of `refhf`'s exports."""
    for room in ROOMS:
        assert importlib.import_module(f"refhf.{room}") is getattr(refhf, room)


def test_own_warnings_are_errors():
    """A warning is an error, but for what other packages say of their own, or each other's, future."""
    for module, category in [("refhf.krylov.cg", DeprecationWarning), ("numpy.linalg", RuntimeWarning)]:
        with pytest.raises(category):
            warnings.warn_explicit("a warning", category, "a.py", 1, module)
    with warnings.catch_warnings(record=True) as said:
        for category in DeprecationWarning, PendingDeprecationWarning, FutureWarning:
            warnings.warn_explicit("a warning", category, "a.py", 1, "matplotlib.mathtext")
    assert len(said) == 3


def test_import_is_light():
    """`import refhf` loads neither matplotlib nor MPI nor the command line's extras, nor SciPy's slow parts."""
    heavy = "matplotlib", "mpi4py", "pooch", "tqdm", "torch", "scipy.stats", "scipy.optimize", "scipy.special"
    code = f"import sys, refhf; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
