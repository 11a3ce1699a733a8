"""Write the page of each paper, he_2016.md and the others of PAGES, and README.md, their index.

    python figures/write_pages.py [FOLDER]

A page is its template in templates/, with each {{expression:format}} replaced as in an f-string. The expressions are of
the page's module in page_numbers/, which reads the raw runs. So a number that comes from runs is in no text; it is made
from the lines. tests/test_pages.py checks that the pages are these, and that a template has no number but those that
page_numbers/given.py lists, with where they come from.
"""

import importlib
import re
import sys
import textwrap
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
PAGES = "he_2016", "adya_2018", "arnold_wang", "dauphin_2014", "sutskever_2013"  # in the order of the index
NOTE = "<!-- Written by figures/write_pages.py from templates/{}.md: edit that. -->\n\n"
EXPRESSION = re.compile(r"\{\{(.+?)\}\}", flags=re.S)


def template(name: str) -> str:
    """The text of a template."""
    return (HERE / "templates" / f"{name}.md").read_text(encoding="utf-8")


def filled(name: str, namespace: dict) -> str:
    """The page: the template with the values of its expressions."""

    def value(match):
        try:
            return eval(f'f"""{{{" ".join(match[1].split())}}}"""', namespace)
        except Exception as error:
            raise ValueError(f"templates/{name}.md: {match[0]}: {type(error).__name__}: {error}") from error

    blocks = EXPRESSION.sub(value, template(name)).split("\n\n")
    return NOTE.format(name) + "\n\n".join(map(wrapped, blocks))


def wrapped(block: str) -> str:
    """A paragraph or list in lines of 120 characters; a table, a heading, a picture or a code block as it is."""
    if block.lstrip("\n")[:1] in "|#![<" or "```" in block:
        return block
    items = re.split(r"\n(?=\* )", block.strip("\n"))
    lines = [textwrap.fill(item, 120, subsequent_indent="  " * item.startswith("* "), break_long_words=False,
                           break_on_hyphens=False) for item in items]  # fmt: skip
    return "\n".join(lines) + "\n" * block.endswith("\n")


def claims(page: str, text: str):
    """The claims of a page, (name, claim, verdict, link): the rows of its tables that begin with a bold name."""
    anchor = ""
    for line in text.splitlines():
        if line.startswith("## "):
            anchor = re.sub(r"[^\w\- ]", "", line[3:].lower()).replace(" ", "-")
        if match := re.match(r"\| \*\*([A-Z]+\d+)\*\*,? ?(.+)", line):
            said, *_, verdict = match[2].removesuffix(" |").split(" | ")
            yield match[1], said.strip(), verdict, f"{page}.md#{anchor}"


def index(pages: dict[str, str]) -> str:
    """The table of all claims."""
    rows = [
        f"| [{name}]({link}) | {said} | {verdict} |"
        for page, text in pages.items()
        for name, said, verdict, link in sorted(claims(page, text), key=lambda claim: int(claim[0][1:]))
    ]
    return "\n".join(["| claim | in a line | verdict |", "|---|---|---|", *rows])


def verdict_words(pages: dict[str, str], name: str, part: int) -> str:
    """'**holds**, **fails**': the words of a claim's verdict, of its rows in the index the one at `part`."""
    verdicts = [verdict for page, text in pages.items() for found, _, verdict, _ in claims(page, text) if found == name]
    return ", ".join(dict.fromkeys(re.findall(r"\*\*(?:holds|fails|not judgeable here)\*\*", verdicts[part])))


def pages() -> dict[str, str]:
    """All pages by name, README.md last."""
    found = {name: filled(name, vars(importlib.import_module(f"page_numbers.{name}"))) for name in PAGES}
    numbers = vars(importlib.import_module("page_numbers.index")) | {
        "index": lambda: index(found),
        "now": lambda name, part=0: verdict_words(found, name, part),
    }
    return found | {"README": filled("README", numbers)}


def main(folder: Path) -> None:
    """Write them."""
    for name, text in pages().items():
        (folder / f"{name}.md").write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
