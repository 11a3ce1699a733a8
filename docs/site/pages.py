"""The site's pages: made from README, tutorials, figures, docs and docstrings. A page keeps its place in the tree."""

import json
import os
import re
import shutil
from pathlib import Path

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
COPIED = (  # pages as they are
    "docs/*.md",
    "docs/course/*.md",
    "benchmarks/scoreboard/README.md",
    "benchmarks/scoreboard/reports/*.md",
    "examples/adapters/README.md",
    "refhf/conformance/vectors/*.md",
    "refhf/DEPARTURES.md",
    "tests/MUTATION.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
)
DOORS = {"1": "papers", "2": "check", "3": "class"}  # the numbered sections of README.md
FORM = "docs/site/lesson_form.py"  # a page that shows the form of a lesson, and tests what makes it
OPENER = '\n<p class="offer"><a href="classroom/saddle.html">Open the page for the classroom</a></p>\n'
LIVE_CHECK = "live/check"  # a page of LIVE=1, and what else the front page has with it
LIVE_WORDS = {
    "edit": " Run and edit the lessons in the page.",
    "live": f"\n```{{toctree}}\n:hidden:\n:caption: In the browser\n\n{LIVE_CHECK}\n```\n",
}
VERDICTS = "holds", "fails", "not judgeable"
ROOMS = {  # of the API page, in the order of the arrows; where a name is defined decides
    "model": "Networks",
    "objective": "Objectives and their products",
    "torch_modules": "PyTorch",
    "krylov": "Solvers and spectra",
    "methods": "Optimisers",
    "driver": "Optimisers",
    "data": "Data and results",
    "lab": "Data and results",
    "conformance": "Checks",
}


def slug(heading):
    """The anchor of a heading, as on GitHub."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def sections(text):
    """The text before the first `## ` heading, and (heading, text) of each section."""
    lead, *parts = re.split(r"^## ", text, flags=re.M)
    return lead, [part.split("\n", 1) for part in parts]


def raised(heading, text):
    """A section as a page: its headings are a level higher."""
    return f"# {heading}\n" + re.sub(r"^##(#+ )", r"#\1", text, flags=re.M)


class Site:
    """The folder of pages that Sphinx reads.

    Attributes
    ----------
    places : dict
        For a file of the repository, or a file and the anchor of a section, its page.
    sources : dict
        For each page the file of the repository that it is made from.
    """

    def __init__(self, folder: Path):
        self.folder, self.places, self.sources, self.texts = folder, {}, {}, {}

    def add(self, page: str, source: str, text: str):
        """Add a page with its text, whose links are still those of the source."""
        self.texts[page], self.sources[page] = text, source
        self.places.setdefault(source, page)

    def write(self):
        """Write all pages."""
        for page, text in self.texts.items():
            place = self.folder / f"{page}.{'rst' if page.startswith('api/') else 'md'}"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text if place.suffix == ".rst" else self._linked(page, text), encoding="utf-8")
        (self.folder / "sources.json").write_text(json.dumps(self.sources))

    def _linked(self, page, text):
        """The text with links to pages, and to copies of the other files."""

        def link(found):
            target, _, anchor = found[2].partition("#")
            source = self.sources[page]
            path = os.path.normpath(os.path.join(os.path.dirname(source), target)) if target else source
            here = os.path.normpath(os.path.join(os.path.dirname(page), target)) if target else f"{page}.md"
            moved = self.places.get((path, anchor))
            if not moved and (here.removesuffix(".md") in self.texts or (self.folder / here).is_file()):
                return found[0]
            to = moved or self.places.get(path)
            if to is None:
                if not (ROOT / path).is_file():
                    raise SystemExit(f"{self.sources[page]}: the link to {found[2]} is dead")
                (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / path, self.folder / path)
            name = os.path.relpath(path if to is None else f"{to}.md", os.path.dirname(page) or ".")
            anchor = f"#{anchor}" if anchor and not moved else ""
            return f"{found[1]}{name}{anchor})"

        return re.sub(r"(\]\()(?!\w+:)([^)\s]+)\)", link, text)


def add_copied(site):
    """The pages that are copied."""
    for pattern in COPIED:
        for file in sorted(ROOT.glob(pattern)):
            source = file.relative_to(ROOT).as_posix()
            site.add(source.removesuffix(".md"), source, file.read_text(encoding="utf-8"))


def add_doors(site, index, live):
    """The front page, with README's first section, and a page a door."""
    lead, parts = sections((ROOT / "README.md").read_text(encoding="utf-8"))
    named = dict(parts)
    doors = {DOORS[heading[0]]: heading for heading in named if heading[0] in DOORS}
    if sorted(doors) != sorted(DOORS.values()):
        raise SystemExit(f"README.md: expected sections numbered {', '.join(DOORS)}; got {', '.join(named)}")
    rest = "".join(f"## {heading}\n{text}" for heading, text in parts if heading not in doors.values())
    _, first, lead = lead.split("\n\n", 2)
    titles = {f"{door}_title": heading[3:] for door, heading in doors.items()}
    words = LIVE_WORDS if live else dict.fromkeys(LIVE_WORDS, "")
    for name, text in {**words, "first": first, "lead": lead, "rest": rest, **titles}.items():
        index = index.replace(f"({name})", text)
    site.add("index", "README.md", index)
    for door, heading in doors.items():
        opener = OPENER if door == "class" else ""
        site.add(door, "README.md", raised(heading[3:], opener + named[heading]))


def add_live(site):
    """The page that checks a product in the browser, and the way to it."""
    site.add(LIVE_CHECK, "docs/site/live/check.md", (HERE / "live" / "check.md").read_text(encoding="utf-8"))
    heading, rest = site.texts["check"].split("\n", 1)
    offer = f'<p class="offer"><a href="{LIVE_CHECK}.html">Check a Hessian product here, in the browser</a></p>'
    site.texts["check"] = f"{heading}\n\n{offer}\n{rest}"


def verdicts(text):
    """The number of each verdict in the text of a figure."""
    found = [said.lower().removesuffix(" here") for said in re.findall(r"\*\*([^*]+)\*\*", text)]
    counts = [(name, found.count(name)) for name in VERDICTS]
    return ", ".join(f"{name}: {count}" for name, count in counts if count)


def add_figures(site):
    """A page for each section with a picture, and for each file of sections their index."""
    for file in sorted((ROOT / "figures").glob("*.md")):
        source = file.relative_to(ROOT).as_posix()
        lead, parts = sections(file.read_text(encoding="utf-8"))
        name = source.removesuffix(".md")
        cards, kept, names = [], [], []
        for heading, text in parts:
            picture = re.search(r"!\[([^\]]*)\]\(([^)]+)\)", text)
            if picture is None:
                kept.append(f"## {heading}\n{text}")
                continue
            page = f"{name}/{slug(heading)}"
            said = verdicts(text)
            line = f"\n*Verdicts: {said}.*\n" if said else ""
            site.places[source, slug(heading)] = page
            site.add(page, source, raised(heading, line + text))
            names.append(f"/{page}")
            cards += [f"::::{{grid-item-card}} {heading}", f":link: /{page}", ":link-type: doc", ""]
            cards += [f"![{picture[1]}]({picture[2]})", ":::{card-footer}", said or "no claim", ":::", "::::"]
        grid = [":::::{grid} 1 1 2 2", ":gutter: 3", *cards, ":::::"] if cards else []
        tree = ["```{toctree}", ":hidden:", "", *names, "```"] if names else []
        site.places[source] = name
        site.add(name, source, "\n".join([lead, *grid, "", *kept, "", *tree]))


def add_tutorials(site, run):
    """The pages of the tutorials that have run."""
    for file in sorted((ROOT / "tutorials").glob("[0-9]*.py")):
        text = (run / f"{file.stem}.md").read_text(encoding="utf-8")
        heading, rest = text.split("\n", 1)
        number = int(file.name[:2])
        offer = (
            f'<p class="offer">This lesson as a <a href="../lessons/{file.stem}.ipynb" download>notebook</a> or a '
            f'<a href="../lessons/{file.name}" download>script</a>; or <code>refhf lesson {number}</code></p>'
        )
        _add_run(site, run, f"tutorials/{file.name}", f"{heading}\n\n{offer}\n{rest}")
    _add_run(site, run, FORM, (run / f"{Path(FORM).stem}.md").read_text(encoding="utf-8"))


def _add_run(site, run, source, text):
    """A page that has run, with its pictures beside it."""
    page = source.removesuffix(".py")
    site.add(page, source, text)
    (site.folder / page).parent.mkdir(parents=True, exist_ok=True)
    for picture in run.glob(f"{Path(page).name}_*.png"):
        shutil.copy(picture, (site.folder / page).parent)


def api_examples():
    """The examples of exports whose docstrings have none."""
    parts = re.split(r"^(\w+)\n-+\n", (HERE / "api_examples.rst").read_text(encoding="utf-8"), flags=re.M)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def add_api(site):
    """A page for each export with an example, and their index by room."""
    import refhf

    rooms, examples = {}, api_examples()
    for name in refhf.__all__:
        item = getattr(refhf, name)
        module = item.__module__
        rooms.setdefault(ROOMS[module.split(".")[1]], []).append(name)
        kind = "class" if isinstance(item, type) else "function"
        lines = [f"refhf.{name}", "=" * (6 + len(name)), "", ".. currentmodule:: refhf", "", f".. auto{kind}:: {name}"]
        lines += ["   :members:", "   :exclude-members: __new__, __init__"] * (kind == "class")
        if (">>>" in (item.__doc__ or "")) == (name in examples):
            raise SystemExit(f"refhf.{name}: expected an example in its docstring or in api_examples.rst, not in both")
        if name in examples:
            lines += ["", ".. rubric:: Example", "", examples[name].strip()]
        site.add(f"api/{name}", f"{module.replace('.', '/')}.py", "\n".join([*lines, ""]))
    lines = [
        "API reference",
        "=============",
        "",
        "The names of ``refhf``. Shapes are in the notation of :doc:`notation`.",
    ]
    for title in dict.fromkeys(ROOMS.values()):
        lines += ["", title, "-" * len(title), "", ".. currentmodule:: refhf", "", ".. autosummary::", ""]
        lines += [f"   {name}" for name in sorted(rooms[title], key=str.lower)]
    lines += ["", ".. toctree::", "   :hidden:", "", "   notation"]
    lines += [f"   {name}" for name in sorted(refhf.__all__, key=str.lower)]
    site.add("api/index", "refhf/__init__.py", "\n".join([*lines, ""]))
    notation = ["Notation", "========", "", ".. automodule:: refhf", "   :no-members:", ""]
    site.add("api/notation", "refhf/__init__.py", "\n".join(notation))
