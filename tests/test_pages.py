"""figures/*.md: each number that comes from runs is made from the raw lines, and no other is there unexplained."""

import re
import sys
from pathlib import Path

import pytest

import refhf
from refhf.conformance.vectors.load_vectors import load as load_vectors

ROOT = Path(__file__).parent.parent
FIGURES = ROOT / "figures"
sys.path.insert(0, str(FIGURES))
import write_pages  # noqa: E402
from page_numbers.given import GIVEN  # noqa: E402

NAMES = (*write_pages.PAGES, "README")


def bare(name):
    """The template's text without expressions, code, links, headings, settings, and the claims in the papers' words."""
    text = write_pages.EXPRESSION.sub("", write_pages.template(name))
    text = re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.S)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", "", text)
    text = re.sub(r"^#.*$", "", text, flags=re.M)
    text = re.sub(r"^\| \*\*[A-Z]+\d+\*\*.*?(?= \| )", "", text, flags=re.M)
    return re.sub(r"^Run: .*?(?=\n\n)", "", text, flags=re.M | re.S)


def uncovered(name):
    """The places with a number that no pattern of GIVEN explains."""
    text = " ".join(bare(name).split())
    for pattern in (*GIVEN["all"], *GIVEN[name]):
        text = re.sub(pattern, lambda found: re.sub(r"\d", "#", found[0]), text)
    return [text[max(0, m.start() - 40) : m.end() + 25] for m in re.finditer(r"\d[\d.,]*", text)]


@pytest.fixture(scope="module")
def made():
    """The pages as the runs give them."""
    return write_pages.pages()


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_what_its_runs_give(made, name):
    """Each page is its template with the numbers of the raw lines; else run `python figures/write_pages.py`."""
    assert (FIGURES / f"{name}.md").read_text(encoding="utf-8").splitlines() == made[name].splitlines()


@pytest.mark.parametrize("name", NAMES)
def test_no_number_is_without_a_source(name):
    """A number in a template is an expression over the runs, or is in GIVEN with where it comes from."""
    assert uncovered(name) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_number_by_hand_is_found(name, monkeypatch):
    """A result typed into any paragraph or cell of a template is found."""
    blocks = write_pages.template(name).split("\n\n")
    for i, block in enumerate(blocks):
        if block.startswith(("#", "!", "Run:")):
            continue
        typed = block.rstrip("|\n ") + (" 26.8 % |" if block.startswith("|") else " 26.8 %")
        text = "\n\n".join([*blocks[:i], typed, *blocks[i + 1 :]])
        monkeypatch.setattr(write_pages, "template", lambda _, text=text: text)
        assert uncovered(name), block


def test_what_is_given_is_there():
    """Each pattern of GIVEN explains a number of a template, and says where it comes from."""
    texts = {name: " ".join(bare(name).split()) for name in NAMES}
    for name, patterns in GIVEN.items():
        text = " ".join(texts.values()) if name == "all" else texts[name]
        for pattern, source in patterns.items():
            assert source
            assert any(re.search(r"\d", found[0]) for found in re.finditer(pattern, text)), pattern


def test_each_claim_has_a_verdict(made):
    """H1 to H12, N1 to N8, A1 to A4, D1, S1 to S3: each holds, fails or is not judgeable here, and says what would."""
    rows = [row for page in write_pages.PAGES for row in write_pages.claims(page, made[page])]
    wanted = {"H": 12, "N": 8, "A": 4, "D": 1, "S": 3}
    assert {name for name, *_ in rows} == {f"{letter}{i + 1}" for letter, n in wanted.items() for i in range(n)}
    for name, said, verdict, link in rows:
        assert re.search(r"\*\*(holds|fails|not judgeable here)\*\*", verdict, flags=re.I), name
        assert "in part" not in verdict
        assert said and f"[{name}]({link}) | {said} | {verdict} |" in made["README"]


def test_each_claim_has_a_verdict_before_and_now(made):
    """README.md's second table has a row for each row of the index, in its order."""
    rows = [name for page in write_pages.PAGES for name, *_ in sorted(write_pages.claims(page, made[page]), key=number)]
    wanted = [(name, rows[:i].count(name)) for i, name in enumerate(rows)]
    found = re.findall(r"^\| ([A-Z]\d+).*\{\{now\(\"\1\"(?:, (\d))?\)\}\}", write_pages.template("README"), re.M)
    assert [(name, int(part or 0)) for name, part in found] == wanted


def number(claim):
    """Of a claim's name."""
    return int(claim[0][1:])


def test_links_of_the_index_lead_somewhere(made):
    """Each link from the index to a section is to a heading that the page has."""
    for page, anchor in re.findall(r"\((\w+)\.md#([\w-]+)\)", made["README"]):
        headings = [
            re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^## (.+)$", made[page], re.M)
        ]
        assert anchor in headings


def test_numbers_of_the_front_page():
    """README.md: each count is that of what it counts, and a product's rate is that of docs/speed.md."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    speed = (ROOT / "docs" / "speed.md").read_text(encoding="utf-8")
    rates = [int(rate) for rate in re.findall(r"^\| [^|]+ \| (\d+)% \|", speed, flags=re.M)]
    promises = set(re.findall(r"\bR\d+", (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")))
    assert f"a product runs at {min(rates)} to {max(rates)} % of" in text
    assert f"{len(promises)} laws" in text
    assert f"{len(load_vectors())} test vectors" in text
    assert len(refhf.available_methods()) == 18
    assert "eighteen optimisers" in text
    assert f"{len(refhf.load('mnist-mini').X):,} handwritten digits" in text
